//! `ws_server`: configuration, life, and everything that is sent through it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{c_char, c_int, c_void};

use super::callbacks::ServerCallbacks;
use super::deflate::{self, ws_deflate_info, ws_deflate_options};
use super::guard::{self, Text};
use super::request::{ws_request, ws_response};
use super::status::ws_status;
use super::types::{ws_close_info, ws_conn_id, ws_message, ws_piece, ws_stats};
use crate::net::conns::ConnId;
use crate::server::Server;

/// A WebSocket server: listeners, connections, and one or more event loops.
pub struct ws_server(());

/// Configures a server. Zero-initialise it and set struct_size: every field left zero means the
/// default in brackets. Strings are copied by ws_server_new(). Grows at the end only; programs
/// compiled against an older header go on working.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_server_config {
    /// sizeof(ws_server_config).
    pub struct_size: usize,
    /// Event-loop threads, 1 to 64 [1]. More than one needs ws_server_run() or ws_server_start();
    /// new connections go to the thread that has fewest, and callbacks of different connections
    /// then run at the same time in different threads.
    pub threads: u32,
    /// Open connections, 1 to 1000000 [1024]. Upgrades beyond it are refused with 503. Mind the
    /// process's limit of open files.
    pub max_connections: u32,
    /// Bytes of a received message, fragments together [1 MiB; no limit with on_piece]. A larger
    /// one fails the connection with close code 1009 as soon as its length is announced.
    pub max_message_size: usize,
    /// Bytes queued for one connection, frame heads included [256 KiB, or what one message of
    /// max_message_size takes if that is more, or with on_piece a piece of receive_buffer_size]. A
    /// message or piece that would exceed it is refused with WS_ERR_AGAIN; one that is larger by
    /// itself with WS_ERR_TOO_BIG. Counted up to 4 GiB.
    pub max_send_queue: usize,
    /// Bytes of an event loop's receive buffer, which all its connections share, 4 KiB to 16 MiB
    /// [256 KiB]. Memory is used only as far as it gets filled. 64 KiB suits a small board; below
    /// 16 KiB costs speed.
    pub receive_buffer_size: usize,
    /// Milliseconds from accept to the whole HTTP request, and for each further request on a
    /// connection [5000]. In each such time the peer has to take 4 KiB of a page, or the rest of it.
    pub handshake_timeout_ms: u32,
    /// Milliseconds for the peer to answer our Close frame, and to take what is queued [2000].
    pub close_timeout_ms: u32,
    /// A Ping is sent after that many milliseconds without a byte from the peer [30000]. WS_NEVER:
    /// no pings.
    pub ping_interval_ms: u32,
    /// Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    /// WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    pub pong_timeout_ms: u32,
    /// The only path where WebSockets are served, such as "/ws"; upgrades elsewhere get 404 [any].
    pub path: *const c_char,
    /// Subprotocols spoken here, comma-separated, preferred first: "v2.acme,v1.acme" [none]. The
    /// first that the client offers is agreed on.
    pub subprotocols: *const c_char,
    /// Web origins allowed to connect, comma-separated: "https://app.example,http://192.0.2.1:8080";
    /// "self" stands for pages that this server serves itself (the Origin's host and port are those
    /// of the Host header). An upgrade with another Origin header gets 403; one without the header
    /// comes from no browser and passes [any]. A server on a desk or in a home should set it: any
    /// page in a local browser can reach the server, on loopback too.
    pub allowed_origins: *const c_char,
    /// Values of the Host header that are served, with or without port, comma-separated; others get
    /// 403 [any]. Guards against DNS rebinding.
    pub allowed_hosts: *const c_char,
    /// Decides on an upgrade, after all checks of this configuration. Return 0 to accept, else the
    /// HTTP status of the refusal, 300 to 599 (ws_response_body() adds a body) [accept].
    pub on_upgrade: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            request: *const ws_request,
            response: *mut ws_response,
            user: *mut c_void,
        ) -> c_int,
    >,
    /// Answers a plain HTTP request on the same port through ws_response_body() [404]. Requests
    /// with a body get 413.
    pub on_http: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            request: *const ws_request,
            response: *mut ws_response,
            user: *mut c_void,
        ),
    >,
    /// A connection is open: from here on conn is valid and can be sent to.
    pub on_open: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            conn: ws_conn_id,
            request: *const ws_request,
            user: *mut c_void,
        ),
    >,
    /// A whole message has come. Not together with on_piece.
    pub on_message: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            conn: ws_conn_id,
            message: *const ws_message,
            user: *mut c_void,
        ),
    >,
    /// Chooses delivery in pieces: messages are handed on as their bytes come, never gathered, so
    /// that one of any size needs no more memory than the receive buffer. Not together with
    /// on_message.
    pub on_piece: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            conn: ws_conn_id,
            piece: *const ws_piece,
            user: *mut c_void,
        ),
    >,
    /// After WS_ERR_AGAIN: the send queue of conn is at most half full again.
    pub on_writable:
        Option<unsafe extern "C" fn(server: *mut ws_server, conn: ws_conn_id, user: *mut c_void)>,
    /// A Pong has come, with len (0 to 125) bytes: those of the Ping that it answers, as a rule.
    /// The pongs to libws's own pings come here too, with len 0.
    pub on_pong: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            conn: ws_conn_id,
            data: *const c_void,
            len: usize,
            user: *mut c_void,
        ),
    >,
    /// The connection has ended. Called exactly once for every on_open, and last. conn can still be
    /// asked for its ws_server_conn_user() here, nothing else.
    pub on_close: Option<
        unsafe extern "C" fn(
            server: *mut ws_server,
            conn: ws_conn_id,
            info: *const ws_close_info,
            user: *mut c_void,
        ),
    >,
    /// Handed to every callback.
    pub user: *mut c_void,
    /// 1: other processes of the same user that set it too may listen at the same port, and the
    /// kernel spreads new connections over them (SO_REUSEPORT): several processes serve more
    /// connections than one may have open files [0]. For TCP listeners.
    pub reuse_port: c_int,
    /// As ws_client_config.keepalive_s [60].
    pub keepalive_s: u32,
    /// Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. Clients
    /// that do not offer it are served without.
    pub deflate: c_int,
    /// Details of it [those of the mode].
    pub deflate_options: *const ws_deflate_options,
    /// The server's certificate, followed by those that sign it, for wss:// listeners [none]. Here
    /// and in all fields like it: the path of a PEM file, or the PEM text itself ("-----BEGIN
    /// ..."). Needs a build with TLS (WS_ERR_UNSUPPORTED).
    pub tls_cert: *const c_char,
    /// The key of tls_cert, not encrypted: RSA of 2048 bits or more, P-256, P-384 or Ed25519.
    pub tls_key: *const c_char,
    /// Further certificates, tls_more_certs_len of them, for servers of several names: a client
    /// gets the first certificate that is for the name that it asks for (SNI), else tls_cert
    /// [none].
    pub tls_more_certs: *const ws_tls_cert,
    pub tls_more_certs_len: usize,
    /// Who signs the certificates of clients: with it, a client has to show one (mutual TLS), and
    /// ws_request_tls_subject() tells whose it is [clients are not asked].
    pub tls_client_ca: *const c_char,
    /// Not 0: a client may also come without a certificate [it must have one].
    pub tls_client_optional: c_int,
    /// For boards whose clock may not be set: seconds since 1970 of a day that is past for sure,
    /// such as the day on which the firmware was built. When the clock is before it, dates are
    /// checked as of that day, and a certificate that is only valid from later on is accepted too
    /// [the clock is right].
    pub tls_clock_not_before: i64,
}

