//! One connection as the event loop keeps it: stream, phase, and what is queued.

use crate::error::Status;
use crate::net::stream::Stream;
use crate::net::sys::socket::Addr;
use crate::net::sys::Errno;
use crate::proto::close::Violation;
use crate::proto::connection::Connection;
use crate::proto::http::HeadBuffer;
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
}

pub struct Conn {
    pub stream: Stream,
    pub phase: Phase,
    /// There only while something is queued.
    pub outbox: Option<Box<Outbox>>,
    pub extra: Option<Box<Extra>>,
    /// Bytes in the outbox that other threads know of.
    pub published: usize,
    /// Set once, when the connection's fate is decided.
    pub ending: Option<Ending>,
    pub flags: Flags,
}

#[derive(Default)]
pub struct Flags {
    /// In the list of those to flush.
    pub dirty: bool,
    /// Write readiness is armed.
    pub watching: bool,
    /// In the queue of those that may have more to read.
    pub ready: bool,
    /// The socket may hold more than was read.
    pub more: bool,
    /// A send was refused: on_writable is owed when there is room.
    pub wants_room: bool,
    /// The application reads no more for now.
    pub paused: bool,
    /// An HTTP response has to go out before the next request is looked at.
    pub draining: bool,
    /// on_open was called, so that on_close is owed.
    pub opened: bool,
    /// The last message or response is queued: end the stream when it has gone.
    pub last_words: bool,
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
            Violation::NO_MEMORY => Ending::NoMemory,
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
        Conn {
            stream,
            phase: Phase::Upgrading(Some(upgrading)),
            outbox: None,
            extra: None,
            published: 0,
            ending: None,
            flags: Flags::default(),
        }
    }

    pub fn queued(&self) -> usize {
        self.outbox.as_ref().map_or(0, |o| o.len())
    }

    /// Input is left alone for now.
    pub fn held(&self) -> bool {
        self.flags.paused || self.flags.draining
    }

    /// The WebSocket, if it is open and its fate undecided.
    pub fn websocket(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(connection) if self.ending.is_none() => Some(connection),
            _ => None,
        }
    }
}
