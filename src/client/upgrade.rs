//! What is said once TCP is established: connected -> [proxy] -> [tls] -> HTTP upgrade. A redirect
//! goes back to the beginning, within the time of the same attempt.

use super::attempt::{no_memory, Failure, Stage, State};
use super::backoff::Pace;
use super::Client;
use crate::engine::conn::Ending;
use crate::engine::{After, Engine};
use crate::error::Status;
use crate::log;
use crate::net::conns::ConnId;
use crate::net::sys::memory::try_box;
use crate::net::sys::monotonic_ms;
use crate::proto::handshake::{self, Answer, Offer};
use crate::proto::http::{append, cut_before, cut_line, date, number, Response};
use crate::proto::proxy::{Asked, Kind, Proxy, ProxyError, Socks};
use crate::proto::redirect::{follow, is_redirect, same_origin, url_of, Target};
use crate::proto::url::ClientUrl;
use crate::proto::OutOfMemory;
use crate::tls::Session;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// Who is being talked to.
#[derive(Default)]
pub enum Step {
    /// An HTTP proxy was asked for a tunnel.
    Connect(Asked),
    /// A SOCKS5 proxy is.
    Socks(Socks),
    /// The server was asked for the upgrade.
    #[default]
    Http,
}

impl Step {
    /// The first word of a failure.
    pub fn place(&self) -> &'static str {
        match self {
            Step::Connect(_) | Step::Socks(_) => "proxy",
            Step::Http => "http",
        }
    }
}

impl Client {
    /// TCP is there.
    pub(super) fn established(&self, engine: &Engine, id: ConnId) {
        let asked = {
            let mut state = self.state.lock();
            let proxy = self.proxy_for(self.target(&state));
            proxy.map(|proxy| self.ask_proxy(&mut state, proxy))
        };
        match asked {
            None => self.secure(engine, id, false),
            Some(Ok((out, raw))) => self.say(engine, id, &out, raw),
            Some(Err(OutOfMemory)) => engine.end(id, Ending::NoMemory),
        }
    }

    /// The first words to a proxy, and whether its answer is no HTTP.
    fn ask_proxy(&self, state: &mut State, proxy: &Proxy) -> Result<(Vec<u8>, bool), OutOfMemory> {
        let mut out = Vec::new();
        let next = match proxy.kind {
            Kind::Http => Step::Connect(proxy.write_connect(&mut out, self.target(state))?),
            Kind::Socks5 => Step::Socks(Socks::begin(proxy, &mut out)?),
        };
        let raw = matches!(next, Step::Socks(_));
        if let Stage::Through { step, .. } = &mut state.stage {
            *step = next;
        }
        Ok((out, raw))
    }

    /// Bytes of a SOCKS5 proxy.
    pub(super) fn proxy_says(&self, engine: &Engine, id: ConnId, input: &[u8], at: &mut usize) {
        let mut out = Vec::new();
        let done = {
            let mut state = self.state.lock();
            let State { stage, target, .. } = &mut *state;
            let url = target.as_deref().unwrap_or(&self.config.url);
            match (stage, self.proxy_for(url)) {
                (Stage::Through { step, .. }, Some(proxy)) => match step {
                    Step::Socks(socks) => {
                        let done = socks.feed(proxy, url, input, at, &mut out);
                        if done == Ok(true) {
                            *step = Step::Http;
                        }
                        done
                    }
                    _ => Ok(false),
                },
                _ => Ok(false),
            }
        };
        match done {
            Ok(false) => {
                *at = input.len();
                self.say(engine, id, &out, true);
            }
            Ok(true) => self.secure(engine, id, *at < input.len()),
            Err(error) => {
                *at = input.len();
                self.state.lock().failure = Some(refused_by_proxy(error, 0));
                engine.end(id, Ending::Abandoned);
            }
        }
    }

    /// The way to the server is open, directly or by a tunnel. With wss, TLS wraps the stream here; `more`: bytes have
    /// come through the tunnel already, which must not be taken for something that has come within TLS.
    fn secure(&self, engine: &Engine, id: ConnId, more: bool) {
        let session = {
            let state = self.state.lock();
            let url = self.target(&state);
            url.secure.then(|| match more {
                true => Err(Box::new(spoke_before_tls())),
                false => self.begin_tls(url),
            })
        };
        let begun = session.map_or(Ok(()), |session| {
            let session = session?;
            match engine.with(|l| l.secure(id, session)) {
                Some(Ok(())) => Ok(()),
                _ => Err(Box::new(no_memory())),
            }
        });
        match begun {
            Ok(()) => self.request(engine, id),
            Err(failure) => {
                self.state.lock().failure = Some(*failure);
                engine.end(id, Ending::Abandoned);
            }
        }
    }

