//! What `include/websocket_for_linux/*.h` declare: functions with names of ours behind the
//! historical ones. Those headers are their documentation. The structs are in `table`.

use super::guard;
use super::table::{Table, WsOnExit, WsOnLogin, WsOnMessage, WsServer};
use crate::dropin::{self, open, service, DataType};
use crate::error::Status;
use crate::guard::contain;
use crate::net::sys::date::time_of_day;
use crate::net::sys::foreign::sleep_us;
use crate::net::sys::monotonic_ms;
use crate::net::sys::thread::ThreadText;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_void};
use core::{ptr, slice};

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
        let server = table.handle();
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
        let text = crate::text::Line::<16>::from(words!("{}.{}.{}.{}", a, b, c, d));
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
