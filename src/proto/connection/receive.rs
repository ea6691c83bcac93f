//! Bytes in, events out.
//!
//! A frame that lies whole in the input goes the same way as a stretch of one: head, checks,
//! unmasking in place, delivery. What differs is only that nothing of it is left to remember.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::{
    close, Closing, Connection, Event, Io, Kind, Limits, Opcode, Payload, Pool, Reading, Rest,
    Role, Violation,
};
use crate::proto::frame::{Header, Start, MAX_CONTROL, MAX_HEAD};
use crate::proto::mask;
use crate::proto::utf8;
use crate::proto::OutOfMemory;

/// From that many bytes of a payload on it pays to read what is still to come of it straight into
/// the message's buffer.
const PLACED: u64 = 16 * 1024;

/// Most bytes read at once into a message's buffer: they are unmasked while they are in the cache.
const PLACE: usize = 256 * 1024;

impl Connection {
    /// Whether the next message may be one for `whole_message`: nothing is under way, and messages are told whole.
    #[inline(always)]
    pub fn takes_whole(&self, limits: &Limits) -> bool {
        self.reading == Reading::Between
            && self.receiving.is_none()
            && self.closing == Closing::Open
            && !limits.pieces
    }

    /// The way of nearly every message, where `takes_whole`: in one frame of at most 64 KiB that lies whole in
    /// `input[at..]`. Unmasks it; it lies in the range, behind which the next frame begins. None, with nothing changed: it
    /// is not like that, or not valid, and `receive` finds out.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn whole_message(
        &self,
        input: &mut [u8],
        at: usize,
        limits: &Limits,
    ) -> Option<(Kind, Range<usize>)> {
        let [first, second, rest @ ..] = input.get_mut(at..)? else {
            return None;
        };
        let kind = match *first {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return None,
        };
        // Below 126, if the bit is what it has to be.
        let (len, more) = match *second ^ self.role.mask_bit_of_peer() {
            len @ 0..=125 => (usize::from(len), 0),
            126 => {
                let len = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                // A longer form than needed is left to `receive`, like all else that is wrong.
                (Some(len).filter(|len| *len > 125)?, 2)
            }
            _ => return None,
        };
        if len as u64 > limits.max_message {
            return None;
        }
        let behind = rest.get_mut(more..)?;
        let mut start = at + 2 + more;
        if self.role == Role::Server {
            let (key, behind) = behind.split_first_chunk_mut::<4>()?;
            let payload = behind.get_mut(..len)?;
            start += 4;
            if kind == Kind::Binary {
                mask::apply_binary(payload, *key);
            } else if !mask::apply_text(payload, *key) && !utf8::is_valid(payload) {
                // As it was, for `receive` to refuse.
                mask::apply_binary(payload, *key);
                return None;
            }
        } else {
            let payload = behind.get(..len)?;
            if kind == Kind::Text && !utf8::is_valid(payload) {
                return None;
            }
        }
        Some((kind, start..start + len))
    }

    /// Consumes `input[*at..]` until there is an event to tell. None: all input is used up.
    ///
    /// Payloads are unmasked in place. After a violation or the peer's Close all that follows is
    /// discarded.
    pub fn receive(&mut self, input: &mut [u8], at: &mut usize, io: &mut Io<'_>) -> Option<Event> {
        *at = (*at).min(input.len());
        let event = match self.next_event(input, at, io) {
            Ok(event) => event,
            Err(violation) => {
                self.fail(violation, io);
                Some(Event::Failed(violation))
            }
        };
        // 1.4: "after receiving a control frame indicating the connection should be closed, a peer
        // discards any further data received." 7.1.7: an endpoint "MUST NOT continue to attempt to
        // process data" after failing the connection.
        if !self.reading.goes_on() {
            *at = input.len();
        }
        event
    }

    /// `place` is worth a call.
    #[inline]
    pub fn is_in_large_message(&self, limits: &Limits) -> bool {
        self.reading == Reading::Payload && self.is_large(limits)
    }

    fn is_large(&self, limits: &Limits) -> bool {
        let rest = self.rare_if_any().map(|rare| rare.rest);
        !limits.pieces
            && !self.packed
            && self.closing == Closing::Open
            && rest.is_some_and(|rest| rest.len >= PLACED && !rest.opcode.is_control())
    }

    /// Where the transport may put the next bytes by itself, instead of having them looked at by
    /// `receive`: behind the message so far, at most that many. Only in the middle of a large
    /// payload. `placed` follows, with how many bytes came.
    pub fn place(&mut self, pool: &mut Pool, limits: &Limits) -> Option<(&mut Vec<u8>, usize)> {
        if !self.is_in_large_message(limits) {
            return None;
        }
        let rare = self.rare_if_any_mut()?;
        let rest = rare.rest;
        // A little more is taken if it is the last.
        let whole = usize::try_from(rest.len)
            .ok()
            .filter(|len| *len <= PLACE + PLACE / 16);
        let more = whole.unwrap_or(PLACE);
        // Without memory `receive` finds out, and says so.
        make_room(&mut rare.message, more.min(PLACED as usize), rest, pool).ok()?;
        let room = rare.message.capacity() - rare.message.len() - 1;
        Some((&mut rare.message, more.min(room)))
    }

    /// The transport has put `n` bytes where `place` said.
    pub fn placed(&mut self, n: usize, io: &mut Io<'_>) -> Option<Event> {
        let kind = self.receiving?;
        let rare = self.rare_if_any_mut()?;
        let start = rare.message.len().checked_sub(n)?;
        let stretch = rare.message.get_mut(start..)?;
        let mut ascii = false;
        if let Some(key) = rare.rest.mask {
            let unmasked = mask::apply(stretch, key, kind == Kind::Text);
            rare.rest.mask = Some(unmasked.next);
            ascii = unmasked.ascii;
        }
        rare.rest.len = rare.rest.len.saturating_sub(n as u64);
        rare.offset += n as u64;
        let rest = rare.rest;
        let last = rest.fin && rest.len == 0;
        let utf8 = &mut rare.utf8_in;
        let valid = kind == Kind::Binary || utf8.take(stretch, ascii) && (!last || utf8.finish());
        if !valid {
            self.fail(Violation::Utf8, io);
            return Some(Event::Failed(Violation::Utf8));
        }
        if rest.len > 0 {
            return None;
        }
        self.reading = Reading::Between;
        if !last {
            return None;
        }
        self.receiving = None;
        let payload = self.gathered(io.pool);
        Some(Event::Message { kind, payload })
    }

    fn next_event(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        loop {
            let rest = match self.reading {
                Reading::Payload => match self.rare_if_any() {
                    Some(rare) => rare.rest,
                    None => return Ok(None),
                },
                Reading::Between | Reading::Head => match self.head(input, at, io.pool)? {
                    Some(header) => self.begin(&header, io)?,
                    None => return Ok(None),
                },
                Reading::Closed | Reading::Failed(_) | Reading::Lost => return Ok(None),
            };
            if *at == input.len() && rest.len > 0 && !self.has_more() {
                self.go_on_with(rest, io.pool)?;
                return Ok(None);
            }
            if let Some(event) = self.payload(rest, input, at, io)? {
                return Ok(Some(event));
            }
        }
    }

    /// The next bytes belong to a payload of which `rest` is to come.
    pub(super) fn go_on_with(&mut self, rest: Rest, pool: &mut Pool) -> Result<(), Violation> {
        self.rare(pool)?.rest = rest;
        self.reading = Reading::Payload;
        Ok(())
    }

    /// The next frame head. None: the input ended before it did; what there is of it is kept.
    fn head(
        &mut self,
        input: &[u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Header>, Violation> {
        let fresh = input.get(*at..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(None);
        }
        let mut joined = [0; MAX_HEAD];
        let so_far = self.head_so_far();
        let kept = so_far.len();
        let head = if kept == 0 {
            fresh
        } else {
            for (place, byte) in joined.iter_mut().zip(so_far.iter().chain(fresh)) {
                *place = *byte;
            }
            let have = (kept + fresh.len()).min(MAX_HEAD);
            joined.get(..have).unwrap_or_default()
        };
        if let Some((header, consumed)) = Header::parse(head)? {
            self.admit(header.rsv, header.mask.is_some(), header.opcode)?;
            // What was kept was no whole head, so the head ends behind it.
            *at += consumed.saturating_sub(kept);
            return Ok(Some(header));
        }
        if let [first, second, ..] = head {
            let start = Start::parse(*first, *second)?;
            self.admit(start.rsv, start.masked, start.opcode)?;
        }
        self.rare(pool)?.head.set(head);
        self.reading = Reading::Head;
        *at = input.len();
        Ok(None)
    }

    /// Checks what the first two bytes of a head show.
    fn admit(&self, rsv: u8, masked: bool, opcode: Opcode) -> Result<(), Violation> {
        // 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero
        // values."
        if rsv != 0 && !self.may_be_packed(rsv, opcode) {
            return Err(Violation::ReservedBit);
        }
        match self.role {
            // 5.1: "The server MUST close the connection upon receiving a frame that is not
            // masked."
            Role::Server if !masked => return Err(Violation::UnmaskedFrame),
            // 5.1: "A client MUST close a connection if it detects a masked frame."
            Role::Client if masked => return Err(Violation::MaskedFrame),
            Role::Server | Role::Client => {}
        }
        // 5.4: a fragmented message is one frame "with the FIN bit clear and an opcode other than
        // 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0"; its
        // fragments "MUST NOT be interleaved between the fragments of another message".
        match (opcode, self.receiving) {
            (Opcode::Continuation, None) => Err(Violation::StrayContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Violation::UnfinishedMessage),
            _ => Ok(()),
        }
    }

    /// Begins a frame whose head is whole and admitted.
    fn begin(&mut self, header: &Header, io: &mut Io<'_>) -> Result<Rest, Violation> {
        self.reading = Reading::Between;
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        if kind.is_some() {
            self.receiving = kind;
            self.packed = header.rsv != 0;
        }
        // After our own Close the message is not delivered, so its size does not matter.
        // That of a compressed one is known only when it is inflated.
        if !header.opcode.is_control() && self.closing == Closing::Open && !self.packed {
            // 10.4: those with limits "regarding the frame size or total message size after
            // reassembly from multiple frames MUST protect themselves". 7.4.1: 1009 is for "a message that is too big for it to process".
            match self.offset().checked_add(header.len) {
                Some(total) if total <= io.limits.max_message => {}
                _ => return Err(Violation::TooBig),
            }
        }
        Ok(Rest {
            len: header.len,
            mask: header.mask,
            opcode: header.opcode,
            fin: header.fin,
        })
    }

    /// Bytes of the unfinished incoming message so far.
    pub(super) fn offset(&self) -> u64 {
        self.rare_if_any().map_or(0, |rare| rare.offset)
    }

    /// Takes what the input holds of a payload.
    fn payload(
        &mut self,
        mut rest: Rest,
        input: &mut [u8],
        at: &mut usize,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        if self.packed && !rest.opcode.is_control() {
            return self.packed_payload(&rest, input, at, io);
        }
        let there = input.len() - *at;
        let taken = usize::try_from(rest.len).map_or(there, |len| len.min(there));
        let range = *at..*at + taken;
        *at = range.end;
        rest.len -= taken as u64;

        let stretch = input.get_mut(range.clone()).unwrap_or_default();
        let mut ascii = false;
        if let Some(key) = rest.mask {
            let text = !rest.opcode.is_control() && self.receiving == Some(Kind::Text);
            let unmasked = mask::apply(stretch, key, text);
            rest.mask = Some(unmasked.next);
            ascii = unmasked.ascii;
        }
        if rest.len == 0 {
            self.reading = Reading::Between;
        } else {
            self.go_on_with(rest, io.pool)?;
        }
        let event = if rest.opcode.is_control() {
            self.control_stretch(rest, range, input, io)
        } else {
            self.data_stretch(rest, range, stretch, ascii, io)
        };
        if rest.len == 0 {
            self.tidy(io.pool);
        }
        event
    }

    /// A stretch of a data frame, unmasked. `rest` is what is still to come.
    fn data_stretch(
        &mut self,
        rest: Rest,
        range: Range<usize>,
        stretch: &[u8],
        ascii: bool,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        let Some(kind) = self.receiving else {
            return Ok(None);
        };
        let last = rest.fin && rest.len == 0;
        if last {
            self.receiving = None;
        }
        // 5.5.1: "there is no guarantee that the endpoint that has already sent a Close frame will
        // continue to process data." This one does not.
        if self.closing != Closing::Open {
            return Ok(None);
        }
        let offset = self.offset();
        if offset == 0 && (last || stretch.is_empty()) {
            // 8.1: a byte stream that is not valid UTF-8 "MUST _Fail the WebSocket Connection_".
            if kind == Kind::Text && !ascii && !utf8::is_valid(stretch) {
                return Err(Violation::Utf8);
            }
        } else {
            let rare = self.rare(io.pool)?;
            // As above.
            let utf8 = &mut rare.utf8_in;
            let valid =
                kind == Kind::Binary || utf8.take(stretch, ascii) && (!last || utf8.finish());
            if !valid {
                return Err(Violation::Utf8);
            }
            // Within max_message, as `begin` has checked for the whole frame.
            rare.offset = if last {
                0
            } else {
                offset + stretch.len() as u64
            };
        }
        if io.limits.pieces {
            return Ok((last || !stretch.is_empty()).then_some(Event::Piece {
                kind,
                payload: Payload::Input(range),
                offset,
                last,
            }));
        }
        let payload = if last && offset == 0 {
            Payload::Input(range)
        } else {
            self.gather(stretch, rest, io.pool)?;
            if !last {
                return Ok(None);
            }
            self.gathered(io.pool)
        };
        Ok(Some(Event::Message { kind, payload }))
    }

    /// Adds to the message in parts. Its buffer has always room for a NUL at the end.
    fn gather(&mut self, stretch: &[u8], rest: Rest, pool: &mut Pool) -> Result<(), OutOfMemory> {
        if stretch.is_empty() {
            return Ok(());
        }
        let message = &mut self.rare(pool)?.message;
        make_room(message, stretch.len(), rest, pool)?;
        message.extend_from_slice(stretch);
        Ok(())
    }

    /// The gathered message, handed over with its NUL.
    pub(super) fn gathered(&mut self, pool: &mut Pool) -> Payload {
        let mut message = Vec::new();
        if let Some(rare) = self.rare_if_any_mut() {
            rare.offset = 0;
            message = core::mem::take(&mut rare.message);
        }
        self.tidy(pool);
        message.push(0);
        Payload::Gathered(message)
    }

    /// A stretch of a control frame, unmasked. `rest` is what is still to come.
    fn control_stretch(
        &mut self,
        rest: Rest,
        range: Range<usize>,
        input: &[u8],
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        if rest.opcode != Opcode::Close && self.closing != Closing::Open {
            // Its first half may have come before our Close.
            if let Some(rare) = self.rare_if_any_mut() {
                rare.control.clear();
            }
            return Ok(None);
        }
        let stretch = input.get(range.clone()).unwrap_or_default();
        let begun = self
            .rare_if_any()
            .is_some_and(|rare| !rare.control.is_empty());
        let payload = if rest.len == 0 && !begun {
            Payload::Input(range)
        } else {
            let control = self.gather_control(stretch, io.pool)?;
            if rest.len > 0 {
                return Ok(None);
            }
            control.push(0);
            Payload::Gathered(core::mem::take(control))
        };
        match rest.opcode {
            Opcode::Close => {
                self.close_came(payload.bytes(input), io)?;
                Ok(Some(Event::Closed))
            }
            Opcode::Ping => {
                self.answer(payload.bytes(input), io)?;
                Ok(Some(Event::Ping(payload)))
            }
            _ => Ok(Some(Event::Pong(payload))),
        }
    }

    /// Adds to the control payload in parts, which has always room for a NUL at the end.
    fn gather_control(
        &mut self,
        stretch: &[u8],
        pool: &mut Pool,
    ) -> Result<&mut Vec<u8>, OutOfMemory> {
        let control = &mut self.rare(pool)?.control;
        if control.capacity() <= MAX_CONTROL {
            control
                .try_reserve_exact(MAX_CONTROL + 1 - control.len())
                .map_err(|_| OutOfMemory)?;
        }
        control.extend_from_slice(stretch);
        Ok(control)
    }

    /// The peer's Close: the closing handshake ends here, or is answered and ends.
    fn close_came(&mut self, payload: &[u8], io: &mut Io<'_>) -> Result<(), Violation> {
        let (code, reason) = close::parse(payload)?;
        // 5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame,
        // the endpoint MUST send a Close frame in response. (When sending a Close frame in
        // response, the endpoint typically echos the status code it received.)"
        self.closing = if self.closing == Closing::Open {
            self.since = io.now as u32;
            match self.send_close(code, "", io) {
                Ok(()) => Closing::Answered,
                Err(_) => Closing::Unanswered,
            }
        } else {
            Closing::Done
        };
        // 7.1.5: "If this Close control frame contains no status code, _The WebSocket Connection
        // Close Code_ is considered to be 1005."
        self.code = code.unwrap_or(close::NO_CODE);
        self.stop_reading(Reading::Closed);
        // Without memory the reason is left out: the connection has closed all the same.
        let mut kept = String::new();
        if !reason.is_empty() && kept.try_reserve_exact(reason.len()).is_ok() {
            kept.push_str(reason);
            if let Ok(rare) = self.rare(io.pool) {
                rare.reason = kept;
            }
        }
        Ok(())
    }
}

/// Makes room in the buffer of a message in parts for `more` bytes and a NUL; `rest` is what follows
/// them in the frame.
fn make_room(
    message: &mut Vec<u8>,
    more: usize,
    rest: Rest,
    pool: &mut Pool,
) -> Result<(), OutOfMemory> {
    if message.capacity() == 0 {
        *message = pool.take_message();
    }
    let len = message
        .len()
        .checked_add(more)
        .and_then(|n| n.checked_add(1));
    let len = len.ok_or(OutOfMemory)?;
    if message.capacity() >= len {
        return Ok(());
    }
    // Doubled, so that many small parts cost little; but not beyond the end of the message where
    // that is known.
    let mut capacity = message.capacity().saturating_mul(2);
    if rest.fin {
        let end = usize::try_from(rest.len).map_or(usize::MAX, |n| n.saturating_add(len));
        capacity = capacity.min(end);
    }
    message
        .try_reserve_exact(capacity.max(len) - message.len())
        .map_err(|_| OutOfMemory)
}