/// A certificate and its key; see ws_server_config.tls_cert and tls_key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_tls_cert {
    pub cert: *const c_char,
    pub key: *const c_char,
}

/// In ping_interval_ms and pong_timeout_ms: never.
pub const WS_NEVER: u32 = 0xffff_ffff;

/// Makes a server. It listens nowhere yet. config is copied. *out is NULL on error, else free it
/// with ws_server_free().
/// WS_ERR_INVALID_ARG: ws_last_error() names the field. WS_ERR_TLS: it names the certificate or key
/// that is no good. WS_ERR_UNSUPPORTED: tls_cert in a build without TLS, deflate in one without
/// compression. WS_ERR_NO_MEMORY, WS_ERR_IO (no fd left for epoll, a file cannot be read).
#[no_mangle]
pub unsafe extern "C" fn ws_server_new(
    config: *const ws_server_config,
    out: *mut *mut ws_server,
) -> ws_status {
    guard::make(out, || {
        let config = guard::config(config, "ws_server_config")?;
        let callbacks = ServerCallbacks::new(&config);
        let server = Arc::new(Server::new(
            config.settings()?,
            Box::new(callbacks.clone()),
        )?);
        callbacks.bind(Arc::as_ptr(&server).cast());
        Ok(server)
    })
}

/// Listens at url: "ws://0.0.0.0:9001", "ws://[::]:9001" (IPv6 only), "ws://localhost:0" (port 0:
/// any free one), "wss://0.0.0.0:9443" (with TLS: config.tls_cert), "unix:/run/app.sock" (a stale
/// socket file is replaced, and removed by ws_server_free()), or "fd:3" (an inherited socket that
/// listens already; libws owns it from here on). Without a port: 80, with wss 443. Call it again
/// for more listeners, before the server runs.
/// WS_ERR_INVALID_ARG, WS_ERR_UNSUPPORTED (wss in a build without TLS), WS_ERR_DNS, WS_ERR_IO
/// (errno: EADDRINUSE, EACCES, ...), WS_ERR_REENTRANT (it runs already).
#[no_mangle]
pub unsafe extern "C" fn ws_server_listen(server: *mut ws_server, url: *const c_char) -> ws_status {
    guard::server(server, |s| {
        s.listen(Text::required(url, "ws_server_listen: url")?)
    })
}

