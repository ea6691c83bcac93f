//! One open WebSocket connection (RFC 6455 sections 5 to 8), either role: bytes in, events out;
//! commands in, bytes out; deadlines as values.
//!
//! Does not: the opening handshake (`handshake`), any I/O, any waiting, any extension. The send
//! queue is the caller's [`Outbox`]; its limit too.
//!
//! ```text
//!           close()                          Close came
//!   Open ------------> Sent ----------------------------------> Done
//!    |  Close came                        (data is discarded meanwhile)
//!    +-------------> Answered   (Unanswered: no memory for our Close)
//! ```
//!
//! A violation ends reading in any of these states (`Reading::Failed`), the end of the transport
//! too (`Reading::Lost`).

mod receive;
mod send;
mod timers;
mod types;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub use types::{Event, Io, Limits, Masks, Outcome, Payload, Role, SendError, Timeout, LOST};

use super::close::{self, Violation};
use super::frame::{Kind, Opcode};
use super::outbox::Outbox;
use super::utf8::Utf8;
use super::OutOfMemory;

/// A connection. What is rarely there lies in `rare`, so that many idle ones cost little.
#[derive(Debug)]
pub struct Connection {
    reading: Reading,
    rare: Option<Box<[Rare; 1]>>,
    /// When bytes came last.
    heard: u64,
    /// When the Ping was sent that `ping` is about; once `closing` has begun, when that was.
    since: u64,
    /// Bytes of the unfinished incoming message so far.
    offset: u64,
    /// Of the unfinished incoming message, if text; as new between messages.
    utf8_in: Utf8,
    /// Of the unfinished outgoing message, if text.
    utf8_out: Utf8,
    /// The incoming message whose last frame has not come.
    receiving: Option<Kind>,
    /// The outgoing message whose last fragment has not been sent.
    sending: Option<Kind>,
    role: Role,
    closing: Closing,
    ping: Ping,
    paused: bool,
}

impl Connection {
    /// A connection whose opening handshake has just been done.
    pub fn new(role: Role, now: u64) -> Connection {
        Connection {
            reading: Reading::NEW_HEAD,
            rare: None,
            heard: now,
            since: now,
            offset: 0,
            utf8_in: Utf8::new(),
            utf8_out: Utf8::new(),
            receiving: None,
            sending: None,
            role,
            closing: Closing::Open,
            ping: Ping::Quiet,
            paused: false,
        }
    }

    /// No Close sent or received, not failed, not lost.
    pub fn is_open(&self) -> bool {
        self.closing == Closing::Open && self.reading.goes_on()
    }

    /// Both Close frames were exchanged, or the connection failed: write what is queued, then end
    /// the transport.
    pub fn is_finished(&self) -> bool {
        !self.reading.goes_on()
    }

    pub fn close_sent(&self) -> bool {
        matches!(
            self.closing,
            Closing::Sent | Closing::Answered | Closing::Done
        )
    }

    pub fn close_received(&self) -> bool {
        matches!(self.reading, Reading::Closed { .. })
    }

