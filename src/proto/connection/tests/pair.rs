//! A client and a server joined in memory.

use super::harness::*;
use crate::proto::connection::*;

use Kind::{Binary, Text};

#[test]
fn echo() {
    let mut pair = Pair::new();
    for len in [0, 1, 125, 126, 127, 4096, 65535, 65536, 200_000] {
        let text = "x".repeat(len);
        pair.client.send(Text, text.as_bytes()).expect("open");
        let (_, server) = pair.carry();
        assert_eq!(server, [alloc::format!("text {text}")]);
        pair.server.send(Binary, text.as_bytes()).expect("open");
        let (client, _) = pair.carry();
        assert_eq!(client, [alloc::format!("binary {text}")]);
    }
}

/// The transport may cut anywhere.
#[test]
fn whatever_the_cuts_the_bytes_arrive() {
    let text = "\u{e4}\u{20ac}\u{1f600}z".repeat(50);
    for size in 1..40 {
        let mut pair = Pair::new();
        pair.client.send(Text, text.as_bytes()).expect("open");
        pair.client
            .call(|conn, io| conn.ping(b"still there?", io))
            .expect("open");
        pair.client.send(Binary, b"").expect("open");
        pair.client.close(Some(1000), "done").expect("open");
        let bytes = pair.client.written();
        let events = pair.server.feed_by(&bytes, size);
        // The Pong comes after the client's Close and is discarded.
        let text = alloc::format!("text {text}");
        assert_eq!(
            events,
            [&text, "ping still there?", "binary ", "closed 1000 done"]
        );
        assert_eq!(pair.carry().0, ["closed 1000 "]);
    }
}

#[test]
fn fragments_with_a_ping_between() {
    let mut pair = Pair::new();
    for (data, fin) in [("He", false), ("", false), ("llo", true)] {
        pair.client
            .call(|conn, io| conn.send_fragment(Text, data.as_bytes(), fin, false, io))
            .expect("open");
        pair.client
            .call(|conn, io| conn.ping(b"", io))
            .expect("open");
    }
    let (client, server) = pair.carry();
    assert_eq!(server, ["ping ", "ping ", "text Hello", "ping "]);
    assert_eq!(client, ["pong ", "pong ", "pong "]);
}

#[test]
fn an_unsolicited_pong_is_not_answered() {
    let mut pair = Pair::new();
    pair.server
        .call(|conn, io| conn.pong(b"alive", io))
        .expect("open");
    let (client, server) = pair.carry();
    assert_eq!(client, ["pong alive"]);
    assert!(server.is_empty());
}

#[test]
fn the_client_closes() {
    let mut pair = Pair::new();
    pair.client.close(Some(1000), "bye").expect("open");
    assert!(pair.client.conn.close_sent() && !pair.client.conn.close_received());
    assert!(!pair.client.conn.is_open() && !pair.client.conn.is_finished());
    let (client, server) = pair.carry();
    assert_eq!(server, ["closed 1000 bye"]);
    assert_eq!(client, ["closed 1000 "]);
    assert!(pair.client.conn.is_finished() && pair.server.conn.is_finished());
    assert!(pair.client.conn.close_received() && pair.server.conn.close_sent());
    assert_eq!(pair.client.ended(), "clean 1000 by us: ");
    assert_eq!(pair.server.ended(), "clean 1000 by peer: bye");
}

#[test]
fn the_server_closes_without_a_code() {
    let mut pair = Pair::new();
    pair.server.close(None, "").expect("open");
    let (client, server) = pair.carry();
    assert_eq!(
        (client, server),
        (
            ["closed 1005 ".into()].into(),
            ["closed 1005 ".into()].into()
        )
    );
    assert_eq!(pair.server.ended(), "clean 1005 by us: ");
    assert_eq!(pair.client.ended(), "clean 1005 by peer: ");
}

#[test]
fn closes_that_cross() {
    let mut pair = Pair::new();
    pair.client.close(Some(1001), "leaving").expect("open");
    pair.server.close(Some(1012), "restart").expect("open");
    let (client, server) = pair.carry();
    assert_eq!(client, ["closed 1012 restart"]);
    assert_eq!(server, ["closed 1001 leaving"]);
    // One Close each, none answered twice; each side started it as far as it knows.
    assert_eq!(pair.client.ended(), "clean 1012 by us: restart");
    assert_eq!(pair.server.ended(), "clean 1001 by us: leaving");
}

