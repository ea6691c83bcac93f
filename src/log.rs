//! Log lines for the program's callback. Nothing is formatted when nobody listens at that level.

use crate::net::sys::thread::Mutex;
use crate::text::{Line, Say};
use core::ffi::{c_int, CStr};
use core::sync::atomic::{AtomicI32, Ordering};

/// Where lines go: `deliver` calls the program's `function`, which only the C face can do.
#[derive(Clone, Copy)]
pub struct Sink {
    pub deliver: fn(&Sink, level: c_int, line: &CStr),
    pub function: usize,
    pub user: usize,
}

pub const ERROR: c_int = 1;
pub const WARN: c_int = 2;
pub const INFO: c_int = 3;
pub const DEBUG: c_int = 4;

static LEVEL: AtomicI32 = AtomicI32::new(0);
static SINK: Mutex<Option<Sink>> = Mutex::new(None);

/// Replaces the sink; None silences the log.
pub fn set(sink: Option<Sink>, max_level: c_int) {
    let mut current = SINK.lock();
    *current = sink;
    LEVEL.store(
        if sink.is_some() { max_level } else { 0 },
        Ordering::Release,
    );
}

pub fn enabled(level: c_int) -> bool {
    level <= LEVEL.load(Ordering::Relaxed)
}

/// Writes a line of at most 511 bytes.
pub fn write(level: c_int, text: &dyn Say) {
    if !enabled(level) {
        return;
    }
    let mut line = Line::<512>::from(text);
    line.flatten();
    // The lock is not held over the call, so that the sink may replace itself.
    let sink = *SINK.lock();
    if let Some(sink) = sink {
        (sink.deliver)(&sink, level, line.as_c_str());
    }
}

pub fn error(text: impl Say) {
    write(ERROR, &text);
}

pub fn warn(text: impl Say) {
    write(WARN, &text);
}

pub fn info(text: impl Say) {
    write(INFO, &text);
}

pub fn debug(text: impl Say) {
    write(DEBUG, &text);
}