    fn begin_tls(&self, url: &ClientUrl) -> Result<Session, Box<Failure>> {
        let failure = match &self.tls {
            Some(tls) => match tls.session(&url.host) {
                Ok(session) => return Ok(session),
                Err(why) => Failure::new(Status::Tls, words!("tls: {}", why)),
            },
            // A redirect has led here; the config has no such URL.
            None if cfg!(feature = "tls") => Failure::new(
                Status::Tls,
                words!("tls: no authorities to check {} with", url.host_text()),
            ),
            None => Failure::new(Status::Unsupported, words!("tls: this build has no TLS")),
        };
        Err(Box::new(failure.permanent(true)))
    }

    /// Asks for the upgrade.
    fn request(&self, engine: &Engine, id: ConnId) {
        let Some(Ok(key)) = engine.with(|l| l.random.take::<16>()) else {
            let text = words!("websocket: the kernel gives no random bytes");
            self.state.lock().failure = Some(Failure::new(Status::Io, text));
            engine.end(id, Ending::Abandoned);
            return;
        };
        let mut out = Vec::new();
        let written = {
            let mut state = self.state.lock();
            state.key = key;
            if let Stage::Through { step, .. } = &mut state.stage {
                *step = Step::Http;
            }
            self.write_request(&mut out, &state)
        };
        match written {
            Ok(()) => self.say(engine, id, &out, false),
            Err(OutOfMemory) => engine.end(id, Ending::NoMemory),
        }
    }

    fn write_request(&self, out: &mut Vec<u8>, state: &State) -> Result<(), OutOfMemory> {
        let url = self.target(state);
        let mut headers = Vec::new();
        self.write_headers(&mut headers, state, url)?;
        let offer = Offer {
            url,
            subprotocols: self.config.subprotocols.as_deref(),
            headers: core::str::from_utf8(&headers).ok(),
            deflate: self.config.settings.limits.deflate.as_ref(),
            key: state.key,
        };
        handshake::write_request(out, &offer)
    }

    /// The application's headers, token and cookies. What is secret goes to nobody else: after a
    /// redirect to another origin it stays behind.
    fn write_headers(
        &self,
        out: &mut Vec<u8>,
        state: &State,
        url: &ClientUrl,
    ) -> Result<(), OutOfMemory> {
        let trusted = same_origin(url, &self.config.url);
        let mut lines = self.config.headers.as_deref().unwrap_or_default();
        while !lines.is_empty() {
            let (line, more) = cut_line(lines);
            if trusted || !is_secret(line) {
                append(out, &[line.as_bytes(), b"\r\n"])?;
            }
            lines = more;
        }
        if let Some(token) = self.config.bearer.as_ref().filter(|_| trusted) {
            append(out, &[b"Authorization: Bearer ", token.as_bytes(), b"\r\n"])?;
        }
        let mut cookies = Vec::new();
        if let Some(own) = self.config.cookies.as_ref().filter(|_| trusted) {
            append(&mut cookies, &[own.as_bytes()])?;
        }
        state.jar.write(&mut cookies, url, monotonic_ms())?;
        if !cookies.is_empty() {
            append(out, &[b"Cookie: ", &cookies, b"\r\n"])?;
        }
        Ok(())
    }

    /// Sends bytes of a handshake; the answer has to come within the attempt's time.
    fn say(&self, engine: &Engine, id: ConnId, out: &[u8], raw: bool) {
        let deadline = self.state.lock().deadline;
        engine.with(|l| {
            l.set_raw(id, raw);
            l.extend(id, deadline);
            if !out.is_empty() && l.write(id, out).is_err() {
                l.end(id, Ending::NoMemory);
            }
        });
    }

    /// An answer of an HTTP proxy or of the server has come; `more`: and bytes behind it.
    pub(super) fn head_came(
        &self,
        engine: &Engine,
        id: ConnId,
        head: Vec<u8>,
        more: bool,
    ) -> After {
        let state = self.state.lock();
        let until = state.deadline;
        let Stage::Through {
            step: Step::Connect(asked),
            ..
        } = &state.stage
        else {
            drop(state);
            return self.response(engine, id, head, until);
        };
        let answer = match Response::parse(head) {
            Ok(response) if response.is_interim() => return After::Interim { until },
            Ok(response) => asked.answered(response.status()).map_err(|error| {
                let mut failure = refused_by_proxy(error, response.status());
                failure.after = retry_after(&response);
                failure
            }),
            Err(error) => Err(Failure::new(
                Status::Handshake,
                words!("proxy: {}", error.why),
            )),
        };
        drop(state);
        match answer {
            Ok(()) => {
                self.secure(engine, id, more);
                After::Interim { until }
            }
            Err(failure) => self.refuse(failure),
        }
    }

