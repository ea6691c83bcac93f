//! Commands in, bytes out: data, control frames, and both ways to end a connection.
//!
//! Each call puts a whole frame into the outbox or nothing.

use super::{
    close, Closing, Connection, Io, Kind, Opcode, Ping, Pool, Reading, Role, SendError, Violation,
};
use crate::proto::frame::{Head, Header, MAX_CONTROL, MAX_HEAD};
use crate::proto::mask;
use crate::proto::utf8::{is_valid, Utf8};
use crate::proto::OutOfMemory;

impl Connection {
    /// Whether a message can be sent now. For frames that were encoded elsewhere (a broadcast).
    #[inline]
    pub fn ready(&self) -> Result<(), SendError> {
        // 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        // 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of
        // another message".
        match self.sending {
            Some(_) => Err(SendError::Fragmented),
            None => Ok(()),
        }
    }

    /// Sends a message in one frame.
    pub fn send(&mut self, kind: Kind, data: &[u8], io: &mut Io<'_>) -> Result<(), SendError> {
        self.check_message(kind, data)?;
        if self.deflate.is_some() {
            return self.send_packed(kind, data, io);
        }
        self.queue(true, kind.opcode(), data, io)
    }

    /// As `send`, but it is not compressed, whatever was agreed on.
    pub fn send_plain(
        &mut self,
        kind: Kind,
        data: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        self.check_message(kind, data)?;
        self.queue(true, kind.opcode(), data, io)
    }

    /// Whether `send` would send it.
    #[inline(always)]
    pub fn may_send(&self, kind: Kind, data: &[u8]) -> bool {
        self.check_message(kind, data).is_ok()
    }

    /// For servers: the head of a message whose payload the caller writes itself, right behind it.
    /// Checks what `send` checks. A client masks its payloads, so it has no use for this: it is
    /// answered with `NoRandomness`.
    pub fn message_head(&mut self, kind: Kind, data: &[u8]) -> Result<Head, SendError> {
        self.check_message(kind, data)?;
        match self.role {
            Role::Server => Ok(header(0, true, kind.opcode(), data, None).encode()),
            Role::Client => Err(SendError::NoRandomness),
        }
    }

    /// Sends a fragment. The first one starts a message; the one with `fin` ends it. Control frames
    /// may be sent in between, other messages not. `plain`: it is not compressed; of the first one
    /// for all.
    pub fn send_fragment(
        &mut self,
        kind: Kind,
        data: &[u8],
        fin: bool,
        plain: bool,
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let fragment = self.check_fragment(kind, data, fin, io.pool)?;
        if self.deflate.is_some() {
            self.send_packed_fragment(fin, fragment.opcode, data, plain, io)?;
        } else {
            self.queue(fin, fragment.opcode, data, io)?;
        }
        self.fragment_sent(fragment, io.pool);
        Ok(())
    }

