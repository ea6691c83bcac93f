// libws: WebSocket server and client for C programs (RFC 6455).
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Threads:   One thread at a time runs a handle: the one inside ws_*_run() or ws_*_poll(), or the
//            library's own after ws_*_start(). Functions marked [any thread] may be called from
//            every thread, also while it runs; the others before it runs, or in a callback.
//            Callbacks run in the thread that runs the handle, and may call everything on their
//            handle except run, start, poll, listen and free, which answer WS_ERR_REENTRANT there.
//            A ws_proto has no thread and no callbacks: one thread at a time may use it.
// Ownership: libws copies what you pass in. You free what ws_*_new() gave you. Pointers handed to
//            a callback die when it returns.
// Ids:       Connections of a server are numbers, not pointers. A stale one is answered with
//            WS_ERR_CLOSED, whenever and from wherever it is used.
// Errors:    Calls that can fail return a ws_status; ws_last_error() has the words. A function that
//            fails has changed nothing. NULL for a handle is answered with WS_ERR_INVALID_ARG.
// Unwinding: Do not leave a callback by longjmp() or a C++ exception. libws does not touch signal
//            handlers and never raises SIGPIPE.

#ifndef LIBWS_H
#define LIBWS_H

// Generated from src/capi: do not edit, run `make header`.

#include <stddef.h>
#include <stdint.h>

#define WS_VERSION "0.1.0"

// Or'ed to the kind of a message that is sent: it is not compressed, since that would be in vain
// (pictures, archives, ciphertext) or unwise (a secret beside text of an attacker's choice, RFC
// 7692 section 8). Of no effect on connections without compression.
#define WS_UNCOMPRESSED 16

// In ping_interval_ms and pong_timeout_ms: never.
#define WS_NEVER 4294967295

// What a call answered. Values are never renumbered or reused; new ones may be added.
typedef enum {
    // It worked.
    WS_OK = 0,
    // An argument is wrong: a NULL handle, a value out of bounds, a bad URL, a wrong
    // `struct_size`.
    WS_ERR_INVALID_ARG = -1,
    // malloc had nothing left. Nothing was changed or queued.
    WS_ERR_NO_MEMORY = -2,
    // A system call failed; errno holds the cause.
    WS_ERR_IO = -3,
    // The TLS handshake or a TLS record failed.
    WS_ERR_TLS = -4,
    // The HTTP upgrade failed: ws_client_error() and ws_client_http_status() say why.
    WS_ERR_HANDSHAKE = -5,
    // A stale connection id, or the connection is closing or closed.
    WS_ERR_CLOSED = -6,
    // Not now. As a rule the send queue is full: wait for on_writable.
    WS_ERR_AGAIN = -7,
    // Larger than the limit that applies, so it can never succeed.
    WS_ERR_TOO_BIG = -8,
    // Text that is not valid UTF-8.
    WS_ERR_UTF8 = -9,
    // Not allowed inside a callback, or while another thread runs this handle.
    WS_ERR_REENTRANT = -10,
    // A bug in libws was contained; free the handle.
    WS_ERR_INTERNAL = -11,
    // This build of libws lacks the feature (TLS).
    WS_ERR_UNSUPPORTED = -12,
    // A deadline has passed.
    WS_ERR_TIMEOUT = -13,
    // The host name could not be resolved: there is no such name, the resolver did not answer in
    // time, or no lookup could be begun.
    WS_ERR_DNS = -14,
    // The peer broke RFC 6455; the close code says how.
    WS_ERR_PROTOCOL = -15,
} ws_status;

// What a data message holds (RFC 6455 section 5.6).
typedef enum {
    // UTF-8 text.
    WS_TEXT = 1,
    // Any bytes.
    WS_BINARY = 2,
} ws_kind;

// What a ws_proto_event tells.
typedef enum {
    // All that was fed is used up: the buffer is the program's again.
    WS_PROTO_NONE = 0,
    // Server: a client asks for a WebSocket; the request is in good form (RFC 6455 section 4.2.1).
    // Answer it with ws_proto_accept() or ws_proto_refuse(), at once or later. Origin and Host are
    // the program's to judge.
    WS_PROTO_REQUEST = 1,
    // Server: an ordinary HTTP request without a body. Answer it with ws_proto_refuse(), which
    // then serves a page, at once or later.
    WS_PROTO_HTTP = 2,
    // The WebSocket is open.
    WS_PROTO_OPEN = 3,
    // A whole message: its fragments joined and, if text, checked as UTF-8.
    WS_PROTO_MESSAGE = 4,
    // A stretch of a message, with pieces set; see ws_piece.
    WS_PROTO_PIECE = 5,
    // A Ping has come. It is answered already.
    WS_PROTO_PING = 6,
    // A Pong has come; those to libws's own pings hold no bytes.
    WS_PROTO_PONG = 7,
    // The closing handshake is done (RFC 6455 section 7.1). The last event.
    WS_PROTO_CLOSE = 8,
    // There will be no WebSocket, or it is no more; status says why. A bad request has been
    // answered, a Close frame queued where the protocol asks for one. The last event.
    WS_PROTO_ERROR = 9,
} ws_proto_event_type;

// What ws_proto_wants_end() answers.
typedef enum {
    // The transport is still needed.
    WS_PROTO_GO_ON = 0,
    // Nothing more will be sent, but the peer may not have read the last of it. End the transport
    // for sending only, as by shutdown(fd, SHUT_WR), and go on feeding what comes (it is thrown
    // away) until WS_PROTO_END. Ending it at once also works, but over TCP the peer may then see a
    // reset instead of our last words.
    WS_PROTO_END_SENDING = 1,
    // End the transport.
    WS_PROTO_END = 2,
} ws_proto_end;

// In send_context_takeover and receive_context_takeover.
typedef enum {
    // Messages refer back to earlier ones in the same direction.
    WS_DEFLATE_KEEP = 1,
    // Each message is compressed by itself.
    WS_DEFLATE_FORGET = 2,
} ws_deflate_context;

// How messages are compressed (permessage-deflate, RFC 7692), where the peer agrees to it: the
// field `deflate` of the configs. Each choice sets what ws_deflate_options says in detail.
typedef enum {
    // Not at all.
    WS_DEFLATE_OFF = 0,
    // Every message by itself, window 4 KiB, level 3. All connections of a thread share one
    // compressor and one decompressor, so that an idle connection costs nothing more than one
    // without compression.
    WS_DEFLATE_SMALL = 1,
    // Messages refer back to earlier ones, which makes much of short and similar messages; window
    // 4 KiB, level 5. Each connection keeps its own state once it is used, see
    // docs/compression.md.
    WS_DEFLATE_BALANCED = 2,
    // As balanced, window 32 KiB, level 7.
    WS_DEFLATE_BEST = 3,
} ws_deflate_mode;

// How much a log line matters.
typedef enum {
    // Nothing is logged.
    WS_LOG_NONE = 0,
    // Something failed that the program should know about.
    WS_LOG_ERROR = 1,
    // Something went wrong that libws has dealt with: a peer that broke the protocol, a full
    // table.
    WS_LOG_WARN = 2,
    // Connections open and close.
    WS_LOG_INFO = 3,
    // Each step of handshakes and closing handshakes.
    WS_LOG_DEBUG = 4,
} ws_log_level;

// What a frame is (RFC 6455 section 5.2). The other values are reserved.
typedef enum {
    // A further fragment of a message.
    WS_OP_CONTINUATION = 0,
    // A text message, or its first fragment.
    WS_OP_TEXT = 1,
    // A binary message, or its first fragment.
    WS_OP_BINARY = 2,
    // Close; its payload is a code in two bytes, high byte first, and a reason, or nothing.
    WS_OP_CLOSE = 8,
    // Ping.
    WS_OP_PING = 9,
    // Pong.
    WS_OP_PONG = 10,
} ws_opcode;

// What ws_client_enqueue() does when its queue is full.
typedef enum {
    // It answers WS_ERR_AGAIN and queues nothing.
    WS_QUEUE_REFUSE = 0,
    // The oldest messages that are not being sent are dropped.
    WS_QUEUE_DROP_OLDEST = 1,
    // The new message is dropped.
    WS_QUEUE_DROP_NEWEST = 2,
} ws_queue_policy;

// Which end a ws_proto is.
typedef enum {
    // Answers the upgrade request, sends unmasked frames.
    WS_SERVER = 1,
    // Sends the upgrade request, masks its frames.
    WS_CLIENT = 2,
} ws_role;

// A WebSocket client: one connection at a time, made again when it is lost if so configured.
typedef struct ws_client ws_client;

