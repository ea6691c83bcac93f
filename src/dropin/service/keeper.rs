//! The keeper: the thread of a server that is no loop.

use super::handler::Face;
use super::{config, Board, Seats, Service, THREADS};
use crate::guard;
use crate::log;
use crate::net::sys::foreign::{wait, Until};
use crate::net::sys::poll::Event;
use crate::net::sys::thread::{self, Mutex, Thread};
use crate::net::sys::{monotonic_ms, Errno};
use crate::server::Server;
use crate::text::Line;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// `WS_SERVER_BIND_TIMEOUT_MS`
const BIND_TIMEOUT: u64 = 1000;
const BIND_INTERVAL: c_int = 50;
/// How often the table is looked at, in ms.
const LOOK: c_int = 200;

/// The servers that have not been released.
static SERVICES: Mutex<Vec<Arc<Service>>> = Mutex::new(Vec::new());

/// Makes a server that binds and serves in threads of its own. None: no memory, descriptors or
/// threads.
pub fn create(port: u16, path: Option<Vec<u8>>, board: Box<dyn Board>) -> Option<()> {
    let service = Arc::new(Service {
        board,
        path,
        server: Mutex::new(Weak::new()),
        seats: Mutex::new(Seats::default()),
        spare: [const { Mutex::new(Vec::new()) }; THREADS],
        wake: Event::new().ok()?,
        stop: AtomicBool::new(false),
        keeper: Mutex::new(None),
        keeper_id: AtomicUsize::new(0),
    });
    let server = Server::new(config(), Box::new(Face(service.clone()))).ok()?;
    let server = Arc::new(server);
    *service.server.lock() = Arc::downgrade(&server);
    SERVICES.lock().try_reserve(1).ok()?;
    let own = service.clone();
    // Locked until it is filled in, so that `release` finds it.
    let mut keeper = service.keeper.lock();
    let thread = Thread::spawn(Box::new(move || own.keep(server, port)));
    *keeper = Some(thread.inspect_err(no_thread).ok()?);
    drop(keeper);
    SERVICES.lock().push(service);
    Some(())
}

fn no_thread(errno: &Errno) {
    log::error(words!("ws_server_create: {}", errno));
}

/// Ends the server whose handle lies at `address`; an unknown one is left alone. In a callback of
/// that server it only begins to end, and is freed when the callback is over.
pub fn release(address: usize) {
    let service = {
        let mut services = SERVICES.lock();
        let found = services.iter().position(|s| s.board.address() == address);
        match found {
            Some(index) => services.swap_remove(index),
            None => return,
        }
    };
    service.stop.store(true, Ordering::Release);
    service.wake.signal();
    let in_callback = service.keeper_id.load(Ordering::Acquire) == thread::current()
        || service.server().is_some_and(|s| s.is_in_callback());
    let keeper = service.keeper.lock().take();
    if let Some(keeper) = keeper.filter(|_| !in_callback) {
        keeper.join();
    }
}

impl Service {
    fn keep(self: Arc<Service>, server: Arc<Server>, port: u16) {
        self.keeper_id.store(thread::current(), Ordering::Release);
        let served = guard::contain(|| {
            if self.bind(&server, port) {
                server.start()?;
                self.tell_listening(&server);
                self.watch(&server);
            }
            server.close_all()
        });
        if let Err(error) = served {
            log::error(words!("ws_server ended: {}", error.status));
        }
        self.board.ended();
    }

    /// Binds the port, as soon as another program has left it.
    fn bind(&self, server: &Server, port: u16) -> bool {
        let url = Line::<32>::from(words!("ws://0.0.0.0:{}", port));
        let url = core::str::from_utf8(url.as_bytes()).unwrap_or_default();
        let until = monotonic_ms() + BIND_TIMEOUT;
        while !self.stop.load(Ordering::Acquire) {
            let Err(error) = server.listen(url) else {
                return true;
            };
            if monotonic_ms() >= until {
                let errno = error.errno();
                log::error(words!("ws_server_create: port {}: {}", port, errno));
                return false;
            }
            wait(self.wake.raw(), Until::Readable, BIND_INTERVAL);
        }
        false
    }

    fn tell_listening(&self, server: &Server) {
        let mut loops = [-1; THREADS];
        for (index, place) in loops.iter_mut().enumerate() {
            *place = server.loop_fd(index).unwrap_or(-1);
        }
        let fd = server.listener_fd().unwrap_or(-1);
        self.board.listening(server.port(), fd, &loops);
    }

    /// Drops the clients that the program wants gone, until the server is to end.
    fn watch(&self, server: &Server) {
        while !self.stop.load(Ordering::Acquire) {
            let idle = self.seats.lock().taken() == 0;
            if wait(
                self.wake.raw(),
                Until::Readable,
                if idle { -1 } else { LOOK },
            ) {
                self.wake.clear();
            }
            let mut from = 0;
            loop {
                let next = self.seats.lock().next(from);
                let Some((index, id)) = next else { break };
                if self.board.wants_exit(index) {
                    let _ = server.abort(id);
                }
                from = index + 1;
            }
        }
    }
}
