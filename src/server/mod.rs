//! The server: event loops, listeners in front of them, and what other threads may ask of it.
//!
//! The first loop accepts and hands each connection to the loop that has fewest. Upgrades and
//! plain HTTP are in [`upgrade`], listening sockets in [`listener`].

mod life;
mod listener;
mod request;
mod upgrade;

pub use crate::proto::handshake::RequestView;
pub use request::{owned, Reply};

use crate::engine::conn::Ending;
use crate::engine::remote::{Broadcast, ByWindow, Packing, LARGE_BROADCAST, NO_MORE_BROADCASTS};
use crate::engine::stats::Stats;
use crate::engine::{After, CloseInfo, Driver, Engine, Part, Piece, Settings};
use crate::error::{Error, Status};
use crate::log;
use crate::net::conns::ConnId;
use crate::net::sys::socket::Addr;
use crate::net::sys::thread::{Mutex, Thread};
use crate::proto::close;
use crate::proto::connection::packed_frame;
use crate::proto::deflate::{self, Agreed, Compressor};
use crate::proto::frame::{Header, Kind, Opcode};
use crate::proto::http::HttpError;
use crate::proto::outbox::Shared;
use crate::proto::OutOfMemory;
use crate::text::Hex;
use crate::tls::{ServerSource, ServerTls};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};
use listener::Listeners;

/// What a server is made with; see `ws_server_config` for the meaning of each.
pub struct Config {
    pub threads: u32,
    pub max_connections: u32,
    /// Connections that a loop is given before the next loop is used. None: each goes to the loop
    /// that has fewest.
    pub fill: Option<u32>,
    pub settings: Settings,
    pub path: Option<String>,
    pub subprotocols: Option<String>,
    pub allowed_origins: Option<String>,
    pub allowed_hosts: Option<String>,
    /// Other processes may listen at the same port.
    pub reuse_port: bool,
    /// What wss:// listeners need.
    pub tls: Option<ServerSource>,
}

