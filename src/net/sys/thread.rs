//! Threads, a mutex, a cell that only one thread at a time can open, and a text for each thread.

use super::Errno;
use crate::text::Line;
use alloc::boxed::Box;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_char, c_void, CStr};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A number that no other living thread of this process has; never 0.
pub fn current() -> usize {
    // SAFETY: always valid to call.
    unsafe { libc::pthread_self() as usize }
}

/// A thread of ours. Dropping it without `join` lets it run on by itself.
pub struct Thread(Option<libc::pthread_t>);

// SAFETY: a pthread_t may be joined from any thread.
unsafe impl Send for Thread {}

impl Thread {
    /// Runs `body` in a new thread with all signals blocked, so that the program's handlers go on
    /// running in the program's threads.
    pub fn spawn(body: Box<dyn FnOnce() + Send>) -> Result<Thread, Errno> {
        extern "C" fn begin(argument: *mut c_void) -> *mut c_void {
            // SAFETY: the pointer is the one made below, handed over exactly once.
            let body = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
            body();
            ptr::null_mut()
        }
        let argument = Box::into_raw(Box::new(body)).cast::<c_void>();
        // SAFETY: the signal sets are initialised before they are read; `argument` is taken back
        // below when no thread came to own it.
        let (failure, thread) = unsafe {
            let mut all = core::mem::zeroed::<libc::sigset_t>();
            let mut before = core::mem::zeroed::<libc::sigset_t>();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            let mut thread = core::mem::zeroed::<libc::pthread_t>();
            let failure = libc::pthread_create(&mut thread, ptr::null(), begin, argument);
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
            (failure, thread)
        };
        if failure != 0 {
            // SAFETY: no thread was made, so the box is still ours.
            drop(unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) });
            return Err(Errno(failure));
        }
        Ok(Thread(Some(thread)))
    }

    pub fn join(mut self) {
        if let Some(thread) = self.0.take() {
            // SAFETY: joined once, as it has been taken out.
            unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // SAFETY: neither joined nor detached before.
            unsafe { libc::pthread_detach(thread) };
        }
    }
}

/// A pthread mutex around a value. Locks are held for a few instructions, never over a callback.
pub struct Mutex<T> {
    // glibc and musl keep no pointer to a mutex that is not locked, so that it may be moved then,
    // which a `&mut` or ownership guarantees.
    raw: UnsafeCell<libc::pthread_mutex_t>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through the lock.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: moved only when unlocked.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            raw: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            value: UnsafeCell::new(value),
        }
    }

    pub fn lock(&self) -> Locked<'_, T> {
        // SAFETY: an initialised mutex; a default one cannot fail unless it is misused.
        unsafe { libc::pthread_mutex_lock(self.raw.get()) };
        Locked {
            mutex: self,
            not_send: PhantomData,
        }
    }

    /// Where the value is. Reading there is for those who know that nobody writes.
    pub fn place(&self) -> *const T {
        self.value.get()
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else can hold it.
        unsafe { libc::pthread_mutex_destroy(self.raw.get()) };
    }
}

pub struct Locked<'a, T> {
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard proves that the lock is held.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // SAFETY: locked by this thread.
        unsafe { libc::pthread_mutex_unlock(self.mutex.raw.get()) };
    }
}

/// A value that belongs to one thread at a time: the one that has claimed it. Others, and the
/// owner itself while it is in `with`, are answered None instead of being let in.
pub struct ThreadCell<T> {
    owner: AtomicUsize,
    busy: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `busy` and `value` are touched only by the thread whose number is in `owner`, and
// ownership changes hands by acquire and release.
unsafe impl<T: Send> Sync for ThreadCell<T> {}

impl<T> ThreadCell<T> {
    pub const fn new(value: T) -> ThreadCell<T> {
        ThreadCell {
            owner: AtomicUsize::new(0),
            busy: Cell::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Makes the calling thread the owner until the answer is dropped; None if there is one.
    pub fn claim(&self) -> Option<Claim<'_, T>> {
        self.owner
            .compare_exchange(0, current(), Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| Claim {
                cell: self,
                not_send: PhantomData,
            })
    }

    /// The calling thread is the owner.
    pub fn is_mine(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == current()
    }

    /// Some thread is the owner.
    pub fn is_claimed(&self) -> bool {
        self.owner.load(Ordering::Relaxed) != 0
    }

    /// Opens the cell for its owner; None also while it is open.
    #[inline(always)]
    pub fn open(&self) -> Option<Opened<'_, T>> {
        if !self.is_mine() {
            return None;
        }
        self.open_mine()
    }

