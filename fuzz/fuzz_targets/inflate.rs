//! The inflater's side of a connection: whatever frames a peer sends on a connection that has agreed on
//! permessage-deflate, whole and cut into reads, lead to the same messages and the same end, within the limits.
//!
//! The first two bytes choose role, windows, the ratio's limit and how the rest is cut; the rest is what the peer sends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ws::proto::connection::{Connection, Event, Io, Limits, Masks, Payload, Pool, Role};
use ws::proto::deflate::{Agreed, Direction, Preset, Settings};
use ws::proto::outbox::Outbox;

const MAX_MESSAGE: u64 = 100_000;

struct Keys;

impl Masks for Keys {
    fn mask(&mut self) -> Option<[u8; 4]> {
        Some([1, 2, 3, 4])
    }
}

/// All bytes of messages that were told, in order, and how it ended.
fn run(choice: u8, pieces: bool, bytes: &[u8], cut: usize) -> (Vec<u8>, Option<u16>) {
    let Some(settings) = Settings::new(Preset::Best) else {
        return Default::default();
    };
    let role = if choice & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let way = Direction::new(8 + (choice >> 1) % 8, choice & 0x10 != 0);
    let mut connection = Connection::new(role, 0);
    connection.set_deflate(Some(Agreed {
        send: way,
        receive: way,
        present: settings.present,
    }));
    let limits = Limits {
        max_message: MAX_MESSAGE,
        pieces,
        ping_interval: None,
        pong_timeout: Limits::FOREVER,
        close_timeout: 1000,
        deflate: Some(Settings {
            max_ratio: [0, 2, 20, 200][usize::from(choice >> 5) % 4],
            ..settings
        }),
    };
    let (mut out, mut pool, mut keys) = (Outbox::new(), Pool::none(), Keys);
    let (mut told, mut of_message) = (Vec::new(), 0u64);
    for part in bytes.chunks(cut) {
        let mut input = part.to_vec();
        let mut at = 0;
        loop {
            let mut io = Io {
                limits: &limits,
                out: &mut out,
                masks: &mut keys,
                pool: &mut pool,
                now: 0,
            };
            let payload: Payload = match connection.receive(&mut input, &mut at, &mut io) {
                None => break,
                Some(Event::Message { payload, .. }) => payload,
                Some(Event::Piece {
                    payload,
                    offset,
                    last,
                    ..
                }) => {
                    assert_eq!(offset, of_message);
                    of_message = match last {
                        true => 0,
                        false => offset + payload.bytes(&input).len() as u64,
                    };
                    payload
                }
                Some(_) => continue,
            };
            let bytes = payload.bytes(&input);
            assert!(bytes.len() as u64 <= MAX_MESSAGE && of_message <= MAX_MESSAGE);
            told.extend_from_slice(bytes);
        }
    }
    (
        told,
        connection.violation().map(|violation| violation.code()),
    )
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, bytes @ ..] = data else {
        return;
    };
    let whole = run(*choice, false, bytes, usize::MAX);
    let parts = run(*choice, false, bytes, 1 + usize::from(*cut));
    assert_eq!(whole, parts);
    // In pieces a message that fails in its middle has been told in part.
    let (told, end) = run(*choice, true, bytes, 1 + usize::from(*cut));
    assert_eq!(end, whole.1);
    assert!(told.starts_with(&whole.0));
});
