//! The event loop that server and client share: one thread, one epoll, many connections.
//!
//! [`Engine::turn`] asks epoll, reads, lets the protocol core look at the bytes, tells the
//! [`Driver`] what came, and writes what was queued. State is in [`local::Local`], which only the
//! loop's thread can open, and never over a call of the driver: so the application may call back
//! in. Other threads go through [`remote::Remote`].
//!
//! Not here: listeners, HTTP, what an upgrade must look like, reconnecting. That is the driver's.

pub mod conn;
pub mod local;
pub mod remote;
pub mod stats;
pub mod topics;
mod turn;

pub use turn::DRIVER_TOKENS;
use turn::{ALARM, WAKE};

use crate::error::{Error, Status};
use crate::net::conns::ConnId;
use crate::net::sys::poll::{Alarm, Interest};
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::thread::{Claim, Thread, ThreadCell};
use crate::net::sys::Fd;
use crate::proto::connection::{Limits, Role};
use crate::proto::frame::{frame_len, Kind};
use crate::proto::http::HttpError;
use crate::rare::rarely;
use crate::text::Line;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use conn::Ending;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};
use local::Local;
use remote::{Broadcast, Command, Remote};
use stats::{Counters, Stats};

/// What an event loop is made with. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Copy)]
pub struct Settings {
    pub role: Role,
    pub limits: Limits,
    pub max_send_queue: usize,
    pub handshake_timeout: u32,
    /// Seconds of silence after which the kernel probes the peer. None: never.
    pub keepalive: Option<u32>,
    pub receive_buffer: usize,
    /// Connections in any phase.
    pub slots: usize,
}

impl Settings {
    /// Bytes of a frame with `len` bytes of payload as this role sends it.
    pub fn frame_len(&self, len: usize) -> usize {
        frame_len(len, self.role == Role::Client)
    }

    /// Has the kernel notice dead links: TCP_NODELAY, TCP_USER_TIMEOUT and keepalive. Inherited by
    /// what a listener accepts.
    pub fn prepare(&self, fd: &Fd) {
        socket::set_nodelay(fd);
        socket::set_user_timeout(fd, self.user_timeout());
        if let Some(idle) = self.keepalive {
            socket::set_keepalive(fd, idle);
        }
    }

    /// How long the kernel may wait for an acknowledgement before it gives a connection up, in ms:
    /// no longer than our own pings, or else keepalive, would take to find out. 0: the kernel's
    /// default.
    fn user_timeout(&self) -> c_int {
        let limits = &self.limits;
        let ms = match (limits.ping_interval, self.keepalive) {
            (Some(interval), _) if limits.pong_timeout != Limits::FOREVER => {
                interval.saturating_add(limits.pong_timeout)
            }
            (_, Some(idle)) => idle.saturating_mul(2000),
            _ => 0,
        };
        c_int::try_from(ms).unwrap_or(c_int::MAX)
    }
}

/// What the application receives of a stretch of a message.
pub struct Piece<'a> {
    pub kind: Kind,
    pub data: &'a [u8],
    pub offset: u64,
    pub last: bool,
}

/// What the application sends of a message in pieces: one fragment (RFC 6455 section 5.4).
pub struct Part<'a> {
    pub kind: Kind,
    pub data: &'a [u8],
    /// The message ends with it.
    pub last: bool,
    /// The message is not compressed; of the first one for all.
    pub plain: bool,
}

/// How a connection ended, for the application.
pub struct CloseInfo {
    pub status: Status,
    pub code: u16,
    pub by_peer: bool,
    /// At most 123 bytes from the peer, or words of ours.
    pub reason: Line<128>,
}

/// What follows a head that the driver has dealt with.
pub enum After {
    /// The connection is open; frames follow.
    Opened,
    /// The next head is an answer also, and is to come by this time.
    Interim { until: u64 },
    /// A response is queued; another request may follow.
    Next,
    /// A response is queued; then the connection ends.
    Last,
    /// The connection is to end at once.
    Drop(Ending),
}