    /// The same where the calling thread is the owner.
    #[inline(always)]
    fn open_mine(&self) -> Option<Opened<'_, T>> {
        if self.busy.replace(true) {
            return None;
        }
        Some(Opened {
            cell: self,
            not_send: PhantomData,
        })
    }
}

/// A cell that is open until this is dropped.
pub struct Opened<'a, T> {
    cell: &'a ThreadCell<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for Opened<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: only the owner comes here, and `busy` keeps it from coming twice.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T> DerefMut for Opened<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.cell.value.get() }
    }
}

impl<T> Drop for Opened<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.cell.busy.set(false);
    }
}

pub struct Claim<'a, T> {
    cell: &'a ThreadCell<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Claim<'_, T> {
    /// Opens the cell; None: it is open already.
    #[inline(always)]
    pub fn open(&self) -> Option<Opened<'_, T>> {
        // A claim cannot leave its thread, so there is nothing to ask.
        self.cell.open_mine()
    }

    /// Opens the cell for `body`; None: it is open already.
    #[inline(always)]
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.open().map(|mut opened| body(&mut opened))
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.cell.owner.store(0, Ordering::Release);
    }
}

/// A short C text that each thread has for itself.
pub struct ThreadText {
    // 0: not made yet; else the key + 1.
    key: AtomicUsize,
}

impl Default for ThreadText {
    fn default() -> ThreadText {
        ThreadText::new()
    }
}

pub const THREAD_TEXT: usize = 256;

impl ThreadText {
    pub const fn new() -> ThreadText {
        ThreadText {
            key: AtomicUsize::new(0),
        }
    }

    /// The text of the calling thread, or a static "".
    pub fn get(&self) -> *const c_char {
        match self.key.load(Ordering::Acquire) {
            0 => c"".as_ptr(),
            key => {
                // SAFETY: the key was made by pthread_key_create.
                let text = unsafe { libc::pthread_getspecific((key - 1) as libc::pthread_key_t) };
                if text.is_null() {
                    c"".as_ptr()
                } else {
                    text.cast()
                }
            }
        }
    }

    /// A copy of the text of the calling thread.
    pub fn copy(&self) -> Line<THREAD_TEXT> {
        // SAFETY: get() answers a C text, which only this thread changes.
        let text = unsafe { CStr::from_ptr(self.get()) };
        Line::from(text)
    }

    /// Replaces the text of the calling thread, cut to 255 bytes. Without memory it stays.
    pub fn set(&self, text: &[u8]) {
        let Some(key) = self.key() else { return };
        // SAFETY: the block of a thread has THREAD_TEXT bytes, is freed by the key's destructor
        // when the thread ends, and no other thread sees it.
        unsafe {
            let mut block = libc::pthread_getspecific(key).cast::<u8>();
            if block.is_null() {
                block = libc::malloc(THREAD_TEXT).cast();
                if block.is_null() || libc::pthread_setspecific(key, block.cast()) != 0 {
                    libc::free(block.cast());
                    return;
                }
            }
            let len = text.len().min(THREAD_TEXT - 1);
            ptr::copy_nonoverlapping(text.as_ptr(), block, len);
            *block.add(len) = 0;
        }
    }

    fn key(&self) -> Option<libc::pthread_key_t> {
        let made = self.key.load(Ordering::Acquire);
        if made != 0 {
            return Some((made - 1) as libc::pthread_key_t);
        }
        let mut key: libc::pthread_key_t = 0;
        // SAFETY: key is a valid place; free is a valid destructor for what malloc gave. The
        // library is linked with -z nodelete, so that the destructor is there when threads end.
        if unsafe { libc::pthread_key_create(&mut key, Some(libc::free)) } != 0 {
            return None;
        }
        let mine = key as usize + 1;
        match self
            .key
            .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Some(key),
            Err(other) => {
                // SAFETY: another thread was first; nothing is stored under this key yet.
                unsafe { libc::pthread_key_delete(key) };
                Some((other - 1) as libc::pthread_key_t)
            }
        }
    }
}
