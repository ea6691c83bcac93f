//! Compressed messages through connections: whole, in fragments, in pieces, in parts, and broken.

use alloc::vec::Vec;

use super::harness::*;
use crate::proto::connection::*;
use crate::proto::deflate::tests::{agreed, both, cut, data, Dice};
use crate::proto::deflate::{Agreed, Compressor, Direction, Preset, Settings};
use crate::proto::frame::Kind::{self, Binary, Text};
use Role::{Client, Server};

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn settings() -> Settings {
    Settings {
        min_size: 1,
        ..Settings::new(Preset::Best).unwrap()
    }
}

fn limits() -> Limits {
    Limits {
        deflate: Some(settings()),
        ..LIMITS
    }
}

fn end(role: Role, limits: Limits, agreed: Agreed) -> End {
    let mut end = End::with(role, limits);
    end.conn.set_deflate(Some(agreed));
    end
}

/// A server that has agreed on windows of 15 bits that are kept.
fn server(limits: Limits) -> End {
    end(Server, limits, both(15, true))
}

fn packed(message: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(&settings(), both(15, true)).unwrap();
    let mut out = Vec::new();
    assert!(compressor.run(message, true, &mut out, usize::MAX).unwrap());
    out
}

/// What a connection told of the messages that came, its pieces joined, and how it failed.
fn receive(end: &mut End, chunks: &[&[u8]]) -> Result<Vec<(Kind, Vec<u8>)>, u16> {
    let mut messages = Vec::new();
    let mut begun: Option<(Kind, Vec<u8>)> = None;
    for chunk in chunks {
        let mut input = chunk.to_vec();
        let mut at = 0;
        while let Some(event) = end.call(|conn, io| conn.receive(&mut input, &mut at, io)) {
            match event {
                Event::Message { kind, payload } => {
                    if let Payload::Gathered(bytes) = &payload {
                        assert_eq!(bytes.last(), Some(&0));
                    }
                    messages.push((kind, payload.bytes(&input).to_vec()));
                }
                Event::Piece {
                    kind,
                    payload,
                    offset,
                    last,
                } => {
                    let (first, so_far) = begun.get_or_insert((kind, Vec::new()));
                    assert_eq!((*first, so_far.len() as u64), (kind, offset));
                    let bytes = payload.bytes(&input);
                    let inflated = matches!(payload, Payload::Gathered(_));
                    assert!(!inflated || bytes.len() <= 16 * 1024);
                    assert!(last || !bytes.is_empty());
                    so_far.extend(bytes);
                    if last {
                        messages.extend(begun.take());
                    }
                }
                Event::Failed(violation) => return Err(violation.code()),
                _ => {}
            }
        }
        assert_eq!(at, input.len());
    }
    Ok(messages)
}

/// Any message, in any fragments, between pings, in any packets, through either role, whole or in
/// pieces: it arrives as it was.
#[test]
fn whatever_the_cuts_the_messages_arrive() {
    for seed in 0..40 {
        let dice = &mut Dice::new(seed);
        let way = |dice: &mut Dice| Direction::new(8 + dice.below(8) as u8, dice.below(2) == 0);
        let (up, down) = (way(dice), way(dice));
        let mut receiving = limits();
        receiving.pieces = dice.below(2) == 0;
        let (mut from, mut to) = match dice.below(2) {
            0 => (
                end(Client, limits(), agreed(up, down)),
                end(Server, receiving, agreed(down, up)),
            ),
            _ => (
                end(Server, limits(), agreed(up, down)),
                end(Client, receiving, agreed(down, up)),
            ),
        };
        let mut sent = Vec::new();
        for _ in 0..5 {
            let most = [20, 1000, 20_000, 120_000][dice.below(4)];
            let len = dice.below(most);
            let message = data(dice, len);
            let kind = match core::str::from_utf8(&message) {
                Ok(_) if dice.below(2) == 0 => Text,
                _ => Binary,
            };
            let plain = dice.below(4) == 0;
            if dice.below(2) == 0 {
                from.call(|conn, io| match plain {
                    true => conn.send_plain(kind, &message, io),
                    false => conn.send(kind, &message, io),
                })
                .unwrap();
            } else {
                let fragments = cut(dice, &message, 5);
                for (number, fragment) in fragments.iter().enumerate() {
                    let fin = number + 1 == fragments.len();
                    from.call(|conn, io| conn.send_fragment(kind, fragment, fin, plain, io))
                        .unwrap();
                    from.call(|conn, io| conn.ping(b"between", io)).unwrap();
                }
            }
            sent.push((kind, message));
        }
        let bytes = from.written();
        let chunks = match dice.below(3) {
            0 => bytes.chunks(1 + dice.below(20)).collect(),
            1 => alloc::vec![&bytes[..]],
            _ => cut(dice, &bytes, 30),
        };
        let received = receive(&mut to, &chunks);
        assert!(received == Ok(sent), "seed {seed}");
    }
}

