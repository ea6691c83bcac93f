//! One open WebSocket connection (RFC 6455 sections 5 to 8), either role: bytes in, events out;
//! commands in, bytes out; deadlines as values.
//!
//! Does not: the opening handshake (`handshake`), any I/O, any waiting, any negotiation. The send
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
//!
//! What a connection is in the middle of (a message, a frame, a Pong that has to wait) lies in
//! [`Rare`], which comes from a [`Pool`] and goes back there: an idle connection is 32 bytes.

mod inflate;
mod pool;
mod receive;
mod send;
mod squeeze;
mod timers;
mod types;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub use pool::Pool;
pub use squeeze::packed_frame;
pub use types::{Event, Io, Limits, Masks, Outcome, Payload, Role, SendError, Timeout, LOST};

use super::close::{self, Violation};
use super::deflate::{Agreed, Compressor, Inflater};
use super::frame::{Kind, Opcode};
use super::outbox::Outbox;
use super::utf8::Utf8;
use super::OutOfMemory;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    rare: Option<RareBox>,
    /// When bytes came last.
    heard: u32,
    /// When the Ping was sent that `ping` is about; once `closing` has begun, when that was.
    since: u32,
    /// Of the peer's Close.
    code: u16,
    reading: Reading,
    /// The incoming message whose last frame has not come.
    receiving: Option<Kind>,
    /// The outgoing message whose last fragment has not been sent.
    sending: Option<Kind>,
    role: Role,
    closing: Closing,
    ping: Ping,
    paused: bool,
    /// `receiving` is compressed.
    packed: bool,
    /// How messages are compressed.
    deflate: Option<Agreed>,
}

impl Connection {
    /// A connection whose opening handshake has just been done.
    pub fn new(role: Role, now: u64) -> Connection {
        Connection {
            rare: None,
            heard: now as u32,
            since: now as u32,
            code: close::NO_CODE,
            reading: Reading::Between,
            receiving: None,
            sending: None,
            role,
            closing: Closing::Open,
            ping: Ping::Quiet,
            paused: false,
            packed: false,
            deflate: None,
        }
    }

    /// What the opening handshake has agreed on, before anything is sent or received.
    pub fn set_deflate(&mut self, agreed: Option<Agreed>) {
        self.deflate = agreed;
    }

    /// How messages are compressed, if they are.
    pub fn deflate(&self) -> Option<Agreed> {
        self.deflate
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
        self.reading == Reading::Closed
    }

    /// What has come of a frame's head, if the next byte belongs to it; empty within a payload. With
    /// `payload_to_come`, for who must not read beyond the frame.
    pub fn head_so_far(&self) -> &[u8] {
        match (self.reading, self.rare_if_any()) {
            (Reading::Head, Some(rare)) => rare.head.bytes(),
            _ => &[],
        }
    }

    /// Bytes of the payload that have not come yet of a frame whose head has.
    pub fn payload_to_come(&self) -> u64 {
        match (self.reading, self.rare_if_any()) {
            (Reading::Payload, Some(rare)) => rare.rest.len,
            _ => 0,
        }
    }

    /// The transport has ended. Changes nothing if the connection had closed or failed before.
    pub fn lost(&mut self) {
        if self.reading.goes_on() {
            self.stop_reading(Reading::Lost);
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
            Reading::Closed => {
                outcome.clean = self.close_sent();
                outcome.code = self.code;
                outcome.by_peer = self.closing != Closing::Done;
                outcome.reason = self.rare_if_any().map_or("", |rare| &rare.reason);
            }
            Reading::Failed(violation) => {
                outcome.code = violation.code();
                outcome.by_peer = false;
                outcome.reason = violation.why();
                outcome.violation = Some(violation);
            }
            Reading::Lost => outcome.reason = LOST,
            Reading::Between | Reading::Head | Reading::Payload => {}
        }
        outcome
    }

    /// Why the connection failed, if it did.
    pub fn violation(&self) -> Option<Violation> {
        match self.reading {
            Reading::Failed(violation) => Some(violation),
            _ => None,
        }
    }