/// What a server or a client makes of the loop's events. Every method may call the engine.
pub trait Driver: Send + Sync {
    /// An epoll token or a timer of the driver's own.
    fn ready(&self, _engine: &Engine, _token: u64) {}
    fn timer(&self, _engine: &Engine, _key: u32) {}
    /// Other threads have asked for something: a client's close before it is open.
    fn woken(&self, _engine: &Engine) {}
    /// TCP is established.
    fn connected(&self, _engine: &Engine, _id: ConnId) {}
    /// Bytes of a connection that was set to be raw, from `at` on. Takes all of them, unless the
    /// connection is raw no more or has ended.
    fn raw(&self, _engine: &Engine, _id: ConnId, _input: &[u8], _at: &mut usize) {}
    /// The turn is at its end: all that was queued has been offered to the kernel.
    fn settled(&self, _engine: &Engine) {}
    /// A head has come; `more`: and bytes behind it.
    fn head(&self, engine: &Engine, id: ConnId, peer: &Addr, head: Vec<u8>, more: bool) -> After;
    fn bad_head(&self, engine: &Engine, id: ConnId, peer: &Addr, error: HttpError) -> After;
    /// A connection that was never open has ended.
    fn broken(&self, engine: &Engine, id: ConnId, ending: Ending);
    /// `data` ends with a NUL that does not count.
    fn message(&self, engine: &Engine, id: ConnId, kind: Kind, data: &[u8]);
    fn piece(&self, engine: &Engine, id: ConnId, piece: &Piece<'_>);
    fn pong(&self, engine: &Engine, id: ConnId, data: &[u8]);
    /// A Ping has come; it is answered already.
    fn ping(&self, _engine: &Engine, _id: ConnId) {}
    /// The peer has broken the protocol somewhere in `input`; the connection ends.
    fn failed(&self, _engine: &Engine, _id: ConnId, _input: &[u8]) {}
    fn writable(&self, engine: &Engine, id: ConnId);
    fn closed(&self, engine: &Engine, id: ConnId, info: &CloseInfo);
    /// A slot has become free.
    fn freed(&self, _engine: &Engine) {}
}

pub struct Engine {
    index: u8,
    settings: Settings,
    remote: Arc<Remote>,
    local: ThreadCell<Local>,
    /// A foreign event loop watches the epoll fd, and sleeps for us.
    watched: AtomicBool,
}

impl Engine {
    /// `index` distinguishes the loops of a server.
    pub fn new(index: u8, settings: Settings) -> Result<Engine, Error> {
        let io = |errno| Error::io(errno, "epoll");
        let remote = Arc::new(Remote::new().map_err(io)?);
        let epoll = remote.epoll();
        epoll
            .add(remote.event().raw(), WAKE, Interest::Level)
            .map_err(io)?;
        let alarm = Alarm::new().map_err(|errno| Error::io(errno, "timerfd"))?;
        epoll.add(alarm.raw(), ALARM, Interest::Edge).map_err(io)?;
        let mut local = Local::new(settings, remote.clone(), index, alarm);
        // Room for all timers of the driver: a client whose attempt fails for want of memory is to make another.
        local.set_timer(0, None).map_err(Status::from)?;
        Ok(Engine {
            index,
            settings,
            local: ThreadCell::new(local),
            remote,
            watched: AtomicBool::new(false),
        })
    }

    pub fn index(&self) -> u8 {
        self.index
    }

    pub fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Only the loop's thread counts.
    pub fn counters(&self) -> &Counters {
        self.remote.counters()
    }

    /// Adds the numbers of this loop.
    pub fn add_stats(&self, sum: &mut Stats) {
        self.counters().add_to(sum);
    }

    /// The epoll fd, for a foreign loop to watch.
    pub fn fd(&self) -> c_int {
        if !self.watched.swap(true, Ordering::AcqRel) {
            // The first poll finds out what is due.
            self.remote.event().signal();
        }
        self.remote.epoll().raw()
    }

