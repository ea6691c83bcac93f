//! What follows when an attempt fails or a connection ends: another attempt, or none. And what the
//! application can say about it at any time, from any thread.

use super::attempt::{Failure, Stage, ATTEMPT, CLOSE, RECONNECT};
use super::backoff::Pace;
use super::{Client, ErrorText, Reconnect};
use crate::engine::{CloseInfo, Engine};
use crate::error::{Error, Status};
use crate::log;
use crate::net::sys::monotonic_ms;
use crate::text::Line;
use core::sync::atomic::{AtomicBool, Ordering};

/// A connection that lasted that long, in ms, ends the row of failures.
const STABLE: u64 = 5000;

/// What other threads have said; the loop looks at it in every turn.
#[derive(Default)]
pub struct Controls {
    /// The application closes for good: no further attempt.
    giving_up: AtomicBool,
    /// No attempt after this one or this connection.
    forbidden: AtomicBool,
    /// The next attempt is to begin now.
    hurry: AtomicBool,
    pub running: AtomicBool,
}

impl Controls {
    /// True: it was so already.
    pub fn give_up(&self) -> bool {
        self.giving_up.swap(true, Ordering::AcqRel)
    }

    pub fn go_on(&self) {
        self.giving_up.store(false, Ordering::Release);
    }

    pub fn is_giving_up(&self) -> bool {
        self.giving_up.load(Ordering::Acquire)
    }

    fn is_forbidden(&self) -> bool {
        self.forbidden.load(Ordering::Acquire)
    }
}

/// What a turn has to look after.
enum Due {
    Nothing,
    Begin,
    Resolve,
    /// The last failure.
    Wait(Status),
    Pump,
}

impl Due {
    fn at(stage: &Stage) -> Due {
        match *stage {
            Stage::Idle => Due::Begin,
            Stage::Resolving => Due::Resolve,
            Stage::Waiting(status) => Due::Wait(status),
            Stage::Open => Due::Pump,
            _ => Due::Nothing,
        }
    }
}

/// The end of an attempt or of a connection.
struct End {
    status: Status,
    code: u16,
    pace: Pace,
    after: Option<u64>,
    reason: ErrorText,
}

impl Client {
    /// Ends the wait before the next attempt.
    pub fn reconnect_now(&self) -> Result<(), Error> {
        let over = matches!(self.state.lock().stage, Stage::Over(_));
        if over || self.controls.is_giving_up() {
            return Err(Status::Closed.into());
        }
        self.controls.hurry.store(true, Ordering::Release);
        self.engine.remote().wake();
        Ok(())
    }

    pub fn allow_reconnect(&self, allowed: bool) -> Result<(), Error> {
        if self.config.reconnect.is_none() {
            return Err(Status::InvalidArg.because(words!("reconnect_min_ms is not set")));
        }
        self.controls.forbidden.store(!allowed, Ordering::Release);
        self.engine.remote().wake();
        Ok(())
    }

    /// Called twice in every turn: does what was asked for, and takes the lookup's answer.
    pub(super) fn go_on(&self, engine: &Engine) {
        if self.controls.is_giving_up() {
            return self.give_up(engine);
        }
        let hurry = self.controls.hurry.swap(false, Ordering::AcqRel);
        // The lock is given back here: what follows calls the application.
        let due = Due::at(&self.state.lock().stage);
        match due {
            Due::Nothing => {}
            Due::Begin => self.begin(engine),
            Due::Resolve => self.resolve(engine),
            Due::Wait(status) if self.controls.is_forbidden() => {
                engine.set_timer(RECONNECT, None);
                self.over(status);
            }
            Due::Wait(_) if hurry => {
                engine.set_timer(RECONNECT, None);
                self.begin(engine);
            }
            Due::Wait(_) | Due::Pump => self.pump_if_asked(),
        }
    }

    pub(super) fn time_is_up(&self, engine: &Engine, key: u32) {
        let (waiting, resolving) = {
            let stage = &self.state.lock().stage;
            (
                matches!(stage, Stage::Waiting(_)),
                matches!(stage, Stage::Resolving),
            )
        };
        match key {
            RECONNECT if waiting => self.begin(engine),
            CLOSE => self.close_if_asked(engine),
            ATTEMPT if resolving => self.lookup_too_slow(engine),
            key => self.race_timer(engine, key),
        }
    }