    /// Whether a fragment of a message of that kind can be sent now, and whether it begins the message.
    pub fn begins(&self, kind: Kind) -> Result<bool, SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        match self.sending {
            None => Ok(true),
            Some(begun) if begun == kind => Ok(false),
            Some(_) => Err(SendError::Fragmented),
        }
    }

    /// For servers: the head of a fragment whose payload the caller writes itself, right behind it, and what is to be handed
    /// to `fragment_sent` then. Only of what `packs_fragment` says no to. Checks what `send_fragment` does.
    pub fn fragment_head(
        &mut self,
        kind: Kind,
        data: &[u8],
        fin: bool,
        pool: &mut Pool,
    ) -> Result<(Head, Fragment), SendError> {
        if self.role == Role::Client {
            return Err(SendError::NoRandomness);
        }
        let fragment = self.check_fragment(kind, data, fin, pool)?;
        Ok((
            header(0, fin, fragment.opcode, data, None).encode(),
            fragment,
        ))
    }

    /// The fragment is queued or gone: the next one continues from there.
    pub fn fragment_sent(&mut self, fragment: Fragment, pool: &mut Pool) {
        if let Some(rare) = self.rare_if_any_mut() {
            rare.utf8_out = fragment.utf8;
        }
        self.sending = fragment.unfinished;
        self.tidy(pool);
    }

    fn check_fragment(
        &mut self,
        kind: Kind,
        data: &[u8],
        fin: bool,
        pool: &mut Pool,
    ) -> Result<Fragment, SendError> {
        let (opcode, mut utf8) = match self.begins(kind)? {
            true => (kind.opcode(), Utf8::new()),
            false => {
                let carried = self.rare_if_any().map(|rare| rare.utf8_out);
                (Opcode::Continuation, carried.unwrap_or_default())
            }
        };
        if kind == Kind::Text && !(utf8.push(data) && (!fin || utf8.finish())) {
            return Err(SendError::Utf8);
        }
        if !fin {
            self.rare(pool).map_err(|_| SendError::NoMemory)?;
        }
        Ok(Fragment {
            opcode,
            utf8,
            unfinished: if fin { None } else { Some(kind) },
        })
    }

    /// Sends a Ping of the application's; no answer is waited for.
    pub fn ping(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, data, io)
    }

    /// Sends an unsolicited Pong (RFC 6455 section 5.5.3).
    pub fn pong(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, data, io)
    }

    /// Starts the closing handshake. Data that still comes is discarded, so a caller that had
    /// paused reading now reads on, to see the peer's Close.
    pub fn close(
        &mut self,
        code: Option<u16>,
        reason: &str,
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        if !code.map_or(reason.is_empty(), close::is_sendable) {
            return Err(SendError::Code);
        }
        if reason.len() > close::MAX_REASON {
            return Err(SendError::TooBig);
        }
        self.send_close(code, reason, io)?;
        self.closing = Closing::Sent;
        self.since = io.now as u32;
        self.ping = Ping::Quiet;
        // The unfinished message will not be delivered, the Pong not be sent; but half a Close may
        // have come.
        if let Some(rare) = self.rare_if_any_mut() {
            io.pool.give_message(core::mem::take(&mut rare.message));
            rare.pong = None;
            rare.inflater = None;
            rare.unfinished = false;
            rare.compressor = None;
        }
        self.tidy(io.pool);
        Ok(())
    }

    /// Fails the connection (RFC 6455 section 7.1.7): queues a Close with the code and the reason,
    /// unless one was sent, and ends reading. A connection that has ended stays as it is.
    pub fn fail(&mut self, violation: Violation, io: &mut Io<'_>) {
        if self.is_finished() {
            return;
        }
        if self.closing == Closing::Open {
            self.since = io.now as u32;
            // Where the Close cannot be queued, the end of the transport has to do.
            if self
                .send_close(Some(violation.code()), violation.why(), io)
                .is_ok()
            {
                self.closing = Closing::Sent;
            }
        }
        self.stop_reading(Reading::Failed(violation));
    }

    /// The outbox has become empty: what was held back follows. Without memory for it the
    /// connection fails.
    pub fn drained(&mut self, io: &mut Io<'_>) {
        if !self.is_open() {
            return;
        }
        let pong = self.rare_if_any_mut().and_then(|rare| rare.pong.take());
        if let Some(pong) = pong {
            self.tidy(io.pool);
            if let Err(error) = self.queue(true, Opcode::Pong, &pong, io) {
                self.fail(violation(error), io);
                return;
            }
        }
        self.send_held_ping(io);
    }

    /// Answers a Ping.
    pub(super) fn answer(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), Violation> {
        // 5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
        // response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only
        // the most recently processed Ping frame." So a flood of Pings to a peer that does not read
        // costs the memory of one.
        if io.out.is_blocked() {
            return Ok(self.hold_pong(data, io.pool)?);
        }
        if let Some(rare) = self.rare_if_any_mut() {
            rare.pong = None;
        }
        // 5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application
        // data" as found in the message body of the Ping frame being replied to."
        self.queue(true, Opcode::Pong, data, io).map_err(violation)
    }

    fn hold_pong(&mut self, data: &[u8], pool: &mut Pool) -> Result<(), OutOfMemory> {
        let pong = self.rare(pool)?.pong.get_or_insert_default();
        pong.clear();
        if pong.capacity() < data.len() {
            pong.try_reserve_exact(MAX_CONTROL)
                .map_err(|_| OutOfMemory)?;
        }
        pong.extend_from_slice(data);
        Ok(())
    }

    #[cfg_attr(not(libws_small), inline(always))]
    fn check_message(&self, kind: Kind, data: &[u8]) -> Result<(), SendError> {
        self.ready()?;
        // 5.6: a text message is "text data encoded as UTF-8".
        if kind == Kind::Text && !is_valid(data) {
            return Err(SendError::Utf8);
        }
        Ok(())
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        data: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        // 5.5: "All control frames MUST have a payload length of 125 bytes or less".
        if data.len() > MAX_CONTROL {
            return Err(SendError::TooBig);
        }
        self.queue(true, opcode, data, io)
    }

    /// Queues a Close; the caller has checked code and reason.
    pub(super) fn send_close(
        &self,
        code: Option<u16>,
        reason: &str,
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let Some(code) = code else {
            return self.queue(true, Opcode::Close, &[], io);
        };
        let mut payload = [0; MAX_CONTROL];
        let bytes = code.to_be_bytes().into_iter().chain(reason.bytes());
        let mut len = 0;
        for (place, byte) in payload.iter_mut().zip(bytes) {
            *place = byte;
            len += 1;
        }
        let payload = payload.get(..len).unwrap_or_default();
        self.queue(true, Opcode::Close, payload, io)
    }

    /// Puts a frame into the outbox.
    pub(super) fn queue(
        &self,
        fin: bool,
        opcode: Opcode,
        data: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        self.queue_marked(0, fin, opcode, data, io)
    }

    /// As `queue`, with reserved bits set.
    #[inline]
    pub(super) fn queue_marked(
        &self,
        rsv: u8,
        fin: bool,
        opcode: Opcode,
        data: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let queued = match self.role {
            Role::Server => {
                let head = header(rsv, fin, opcode, data, None).encode();
                let len = data.len().checked_add(MAX_HEAD);
                io.out.push_with(len.ok_or(SendError::NoMemory)?, |out| {
                    head.append_to(out);
                    out.extend_from_slice(data);
                })
            }
            Role::Client => {
                // 5.3: "The masking key is a 32-bit value chosen at random by the client. [...] the
                // client MUST pick a fresh masking key from the set of allowed 32-bit values."
                let key = io.masks.mask().ok_or(SendError::NoRandomness)?;
                let head = header(rsv, fin, opcode, data, Some(key)).encode();
                let len = data.len().checked_add(MAX_HEAD);
                io.out.push_with(len.ok_or(SendError::NoMemory)?, |out| {
                    head.append_to(out);
                    mask::append(out, data, key);
                })
            }
        };
        queued.map_err(|OutOfMemory| SendError::NoMemory)
    }
}

/// A fragment that has been checked, and what is to be noted once it has been sent.
pub struct Fragment {
    opcode: Opcode,
    utf8: Utf8,
    unfinished: Option<Kind>,
}

#[inline]
fn header(rsv: u8, fin: bool, opcode: Opcode, data: &[u8], mask: Option<[u8; 4]>) -> Header {
    Header {
        fin,
        rsv,
        opcode,
        mask,
        len: data.len() as u64,
    }
}

/// A frame that had to be sent could not be queued.
fn violation(error: SendError) -> Violation {
    match error {
        SendError::NoRandomness => Violation::NoRandomness,
        _ => Violation::NoMemory,
    }
}