/// The application. Called on the loop's thread with nothing borrowed: it may call the server.
pub trait Handler: Send + Sync {
    /// 0 accepts, else the HTTP status of the refusal.
    fn upgrade(&self, request: &RequestView, reply: &mut Reply<'_>) -> c_int;
    fn http(&self, request: &RequestView, reply: &mut Reply<'_>);
    fn open(&self, id: ConnId, request: &RequestView);
    /// `data` ends with a NUL that does not count.
    fn message(&self, id: ConnId, kind: Kind, data: &[u8]);
    fn piece(&self, id: ConnId, piece: &Piece<'_>);
    fn writable(&self, id: ConnId);
    fn pong(&self, id: ConnId, data: &[u8]);
    /// A Ping has come; it is answered already.
    fn ping(&self, _id: ConnId) {}
    /// The peer has broken the protocol somewhere in `input`; `closed` follows.
    fn failed(&self, _id: ConnId, _input: &[u8]) {}
    fn closed(&self, id: ConnId, info: &CloseInfo);
}

pub struct Server {
    config: Config,
    handler: Box<dyn Handler>,
    engines: Vec<Engine>,
    listeners: Mutex<Listeners>,
    /// Open WebSockets and upgrades under way, of all loops.
    open: AtomicU32,
    /// No connection is accepted until a slot is free.
    full: AtomicBool,
    /// It runs, or has been started.
    running: AtomicBool,
    threads: Mutex<Vec<Thread>>,
    /// The frame of the last broadcast. As a rule all have sent it when the next one comes, which
    /// then needs no memory of its own.
    spare_frame: Mutex<Option<Shared>>,
    /// Open WebSockets that compress without a context, by window, from 8 bits on.
    lone: [AtomicU32; 8],
    /// For broadcasts to those.
    compressor: Mutex<Option<Compressor>>,
    /// What the next TLS connections are made with, and where it came from.
    tls: Mutex<Option<(ServerTls, ServerSource)>>,
}

/// A larger frame is freed when all have sent it; one of more than LARGE_BROADCAST when no such broadcast has followed for a
/// while.
const LARGEST_SPARE: usize = 64 * 1024;

/// Connections beyond max_connections that may be in their HTTP phase, so that they can be
/// answered instead of being left in the backlog.
pub const SPARE_SLOTS: usize = 64;

impl Server {
    pub fn new(config: Config, handler: Box<dyn Handler>) -> Result<Server, Error> {
        let tls = match &config.tls {
            Some(source) => Some((ServerTls::load(source)?, source.clone())),
            None => None,
        };
        let mut engines = Vec::new();
        engines
            .try_reserve(config.threads as usize)
            .map_err(|_| Status::NoMemory)?;
        for index in 0..config.threads {
            engines.push(Engine::new(index as u8, config.settings)?);
        }
        Ok(Server {
            config,
            handler,
            engines,
            listeners: Mutex::new(Listeners::default()),
            open: AtomicU32::new(0),
            full: AtomicBool::new(false),
            running: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
            spare_frame: Mutex::new(None),
            lone: Default::default(),
            compressor: Mutex::new(None),
            tls: Mutex::new(tls),
        })
    }

    /// Loop 0, which accepts; every server has it.
    fn first(&self) -> &Engine {
        let Some(first) = self.engines.first() else {
            unreachable!();
        };
        first
    }

    fn engine_of(&self, id: ConnId) -> Result<&Engine, Status> {
        self.engines.get(id.owner()).ok_or(Status::Closed)
    }

    /// `plain`: it is not compressed.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn send(&self, id: ConnId, kind: Kind, data: &[u8], plain: bool) -> Result<(), Error> {
        let sent = self.engine_of(id)?.send(id, kind, data, plain);
        sent.map_err(in_between)
    }

    /// Sends a piece of a message. The first one begins it, the last one ends it.
    pub fn send_part(&self, id: ConnId, part: &Part<'_>) -> Result<(), Error> {
        let sent = self.engine_of(id)?.send_part(id, part);
        sent.map_err(in_between)
    }

    /// How messages are compressed on a connection, if they are.
    pub fn deflate(&self, id: ConnId) -> Result<Option<Agreed>, Error> {
        let agreed = self.engine_of(id)?.remote().deflate(id);
        Ok(agreed.ok_or(Status::Closed)?)
    }

    pub fn ping(&self, id: ConnId, data: &[u8]) -> Result<(), Error> {
        Ok(self.engine_of(id)?.ping(id, data)?)
    }

    /// `code` 0 stands for 1000.
    pub fn close(&self, id: ConnId, code: u16, reason: &str) -> Result<(), Error> {
        let code = checked_close(code, reason)?;
        Ok(self.engine_of(id)?.close(id, code, reason)?)
    }

    /// Sends bytes that are whole frames already.
    pub fn send_framed(&self, id: ConnId, data: &[u8]) -> Result<(), Error> {
        Ok(self.engine_of(id)?.send_framed(id, data)?)
    }

    /// Ends a connection without waiting for the peer.
    pub fn abort(&self, id: ConnId) -> Result<(), Error> {
        Ok(self.engine_of(id)?.abort(id)?)
    }

    /// In a callback of the connection: reads nothing more from it until what is queued for it has
    /// gone.
    pub fn hold(&self, id: ConnId) {
        if let Ok(engine) = self.engine_of(id) {
            engine.with(|l| l.hold(id));
        }
    }

    /// In a callback of the connection: its descriptor.
    pub fn conn_fd(&self, id: ConnId) -> Option<c_int> {
        self.engine_of(id).ok()?.with(|l| l.fd(id)).flatten()
    }

    /// The epoll descriptor of a loop.
    pub fn loop_fd(&self, index: usize) -> Option<c_int> {
        Some(self.engines.get(index)?.remote().epoll().raw())
    }

    /// The calling thread runs one of the loops: it is in a callback.
    pub fn is_in_callback(&self) -> bool {
        self.engines.iter().any(Engine::is_mine)
    }

    pub fn pause(&self, id: ConnId, paused: bool) -> Result<(), Error> {
        Ok(self.engine_of(id)?.pause(id, paused)?)
    }

    pub fn subscribe(&self, id: ConnId, topic: &str) -> Result<(), Error> {
        Ok(self
            .engine_of(id)?
            .subscribe(id, checked_topic(topic)?, true)?)
    }

    pub fn unsubscribe(&self, id: ConnId, topic: &str) -> Result<(), Error> {
        Ok(self
            .engine_of(id)?
            .subscribe(id, checked_topic(topic)?, false)?)
    }

    pub fn buffered(&self, id: ConnId) -> usize {
        self.engine_of(id).map_or(0, |e| e.buffered(id))
    }

    pub fn set_conn_user(&self, id: ConnId, user: usize) -> Result<(), Error> {
        Ok(self.engine_of(id)?.remote().set_user(id, user)?)
    }

    pub fn conn_user(&self, id: ConnId) -> usize {
        self.engine_of(id)
            .ok()
            .and_then(|e| e.remote().user(id))
            .unwrap_or(0)
    }

    /// Encodes once, and hands the frame to every loop.
    pub fn broadcast(
        &self,
        topic: Option<&str>,
        kind: Kind,
        data: &[u8],
        plain: bool,
    ) -> Result<(), Error> {
        if let Some(topic) = topic {
            checked_topic(topic)?;
        }
        if kind == Kind::Text && !crate::proto::utf8::is_valid(data) {
            return Err(Status::Utf8.into());
        }
        let spare = self.spare_frame.lock().take();
        let frame = encoded(kind, data, spare)?;
        if frame.len() > self.config.settings.max_send_queue {
            return Err(Status::TooBig.into());
        }
        if !self.engines.iter().all(|e| e.can_broadcast(frame.len())) {
            return Err(Status::Again.into());
        }
        let packing = match &self.config.settings.limits.deflate {
            Some(settings) if !plain && data.len() >= settings.min_size => {
                self.packing(settings, &frame)
            }
            _ => Packing::Plain,
        };
        let broadcast = Broadcast { frame, packing };
        for engine in &self.engines {
            engine.broadcast(topic, &broadcast)?;
        }
        let frame = broadcast.frame;
        if frame.capacity() <= LARGEST_SPARE {
            *self.spare_frame.lock() = Some(frame);
        }
        Ok(())
    }

    #[cold]
    fn drop_spare_frame(&self) {
        let mut spare = self.spare_frame.lock();
        *spare = spare
            .take()
            .filter(|frame| frame.capacity() <= LARGE_BROADCAST);
    }

    /// Compresses a broadcast for those who keep no context: once for each window that they have.
    #[cold]
    fn packing(&self, settings: &deflate::Settings, frame: &Shared) -> Packing {
        let mut packed = ByWindow::default();
        let mut wanted = false;
        let mut compressor = self.compressor.lock();
        for ((place, lone), bits) in packed.iter_mut().zip(&self.lone).zip(8..) {
            if lone.load(Ordering::Relaxed) == 0 {
                continue;
            }
            wanted = true;
            match pack(frame, settings, bits, &mut compressor) {
                Ok(Some(packed)) => match Shared::new(packed) {
                    Ok(packed) => *place = Some(packed),
                    Err(_) => return Packing::Plain,
                },
                // It would become no shorter: they get it as it is.
                Ok(None) => *place = Some(frame.clone()),
                Err(OutOfMemory) => return Packing::Plain,
            }
        }
        match wanted {
            true => Packing::Once(Arc::new(packed)),
            false => Packing::Each,
        }
    }

    /// Counts a connection that has been opened or has ended, if it compresses without a context.
    fn count_lone(&self, agreed: Option<Agreed>, more: bool) {
        let Some(agreed) = agreed.filter(|agreed| !agreed.send.takeover()) else {
            return;
        };
        let window = usize::from(agreed.send.window_bits()).saturating_sub(8);
        match self.lone.get(window) {
            Some(lone) if more => lone.fetch_add(1, Ordering::Relaxed),
            Some(lone) => lone.fetch_sub(1, Ordering::Relaxed),
            None => 0,
        };
    }

    /// Reads certificates, keys and authorities again, from where they came or from `source`. Connections that are there
    /// stay as they are. On error everything stays as it was.
    pub fn reload_tls(&self, source: Option<ServerSource>) -> Result<(), Error> {
        let source = match source.or_else(|| self.tls.lock().as_ref().map(|(_, s)| s.clone())) {
            Some(source) => source,
            None => return Err(Status::InvalidArg.because("there is no tls_cert")),
        };
        let tls = ServerTls::load(&source)?;
        *self.tls.lock() = Some((tls, source));
        log::info("TLS certificates are loaded again");
        Ok(())
    }

    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for engine in &self.engines {
            engine.add_stats(&mut sum);
        }
        sum
    }
}

impl Driver for Server {
    fn ready(&self, engine: &Engine, token: u64) {
        self.accept(engine, token);
    }