// One end of a WebSocket as a protocol engine (RFC 6455), the one inside ws_server and ws_client:
// it has no socket, no thread and no clock. The program moves the bytes, over whatever it has: a
// TCP socket in its own event loop, a TLS library, a pipe, a serial line.
//
// A turn of the program's loop, for each ws_proto:
//   1. what the transport brought goes to ws_proto_feed(), its end to ws_proto_eof(); when
//      ws_proto_deadline() has passed, ws_proto_tick();
//   2. ws_proto_next() until it answers WS_PROTO_NONE;
//   3. what ws_proto_output() shows is written, and told by ws_proto_written(), until there is
//      nothing or the transport takes no more;
//   4. ws_proto_wants_end() says whether the transport is to be ended.
//
// Time comes in as now_ms: milliseconds of a clock that only goes forward (CLOCK_MONOTONIC).
// Threads: one at a time may use a ws_proto; different ones are independent.
typedef struct ws_proto ws_proto;

// The HTTP request of a peer. Valid inside the callback that received it; for a ws_proto see
// ws_proto_event.
typedef struct ws_request ws_request;

// The answer to a request. Valid inside the callback that received it.
typedef struct ws_response ws_response;

// A WebSocket server: listeners, connections, and one or more event loops.
typedef struct ws_server ws_server;

// Receives a log line: a ws_log_level, and the line without a newline. line dies when it returns.
typedef void (*ws_log_fn)(int level, const char *line, void *user);

// A connection of a server: a number, not a pointer. Never 0 and never reused, so that a stale one
// is answered with WS_ERR_CLOSED whenever it is used.
typedef uint64_t ws_conn_id;

// A whole message: all its fragments joined and, if text, checked as UTF-8.
typedef struct {
    // WS_TEXT or WS_BINARY.
    ws_kind kind;
    // The payload, never NULL. A NUL follows the last byte and is not counted in len, so that text
    // can be used as a C string (it may hold NULs of its own).
    const void *data;
    // Bytes in data: 0 to max_message_size.
    size_t len;
} ws_message;

// A stretch of a message, as it came. Pieces come in order and without gaps; they follow the
// network's packets, not the sender's fragments.
typedef struct {
    // WS_TEXT or WS_BINARY, the same for all pieces of a message.
    ws_kind kind;
    // The bytes of this piece, never NULL. Text is checked as UTF-8 up to here; a character may be
    // split between two pieces.
    const void *data;
    // Bytes in data: 0 to the size of the receive buffer, or to 16 KiB where the message was
    // compressed. 0 only in the last piece.
    size_t len;
    // Bytes of this message in the pieces before this one: 0 in the first.
    uint64_t offset;
    // 1: the message ends with this piece, else 0. A message whose last piece never comes was cut
    // off by the end of the connection.
    int last;
} ws_piece;

// How a connection ended.
typedef struct {
    // WS_OK after a closing handshake. Else what ended the connection: WS_ERR_CLOSED (the peer
    // went away without a Close frame), WS_ERR_IO, WS_ERR_TIMEOUT (no pong, or no answer to our
    // Close), WS_ERR_PROTOCOL (the peer broke the protocol; code says how), WS_ERR_NO_MEMORY. A
    // client's failed attempt also: WS_ERR_DNS, WS_ERR_TLS, WS_ERR_HANDSHAKE.
    ws_status status;
    // The code of the peer's Close frame; 1005 if it held none; 1006 if no Close frame came (RFC
    // 6455 section 7.4.1). When libws failed the connection itself: the code it sent.
    uint16_t code;
    // 1: the peer started the closing handshake or went away; 0: this side did.
    int by_peer;
    // The reason that came with the code, or what libws found wrong. UTF-8, never NULL.
    const char *reason;
} ws_close_info;

// Details of compression: the field `deflate_options` of the configs. Zero-initialise it and set
// struct_size: every other field left zero means what the mode (`deflate`) brings along. Copied.
// What is agreed on with a peer may be less: its window may be smaller, and it may ask for no
// context. Grows at the end only.
typedef struct {
    // sizeof(ws_deflate_options).
    size_t struct_size;
    // Window of what is sent: a power of two, 9 (512 bytes) to 15 (32 KiB) [by the mode].
    uint32_t send_window_bits;
    // Window of what is received, likewise. A peer that cannot bound its window is asked to take
    // over no context instead.
    uint32_t receive_window_bits;
    // WS_DEFLATE_KEEP or WS_DEFLATE_FORGET [by the mode].
    int send_context_takeover;
    // WS_DEFLATE_KEEP or WS_DEFLATE_FORGET [by the mode].
    int receive_context_takeover;
    // 1 (fastest) to 9 (smallest output) [by the mode].
    uint32_t level;
    // Memory of a compressor beside its window, 1 (least) to 9; with zlib 2^(mem_level + 9) bytes
    // [by the mode].
    uint32_t mem_level;
    // Messages shorter than that many bytes are sent as they are [128].
    size_t min_size;
    // The most bytes that one byte of a received message may inflate to, on average over the
    // message; one that goes beyond fails the connection with close code 1009 [any]. It is judged
    // at the message's end, and before that in steps of 4 KiB as received: no more may come of
    // the first 4 KiB than 4096 times this, of the first 8 KiB than 8192 times this, and so on;
    // inflating stops there. How a message is cut into fragments and packets makes no difference.
    // max_message_size bounds the message itself, while it is inflated.
    uint32_t max_ratio;
} ws_deflate_options;

// A certificate and its key; see ws_server_config.tls_cert and tls_key.
typedef struct {
    const char *cert;
    const char *key;
} ws_tls_cert;

