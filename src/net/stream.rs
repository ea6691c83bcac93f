//! A byte stream to a peer, whatever lies beneath it: a plain socket, TCP or unix, or TLS over one. The event loop knows
//! nothing but this type.

use super::secure::Secure;
use super::sys::memory::try_box;
use super::sys::socket;
use super::sys::word::{FdOr, Which};
use super::sys::{Errno, Fd};
use crate::proto::OutOfMemory;
use crate::tls::{PeerInfo, Session, Words};
use alloc::vec::Vec;
use core::ffi::c_int;

/// Plain, or TLS.
pub struct Stream(FdOr<Secure, { cfg!(feature = "tls") }>);

/// What a read brought.
#[derive(Debug)]
pub enum Received {
    /// That many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing to read now, but there is something to write, or what could not be written before now can.
    Progress,
    /// The peer has ended its direction.
    End,
    Failed(Errno),
    /// TLS has failed; `failure` says why.
    Refused,
}

/// What a write came to.
#[derive(Debug)]
pub enum Sent {
    /// That many bytes are taken; fewer than offered means that the kernel is full.
    Bytes(usize),
    Failed(Errno),
}

impl Stream {
    pub fn plain(fd: Fd) -> Stream {
        Stream(FdOr::fd(fd))
    }

    /// TLS over the socket of a plain stream.
    pub fn secured(fd: Fd, session: Session) -> Result<Stream, OutOfMemory> {
        let secure = try_box(Secure::new(fd, session)).ok();
        let boxed = secure.and_then(FdOr::boxed).ok_or(OutOfMemory)?;
        Ok(Stream(boxed))
    }

    /// The same from here on for a stream that was plain so far. Without memory the stream is of no more use.
    pub fn secure_now(&mut self, session: Session) -> Result<(), OutOfMemory> {
        if let Some(fd) = self.0.take_fd() {
            *self = Stream::secured(fd, session)?;
        }
        Ok(())
    }

    pub fn is_plain(&self) -> bool {
        matches!(self.0.which(), Which::Fd(_))
    }

    pub fn fd(&self) -> c_int {
        match self.0.which() {
            Which::Fd(fd) => fd.raw(),
            Which::Boxed(secure) => secure.fd().raw(),
        }
    }

    /// What went wrong in connecting.
    pub fn take_error(&self) -> Option<Errno> {
        match self.0.which() {
            Which::Fd(fd) => socket::take_error(&fd),
            Which::Boxed(secure) => socket::take_error(secure.fd()),
        }
    }

    /// One read of at most `into.len()` bytes (more than none).
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn receive(&mut self, into: &mut [u8]) -> Received {
        match self.0.which_mut() {
            Which::Fd(fd) => received(socket::recv(&fd, into)),
            Which::Boxed(secure) => secure.receive(into),
        }
    }

    /// One read of at most `most` bytes (more than none), behind what `onto` holds, which has the
    /// capacity. Of a plain stream only.
    pub fn receive_onto(&mut self, onto: &mut Vec<u8>, most: usize) -> Received {
        match self.0.which_mut() {
            Which::Fd(fd) => received(socket::recv_onto(&fd, onto, most)),
            Which::Boxed(_) => Received::Nothing,
        }
    }

    /// After a read that did not fill `into`: there may be more all the same.
    pub fn has_more(&self) -> bool {
        match self.0.which() {
            Which::Fd(_) => false,
            Which::Boxed(secure) => secure.has_more(),
        }
    }

    /// One write of the parts, in order; only the first [`socket::MAX_PARTS`] are looked at.
    pub fn send(&mut self, parts: &[&[u8]]) -> Sent {
        match self.0.which_mut() {
            Which::Fd(fd) => sent(socket::send(&fd, parts)),
            Which::Boxed(secure) => secure.send(parts),
        }
    }

    /// The same of one part, as it is most of the time.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn send_one(&mut self, part: &[u8]) -> Sent {
        match self.0.which_mut() {
            Which::Fd(fd) => sent(socket::send_one(&fd, part)),
            Which::Boxed(secure) => secure.send(&[part]),
        }
    }

    /// Bytes that count as sent but that the kernel has refused: `flush` them when it has room.
    pub fn unsent(&self) -> usize {
        match self.0.which() {
            Which::Fd(_) => 0,
            Which::Boxed(secure) => secure.unsent(),
        }
    }

    /// Bytes at the end of what was sent that the kernel has not in such a way that the peer can read them: those of
    /// records that it has refused, and more.
    pub fn held(&self) -> usize {
        self.secure().map_or(0, Secure::held)
    }

    /// After a read that brought nothing: bytes have come all the same, of which there is nothing to tell yet.
    pub fn has_heard(&self) -> bool {
        self.secure().is_some_and(Secure::has_heard)
    }

    pub fn flush(&mut self) -> Result<(), Errno> {
        match self.0.which_mut() {
            Which::Fd(_) => Ok(()),
            Which::Boxed(secure) => secure.flush(),
        }
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        match self.0.which_mut() {
            Which::Fd(fd) => socket::shutdown_write(&fd),
            Which::Boxed(secure) => secure.end(),
        }
    }

    /// TLS is not agreed on yet.
    pub fn is_handshaking(&self) -> bool {
        match self.0.which() {
            Which::Fd(_) => false,
            Which::Boxed(secure) => secure.is_handshaking(),
        }
    }

    fn secure(&self) -> Option<&Secure> {
        match self.0.which() {
            Which::Fd(_) => None,
            Which::Boxed(secure) => Some(secure),
        }
    }

    /// Why TLS has failed.
    pub fn failure(&self) -> Option<&Words> {
        self.secure()?.failure()
    }

    /// The peer has ended TCP without saying so in TLS: what it sent may have been cut short by somebody else.
    pub fn is_truncated(&self) -> bool {
        self.secure().is_some_and(Secure::is_truncated)
    }

    /// What TLS tells of the peer. None: not TLS, or not yet.
    pub fn peer_info(&self) -> Option<PeerInfo> {
        self.secure()?.peer_info()
    }
}

#[inline(always)]
fn sent(result: Result<usize, Errno>) -> Sent {
    match result {
        Ok(n) => Sent::Bytes(n),
        Err(errno) if errno.would_block() => Sent::Bytes(0),
        Err(errno) => Sent::Failed(errno),
    }
}

#[inline(always)]
fn received(result: Result<usize, Errno>) -> Received {
    match result {
        Ok(0) => Received::End,
        Ok(n) => Received::Bytes(n),
        Err(errno) if errno.would_block() => Received::Nothing,
        Err(errno) => Received::Failed(errno),
    }
}