#[test]
fn the_bit_stands_where_it_may() {
    let hello = packed(b"Hello");
    let (a, b) = hello.split_at(3);
    let whole = frame(0xc1, KEY, &hello);
    let fragments = [
        frame(0x41, KEY, a),
        frame(0x89, KEY, b""),
        frame(0x80, KEY, b),
    ]
    .concat();
    for good in [&whole, &fragments] {
        let got = receive(&mut server(limits()), &[good]);
        assert_eq!(got, Ok(alloc::vec![(Text, b"Hello".to_vec())]));
        // Not agreed on.
        assert_eq!(receive(&mut End::new(Server), &[good]), Err(1002));
    }
    let table = [
        // On a fragment that is not the first, of a message that is compressed or not.
        [frame(0x41, KEY, a), frame(0xc0, KEY, b)].concat(),
        [frame(0x02, KEY, a), frame(0xc0, KEY, b)].concat(),
        // On control frames.
        frame(0xc9, KEY, b""),
        frame(0xca, KEY, b""),
        frame(0xc8, KEY, b""),
        // Other bits, alone or with it.
        frame(0xa1, KEY, &hello),
        frame(0x91, KEY, &hello),
        frame(0xe1, KEY, &hello),
        frame(0xd1, KEY, &hello),
    ];
    for bad in &table {
        let bytes: Vec<&[u8]> = bad.chunks(1).collect();
        assert_eq!(receive(&mut server(limits()), &[bad]), Err(1002));
        assert_eq!(receive(&mut server(limits()), &bytes), Err(1002));
    }
}

#[test]
fn plain_messages_between_compressed_ones() {
    let hello = packed(b"Hello");
    let back = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let input = [
        frame(0xc1, KEY, &hello),
        frame(0x81, KEY, b"plain"),
        frame(0x01, KEY, b"in "),
        frame(0x80, KEY, b"parts"),
        frame(0xc2, KEY, &back),
        frame(0xc1, KEY, &[0x00]),
        frame(0xc1, KEY, b""),
    ]
    .concat();
    let expected = [
        (Text, &b"Hello"[..]),
        (Text, b"plain"),
        (Text, b"in parts"),
        (Binary, b"Hello"),
        (Text, b""),
        (Text, b""),
    ];
    for pieces in [false, true] {
        for size in [1, 2, 7, 1000] {
            let mut end = server(Limits { pieces, ..limits() });
            let chunks: Vec<&[u8]> = input.chunks(size).collect();
            let got = receive(&mut end, &chunks).unwrap();
            let got: Vec<(Kind, &[u8])> = got.iter().map(|(k, m)| (*k, &m[..])).collect();
            assert_eq!(got, expected);
        }
    }
}

/// Inflating stops at the limit: the bytes that come after it are not even looked at.
#[test]
fn a_bomb_ends_at_the_limit() {
    let zeros = alloc::vec![0; 16 << 20];
    let bomb = frame(0xc2, KEY, &packed(&zeros));
    assert!(bomb.len() < 17 * 1024);
    for (max, code) in [
        (16 << 20, None),
        ((16 << 20) - 1, Some(1009)),
        (100_000, Some(1009)),
        (1, Some(1009)),
    ] {
        for pieces in [false, true] {
            let mut end = server(Limits {
                pieces,
                max_message: max,
                ..limits()
            });
            let got = receive(&mut end, &[&bomb]);
            assert_eq!(got.err(), code, "{max}");
            assert!(end.conn.rare_if_any().is_none_or(|r| r.message.is_empty()));
        }
    }
    // What it costs meanwhile, in fragments so that it can be looked at.
    let mut end = server(Limits {
        max_message: 100_000,
        ..limits()
    });
    let payload = packed(&zeros[..100_000]);
    let (a, b) = payload.split_at(payload.len() / 2);
    assert_eq!(receive(&mut end, &[&frame(0x42, KEY, a)]), Ok(Vec::new()));
    assert!(end.conn.rare_if_any().unwrap().message.capacity() <= 100_002);
    assert_eq!(receive(&mut end, &[&frame(0x80, KEY, b)]).unwrap().len(), 1);
}