// Configures a server. Zero-initialise it and set struct_size: every field left zero means the
// default in brackets. Strings are copied by ws_server_new(). Grows at the end only; programs
// compiled against an older header go on working.
typedef struct {
    // sizeof(ws_server_config).
    size_t struct_size;
    // Event-loop threads, 1 to 64 [1]. More than one needs ws_server_run() or ws_server_start();
    // new connections go to the thread that has fewest, and callbacks of different connections
    // then run at the same time in different threads.
    uint32_t threads;
    // Open connections, 1 to 1000000 [1024]. Upgrades beyond it are refused with 503. Mind the
    // process's limit of open files.
    uint32_t max_connections;
    // Bytes of a received message, fragments together [1 MiB; no limit with on_piece]. A larger
    // one fails the connection with close code 1009 as soon as its length is announced.
    size_t max_message_size;
    // Bytes queued for one connection, frame heads included [256 KiB, or what one message of
    // max_message_size takes if that is more, or with on_piece a piece of receive_buffer_size]. A
    // message or piece that would exceed it is refused with WS_ERR_AGAIN; one that is larger by
    // itself with WS_ERR_TOO_BIG. Counted up to 4 GiB.
    size_t max_send_queue;
    // Bytes of an event loop's receive buffer, which all its connections share, 4 KiB to 16 MiB
    // [256 KiB]. Memory is used only as far as it gets filled. 64 KiB suits a small board; below
    // 16 KiB costs speed.
    size_t receive_buffer_size;
    // Milliseconds from accept to the whole HTTP request, and for each further request on a
    // connection [5000]. In each such time the peer has to take 4 KiB of a page, or the rest of it.
    uint32_t handshake_timeout_ms;
    // Milliseconds for the peer to answer our Close frame, and to take what is queued [2000].
    uint32_t close_timeout_ms;
    // A Ping is sent after that many milliseconds without a byte from the peer [30000]. WS_NEVER:
    // no pings.
    uint32_t ping_interval_ms;
    // Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    // WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    uint32_t pong_timeout_ms;
    // The only path where WebSockets are served, such as "/ws"; upgrades elsewhere get 404 [any].
    const char *path;
    // Subprotocols spoken here, comma-separated, preferred first: "v2.acme,v1.acme" [none]. The
    // first that the client offers is agreed on.
    const char *subprotocols;
    // Web origins allowed to connect, comma-separated: "https://app.example,http://192.0.2.1:8080";
    // "self" stands for pages that this server serves itself (the Origin's host and port are those
    // of the Host header). An upgrade with another Origin header gets 403; one without the header
    // comes from no browser and passes [any]. A server on a desk or in a home should set it: any
    // page in a local browser can reach the server, on loopback too.
    const char *allowed_origins;
    // Values of the Host header that are served, with or without port, comma-separated; others get
    // 403 [any]. Guards against DNS rebinding.
    const char *allowed_hosts;
    // Decides on an upgrade, after all checks of this configuration. Return 0 to accept, else the
    // HTTP status of the refusal, 300 to 599 (ws_response_body() adds a body) [accept].
    int (*on_upgrade)(ws_server *server,
                      const ws_request *request,
                      ws_response *response,
                      void *user);
    // Answers a plain HTTP request on the same port through ws_response_body() [404]. Requests
    // with a body get 413.
    void (*on_http)(ws_server *server, const ws_request *request, ws_response *response, void *user);
    // A connection is open: from here on conn is valid and can be sent to.
    void (*on_open)(ws_server *server, ws_conn_id conn, const ws_request *request, void *user);
    // A whole message has come. Not together with on_piece.
    void (*on_message)(ws_server *server, ws_conn_id conn, const ws_message *message, void *user);
    // Chooses delivery in pieces: messages are handed on as their bytes come, never gathered, so
    // that one of any size needs no more memory than the receive buffer. Not together with
    // on_message.
    void (*on_piece)(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user);
    // After WS_ERR_AGAIN: the send queue of conn is at most half full again.
    void (*on_writable)(ws_server *server, ws_conn_id conn, void *user);
    // A Pong has come, with len (0 to 125) bytes: those of the Ping that it answers, as a rule.
    // The pongs to libws's own pings come here too, with len 0.
    void (*on_pong)(ws_server *server, ws_conn_id conn, const void *data, size_t len, void *user);
    // The connection has ended. Called exactly once for every on_open, and last. conn can still be
    // asked for its ws_server_conn_user() here, nothing else.
    void (*on_close)(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user);
    // Handed to every callback.
    void *user;
    // 1: other processes of the same user that set it too may listen at the same port, and the
    // kernel spreads new connections over them (SO_REUSEPORT): several processes serve more
    // connections than one may have open files [0]. For TCP listeners.
    int reuse_port;
    // As ws_client_config.keepalive_s [60].
    uint32_t keepalive_s;
    // Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. Clients
    // that do not offer it are served without.
    int deflate;
    // Details of it [those of the mode].
    const ws_deflate_options *deflate_options;
    // The server's certificate, followed by those that sign it, for wss:// listeners [none]. Here
    // and in all fields like it: the path of a PEM file, or the PEM text itself ("-----BEGIN
    // ..."). Needs a build with TLS (WS_ERR_UNSUPPORTED).
    const char *tls_cert;
    // The key of tls_cert, not encrypted: RSA of 2048 bits or more, P-256, P-384 or Ed25519.
    const char *tls_key;
    // Further certificates, tls_more_certs_len of them, for servers of several names: a client
    // gets the first certificate that is for the name that it asks for (SNI), else tls_cert
    // [none].
    const ws_tls_cert *tls_more_certs;
    size_t tls_more_certs_len;
    // Who signs the certificates of clients: with it, a client has to show one (mutual TLS), and
    // ws_request_tls_subject() tells whose it is [clients are not asked].
    const char *tls_client_ca;
    // Not 0: a client may also come without a certificate [it must have one].
    int tls_client_optional;
    // For boards whose clock may not be set: seconds since 1970 of a day that is past for sure,
    // such as the day on which the firmware was built. When the clock is before it, dates are
    // checked as of that day, and a certificate that is only valid from later on is accepted too
    // [the clock is right].
    int64_t tls_clock_not_before;
} ws_server_config;

// What was agreed on for a connection. Set struct_size, then call ws_server_deflate(),
// ws_client_deflate() or ws_proto_deflate().
typedef struct {
    // sizeof(ws_deflate_info).
    size_t struct_size;
    // 1: messages may be compressed, both ways. 0: none is; the other fields are 0.
    int active;
    // Window of what is sent, 8 to 15.
    uint32_t send_window_bits;
    // Window of what is received, 8 to 15.
    uint32_t receive_window_bits;
    // 1: messages that are sent may refer back to earlier ones. 0: they do not.
    int send_context_takeover;
    // 1: messages that are received may refer back to earlier ones. 0: they do not.
    int receive_context_takeover;
} ws_deflate_info;

// Numbers since a server or client was made, of all its threads together. Each is exact, but they
// are not taken at one instant. Set struct_size, then call ws_server_stats() or ws_client_stats().
typedef struct {
    // sizeof(ws_stats).
    size_t struct_size;
    // WebSocket connections open now.
    uint64_t connections_open;
    // WebSocket connections ever opened.
    uint64_t connections_total;
    // Connections that ended before they were open: refused, timed out, or broken. For a client:
    // failed attempts.
    uint64_t handshakes_failed;
    // Plain HTTP requests given to on_http or answered with 404.
    uint64_t http_requests;
    // Whole data messages received.
    uint64_t messages_received;
    // Data messages queued for sending, one for each receiver of a broadcast.
    uint64_t messages_sent;
    // Broadcast or published messages left out for a receiver whose send queue was full.
    uint64_t messages_dropped;
    // Bytes read from sockets, handshakes and frame heads included. With TLS: counted after
    // decryption, without what TLS adds.
    uint64_t bytes_received;
    // Bytes the kernel took from libws, likewise.
    uint64_t bytes_sent;
    // Connections failed because the peer broke the protocol.
    uint64_t protocol_errors;
    // Connections ended by a timeout: handshake, pong, or close.
    uint64_t timeouts;
    // Bytes of messages that were sent compressed, before that.
    uint64_t deflate_sent_before;
    // What they became.
    uint64_t deflate_sent_after;
    // Bytes of compressed messages that were received, as they came.
    uint64_t deflate_received_before;
    // What they became.
    uint64_t deflate_received_after;
} ws_stats;

// An attempt to connect that is going to be made, and the failure or the end that it follows.
typedef struct {
    // 1 for the attempt after the first failure; begins again when a connection has lasted 5 seconds.
    uint32_t attempt;
    // Milliseconds until the attempt.
    uint32_t delay_ms;
    // As in the ws_close_info of the on_close just before.
    ws_status status;
    // The HTTP status of the server's last answer, 0 if there was none.
    int http_status;
    // As in that ws_close_info: 1012 and 1013 from the server make delay_ms longer.
    uint16_t code;
    // 1: it will fail again until somebody changes something (HTTP status 401, 403, 407, 410, a proxy
    // that refuses us, a bad certificate); tried at the longest delay only. Else 0.
    int permanent;
    // What failed and where, as ws_client_error() has it. Never NULL.
    const char *reason;
} ws_reconnect_info;

