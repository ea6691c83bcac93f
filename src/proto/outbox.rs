//! Bytes that wait to be written, in order. No I/O: the caller writes `slices` and reports with
//! `advance` what the kernel took.
//!
//! Small writes are collected in owned segments; a broadcast frame is kept by reference. No limit
//! stands here: the caller compares `len` with its own before it adds a message.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Deref;

use super::OutOfMemory;

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
    pub fn new(frame: Vec<u8>) -> Shared {
        Shared(Arc::new(frame))
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
    segments: VecDeque<Segment>,
    /// Unsent bytes of all segments.
    len: usize,
    blocked: bool,
}

impl Outbox {
    pub const fn new() -> Outbox {
        Outbox {
            segments: VecDeque::new(),
            len: 0,
            blocked: false,
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
    pub fn push_with(
        &mut self,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), OutOfMemory> {
        if max == 0 {
            return Ok(());
        }
        let out = self.room(max)?;
        let before = out.len();
        write(out);
        let added = out.len().saturating_sub(before);
        debug_assert!(added <= max, "more was written than there was room for");
        self.len += added;
        Ok(())
    }

    /// Appends a shared frame without its first `skip` bytes, which were written already.
    pub fn push_shared(&mut self, frame: &Shared, skip: usize) -> Result<(), OutOfMemory> {
        let unsent = frame.get(skip..).unwrap_or_default();
        if unsent.len() <= COPIED {
            return self.push(&[unsent]);
        }
        self.segments.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.segments.push_back(Segment {
            bytes: Bytes::Shared(frame.clone()),
            start: skip,
        });
        self.len += unsent.len();
        Ok(())
    }

    /// Puts the unsent bytes, in order, into `into` as far as it has places. Returns how many
    /// places were filled.
    pub fn slices<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        let unsent = self.segments.iter().map(Segment::unsent);
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
        while left > 0 {
            let last = self.segments.len() == 1;
            let Some(front) = self.segments.front_mut() else {
                return;
            };
            let unsent = front.unsent().len();
            if left < unsent {
                front.start += left;
                return;
            }
            left -= unsent;
            // The last one is written to again soon: it is kept, unless it is large.
            if !(last && front.reuse(2 * SEGMENT)) {
                self.segments.pop_front();
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

    /// Empties the outbox for its next connection. Keeps one owned segment of at most `keep` bytes
    /// of capacity.
    pub fn reset(&mut self, keep: usize) {
        self.len = 0;
        self.blocked = false;
        // As a rule there is one segment, which is fit to be kept.
        if let ([only], []) = self.segments.as_mut_slices() {
            if only.reuse(keep) && self.segments.capacity() <= LIST_KEPT {
                return;
            }
        }
        let mut segments = mem::take(&mut self.segments);
        segments.truncate(segments.len().min(LIST_KEPT));
        segments.retain_mut(|segment| segment.reuse(keep));
        segments.truncate(1);
        if segments.capacity() <= LIST_KEPT {
            self.segments = segments;
        } else if let Some(kept) = segments.pop_front() {
            if self.segments.try_reserve(1).is_ok() {
                self.segments.push_back(kept);
            }
        }
    }

    /// An owned segment at the end with room for `n` bytes more.
    fn room(&mut self, n: usize) -> Result<&mut Vec<u8>, OutOfMemory> {
        let fits = matches!(
            self.segments.back(),
            Some(Segment { bytes: Bytes::Owned(bytes), .. })
                if bytes.capacity() - bytes.len() >= n || bytes.len().saturating_add(n) <= SEGMENT
        );
        if !fits {
            let mut bytes = Vec::new();
            bytes
                .try_reserve_exact(n.max(SMALLEST))
                .map_err(|_| OutOfMemory)?;
            self.segments.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.segments.push_back(Segment {
                bytes: Bytes::Owned(bytes),
                start: 0,
            });
        }
        match self.segments.back_mut() {
            Some(Segment {
                bytes: Bytes::Owned(bytes),
                ..
            }) => {
                bytes.try_reserve(n).map_err(|_| OutOfMemory)?;
                Ok(bytes)
            }
            _ => Err(OutOfMemory),
        }
    }
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
    Shared(Shared),
}

impl Segment {
    fn unsent(&self) -> &[u8] {
        let bytes: &[u8] = match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(frame) => frame,
        };
        bytes.get(self.start..).unwrap_or_default()
    }

    /// Empties an owned segment of at most `keep` bytes of capacity. False: it is not worth
    /// keeping.
    fn reuse(&mut self, keep: usize) -> bool {
        match &mut self.bytes {
            Bytes::Owned(bytes) if bytes.capacity() <= keep => {
                bytes.clear();
                self.start = 0;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
