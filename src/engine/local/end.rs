//! Deadlines, and how connections go.

use super::{Local, CONN_TIMERS};
use crate::engine::conn::{Ending, Flags, Phase};
use crate::net::conns::ConnId;
use crate::net::sys::coarse_ms;
use crate::net::sys::poll::Interest;
use crate::net::sys::socket;
use crate::proto::connection::{Connection, Role, Timeout};

/// So many bytes of an HTTP response a peer has to take within handshake_timeout_ms.
const PROGRESS: usize = 4096;

impl Local {
    /// The deadline of a connection has come, or seemed to.
    pub fn expire(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let unsent = conn.unsent();
        match &mut conn.phase {
            Phase::Upgrading(Some(upgrading)) if self.now >= upgrading.until => {
                // The kernel may have taken megabytes, and takes no more before the peer has a third of them.
                let left = unsent + socket::in_flight(conn.stream.fd());
                if unsent > 0 && left.saturating_add(PROGRESS) <= upgrading.left {
                    // A large page on its way over a slow link.
                    upgrading.left = left;
                    upgrading.until = self.now + u64::from(self.settings.handshake_timeout);
                } else {
                    self.end(id, Ending::HandshakeTimeout);
                }
            }
            Phase::Lingering { until } if self.now >= *until => self.end(id, Ending::Abandoned),
            Phase::Open(_) => {
                let mut outcome = Timeout::Nothing;
                // Both have said Close, and all that we had to say has gone.
                let mut finished = unsent == 0;
                let _ = self.with_open(id, |connection, io| {
                    outcome = connection.timeout(io);
                    finished &= connection.is_finished();
                    Ok(())
                });
                match outcome {
                    Timeout::Nothing | Timeout::Pinged => {}
                    Timeout::PongMissing => self.end(id, Ending::PongTimeout),
                    Timeout::CloseTimedOut if finished => self.end(id, Ending::Clean),
                    Timeout::CloseTimedOut => self.end(id, Ending::CloseTimeout),
                }
            }
            _ => {}
        }
        self.rearm(id);
    }

    /// Sets the timer to what the connection waits for.
    pub(super) fn rearm(&mut self, id: ConnId) {
        let at = self.conns.get(id).and_then(|conn| match &conn.phase {
            _ if conn.has_ended() => None,
            Phase::Upgrading(upgrading) => upgrading.as_ref().map(|u| u.until),
            Phase::Open(connection) => connection.look_again_at(&self.settings.limits, self.now),
            Phase::Lingering { until } => Some(*until),
        });
        let at = at.map(|at| coarse(at, self.now));
        self.timers.set(CONN_TIMERS + id.slot(), at);
    }

