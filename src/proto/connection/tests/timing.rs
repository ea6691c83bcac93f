//! Deadlines on simulated time.

use super::harness::*;
use crate::proto::connection::*;

use Role::{Client, Server};

#[test]
fn a_silent_peer_is_pinged_then_given_up() {
    let mut end = End::new(Server);
    assert_eq!(end.deadline(), Some(20_000));
    end.now = 19_999;
    assert_eq!(end.timeout(), Timeout::Nothing);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    assert_eq!(end.written_hex(), "8900");
    assert_eq!(end.deadline(), Some(30_000));
    end.now = 29_999;
    assert_eq!(end.timeout(), Timeout::Nothing);
    end.now = 30_000;
    assert_eq!(end.timeout(), Timeout::PongMissing);
    assert_eq!(end.written_hex(), "");
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut end = End::new(Client);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    end.now = 29_000;
    end.feed(&[0x81]);
    assert_eq!(end.deadline(), Some(49_000));
    end.now = 30_000;
    assert_eq!(end.timeout(), Timeout::Nothing);
}

#[test]
fn two_idle_ends_keep_each_other_alive() {
    let mut pair = Pair::new();
    let mut pings = 0;
    for now in (0..1_000_000).step_by(1000) {
        pair.at(now);
        for end in [&mut pair.client, &mut pair.server] {
            match end.timeout() {
                Timeout::Nothing => {}
                Timeout::Pinged => pings += 1,
                other => panic!("{other:?} at {now}"),
            }
        }
        pair.carry();
    }
    // Both are due at the same instant, or one Ping serves both.
    assert!((49..=100).contains(&pings), "{pings}");
}

#[test]
fn a_peer_may_be_pinged_and_never_given_up() {
    let limits = Limits {
        pong_timeout: Limits::FOREVER,
        ..LIMITS
    };
    let mut end = End::with(Server, limits);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    assert_eq!(end.deadline(), None);
    end.feed(&[0x81]);
    assert_eq!(end.deadline(), Some(40_000));
}

/// Who looks only when told to, and not when bytes come, does not miss that a Ping is due again.
#[test]
fn a_sign_of_life_brings_the_next_ping_nearer() {
    for pong_timeout in [70_000, Limits::FOREVER] {
        for pause in [1, 20_000, 65_000] {
            let mut end = End::with(
                Server,
                Limits {
                    pong_timeout,
                    ..LIMITS
                },
            );
            end.now = 20_000;
            assert_eq!(end.timeout(), Timeout::Pinged);
            let heard = 20_000 + pause;
            let mut looks = 0;
            loop {
                let next = end
                    .conn
                    .look_again_at(&end.limits, end.now)
                    .expect("a time");
                if end.now < heard && heard <= next {
                    end.now = heard;
                    end.feed(&[]);
                }
                end.now = next;
                looks += 1;
                if end.timeout() == Timeout::Pinged {
                    break;
                }
            }
            assert_eq!(end.now, heard + 20_000);
            assert!(looks < 8);
        }
    }
}

#[test]
fn without_an_interval_there_is_no_deadline() {
    let limits = Limits {
        ping_interval: None,
        ..LIMITS
    };
    let mut end = End::with(Server, limits);
    assert_eq!(end.deadline(), None);
    end.now = u64::MAX;
    assert_eq!(end.timeout(), Timeout::Nothing);
}

#[test]
fn the_close_deadline_is_never_extended() {
    let mut end = End::new(Server);
    end.now = 1000;
    end.close(Some(1000), "").expect("open");
    assert_eq!(end.deadline(), Some(6000));
    end.now = 5999;
    end.feed(&frame(0x82, Some([0; 4]), b"more and more"));
    end.conn.pause(true, 5999);
    end.conn.pause(false, 5999);
    assert_eq!(end.deadline(), Some(6000));
    assert_eq!(end.timeout(), Timeout::Nothing);
    end.now = 6000;
    assert_eq!(end.timeout(), Timeout::CloseTimedOut);
}

/// Also the end that owes nothing more must not wait for ever for the transport to end.
#[test]
fn what_follows_the_closing_handshake_is_bounded_too() {
    let mut end = End::new(Server);
    end.now = 1000;
    end.feed(&from_hex("888000000000"));
    assert!(end.conn.is_finished());
    assert_eq!(end.deadline(), Some(6000));
    end.now = 6000;
    assert_eq!(end.timeout(), Timeout::CloseTimedOut);

    let mut end = End::new(Server);
    end.now = 1000;
    end.feed(&from_hex("8100"));
    assert_eq!(end.deadline(), Some(6000));
    end.now = 3000;
    end.feed(&[0; 100]);
    assert_eq!(end.deadline(), Some(6000));

    // Our Close first: the deadline counts from it, whatever follows.
    let mut end = End::new(Server);
    end.now = 1000;
    end.close(None, "").expect("open");
    end.now = 3000;
    end.feed(&from_hex("8100"));
    assert_eq!(end.deadline(), Some(6000));
}

/// A Ping under way when the handshake begins must not move its deadline.
#[test]
fn closing_forgets_the_ping() {
    let mut end = End::new(Server);
    end.conn.pause(true, 0);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    end.close(None, "").expect("open");
    end.conn.pause(false, 24_000);
    assert_eq!(end.deadline(), Some(25_000));
}

#[test]
fn a_paused_reader_misses_no_pong() {
    let mut end = End::new(Server);
    end.conn.pause(true, 0);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    assert_eq!(end.deadline(), None);
    end.now = 500_000;
    assert_eq!(end.timeout(), Timeout::Nothing);
    end.conn.pause(false, 500_000);
    assert_eq!(end.deadline(), Some(510_000));
    end.now = 510_000;
    assert_eq!(end.timeout(), Timeout::PongMissing);
}

#[test]
fn resuming_twice_gives_no_more_time() {
    let mut end = End::new(Server);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Pinged);
    end.conn.pause(false, 25_000);
    assert_eq!(end.deadline(), Some(30_000));
}

#[test]
fn no_ping_is_queued_behind_bytes_that_nobody_takes() {
    let mut end = End::new(Server);
    end.out.set_blocked(true);
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Nothing);
    assert!(end.out.is_empty());
    assert_eq!(
        end.deadline(),
        Some(30_000),
        "a peer that takes nothing and says nothing is gone"
    );

    // It takes the bytes after all: it is asked now and has its time to answer.
    end.now = 25_000;
    end.out.set_blocked(false);
    end.call(|conn, io| conn.drained(io));
    assert_eq!(end.written_hex(), "8900");
    assert_eq!(end.deadline(), Some(35_000));
    end.call(|conn, io| conn.drained(io));
    assert_eq!(end.written_hex(), "");
}

#[test]
fn a_ping_without_randomness_is_tried_again() {
    let mut end = End::new(Client);
    end.keys.broken = true;
    end.now = 20_000;
    assert_eq!(end.timeout(), Timeout::Nothing);
    assert_eq!(end.deadline(), Some(40_000));
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let mut end = End::new(Server);
    end.now = u64::MAX - 1;
    end.feed(&[]);
    assert_eq!(end.deadline(), Some(u64::MAX));
}
