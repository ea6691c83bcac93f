//! What only the loop's own thread touches: its connections and their queues. Nothing here calls
//! the application; what it has to be told is left in lists that the turn works off.

mod arrive;
mod commands;
mod depart;
mod end;

use super::conn::{Conn, Ending, Extra};
use super::remote::{Command, Remote};
use super::topics::Topics;
use super::Settings;
use crate::net::conns::{ConnId, Conns};
use crate::net::random::Random;
use crate::net::sys::memory::{try_box, try_zeroed};
use crate::net::sys::poll::Interest;
use crate::net::sys::socket::Addr;
use crate::net::timers::Timers;
use crate::proto::connection::Event;
use crate::proto::http::HttpError;
use crate::proto::outbox::Outbox;
use crate::proto::OutOfMemory;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;

pub struct Local {
    settings: Settings,
    remote: Arc<Remote>,
    conns: Conns<Conn>,
    timers: Timers,
    pub random: Random,
    /// Shared by all connections; out of here while a turn is under way.
    receive: Option<Box<[u8]>>,
    /// Empty outboxes that kept their memory, so that sending does not allocate.
    // The boxes move between here and the connections: 8 bytes instead of the outbox itself.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Outbox>>,
    /// Monotonic ms, read once a turn.
    pub now: u64,
    topics: Topics,
    commands: Vec<Command>,
    lists: Lists,
}

/// Connections that the turn has to look at. An entry may be stale: flags decide.
#[derive(Default)]
struct Lists {
    /// Something is queued.
    dirty: Vec<ConnId>,
    /// There may be more to read.
    ready: Vec<ConnId>,
    /// The fate is decided, the application does not know yet.
    ended: Vec<ConnId>,
    /// on_writable is due.
    writable: Vec<ConnId>,
}

/// What the bytes of a connection came to.
pub enum Step {
    /// Used up, held back, or of no more interest.
    Idle,
    Head {
        peer: Addr,
        head: Vec<u8>,
    },
    BadHead {
        peer: Addr,
        error: HttpError,
    },
    Event(Event),
}

/// Timer keys below this belong to the driver, the others to slots.
pub const DRIVER_TIMERS: u32 = 4;
/// Outboxes kept for reuse, and how many bytes each may keep.
const SPARES: usize = 16;
const SPARE_BYTES: usize = 64 * 1024;

impl Local {
    pub fn new(settings: Settings, remote: Arc<Remote>, index: u8) -> Local {
        Local {
            settings,
            remote,
            conns: Conns::new(index, settings.slots),
            timers: Timers::new(),
            random: Random::new(),
            receive: None,
            spare: Vec::new(),
            now: crate::net::sys::monotonic_ms(),
            topics: Topics::default(),
            commands: Vec::new(),
            lists: Lists::default(),
        }
    }

    /// The receive buffer, one byte longer than what is received at once: room for a NUL.
    pub fn take_buffer(&mut self) -> Option<Box<[u8]>> {
        self.receive
            .take()
            .or_else(|| try_zeroed(self.settings.receive_buffer + 1))
    }

    pub fn put_buffer(&mut self, buffer: Box<[u8]>) {
        self.receive = Some(buffer);
    }

    /// How long the turn may sleep, in ms: until `timeout`, a deadline, or not at all.
    pub fn wait(&self, timeout: i32) -> i32 {
        let lists = &self.lists;
        if !lists.dirty.is_empty()
            || !lists.ready.is_empty()
            || !lists.ended.is_empty()
            || !lists.writable.is_empty()
            || self.remote.has_commands()
        {
            return 0;
        }
        let Some(at) = self.timers.next() else {
            return timeout;
        };
        let until = i32::try_from(at.saturating_sub(self.now)).unwrap_or(i32::MAX);
        if timeout < 0 {
            until
        } else {
            until.min(timeout)
        }
    }

    /// When the next turn is due if nothing happens before: for a foreign event loop.
    pub fn due(&self) -> Option<u64> {
        if self.wait(-1) == 0 {
            return Some(0);
        }
        self.timers.next()
    }

    /// The connections that may have more to read, each to be looked at once.
    pub fn take_ready(&mut self) -> Vec<ConnId> {
        core::mem::take(&mut self.lists.ready)
    }

    pub fn take_writable(&mut self) -> Vec<ConnId> {
        core::mem::take(&mut self.lists.writable)
    }

    pub fn next_ended(&mut self) -> Option<ConnId> {
        self.lists.ended.pop()
    }

    pub fn next_dirty(&mut self) -> Option<ConnId> {
        self.lists.dirty.pop()
    }

    /// A driver timer (`Err`) or a slot whose deadline has come.
    pub fn next_expired(&mut self) -> Option<Result<ConnId, u32>> {
        loop {
            let key = self.timers.expired(self.now)?;
            if key < DRIVER_TIMERS {
                return Some(Err(key));
            }
            if let Some(id) = self.conns.id_at(key - DRIVER_TIMERS) {
                return Some(Ok(id));
            }
        }
    }

    /// Sets or removes a timer of the driver.
    pub fn set_timer(&mut self, key: u32, at: Option<u64>) -> Result<(), OutOfMemory> {
        self.timers.reserve(DRIVER_TIMERS as usize)?;
        self.timers.set(key, at);
        Ok(())
    }

    pub fn nth(&self, slot: u32) -> Option<Option<ConnId>> {
        (slot < self.conns.slots()).then(|| self.conns.id_at(slot))
    }

    pub fn buffered(&self, id: ConnId) -> Option<usize> {
        self.conns
            .get(id)
            .filter(|c| c.flags.opened)
            .map(Conn::queued)
    }

    /// The connection's descriptor.
    pub fn fd(&self, id: ConnId) -> Option<c_int> {
        self.conns.get(id).map(|c| c.stream.fd())
    }

    /// To be flushed before the turn ends.
    fn touch(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id).filter(|c| !c.flags.dirty) {
            conn.flags.dirty = note(&mut self.lists.dirty, id);
        }
    }

    /// To be read again in a later turn, behind the others.
    fn look_again(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id).filter(|c| !c.flags.ready) {
            conn.flags.ready = note(&mut self.lists.ready, id);
        }
    }

    /// Arms write readiness, only while something waits for it.
    fn watch(&mut self, id: ConnId, wanted: bool) {
        let Some(conn) = self
            .conns
            .get_mut(id)
            .filter(|c| c.flags.watching != wanted)
        else {
            return;
        };
        conn.flags.watching = wanted;
        let interest = if wanted {
            Interest::EdgeBoth
        } else {
            Interest::Edge
        };
        if let Err(errno) = self.remote.epoll().modify(conn.stream.fd(), id.0, interest) {
            self.end(id, Ending::Io(errno));
        }
    }
}

#[allow(clippy::vec_box)]
fn spare(pool: &mut Vec<Box<Outbox>>) -> Option<Box<Outbox>> {
    pool.pop().or_else(|| try_box(Outbox::new()).ok())
}

fn extra(conn: &mut Conn) -> Result<&mut Extra, OutOfMemory> {
    if conn.extra.is_none() {
        conn.extra = Some(try_box(Extra::default()).map_err(|_| OutOfMemory)?);
    }
    conn.extra.as_deref_mut().ok_or(OutOfMemory)
}

fn note(list: &mut Vec<ConnId>, id: ConnId) -> bool {
    let room = list.try_reserve(1).is_ok();
    if room {
        list.push(id);
    }
    room
}
