//! One attempt to connect: lookup, TCP to each address in turn, the upgrade; and what follows
//! when it fails or when the connection is lost.
//!
//! ```text
//! Idle --> Resolving --> Connecting --> Open --> Over
//!            |   ^           |           |        ^
//!            |   \-------- Waiting <-----/        |
//!            \---------------/--------------------/
//! ```

use super::Client;
use crate::engine::conn::Ending;
use crate::engine::{After, CloseInfo, Engine};
use crate::error::Status;
use crate::log;
use crate::net::conns::ConnId;
use crate::net::resolve::Lookup;
use crate::net::sys::monotonic_ms;
use crate::net::sys::socket::Addr;
use crate::proto::handshake::{self, Answer, Offer};
use crate::proto::url::Host;
use crate::text::Line;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

#[derive(Default)]
pub struct State {
    pub stage: Stage,
    /// Addresses not tried yet, the next one last.
    addrs: Vec<Addr>,
    /// When this attempt is given up.
    deadline: u64,
    key: [u8; 16],
    /// What went wrong last in this attempt.
    pub failure: Option<Failure>,
    /// Attempts in a row without a stable connection.
    failures: u32,
    opened_at: u64,
}

#[derive(Default)]
pub enum Stage {
    /// Not begun.
    #[default]
    Idle,
    Resolving(Lookup),
    Connecting {
        id: ConnId,
        addr: Addr,
        /// TCP is established, HTTP is under way.
        established: bool,
    },
    Open,
    /// Until the next attempt.
    Waiting,
    /// Closed for good, with the status that ws_client_run() answers.
    Over(Status),
}

#[derive(Clone)]
pub struct Failure {
    pub status: Status,
    pub text: Line<256>,
}

impl Failure {
    pub fn new(status: Status, text: fmt::Arguments<'_>) -> Failure {
        Failure {
            status,
            text: Line::from(text),
        }
    }
}

/// Timer keys.
const ATTEMPT: u32 = 0;
const RECONNECT: u32 = 1;
/// A connection that lasted that long, in ms, ends the row of failures.
const STABLE: u64 = 5000;