/// Reads certificates, keys and authorities again, for the connections that come from now on; those
/// that are there stay as they are. config NULL: from the same files as before; else from the tls_
/// fields of config, whose other fields are not looked at. On error everything stays as it was.
/// WS_ERR_TLS: ws_last_error() says which of them is wrong and how. WS_ERR_IO (a file cannot be
/// read), WS_ERR_INVALID_ARG (no tls_cert), WS_ERR_NO_MEMORY, WS_ERR_UNSUPPORTED. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_reload_tls(
    server: *mut ws_server,
    config: *const ws_server_config,
) -> ws_status {
    guard::server(server, |s| {
        let source = match config.is_null() {
            true => None,
            false => Some(guard::config(config, "ws_server_config")?.new_tls()?),
        };
        s.reload_tls(source)
    })
}

/// The port of the first TCP listener, in host byte order; 0 if there is none. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_port(server: *const ws_server) -> u16 {
    guard::server_or(server, 0, |s| s.port())
}

/// The port of listener index, counted from 0 in the order of ws_server_listen(); 0 if there is
/// none or it has no port. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_listener_port(server: *const ws_server, index: u32) -> u16 {
    guard::server_or(server, 0, |s| s.listener_port(index))
}

/// Serves in this thread (and config.threads - 1 more) until ws_server_stop(), not at all if that
/// was called before. Then the connections are still open: ws_server_free() closes them.
/// WS_OK: stopped. WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: a loop or thread
/// could not be set up.
#[no_mangle]
pub unsafe extern "C" fn ws_server_run(server: *mut ws_server) -> ws_status {
    guard::server(server, |s| s.run())
}

/// Serves in config.threads threads of its own and returns at once; all signals are blocked in
/// them. ws_server_free() ends them.
/// WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: no thread to be had.
#[no_mangle]
pub unsafe extern "C" fn ws_server_start(server: *mut ws_server) -> ws_status {
    guard::server(server, Server::start)
}

/// One turn of the event loop in this thread: waits at most timeout_ms milliseconds (0: not at all,
/// -1: as long as it takes) for something to do, and does it.
/// WS_OK: go on. WS_ERR_CLOSED: ws_server_stop() was called. WS_ERR_REENTRANT: in a callback, or
/// another thread runs it. WS_ERR_INVALID_ARG: config.threads is not 1, or timeout_ms < -1.
#[no_mangle]
pub unsafe extern "C" fn ws_server_poll(server: *mut ws_server, timeout_ms: c_int) -> ws_status {
    guard::server(server, |s| s.poll(timeout_ms))
}

/// For a program with its own event loop: an fd that becomes readable whenever
/// ws_server_poll(server, 0) has something to do, timeouts included. Do not read it or close it. -1
/// on error. The same for the life of the server. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_fd(server: *const ws_server) -> c_int {
    guard::server_or(server, -1, |s| s.fd())
}