    /// Decides the fate of a connection; the first word counts. It is told at the end of the turn.
    pub fn end(&mut self, id: ConnId, ending: Ending) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if matches!(conn.phase, Phase::Lingering { .. }) {
            // The application knows already: nothing is left to tell.
            return self.discard(id);
        }
        if conn.has_ended() {
            return;
        }
        conn.flags.set(Flags::ENDED, true);
        self.timers.set(CONN_TIMERS + id.slot(), None);
        self.remote.closing(id);
        match self.lists.ended.try_reserve(1) {
            Ok(()) => self.lists.ended.push((id, ending)),
            Err(_) => self.lists.ended_unlisted = true,
        }
    }

    /// Ends a connection without waiting for the peer, with a Close frame if the kernel takes it.
    pub fn abort(&mut self, id: ConnId) {
        let _ = self.close(id, 1000, "");
        self.flush(id);
        self.end(id, Ending::Abandoned);
    }

    /// A connection has ended like that: leaves its topics, and is counted. Tells whether it was
    /// open.
    pub fn verdict(&mut self, id: ConnId, ending: Ending) -> Option<bool> {
        let conn = self.conns.get_mut(id)?;
        let opened = conn.flags.has(Flags::OPENED);
        // A refusal was counted when it was queued, and who has had a page need not ask again.
        let answered = conn.flags.has(Flags::LAST_WORDS)
            || matches!(&conn.phase, Phase::Upgrading(Some(u)) if u.answered);
        let topics = conn.extra.as_mut().map(|e| core::mem::take(&mut e.topics));
        for topic in topics.unwrap_or_default() {
            self.topics.remove(&topic, id);
        }
        if opened {
            self.remote.counters().connections_open.subtract(1);
        } else if ending != Ending::Clean && !answered && self.settings.role == Role::Server {
            self.remote.counters().handshakes_failed.add(1);
        }
        self.remote
            .counters()
            .protocol_errors
            .add(u64::from(matches!(ending, Ending::Violation(_))));
        self.remote
            .counters()
            .timeouts
            .add(u64::from(ending.is_timeout() && !answered));
        Some(opened)
    }

    /// Starts the closing handshake on every open connection and drops those not open yet.
    pub fn close_every(&mut self, code: u16) {
        // No turn is under way, and the last may have been long ago.
        self.tell_time(coarse_ms());
        // What was asked for before goes before.
        self.take_commands();
        for slot in 0..self.conns.slots() {
            let Some(id) = self.conns.id_at(slot) else {
                continue;
            };
            let unopened = self
                .conns
                .get(id)
                .is_some_and(|c| !c.flags.has(Flags::OPENED));
            if unopened {
                self.end(id, Ending::Abandoned);
            } else {
                let _ = self.close(id, code, "");
            }
        }
    }

    /// Ends what is left.
    pub fn end_every(&mut self) {
        for slot in 0..self.conns.slots() {
            if let Some(id) = self.conns.id_at(slot) {
                self.end(id, Ending::CloseTimeout);
            }
        }
    }

    /// No connection is left that the application has not been told the end of.
    pub fn has_no_websockets(&self) -> bool {
        self.remote.counters().connections_open.get() == 0
    }

    /// Looks at an ended connection's WebSocket, to tell what was agreed on at its end.
    pub fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        match &mut self.conns.get_mut(id)?.phase {
            Phase::Open(connection) => Some(connection),
            _ => None,
        }
    }

    /// The application has been told. Closes the stream, or lingers where the peer should still
    /// be able to read our last words.
    pub fn dispose(&mut self, id: ConnId, ending: Ending) {
        self.remote.closed(id);
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let linger = match ending {
            Ending::Violation(_) | Ending::NoMemory => conn.flags.has(Flags::OPENED),
            Ending::Clean => !conn.flags.has(Flags::OPENED),
            // So that the peer reads our alert.
            Ending::Tls => true,
            _ => false,
        };
        let until = self.now + u64::from(self.settings.limits.close_timeout);
        if !linger {
            return self.discard(id);
        }
        conn.phase = Phase::Lingering { until };
        conn.extra = None;
        conn.flags.set(Flags::HELD, false);
        conn.flags.set(Flags::STASHED, false);
        // Of the old id, which the list of those to be looked at has.
        conn.flags.set(Flags::READY, false);
        let (fd, blocked) = (conn.stream.fd(), conn.flags.has(Flags::WATCHING));
        let Some(id) = self.conns.renew(id) else {
            return self.discard(id);
        };
        let interest = if blocked {
            Interest::EdgeBoth
        } else {
            Interest::Edge
        };
        if self.remote.epoll().modify(fd, id.0, interest).is_err() {
            return self.discard(id);
        }
        // The timer is set in spite of its end, which keeps everything else away.
        let at = Some(coarse(until, self.now));
        self.timers.set(CONN_TIMERS + id.slot(), at);
        self.flush(id);
    }

    /// Forgets a connection and closes its stream.
    pub fn discard(&mut self, id: ConnId) {
        self.timers.set(CONN_TIMERS + id.slot(), None);
        if let Some(mut conn) = self.conns.remove(id) {
            if let Some(outbox) = conn.outbox.take() {
                self.give_back(outbox);
            }
        }
        self.remote.set_load(self.conns.count() as u32);
    }
}

/// Rounds a deadline up, the farther the coarser, so that many connections share a wake-up.
fn coarse(at: u64, now: u64) -> u64 {
    let step = match at.saturating_sub(now) {
        0..=999 => 1,
        1000..=9999 => 100,
        _ => 1000,
    };
    at.div_ceil(step) * step
}