    /// A thread for this loop, which `body` is to serve.
    pub fn spawn(&self, body: Box<dyn FnOnce() + Send>) -> Result<Thread, Error> {
        self.prepare()?;
        Thread::spawn(body).map_err(|errno| Error::io(errno, words!("pthread_create")))
    }

    /// Has what a turn cannot do without, before a thread begins that could tell nobody.
    fn prepare(&self) -> Result<(), Status> {
        let claim = self.claim().ok_or(Status::Reentrant)?;
        let buffer = claim.with(Local::take_buffer).flatten();
        let buffer = buffer.ok_or(Status::NoMemory)?;
        claim.with(|l| l.put_buffer(buffer));
        Ok(())
    }

    /// Makes the calling thread the loop's. None: it has one.
    pub fn claim(&self) -> Option<Claim<'_, Local>> {
        self.local.claim()
    }

    /// The calling thread runs this loop: it is in a callback.
    pub fn is_mine(&self) -> bool {
        self.local.is_mine()
    }

    /// Some thread runs this loop.
    pub fn is_running(&self) -> bool {
        self.local.is_claimed()
    }

    /// Opens the loop's state; None when another thread runs the loop.
    #[inline(always)]
    pub fn with<R>(&self, body: impl FnOnce(&mut Local) -> R) -> Option<R> {
        self.local.open().map(|mut local| body(&mut local))
    }

    // ---- for the driver, in the loop's thread ----

    #[inline(never)]
    pub fn end(&self, id: ConnId, ending: Ending) {
        self.with(|l| l.end(id, ending));
    }

    /// Sets or removes a timer of the driver. There is room for all of them.
    #[inline(never)]
    pub fn set_timer(&self, key: u32, at: Option<u64>) {
        let _ = self.with(|l| l.set_timer(key, at));
    }

    // ---- sending, from any thread ----

    #[cfg_attr(not(libws_small), inline(always))]
    pub fn send(&self, id: ConnId, kind: Kind, data: &[u8], plain: bool) -> Result<(), Status> {
        // The short way is to be found in the caller's code, and nothing else.
        if !self.remote.has_commands() {
            if let Some(mut local) = self.local.open() {
                if local.send_short(id, kind, data) {
                    return Ok(());
                }
            }
        }
        rarely();
        self.send_any(id, kind, data, plain)
    }

    /// The same, for who seldom sends what goes the short way.
    #[inline(never)]
    pub fn send_any(&self, id: ConnId, kind: Kind, data: &[u8], plain: bool) -> Result<(), Status> {
        match self.as_owner(|l| l.send(id, kind, data, plain)) {
            Some(result) => result,
            None => self.send_from_afar(id, kind, data, plain),
        }
    }

    #[cold]
    fn send_from_afar(
        &self,
        id: ConnId,
        kind: Kind,
        data: &[u8],
        plain: bool,
    ) -> Result<(), Status> {
        if kind == Kind::Text && !crate::proto::utf8::is_valid(data) {
            return Err(Status::Utf8);
        }
        let need = self.need(id, data)?;
        let command = Command::Send {
            id,
            kind,
            data: copied(data)?,
            plain,
        };
        self.remote
            .push_to(id, need, self.settings.max_send_queue, command)
    }

    /// Bytes that a frame takes of the send queue, which has to have room for it when it is empty.
    fn need(&self, id: ConnId, data: &[u8]) -> Result<usize, Status> {
        let need = self.settings.frame_len(data.len());
        if need <= self.settings.max_send_queue {
            return Ok(need);
        }
        let connected = self.remote.buffered(id).ok_or(Status::Closed);
        connected.and(Err(Status::TooBig))
    }

    /// Sends a piece of a message. The first one begins it, the last one ends it.
    pub fn send_part(&self, id: ConnId, part: &Part<'_>) -> Result<(), Status> {
        match self.as_owner(|l| l.send_part(id, part)) {
            Some(result) => result,
            None => self.send_part_from_afar(id, part),
        }
    }

