//! What every function of the C face does first and last: checks handles and pointers, contains
//! panics, and turns results into a status, errno and ws_last_error().
//!
//! The functions are `unsafe` because they believe what `libws.h` asks of the caller: a handle
//! that is not NULL came from ws_*_new() and was not freed, a text is NUL-terminated, data is
//! readable for its length, and what a callback received is used only inside it.

use alloc::sync::Arc;
use core::ffi::{c_char, c_int, c_void, CStr};
use core::mem::{size_of, ManuallyDrop};
use core::{ptr, slice};

use super::client::ws_client;
use super::deflate::WS_UNCOMPRESSED;
use super::request::{ws_request, ws_response};
use super::server::ws_server;
use super::status::ws_status;
use super::types::ws_stats;
use crate::client::Client;
use crate::engine::stats::Stats;
use crate::engine::Part;
use crate::error::{self, Error, Status};
use crate::guard::contain;
use crate::net::sys::Errno;
use crate::proto::frame::Kind;
use crate::server::{Reply, RequestView, Server};

pub const EMPTY: *const c_char = c"".as_ptr();

pub fn last_error() -> *const c_char {
    error::last_text()
}

/// The status for the caller; errno and the words are set on the way.
#[inline]
pub fn answer(result: Result<(), Error>) -> ws_status {
    match result {
        Ok(()) => ws_status::WS_OK,
        Err(error) => failed(error),
    }
}

#[cold]
fn failed(error: Error) -> ws_status {
    if !error.explained {
        error::explain(&error.status);
    }
    if error.errno() != Errno(0) {
        error.errno().set();
    }
    error.status.into()
}

#[cold]
#[inline(never)]
pub fn null(what: &str) -> Error {
    Status::InvalidArg.because(words!("{} is NULL", what))
}

/// Runs `body` on a handle.
unsafe fn with_handle<T>(
    handle: *const T,
    what: &str,
    body: impl FnOnce(&Arc<T>) -> Result<(), Error>,
) -> ws_status {
    if handle.is_null() {
        return answer(Err(null(what)));
    }
    // SAFETY: the handle came from Arc::into_raw and is not freed; its count stays as it is.
    let handle = ManuallyDrop::new(unsafe { Arc::from_raw(handle) });
    answer(contain(|| body(&handle)))
}

/// Asks a handle for a value; `default` for NULL, or if a bug was contained.
pub unsafe fn ask<T, R>(handle: *const T, what: &str, default: R, body: impl FnOnce(&T) -> R) -> R {
    // SAFETY: as the caller promises.
    let Some(handle) = (unsafe { handle.as_ref() }) else {
        answer(Err(null(what)));
        return default;
    };
    contain(|| Ok(body(handle))).unwrap_or(default)
}

pub unsafe fn server(
    server: *mut ws_server,
    body: impl FnOnce(&Arc<Server>) -> Result<(), Error>,
) -> ws_status {
    // SAFETY: as the caller promises.
    unsafe { with_handle(server.cast_const().cast::<Server>(), "server", body) }
}

pub unsafe fn server_or<R>(
    server: *const ws_server,
    default: R,
    body: impl FnOnce(&Server) -> R,
) -> R {
    // SAFETY: as the caller promises.
    unsafe { ask(server.cast::<Server>(), "server", default, body) }
}

pub unsafe fn client(
    client: *mut ws_client,
    body: impl FnOnce(&Arc<Client>) -> Result<(), Error>,
) -> ws_status {
    // SAFETY: as the caller promises.
    unsafe { with_handle(client.cast_const().cast::<Client>(), "client", body) }
}

pub unsafe fn client_or<R>(
    client: *const ws_client,
    default: R,
    body: impl FnOnce(&Client) -> R,
) -> R {
    // SAFETY: as the caller promises.
    unsafe { ask(client.cast::<Client>(), "client", default, body) }
}

/// For ws_server_stop(): nothing but what a signal handler may do.
pub unsafe fn server_signal(server: *mut ws_server, body: fn(&Server)) {
    // SAFETY: as the caller promises.
    if let Some(server) = unsafe { server.cast::<Server>().as_ref() } {
        body(server);
    }
}

/// For ws_client_stop(), likewise.
pub unsafe fn client_signal(client: *mut ws_client, body: fn(&Client)) {
    // SAFETY: as the caller promises.
    if let Some(client) = unsafe { client.cast::<Client>().as_ref() } {
        body(client);
    }
}

