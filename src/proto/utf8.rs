//! UTF-8 that comes in pieces (RFC 6455 section 8.1).
//!
//! Says no as soon as the bytes cannot become valid any more, also within a character. Whole text
//! is checked by `core::str::from_utf8`, which this builds on.

use core::str;

/// Whether a whole text is valid.
#[inline]
pub fn is_valid(text: &[u8]) -> bool {
    is_ascii(text) || str::from_utf8(text).is_ok()
}

/// Most text is, and for short ones this costs a tenth of what `from_utf8` does.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    if bytes.len() > SHORT {
        return bytes.is_ascii();
    }
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The last word overlaps the one before it.
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let mut seen = u64::from_ne_bytes(*last);
            for word in bytes.chunks_exact(8) {
                seen |= word
                    .first_chunk()
                    .map_or(0, |word| u64::from_ne_bytes(*word));
            }
            seen & HIGH_BITS == 0
        }
        None => bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80,
    }
}

/// Up to here a plain loop is faster than what `is_ascii` sets up.
const SHORT: usize = 64;

/// A validator. Carries the bytes of a split character and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Utf8 {
    /// The beginning of a character.
    carried: [u8; 3],
    /// How many bytes of it there are, or `BROKEN`.
    len: u8,
}

/// Invalid bytes were seen; whatever comes, it stays invalid.
const BROKEN: u8 = u8::MAX;

impl Utf8 {
    pub const fn new() -> Utf8 {
        Utf8 {
            carried: [0; 3],
            len: 0,
        }
    }

    /// Whether all bytes so far are valid or the beginning of something valid.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let mut bytes = bytes;
        while self.len != 0 {
            let Some((byte, rest)) = bytes.split_first() else {
                return self.len != BROKEN;
            };
            if !self.extend_character(*byte) {
                return false;
            }
            bytes = rest;
        }
        if is_ascii(bytes) {
            return true;
        }
        let Err(error) = str::from_utf8(bytes) else {
            return true;
        };
        let tail = bytes.get(error.valid_up_to()..).unwrap_or_default();
        if error.error_len().is_some() || tail.len() > self.carried.len() {
            self.len = BROKEN;
            return false;
        }
        for (place, byte) in self.carried.iter_mut().zip(tail) {
            *place = *byte;
        }
        self.len = tail.len() as u8;
        true
    }

    /// As `push`; `ascii`: it is known already that the bytes are.
    pub fn take(&mut self, bytes: &[u8], ascii: bool) -> bool {
        (ascii && self.len == 0) || self.push(bytes)
    }

    /// Whether the text ends here validly. Afterwards the validator is as new.
    pub fn finish(&mut self) -> bool {
        let complete = self.len == 0;
        *self = Utf8::new();
        complete
    }

    /// Adds a byte to the carried beginning; empties it when the character is complete.
    fn extend_character(&mut self, byte: u8) -> bool {
        let [a, b, c] = self.carried;
        let character = match self.len {
            1 => [a, byte, 0, 0],
            2 => [a, b, byte, 0],
            3 => [a, b, c, byte],
            _ => return false,
        };
        let len = usize::from(self.len) + 1;
        let character = character.get(..len).unwrap_or_default();
        match str::from_utf8(character) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_none() => {
                // An incomplete character has three bytes at most, so the new byte has a place.
                if let Some(place) = self.carried.get_mut(usize::from(self.len)) {
                    *place = byte;
                }
                self.len += 1;
            }
            Err(_) => {
                self.len = BROKEN;
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