    /// Nothing more is read, delivered or answered: frees what was kept for that.
    fn stop_reading(&mut self, reading: Reading) {
        self.reading = reading;
        self.receiving = None;
        self.packed = false;
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
    fn rare(&mut self, pool: &mut Pool) -> Result<&mut Rare, OutOfMemory> {
        if self.rare.is_none() {
            self.rare = Some(pool.take()?);
        }
        self.rare_if_any_mut().ok_or(OutOfMemory)
    }

    /// Gives the rare things back when the connection is in the middle of nothing.
    #[inline]
    fn tidy(&mut self, pool: &mut Pool) {
        if self.rare.is_some() {
            self.give_back(pool);
        }
    }

    #[inline(never)]
    fn give_back(&mut self, pool: &mut Pool) {
        // What still comes after our Close is not kept.
        let idle = (self.receiving.is_none() || self.closing != Closing::Open)
            && self.sending.is_none()
            && !matches!(self.reading, Reading::Head | Reading::Payload)
            && self.rare_if_any().is_some_and(Rare::is_idle);
        if idle {
            if let Some(rare) = self.rare.take() {
                pool.give(rare);
            }
        }
    }
}

/// Where in the stream of frames the next byte stands, or why no more are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Before a frame.
    Between,
    /// In a head; what has come of it is in `Rare::head`.
    Head,
    /// In a payload; see `Rare::rest`.
    Payload,
    /// The peer's Close came.
    Closed,
    Failed(Violation),
    Lost,
}

impl Reading {
    fn goes_on(self) -> bool {
        matches!(self, Reading::Between | Reading::Head | Reading::Payload)
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

/// What only a connection in the middle of something needs. In a box that can be made fallibly: a
/// vector can, a box cannot (yet), and one becomes the other.
type RareBox = Box<[Rare; 1]>;

#[derive(Debug)]
struct Rare {
    /// With `Reading::Head`.
    head: PartialHead,
    /// With `Reading::Payload`.
    rest: Rest,
    /// Bytes of the unfinished incoming message so far.
    offset: u64,
    /// Of the unfinished incoming message, if text; as new between messages.
    utf8_in: Utf8,
    /// Of the unfinished outgoing message, if text.
    utf8_out: Utf8,
    /// The unfinished incoming message so far.
    message: Vec<u8>,
    /// The incoming control frame's payload so far.
    control: Vec<u8>,
    /// A Pong held back until the outbox has drained.
    pong: Option<Vec<u8>>,
    /// Of the peer's Close.
    reason: String,
    /// Of the compressed message that is under way, or where its context is kept for the next.
    inflater: Option<Inflater>,
    compressor: Option<Compressor>,
    /// Bytes of the unfinished incoming message before inflating.
    packed_in: u64,
    /// The inflater has more to put out of what it has taken in.
    unfinished: bool,
    /// `sending` is compressed.
    packing: bool,
}

impl Rare {
    fn new() -> Rare {
        Rare {
            head: PartialHead::default(),
            rest: Rest {
                len: 0,
                mask: None,
                opcode: Opcode::Continuation,
                fin: false,
            },
            offset: 0,
            utf8_in: Utf8::new(),
            utf8_out: Utf8::new(),
            message: Vec::new(),
            control: Vec::new(),
            pong: None,
            reason: String::new(),
            inflater: None,
            compressor: None,
            packed_in: 0,
            unfinished: false,
            packing: false,
        }
    }

    /// Nothing of it waits for more.
    fn is_idle(&self) -> bool {
        self.message.is_empty()
            && self.control.is_empty()
            && self.pong.is_none()
            && self.reason.is_empty()
            && self.inflater.is_none()
            && self.compressor.is_none()
    }
}

/// The bytes of a head that is not whole: 13 at most.
#[derive(Debug, Default)]
struct PartialHead {
    bytes: [u8; 13],
    len: u8,
}

impl PartialHead {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Keeps `bytes`, which are at most 13.
    fn set(&mut self, bytes: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.len = bytes.len().min(self.bytes.len()) as u8;
    }
}

#[cfg(test)]
mod tests;
