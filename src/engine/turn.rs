//! One turn of the event loop: wait, read, tell the driver, write.

use super::conn::Ending;
use super::local::{Local, Step};
use super::{After, CloseInfo, Driver, Engine, Piece};
use crate::error::{Error, Status};
use crate::net::conns::ConnId;
use crate::net::sys::monotonic_ms;
use crate::net::sys::poll::{Ready, BATCH};
use crate::net::sys::socket::Addr;
use crate::proto::close::Violation;
use crate::proto::connection::{Event, Payload, Timeout, LOST};
use crate::text::Line;
use core::ffi::c_int;
use core::sync::atomic::Ordering;

/// epoll tokens below the first connection id; the driver's begin at DRIVER_TOKENS.
pub(super) const WAKE: u64 = 0;
pub(super) const ALARM: u64 = 1;
pub const DRIVER_TOKENS: u64 = 16;
const FIRST_ID: u64 = 1 << 32;

impl Engine {
    /// One turn. The calling thread has the claim. `timeout`: ms, -1 for as long as it takes.
    pub fn turn(&self, driver: &dyn Driver, timeout: c_int) -> Result<(), Error> {
        // A turn that panicked has taken the buffer with it; then a new one is made.
        let buffer = self.with(Local::take_buffer).ok_or(Status::Internal)?;
        let mut buffer = buffer.ok_or(Status::NoMemory)?;
        let result = self.turn_with(driver, timeout, &mut buffer);
        self.with(|l| l.put_buffer(buffer));
        result
    }

    fn turn_with(
        &self,
        driver: &dyn Driver,
        timeout: c_int,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        self.with(|l| l.now = monotonic_ms());
        if self.remote.has_commands() {
            self.with(Local::take_commands);
            self.settle(driver);
        }
        driver.woken(self);
        let wait = self.with(|l| l.wait(timeout));
        let wait = wait.unwrap_or(0);
        let mut events = [Ready::NONE; BATCH];
        let count = self
            .remote
            .epoll()
            .wait(&mut events, wait)
            .map_err(|errno| Error::io(errno, format_args!("epoll_wait")))?;
        self.with(|l| l.now = monotonic_ms());
        for event in events.iter().take(count) {
            match event.token {
                WAKE => self.remote.event().clear(),
                ALARM => {}
                token if token < FIRST_ID => driver.ready(self, token),
                token => self.conn_ready(driver, ConnId(token), *event, buffer),
            }
        }
        if self.remote.has_commands() {
            self.with(Local::take_commands);
        }
        driver.woken(self);
        for id in self.with(Local::take_ready).unwrap_or_default() {
            self.read_on(driver, id, buffer);
        }
        while let Some(expired) = self.with(Local::next_expired).flatten() {
            match expired {
                Ok(id) => drop(self.with(|l| l.expire(id))),
                Err(key) => driver.timer(self, key),
            }
        }
        self.settle(driver);
        self.set_alarm();
        Ok(())
    }

    fn conn_ready(&self, driver: &dyn Driver, id: ConnId, event: Ready, buffer: &mut [u8]) {
        if event.writable() {
            match self.with(|l| l.connected(id)).flatten() {
                Some(true) => driver.connected(self, id),
                Some(false) => return,
                None => {}
            }
            self.with(|l| l.flush(id));
        }
        if event.readable() {
            self.read(driver, id, event.hung_up(), buffer);
        }
    }

    /// One read, and all that follows from it.
    fn read(&self, driver: &dyn Driver, id: ConnId, hung_up: bool, buffer: &mut [u8]) {
        let room = buffer.len().saturating_sub(1);
        let got = self.with(|l| l.receive(id, hung_up, buffer.get_mut(..room).unwrap_or_default()));
        if let Some(n) = got.flatten() {
            self.feed(driver, id, buffer, n);
        }
    }

    /// A connection that was left with more to read.
    fn read_on(&self, driver: &dyn Driver, id: ConnId, buffer: &mut [u8]) {
        let Some((mut stash, more)) = self.with(|l| l.resume(id)).flatten() else {
            return;
        };
        if !stash.is_empty() {
            let len = stash.len();
            stash.push(0);
            self.feed(driver, id, &mut stash, len);
        }
        if more {
            self.read(driver, id, false, buffer);
        }
    }

    /// Works off `len` bytes of input; behind them is room for a NUL.
    fn feed(&self, driver: &dyn Driver, id: ConnId, input: &mut [u8], len: usize) {
        let mut at = 0;
        loop {
            let before = at;
            let step = self.with(|l| l.step(id, input.get_mut(..len).unwrap_or_default(), &mut at));
            match step {
                None | Some(Step::Idle) => break,
                Some(Step::Event(Event::Failed(violation))) => {
                    let looked_at = input.get(before..len).unwrap_or_default();
                    driver.failed(self, id, looked_at);
                    self.failed(id, violation);
                }
                Some(Step::Event(event)) => self.event(driver, id, event, input),
                Some(Step::Head { peer, head }) => {
                    let after = driver.head(self, id, &peer, head);
                    self.after(id, peer, after);
                }
                Some(Step::BadHead { peer, error }) => {
                    let after = driver.bad_head(self, id, &peer, error);
                    self.after(id, peer, after);
                }
            }
        }
        self.with(|l| l.flush(id));
    }

