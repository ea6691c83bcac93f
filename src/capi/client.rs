//! `ws_client`: one connection to a server, kept as long as wanted.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{c_char, c_int, c_void};

use super::callbacks::ClientCallbacks;
use super::deflate::{self, ws_deflate_info, ws_deflate_options};
use super::guard::{self, Text};
use super::status::ws_status;
use super::types::{ws_close_info, ws_message, ws_piece, ws_reconnect_info, ws_stats};
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
    /// "ws://[user:password@]host[:port]/path?query", or "wss://..." with TLS: host is a name, an IPv4
    /// address, or an IPv6 address in brackets; port [80, or 443 with wss]; user and password,
    /// percent-encoded, become an Authorization header (basic). Or
    /// "ws+unix:/path/of/socket:/path?query".
    pub url: *const c_char,
    /// Subprotocols offered, comma-separated, preferred first [none]. A server may agree on one of
    /// them or none.
    pub subprotocols: *const c_char,
    /// Extra request headers, "Name: value\r\n" each [none]. Those that libws writes itself are
    /// refused (Host, Upgrade, Connection, Content-Length, Transfer-Encoding, Sec-WebSocket-*), and
    /// so are control characters and anything that is not ASCII, Authorization beside bearer_token or
    /// a user in url, and Cookie beside cookies or keep_cookies.
    pub headers: *const c_char,
    /// Milliseconds for all of it: name lookup, every address tried, proxy, redirects, HTTP upgrade
    /// [10000].
    pub connect_timeout_ms: u32,
    /// Milliseconds for the server to answer our Close frame and end the connection [2000].
    pub close_timeout_ms: u32,
    /// A Ping is sent after that many milliseconds without a byte from the server [30000].
    /// WS_NEVER: no pings. A link that dies without a word is noticed, whether anything is being sent
    /// or not, ping_interval_ms + pong_timeout_ms after the last byte that came; without pings
    /// 2 * keepalive_s after the last packet.
    pub ping_interval_ms: u32,
    /// Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    /// WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    pub pong_timeout_ms: u32,
    /// Bytes of a received message, fragments together [1 MiB; no limit with on_piece]. A larger
    /// one fails the connection with close code 1009 as soon as its length is announced.
    pub max_message_size: usize,
    /// Bytes queued, frame heads included [256 KiB, or what one message of max_message_size takes
    /// if that is more, or with on_piece a piece of receive_buffer_size]. A message or piece that
    /// would exceed it is refused with WS_ERR_AGAIN; one that is larger by itself with
    /// WS_ERR_TOO_BIG.
    pub max_send_queue: usize,
    /// Bytes of the receive buffer, 4 KiB to 16 MiB [256 KiB]. Memory is used only as far as it
    /// gets filled.
    pub receive_buffer_size: usize,
    /// The shortest and the longest wait before connecting again, in milliseconds [never connect
    /// again]. After the n-th failure in a row the wait is a random time between reconnect_min_ms and
    /// reconnect_min_ms * 2^n, at most reconnect_max_ms [60000, or reconnect_min_ms if that is
    /// longer]. The first attempt counts too; a connection that lasted 5 seconds ends the row. Longer
    /// waits: what Retry-After says (at most a day) and up to a quarter more; 5 to 30 seconds after
    /// close code 1012; at least half of reconnect_max_ms after 1013 (and 5 seconds), and while it is
    /// of no use (see ws_reconnect_info.permanent). Not after ws_client_close(). See on_reconnect.
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
    /// A proxy to go through: "http://[user:password@]host[:port]" (asked with CONNECT, port [80]) or
    /// "socks5://[user:password@]host[:port]" ([1080]) [none]. The server's name is resolved by the
    /// proxy. Not used for unix sockets.
    pub proxy: *const c_char,
    /// "Authorization: Bearer ..." with this token [none].
    pub bearer_token: *const c_char,
    /// Cookies for the server, "name=value; name=value" [none].
    pub cookies: *const c_char,
    /// The network interface to connect through, such as "eth0" [as the routes say]. Linux before 5.7
    /// lets only programs with CAP_NET_RAW choose.
    pub interface_name: *const c_char,
    /// The IPv4 or IPv6 address to connect from; servers are reached in its family only [chosen by
    /// the kernel].
    pub source_address: *const c_char,
    /// 1: without proxy, the proxy that the environment names: http_proxy for ws, https_proxy or
    /// HTTPS_PROXY for wss, else all_proxy or ALL_PROXY, and none for the hosts of no_proxy or NO_PROXY
    /// (names with their subdomains, addresses, networks such as 10.0.0.0/8, *). Read by
    /// ws_client_new() [0].
    pub proxy_from_env: c_int,
    /// 1: cookies that the server sets when it answers a handshake are sent back with the next, at
    /// most 16 of 8 KiB together [0].
    pub keep_cookies: c_int,
    /// How many redirects of an attempt are followed [none]. Never from wss to ws. Authorization and
    /// Cookie headers, bearer_token, cookies and the user of the URL go only to scheme, host and port
    /// of url; a user in a redirect's URL is not used. Kept cookies (keep_cookies) go where RFC 6265
    /// lets them: to the host that has set them, whatever the port.
    pub max_redirects: u32,
    /// Seconds without a packet from the server after which the kernel probes it, four times within as
    /// many again (TCP keepalive) [60]. Without pings, or with pong_timeout_ms WS_NEVER, a server that
    /// takes nothing of what waits for it for twice that long is given up as well, even if it lives.
    /// WS_NEVER: neither.
    pub keepalive_s: u32,
    /// Messages that ws_client_enqueue() keeps, at most [1024].
    pub queue_messages: u32,
    /// A ws_queue_policy: what happens when there are more [WS_QUEUE_REFUSE].
    pub queue_policy: c_int,
    /// Bytes of messages that ws_client_enqueue() keeps, at most [1 MiB].
    pub queue_bytes: usize,
    /// Another attempt is going to be made. Called after on_close. ws_client_reconnect_now(),
    /// ws_client_allow_reconnect() and ws_client_close() may be called here.
    pub on_reconnect: Option<
        unsafe extern "C" fn(
            client: *mut ws_client,
            info: *const ws_reconnect_info,
            user: *mut c_void,
        ),
    >,
    /// What became of the message to which ws_client_enqueue() gave this number. Once for each.
    /// WS_OK: the kernel has taken all of it, which does not say that the server has received it.
    /// WS_ERR_AGAIN: dropped, as the queue was full. WS_ERR_CLOSED: dropped, as no further connection
    /// comes. Those that were sent are told in the order of their numbers, those dropped in the order in
    /// which they were: with WS_QUEUE_DROP_OLDEST a new one that is too large to stand beside what is
    /// being sent goes before older ones.
    pub on_sent: Option<
        unsafe extern "C" fn(
            client: *mut ws_client,
            number: u64,
            status: ws_status,
            user: *mut c_void,
        ),
    >,
    /// Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. A
    /// server may decline it.
    pub deflate: c_int,
    /// Details of it [those of the mode].
    pub deflate_options: *const ws_deflate_options,
    /// wss://: the authorities that may sign the server's certificate, as the path of a PEM file or
    /// the PEM text itself ("-----BEGIN ...") [the file that SSL_CERT_FILE names, else the
    /// system's, such as /etc/ssl/certs/ca-certificates.crt]. A self-signed certificate may stand
    /// for itself.
    pub tls_ca: *const c_char,
    /// Public keys of which one must be the server's own, or that of an authority that signs it:
    /// "sha256/" and the Base64 of the SHA-256 of the key (SubjectPublicKeyInfo, as in RFC 7469),
    /// several separated by commas so that keys can change [none]. A second slash after "sha256", as
    /// curl writes it, does no harm. In addition to tls_ca. With
    /// tls_insecure_skip_verify: the server's own key must be one of them.
    pub tls_pins: *const c_char,
    /// The client's own certificate and key, for servers that ask for one (mutual TLS); see
    /// ws_server_config.tls_cert [none].
    pub tls_cert: *const c_char,
    pub tls_key: *const c_char,
    /// The name that the server is asked for (SNI) and that its certificate must be for, as must
    /// that of a server it redirects to [the host of url, or of the redirect].
    pub tls_server_name: *const c_char,
    /// Not 0: the server's certificate is not checked, neither who signed it nor its name nor its
    /// dates. Anyone in between can then read and change everything, so it is for bring-up only;
    /// each connection logs an error line about it [0: everything is checked].
    pub tls_insecure_skip_verify: c_int,
    /// For boards whose clock may not be set: seconds since 1970 of a day that is past for sure,
    /// such as the day on which the firmware was built. When the clock is before it, dates are
    /// checked as of that day, and a certificate that is only valid from later on is accepted too
    /// [the clock is right].
    pub tls_clock_not_before: i64,
}

