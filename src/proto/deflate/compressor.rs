//! Messages in, payloads of frames out (RFC 7692 section 7.2.1).

use super::{Agreed, Settings};
use crate::proto::OutOfMemory;
use crate::zlib::Deflate;
use alloc::vec::Vec;

/// What ends every flush, and is left out at the end of a message.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The output grows by so much at a time. zlib wants more than six bytes of room for a flush.
const STEP: usize = 1024;

#[derive(Debug)]
pub struct Compressor {
    deflate: Deflate,
    window_bits: u8,
}

impl Compressor {
    pub fn new(settings: &Settings, agreed: Agreed) -> Result<Compressor, OutOfMemory> {
        Compressor::with_window(settings, agreed.send.window_bits())
    }

    /// `window_bits`: 8 to 15. Nothing refers back farther than that.
    pub fn with_window(settings: &Settings, window_bits: u8) -> Result<Compressor, OutOfMemory> {
        let deflate = Deflate::new(
            settings.present,
            settings.level,
            window_bits,
            settings.mem_level,
        )?;
        Ok(Compressor {
            deflate,
            window_bits,
        })
    }

    pub fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Forgets what came before.
    pub fn reset(&mut self) {
        self.deflate.reset();
    }

    /// Appends what `data`, a message or a fragment of one, is compressed to; `last`: the message ends with it. False: it
    /// is more than `limit` bytes; then `out` is as it was, and the compressor is of use only after a `reset`. Without memory
    /// it is of no more use.
    pub fn run(
        &mut self,
        data: &[u8],
        last: bool,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<bool, OutOfMemory> {
        let start = out.len();
        let flushed = self.flush(data, out);
        if flushed.is_err() || out.len() - start > limit.saturating_add(TAIL.len()) {
            out.truncate(start);
            return flushed.map(|()| false);
        }
        if last {
            // 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end. After this step, the last octet of
            // the compressed data contains (possibly part of) the DEFLATE header bits with the "BTYPE" bits set to 00."
            if out.get(start..).is_some_and(|made| made.ends_with(&TAIL)) {
                out.truncate(out.len() - TAIL.len());
            }
            // 7.2.3.6: nothing was left to flush, so an empty block is begun for the receiver's four octets to end.
            if out.len() == start {
                out.try_reserve(1).map_err(|_| OutOfMemory)?;
                out.push(0);
            }
        }
        Ok(true)
    }

    /// To the end, also where it has become too long already: of what zlib-rs (0.6.8) is left off in, a `reset` forgets
    /// neither that a block is open nor how full its buffer is.
    fn flush(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let mut rest = data;
        loop {
            // As a rule it becomes half of its size, or less.
            let room = STEP.max(rest.len() / 2);
            out.try_reserve(room).map_err(|_| OutOfMemory)?;
            let ran = self.deflate.run(rest, out, room);
            rest = rest.get(ran.used..).unwrap_or_default();
            if rest.is_empty() && !ran.full {
                return Ok(());
            }
        }
    }
}