#[test]
fn data_after_our_close_is_discarded_until_theirs() {
    for pieces in [false, true] {
        let mut pair = Pair::new();
        pair.server.limits.pieces = pieces;
        pair.server.limits.max_message = 1000;
        pair.client.send(Text, b"before").expect("open");
        pair.client
            .call(|conn, io| conn.send_fragment(Text, b"half", false, false, io))
            .expect("open");
        let before = pair.client.written();
        assert!(!pair.server.feed(&before).is_empty());
        pair.server.close(Some(1000), "").expect("open");

        // The client does not know yet: the rest of the message, one too big, a Ping.
        pair.client
            .call(|conn, io| conn.send_fragment(Text, b"rest", true, false, io))
            .expect("open");
        pair.client.send(Binary, &[0; 5000]).expect("open");
        pair.client
            .call(|conn, io| conn.ping(b"?", io))
            .expect("open");
        let after = pair.client.written();
        assert!(pair.server.feed_by(&after, 7).is_empty());
        let (client, server) = pair.carry();
        assert_eq!(client, ["closed 1000 "]);
        assert_eq!(server, ["closed 1000 "]);
        assert_eq!(pair.server.ended(), "clean 1000 by us: ");
    }
}

/// Our Close falls into the middle of the peer's frames, also of a control frame.
#[test]
fn closing_within_a_frame_of_the_peer() {
    let key = Some([9, 8, 7, 6]);
    for first in [0x81, 0x82, 0x89, 0x8a, 0x88] {
        let payload: &[u8] = if first == 0x88 {
            b"\x03\xe8bye"
        } else {
            b"12345"
        };
        let interrupted = frame(first, key, payload);
        for cut in 0..interrupted.len() {
            let mut end = End::new(Role::Server);
            let (before, after) = interrupted.split_at(cut);
            assert!(end.feed(before).is_empty());
            end.close(Some(1001), "").expect("open");
            let mut rest = after.to_vec();
            rest.extend(frame(0x88, key, b"\x0b\xb8own"));
            let expected = if first == 0x88 {
                "closed 1000 bye"
            } else {
                "closed 3000 own"
            };
            for size in [rest.len(), 1] {
                let mut end = End::new(Role::Server);
                end.feed(before);
                end.close(Some(1001), "").expect("open");
                assert_eq!(
                    end.feed_by(&rest, size),
                    [expected],
                    "{first:x} cut at {cut}"
                );
                assert_eq!(end.written_hex(), "880203e9");
            }
        }
    }
}

#[test]
fn a_violation_after_our_close_still_ends_it() {
    let mut end = End::new(Role::Client);
    end.close(Some(1000), "").expect("open");
    end.written();
    assert_eq!(end.feed(&from_hex("8300")), ["failed 1002"]);
    assert!(end.conn.is_finished() && end.out.is_empty());
    assert_eq!(end.ended(), "unclean 1002 by us: reserved opcode");
}

#[test]
fn the_loss_of_the_transport() {
    let mut end = End::new(Role::Client);
    end.conn.lost();
    assert_eq!(
        end.ended(),
        "unclean 1006 by peer: no Close frame before the end"
    );
    assert!(!end.conn.is_open());
    assert_eq!(end.deadline(), None);
    assert_eq!(end.send(Text, b"x"), Err(SendError::Closed));
    assert!(end.feed(&from_hex("8100")).is_empty());

    let mut end = End::new(Role::Client);
    end.close(Some(1000), "").expect("open");
    end.conn.lost();
    assert_eq!(
        end.ended(),
        "unclean 1006 by us: no Close frame before the end"
    );

    // After the closing handshake it is how things should end.
    let mut end = End::new(Role::Client);
    end.feed(&from_hex("880203e8"));
    end.conn.lost();
    assert_eq!(end.ended(), "clean 1000 by peer: ");
}