/// Makes a client. It connects when it is run, started or polled. config is copied. *out is NULL on
/// error, else free it with ws_client_free().
/// WS_ERR_INVALID_ARG: ws_last_error() names the field or the variable. WS_ERR_TLS: it names the
/// certificate or key that is no good. WS_ERR_UNSUPPORTED: a wss:// URL in a build without TLS, or
/// deflate in one without compression. WS_ERR_NO_MEMORY, WS_ERR_IO (no fd left for epoll, a file
/// cannot be read, or the kernel has no randomness).
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
/// WS_OK: closed by a closing handshake, or by ws_client_close() while it waited for its next attempt,
/// or stopped. Else the status of the last failure, as in ws_close_info. WS_ERR_REENTRANT: in a
/// callback, or it runs already.
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
/// NULL with len 0 is an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which
/// WS_UNCOMPRESSED may be or'ed to. max_send_queue is compared with len before it is compressed.
/// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing was queued, on_writable will be called.
/// WS_ERR_CLOSED: not open. WS_ERR_UTF8, WS_ERR_TOO_BIG (larger than max_send_queue),
/// WS_ERR_NO_MEMORY, WS_ERR_INVALID_ARG (also while a message in pieces is unfinished). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_send(
    client: *mut ws_client,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> ws_status {
    guard::client(client, |c| {
        let (kind, plain) = guard::outgoing(kind)?;
        c.send(kind, guard::data(data, len)?, plain)
    })
}

