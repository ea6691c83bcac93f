//! `guard` for the functions of ws_proto and ws_frame, which need a little more.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::{ptr, slice};

pub use super::guard::*;
use super::proto::ws_proto;
use super::proto_handle::Proto;
use super::status::ws_status;
use crate::error::Error;
use crate::guard::contain;

/// Makes a handle that one thread at a time uses: `*out` is NULL unless it worked.
pub unsafe fn make_box<H, T>(
    out: *mut *mut H,
    body: impl FnOnce() -> Result<Box<T>, Error>,
) -> ws_status {
    if out.is_null() {
        return answer(Err(null("out")));
    }
    // SAFETY: out is a valid place, as the caller promises.
    unsafe { *out = ptr::null_mut() };
    answer(contain(|| {
        let made = Box::into_raw(body()?);
        // SAFETY: as above.
        unsafe { *out = made.cast() };
        Ok(())
    }))
}

pub unsafe fn free_box<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it came from make_box, and the caller gives it up.
        let handle = unsafe { Box::from_raw(handle) };
        let _ = contain(|| {
            drop(handle);
            Ok(())
        });
    }
}

/// Runs `body` on a ws_proto, which only this thread uses.
pub unsafe fn proto(
    proto: *mut ws_proto,
    body: impl FnOnce(&mut Proto) -> Result<(), Error>,
) -> ws_status {
    // SAFETY: as the caller promises.
    match unsafe { proto.cast::<Proto>().as_mut() } {
        None => answer(Err(null("proto"))),
        Some(proto) => answer(contain(|| body(proto))),
    }
}

pub unsafe fn proto_or<R>(proto: *const ws_proto, default: R, body: impl FnOnce(&Proto) -> R) -> R {
    // SAFETY: as the caller promises.
    unsafe { ask(proto.cast::<Proto>(), "proto", default, body) }
}

/// Runs `body`, which needs no handle.
pub fn run(body: impl FnOnce() -> Result<(), Error>) -> ws_status {
    answer(contain(body))
}

/// As `data`, to be written to.
pub unsafe fn data_mut<'a>(to: *mut c_void, len: usize) -> Result<&'a mut [u8], Error> {
    // SAFETY: as the caller promises.
    unsafe { data(to, len) }?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: writable for len bytes, as the caller promises.
    Ok(unsafe { slice::from_raw_parts_mut(to.cast(), len) })
}

/// Shows bytes to the caller: their number, and where they are in `*to`, which may be NULL.
pub unsafe fn lend(bytes: &[u8], to: *mut *const c_void) -> usize {
    // SAFETY: a valid place if not NULL, as the caller promises.
    if let Some(to) = unsafe { to.as_mut() } {
        *to = bytes.as_ptr().cast();
    }
    bytes.len()
}

pub unsafe fn place_in<'a, T>(from: *const T, what: &str) -> Result<&'a T, Error> {
    // SAFETY: readable if not NULL, as the caller promises.
    unsafe { from.as_ref() }.ok_or_else(|| null(what))
}

pub unsafe fn place<'a, T>(to: *mut T, what: &str) -> Result<&'a mut T, Error> {
    // SAFETY: writable if not NULL, as the caller promises; it holds a valid T, or T is plain bytes.
    unsafe { to.as_mut() }.ok_or_else(|| null(what))
}

pub unsafe fn array_in<'a, const N: usize>(
    from: *const u8,
    what: &str,
) -> Result<&'a [u8; N], Error> {
    // SAFETY: as the caller promises.
    unsafe { place_in(from.cast::<[u8; N]>(), what) }
}

pub unsafe fn array_out<'a, const N: usize>(
    to: *mut u8,
    what: &str,
) -> Result<&'a mut [u8; N], Error> {
    // SAFETY: as the caller promises.
    unsafe { place(to.cast::<[u8; N]>(), what) }
}
