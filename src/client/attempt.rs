//! One attempt to connect: the lookup, and TCP to the addresses, several at a time. What follows is
//! in `upgrade`; what follows when it fails, in `again`.
//!
//! ```text
//! Idle --> Resolving --> Racing --> Through --> Open --> Over
//!            |   ^         |           |         |        ^
//!            |   \--------------- Waiting <------/        |
//!            \-----------------------/--------------------/
//! ```

use super::backoff::{Backoff, Pace};
use super::race::{Next, Race};
use super::upgrade::Step;
use super::{Client, ProxyChoice};
use crate::engine::conn::Ending;
use crate::engine::Engine;
use crate::error::Status;
use crate::log;
use crate::net::conns::ConnId;
use crate::net::resolve::Lookup;
use crate::net::sys::memory::is_there;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::{monotonic_ms, Errno, Fd};
use crate::proto::cookie::Jar;
use crate::proto::proxy::Proxy;
use crate::proto::url::{ClientUrl, Host};
use crate::text::{c_string, Line, Say, Words};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

#[derive(Default)]
pub struct State {
    pub stage: Stage,
    /// Where a redirect has led to in this attempt.
    pub target: Option<Box<ClientUrl>>,
    pub redirects: u32,
    /// The lookup of this attempt, or of an earlier one that has not ended.
    lookup: Option<Lookup>,
    race: Race,
    /// Connections that have begun and are not established, the oldest first.
    flying: Vec<(ConnId, Addr)>,
    /// When this attempt is given up.
    pub deadline: u64,
    pub key: [u8; 16],
    /// What went wrong last in this attempt.
    pub failure: Option<Failure>,
    pub backoff: Backoff,
    pub opened_at: u64,
    pub jar: Jar,
}

#[derive(Default)]
pub enum Stage {
    /// Not begun.
    #[default]
    Idle,
    Resolving,
    Racing,
    /// TCP is established; proxy and server are talked to.
    Through {
        id: ConnId,
        addr: Addr,
        step: Step,
    },
    Open,
    /// Until the next attempt; the status is that of the last.
    Waiting(Status),
    /// Closed for good, with the status that ws_client_run() answers.
    Over(Status),
}

pub struct Failure {
    pub status: Status,
    pub text: Line<256>,
    pub pace: Pace,
    /// How long the server asks us to stay away, in ms.
    pub after: Option<u64>,
}

impl Failure {
    pub fn new(status: Status, text: Words<'_>) -> Failure {
        Failure {
            status,
            text: Line::from(text),
            pace: Pace::Normal,
            after: None,
        }
    }

    /// It will fail again unless somebody changes something.
    pub fn permanent(mut self, permanent: bool) -> Failure {
        if permanent {
            self.pace = Pace::Slow;
        }
        self
    }
}

/// Timer keys.
pub const ATTEMPT: u32 = 0;
pub const RECONNECT: u32 = 1;
const RACE: u32 = 2;
/// A close does not wait any longer for what is queued before it.
pub const CLOSE: u32 = 3;
/// More bytes than a lookup takes of this process's memory before its thread begins.
const LOOKUP: usize = 1024;
/// Connections under way at a time; with more addresses the oldest gives way.
const MAX_FLYING: usize = 8;

/// What TCP connects to.
enum Place {
    At(Addr),
    Name(CString, u16),
}

impl Client {
    pub(super) fn begin(&self, engine: &Engine) {
        self.http_status.store(0, Ordering::Relaxed);
        // Those of earlier attempts that linger, so that the server reads why they were left, have had their time: a race
        // takes many slots, and what they still send must not count as sent on the next connection.
        engine.with(|l| l.end_every());
        {
            let mut state = self.state.lock();
            state.deadline = monotonic_ms() + u64::from(self.config.connect_timeout);
            state.failure = None;
            state.target = None;
            state.redirects = 0;
        }
        self.reach(engine);
    }

    /// Where this attempt leads: the URL of the config, or where it was redirected to.
    pub(super) fn target<'a>(&'a self, state: &'a State) -> &'a ClientUrl {
        state.target.as_deref().unwrap_or(&self.config.url)
    }

    pub(super) fn proxy_for(&self, url: &ClientUrl) -> Option<&Proxy> {
        match &self.config.proxy {
            _ if url.unix.is_some() => None,
            ProxyChoice::None => None,
            ProxyChoice::Always(proxy) => Some(proxy),
            ProxyChoice::Environment(environment) => environment.proxy_for(url),
        }
    }

    /// Begins with the server of the target, or the proxy before it.
    pub(super) fn reach(&self, engine: &Engine) {
        let place = {
            let state = self.state.lock();
            let url = self.target(&state);
            log::debug(words!("connecting to {}", url.host_header()));
            self.place(url)
        };
        match place {
            None => self.attempt_failed(engine, no_memory()),
            Some(Place::At(addr)) => {
                let mut addrs = Vec::new();
                if addrs.try_reserve(1).is_ok() {
                    addrs.push(addr);
                }
                self.race(engine, addrs);
            }
            Some(Place::Name(name, port)) => self.look_up(engine, name, port),
        }
    }