#[test]
fn a_ratio_can_be_set() {
    let text = b"{\"temperature\": 21.5}".repeat(100);
    let frame_of_text = frame(0xc1, KEY, &packed(&text));
    for (max_ratio, code) in [(0, None), (100, None), (10, Some(1009))] {
        let deflate = Some(Settings {
            max_ratio,
            ..settings()
        });
        let mut end = server(Limits {
            deflate,
            ..limits()
        });
        assert_eq!(receive(&mut end, &[&frame_of_text]).err(), code);
    }
}

fn with_ratio(max_ratio: u32, pieces: bool) -> Limits {
    let deflate = Some(Settings {
        max_ratio,
        ..settings()
    });
    Limits {
        deflate,
        pieces,
        max_message: 64 << 20,
        ..limits()
    }
}

/// A message in frames of these payloads, with Pings between them.
fn in_fragments(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let first = if number == 0 { 0x42 } else { 0x00 };
        let fin = if number + 1 == parts.len() {
            0x80
        } else {
            0x00
        };
        bytes.extend(frame(first | fin, KEY, part));
        bytes.extend(frame(0x89, KEY, b""));
    }
    bytes
}

/// The same payload in all sorts of frames and reads, whole and in pieces, comes to the same.
fn same_however_cut(
    dice: &mut Dice,
    payload: &[u8],
    limits: Limits,
) -> Result<Vec<(Kind, Vec<u8>)>, u16> {
    let whole = receive(&mut server(limits), &[&frame(0xc2, KEY, payload)]);
    let ways = [
        in_fragments(&[payload]),
        in_fragments(&cut(dice, payload, 30)),
        in_fragments(&payload.chunks(1 + dice.below(50)).collect::<Vec<_>>()),
    ];
    for bytes in &ways {
        let reads = [
            bytes.chunks(1).collect(),
            bytes.chunks(1 + dice.below(6000)).collect(),
            cut(dice, bytes, 30),
        ];
        for (reads, pieces) in reads.iter().flat_map(|r| [(r, false), (r, true)]) {
            let got = receive(&mut server(Limits { pieces, ..limits }), reads);
            assert!(got == whole, "{:?} {:?}", got.err(), whole.as_ref().err());
        }
    }
    whole
}

/// One that is dense at its beginning only is judged as a whole.
#[test]
fn a_ratio_is_that_of_the_message_however_it_is_cut() {
    let dice = &mut Dice::new(7);
    let mut message = alloc::vec![0; 10_000];
    message.resize_with(30_000, || dice.next() as u8);
    let payload = packed(&message);
    let got = same_however_cut(dice, &payload, with_ratio(20, false));
    assert_eq!(got, Ok(alloc::vec![(Binary, message)]));
    for seed in 0..30 {
        let dice = &mut Dice::new(seed);
        let mut message = Vec::new();
        for _ in 0..1 + dice.below(4) {
            let run = dice.below(100_000);
            message.resize(message.len() + run, 0);
            let noise = dice.below(12_000);
            message.resize_with(message.len() + noise, || dice.next() as u8);
        }
        let mut payload = packed(&message);
        if dice.below(3) == 0 {
            let place = dice.below(payload.len());
            payload[place] ^= 1 << dice.below(8);
        }
        let average = (message.len() / payload.len()) as u32;
        let ratio = [average, average + 1, 2 * average + 2, 1, 5, 50][dice.below(6)];
        let _ = same_however_cut(dice, &payload, with_ratio(ratio, false));
    }
}

