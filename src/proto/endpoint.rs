//! One end of a WebSocket from its first byte to its last, either role: opening handshake, frames,
//! closing handshake, deadlines, and the bytes to write. What a program with transports of its own
//! drives.
//!
//! Does not: any I/O, any waiting, any clock of its own. What stands on the wire is decided by
//! `handshake`, `http` and `connection`; here is only the order of things.
//!
//! ```text
//!          request            accept()             both Close frames, or a violation
//!   Head ----------> Asked ------------> Open ------------------------------------\
//!    |  \               \                  |                                       |
//!    |   \               \ refuse()        | lost, no pong                         |
//!    |    \ bad head      v                v                                       v
//!    |     `-----------> Ended ---------> Over <---- (time is up) ---- Open, finished
//!    \--- the server's answer (client) --> Open
//! ```

mod opening;
mod sending;
mod types;

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

pub use types::{Cause, CommandError, Ending, Event, Failure, Settings};

use super::close::Violation;
use super::connection::{self, Connection, Io, Masks, Outcome, Pool, Role, Timeout};
use super::deflate::Agreed;
use super::handshake::{RequestView, ServerHandshake};
use super::http::HeadBuffer;
use super::outbox::Outbox;

/// An output that has been written keeps that much memory for the next.
const KEPT: usize = 4096;

pub struct Endpoint {
    settings: Settings,
    role: Role,
    stage: Stage,
    out: Outbox,
    pool: Pool,
    /// A server's request, from its coming until the event after its answer. A vector of one: its
    /// address stays the same while the endpoint is used.
    view: Vec<RequestView<'static>>,
    subprotocol: Option<CString>,
    /// To be told before anything else.
    opened: bool,
    /// To be told after that.
    failure: Option<Failure>,
    /// The transport brings nothing more.
    input_ended: bool,
    /// The latest time that was told.
    now: u64,
}

#[derive(Debug)]
enum Stage {
    /// The peer's head is being received.
    Head {
        head: HeadBuffer,
        /// A client's.
        key: [u8; 16],
        until: u64,
    },
    /// The application has to answer.
    Asked {
        upgrade: Option<ServerHandshake>,
        until: u64,
    },
    Open(Connection),
    /// Not a WebSocket; the last words are queued or written.
    Ended {
        until: u64,
    },
    Over,
}

impl Endpoint {
    /// The next thing that has happened; `input[*at..]` is what has not been looked at. None: all
    /// of it is used up, or waits for the answer to a request.
    pub fn next(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        masks: &mut dyn Masks,
    ) -> Option<Event> {
        if core::mem::take(&mut self.opened) {
            return Some(Event::Open);
        }
        if let Some(failure) = self.failure.take() {
            return Some(Event::Failed(failure));
        }
        if !self.is_asked() {
            if let Some(view) = self.view.pop() {
                self.subprotocol = view.subprotocol;
                self.view = Vec::new();
            }
        }
        match &self.stage {
            Stage::Head { .. } => self.read_head(input, at),
            Stage::Asked { .. } => None,
            Stage::Open(_) => self.receive(input, at, masks),
            Stage::Ended { .. } | Stage::Over => {
                *at = input.len();
                None
            }
        }
    }

    fn receive(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        masks: &mut dyn Masks,
    ) -> Option<Event> {
        let event = self.with_open(masks, |connection, io| connection.receive(input, at, io));
        Some(match event?? {
            connection::Event::Closed => Event::Closed,
            connection::Event::Failed(violation) => Event::Failed(violation.into()),
            other => Event::Received(other),
        })
    }

