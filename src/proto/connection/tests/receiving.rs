//! A table of byte vectors. Each is fed whole, byte by byte and in other sizes; events and answers
//! must be the same every time.

use alloc::vec::Vec;

use super::harness::*;
use crate::proto::connection::*;

use Role::{Client, Server};

struct Row(
    /// What it shows.
    &'static str,
    Role,
    /// What comes in, in hex. Frames to a server are masked with the key 0, so that their payload
    /// can be read.
    &'static str,
    /// The events.
    &'static [&'static str],
    /// What goes out, in hex. A violation's Close is cut behind its code.
    &'static str,
);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // 5.7: the examples of the RFC.
    Row("unmasked text", Client, "8105 48656c6c6f", &["text Hello"], ""),
    Row("masked text", Server, "8185 37fa213d 7f9f4d5158", &["text Hello"], ""),
    Row("fragmented text", Client, "0103 48656c 8002 6c6f", &["text Hello"], ""),
    Row("ping", Server, "8985 37fa213d 7f9f4d5158", &["ping Hello"], "8a0548656c6c6f"),
    Row("pong", Server, "8a85 37fa213d 7f9f4d5158", &["pong Hello"], ""),
    Row("empty ping", Server, "8980 00000000", &["ping "], "8a00"),
    Row("binary", Server, "8283 00000000 000102", &["binary 0x000102"], ""),
    Row("empty text", Server, "8180 00000000", &["text "], ""),
    Row("empty binary", Client, "8200", &["binary "], ""),
    Row("several in one read", Server, "8181 00000000 61 8281 00000000 62 8181 00000000 63",
        &["text a", "binary b", "text c"], ""),

    // 5.4: fragments.
    Row("control frames between fragments", Server,
        "0181 00000000 61 8981 00000000 70 0081 00000000 62 8a80 00000000 8081 00000000 63",
        &["ping p", "pong ", "text abc"], "8a0170"),
    Row("empty fragments", Server, "0280 00000000 0080 00000000 8080 00000000", &["binary "], ""),
    Row("empty last fragment", Server, "0182 00000000 6162 8080 00000000", &["text ab"], ""),
    Row("payload in the last fragment only", Server, "0180 00000000 8082 00000000 6162", &["text ab"], ""),
    Row("two messages in fragments", Client, "0101 61 8001 62 0201 63 8001 64", &["text ab", "binary cd"], ""),
    Row("a character split between fragments", Client, "0101 c3 8001 a4", &["text \u{e4}"], ""),
    Row("close between fragments", Server, "0181 00000000 61 8882 00000000 03e8",
        &["closed 1000 "], "880203e8"),
    Row("continuation without a message", Server, "8081 00000000 61", &["failed 1002"], "03ea"),
    Row("continuation after a message", Client, "8101 61 8001 62", &["text a", "failed 1002"], "03ea"),
    Row("text within a fragmented message", Client, "0101 61 8101 62", &["failed 1002"], "03ea"),
    Row("binary within a fragmented message", Client, "0201 61 0201 62", &["failed 1002"], "03ea"),

    // 5.2: heads.
    Row("RSV1", Client, "c101 61", &["failed 1002"], "03ea"),
    Row("RSV2", Client, "a101 61", &["failed 1002"], "03ea"),
    Row("RSV3 on a ping", Client, "9900", &["failed 1002"], "03ea"),
    Row("reserved data opcode", Client, "8300", &["failed 1002"], "03ea"),
    Row("reserved control opcode", Client, "8b00", &["failed 1002"], "03ea"),
    Row("16-bit length too long a form", Client, "827e0001 61", &["failed 1002"], "03ea"),
    Row("64-bit length too long a form", Client, "827f0000000000000001 61", &["failed 1002"], "03ea"),
    Row("most significant bit of the length", Client, "827f8000000000000000", &["failed 1002"], "03ea"),
    Row("unmasked to a server", Server, "8101 61", &["failed 1002"], "03ea"),
    Row("unmasked empty ping to a server", Server, "8900", &["failed 1002"], "03ea"),
    Row("masked to a client", Client, "8181 00000000 61", &["failed 1002"], "03ea"),

    // 5.5: control frames.
    Row("fragmented ping", Client, "0901 61", &["failed 1002"], "03ea"),
    Row("control frame with a 16-bit length", Client, "897e007e", &["failed 1002"], "03ea"),
    Row("close of 126 bytes", Client, "887e007e", &["failed 1002"], "03ea"),
    Row("control frame as continuation is no thing", Client, "0801 03", &["failed 1002"], "03ea"),

    // 5.5.1, 7.4: Close.
    Row("empty close", Server, "8880 00000000", &["closed 1005 "], "8800"),
    Row("close with a code", Server, "8882 00000000 03e9", &["closed 1001 "], "880203e9"),
    Row("close with a reason", Server, "8885 00000000 03e8 627965", &["closed 1000 bye"], "880203e8"),
    Row("close of one byte", Server, "8881 00000000 03", &["failed 1002"], "03ea"),
    Row("close 999", Server, "8882 00000000 03e7", &["failed 1002"], "03ea"),
    Row("close 1004", Server, "8882 00000000 03ec", &["failed 1002"], "03ea"),
    Row("close 1005", Server, "8882 00000000 03ed", &["failed 1002"], "03ea"),
    Row("close 1006", Server, "8882 00000000 03ee", &["failed 1002"], "03ea"),
    Row("close 1014", Server, "8882 00000000 03f6", &["closed 1014 "], "880203f6"),
    Row("close 1015", Server, "8882 00000000 03f7", &["failed 1002"], "03ea"),
    Row("close 2999", Server, "8882 00000000 0bb7", &["failed 1002"], "03ea"),
    Row("close 3000", Server, "8882 00000000 0bb8", &["closed 3000 "], "88020bb8"),
    Row("close 4999", Server, "8882 00000000 1387", &["closed 4999 "], "88021387"),
    Row("close 5000", Server, "8882 00000000 1388", &["failed 1002"], "03ea"),
    Row("close 65535", Server, "8882 00000000 ffff", &["failed 1002"], "03ea"),
    Row("close with a bad reason", Server, "8884 00000000 03e8 c328", &["failed 1007"], "03ef"),
    Row("nothing after a close", Server, "8880 00000000 8181 00000000 61 8980 00000000 ff",
        &["closed 1005 "], "8800"),
    Row("nothing after a violation", Server, "8181 00000000 61 f180 00000000 8181 00000000 62 8880 00000000",
        &["text a", "failed 1002"], "03ea"),

    // 8.1: UTF-8.
    Row("text of two to four bytes a character", Client, "8109 c3a4 e282ac f09f9880",
        &["text \u{e4}\u{20ac}\u{1f600}"], ""),
    Row("bad text", Client, "8102 c328", &["failed 1007"], "03ef"),
    Row("surrogate", Client, "8103 eda080", &["failed 1007"], "03ef"),
    Row("text ends in a character", Client, "8101 c3", &["failed 1007"], "03ef"),
    Row("fragmented text ends in a character", Client, "0101 c3 8000", &["failed 1007"], "03ef"),
    Row("bad in the second fragment", Client, "0101 c3 8001 28", &["failed 1007"], "03ef"),
    Row("bad in the first of more", Client, "0102 c328 8001 61", &["failed 1007"], "03ef"),
    Row("binary is not checked", Client, "8202 c328", &["binary 0xc328"], ""),
];