// Configures a client. Zero-initialise it and set struct_size and url: every other field left zero
// means the default in brackets. Strings are copied by ws_client_new(). Grows at the end only;
// programs compiled against an older header go on working.
typedef struct {
    // sizeof(ws_client_config).
    size_t struct_size;
    // "ws://[user:password@]host[:port]/path?query", or "wss://..." with TLS: host is a name, an IPv4
    // address, or an IPv6 address in brackets; port [80, or 443 with wss]; user and password,
    // percent-encoded, become an Authorization header (basic). Or
    // "ws+unix:/path/of/socket:/path?query".
    const char *url;
    // Subprotocols offered, comma-separated, preferred first [none]. A server may agree on one of
    // them or none.
    const char *subprotocols;
    // Extra request headers, "Name: value\r\n" each [none]. Those that libws writes itself are
    // refused (Host, Upgrade, Connection, Content-Length, Transfer-Encoding, Sec-WebSocket-*), and
    // so are control characters and anything that is not ASCII, Authorization beside bearer_token or
    // a user in url, and Cookie beside cookies or keep_cookies.
    const char *headers;
    // Milliseconds for all of it: name lookup, every address tried, proxy, redirects, HTTP upgrade
    // [10000].
    uint32_t connect_timeout_ms;
    // Milliseconds for the server to answer our Close frame and end the connection [2000].
    uint32_t close_timeout_ms;
    // A Ping is sent after that many milliseconds without a byte from the server [30000].
    // WS_NEVER: no pings. A link that dies without a word is noticed, whether anything is being sent
    // or not, ping_interval_ms + pong_timeout_ms after the last byte that came; without pings
    // 2 * keepalive_s after the last packet.
    uint32_t ping_interval_ms;
    // Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    // WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    uint32_t pong_timeout_ms;
    // Bytes of a received message, fragments together [1 MiB; no limit with on_piece]. A larger
    // one fails the connection with close code 1009 as soon as its length is announced.
    size_t max_message_size;
    // Bytes queued, frame heads included [256 KiB, or what one message of max_message_size takes
    // if that is more, or with on_piece a piece of receive_buffer_size]. A message or piece that
    // would exceed it is refused with WS_ERR_AGAIN; one that is larger by itself with
    // WS_ERR_TOO_BIG.
    size_t max_send_queue;
    // Bytes of the receive buffer, 4 KiB to 16 MiB [256 KiB]. Memory is used only as far as it
    // gets filled.
    size_t receive_buffer_size;
    // The shortest and the longest wait before connecting again, in milliseconds [never connect
    // again]. After the n-th failure in a row the wait is a random time between reconnect_min_ms and
    // reconnect_min_ms * 2^n, at most reconnect_max_ms [60000, or reconnect_min_ms if that is
    // longer]. The first attempt counts too; a connection that lasted 5 seconds ends the row. Longer
    // waits: what Retry-After says (at most a day) and up to a quarter more; 5 to 30 seconds after
    // close code 1012; at least half of reconnect_max_ms after 1013 (and 5 seconds), and while it is
    // of no use (see ws_reconnect_info.permanent). Not after ws_client_close(). See on_reconnect.
    uint32_t reconnect_min_ms;
    // See reconnect_min_ms.
    uint32_t reconnect_max_ms;
    // The connection is open; ws_client_send() works from here on.
    void (*on_open)(ws_client *client, void *user);
    // A whole message has come. Not together with on_piece.
    void (*on_message)(ws_client *client, const ws_message *message, void *user);
    // Chooses delivery in pieces: messages are handed on as their bytes come, never gathered, so
    // that one of any size needs no more memory than the receive buffer. Not together with
    // on_message.
    void (*on_piece)(ws_client *client, const ws_piece *piece, void *user);
    // After WS_ERR_AGAIN: the send queue is at most half full again.
    void (*on_writable)(ws_client *client, void *user);
    // A Pong has come, with len (0 to 125) bytes; those to libws's own pings have none.
    void (*on_pong)(ws_client *client, const void *data, size_t len, void *user);
    // The connection has ended, or an attempt to connect has failed (ws_client_error() says where
    // and why). Called once for each attempt. If it is to be made again, that happens after this
    // call.
    void (*on_close)(ws_client *client, const ws_close_info *info, void *user);
    // Handed to every callback.
    void *user;
    // A proxy to go through: "http://[user:password@]host[:port]" (asked with CONNECT, port [80]) or
    // "socks5://[user:password@]host[:port]" ([1080]) [none]. The server's name is resolved by the
    // proxy. Not used for unix sockets.
    const char *proxy;
    // "Authorization: Bearer ..." with this token [none].
    const char *bearer_token;
    // Cookies for the server, "name=value; name=value" [none].
    const char *cookies;
    // The network interface to connect through, such as "eth0" [as the routes say]. Linux before 5.7
    // lets only programs with CAP_NET_RAW choose.
    const char *interface_name;
    // The IPv4 or IPv6 address to connect from; servers are reached in its family only [chosen by
    // the kernel].
    const char *source_address;
    // 1: without proxy, the proxy that the environment names: http_proxy for ws, https_proxy or
    // HTTPS_PROXY for wss, else all_proxy or ALL_PROXY, and none for the hosts of no_proxy or NO_PROXY
    // (names with their subdomains, addresses, networks such as 10.0.0.0/8, *). Read by
    // ws_client_new() [0].
    int proxy_from_env;
    // 1: cookies that the server sets when it answers a handshake are sent back with the next, at
    // most 16 of 8 KiB together [0].
    int keep_cookies;
    // How many redirects of an attempt are followed [none]. Never from wss to ws. Authorization and
    // Cookie headers, bearer_token, cookies and the user of the URL go only to scheme, host and port
    // of url; a user in a redirect's URL is not used. Kept cookies (keep_cookies) go where RFC 6265
    // lets them: to the host that has set them, whatever the port.
    uint32_t max_redirects;
    // Seconds without a packet from the server after which the kernel probes it, four times within as
    // many again (TCP keepalive) [60]. Without pings, or with pong_timeout_ms WS_NEVER, a server that
    // takes nothing of what waits for it for twice that long is given up as well, even if it lives.
    // WS_NEVER: neither.
    uint32_t keepalive_s;
    // Messages that ws_client_enqueue() keeps, at most [1024].
    uint32_t queue_messages;
    // A ws_queue_policy: what happens when there are more [WS_QUEUE_REFUSE].
    int queue_policy;
    // Bytes of messages that ws_client_enqueue() keeps, at most [1 MiB].
    size_t queue_bytes;
    // Another attempt is going to be made. Called after on_close. ws_client_reconnect_now(),
    // ws_client_allow_reconnect() and ws_client_close() may be called here.
    void (*on_reconnect)(ws_client *client, const ws_reconnect_info *info, void *user);
    // What became of the message to which ws_client_enqueue() gave this number. Once for each.
    // WS_OK: the kernel has taken all of it, which does not say that the server has received it.
    // WS_ERR_AGAIN: dropped, as the queue was full. WS_ERR_CLOSED: dropped, as no further connection
    // comes. Those that were sent are told in the order of their numbers, those dropped in the order in
    // which they were: with WS_QUEUE_DROP_OLDEST a new one that is too large to stand beside what is
    // being sent goes before older ones.
    void (*on_sent)(ws_client *client, uint64_t number, ws_status status, void *user);
    // Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. A
    // server may decline it.
    int deflate;
    // Details of it [those of the mode].
    const ws_deflate_options *deflate_options;
    // wss://: the authorities that may sign the server's certificate, as the path of a PEM file or
    // the PEM text itself ("-----BEGIN ...") [the file that SSL_CERT_FILE names, else the
    // system's, such as /etc/ssl/certs/ca-certificates.crt]. A self-signed certificate may stand
    // for itself.
    const char *tls_ca;
    // Public keys of which one must be the server's own, or that of an authority that signs it:
    // "sha256/" and the Base64 of the SHA-256 of the key (SubjectPublicKeyInfo, as in RFC 7469),
    // several separated by commas so that keys can change [none]. A second slash after "sha256", as
    // curl writes it, does no harm. In addition to tls_ca. With
    // tls_insecure_skip_verify: the server's own key must be one of them.
    const char *tls_pins;
    // The client's own certificate and key, for servers that ask for one (mutual TLS); see
    // ws_server_config.tls_cert [none].
    const char *tls_cert;
    const char *tls_key;
    // The name that the server is asked for (SNI) and that its certificate must be for, as must
    // that of a server it redirects to [the host of url, or of the redirect].
    const char *tls_server_name;
    // Not 0: the server's certificate is not checked, neither who signed it nor its name nor its
    // dates. Anyone in between can then read and change everything, so it is for bring-up only;
    // each connection logs an error line about it [0: everything is checked].
    int tls_insecure_skip_verify;
    // For boards whose clock may not be set: seconds since 1970 of a day that is past for sure,
    // such as the day on which the firmware was built. When the clock is before it, dates are
    // checked as of that day, and a certificate that is only valid from later on is accepted too
    // [the clock is right].
    int64_t tls_clock_not_before;
} ws_client_config;

// Configures a ws_proto. Zero-initialise it, set struct_size and role, for a client also url:
// every other field left zero means the default in brackets. Strings are copied. Grows at the end
// only; programs compiled against an older header go on working.
typedef struct {
    // sizeof(ws_proto_config).
    size_t struct_size;
    // WS_SERVER or WS_CLIENT.
    int role;
    // 1: messages are told in pieces as their bytes come (WS_PROTO_PIECE), never gathered. 0: whole
    // (WS_PROTO_MESSAGE).
    int pieces;
    // Bytes of a received message, fragments together [1 MiB; no limit with pieces]. A larger one
    // fails the connection with close code 1009 as soon as its length is announced.
    size_t max_message_size;
    // Bytes queued, frame heads included [256 KiB, or enough for a message of max_message_size where
    // that is more]. A message that would exceed it is refused with WS_ERR_AGAIN; one that is larger
    // by itself with WS_ERR_TOO_BIG.
    size_t max_send_queue;
    // Milliseconds from ws_proto_new() to the open WebSocket, the program's own answer to the
    // request included [5000].
    uint32_t handshake_timeout_ms;
    // Milliseconds for the peer to answer our Close frame, to take what is queued, and to end the
    // transport where it is its turn [2000].
    uint32_t close_timeout_ms;
    // A Ping is sent after that many milliseconds without a byte from the peer [30000]. WS_NEVER:
    // no pings.
    uint32_t ping_interval_ms;
    // Milliseconds for any byte to arrive after such a Ping, else the connection ends with
    // WS_ERR_TIMEOUT [10000]. WS_NEVER: wait for ever.
    uint32_t pong_timeout_ms;
    // Comma-separated, preferred first [none]. Server: those spoken here; the first that the client
    // offers is agreed on. Client: those offered; the server may agree on one of them or none.
    const char *subprotocols;
    // Client: "ws://[user:password@]host[:port]/path?query", or wss:// where the transport is TLS. It
    // is what the request asks for; nothing is looked up or connected.
    const char *url;
    // Client: extra request headers, "Name: value\r\n" each [none]; see ws_client_config.
    const char *headers;
    // Compression of messages (permessage-deflate): a ws_deflate_mode [WS_DEFLATE_OFF]. The peer
    // may decline it, or not offer it. Nothing is shared between several ws_proto.
    int deflate;
    // Details of it [those of the mode].
    const ws_deflate_options *deflate_options;
} ws_proto_config;

