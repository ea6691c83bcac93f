//! What callbacks receive: messages, pieces, how a connection ended; and the statistics.

use core::ffi::{c_char, c_int, c_void};

use super::status::ws_status;

/// A connection of a server: a number, not a pointer. Never 0 and never reused, so that a stale one
/// is answered with WS_ERR_CLOSED whenever it is used.
pub type ws_conn_id = u64;

/// What a data message holds (RFC 6455 section 5.6).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_kind {
    /// UTF-8 text.
    WS_TEXT = 1,
    /// Any bytes.
    WS_BINARY = 2,
}

/// A whole message: all its fragments joined and, if text, checked as UTF-8.
#[repr(C)]
pub struct ws_message {
    /// WS_TEXT or WS_BINARY.
    pub kind: ws_kind,
    /// The payload, never NULL. A NUL follows the last byte and is not counted in len, so that text
    /// can be used as a C string (it may hold NULs of its own).
    pub data: *const c_void,
    /// Bytes in data: 0 to max_message_size.
    pub len: usize,
}

/// A stretch of a message, as it came. Pieces come in order and without gaps; they follow the
/// network's packets, not the sender's fragments.
#[repr(C)]
pub struct ws_piece {
    /// WS_TEXT or WS_BINARY, the same for all pieces of a message.
    pub kind: ws_kind,
    /// The bytes of this piece, never NULL. Text is checked as UTF-8 up to here; a character may be
    /// split between two pieces.
    pub data: *const c_void,
    /// Bytes in data: 0 to the size of the receive buffer, or to 16 KiB where the message was
    /// compressed. 0 only in the last piece.
    pub len: usize,
    /// Bytes of this message in the pieces before this one: 0 in the first.
    pub offset: u64,
    /// 1: the message ends with this piece, else 0. A message whose last piece never comes was cut
    /// off by the end of the connection.
    pub last: c_int,
}

/// How a connection ended.
#[repr(C)]
pub struct ws_close_info {
    /// WS_OK after a closing handshake. Else what ended the connection: WS_ERR_CLOSED (the peer
    /// went away without a Close frame), WS_ERR_IO, WS_ERR_TIMEOUT (no pong, or no answer to our
    /// Close), WS_ERR_PROTOCOL (the peer broke the protocol; code says how), WS_ERR_NO_MEMORY. A
    /// client's failed attempt also: WS_ERR_DNS, WS_ERR_TLS, WS_ERR_HANDSHAKE.
    pub status: ws_status,
    /// The code of the peer's Close frame; 1005 if it held none; 1006 if no Close frame came (RFC
    /// 6455 section 7.4.1). When libws failed the connection itself: the code it sent.
    pub code: u16,
    /// 1: the peer started the closing handshake or went away; 0: this side did.
    pub by_peer: c_int,
    /// The reason that came with the code, or what libws found wrong. UTF-8, never NULL.
    pub reason: *const c_char,
}

/// An attempt to connect that is going to be made, and the failure or the end that it follows.
#[repr(C)]
pub struct ws_reconnect_info {
    /// 1 for the attempt after the first failure; begins again when a connection has lasted 5 seconds.
    pub attempt: u32,
    /// Milliseconds until the attempt.
    pub delay_ms: u32,
    /// As in the ws_close_info of the on_close just before.
    pub status: ws_status,
    /// The HTTP status of the server's last answer, 0 if there was none.
    pub http_status: c_int,
    /// As in that ws_close_info: 1012 and 1013 from the server make delay_ms longer.
    pub code: u16,
    /// 1: it will fail again until somebody changes something (HTTP status 401, 403, 407, 410, a proxy
    /// that refuses us, a bad certificate); tried at the longest delay only. Else 0.
    pub permanent: c_int,
    /// What failed and where, as ws_client_error() has it. Never NULL.
    pub reason: *const c_char,
}

/// What ws_client_enqueue() does when its queue is full.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_queue_policy {
    /// It answers WS_ERR_AGAIN and queues nothing.
    WS_QUEUE_REFUSE = 0,
    /// The oldest messages that are not being sent are dropped.
    WS_QUEUE_DROP_OLDEST = 1,
    /// The new message is dropped.
    WS_QUEUE_DROP_NEWEST = 2,
}

/// Numbers since a server or client was made, of all its threads together. Each is exact, but they
/// are not taken at one instant. Set struct_size, then call ws_server_stats() or ws_client_stats().
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ws_stats {
    /// sizeof(ws_stats).
    pub struct_size: usize,
    /// WebSocket connections open now.
    pub connections_open: u64,
    /// WebSocket connections ever opened.
    pub connections_total: u64,
    /// Connections that ended before they were open: refused, timed out, or broken. For a client:
    /// failed attempts.
    pub handshakes_failed: u64,
    /// Plain HTTP requests given to on_http or answered with 404.
    pub http_requests: u64,
    /// Whole data messages received.
    pub messages_received: u64,
    /// Data messages queued for sending, one for each receiver of a broadcast.
    pub messages_sent: u64,
    /// Broadcast or published messages left out for a receiver whose send queue was full.
    pub messages_dropped: u64,
    /// Bytes read from sockets, handshakes and frame heads included. With TLS: counted after
    /// decryption, without what TLS adds.
    pub bytes_received: u64,
    /// Bytes the kernel took from libws, likewise.
    pub bytes_sent: u64,
    /// Connections failed because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Connections ended by a timeout: handshake, pong, or close.
    pub timeouts: u64,
    /// Bytes of messages that were sent compressed, before that.
    pub deflate_sent_before: u64,
    /// What they became.
    pub deflate_sent_after: u64,
    /// Bytes of compressed messages that were received, as they came.
    pub deflate_received_before: u64,
    /// What they became.
    pub deflate_received_after: u64,
}
