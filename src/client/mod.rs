//! The client: one connection at a time, from the name lookup to the closing handshake, made again
//! when it is lost if so configured. Where it connects to is in [`attempt`], what is said there
//! before the WebSocket is open in [`upgrade`], when it connects again in [`again`], and the
//! messages that outlive a connection in [`outgoing`].

mod again;
mod attempt;
pub mod backoff;
mod life;
mod outgoing;
pub mod queue;
pub mod race;
mod upgrade;

use crate::engine::conn::Ending;
use crate::engine::stats::Stats;
use crate::engine::{After, CloseInfo, Driver, Engine, Part, Piece, Settings};
use crate::error::{Error, Status};
use crate::net::conns::ConnId;
use crate::net::resolve::Lookups;
use crate::net::sys::socket::Addr;
use crate::net::sys::thread::{Mutex, Thread};
use crate::proto::deflate::Agreed;
use crate::proto::frame::Kind;
use crate::proto::http::HttpError;
use crate::proto::proxy::{Environment, Proxy};
use crate::proto::url::ClientUrl;
use crate::server::{checked_close, in_between};
use crate::text::Line;
use crate::tls::{ClientSource, ClientTls};
use again::Controls;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use attempt::{Stage, State};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use outgoing::Outgoing;

/// What a client is made with; see `ws_client_config` for the meaning of each. Times in ms.
pub struct Config {
    pub settings: Settings,
    pub url: ClientUrl,
    pub subprotocols: Option<String>,
    pub headers: Option<String>,
    pub bearer: Option<String>,
    pub cookies: Option<String>,
    /// Cookies that the server sets go back to it.
    pub keep_cookies: bool,
    pub max_redirects: u32,
    pub proxy: ProxyChoice,
    pub interface: Option<CString>,
    pub source: Option<Addr>,
    pub connect_timeout: u32,
    /// The shortest and the longest wait before connecting again; None: never.
    pub reconnect: Option<(u32, u32)>,
    pub queue: queue::Bounds,
    /// What wss:// is checked with.
    pub tls: ClientSource,
}

pub enum ProxyChoice {
    None,
    Always(Proxy),
    Environment(Box<Environment>),
}

/// The application. Called on the loop's thread with nothing borrowed: it may call the client.
pub trait Handler: Send + Sync {
    fn open(&self);
    /// `data` ends with a NUL that does not count.
    fn message(&self, kind: Kind, data: &[u8]);
    fn piece(&self, piece: &Piece<'_>);
    fn writable(&self);
    fn pong(&self, data: &[u8]);
    fn closed(&self, info: &CloseInfo);
    fn reconnecting(&self, info: &Reconnect);
    /// What became of a message of the queue.
    fn sent(&self, number: u64, status: Status);
}

/// An attempt that is going to be made.
pub struct Reconnect {
    /// 1 after the first failure; counted since the last stable connection.
    pub attempt: u32,
    pub delay: u64,
    /// Of the failure or the end that it follows.
    pub status: Status,
    pub http_status: i32,
    pub code: u16,
    /// It will fail again unless something is changed.
    pub permanent: bool,
    pub reason: ErrorText,
}

/// The words for the last failure, kept at one address for C to read.
pub type ErrorText = Line<256>;

pub struct Client {
    config: Config,
    /// There if the URL is a wss:// one.
    tls: Option<ClientTls>,
    handler: Box<dyn Handler>,
    engine: Engine,
    /// Locked for moments only, by the loop's thread as a rule.
    state: Mutex<State>,
    lookups: Lookups,
    /// The open connection, 0 if there is none.
    current: AtomicU64,
    controls: Controls,
    outgoing: Outgoing,
    /// The connection on which a message in pieces is under way.
    in_pieces: Mutex<Option<ConnId>>,
    http_status: AtomicI32,
    error: Mutex<ErrorText>,
    subprotocol: Mutex<Option<CString>>,
    thread: Mutex<Option<Thread>>,
}

/// Slots: connections that race for the first answer, the one that has won, and earlier ones that
/// linger.
pub const SLOTS: usize = 16;

impl Client {
    pub fn new(config: Config, handler: Box<dyn Handler>) -> Result<Client, Error> {
        let tls = match config.url.secure {
            true => Some(ClientTls::load(&config.tls, Some(&config.url.host))?),
            false if config.max_redirects > 0 => ClientTls::for_redirects(&config.tls)?,
            false => None,
        };
        let engine = Engine::new(0, config.settings)?;
        // A foreign loop that watches the fd finds it readable, polls, and so begins to connect.
        engine.remote().wake();
        Ok(Client {
            outgoing: Outgoing::new(config.queue),
            in_pieces: Mutex::new(None),
            config,
            tls,
            handler,
            engine,
            state: Mutex::new(State::default()),
            lookups: Lookups::default(),
            current: AtomicU64::new(0),
            controls: Controls::default(),
            http_status: AtomicI32::new(0),
            error: Mutex::new(Line::new()),
            subprotocol: Mutex::new(None),
            thread: Mutex::new(None),
        })
    }

