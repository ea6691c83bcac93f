//! Bytes in, events out, where they are compressed (RFC 7692 section 7.2.2).
//!
//! A payload is inflated as it comes, into the message's buffer or, in pieces mode, into one piece after the other. Output is
//! asked for by the room that limits leave, so that no more than that is ever made.

use super::{Closing, Connection, Event, Io, Kind, Limits, Opcode, Payload, Pool, Rare, Reading};
use super::{Rest, Violation};
use crate::proto::deflate::{Agreed, Inflated, Inflater};
use crate::proto::mask;
use crate::proto::OutOfMemory;
use crate::zlib::{self, InflateError};

/// Most bytes of a piece.
const PIECE: usize = 16 * 1024;

/// In pieces mode, most bytes of a payload that are unmasked before they are inflated: those that a piece has no room for are
/// masked again.
const STRETCH: usize = 4 * 1024;

/// The ratio of a message is judged where it ends, and whenever so many more of its bytes have been inflated: by its own
/// bytes, so that it makes no difference how it was cut into frames and reads.
const JUDGED: u64 = 4 * 1024;

/// A new buffer of a message is at least so large that the pool keeps it.
const SMALLEST: usize = 4 * 1024;

impl Connection {
    /// RFC 7692 6: RSV1 is the "Per-Message Compressed" bit, set on the first fragment of a compressed message only. 6.1: it
    /// must not be set on a control frame, or on another fragment.
    #[cold]
    pub(super) fn may_be_packed(&self, rsv: u8, opcode: Opcode) -> bool {
        const RSV1: u8 = 4;
        self.deflate.is_some() && rsv == RSV1 && matches!(opcode, Opcode::Text | Opcode::Binary)
    }

    /// There is more to tell of what has come, without more input.
    #[inline]
    pub fn has_more(&self) -> bool {
        zlib::present().is_some()
            && self.packed
            && self.rare_if_any().is_some_and(|rare| rare.unfinished)
    }

    /// Takes what the input holds of the payload of a compressed message, as far as there is room for what comes of it.
    #[cold]
    #[inline(never)]
    pub(super) fn packed_payload(
        &mut self,
        rest: &Rest,
        input: &mut [u8],
        at: &mut usize,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        let mut rest = *rest;
        let (Some(kind), Some(agreed)) = (self.receiving, self.deflate) else {
            return Ok(None);
        };
        let open = self.closing == Closing::Open;
        let there = input.len() - *at;
        let mut taken = usize::try_from(rest.len).map_or(there, |len| len.min(there));
        if io.limits.pieces && open {
            taken = taken.min(STRETCH);
        }
        let stretch = input.get_mut(*at..*at + taken).unwrap_or_default();
        let last = rest.fin && rest.len == taken as u64;
        let mut event = None;
        let mut done = true;
        // After our own Close nothing is delivered.
        if open {
            if let Some(key) = rest.mask {
                rest.mask = Some(mask::apply(stretch, key, false).next);
            }
            let rare = self.rare(io.pool)?;
            let inflating = rare.inflate(stretch, last, kind, agreed, io.limits, io.pool)?;
            done = inflating.done;
            if let (Some(key), Some(left)) = (rest.mask, stretch.get_mut(inflating.used..)) {
                // Back to where the next call goes on: the key is turned by as much as was unmasked too much.
                let back = key_before(key, left.len());
                mask::apply_binary(left, back);
                rest.mask = Some(back);
            }
            taken = inflating.used;
            event = inflating.event;
        }
        *at += taken;
        rest.len -= taken as u64;
        if rest.len > 0 || !done {
            self.go_on_with(rest, io.pool)?;
            return Ok(event);
        }
        self.reading = Reading::Between;
        if rest.fin {
            self.receiving = None;
            self.packed = false;
            if open && !io.limits.pieces {
                let payload = self.gathered(io.pool);
                event = Some(Event::Message { kind, payload });
            }
        }
        self.tidy(io.pool);
        Ok(event)
    }
}

/// How far a stretch of a compressed payload was inflated.
struct Inflating {
    used: usize,
    /// All of it, with nothing left to put out.
    done: bool,
    event: Option<Event>,
}

impl Rare {
    fn inflate(
        &mut self,
        stretch: &[u8],
        last: bool,
        kind: Kind,
        agreed: Agreed,
        limits: &Limits,
        pool: &mut Pool,
    ) -> Result<Inflating, Violation> {
        let mut inflater = match self.inflater.take() {
            Some(inflater) => inflater,
            None if agreed.receive.takeover() => Inflater::new(agreed)?,
            None => pool.deflate.take_inflater(agreed)?,
        };
        let mut used = 0;
        let done = loop {
            let rest = stretch.get(used..).unwrap_or_default();
            let step = self.inflate_step(&mut inflater, rest, last, kind, limits, pool)?;
            used += step.used;
            let done = step.done && used == stretch.len();
            if done || (limits.pieces && self.message.len() >= PIECE) {
                break done;
            }
        };
        self.unfinished = !done;
        let ends = last && done;
        let mut event = None;
        if limits.pieces && (ends || !self.message.is_empty()) {
            let offset = self.offset - self.message.len() as u64;
            let mut piece = core::mem::take(&mut self.message);
            piece.push(0);
            event = Some(Event::Piece {
                kind,
                payload: Payload::Gathered(piece),
                offset,
                last: ends,
            });
        }
        if ends {
            self.offset = 0;
            self.packed_in = 0;
        }
        if ends && !agreed.receive.takeover() {
            pool.deflate.give_inflater(inflater);
        } else {
            self.inflater = Some(inflater);
        }
        Ok(Inflating { used, done, event })
    }

