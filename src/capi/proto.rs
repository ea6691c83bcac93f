//! `ws_proto`: the protocol without sockets, for programs with transports of their own.

use core::ffi::{c_char, c_int, c_void};

use super::deflate::{self, ws_deflate_info, ws_deflate_options};
use super::proto_guard::{self as guard, Text};
use super::proto_handle::Proto;
use super::request::ws_request;
use super::status::ws_status;

/// One end of a WebSocket as a protocol engine (RFC 6455), the one inside ws_server and ws_client:
/// it has no socket, no thread and no clock. The program moves the bytes, over whatever it has: a
/// TCP socket in its own event loop, a TLS library, a pipe, a serial line.
///
/// A turn of the program's loop, for each ws_proto:
///   1. what the transport brought goes to ws_proto_feed(), its end to ws_proto_eof(); when
///      ws_proto_deadline() has passed, ws_proto_tick();
///   2. ws_proto_next() until it answers WS_PROTO_NONE;
///   3. what ws_proto_output() shows is written, and told by ws_proto_written(), until there is
///      nothing or the transport takes no more;
///   4. ws_proto_wants_end() says whether the transport is to be ended.
///
/// Time comes in as now_ms: milliseconds of a clock that only goes forward (CLOCK_MONOTONIC).
/// Threads: one at a time may use a ws_proto; different ones are independent.
pub struct ws_proto(());

/// Which end a ws_proto is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_role {
    /// Answers the upgrade request, sends unmasked frames.
    WS_SERVER = 1,
    /// Sends the upgrade request, masks its frames.
    WS_CLIENT = 2,
}

/// Configures a ws_proto. Zero-initialise it, set struct_size and role, for a client also url:
/// every other field left zero means the default in brackets. Strings are copied. Grows at the end
/// only; programs compiled against an older header go on working.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_proto_config {
    /// sizeof(ws_proto_config).
    pub struct_size: usize,
    /// WS_SERVER or WS_CLIENT.
    pub role: c_int,
    /// 1: messages are told in pieces as their bytes come (WS_PROTO_PIECE), never gathered. 0: whole
    /// (WS_PROTO_MESSAGE).
    pub pieces: c_int,
    /// Bytes of a received message, fragments together [1 MiB; no limit with pieces]. A larger one
    /// fails the connection with close code 1009 as soon as its length is announced.
    pub max_message_size: usize,
    /// Bytes queued, frame heads included [256 KiB, or enough for a message of max_message_size where
    /// that is more]. A message that would exceed it is refused with WS_ERR_AGAIN; one that is larger
    /// by itself with WS_ERR_TOO_BIG.
    pub max_send_queue: usize,
    /// Milliseconds from ws_proto_new() to the open WebSocket, the program's own answer to the
    /// request included [5000].
    pub handshake_timeout_ms: u32,
    /// Milliseconds for the peer to answer our Close frame, to take what is queued, and to end the
    /// transport where it is its turn [2000].
    pub close_timeout_ms: u32,
    /// A Ping is sent after that many milliseconds without a byte from the peer [30000]. WS_NEVER:
    /// no pings.
    pub ping_interval_ms: u32,
    /// Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    /// WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    pub pong_timeout_ms: u32,
    /// Comma-separated, preferred first [none]. Server: those spoken here; the first that the client
    /// offers is agreed on. Client: those offered; the server may agree on one of them or none.
    pub subprotocols: *const c_char,
    /// Client: "ws://[user:password@]host[:port]/path?query", or wss:// where the transport is TLS. It
    /// is what the request asks for; nothing is looked up or connected.
    pub url: *const c_char,
    /// Client: extra request headers, "Name: value\r\n" each [none]; see ws_client_config.
    pub headers: *const c_char,
    /// Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. The peer
    /// may decline it, or not offer it. Nothing is shared between several ws_proto.
    pub deflate: c_int,
    /// Details of it [those of the mode].
    pub deflate_options: *const ws_deflate_options,
}

/// What a ws_proto_event tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_proto_event_type {
    /// All that was fed is used up: the buffer is the program's again.
    WS_PROTO_NONE = 0,
    /// Server: a client asks for a WebSocket; the request is in good form (RFC 6455 section 4.2.1).
    /// Answer it with ws_proto_accept() or ws_proto_refuse(), at once or later. Origin and Host are
    /// the program's to judge.
    WS_PROTO_REQUEST = 1,
    /// Server: an ordinary HTTP request without a body. Answer it with ws_proto_refuse(), which
    /// then serves a page, at once or later.
    WS_PROTO_HTTP = 2,
    /// The WebSocket is open.
    WS_PROTO_OPEN = 3,
    /// A whole message: its fragments joined and, if text, checked as UTF-8.
    WS_PROTO_MESSAGE = 4,
    /// A stretch of a message, with pieces set; see ws_piece.
    WS_PROTO_PIECE = 5,
    /// A Ping has come. It is answered already.
    WS_PROTO_PING = 6,
    /// A Pong has come; those to libws's own pings hold no bytes.
    WS_PROTO_PONG = 7,
    /// The closing handshake is done (RFC 6455 section 7.1). The last event.
    WS_PROTO_CLOSE = 8,
    /// There will be no WebSocket, or it is no more; status says why. A bad request has been
    /// answered, a Close frame queued where the protocol asks for one. The last event.
    WS_PROTO_ERROR = 9,
}