/// What comes of the first 4 KiB is bounded by the ratio, long before the message ends or reaches its own limit.
#[test]
fn a_ratio_stops_a_bomb_early() {
    let bomb = packed(&alloc::vec![0; 16 << 20]);
    let mut end = server(with_ratio(20, true));
    let mut input = frame(0xc2, KEY, &bomb);
    let (mut at, mut told) = (0, 0);
    while let Some(event) = end.call(|conn, io| conn.receive(&mut input, &mut at, io)) {
        match event {
            Event::Piece { payload, .. } => told += payload.bytes(&input).len(),
            event => assert!(matches!(event, Event::Failed(Violation::Ratio))),
        }
    }
    assert!(told <= 20 * 4096, "{told}");
    let dice = &mut Dice::new(1);
    for ratio in [20, 1000, 1020] {
        let got = same_however_cut(dice, &bomb, with_ratio(ratio, false));
        assert_eq!(got, Err(1009));
    }
    let got = same_however_cut(dice, &bomb, with_ratio(1032, false));
    assert!(got.is_ok());
}

/// The limit is passed by one byte, and what follows is bad.
#[test]
fn what_is_too_long_is_so_also_before_bad_data() {
    let dice = &mut Dice::new(3);
    for len in [999, 1000, 1001, 1002, 1500] {
        let mut compressor = Compressor::new(&settings(), both(15, true)).unwrap();
        let mut payload = Vec::new();
        assert!(compressor
            .run(&alloc::vec![0; len], false, &mut payload, usize::MAX)
            .unwrap());
        payload.push(0x07);
        let limits = Limits {
            max_message: 1000,
            ..limits()
        };
        let code = if len > 1000 { 1009 } else { 1007 };
        assert_eq!(same_however_cut(dice, &payload, limits), Err(code));
    }
}

#[test]
fn bad_data_ends_in_1007() {
    let hello = packed(b"Hello");
    let table: [&[u8]; 5] = [
        &[0x06],
        &[0xff; 40],
        // Refers back to where nothing is.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        // Cut off.
        &hello[..3],
        b"not compressed at all",
    ];
    for pieces in [false, true] {
        for bad in table {
            let limits = Limits { pieces, ..limits() };
            let whole = frame(0xc1, KEY, bad);
            assert_eq!(receive(&mut server(limits), &[&whole]), Err(1007));
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(receive(&mut server(limits), &bytes), Err(1007));
        }
    }
}

/// Text is checked as it is inflated: the end of the message is not waited for.
#[test]
fn text_is_checked_as_it_comes() {
    let good = "\u{20ac}".repeat(50);
    for pieces in [false, true] {
        let limits = Limits { pieces, ..limits() };
        for cut_at in 0..=good.len() {
            // Characters split between fragments, which are flushed each.
            let mut from = end(Client, limits, both(15, true));
            let (a, b) = good.as_bytes().split_at(cut_at);
            for (part, fin) in [(a, false), (b, true)] {
                from.call(|conn, io| conn.send_fragment(Text, part, fin, false, io))
                    .unwrap();
            }
            let got = receive(&mut server(limits), &[&from.written()]);
            assert_eq!(got, Ok(alloc::vec![(Text, good.as_bytes().to_vec())]));
        }
        // Binary to the sender, text to the receiver.
        for bad in [&b"abc\xff"[..], b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5"] {
            let mut compressor = Compressor::new(&settings(), both(15, true)).unwrap();
            let mut payload = Vec::new();
            assert!(compressor
                .run(bad, false, &mut payload, usize::MAX)
                .unwrap());
            // The first of several fragments.
            let got = receive(&mut server(limits), &[&frame(0x41, KEY, &payload)]);
            assert_eq!(got, Err(1007));
        }
        let cut_off = frame(0xc1, KEY, &packed(b"ab\xe2\x82"));
        assert_eq!(receive(&mut server(limits), &[&cut_off]), Err(1007));
    }
}

