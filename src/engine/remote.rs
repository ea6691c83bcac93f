//! What threads other than the loop's own may touch: the inbox of commands, and a mirror of each
//! connection that says whether it can take them. One lock guards both; the loop's own sends do
//! not come here.

use super::stats::Counters;
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::stream::Stream;
use crate::net::sys::poll::{Epoll, Event};
use crate::net::sys::socket::Addr;
use crate::net::sys::thread::Mutex;
use crate::net::sys::Errno;
use crate::net::table;
use crate::proto::deflate::Agreed;
use crate::proto::frame::Kind;
use crate::proto::outbox::Shared;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub struct Remote {
    counters: Counters,
    epoll: Epoll,
    wake: Event,
    stop: AtomicBool,
    /// Something lies in the inbox.
    waiting: AtomicBool,
    /// Connections in the loop, for choosing the least loaded one.
    load: AtomicU32,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    mirrors: Vec<Mirror>,
    /// The user pointers of connections, by slot, as far as some were set: many programs set none.
    users: Vec<usize>,
    /// Bytes of broadcasts among the commands.
    broadcast: usize,
}

/// What another thread asks of the loop.
pub enum Command {
    Send {
        id: ConnId,
        kind: Kind,
        data: Box<[u8]>,
        /// It is not compressed.
        plain: bool,
    },
    /// A piece of a message.
    SendPart {
        id: ConnId,
        kind: Kind,
        data: Box<[u8]>,
        last: bool,
        plain: bool,
    },
    Ping {
        id: ConnId,
        data: Box<[u8]>,
    },
    /// Bytes that are whole frames already.
    Framed {
        id: ConnId,
        data: Box<[u8]>,
    },
    Abort {
        id: ConnId,
    },
    Close {
        id: ConnId,
        code: u16,
        reason: Box<str>,
    },
    Pause {
        id: ConnId,
        paused: bool,
    },
    Subscribe {
        id: ConnId,
        topic: Box<str>,
        on: bool,
    },
    /// A send was refused for want of room: on_writable is owed.
    WantRoom {
        id: ConnId,
    },
    Broadcast {
        topic: Option<Box<str>>,
        frame: Broadcast,
    },
    /// A connection that another loop has accepted.
    Adopt {
        stream: Stream,
        peer: Box<Addr>,
    },
}

/// A frame of more bytes makes a large broadcast: what it took is given back when there are no more of them.
pub const LARGE_BROADCAST: usize = 4096;

/// The driver's timer that goes off a while after the last large broadcast.
pub const NO_MORE_BROADCASTS: u32 = 3;

/// A frame for many connections.
#[derive(Clone)]
pub struct Broadcast {
    /// As it is.
    pub frame: Shared,
    /// For those that compress.
    pub packing: Packing,
}

/// What of a broadcast goes to connections that compress.
#[derive(Clone)]
pub enum Packing {
    /// The frame as it is.
    Plain,
    /// Each compresses it for itself.
    Each,
    /// It has been compressed for those that take no context over; the others do it for themselves.
    Once(Arc<ByWindow>),
}

/// A frame compressed for each window, from 8 bits to 15; None where nobody has it.
pub type ByWindow = [Option<Shared>; 8];

/// The part of a connection that other threads may know, kept by slot.
#[derive(Clone, Copy)]
struct Mirror {
    /// Of the id; 0 when nobody is in the slot.
    generation: u32,
    /// Bytes in commands that the loop has not taken yet. The limit fits into 32 bits.
    pending: u32,
    /// Bytes in the outbox when the loop last told.
    queued: u32,
    takes: Takes,
    /// A WantRoom is among the commands.
    wants_room: bool,
    deflate: Option<Agreed>,
}

/// What can be sent on a connection, once the loop has taken the commands that wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Messages,
    /// Nothing but the pieces of a message that has been begun.
    Pieces(Kind),
}

const VACANT: Mirror = Mirror {
    generation: 0,
    pending: 0,
    queued: 0,
    takes: Takes::Nothing,
    wants_room: false,
    deflate: None,
};

impl Mirror {
    /// What can be sent after the command, if it can be taken.
    fn after(&self, command: &Command) -> Result<Takes, Status> {
        let (whole, piece) = match command {
            Command::Send { .. } | Command::Framed { .. } => (true, None),
            Command::SendPart { kind, last, .. } => (false, Some((*kind, *last))),
            _ => (false, None),
        };
        match (self.takes, piece) {
            (Takes::Nothing, _) => Err(Status::Closed),
            _ if matches!(command, Command::Close { .. }) => Ok(Takes::Nothing),
            // RFC 6455 section 5.4: "The fragments of one message MUST NOT be interleaved between
            // the fragments of another message".
            (Takes::Pieces(_), _) if whole => Err(Status::InvalidArg),
            (Takes::Pieces(begun), Some((kind, _))) if kind != begun => Err(Status::InvalidArg),
            (_, Some((_, true))) => Ok(Takes::Messages),
            (_, Some((kind, false))) => Ok(Takes::Pieces(kind)),
            (as_before, None) => Ok(as_before),
        }
    }