/// What has happened. Zero-initialise it, set struct_size, and hand it to ws_proto_next(); fields
/// that do not belong to the type are 0. Pointers in it live until the next call of
/// ws_proto_next(), ws_proto_feed() or ws_proto_free() for this ws_proto; what is sent meanwhile may
/// come from them. Grows at the end only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_proto_event {
    /// sizeof(ws_proto_event). Stays as it is.
    pub struct_size: usize,
    /// What it is.
    pub r#type: ws_proto_event_type,
    /// MESSAGE, PIECE: WS_TEXT or WS_BINARY.
    pub kind: c_int,
    /// MESSAGE, PIECE, PING, PONG: the bytes, never NULL. As a rule they lie in the buffer that was
    /// fed, unmasked; no NUL follows them.
    pub data: *const c_void,
    /// Bytes in data. PIECE: 0 only in the last one. PING, PONG: 0 to 125.
    pub len: usize,
    /// PIECE: bytes of this message in the pieces before this one.
    pub offset: u64,
    /// PIECE: 1 if the message ends with this piece. MESSAGE: 1.
    pub last: c_int,
    /// CLOSE, ERROR: 1 if the peer started the closing handshake or went away, 0 if this side did.
    pub by_peer: c_int,
    /// REQUEST, HTTP: the request, for the ws_request_*() functions, until it is answered; they give
    /// "" as its peer. OPEN on a server: the same, with the subprotocol agreed on. Else NULL.
    pub request: *const ws_request,
    /// CLOSE: WS_OK. ERROR: WS_ERR_HANDSHAKE (refused or malformed), WS_ERR_PROTOCOL (the peer broke
    /// RFC 6455), WS_ERR_CLOSED (the transport ended without a closing handshake), WS_ERR_TIMEOUT
    /// (handshake, pong, or answer to our Close), WS_ERR_NO_MEMORY, WS_ERR_IO (no randomness).
    pub status: ws_status,
    /// CLOSE: the code of the peer's Close frame, 1005 if it held none. ERROR: the code that was
    /// sent, 1006 if none was.
    pub code: u16,
    /// ERROR before the WebSocket was open: the HTTP status that the server answered, on either
    /// side; 0 if there was no answer.
    pub http_status: c_int,
    /// CLOSE, ERROR: the reason that came with the code, or what libws found wrong. UTF-8, never
    /// NULL.
    pub reason: *const c_char,
}

/// What ws_proto_wants_end() answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_proto_end {
    /// The transport is still needed.
    WS_PROTO_GO_ON = 0,
    /// Nothing more will be sent, but the peer may not have read the last of it. End the transport
    /// for sending only, as by shutdown(fd, SHUT_WR), and go on feeding what comes (it is thrown
    /// away) until WS_PROTO_END. Ending it at once also works, but over TCP the peer may then see a
    /// reset instead of our last words.
    WS_PROTO_END_SENDING = 1,
    /// End the transport.
    WS_PROTO_END = 2,
}

/// Makes one end of a WebSocket. config is copied. A client's upgrade request is queued at once. The
/// handshake has to be done by handshake_timeout_ms after now_ms. *out is NULL on error, else free
/// it with ws_proto_free().
/// WS_ERR_INVALID_ARG: ws_last_error() names the field. WS_ERR_NO_MEMORY, WS_ERR_IO (the kernel has
/// no randomness for a client's key).
#[no_mangle]
pub unsafe extern "C" fn ws_proto_new(
    config: *const ws_proto_config,
    now_ms: u64,
    out: *mut *mut ws_proto,
) -> ws_status {
    guard::make_box(out, || {
        Proto::new(&guard::config(config, "ws_proto_config")?, now_ms)
    })
}

/// Frees a ws_proto in any state; the peer is told nothing. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_free(proto: *mut ws_proto) {
    guard::free_box(proto.cast::<Proto>())
}

