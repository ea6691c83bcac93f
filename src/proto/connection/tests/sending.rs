//! What sending puts into the outbox, and what it refuses.

use alloc::vec::Vec;

use super::harness::*;
use crate::proto::connection::*;

use Kind::{Binary, Text};
use Role::{Client, Server};

#[test]
fn messages_are_one_frame() {
    let mut end = End::new(Server);
    end.send(Text, b"Hello").expect("open");
    end.send(Binary, b"").expect("open");
    assert_eq!(end.written_hex(), "810548656c6c6f8200");
    end.send(Binary, &[7; 126]).expect("open");
    assert_eq!(&end.written()[..4], from_hex("827e007e"));
    end.send(Binary, &[7; 65536]).expect("open");
    assert_eq!(&end.written()[..10], from_hex("827f0000000000010000"));
}

#[test]
fn the_head_alone_is_the_one_that_send_writes() {
    for len in [0, 1, 125, 126, 65535, 65536] {
        let data: Vec<u8> = core::iter::repeat_n(b'x', len).collect();
        let mut end = End::new(Server);
        let head = end.conn.message_head(Text, &data).expect("open");
        assert!(end.out.is_empty());
        end.send(Text, &data).expect("open");
        assert_eq!([&head, &data[..]].concat(), end.written());
    }
    let mut end = End::new(Server);
    let refused = |result: Result<_, SendError>| result.map(|_| ()).unwrap_err();
    assert_eq!(
        refused(end.conn.message_head(Text, b"\xff")),
        SendError::Utf8
    );
    end.close(None, "").expect("open");
    assert_eq!(refused(end.conn.message_head(Text, b"")), SendError::Closed);
    let mut end = End::new(Client);
    let error = refused(end.conn.message_head(Text, b""));
    assert_eq!(error, SendError::NoRandomness);
}

#[test]
fn a_client_masks_each_frame_with_a_fresh_key() {
    let mut end = End::new(Client);
    let mut keys = Vec::new();
    for _ in 0..100 {
        end.send(Text, b"Hello").expect("open");
        let bytes = end.written();
        assert_eq!(bytes[..2], [0x81, 0x85]);
        let key = [bytes[2], bytes[3], bytes[4], bytes[5]];
        assert_eq!(bytes, frame(0x81, Some(key), b"Hello"));
        assert!(!keys.contains(&key));
        keys.push(key);
    }
    end.keys.broken = true;
    assert_eq!(end.send(Text, b"Hello"), Err(SendError::NoRandomness));
    assert!(end.out.is_empty());
}

#[test]
fn text_must_be_text() {
    let mut end = End::new(Server);
    assert_eq!(end.send(Text, b"\xc3"), Err(SendError::Utf8));
    assert_eq!(end.send(Binary, b"\xc3"), Ok(()));
    assert_eq!(end.written_hex(), "8201c3");
}

#[test]
fn fragments() {
    let mut end = End::new(Server);
    let mut send = |kind, data: &[u8], fin| {
        let result = end.call(|conn, io| conn.send_fragment(kind, data, fin, false, io));
        (result, end.written_hex())
    };
    let ok = |hex: &str| (Ok(()), hex.into());
    assert_eq!(send(Text, b"a\xc3", false), ok("010261c3"));
    assert_eq!(send(Text, b"", false), ok("0000"));
    // What is refused leaves the message as it was.
    assert_eq!(send(Text, b"\x28", true), (Err(SendError::Utf8), "".into()));
    assert_eq!(send(Text, b"", true), (Err(SendError::Utf8), "".into()));
    assert_eq!(
        send(Binary, b"", true),
        (Err(SendError::Fragmented), "".into())
    );
    assert_eq!(send(Text, b"\xa4", true), ok("8001a4"));
    assert_eq!(send(Binary, b"\xff", true), ok("8201ff"));
}

#[test]
fn the_head_of_a_fragment_alone_is_the_one_that_is_sent() {
    let parts: [(&[u8], bool, &str); 4] = [
        (b"a\xe2\x82", false, "0103"),
        (b"", false, "0000"),
        (b"\xac", true, "8001"),
        (b"whole", true, "8105"),
    ];
    let mut end = End::new(Server);
    for (data, fin, head) in parts {
        let made = end.call(|conn, io| conn.fragment_head(Text, data, fin, io.pool));
        let (made, fragment) = made.expect("open");
        assert_eq!(made[..], from_hex(head));
        // Not until it is sent does anything follow from it.
        let again = end.call(|conn, io| conn.fragment_head(Text, data, fin, io.pool));
        assert_eq!(again.expect("open").0[..], from_hex(head));
        end.call(|conn, io| conn.fragment_sent(fragment, io.pool));
    }
    assert!(end.out.is_empty());
    let refused = end.call(|conn, io| conn.fragment_head(Text, b"\xff", false, io.pool));
    assert_eq!(refused.map(|_| ()).unwrap_err(), SendError::Utf8);
    let mut end = End::new(Client);
    let refused = end.call(|conn, io| conn.fragment_head(Text, b"", true, io.pool));
    assert_eq!(refused.map(|_| ()).unwrap_err(), SendError::NoRandomness);
}

