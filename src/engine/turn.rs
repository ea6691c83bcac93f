//! One turn of the event loop: wait, read, tell the driver, write.

use super::conn::{Ending, Upgrading};
use super::local::{Came, Incoming, Local, Step};
use super::{After, CloseInfo, Driver, Engine, Piece};
use crate::error::{Error, Status};
use crate::net::conns::ConnId;
use crate::net::sys::poll::{Events, Ready, BATCH};
use crate::net::sys::thread::Claim;
use crate::net::sys::{coarse_ms, monotonic_ms};
use crate::proto::close::Violation;
use crate::proto::connection::{Event, Payload, Timeout, LOST};
use crate::proto::frame::Kind;
use crate::rare::rarely;
use crate::text::Line;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::ops::Range;
use core::sync::atomic::Ordering;

/// epoll tokens below the first connection id; the driver's begin at DRIVER_TOKENS.
pub(super) const WAKE: u64 = 0;
pub(super) const ALARM: u64 = 1;
pub const DRIVER_TOKENS: u64 = 16;
const FIRST_ID: u64 = 1 << 32;

/// Reads of a connection within a large message before it is the turn of others: while it is read
/// in one go, it is in the cache, and takes one buffer of the pool instead of one for each that is
/// read by turns.
const READS: usize = 8;

/// Messages from here on are sent on without a copy.
const LARGE: usize = 64 * 1024;

impl Engine {
    /// One turn. `timeout`: ms, -1 for as long as it takes.
    pub fn turn(
        &self,
        claim: &Claim<'_, Local>,
        driver: &dyn Driver,
        timeout: c_int,
    ) -> Result<(), Error> {
        // A turn that panicked has taken the buffer with it; then a new one is made.
        let buffer = claim.with(Local::take_buffer).ok_or(Status::Internal)?;
        let mut buffer = buffer.ok_or(Status::NoMemory)?;
        let turn = Turn {
            engine: self,
            local: claim,
            driver,
        };
        let result = turn.run(timeout, &mut buffer);
        claim.with(|l| l.put_buffer(buffer));
        result
    }

    /// Flushes what was touched and tells what has ended; what that brings about, too.
    pub fn settle(&self, claim: &Claim<'_, Local>, driver: &dyn Driver) {
        Turn {
            engine: self,
            local: claim,
            driver,
        }
        .settle();
    }
}

/// What a turn works with. The loop's state is opened for moments, never over a call of the driver.
struct Turn<'a> {
    engine: &'a Engine,
    local: &'a Claim<'a, Local>,
    driver: &'a dyn Driver,
}

