//! What only the loop's own thread touches: its connections and their queues. Nothing here calls
//! the application; what it has to be told is left in lists that the turn works off.

mod arrive;
mod commands;
mod depart;
mod end;

use super::conn::{Conn, Ending, Extra, Flags, Phase};
use super::remote::{Command, Remote};
use super::topics::Topics;
use super::Settings;
use crate::net::conns::{ConnId, Conns};
use crate::net::random::Random;
use crate::net::sys::memory::{try_box, try_zeroed};
use crate::net::sys::poll::{Alarm, Interest};
use crate::net::sys::socket::Addr;
use crate::net::timers::Timers;
use crate::proto::connection::{Event, Pool};
use crate::proto::frame::Kind;
use crate::proto::outbox::{Outbox, Shared};
use crate::proto::OutOfMemory;
use crate::tls::{PeerInfo, Words};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::ops::Range;

pub struct Local {
    settings: Settings,
    remote: Arc<Remote>,
    conns: Conns<Conn>,
    timers: Timers,
    /// Wakes the loop when the first of `timers` is due.
    alarm: Alarm,
    pub random: Random,
    pool: Pool,
    /// The large message that is being told.
    delivering: Option<Shared>,
    /// When the pool was used last.
    used: u64,
    /// Shared by all connections; out of here while a turn is under way.
    receive: Option<Box<[u8]>>,
    /// Empty outboxes that kept their memory, so that sending does not allocate.
    // The boxes move between here and the connections: 8 bytes instead of the outbox itself.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Outbox>>,
    /// Monotonic ms, read once a turn.
    pub now: u64,
    /// In this turn a TLS handshake has made a step, which takes milliseconds of computing. The
    /// others wait for the next turns, so that open connections have theirs in between.
    pub shaken: bool,
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
    ready: VecDeque<ConnId>,
    /// The fate is decided, the application does not know yet.
    ended: Vec<(ConnId, Ending)>,
    /// There was no memory to list all of them.
    ended_unlisted: bool,
    /// on_writable is due.
    writable: VecDeque<ConnId>,
}

/// What a plain read brought.
pub struct Came {
    /// Bytes.
    pub n: usize,
    /// The message that they begin with.
    pub message: Option<(Kind, Range<usize>)>,
}

/// What any other read came to.
pub enum Incoming {
    /// Nothing to work on.
    Nothing,
    /// That many bytes in the buffer.
    Bytes(usize),
    /// Nothing was read: `receive_message` is to read straight into the message under way.
    InMessage,
}

/// What the bytes of a connection came to.
pub enum Step {
    /// Used up, held back, or of no more interest.
    Idle,
    /// For the driver, from where the looking has come to.
    Raw,
    /// A head is whole, or cannot become one; `take_head` has it.
    Head,
    Event(Event),
}

/// Timer keys below this belong to the driver, then comes one of our own; the others to slots.
const DRIVER_TIMERS: u32 = 4;
/// When spare memory is given back.
const TRIM: u32 = DRIVER_TIMERS;
const CONN_TIMERS: u32 = TRIM + 1;
/// Outboxes kept for reuse, and how many bytes each may keep.
const SPARES: usize = 16;
const SPARE_BYTES: usize = 64 * 1024;
/// Bytes of message buffers kept for reuse. Larger ones are better had anew: fresh pages come warm
/// from the kernel, while those of 16 MiB kept cost half as much again for each message.
const POOL_BYTES: usize = 4 << 20;
/// For how long they are kept after they were last used, in ms.
const POOL_MS: u64 = 1000;