#[test]
fn what_is_sent_compressed() {
    let text = b"the same words, the same words, the same words";
    let mut noise = Vec::new();
    let dice = &mut Dice::new(1);
    noise.resize_with(1000, || dice.next() as u8);
    let limits = Limits {
        deflate: Some(Settings {
            min_size: 40,
            ..settings()
        }),
        ..limits()
    };
    let first = |end: &mut End| end.written()[0];
    for takeover in [false, true] {
        let mut end = end(Server, limits, both(15, takeover));
        end.send(Text, text).unwrap();
        assert_eq!(first(&mut end), 0xc1);
        // Too short, or as the caller wants it.
        end.send(Text, &text[..39]).unwrap();
        assert_eq!(first(&mut end), 0x81);
        end.call(|conn, io| conn.send_plain(Text, text, io))
            .unwrap();
        assert_eq!(first(&mut end), 0x81);
        // Without a context there is nothing to lose by sending it as it is.
        end.send(Binary, &noise).unwrap();
        assert_eq!(first(&mut end), if takeover { 0xc2 } else { 0x82 });
        end.send(Text, text).unwrap();
        assert_eq!(first(&mut end), 0xc1);
        for plain in [false, true] {
            for (fin, byte) in [(false, 0x01), (false, 0x00), (true, 0x80)] {
                end.call(|conn, io| conn.send_fragment(Text, b"x", fin, plain, io))
                    .unwrap();
                let rsv1 = if byte == 0x01 && !plain { 0x40 } else { 0 };
                assert_eq!(first(&mut end), byte | rsv1);
            }
        }
        // A message whose only fragment is short.
        end.call(|conn, io| conn.send_fragment(Text, b"x", true, false, io))
            .unwrap();
        assert_eq!(first(&mut end), 0x81);
    }
}

/// A frame that could not be queued was never sent: what follows must not refer to it.
#[test]
fn what_was_not_sent_is_forgotten() {
    let text = b"the same words, the same words, the same words";
    let mut from = end(Client, limits(), both(15, true));
    let mut to = server(limits());
    from.send(Text, text).unwrap();
    from.keys.broken = true;
    assert_eq!(
        from.send(Text, b"never seen, never seen"),
        Err(SendError::NoRandomness)
    );
    from.keys.broken = false;
    from.send(Text, b"never seen, never seen").unwrap();
    from.send(Text, text).unwrap();
    let got = receive(&mut to, &[&from.written()]).unwrap();
    let got: Vec<&[u8]> = got.iter().map(|(_, m)| &m[..]).collect();
    assert_eq!(got, [&text[..], b"never seen, never seen", text]);
}

/// Without contexts a connection that is in the middle of nothing has nothing.
#[test]
fn an_idle_connection_without_context_costs_nothing() {
    let agreed = both(12, false);
    let mut from = end(Client, limits(), agreed);
    let mut to = end(Server, limits(), agreed);
    for message in [&b"some text, some text"[..], &[7; 100_000]] {
        from.send(Binary, message).unwrap();
        from.call(|conn, io| conn.send_fragment(Text, b"x", false, false, io))
            .unwrap();
        assert!(from.conn.rare.is_some());
        from.call(|conn, io| conn.send_fragment(Text, b"x", true, false, io))
            .unwrap();
        assert!(from.conn.rare.is_none());
        let bytes = from.written();
        let chunks: Vec<&[u8]> = bytes.chunks(10).collect();
        assert_eq!(receive(&mut to, &chunks).unwrap().len(), 2);
        assert!(to.conn.rare.is_none());
    }
    // Not even in pieces.
    to.limits.pieces = true;
    from.send(Binary, &[7; 100_000]).unwrap();
    receive(&mut to, &[&from.written()]).unwrap();
    assert!(to.conn.rare.is_none());
}

/// What ends a connection, or its receiving, frees its contexts.
#[test]
fn what_ends_a_connection_frees_its_contexts() {
    let ends: [fn(&mut End); 4] = [
        |end| end.close(Some(1000), "").expect("open"),
        |end| assert_eq!(end.feed(&[0xff, 0xff]), ["failed 1002"]),
        |end| assert_eq!(end.feed(&from_hex("888000000000")), ["closed 1005 "]),
        |end| end.conn.lost(),
    ];
    for finish in ends {
        let mut end = server(limits());
        end.send(Text, b"some text, some text").unwrap();
        let hello = packed(b"Hello");
        receive(&mut end, &[&frame(0xc1, KEY, &hello)]).unwrap();
        let rare = end.conn.rare_if_any().unwrap();
        assert!(rare.inflater.is_some() && rare.compressor.is_some());
        finish(&mut end);
        assert!(end.conn.rare.is_none());
    }
}

