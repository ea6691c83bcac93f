//! Streams, for either supplier.

use super::{InflateError, Ran};
use crate::proto::OutOfMemory;
use alloc::alloc::{alloc, dealloc, Layout};
use alloc::vec::Vec;
use core::ffi::{c_int, c_uint, c_void};
use core::mem::size_of;
use core::ptr::{self, NonNull};

#[cfg(feature = "deflate-system")]
use super::libz as supplier;
#[cfg(not(feature = "deflate-system"))]
use libz_rs_sys as supplier;

use supplier::z_stream;

/// That streams can be made in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present(());

pub const fn present() -> Option<Present> {
    Some(Present(()))
}

/// A compressor. It ends no stream: each `run` without input left over ends with an empty stored block.
#[derive(Debug)]
pub struct Deflate(Stream);

impl Deflate {
    /// `level`: 1 (fastest) to 9. `window_bits`: 9 to 15; a window of 9 refers back 250 bytes at most, so that it serves
    /// where 8 was agreed on, too. `mem_level`: 1 to 9.
    pub fn new(
        _: Present,
        level: u8,
        window_bits: u8,
        mem_level: u8,
    ) -> Result<Deflate, OutOfMemory> {
        Stream::new(supplier::deflateEnd, |stream| {
            // SAFETY: the stream is as zlib wants it before this call; the version is zlib's own text.
            unsafe {
                supplier::deflateInit2_(
                    stream,
                    c_int::from(level),
                    Z_DEFLATED,
                    -c_int::from(window_bits.clamp(9, 15)),
                    c_int::from(mem_level),
                    Z_DEFAULT_STRATEGY,
                    supplier::zlibVersion(),
                    size_of::<z_stream>() as c_int,
                )
            }
        })
        .map(Deflate)
    }

    /// Compresses `input` and flushes, appending at most `max` bytes to `out`, for which there must be spare capacity.
    /// Until neither input nor output is left over (`used`, `full`), call again with the rest.
    pub fn run(&mut self, input: &[u8], out: &mut Vec<u8>, max: usize) -> Ran {
        // What it returns needs no look: Z_BUF_ERROR says that there was nothing left to do, and nothing else can come
        // of a stream that was made well.
        // SAFETY: the stream was made by deflateInit2_.
        self.0
            .run(input, out, max, |stream| unsafe {
                supplier::deflate(stream, Z_SYNC_FLUSH)
            })
            .0
    }

    /// Forgets what came before.
    pub fn reset(&mut self) {
        // SAFETY: the stream was made by deflateInit2_.
        unsafe { supplier::deflateReset(self.0.as_ptr()) };
    }
}

#[derive(Debug)]
pub struct Inflate(Stream);

impl Inflate {
    /// `window_bits`: 9 to 15, at least those that the data was compressed with.
    pub fn new(_: Present, window_bits: u8) -> Result<Inflate, OutOfMemory> {
        Stream::new(supplier::inflateEnd, |stream| {
            // SAFETY: as for deflateInit2_.
            unsafe {
                supplier::inflateInit2_(
                    stream,
                    -c_int::from(window_bits.clamp(9, 15)),
                    supplier::zlibVersion(),
                    size_of::<z_stream>() as c_int,
                )
            }
        })
        .map(Inflate)
    }

    /// Inflates `input`, appending at most `max` bytes to `out`, for which there must be spare capacity.
    pub fn run(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<Ran, InflateError> {
        // SAFETY: the stream was made by inflateInit2_.
        let (ran, code) = self.0.run(input, out, max, |stream| unsafe {
            supplier::inflate(stream, Z_SYNC_FLUSH)
        });
        match code {
            // Nothing could be done: without input, or without room.
            Z_OK | Z_BUF_ERROR => Ok(ran),
            Z_STREAM_END => Ok(Ran { ended: true, ..ran }),
            Z_MEM_ERROR => Err(InflateError::NoMemory),
            _ => Err(InflateError::Data),
        }
    }

    /// A block without compression was begun, and its length is to come: what a flush puts out but for the last four bytes
    /// ends so.
    pub fn expects_tail(&self) -> bool {
        // SAFETY: the stream was made by inflateInit2_.
        unsafe { supplier::inflateSyncPoint(self.0.as_ptr()) == 1 }
    }

    /// After the end of a stream: another one may follow, which may refer back into it.
    pub fn restart(&mut self) {
        // SAFETY: the stream was made by inflateInit2_.
        unsafe { supplier::inflateResetKeep(self.0.as_ptr()) };
    }

    /// Forgets what came before.
    pub fn reset(&mut self) {
        // SAFETY: the stream was made by inflateInit2_.
        unsafe { supplier::inflateReset(self.0.as_ptr()) };
    }
}

const Z_OK: c_int = 0;
const Z_STREAM_END: c_int = 1;
const Z_MEM_ERROR: c_int = -4;
const Z_BUF_ERROR: c_int = -5;
const Z_SYNC_FLUSH: c_int = 2;
const Z_DEFLATED: c_int = 8;
const Z_DEFAULT_STRATEGY: c_int = 0;

/// A `z_stream` that has its own place in memory: zlib's state points back to it.
#[derive(Debug)]
struct Stream {
    stream: NonNull<z_stream>,
    end: unsafe extern "C" fn(*mut z_stream) -> c_int,
}

// SAFETY: a stream is reached through its owner only, it refers to nothing of the thread that made it, and the allocator
// works in every thread.
unsafe impl Send for Stream {}

impl Stream {
    fn new(
        end: unsafe extern "C" fn(*mut z_stream) -> c_int,
        init: impl FnOnce(*mut z_stream) -> c_int,
    ) -> Result<Stream, OutOfMemory> {
        // SAFETY: a z_stream has a size.
        let place = unsafe { alloc(Layout::new::<z_stream>()) }.cast::<z_stream>();
        let stream = NonNull::new(place).ok_or(OutOfMemory)?;
        // SAFETY: a fresh block of that layout, which is written before it is read. All its fields may be zero.
        unsafe {
            stream.write(core::mem::zeroed());
            (*place).zalloc = Some(zalloc);
            (*place).zfree = Some(zfree);
        }
        // With the arguments that are given here, it can only fail for want of memory.
        if init(place) == Z_OK {
            return Ok(Stream { stream, end });
        }
        // SAFETY: allocated above; zlib has left nothing in it.
        unsafe { dealloc(place.cast(), Layout::new::<z_stream>()) };
        Err(OutOfMemory)
    }