/// What a server or client writes for this answer; clients mask it.
fn check_answer(name: &str, role: Role, written: &[u8], expected: &str) {
    let plain = match role {
        Server => written.to_vec(),
        Client if written.is_empty() => Vec::new(),
        Client => {
            let mut frame = written.to_vec();
            assert_eq!(frame[1] & 0x80, 0x80, "{name}: clients mask");
            frame[1] &= 0x7f;
            let key: Vec<u8> = frame.drain(2..6).collect();
            for (i, byte) in frame[2..].iter_mut().enumerate() {
                *byte ^= key[i % 4];
            }
            frame
        }
    };
    let mut hex = to_hex(&plain);
    // A violation's Close: its code is compared, its reason only looked at.
    if expected.len() == 4 && plain.first() == Some(&0x88) && plain.len() > 4 {
        assert_eq!(usize::from(plain[1]), plain.len() - 2, "{name}: one Close");
        assert!(core::str::from_utf8(&plain[4..]).is_ok());
        hex = to_hex(&plain[2..4]);
    }
    assert_eq!(hex, expected, "{name}");
}

#[test]
fn events_do_not_depend_on_chunking() {
    for Row(name, role, input, events, answer) in TABLE {
        let input = from_hex(input);
        for size in [input.len(), 1, 2, 3, 5, 7] {
            let mut end = End::new(*role);
            assert_eq!(
                end.feed_by(&input, size),
                *events,
                "{name}, {size} bytes a read"
            );
            check_answer(name, *role, &end.written(), answer);
            let failed = events
                .last()
                .is_some_and(|event| event.starts_with("failed"));
            let closed = events
                .last()
                .is_some_and(|event| event.starts_with("closed"));
            assert_eq!(end.conn.is_finished(), failed || closed, "{name}");
            assert_eq!(end.conn.is_open(), !(failed || closed), "{name}");
            assert_eq!(end.conn.outcome().clean, closed, "{name}");
            assert_eq!(end.conn.outcome().violation.is_some(), failed, "{name}");
        }
    }
}