    fn timer(&self, _engine: &Engine, key: u32) {
        match key {
            NO_MORE_BROADCASTS => self.drop_spare_frame(),
            _ => self.accept_again(),
        }
    }

    fn head(&self, engine: &Engine, id: ConnId, peer: &Addr, head: Vec<u8>, _: bool) -> After {
        self.answer_head(engine, id, peer, head)
    }

    fn bad_head(&self, engine: &Engine, id: ConnId, peer: &Addr, error: HttpError) -> After {
        self.answer_bad_head(engine, id, peer, error)
    }

    fn broken(&self, engine: &Engine, id: ConnId, ending: Ending) {
        match ending {
            Ending::Clean => {}
            Ending::Tls => tls_failed(engine, id),
            Ending::HandshakeTimeout => log::info("a handshake timed out"),
            other => log::debug(words!("a connection ended unopened: {}", other.status())),
        }
    }

    fn message(&self, _engine: &Engine, id: ConnId, kind: Kind, data: &[u8]) {
        self.handler.message(id, kind, data);
    }

    fn piece(&self, _engine: &Engine, id: ConnId, piece: &Piece<'_>) {
        self.handler.piece(id, piece);
    }

    fn pong(&self, _engine: &Engine, id: ConnId, data: &[u8]) {
        self.handler.pong(id, data);
    }

