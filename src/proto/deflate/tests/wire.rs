//! Payloads as other implementations send them, and as none should.

use super::*;
use crate::zlib::InflateError;

fn inflater() -> Inflater {
    Inflater::new(both(15, true)).unwrap()
}

/// RFC 7692 section 7.2.3.
#[test]
fn the_examples_of_the_rfc() {
    let mut one = inflater();
    // 7.2.3.1 and 7.2.3.2: the second one refers back to the first.
    let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflate(&mut one, &[&first], 64).unwrap(), b"Hello");
    let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(inflate(&mut one, &[&second], 64).unwrap(), b"Hello");
    // 7.2.3.1: in two fragments.
    let (a, b) = first.split_at(3);
    assert_eq!(inflate(&mut one, &[a, b], 64).unwrap(), b"Hello");
    // 7.2.3.3: a block without compression.
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    assert_eq!(inflate(&mut one, &[&stored], 64).unwrap(), b"Hello");
    // 7.2.3.4: a block with BFINAL, behind which an empty one was begun.
    let ending = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(inflate(&mut one, &[&ending], 64).unwrap(), b"Hello");
    // 7.2.3.5: two blocks.
    let two = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    assert_eq!(inflate(&mut one, &[&two], 64).unwrap(), b"Hello");
    // 7.2.3.6: an empty message.
    assert_eq!(inflate(&mut one, &[&[0x00]], 64).unwrap(), b"");
    // The context is still that of all messages so far.
    assert_eq!(inflate(&mut one, &[&second], 64).unwrap(), b"Hello");
}

#[test]
fn the_compressor_writes_the_examples_of_the_rfc() {
    let mut compressor = Compressor::new(&settings(6, 8), both(15, true)).unwrap();
    let mut packed = |message: &[u8]| {
        let mut out = Vec::new();
        assert!(compressor.run(message, true, &mut out, usize::MAX).unwrap());
        out
    };
    let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(packed(b"Hello"), first);
    assert_eq!(packed(b"Hello"), [0xf2, 0x00, 0x11, 0x00, 0x00]);
    assert_eq!(packed(b""), [0x00]);
    assert_eq!(packed(b""), [0x00]);
}

/// Streams that end, and messages that end with them.
#[test]
fn what_others_make_of_the_end_of_a_message() {
    let ended = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let back = [0xf2, 0x00, 0x11, 0x00, 0x00];
    for room in [1, 3, 64] {
        let mut one = inflater();
        // No octet behind the final block.
        assert_eq!(inflate(&mut one, &[&ended], room).unwrap(), b"Hello");
        // The next message refers back over it.
        assert_eq!(inflate(&mut one, &[&back], room).unwrap(), b"Hello");
        // Several streams in a message.
        let three = [&ended[..], &ended, &back].concat();
        assert_eq!(
            inflate(&mut one, &[&three], room).unwrap(),
            b"HelloHelloHello"
        );
        // Nothing at all for an empty message.
        assert_eq!(inflate(&mut one, &[&[]], room).unwrap(), b"");
        assert_eq!(inflate(&mut one, &[&[], &[], &[]], room).unwrap(), b"");
        assert_eq!(inflate(&mut one, &[&back], room).unwrap(), b"Hello");
        // The final block is completed by the tail.
        assert_eq!(inflate(&mut one, &[&[0x01]], room).unwrap(), b"");
        assert_eq!(inflate(&mut one, &[&back], room).unwrap(), b"Hello");
    }
}

#[test]
fn bad_data_is_found() {
    let table: [&[u8]; 8] = [
        // A block of the reserved kind.
        &[0x06],
        // Lengths that do not match.
        &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48],
        // Refers back to where nothing is.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        // Ends within a stored block.
        &[0x00, 0x09, 0x00, 0xf6, 0xff, 0x48],
        // The same, but for the tail.
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48],
        // Ends within a compressed one.
        &[0xf2, 0x48, 0xcd],
        // Ends behind a block: the tail is not the end of one.
        &[0x02, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
    ];
    for bad in table {
        for room in [1, 64] {
            let got = inflate(&mut inflater(), &[bad], room);
            assert_eq!(got, Err(InflateError::Data), "{bad:02x?}");
            let bytes: Vec<&[u8]> = bad.chunks(1).collect();
            assert_eq!(
                inflate(&mut inflater(), &bytes, room),
                Err(InflateError::Data)
            );
        }
    }
}

/// A fuzz target as a test: noise, and good data with flaws in it, never does more than fail, and the result does not
/// depend on how it was cut.
#[test]
fn noise_does_no_harm() {
    for seed in 0..150 {
        let dice = &mut Dice::new(seed);
        let mut packed = Vec::new();
        let len = dice.below(3000);
        if seed % 2 == 0 {
            packed.extend((0..len).map(|_| dice.next() as u8));
        } else {
            let message = data(dice, len);
            let mut compressor = Compressor::new(&settings(6, 8), both(15, true)).unwrap();
            assert!(compressor
                .run(&message, true, &mut packed, usize::MAX)
                .unwrap());
            for _ in 0..1 + dice.below(3) {
                let place = dice.below(packed.len());
                packed[place] ^= 1 << dice.below(8);
            }
        }
        let whole = inflate(&mut inflater(), &[&packed], 1 << 20);
        let parts = cut(dice, &packed, 8);
        for room in [1, 50, 5000] {
            let other = inflate(&mut inflater(), &parts, room);
            match &whole {
                Ok(whole) => assert!(other.as_ref() == Ok(whole), "seed {seed}"),
                Err(error) => assert_eq!(other, Err(*error), "seed {seed}"),
            }
        }
    }
}

/// 1 KiB that stands for 1 MiB costs the room that it is given.
#[test]
fn a_bomb_goes_off_a_little_at_a_time() {
    let mut packed = Vec::new();
    let zeros = alloc::vec![0; 1 << 20];
    let mut compressor = Compressor::new(&settings(9, 9), both(15, true)).unwrap();
    assert!(compressor
        .run(&zeros, true, &mut packed, usize::MAX)
        .unwrap());
    assert!(packed.len() < 1100);
    let mut one = inflater();
    let mut out = Vec::with_capacity(1000);
    let (mut at, mut total) = (0, 0);
    loop {
        out.clear();
        let step = one.run(&packed[at..], true, &mut out, 1000).unwrap();
        at += step.used;
        total += out.len();
        assert_eq!(out.capacity(), 1000);
        if step.done {
            break;
        }
    }
    assert_eq!(total, 1 << 20);
}
