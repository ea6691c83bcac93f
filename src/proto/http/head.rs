//! Collects a head from a byte stream. It knows lines, not their meaning.

use super::{grammar, HttpError, MAX_HEAD};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// RFC 9112 2.2: a server "SHOULD ignore at least one empty line (CRLF) received
/// prior to the request-line". More than a few are no accident.
const MAX_EMPTY_LINES: u8 = 4;

/// What became of the bytes given to [`HeadBuffer::feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// All of them were taken; the head goes on.
    NeedMore,
    /// This many were taken, the blank line is the last of them.
    Complete(usize),
}

/// Gathers a head as its bytes come. Each byte is looked at once, however the
/// head is cut into pieces; memory is bounded by [`MAX_HEAD`]. Owns no memory
/// while empty. After an error the stream cannot be used any further.
#[derive(Debug, Default)]
pub struct HeadBuffer {
    bytes: Vec<u8>,
    /// Where the line that is being received begins.
    line: usize,
    empty_lines: u8,
}

impl HeadBuffer {
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            line: 0,
            empty_lines: 0,
        }
    }

    /// Takes from `input` up to and including the blank line. After
    /// [`Fed::Complete`], [`take`](Self::take) gives the head.
    pub fn feed(&mut self, input: &[u8]) -> Result<Fed, HttpError> {
        // What has been looked at, from `begin` on, belongs to the head: it is copied when all has.
        let mut begin = 0;
        for at in grammar::line_feeds(input) {
            let end = at + 1;
            let lines = input.get(begin..end).unwrap_or_default();
            self.check(lines)?;
            // RFC 9112 2.2 allows a recipient to take a single LF for the end of a
            // line. A proxy in front of us may not have, and would then have seen
            // another message than we do.
            let before = match lines {
                [.., before, _] => Some(before),
                _ => self.bytes.last(),
            };
            if before != Some(&b'\r') {
                return Err(HttpError::bad_request("a line of the head ends without CR"));
            }
            let len = self.bytes.len() + lines.len();
            if len - self.line > 2 {
                self.line = len;
            } else if self.line > 0 {
                self.push(lines)?;
                return Ok(Fed::Complete(end));
            } else {
                self.bytes.clear();
                begin = end;
                self.empty_lines += 1;
                if self.empty_lines > MAX_EMPTY_LINES {
                    return Err(HttpError::bad_request("empty lines instead of a head"));
                }
            }
        }
        let rest = input.get(begin..).unwrap_or_default();
        self.check(rest)?;
        self.push(rest)?;
        Ok(Fed::NeedMore)
    }

    /// Has nothing of a head come yet?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes collected; the buffer is ready for the next head.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(self).bytes
    }

    /// Whether more of the head, which is still in the input, can be its continuation.
    fn check(&self, more: &[u8]) -> Result<(), HttpError> {
        if let (true, Some(&first)) = (self.bytes.is_empty(), more.first()) {
            check_first(first)?;
        }
        if more.len() > MAX_HEAD.saturating_sub(self.bytes.len()) {
            return Err(if self.line == 0 {
                HttpError::new(414, "the first line is longer than 16 KiB")
            } else {
                HttpError::new(431, "the head is longer than 16 KiB")
            });
        }
        Ok(())
    }

    fn push(&mut self, more: &[u8]) -> Result<(), OutOfMemory> {
        self.bytes
            .try_reserve(more.len())
            .map_err(|_| OutOfMemory)?;
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

/// Binary noise need not wait for a line end that never comes.
fn check_first(byte: u8) -> Result<(), HttpError> {
    const TLS_HANDSHAKE: u8 = 0x16;
    match byte {
        TLS_HANDSHAKE => Err(HttpError::bad_request(
            "the peer speaks TLS on a port without TLS",
        )),
        b'\r' | b'\n' => Ok(()),
        _ if grammar::is_tchar(byte) => Ok(()),
        _ => Err(HttpError::bad_request("this is not HTTP")),
    }
}
