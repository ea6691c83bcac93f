//! Bytes that wait to be written, in order. No I/O: the caller writes `slices` and reports with
//! `advance` what the kernel took.
//!
//! Small writes are collected in owned segments; a broadcast frame is kept by reference, and so is what
//! is left of a large message that is sent on as it came. No limit
//! stands here: the caller compares `len` with its own before it adds a message.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Deref;

use super::frame::Opcode;
use super::OutOfMemory;
use crate::rare::rarely;

/// An owned segment is not grown beyond this, so that what was written is freed even when the
/// outbox never becomes empty.
const SEGMENT: usize = 64 * 1024;

/// Room in a new owned segment, for the small frames that follow.
const SMALLEST: usize = 512;

/// Shared frames up to this size are copied: cheaper than a segment of their own.
const COPIED: usize = 512;

/// A longer list of segments is given back on `reset`.
const LIST_KEPT: usize = 8;

/// An encoded frame, head and payload, that goes to many receivers.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Vec<u8>>);

impl Shared {
    /// Gives the frame back when there is no memory to share it.
    pub fn new(frame: Vec<u8>) -> Result<Shared, Vec<u8>> {
        // Arc::new() aborts without memory, so that it is seen before whether there is some: two counts and a Vec.
        let mut probe: Vec<[usize; 5]> = Vec::new();
        if probe.try_reserve_exact(1).is_err() {
            return Err(frame);
        }
        core::hint::black_box(&probe);
        drop(probe);
        Ok(Shared(Arc::new(frame)))
    }

    /// The bytes, to be used for something else, if nobody else has them any more.
    ///
    /// By `get_mut`, whose acquire is a load: the fence of `try_unwrap` is one that ThreadSanitizer does not follow.
    pub fn into_inner(mut self) -> Option<Vec<u8>> {
        self.unshared().map(mem::take)
    }

    /// Bytes that it takes, which may be more than those of the frame that it holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Where in the shared bytes `part` lies, if it does.
    pub fn place_of(&self, part: &[u8]) -> Option<usize> {
        let start = (part.as_ptr() as usize).checked_sub(self.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        (end <= self.len()).then_some(start)
    }

    /// The frame, to be written anew, if nobody else has it any more.
    pub fn unshared(&mut self) -> Option<&mut Vec<u8>> {
        Arc::get_mut(&mut self.0)
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes a connection has yet to write.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The first segment, which as a rule is the only one: owned.
    first: Vec<u8>,
    /// Where its unsent bytes begin.
    start: usize,
    /// What comes behind it.
    more: VecDeque<Segment>,
    /// Unsent bytes of all segments.
    len: usize,
    blocked: bool,
    /// The shared bytes that were written last.
    spent: Option<Shared>,
}

impl Outbox {
    pub const fn new() -> Outbox {
        Outbox {
            first: Vec::new(),
            start: 0,
            more: VecDeque::new(),
            len: 0,
            blocked: false,
            spent: None,
        }
    }

    /// Unsent bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends the parts one after the other: all of them or, without memory, none.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
        let total = parts
            .iter()
            .try_fold(0usize, |sum, part| sum.checked_add(part.len()))
            .ok_or(OutOfMemory)?;
        self.push_with(total, |out| {
            for part in parts {
                out.extend_from_slice(part);
            }
        })
    }

    /// Has `write` append at most `max` bytes, for which room is made first.
    #[inline]
    pub fn push_with(
        &mut self,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), OutOfMemory> {
        let out = if self.more.is_empty() && self.first.capacity() - self.first.len() >= max {
            &mut self.first
        } else {
            self.room(max)?
        };
        let before = out.len();
        write(out);
        let added = out.len().saturating_sub(before);
        debug_assert!(added <= max, "more was written than there was room for");
        self.len += added;
        Ok(())
    }

    /// Appends a server's frame of a whole message, if that is of less than 64 KiB, there is room for it without allocating,
    /// and all that is queued keeps to `limit`. False: nothing was done.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn push_short(&mut self, opcode: Opcode, data: &[u8], limit: usize) -> bool {
        let most = data.len() + 4;
        let room = self.first.capacity() - self.first.len();
        if room < most || self.len + most > limit || !self.more.is_empty() || most > 0xffff {
            rarely();
            return false;
        }
        let first = 0x80 | opcode as u8;
        let len = data.len() as u16;
        self.len += 2 + data.len();
        if len < 126 {
            self.first.extend_from_slice(&[first, len as u8]);
        } else {
            let [high, low] = len.to_be_bytes();
            self.first.extend_from_slice(&[first, 126, high, low]);
            self.len += 2;
        }
        self.first.extend_from_slice(data);
        true
    }

    /// Appends a shared frame without its first `skip` bytes, which were written already.
    pub fn push_shared(&mut self, frame: &Shared, skip: usize) -> Result<(), OutOfMemory> {
        let unsent = frame.get(skip..).unwrap_or_default();
        if unsent.len() <= COPIED {
            return self.push(&[unsent]);
        }
        self.push_part(frame, skip, frame.len())
    }

    /// Appends the shared bytes from `start` to `end`.
    pub fn push_part(
        &mut self,
        shared: &Shared,
        start: usize,
        end: usize,
    ) -> Result<(), OutOfMemory> {
        let len = shared.get(start..end).unwrap_or_default().len();
        self.more.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.more.push_back(Segment {
            bytes: Bytes::Shared(shared.clone(), end),
            start,
        });
        self.len += len;
        Ok(())
    }

    /// Shared bytes that have been written, which may be of use to others.
    pub fn take_spent(&mut self) -> Option<Shared> {
        self.spent.take()
    }