/// Sends a piece of a message, as ws_server_send_piece() does; each is copied. Messages of
/// ws_client_enqueue() wait until the last piece. A message that was begun on a connection that has
/// ended is lost, also when there is a new connection by now: outside of callbacks that is told by
/// WS_ERR_CLOSED, once; in callbacks on_close has told. The next piece begins a message.
/// WS_ERR_CLOSED: not open, or that. Else as ws_server_send_piece(). [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_send_piece(
    client: *mut ws_client,
    kind: c_int,
    data: *const c_void,
    len: usize,
    last: c_int,
) -> ws_status {
    guard::client(client, |c| {
        c.send_part(&guard::part(kind, data, len, last)?)
    })
}

/// As ws_client_send(), but also when there is no connection: the message is kept until the kernel
/// has taken all of it, over as many connections as that takes. Messages go in the order of the calls;
/// on a new connection they follow what on_open has sent. on_sent tells what became of each.
/// *number (may be NULL): the message's number, 1 for the first, one more for each, 0 on error.
/// WS_OK: queued, or dropped at once as queue_policy says. WS_ERR_AGAIN: the queue is full, or, with
/// WS_QUEUE_DROP_OLDEST, on_sent has yet to tell of very many that were dropped; it tells when there
/// is room. WS_ERR_CLOSED: no further connection comes. WS_ERR_TOO_BIG: larger than queue_bytes or
/// max_send_queue. WS_ERR_UTF8, WS_ERR_NO_MEMORY, WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_enqueue(
    client: *mut ws_client,
    kind: c_int,
    data: *const c_void,
    len: usize,
    number: *mut u64,
) -> ws_status {
    guard::client(client, |c| {
        let given = guard::data(data, len).and_then(|data| {
            let (kind, plain) = guard::outgoing(kind)?;
            c.enqueue(kind, data, plain)
        });
        if let Some(number) = number.as_mut() {
            *number = *given.as_ref().unwrap_or(&0);
        }
        given.map(|_| ())
    })
}

/// Messages of ws_client_enqueue() that the kernel has not taken yet. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_queued(client: *const ws_client) -> usize {
    guard::client_or(client, 0, |c| c.queued())
}

/// Ends the wait before the next attempt to connect: the network has come back. Does nothing while
/// connecting or connected. The number of the attempt goes on, so that calling it often does not
/// shorten the waits that follow.
/// WS_ERR_CLOSED: closed for good. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_reconnect_now(client: *mut ws_client) -> ws_status {
    guard::client(client, |c| c.reconnect_now())
}

/// allowed 0: no further attempt is made. An attempt that is under way and a connection that is open
/// go on; when they end, or at once while it waits, the client is closed for good and ws_client_run()
/// returns the status of the last failure. allowed 1: as configured again, if it is not too late.
/// WS_ERR_INVALID_ARG: reconnect_min_ms was not set. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_allow_reconnect(
    client: *mut ws_client,
    allowed: c_int,
) -> ws_status {
    guard::client(client, |c| c.allow_reconnect(allowed != 0))
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
/// What ws_client_enqueue() has taken goes first, as long as the server takes it, for
/// close_timeout_ms at most; meanwhile messages still come, and ws_client_send() still works.
/// on_close follows if there is a connection or an attempt; no further attempt is made.
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

/// Where the last failure lay (dns, tcp, proxy, tls, http, websocket) and what it said, such as "tcp:
/// connect 192.0.2.7:80: Connection refused". "" if nothing has failed yet. Never NULL. Call it in a
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

/// What was agreed on about compression. out->struct_size must be set.
/// WS_ERR_CLOSED: not open. WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_client_deflate(
    client: *mut ws_client,
    out: *mut ws_deflate_info,
) -> ws_status {
    guard::client(client, |c| deflate::fill(out, c.deflate()?))
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

/// Makes ws_client_run() return and the thread of ws_client_start() end, when it has done with what
/// had come already; callbacks may be called for that. A stopped client cannot run again; calling
/// it twice does no harm.
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
