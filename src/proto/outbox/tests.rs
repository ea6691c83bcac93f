//! Order and accounting of queued bytes, and that memory is given back.

use alloc::vec;

use super::*;

fn contents(out: &Outbox) -> Vec<u8> {
    let mut places: [&[u8]; 64] = [&[]; 64];
    let filled = out.slices(&mut places);
    let bytes = places[..filled].concat();
    assert_eq!(bytes.len(), out.len());
    assert!(places[..filled].iter().all(|slice| !slice.is_empty()));
    bytes
}

fn held(out: &Outbox) -> usize {
    let more = out.more.iter().map(|segment| match &segment.bytes {
        Bytes::Owned(bytes) => bytes.capacity(),
        Bytes::Shared(..) => 0,
    });
    out.first.capacity() + more.sum::<usize>()
}

#[test]
fn a_new_one_holds_nothing() {
    let out = Outbox::new();
    assert!(out.is_empty() && !out.is_blocked());
    assert_eq!((held(&out), out.more.capacity()), (0, 0));
}

#[test]
fn keeps_order_whatever_the_writes() {
    let frame = Shared::new((0..2000).map(|i| i as u8).collect()).expect("memory");
    let small = Shared::new(vec![7; 512]).expect("memory");
    let mut expected = Vec::new();
    let fill = |out: &mut Outbox, expected: &mut Vec<u8>| {
        expected.clear();
        out.push(&[b"ab", b"", b"cde"]).expect("memory");
        expected.extend_from_slice(b"abcde");
        out.push_shared(&frame, 3).expect("memory");
        expected.extend_from_slice(&frame[3..]);
        out.push_shared(&small, 12).expect("memory");
        expected.extend_from_slice(&small[12..]);
        out.push_with(10, |bytes| bytes.extend_from_slice(b"masked"))
            .expect("memory");
        expected.extend_from_slice(b"masked");
        out.push(&[&vec![1; 100_000]]).expect("memory");
        expected.extend_from_slice(&vec![1; 100_000]);
        out.push(&[b"end"]).expect("memory");
        expected.extend_from_slice(b"end");
    };
    for step in [511, 1997, 4096, 70_000, 1 << 20] {
        let mut out = Outbox::new();
        fill(&mut out, &mut expected);
        let mut at = 0;
        while !out.is_empty() {
            assert_eq!(contents(&out), expected[at..], "step {step} at {at}");
            let n = step.min(out.len());
            out.advance(n);
            at += n;
        }
        assert_eq!(at, expected.len());
    }
}

#[test]
fn small_steps_across_all_segments() {
    let frame = Shared::new((0..600).map(|i| i as u8).collect()).expect("memory");
    for step in 1..20 {
        let mut out = Outbox::new();
        let mut expected = Vec::new();
        for i in 0..10u8 {
            out.push(&[&[i; 9]]).expect("memory");
            expected.extend_from_slice(&[i; 9]);
            out.push_shared(&frame, usize::from(i)).expect("memory");
            expected.extend_from_slice(&frame[usize::from(i)..]);
        }
        let mut at = 0;
        while !out.is_empty() {
            assert_eq!(contents(&out), expected[at..]);
            let n = step.min(out.len());
            out.advance(n);
            at += n;
        }
        assert_eq!(at, expected.len());
    }
}

#[test]
fn nothing_to_push_is_nothing() {
    let frame = Shared::new(vec![0; 1000]).expect("memory");
    let mut out = Outbox::new();
    out.push(&[]).expect("memory");
    out.push(&[b""]).expect("memory");
    out.push_shared(&frame, 1000).expect("memory");
    out.push_shared(&frame, usize::MAX).expect("memory");
    assert!(out.is_empty());
    assert_eq!(out.slices(&mut [[].as_slice(); 4]), 0);
}

#[test]
fn what_cannot_be_had_changes_nothing() {
    let mut out = Outbox::new();
    out.push(&[b"before"]).expect("memory");
    assert_eq!(
        out.push_with(usize::MAX, |_| panic!("no room")),
        Err(OutOfMemory)
    );
    assert_eq!(
        out.push_with(usize::MAX - 6, |_| panic!("no room")),
        Err(OutOfMemory)
    );
    assert_eq!(contents(&out), b"before");
}

#[test]
fn slices_stop_where_the_places_do() {
    let frame = Shared::new(vec![1; 1000]).expect("memory");
    let mut out = Outbox::new();
    for _ in 0..5 {
        out.push_shared(&frame, 0).expect("memory");
    }
    assert_eq!(out.slices(&mut [[].as_slice(); 3]), 3);
    assert_eq!(out.slices(&mut [[].as_slice(); 8]), 5);
}

