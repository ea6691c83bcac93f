//! Descriptors that belong to the program, and small things that programs for websocket_for_linux
//! ask for. Nothing here closes a descriptor or changes its flags.

use super::{check, Errno, Fd};
use core::ffi::c_int;
use core::mem::{zeroed, ManuallyDrop};

/// A descriptor of somebody else's, for the functions of `socket`. Never closed by us.
pub fn borrowed(raw: c_int) -> ManuallyDrop<Fd> {
    ManuallyDrop::new(Fd::owning(raw))
}

/// Gives a descriptor to the program. It is never 0, which the program takes for a failure.
pub fn given_away(fd: Fd) -> Result<c_int, Errno> {
    if fd.raw() == 0 {
        // SAFETY: fcntl with integer arguments. The original is closed by its owner, `fd`.
        return check(unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 1) });
    }
    Ok(ManuallyDrop::new(fd).raw())
}

/// Which socket it is that a descriptor stands for. Another one under the same number differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// None: the descriptor is not open.
pub fn identity(raw: c_int) -> Option<Identity> {
    // SAFETY: all zeroes is a valid stat, which the call fills in.
    unsafe {
        let mut info: libc::stat = zeroed();
        let found = libc::fstat(raw, &mut info) == 0;
        // The types of these fields differ between targets.
        #[allow(clippy::unnecessary_cast)]
        found.then_some(Identity {
            device: info.st_dev as u64,
            inode: info.st_ino as u64,
        })
    }
}

/// Copies what has come, at most `into.len()` bytes, and leaves it to be read. 0: the end.
pub fn peek(fd: &Fd, into: &mut [u8]) -> Result<usize, Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    loop {
        // SAFETY: into is writable for its length.
        let n = unsafe { libc::recv(fd.raw(), into.as_mut_ptr().cast(), into.len(), flags) };
        match n {
            n if n >= 0 => return Ok(n as usize),
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

/// Reads into `first`, and what does not fit there into `second`, by one system call.
pub fn recv_both(fd: &Fd, first: &mut [u8], second: &mut [u8]) -> Result<usize, Errno> {
    let mut list = [first, second].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    });
    loop {
        // SAFETY: all zeroes is a valid msghdr; the list lives through the call and its parts are
        // writable for their lengths.
        let n = unsafe {
            let mut message: libc::msghdr = zeroed();
            message.msg_iov = list.as_mut_ptr();
            message.msg_iovlen = list.len() as _;
            libc::recvmsg(fd.raw(), &mut message, libc::MSG_DONTWAIT)
        };
        match n {
            n if n >= 0 => return Ok(n as usize),
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

/// What to wait for.
#[derive(Clone, Copy)]
pub enum Until {
    Readable,
    Writable,
}

/// Waits for one descriptor, `ms` at most (-1: for as long as it takes). False: not in that time, or
/// a signal came. An error on the descriptor counts as readiness: the next call will tell it.
pub fn wait(raw: c_int, until: Until, ms: c_int) -> bool {
    let events = match until {
        Until::Readable => libc::POLLIN,
        Until::Writable => libc::POLLOUT,
    };
    let mut watched = libc::pollfd {
        fd: raw,
        events,
        revents: 0,
    };
    // SAFETY: one entry, valid for the call.
    unsafe { libc::poll(&mut watched, 1, ms) == 1 }
}

/// Sleeps for so many microseconds, signals or not.
pub fn sleep_us(us: u64) {
    let mut left = libc::timespec {
        tv_sec: (us / 1_000_000) as _,
        tv_nsec: (us % 1_000_000 * 1000) as _,
    };
    let rest: *mut libc::timespec = &mut left;
    // SAFETY: one valid place for both the time and what is left of it.
    while unsafe { libc::nanosleep(rest, rest) } != 0 && Errno::last().0 == libc::EINTR {}
}