/// Makes ws_server_run() return and the threads of ws_server_start() end, when each has done with
/// what had come already; callbacks may be called for that. A stopped server cannot run again;
/// calling it twice does no harm.
/// NULL is a no-op. [any thread, signal handler, callbacks]
#[no_mangle]
pub unsafe extern "C" fn ws_server_stop(server: *mut ws_server) {
    guard::server_signal(server, Server::stop);
}

/// Stops the server, closes every connection with 1001 (going away), waits at most close_timeout_ms
/// for the peers' answers, delivers each on_close, joins the threads and frees everything. NULL is
/// a no-op. No other thread may be using the handle.
/// WS_ERR_REENTRANT: in a callback, or another thread is inside ws_server_run() or
/// ws_server_poll(); nothing has happened.
#[no_mangle]
pub unsafe extern "C" fn ws_server_free(server: *mut ws_server) -> ws_status {
    guard::free(server.cast_const().cast::<Server>(), Server::close_all)
}

/// Queues a message for conn, in the order of the calls of a thread; never blocks. data: len bytes,
/// copied; NULL with len 0 is an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which
/// WS_UNCOMPRESSED may be or'ed to. max_send_queue is compared with len before it is compressed.
/// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing was queued, on_writable will be called.
/// WS_ERR_CLOSED, WS_ERR_UTF8, WS_ERR_TOO_BIG (larger than max_send_queue), WS_ERR_NO_MEMORY,
/// WS_ERR_INVALID_ARG (also while a message in pieces is unfinished). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_send(
    server: *mut ws_server,
    conn: ws_conn_id,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::server(server, |s| {
        let (kind, plain) = guard::outgoing(kind)?;
        s.send(ConnId(conn), kind, guard::data(data, len)?, plain)
    })
}

/// Sends a piece of a message, one WebSocket fragment (RFC 6455 section 5.4): for messages that are
/// not in memory as a whole. The first call begins a message, each further one continues it, and
/// the one with last other than 0 ends it; the message may be of any length. kind is that of the
/// message and the same in every call; WS_UNCOMPRESSED counts at the first. Text is checked over
/// all pieces: a character may be split. A piece may be empty. data is copied as far as the kernel
/// does not take it at once, as by ws_server_send(), and ws_stats counts the message with its last
/// piece.
/// While a message is unfinished, conn takes no other one: ws_server_send() answers
/// WS_ERR_INVALID_ARG, broadcasts leave conn out (counted in ws_stats.messages_dropped, no
/// on_writable follows). Pings, pongs and ws_server_close() go in between. A message cannot be
/// taken back: who cannot finish it closes the connection.
/// The pieces of a message come from one thread at a time, in the order of its calls.
/// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing of the piece was queued, on_writable
/// will be called: send the same piece again. WS_ERR_TOO_BIG: the piece by itself is larger than
/// max_send_queue. WS_ERR_UTF8: nothing of the piece was queued, and the message is as before; in a
/// thread other than the connection's loop WS_OK comes first, and such a piece closes the
/// connection with 1007. WS_ERR_INVALID_ARG: also when kind differs from the first piece's.
/// WS_ERR_CLOSED: the connection has ended or is closing, and the message with it.
/// WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_send_piece(
    server: *mut ws_server,
    conn: ws_conn_id,
    kind: c_int,
    data: *const c_void,
    len: usize,
    last: c_int,
) -> ws_status {
    guard::server(server, |s| {
        s.send_part(ConnId(conn), &guard::part(kind, data, len, last)?)
    })
}

/// Queues a message for every open connection; encoded once, and compressed once for those that
/// take no context over. A receiver whose queue is full is left out (counted in
/// ws_stats.messages_dropped; on_writable follows there).
/// WS_OK: also when nobody is connected. WS_ERR_AGAIN: broadcasts are called faster than the loops
/// take them; nothing was queued. Else as ws_server_send(). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_broadcast(
    server: *mut ws_server,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::server(server, |s| {
        let (kind, plain) = guard::outgoing(kind)?;
        s.broadcast(None, kind, guard::data(data, len)?, plain)
    })
}

/// As ws_server_broadcast(), for the connections that subscribe to topic. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_publish(
    server: *mut ws_server,
    topic: *const c_char,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::server(server, |s| {
        let topic = Text::required(topic, "ws_server_publish: topic")?;
        let (kind, plain) = guard::outgoing(kind)?;
        s.broadcast(Some(topic), kind, guard::data(data, len)?, plain)
    })
}