/// After our Close compressed data is thrown away, unseen.
#[test]
fn data_after_our_close_is_not_inflated() {
    for pieces in [false, true] {
        let mut end = server(Limits { pieces, ..limits() });
        let hello = packed(b"Hello");
        let (a, b) = hello.split_at(3);
        receive(&mut end, &[&frame(0x41, KEY, a)]).unwrap();
        end.close(Some(1000), "").unwrap();
        let rest = [
            frame(0x00, KEY, &[0xff; 50]),
            frame(0x80, KEY, b),
            frame(0xc1, KEY, &[0xff; 50]),
        ]
        .concat();
        assert_eq!(receive(&mut end, &[&rest]), Ok(Vec::new()));
        assert_eq!(end.feed(&from_hex("888000000000")), ["closed 1005 "]);
    }
}

/// A fuzz target as a test: frames with flaws, cut in different ways, end in the same way.
#[test]
fn flaws_end_the_same_way_however_they_come() {
    for seed in 0..100 {
        let dice = &mut Dice::new(seed);
        let mut from = end(Client, limits(), both(15, true));
        for _ in 0..3 {
            let len = dice.below(2000);
            let message = data(dice, len);
            from.send(Binary, &message).unwrap();
        }
        let mut bytes = from.written();
        for _ in 0..1 + dice.below(4) {
            let place = dice.below(bytes.len());
            bytes[place] ^= 1 << dice.below(8);
        }
        let max_message = 1 + dice.below(100_000) as u64;
        let receiver = || end(Server, limits_of(max_message), both(15, true));
        ends_the_same_way(dice, &bytes, receiver);
    }
}

/// What the fuzz target has found: role, window, context and bytes.
#[test]
fn what_fuzzing_has_found() {
    let found = [(
        Client,
        both(9, false),
        // Goes on for more than the limit, and then is bad.
        "4106f248cdc9c9f7800418890400427e04cbecc13101000000c2a0f54f6d067fa0000000000000000000ff0000002700\
         000000000000000000000a5e000000000000000000000000000000000000000000000000000000000000000000000000\
         0000000000000000000000000000000000000000000000000000004100000000000000005a16b00bafc7ad806fb4b4e1\
         863c47840c0c0c0c0c0c0c0c0c0cae399b75058e",
    )];
    for (role, agreed, hex) in found {
        let bytes = from_hex(hex);
        let receiver = || end(role, limits_of(100_000), agreed);
        ends_the_same_way(&mut Dice::new(1), &bytes, receiver);
    }
}

fn limits_of(max_message: u64) -> Limits {
    Limits {
        max_message,
        ..limits()
    }
}

fn ends_the_same_way(dice: &mut Dice, bytes: &[u8], receiver: impl Fn() -> End) {
    let run = |pieces: bool, chunks: &[&[u8]]| {
        let mut end = receiver();
        end.limits.pieces = pieces;
        let got = receive(&mut end, chunks);
        (got, end.conn.violation())
    };
    let whole = run(false, &[bytes]);
    for pieces in [false, true] {
        let parts = cut(dice, bytes, 20);
        assert!(run(pieces, &parts) == whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert!(run(pieces, &single) == whole);
    }
}

/// A piece is full, more is to come of what has come, and the frame is not whole: closing ends all of that.
#[test]
fn closing_between_two_pieces_of_what_has_come() {
    let mut end = server(Limits {
        pieces: true,
        ..limits()
    });
    let whole = frame(0xc2, KEY, &packed(&[0; 200_000]));
    let mut input = whole[..whole.len() - 5].to_vec();
    let mut at = 0;
    let first = end.call(|conn, io| conn.receive(&mut input, &mut at, io));
    assert!(
        matches!(first, Some(Event::Piece { last: false, .. })),
        "{first:?}"
    );
    assert!(end.conn.has_more());
    end.close(Some(1000), "").unwrap();
    assert!(!end.conn.has_more());
    assert!(end
        .call(|conn, io| conn.receive(&mut input, &mut at, io))
        .is_none());
    assert_eq!(at, input.len());
    // The rest is skipped, and the peer's answer seen.
    assert!(receive(
        &mut end,
        &[&whole[whole.len() - 5..], &frame(0x88, KEY, b"\x03\xe8")]
    )
    .is_ok());
    assert!(end.conn.is_finished());
}
