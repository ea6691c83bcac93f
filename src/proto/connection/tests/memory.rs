//! What a connection costs.

use core::mem::size_of;

use super::harness::*;
use crate::proto::connection::*;

#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 32, "{}", size_of::<Connection>());
}

#[test]
fn whole_frames_leave_nothing_behind() {
    let mut end = End::new(Role::Server);
    for first in [0x81, 0x82, 0x89, 0x8a] {
        end.feed(&frame(first, Some([1, 2, 3, 4]), &[b'x'; 100]));
        assert!(end.conn.rare.is_none());
    }
}

#[test]
fn frames_in_parts_leave_nothing_behind() {
    let mut end = End::new(Role::Server);
    for first in [0x81, 0x82, 0x89, 0x8a] {
        let bytes = frame(first, Some([1, 2, 3, 4]), &[b'x'; 100]);
        assert_eq!(end.feed_by(&bytes, 9).len(), 1);
        assert!(end.conn.rare.is_none(), "{first:x}");
    }
}

#[test]
fn what_ends_a_connection_frees_its_unfinished_message() {
    let half = frame(0x01, Some([0; 4]), &[b'x'; 1000]);
    let ends: [fn(&mut End); 4] = [
        |end| end.close(Some(1000), "").expect("open"),
        |end| assert_eq!(end.feed(&[0xff, 0xff]), ["failed 1002"]),
        |end| assert_eq!(end.feed(&from_hex("888000000000")), ["closed 1005 "]),
        |end| end.conn.lost(),
    ];
    for finish in ends {
        let mut end = End::new(Role::Server);
        end.feed(&half);
        assert!(end.conn.rare.is_some());
        finish(&mut end);
        assert!(end.conn.rare.is_none());
    }
}

/// In pieces a message of any size needs no memory at all.
#[test]
fn pieces_are_not_gathered() {
    let limits = Limits {
        max_message: u64::MAX,
        pieces: true,
        ..LIMITS
    };
    let mut end = End::with(Role::Client, limits);
    let total = 1u64 << 30;
    let mut head = alloc::vec::Vec::from([0x81, 127]);
    head.extend(total.to_be_bytes());
    end.feed(&head);
    let mut stretch = [b'x'; 65536];
    let mut told = 0;
    while told < total {
        let mut at = 0;
        // The middle is left out: it shows nothing new and takes time.
        let skipped = (total - told).saturating_sub(4 << 16) & !0xffff;
        if told == 1 << 16 && skipped > 0 {
            skip(&mut end.conn, skipped);
            told += skipped;
        }
        let event = end.call(|conn, io| conn.receive(&mut stretch, &mut at, io));
        let Some(Event::Piece {
            payload,
            offset,
            last,
            ..
        }) = event
        else {
            panic!("{event:?}");
        };
        assert_eq!((offset, payload.bytes(&stretch).len()), (told, 65536));
        told += 65536;
        assert_eq!(last, told == total);
        assert_eq!(end.conn.rare.is_none(), last);
        let gathered = end
            .conn
            .rare_if_any()
            .map_or(0, |rare| rare.message.capacity());
        assert_eq!(gathered, 0);
    }
}

/// As if `n` bytes more had been told.
fn skip(conn: &mut Connection, n: u64) {
    let rare = conn.rare_if_any_mut().expect("within a payload");
    rare.offset += n;
    rare.rest.len -= n;
}
