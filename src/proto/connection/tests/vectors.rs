//! Frames captured on real wires by authors of hand-written C WebSocket servers: each is
//! decoded, and produced byte for byte.

use super::harness::*;
use crate::proto::connection::*;

const FROM_SERVERS: &[(&str, &str)] = &[
    ("810748656c6c6f2021", "Hello !"),
    ("81104920616d205365727665725f54657374", "I am Server_Test"),
    (
        "8114596f7520617265206361726566726565202e2e2e",
        "You are carefree ...",
    ),
];

const FROM_CLIENTS: &[(&str, &str)] = &[
    ("8187c36c78218b09144dac4c59", "Hello !"),
    (
        "8190c36c78218a4c194ce32f1448a6020c7e97090b55",
        "I am Client_Test",
    ),
    (
        "818fc36c78218a4c194ce30f1953a60a0a44a64c59",
        "I am carefree !",
    ),
    (
        "819a68b652224b930c0128f612663cf1777c4e90797d419d7a083693736a20ff",
        "#%^#@@@DTG%^&&+_)+(*^%!HHI",
    ),
];

#[test]
fn captured_frames_are_decoded() {
    for (role, frames) in [(Role::Client, FROM_SERVERS), (Role::Server, FROM_CLIENTS)] {
        for (hex, text) in frames {
            for size in [usize::MAX, 1, 3] {
                let events = End::new(role).feed_by(&from_hex(hex), size);
                assert_eq!(events, [alloc::format!("text {text}")]);
            }
        }
    }
}

#[test]
fn captured_server_frames_are_produced() {
    let mut end = End::new(Role::Server);
    for (hex, text) in FROM_SERVERS {
        end.send(Kind::Text, text.as_bytes()).expect("open");
        assert_eq!(end.written_hex(), *hex);
    }
}

struct Fixed([u8; 4]);

impl Masks for Fixed {
    fn mask(&mut self) -> Option<[u8; 4]> {
        Some(self.0)
    }
}

/// With the captured key, the client's frame is the captured one.
#[test]
fn captured_client_frames_are_produced() {
    for (hex, text) in FROM_CLIENTS {
        let bytes = from_hex(hex);
        let mut end = End::new(Role::Client);
        let mut io = Io {
            limits: &LIMITS,
            out: &mut end.out,
            masks: &mut Fixed([bytes[2], bytes[3], bytes[4], bytes[5]]),
            pool: &mut Pool::none(),
            now: 0,
        };
        end.conn
            .send(Kind::Text, text.as_bytes(), &mut io)
            .expect("open");
        assert_eq!(end.written_hex(), *hex);
    }
}