    /// Inflates of `rest` what there is room for, and no more than up to where the ratio is judged next.
    fn inflate_step(
        &mut self,
        inflater: &mut Inflater,
        rest: &[u8],
        last: bool,
        kind: Kind,
        limits: &Limits,
        pool: &mut Pool,
    ) -> Result<Inflated, Violation> {
        let judged = self.judged_at(limits);
        let until = usize::try_from(judged - self.packed_in).unwrap_or(usize::MAX);
        let input = rest.get(..until).unwrap_or(rest);
        let last = last && input.len() == rest.len();
        let most = limits.max_message.min(most_of(judged, limits));
        let before = self.message.len();
        let room = self.room(rest.len(), most, limits, pool)?;
        let step = inflater.run(input, last, &mut self.message, room);
        let ends = last && matches!(step, Ok(Inflated { done: true, .. }));
        let fresh = self.message.get(before..).unwrap_or_default();
        let fresh_len = fresh.len();
        self.offset += fresh_len as u64;
        // What was put out ahead of bad data is looked at all the same: it may have come alone.
        // RFC 6455 8.1: as for messages that are not compressed (RFC 7692 6.2).
        if kind == Kind::Text && !(self.utf8_in.push(fresh) && (!ends || self.utf8_in.finish())) {
            return Err(Violation::Utf8);
        }
        self.check(judged, limits)?;
        let step = step?;
        self.packed_in += step.used as u64;
        self.unfinished = !step.done;
        if ends {
            self.check(self.packed_in, limits)?;
        }
        pool.deflate.count_received(step.used, fresh_len);
        Ok(step)
    }

    /// Bytes of the message before inflating, up to which it is inflated until its ratio is judged: all that come of them
    /// are put out before any byte beyond.
    fn judged_at(&self, limits: &Limits) -> u64 {
        if max_ratio(limits) == 0 {
            return u64::MAX;
        }
        let next = self.packed_in + u64::from(!self.unfinished);
        next.next_multiple_of(JUDGED)
    }

    /// Makes room in the message's buffer for what comes of `input` bytes, beside a NUL. Returns how much of it may be used:
    /// at most one byte more than make it a message of `limit` bytes, so that what is too long is found out.
    fn room(
        &mut self,
        input: usize,
        limit: u64,
        limits: &Limits,
        pool: &mut Pool,
    ) -> Result<usize, Violation> {
        let message = &mut self.message;
        if message.capacity() == 0 {
            *message = pool.take_message();
        }
        let len = message.len();
        let left = limit.saturating_sub(self.offset).saturating_add(1);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let most = match limits.pieces {
            true => left.min(PIECE - len.min(PIECE)),
            false => left,
        };
        // Full, or new: it is doubled. A guess for the first one saves copying.
        if message.capacity() < len + 2 {
            let wanted = len.max(input.saturating_mul(4)).max(SMALLEST).min(most);
            message
                .try_reserve_exact(wanted.saturating_add(1))
                .map_err(|_| OutOfMemory)?;
        }
        Ok(most.min(message.capacity() - len - 1))
    }

    /// What `packed` bytes have become so far.
    fn check(&self, packed: u64, limits: &Limits) -> Result<(), Violation> {
        // RFC 6455 10.4 and 7.4.1, as for those that are not compressed.
        if self.offset > limits.max_message {
            return Err(Violation::TooBig);
        }
        match self.offset > most_of(packed, limits) {
            true => Err(Violation::Ratio),
            false => Ok(()),
        }
    }
}

fn max_ratio(limits: &Limits) -> u64 {
    u64::from(limits.deflate.map_or(0, |settings| settings.max_ratio))
}

/// The most bytes that `packed` bytes of a message may inflate to.
fn most_of(packed: u64, limits: &Limits) -> u64 {
    match max_ratio(limits) {
        0 => u64::MAX,
        ratio => packed.max(1).saturating_mul(ratio),
    }
}

impl From<InflateError> for Violation {
    fn from(error: InflateError) -> Violation {
        match error {
            // RFC 7692 8.2 leaves the code open. 1007 is for "data within a message that was not consistent with the type of
            // the message".
            InflateError::Data => Violation::BadDeflate,
            InflateError::NoMemory => Violation::NoMemory,
        }
    }
}

/// The masking key for the byte that lies `len` bytes before the one that `key` is for.
fn key_before(key: [u8; 4], len: usize) -> [u8; 4] {
    let turn = 8 * (len % 4) as u32;
    u32::from_le_bytes(key).rotate_left(turn).to_le_bytes()
}
