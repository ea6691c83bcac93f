//! How a server runs and ends: in the caller's thread, in threads of its own, turn by turn.

use super::Server;
use crate::engine::Engine;
use crate::error::{Error, Status};
use crate::log;
use crate::net::sys::monotonic_ms;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_int;
use core::sync::atomic::Ordering;

impl Server {
    /// Serves in this thread, and in as many others as there are more loops, until `stop`.
    pub fn run(self: &Arc<Self>) -> Result<(), Error> {
        self.begin()?;
        let result = self.spawn(1).and_then(|()| self.serve(self.first()));
        if result.is_err() {
            self.call_off();
        }
        self.join();
        self.running.store(false, Ordering::Release);
        result
    }

    /// Serves in threads of its own.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        self.begin()?;
        self.spawn(0).inspect_err(|_| {
            self.call_off();
            self.join();
        })
    }

    /// One turn in this thread.
    pub fn poll(&self, timeout: c_int) -> Result<(), Error> {
        if timeout < -1 {
            return Err(Status::InvalidArg.because("timeout_ms is below -1"));
        }
        if self.engines.len() > 1 {
            return Err(Status::InvalidArg
                .because("ws_server_poll drives one loop, config.threads is more"));
        }
        let engine = self.first();
        if self.running.load(Ordering::Acquire) {
            return Err(reentrant());
        }
        let claim = engine.claim().ok_or_else(reentrant)?;
        if engine.remote().is_stopped() {
            return Err(Status::Closed.into());
        }
        engine.turn(&claim, self, timeout)?;
        match engine.remote().is_stopped() {
            true => Err(Status::Closed.into()),
            false => Ok(()),
        }
    }

    /// The epoll fd for a foreign loop, -1 on error.
    pub fn fd(&self) -> c_int {
        self.first().fd()
    }

    /// Async-signal-safe.
    pub fn stop(&self) {
        for engine in &self.engines {
            engine.remote().stop();
        }
    }

    /// Before the server is freed: ends its threads and closes all connections with 1001.
    pub fn close_all(&self) -> Result<(), Error> {
        // Else all its threads but one: the caller of `run` serves, too.
        let started = self.threads.lock().len() == self.engines.len();
        let mine = self.engines.iter().any(Engine::is_mine);
        if mine || (!started && self.engines.iter().any(Engine::is_running)) {
            return Err(reentrant());
        }
        self.stop();
        self.join();
        self.running.store(true, Ordering::Release);
        self.listeners.lock().close_all();
        let until = monotonic_ms() + u64::from(self.config.settings.limits.close_timeout);
        for engine in &self.engines {
            let claim = engine.claim().ok_or_else(reentrant)?;
            claim.with(|l| l.close_every(1001));
            engine.settle(&claim, self);
        }
        // The loops take turns, so that none has to wait for the peers of another.
        let patience = if self.engines.len() == 1 { u64::MAX } else { 5 };
        let mut left = u64::MAX;
        let mut waiting = true;
        while waiting && left > 0 {
            left = until.saturating_sub(monotonic_ms());
            waiting = false;
            for engine in &self.engines {
                let claim = engine.claim().ok_or_else(reentrant)?;
                if !claim.with(|l| l.has_no_websockets()).unwrap_or(true) {
                    let wait = c_int::try_from(left.min(patience)).unwrap_or(c_int::MAX);
                    waiting |= engine.turn(&claim, self, wait).is_ok();
                }
            }
        }
        for engine in &self.engines {
            let claim = engine.claim().ok_or_else(reentrant)?;
            claim.with(|l| l.end_every());
            engine.settle(&claim, self);
        }
        Ok(())
    }

    fn begin(&self) -> Result<(), Error> {
        let taken = self.running.swap(true, Ordering::AcqRel);
        let polled = self.engines.iter().any(Engine::is_running);
        if taken || polled {
            if !taken {
                self.running.store(false, Ordering::Release);
            }
            return Err(reentrant());
        }
        Ok(())
    }

    /// The threads that run end, since others cannot begin. The server may be started again.
    fn call_off(&self) {
        self.running.store(false, Ordering::Release);
        for engine in &self.engines {
            engine.remote().wake();
        }
    }

    /// Threads for the loops from `from` on.
    fn spawn(self: &Arc<Self>, from: usize) -> Result<(), Error> {
        for (index, engine) in self.engines.iter().enumerate().skip(from) {
            let no_memory = |_| Status::NoMemory;
            self.threads.lock().try_reserve(1).map_err(no_memory)?;
            let server = self.clone();
            let body = Box::new(move || {
                if let Some(engine) = server.engines.get(index) {
                    if let Err(error) = crate::guard::contain(|| server.serve(engine)) {
                        log::error(words!("loop {} ended: {}", index, error.status));
                    }
                }
            });
            let thread = engine.spawn(body)?;
            self.threads.lock().push(thread);
        }
        Ok(())
    }

    fn join(&self) {
        loop {
            let thread = self.threads.lock().pop();
            match thread {
                Some(thread) => thread.join(),
                None => return,
            }
        }
    }

    fn serve(&self, engine: &Engine) -> Result<(), Error> {
        let claim = engine.claim().ok_or_else(reentrant)?;
        while !engine.remote().is_stopped() && self.running.load(Ordering::Acquire) {
            engine.turn(&claim, self, -1)?;
        }
        Ok(())
    }
}

fn reentrant() -> Error {
    Status::Reentrant.because("inside a callback, or the server runs already")
}
