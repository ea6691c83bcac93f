//! The client: one connection at a time, from the name lookup to the closing handshake, made
//! again when it is lost if so configured. The way there is in [`attempt`].

mod attempt;
mod life;

use crate::engine::conn::Ending;
use crate::engine::stats::Stats;
use crate::engine::{After, CloseInfo, Driver, Engine, Piece, Settings};
use crate::error::{Error, Status};
use crate::log;
use crate::net::conns::ConnId;
use crate::net::sys::socket::Addr;
use crate::net::sys::thread::{Mutex, Thread};
use crate::proto::frame::Kind;
use crate::proto::http::HttpError;
use crate::proto::url::ClientUrl;
use crate::server::checked_close;
use crate::text::Line;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use attempt::{Failure, Stage, State};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// What a client is made with; see `ws_client_config` for the meaning of each. Times in ms.
pub struct Config {
    pub settings: Settings,
    pub url: ClientUrl,
    pub subprotocols: Option<String>,
    pub headers: Option<String>,
    pub connect_timeout: u32,
    /// The shortest and the longest wait before connecting again; None: never.
    pub reconnect: Option<(u32, u32)>,
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
}

/// The words for the last failure, kept at one address for C to read.
pub type ErrorText = Line<256>;

pub struct Client {
    config: Config,
    handler: Box<dyn Handler>,
    engine: Engine,
    /// Locked for moments only, by the loop's thread as a rule.
    state: Mutex<State>,
    /// The open connection, 0 if there is none.
    current: AtomicU64,
    /// The application closes for good: no further attempt.
    giving_up: AtomicBool,
    running: AtomicBool,
    http_status: AtomicI32,
    error: Mutex<ErrorText>,
    subprotocol: Mutex<Option<CString>>,
    thread: Mutex<Option<Thread>>,
}

/// Slots: the connection, and earlier ones that linger.
pub const SLOTS: usize = 8;

impl Client {
    pub fn new(config: Config, handler: Box<dyn Handler>) -> Result<Client, Error> {
        let engine = Engine::new(0, config.settings)?;
        // A foreign loop that watches the fd finds it readable, polls, and so begins to connect.
        engine.remote().wake();
        Ok(Client {
            config,
            handler,
            engine,
            state: Mutex::new(State::default()),
            current: AtomicU64::new(0),
            giving_up: AtomicBool::new(false),
            running: AtomicBool::new(false),
            http_status: AtomicI32::new(0),
            error: Mutex::new(Line::new()),
            subprotocol: Mutex::new(None),
            thread: Mutex::new(None),
        })
    }

    pub fn send(&self, kind: Kind, data: &[u8]) -> Result<(), Error> {
        Ok(self.engine.send(self.current()?, kind, data)?)
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
        if self.giving_up.swap(true, Ordering::AcqRel) || over {
            return Err(Status::Closed.into());
        }
        match self.current() {
            // A connection that is closing by itself is on its way out, and now for good.
            Ok(id) => match self.engine.close(id, code, reason) {
                Err(Status::Closed) | Ok(()) => Ok(()),
                Err(other) => {
                    self.giving_up.store(false, Ordering::Release);
                    Err(other.into())
                }
            },
            Err(_) => {
                self.engine.remote().wake();
                Ok(())
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

    fn connected(&self, engine: &Engine, id: ConnId) {
        self.request(engine, id);
    }

    fn head(&self, engine: &Engine, id: ConnId, _peer: &Addr, head: Vec<u8>) -> After {
        self.response(engine, id, head)
    }

    fn bad_head(&self, _engine: &Engine, _id: ConnId, _peer: &Addr, error: HttpError) -> After {
        let failure = Failure::new(Status::Handshake, format_args!("http: {}", error.why));
        self.state.lock().failure = Some(failure);
        After::Drop(Ending::Abandoned)
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
        self.current.store(0, Ordering::Release);
        let reason = core::str::from_utf8(info.reason.as_bytes()).unwrap_or("");
        log::info(format_args!("connection closed: {} {reason}", info.code));
        if info.status != Status::Ok {
            *self.error.lock() = Line::from(format_args!("websocket: {reason}"));
        }
        self.handler.closed(info);
        self.ended(engine, info.status);
    }
}
