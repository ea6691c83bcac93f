//! The public structs of `include/websocket_for_linux/ws_server.h`: the table of clients that
//! programs walk, and their functions.
//!
//! The program's threads read and write it without a lock, so every field that changes while they
//! look is written atomically.

use crate::dropin::service::{Board, Exit, Login, CLIENTS, CLIENTS_OF_THREAD, PACKAGE, THREADS};
use crate::dropin::DataType;
use alloc::alloc::{alloc_zeroed, dealloc, Layout};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{self, addr_of_mut};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

pub type WsOnLogin = Option<unsafe extern "C" fn(client: *mut WsClient)>;
pub type WsOnMessage = Option<
    unsafe extern "C" fn(client: *mut WsClient, message: *mut c_char, len: c_int, what: c_int),
>;
pub type WsOnExit = Option<unsafe extern "C" fn(client: *mut WsClient, why: c_int)>;

#[repr(C)]
pub struct WsClient {
    pub fd: c_int,
    pub ip: [u8; 4],
    pub port: c_int,
    pub exit_type: c_int,
    pub is_login: bool,
    pub is_exiting: bool,
    pub recv_bytes: u32,
    pub index: u32,
    pub login_timeout: u32,
    pub private: *mut c_void,
    pub wss: *mut WsServer,
    pub wst: *mut WsThread,
}

#[repr(C)]
pub struct WsThread {
    pub fd_epoll: c_int,
    pub client_count: c_int,
    pub is_run: bool,
    pub wss: *mut WsServer,
}

#[repr(C)]
pub struct WsServer {
    pub fd: c_int,
    pub fd_epoll: c_int,
    pub port: c_int,
    pub path: [c_char; 256],
    pub private: *mut c_void,
    pub client_count: c_int,
    pub is_exit: bool,
    pub lock: libc::pthread_mutex_t,
    pub on_login: WsOnLogin,
    pub on_message: WsOnMessage,
    pub on_exit: WsOnExit,
    pub thread: [WsThread; THREADS],
    pub client: [WsClient; CLIENTS],
}

const _: () = assert!(CLIENTS == THREADS * CLIENTS_OF_THREAD && PACKAGE == 1024 * 100);

/// The program's handle. Freed when nobody of ours uses it any more.
pub struct Table(*mut WsServer);

// SAFETY: the memory lives as long as the table; what changes is atomic or under `lock`.
unsafe impl Send for Table {}
// SAFETY: as above. The program's functions are called on the server's threads, as it expects.
unsafe impl Sync for Table {}

const LAYOUT: Layout = Layout::new::<WsServer>();

impl Table {
    /// Zeroed, so that only the entries that were in use are resident.
    pub fn new() -> Option<Table> {
        // SAFETY: the layout has a size. Zeroes are valid for every field: numbers, pointers, optional
        // functions, an unlocked mutex is then written over its zeroes.
        unsafe {
            let server = alloc_zeroed(LAYOUT).cast::<WsServer>();
            if server.is_null() {
                return None;
            }
            addr_of_mut!((*server).lock).write(libc::PTHREAD_MUTEX_INITIALIZER);
            Some(Table(server))
        }
    }

    pub fn handle(&self) -> *mut WsServer {
        self.0
    }

    fn client(&self, index: usize) -> *mut WsClient {
        let index = index.min(CLIENTS - 1);
        // SAFETY: within the array, which is part of the allocation.
        unsafe { addr_of_mut!((*self.0).client).cast::<WsClient>().add(index) }
    }

    fn thread(&self, index: usize) -> *mut WsThread {
        let index = index.min(THREADS - 1);
        // SAFETY: as above.
        unsafe { addr_of_mut!((*self.0).thread).cast::<WsThread>().add(index) }
    }

    /// Runs `change` under the program's lock, so that who walks the table under it sees no change.
    fn locked(&self, change: impl FnOnce()) {
        // SAFETY: the mutex was initialised, and is destroyed by nobody.
        unsafe { libc::pthread_mutex_lock(addr_of_mut!((*self.0).lock)) };
        change();
        // SAFETY: locked just above.
        unsafe { libc::pthread_mutex_unlock(addr_of_mut!((*self.0).lock)) };
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and given up by the program.
        unsafe { dealloc(self.0.cast(), LAYOUT) }
    }
}