/// Makes a handle: `*out` is NULL unless it worked.
pub unsafe fn make<H, T>(
    out: *mut *mut H,
    body: impl FnOnce() -> Result<Arc<T>, Error>,
) -> ws_status {
    if out.is_null() {
        return answer(Err(null("out")));
    }
    // SAFETY: out is a valid place, as the caller promises.
    unsafe { *out = ptr::null_mut() };
    answer(contain(|| {
        let made = Arc::into_raw(body()?);
        // SAFETY: as above.
        unsafe { *out = made.cast_mut().cast() };
        Ok(())
    }))
}

/// Closes and frees a handle, unless `close` refuses.
pub unsafe fn free<T>(handle: *const T, close: impl FnOnce(&T) -> Result<(), Error>) -> ws_status {
    // SAFETY: as the caller promises.
    let Some(inner) = (unsafe { handle.as_ref() }) else {
        return ws_status::WS_OK;
    };
    let closed = contain(|| close(inner));
    if closed.is_err_and(|e| e.status == Status::Reentrant) {
        return answer(closed);
    }
    // SAFETY: the handle came from Arc::into_raw, and the caller gives it up.
    drop(unsafe { Arc::from_raw(handle) });
    ws_status::WS_OK
}

/// A config struct of any version: what the caller's is shorter is taken as zero, what it is
/// longer must be zero.
pub unsafe fn config<T: Copy>(config: *const T, name: &str) -> Result<T, Error> {
    // SAFETY: all fields of T (integers, pointers and optional functions) are valid when zero, and
    // the copy has room for a T.
    unsafe {
        let mut copy = core::mem::zeroed::<T>();
        copy_config(config.cast(), (&raw mut copy).cast(), size_of::<T>(), name)?;
        Ok(copy)
    }
}

/// For all configs: `known` bytes of them are known to this version.
unsafe fn copy_config(
    config: *const u8,
    to: *mut u8,
    known: usize,
    name: &str,
) -> Result<(), Error> {
    if config.is_null() {
        return Err(null(name));
    }
    // SAFETY: every config begins with its size, and the caller's struct is readable for it.
    let bytes = unsafe {
        let size = *config.cast::<usize>();
        let plausible = (MIN_CONFIG..=MAX_CONFIG).contains(&size) && size % size_of::<usize>() == 0;
        if !plausible {
            return Err(wrong_size(name, size));
        }
        slice::from_raw_parts(config, size)
    };
    let (first, unknown) = bytes.split_at(known.min(bytes.len()));
    if unknown.iter().any(|&b| b != 0) {
        return Err(Status::InvalidArg.because(words!(
            "{} has fields that this version of libws does not know",
            name
        )));
    }
    // SAFETY: there is room for what is known.
    unsafe { ptr::copy_nonoverlapping(first.as_ptr(), to, first.len()) };
    Ok(())
}

#[cold]
fn wrong_size(name: &str, size: usize) -> Error {
    Status::InvalidArg.because(words!(
        "{}.struct_size is {}: set it to sizeof({})",
        name,
        size,
        name
    ))
}

/// No config was ever shorter, none will ever be longer.
const MIN_CONFIG: usize = 2 * size_of::<usize>();
const MAX_CONFIG: usize = 4096;

/// A C text that has to be UTF-8.
pub struct Text;

impl Text {
    pub unsafe fn optional<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Error> {
        if text.is_null() {
            return Ok(None);
        }
        // SAFETY: NUL-terminated, as the caller promises.
        let text = unsafe { CStr::from_ptr(text) };
        match text.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Status::InvalidArg.because(words!("{} is not valid UTF-8", what))),
        }
    }

    pub unsafe fn required<'a>(text: *const c_char, what: &str) -> Result<&'a str, Error> {
        // SAFETY: as the caller promises.
        unsafe { Text::optional(text, what) }?.ok_or_else(|| null(what))
    }

    /// The reason of a Close frame: what is not UTF-8 has a status of its own.
    pub unsafe fn reason<'a>(text: *const c_char) -> Result<&'a str, Error> {
        // SAFETY: as the caller promises.
        match unsafe { Text::optional(text, "reason") } {
            Ok(text) => Ok(text.unwrap_or("")),
            Err(mut error) => {
                error.status = Status::Utf8;
                Err(error)
            }
        }
    }
}

pub unsafe fn bytes_of<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: NUL-terminated, as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// NULL with length 0 is valid data.
#[inline]
pub unsafe fn data<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err(no_data(data.is_null(), len));
    }
    // SAFETY: readable for len bytes, as the caller promises.
    Ok(unsafe { slice::from_raw_parts(data.cast(), len) })
}