/// The same rows: in pieces the bytes of each message are those of the whole one.
#[test]
fn pieces_add_up_to_messages() {
    let limits = Limits {
        pieces: true,
        ..LIMITS
    };
    for Row(name, role, input, events, answer) in TABLE {
        let input = from_hex(input);
        for size in [input.len(), 1, 2, 3, 5, 7] {
            let mut end = End::with(*role, limits);
            let mut messages: Vec<(Kind, Vec<u8>)> = Vec::new();
            let mut open: Option<(Kind, Vec<u8>)> = None;
            for chunk in input.chunks(size) {
                let mut chunk = chunk.to_vec();
                let mut at = 0;
                while let Some(event) = end.call(|conn, io| conn.receive(&mut chunk, &mut at, io)) {
                    let Event::Piece {
                        kind,
                        payload,
                        offset,
                        last,
                    } = event
                    else {
                        assert!(!matches!(event, Event::Message { .. }), "{name}");
                        continue;
                    };
                    let (begun, bytes) = open.get_or_insert((kind, Vec::new()));
                    assert_eq!((*begun, bytes.len() as u64), (kind, offset), "{name}");
                    let piece = payload.bytes(&chunk);
                    assert!(last || !piece.is_empty(), "{name}");
                    bytes.extend(piece);
                    if last {
                        messages.extend(open.take());
                    }
                }
            }
            let mut whole = End::new(*role);
            let mut expected = Vec::new();
            let mut all = input.clone();
            let mut at = 0;
            while let Some(event) = whole.call(|conn, io| conn.receive(&mut all, &mut at, io)) {
                if let Event::Message { kind, payload } = event {
                    expected.push((kind, payload.bytes(&all).to_vec()));
                }
            }
            assert_eq!(messages, expected, "{name}, {size} bytes a read");
            assert!(events.len() >= expected.len());
            check_answer(name, *role, &end.written(), answer);
        }
    }
}

#[test]
fn a_whole_frame_is_a_slice_of_the_input() {
    let mut end = End::new(Server);
    let mut input = frame(0x81, Some([1, 2, 3, 4]), b"Hello");
    let mut at = 0;
    let event = end.call(|conn, io| conn.receive(&mut input, &mut at, io));
    let payload = Payload::Input(6..11);
    assert_eq!(
        event,
        Some(Event::Message {
            kind: Kind::Text,
            payload
        })
    );
    assert_eq!((&input[6..], at), (&b"Hello"[..], 11));
}

#[test]
fn a_gathered_message_ends_with_a_nul_that_does_not_count() {
    for (input, split) in [
        (frame(0x81, None, b"Hello"), 4),
        (from_hex("010161 800162"), 3),
    ] {
        let mut end = End::new(Client);
        let (first, second) = input.split_at(split);
        assert!(end.feed(first).is_empty());
        let mut second = second.to_vec();
        let mut at = 0;
        let event = end.call(|conn, io| conn.receive(&mut second, &mut at, io));
        let Some(Event::Message {
            payload: Payload::Gathered(bytes),
            ..
        }) = event
        else {
            panic!("{event:?}");
        };
        assert_eq!(bytes.last(), Some(&0));
        assert!(bytes.len() == 6 || bytes.len() == 3);
    }
}