    fn as_ptr(&self) -> *mut z_stream {
        self.stream.as_ptr()
    }

    /// One call of inflate() or deflate(), from `input` into the spare capacity of `out`.
    fn run(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        max: usize,
        call: impl FnOnce(*mut z_stream) -> c_int,
    ) -> (Ran, c_int) {
        let spare = out.spare_capacity_mut();
        let room = within(spare.len().min(max));
        let offered = within(input.len());
        let place = self.as_ptr();
        // SAFETY: the stream is alive, and nobody else has it. Input and output are valid for the lengths given, for the
        // time of the call; zlib does not touch them afterwards.
        let code = unsafe {
            (*place).next_in = input.as_ptr();
            (*place).avail_in = offered;
            (*place).next_out = spare.as_mut_ptr().cast();
            (*place).avail_out = room;
            call(place)
        };
        // SAFETY: as above. zlib has written so many bytes at the beginning of the spare capacity.
        let (left, unfilled) = unsafe {
            let left = (*place).avail_in.min(offered);
            let unfilled = (*place).avail_out.min(room);
            (*place).next_in = ptr::null();
            (*place).next_out = ptr::null_mut();
            out.set_len(out.len() + (room - unfilled) as usize);
            (left, unfilled)
        };
        let ran = Ran {
            used: (offered - left) as usize,
            full: unfilled == 0,
            ended: false,
        };
        (ran, code)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream was made by the init function that belongs to `end`, and its memory by `new`.
        unsafe {
            (self.end)(self.as_ptr());
            dealloc(self.as_ptr().cast(), Layout::new::<z_stream>());
        }
    }
}

/// zlib counts in 32 bits: what is longer is taken in parts.
fn within(len: usize) -> c_uint {
    c_uint::try_from(len).unwrap_or(c_uint::MAX)
}

/// In front of each block that zlib is given lies its size.
const HEAD: usize = 2 * size_of::<usize>();

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEAD)?, HEAD).ok()
}

unsafe extern "C" fn zalloc(_: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    let bytes = (items as usize).checked_mul(size as usize);
    let Some((bytes, layout)) = bytes.and_then(|n| Some((n, layout(n)?))) else {
        return ptr::null_mut();
    };
    // SAFETY: the layout has a size; the size is written inside of the block, which is aligned for it.
    unsafe {
        let block = alloc(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(bytes);
        block.add(HEAD).cast()
    }
}

unsafe extern "C" fn zfree(_: *mut c_void, memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: zlib gives back what zalloc gave it, once.
    unsafe {
        let block = memory.cast::<u8>().sub(HEAD);
        if let Some(layout) = layout(block.cast::<usize>().read()) {
            dealloc(block, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_no_memory() {
        for (items, size) in [(u32::MAX, u32::MAX), (1 << 31, 1 << 31)] {
            // SAFETY: zalloc takes any numbers, zfree what zalloc gave.
            unsafe { assert!(zalloc(ptr::null_mut(), items, size).is_null()) };
        }
        // SAFETY: as above.
        unsafe {
            let memory = zalloc(ptr::null_mut(), 3, 1000);
            memory.cast::<u8>().write_bytes(0xaa, 3000);
            assert_eq!(memory as usize % HEAD, 0);
            zfree(ptr::null_mut(), memory);
            zfree(ptr::null_mut(), ptr::null_mut());
        }
    }

    unsafe extern "C" fn nothing(_: *mut c_void, _: c_uint, _: c_uint) -> *mut c_void {
        ptr::null_mut()
    }

    #[test]
    fn a_stream_without_memory_is_not_made() {
        let made = Stream::new(supplier::deflateEnd, |stream| {
            // SAFETY: as in Deflate::new.
            unsafe {
                (*stream).zalloc = Some(nothing);
                supplier::deflateInit2_(
                    stream,
                    6,
                    Z_DEFLATED,
                    -15,
                    8,
                    Z_DEFAULT_STRATEGY,
                    supplier::zlibVersion(),
                    size_of::<z_stream>() as c_int,
                )
            }
        });
        assert!(made.is_err());
        let made = Stream::new(supplier::inflateEnd, |stream| {
            // SAFETY: as in Inflate::new.
            unsafe {
                (*stream).zalloc = Some(nothing);
                supplier::inflateInit2_(
                    stream,
                    -15,
                    supplier::zlibVersion(),
                    size_of::<z_stream>() as c_int,
                )
            }
        });
        assert!(made.is_err());
    }
}
