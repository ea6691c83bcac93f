//! Masking (RFC 6455 section 5.3): XOR with a 4-byte key, the same both ways.
//!
//! Written so that the compiler turns it into wide loads, XORs and stores for any alignment,
//! without intrinsics. Keys are made elsewhere.

use alloc::vec::Vec;

/// Bytes per turn of the main loop: a few vector registers, or four words on a small CPU.
const BLOCK: usize = 32;

/// Bytes that are copied and masked in one go: within the first-level cache.
const STRETCH: usize = 4096;

/// What `apply` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmasked {
    /// The key for the bytes that follow.
    pub next: [u8; 4],
    /// The bytes are ASCII now, so that a text need not be looked at once more.
    pub ascii: bool,
}

/// Masks or unmasks `data` in place.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4]) -> Unmasked {
    let mut next = key;
    next.rotate_left(data.len() % 4);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (blocks, rest) = data.split_at_mut(data.len() & !(BLOCK - 1));
    let mut seen = 0;
    if !blocks.is_empty() {
        seen = apply_blocks(blocks, wide);
    }
    let (words, tail) = rest.split_at_mut(rest.len() & !7);
    for word in words.chunks_exact_mut(8) {
        if let Some(word) = word.first_chunk_mut::<8>() {
            let plain = u64::from_ne_bytes(*word) ^ wide;
            *word = plain.to_ne_bytes();
            seen |= plain;
        }
    }
    let (half, tail) = tail.split_at_mut(tail.len() & 4);
    if let Some(half) = half.first_chunk_mut::<4>() {
        let plain = u32::from_ne_bytes(*half) ^ u32::from_ne_bytes(key);
        *half = plain.to_ne_bytes();
        seen |= u64::from(plain);
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    Unmasked {
        next,
        ascii: seen & HIGH_BITS == 0,
    }
}

/// The bits that no ASCII byte has.
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whole blocks, in a function of its own that the compiler makes wide. Returns all words, ORed.
#[inline(never)]
fn apply_blocks(data: &mut [u8], wide: u64) -> u64 {
    let mut seen = [0u64; BLOCK / 8];
    for block in data.chunks_exact_mut(BLOCK) {
        for (word, seen) in block.chunks_exact_mut(8).zip(&mut seen) {
            if let Some(word) = word.first_chunk_mut::<8>() {
                let plain = u64::from_ne_bytes(*word) ^ wide;
                *word = plain.to_ne_bytes();
                *seen |= plain;
            }
        }
    }
    seen.iter().fold(0, |all, word| all | word)
}

/// Appends a masked copy of `data`. The caller has reserved the capacity.
pub fn append(out: &mut Vec<u8>, data: &[u8], key: [u8; 4]) {
    // A multiple of four, so that each stretch begins with the first byte of the key.
    for stretch in data.chunks(STRETCH) {
        let start = out.len();
        out.extend_from_slice(stretch);
        apply(out.get_mut(start..).unwrap_or_default(), key);
    }
}

#[cfg(test)]
mod tests;