/// From now on conn receives what is published to topic, until it unsubscribes or ends. topic:
/// UTF-8, 1 to 255 bytes, compared byte by byte. Twice is once.
/// WS_ERR_CLOSED, WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_subscribe(
    server: *mut ws_server,
    conn: ws_conn_id,
    topic: *const c_char,
) -> ws_status {
    guard::server(server, |s| {
        s.subscribe(
            ConnId(conn),
            Text::required(topic, "ws_server_subscribe: topic")?,
        )
    })
}

/// Ends a subscription; WS_OK also when there was none.
/// WS_ERR_CLOSED, WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_unsubscribe(
    server: *mut ws_server,
    conn: ws_conn_id,
    topic: *const c_char,
) -> ws_status {
    guard::server(server, |s| {
        s.unsubscribe(
            ConnId(conn),
            Text::required(topic, "ws_server_unsubscribe: topic")?,
        )
    })
}

/// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes to on_pong. libws sends its
/// own pings by ping_interval_ms, so this is for measuring.
/// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_server_send(). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_ping(
    server: *mut ws_server,
    conn: ws_conn_id,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::server(server, |s| s.ping(ConnId(conn), guard::data(data, len)?))
}

/// Starts the closing handshake: what is queued goes out first, then a Close frame; nothing more
/// can be sent or is received. on_close follows when the peer has answered, after close_timeout_ms
/// at the latest. code: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 section 7.4), or 0 for
/// 1000. reason: UTF-8, at most 123 bytes, or NULL.
/// WS_ERR_CLOSED: already closing. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8, WS_ERR_TOO_BIG (reason),
/// WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_close(
    server: *mut ws_server,
    conn: ws_conn_id,
    code: u16,
    reason: *const c_char,
) -> ws_status {
    guard::server(server, |s| {
        s.close(ConnId(conn), code, Text::reason(reason)?)
    })
}

/// Stops reading from conn, so that TCP slows the peer down: for a program that cannot keep up.
/// Takes effect after the current callback; nothing that has come is lost, and pong deadlines rest.
/// Sending goes on. WS_ERR_CLOSED. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_pause(server: *mut ws_server, conn: ws_conn_id) -> ws_status {
    guard::server(server, |s| s.pause(ConnId(conn), true))
}

/// Reads again after ws_server_pause(). WS_ERR_CLOSED. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_resume(server: *mut ws_server, conn: ws_conn_id) -> ws_status {
    guard::server(server, |s| s.pause(ConnId(conn), false))
}

/// Bytes queued for conn that the kernel has not taken yet; 0 for a stale id. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_buffered(server: *mut ws_server, conn: ws_conn_id) -> usize {
    guard::server_or(server, 0, |s| s.buffered(ConnId(conn)))
}

/// Attaches a pointer of the caller's to conn. libws never touches what it points to: free it in
/// on_close. WS_ERR_CLOSED, WS_ERR_NO_MEMORY. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_set_conn_user(
    server: *mut ws_server,
    conn: ws_conn_id,
    conn_user: *mut c_void,
) -> ws_status {
    guard::server(server, |s| {
        s.set_conn_user(ConnId(conn), conn_user as usize)
    })
}

/// The pointer attached to conn; NULL at first and for a stale id. Valid in on_close. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_conn_user(
    server: *mut ws_server,
    conn: ws_conn_id,
) -> *mut c_void {
    guard::server_or(server, core::ptr::null_mut(), |s| {
        s.conn_user(ConnId(conn)) as *mut c_void
    })
}

/// What was agreed on about compression. out->struct_size must be set. WS_ERR_CLOSED: a stale id.
/// WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_deflate(
    server: *mut ws_server,
    conn: ws_conn_id,
    out: *mut ws_deflate_info,
) -> ws_status {
    guard::server(server, |s| deflate::fill(out, s.deflate(ConnId(conn))?))
}

/// Fills in the statistics. out->struct_size must be set; a smaller (older) struct gets the fields
/// that it has. WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_server_stats(
    server: *const ws_server,
    out: *mut ws_stats,
) -> ws_status {
    guard::server(server.cast_mut(), |s| guard::fill_stats(out, &s.stats()))
}
