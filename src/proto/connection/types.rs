//! What goes into a connection and what comes out of it. Values only; the work is done beside.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Kind, Outbox, Pool, Violation};
use crate::proto::deflate;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

impl Role {
    /// What the second byte of every frame of the peer has: clients mask, servers do not (RFC 6455 section 5.1).
    #[inline]
    pub fn mask_bit_of_peer(self) -> u8 {
        match self {
            Role::Server => 0x80,
            Role::Client => 0,
        }
    }
}

/// Bounds that many connections share. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of an incoming message, its fragments together. `u64::MAX`: no limit.
    pub max_message: u64,
    /// Messages are told in pieces as they come, not gathered.
    pub pieces: bool,
    /// Silence of the peer after which it is pinged. None: never.
    pub ping_interval: Option<u32>,
    /// Silence after such a Ping before the peer counts as gone, or FOREVER.
    pub pong_timeout: u32,
    /// From our Close to giving up on the peer's.
    pub close_timeout: u32,
    /// How messages are compressed where the peer agrees to it. None: not at all.
    pub deflate: Option<deflate::Settings>,
}

impl Limits {
    /// As a `pong_timeout`: the peer never counts as gone.
    pub const FOREVER: u32 = u32::MAX;
}

/// Where masking keys come from.
pub trait Masks {
    /// A fresh, unpredictable key (RFC 6455 section 5.3). None: the kernel has no randomness.
    fn mask(&mut self) -> Option<[u8; 4]>;
}

/// What a connection works with during a call.
pub struct Io<'a> {
    pub limits: &'a Limits,
    pub out: &'a mut Outbox,
    pub masks: &'a mut dyn Masks,
    pub pool: &'a mut Pool,
    /// Monotonic milliseconds.
    pub now: u64,
}

/// What came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Message {
        kind: Kind,
        payload: Payload,
    },
    /// In pieces mode: a stretch of a message. Empty only as the last one.
    Piece {
        kind: Kind,
        payload: Payload,
        /// Bytes of the message before it.
        offset: u64,
        last: bool,
    },
    /// Answered already.
    Ping(Payload),
    Pong(Payload),
    /// The peer's Close came; it is answered already if ours had not been sent. See the outcome.
    Closed,
    /// The peer broke the protocol, or memory ran out. A Close has been queued if possible.
    Failed(Violation),
}

/// The bytes of a message, of a piece of one, or of a control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// They lie here in the input, unmasked.
    Input(Range<usize>),
    /// They came in parts, or compressed. The last byte is a NUL that does not count.
    Gathered(Vec<u8>),
}

impl Payload {
    /// The bytes; `input` is what was given to `receive`.
    pub fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Payload::Input(range) => input.get(range.clone()).unwrap_or_default(),
            Payload::Gathered(bytes) => bytes.split_last().map_or(&[], |(_nul, bytes)| bytes),
        }
    }
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The connection is closing or has ended.
    Closed,
    /// A control payload over 125 bytes, a reason over 123, a message over the caller's limit.
    TooBig,
    /// The outbox has reached the caller's limit.
    Full,
    /// Text that is not UTF-8.
    Utf8,
    /// A close code that must not stand in a frame, or a reason without a code.
    Code,
    /// A message in fragments is unfinished, or the fragment is of another kind than the first.
    Fragmented,
    NoMemory,
    /// There is no masking key to be had.
    NoRandomness,
}

/// What `timeout` did or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Nothing was due.
    Nothing,
    /// A Ping was queued.
    Pinged,
    /// The peer was silent although pinged: end the transport.
    PongMissing,
    /// The closing handshake or what followed it took too long: end the transport.
    CloseTimedOut,
}

impl Timeout {
    /// In words, for those that end the transport.
    pub const fn why(self) -> &'static str {
        match self {
            Timeout::PongMissing => "no answer to a ping",
            Timeout::CloseTimedOut => "no answer to our Close",
            Timeout::Nothing | Timeout::Pinged => "",
        }
    }
}

/// The words for a transport that ended out of turn.
pub const LOST: &str = "no Close frame before the end";

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Both Close frames were exchanged.
    pub clean: bool,
    /// The code of the peer's Close, 1005 if it held none, 1006 if none came. After a violation:
    /// its code.
    pub code: u16,
    /// The peer started the closing handshake or went away.
    pub by_peer: bool,
    /// Of the peer's Close, of the violation, or of the loss.
    pub reason: &'a str,
    pub violation: Option<Violation>,
}
