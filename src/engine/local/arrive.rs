//! Connections come, and bytes come: accepting, connecting, reading, parsing.

use super::{extra, spare, Local, Step, DRIVER_TIMERS};
use crate::engine::conn::{Conn, Ending, Phase, Upgrading};
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::stream::{Received, Stream};
use crate::net::sys::memory::try_box;
use crate::net::sys::poll::Interest;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::Errno;
use crate::proto::connection::{Connection, Io};
use crate::proto::http::{Fed, HeadBuffer};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

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
        let keys = DRIVER_TIMERS as usize + self.conns.slots() as usize + 1;
        self.timers.reserve(keys)?;
        let upgrading = Upgrading {
            head: HeadBuffer::new(),
            peer,
            until,
            connecting,
        };
        let upgrading = try_box(upgrading).map_err(|_| Status::NoMemory)?;
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
            conn.flags.watching = connecting;
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
            .filter(|c| c.ending.is_none())
            .ok_or(Status::Closed)?;
        self.remote.opened(id)?;
        conn.phase = Phase::Open(Connection::new(role, now));
        conn.flags.opened = true;
        self.remote.counters().connections_open.add(1);
        self.remote.counters().connections_total.add(1);
        self.rearm(id);
        Ok(())
    }

    /// One read. None: nothing to work on.
    pub fn receive(&mut self, id: ConnId, hung_up: bool, into: &mut [u8]) -> Option<usize> {
        let now = self.now;
        let conn = self.conns.get_mut(id)?;
        let lingering = matches!(conn.phase, Phase::Lingering { .. });
        if conn.ending.is_some() && !lingering {
            return None;
        }
        if conn.held() {
            conn.flags.more = true;
            return None;
        }
        // What was set aside comes first, or the stream would lose its order.
        if conn.extra.as_ref().is_some_and(|e| !e.stash.is_empty()) {
            conn.flags.more = true;
            self.look_again(id);
            return None;
        }
        match conn.stream.receive(into) {
            Received::Bytes(n) => {
                self.remote.counters().bytes_received.add(n as u64);
                conn.flags.more = n == into.len() || hung_up;
                if let Phase::Open(connection) = &mut conn.phase {
                    connection.touch(now);
                }
                if conn.flags.more {
                    self.look_again(id);
                }
                (!lingering).then_some(n)
            }
            Received::Nothing => {
                conn.flags.more = false;
                None
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
                None
            }
            Received::Failed(errno) => {
                self.end(id, Ending::Io(errno));
                None
            }
        }
    }

    /// Looks at the bytes from `at` on, up to the first thing that has to be told.
    pub fn step(&mut self, id: ConnId, input: &mut [u8], at: &mut usize) -> Step {
        let Some(conn) = self.conns.get_mut(id).filter(|c| c.ending.is_none()) else {
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
                    now: self.now,
                };
                let event = connection.receive(input, at, &mut io);
                event.map_or(Step::Idle, Step::Event)
            }
            Phase::Upgrading(place) => {
                let rest = input.get(*at..).unwrap_or(&[]);
                let Some(upgrading) = place.as_mut().filter(|_| !rest.is_empty()) else {
                    return Step::Idle;
                };
                let peer = upgrading.peer;
                match upgrading.head.feed(rest) {
                    Ok(Fed::NeedMore) => Step::Idle,
                    Ok(Fed::Complete(used)) => {
                        *at += used;
                        let head = upgrading.head.take();
                        *place = None;
                        Step::Head { peer, head }
                    }
                    Err(error) => {
                        *place = None;
                        Step::BadHead { peer, error }
                    }
                }
            }
            Phase::Lingering { .. } => Step::Idle,
        }
    }

    /// Bytes set aside while the connection was held, if it is held no more; and whether the
    /// socket may hold more.
    pub fn resume(&mut self, id: ConnId) -> Option<(Vec<u8>, bool)> {
        let conn = self.conns.get_mut(id)?;
        conn.flags.ready = false;
        if conn.held() {
            return None;
        }
        let stash = conn.extra.as_mut().map(|e| core::mem::take(&mut e.stash));
        Some((stash.unwrap_or_default(), conn.flags.more))
    }

    /// An HTTP response is queued; the next request may follow once it has gone.
    pub fn next_request(&mut self, id: ConnId, peer: Addr) {
        let until = self.now + u64::from(self.settings.handshake_timeout);
        let upgrading = Upgrading {
            head: HeadBuffer::new(),
            peer,
            until,
            connecting: false,
        };
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        match try_box(upgrading) {
            Ok(upgrading) => {
                conn.flags.draining = conn.queued() > 0;
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
            conn.flags.draining = true;
            conn.flags.last_words = true;
        }
        self.touch(id);
    }

    /// The peer's Close has come, and ours is queued or gone.
    pub fn closing_done(&mut self, id: ConnId) {
        self.remote.closing(id);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.last_words = true;
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
