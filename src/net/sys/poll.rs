//! epoll, eventfd and timerfd.

use super::{check, Errno, Fd};
use core::ffi::c_int;
use core::mem::MaybeUninit;

/// Readiness that epoll reports.
#[derive(Clone, Copy)]
pub struct Ready {
    pub token: u64,
    flags: u32,
}

impl Ready {
    pub fn readable(self) -> bool {
        self.flags & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32
            != 0
    }

    pub fn writable(self) -> bool {
        self.flags & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }

    /// The peer has ended its side or the connection broke: read to the end.
    pub fn hung_up(self) -> bool {
        self.flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }
}

/// What to watch a descriptor for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Readable, told again until it is read empty.
    Level,
    /// Readable, told once for each arrival.
    Edge,
    /// Readable and writable, told once for each change.
    EdgeBoth,
    /// Nothing for now.
    Nothing,
}

impl Interest {
    fn flags(self) -> u32 {
        let flags = match self {
            Interest::Level => libc::EPOLLIN,
            Interest::Edge => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET,
            Interest::EdgeBoth => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT | libc::EPOLLET,
            Interest::Nothing => 0,
        };
        flags as u32
    }
}

pub struct Epoll(Fd);

impl Epoll {
    pub fn new() -> Result<Epoll, Errno> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll(Fd::owning(fd)))
    }

    pub fn raw(&self) -> c_int {
        self.0.raw()
    }

    pub fn add(&self, fd: c_int, token: u64, interest: Interest) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    pub fn modify(&self, fd: c_int, token: u64, interest: Interest) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    fn control(&self, op: c_int, fd: c_int, token: u64, interest: Interest) -> Result<(), Errno> {
        let mut event = libc::epoll_event {
            events: interest.flags(),
            u64: token,
        };
        // SAFETY: event is valid for the call; the kernel checks the descriptors.
        check(unsafe { libc::epoll_ctl(self.raw(), op, fd, &mut event) }).map(|_| ())
    }

    /// Waits up to `timeout` ms (-1: for ever) and fills `into`; with nothing also after a signal.
    pub fn wait(&self, into: &mut Events, timeout: c_int) -> Result<(), Errno> {
        into.count = 0;
        let place = into.raw.as_mut_ptr().cast();
        // SAFETY: there is room for BATCH entries.
        let n = unsafe { libc::epoll_wait(self.raw(), place, BATCH as c_int, timeout) };
        match check(n) {
            Err(Errno(libc::EINTR)) => Ok(()),
            Err(errno) => Err(errno),
            Ok(n) => {
                into.count = (n as usize).min(BATCH);
                Ok(())
            }
        }
    }
}

/// What one wait brought.
pub struct Events {
    raw: [MaybeUninit<libc::epoll_event>; BATCH],
    /// So many have been written by the kernel.
    count: usize,
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl Events {
    pub fn new() -> Events {
        Events {
            raw: [const { MaybeUninit::uninit() }; BATCH],
            count: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// There may be more.
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    pub fn iter(&self) -> impl Iterator<Item = Ready> + '_ {
        self.raw.iter().take(self.count).map(|event| {
            // SAFETY: the kernel has written the first `count`.
            let event = unsafe { event.assume_init_ref() };
            Ready {
                token: event.u64,
                flags: event.events,
            }
        })
    }
}

/// Most events taken from the kernel at once.
pub const BATCH: usize = 128;

/// An eventfd: a counter that makes itself readable, from any thread and from signal handlers.
pub struct Event(Fd);

impl Event {
    pub fn new() -> Result<Event, Errno> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Event(Fd::owning(fd)))
    }

    pub fn raw(&self) -> c_int {
        self.0.raw()
    }

    /// Async-signal-safe; leaves errno as it was.
    pub fn signal(&self) {
        let errno = Errno::last();
        let one = 1u64;
        // SAFETY: eight readable bytes. It can only fail by being full, and then it is readable.
        unsafe { libc::write(self.raw(), (&one as *const u64).cast(), 8) };
        errno.set();
    }

    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes.
        unsafe { libc::read(self.raw(), (&mut count as *mut u64).cast(), 8) };
    }
}

/// A timerfd on the monotonic clock: an alarm that rings once. To be watched with `Interest::Edge`, so that
/// nobody has to read it.
pub struct Alarm {
    fd: Fd,
    /// When it will ring; None when it has.
    at: Option<u64>,
}

impl Alarm {
    pub fn new() -> Result<Alarm, Errno> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        Ok(Alarm {
            fd: Fd::owning(fd),
            at: None,
        })
    }

    pub fn raw(&self) -> c_int {
        self.fd.raw()
    }

    /// It has rung.
    pub fn rung(&mut self) {
        self.at = None;
    }

    /// Rings at `at` (monotonic ms), or before: one that is to ring earlier is left as it is, since deadlines
    /// are put off far more often than they come. Fails if it would not ring at all.
    #[inline]
    pub fn ring_by(&mut self, at: u64) -> Result<(), Errno> {
        if self.at.is_some_and(|set| set <= at) {
            return Ok(());
        }
        self.set(at)
    }

    fn set(&mut self, at: u64) -> Result<(), Errno> {
        // An it_value of zero would disarm it; the epoch of the clock has passed long ago.
        let at = at.max(1);
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = libc::itimerspec {
            it_interval: zero,
            it_value: libc::timespec {
                tv_sec: (at / 1000) as _,
                tv_nsec: ((at % 1000) * 1_000_000) as _,
            },
        };
        let (fd, flags) = (self.raw(), libc::TFD_TIMER_ABSTIME);
        // SAFETY: spec is valid for the call, the old value is not asked for.
        check(unsafe { libc::timerfd_settime(fd, flags, &spec, core::ptr::null_mut()) })?;
        self.at = Some(at);
        Ok(())
    }
}
