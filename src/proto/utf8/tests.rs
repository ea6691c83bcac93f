//! The validator against the standard library's.

use alloc::vec::Vec;
use core::mem::size_of;

use super::*;

/// Where the ranges of bytes that may follow each other end.
const EDGES: [u8; 10] = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];

/// Whether these bytes can still become valid text: the reference, by brute force over std.
fn can_become_valid(bytes: &[u8]) -> bool {
    match str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

fn check(parts: &[&[u8]]) {
    let mut utf8 = Utf8::new();
    let mut so_far = Vec::new();
    for part in parts {
        so_far.extend_from_slice(part);
        let valid = utf8.push(part);
        assert_eq!(valid, can_become_valid(&so_far), "{so_far:02x?}");
        if !valid {
            let repairs: [&[u8]; 3] = [b"\x80", b"\xbf\xbf\xbf", b"a"];
            for repair in repairs {
                assert!(!utf8.push(repair), "it stays invalid: {so_far:02x?}");
            }
            return;
        }
    }
    assert_eq!(
        utf8.finish(),
        str::from_utf8(&so_far).is_ok(),
        "{so_far:02x?}"
    );
    assert!(utf8.push(b"a") && utf8.finish(), "as new after finish");
}

#[test]
fn is_small() {
    assert!(size_of::<Utf8>() <= 4);
}

#[test]
fn all_split_points_of_tricky_text() {
    let tricky: &[&[u8]] = &[
        b"",
        b"Hello",
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(),
        "a\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}z".as_bytes(),
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xce\xba\xf4\x90\x80\x80edited",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd",
        b"abc\xf0\x9f\x98",
        b"\x80",
        b"\xff\xfe",
    ];
    for text in tricky {
        for i in 0..=text.len() {
            for j in i..=text.len() {
                check(&[&text[..i], &text[i..j], &text[j..]]);
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        check(&bytes);
    }
}

#[test]
fn all_sequences_of_up_to_three_bytes() {
    // All of them take half a minute in an emulator; there the ends of ranges must do.
    let third = match std::env::var_os("LIBWS_TEST_SMALL") {
        None => (0..=255).collect::<Vec<u8>>(),
        Some(_) => EDGES.to_vec(),
    };
    for a in 0..=255u8 {
        check(&[&[a]]);
        for b in 0..=255 {
            check(&[&[a], &[b]]);
            // The third byte is only of interest behind a lead byte.
            if a < 0xc0 {
                continue;
            }
            for &c in &third {
                check(&[&[a], &[b], &[c]]);
                check(&[&[a, b], &[c]]);
            }
        }
    }
}

#[test]
fn four_bytes_at_the_edges() {
    for a in 0xf0..=0xff {
        for b in EDGES {
            for c in EDGES {
                for d in EDGES {
                    check(&[&[a], &[b], &[c], &[d]]);
                    check(&[&[a, b, c], &[d]]);
                    check(&[&[a], &[b, c, d, b'x']]);
                }
            }
        }
    }
}

#[test]
fn fails_at_the_first_byte_that_spoils_it() {
    // Autobahn 6.4.x: the byte 0x90 behind 0xf4 is beyond U+10FFFF.
    let mut utf8 = Utf8::new();
    assert!(utf8.push(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4"));
    assert!(!utf8.push(b"\x90"));
}
