//! What can go wrong, for the layers above `net`: a status, the errno behind it, and whether the
//! words for it have been left in the thread's text.

use crate::net::sys::thread::ThreadText;
use crate::net::sys::Errno;
use crate::proto::connection::SendError;
use crate::proto::OutOfMemory;
use crate::text::{Line, Pen, Say};
use core::ffi::{c_int, CStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Status {
    Ok = 0,
    InvalidArg = -1,
    NoMemory = -2,
    Io = -3,
    Tls = -4,
    Handshake = -5,
    Closed = -6,
    Again = -7,
    TooBig = -8,
    Utf8 = -9,
    Reentrant = -10,
    Internal = -11,
    Unsupported = -12,
    Timeout = -13,
    Dns = -14,
    Protocol = -15,
}

const TEXTS: [(Status, &CStr); 16] = [
    (Status::Ok, c"success"),
    (Status::InvalidArg, c"invalid argument"),
    (Status::NoMemory, c"out of memory"),
    (Status::Io, c"input or output error"),
    (Status::Tls, c"TLS failure"),
    (
        Status::Handshake,
        c"WebSocket handshake refused or malformed",
    ),
    (Status::Closed, c"connection closed or unknown"),
    (Status::Again, c"send queue full, wait for on_writable"),
    (Status::TooBig, c"larger than the limit"),
    (Status::Utf8, c"text is not valid UTF-8"),
    (
        Status::Reentrant,
        c"not allowed inside a callback or while it runs",
    ),
    (
        Status::Internal,
        c"internal error of libws, free the handle",
    ),
    (Status::Unsupported, c"not supported by this build"),
    (Status::Timeout, c"timed out"),
    (Status::Dns, c"host name could not be resolved"),
    (Status::Protocol, c"peer broke the WebSocket protocol"),
];

impl Status {
    /// A sentence for any number.
    pub fn text_of(status: c_int) -> &'static CStr {
        let known = TEXTS.iter().find(|(s, _)| *s as c_int == status);
        known.map_or(c"unknown status", |(_, text)| text)
    }

    /// This status, with the words for ws_last_error().
    #[cold]
    #[inline(never)]
    pub fn because(self, text: impl Say) -> Error {
        explain(&text);
        Error {
            explained: true,
            ..self.into()
        }
    }
}

impl Say for Status {
    fn say(&self, pen: &mut Pen<'_>) {
        Status::text_of(*self as c_int).say(pen);
    }
}

/// Why a call failed. Small enough for a register, since most functions may return one. The words are in the calling thread's [`last_text`] when `explained`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub status: Status,
    /// 0 if no system call failed.
    errno: u16,
    pub explained: bool,
}

impl Error {
    /// A system call failed: `what` says which, such as "bind 0.0.0.0:80".
    #[cold]
    #[inline(never)]
    pub fn io(errno: Errno, what: impl Say) -> Error {
        Error {
            // Linux has none above 4095.
            errno: errno.0 as u16,
            ..Status::Io.because(words!("{}: {}", what, errno))
        }
    }

    /// What a system call has left behind; 0 if none failed.
    pub fn errno(self) -> Errno {
        Errno(self.errno.into())
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        Error {
            status,
            errno: 0,
            explained: false,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Error {
        Status::NoMemory.into()
    }
}

impl From<OutOfMemory> for Status {
    fn from(_: OutOfMemory) -> Status {
        Status::NoMemory
    }
}

impl From<SendError> for Status {
    fn from(error: SendError) -> Status {
        match error {
            SendError::Closed => Status::Closed,
            SendError::Full => Status::Again,
            SendError::TooBig => Status::TooBig,
            SendError::Utf8 => Status::Utf8,
            SendError::Code | SendError::Fragmented => Status::InvalidArg,
            SendError::NoMemory => Status::NoMemory,
            SendError::NoRandomness => Status::Io,
        }
    }
}

static LAST: ThreadText = ThreadText::new();

/// Leaves words for ws_last_error() in the calling thread.
pub fn explain(text: &dyn Say) {
    LAST.set(Line::<255>::from(text).as_bytes());
}

/// The words of the calling thread's last failure: a C text that lives until the next.
pub fn last_text() -> *const core::ffi::c_char {
    LAST.get()
}