    pub(super) fn attempt_failed(&self, engine: &Engine, failure: Failure) {
        engine.counters().handshakes_failed.add(1);
        engine.set_timer(ATTEMPT, None);
        log::info(&failure.text);
        *self.error.lock() = failure.text.clone();
        let info = CloseInfo {
            status: failure.status,
            code: 1006,
            by_peer: false,
            reason: Line::from(&failure.text),
        };
        self.state.lock().stage = Stage::Waiting(failure.status);
        self.handler.closed(&info);
        self.ended(
            engine,
            End {
                status: failure.status,
                code: info.code,
                pace: failure.pace,
                after: failure.after,
                reason: failure.text,
            },
        );
    }

    /// A connection that was open has ended.
    pub(super) fn connection_ended(&self, engine: &Engine, info: &CloseInfo) {
        self.outgoing_lost();
        self.current.store(0, Ordering::Release);
        let reason = info.reason.as_bytes();
        let place = match info.status {
            Status::Tls => "tls",
            _ => "websocket",
        };
        let text = match (reason, info.code) {
            (b"", code) => Line::from(words!("{}: closed with code {}", place, code)),
            (reason, _) => Line::from(words!("{}: {}", place, reason)),
        };
        log::info(words!("connection closed: {} {}", info.code, reason));
        if info.status != Status::Ok {
            *self.error.lock() = text.clone();
        }
        {
            let mut state = self.state.lock();
            if monotonic_ms().saturating_sub(state.opened_at) >= STABLE {
                state.backoff.reset();
            }
            state.stage = Stage::Waiting(info.status);
        }
        self.handler.closed(info);
        self.ended(
            engine,
            End {
                status: info.status,
                code: info.code,
                pace: match info.code {
                    1012 if info.by_peer => Pace::Restart,
                    1013 if info.by_peer => Pace::Busy,
                    _ => Pace::Normal,
                },
                after: None,
                reason: text,
            },
        );
    }

    /// The application knows of the end: again, or over.
    fn ended(&self, engine: &Engine, end: End) {
        let done = self.controls.is_giving_up()
            || self.controls.is_forbidden()
            || engine.remote().is_stopped();
        let Some(bounds) = self.config.reconnect.filter(|_| !done) else {
            return self.over(end.status);
        };
        let random = engine.with(|l| l.random.take::<8>());
        let random = random.and_then(Result::ok).map_or(0, u64::from_ne_bytes);
        let (attempt, delay) = {
            let mut state = self.state.lock();
            state.stage = Stage::Waiting(end.status);
            state.backoff.fail(bounds, end.pace, end.after, random)
        };
        log::info(words!("connecting again in {} ms", delay as usize));
        engine.set_timer(RECONNECT, Some(monotonic_ms() + delay));
        self.handler.reconnecting(&Reconnect {
            attempt,
            delay,
            status: end.status,
            http_status: self.http_status(),
            code: end.code,
            permanent: end.pace == Pace::Slow,
            reason: end.reason,
        });
    }

    /// No further attempt comes.
    fn over(&self, status: Status) {
        self.state.lock().stage = Stage::Over(status);
        self.drop_outgoing();
    }

    /// The application has closed: what is under way ends.
    fn give_up(&self, engine: &Engine) {
        let stage_is = {
            let state = self.state.lock();
            match &state.stage {
                Stage::Open => Some(true),
                Stage::Idle | Stage::Waiting(_) => Some(false),
                Stage::Over(_) => return,
                _ => None,
            }
        };
        match stage_is {
            Some(true) => self.close_if_asked(engine),
            Some(false) => {
                engine.set_timer(RECONNECT, None);
                self.over(Status::Ok);
            }
            None if self.abandon(engine) => {
                let text = words!("tcp: given up by ws_client_close() or ws_client_free()");
                self.attempt_failed(engine, Failure::new(Status::Closed, text));
            }
            None => {}
        }
    }
}
