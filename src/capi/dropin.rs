//! What `include/websocket_for_linux/*.h` declare: functions with names of ours behind the
//! historical ones, and the public structs of the server. Those headers are their documentation.
//!
//! The structs are read and written by the program's threads without a lock, so every field that
//! changes while the program looks is written atomically.

use super::guard;
use crate::dropin::service::{
    self, Board, Exit, Login, CLIENTS, CLIENTS_OF_THREAD, PACKAGE, THREADS,
};
use crate::dropin::{self, open, DataType};
use crate::error::Status;
use crate::guard::contain;
use crate::net::sys::foreign::{sleep_us, time_of_day};
use crate::net::sys::monotonic_ms;
use crate::net::sys::thread::ThreadText;
use alloc::alloc::{alloc_zeroed, dealloc, Layout};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{self, addr_of_mut};
use core::slice;
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
struct Table(*mut WsServer);

// SAFETY: the memory lives as long as the table; what changes is atomic or under `lock`.
unsafe impl Send for Table {}
// SAFETY: as above. The program's functions are called on the server's threads, as it expects.
unsafe impl Sync for Table {}

const LAYOUT: Layout = Layout::new::<WsServer>();

impl Table {
    /// Zeroed, so that only the entries that were in use are resident.
    fn new() -> Option<Table> {
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

    fn set_exit(&self, index: usize, why: Exit) {
        let client = self.client(index);
        // SAFETY: a place of the table.
        let place = unsafe { AtomicI32::from_ptr(addr_of_mut!((*client).exit_type)) };
        let _ = place.compare_exchange(0, why as i32, Ordering::AcqRel, Ordering::Acquire);
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

/// `ws_server_create`
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_server_create(
    port: c_int,
    path: *const c_char,
    private: *mut c_void,
    on_login: WsOnLogin,
    on_message: WsOnMessage,
    on_exit: WsOnExit,
) -> *mut WsServer {
    let made = contain(|| {
        let number = u16::try_from(port).map_err(|_| Status::InvalidArg)?;
        let path = guard::bytes_of(path).unwrap_or_default();
        let table = Table::new().ok_or(Status::NoMemory)?;
        let server = table.0;
        (*server).port = port;
        (*server).private = private;
        (*server).on_login = on_login;
        (*server).on_message = on_message;
        (*server).on_exit = on_exit;
        // With room for its NUL; one that does not fit could match nothing.
        let room = (*server).path.get_mut(..path.len() + 1);
        let room = room.ok_or(Status::InvalidArg)?;
        for (to, from) in room.iter_mut().zip(path) {
            *to = *from as c_char;
        }
        let path = copied(path).ok_or(Status::NoMemory)?;
        service::create(number, Some(path), Box::new(table)).ok_or(Status::NoMemory)?;
        Ok(server)
    });
    made.unwrap_or(ptr::null_mut())
}

/// `ws_server_release`
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_server_release(server: *mut *mut WsServer) {
    if server.is_null() {
        return;
    }
    let handle = ptr::replace(server, ptr::null_mut());
    let _ = contain(|| {
        service::release(handle as usize);
        Ok(())
    });
}

/// `ws_send`
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_send(fd: c_int, data: *const c_void, len: i32, what: c_int) -> i32 {
    let sent = contain(|| {
        let len = usize::try_from(len).map_err(|_| Status::InvalidArg)?;
        let what = DataType::of(what).ok_or(Status::InvalidArg)?;
        Ok(dropin::send(fd, guard::data(data, len)?, what))
    });
    sent.unwrap_or(-1)
}

/// `ws_recv`; `*what` is always set.
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_recv(
    fd: c_int,
    buffer: *mut c_void,
    size: i32,
    what: *mut c_int,
) -> i32 {
    let told = contain(|| {
        let size = usize::try_from(size).unwrap_or(0);
        let buffer = match (buffer.is_null(), size) {
            (true, _) => None,
            (false, 0) => return Err(Status::InvalidArg.into()),
            (false, size) => Some(slice::from_raw_parts_mut(buffer.cast::<u8>(), size)),
        };
        Ok(dropin::receive(fd, buffer))
    });
    let (len, kind) = told.unwrap_or((-1, DataType::Null));
    if !what.is_null() {
        *what = kind as c_int;
    }
    len
}

/// `ws_requestServer`
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_request_server(
    host: *const c_char,
    port: i32,
    path: *const c_char,
    timeout: i32,
) -> i32 {
    let began = monotonic_ms();
    let opened = contain(|| {
        let host = guard::Text::required(host, "ip")?;
        let path = guard::Text::optional(path, "path")?.unwrap_or("");
        Ok(open::request_server(host, port, path, until(timeout)))
    });
    match opened {
        Ok(Some(fd)) => fd,
        _ => -spent(began),
    }
}

/// `ws_replyClient`
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_reply_client(
    fd: c_int,
    read: *const c_void,
    len: i32,
    path: *const c_char,
) -> i32 {
    let answered = contain(|| {
        let len = usize::try_from(len).map_err(|_| Status::InvalidArg)?;
        let read = guard::data(read, len)?;
        Ok(open::reply_client(fd, read, guard::bytes_of(path)))
    });
    answered.unwrap_or(-1)
}

/// `ws_getIpByHostName`; `ip` has room for 16 bytes.
#[no_mangle]
pub unsafe extern "C" fn ws_wfl_ip_by_host_name(
    host: *const c_char,
    ip: *mut c_char,
    timeout: c_int,
) -> c_int {
    let began = monotonic_ms();
    let found = contain(|| {
        let host = guard::Text::required(host, "hostName")?;
        Ok(open::lookup_v4(host, until(timeout)))
    });
    let Ok(Some([a, b, c, d])) = found else {
        return -spent(began).max(1);
    };
    if !ip.is_null() {
        let text = crate::text::Line::<16>::from(format_args!("{a}.{b}.{c}.{d}"));
        let text = text.as_c_str().to_bytes_with_nul();
        ptr::copy_nonoverlapping(text.as_ptr().cast(), ip, text.len());
    }
    spent(began)
}

/// `ws_time`; each thread has its own text.
#[no_mangle]
pub extern "C" fn ws_wfl_time() -> *mut c_char {
    static TEXT: ThreadText = ThreadText::new();
    TEXT.set(&time_of_day());
    TEXT.get().cast_mut()
}

/// `ws_delayus`
#[no_mangle]
pub extern "C" fn ws_wfl_delay_us(us: u32) {
    sleep_us(us.into());
}

/// `ws_delayms`
#[no_mangle]
pub extern "C" fn ws_wfl_delay_ms(ms: u32) {
    sleep_us(u64::from(ms) * 1000);
}

/// When a timeout of the program's is over.
fn until(timeout: c_int) -> u64 {
    let ms = u64::try_from(timeout).unwrap_or(0);
    let ms = if ms == 0 { open::CONNECT_TIMEOUT } else { ms };
    monotonic_ms() + ms
}

fn spent(began: u64) -> c_int {
    c_int::try_from(monotonic_ms() - began).unwrap_or(c_int::MAX)
}

fn copied(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}