    fn buffered(&self) -> usize {
        self.pending.saturating_add(self.queued) as usize
    }
}

fn in_32_bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Remote {
    pub fn new() -> Result<Remote, Errno> {
        Ok(Remote {
            counters: Counters::default(),
            epoll: Epoll::new()?,
            wake: Event::new()?,
            stop: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            load: AtomicU32::new(0),
            inbox: Mutex::new(Inbox::default()),
        })
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// The eventfd that is readable after `wake`.
    pub fn event(&self) -> &Event {
        &self.wake
    }

    /// Makes the loop turn. Async-signal-safe.
    pub fn wake(&self) {
        self.wake.signal();
    }

    /// Async-signal-safe.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub fn load(&self) -> u32 {
        self.load.load(Ordering::Relaxed)
    }

    pub fn set_load(&self, connections: u32) {
        self.load.store(connections, Ordering::Relaxed);
    }

    /// There are commands to take.
    pub fn has_commands(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes all commands, leaving `empty` (an empty vector with capacity) in their place.
    pub fn take(&self, empty: Vec<Command>) -> Vec<Command> {
        let mut inbox = self.inbox.lock();
        self.waiting.store(false, Ordering::Release);
        inbox.broadcast = 0;
        core::mem::replace(&mut inbox.commands, empty)
    }

    /// Queues a command that needs no room.
    pub fn push(&self, command: Command) -> Result<(), Status> {
        let mut inbox = self.inbox.lock();
        self.post(&mut inbox, command)
    }

    /// Queues a command for a connection if it is open; `bytes` count against `limit`.
    pub fn push_to(
        &self,
        id: ConnId,
        bytes: usize,
        limit: usize,
        command: Command,
    ) -> Result<(), Status> {
        let mut inbox = self.inbox.lock();
        let mirror = inbox.mirror(id).ok_or(Status::Closed)?;
        let takes = mirror.after(&command)?;
        let full = bytes > 0 && mirror.buffered().saturating_add(bytes) > limit;
        if full {
            // Once: who tries again and again while the loop is busy must not fill the inbox.
            if !mirror.wants_room {
                self.post(&mut inbox, Command::WantRoom { id })?;
                if let Some(mirror) = inbox.mirror(id) {
                    mirror.wants_room = true;
                }
            }
            return Err(Status::Again);
        }
        self.post(&mut inbox, command)?;
        if let Some(mirror) = inbox.mirror(id) {
            mirror.pending = mirror.pending.saturating_add(in_32_bits(bytes));
            mirror.takes = takes;
        }
        Ok(())
    }

    /// The loop has taken a WantRoom.
    pub fn room_is_wanted(&self, id: ConnId) {
        if let Some(mirror) = self.inbox.lock().mirror(id) {
            mirror.wants_room = false;
        }
    }

    /// The loop's thread begins a message in pieces: from now on others cannot send. False: there
    /// are commands to be taken before.
    pub fn begin_pieces(&self, id: ConnId, kind: Kind) -> bool {
        let mut inbox = self.inbox.lock();
        let idle = inbox.commands.is_empty();
        if let Some(mirror) = inbox.mirror(id).filter(|_| idle) {
            if mirror.takes == Takes::Messages {
                mirror.takes = Takes::Pieces(kind);
            }
        }
        idle
    }

    /// The message in pieces is over, or was not begun.
    pub fn end_pieces(&self, id: ConnId) {
        if let Some(mirror) = self.inbox.lock().mirror(id) {
            if mirror.takes != Takes::Nothing {
                mirror.takes = Takes::Messages;
            }
        }
    }

    /// The broadcasts that wait, and one more of `bytes`, stay within `limit`.
    pub fn can_broadcast(&self, bytes: usize, limit: usize) -> bool {
        let waiting = self.inbox.lock().broadcast;
        waiting == 0 || waiting + bytes <= limit
    }

    /// Queues a broadcast.
    pub fn push_broadcast(&self, topic: Option<Box<str>>, frame: Broadcast) -> Result<(), Status> {
        let mut inbox = self.inbox.lock();
        let bytes = frame.frame.len();
        self.post(&mut inbox, Command::Broadcast { topic, frame })?;
        inbox.broadcast += bytes;
        Ok(())
    }

    fn post(&self, inbox: &mut Inbox, command: Command) -> Result<(), Status> {
        inbox
            .commands
            .try_reserve(1)
            .map_err(|_| Status::NoMemory)?;
        inbox.commands.push(command);
        // Only the first command has to wake the loop: it takes all.
        if !self.waiting.swap(true, Ordering::AcqRel) {
            self.wake();
        }
        Ok(())
    }

    /// Makes a connection known to other threads.
    pub fn opened(&self, id: ConnId, deflate: Option<Agreed>) -> Result<(), Status> {
        let mut inbox = self.inbox.lock();
        let slot = id.slot() as usize;
        let more = (slot + 1).saturating_sub(inbox.mirrors.len());
        table::reserve(&mut inbox.mirrors, more, usize::MAX)?;
        let len = inbox.mirrors.len() + more;
        inbox.mirrors.resize(len, VACANT);
        inbox.forget_user(id);
        if let Some(mirror) = inbox.mirrors.get_mut(slot) {
            *mirror = Mirror {
                generation: id.generation(),
                takes: Takes::Messages,
                deflate,
                ..VACANT
            };
        }
        Ok(())
    }

    /// Nothing more can be sent on a connection.
    pub fn closing(&self, id: ConnId) {
        if let Some(mirror) = self.inbox.lock().mirror(id) {
            mirror.takes = Takes::Nothing;
        }
    }

    /// The id is stale from now on.
    pub fn closed(&self, id: ConnId) {
        let mut inbox = self.inbox.lock();
        if let Some(mirror) = inbox.mirror(id) {
            *mirror = VACANT;
        }
    }

    /// The loop has taken `taken` bytes of commands, and its outbox now holds `queued`.
    pub fn settle(&self, id: ConnId, taken: usize, queued: usize) {
        if let Some(mirror) = self.inbox.lock().mirror(id) {
            mirror.pending = mirror.pending.saturating_sub(in_32_bits(taken));
            mirror.queued = in_32_bits(queued);
        }
    }

    /// Bytes that wait to be sent, as known here; None for a stale id.
    pub fn buffered(&self, id: ConnId) -> Option<usize> {
        self.inbox.lock().mirror(id).map(|m| m.buffered())
    }

    pub fn user(&self, id: ConnId) -> Option<usize> {
        let mut inbox = self.inbox.lock();
        inbox.mirror(id)?;
        Some(inbox.users.get(id.slot() as usize).map_or(0, |user| *user))
    }

    /// How messages are compressed, if they are. None for a stale id.
    pub fn deflate(&self, id: ConnId) -> Option<Option<Agreed>> {
        self.inbox.lock().mirror(id).map(|m| m.deflate)
    }

    pub fn set_user(&self, id: ConnId, user: usize) -> Result<(), Status> {
        let mut inbox = self.inbox.lock();
        inbox.mirror(id).ok_or(Status::Closed)?;
        let slot = id.slot() as usize;
        if slot >= inbox.users.len() && user != 0 {
            let more = slot + 1 - inbox.users.len();
            table::reserve(&mut inbox.users, more, usize::MAX)?;
            inbox.users.resize(slot + 1, 0);
        }
        if let Some(place) = inbox.users.get_mut(slot) {
            *place = user;
        }
        Ok(())
    }
}

impl Inbox {
    fn mirror(&mut self, id: ConnId) -> Option<&mut Mirror> {
        self.mirrors
            .get_mut(id.slot() as usize)
            .filter(|m| m.generation == id.generation())
    }

    /// A connection begins without a user pointer.
    fn forget_user(&mut self, id: ConnId) {
        if let Some(user) = self.users.get_mut(id.slot() as usize) {
            *user = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every connection has one, busy or idle.
    #[test]
    fn a_mirror_is_small() {
        assert!(size_of::<Mirror>() <= 16, "{}", size_of::<Mirror>());
    }

    #[test]
    fn a_user_pointer_ends_with_its_connection() {
        let remote = Remote::new().expect("descriptors");
        let [first, second] = [ConnId(1 << 32 | 5), ConnId(2 << 32 | 5)];
        assert_eq!(remote.set_user(first, 7), Err(Status::Closed));
        for id in [first, second] {
            remote.opened(id, None).expect("memory");
            assert_eq!(remote.user(id), Some(0));
            assert_eq!(remote.set_user(id, 7), Ok(()));
            assert_eq!(remote.user(id), Some(7));
            remote.closed(id);
            assert_eq!(remote.user(id), None);
        }
    }
}
