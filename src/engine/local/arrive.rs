//! Connections come, and bytes come: accepting, connecting, reading, parsing.

use super::{extra, spare, Incoming, Local, Step, CONN_TIMERS};
use crate::engine::conn::{Conn, Ending, Flags, Phase, Upgrading};
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::stream::{Received, Stream};
use crate::net::sys::memory::try_box;
use crate::net::sys::poll::Interest;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::Errno;
use crate::proto::connection::{Connection, Io};
use crate::proto::frame::Kind;
use crate::proto::http::{Fed, HeadBuffer, HttpError};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;
use core::ops::Range;

impl Local {
    /// Takes in an accepted connection.
    pub fn adopt(&mut self, stream: Stream, peer: Addr) -> Result<ConnId, Status> {
        let until = self.now + u64::from(self.settings.handshake_timeout);
        self.insert(stream, peer, until, false)
    }

    /// Begins to connect; gives up at `until`.
    pub fn connect(&mut self, addr: &Addr, until: u64) -> Result<ConnId, Errno> {
        let fd = socket::stream(addr)?;
        socket::set_nodelay(&fd);
        socket::set_user_timeout(&fd, self.settings.user_timeout());
        socket::connect(&fd, addr)?;
        self.insert(Stream::Plain(fd), *addr, until, true)
            .map_err(|_| Errno(libc::ENOMEM))
    }

