//! Masking (RFC 6455 section 5.3): XOR with a 4-byte key, the same both ways.
//!
//! Written so that the compiler turns it into wide loads, XORs and stores for any alignment,
//! without intrinsics. Keys are made elsewhere.

use alloc::vec::Vec;

/// Bytes per turn of the main loop: a few vector registers, or four words on a small CPU.
const BLOCK: usize = 32;

/// Bytes that are copied and masked in one go: within the first-level cache.
const STRETCH: usize = 4096;

/// Masks or unmasks `data` in place. Returns the key for the bytes that follow.
pub fn apply(data: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    let mut next = key;
    next.rotate_left(data.len() % 4);

    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut blocks = data.chunks_exact_mut(BLOCK);
    for block in &mut blocks {
        xor_words(block, wide);
    }
    let rest = blocks.into_remainder();
    let words = rest.len() & !7;
    let (words, tail) = rest.split_at_mut(words);
    xor_words(words, wide);
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c, d]) {
        *byte ^= key;
    }
    next
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

#[inline(always)]
fn xor_words(bytes: &mut [u8], wide: u64) {
    for word in bytes.chunks_exact_mut(8) {
        if let Some(word) = word.first_chunk_mut::<8>() {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
}

#[cfg(test)]
mod tests;