impl Local {
    pub fn new(settings: Settings, remote: Arc<Remote>, index: u8, alarm: Alarm) -> Local {
        Local {
            settings,
            remote,
            conns: Conns::new(index, settings.slots),
            timers: Timers::new(),
            alarm,
            random: Random::new(),
            pool: Pool::new(POOL_BYTES),
            delivering: None,
            used: 0,
            receive: None,
            spare: spares(),
            now: crate::net::sys::coarse_ms(),
            shaken: false,
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

    /// What time it is, by a clock that may be a tick late.
    pub fn tell_time(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.timers.tell_time(self.now);
    }

    /// Some deadline has come.
    pub fn is_due(&self) -> bool {
        self.timers.next().is_some_and(|at| at <= self.now)
    }

    /// The alarm has rung: deadlines have come.
    pub fn rung(&mut self, now: u64) {
        self.alarm.rung();
        self.tell_time(now);
    }

    /// How long the turn is to wait for events, in ms: until `timeout`, a deadline, or not at all.
    ///
    /// A loop that may sleep as long as it takes is woken by its alarm. A timeout of epoll_wait is a timer that the
    /// kernel starts and stops each time: 3 % of what a message costs that comes alone.
    pub fn sleep(&mut self, timeout: c_int) -> c_int {
        if self.has_work() {
            return 0;
        }
        let Some(at) = self.timers.next() else {
            return timeout;
        };
        if timeout < 0 && self.alarm.ring_by(at).is_ok() {
            return timeout;
        }
        let until = c_int::try_from(at.saturating_sub(self.now)).unwrap_or(c_int::MAX);
        if timeout < 0 {
            until
        } else {
            until.min(timeout)
        }
    }

    /// Something is to be done at once.
    fn has_work(&self) -> bool {
        let lists = &self.lists;
        !lists.dirty.is_empty()
            || !lists.ready.is_empty()
            || !lists.ended.is_empty()
            || lists.ended_unlisted
            || !lists.writable.is_empty()
            || self.remote.has_commands()
    }

    /// Who watches the epoll fd is woken when the next turn is due, if nothing happens before. `more`: events are left,
    /// of which who watches for edges was told before.
    pub fn wake_when_due(&mut self, more: bool) {
        let due = if more || self.has_work() {
            Some(0)
        } else {
            self.timers.next()
        };
        if due.is_some_and(|at| self.alarm.ring_by(at).is_err()) {
            // Then the next turn comes at once.
            self.remote.event().signal();
        }
    }

    /// How many connections may have more to read; each is looked at once.
    pub fn begin_ready(&mut self) -> usize {
        self.lists.ready.len()
    }

    pub fn next_ready(&mut self) -> Option<ConnId> {
        self.lists.ready.pop_front()
    }

    /// How many connections are owed on_writable.
    pub fn begin_writable(&mut self) -> usize {
        self.lists.writable.len()
    }

    pub fn next_writable(&mut self) -> Option<ConnId> {
        let id = self.lists.writable.pop_front()?;
        // It may have ended since it was listed, and been told so.
        self.conns.get(id).map(|_| id)
    }

    pub fn next_ended(&mut self) -> Option<(ConnId, Ending)> {
        let listed = self.lists.ended.pop();
        if listed.is_none() && self.lists.ended_unlisted {
            return self.next_unlisted();
        }
        listed
    }

    /// Looks everywhere for a connection that has ended without being told.
    #[cold]
    fn next_unlisted(&mut self) -> Option<(ConnId, Ending)> {
        let ids = (0..self.conns.slots()).filter_map(|slot| self.conns.id_at(slot));
        let ended = |id: &ConnId| {
            let conn = self.conns.get(*id);
            conn.is_some_and(|c| c.has_ended() && !matches!(c.phase, Phase::Lingering { .. }))
        };
        let found = { ids }.find(ended);
        self.lists.ended_unlisted = found.is_some();
        found.map(|id| (id, Ending::NoMemory))
    }

    pub fn next_dirty(&mut self) -> Option<ConnId> {
        self.lists.dirty.pop()
    }

    /// A driver timer (`Err`) or a slot whose deadline has come.
    pub fn next_expired(&mut self) -> Option<Result<ConnId, u32>> {
        loop {
            let key = self.timers.expired()?;
            match key.checked_sub(CONN_TIMERS) {
                Some(slot) => {
                    if let Some(id) = self.conns.id_at(slot) {
                        return Some(Ok(id));
                    }
                }
                None if key == TRIM => self.trim(),
                None => return Some(Err(key)),
            }
        }
    }

    /// Sets or removes a timer of the driver.
    pub fn set_timer(&mut self, key: u32, at: Option<u64>) -> Result<(), OutOfMemory> {
        self.timers.reserve(CONN_TIMERS as usize)?;
        self.timers.set(key, at);
        Ok(())
    }

    /// Messages may have been compressed or inflated: counts their bytes.
    #[inline]
    pub fn note_deflate(&mut self) {
        if self.pool.deflate.take_touched() {
            self.count_deflate();
        }
    }

    #[cold]
    fn count_deflate(&mut self) {
        let traffic = self.pool.deflate.traffic();
        let counters = self.remote.counters();
        counters.deflate_sent_before.set(traffic.sent_plain);
        counters.deflate_sent_after.set(traffic.sent_packed);
        counters
            .deflate_received_before
            .set(traffic.received_packed);
        counters.deflate_received_after.set(traffic.received_plain);
        self.trim_later();
    }

    /// Spare memory is in use: it is not given back before a while.
    fn trim_later(&mut self) {
        self.used = self.now;
        if !self.timers.is_set(TRIM) {
            self.timers.set(TRIM, Some(self.now + POOL_MS));
        }
    }

    /// Gives spare memory back, unless it was used a moment ago.
    fn trim(&mut self) {
        if self.now < self.used + POOL_MS {
            self.timers.set(TRIM, Some(self.used + POOL_MS));
        } else {
            self.pool.trim();
        }
    }

    pub fn nth(&self, slot: u32) -> Option<Option<ConnId>> {
        (slot < self.conns.slots()).then(|| self.conns.id_at(slot))
    }

    pub fn buffered(&self, id: ConnId) -> Option<usize> {
        self.conns
            .get(id)
            .filter(|c| c.flags.has(Flags::OPENED))
            .map(|c| c.unsent())
    }

    /// Why TLS has failed.
    pub fn tls_failure(&self, id: ConnId) -> Option<Words> {
        self.conns.get(id)?.stream.failure().cloned()
    }

    /// The peer has ended TCP, but not TLS.
    pub fn is_truncated(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|c| c.stream.is_truncated())
    }

    /// TLS is not agreed on yet.
    pub fn is_shaking(&self, id: ConnId) -> bool {
        self.conns
            .get(id)
            .is_some_and(|c| c.stream.is_handshaking())
    }

    /// What TLS tells of the peer; None for a plain connection.
    pub fn peer_info(&self, id: ConnId) -> Option<PeerInfo> {
        self.conns.get(id)?.stream.peer_info()
    }

    /// Where a connection comes from that is not open yet.
    pub fn unopened_peer(&self, id: ConnId) -> Option<Addr> {
        match &self.conns.get(id)?.phase {
            Phase::Upgrading(Some(upgrading)) => Some(upgrading.peer),
            _ => None,
        }
    }

    /// Bytes in the outbox.
    pub fn queued(&self, id: ConnId) -> Option<usize> {
        self.conns.get(id).map(Conn::queued)
    }

    /// How many of the last bytes that the outbox has given away are not in the kernel: they are left in between.
    pub fn held(&self, id: ConnId) -> Option<usize> {
        self.conns.get(id).map(|c| c.stream.held())
    }

    /// The connection's descriptor.
    pub fn fd(&self, id: ConnId) -> Option<c_int> {
        self.conns.get(id).map(|c| c.stream.fd())
    }

    /// To be flushed before the turn ends.
    #[inline(never)]
    fn touch(&mut self, id: ConnId) {
        if let Some(conn) = self
            .conns
            .get_mut(id)
            .filter(|c| !c.flags.has(Flags::DIRTY))
        {
            conn.flags
                .set(Flags::DIRTY, note(&mut self.lists.dirty, id));
        }
    }

    /// To be read again in a later turn, behind the others.
    pub fn look_again(&mut self, id: ConnId) {
        if let Some(conn) = self
            .conns
            .get_mut(id)
            .filter(|c| !c.flags.has(Flags::READY))
        {
            let noted = note_last(&mut self.lists.ready, id);
            conn.flags.set(Flags::READY, noted);
        }
    }

    /// Arms write readiness, only while something waits for it.
    fn watch(&mut self, id: ConnId, wanted: bool) {
        let Some(conn) = self
            .conns
            .get_mut(id)
            .filter(|c| c.flags.has(Flags::WATCHING) != wanted)
        else {
            return;
        };
        conn.flags.set(Flags::WATCHING, wanted);
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

/// A list with room for all spares; without memory there are none.
#[allow(clippy::vec_box)]
fn spares() -> Vec<Box<Outbox>> {
    let mut list = Vec::new();
    let _ = list.try_reserve_exact(SPARES);
    list
}

#[allow(clippy::vec_box)]
#[inline]
fn spare(pool: &mut Vec<Box<Outbox>>) -> Option<Box<Outbox>> {
    match pool.pop() {
        None => new_outbox(),
        spare => spare,
    }
}

#[cold]
fn new_outbox() -> Option<Box<Outbox>> {
    try_box(Outbox::new()).ok()
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

fn note_last(list: &mut VecDeque<ConnId>, id: ConnId) -> bool {
    let room = list.try_reserve(1).is_ok();
    if room {
        list.push_back(id);
    }
    room
}