#[test]
fn a_refused_first_fragment_starts_nothing() {
    let mut end = End::new(Client);
    end.keys.broken = true;
    let refused = end.call(|conn, io| conn.send_fragment(Text, b"\xc3", false, false, io));
    assert_eq!(refused, Err(SendError::NoRandomness));
    end.keys.broken = false;
    assert_eq!(end.send(Text, b"whole"), Ok(()));
}

#[test]
fn between_fragments_only_control_frames() {
    let mut end = End::new(Server);
    end.call(|conn, io| conn.send_fragment(Binary, b"a", false, false, io))
        .expect("open");
    assert_eq!(end.send(Text, b"x"), Err(SendError::Fragmented));
    assert_eq!(end.conn.ready(), Err(SendError::Fragmented));
    assert_eq!(
        end.conn.message_head(Text, b"x").map(|_| ()),
        Err(SendError::Fragmented)
    );
    end.call(|conn, io| conn.ping(b"p", io)).expect("open");
    end.call(|conn, io| conn.pong(b"q", io)).expect("open");
    end.call(|conn, io| conn.send_fragment(Binary, b"b", true, false, io))
        .expect("open");
    assert_eq!(end.conn.ready(), Ok(()));
    assert_eq!(
        end.written_hex(),
        "020161 890170 8a0171 800162".replace(' ', "")
    );
}

#[test]
fn control_payloads_are_bounded() {
    let mut end = End::new(Server);
    let too_big = Err(SendError::TooBig);
    assert_eq!(end.call(|conn, io| conn.ping(&[0; 126], io)), too_big);
    assert_eq!(end.call(|conn, io| conn.pong(&[0; 126], io)), too_big);
    assert_eq!(end.close(Some(1000), &"x".repeat(124)), too_big);
    assert!(end.out.is_empty() && end.conn.is_open());
    assert_eq!(end.call(|conn, io| conn.ping(&[0; 125], io)), Ok(()));
    assert_eq!(end.close(Some(1000), &"x".repeat(123)), Ok(()));
    assert_eq!(end.out.len(), 127 + 127);
}

#[test]
fn close_codes_are_checked() {
    for code in 0..=u16::MAX {
        let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let mut end = End::new(Server);
        let expected = if sendable {
            Ok(())
        } else {
            Err(SendError::Code)
        };
        assert_eq!(end.close(Some(code), ""), expected, "{code}");
        assert_eq!(end.conn.is_open(), !sendable);
    }
    let mut end = End::new(Server);
    assert_eq!(
        end.close(None, "a reason needs a code"),
        Err(SendError::Code)
    );
}

#[test]
fn nothing_is_sent_after_a_close() {
    let mut end = End::new(Server);
    end.close(Some(1000), "bye").expect("open");
    assert_eq!(end.written_hex(), "880503e8627965");
    let closed = Err(SendError::Closed);
    assert_eq!(end.send(Text, b"x"), closed);
    assert_eq!(
        end.call(|conn, io| conn.send_fragment(Text, b"x", true, false, io)),
        closed
    );
    assert_eq!(end.call(|conn, io| conn.ping(b"", io)), closed);
    assert_eq!(end.call(|conn, io| conn.pong(b"", io)), closed);
    assert_eq!(end.close(Some(1000), ""), closed);
    assert_eq!(end.conn.ready(), closed);
    end.call(|conn, io| conn.drained(io));
    assert!(end.feed(&frame(0x89, Some([0; 4]), b"ping")).is_empty());
    assert!(end.out.is_empty());
    end.call(|conn, io| conn.fail(Violation::TooBig, io));
    assert!(end.out.is_empty(), "one Close only");
    assert_eq!(end.ended(), "unclean 1009 by us: message too big");
}

#[test]
fn failing_says_why_once() {
    let mut end = End::new(Server);
    end.call(|conn, io| conn.fail(Violation::NoMemory, io));
    let bytes = end.written();
    assert_eq!(bytes[..4], [0x88, 15, 0x03, 0xf3]);
    assert_eq!(&bytes[4..], b"out of memory");

    // A second one changes nothing.
    end.call(|conn, io| conn.fail(Violation::TooBig, io));
    assert!(end.out.is_empty());
    assert_eq!(end.conn.outcome().code, 1011);
}
