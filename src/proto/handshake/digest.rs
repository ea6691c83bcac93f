//! SHA-1 and base64, as far as a handshake needs them.

use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};

/// SHA-1 of the parts, one after the other.
pub(super) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    sha1.finalize().into()
}

/// Fills `out`, which has four digits for every three bytes or part of them.
pub(crate) fn base64(bytes: &[u8], out: &mut [u8]) {
    // It fits, as the caller has seen to it.
    let _ = Base64::encode(bytes, out);
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/')
}

/// Are these 16 bytes in base64? They leave four bits over in the last digit. Clients that fill the key with random letters
/// leave them set, and RFC 4648 3.5 lets a decoder be calm.
pub(super) fn is_base64_of_16_bytes(text: &[u8]) -> bool {
    match text {
        // All of them are looked at, so that it can be done side by side.
        [digits @ .., b'=', b'='] => <[u8; 22]>::try_from(digits)
            .is_ok_and(|digits| digits.into_iter().fold(true, |all, d| all & is_digit(d))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_sixteen_bytes_in_base64() {
        assert!(is_base64_of_16_bytes(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_base64_of_16_bytes(b"dGhlIHNhbXBsZSBub25jZ/=="));
        for bad in [
            "dGhlIHNhbXBsZS#ub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBsZSBub25jZQAA==",
            "==",
            "",
        ] {
            assert!(!is_base64_of_16_bytes(bad.as_bytes()), "{bad}");
        }
    }
}
