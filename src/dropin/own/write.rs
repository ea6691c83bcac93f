//! Sending on a descriptor of the program's.
//!
//! A message is accepted whole or refused whole. What the kernel does not take at once is waited
//! for while it goes on taking something; after a second without progress the rest stays queued, and
//! goes out in front of whatever later calls of `send` and `receive` have to send.

use super::{Own, LIMITS, RANDOM};
use crate::dropin::{close_of, frame_len, DataType};
use crate::net::sys::foreign::{borrowed, wait, Until};
use crate::net::sys::socket::{self, MAX_PARTS};
use crate::net::sys::thread::Mutex;
use crate::net::sys::{monotonic_ms, Fd};
use crate::proto::connection::{Io, Pool, Role, SendError};
use crate::proto::frame::Kind;
use core::ffi::c_int;

/// Beyond so many queued bytes nothing more is accepted.
const MAX_QUEUED: usize = 1024 * 1024;
/// How long the kernel may take nothing before waiting for it ends, in ms.
const PATIENCE: u64 = 1000;

/// Sends a packet. Bytes of its frame, or -1. Locks `own` only for moments, so that another thread
/// can receive meanwhile: the peer may have to be read before it reads.
pub fn send(own: &Mutex<Own>, raw: c_int, data: &[u8], what: DataType) -> i32 {
    let fd = borrowed(raw);
    let mut accepted = None;
    let mut left = None;
    let mut since = monotonic_ms();
    loop {
        {
            let mut own = own.lock();
            own.flush(&fd);
            if accepted.is_none() && own.out.len() <= MAX_QUEUED {
                let Ok(len) = own.queue(data, what) else {
                    return -1;
                };
                accepted = Some(len);
                own.flush(&fd);
            }
            if own.broken {
                return -1;
            }
            if own.out.is_empty() {
                return accepted.unwrap_or(-1);
            }
            if left != Some(own.out.len()) {
                left = Some(own.out.len());
                since = monotonic_ms();
            }
            // A peer that was waited for in vain is not waited for again until it moves.
            if own.stalled || monotonic_ms().saturating_sub(since) >= PATIENCE {
                own.stalled = true;
                return accepted.unwrap_or(-1);
            }
        }
        wait(raw, Until::Writable, PATIENCE as c_int);
    }
}

impl Own {
    /// Puts a packet behind what is queued already.
    fn queue(&mut self, data: &[u8], what: DataType) -> Result<i32, SendError> {
        let mut random = RANDOM.lock();
        let mut io = Io {
            limits: &LIMITS,
            out: &mut self.out,
            masks: &mut *random,
            pool: &mut Pool::none(),
            now: monotonic_ms(),
        };
        let connection = &mut self.connection;
        let mut len = data.len();
        match what {
            DataType::Text => connection.send(Kind::Text, data, &mut io)?,
            DataType::Binary => connection.send(Kind::Binary, data, &mut io)?,
            DataType::Ping => connection.ping(data, &mut io)?,
            DataType::Pong => connection.pong(data, &mut io)?,
            DataType::Close => {
                let (code, reason) = close_of(data);
                len = code.map_or(0, |_| data.len());
                connection.close(code, reason, &mut io)?;
            }
            DataType::Null => {
                io.out.push(&[data]).map_err(|_| SendError::NoMemory)?;
                return Ok(i32::try_from(len).unwrap_or(i32::MAX));
            }
            // The interface has no way to begin a message in fragments.
            DataType::Continuation => return Err(SendError::Fragmented),
        }
        Ok(frame_len(len, self.role == Role::Client))
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub(super) fn flush(&mut self, fd: &Fd) {
        while !self.out.is_empty() {
            let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
            let filled = self.out.slices(&mut parts);
            let parts = parts.get(..filled).unwrap_or_default();
            let offered: usize = parts.iter().map(|part| part.len()).sum();
            match socket::send(fd, parts) {
                Ok(n) => {
                    self.out.advance(n);
                    self.stalled &= n == 0;
                    self.out.set_blocked(n < offered);
                }
                Err(errno) if errno.would_block() => {
                    self.out.set_blocked(true);
                    return;
                }
                Err(_) => {
                    // What is queued can never go.
                    self.out.reset(0);
                    self.broken = true;
                    self.connection.lost();
                    return;
                }
            }
            if self.out.is_empty() {
                let mut random = RANDOM.lock();
                self.connection.drained(&mut Io {
                    limits: &LIMITS,
                    out: &mut self.out,
                    masks: &mut *random,
                    pool: &mut Pool::none(),
                    now: monotonic_ms(),
                });
            }
        }
    }
}
