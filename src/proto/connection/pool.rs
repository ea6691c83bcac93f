//! Memory that connections need only while they are in the middle of something, kept for the next
//! that does, so that messages in parts allocate nothing once the first have come.

use alloc::vec::Vec;

use super::{Rare, RareBox};
use crate::proto::deflate;
use crate::proto::OutOfMemory;

/// Spares, shared by all connections of a loop. Bounded; `trim` gives them back.
#[derive(Debug)]
pub struct Pool {
    rare: Vec<RareBox>,
    messages: Vec<Vec<u8>>,
    /// Capacity of `messages`, in bytes, and its bound.
    bytes: usize,
    limit: usize,
    /// For connections that keep no context.
    pub deflate: deflate::Pool,
}

/// Most spares of each sort.
const SPARES: usize = 16;

/// Smaller message buffers are freed: the allocator has such at hand.
const WORTH_KEEPING: usize = 4096;

impl Pool {
    /// `limit`: bytes of message buffers that are kept.
    pub const fn new(limit: usize) -> Pool {
        Pool {
            rare: Vec::new(),
            messages: Vec::new(),
            bytes: 0,
            limit,
            deflate: deflate::Pool::new(),
        }
    }

    /// Nothing is kept.
    pub const fn none() -> Pool {
        Pool::new(0)
    }

    /// Holds memory that `trim` would give back.
    pub fn holds_memory(&self) -> bool {
        self.bytes > 0
    }

    /// Frees what is kept.
    pub fn trim(&mut self) {
        self.rare = Vec::new();
        self.messages = Vec::new();
        self.bytes = 0;
        self.deflate.trim();
    }

    /// A gathered message has been delivered: its buffer is used again.
    pub fn give_message(&mut self, mut message: Vec<u8>) {
        let size = message.capacity();
        let fits = self.limit.saturating_sub(self.bytes) >= size;
        if size < WORTH_KEEPING || !fits || self.messages.len() >= SPARES {
            return;
        }
        if self.messages.try_reserve(1).is_ok() {
            message.clear();
            self.messages.push(message);
            self.bytes += size;
        }
    }

    /// An empty message buffer: the one used last, which is warm.
    pub fn take_message(&mut self) -> Vec<u8> {
        let message = self.messages.pop().unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(message.capacity());
        message
    }

    pub(super) fn take(&mut self) -> Result<RareBox, OutOfMemory> {
        if let Some(rare) = self.rare.pop() {
            return Ok(rare);
        }
        let mut one = Vec::new();
        one.try_reserve_exact(1).map_err(|_| OutOfMemory)?;
        one.push(Rare::new());
        RareBox::try_from(one).map_err(|_| OutOfMemory)
    }

    /// Takes back what a connection is done with.
    pub(super) fn give(&mut self, mut rare: RareBox) {
        let [inner] = &mut *rare;
        let Rare {
            message,
            mut control,
            ..
        } = core::mem::replace(inner, Rare::new());
        control.clear();
        inner.control = control;
        self.give_message(message);
        if self.limit > 0 && self.rare.len() < SPARES && self.rare.try_reserve(1).is_ok() {
            self.rare.push(rare);
        }
    }
}
