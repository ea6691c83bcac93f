//! Connections come, and bytes come: accepting, connecting, reading, parsing.

use super::{extra, spare, Came, Incoming, Local, Step, CONN_TIMERS};
use crate::engine::conn::{Conn, Ending, Flags, Phase, Upgrading};
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::stream::{Received, Stream};
use crate::net::sys::memory::try_box;
use crate::net::sys::poll::Interest;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::{coarse_ms, Errno, Fd};
use crate::proto::close::Violation;
use crate::proto::connection::{Connection, Event, Io, Role};
use crate::proto::deflate::Agreed;
use crate::proto::frame::Kind;
use crate::proto::http::{Fed, HeadBuffer};
use crate::proto::outbox::Shared;
use crate::proto::OutOfMemory;
use crate::rare::rarely;
use crate::tls::Session;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

impl Local {
    /// Takes in an accepted connection.
    pub fn adopt(&mut self, stream: Stream, peer: &Addr) -> Result<ConnId, Status> {
        // It counts from now, not from when this turn began.
        self.tell_time(coarse_ms());
        let until = self.now + u64::from(self.settings.handshake_timeout);
        self.insert(stream, peer, until, false)
    }

    /// Takes in a socket that has begun to connect; gives up at `until`.
    pub fn connecting(&mut self, fd: Fd, addr: &Addr, until: u64) -> Result<ConnId, Errno> {
        self.insert(Stream::plain(fd), addr, until, true)
            .map_err(|_| Errno(libc::ENOMEM))
    }

    fn insert(
        &mut self,
        stream: Stream,
        peer: &Addr,
        until: u64,
        connecting: bool,
    ) -> Result<ConnId, Status> {
        let keys = CONN_TIMERS as usize + self.conns.slots() as usize + 1;
        self.timers.reserve(keys)?;
        let upgrading = Upgrading {
            head: HeadBuffer::new(),
            peer: *peer,
            until,
            connecting,
            bad: None,
            raw: false,
            answered: false,
            left: 0,
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
        if let Some(errno) = conn.stream.take_error() {
            self.end(id, Ending::Io(errno));
            return Some(false);
        }
        upgrading.connecting = false;
        self.watch(id, false);
        Some(true)
    }

    /// TLS from here on.
    pub fn secure(&mut self, id: ConnId, session: Session) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        conn.stream.secure_now(session)?;
        conn.flags.set(Flags::TLS, true);
        conn.flags.set(Flags::SHAKING, true);
        Ok(())
    }

    /// Moves the deadline of a handshake.
    pub fn extend(&mut self, id: ConnId, until: u64) {
        if let Some(Phase::Upgrading(Some(u))) = self.conns.get_mut(id).map(|c| &mut c.phase) {
            u.until = until;
        }
        self.rearm(id);
    }

    /// Whether what comes is for the driver as it is, instead of an HTTP head.
    pub fn set_raw(&mut self, id: ConnId, raw: bool) {
        if let Some(Phase::Upgrading(Some(u))) = self.conns.get_mut(id).map(|c| &mut c.phase) {
            u.raw = raw;
        }
    }

    /// The handshake is done: from here on it is a WebSocket.
    pub fn open(&mut self, id: ConnId, deflate: Option<Agreed>) -> Result<(), Status> {
        let (now, role) = (self.now, self.settings.role);
        let conn = self
            .conns
            .get_mut(id)
            .filter(|c| !c.has_ended())
            .ok_or(Status::Closed)?;
        self.remote.opened(id, deflate)?;
        let mut connection = Connection::new(role, now);
        connection.set_deflate(deflate);
        conn.phase = Phase::Open(connection);
        conn.flags.set(Flags::OPENED, true);
        let coded = deflate.is_some() || role == Role::Client;
        conn.flags.set(Flags::CODED, coded);
        self.remote.counters().connections_open.add(1);
        self.remote.counters().connections_total.add(1);
        self.rearm(id);
        Ok(())
    }