    /// Whether text is valid is for the loop to find out, which knows where the piece before has ended.
    #[cold]
    fn send_part_from_afar(&self, id: ConnId, part: &Part<'_>) -> Result<(), Status> {
        let need = self.need(id, part.data)?;
        let command = Command::SendPart {
            id,
            kind: part.kind,
            data: copied(part.data)?,
            last: part.last,
            plain: part.plain,
        };
        self.remote
            .push_to(id, need, self.settings.max_send_queue, command)
    }

    pub fn ping(&self, id: ConnId, data: &[u8]) -> Result<(), Status> {
        if data.len() > 125 {
            return Err(Status::TooBig);
        }
        if let Some(result) = self.as_owner(|l| l.ping(id, data)) {
            return result;
        }
        let need = self.need(id, data)?;
        let command = Command::Ping {
            id,
            data: copied(data)?,
        };
        self.remote
            .push_to(id, need, self.settings.max_send_queue, command)
    }

    /// `code` and `reason` have been checked.
    pub fn close(&self, id: ConnId, code: u16, reason: &str) -> Result<(), Status> {
        if let Some(result) = self.as_owner(|l| l.close(id, code, reason)) {
            return result;
        }
        let command = Command::Close {
            id,
            code,
            reason: topics::boxed(reason)?,
        };
        self.remote.push_to(id, 0, 0, command)
    }

    /// Sends bytes that are whole frames already.
    pub fn send_framed(&self, id: ConnId, data: &[u8]) -> Result<(), Status> {
        if let Some(result) = self.as_owner(|l| l.send_framed(id, data)) {
            return result;
        }
        let command = Command::Framed {
            id,
            data: copied(data)?,
        };
        let limit = self.settings.max_send_queue;
        self.remote.push_to(id, data.len(), limit, command)
    }

    /// Ends a connection without waiting for the peer.
    pub fn abort(&self, id: ConnId) -> Result<(), Status> {
        match self.as_owner(|l| l.abort(id)) {
            Some(()) => Ok(()),
            None => self.remote.push(Command::Abort { id }),
        }
    }

    pub fn pause(&self, id: ConnId, paused: bool) -> Result<(), Status> {
        match self.as_owner(|l| l.pause(id, paused)) {
            Some(result) => result,
            None => self.remote.push_to(id, 0, 0, Command::Pause { id, paused }),
        }
    }

    pub fn subscribe(&self, id: ConnId, topic: &str, on: bool) -> Result<(), Status> {
        if let Some(result) = self.as_owner(|l| l.subscribe(id, topic, on)) {
            return result;
        }
        let command = Command::Subscribe {
            id,
            topic: topics::boxed(topic)?,
            on,
        };
        self.remote.push_to(id, 0, 0, command)
    }

    /// There is room for another broadcast.
    pub fn can_broadcast(&self, bytes: usize) -> bool {
        self.is_mine()
            || self
                .remote
                .can_broadcast(bytes, self.settings.max_send_queue)
    }

    pub fn broadcast(&self, topic: Option<&str>, frame: &Broadcast) -> Result<(), Status> {
        if let Some(()) = self.as_owner(|l| l.broadcast(topic, frame)) {
            return Ok(());
        }
        let topic = topic.map(topics::boxed).transpose()?;
        self.remote.push_broadcast(topic, frame.clone())
    }

    pub fn buffered(&self, id: ConnId) -> usize {
        let own = self.as_owner(|l| l.buffered(id));
        own.unwrap_or_else(|| self.remote.buffered(id)).unwrap_or(0)
    }

    /// Runs `body` if the calling thread is the loop's, after what other threads asked for
    /// before: so the order of sends is the order of the calls.
    #[inline]
    fn as_owner<R>(&self, body: impl FnOnce(&mut Local) -> R) -> Option<R> {
        self.with(|l| {
            if self.remote.has_commands() {
                l.take_commands();
            }
            body(l)
        })
    }
}

pub fn copied(data: &[u8]) -> Result<Box<[u8]>, Status> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(data.len())
        .map_err(|_| Status::NoMemory)?;
    copy.extend_from_slice(data);
    Ok(copy.into_boxed_slice())
}
