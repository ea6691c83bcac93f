//! What goes in comes out, whatever the parameters and wherever it is cut.

use super::*;

fn lengths(dice: &mut Dice) -> usize {
    match dice.below(4) {
        0 => dice.below(8),
        1 => dice.below(300),
        2 => dice.below(5000),
        _ => dice.below(80_000),
    }
}

#[test]
fn messages_survive_all_parameters_and_all_cuts() {
    for seed in 0..25 {
        let dice = &mut Dice::new(seed);
        let bits = 8 + dice.below(8) as u8;
        let takeover = dice.below(2) == 0;
        let agreed = both(bits, takeover);
        let settings = settings(1 + dice.below(9) as u8, 1 + dice.below(9) as u8);
        let mut compressor = Compressor::new(&settings, agreed).unwrap();
        let mut inflater = Inflater::new(agreed).unwrap();
        for _ in 0..6 {
            let len = lengths(dice);
            let message = data(dice, len);
            if !takeover {
                compressor.reset();
                inflater.reset();
            }
            // In fragments as they were sent, or in other ones.
            let mut packed = Vec::new();
            let fragments = cut(dice, &message, 4);
            for (number, fragment) in fragments.iter().enumerate() {
                let last = number + 1 == fragments.len();
                assert!(compressor
                    .run(fragment, last, &mut packed, usize::MAX)
                    .unwrap());
            }
            let parts = cut(dice, &packed, 6);
            let room = [1, 7, 100, 4096, 100_000][dice.below(5)];
            let inflated = inflate(&mut inflater, &parts, room).unwrap();
            assert!(inflated == message, "seed {seed}");
        }
    }
}

/// Where a window of 8 bits was agreed on, nothing refers back more than 256 bytes, though zlib has no such window.
#[test]
fn nothing_refers_back_farther_than_agreed() {
    // All of them take an emulator a minute.
    let small = std::env::var_os("LIBWS_TEST_SMALL").is_some();
    let levels: &[_] = if small { &[6] } else { &[1, 2, 3, 6, 9] };
    for bits in [8, 9, 11] {
        for &level in levels {
            let dice = &mut Dice::new(u64::from(level));
            let mut compressor = Compressor::new(&settings(level, 8), both(bits, true)).unwrap();
            let mut window = Vec::new();
            for _ in 0..4 {
                let len = 1500 + dice.below(1500);
                let message = data(dice, len);
                let mut packed = Vec::new();
                assert!(compressor
                    .run(&message, true, &mut packed, usize::MAX)
                    .unwrap());
                packed.extend([0, 0, 0xff, 0xff]);
                let (inflated, farthest) = reference::inflate(&packed, &window);
                assert!(inflated == message, "bits {bits}, level {level}");
                assert!(farthest <= 1 << bits, "{farthest}, level {level}");
                window.extend(message);
            }
        }
    }
}

/// A server without a context compresses the next message with the same compressor.
#[test]
fn what_was_too_long_leaves_nothing_behind() {
    let mut dice = Dice::new(7);
    for (level, mem_level) in [(1, 1), (1, 5), (2, 1), (3, 5), (9, 9)] {
        for bits in [9, 12, 15] {
            let agreed = both(bits, false);
            let settings = settings(level, mem_level);
            let mut compressor = Compressor::new(&settings, agreed).unwrap();
            let mut inflater = Inflater::new(agreed).unwrap();
            let mut out = Vec::new();
            for round in 0..8 {
                let len = 1 + dice.below(20_000);
                let noise: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
                compressor.reset();
                assert_eq!(compressor.run(&noise, true, &mut out, len / 2), Ok(false));
                let len = dice.below(20_000);
                let data = data(&mut dice, len);
                compressor.reset();
                inflater.reset();
                assert_eq!(compressor.run(&data, true, &mut out, usize::MAX), Ok(true));
                let got = inflate(&mut inflater, &[&out], 100_000);
                assert!(
                    got == Ok(data),
                    "level {level}, {mem_level}, {bits}, {round}"
                );
                out.clear();
            }
        }
    }
}

#[test]
fn a_limit_is_kept() {
    let dice = &mut Dice::new(7);
    let noise: Vec<u8> = (0..50_000).map(|_| dice.next() as u8).collect();
    let text = b"all work and no play ".repeat(1000);
    let mut compressor = Compressor::new(&settings(6, 8), both(15, false)).unwrap();
    let mut out = b"before".to_vec();
    for (message, fits) in [(&noise, false), (&text, true), (&noise, false)] {
        compressor.reset();
        let done = compressor.run(message, true, &mut out, message.len());
        assert_eq!(done, Ok(fits));
        assert!(out.starts_with(b"before") && (fits || out.len() == 6));
        out.truncate(6);
    }
    // The very length that it takes.
    compressor.reset();
    out.clear();
    assert_eq!(compressor.run(&text, true, &mut out, usize::MAX), Ok(true));
    let len = out.len();
    for (limit, fits) in [(len, true), (len - 1, false)] {
        compressor.reset();
        out.clear();
        assert_eq!(compressor.run(&text, true, &mut out, limit), Ok(fits));
    }
}

#[test]
fn a_pool_hands_out_what_is_as_new() {
    let mut pool = Pool::new();
    let settings = settings(6, 8);
    let message = b"the same message, the same message";
    let mut sizes = Vec::new();
    for bits in [15, 15, 9, 9, 15] {
        let agreed = both(bits, false);
        let mut packed = pool.take_output();
        assert!(packed.is_empty());
        let mut compressor = pool.take_compressor(&settings, agreed).unwrap();
        assert!(compressor
            .run(message, true, &mut packed, usize::MAX)
            .unwrap());
        pool.give_compressor(compressor);
        let mut inflater = pool.take_inflater(agreed).unwrap();
        assert_eq!(inflate(&mut inflater, &[&packed], 64).unwrap(), message);
        pool.give_inflater(inflater);
        sizes.push(packed.len());
        pool.give_output(packed);
    }
    assert!(sizes.windows(2).all(|w| w[0] == w[1]), "{sizes:?}");
}