/// Lends len bytes that came from the peer. libws unmasks them in place and hands out slices of
/// them, so the buffer must stay, untouched by the program, until ws_proto_next() has answered
/// WS_PROTO_NONE. len 0 does nothing: the end of the transport is told by ws_proto_eof().
/// WS_ERR_AGAIN: bytes fed before are not used up: take the events first. While a request waits for
/// its answer the bytes behind it wait with it, so do not read on meanwhile. WS_ERR_INVALID_ARG.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_feed(
    proto: *mut ws_proto,
    data: *mut c_void,
    len: usize,
    now_ms: u64,
) -> ws_status {
    guard::proto(proto, |p| {
        guard::data(data, len).and_then(|_| p.feed(data.cast(), len, now_ms))
    })
}

/// Tells the next thing that has happened. event->struct_size must be set.
/// WS_OK, also for WS_PROTO_NONE and WS_PROTO_ERROR. WS_ERR_INVALID_ARG: *event is as it was.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_next(
    proto: *mut ws_proto,
    event: *mut ws_proto_event,
) -> ws_status {
    guard::proto(proto, |p| {
        let size = guard::size_of_out(event, "ws_proto_event")?;
        guard::fill_out(event, &p.next(size));
        Ok(())
    })
}

/// Server: agrees to the upgrade that was told by WS_PROTO_REQUEST (RFC 6455 section 4.2.2).
/// WS_PROTO_OPEN follows; messages can be sent from now on. subprotocol: NULL for the one that
/// config.subprotocols leads to (ws_request_subprotocol() names it), "" for none, else one that the
/// client offered. headers: extra ones for the answer, "Name: value\r\n" each, or NULL.
/// WS_ERR_INVALID_ARG: no upgrade request waits, or an argument is wrong. WS_ERR_CLOSED: it has
/// ended meanwhile. WS_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_accept(
    proto: *mut ws_proto,
    subprotocol: *const c_char,
    headers: *const c_char,
    now_ms: u64,
) -> ws_status {
    guard::proto(proto, |p| {
        let subprotocol = Text::optional(subprotocol, "subprotocol")?;
        p.accept(subprotocol, Text::optional(headers, "headers")?, now_ms)
    })
}

/// Server: answers WS_PROTO_REQUEST with a refusal (http_status 300 to 599) or WS_PROTO_HTTP with a
/// page (200 to 599). The transport ends after it, see ws_proto_wants_end(); no event follows.
/// content_type: of the body, or NULL. headers: extra ones, "Name: value\r\n" each, or NULL. body:
/// len bytes, copied; NULL with len 0 is an empty body. For HEAD the body is measured and left out.
/// max_send_queue does not limit it.
/// WS_ERR_INVALID_ARG: no request waits, or an argument is wrong. WS_ERR_CLOSED: it has ended
/// meanwhile. WS_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_refuse(
    proto: *mut ws_proto,
    http_status: c_int,
    content_type: *const c_char,
    headers: *const c_char,
    body: *const c_void,
    len: usize,
    now_ms: u64,
) -> ws_status {
    guard::proto(proto, |p| {
        let content_type = Text::optional(content_type, "content_type")?;
        let headers = Text::optional(headers, "headers")?;
        let body = guard::data(body, len)?;
        p.refuse(http_status, content_type, headers, body, now_ms)
    })
}

/// Queues a message in one frame. data: len bytes, copied (it may be an event's); NULL with len 0 is
/// an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which WS_UNCOMPRESSED may be
/// or'ed to.
/// WS_OK: queued. WS_ERR_AGAIN: max_send_queue would be exceeded; nothing was queued, try again when
/// output has been written. WS_ERR_CLOSED: not open, or closing. WS_ERR_UTF8, WS_ERR_TOO_BIG (larger
/// than max_send_queue), WS_ERR_NO_MEMORY, WS_ERR_IO (no randomness for a mask), WS_ERR_INVALID_ARG
/// (also while a message in fragments is unfinished).
#[no_mangle]
pub unsafe extern "C" fn ws_proto_send(
    proto: *mut ws_proto,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::proto(proto, |p| {
        p.send(guard::outgoing(kind)?, guard::data(data, len)?)
    })
}

/// Queues a fragment of a message (RFC 6455 section 5.4). The first one begins a message; the one
/// with fin other than 0 ends it. kind is that of the message and the same in all of them (of
/// WS_UNCOMPRESSED only the first counts). Pings, pongs and Close may be sent in between, other
/// messages not.
/// As ws_proto_send(). WS_ERR_INVALID_ARG also when kind differs from the first fragment's.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_send_fragment(
    proto: *mut ws_proto,
    kind: c_int,
    data: *const c_void,
    len: usize,
    fin: c_int,
) -> ws_status {
    guard::proto(proto, |p| {
        p.send_fragment(guard::outgoing(kind)?, guard::data(data, len)?, fin != 0)
    })
}

/// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes as WS_PROTO_PONG.
/// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_proto_send().
#[no_mangle]
pub unsafe extern "C" fn ws_proto_ping(
    proto: *mut ws_proto,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::proto(proto, |p| p.ping(guard::data(data, len)?))
}

