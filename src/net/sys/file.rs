//! Whole files into memory, and the environment.

use super::{check, Errno, Fd};
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is in a file, which has at most `limit` bytes (else EFBIG).
pub fn read(path: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
    const STEP: usize = 16 * 1024;
    // SAFETY: path is a C string.
    let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })?;
    let fd = Fd::owning(fd);
    let mut bytes: Vec<u8> = Vec::new();
    let mut filled = 0;
    loop {
        if filled > limit {
            return Err(Errno(libc::EFBIG));
        }
        bytes.try_reserve(STEP).map_err(|_| Errno(libc::ENOMEM))?;
        bytes.resize(filled + STEP, 0);
        let room = bytes.get_mut(filled..).unwrap_or_default();
        // SAFETY: room is writable for its length.
        match unsafe { libc::read(fd.raw(), room.as_mut_ptr().cast(), room.len()) } {
            0 => {
                bytes.truncate(filled);
                return Ok(bytes);
            }
            n if n > 0 => filled += n as usize,
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

/// There is something at that path that may be read.
pub fn is_readable(path: &CStr) -> bool {
    // SAFETY: path is a C string.
    unsafe { libc::access(path.as_ptr(), libc::R_OK) == 0 }
}

/// A copy of an environment variable that is not empty.
pub fn environment(name: &CStr) -> Option<String> {
    // SAFETY: name is a C string; what getenv() gives is one too, and is copied at once. A program that changes its
    // environment in other threads breaks every getenv().
    let value = unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() {
            return None;
        }
        CStr::from_ptr(value)
    };
    let value = value.to_str().ok().filter(|v| !v.is_empty())?;
    let mut copy = String::new();
    copy.try_reserve_exact(value.len()).ok()?;
    copy.push_str(value);
    Some(copy)
}
