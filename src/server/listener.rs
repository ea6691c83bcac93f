//! Listening sockets: by URL, inherited, and what happens when descriptors run out.

use super::{Server, SPARE_SLOTS};
use crate::engine::remote::Command;
use crate::engine::{Engine, DRIVER_TOKENS};
use crate::error::{Error, Status};
use crate::log;
use crate::net::stream::Stream;
use crate::net::sys::memory::try_box;
use crate::net::sys::poll::Interest;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::{is_socket, unlink, Errno, Fd};
use crate::proto::url::{Host, ListenUrl};
use crate::text::c_string;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::sync::atomic::{fence, Ordering};

#[derive(Default)]
pub struct Listeners(Vec<Listener>);

struct Listener {
    fd: Fd,
    /// It speaks TLS.
    secure: bool,
    /// The socket file that is removed at the end.
    file: Option<CString>,
}

/// Connections taken from one listener in one turn.
const ACCEPT_BATCH: usize = 64;
/// How long accepting rests when descriptors or memory have run out, in ms.
const REST: u64 = 100;
const REST_TIMER: u32 = 0;

impl Server {
    pub fn listen(&self, url: &str) -> Result<(), Error> {
        let parsed = ListenUrl::parse(url)
            .map_err(|why| Status::InvalidArg.because(words!("{}: {}", url, why)))?;
        if self.running.load(Ordering::Acquire) || self.first().is_running() {
            return Err(Status::Reentrant.because("the server runs already"));
        }
        let listener = match parsed {
            ListenUrl::Tcp { secure: true, .. } if cfg!(not(feature = "tls")) => {
                return Err(Status::Unsupported.because(words!("{}: this build has no TLS", url)));
            }
            ListenUrl::Tcp { secure: true, .. } if self.tls.lock().is_none() => {
                return Err(Status::InvalidArg.because(words!(
                    "{}: wss needs tls_cert and tls_key in the config",
                    url
                )));
            }
            ListenUrl::Tcp { host, port, secure } => Listener {
                secure,
                ..self.listen_tcp(url, &addr_of(&host, port)?)?
            },
            ListenUrl::Unix(path) => self.listen_unix(path)?,
            ListenUrl::Fd(number) => self.listen_inherited(number)?,
        };
        let mut listeners = self.listeners.lock();
        listeners.0.try_reserve(1).map_err(|_| Status::NoMemory)?;
        let token = DRIVER_TOKENS + listeners.0.len() as u64;
        let epoll = self.first().remote().epoll();
        epoll
            .add(listener.fd.raw(), token, Interest::Level)
            .map_err(|errno| Error::io(errno, words!("epoll_ctl {}", url)))?;
        listeners.0.push(listener);
        Ok(())
    }

    fn listen_tcp(&self, url: &str, addr: &Addr) -> Result<Listener, Error> {
        let fail = |what| move |errno| Error::io(errno, words!("{} {}", what, url));
        let fd = socket::stream(addr).map_err(fail("socket"))?;
        socket::set_reuse_addr(&fd).map_err(fail("SO_REUSEADDR"))?;
        if self.config.reuse_port {
            socket::set_reuse_port(&fd).map_err(fail("SO_REUSEPORT"))?;
        }
        if addr.family() == libc::AF_INET6 {
            socket::set_v6_only(&fd).map_err(fail("IPV6_V6ONLY"))?;
        }
        // Inherited by what is accepted: no system call for each connection.
        self.config.settings.prepare(&fd);
        socket::bind(&fd, addr).map_err(fail("bind"))?;
        socket::listen(&fd, libc::SOMAXCONN).map_err(fail("listen"))?;
        Ok(Listener {
            fd,
            secure: false,
            file: None,
        })
    }

    fn listen_unix(&self, path: &str) -> Result<Listener, Error> {
        let fail = |what| move |errno| Error::io(errno, words!("{} {}", what, path));
        let addr = Addr::unix(path.as_bytes()).ok_or_else(|| {
            Status::InvalidArg.because(words!("{}: longer than a socket path may be", path))
        })?;
        let file = c_string(path)?;
        let fd = socket::stream(&addr).map_err(fail("socket"))?;
        if let Err(errno) = socket::bind(&fd, &addr) {
            // A file that nobody listens at was left behind by a process that is gone.
            let stale = errno.0 == libc::EADDRINUSE
                && is_socket(&file)
                && socket::stream(&addr).is_ok_and(|probe| {
                    socket::connect(&probe, &addr) == Err(Errno(libc::ECONNREFUSED))
                });
            if !stale {
                return Err(fail("bind")(errno));
            }
            unlink(&file);
            socket::bind(&fd, &addr).map_err(fail("bind"))?;
        }
        socket::listen(&fd, libc::SOMAXCONN).map_err(fail("listen"))?;
        Ok(Listener {
            fd,
            secure: false,
            file: Some(file),
        })
    }

    fn listen_inherited(&self, number: i32) -> Result<Listener, Error> {
        if !socket::is_listening(number) {
            return Err(Status::InvalidArg
                .because(words!("fd:{} is not a listening stream socket", number)));
        }
        // It is ours, and is not to be closed when it cannot be added again.
        if self.listeners.lock().0.iter().any(|l| l.fd.raw() == number) {
            return Err(Status::InvalidArg.because(words!("fd:{} is listened at already", number)));
        }
        let fd = Fd::owning(number);
        socket::adopt(&fd).map_err(|errno| Error::io(errno, words!("fcntl fd:{}", number)))?;
        self.config.settings.prepare(&fd);
        Ok(Listener {
            fd,
            secure: false,
            file: None,
        })
    }

