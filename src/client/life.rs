//! How a client runs and ends: in the caller's thread, in one of its own, turn by turn.

use super::attempt::Stage;
use super::Client;
use crate::error::{Error, Status};
use crate::log;
use crate::net::sys::monotonic_ms;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_int;
use core::sync::atomic::Ordering;

impl Client {
    /// Until closed for good or stopped.
    pub fn run(&self) -> Result<(), Error> {
        self.begin_running()?;
        let result = self.serve();
        self.controls.running.store(false, Ordering::Release);
        result
    }

    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        self.begin_running()?;
        let client = self.clone();
        let body = Box::new(move || {
            if let Err(error) = crate::guard::contain(|| client.serve()) {
                log::info(words!("client ended: {}", error.status));
            }
            client.controls.running.store(false, Ordering::Release);
        });
        // One that was started before has ended, else this one could not begin.
        let ended = self.thread.lock().take();
        if let Some(thread) = ended {
            thread.join();
        }
        match self.engine.spawn(body) {
            Ok(thread) => {
                *self.thread.lock() = Some(thread);
                Ok(())
            }
            Err(error) => {
                self.controls.running.store(false, Ordering::Release);
                Err(error)
            }
        }
    }

    /// One turn in this thread.
    pub fn poll(&self, timeout: c_int) -> Result<(), Error> {
        if timeout < -1 {
            return Err(Status::InvalidArg.because(words!("timeout_ms is below -1")));
        }
        if self.controls.running.load(Ordering::Acquire) {
            return Err(reentrant());
        }
        let claim = self.engine.claim().ok_or_else(reentrant)?;
        if self.is_over() {
            return Err(Status::Closed.into());
        }
        self.engine.turn(&claim, self, timeout)?;
        if self.is_over() {
            return Err(Status::Closed.into());
        }
        Ok(())
    }

    /// The epoll fd for a foreign loop, -1 on error.
    pub fn fd(&self) -> c_int {
        self.engine.fd()
    }

    /// Async-signal-safe.
    pub fn stop(&self) {
        self.engine.remote().stop();
    }

    /// Before the client is freed: ends its thread and closes an open connection with 1001.
    pub fn close_all(&self) -> Result<(), Error> {
        let thread = self.thread.lock().take();
        if self.engine.is_mine() || (thread.is_none() && self.engine.is_running()) {
            *self.thread.lock() = thread;
            return Err(reentrant());
        }
        self.stop();
        if let Some(thread) = thread {
            thread.join();
        }
        let claim = self.engine.claim().ok_or_else(reentrant)?;
        self.controls.running.store(true, Ordering::Release);
        // Nothing is begun that has not begun.
        self.controls.give_up();
        // What was queued goes first if there is a connection; what is not open is given up.
        self.outgoing.close_after(1001, "");
        self.go_on(&self.engine);
        self.engine.settle(&claim, self);
        let until = monotonic_ms() + u64::from(self.config.settings.limits.close_timeout);
        loop {
            let left = until.saturating_sub(monotonic_ms());
            let wait = c_int::try_from(left).unwrap_or(c_int::MAX);
            let over = matches!(self.state.lock().stage, Stage::Over(_));
            if over || self.engine.turn(&claim, self, wait).is_err() || left == 0 {
                break;
            }
        }
        claim.with(|l| l.end_every());
        self.engine.settle(&claim, self);
        self.drop_outgoing();
        Ok(())
    }

    fn begin_running(&self) -> Result<(), Error> {
        if self.engine.is_running() || self.controls.running.swap(true, Ordering::AcqRel) {
            return Err(reentrant());
        }
        Ok(())
    }

    fn serve(&self) -> Result<(), Error> {
        let claim = self.engine.claim().ok_or_else(reentrant)?;
        // The first turn begins to connect; it is not to wait for anything before.
        while !self.is_over() {
            self.engine.turn(&claim, self, -1)?;
        }
        match self.state.lock().stage {
            Stage::Over(Status::Ok) => Ok(()),
            Stage::Over(status) => Err(self.last_failure(status)),
            _ => Ok(()),
        }
    }

    /// Closed for good, or stopped.
    fn is_over(&self) -> bool {
        self.engine.remote().is_stopped() || matches!(self.state.lock().stage, Stage::Over(_))
    }

    fn last_failure(&self, status: Status) -> Error {
        let text = self.error.lock().clone();
        status.because(text.as_bytes())
    }
}

fn reentrant() -> Error {
    Status::Reentrant.because("inside a callback, or the client runs already")
}
