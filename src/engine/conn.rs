//! One connection as the event loop keeps it: stream, phase, and what is queued.

use crate::error::Status;
use crate::net::conns::Slotted;
use crate::net::stream::Stream;
use crate::net::sys::socket::Addr;
use crate::net::sys::Errno;
use crate::proto::close::Violation;
use crate::proto::connection::Connection;
use crate::proto::http::{HeadBuffer, HttpError};
use crate::proto::outbox::Outbox;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// ```text
///  accepted / connecting --> Upgrading --> Open --> (told on_close) --> Lingering --> gone
///                               |            \_______________________________________/
///                               \--- refused: Lingering until the answer has gone ---/
/// ```
pub enum Phase {
    /// Before it is a WebSocket. None while its head is in the driver's hands.
    Upgrading(Option<Box<Upgrading>>),
    Open(Connection),
    /// Nothing more is sent; what comes is thrown away, so that the peer reads our last bytes
    /// instead of a reset (RFC 9112 section 9.6). Ends with the stream or at `until`.
    Lingering {
        until: u64,
    },
}

pub struct Upgrading {
    pub head: HeadBuffer,
    pub peer: Addr,
    /// When to give up.
    pub until: u64,
    /// A client whose TCP connection is not established yet.
    pub connecting: bool,
    /// Why what has come is no head.
    pub bad: Option<HttpError>,
    /// What comes is no HTTP head, and is handed to the driver as it is.
    pub raw: bool,
    /// An earlier request on the connection was answered.
    pub answered: bool,
    /// Bytes of that answer that were left when its progress was looked at last.
    pub left: usize,
}

pub struct Conn {
    pub stream: Stream,
    pub phase: Phase,
    /// There only while something is queued.
    pub outbox: Option<Box<Outbox>>,
    pub extra: Option<Box<Extra>>,
    pub flags: Flags,
    /// Of its id.
    generation: u32,
}

impl Slotted for Conn {
    #[inline(always)]
    fn generation(&self) -> u32 {
        self.generation
    }

    fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }
}

/// Yes or no, sixteen times.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// In the list of those to flush, or flushed soon anyway.
    pub const DIRTY: Flags = Flags(1);
    /// Write readiness is armed.
    pub const WATCHING: Flags = Flags(1 << 1);
    /// In the queue of those that may have more to read.
    pub const READY: Flags = Flags(1 << 2);
    /// The socket may hold more than was read.
    pub const MORE: Flags = Flags(1 << 3);
    /// epoll has told that the peer ended its direction, which it does once: read to the end.
    pub const HUNG_UP: Flags = Flags(1 << 4);
    /// A send was refused: on_writable is owed when there is room.
    pub const WANTS_ROOM: Flags = Flags(1 << 5);
    /// The application reads no more for now.
    pub const PAUSED: Flags = Flags(1 << 6);
    /// An HTTP response has to go out before the next request is looked at.
    pub const DRAINING: Flags = Flags(1 << 7);
    /// on_open was called, so that on_close is owed.
    pub const OPENED: Flags = Flags(1 << 8);
    /// The last message or response is queued: end the stream when it has gone.
    pub const LAST_WORDS: Flags = Flags(1 << 9);
    /// The connection's fate is decided.
    pub const ENDED: Flags = Flags(1 << 10);
    /// Other threads know of bytes in the outbox.
    pub const PUBLISHED: Flags = Flags(1 << 11);
    /// TLS: what the outbox has given away may not have left yet.
    pub const TLS: Flags = Flags(1 << 12);
    /// TLS is not agreed on yet.
    pub const SHAKING: Flags = Flags(1 << 13);
    /// Payloads leave otherwise than they come from the application: masked, or compressed.
    pub const CODED: Flags = Flags(1 << 14);
    /// Bytes that came were set aside, since reading was paused.
    pub const STASHED: Flags = Flags(1 << 15);
    /// A message takes no short way out.
    pub const LONG_WAY: Flags = Flags(Flags::ENDED.0 | Flags::CODED.0);
    /// Something follows when the outbox has been written, or else the bytes in it are told.
    pub const AFTER_FLUSH: Flags = Flags(
        Flags::WATCHING.0
            | Flags::WANTS_ROOM.0
            | Flags::DRAINING.0
            | Flags::LAST_WORDS.0
            | Flags::PUBLISHED.0
            | Flags::TLS.0,
    );
    /// Input is left alone for now.
    pub const HELD: Flags = Flags(Flags::PAUSED.0 | Flags::DRAINING.0);
    /// It is held, or over, or there are earlier bytes, or it is shaking hands, of which there may
    /// be enough in this turn.
    pub const UNREADABLE: Flags =
        Flags(Flags::HELD.0 | Flags::ENDED.0 | Flags::STASHED.0 | Flags::SHAKING.0);
    /// A read that did not fill the buffer says nothing about whether there is more.
    pub const NEVER_EMPTY: Flags = Flags(Flags::HUNG_UP.0 | Flags::TLS.0);
    /// A read is not just a read.
    pub const LOOK_TWICE: Flags = Flags(Flags::UNREADABLE.0 | Flags::NEVER_EMPTY.0);

    /// Any of them.
    #[inline]
    pub fn has(self, any: Flags) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub fn set(&mut self, flags: Flags, on: bool) {
        if on {
            self.0 |= flags.0;
        } else {
            self.0 &= !flags.0;
        }
    }
}