    /// What has come of a frame's head, if the next byte belongs to it; empty within a payload. With
    /// `payload_to_come`, for who must not read beyond the frame.
    pub fn head_so_far(&self) -> &[u8] {
        match &self.reading {
            Reading::Head { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Bytes of the payload that have not come yet of a frame whose head has.
    pub fn payload_to_come(&self) -> u64 {
        match &self.reading {
            Reading::Payload(rest) => rest.len,
            _ => 0,
        }
    }

    /// The transport has ended; `reason` says how. Changes nothing if the connection had closed or
    /// failed before.
    pub fn lost(&mut self, reason: &'static str) {
        if self.reading.goes_on() {
            self.stop_reading(Reading::Lost(reason));
        }
    }

    /// How the connection ended. Meaningful once it is finished or lost.
    pub fn outcome(&self) -> Outcome<'_> {
        let mut outcome = Outcome {
            clean: false,
            // 7.1.5: "If _The WebSocket Connection is Closed_ and no Close control frame was
            // received by the endpoint [...], _The WebSocket Connection Close Code_ is considered
            // to be 1006."
            code: close::ABNORMAL,
            by_peer: self.closing == Closing::Open,
            reason: "",
            violation: None,
        };
        match self.reading {
            Reading::Closed { code } => {
                outcome.clean = self.close_sent();
                outcome.code = code;
                outcome.by_peer = self.closing != Closing::Done;
                outcome.reason = self.rare_if_any().map_or("", |rare| &rare.reason);
            }
            Reading::Failed { code, why } => {
                outcome.code = code;
                outcome.by_peer = false;
                outcome.reason = why;
                outcome.violation = Some(Violation { code, why });
            }
            Reading::Lost(reason) => outcome.reason = reason,
            Reading::Head { .. } | Reading::Payload(_) => {}
        }
        outcome
    }

    /// Nothing more is read, delivered or answered: frees what was kept for that.
    fn stop_reading(&mut self, reading: Reading) {
        self.reading = reading;
        self.receiving = None;
        self.ping = Ping::Quiet;
        self.rare = None;
    }

    fn rare_if_any(&self) -> Option<&Rare> {
        self.rare.as_deref().map(|[rare]| rare)
    }

    fn rare_if_any_mut(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut().map(|[rare]| rare)
    }

    /// The rare things, made if they are not there.
    fn rare(&mut self) -> Result<&mut Rare, OutOfMemory> {
        if self.rare.is_none() {
            // A vector can be allocated fallibly, a box cannot (yet): one becomes the other.
            let mut one = Vec::new();
            one.try_reserve_exact(1).map_err(|_| OutOfMemory)?;
            one.push(Rare::default());
            self.rare = <Box<[Rare; 1]>>::try_from(one).ok();
        }
        self.rare_if_any_mut().ok_or(OutOfMemory)
    }

    /// Frees the rare things when none is left.
    fn tidy(&mut self) {
        if self.rare_if_any().is_some_and(Rare::is_empty) {
            self.rare = None;
        }
    }
}

/// Where in the stream of frames the next byte stands, or why no more are read.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// In a head, of which `len` bytes have come.
    Head {
        len: u8,
        bytes: [u8; 13],
    },
    Payload(Rest),
    /// The peer's Close came, with this code.
    Closed {
        code: u16,
    },
    /// A violation, laid open so that it shares its word with the tag.
    Failed {
        code: u16,
        why: &'static str,
    },
    Lost(&'static str),
}

impl Reading {
    const NEW_HEAD: Reading = Reading::Head {
        len: 0,
        bytes: [0; 13],
    };

    fn goes_on(&self) -> bool {
        matches!(self, Reading::Head { .. } | Reading::Payload(_))
    }
}

/// What has not come yet of a frame's payload.
#[derive(Debug, Clone, Copy)]
struct Rest {
    len: u64,
    /// The masking key, rotated to the next byte.
    mask: Option<[u8; 4]>,
    opcode: Opcode,
    fin: bool,
}

/// The closing handshake; see the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Sent,
    Answered,
    Unanswered,
    Done,
}

/// The Ping that asks whether the peer is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// None is under way.
    Quiet,
    Sent,
    /// It is due, but the outbox is blocked: it follows when that has drained.
    Held,
}

#[derive(Debug, Default)]
struct Rare {
    /// The incoming message so far.
    message: Vec<u8>,
    /// The incoming control frame's payload so far.
    control: Vec<u8>,
    /// A Pong held back until the outbox has drained.
    pong: Option<Vec<u8>>,
    /// Of the peer's Close.
    reason: String,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.message.capacity() == 0
            && self.control.capacity() == 0
            && self.pong.is_none()
            && self.reason.is_empty()
    }
}

#[cfg(test)]
mod tests;
