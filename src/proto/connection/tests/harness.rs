//! One end of a connection with everything it works with, and two ends joined in memory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::proto::connection::*;

/// Keys that differ from frame to frame and from run to run of the counter only.
pub struct Keys {
    pub next: u32,
    pub broken: bool,
}

impl Masks for Keys {
    fn mask(&mut self) -> Option<[u8; 4]> {
        self.next = self.next.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        (!self.broken).then_some(self.next.to_be_bytes())
    }
}

pub const LIMITS: Limits = Limits {
    max_message: 1 << 20,
    pieces: false,
    ping_interval: Some(20_000),
    pong_timeout: 10_000,
    close_timeout: 5_000,
    deflate: None,
};

/// One end.
pub struct End {
    pub conn: Connection,
    pub out: Outbox,
    pub limits: Limits,
    pub keys: Keys,
    pub pool: Pool,
    pub now: u64,
}

impl End {
    pub fn new(role: Role) -> End {
        End::with(role, LIMITS)
    }

    pub fn with(role: Role, limits: Limits) -> End {
        End {
            conn: Connection::new(role, 0),
            out: Outbox::new(),
            limits,
            keys: Keys {
                next: 1,
                broken: false,
            },
            pool: Pool::new(1 << 24),
            now: 0,
        }
    }

    /// Calls into the connection with its `Io`.
    pub fn call<T>(&mut self, f: impl FnOnce(&mut Connection, &mut Io<'_>) -> T) -> T {
        let mut io = Io {
            limits: &self.limits,
            out: &mut self.out,
            masks: &mut self.keys,
            pool: &mut self.pool,
            now: self.now,
        };
        f(&mut self.conn, &mut io)
    }

    /// One read: all its events, in words.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut input = bytes.to_vec();
        let mut at = 0;
        let mut events = Vec::new();
        self.conn.touch(self.now);
        while let Some(event) = self.call(|conn, io| conn.receive(&mut input, &mut at, io)) {
            events.push(words(&event, &input, &self.conn));
        }
        assert_eq!(at, input.len(), "all input is used up");
        events
    }

    /// Reads of `size` bytes; the pieces of a message are joined.
    pub fn feed_by(&mut self, bytes: &[u8], size: usize) -> Vec<String> {
        let events = bytes.chunks(size).flat_map(|chunk| self.feed(chunk));
        let mut joined: Vec<String> = Vec::new();
        for event in events.collect::<Vec<_>>() {
            match joined.last_mut() {
                // Another event between two pieces ends the joining, as it would in life.
                Some(last) if last.ends_with("..") && event.starts_with("piece ") => {
                    last.truncate(last.len() - 2);
                    last.push_str(event.rsplit(' ').next().unwrap_or_default());
                }
                _ => joined.push(event),
            }
        }
        joined
    }

    /// What waits to be written, now written.
    pub fn written(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.out.is_empty() {
            let mut places: [&[u8]; 4] = [&[]; 4];
            let filled = self.out.slices(&mut places);
            let some = places[..filled].concat();
            self.out.advance(some.len());
            bytes.extend(some);
        }
        bytes
    }

    /// The same in hex.
    pub fn written_hex(&mut self) -> String {
        to_hex(&self.written())
    }

    pub fn send(&mut self, kind: Kind, data: &[u8]) -> Result<(), SendError> {
        self.call(|conn, io| conn.send(kind, data, io))
    }

    pub fn close(&mut self, code: Option<u16>, reason: &str) -> Result<(), SendError> {
        self.call(|conn, io| conn.close(code, reason, io))
    }

    pub fn timeout(&mut self) -> Timeout {
        self.call(|conn, io| conn.timeout(io))
    }

    pub fn deadline(&self) -> Option<u64> {
        self.conn.deadline(&self.limits, self.now)
    }

    /// The outcome in words.
    pub fn ended(&self) -> String {
        let outcome = self.conn.outcome();
        let clean = if outcome.clean { "clean" } else { "unclean" };
        let by = if outcome.by_peer { "peer" } else { "us" };
        format!("{clean} {} by {by}: {}", outcome.code, outcome.reason)
    }
}

/// A client and a server, joined.
pub struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn new() -> Pair {
        Pair {
            client: End::new(Role::Client),
            server: End::new(Role::Server),
        }
    }

    /// Sets the time of both.
    pub fn at(&mut self, now: u64) {
        self.client.now = now;
        self.server.now = now;
    }

    /// Carries bytes both ways until none are left. Returns what the client and the server saw.
    pub fn carry(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        while !(self.client.out.is_empty() && self.server.out.is_empty()) {
            let up = self.client.written();
            let down = self.server.written();
            server.extend(self.server.feed(&up));
            client.extend(self.client.feed(&down));
        }
        (client, server)
    }
}

fn words(event: &Event, input: &[u8], conn: &Connection) -> String {
    let kind = |kind| match kind {
        Kind::Text => "text",
        Kind::Binary => "binary",
    };
    match event {
        Event::Message { kind: k, payload } => {
            format!("{} {}", kind(*k), shown(payload.bytes(input)))
        }
        Event::Piece {
            kind: k,
            payload,
            last,
            ..
        } => {
            let bytes = payload.bytes(input);
            assert!(*last || !bytes.is_empty(), "empty only as the last one");
            let end = if *last { "" } else { ".." };
            format!("piece {} {}{end}", kind(*k), to_hex(bytes))
        }
        Event::Ping(payload) => format!("ping {}", shown(payload.bytes(input))),
        Event::Pong(payload) => format!("pong {}", shown(payload.bytes(input))),
        Event::Closed => {
            let outcome = conn.outcome();
            format!("closed {} {}", outcome.code, outcome.reason)
        }
        Event::Failed(violation) => format!("failed {}", violation.code()),
    }
}

/// Printable text as it is, all else in hex.
fn shown(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_string(),
        _ => format!("0x{}", to_hex(bytes)),
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hex; spaces do not count.
pub fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    assert!(digits.len() % 2 == 0, "{hex}");
    digits
        .chunks(2)
        .map(|pair| {
            let pair = core::str::from_utf8(pair).expect("hex is ASCII");
            u8::from_str_radix(pair, 16).expect("hex digits")
        })
        .collect()
}

/// A frame; `first` is its first byte. Masked ones have the key zero unless `key` says otherwise.
pub fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from([first]);
    let masked = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(masked | len as u8),
        len @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(i, b)| b ^ key[i % 4]));
    bytes
}