/// What few connections need.
#[derive(Default)]
pub struct Extra {
    /// Bytes that came but were not looked at, since reading was paused.
    pub stash: Vec<u8>,
    pub topics: Vec<Box<str>>,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both Close frames were exchanged, or an HTTP response was the last.
    Clean,
    /// The peer's end of stream came out of turn.
    Lost,
    Io(Errno),
    /// TLS has failed; the stream knows why.
    Tls,
    HandshakeTimeout,
    PongTimeout,
    CloseTimeout,
    Violation(Violation),
    NoMemory,
    /// The caller frees the handle, or gives up connecting.
    Abandoned,
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Ending {
        match violation {
            Violation::NoMemory => Ending::NoMemory,
            other => Ending::Violation(other),
        }
    }
}

impl Ending {
    pub fn status(self) -> Status {
        match self {
            Ending::Clean | Ending::Abandoned => Status::Ok,
            Ending::Lost => Status::Closed,
            Ending::Io(_) => Status::Io,
            Ending::Tls => Status::Tls,
            Ending::HandshakeTimeout | Ending::PongTimeout | Ending::CloseTimeout => {
                Status::Timeout
            }
            Ending::Violation(_) => Status::Protocol,
            Ending::NoMemory => Status::NoMemory,
        }
    }

    pub fn is_timeout(self) -> bool {
        self.status() == Status::Timeout
    }
}

impl Conn {
    pub fn new(stream: Stream, upgrading: Box<Upgrading>) -> Conn {
        let mut flags = Flags::default();
        flags.set(Flags::TLS, !stream.is_plain());
        flags.set(Flags::SHAKING, stream.is_handshaking());
        Conn {
            stream,
            phase: Phase::Upgrading(Some(upgrading)),
            outbox: None,
            extra: None,
            flags,
            generation: 0,
        }
    }

    pub fn queued(&self) -> usize {
        self.outbox.as_ref().map_or(0, |o| o.len())
    }

    /// Bytes that the kernel has not taken: queued here, or held by TLS.
    pub fn unsent(&self) -> usize {
        self.queued() + self.stream.unsent()
    }

    /// Input is left alone for now.
    pub fn held(&self) -> bool {
        self.flags.has(Flags::HELD)
    }

    pub fn has_ended(&self) -> bool {
        self.flags.has(Flags::ENDED)
    }

    /// The WebSocket, if it is open and its fate undecided.
    #[inline]
    pub fn websocket(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(connection) if !self.flags.has(Flags::ENDED) => Some(connection),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::conns::slot_size;

    /// An idle connection owns its slot and nothing else.
    #[test]
    fn a_connection_is_small() {
        let sizes = [size_of::<Phase>(), size_of::<Conn>(), slot_size::<Conn>()];
        // A cache line.
        let most = if cfg!(target_pointer_width = "64") {
            [32, 64, 64]
        } else {
            [32, 48, 48]
        };
        assert!(
            sizes.iter().zip(most).all(|(size, most)| *size <= most),
            "{sizes:?}"
        );
    }
}
