//! `ws_client`: one connection to a server, kept as long as wanted.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{c_char, c_int, c_void};

use super::callbacks::ClientCallbacks;
use super::guard::{self, Text};
use super::status::ws_status;
use super::types::{ws_close_info, ws_message, ws_piece, ws_stats};
use crate::client::Client;

/// A WebSocket client: one connection at a time, made again when it is lost if so configured.
pub struct ws_client(());

/// Configures a client. Zero-initialise it and set struct_size and url: every other field left zero
/// means the default in brackets. Strings are copied by ws_client_new(). Grows at the end only;
/// programs compiled against an older header go on working.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_client_config {
    /// sizeof(ws_client_config).
    pub struct_size: usize,
    /// "ws://host[:port]/path?query": host is a name, an IPv4 address, or an IPv6 address in
    /// brackets; port [80].
    pub url: *const c_char,
    /// Subprotocols offered, comma-separated, preferred first [none]. A server may agree on one of
    /// them or none.
    pub subprotocols: *const c_char,
    /// Extra request headers, "Name: value\r\n" each [none]. Those that libws writes itself are
    /// refused (Host, Upgrade, Connection, Content-Length, Transfer-Encoding, Sec-WebSocket-*), and
    /// so are control characters and anything that is not ASCII.
    pub headers: *const c_char,
    /// Milliseconds for all of it: name lookup, every address tried, HTTP upgrade [10000].
    pub connect_timeout_ms: u32,
    /// Milliseconds for the server to answer our Close frame and end the connection [2000].
    pub close_timeout_ms: u32,
    /// A Ping is sent after that many milliseconds without a byte from the server [30000].
    /// WS_NEVER: no pings.
    pub ping_interval_ms: u32,
    /// Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    /// WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    pub pong_timeout_ms: u32,
    /// Bytes of a received message, fragments together [1 MiB; no limit with on_piece]. A larger
    /// one fails the connection with close code 1009 as soon as its length is announced.
    pub max_message_size: usize,
    /// Bytes queued, frame heads included [256 KiB, or what one message of max_message_size takes
    /// if that is more]. A message that would exceed it is refused with WS_ERR_AGAIN; one that is
    /// larger by itself with WS_ERR_TOO_BIG.
    pub max_send_queue: usize,
    /// Bytes of the receive buffer, 4 KiB to 16 MiB [256 KiB]. Memory is used only as far as it
    /// gets filled.
    pub receive_buffer_size: usize,
    /// The shortest and the longest wait before connecting again, in milliseconds [never connect
    /// again]. The n-th attempt in a row waits a random time between reconnect_min_ms and
    /// reconnect_min_ms * 2^n, at most reconnect_max_ms [60000, or reconnect_min_ms if that is
    /// longer]. The first attempt counts too. Not after ws_client_close().
    pub reconnect_min_ms: u32,
    /// See reconnect_min_ms.
    pub reconnect_max_ms: u32,
    /// The connection is open; ws_client_send() works from here on.
    pub on_open: Option<unsafe extern "C" fn(client: *mut ws_client, user: *mut c_void)>,
    /// A whole message has come. Not together with on_piece.
    pub on_message: Option<
        unsafe extern "C" fn(client: *mut ws_client, message: *const ws_message, user: *mut c_void),
    >,
    /// Chooses delivery in pieces: messages are handed on as their bytes come, never gathered, so
    /// that one of any size needs no more memory than the receive buffer. Not together with
    /// on_message.
    pub on_piece: Option<
        unsafe extern "C" fn(client: *mut ws_client, piece: *const ws_piece, user: *mut c_void),
    >,
    /// After WS_ERR_AGAIN: the send queue is at most half full again.
    pub on_writable: Option<unsafe extern "C" fn(client: *mut ws_client, user: *mut c_void)>,
    /// A Pong has come, with len (0 to 125) bytes; those to libws's own pings have none.
    pub on_pong: Option<
        unsafe extern "C" fn(
            client: *mut ws_client,
            data: *const c_void,
            len: usize,
            user: *mut c_void,
        ),
    >,
    /// The connection has ended, or an attempt to connect has failed (ws_client_error() says where
    /// and why). Called once for each attempt. If it is to be made again, that happens after this
    /// call.
    pub on_close: Option<
        unsafe extern "C" fn(client: *mut ws_client, info: *const ws_close_info, user: *mut c_void),
    >,
    /// Handed to every callback.
    pub user: *mut c_void,
}

/// Makes a client. It connects when it is run, started or polled. config is copied. *out is NULL on
/// error, else free it with ws_client_free().
/// WS_ERR_INVALID_ARG: ws_last_error() names the field. WS_ERR_UNSUPPORTED: a wss:// URL.
/// WS_ERR_NO_MEMORY, WS_ERR_IO (no fd left for epoll, or the kernel has no randomness).
#[no_mangle]
pub unsafe extern "C" fn ws_client_new(
    config: *const ws_client_config,
    out: *mut *mut ws_client,
) -> ws_status {
    guard::make(out, || {
        let config = guard::config(config, "ws_client_config")?;
        let callbacks = ClientCallbacks::new(&config);
        let client = Arc::new(Client::new(
            config.settings()?,
            Box::new(callbacks.clone()),
        )?);
        callbacks.bind(Arc::as_ptr(&client).cast());
        Ok(client)
    })
}

/// Connects and serves the connection in this thread until it is closed for good, or
/// ws_client_stop().
/// WS_OK: closed by a closing handshake, or stopped. Else the status of the last failure, as in
/// ws_close_info. WS_ERR_REENTRANT: in a callback, or it runs already.
#[no_mangle]
pub unsafe extern "C" fn ws_client_run(client: *mut ws_client) -> ws_status {
    guard::client(client, |c| c.run())
}