    /// `next` has more to tell of what was used up.
    pub fn has_more(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.has_more())
    }

    /// Bytes have come, which `next` will be given.
    pub fn arrived(&mut self, now: u64) {
        self.clock(now);
        self.note_blocked();
        if let Stage::Open(connection) = &mut self.stage {
            connection.touch(self.now);
        }
    }

    /// The transport brings nothing more.
    pub fn input_ended(&mut self) {
        self.input_ended = true;
        match &self.stage {
            Stage::Head { .. }
            | Stage::Asked {
                upgrade: Some(_), ..
            } => self.give_up(Failure {
                by_peer: true,
                ..Failure::new(
                    Cause::Lost,
                    "the transport ended before the WebSocket was open",
                )
            }),
            Stage::Open(connection) if !connection.is_finished() => self.give_up(Failure {
                by_peer: true,
                ..Failure::new(Cause::Lost, connection::LOST)
            }),
            // Who asks for a page may end its sending after that, and the same goes for a Close.
            Stage::Asked { .. } | Stage::Open(_) | Stage::Ended { .. } | Stage::Over => {}
        }
    }

    /// When to call `tick` at the latest, in monotonic milliseconds. None: not by time.
    pub fn deadline(&self) -> Option<u64> {
        match &self.stage {
            _ if self.ending() == Ending::End => None,
            Stage::Head { until, .. } | Stage::Asked { until, .. } | Stage::Ended { until } => {
                Some(*until)
            }
            Stage::Open(connection) => connection.deadline(&self.settings.limits, self.now),
            Stage::Over => None,
        }
    }

    /// Does what is due by time.
    pub fn tick(&mut self, now: u64, masks: &mut dyn Masks) {
        self.clock(now);
        self.note_blocked();
        match &self.stage {
            Stage::Head { until, .. } | Stage::Asked { until, .. } if *until <= self.now => {
                let why = "the opening handshake took too long";
                self.give_up(Failure::new(Cause::Timeout, why));
            }
            Stage::Ended { until } if *until <= self.now => self.over(),
            Stage::Open(connection) => {
                let finished = connection.is_finished();
                let due = self.with_open(masks, Connection::timeout);
                match due.unwrap_or(Timeout::Nothing) {
                    Timeout::Nothing | Timeout::Pinged => {}
                    Timeout::PongMissing | Timeout::CloseTimedOut if finished => self.over(),
                    due => self.give_up(Failure::new(Cause::Timeout, due.why())),
                }
            }
            _ => {}
        }
    }

    /// What waits to be written: its first stretch.
    pub fn output(&self) -> &[u8] {
        let mut first: [&[u8]; 1] = [&[]];
        self.out.slices(&mut first);
        let [first] = first;
        first
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        self.out.len()
    }

    /// So many bytes of the output were written.
    pub fn written(
        &mut self,
        len: usize,
        now: u64,
        masks: &mut dyn Masks,
    ) -> Result<(), CommandError> {
        if len > self.out.len() {
            return Err(CommandError::Invalid("more than there was to write"));
        }
        self.out.advance(len);
        if self.out.is_empty() {
            self.out.reset(KEPT);
        }
        self.note_blocked();
        self.clock(now);
        if !self.out.is_empty() || !self.is_open() {
            return Ok(());
        }
        let outcome = self.with_open(masks, |connection, io| {
            connection.drained(io);
            connection.violation()
        });
        // What had been held back could not be sent.
        self.failure = outcome.flatten().map(Failure::from).or(self.failure);
        Ok(())
    }

    /// What is to be done with the transport, once all events have been taken.
    pub fn ending(&self) -> Ending {
        if self.opened || self.failure.is_some() || !self.out.is_empty() {
            return Ending::GoOn;
        }
        let finished = |c: &Connection| c.is_finished();
        match &self.stage {
            Stage::Over => Ending::End,
            Stage::Ended { .. } if self.input_ended => Ending::End,
            Stage::Ended { .. } => Ending::EndSending,
            Stage::Open(c) if finished(c) && self.input_ended => Ending::End,
            Stage::Open(c) if finished(c) && c.violation().is_some() => Ending::EndSending,
            // RFC 6455 7.1.1: "In most normal cases, the TCP connection SHOULD be closed first by
            // the server".
            Stage::Open(c) if finished(c) && self.role == Role::Server => Ending::End,
            Stage::Head { .. } | Stage::Asked { .. } | Stage::Open(_) => Ending::GoOn,
        }
    }

    /// Messages can be sent.
    pub fn is_open(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.is_open())
    }

    /// How messages are compressed, if they are.
    pub fn deflate(&self) -> Option<Agreed> {
        match &self.stage {
            Stage::Open(connection) => connection.deflate(),
            _ => None,
        }
    }

    /// A request waits for its answer.
    pub fn is_asked(&self) -> bool {
        matches!(self.stage, Stage::Asked { .. })
    }

    /// The request that was told last, until the event after its answer.
    pub fn request(&self) -> Option<&RequestView<'static>> {
        self.view.first()
    }

    /// The subprotocol agreed on.
    pub fn subprotocol(&self) -> Option<&CStr> {
        let agreed = match self.view.first() {
            Some(view) if !self.is_asked() => &view.subprotocol,
            _ => &self.subprotocol,
        };
        agreed.as_deref()
    }

    /// How the connection ended, once its end has been told.
    pub fn outcome(&self) -> Option<Outcome<'_>> {
        match &self.stage {
            Stage::Open(connection) => Some(connection.outcome()),
            _ => None,
        }
    }

    /// Memory ran out elsewhere, so that input is lost.
    pub fn out_of_memory(&mut self) {
        self.give_up(Failure::new(Cause::NoMemory, Violation::NoMemory.why()));
    }

    /// Ends without a word to the peer.
    fn give_up(&mut self, failure: Failure) {
        self.failure = self.failure.or(Some(failure));
        self.over();
    }

    fn over(&mut self) {
        self.stage = Stage::Over;
        self.out.reset(0);
    }

    fn clock(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// What has not been written by now waits for the transport. Then nothing is added that can be
    /// held back: a peer that pings and does not read costs the memory of one Pong.
    fn note_blocked(&mut self) {
        self.out.set_blocked(!self.out.is_empty());
    }

    fn with_open<R>(
        &mut self,
        masks: &mut dyn Masks,
        body: impl FnOnce(&mut Connection, &mut Io<'_>) -> R,
    ) -> Option<R> {
        let Stage::Open(connection) = &mut self.stage else {
            return None;
        };
        let mut io = Io {
            limits: &self.settings.limits,
            out: &mut self.out,
            masks,
            pool: &mut self.pool,
            now: self.now,
        };
        Some(body(connection, &mut io))
    }
}

#[cfg(test)]
mod tests;