impl Board for Table {
    fn login(&self, login: &Login) {
        let client = self.client(login.index);
        let thread = self.thread(login.thread);
        // SAFETY: the entry is free, so that only this thread writes it until `fd` and `isLogin` say
        // that it is taken. The function is of this type, by the program's promise.
        unsafe {
            self.locked(|| {
                (*client).ip = login.ip;
                (*client).port = login.port.into();
                (*client).index = login.index as u32;
                (*client).login_timeout = 0;
                (*client).wss = self.0;
                (*client).wst = thread;
                set_u32(addr_of_mut!((*client).recv_bytes), 0);
                let private = AtomicPtr::from_ptr(addr_of_mut!((*self.0).private));
                AtomicPtr::from_ptr(addr_of_mut!((*client).private))
                    .store(private.load(Ordering::Acquire), Ordering::Release);
                set(addr_of_mut!((*client).exit_type), 0);
                set_flag(addr_of_mut!((*client).is_exiting), false);
                set(addr_of_mut!((*client).fd), login.fd);
                set_flag(addr_of_mut!((*client).is_login), true);
                add(addr_of_mut!((*self.0).client_count), 1);
                add(addr_of_mut!((*thread).client_count), 1);
            });
            if let Some(on_login) = (*self.0).on_login {
                on_login(client);
            }
        }
    }

    fn message(&self, index: usize, data: &[u8], len: i32, what: DataType) {
        // SAFETY: the data is readable for its length and a NUL; the program must not keep it. The
        // parameter is not const for historical reasons only: what it writes is lost.
        unsafe {
            if let Some(on_message) = (*self.0).on_message {
                let message = data.as_ptr().cast_mut().cast();
                on_message(self.client(index), message, len, what as c_int);
            }
        }
    }

    fn received(&self, index: usize, bytes: usize) {
        let client = self.client(index);
        // SAFETY: a place of the table.
        let count = unsafe { AtomicU32::from_ptr(addr_of_mut!((*client).recv_bytes)) };
        count.fetch_add(bytes as u32, Ordering::Relaxed);
    }

    fn exit(&self, index: usize, why: Exit) {
        let client = self.client(index);
        self.set_exit(index, why);
        // SAFETY: the entry belongs to this thread until it is free again.
        unsafe {
            set_flag(addr_of_mut!((*client).is_exiting), true);
            if let Some(on_exit) = (*self.0).on_exit {
                on_exit(client, get(addr_of_mut!((*client).exit_type)));
            }
            self.locked(|| {
                let thread = (*client).wst;
                set_flag(addr_of_mut!((*client).is_login), false);
                set(addr_of_mut!((*client).fd), 0);
                set_flag(addr_of_mut!((*client).is_exiting), false);
                set(addr_of_mut!((*client).exit_type), 0);
                AtomicPtr::from_ptr(addr_of_mut!((*client).private))
                    .store(ptr::null_mut(), Ordering::Release);
                add(addr_of_mut!((*self.0).client_count), -1);
                add(addr_of_mut!((*thread).client_count), -1);
            });
        }
    }

    fn wants_exit(&self, index: usize) -> bool {
        // SAFETY: a place of the table.
        unsafe { get(addr_of_mut!((*self.client(index)).exit_type)) != 0 }
    }

    fn set_exit(&self, index: usize, why: Exit) -> bool {
        let client = self.client(index);
        // SAFETY: a place of the table.
        let place = unsafe { AtomicI32::from_ptr(addr_of_mut!((*client).exit_type)) };
        place
            .compare_exchange(0, why as i32, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn listening(&self, port: u16, fd: c_int, loops: &[c_int]) {
        // SAFETY: places of the table.
        unsafe {
            for (index, fd) in loops.iter().enumerate().take(THREADS) {
                let thread = self.thread(index);
                (*thread).wss = self.0;
                set(addr_of_mut!((*thread).fd_epoll), *fd);
                set_flag(addr_of_mut!((*thread).is_run), true);
            }
            set(addr_of_mut!((*self.0).fd_epoll), loops[0]);
            set(addr_of_mut!((*self.0).port), port.into());
            set(addr_of_mut!((*self.0).fd), fd);
        }
    }

    fn ended(&self) {
        // SAFETY: places of the table.
        unsafe {
            for index in 0..THREADS {
                set_flag(addr_of_mut!((*self.thread(index)).is_run), false);
            }
            set_flag(addr_of_mut!((*self.0).is_exit), true);
        }
    }

    fn address(&self) -> usize {
        self.0 as usize
    }
}

// Each of these asks that the place is valid and that others touch it atomically, or only look.

unsafe fn set(place: *mut c_int, value: c_int) {
    // SAFETY: as asked.
    unsafe { AtomicI32::from_ptr(place) }.store(value, Ordering::Release);
}

unsafe fn get(place: *mut c_int) -> c_int {
    // SAFETY: as asked.
    unsafe { AtomicI32::from_ptr(place) }.load(Ordering::Acquire)
}

unsafe fn add(place: *mut c_int, value: c_int) {
    // SAFETY: as asked.
    unsafe { AtomicI32::from_ptr(place) }.fetch_add(value, Ordering::AcqRel);
}

unsafe fn set_u32(place: *mut u32, value: u32) {
    // SAFETY: as asked.
    unsafe { AtomicU32::from_ptr(place) }.store(value, Ordering::Release);
}

unsafe fn set_flag(place: *mut bool, value: bool) {
    // SAFETY: as asked.
    unsafe { AtomicBool::from_ptr(place) }.store(value, Ordering::Release);
}