/// Queues a Pong that nobody asked for (RFC 6455 section 5.5.3); those to pings are sent by libws.
/// As ws_proto_ping().
#[no_mangle]
pub unsafe extern "C" fn ws_proto_pong(
    proto: *mut ws_proto,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::proto(proto, |p| p.pong(guard::data(data, len)?))
}

/// Starts the closing handshake (RFC 6455 section 7.1.2) behind what is queued; messages that still
/// come are thrown away. WS_PROTO_CLOSE follows, or WS_PROTO_ERROR after close_timeout_ms. code: one
/// that may stand in a frame (1000 to 1003, 1007 to 1014, 3000 to 4999); 0 is 1000. reason: UTF-8 of
/// at most 123 bytes, or NULL.
/// WS_ERR_CLOSED: not open, or closing already. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8,
/// WS_ERR_TOO_BIG (reason), WS_ERR_NO_MEMORY, WS_ERR_IO.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_close(
    proto: *mut ws_proto,
    code: u16,
    reason: *const c_char,
    now_ms: u64,
) -> ws_status {
    guard::proto(proto, |p| p.close(code, Text::reason(reason)?, now_ms))
}

/// Tells that the program reads no more for now, so that the transport slows the peer down; no Pong
/// can be missing meanwhile.
/// WS_ERR_CLOSED: not open.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_pause(proto: *mut ws_proto, now_ms: u64) -> ws_status {
    guard::proto(proto, |p| p.pause(true, now_ms))
}

/// Tells that the program reads again.
/// WS_ERR_CLOSED: not open.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_resume(proto: *mut ws_proto, now_ms: u64) -> ws_status {
    guard::proto(proto, |p| p.pause(false, now_ms))
}

/// The first stretch of the bytes that are to be written: how many, and in *data where they are; 0
/// if there are none. They stay until the next call for this ws_proto other than those that take a
/// const one. Write them and call ws_proto_written(), then ask again: there may be more.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_output(
    proto: *const ws_proto,
    data: *mut *const c_void,
) -> usize {
    guard::proto_or(proto, 0, |p| guard::lend(p.output(), data))
}

/// Tells that the first len bytes of the output were written. More output may follow from that: a
/// Pong that was held back while nothing could be written.
/// WS_ERR_INVALID_ARG: more than there is to write; nothing has changed.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_written(
    proto: *mut ws_proto,
    len: usize,
    now_ms: u64,
) -> ws_status {
    guard::proto(proto, |p| p.written(len, now_ms))
}

/// Bytes queued that were not written yet, in all.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_buffered(proto: *const ws_proto) -> usize {
    guard::proto_or(proto, 0, Proto::buffered)
}

/// When to call ws_proto_tick() at the latest, in the time of now_ms; UINT64_MAX: no time is set.
/// Every other call may change it.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_deadline(proto: *const ws_proto) -> u64 {
    guard::proto_or(proto, u64::MAX, Proto::deadline)
}

/// Does what is due by now_ms: sends a Ping, or gives up a handshake, a silent peer or a Close
/// without an answer. Then take events and output. May be called at any time.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_tick(proto: *mut ws_proto, now_ms: u64) -> ws_status {
    guard::proto(proto, |p| p.tick(now_ms))
}

/// Tells that the transport brings no more bytes, be it by its end or by an error. An open WebSocket
/// ends with WS_PROTO_ERROR and WS_ERR_CLOSED; after a closing handshake no event follows.
/// WS_ERR_AGAIN: bytes fed before are not used up: take the events first.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_eof(proto: *mut ws_proto) -> ws_status {
    guard::proto(proto, Proto::eof)
}

/// What to do with the transport, once events have been taken and output has been written. The
/// server ends it after the closing handshake, the client waits for that until close_timeout_ms (RFC
/// 6455 section 7.1.1). WS_PROTO_END for NULL.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_wants_end(proto: *const ws_proto) -> ws_proto_end {
    guard::proto_or(proto, ws_proto_end::WS_PROTO_END, Proto::wants_end)
}

/// What was agreed on about compression, once WS_PROTO_OPEN has come. out->struct_size must be set.
/// WS_ERR_INVALID_ARG.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_deflate(
    proto: *mut ws_proto,
    out: *mut ws_deflate_info,
) -> ws_status {
    guard::proto(proto, |p| deflate::fill(out, p.deflate()))
}

/// 1 while messages can be sent, else 0.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_is_open(proto: *const ws_proto) -> c_int {
    guard::proto_or(proto, 0, Proto::is_open)
}

/// The subprotocol agreed on, or NULL. It lives as long as the ws_proto.
#[no_mangle]
pub unsafe extern "C" fn ws_proto_subprotocol(proto: *const ws_proto) -> *const c_char {
    guard::proto_or(proto, core::ptr::null(), Proto::subprotocol)
}