#[test]
fn shared_frames_are_not_copied_and_are_let_go() {
    let frame = Shared::new(vec![1; 1000]).expect("memory");
    let mut out = Outbox::new();
    out.push_shared(&frame, 0).expect("memory");
    let mut places: [&[u8]; 1] = [&[]];
    out.slices(&mut places);
    assert_eq!(places[0].as_ptr(), frame.as_ptr());
    assert_eq!(Arc::strong_count(&frame.0), 2);
    out.advance(1000);
    assert!(out.take_spent().is_some());
    assert_eq!(Arc::strong_count(&frame.0), 1);
}

#[test]
fn a_part_of_what_is_shared() {
    let whole = Shared::new((0..2000).map(|i| i as u8).collect()).expect("memory");
    assert_eq!(whole.place_of(&whole[700..1900]), Some(700));
    assert_eq!(whole.place_of(&[0; 10]), None);
    let mut out = Outbox::new();
    out.push(&[b"head"]).expect("memory");
    out.push_part(&whole, 700, 1900).expect("memory");
    out.push(&[b"tail"]).expect("memory");
    assert_eq!(
        contents(&out),
        [b"head", &whole[700..1900], b"tail"].concat()
    );
    out.advance(4 + 1199);
    assert!(out.take_spent().is_none());
    out.advance(1);
    let spent = out.take_spent().expect("it has been written");
    assert!(whole.into_inner().is_none(), "somebody has it still");
    assert_eq!(spent.into_inner().map(|bytes| bytes.len()), Some(2000));
    assert_eq!(contents(&out), b"tail");
}

/// A reader that is always a little behind must not make the queue grow.
#[test]
fn memory_follows_the_unsent_bytes() {
    let mut out = Outbox::new();
    out.push(&[&[0; 100]]).expect("memory");
    let mut most = 0;
    for _ in 0..100_000 {
        out.push(&[&[0; 50]]).expect("memory");
        out.advance(50);
        most = most.max(held(&out));
    }
    assert_eq!(out.len(), 100);
    assert!(most <= 4 * SEGMENT, "{most}");
    out.advance(100);
    assert!(held(&out) <= 2 * SEGMENT);

    let frame = Shared::new(vec![1; 1000]).expect("memory");
    out.push(&[&vec![0; 1 << 20]]).expect("memory");
    out.push_shared(&frame, 0).expect("memory");
    out.advance(1 << 20);
    assert!(
        held(&out) <= 2 * SEGMENT,
        "a large segment is freed once it is written"
    );
}

/// Its buffer goes from one outbox to the other, past those that have something in it.
#[test]
fn a_large_buffer_can_be_taken_and_lent() {
    let mut out = Outbox::new();
    assert_eq!(out.take_large(0), None);
    out.push(&[&[1; 1000]]).expect("memory");
    assert_eq!(out.take_large(0), None);
    let busy = out.swap_buffer(Vec::with_capacity(5000));
    assert!(busy.capacity() >= 5000);
    out.advance(999);
    assert_eq!(out.take_large(0), None);
    out.advance(1);
    assert_eq!(out.take_large(1000), None);
    let taken = out.take_large(999).expect("it is larger");
    assert!(taken.capacity() >= 1000 && taken.is_empty());
    assert_eq!(held(&out), 0);
    let nothing = out.swap_buffer(taken);
    assert_eq!(nothing.capacity(), 0);
    let smaller = out.swap_buffer(busy);
    assert!((1000..5000).contains(&smaller.capacity()));
    let smaller = out.swap_buffer(smaller);
    assert!((1000..5000).contains(&smaller.capacity()));
    let before = held(&out);
    out.push(&[&[2; 5000]]).expect("memory");
    assert_eq!((contents(&out), held(&out)), (vec![2; 5000], before));
}

#[test]
fn the_last_segment_is_used_again() {
    let mut out = Outbox::new();
    out.push(&[b"one"]).expect("memory");
    out.advance(3);
    let before = held(&out);
    out.push(&[b"two"]).expect("memory");
    assert_eq!((out.more.len(), held(&out)), (0, before));
    assert_eq!(contents(&out), b"two");
    out.advance(1);
    out.advance(2);
    out.push(&[b"three"]).expect("memory");
    assert_eq!(contents(&out), b"three");
}

#[test]
fn reset_keeps_what_it_is_allowed_to() {
    let frame = Shared::new(vec![1; 1000]).expect("memory");
    let mut out = Outbox::new();
    for _ in 0..100 {
        out.push(&[b"abc"]).expect("memory");
        out.push_shared(&frame, 0).expect("memory");
    }
    out.set_blocked(true);
    out.reset(4096);
    assert!(out.is_empty() && !out.is_blocked());
    assert!((1..=4096).contains(&held(&out)));
    assert!(out.more.is_empty() && out.more.capacity() <= LIST_KEPT);
    assert_eq!(Arc::strong_count(&frame.0), 1);
    out.push(&[b"new"]).expect("memory");
    assert_eq!(contents(&out), b"new");
    out.reset(0);
    assert_eq!(held(&out), 0);
}