    fn after(&self, id: ConnId, peer: Addr, after: After) {
        self.with(|l| match after {
            After::Opened => {}
            After::Next => {
                l.next_request(id, peer);
                l.flush(id);
            }
            After::Interim { until } => {
                l.next_request(id, peer);
                l.extend(id, until);
            }
            After::Last => l.last_response(id, peer),
            After::Drop(ending) => l.end(id, ending),
        });
    }

    fn event(&self, driver: &dyn Driver, id: ConnId, event: Event, input: &mut [u8]) {
        match event {
            Event::Message { kind, payload } => {
                self.counters().messages_received.add(1);
                with_nul(payload, input, |data| driver.message(self, id, kind, data));
            }
            Event::Piece {
                kind,
                range,
                offset,
                last,
            } => {
                if last {
                    self.counters().messages_received.add(1);
                }
                let data = input.get(range).unwrap_or(&[]);
                driver.piece(
                    self,
                    id,
                    &Piece {
                        kind,
                        data,
                        offset,
                        last,
                    },
                );
            }
            Event::Ping(_) => driver.ping(self, id),
            Event::Pong(payload) => {
                with_nul(payload, input, |data| {
                    driver.pong(self, id, data.split_last().map_or(&[], |(_, data)| data));
                });
            }
            Event::Closed => drop(self.with(|l| l.closing_done(id))),
            Event::Failed(violation) => self.failed(id, violation),
        }
    }

    fn failed(&self, id: ConnId, violation: Violation) {
        self.with(|l| {
            l.flush(id);
            l.end(id, Ending::from(violation));
        });
    }

    /// Flushes what was touched and tells what has ended; what that brings about, too.
    pub fn settle(&self, driver: &dyn Driver) {
        self.flush_all();
        for id in self.with(Local::take_writable).unwrap_or_default() {
            driver.writable(self, id);
        }
        self.flush_all();
        while let Some(id) = self.with(Local::next_ended).flatten() {
            self.tell_end(driver, id);
            self.flush_all();
        }
    }

    fn flush_all(&self) {
        self.with(|l| {
            while let Some(id) = l.next_dirty() {
                l.flush(id);
            }
        });
    }

    fn tell_end(&self, driver: &dyn Driver, id: ConnId) {
        let Some((opened, ending)) = self.with(|l| l.verdict(id)).flatten() else {
            return;
        };
        if opened {
            let info = self.with(|l| close_info(l, id, ending));
            if let Some(info) = info {
                driver.closed(self, id, &info);
            }
        } else {
            driver.broken(self, id, ending);
        }
        self.with(|l| l.dispose(id));
        driver.freed(self);
    }

    fn set_alarm(&self) {
        if self.has_alarm.load(Ordering::Acquire) {
            let due = self.with(|l| l.due()).flatten();
            if let Some(alarm) = &mut *self.alarm.lock() {
                alarm.set(due);
            }
        }
    }
}

fn close_info(local: &mut Local, id: ConnId, ending: Ending) -> CloseInfo {
    let mut info = CloseInfo {
        status: ending.status(),
        code: 1006,
        by_peer: matches!(ending, Ending::Lost | Ending::Io(_)),
        reason: Line::new(),
    };
    if let Some(connection) = local.connection(id) {
        let outcome = connection.outcome();
        if outcome.clean || outcome.violation.is_some() {
            info.code = outcome.code;
            info.by_peer = outcome.by_peer;
            info.reason = words(outcome.reason);
        }
    }
    match ending {
        Ending::Violation(violation) => {
            info.by_peer = false;
            info.code = violation.code;
            info.reason = words(violation.why);
        }
        Ending::Io(errno) => info.reason = Line::from(format_args!("{errno}")),
        Ending::Lost => info.reason = words(LOST),
        Ending::PongTimeout => info.reason = words(Timeout::PongMissing.why()),
        Ending::CloseTimeout => info.reason = words(Timeout::CloseTimedOut.why()),
        Ending::NoMemory => info.reason = words(Violation::NO_MEMORY.why),
        Ending::Abandoned => info.code = 1001,
        Ending::Clean | Ending::HandshakeTimeout => {}
    }
    info
}

fn words(text: &str) -> Line<128> {
    Line::from(format_args!("{text}"))
}

/// Hands on a payload with a NUL behind it. Inside the input the NUL covers the first byte of what
/// follows, which is put back afterwards.
fn with_nul(payload: Payload, input: &mut [u8], body: impl FnOnce(&[u8])) {
    match payload {
        Payload::Gathered(bytes) => body(&bytes),
        Payload::Input(range) => {
            let Some(covered) = input.get_mut(range.end) else {
                return;
            };
            let covered = core::mem::replace(covered, 0);
            body(input.get(range.start..=range.end).unwrap_or(&[0]));
            if let Some(place) = input.get_mut(range.end) {
                *place = covered;
            }
        }
    }
}
