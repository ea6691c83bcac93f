//! Name lookups that do not block the loop: getaddrinfo in a thread of its own. A lookup that is
//! dropped is abandoned: its thread ends by itself and its answer goes nowhere.

use super::sys::socket::{lookup, Addr, LookupError};
use super::sys::thread::{Mutex, Thread};
use super::sys::Errno;
use crate::text::{Pen, Say};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::CStr;

pub struct Lookup {
    place: Arc<Mutex<Option<Answer>>>,
    host: CString,
    port: u16,
}

pub type Answer = Result<Vec<Addr>, LookupError>;

/// Threads that one client may have in lookups, those that it waits for no more included: a resolver
/// that hangs is not to gather a thread with each attempt.
const MAX_THREADS: usize = 4;

/// Why a lookup could not begin.
pub enum NotBegun {
    /// As many as may be have not ended.
    TooMany,
    NoThread(Errno),
}

impl Say for NotBegun {
    fn say(&self, pen: &mut Pen<'_>) {
        match self {
            NotBegun::TooMany => {
                words!("{} earlier lookups have not been answered yet", MAX_THREADS).say(pen);
            }
            NotBegun::NoThread(errno) => words!("no thread for the lookup: {}", errno).say(pen),
        }
    }
}

/// Counts the threads of one client.
#[derive(Default)]
pub struct Lookups(Arc<()>);

impl Lookups {
    /// Looks `host` up; `wake` is called in the other thread once `take` has the answer.
    pub fn start(
        &self,
        host: CString,
        port: u16,
        wake: Box<dyn Fn() + Send>,
    ) -> Result<Lookup, NotBegun> {
        let running = self.0.clone();
        if Arc::strong_count(&running) > MAX_THREADS + 1 {
            return Err(NotBegun::TooMany);
        }
        let place = Arc::new(Mutex::new(None));
        let answer = place.clone();
        let name = host.clone();
        Thread::spawn(Box::new(move || {
            let found = lookup(&name, port);
            *answer.lock() = Some(found);
            drop(running);
            wake();
        }))
        .map_err(NotBegun::NoThread)?;
        Ok(Lookup { place, host, port })
    }
}

impl Lookup {
    /// The answer, once.
    pub fn take(&self) -> Option<Answer> {
        self.place.lock().take()
    }

    /// It is for this name and port, and there is no answer yet: it is as good as a new one.
    pub fn is_under_way(&self, host: &CStr, port: u16) -> bool {
        self.host.as_c_str() == host && self.port == port && self.place.lock().is_none()
    }
}