/// Violations are told as soon as they can be known, not when the frame is complete.
#[test]
fn violations_are_found_early() {
    let early: &[(&str, Role, &str, u16)] = &[
        ("mask bit", Server, "817e", 1002),
        ("mask bit to a client", Client, "81fe", 1002),
        ("reserved bit", Client, "c17f", 1002),
        ("reserved opcode", Client, "837f", 1002),
        ("long ping", Client, "897e", 1002),
        ("orphan", Client, "807e", 1002),
        // Autobahn 6.4: 20 bytes are announced, the 12th can no longer become valid.
        ("text", Client, "8114 cebae1bdb9cf83cebcceb5 f490", 1007),
        (
            "first fragment",
            Client,
            "0114 cebae1bdb9cf83cebcceb5 f490",
            1007,
        ),
        ("size", Client, "827f 0000000000100001", 1009),
    ];
    for pieces in [false, true] {
        for (name, role, input, code) in early {
            let mut end = End::with(*role, Limits { pieces, ..LIMITS });
            let input = from_hex(input);
            let (last, before) = input.split_last().expect("not empty");
            for byte in before {
                let events = end.feed(&[*byte]);
                assert!(!events.iter().any(|e| e.starts_with("failed")), "{name}");
            }
            assert_eq!(
                end.feed(&[*last]),
                [alloc::format!("failed {code}")],
                "{name}"
            );
        }
    }
}

#[test]
fn sizes_are_compared_before_they_are_believed() {
    let lengths = [
        (1u64 << 20) + 1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 5,
        (1 << 63) - 1,
    ];
    for pieces in [false, true] {
        for len in lengths {
            let mut end = End::with(Client, Limits { pieces, ..LIMITS });
            let mut input = Vec::from([0x82, 127]);
            input.extend(len.to_be_bytes());
            assert_eq!(end.feed(&input), ["failed 1009"], "{len}");

            // Behind a fragment the sum counts, and must not wrap.
            let mut end = End::with(Client, Limits { pieces, ..LIMITS });
            end.feed(&from_hex("0201 61"));
            input[0] = 0x80;
            assert_eq!(end.feed(&input), ["failed 1009"], "{len} behind a fragment");
        }
        for len in [1u64 << 63, u64::MAX - 1, u64::MAX] {
            let mut end = End::with(Client, Limits { pieces, ..LIMITS });
            let mut input = Vec::from([0x82, 127]);
            input.extend(len.to_be_bytes());
            assert_eq!(end.feed(&input), ["failed 1002"], "{len}");
        }
    }
}

#[test]
fn the_limit_is_for_the_message_not_the_frame() {
    let limits = Limits {
        max_message: 4,
        ..LIMITS
    };
    for pieces in [false, true] {
        let limits = Limits { pieces, ..limits };
        let fed = |hex| End::with(Client, limits).feed_by(&from_hex(hex), usize::MAX);
        let failed = |hex| fed(hex).contains(&"failed 1009".into());
        assert!(!failed("8204 61626364"));
        assert!(failed("8205 6162636465"));
        assert!(!failed("0203 616263 8001 64"));
        assert!(failed("0203 616263 8002 6465"));
        assert!(!failed("0204 61626364 0000 8000 8204 61626364"));
    }
}

#[test]
fn without_a_limit_any_length_is_begun() {
    let limits = Limits {
        max_message: u64::MAX,
        pieces: true,
        ..LIMITS
    };
    let mut end = End::with(Client, limits);
    let mut input = Vec::from([0x02, 127]);
    input.extend(((1u64 << 63) - 1).to_be_bytes());
    input.extend(b"abc");
    assert_eq!(end.feed(&input), ["piece binary 616263.."]);
    assert_eq!(end.feed(b"de"), ["piece binary 6465.."]);
}

/// A limit that lets all lengths pass still does not let their sum wrap.
#[test]
fn the_sum_of_fragments_does_not_wrap() {
    let limits = Limits {
        max_message: u64::MAX,
        pieces: true,
        ..LIMITS
    };
    let mut end = End::with(Client, limits);
    end.feed(&from_hex("0201 61"));
    // Only the counter can come near the end of u64 without as many bytes.
    end.conn.rare_if_any_mut().expect("in a message").offset = u64::MAX - 1;
    assert_eq!(end.feed(&from_hex("8002")), ["failed 1009"]);
}

#[test]
fn a_missing_randomness_fails_a_client_that_must_answer() {
    let mut end = End::new(Client);
    end.keys.broken = true;
    assert_eq!(end.feed(&from_hex("8900")), ["failed 1011"]);
    assert!(end.conn.is_finished() && !end.conn.close_sent());
    assert_eq!(end.written_hex(), "", "nothing unmasked leaves a client");

    let mut end = End::new(Client);
    end.keys.broken = true;
    assert_eq!(end.feed(&from_hex("880203e8")), ["closed 1000 "]);
    assert_eq!(end.ended(), "unclean 1000 by peer: ");
    assert_eq!(end.written_hex(), "");
}