// What has happened. Zero-initialise it, set struct_size, and hand it to ws_proto_next(); fields
// that do not belong to the type are 0. Pointers in it live until the next call of
// ws_proto_next(), ws_proto_feed() or ws_proto_free() for this ws_proto; what is sent meanwhile may
// come from them. Grows at the end only.
typedef struct {
    // sizeof(ws_proto_event). Stays as it is.
    size_t struct_size;
    // What it is.
    ws_proto_event_type type;
    // MESSAGE, PIECE: WS_TEXT or WS_BINARY.
    int kind;
    // MESSAGE, PIECE, PING, PONG: the bytes, never NULL. As a rule they lie in the buffer that was
    // fed, unmasked; no NUL follows them.
    const void *data;
    // Bytes in data. PIECE: 0 only in the last one. PING, PONG: 0 to 125.
    size_t len;
    // PIECE: bytes of this message in the pieces before this one.
    uint64_t offset;
    // PIECE: 1 if the message ends with this piece. MESSAGE: 1.
    int last;
    // CLOSE, ERROR: 1 if the peer started the closing handshake or went away, 0 if this side did.
    int by_peer;
    // REQUEST, HTTP: the request, for the ws_request_*() functions, until it is answered; they give
    // "" as its peer. OPEN on a server: the same, with the subprotocol agreed on. Else NULL.
    const ws_request *request;
    // CLOSE: WS_OK. ERROR: WS_ERR_HANDSHAKE (refused or malformed), WS_ERR_PROTOCOL (the peer broke
    // RFC 6455), WS_ERR_CLOSED (the transport ended without a closing handshake), WS_ERR_TIMEOUT
    // (handshake, pong, or answer to our Close), WS_ERR_NO_MEMORY, WS_ERR_IO (no randomness).
    ws_status status;
    // CLOSE: the code of the peer's Close frame, 1005 if it held none. ERROR: the code that was
    // sent, 1006 if none was.
    uint16_t code;
    // ERROR before the WebSocket was open: the HTTP status that the server answered, on either
    // side; 0 if there was no answer.
    int http_status;
    // CLOSE, ERROR: the reason that came with the code, or what libws found wrong. UTF-8, never
    // NULL.
    const char *reason;
} ws_proto_event;

// The head of a frame (RFC 6455 section 5.2).
typedef struct {
    // 1: the message ends with this frame.
    int fin;
    // The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1. 0 without an extension.
    int rsv;
    // A ws_opcode.
    int opcode;
    // 1: the payload is masked with mask. Every frame of a client is, none of a server.
    int masked;
    // The masking key; 0 without one.
    uint8_t mask[4];
    // Bytes of payload, up to 2^63 - 1: compare it with a limit before it becomes a size_t.
    uint64_t len;
} ws_frame_head;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is loaded, such as "0.1.0"; WS_VERSION is the header's. [any
// thread] Never NULL, never freed.
const char *ws_version(void);

// A sentence for a status. Any value is answered, an unknown one too. [any thread] Never NULL,
// never freed.
const char *ws_strerror(int status);

// What failed last in the calling thread, in words, such as "bind 0.0.0.0:80: Permission denied"
// or "ws_server_config.path must begin with '/'". Set by every call that returns a status other
// than WS_OK, and by ws_server_port() and the like when the handle is NULL; not cleared by
// success. [any thread] Never NULL ("" at first); lives until the thread's next failing call or
// its end.
const char *ws_last_error(void);

// Sends log lines up to max_level (a ws_log_level) to log, for the whole process. NULL, the
// default, logs nothing. log may be called from every thread that uses libws, from several at
// once, and must not call libws back except ws_version() and ws_strerror(). user is handed
// through. [any thread] After it has returned, a call of the old function may still be under way
// in another thread.
void ws_set_log(ws_log_fn log, int max_level, void *user);

// "GET", "HEAD", ... "" if request is NULL.
const char *ws_request_method(const ws_request *request);

// The path without the query, as sent: begins with '/', percent-encoding not undone. "*" in a
// server-wide OPTIONS request.
const char *ws_request_path(const ws_request *request);

// What follows the '?', as sent; "" if there is none.
const char *ws_request_query(const ws_request *request);

// The address the request came from: "192.0.2.7:51234", "[2001:db8::7]:51234", or "unix". "" for
// a ws_proto, which does not know it.
const char *ws_request_peer(const ws_request *request);

// The value of the first header of that name (letter case does not matter), without white space
// around it; NULL if there is none.
const char *ws_request_header(const ws_request *request, const char *name);

// The subprotocol agreed on so far (RFC 6455 section 1.9), or NULL. In on_upgrade: the one that
// ws_server_config.subprotocols leads to.
const char *ws_request_subprotocol(const ws_request *request);

// The TLS version, "TLSv1.2" or "TLSv1.3"; NULL if the request came without TLS.
const char *ws_request_tls_version(const ws_request *request);

// Whom the client's certificate is for, in the order in which it says so: "O=Acme,CN=device 7".
// Commas and the like within a value are escaped by a backslash (RFC 4514). The certificate has
// been verified (ws_server_config.tls_client_ca). NULL if the client has shown none.
const char *ws_request_tls_subject(const ws_request *request);

// The public key of the client's certificate, as ws_client_config.tls_pins writes one:
// "sha256/..."; NULL if the client has shown none.
const char *ws_request_tls_key(const ws_request *request);

// Adds a header to the answer, be it the 101, a refusal or a page.
// WS_ERR_INVALID_ARG: name is no token, value holds CR, LF or other control characters or is not
// ASCII, or the header is one that libws writes itself (Content-Length, Content-Type, Connection,
// Upgrade, Transfer-Encoding, Sec-WebSocket-*). WS_ERR_TOO_BIG: more than 8 KiB of headers.
// WS_ERR_NO_MEMORY.
ws_status ws_response_header(ws_response *response, const char *name, const char *value);

// on_upgrade only: chooses the subprotocol, in place of what ws_server_config.subprotocols leads
// to. NULL chooses none.
// WS_ERR_INVALID_ARG: the client did not offer it, or this is not an upgrade.
ws_status ws_response_subprotocol(ws_response *response, const char *name);

// Sets status, type and body of the answer. In on_upgrade it is used when the upgrade is refused,
// and the callback's return value is the status that counts. The last call wins. http_status: 200
// to 599. content_type: NULL for none. body: len bytes, copied; NULL with len 0 is an empty body.
// For HEAD the body is measured and left out.
// WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY.
ws_status ws_response_body(ws_response *response,
                           int http_status,
                           const char *content_type,
                           const void *body,
                           size_t len);

// Makes a server. It listens nowhere yet. config is copied. *out is NULL on error, else free it
// with ws_server_free().
// WS_ERR_INVALID_ARG: ws_last_error() names the field. WS_ERR_TLS: it names the certificate or key
// that is no good. WS_ERR_UNSUPPORTED: tls_cert in a build without TLS, deflate in one without
// compression. WS_ERR_NO_MEMORY, WS_ERR_IO (no fd left for epoll, a file cannot be read).
ws_status ws_server_new(const ws_server_config *config, ws_server **out);

// Listens at url: "ws://0.0.0.0:9001", "ws://[::]:9001" (IPv6 only), "ws://localhost:0" (port 0:
// any free one), "wss://0.0.0.0:9443" (with TLS: config.tls_cert), "unix:/run/app.sock" (a stale
// socket file is replaced, and removed by ws_server_free()), or "fd:3" (an inherited socket that
// listens already; libws owns it from here on). Without a port: 80, with wss 443. Call it again
// for more listeners, before the server runs.
// WS_ERR_INVALID_ARG, WS_ERR_UNSUPPORTED (wss in a build without TLS), WS_ERR_DNS, WS_ERR_IO
// (errno: EADDRINUSE, EACCES, ...), WS_ERR_REENTRANT (it runs already).
ws_status ws_server_listen(ws_server *server, const char *url);

