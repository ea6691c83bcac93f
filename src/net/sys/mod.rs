//! Thin safe wrappers over libc: the only place below the C face with `unsafe`.
//! No policy: what to do about an error is the caller's business.
#![allow(unsafe_code)]

pub mod date;
pub mod file;
pub mod foreign;
pub mod memory;
pub mod poll;
pub mod socket;
pub mod thread;
pub mod word;

use crate::text::{Pen, Say};
use alloc::ffi::CString;
use core::ffi::{c_int, CStr};

/// What errno said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub c_int);

impl Errno {
    /// The value that the last failed call of this thread left behind.
    pub fn last() -> Errno {
        // SAFETY: always valid to call; the pointer is this thread's errno.
        Errno(unsafe { *libc::__errno_location() })
    }

    /// Sets this thread's errno, for a C caller to read.
    pub fn set(self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 }
    }

    /// Nothing to read or no room to write now.
    pub fn would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }

    /// The process or the machine is out of descriptors or kernel memory; it passes.
    pub fn is_shortage(self) -> bool {
        matches!(
            self.0,
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
        )
    }
}

impl Say for Errno {
    fn say(&self, pen: &mut Pen<'_>) {
        // How many connections end; the C library would look for a translation every time.
        if self.0 == libc::ECONNRESET {
            return pen.put(b"Connection reset by peer");
        }
        let mut text = [0u8; 96];
        // SAFETY: the buffer is writable for its length; the XSI strerror_r ends it with a NUL.
        unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len() - 1) };
        CStr::from_bytes_until_nul(&text)
            .unwrap_or_default()
            .say(pen);
    }
}

/// The result of a call that answers -1 on failure.
fn check(answer: c_int) -> Result<c_int, Errno> {
    if answer < 0 {
        Err(Errno::last())
    } else {
        Ok(answer)
    }
}

/// A file descriptor that is closed when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Fd(c_int);

impl Fd {
    /// Takes ownership of a descriptor that this process holds and nobody else closes.
    pub fn owning(raw: c_int) -> Fd {
        Fd(raw)
    }

    /// In place of one that was moved elsewhere.
    pub fn none() -> Fd {
        Fd(-1)
    }

    pub fn raw(&self) -> c_int {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        if self.0 < 0 {
            return;
        }
        // SAFETY: the descriptor is ours. EINTR must not be retried on Linux: it is closed already.
        unsafe { libc::close(self.0) };
    }
}

/// Milliseconds of CLOCK_MONOTONIC: never goes back, does not follow the wall clock.
pub fn monotonic_ms() -> u64 {
    milliseconds(libc::CLOCK_MONOTONIC)
}

/// The same as of the kernel's last tick, up to 10 ms ago: half the price, for what is read in
/// every turn of a loop.
pub fn coarse_ms() -> u64 {
    milliseconds(libc::CLOCK_MONOTONIC_COARSE)
}

fn milliseconds(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: t is a valid place for the answer; both clocks always exist.
    unsafe { libc::clock_gettime(clock, &mut t) };
    // tv_nsec is divided as it comes: in 64 bits, 32-bit machines would call a function for it.
    (t.tv_sec as u64) * 1000 + (t.tv_nsec / 1_000_000) as u64
}

/// Seconds since 1970 by the wall clock, which may be wrong or set at any time. Good beyond 2038 also where the C library
/// counts in 32 bits.
pub fn wall_clock() -> i64 {
    #[cfg(target_pointer_width = "32")]
    {
        // The number of clock_gettime64 is the same on all 32-bit architectures; kernels have it from 5.1 on.
        const CLOCK_GETTIME64: libc::c_long = 403;
        let mut t = [0i64; 2];
        // SAFETY: the kernel writes a struct of two 64-bit numbers.
        let answer =
            unsafe { libc::syscall(CLOCK_GETTIME64, libc::CLOCK_REALTIME, t.as_mut_ptr()) };
        if answer == 0 {
            return t[0];
        }
    }
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: t is a valid place for the answer; CLOCK_REALTIME always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut t) };
    // From 2038 on a kernel before 5.1 goes on below zero, where nobody's clock stands; it ends in 2106.
    #[cfg(target_pointer_width = "32")]
    return i64::from(t.tv_sec as u32);
    #[cfg(not(target_pointer_width = "32"))]
    t.tv_sec
}

/// Fills `into` from the kernel's random generator, waiting for it only right after boot.
pub fn random_bytes(into: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|r| !r.is_empty()) {
        // SAFETY: rest is writable for its length.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match n {
            n if n > 0 => filled += n as usize,
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
    Ok(())
}

/// The value of a variable of the environment, copied. The program must not change the environment
/// in another thread meanwhile.
pub fn environment(name: &CStr) -> Option<CString> {
    // SAFETY: name is a C string; what getenv gives is one too, and is copied before anything else
    // happens.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CString::from(CStr::from_ptr(value)))
    }
}

/// There is a socket at that path, not followed if it is a link.
pub fn is_socket(path: &CStr) -> bool {
    // SAFETY: path is a C string, info a place for the answer.
    unsafe {
        let mut info: libc::stat = core::mem::zeroed();
        libc::lstat(path.as_ptr(), &mut info) == 0 && info.st_mode & libc::S_IFMT == libc::S_IFSOCK
    }
}

/// Removes a file; a missing one is no error worth telling.
pub fn unlink(path: &CStr) {
    // SAFETY: path is a C string.
    unsafe { libc::unlink(path.as_ptr()) };
}
