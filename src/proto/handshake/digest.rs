//! SHA-1 and base64, as far as a handshake needs them.
//!
//! Neither keeps anything secret here: they show that the peer has read the key (RFC 6455 1.3). So they are written for
//! few bytes of code, of which the crates for them take twelve times as many; the tests compare with those.

/// SHA-1 of the parts, one after the other: FIPS 180-4 section 6.1.
pub(super) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut sha1 = Sha1 {
        state: [
            0x6745_2301,
            0xefcd_ab89,
            0x98ba_dcfe,
            0x1032_5476,
            0xc3d2_e1f0,
        ],
        block: [0; 64],
        len: 0,
    };
    for &byte in parts.iter().copied().flatten() {
        sha1.push(byte);
    }
    // 5.1.1: a one bit, zeros, and the length in bits at the end of a block.
    let bits = (sha1.len as u64).wrapping_mul(8);
    sha1.push(0x80);
    while sha1.len % 64 != 56 {
        sha1.push(0);
    }
    for byte in bits.to_be_bytes() {
        sha1.push(byte);
    }
    let mut hash = [0; 20];
    for (to, word) in hash.chunks_exact_mut(4).zip(sha1.state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

struct Sha1 {
    state: [u32; 5],
    block: [u8; 64],
    len: usize,
}

impl Sha1 {
    fn push(&mut self, byte: u8) {
        self.block[self.len % 64] = byte;
        self.len = self.len.wrapping_add(1);
        if self.len % 64 == 0 {
            compress(&mut self.state, &self.block);
        }
    }
}

fn compress(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut schedule = [0_u32; 80];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |w, &b| w << 8 | u32::from(b));
    }
    for t in 16..schedule.len() {
        let mixed = schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16];
        schedule[t] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (t, word) in schedule.into_iter().enumerate() {
        let (f, k) = match t {
            0..20 => (b & c | !b & d, 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc_u32),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = [a.rotate_left(5), f, e, k, word];
        let next = next.into_iter().fold(0, u32::wrapping_add);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (to, from) in state.iter_mut().zip([a, b, c, d, e]) {
        *to = to.wrapping_add(from);
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 section 4. Fills `out`, which has four digits for every three bytes or part of them.
pub(super) fn base64(bytes: &[u8], out: &mut [u8]) {
    for (three, four) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let bits = (0..3).fold(0, |n, at| {
            n << 8 | usize::from(*three.get(at).unwrap_or(&0))
        });
        for (at, digit) in four.iter_mut().enumerate() {
            *digit = match at <= three.len() {
                true => DIGITS[bits >> (18 - 6 * at) & 63],
                false => b'=',
            };
        }
    }
}

/// Are these 16 bytes in base64? They leave four bits over in the last digit. Clients that fill the key with random letters
/// leave them set, and RFC 4648 3.5 lets a decoder be calm.
pub(super) fn is_base64_of_16_bytes(text: &[u8]) -> bool {
    match text {
        [digits @ .., b'=', b'='] => {
            digits.len() == 22 && digits.iter().all(|digit| DIGITS.contains(digit))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::base64::engine::general_purpose::STANDARD;
    use ::base64::Engine;
    use ::sha1::Digest;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn as_the_crates_do_it() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| ((n * n) >> 3) as u8).collect();
        for len in 0..bytes.len() {
            let bytes = &bytes[..len];
            let (first, second) = bytes.split_at(len / 3);
            let expected: [u8; 20] = ::sha1::Sha1::digest(bytes).into();
            assert_eq!(sha1(&[first, second]), expected, "{len} bytes");
            let mut text = vec![0; len.div_ceil(3) * 4];
            base64(bytes, &mut text);
            assert_eq!(text, STANDARD.encode(bytes).as_bytes());
            assert_eq!(is_base64_of_16_bytes(&text), len == 16);
        }
        assert!(!is_base64_of_16_bytes(b"dGhlIHNhbXBsZS#ub25jZQ=="));
        assert!(is_base64_of_16_bytes(b"dGhlIHNhbXBsZSBub25jZ/=="));
    }
}
