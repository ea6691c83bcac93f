//! Bytes in, events out.
//!
//! A frame that lies whole in the input goes the same way as a stretch of one: head, checks,
//! unmasking in place, delivery. What differs is only that nothing of it is left to remember.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::{
    close, Closing, Connection, Event, Io, Kind, Opcode, Payload, Reading, Rest, Role, Violation,
};
use crate::proto::frame::{Header, Start, MAX_CONTROL, MAX_HEAD};
use crate::proto::mask;
use crate::proto::utf8::Utf8;
use crate::proto::OutOfMemory;

impl Connection {
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
        // 5.5.1: "After receiving a Close frame [...] any further data is discarded"; 7.1.7: "MUST
        // NOT continue to attempt to process data".
        if !self.reading.goes_on() {
            *at = input.len();
        }
        event
    }

    fn next_event(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        loop {
            let rest = match self.reading {
                Reading::Payload(rest) => rest,
                Reading::Head { .. } => match self.head(input, at)? {
                    Some(header) => self.begin(&header, io)?,
                    None => return Ok(None),
                },
                Reading::Closed { .. } | Reading::Failed { .. } | Reading::Lost(_) => {
                    return Ok(None)
                }
            };
            if *at == input.len() && rest.len > 0 {
                self.reading = Reading::Payload(rest);
                return Ok(None);
            }
            if let Some(event) = self.payload(rest, input, at, io)? {
                return Ok(Some(event));
            }
        }
    }

    /// The next frame head. None: the input ended before it did; what there is of it is kept.
    fn head(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Header>, Violation> {
        let Reading::Head { len, bytes } = self.reading else {
            return Ok(None);
        };
        let fresh = input.get(*at..).unwrap_or_default();
        let kept = usize::from(len);
        let mut joined = [0; MAX_HEAD];
        let head = if kept == 0 {
            fresh
        } else {
            for (place, byte) in joined.iter_mut().zip(bytes.iter().take(kept).chain(fresh)) {
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
        let mut bytes = [0; 13];
        for (place, byte) in bytes.iter_mut().zip(head) {
            *place = *byte;
        }
        // An incomplete head has 13 bytes at most.
        let len = head.len().min(bytes.len()) as u8;
        self.reading = Reading::Head { len, bytes };
        *at = input.len();
        Ok(None)
    }

    /// Checks what the first two bytes of a head show.
    fn admit(&self, rsv: u8, masked: bool, opcode: Opcode) -> Result<(), Violation> {
        // 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero
        // values." An extension that takes a bit of `rsv` allows it here.
        if rsv != 0 {
            return Err(Violation::protocol("reserved bit set"));
        }
        match self.role {
            // 5.1: "The server MUST close the connection upon receiving a frame that is not
            // masked."
            Role::Server if !masked => return Err(Violation::protocol("unmasked frame")),
            // 5.1: "A client MUST close a connection if it detects a masked frame."
            Role::Client if masked => return Err(Violation::protocol("masked frame")),
            Role::Server | Role::Client => {}
        }
        // 5.4: a fragmented message is one frame "with the FIN bit clear and an opcode other than
        // 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0"; its
        // fragments "MUST NOT be interleaved between the fragments of another message".
        match (opcode, self.receiving) {
            (Opcode::Continuation, None) => {
                Err(Violation::protocol("continuation without a message"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                Err(Violation::protocol("message within a fragmented message"))
            }
            _ => Ok(()),
        }
    }

    /// Begins a frame whose head is whole and admitted.
    fn begin(&mut self, header: &Header, io: &Io<'_>) -> Result<Rest, Violation> {
        self.reading = Reading::NEW_HEAD;
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        if kind.is_some() {
            self.receiving = kind;
            self.offset = 0;
            self.utf8_in = Utf8::new();
        }
        // After our own Close the message is not delivered, so its size does not matter.
        if !header.opcode.is_control() && self.closing == Closing::Open {
            // 10.4: limits on "frame size and total message size after reassembly from multiple
            // frames". 7.4.1: 1009 is for "a message that is too big for it to process".
            match self.offset.checked_add(header.len) {
                Some(total) if total <= io.limits.max_message => {}
                _ => return Err(Violation::TOO_BIG),
            }
        }
        Ok(Rest {
            len: header.len,
            mask: header.mask,
            opcode: header.opcode,
            fin: header.fin,
        })
    }

    /// Takes what the input holds of a payload.
    fn payload(
        &mut self,
        mut rest: Rest,
        input: &mut [u8],
        at: &mut usize,
        io: &mut Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        let there = input.len() - *at;
        let taken = usize::try_from(rest.len).map_or(there, |len| len.min(there));
        let range = *at..*at + taken;
        *at = range.end;
        rest.len -= taken as u64;

        let stretch = input.get_mut(range.clone()).unwrap_or_default();
        if let Some(key) = rest.mask {
            rest.mask = Some(mask::apply(stretch, key));
        }
        self.reading = if rest.len == 0 {
            Reading::NEW_HEAD
        } else {
            Reading::Payload(rest)
        };
        if rest.opcode.is_control() {
            self.control_stretch(rest, range, input, io)
        } else {
            self.data_stretch(rest, range, stretch, io)
        }
    }

    /// A stretch of a data frame, unmasked. `rest` is what is still to come.
    fn data_stretch(
        &mut self,
        rest: Rest,
        range: Range<usize>,
        stretch: &[u8],
        io: &Io<'_>,
    ) -> Result<Option<Event>, Violation> {
        let Some(kind) = self.receiving else {
            return Ok(None);
        };
        let last = rest.fin && rest.len == 0;
        if last {
            self.receiving = None;
        }
        // 1.4: "After sending a control frame indicating the connection should be closed, a peer
        // [...] discards any further data received."
        if self.closing != Closing::Open {
            return Ok(None);
        }
        // 8.1: a byte stream that is not valid UTF-8 "MUST _Fail the WebSocket Connection_".
        if kind == Kind::Text && !(self.utf8_in.push(stretch) && (!last || self.utf8_in.finish())) {
            return Err(Violation::BAD_UTF8);
        }
        let offset = self.offset;
        // Within max_message, as `begin` has checked for the whole frame.
        self.offset += stretch.len() as u64;
        if io.limits.pieces {
            return Ok((last || !stretch.is_empty()).then_some(Event::Piece {
                kind,
                range,
                offset,
                last,
            }));
        }
        let payload = if last && offset == 0 {
            Payload::Input(range)
        } else {
            self.gather(stretch, rest)
                .map_err(|OutOfMemory| Violation::NO_MEMORY)?;
            if !last {
                return Ok(None);
            }
            self.gathered()
        };
        Ok(Some(Event::Message { kind, payload }))
    }

    /// Adds to the message in parts. Its buffer has always room for a NUL at the end.
    fn gather(&mut self, stretch: &[u8], rest: Rest) -> Result<(), OutOfMemory> {
        if stretch.is_empty() {
            return Ok(());
        }
        let message = &mut self.rare()?.message;
        let len = message
            .len()
            .checked_add(stretch.len() + 1)
            .ok_or(OutOfMemory)?;
        if message.capacity() < len {
            // Doubled, so that many small parts cost little; but not beyond the end of the message
            // where that is known.
            let mut capacity = message.capacity().saturating_mul(2).max(SMALLEST);
            if rest.fin {
                let end = usize::try_from(rest.len).map_or(usize::MAX, |n| n.saturating_add(len));
                capacity = capacity.min(end);
            }
            message
                .try_reserve_exact(capacity.max(len) - message.len())
                .map_err(|_| OutOfMemory)?;
        }
        message.extend_from_slice(stretch);
        Ok(())
    }

    /// The gathered message, handed over with its NUL.
    fn gathered(&mut self) -> Payload {
        let mut message = self
            .rare_if_any_mut()
            .map(|rare| core::mem::take(&mut rare.message))
            .unwrap_or_default();
        self.tidy();
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
                rare.control = Vec::new();
                self.tidy();
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
            let control = self
                .gather_control(stretch)
                .map_err(|OutOfMemory| Violation::NO_MEMORY)?;
            if rest.len > 0 {
                return Ok(None);
            }
            control.push(0);
            let control = core::mem::take(control);
            self.tidy();
            Payload::Gathered(control)
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
    fn gather_control(&mut self, stretch: &[u8]) -> Result<&mut Vec<u8>, OutOfMemory> {
        let control = &mut self.rare()?.control;
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
            self.since = io.now;
            match self.send_close(code, "", io) {
                Ok(()) => Closing::Answered,
                Err(_) => Closing::Unanswered,
            }
        } else {
            Closing::Done
        };
        // 7.1.5: "If this Close control frame contains no status code, _The WebSocket Connection
        // Close Code_ is considered to be 1005."
        self.stop_reading(Reading::Closed {
            code: code.unwrap_or(close::NO_CODE),
        });
        // Without memory the reason is left out: the connection has closed all the same.
        let mut kept = String::new();
        if !reason.is_empty() && kept.try_reserve_exact(reason.len()).is_ok() {
            kept.push_str(reason);
            if let Ok(rare) = self.rare() {
                rare.reason = kept;
            }
        }
        Ok(())
    }
}

/// Bytes a gathered message is first given room for, unless its end is nearer.
const SMALLEST: usize = 64;