// Reads certificates, keys and authorities again, for the connections that come from now on; those
// that are there stay as they are. config NULL: from the same files as before; else from the tls_
// fields of config, whose other fields are not looked at. On error everything stays as it was.
// WS_ERR_TLS: ws_last_error() says which of them is wrong and how. WS_ERR_IO (a file cannot be
// read), WS_ERR_INVALID_ARG (no tls_cert), WS_ERR_NO_MEMORY, WS_ERR_UNSUPPORTED. [any thread]
ws_status ws_server_reload_tls(ws_server *server, const ws_server_config *config);

// The port of the first TCP listener, in host byte order; 0 if there is none. [any thread]
uint16_t ws_server_port(const ws_server *server);

// The port of listener index, counted from 0 in the order of ws_server_listen(); 0 if there is
// none or it has no port. [any thread]
uint16_t ws_server_listener_port(const ws_server *server, uint32_t index);

// Serves in this thread (and config.threads - 1 more) until ws_server_stop(), not at all if that
// was called before. Then the connections are still open: ws_server_free() closes them.
// WS_OK: stopped. WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: a loop or thread
// could not be set up.
ws_status ws_server_run(ws_server *server);

// Serves in config.threads threads of its own and returns at once; all signals are blocked in
// them. ws_server_free() ends them.
// WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: no thread to be had.
ws_status ws_server_start(ws_server *server);

// One turn of the event loop in this thread: waits at most timeout_ms milliseconds (0: not at all,
// -1: as long as it takes) for something to do, and does it.
// WS_OK: go on. WS_ERR_CLOSED: ws_server_stop() was called. WS_ERR_REENTRANT: in a callback, or
// another thread runs it. WS_ERR_INVALID_ARG: config.threads is not 1, or timeout_ms < -1.
ws_status ws_server_poll(ws_server *server, int timeout_ms);

// For a program with its own event loop: an fd that becomes readable whenever
// ws_server_poll(server, 0) has something to do, timeouts included. Do not read it or close it. -1
// on error. The same for the life of the server. [any thread]
int ws_server_fd(const ws_server *server);

// Makes ws_server_run() return and the threads of ws_server_start() end, when each has done with
// what had come already; callbacks may be called for that. A stopped server cannot run again;
// calling it twice does no harm.
// NULL is a no-op. [any thread, signal handler, callbacks]
void ws_server_stop(ws_server *server);

// Stops the server, closes every connection with 1001 (going away), waits at most close_timeout_ms
// for the peers' answers, delivers each on_close, joins the threads and frees everything. NULL is
// a no-op. No other thread may be using the handle.
// WS_ERR_REENTRANT: in a callback, or another thread is inside ws_server_run() or
// ws_server_poll(); nothing has happened.
ws_status ws_server_free(ws_server *server);

// Queues a message for conn, in the order of the calls of a thread; never blocks. data: len bytes,
// copied; NULL with len 0 is an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which
// WS_UNCOMPRESSED may be or'ed to. max_send_queue is compared with len before it is compressed.
// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing was queued, on_writable will be called.
// WS_ERR_CLOSED, WS_ERR_UTF8, WS_ERR_TOO_BIG (larger than max_send_queue), WS_ERR_NO_MEMORY,
// WS_ERR_INVALID_ARG (also while a message in pieces is unfinished). [any thread]
ws_status ws_server_send(ws_server *server,
                         ws_conn_id conn,
                         int kind,
                         const void *data,
                         size_t len);

// Sends a piece of a message, one WebSocket fragment (RFC 6455 section 5.4): for messages that are
// not in memory as a whole. The first call begins a message, each further one continues it, and
// the one with last other than 0 ends it; the message may be of any length. kind is that of the
// message and the same in every call; WS_UNCOMPRESSED counts at the first. Text is checked over
// all pieces: a character may be split. A piece may be empty. data is copied as far as the kernel
// does not take it at once, as by ws_server_send(), and ws_stats counts the message with its last
// piece.
// While a message is unfinished, conn takes no other one: ws_server_send() answers
// WS_ERR_INVALID_ARG, broadcasts leave conn out (counted in ws_stats.messages_dropped, no
// on_writable follows). Pings, pongs and ws_server_close() go in between. A message cannot be
// taken back: who cannot finish it closes the connection.
// The pieces of a message come from one thread at a time, in the order of its calls.
// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing of the piece was queued, on_writable
// will be called: send the same piece again. WS_ERR_TOO_BIG: the piece by itself is larger than
// max_send_queue. WS_ERR_UTF8: nothing of the piece was queued, and the message is as before; in a
// thread other than the connection's loop WS_OK comes first, and such a piece closes the
// connection with 1007. WS_ERR_INVALID_ARG: also when kind differs from the first piece's.
// WS_ERR_CLOSED: the connection has ended or is closing, and the message with it.
// WS_ERR_NO_MEMORY. [any thread]
ws_status ws_server_send_piece(ws_server *server,
                               ws_conn_id conn,
                               int kind,
                               const void *data,
                               size_t len,
                               int last);

// Queues a message for every open connection; encoded once, and compressed once for those that
// take no context over. A receiver whose queue is full is left out (counted in
// ws_stats.messages_dropped; on_writable follows there).
// WS_OK: also when nobody is connected. WS_ERR_AGAIN: broadcasts are called faster than the loops
// take them; nothing was queued. Else as ws_server_send(). [any thread]
ws_status ws_server_broadcast(ws_server *server, int kind, const void *data, size_t len);

// As ws_server_broadcast(), for the connections that subscribe to topic. [any thread]
ws_status ws_server_publish(ws_server *server,
                            const char *topic,
                            int kind,
                            const void *data,
                            size_t len);

// From now on conn receives what is published to topic, until it unsubscribes or ends. topic:
// UTF-8, 1 to 255 bytes, compared byte by byte. Twice is once.
// WS_ERR_CLOSED, WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY. [any thread]
ws_status ws_server_subscribe(ws_server *server, ws_conn_id conn, const char *topic);

// Ends a subscription; WS_OK also when there was none.
// WS_ERR_CLOSED, WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY. [any thread]
ws_status ws_server_unsubscribe(ws_server *server, ws_conn_id conn, const char *topic);

// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes to on_pong. libws sends its
// own pings by ping_interval_ms, so this is for measuring.
// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_server_send(). [any thread]
ws_status ws_server_ping(ws_server *server, ws_conn_id conn, const void *data, size_t len);

// Starts the closing handshake: what is queued goes out first, then a Close frame; nothing more
// can be sent or is received. on_close follows when the peer has answered, after close_timeout_ms
// at the latest. code: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455 section 7.4), or 0 for
// 1000. reason: UTF-8, at most 123 bytes, or NULL.
// WS_ERR_CLOSED: already closing. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8, WS_ERR_TOO_BIG (reason),
// WS_ERR_NO_MEMORY. [any thread]
ws_status ws_server_close(ws_server *server, ws_conn_id conn, uint16_t code, const char *reason);

// Stops reading from conn, so that TCP slows the peer down: for a program that cannot keep up.
// Takes effect after the current callback; nothing that has come is lost, and pong deadlines rest.
// Sending goes on. WS_ERR_CLOSED. [any thread]
ws_status ws_server_pause(ws_server *server, ws_conn_id conn);

// Reads again after ws_server_pause(). WS_ERR_CLOSED. [any thread]
ws_status ws_server_resume(ws_server *server, ws_conn_id conn);

// Bytes queued for conn that the kernel has not taken yet; 0 for a stale id. [any thread]
size_t ws_server_buffered(ws_server *server, ws_conn_id conn);

// Attaches a pointer of the caller's to conn. libws never touches what it points to: free it in
// on_close. WS_ERR_CLOSED, WS_ERR_NO_MEMORY. [any thread]
ws_status ws_server_set_conn_user(ws_server *server, ws_conn_id conn, void *conn_user);

// The pointer attached to conn; NULL at first and for a stale id. Valid in on_close. [any thread]
void *ws_server_conn_user(ws_server *server, ws_conn_id conn);

// What was agreed on about compression. out->struct_size must be set. WS_ERR_CLOSED: a stale id.
// WS_ERR_INVALID_ARG. [any thread]
ws_status ws_server_deflate(ws_server *server, ws_conn_id conn, ws_deflate_info *out);

// Fills in the statistics. out->struct_size must be set; a smaller (older) struct gets the fields
// that it has. WS_ERR_INVALID_ARG. [any thread]
ws_status ws_server_stats(const ws_server *server, ws_stats *out);

