//! Name lookups that do not block the loop: getaddrinfo in a thread of its own. A lookup that is
//! dropped is abandoned: its thread ends by itself and its answer goes nowhere.

use super::sys::socket::{lookup, Addr, LookupError};
use super::sys::thread::{Mutex, Thread};
use super::sys::Errno;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub struct Lookup(Arc<Mutex<Option<Answer>>>);

pub type Answer = Result<Vec<Addr>, LookupError>;

impl Lookup {
    /// Looks `host` up; `wake` is called in the other thread once `take` has the answer.
    pub fn start(host: CString, port: u16, wake: Box<dyn Fn() + Send>) -> Result<Lookup, Errno> {
        let place = Arc::new(Mutex::new(None));
        let answer = place.clone();
        Thread::spawn(Box::new(move || {
            let found = lookup(&host, port);
            *answer.lock() = Some(found);
            wake();
        }))?;
        Ok(Lookup(place))
    }

    /// The answer, once.
    pub fn take(&self) -> Option<Answer> {
        self.0.lock().take()
    }
}