/// As ws_client_run(), in a thread of its own, which has all signals blocked; returns at once.
/// ws_client_free() ends it.
/// WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: no thread to be had.
#[no_mangle]
pub unsafe extern "C" fn ws_client_start(client: *mut ws_client) -> ws_status {
    guard::client(client, Client::start)
}

/// One turn of the event loop in this thread: waits at most timeout_ms milliseconds (0: not at all,
/// -1: as long as it takes) for something to do, and does it. The first call begins to connect.
/// WS_OK: go on. WS_ERR_CLOSED: closed for good, or ws_client_stop() was called. WS_ERR_REENTRANT:
/// in a callback, or another thread runs it. WS_ERR_INVALID_ARG: timeout_ms < -1.
#[no_mangle]
pub unsafe extern "C" fn ws_client_poll(client: *mut ws_client, timeout_ms: c_int) -> ws_status {
    guard::client(client, |c| c.poll(timeout_ms))
}

/// For a program with its own event loop: an fd that becomes readable whenever
/// ws_client_poll(client, 0) has something to do, timeouts included; at first, to begin to connect.
/// Do not read it or close it. -1 on error. The same for the life of the client. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_fd(client: *const ws_client) -> c_int {
    guard::client_or(client, -1, |c| c.fd())
}

/// Queues a message, in the order of the calls of a thread; never blocks. data: len bytes, copied;
/// NULL with len 0 is an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY.
/// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing was queued, on_writable will be called.
/// WS_ERR_CLOSED: not open. WS_ERR_UTF8, WS_ERR_TOO_BIG (larger than max_send_queue),
/// WS_ERR_NO_MEMORY, WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_send(
    client: *mut ws_client,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::client(client, |c| {
        c.send(guard::kind(kind)?, guard::data(data, len)?)
    })
}

/// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes to on_pong.
/// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_client_send(). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_ping(
    client: *mut ws_client,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::client(client, |c| c.ping(guard::data(data, len)?))
}

/// Closes for good: starts the closing handshake as ws_server_close() does, or gives up connecting.
/// on_close follows; no further attempt is made.
/// WS_ERR_CLOSED: already closing or closed. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8, WS_ERR_TOO_BIG
/// (reason), WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_close(
    client: *mut ws_client,
    code: u16,
    reason: *const c_char,
) -> ws_status {
    guard::client(client, |c| c.close(code, Text::reason(reason)?))
}

/// Stops reading, so that TCP slows the server down; see ws_server_pause().
/// WS_ERR_CLOSED: not open. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_pause(client: *mut ws_client) -> ws_status {
    guard::client(client, |c| c.pause(true))
}

/// Reads again after ws_client_pause().
/// WS_ERR_CLOSED: not open. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_resume(client: *mut ws_client) -> ws_status {
    guard::client(client, |c| c.pause(false))
}

/// Bytes queued that the kernel has not taken yet; 0 when not open. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_buffered(client: *mut ws_client) -> usize {
    guard::client_or(client, 0, |c| c.buffered())
}

/// Where the last failure lay (dns, tcp, http, websocket) and what it said, such as "tcp: connect
/// 192.0.2.7:80: Connection refused". "" if nothing has failed yet. Never NULL. Call it in a
/// callback or while the client does not run in another thread; the text lives until the client
/// fails again.
#[no_mangle]
pub unsafe extern "C" fn ws_client_error(client: *mut ws_client) -> *const c_char {
    guard::client_or(client, guard::EMPTY, |c| {
        (*c.error_place()).as_c_str().as_ptr()
    })
}

/// The HTTP status of the server's last answer, 101 after a successful upgrade; 0 if none was
/// received. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_http_status(client: *const ws_client) -> c_int {
    guard::client_or(client, 0, |c| c.http_status())
}

/// The subprotocol agreed on, or NULL. Call it in a callback or while the client does not run in
/// another thread; the text lives until the next on_open.
#[no_mangle]
pub unsafe extern "C" fn ws_client_subprotocol(client: *const ws_client) -> *const c_char {
    guard::client_or(client, core::ptr::null(), |c| {
        (*c.subprotocol_place())
            .as_ref()
            .map_or(core::ptr::null(), |s| s.as_ptr())
    })
}

/// Fills in the statistics. out->struct_size must be set; a smaller (older) struct gets the fields
/// that it has. WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_stats(
    client: *const ws_client,
    out: *mut ws_stats,
) -> ws_status {
    guard::client(client.cast_mut(), |c| guard::fill_stats(out, &c.stats()))
}

/// Makes ws_client_run() return and the thread of ws_client_start() end, as soon as the callback
/// that it is in has returned. A stopped client cannot run again; calling it twice does no harm.
/// NULL is a no-op. [any thread, signal handler, callbacks]
#[no_mangle]
pub unsafe extern "C" fn ws_client_stop(client: *mut ws_client) {
    guard::client_signal(client, Client::stop);
}

/// Stops the client, closes an open connection with 1001 (going away), waits at most
/// close_timeout_ms for the answer, delivers on_close, joins the thread and frees everything. NULL
/// is a no-op. No other thread may be using the handle.
/// WS_ERR_REENTRANT: in a callback, or another thread is inside ws_client_run() or
/// ws_client_poll(); nothing has happened.
#[no_mangle]
pub unsafe extern "C" fn ws_client_free(client: *mut ws_client) -> ws_status {
    guard::free(client.cast_const().cast::<Client>(), Client::close_all)
}
