//! Heads: every length form, both ways, and what a head alone gives away.

use super::*;

fn head(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, len: u64) -> Header {
    Header {
        fin,
        rsv: 0,
        opcode,
        mask,
        len,
    }
}

#[test]
fn encoded_heads_parse_back() {
    let lengths = [
        0,
        1,
        125,
        126,
        127,
        0xffff,
        0x1_0000,
        (1 << 31) - 1,
        1 << 32,
        u64::MAX >> 1,
    ];
    for len in lengths {
        for mask in [None, Some([1, 2, 3, 4])] {
            for opcode in [Opcode::Continuation, Opcode::Text, Opcode::Binary] {
                for fin in [false, true] {
                    let header = head(fin, opcode, mask, len);
                    let encoded = header.encode();
                    assert_eq!(Header::parse(&encoded), Ok(Some((header, encoded.len()))));
                    for cut in 0..encoded.len() {
                        assert_eq!(
                            Header::parse(&encoded[..cut]),
                            Ok(None),
                            "{len} cut at {cut}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn lengths_are_encoded_in_their_shortest_form() {
    for (len, expected) in [(125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
        assert_eq!(head(true, Opcode::Text, None, len).encode().len(), expected);
    }
    let longest = head(true, Opcode::Text, Some([0; 4]), 1 << 40).encode();
    assert_eq!(longest.len(), MAX_HEAD);
}

#[test]
fn heads_seen_on_real_wires() {
    // Captures by authors of hand-written C servers.
    let key = Some([0x3a, 0xd2, 0xf4, 0x7c]);
    assert_eq!(
        Header::parse(&[0x81, 0xfe, 0x00, 0xa3, 0x3a, 0xd2, 0xf4, 0x7c]),
        Ok(Some((head(true, Opcode::Text, key, 163), 8)))
    );
    assert_eq!(
        Header::parse(&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0x3a, 0xd2, 0xf4, 0x7c]),
        Ok(Some((head(true, Opcode::Text, key, 65536), 14)))
    );
}

#[test]
fn bad_heads_are_refused() {
    let refused: &[&[u8]] = &[
        &[0x83, 0x00],                               // reserved data opcode
        &[0x8b, 0x00],                               // reserved control opcode
        &[0x09, 0x00],                               // fragmented Ping
        &[0x89, 0x7e],                               // Ping with a 16-bit length
        &[0x88, 0x7f],                               // Close with a 64-bit length
        &[0x82, 0x7e, 0x00, 0x7d],                   // 125 in 16 bits
        &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], // 65535 in 64 bits
        &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0],    // the most significant bit
        &[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in refused {
        let violation = Header::parse(bytes).expect_err("this head is refused");
        assert_eq!(violation.code(), 1002, "{bytes:02x?}");
    }
}

#[test]
fn opcodes_are_known_or_reserved() {
    for value in 0..=255 {
        match Opcode::from_u8(value) {
            Some(opcode) => assert_eq!(opcode as u8, value),
            None => assert!(!matches!(value, 0..=2 | 8..=10)),
        }
    }
}
