//! The log callback.

use core::ffi::{c_char, c_int, c_void, CStr};
use core::mem::transmute;

use crate::log::{self, Sink};

/// How much a log line matters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_log_level {
    /// Nothing is logged.
    WS_LOG_NONE = 0,
    /// Something failed that the program should know about.
    WS_LOG_ERROR = 1,
    /// Something went wrong that libws has dealt with: a peer that broke the protocol, a full
    /// table.
    WS_LOG_WARN = 2,
    /// Connections open and close.
    WS_LOG_INFO = 3,
    /// Each step of handshakes and closing handshakes.
    WS_LOG_DEBUG = 4,
}

/// Receives a log line: a ws_log_level, and the line without a newline. line dies when it returns.
pub type ws_log_fn =
    Option<unsafe extern "C" fn(level: c_int, line: *const c_char, user: *mut c_void)>;

/// Sends log lines up to max_level (a ws_log_level) to log, for the whole process. NULL, the
/// default, logs nothing. log may be called from every thread that uses libws, from several at
/// once, and must not call libws back except ws_version() and ws_strerror(). user is handed
/// through. [any thread] After it has returned, a call of the old function may still be under way
/// in another thread.
#[no_mangle]
pub extern "C" fn ws_set_log(log: ws_log_fn, max_level: c_int, user: *mut c_void) {
    let sink = log.map(|f| Sink {
        deliver,
        function: f as usize,
        user: user as usize,
    });
    log::set(sink, max_level);
}

fn deliver(sink: &Sink, level: c_int, line: &CStr) {
    // SAFETY: `function` was made from a pointer of exactly this type, just above.
    unsafe {
        let function = transmute::<usize, unsafe extern "C" fn(c_int, *const c_char, *mut c_void)>(
            sink.function,
        );
        function(level, line.as_ptr(), sink.user as *mut c_void);
    }
}