    /// One read, the way of nearly every read of an open connection: some bytes came, which do not
    /// fill the buffer. How many, and the message that they begin with, if it is of the plain
    /// kind (see `Connection::whole_message`). Else what the read came to.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn receive(
        &mut self,
        id: ConnId,
        hung_up: bool,
        into: &mut [u8],
    ) -> Result<Came, Incoming> {
        let Some(conn) = self.conns.get_mut(id) else {
            rarely();
            return Err(Incoming::Nothing);
        };
        let Phase::Open(connection) = &mut conn.phase else {
            rarely();
            return Err(self.receive_any(id, hung_up, into));
        };
        let limits = &self.settings.limits;
        if hung_up || conn.flags.has(Flags::LOOK_TWICE) || !connection.takes_whole(limits) {
            rarely();
            return Err(self.receive_any(id, hung_up, into));
        }
        let n = match conn.stream.receive(into) {
            Received::Bytes(n) if n < into.len() => n,
            other => {
                rarely();
                return Err(self.not_just_some(id, other));
            }
        };
        self.remote.counters().bytes_received.add(n as u64);
        connection.touch(self.now);
        conn.flags.set(Flags::MORE, false);
        // What is sent meanwhile is flushed when the bytes are used up.
        conn.flags.set(Flags::DIRTY, true);
        let there = into.get_mut(..n).unwrap_or_default();
        let message = connection.whole_message(there, 0, limits);
        Ok(Came { n, message })
    }

    /// After a read that filled the buffer, or brought nothing.
    #[inline(never)]
    fn not_just_some(&mut self, id: ConnId, received: Received) -> Incoming {
        match received {
            Received::Bytes(n) => {
                self.came(id, n, n);
                Incoming::Bytes(n)
            }
            other => self.nothing_came(id, other),
        }
    }

    /// One read of a connection of any kind.
    #[inline(never)]
    fn receive_any(&mut self, id: ConnId, hung_up: bool, into: &mut [u8]) -> Incoming {
        let Some(conn) = self.conns.get_mut(id) else {
            return Incoming::Nothing;
        };
        if hung_up {
            conn.flags.set(Flags::HUNG_UP, true);
        }
        if conn.flags.has(Flags::UNREADABLE) {
            if let Some(incoming) = self.must_not_read(id) {
                return incoming;
            }
        }
        // For the borrow checker: it is there still.
        let Some(conn) = self.conns.get_mut(id) else {
            return Incoming::Nothing;
        };
        let mut lingering = false;
        match &mut conn.phase {
            // What TLS opens lies in the buffer.
            Phase::Open(connection)
                if connection.is_in_large_message(&self.settings.limits)
                    && conn.stream.is_plain() =>
            {
                return Incoming::InMessage;
            }
            Phase::Lingering { .. } => lingering = true,
            Phase::Open(_) | Phase::Upgrading(_) => {}
        }
        match conn.stream.receive(into) {
            Received::Bytes(n) => {
                self.came(id, n, into.len());
                if lingering {
                    Incoming::Nothing
                } else {
                    Incoming::Bytes(n)
                }
            }
            other => self.nothing_came(id, other),
        }
    }

    /// Why a connection is not read now, if so.
    fn must_not_read(&mut self, id: ConnId) -> Option<Incoming> {
        let conn = self.conns.get_mut(id)?;
        if conn.has_ended() && !matches!(conn.phase, Phase::Lingering { .. }) {
            return Some(Incoming::Nothing);
        }
        if conn.held() {
            conn.flags.set(Flags::MORE, true);
            return Some(Incoming::Nothing);
        }
        // What was set aside comes first, or the stream would lose its order.
        if conn.flags.has(Flags::STASHED) {
            conn.flags.set(Flags::MORE, true);
            self.look_again(id);
            return Some(Incoming::Nothing);
        }
        if conn.flags.has(Flags::SHAKING) {
            let shaking = conn.stream.is_handshaking();
            conn.flags.set(Flags::SHAKING, shaking);
            if shaking && self.shaken {
                conn.flags.set(Flags::MORE, true);
                self.look_again(id);
                return Some(Incoming::Nothing);
            }
        }
        None
    }

    /// A read brought `n` bytes of the `room` that there was.
    #[inline(never)]
    fn came(&mut self, id: ConnId, n: usize, room: usize) {
        self.remote.counters().bytes_received.add(n as u64);
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let more = n == room
            || conn.flags.has(Flags::NEVER_EMPTY)
                && (conn.flags.has(Flags::HUNG_UP) || conn.stream.has_more());
        conn.flags.set(Flags::MORE, more);
        if let Phase::Open(connection) = &mut conn.phase {
            connection.touch(self.now);
            // What is sent meanwhile is flushed when the bytes are used up.
            conn.flags.set(Flags::DIRTY, true);
        }
        if more {
            self.look_again(id);
        }
    }

    #[inline(never)]
    fn nothing_came(&mut self, id: ConnId, received: Received) -> Incoming {
        let Some(conn) = self.conns.get_mut(id) else {
            return Incoming::Nothing;
        };
        // Any byte counts as life, also one of a record that takes long to come.
        if let (Phase::Open(connection), true) = (&mut conn.phase, conn.stream.has_heard()) {
            connection.touch(self.now);
        }
        match received {
            Received::Bytes(_) => {}
            Received::Nothing => conn.flags.set(Flags::MORE, false),
            Received::Progress => {
                conn.flags.set(Flags::MORE, false);
                self.shaken |= conn.flags.has(Flags::SHAKING);
                self.touch(id);
            }
            Received::Refused => {
                self.shaken |= conn.flags.has(Flags::SHAKING);
                self.end(id, Ending::Tls);
            }
            Received::End => {
                let finished = matches!(&conn.phase, Phase::Open(c) if c.is_finished());
                if finished && conn.unsent() > 0 && self.settings.role == Role::Server {
                    // The peer says no more, but reads: what is queued is for it, and our Close.
                    conn.flags.set(Flags::MORE, false);
                } else {
                    let ending = if finished {
                        Ending::Clean
                    } else {
                        Ending::Lost
                    };
                    self.end(id, ending);
                }
            }
            Received::Failed(errno) => {
                let finished = matches!(&conn.phase, Phase::Open(c) if c.is_finished());
                // Both have said Close, and ours has gone: a peer that ends TCP without reading it resets.
                let ending = match finished && conn.unsent() == 0 {
                    true => Ending::Clean,
                    false => Ending::Io(errno),
                };
                self.end(id, ending);
            }
        }
        Incoming::Nothing
    }

    /// One read straight into the large message that is under way. Whether it is still, and more
    /// may be there at once; and what the bytes led to.
    pub fn receive_message(&mut self, id: ConnId) -> (bool, Option<Event>) {
        let over = (false, None);
        let conn = self.conns.get_mut(id);
        let Some(conn) = conn.filter(|c| !c.held() && c.stream.is_plain()) else {
            return over;
        };
        let (Phase::Open(connection), false) = (&mut conn.phase, conn.flags.has(Flags::ENDED))
        else {
            return over;
        };
        if !connection.is_in_large_message(&self.settings.limits) {
            return over;
        }
        let Some((message, room)) = connection.place(&mut self.pool, &self.settings.limits) else {
            let _ = self.with_open(id, |connection, io| {
                connection.fail(Violation::NoMemory, io);
                Ok(())
            });
            return (false, Some(Event::Failed(Violation::NoMemory)));
        };
        let n = match conn.stream.receive_onto(message, room) {
            Received::Bytes(n) => n,
            other => {
                self.nothing_came(id, other);
                return over;
            }
        };
        self.came(id, n, room);
        let mut event = None;
        let _ = self.with_open(id, |connection, io| {
            event = connection.placed(n, io);
            Ok(())
        });
        (n == room && event.is_none(), event)
    }

    /// The next message, if it is of the plain kind (see `Connection::whole_message`) that most
    /// are; else `step` finds out what comes next.
    #[inline]
    pub fn next_message(
        &mut self,
        id: ConnId,
        input: &mut [u8],
        at: usize,
    ) -> Option<(Kind, Range<usize>)> {
        let conn = self.conns.get_mut(id)?;
        let limits = &self.settings.limits;
        match &mut conn.phase {
            Phase::Open(connection)
                if !conn.flags.has(Flags::UNREADABLE) && connection.takes_whole(limits) =>
            {
                connection.whole_message(input, at, limits)
            }
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
        if upgrading.raw {
            return Step::Raw;
        }
        match upgrading.head.feed(rest) {
            Ok(Fed::NeedMore) => return Step::Idle,
            Ok(Fed::Complete(used)) => *at += used,
            Err(error) => upgrading.bad = Some(error),
        }
        Step::Head
    }

    /// A head has come, or it is known why it is none.
    pub fn take_head(&mut self, id: ConnId) -> Option<Box<Upgrading>> {
        match &mut self.conns.get_mut(id)?.phase {
            Phase::Upgrading(place) => place.take(),
            _ => None,
        }
    }

    /// There is more to tell of what has come, without more input.
    pub fn has_more(&mut self, id: ConnId) -> bool {
        let conn = self.conns.get_mut(id);
        conn.is_some_and(|c| !c.held() && c.websocket().is_some_and(|c| c.has_more()))
    }

    /// A large message is about to be told: while it is, `send` need not copy what is sent on.
    /// Gives it back when there is no memory for that.
    pub fn deliver(&mut self, message: Vec<u8>) -> Result<Shared, Vec<u8>> {
        let message = Shared::new(message)?;
        self.delivering = Some(message.clone());
        Ok(message)
    }

    /// It has been told.
    pub fn delivered(&mut self, message: Shared) {
        self.delivering = None;
        // Else it is still being sent on.
        if let Some(message) = message.into_inner() {
            self.give_message(message);
        }
    }

    /// The buffer of a message that is done with.
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
        conn.flags.set(Flags::STASHED, false);
        let stash = conn.extra.as_mut().map(|e| core::mem::take(&mut e.stash));
        Some((stash.unwrap_or_default(), conn.flags.has(Flags::MORE)))
    }

    /// An HTTP response is queued; the next request may follow once it has gone.
    pub fn next_request(&mut self, id: ConnId, mut upgrading: Box<Upgrading>) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.set(Flags::DRAINING, conn.queued() > 0);
            upgrading.left = conn.unsent() + socket::in_flight(conn.stream.fd());
        }
        upgrading.answered = true;
        let until = self.now + u64::from(self.settings.handshake_timeout);
        self.next_head(id, upgrading, until);
    }

    /// Another head is to come by this time.
    pub fn next_head(&mut self, id: ConnId, mut upgrading: Box<Upgrading>, until: u64) {
        upgrading.head = HeadBuffer::new();
        upgrading.until = until;
        upgrading.bad = None;
        upgrading.raw = false;
        if let Some(conn) = self.conns.get_mut(id) {
            conn.phase = Phase::Upgrading(Some(upgrading));
        }
        self.rearm(id);
    }

    /// An HTTP response is queued, and it is the last.
    pub fn last_response(&mut self, id: ConnId, upgrading: Box<Upgrading>) {
        self.next_request(id, upgrading);
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
    conn.flags.set(Flags::STASHED, true);
    Ok(())
}
