//! Messages out, compressed (RFC 7692 section 7.2.1).
//!
//! What cannot be compressed (without memory, or because it would not become shorter) is sent as it is: the peer has to take
//! that at any time.

use alloc::vec::Vec;

use super::{Connection, Io, Kind, Opcode, SendError};
use crate::proto::deflate::{Agreed, Compressor, Settings};
use crate::proto::frame::Header;
use crate::proto::OutOfMemory;

/// RFC 7692 6: the "Per-Message Compressed" bit.
const RSV1: u8 = 4;

impl Connection {
    /// `send` would compress such a message.
    pub fn packs(&self, len: usize, settings: Option<&Settings>) -> bool {
        self.deflate.is_some() && settings.is_some_and(|settings| len >= settings.min_size)
    }

    /// `send_fragment` would compress such a fragment. That is decided with the first one of a message, and then holds for
    /// all: short messages are not compressed, where that is known.
    pub fn packs_fragment(
        &self,
        len: usize,
        fin: bool,
        plain: bool,
        settings: Option<&Settings>,
    ) -> bool {
        match self.sending {
            None => {
                let worth = |settings: &Settings| !fin || len >= settings.min_size;
                !plain && self.deflate.is_some() && settings.is_some_and(worth)
            }
            Some(_) => self.rare_if_any().is_some_and(|rare| rare.packing),
        }
    }

    /// Sends a message that has been checked, compressed if that is worth it.
    #[inline(never)]
    pub(super) fn send_packed(
        &mut self,
        kind: Kind,
        data: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let opcode = kind.opcode();
        match (self.deflate, &io.limits.deflate) {
            (Some(agreed), Some(settings)) if data.len() >= settings.min_size => {
                self.pack(true, true, opcode, data, (agreed, settings), io)
            }
            _ => self.queue(true, opcode, data, io),
        }
    }

    /// Sends a fragment that has been checked.
    #[inline(never)]
    pub(super) fn send_packed_fragment(
        &mut self,
        fin: bool,
        opcode: Opcode,
        data: &[u8],
        plain: bool,
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let (Some(agreed), Some(settings)) = (self.deflate, &io.limits.deflate) else {
            return self.queue(fin, opcode, data, io);
        };
        let first = opcode != Opcode::Continuation;
        let packing = self.packs_fragment(data.len(), fin, plain, Some(settings));
        if !packing {
            self.queue(fin, opcode, data, io)?;
        } else {
            self.pack(fin, first, opcode, data, (agreed, settings), io)?;
        }
        if let Some(rare) = self.rare_if_any_mut() {
            rare.packing = packing && !fin;
        }
        Ok(())
    }

    /// Compresses a message or a fragment and queues it.
    fn pack(
        &mut self,
        fin: bool,
        first: bool,
        opcode: Opcode,
        data: &[u8],
        (agreed, settings): (Agreed, &Settings),
        io: &mut Io<'_>,
    ) -> Result<(), SendError> {
        let takeover = agreed.send.takeover();
        // Only a message by itself can still be sent as it is.
        let whole = fin && first;
        let kept = self
            .rare_if_any_mut()
            .and_then(|rare| rare.compressor.take());
        let made = match kept {
            Some(compressor) => Ok(compressor),
            None if takeover => Compressor::new(settings, agreed),
            None => io.pool.deflate.take_compressor(settings, agreed),
        };
        let mut compressor = match made {
            Ok(compressor) => compressor,
            Err(OutOfMemory) if whole => return self.queue(true, opcode, data, io),
            Err(OutOfMemory) => return Err(SendError::NoMemory),
        };
        // What its context is for, which a message in between would break, is worth a few bytes.
        let limit = match whole && !takeover {
            true => data.len().saturating_sub(1),
            false => usize::MAX,
        };
        let mut out = io.pool.deflate.take_output();
        let packed = compressor.run(data, fin, &mut out, limit);
        let rsv = if first { RSV1 } else { 0 };
        let queued = match packed {
            Ok(true) => self.queue_marked(rsv, fin, opcode, &out, io),
            Ok(false) => self.queue(true, opcode, data, io),
            Err(OutOfMemory) if whole => self.queue(true, opcode, data, io),
            Err(OutOfMemory) => Err(SendError::NoMemory),
        };
        if packed == Ok(true) && queued.is_ok() {
            io.pool.deflate.count_sent(data.len(), out.len());
        } else {
            // The peer will not see what it was given, so nothing may refer back to it.
            compressor.reset();
        }
        io.pool.deflate.give_output(out);
        match packed {
            // Left off in the middle, it is dropped, and the next one refers back to nothing.
            Err(OutOfMemory) => {}
            Ok(_) if !takeover && fin => io.pool.deflate.give_compressor(compressor),
            Ok(_) => {
                // Without memory for it likewise.
                if let Ok(rare) = self.rare(io.pool) {
                    rare.compressor = Some(compressor);
                }
            }
        }
        queued
    }
}

/// A whole frame for many receivers, none of which takes a context over; compressed, if it becomes shorter than `frame`,
/// which holds it as it is.
pub fn packed_frame(
    frame: &[u8],
    compressor: &mut Compressor,
) -> Result<Option<Vec<u8>>, OutOfMemory> {
    let Ok(Some((header, head))) = Header::parse(frame) else {
        return Ok(None);
    };
    let data = frame.get(head..).unwrap_or_default();
    let mut payload = Vec::new();
    if !compressor.run(data, true, &mut payload, data.len().saturating_sub(1))? {
        return Ok(None);
    }
    let header = Header {
        rsv: RSV1,
        len: payload.len() as u64,
        ..header
    };
    let head = header.encode();
    let mut packed = Vec::new();
    packed
        .try_reserve_exact(head.len() + payload.len())
        .map_err(|_| OutOfMemory)?;
    packed.extend_from_slice(&head);
    packed.extend_from_slice(&payload);
    Ok(Some(packed))
}