    fn ping(&self, _engine: &Engine, id: ConnId) {
        self.handler.ping(id);
    }

    fn failed(&self, _engine: &Engine, id: ConnId, input: &[u8]) {
        self.handler.failed(id, input);
    }

    fn writable(&self, _engine: &Engine, id: ConnId) {
        self.handler.writable(id);
    }

    fn closed(&self, engine: &Engine, id: ConnId, info: &CloseInfo) {
        let level = if info.status == Status::Protocol {
            log::WARN
        } else {
            log::INFO
        };
        log::write(
            level,
            &words!(
                "connection {} ended: {} {}",
                Hex(id.0),
                info.code,
                info.reason
            ),
        );
        self.open.fetch_sub(1, Ordering::Relaxed);
        if self.config.settings.limits.deflate.is_some() {
            self.count_lone(engine.remote().deflate(id).flatten(), false);
        }
        self.handler.closed(id, info);
    }

    fn freed(&self, _engine: &Engine) {
        fence(Ordering::SeqCst);
        if self.full.load(Ordering::Relaxed) {
            self.accept_again();
        }
    }
}

/// The frame compressed for a window of so many bits. None: it would become no shorter.
fn pack(
    frame: &Shared,
    settings: &deflate::Settings,
    window_bits: u8,
    kept: &mut Option<Compressor>,
) -> Result<Option<Vec<u8>>, OutOfMemory> {
    let mut compressor = match kept.take().filter(|c| c.window_bits() == window_bits) {
        Some(mut compressor) => {
            compressor.reset();
            compressor
        }
        None => Compressor::with_window(settings, window_bits)?,
    };
    let packed = packed_frame(frame, &mut compressor)?;
    *kept = Some(compressor);
    Ok(packed)
}

/// Says which peer TLS has failed with, and why.
fn tls_failed(engine: &Engine, id: ConnId) {
    let known = engine.with(|l| (l.unopened_peer(id), l.tls_failure(id)));
    if let Some((peer, Some(why))) = known {
        let peer = peer.unwrap_or(Addr::empty());
        log::info(words!("{}: tls: {}", peer, why));
    }
}

/// Why the engine has not sent a message or a piece.
#[cold]
pub fn in_between(status: Status) -> Error {
    match status {
        Status::InvalidArg => {
            status.because("a message in pieces is unfinished, or of another kind")
        }
        other => other.into(),
    }
}

/// A close code that may be sent and a reason that fits; 0 is 1000.
pub fn checked_close(code: u16, reason: &str) -> Result<u16, Error> {
    let code = if code == 0 { 1000 } else { code };
    if !close::is_sendable(code) {
        return Err(Status::InvalidArg.because(words!("close code {} must not be sent", code)));
    }
    if reason.len() > close::MAX_REASON {
        let len = reason.len();
        return Err(Status::TooBig.because(words!("a close reason of {} bytes, over 123", len)));
    }
    Ok(code)
}

fn checked_topic(topic: &str) -> Result<&str, Error> {
    match topic.len() {
        1..=255 => Ok(topic),
        len => {
            Err(Status::InvalidArg.because(words!("a topic has 1 to 255 bytes, this one {}", len)))
        }
    }
}

/// A frame for many, in the memory of `spare` if no connection has it in its queue still.
fn encoded(kind: Kind, data: &[u8], spare: Option<Shared>) -> Result<Shared, Status> {
    let opcode = match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    };
    let header = Header {
        fin: true,
        rsv: 0,
        opcode,
        mask: None,
        len: data.len() as u64,
    };
    let head = header.encode();
    let write = |frame: &mut Vec<u8>| -> Result<(), Status> {
        frame.clear();
        frame
            .try_reserve_exact(head.len() + data.len())
            .map_err(|_| Status::NoMemory)?;
        frame.extend_from_slice(&head);
        frame.extend_from_slice(data);
        Ok(())
    };
    if let Some(mut shared) = spare {
        if let Some(frame) = shared.unshared() {
            write(frame)?;
            return Ok(shared);
        }
    }
    let mut frame = Vec::new();
    write(&mut frame)?;
    Shared::new(frame).map_err(|_| Status::NoMemory)
}
