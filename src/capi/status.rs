//! `ws_status` and what tells a caller why a call failed.

use core::ffi::{c_char, c_int};

use super::guard;
use crate::error::Status;

/// What a call answered. Values are never renumbered or reused; new ones may be added.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_status {
    /// It worked.
    WS_OK = 0,
    /// An argument is wrong: a NULL handle, a value out of bounds, a bad URL, a wrong
    /// `struct_size`.
    WS_ERR_INVALID_ARG = -1,
    /// malloc had nothing left. Nothing was changed or queued.
    WS_ERR_NO_MEMORY = -2,
    /// A system call failed; errno holds the cause.
    WS_ERR_IO = -3,
    /// The TLS handshake or a TLS record failed.
    WS_ERR_TLS = -4,
    /// The HTTP upgrade failed: ws_client_error() and ws_client_http_status() say why.
    WS_ERR_HANDSHAKE = -5,
    /// A stale connection id, or the connection is closing or closed.
    WS_ERR_CLOSED = -6,
    /// Not now. As a rule the send queue is full: wait for on_writable.
    WS_ERR_AGAIN = -7,
    /// Larger than the limit that applies, so it can never succeed.
    WS_ERR_TOO_BIG = -8,
    /// Text that is not valid UTF-8.
    WS_ERR_UTF8 = -9,
    /// Not allowed inside a callback, or while another thread runs this handle.
    WS_ERR_REENTRANT = -10,
    /// A bug in libws was contained; free the handle.
    WS_ERR_INTERNAL = -11,
    /// This build of libws lacks the feature (TLS).
    WS_ERR_UNSUPPORTED = -12,
    /// A deadline has passed.
    WS_ERR_TIMEOUT = -13,
    /// The host name could not be resolved: there is no such name, the resolver did not answer in
    /// time, or no lookup could be begun.
    WS_ERR_DNS = -14,
    /// The peer broke RFC 6455; the close code says how.
    WS_ERR_PROTOCOL = -15,
}

/// The version of the library that is loaded, such as "0.1.0"; WS_VERSION is the header's. [any
/// thread] Never NULL, never freed.
#[no_mangle]
pub extern "C" fn ws_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// A sentence for a status. Any value is answered, an unknown one too. [any thread] Never NULL,
/// never freed.
#[no_mangle]
pub extern "C" fn ws_strerror(status: c_int) -> *const c_char {
    Status::text_of(status).as_ptr()
}

/// What failed last in the calling thread, in words, such as "bind 0.0.0.0:80: Permission denied"
/// or "ws_server_config.path must begin with '/'". Set by every call that returns a status other
/// than WS_OK, and by ws_server_port() and the like when the handle is NULL; not cleared by
/// success. [any thread] Never NULL ("" at first); lives until the thread's next failing call or
/// its end.
#[no_mangle]
pub extern "C" fn ws_last_error() -> *const c_char {
    guard::last_error()
}

impl From<Status> for ws_status {
    fn from(status: Status) -> ws_status {
        match status {
            Status::Ok => ws_status::WS_OK,
            Status::InvalidArg => ws_status::WS_ERR_INVALID_ARG,
            Status::NoMemory => ws_status::WS_ERR_NO_MEMORY,
            Status::Io => ws_status::WS_ERR_IO,
            Status::Tls => ws_status::WS_ERR_TLS,
            Status::Handshake => ws_status::WS_ERR_HANDSHAKE,
            Status::Closed => ws_status::WS_ERR_CLOSED,
            Status::Again => ws_status::WS_ERR_AGAIN,
            Status::TooBig => ws_status::WS_ERR_TOO_BIG,
            Status::Utf8 => ws_status::WS_ERR_UTF8,
            Status::Reentrant => ws_status::WS_ERR_REENTRANT,
            Status::Internal => ws_status::WS_ERR_INTERNAL,
            Status::Unsupported => ws_status::WS_ERR_UNSUPPORTED,
            Status::Timeout => ws_status::WS_ERR_TIMEOUT,
            Status::Dns => ws_status::WS_ERR_DNS,
            Status::Protocol => ws_status::WS_ERR_PROTOCOL,
        }
    }
}