impl Client {
    /// Called in every turn: begins, takes the lookup's answer, or gives up if told to.
    pub(super) fn go_on(&self, engine: &Engine) {
        if self.giving_up.load(Ordering::Acquire) {
            return self.give_up(engine);
        }
        let mut state = self.state.lock();
        match &state.stage {
            Stage::Idle => {
                drop(state);
                self.begin(engine);
            }
            Stage::Resolving(lookup) => {
                let Some(answer) = lookup.take() else { return };
                match answer {
                    Ok(mut addrs) => {
                        addrs.reverse();
                        state.addrs = addrs;
                        drop(state);
                        self.connect_next(engine);
                    }
                    Err(error) => {
                        drop(state);
                        let why = error.0.to_str().unwrap_or("");
                        let host = self.config.url.host_header();
                        self.attempt_failed(
                            engine,
                            Failure::new(Status::Dns, format_args!("dns: {host}: {why}")),
                        );
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn time_is_up(&self, engine: &Engine, key: u32) {
        if key == RECONNECT {
            let waiting = matches!(self.state.lock().stage, Stage::Waiting);
            if waiting {
                self.begin(engine);
            }
            return;
        }
        let resolving = matches!(self.state.lock().stage, Stage::Resolving(_));
        if resolving {
            let (host, ms) = (self.config.url.host_header(), self.config.connect_timeout);
            self.attempt_failed(
                engine,
                Failure::new(
                    Status::Timeout,
                    format_args!("dns: no answer for {host} within {ms} ms"),
                ),
            );
        }
    }

    fn begin(&self, engine: &Engine) {
        let url = &self.config.url;
        let now = monotonic_ms();
        let deadline = now + u64::from(self.config.connect_timeout);
        self.http_status.store(0, Ordering::Relaxed);
        {
            let mut state = self.state.lock();
            state.deadline = deadline;
            state.failure = None;
            state.addrs.clear();
        }
        log::debug(format_args!("connecting to {}", url.host_header()));
        let numeric = match &url.host {
            Host::V4(ip) => Some(Addr::v4(*ip, url.port)),
            Host::V6(ip) => Some(Addr::v6(*ip, url.port)),
            Host::Name(_) => None,
        };
        if let Some(addr) = numeric {
            if self.state.lock().addrs.try_reserve(1).is_ok() {
                self.state.lock().addrs.push(addr);
            }
            return self.connect_next(engine);
        }
        let remote = engine.remote().clone();
        let Host::Name(name) = &url.host else { return };
        let host = CString::new(name.as_bytes()).unwrap_or_default();
        match Lookup::start(host, url.port, Box::new(move || remote.wake())) {
            Ok(lookup) => {
                self.state.lock().stage = Stage::Resolving(lookup);
                engine.with(|l| l.set_timer(ATTEMPT, Some(deadline)));
            }
            Err(errno) => {
                self.attempt_failed(
                    engine,
                    Failure::new(
                        Status::Io,
                        format_args!("dns: no thread for the lookup: {errno}"),
                    ),
                );
            }
        }
    }

    /// Tries the next address; fails the attempt when there is none.
    fn connect_next(&self, engine: &Engine) {
        engine.with(|l| l.set_timer(ATTEMPT, None));
        loop {
            let now = monotonic_ms();
            let mut state = self.state.lock();
            let left = state.addrs.len() as u64;
            let Some(addr) = state.addrs.pop().filter(|_| now < state.deadline) else {
                let failure = state.failure.take();
                drop(state);
                let failure = failure.unwrap_or_else(|| {
                    Failure::new(
                        Status::Timeout,
                        format_args!("tcp: no time left to connect"),
                    )
                });
                return self.attempt_failed(engine, failure);
            };
            // One that does not answer leaves time for those after it.
            let until = now + ((state.deadline - now) / left).max(1);
            match engine.with(|l| l.connect(&addr, until)) {
                Some(Ok(id)) => {
                    state.stage = Stage::Connecting {
                        id,
                        addr,
                        established: false,
                    };
                    return;
                }
                Some(Err(errno)) => {
                    state.failure = Some(Failure::new(
                        Status::Io,
                        format_args!("tcp: connect {addr}: {errno}"),
                    ));
                }
                None => return,
            }
        }
    }

    /// TCP is there: asks for the upgrade.
    pub(super) fn request(&self, engine: &Engine, id: ConnId) {
        let key = engine.with(|l| l.random.take::<16>());
        let Some(Ok(key)) = key else {
            self.state.lock().failure = Some(Failure::new(
                Status::Io,
                format_args!("websocket: the kernel gives no random bytes"),
            ));
            engine.with(|l| l.end(id, Ending::Abandoned));
            return;
        };
        let deadline = {
            let mut state = self.state.lock();
            state.key = key;
            if let Stage::Connecting { established, .. } = &mut state.stage {
                *established = true;
            }
            state.deadline
        };
        let offer = Offer {
            url: &self.config.url,
            subprotocols: self.config.subprotocols.as_deref(),
            headers: self.config.headers.as_deref(),
            key,
        };
        let mut out = Vec::new();
        let written = handshake::write_request(&mut out, &offer).is_ok();
        engine.with(|l| {
            l.extend(id, deadline);
            if !written || l.write(id, &out).is_err() {
                l.end(id, Ending::NoMemory);
            }
        });
    }

    /// The server's answer has come.
    pub(super) fn response(&self, engine: &Engine, id: ConnId, head: Vec<u8>) -> After {
        let refused = |status: u16, why: &str| {
            let text = match status {
                0 | 101 => Failure::new(Status::Handshake, format_args!("http: {why}")),
                _ => Failure::new(Status::Handshake, format_args!("http: {status}: {why}")),
            };
            self.state.lock().failure = Some(text);
            After::Drop(Ending::Abandoned)
        };
        let (key, until) = {
            let state = self.state.lock();
            (state.key, state.deadline)
        };
        let offered = self.config.subprotocols.as_deref();
        let answer = handshake::read_response(head, &key, offered);
        let (status, subprotocol) = match answer {
            Ok(Answer::Interim) => return After::Interim { until },
            Ok(Answer::Agreed(subprotocol)) => (101, subprotocol),
            Err(error) => {
                self.http_status
                    .store(i32::from(error.status), Ordering::Relaxed);
                return refused(error.status, error.why);
            }
        };
        self.http_status.store(status, Ordering::Relaxed);
        *self.subprotocol.lock() = subprotocol;
        if !matches!(engine.with(|l| l.open(id)), Some(Ok(()))) {
            return After::Drop(Ending::NoMemory);
        }
        {
            let mut state = self.state.lock();
            state.stage = Stage::Open;
            state.opened_at = monotonic_ms();
        }
        self.current.store(id.0, Ordering::Release);
        log::info(format_args!(
            "connected to {}",
            self.config.url.host_header()
        ));
        self.handler.open();
        After::Opened
    }

    /// The connection of an attempt has ended before it was open.
    pub(super) fn attempt_broken(&self, engine: &Engine, id: ConnId, ending: Ending) {
        let mut state = self.state.lock();
        let Stage::Connecting {
            id: mine,
            addr,
            established,
        } = &state.stage
        else {
            return;
        };
        if *mine != id {
            return;
        }
        let (addr, established) = (*addr, *established);
        let ms = self.config.connect_timeout;
        let failure = match (ending, established) {
            (Ending::Abandoned, _) => state.failure.take().unwrap_or_else(|| {
                Failure::new(
                    Status::Closed,
                    format_args!("tcp: given up by ws_client_close()"),
                )
            }),
            (Ending::Io(errno), false) => {
                Failure::new(Status::Io, format_args!("tcp: connect {addr}: {errno}"))
            }
            (Ending::Io(errno), true) => {
                Failure::new(Status::Io, format_args!("http: {addr}: {errno}"))
            }
            (Ending::HandshakeTimeout, false) => Failure::new(
                Status::Timeout,
                format_args!("tcp: connect {addr}: timed out"),
            ),
            (Ending::HandshakeTimeout, true) => Failure::new(
                Status::Timeout,
                format_args!("http: no answer from {addr} within {ms} ms"),
            ),
            (Ending::NoMemory, _) => Failure::new(Status::NoMemory, format_args!("out of memory")),
            _ => Failure::new(
                Status::Handshake,
                format_args!("http: {addr} ended the connection without an answer"),
            ),
        };
        let given_up = self.giving_up.load(Ordering::Acquire);
        if established || given_up || state.addrs.is_empty() {
            drop(state);
            return self.attempt_failed(engine, failure);
        }
        log::debug(format_args!(
            "{addr}: {:?}, trying the next address",
            failure.status
        ));
        state.failure = Some(failure);
        drop(state);
        self.connect_next(engine);
    }

    fn attempt_failed(&self, engine: &Engine, failure: Failure) {
        engine.counters().handshakes_failed.add(1);
        engine.with(|l| l.set_timer(ATTEMPT, None));
        let text = core::str::from_utf8(failure.text.as_bytes()).unwrap_or("");
        log::info(format_args!("{text}"));
        *self.error.lock() = failure.text.clone();
        let info = CloseInfo {
            status: failure.status,
            code: 1006,
            by_peer: false,
            reason: Line::from(format_args!("{text}")),
        };
        self.state.lock().stage = Stage::Waiting;
        self.handler.closed(&info);
        self.ended(engine, failure.status);
    }

    /// A connection or an attempt has ended and the application knows: again, or over.
    pub(super) fn ended(&self, engine: &Engine, status: Status) {
        let mut state = self.state.lock();
        let lasted = monotonic_ms().saturating_sub(state.opened_at);
        if matches!(state.stage, Stage::Open) && lasted >= STABLE {
            state.failures = 0;
        }
        let again = self
            .config
            .reconnect
            .filter(|_| !self.giving_up.load(Ordering::Acquire) && !engine.remote().is_stopped());
        let Some((min, max)) = again else {
            state.stage = Stage::Over(status);
            return;
        };
        state.failures = state.failures.saturating_add(1);
        let ceiling = u64::from(min) << state.failures.min(32);
        let ceiling = ceiling.min(u64::from(max.max(min)));
        let spread = ceiling - u64::from(min) + 1;
        let random = engine.with(|l| l.random.take::<8>());
        let random = random.and_then(Result::ok).map_or(0, u64::from_ne_bytes);
        let delay = u64::from(min) + random % spread;
        log::info(format_args!("connecting again in {delay} ms"));
        state.stage = Stage::Waiting;
        engine.with(|l| l.set_timer(RECONNECT, Some(monotonic_ms() + delay)));
    }

    /// The application has closed before the connection was open, or while it waits.
    fn give_up(&self, engine: &Engine) {
        let mut state = self.state.lock();
        match &state.stage {
            Stage::Connecting { id, .. } => {
                let id = *id;
                drop(state);
                engine.with(|l| l.end(id, Ending::Abandoned));
            }
            Stage::Resolving(_) => {
                drop(state);
                self.attempt_failed(
                    engine,
                    Failure::new(
                        Status::Closed,
                        format_args!("dns: given up by ws_client_close()"),
                    ),
                );
            }
            Stage::Idle | Stage::Waiting => {
                state.stage = Stage::Over(Status::Ok);
                drop(state);
                engine.with(|l| l.set_timer(RECONNECT, None));
            }
            Stage::Open | Stage::Over(_) => {}
        }
    }
}
