//! zlib.h, as far as it is needed: the layout and the functions have been the same since zlib 1.2.0.
#![allow(non_camel_case_types, non_snake_case)]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

#[repr(C)]
pub struct z_stream {
    pub next_in: *const u8,
    pub avail_in: c_uint,
    pub total_in: c_ulong,
    pub next_out: *mut u8,
    pub avail_out: c_uint,
    pub total_out: c_ulong,
    pub msg: *const c_char,
    pub state: *mut c_void,
    pub zalloc: Option<unsafe extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void>,
    pub zfree: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

#[link(name = "z")]
extern "C" {
    pub fn zlibVersion() -> *const c_char;
    pub fn deflateInit2_(
        strm: *mut z_stream,
        level: c_int,
        method: c_int,
        windowBits: c_int,
        memLevel: c_int,
        strategy: c_int,
        version: *const c_char,
        stream_size: c_int,
    ) -> c_int;
    pub fn deflate(strm: *mut z_stream, flush: c_int) -> c_int;
    pub fn deflateReset(strm: *mut z_stream) -> c_int;
    pub fn deflateEnd(strm: *mut z_stream) -> c_int;
    pub fn inflateInit2_(
        strm: *mut z_stream,
        windowBits: c_int,
        version: *const c_char,
        stream_size: c_int,
    ) -> c_int;
    pub fn inflate(strm: *mut z_stream, flush: c_int) -> c_int;
    pub fn inflateReset(strm: *mut z_stream) -> c_int;
    pub fn inflateResetKeep(strm: *mut z_stream) -> c_int;
    pub fn inflateSyncPoint(strm: *mut z_stream) -> c_int;
    pub fn inflateEnd(strm: *mut z_stream) -> c_int;
}