    /// The server's answer has come.
    fn response(&self, engine: &Engine, id: ConnId, head: Vec<u8>, until: u64) -> After {
        let mut hints = Hints::default();
        let mut copy = Vec::new();
        if append(&mut copy, &[&head]).is_ok() {
            if let Ok(response) = Response::parse(copy) {
                hints = self.read_hints(&response);
            }
        }
        let key = self.state.lock().key;
        let offered = self.config.subprotocols.as_deref();
        let wanted = self.config.settings.limits.deflate.as_ref();
        let (subprotocol, deflate) = match handshake::read_response(head, &key, offered, wanted) {
            Ok(Answer::Interim) => return After::Interim { until },
            Ok(Answer::Agreed {
                subprotocol,
                deflate,
            }) => (subprotocol, deflate),
            Err(error) => {
                let status = error.status;
                self.http_status.store(i32::from(status), Ordering::Relaxed);
                let mut why = error.why;
                match hints.target {
                    Some(Ok(target)) => return self.redirected(engine, target),
                    Some(Err(wrong)) => why = wrong,
                    None => {}
                }
                let mut failure = match status {
                    0 | 101 => Failure::new(Status::Handshake, words!("http: {}", why)),
                    _ => Failure::new(Status::Handshake, words!("http: {}: {}", status, why)),
                };
                if matches!(status, 401 | 403 | 407 | 410) {
                    failure.pace = Pace::Slow;
                }
                failure.after = hints.after;
                return self.refuse(failure);
            }
        };
        self.http_status.store(101, Ordering::Relaxed);
        *self.subprotocol.lock() = subprotocol;
        if !matches!(engine.with(|l| l.open(id, deflate)), Some(Ok(()))) {
            return After::Drop(Ending::NoMemory);
        }
        {
            let mut state = self.state.lock();
            state.stage = Stage::Open;
            state.opened_at = monotonic_ms();
            log::info(words!("connected to {}", self.target(&state).host_header()));
        }
        self.outgoing.set_opening(true);
        self.current.store(id.0, Ordering::Release);
        self.handler.open();
        self.outgoing.set_opening(false);
        // After what on_open has sent, a login as a rule.
        self.pump(super::outgoing::WINDOW);
        After::Opened
    }

    /// What an answer says besides yes or no.
    fn read_hints(&self, response: &Response) -> Hints {
        let mut state = self.state.lock();
        let State {
            jar,
            target,
            redirects,
            ..
        } = &mut *state;
        let url = target.as_deref().unwrap_or(&self.config.url);
        if self.config.keep_cookies && !response.is_interim() {
            let now = monotonic_ms();
            let today = response.header(b"date").and_then(|d| date(d.to_bytes()));
            for header in response.headers(b"set-cookie") {
                jar.set(url, header, now, today);
            }
        }
        let follows = self.config.max_redirects > 0 && is_redirect(response.status());
        let target = follows.then(|| match response.header(b"location") {
            None => Err("a redirect without Location"),
            Some(_) if *redirects >= self.config.max_redirects => {
                Err("more redirects than max_redirects")
            }
            Some(location) => follow(&self.config.url, url, location.to_bytes()),
        });
        Hints {
            target,
            after: retry_after(response),
        }
    }

    fn redirected(&self, engine: &Engine, target: Target) -> After {
        let Ok(target) = try_box(url_of(target)) else {
            return self.refuse(no_memory());
        };
        {
            let mut state = self.state.lock();
            log::info(words!("redirected to {}", target.host_header()));
            state.redirects += 1;
            state.target = Some(target);
            state.stage = Stage::Idle;
        }
        self.reach(engine);
        // Of the connection nobody wants to know any more.
        After::Drop(Ending::Abandoned)
    }

    /// Something that is no HTTP answer has come.
    pub(super) fn bad_answer(&self, why: &'static str) -> After {
        let place = match &self.state.lock().stage {
            Stage::Through { step, .. } => step.place(),
            _ => "http",
        };
        self.refuse(Failure::new(
            Status::Handshake,
            words!("{}: {}", place, why),
        ))
    }

    fn refuse(&self, failure: Failure) -> After {
        self.state.lock().failure = Some(failure);
        After::Drop(Ending::Abandoned)
    }
}

#[derive(Default)]
struct Hints {
    /// Where a redirect that is to be followed leads, or why it is not.
    target: Option<Result<Target, &'static str>>,
    after: Option<u64>,
}

fn refused_by_proxy(error: ProxyError, status: u16) -> Failure {
    let why = error.why;
    let failure = match status {
        0 => Failure::new(Status::Handshake, words!("proxy: {}", why)),
        _ => Failure::new(Status::Handshake, words!("proxy: {}: {}", status, why)),
    };
    failure.permanent(error.permanent)
}

fn spoke_before_tls() -> Failure {
    let text = words!("proxy: bytes behind its answer, where TLS was to begin");
    Failure::new(Status::Handshake, text)
}

/// RFC 9110 10.2.3: seconds, or a date, which is compared with the date of the answer itself. Ms.
fn retry_after(response: &Response) -> Option<u64> {
    let value = response.header(b"retry-after")?.to_bytes();
    let seconds = number(value).or_else(|| {
        let today = date(response.header(b"date")?.to_bytes())?;
        Some(date(value)?.saturating_sub(today))
    });
    seconds.map(|s| s.saturating_mul(1000))
}

/// A header line that tells who we are.
fn is_secret(line: &str) -> bool {
    let (name, _) = cut_before(line, b":");
    ["Authorization", "Cookie", "Proxy-Authorization"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}