    /// `plain`: it is not compressed.
    pub fn send(&self, kind: Kind, data: &[u8], plain: bool) -> Result<(), Error> {
        let sent = self.engine.send_any(self.current()?, kind, data, plain);
        sent.map_err(in_between)
    }

    /// Sends a piece of a message. The first one begins it, the last one ends it. Of a message that was begun on an earlier
    /// connection the rest must not become a message by itself: other threads, which may not have seen the end of that
    /// connection, are told of it here, once.
    pub fn send_part(&self, part: &Part<'_>) -> Result<(), Error> {
        let begun = self.in_pieces.lock().take();
        let current = self.current();
        if begun.is_some_and(|on| current != Ok(on)) && !self.engine.is_mine() {
            return Err(Status::Closed.into());
        }
        let id = current?;
        let sent = self.engine.send_part(id, part);
        let goes_on = match sent {
            Ok(()) => !part.last,
            Err(Status::Closed) => false,
            Err(_) => begun == Some(id),
        };
        *self.in_pieces.lock() = goes_on.then_some(id);
        sent.map_err(in_between)
    }

    /// How messages are compressed, if they are.
    pub fn deflate(&self) -> Result<Option<Agreed>, Error> {
        let agreed = self.engine.remote().deflate(self.current()?);
        Ok(agreed.ok_or(Status::Closed)?)
    }

    pub fn ping(&self, data: &[u8]) -> Result<(), Error> {
        Ok(self.engine.ping(self.current()?, data)?)
    }

    pub fn pause(&self, paused: bool) -> Result<(), Error> {
        Ok(self.engine.pause(self.current()?, paused)?)
    }

    pub fn buffered(&self) -> usize {
        self.current().map_or(0, |id| self.engine.buffered(id))
    }

    /// `code` 0 stands for 1000.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        let code = checked_close(code, reason)?;
        let over = matches!(self.state.lock().stage, Stage::Over(_));
        if self.controls.give_up() || over {
            return Err(Status::Closed.into());
        }
        if self.engine.is_mine() {
            self.pump(usize::MAX);
        }
        match self.current() {
            Ok(id) if !self.outgoing.has_waiting() => self.close_now(id, code, reason),
            // What was queued before goes before, and a connection may open just now: that is for the loop.
            _ => {
                self.outgoing.close_after(code, reason);
                self.engine.remote().wake();
                Ok(())
            }
        }
    }

    fn close_now(&self, id: ConnId, code: u16, reason: &str) -> Result<(), Error> {
        match self.engine.close(id, code, reason) {
            // A connection that is closing by itself is on its way out, and now for good.
            Err(Status::Closed) | Ok(()) => Ok(()),
            Err(other) => {
                self.controls.go_on();
                Err(other.into())
            }
        }
    }

    /// Where the words for the last failure are.
    pub fn error_place(&self) -> *const ErrorText {
        self.error.place()
    }

    /// Where the agreed subprotocol is.
    pub fn subprotocol_place(&self) -> *const Option<CString> {
        self.subprotocol.place()
    }

    /// 0 if the server has not answered.
    pub fn http_status(&self) -> i32 {
        self.http_status.load(Ordering::Relaxed)
    }

    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.engine.add_stats(&mut sum);
        sum
    }

    fn current(&self) -> Result<ConnId, Status> {
        match self.current.load(Ordering::Acquire) {
            0 => Err(Status::Closed),
            id => Ok(ConnId(id)),
        }
    }
}

impl Driver for Client {
    fn timer(&self, engine: &Engine, key: u32) {
        self.time_is_up(engine, key);
    }

    fn woken(&self, engine: &Engine) {
        self.go_on(engine);
    }

    fn settled(&self, engine: &Engine) {
        self.outgoing_settled();
        if self.controls.is_giving_up() {
            self.close_if_asked(engine);
        }
    }

    fn connected(&self, engine: &Engine, id: ConnId) {
        self.first_to_answer(engine, id);
    }

    fn raw(&self, engine: &Engine, id: ConnId, input: &[u8], at: &mut usize) {
        self.proxy_says(engine, id, input, at);
    }

    fn head(&self, engine: &Engine, id: ConnId, _: &Addr, head: Vec<u8>, more: bool) -> After {
        self.head_came(engine, id, head, more)
    }

    fn bad_head(&self, _engine: &Engine, _id: ConnId, _peer: &Addr, error: HttpError) -> After {
        self.bad_answer(error.why)
    }

    fn broken(&self, engine: &Engine, id: ConnId, ending: Ending) {
        self.attempt_broken(engine, id, ending);
    }

    fn message(&self, _engine: &Engine, _id: ConnId, kind: Kind, data: &[u8]) {
        self.handler.message(kind, data);
    }

    fn piece(&self, _engine: &Engine, _id: ConnId, piece: &Piece<'_>) {
        self.handler.piece(piece);
    }

    fn pong(&self, _engine: &Engine, _id: ConnId, data: &[u8]) {
        self.handler.pong(data);
    }

    fn writable(&self, _engine: &Engine, _id: ConnId) {
        self.handler.writable();
    }

    fn closed(&self, engine: &Engine, _id: ConnId, info: &CloseInfo) {
        self.connection_ended(engine, info);
    }
}