// Makes a client. It connects when it is run, started or polled. config is copied. *out is NULL on
// error, else free it with ws_client_free().
// WS_ERR_INVALID_ARG: ws_last_error() names the field or the variable. WS_ERR_TLS: it names the
// certificate or key that is no good. WS_ERR_UNSUPPORTED: a wss:// URL in a build without TLS, or
// deflate in one without compression. WS_ERR_NO_MEMORY, WS_ERR_IO (no fd left for epoll, a file
// cannot be read, or the kernel has no randomness).
ws_status ws_client_new(const ws_client_config *config, ws_client **out);

// Connects and serves the connection in this thread until it is closed for good, or
// ws_client_stop().
// WS_OK: closed by a closing handshake, or by ws_client_close() while it waited for its next attempt,
// or stopped. Else the status of the last failure, as in ws_close_info. WS_ERR_REENTRANT: in a
// callback, or it runs already.
ws_status ws_client_run(ws_client *client);

// As ws_client_run(), in a thread of its own, which has all signals blocked; returns at once.
// ws_client_free() ends it.
// WS_ERR_REENTRANT: in a callback, or it runs already. WS_ERR_IO: no thread to be had.
ws_status ws_client_start(ws_client *client);

// One turn of the event loop in this thread: waits at most timeout_ms milliseconds (0: not at all,
// -1: as long as it takes) for something to do, and does it. The first call begins to connect.
// WS_OK: go on. WS_ERR_CLOSED: closed for good, or ws_client_stop() was called. WS_ERR_REENTRANT:
// in a callback, or another thread runs it. WS_ERR_INVALID_ARG: timeout_ms < -1.
ws_status ws_client_poll(ws_client *client, int timeout_ms);

// For a program with its own event loop: an fd that becomes readable whenever
// ws_client_poll(client, 0) has something to do, timeouts included; at first, to begin to connect.
// Do not read it or close it. -1 on error. The same for the life of the client. [any thread]
int ws_client_fd(const ws_client *client);

// Queues a message, in the order of the calls of a thread; never blocks. data: len bytes, copied;
// NULL with len 0 is an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which
// WS_UNCOMPRESSED may be or'ed to. max_send_queue is compared with len before it is compressed.
// WS_OK: queued. WS_ERR_AGAIN: the queue is full; nothing was queued, on_writable will be called.
// WS_ERR_CLOSED: not open. WS_ERR_UTF8, WS_ERR_TOO_BIG (larger than max_send_queue),
// WS_ERR_NO_MEMORY, WS_ERR_INVALID_ARG (also while a message in pieces is unfinished). [any thread]
ws_status ws_client_send(ws_client *client, int kind, const void *data, size_t len);

// Sends a piece of a message, as ws_server_send_piece() does; each is copied. Messages of
// ws_client_enqueue() wait until the last piece. A message that was begun on a connection that has
// ended is lost, also when there is a new connection by now: outside of callbacks that is told by
// WS_ERR_CLOSED, once; in callbacks on_close has told. The next piece begins a message.
// WS_ERR_CLOSED: not open, or that. Else as ws_server_send_piece(). [any thread]
ws_status ws_client_send_piece(ws_client *client, int kind, const void *data, size_t len, int last);

// As ws_client_send(), but also when there is no connection: the message is kept until the kernel
// has taken all of it, over as many connections as that takes. Messages go in the order of the calls;
// on a new connection they follow what on_open has sent. on_sent tells what became of each.
// *number (may be NULL): the message's number, 1 for the first, one more for each, 0 on error.
// WS_OK: queued, or dropped at once as queue_policy says. WS_ERR_AGAIN: the queue is full, or, with
// WS_QUEUE_DROP_OLDEST, on_sent has yet to tell of very many that were dropped; it tells when there
// is room. WS_ERR_CLOSED: no further connection comes. WS_ERR_TOO_BIG: larger than queue_bytes or
// max_send_queue. WS_ERR_UTF8, WS_ERR_NO_MEMORY, WS_ERR_INVALID_ARG. [any thread]
ws_status ws_client_enqueue(ws_client *client,
                            int kind,
                            const void *data,
                            size_t len,
                            uint64_t *number);

// Messages of ws_client_enqueue() that the kernel has not taken yet. [any thread]
size_t ws_client_queued(const ws_client *client);

// Ends the wait before the next attempt to connect: the network has come back. Does nothing while
// connecting or connected. The number of the attempt goes on, so that calling it often does not
// shorten the waits that follow.
// WS_ERR_CLOSED: closed for good. [any thread]
ws_status ws_client_reconnect_now(ws_client *client);

// allowed 0: no further attempt is made. An attempt that is under way and a connection that is open
// go on; when they end, or at once while it waits, the client is closed for good and ws_client_run()
// returns the status of the last failure. allowed 1: as configured again, if it is not too late.
// WS_ERR_INVALID_ARG: reconnect_min_ms was not set. [any thread]
ws_status ws_client_allow_reconnect(ws_client *client,
                                    int allowed);

// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes to on_pong.
// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_client_send(). [any thread]
ws_status ws_client_ping(ws_client *client, const void *data, size_t len);

// Closes for good: starts the closing handshake as ws_server_close() does, or gives up connecting.
// What ws_client_enqueue() has taken goes first, as long as the server takes it, for
// close_timeout_ms at most; meanwhile messages still come, and ws_client_send() still works.
// on_close follows if there is a connection or an attempt; no further attempt is made.
// WS_ERR_CLOSED: already closing or closed. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8, WS_ERR_TOO_BIG
// (reason), WS_ERR_NO_MEMORY. [any thread]
ws_status ws_client_close(ws_client *client, uint16_t code, const char *reason);

// Stops reading, so that TCP slows the server down; see ws_server_pause().
// WS_ERR_CLOSED: not open. [any thread]
ws_status ws_client_pause(ws_client *client);

// Reads again after ws_client_pause().
// WS_ERR_CLOSED: not open. [any thread]
ws_status ws_client_resume(ws_client *client);

// Bytes queued that the kernel has not taken yet; 0 when not open. [any thread]
size_t ws_client_buffered(ws_client *client);

// Where the last failure lay (dns, tcp, proxy, tls, http, websocket) and what it said, such as "tcp:
// connect 192.0.2.7:80: Connection refused". "" if nothing has failed yet. Never NULL. Call it in a
// callback or while the client does not run in another thread; the text lives until the client
// fails again.
const char *ws_client_error(ws_client *client);

// The HTTP status of the server's last answer, 101 after a successful upgrade; 0 if none was
// received. [any thread]
int ws_client_http_status(const ws_client *client);

// The subprotocol agreed on, or NULL. Call it in a callback or while the client does not run in
// another thread; the text lives until the next on_open.
const char *ws_client_subprotocol(const ws_client *client);

// What was agreed on about compression. out->struct_size must be set.
// WS_ERR_CLOSED: not open. WS_ERR_INVALID_ARG. [any thread]
ws_status ws_client_deflate(ws_client *client, ws_deflate_info *out);

// Fills in the statistics. out->struct_size must be set; a smaller (older) struct gets the fields
// that it has. WS_ERR_INVALID_ARG. [any thread]
ws_status ws_client_stats(const ws_client *client, ws_stats *out);

// Makes ws_client_run() return and the thread of ws_client_start() end, when it has done with what
// had come already; callbacks may be called for that. A stopped client cannot run again; calling
// it twice does no harm.
// NULL is a no-op. [any thread, signal handler, callbacks]
void ws_client_stop(ws_client *client);

// Stops the client, closes an open connection with 1001 (going away), waits at most
// close_timeout_ms for the answer, delivers on_close, joins the thread and frees everything. NULL
// is a no-op. No other thread may be using the handle.
// WS_ERR_REENTRANT: in a callback, or another thread is inside ws_client_run() or
// ws_client_poll(); nothing has happened.
ws_status ws_client_free(ws_client *client);

// Makes one end of a WebSocket. config is copied. A client's upgrade request is queued at once. The
// handshake has to be done by handshake_timeout_ms after now_ms. *out is NULL on error, else free
// it with ws_proto_free().
// WS_ERR_INVALID_ARG: ws_last_error() names the field. WS_ERR_NO_MEMORY, WS_ERR_IO (the kernel has
// no randomness for a client's key).
ws_status ws_proto_new(const ws_proto_config *config, uint64_t now_ms, ws_proto **out);

// Frees a ws_proto in any state; the peer is told nothing. NULL is a no-op.
void ws_proto_free(ws_proto *proto);

// Lends len bytes that came from the peer. libws unmasks them in place and hands out slices of
// them, so the buffer must stay, untouched by the program, until ws_proto_next() has answered
// WS_PROTO_NONE. len 0 does nothing: the end of the transport is told by ws_proto_eof().
// WS_ERR_AGAIN: bytes fed before are not used up: take the events first. While a request waits for
// its answer the bytes behind it wait with it, so do not read on meanwhile. WS_ERR_INVALID_ARG.
ws_status ws_proto_feed(ws_proto *proto, void *data, size_t len, uint64_t now_ms);

