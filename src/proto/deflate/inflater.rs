//! Payloads of frames in, messages out (RFC 7692 section 7.2.2).

use super::compressor::TAIL;
use super::Agreed;
use crate::proto::OutOfMemory;
use crate::zlib::{Inflate, InflateError};
use alloc::vec::Vec;

#[derive(Debug)]
pub struct Inflater {
    inflate: Inflate,
    window_bits: u8,
    at: At,
}

/// Where in the data the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a message.
    Message,
    Within,
    /// Behind a block with BFINAL.
    StreamEnd,
}

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inflated {
    /// Bytes of the input that were used up.
    pub used: usize,
    /// All that there is so far has been put out: with `last`, the message is whole.
    pub done: bool,
}

impl Inflater {
    pub fn new(agreed: Agreed) -> Result<Inflater, OutOfMemory> {
        let window_bits = agreed.receive.window_bits();
        Ok(Inflater {
            inflate: Inflate::new(agreed.present, window_bits)?,
            window_bits,
            at: At::Message,
        })
    }

    /// Whether it looks back as far as was agreed on.
    pub fn suits(&self, agreed: Agreed) -> bool {
        self.window_bits >= agreed.receive.window_bits()
    }

    /// Forgets what came before.
    pub fn reset(&mut self) {
        self.inflate.reset();
        self.at = At::Message;
    }

    /// Inflates `input`, appending at most `max` bytes to `out`, for which there must be spare capacity. `last`: the
    /// message ends with this input. Not done: call again with what was not used up and new room.
    pub fn run(
        &mut self,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<Inflated, InflateError> {
        let before = out.len();
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            // No block was begun that would have to end: there are those who send an empty message as no bytes at all, and
            // those who end a message together with its stream.
            if rest.is_empty() && self.at != At::Within {
                return Ok(Inflated { used, done: true });
            }
            // 7.2.3.4 allows blocks with BFINAL, and others after them.
            if self.at == At::StreamEnd {
                self.inflate.restart();
            }
            let room = max.saturating_sub(out.len() - before);
            let ran = self.inflate.run(rest, out, room)?;
            used += ran.used;
            if ran.ended {
                self.at = At::StreamEnd;
                continue;
            }
            if ran.used > 0 {
                self.at = At::Within;
            }
            if ran.full {
                return Ok(Inflated { used, done: false });
            }
            if used < input.len() {
                if ran.used == 0 {
                    // It has input and room, and does nothing.
                    return Err(InflateError::Data);
                }
                continue;
            }
            if last {
                self.finish(out)?;
            }
            return Ok(Inflated { used, done: true });
        }
    }

    /// 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." They have to end the
    /// block without data that the sender has begun.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), InflateError> {
        if !self.inflate.expects_tail() {
            return Err(InflateError::Data);
        }
        self.inflate.run(&TAIL, out, 0)?;
        self.at = At::Message;
        Ok(())
    }
}