impl Turn<'_> {
    #[inline]
    fn with<R>(&self, body: impl FnOnce(&mut Local) -> R) -> Option<R> {
        self.local.with(body)
    }

    fn run(&self, timeout: c_int, buffer: &mut [u8]) -> Result<(), Error> {
        self.with(|l| {
            l.tell_time(coarse_ms());
            l.shaken = false;
        });
        if self.engine.remote.has_commands() {
            self.with(Local::take_commands);
            self.settle();
        }
        self.driver.woken(self.engine);
        let wait = self.with(|l| l.sleep(timeout)).unwrap_or(0);
        let more = self.events(wait, buffer)?;
        if self.engine.remote.has_commands() {
            self.with(Local::take_commands);
        }
        self.driver.woken(self.engine);
        self.each(Local::begin_ready, Local::next_ready, |id| {
            self.read_on(id, buffer);
        });
        while let Some(expired) = self.with(Local::next_expired).flatten() {
            match expired {
                Ok(id) => drop(self.with(|l| l.expire(id))),
                Err(key) => self.driver.timer(self.engine, key),
            }
        }
        self.settle();
        self.driver.settled(self.engine);
        if self.engine.watched.load(Ordering::Acquire) {
            self.with(|l| l.wake_when_due(more));
        }
        Ok(())
    }

    /// Waits for events, and works them off. True: the kernel may have more of them.
    #[inline]
    fn events(&self, mut wait: c_int, buffer: &mut [u8]) -> Result<bool, Error> {
        let mut events = Events::new();
        let epoll = self.engine.remote.epoll();
        let mut seen = 0;
        loop {
            epoll
                .wait(&mut events, wait)
                .map_err(|errno| Error::io(errno, "epoll_wait"))?;
            // Who slept until a deadline has to see that it has come.
            let now = if events.is_empty() {
                monotonic_ms()
            } else {
                coarse_ms()
            };
            self.with(|l| l.tell_time(now));
            for event in events.iter() {
                match event.token {
                    FIRST_ID.. => self.conn_ready(ConnId(event.token), event, buffer),
                    WAKE => self.engine.remote.event().clear(),
                    ALARM => drop(self.with(|l| l.rung(monotonic_ms()))),
                    token => self.driver.ready(self.engine, token),
                }
            }
            if !events.is_full() {
                return Ok(false);
            }
            // What a deadline waits for may have come long ago, and only not be read yet.
            seen += BATCH;
            let all = seen > self.engine.settings.slots;
            if all || !self.with(|l| l.is_due()).unwrap_or(false) {
                return Ok(true);
            }
            wait = 0;
        }
    }

    /// Works off as many entries of a list as it has now; those that come meanwhile are for later.
    fn each(
        &self,
        begin: fn(&mut Local) -> usize,
        next: fn(&mut Local) -> Option<ConnId>,
        mut body: impl FnMut(ConnId),
    ) {
        for _ in 0..self.with(begin).unwrap_or(0) {
            if let Some(id) = self.with(next).flatten() {
                body(id);
            }
        }
    }

    fn conn_ready(&self, id: ConnId, event: Ready, buffer: &mut [u8]) {
        if event.writable() {
            match self.with(|l| l.connected(id)).flatten() {
                Some(true) => self.driver.connected(self.engine, id),
                Some(false) => return,
                None => {}
            }
            self.with(|l| l.flush(id));
        }
        if event.readable() {
            self.read(id, event.hung_up(), buffer);
        }
    }

    /// One read, and all that follows from it.
    fn read(&self, id: ConnId, hung_up: bool, buffer: &mut [u8]) {
        let room = buffer.len().saturating_sub(1);
        let into = buffer.get_mut(..room).unwrap_or_default();
        let Some(came) = self.with(|l| l.receive(id, hung_up, into)) else {
            rarely();
            return;
        };
        let Came { n, message } = match came {
            Ok(came) => came,
            Err(incoming) => {
                rarely();
                return self.arrived(id, incoming, buffer);
            }
        };
        // So it is nearly always, and nothing lies behind the message.
        let Some((kind, range)) = message else {
            rarely();
            return self.feed(id, buffer, n, 0);
        };
        let end = range.end;
        self.message(id, kind, range, buffer);
        if end < n {
            self.feed(id, buffer, n, end);
        } else {
            self.with(|l| l.flush_now(id));
        }
    }

    /// What else a read may come to.
    #[inline(never)]
    fn arrived(&self, id: ConnId, incoming: Incoming, buffer: &mut [u8]) {
        match incoming {
            Incoming::Nothing => {}
            Incoming::Bytes(n) => {
                self.feed(id, buffer, n, 0);
                if n + 1 == buffer.len() {
                    self.read_message(id, buffer);
                }
            }
            Incoming::InMessage => self.read_message(id, buffer),
        }
    }

    /// A few reads of a connection that is in the middle of a large message, if it is.
    #[inline(never)]
    fn read_message(&self, id: ConnId, buffer: &mut [u8]) {
        for _ in 0..READS {
            let Some((goes_on, event)) = self.with(|l| l.receive_message(id)) else {
                return;
            };
            if let Some(event) = event {
                self.event(id, event, buffer, 0..0);
            }
            if !goes_on {
                break;
            }
        }
        self.with(|l| l.flush(id));
    }

    /// A connection that was left with more to read.
    fn read_on(&self, id: ConnId, buffer: &mut [u8]) {
        let Some((mut stash, more)) = self.with(|l| l.resume(id)).flatten() else {
            return;
        };
        if !stash.is_empty() || self.has_more(id) {
            let len = stash.len();
            if stash.try_reserve(1).is_err() {
                self.with(|l| l.end(id, Ending::NoMemory));
                return;
            }
            stash.push(0);
            self.feed(id, &mut stash, len, 0);
        }
        if more {
            self.read(id, false, buffer);
        }
    }

    /// Works off the input from `at` to `len`; behind it is room for a NUL.
    #[inline(never)]
    fn feed(&self, id: ConnId, input: &mut [u8], len: usize, mut at: usize) {
        while at < len || self.has_more(id) {
            let there = input.get_mut(..len).unwrap_or_default();
            if let Some(Some((kind, range))) = self.with(|l| l.next_message(id, there, at)) {
                at = range.end;
                self.message(id, kind, range, input);
                continue;
            }
            rarely();
            if !self.step(id, input, len, &mut at) {
                break;
            }
        }
        self.with(|l| l.flush(id));
    }

    /// There is more to tell of what has come, without more input: of a piece that was inflated.
    fn has_more(&self, id: ConnId) -> bool {
        self.engine.settings.limits.pieces && self.with(|l| l.has_more(id)).unwrap_or(false)
    }

    /// False: there is nothing more to work off.
    #[inline(never)]
    fn step(&self, id: ConnId, input: &mut [u8], len: usize, at: &mut usize) -> bool {
        let before = *at;
        let there = input.get_mut(..len).unwrap_or_default();
        match self.with(|l| l.step(id, there, at)) {
            None | Some(Step::Idle) => return false,
            Some(Step::Event(event)) => self.event(id, event, input, before..len),
            Some(Step::Raw) => {
                let input = input.get(..len).unwrap_or_default();
                self.driver.raw(self.engine, id, input, at);
            }
            Some(Step::Head) => {
                let Some(mut upgrading) = self.with(|l| l.take_head(id)).flatten() else {
                    return false;
                };
                let Upgrading {
                    head, peer, bad, ..
                } = &mut *upgrading;
                let after = match *bad {
                    None => {
                        let more = *at < len;
                        self.driver.head(self.engine, id, peer, head.take(), more)
                    }
                    Some(error) => self.driver.bad_head(self.engine, id, peer, error),
                };
                self.after(id, upgrading, after);
            }
        }
        true
    }

    fn after(&self, id: ConnId, upgrading: Box<Upgrading>, after: After) {
        self.with(|l| match after {
            After::Opened => {}
            After::Next => {
                l.next_request(id, upgrading);
                l.flush(id);
            }
            After::Interim { until } => l.next_head(id, upgrading, until),
            After::Last => l.last_response(id, upgrading),
            After::Drop(ending) => l.end(id, ending),
        });
    }

    #[inline]
    fn message(&self, id: ConnId, kind: Kind, range: Range<usize>, input: &mut [u8]) {
        self.engine.counters().messages_received.add(1);
        with_nul(range, input, |data| {
            self.driver.message(self.engine, id, kind, data)
        });
    }

    /// Tells an event. `looked_at`: where in the input a violation lies.
    #[inline(never)]
    fn event(&self, id: ConnId, event: Event, input: &mut [u8], looked_at: Range<usize>) {
        match event {
            Event::Message {
                kind,
                payload: Payload::Input(range),
            } => self.message(id, kind, range, input),
            Event::Message {
                kind,
                payload: Payload::Gathered(bytes),
            } => {
                self.engine.counters().messages_received.add(1);
                self.gathered(id, kind, bytes);
            }
            Event::Piece {
                kind,
                payload,
                offset,
                last,
            } => {
                if last {
                    self.engine.counters().messages_received.add(1);
                }
                let piece = Piece {
                    kind,
                    data: payload.bytes(input),
                    offset,
                    last,
                };
                self.driver.piece(self.engine, id, &piece);
                if let Payload::Gathered(bytes) = payload {
                    self.with(|l| l.give_message(bytes));
                }
            }
            Event::Ping(_) => self.driver.ping(self.engine, id),
            Event::Pong(payload) => {
                let told = |data: &[u8]| {
                    let data = data.split_last().map_or(&[][..], |(_, data)| data);
                    self.driver.pong(self.engine, id, data);
                };
                match payload {
                    Payload::Gathered(bytes) => told(&bytes),
                    Payload::Input(range) => with_nul(range, input, told),
                }
            }
            Event::Closed => drop(self.with(|l| l.closing_done(id))),
            Event::Failed(violation) => {
                let looked_at = input.get(looked_at).unwrap_or_default();
                self.driver.failed(self.engine, id, looked_at);
                self.failed(id, violation);
            }
        }
    }

    /// Tells a message that came in parts; its last byte is the NUL.
    fn gathered(&self, id: ConnId, kind: Kind, bytes: Vec<u8>) {
        let delivered = self.with(|l| match bytes.len() {
            0..LARGE => Err(bytes),
            _ => l.deliver(bytes),
        });
        match delivered {
            Some(Ok(message)) => {
                self.driver.message(self.engine, id, kind, &message);
                self.with(|l| l.delivered(message));
            }
            Some(Err(bytes)) => {
                self.driver.message(self.engine, id, kind, &bytes);
                self.with(|l| l.give_message(bytes));
            }
            None => {}
        }
    }

    fn failed(&self, id: ConnId, violation: Violation) {
        self.with(|l| {
            l.flush(id);
            l.end(id, Ending::from(violation));
        });
    }

    fn settle(&self) {
        self.flush_all();
        self.each(Local::begin_writable, Local::next_writable, |id| {
            self.driver.writable(self.engine, id);
        });
        self.flush_all();
        while let Some((id, ending)) = self.with(Local::next_ended).flatten() {
            self.tell_end(id, ending);
            self.flush_all();
        }
    }

    fn flush_all(&self) {
        self.with(|l| {
            while let Some(id) = l.next_dirty() {
                l.flush(id);
            }
            l.note_deflate();
        });
    }

    fn tell_end(&self, id: ConnId, ending: Ending) {
        let Some(opened) = self.with(|l| l.verdict(id, ending)).flatten() else {
            return;
        };
        if opened {
            if let Some(info) = self.with(|l| close_info(l, id, ending)) {
                self.driver.closed(self.engine, id, &info);
            }
        } else {
            self.driver.broken(self.engine, id, ending);
        }
        self.with(|l| l.dispose(id, ending));
        self.driver.freed(self.engine);
    }
}