// Tells the next thing that has happened. event->struct_size must be set.
// WS_OK, also for WS_PROTO_NONE and WS_PROTO_ERROR. WS_ERR_INVALID_ARG: *event is as it was.
ws_status ws_proto_next(ws_proto *proto, ws_proto_event *event);

// Server: agrees to the upgrade that was told by WS_PROTO_REQUEST (RFC 6455 section 4.2.2).
// WS_PROTO_OPEN follows; messages can be sent from now on. subprotocol: NULL for the one that
// config.subprotocols leads to (ws_request_subprotocol() names it), "" for none, else one that the
// client offered. headers: extra ones for the answer, "Name: value\r\n" each, or NULL.
// WS_ERR_INVALID_ARG: no upgrade request waits, or an argument is wrong. WS_ERR_CLOSED: it has
// ended meanwhile. WS_ERR_NO_MEMORY.
ws_status ws_proto_accept(ws_proto *proto,
                          const char *subprotocol,
                          const char *headers,
                          uint64_t now_ms);

// Server: answers WS_PROTO_REQUEST with a refusal (http_status 300 to 599) or WS_PROTO_HTTP with a
// page (200 to 599). The transport ends after it, see ws_proto_wants_end(); no event follows.
// content_type: of the body, or NULL. headers: extra ones, "Name: value\r\n" each, or NULL. body:
// len bytes, copied; NULL with len 0 is an empty body. For HEAD the body is measured and left out.
// max_send_queue does not limit it.
// WS_ERR_INVALID_ARG: no request waits, or an argument is wrong. WS_ERR_CLOSED: it has ended
// meanwhile. WS_ERR_NO_MEMORY.
ws_status ws_proto_refuse(ws_proto *proto,
                          int http_status,
                          const char *content_type,
                          const char *headers,
                          const void *body,
                          size_t len,
                          uint64_t now_ms);

// Queues a message in one frame. data: len bytes, copied (it may be an event's); NULL with len 0 is
// an empty message. kind: WS_TEXT (checked as UTF-8) or WS_BINARY, which WS_UNCOMPRESSED may be
// or'ed to.
// WS_OK: queued. WS_ERR_AGAIN: max_send_queue would be exceeded; nothing was queued, try again when
// output has been written. WS_ERR_CLOSED: not open, or closing. WS_ERR_UTF8, WS_ERR_TOO_BIG (larger
// than max_send_queue), WS_ERR_NO_MEMORY, WS_ERR_IO (no randomness for a mask), WS_ERR_INVALID_ARG
// (also while a message in fragments is unfinished).
ws_status ws_proto_send(ws_proto *proto, int kind, const void *data, size_t len);

// Queues a fragment of a message (RFC 6455 section 5.4). The first one begins a message; the one
// with fin other than 0 ends it. kind is that of the message and the same in all of them (of
// WS_UNCOMPRESSED only the first counts). Pings, pongs and Close may be sent in between, other
// messages not.
// As ws_proto_send(). WS_ERR_INVALID_ARG also when kind differs from the first fragment's.
ws_status ws_proto_send_fragment(ws_proto *proto, int kind, const void *data, size_t len, int fin);

// Queues a Ping with 0 to 125 bytes of data, copied; the answer comes as WS_PROTO_PONG.
// WS_ERR_TOO_BIG: over 125 bytes. Else as ws_proto_send().
ws_status ws_proto_ping(ws_proto *proto, const void *data, size_t len);

// Queues a Pong that nobody asked for (RFC 6455 section 5.5.3); those to pings are sent by libws.
// As ws_proto_ping().
ws_status ws_proto_pong(ws_proto *proto, const void *data, size_t len);

// Starts the closing handshake (RFC 6455 section 7.1.2) behind what is queued; messages that still
// come are thrown away. WS_PROTO_CLOSE follows, or WS_PROTO_ERROR after close_timeout_ms. code: one
// that may stand in a frame (1000 to 1003, 1007 to 1014, 3000 to 4999); 0 is 1000. reason: UTF-8 of
// at most 123 bytes, or NULL.
// WS_ERR_CLOSED: not open, or closing already. WS_ERR_INVALID_ARG (code), WS_ERR_UTF8,
// WS_ERR_TOO_BIG (reason), WS_ERR_NO_MEMORY, WS_ERR_IO.
ws_status ws_proto_close(ws_proto *proto, uint16_t code, const char *reason, uint64_t now_ms);

// Tells that the program reads no more for now, so that the transport slows the peer down; no Pong
// can be missing meanwhile.
// WS_ERR_CLOSED: not open.
ws_status ws_proto_pause(ws_proto *proto, uint64_t now_ms);

// Tells that the program reads again.
// WS_ERR_CLOSED: not open.
ws_status ws_proto_resume(ws_proto *proto, uint64_t now_ms);

// The first stretch of the bytes that are to be written: how many, and in *data where they are; 0
// if there are none. They stay until the next call for this ws_proto other than those that take a
// const one. Write them and call ws_proto_written(), then ask again: there may be more.
size_t ws_proto_output(const ws_proto *proto, const void **data);

// Tells that the first len bytes of the output were written. More output may follow from that: a
// Pong that was held back while nothing could be written.
// WS_ERR_INVALID_ARG: more than there is to write; nothing has changed.
ws_status ws_proto_written(ws_proto *proto, size_t len, uint64_t now_ms);

// Bytes queued that were not written yet, in all.
size_t ws_proto_buffered(const ws_proto *proto);

// When to call ws_proto_tick() at the latest, in the time of now_ms; UINT64_MAX: no time is set.
// Every other call may change it.
uint64_t ws_proto_deadline(const ws_proto *proto);

// Does what is due by now_ms: sends a Ping, or gives up a handshake, a silent peer or a Close
// without an answer. Then take events and output. May be called at any time.
ws_status ws_proto_tick(ws_proto *proto, uint64_t now_ms);

// Tells that the transport brings no more bytes, be it by its end or by an error. An open WebSocket
// ends with WS_PROTO_ERROR and WS_ERR_CLOSED; after a closing handshake no event follows.
// WS_ERR_AGAIN: bytes fed before are not used up: take the events first.
ws_status ws_proto_eof(ws_proto *proto);

// What to do with the transport, once events have been taken and output has been written. The
// server ends it after the closing handshake, the client waits for that until close_timeout_ms (RFC
// 6455 section 7.1.1). WS_PROTO_END for NULL.
ws_proto_end ws_proto_wants_end(const ws_proto *proto);

// What was agreed on about compression, once WS_PROTO_OPEN has come. out->struct_size must be set.
// WS_ERR_INVALID_ARG.
ws_status ws_proto_deflate(ws_proto *proto, ws_deflate_info *out);

// 1 while messages can be sent, else 0.
int ws_proto_is_open(const ws_proto *proto);

// The subprotocol agreed on, or NULL. It lives as long as the ws_proto.
const char *ws_proto_subprotocol(const ws_proto *proto);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2): writes 28 characters and a
// NUL. key: as it stands in the request, without white space around it. out: 29 bytes.
// WS_ERR_INVALID_ARG. [any thread]
ws_status ws_accept_key(const char *key, char *out);

// Masks or unmasks len bytes in place (RFC 6455 section 5.3). key: 4 bytes. offset: bytes of the
// same payload before data, so that it can be done in parts; 0 at its beginning.
// WS_ERR_INVALID_ARG. [any thread]
ws_status ws_mask(void *data, size_t len, const uint8_t *key, size_t offset);

// Reads a frame head from the first bytes of a frame. *out is filled in when the head is whole.
// Returns its length, 2 to 14 bytes; 0: more than len bytes are needed; WS_ERR_PROTOCOL: reserved
// opcode, control frame that is over 125 bytes or fragmented, length that is over 63 bits or not in
// its shortest form. Masking and reserved bits are left to the caller. WS_ERR_INVALID_ARG. [any
// thread]
int ws_frame_parse(const void *data, size_t len, ws_frame_head *out);

// Writes a frame head. out: 14 bytes. len is written in its shortest form; the payload is the
// caller's to write, and to mask with ws_mask().
// Returns the length of the head, 2 to 14 bytes. WS_ERR_INVALID_ARG: reserved opcode, rsv over 7,
// control frame that is over 125 bytes or fragmented, length over 63 bits. [any thread]
int ws_frame_build(const ws_frame_head *head, uint8_t *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LIBWS_H */