    /// The port of the first TCP listener.
    pub fn port(&self) -> u16 {
        self.listeners
            .lock()
            .0
            .iter()
            .find_map(Listener::port)
            .unwrap_or(0)
    }

    /// The descriptor of the first listener.
    pub fn listener_fd(&self) -> Option<c_int> {
        self.listeners.lock().0.first().map(|l| l.fd.raw())
    }

    pub fn listener_port(&self, index: u32) -> u16 {
        let listeners = self.listeners.lock();
        listeners
            .0
            .get(index as usize)
            .and_then(Listener::port)
            .unwrap_or(0)
    }

    /// Takes connections from a listener's backlog.
    pub(super) fn accept(&self, engine: &Engine, token: u64) {
        let listeners = self.listeners.lock();
        let Some(listener) = listeners.0.get((token - DRIVER_TOKENS) as usize) else {
            return;
        };
        let mut peer = Addr::empty();
        for _ in 0..ACCEPT_BATCH {
            if self.is_full() {
                self.full.store(true, Ordering::Relaxed);
                // Another loop may have freed a slot before it could see that: either it sees that now, or we the slot.
                fence(Ordering::SeqCst);
                if self.is_full() {
                    log::warn(words!(
                        "{} connections: accepting rests until one ends",
                        self.load()
                    ));
                    return listeners.watch(self.first(), Interest::Nothing);
                }
                self.full.store(false, Ordering::Relaxed);
            }
            match socket::accept(&listener.fd, &mut peer) {
                Ok(fd) => match self.stream(fd, listener.secure) {
                    Some(stream) => self.hand_over(engine, stream, &peer),
                    None => log::error(words!("{}: no memory for TLS", peer)),
                },
                Err(errno) if errno.would_block() => return,
                Err(errno) if errno.is_shortage() => {
                    log::warn(words!(
                        "accept: {}; accepting rests for {} ms",
                        errno,
                        REST as u32
                    ));
                    let at = engine.with(|l| l.set_timer(REST_TIMER, Some(l.now + REST)));
                    if at == Some(Ok(())) {
                        listeners.watch(self.first(), Interest::Nothing);
                    }
                    return;
                }
                // The peer gave up while it waited, or a firewall did: the next one.
                Err(errno) => log::debug(words!("accept: {}", errno)),
            }
        }
        // A foreign loop that watches for edges is told of the rest.
        engine.remote().wake();
    }

    fn load(&self) -> u32 {
        self.engines.iter().map(|e| e.remote().load()).sum()
    }

    fn is_full(&self) -> bool {
        self.load() as usize >= self.config.max_connections as usize + SPARE_SLOTS
    }

    fn stream(&self, fd: Fd, secure: bool) -> Option<Stream> {
        if !secure {
            return Some(Stream::plain(fd));
        }
        let tls = self.tls.lock().as_ref().map(|(tls, _)| tls.clone());
        let session = tls?.session().ok()?;
        Stream::secured(fd, session).ok()
    }

    /// Accepts again after a rest.
    pub(super) fn accept_again(&self) {
        self.full.store(false, Ordering::Relaxed);
        self.listeners.lock().watch(self.first(), Interest::Level);
    }

    /// Gives a connection to the loop that is being filled, or to the one that has fewest.
    fn hand_over(&self, engine: &Engine, stream: Stream, peer: &Addr) {
        let filling = self.config.fill.and_then(|limit| {
            let mut loops = self.engines.iter();
            loops.find(|e| e.remote().load() < limit)
        });
        let least = filling
            .or_else(|| self.engines.iter().min_by_key(|e| e.remote().load()))
            .unwrap_or(engine);
        if least.index() == engine.index() {
            let taken = engine.with(|l| l.adopt(stream, peer));
            if let Some(Err(_)) = taken {
                log::error(words!("{}: no memory to take it in", *peer));
            }
            return;
        }
        let Ok(peer) = try_box(*peer) else { return };
        // Counted at once, so that a burst is spread.
        least.remote().set_load(least.remote().load() + 1);
        let _ = least.remote().push(Command::Adopt { stream, peer });
    }
}

impl Listener {
    fn port(&self) -> Option<u16> {
        socket::local_addr(&self.fd).ok()?.port()
    }
}

impl Listeners {
    fn watch(&self, engine: &Engine, interest: Interest) {
        for (index, listener) in self.0.iter().enumerate() {
            let token = DRIVER_TOKENS + index as u64;
            let _ = engine
                .remote()
                .epoll()
                .modify(listener.fd.raw(), token, interest);
        }
    }

    pub fn close_all(&mut self) {
        for listener in self.0.drain(..) {
            if let Some(file) = &listener.file {
                unlink(file);
            }
        }
    }
}

/// The address to bind to. A name is looked up here and now: "localhost", as a rule.
fn addr_of(host: &Host, port: u16) -> Result<Addr, Error> {
    match host {
        Host::V4(ip) => Ok(Addr::v4(*ip, port)),
        Host::V6(ip) => Ok(Addr::v6(*ip, port)),
        Host::Name(name) => {
            let c_name = c_string(name)?;
            let found = socket::lookup(&c_name, port)
                .map_err(|error| Status::Dns.because(words!("{}: {}", name, error.0)))?;
            let first = found.first().copied();
            first.ok_or_else(|| Status::Dns.because(words!("{}: no address", name)))
        }
    }
}