    fn insert(
        &mut self,
        stream: Stream,
        peer: Addr,
        until: u64,
        connecting: bool,
    ) -> Result<ConnId, Status> {
        let keys = CONN_TIMERS as usize + self.conns.slots() as usize + 1;
        self.timers.reserve(keys)?;
        let upgrading = Upgrading {
            head: HeadBuffer::new(),
            peer,
            until,
            connecting,
            bad: None,
        };
        let upgrading = try_box(upgrading).map_err(|_| Status::NoMemory)?;
        // So that the end of a connection can always be noted.
        let conns = self.conns.count() + 1;
        let more = conns.saturating_sub(self.lists.ended.len());
        let room = self.lists.ended.try_reserve(more);
        room.map_err(|_| Status::NoMemory)?;
        let fd = stream.fd();
        let conn = Conn::new(stream, upgrading);
        let id = self.conns.insert(conn).map_err(|_| Status::NoMemory)?;
        let interest = if connecting {
            Interest::EdgeBoth
        } else {
            Interest::Edge
        };
        if self.remote.epoll().add(fd, id.0, interest).is_err() {
            self.conns.remove(id);
            return Err(Status::Io);
        }
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.set(Flags::WATCHING, connecting);
        }
        self.remote.set_load(self.conns.count() as u32);
        self.rearm(id);
        Ok(id)
    }

    /// For a connection that is connecting: whether it is through. None: it is not connecting.
    pub fn connected(&mut self, id: ConnId) -> Option<bool> {
        let conn = self.conns.get_mut(id)?;
        let Phase::Upgrading(Some(upgrading)) = &mut conn.phase else {
            return None;
        };
        if !upgrading.connecting {
            return None;
        }
        let Stream::Plain(fd) = &conn.stream;
        if let Some(errno) = socket::take_error(fd) {
            self.end(id, Ending::Io(errno));
            return Some(false);
        }
        upgrading.connecting = false;
        self.watch(id, false);
        Some(true)
    }

    /// Moves the deadline of a handshake.
    pub fn extend(&mut self, id: ConnId, until: u64) {
        if let Some(Phase::Upgrading(Some(u))) = self.conns.get_mut(id).map(|c| &mut c.phase) {
            u.until = until;
        }
        self.rearm(id);
    }

    /// The handshake is done: from here on it is a WebSocket.
    pub fn open(&mut self, id: ConnId) -> Result<(), Status> {
        let (now, role) = (self.now, self.settings.role);
        let conn = self
            .conns
            .get_mut(id)
            .filter(|c| !c.has_ended())
            .ok_or(Status::Closed)?;
        self.remote.opened(id)?;
        conn.phase = Phase::Open(Connection::new(role, now));
        conn.flags.set(Flags::OPENED, true);
        self.remote.counters().connections_open.add(1);
        self.remote.counters().connections_total.add(1);
        self.rearm(id);
        Ok(())
    }

    /// One read, into the buffer or straight into the message that is under way.
    pub fn receive(&mut self, id: ConnId, hung_up: bool, into: &mut [u8]) -> Incoming {
        let pieces = self.settings.limits.pieces;
        let Some(conn) = self.conns.get_mut(id) else {
            return Incoming::Nothing;
        };
        let lingering = matches!(conn.phase, Phase::Lingering { .. });
        if conn.has_ended() && !lingering {
            return Incoming::Nothing;
        }
        if hung_up {
            conn.flags.set(Flags::HUNG_UP, true);
        }
        if conn.held() {
            conn.flags.set(Flags::MORE, true);
            return Incoming::Nothing;
        }
        // What was set aside comes first, or the stream would lose its order.
        if conn.extra.as_ref().is_some_and(|e| !e.stash.is_empty()) {
            conn.flags.set(Flags::MORE, true);
            self.look_again(id);
            return Incoming::Nothing;
        }
        let place = match &mut conn.phase {
            Phase::Open(connection) => connection.place(&mut self.pool, pieces),
            _ => None,
        };
        let placed = place.is_some();
        let (got, room) = match place {
            Some((message, most)) => (conn.stream.receive_onto(message, most), most),
            None => (conn.stream.receive(into), into.len()),
        };
        match got {
            Received::Bytes(n) => {
                self.remote.counters().bytes_received.add(n as u64);
                let more = n == room || conn.flags.has(Flags::HUNG_UP);
                conn.flags.set(Flags::MORE, more);
                if let Phase::Open(connection) = &mut conn.phase {
                    connection.touch(self.now);
                    // What is sent meanwhile is flushed when the bytes are used up.
                    conn.flags.set(Flags::DIRTY, true);
                }
                if placed {
                    return self.placed(id, n, more);
                }
                if more {
                    self.look_again(id);
                }
                if lingering {
                    Incoming::Nothing
                } else {
                    Incoming::Bytes(n)
                }
            }
            Received::Nothing => {
                conn.flags.set(Flags::MORE, false);
                Incoming::Nothing
            }
            Received::End => {
                let finished = matches!(&conn.phase, Phase::Open(c) if c.is_finished());
                self.end(
                    id,
                    if finished {
                        Ending::Clean
                    } else {
                        Ending::Lost
                    },
                );
                Incoming::Nothing
            }
            Received::Failed(errno) => {
                self.end(id, Ending::Io(errno));
                Incoming::Nothing
            }
        }
    }

    /// The next bytes can be read straight into a message, now.
    pub fn is_in_large_message(&mut self, id: ConnId) -> bool {
        let pieces = self.settings.limits.pieces;
        let Some(conn) = self.conns.get_mut(id).filter(|c| !c.held()) else {
            return false;
        };
        let websocket = conn.websocket();
        websocket.is_some_and(|c| c.place(&mut self.pool, pieces).is_some())
    }

    /// `n` bytes were read straight into the message that is under way.
    fn placed(&mut self, id: ConnId, n: usize, more: bool) -> Incoming {
        let mut event = None;
        let _ = self.with_open(id, |connection, io| {
            event = connection.placed(n, io);
            Ok(())
        });
        match event {
            None if more => Incoming::More,
            None => {
                self.flush(id);
                Incoming::Nothing
            }
            Some(event) => {
                if more {
                    self.look_again(id);
                }
                Incoming::Event(event)
            }
        }
    }

    /// The next message, if it is of the plain kind (see `Connection::whole_message`) that most
    /// are; else `step` finds out what comes next.
    #[inline]
    pub fn next_message(
        &mut self,
        id: ConnId,
        input: &mut [u8],
        at: &mut usize,
    ) -> Option<(Kind, Range<usize>)> {
        let conn = self.conns.get_mut(id)?;
        if conn.flags.has(Flags::UNREADABLE) {
            return None;
        }
        match &mut conn.phase {
            Phase::Open(connection) => connection.whole_message(input, at, &self.settings.limits),
            _ => None,
        }
    }

    /// Looks at the bytes from `at` on, up to the first thing that has to be told.
    #[inline(never)]
    pub fn step(&mut self, id: ConnId, input: &mut [u8], at: &mut usize) -> Step {
        let Some(conn) = self.conns.get_mut(id).filter(|c| !c.has_ended()) else {
            return Step::Idle;
        };
        if conn.held() {
            let rest = input.get(*at..).unwrap_or(&[]);
            if stash(conn, rest).is_err() {
                self.end(id, Ending::NoMemory);
            }
            return Step::Idle;
        }
        match &mut conn.phase {
            Phase::Open(connection) => {
                // It stays until the bytes are used up and flushed, so that all answers to them
                // leave together.
                if conn.outbox.is_none() {
                    conn.outbox = spare(&mut self.spare);
                }
                let Some(out) = conn.outbox.as_deref_mut() else {
                    self.end(id, Ending::NoMemory);
                    return Step::Idle;
                };
                let mut io = Io {
                    limits: &self.settings.limits,
                    out,
                    masks: &mut self.random,
                    pool: &mut self.pool,
                    now: self.now,
                };
                let event = connection.receive(input, at, &mut io);
                event.map_or(Step::Idle, Step::Event)
            }
            Phase::Upgrading(_) => self.step_head(id, input, at),
            Phase::Lingering { .. } => Step::Idle,
        }
    }

    #[inline(never)]
    fn step_head(&mut self, id: ConnId, input: &[u8], at: &mut usize) -> Step {
        let rest = input.get(*at..).filter(|rest| !rest.is_empty());
        let (Some(rest), Some(conn)) = (rest, self.conns.get_mut(id)) else {
            return Step::Idle;
        };
        let Phase::Upgrading(Some(upgrading)) = &mut conn.phase else {
            return Step::Idle;
        };
        match upgrading.head.feed(rest) {
            Ok(Fed::NeedMore) => return Step::Idle,
            Ok(Fed::Complete(used)) => *at += used,
            Err(error) => upgrading.bad = Some(error),
        }
        Step::Head
    }

    /// The head that has come, or why it is none; and whose it is.
    pub fn take_head(&mut self, id: ConnId) -> Option<(Addr, Result<Vec<u8>, HttpError>)> {
        let Phase::Upgrading(place) = &mut self.conns.get_mut(id)?.phase else {
            return None;
        };
        let mut upgrading = place.take()?;
        let head = match upgrading.bad {
            Some(error) => Err(error),
            None => Ok(upgrading.head.take()),
        };
        Some((upgrading.peer, head))
    }

    /// A message that was gathered has been told.
    pub fn give_message(&mut self, message: Vec<u8>) {
        self.pool.give_message(message);
        if self.pool.holds_memory() {
            self.trim_later();
        }
    }

    /// Bytes set aside while the connection was held, if it is held no more; and whether the
    /// socket may hold more.
    pub fn resume(&mut self, id: ConnId) -> Option<(Vec<u8>, bool)> {
        let conn = self.conns.get_mut(id)?;
        conn.flags.set(Flags::READY, false);
        if conn.held() {
            return None;
        }
        let stash = conn.extra.as_mut().map(|e| core::mem::take(&mut e.stash));
        Some((stash.unwrap_or_default(), conn.flags.has(Flags::MORE)))
    }

    /// An HTTP response is queued; the next request may follow once it has gone.
    pub fn next_request(&mut self, id: ConnId, peer: Addr) {
        let until = self.now + u64::from(self.settings.handshake_timeout);
        let upgrading = Upgrading {
            head: HeadBuffer::new(),
            peer,
            until,
            connecting: false,
            bad: None,
        };
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        match try_box(upgrading) {
            Ok(upgrading) => {
                conn.flags.set(Flags::DRAINING, conn.queued() > 0);
                conn.phase = Phase::Upgrading(Some(upgrading));
                self.rearm(id);
            }
            Err(_) => self.end(id, Ending::NoMemory),
        }
    }

    /// An HTTP response is queued, and it is the last.
    pub fn last_response(&mut self, id: ConnId, peer: Addr) {
        self.next_request(id, peer);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.set(Flags::DRAINING, true);
            conn.flags.set(Flags::LAST_WORDS, true);
        }
        self.touch(id);
    }

    /// The peer's Close has come, and ours is queued or gone.
    pub fn closing_done(&mut self, id: ConnId) {
        self.remote.closing(id);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.set(Flags::LAST_WORDS, true);
        }
        self.rearm(id);
        self.touch(id);
    }
}

/// Keeps bytes until reading goes on, with room for a NUL behind them.
fn stash(conn: &mut Conn, rest: &[u8]) -> Result<(), OutOfMemory> {
    if rest.is_empty() {
        return Ok(());
    }
    let stash = &mut extra(conn)?.stash;
    stash.try_reserve(rest.len() + 1).map_err(|_| OutOfMemory)?;
    stash.extend_from_slice(rest);
    Ok(())
}
