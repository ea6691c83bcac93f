//! Peers that send much and read nothing: memory stays bounded, nothing slows down.

use alloc::vec::Vec;

use super::harness::*;
use crate::proto::connection::*;

use Role::{Client, Server};

#[test]
fn many_empty_fragments() {
    let mut end = End::new(Client);
    assert!(end.feed(&from_hex("0200")).is_empty());
    let many = [0x00, 0x00].repeat(1000);
    for _ in 0..200 {
        assert!(end.feed(&many).is_empty());
    }
    assert!(
        end.conn.rare.is_none(),
        "200,000 empty fragments hold nothing"
    );
    assert_eq!(end.feed(&from_hex("8001 61")), ["binary a"]);
}

#[test]
fn many_fragments_of_one_byte() {
    let mut end = End::new(Client);
    assert!(end.feed(&from_hex("0201 61")).is_empty());
    let many = [0x00, 0x01, b'a'].repeat(1000);
    for _ in 0..100 {
        assert!(end.feed(&many).is_empty());
    }
    let capacity = end
        .conn
        .rare_if_any()
        .map_or(0, |rare| rare.message.capacity());
    assert!((100_001..=262_144).contains(&capacity), "{capacity}");
    let events = end.feed(&from_hex("8001 61"));
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].len(), "binary ".len() + 100_002);
    assert!(
        end.conn.rare.is_none(),
        "given back when the message is done"
    );
}

#[test]
fn what_is_announced_is_not_allocated() {
    let limits = Limits {
        max_message: u64::MAX,
        ..LIMITS
    };
    for len in [100u64 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1] {
        let mut end = End::with(Client, limits);
        let mut input = Vec::from([0x82, 127]);
        input.extend(len.to_be_bytes());
        input.extend([7; 1000]);
        assert!(end.feed(&input).is_empty());
        let capacity = end
            .conn
            .rare_if_any()
            .map_or(0, |rare| rare.message.capacity());
        assert!(capacity < 4096, "{capacity} for {len}");
    }
}

#[test]
fn a_ping_flood_to_a_peer_that_does_not_read() {
    let mut end = End::new(Server);
    end.out.push(&[b"unread"]).expect("memory");
    end.out.set_blocked(true);
    let mut count = 0u32;
    for _ in 0..200 {
        let mut input = Vec::new();
        for _ in 0..1000 {
            input.extend(frame(0x89, Some([1, 2, 3, 4]), &count.to_be_bytes()));
            count += 1;
        }
        assert_eq!(end.feed(&input).len(), 1000);
    }
    assert_eq!(end.out.len(), 6, "no Pong was queued");
    let pong = end.conn.rare_if_any().and_then(|rare| rare.pong.as_ref());
    assert!(pong.expect("one is held back").capacity() <= 125);

    // The peer reads: the last Ping is answered, once.
    end.written();
    end.out.set_blocked(false);
    end.call(|conn, io| conn.drained(io));
    assert_eq!(end.written(), frame(0x8a, None, &199_999u32.to_be_bytes()));
    assert!(end.conn.rare.is_none());
    end.call(|conn, io| conn.drained(io));
    assert!(end.out.is_empty());
}

#[test]
fn a_newer_pong_replaces_the_held_back_one() {
    let mut end = End::new(Server);
    let zero = Some([0; 4]);
    end.out.set_blocked(true);
    end.feed(&frame(0x89, zero, b"a longer first one"));
    end.feed(&frame(0x89, zero, b""));
    end.feed(&frame(0x89, zero, &[7; 125]));
    end.feed(&frame(0x89, zero, b"held"));
    end.out.set_blocked(false);
    end.feed(&frame(0x89, zero, b"newer"));
    end.call(|conn, io| conn.drained(io));
    assert_eq!(end.written(), frame(0x8a, None, b"newer"));

    // After our Close no Pong leaves any more.
    end.out.set_blocked(true);
    end.feed(&frame(0x89, zero, b"held"));
    end.close(None, "").expect("open");
    end.call(|conn, io| conn.drained(io));
    assert_eq!(end.written_hex(), "8800");
}

#[test]
fn a_flood_after_a_violation_is_discarded_without_a_trace() {
    let mut end = End::new(Server);
    assert_eq!(end.feed(&from_hex("8100")), ["failed 1002"]);
    let close = end.out.len();
    for _ in 0..100 {
        assert!(end.feed(&[0x89; 10_000]).is_empty());
    }
    assert_eq!(end.out.len(), close);
    assert!(end.conn.rare.is_none());
}