fn close_info(local: &mut Local, id: ConnId, ending: Ending) -> CloseInfo {
    let mut info = CloseInfo {
        status: ending.status(),
        code: 1006,
        by_peer: matches!(ending, Ending::Lost | Ending::Io(_)),
        reason: Line::new(),
    };
    if let Some(connection) = local.connection(id) {
        let outcome = connection.outcome();
        if outcome.clean || outcome.violation.is_some() {
            info.code = outcome.code;
            info.by_peer = outcome.by_peer;
            info.reason = words(outcome.reason);
        }
    }
    match ending {
        Ending::Violation(violation) => {
            info.by_peer = false;
            info.code = violation.code();
            info.reason = words(violation.why());
        }
        Ending::Io(errno) => info.reason = Line::from(errno),
        Ending::Lost if local.is_truncated(id) => info.reason = words(TRUNCATED),
        Ending::Lost => info.reason = words(LOST),
        Ending::Tls => {
            if let Some(failure) = local.tls_failure(id) {
                info.reason = words(failure.as_str());
            }
        }
        Ending::PongTimeout => info.reason = words(Timeout::PongMissing.why()),
        Ending::CloseTimeout => info.reason = words(Timeout::CloseTimedOut.why()),
        Ending::NoMemory => info.reason = words(Violation::NoMemory.why()),
        Ending::Abandoned => info.code = 1001,
        Ending::Clean | Ending::HandshakeTimeout => {}
    }
    info
}

/// Nothing says that the peer meant to end here.
const TRUNCATED: &str = "the connection was lost (TCP ended without TLS's close_notify)";

fn words(text: &str) -> Line<128> {
    Line::from(text)
}

/// Hands on a payload with a NUL behind it, which covers the first byte of what follows; that is
/// put back afterwards.
#[inline]
fn with_nul(range: Range<usize>, input: &mut [u8], body: impl FnOnce(&[u8])) {
    let end = range.end;
    let Some(data) = input.get_mut(range.start..=end) else {
        rarely();
        return;
    };
    let Some(covered) = data.last_mut().map(|last| core::mem::replace(last, 0)) else {
        rarely();
        return;
    };
    body(data);
    if let Some(last) = data.last_mut() {
        *last = covered;
    }
}
