//! A byte stream to a peer, whatever lies beneath it. Today a plain socket, TCP or unix; TLS is to
//! become a second variant, which is why the event loop knows nothing but this type.

use super::sys::socket;
use super::sys::{Errno, Fd};
use alloc::vec::Vec;
use core::ffi::c_int;

pub enum Stream {
    Plain(Fd),
}

/// What a read brought.
#[derive(Debug)]
pub enum Received {
    /// That many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has ended its direction.
    End,
    Failed(Errno),
}

/// What a write came to.
#[derive(Debug)]
pub enum Sent {
    /// The kernel took that many bytes; fewer than offered means that it is full.
    Bytes(usize),
    Failed(Errno),
}

impl Stream {
    pub fn fd(&self) -> c_int {
        match self {
            Stream::Plain(fd) => fd.raw(),
        }
    }

    /// One read of at most `into.len()` bytes (more than none).
    pub fn receive(&mut self, into: &mut [u8]) -> Received {
        match self {
            Stream::Plain(fd) => received(socket::recv(fd, into)),
        }
    }

    /// One read of at most `most` bytes (more than none), behind what `onto` holds, which has the
    /// capacity.
    pub fn receive_onto(&mut self, onto: &mut Vec<u8>, most: usize) -> Received {
        match self {
            Stream::Plain(fd) => received(socket::recv_onto(fd, onto, most)),
        }
    }

    /// One write of the parts, in order; only the first [`socket::MAX_PARTS`] are looked at.
    pub fn send(&mut self, parts: &[&[u8]]) -> Sent {
        match self {
            Stream::Plain(fd) => match socket::send(fd, parts) {
                Ok(n) => Sent::Bytes(n),
                Err(errno) if errno.would_block() => Sent::Bytes(0),
                Err(errno) => Sent::Failed(errno),
            },
        }
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        match self {
            Stream::Plain(fd) => socket::shutdown_write(fd),
        }
    }
}

fn received(result: Result<usize, Errno>) -> Received {
    match result {
        Ok(0) => Received::End,
        Ok(n) => Received::Bytes(n),
        Err(errno) if errno.would_block() => Received::Nothing,
        Err(errno) => Received::Failed(errno),
    }
}