    /// None: no memory.
    fn place(&self, url: &ClientUrl) -> Option<Place> {
        if let Some(path) = &url.unix {
            return Addr::unix(path.as_bytes()).map(Place::At);
        }
        let (host, port) = match self.proxy_for(url) {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&url.host, url.port),
        };
        Some(match host {
            Host::V4(ip) => Place::At(Addr::v4(*ip, port)),
            Host::V6(ip) => Place::At(Addr::v6(*ip, port)),
            Host::Name(_) if !is_there(LOOKUP) => return None,
            Host::Name(name) => Place::Name(c_string(name).ok()?, port),
        })
    }

    fn look_up(&self, engine: &Engine, name: CString, port: u16) {
        let mut state = self.state.lock();
        // One that was given up by an earlier attempt and goes on is as good as a new one.
        let under_way = state.lookup.as_ref();
        if !under_way.is_some_and(|lookup| lookup.is_under_way(&name, port)) {
            let remote = engine.remote().clone();
            let wake = Box::new(move || remote.wake());
            match self.lookups.start(name, port, wake) {
                Ok(lookup) => state.lookup = Some(lookup),
                Err(why) => {
                    drop(state);
                    let failure = self.dns_failure(&why);
                    return self.attempt_failed(engine, failure);
                }
            }
        }
        state.stage = Stage::Resolving;
        let deadline = state.deadline;
        engine.set_timer(ATTEMPT, Some(deadline));
    }

    /// Takes the answer of the lookup if it is there.
    pub(super) fn resolve(&self, engine: &Engine) {
        let answer = {
            let mut state = self.state.lock();
            let Some(answer) = state.lookup.as_ref().and_then(Lookup::take) else {
                return;
            };
            state.lookup = None;
            answer
        };
        engine.set_timer(ATTEMPT, None);
        match answer {
            Ok(addrs) => self.race(engine, addrs),
            Err(error) => {
                let why = error.0.to_str().unwrap_or("");
                let failure = self.dns_failure(&why);
                self.attempt_failed(engine, failure);
            }
        }
    }

    /// The lookup has used up the time.
    pub(super) fn lookup_too_slow(&self, engine: &Engine) {
        let ms = self.config.connect_timeout;
        let failure = self.dns_failure(&words!(
            "the resolver has not answered in time (connect_timeout_ms: {})",
            ms
        ));
        self.attempt_failed(engine, failure);
    }

    fn dns_failure(&self, why: &dyn Say) -> Failure {
        let state = self.state.lock();
        let url = self.target(&state);
        let host = url.host_text();
        match self.proxy_for(url) {
            Some(proxy) => Failure::new(
                Status::Dns,
                words!("dns: proxy {}: {}", proxy.host_text, why),
            ),
            None => Failure::new(Status::Dns, words!("dns: {}: {}", host, why)),
        }
    }

    fn race(&self, engine: &Engine, mut addrs: Vec<Addr>) {
        if let Some(source) = &self.config.source {
            let local = addrs.first().is_some_and(|a| a.family() == libc::AF_UNIX);
            addrs.retain(|addr| local || addr.family() == source.family());
        }
        {
            let mut state = self.state.lock();
            let now = monotonic_ms();
            state.race = Race::new(addrs, now, state.deadline);
            state.stage = Stage::Racing;
            if state.flying.try_reserve(MAX_FLYING).is_err() {
                state.race = Race::default();
            }
        }
        self.race_on(engine);
    }

    /// Begins with the addresses whose turn it is; fails the attempt when none is left.
    pub(super) fn race_on(&self, engine: &Engine) {
        loop {
            let now = monotonic_ms();
            let mut state = self.state.lock();
            if !matches!(state.stage, Stage::Racing) {
                return;
            }
            let flying = !state.flying.is_empty();
            match state.race.next(now, flying) {
                Next::Start(addr) => {
                    if state.flying.len() >= MAX_FLYING {
                        let (oldest, _) = state.flying.remove(0);
                        engine.end(oldest, Ending::Abandoned);
                    }
                    let deadline = state.deadline;
                    let begun = self.dial(&addr).and_then(|fd| {
                        let id = engine.with(|l| l.connecting(fd, &addr, deadline));
                        id.unwrap_or(Err(Errno(libc::EAGAIN)))
                            .map_err(|errno| ("connect", errno))
                    });
                    match begun {
                        Ok(id) => state.flying.push((id, addr)),
                        Err((what, errno)) => {
                            state.race.failed(now);
                            let text = words!("tcp: {} {}: {}", what, addr, errno);
                            state.failure = Some(Failure::new(Status::Io, text));
                        }
                    }
                }
                Next::At(at) => {
                    engine.set_timer(RACE, Some(at));
                    return;
                }
                Next::Nothing => {
                    engine.set_timer(RACE, None);
                    if flying {
                        return;
                    }
                    let failure = state.failure.take();
                    drop(state);
                    let failure = failure.unwrap_or_else(|| self.no_address());
                    return self.attempt_failed(engine, failure);
                }
            }
        }
    }

    fn no_address(&self) -> Failure {
        let (status, why) = match &self.config.source {
            Some(_) => (Status::Io, "no address of the family of source_address"),
            None => (Status::Timeout, "no time left to connect"),
        };
        Failure::new(status, words!("tcp: {}", why))
    }

    /// A socket that has begun to connect, or what could not be done.
    fn dial(&self, addr: &Addr) -> Result<Fd, (&'static str, Errno)> {
        let fd = socket::stream(addr).map_err(|errno| ("socket", errno))?;
        if addr.family() != libc::AF_UNIX {
            self.config.settings.prepare(&fd);
            if let Some(name) = &self.config.interface {
                socket::bind_to_interface(&fd, name).map_err(|errno| ("interface for", errno))?;
            }
            if let Some(source) = &self.config.source {
                socket::bind_source(&fd, source).map_err(|errno| ("source_address for", errno))?;
            }
        }
        socket::connect(&fd, addr).map_err(|errno| ("connect", errno))?;
        Ok(fd)
    }

    /// TCP is established to one of the addresses: the others are given up.
    pub(super) fn first_to_answer(&self, engine: &Engine, id: ConnId) {
        {
            let mut state = self.state.lock();
            let mine = state.flying.iter().find(|(flying, _)| *flying == id);
            let Some(&(_, addr)) = mine else {
                return;
            };
            while let Some((other, _)) = state.flying.pop() {
                if other != id {
                    engine.end(other, Ending::Abandoned);
                }
            }
            engine.set_timer(RACE, None);
            state.stage = Stage::Through {
                id,
                addr,
                step: Step::default(),
            };
        }
        self.established(engine, id);
    }

    /// The connection of an attempt has ended before it was open.
    pub(super) fn attempt_broken(&self, engine: &Engine, id: ConnId, ending: Ending) {
        let mut state = self.state.lock();
        match &state.stage {
            Stage::Racing => {
                let place = state.flying.iter().position(|(flying, _)| *flying == id);
                let Some(place) = place else { return };
                let (_, addr) = state.flying.remove(place);
                state.race.failed(monotonic_ms());
                state.failure = Some(match ending {
                    Ending::Io(errno) => {
                        Failure::new(Status::Io, words!("tcp: connect {}: {}", addr, errno))
                    }
                    Ending::NoMemory => no_memory(),
                    _ => Failure::new(Status::Timeout, words!("tcp: connect {}: timed out", addr)),
                });
                drop(state);
                self.race_on(engine);
            }
            Stage::Through {
                id: mine,
                addr,
                step,
            } if *mine == id => {
                let (addr, place) = (*addr, step.place());
                let known = state.failure.take();
                drop(state);
                let failure = match (ending, known) {
                    (Ending::Abandoned, Some(known)) => known,
                    _ => self.why_broken(engine, id, ending, place, &addr),
                };
                self.attempt_failed(engine, failure);
            }
            _ => {}
        }
    }

    /// What to say of a connection that ended before it was open, while it was at `place`.
    fn why_broken(
        &self,
        engine: &Engine,
        id: ConnId,
        ending: Ending,
        mut place: &'static str,
        addr: &Addr,
    ) -> Failure {
        let shaking = engine.with(|l| l.is_shaking(id)).unwrap_or(false);
        if shaking {
            place = "tls";
        }
        match ending {
            Ending::Io(errno) => Failure::new(Status::Io, words!("{}: {}: {}", place, addr, errno)),
            Ending::HandshakeTimeout => {
                let ms = self.config.connect_timeout;
                let why = words!("{}: no answer from {} within {} ms", place, addr, ms);
                Failure::new(Status::Timeout, why)
            }
            Ending::Tls => {
                let why = engine.with(|l| l.tls_failure(id)).flatten();
                let why = why.unwrap_or_default();
                Failure::new(Status::Tls, words!("tls: {}", why)).permanent(why.lasts())
            }
            Ending::NoMemory => no_memory(),
            _ => {
                let status = if shaking {
                    Status::Tls
                } else {
                    Status::Handshake
                };
                let why = words!("{}: {} ended the connection without an answer", place, addr);
                Failure::new(status, why)
            }
        }
    }

    pub(super) fn race_timer(&self, engine: &Engine, key: u32) {
        if key == RACE {
            self.race_on(engine);
        }
    }

    /// Ends what this attempt has begun. True: it had begun.
    pub(super) fn abandon(&self, engine: &Engine) -> bool {
        let mut state = self.state.lock();
        match &state.stage {
            Stage::Through { id, .. } => {
                let id = *id;
                engine.end(id, Ending::Abandoned);
            }
            Stage::Racing => {
                while let Some((id, _)) = state.flying.pop() {
                    engine.end(id, Ending::Abandoned);
                }
                engine.set_timer(RACE, None);
            }
            Stage::Resolving => {}
            _ => return false,
        }
        true
    }
}

pub fn no_memory() -> Failure {
    Failure::new(Status::NoMemory, words!("out of memory"))
}
