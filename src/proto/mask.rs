//! Masking (RFC 6455 section 5.3): XOR with a 4-byte key, the same both ways.
//!
//! Written so that the compiler turns it into wide loads, XORs and stores for any alignment,
//! without intrinsics. Keys are made elsewhere.

use alloc::vec::Vec;

/// Bytes per turn of the main loop: a few vector registers, or four words on a small CPU.
const BLOCK: usize = 64;

/// Bytes that are copied and masked in one go: within the first-level cache.
const STRETCH: usize = 4096;

/// What `apply` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmasked {
    /// The key for the bytes that follow.
    pub next: [u8; 4],
    /// The bytes are ASCII now, so that a text need not be looked at once more. Only where that was asked for.
    pub ascii: bool,
}

/// Masks or unmasks `data` in place. `look`: whether it is of interest that it is ASCII now.
pub fn apply(data: &mut [u8], key: [u8; 4], look: bool) -> Unmasked {
    let turn = 8 * (data.len() % 4) as u32;
    let ascii = match look {
        true => apply_long::<true>(data, key),
        false => {
            apply_long::<false>(data, key);
            false
        }
    };
    let next = u32::from_le_bytes(key).rotate_right(turn).to_le_bytes();
    Unmasked { next, ascii }
}

/// The same where the next key is of no interest. Returns whether the bytes are ASCII now.
#[inline]
pub fn apply_text(data: &mut [u8], key: [u8; 4]) -> bool {
    if data.len() < 2 * BLOCK {
        apply_short(data, key)
    } else {
        apply_long::<true>(data, key)
    }
}

/// The same where that is of no interest either.
#[inline]
pub fn apply_binary(data: &mut [u8], key: [u8; 4]) {
    if data.len() < 2 * BLOCK {
        apply_short(data, key);
    } else {
        apply_long::<false>(data, key);
    }
}

/// With `LOOK` it returns whether the bytes are ASCII now.
#[inline(never)]
fn apply_long<const LOOK: bool>(data: &mut [u8], key: [u8; 4]) -> bool {
    let (blocks, rest) = data.split_at_mut(data.len() & !(BLOCK - 1));
    let seen = apply_blocks::<LOOK>(blocks, key);
    (rest.is_empty() || apply_short(rest, key)) && seen & HIGH_BITS == 0
}

/// The same for a few bytes, without what makes it fast for many. Returns whether they are ASCII
/// now.
///
/// Words of one size, the last of which overlaps the one before it: its bytes are read before they
/// are masked by that, and get the same values again.
#[inline]
fn apply_short(data: &mut [u8], key: [u8; 4]) -> bool {
    let len = data.len();
    let key = u32::from_ne_bytes(key);
    // The key as it stands `len` bytes further.
    let turned = u32::from_le(key.to_le().rotate_right(8 * (len % 4) as u32));
    if let Some(last) = data.last_chunk::<16>() {
        let last = u128::from_ne_bytes(*last) ^ four_times(turned);
        let wide = four_times(key);
        let mut seen = last;
        let mut rest = &mut *data;
        // Up to 32 bytes the first word is all that the last has left.
        while let Some((word, after)) = rest.split_first_chunk_mut::<16>() {
            let plain = u128::from_ne_bytes(*word) ^ wide;
            *word = plain.to_ne_bytes();
            seen |= plain;
            if len <= 32 {
                break;
            }
            rest = after;
        }
        if let Some(place) = data.last_chunk_mut() {
            *place = last.to_ne_bytes();
        }
        return (seen as u64 | (seen >> 64) as u64) & HIGH_BITS == 0;
    }
    if let Some(last) = data.last_chunk::<8>() {
        let last = u64::from_ne_bytes(*last) ^ twice(turned);
        let mut seen = last;
        if let Some(first) = data.first_chunk_mut::<8>() {
            let plain = u64::from_ne_bytes(*first) ^ twice(key);
            *first = plain.to_ne_bytes();
            seen |= plain;
        }
        if let Some(place) = data.last_chunk_mut() {
            *place = last.to_ne_bytes();
        }
        return seen & HIGH_BITS == 0;
    }
    let mut seen = 0;
    for (byte, key) in data.iter_mut().zip(twice(key).to_ne_bytes()) {
        *byte ^= key;
        seen |= *byte;
    }
    seen < 0x80
}

fn four_times(key: u32) -> u128 {
    u128::from(twice(key)) << 64 | u128::from(twice(key))
}

fn twice(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

/// The bits that no ASCII byte has.
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whole blocks, which the compiler makes wide. With `LOOK` it returns all words, ORed.
#[inline]
fn apply_blocks<const LOOK: bool>(data: &mut [u8], key: [u8; 4]) -> u64 {
    let wide = twice(u32::from_ne_bytes(key));
    let mut seen = 0;
    if LOOK {
        for word in data.chunks_exact_mut(8) {
            if let Some(word) = word.first_chunk_mut::<8>() {
                let plain = u64::from_ne_bytes(*word) ^ wide;
                *word = plain.to_ne_bytes();
                seen |= plain;
            }
        }
    } else {
        for block in data.chunks_exact_mut(BLOCK) {
            for word in block.chunks_exact_mut(8) {
                if let Some(word) = word.first_chunk_mut::<8>() {
                    *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
                }
            }
        }
    }
    seen
}

/// Appends a masked copy of `data`. The caller has reserved the capacity.
pub fn append(out: &mut Vec<u8>, data: &[u8], key: [u8; 4]) {
    // A multiple of four, so that each stretch begins with the first byte of the key.
    for stretch in data.chunks(STRETCH) {
        let start = out.len();
        out.extend_from_slice(stretch);
        apply_binary(out.get_mut(start..).unwrap_or_default(), key);
    }
}

#[cfg(test)]
mod tests;