#[cold]
fn no_data(null: bool, len: usize) -> Error {
    if null {
        Status::InvalidArg.because(words!("data is NULL, but len is {}", len))
    } else {
        Status::TooBig.because(words!("len is {}", len))
    }
}

/// Enum values that come in from C are taken as int and checked.
#[inline]
pub fn kind(kind: c_int) -> Result<Kind, Error> {
    match kind {
        1 => Ok(Kind::Text),
        2 => Ok(Kind::Binary),
        other => Err(no_kind(other)),
    }
}

/// As `kind`, with the flags of a message that is sent: whether it is left as it is.
#[inline]
pub fn outgoing(kind: c_int) -> Result<(Kind, bool), Error> {
    match kind {
        1 => Ok((Kind::Text, false)),
        2 => Ok((Kind::Binary, false)),
        flagged => plain(flagged),
    }
}

/// What the send_piece functions are given.
pub unsafe fn part<'a>(
    kind: c_int,
    bytes: *const c_void,
    len: usize,
    last: c_int,
) -> Result<Part<'a>, Error> {
    let (kind, plain) = outgoing(kind)?;
    Ok(Part {
        kind,
        // SAFETY: readable for len bytes, as the caller promises.
        data: unsafe { data(bytes, len) }?,
        last: last != 0,
        plain,
    })
}

#[cold]
fn plain(flagged: c_int) -> Result<(Kind, bool), Error> {
    Ok((kind(flagged & !WS_UNCOMPRESSED)?, true))
}

#[cold]
fn no_kind(kind: c_int) -> Error {
    Status::InvalidArg.because(words!("kind is {}, neither WS_TEXT nor WS_BINARY", kind))
}

pub unsafe fn request<'a>(request: *const ws_request) -> Option<&'a RequestView<'a>> {
    // SAFETY: made from a &RequestView for the callback that is running.
    unsafe { request.cast::<RequestView>().as_ref() }
}

pub unsafe fn with_reply(
    response: *mut ws_response,
    body: impl FnOnce(&mut Reply<'_>) -> Result<(), Error>,
) -> ws_status {
    // SAFETY: made from a &mut Reply for the callback that is running, which is the only user.
    match unsafe { response.cast::<Reply<'_>>().as_mut() } {
        None => answer(Err(null("response"))),
        Some(reply) => answer(contain(|| body(reply))),
    }
}

/// Copies the statistics into a struct of any version.
pub unsafe fn fill_stats(out: *mut ws_stats, stats: &Stats) -> Result<(), Error> {
    // SAFETY: as the caller promises.
    let size = unsafe { size_of_out(out, "ws_stats") }?;
    let filled = ws_stats {
        struct_size: size,
        connections_open: stats.connections_open,
        connections_total: stats.connections_total,
        handshakes_failed: stats.handshakes_failed,
        http_requests: stats.http_requests,
        messages_received: stats.messages_received,
        messages_sent: stats.messages_sent,
        messages_dropped: stats.messages_dropped,
        bytes_received: stats.bytes_received,
        bytes_sent: stats.bytes_sent,
        protocol_errors: stats.protocol_errors,
        timeouts: stats.timeouts,
        deflate_sent_before: stats.deflate_sent_before,
        deflate_sent_after: stats.deflate_sent_after,
        deflate_received_before: stats.deflate_received_before,
        deflate_received_after: stats.deflate_received_after,
    };
    // SAFETY: the size was just looked at.
    unsafe { fill_out(out, &filled) };
    Ok(())
}

/// The size of a struct of any version that is to be filled in, which it begins with.
pub unsafe fn size_of_out<T>(out: *const T, name: &str) -> Result<usize, Error> {
    if out.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's struct begins with its size.
    let size = unsafe { *out.cast::<usize>() };
    if (MIN_CONFIG..=MAX_CONFIG).contains(&size) && size % 4 == 0 {
        return Ok(size);
    }
    Err(wrong_size(name, size))
}

/// Fills in as much as the caller's struct has places; `size_of_out` has found it good.
pub unsafe fn fill_out<T>(out: *mut T, filled: &T) {
    // SAFETY: out begins with its size and is writable for it, as the caller promises.
    unsafe {
        let known = (*out.cast::<usize>()).min(size_of::<T>());
        ptr::copy_nonoverlapping((filled as *const T).cast::<u8>(), out.cast(), known);
    }
}
