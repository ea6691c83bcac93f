//! Deadlines as values: when to ping, when a Pong is missing, when a closing handshake is given up.
//!
//! They are derived from two instants, so nothing is re-armed per message. Rounding and sleeping
//! are the caller's.
//!
//! The instants are kept in 32 bits of milliseconds: what they are for comes within 49 days, or
//! never.

use super::{Closing, Connection, Io, Limits, Opcode, Ping, Reading, Timeout};

/// What the next deadline is for.
#[derive(Clone, Copy)]
enum Due {
    Ping,
    Pong,
    CloseEnd,
}

impl Connection {
    /// Bytes came. Once per read is enough; any byte shows that the peer lives.
    pub fn touch(&mut self, now: u64) {
        self.heard = now as u32;
        self.ping = Ping::Quiet;
    }

    /// The application paused or resumed reading. Meanwhile the peer cannot be heard, so that no
    /// Pong can be missing; its time begins again on resuming.
    pub fn pause(&mut self, paused: bool, now: u64) {
        if self.paused && !paused && self.ping != Ping::Quiet {
            self.since = now as u32;
        }
        self.paused = paused;
    }

    /// `drained` would do nothing.
    pub fn holds_nothing_back(&self) -> bool {
        self.ping != Ping::Held && self.rare_if_any().is_none_or(|rare| rare.pong.is_none())
    }

    /// When to call `timeout` next, in monotonic milliseconds. None: not by time.
    pub fn deadline(&self, limits: &Limits, now: u64) -> Option<u64> {
        self.due(limits, now).map(|(at, _)| at)
    }

    /// As `deadline`, for who does not ask again whenever bytes come: an interval later at most. They end the wait for a
    /// Pong, and then the next Ping may be due before that Pong would have been missing.
    pub fn look_again_at(&self, limits: &Limits, now: u64) -> Option<u64> {
        let at = self.deadline(limits, now);
        match limits.ping_interval {
            Some(interval) => Some(at.unwrap_or(u64::MAX).min(now + u64::from(interval))),
            None => at,
        }
    }

    /// Does what is due by time. What it returns besides `Nothing` and `Pinged` ends the transport.
    pub fn timeout(&mut self, io: &mut Io<'_>) -> Timeout {
        let due = match self.due(io.limits, io.now) {
            Some((at, due)) if at <= io.now => due,
            _ => return Timeout::Nothing,
        };
        match due {
            Due::CloseEnd => Timeout::CloseTimedOut,
            Due::Pong => Timeout::PongMissing,
            Due::Ping => {
                self.since = io.now as u32;
                // To a peer that does not read, not one Ping is added to what it leaves unread.
                if io.out.is_blocked() {
                    self.ping = Ping::Held;
                    return Timeout::Nothing;
                }
                if self.queue(true, Opcode::Ping, &[], io).is_err() {
                    // No memory or no randomness: asked again an interval later.
                    self.heard = io.now as u32;
                    return Timeout::Nothing;
                }
                self.ping = Ping::Sent;
                Timeout::Pinged
            }
        }
    }

    /// Sends the Ping that was held back. The peer has its whole time to answer it.
    pub(super) fn send_held_ping(&mut self, io: &mut Io<'_>) {
        if self.ping == Ping::Held && self.queue(true, Opcode::Ping, &[], io).is_ok() {
            self.ping = Ping::Sent;
            self.since = io.now as u32;
        }
    }

    fn due(&self, limits: &Limits, now: u64) -> Option<(u64, Due)> {
        if self.reading == Reading::Lost {
            return None;
        }
        let after = |start: u32, ms: u32| {
            let ago = (now as u32).wrapping_sub(start);
            now.saturating_sub(u64::from(ago))
                .saturating_add(u64::from(ms))
        };
        if self.closing != Closing::Open || self.is_finished() {
            return Some((after(self.since, limits.close_timeout), Due::CloseEnd));
        }
        match self.ping {
            Ping::Sent | Ping::Held if self.paused => None,
            Ping::Sent | Ping::Held if limits.pong_timeout == Limits::FOREVER => None,
            Ping::Sent | Ping::Held => Some((after(self.since, limits.pong_timeout), Due::Pong)),
            Ping::Quiet => {
                let interval = limits.ping_interval?;
                Some((after(self.heard, interval), Due::Ping))
            }
        }
    }
}