    /// The unsent bytes, if there are any, they lie in one stretch, of which nothing was sent yet, and what holds them is
    /// of at most `most` bytes of capacity: as a rule it is like that. Once they are written, `clear` is as good as `reset`.
    #[inline]
    pub fn short(&self, most: usize) -> Option<&[u8]> {
        let plain = self.more.capacity() == 0 && self.start == 0 && self.len > 0;
        (plain && self.first.capacity() <= most).then_some(self.first.as_slice())
    }

    /// All was written of what `short` answered.
    #[inline]
    pub fn clear(&mut self) {
        self.first.clear();
        self.len = 0;
        self.blocked = false;
    }

    /// Puts the unsent bytes, in order, into `into` as far as it has places. Returns how many
    /// places were filled.
    pub fn slices<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        let first = self.first.get(self.start..).unwrap_or_default();
        let more = self.more.iter().map(Segment::unsent);
        let unsent = core::iter::once(first).chain(more);
        let mut filled = 0;
        for (place, slice) in into.iter_mut().zip(unsent.filter(|s| !s.is_empty())) {
            *place = slice;
            filled += 1;
        }
        filled
    }

    /// `n` bytes were written. Frees the segments that are done; moves no bytes.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.len, "more was written than there was");
        let mut left = n.min(self.len);
        self.len -= left;
        let of_first = left.min(self.first.len().saturating_sub(self.start));
        self.start += of_first;
        left -= of_first;
        // Once it is written, it is written to again soon: it is kept, unless it is large and more waits behind it.
        if self.start == self.first.len() {
            let keep = if self.len == 0 {
                usize::MAX
            } else {
                2 * SEGMENT
            };
            self.empty_first(keep);
        }
        while left > 0 {
            let Some(front) = self.more.front_mut() else {
                return;
            };
            let unsent = front.unsent().len();
            if left < unsent {
                front.start += left;
                return;
            }
            left -= unsent;
            if let Some(Segment {
                bytes: Bytes::Shared(shared, _),
                ..
            }) = self.more.pop_front()
            {
                self.spent = Some(shared);
            }
        }
    }

    /// The kernel refused bytes: what is queued has to wait for write readiness.
    pub fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Takes an empty buffer to write into next, if nothing waits and it is larger than the own one. Returns the one that is
    /// of no use.
    pub fn swap_buffer(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        if !self.is_empty() || buffer.capacity() <= self.first.capacity() {
            return buffer;
        }
        self.empty_first(usize::MAX);
        mem::replace(&mut self.first, buffer)
    }

    /// The buffer of an outbox in which nothing waits, if it is of more than `most` bytes.
    pub fn take_large(&mut self, most: usize) -> Option<Vec<u8>> {
        if !self.is_empty() || self.first.capacity() <= most {
            return None;
        }
        self.empty_first(usize::MAX);
        Some(mem::take(&mut self.first))
    }

    /// Empties the outbox for its next connection. Keeps one owned segment of at most `keep` bytes
    /// of capacity.
    pub fn reset(&mut self, keep: usize) {
        self.blocked = false;
        self.len = 0;
        self.spent = None;
        self.empty_first(keep);
        if self.more.capacity() > LIST_KEPT {
            self.more = VecDeque::new();
        }
        self.more.clear();
    }

    fn empty_first(&mut self, keep: usize) {
        self.start = 0;
        self.first.clear();
        if self.first.capacity() > keep {
            self.first = Vec::new();
        }
    }

    /// An owned segment at the end with room for `n` bytes more.
    #[inline(never)]
    fn room(&mut self, n: usize) -> Result<&mut Vec<u8>, OutOfMemory> {
        if self.more.is_empty() && (self.first.is_empty() || fits(&self.first, n)) {
            reserve(&mut self.first, n)?;
            return Ok(&mut self.first);
        }
        let behind = match self.more.back() {
            Some(Segment {
                bytes: Bytes::Owned(bytes),
                ..
            }) => fits(bytes, n),
            _ => false,
        };
        if !behind {
            let mut bytes = Vec::new();
            reserve(&mut bytes, n)?;
            self.more.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.more.push_back(Segment {
                bytes: Bytes::Owned(bytes),
                start: 0,
            });
        }
        match self.more.back_mut() {
            Some(Segment {
                bytes: Bytes::Owned(bytes),
                ..
            }) => {
                reserve(bytes, n)?;
                Ok(bytes)
            }
            _ => Err(OutOfMemory),
        }
    }
}

/// Whether an owned segment takes `n` bytes more.
fn fits(bytes: &Vec<u8>, n: usize) -> bool {
    bytes.capacity() - bytes.len() >= n || bytes.len().saturating_add(n) <= SEGMENT
}

/// Makes room in an owned segment; a new one gets some for the small frames that follow.
fn reserve(bytes: &mut Vec<u8>, n: usize) -> Result<(), OutOfMemory> {
    let done = if bytes.capacity() == 0 {
        bytes.try_reserve_exact(n.max(SMALLEST))
    } else {
        bytes.try_reserve(n)
    };
    done.map_err(|_| OutOfMemory)
}

#[derive(Debug)]
struct Segment {
    bytes: Bytes,
    /// Where the unsent bytes begin.
    start: usize,
}

#[derive(Debug)]
enum Bytes {
    Owned(Vec<u8>),
    /// Up to there.
    Shared(Shared, usize),
}

impl Segment {
    fn unsent(&self) -> &[u8] {
        let bytes: &[u8] = match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(shared, end) => shared.get(..*end).unwrap_or_default(),
        };
        bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
