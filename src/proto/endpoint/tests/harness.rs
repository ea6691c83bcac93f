//! An end with the randomness it works with, its events in words.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::proto::connection::{self, Limits, Masks};
use crate::proto::endpoint::*;
use crate::proto::frame::Kind;
use crate::proto::url::ClientUrl;

pub const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1.acme, v2.acme\r\n\r\n";

pub struct Keys(pub bool);

impl Masks for Keys {
    fn mask(&mut self) -> Option<[u8; 4]> {
        self.0.then_some([1, 2, 3, 4])
    }
}

pub struct End {
    pub end: Endpoint,
    pub keys: Keys,
    pub now: u64,
}

pub fn settings() -> Settings {
    Settings {
        limits: Limits {
            max_message: 1000,
            pieces: false,
            ping_interval: Some(20_000),
            pong_timeout: 10_000,
            close_timeout: 2000,
            deflate: None,
        },
        max_send_queue: 1000,
        handshake_timeout: 5000,
        subprotocols: Some("v2.acme,v1.acme".to_string()),
    }
}

impl End {
    pub fn server() -> End {
        End::of(Endpoint::server(settings(), 0))
    }

    pub fn client() -> End {
        let url = ClientUrl::parse("wss://a.example/chat").expect("a URL");
        let end = Endpoint::client(settings(), &url, Some("X-Token: 7"), [7; 16], 0);
        End::of(end.expect("memory"))
    }

    fn of(end: Endpoint) -> End {
        End {
            end,
            keys: Keys(true),
            now: 0,
        }
    }

    /// A server whose upgrade is done and told, with nothing to write.
    pub fn open_server() -> End {
        let mut server = End::server();
        assert_eq!(server.feed(REQUEST.as_bytes()), ["request"]);
        server.end.accept(None, "", 0).expect("an answer");
        assert_eq!(server.events(), ["open"]);
        server.written();
        server
    }

    /// A pair whose handshake is done.
    pub fn pair() -> (End, End) {
        let (mut client, mut server) = (End::client(), End::server());
        assert_eq!(server.feed(&client.written()), ["request"]);
        server.end.accept(None, "", 0).expect("an answer");
        assert_eq!(server.events(), ["open"]);
        assert_eq!(client.feed(&server.written()), ["open"]);
        (client, server)
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let (events, left) = self.feed_some(bytes);
        assert_eq!(left, 0, "all input is used up");
        events
    }

    /// The events, and how many bytes were left.
    pub fn feed_some(&mut self, bytes: &[u8]) -> (Vec<String>, usize) {
        self.end.arrived(self.now);
        self.look_at(bytes)
    }

    /// Bytes that had come before.
    pub fn look_at(&mut self, bytes: &[u8]) -> (Vec<String>, usize) {
        let mut input = bytes.to_vec();
        let mut at = 0;
        let mut events = Vec::new();
        while let Some(event) = self.end.next(&mut input, &mut at, &mut self.keys) {
            events.push(words(&event, &input, &self.end));
        }
        (events, input.len() - at)
    }

    /// Events that need no input.
    pub fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.end.next(&mut [], &mut 0, &mut self.keys) {
            events.push(words(&event, &[], &self.end));
        }
        events
    }

    pub fn tick(&mut self, now: u64) -> Vec<String> {
        self.now = now;
        self.end.tick(now, &mut self.keys);
        self.events()
    }

    pub fn eof(&mut self) -> Vec<String> {
        self.end.input_ended();
        self.events()
    }

    pub fn send(&mut self, text: &str) -> Result<(), CommandError> {
        self.end
            .send(Kind::Text, text.as_bytes(), false, &mut self.keys)
    }

    pub fn close(&mut self, code: u16, reason: &str) -> Result<(), CommandError> {
        self.end.close(code, reason, self.now, &mut self.keys)
    }

    /// All that waits to be written, now written, in steps of `size` bytes.
    pub fn written_by(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.end.buffered() > 0 {
            let some = self.end.output();
            let some = some[..some.len().min(size)].to_vec();
            let told = self.end.written(some.len(), self.now, &mut self.keys);
            told.expect("no more than there was");
            bytes.extend(some);
        }
        assert!(self.end.output().is_empty());
        bytes
    }

    pub fn written(&mut self) -> Vec<u8> {
        self.written_by(usize::MAX)
    }

    pub fn written_text(&mut self) -> String {
        String::from_utf8(self.written()).expect("a head is ASCII")
    }
}

/// A masked frame, as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut bytes = Vec::from([first, 0x80 | payload.len() as u8, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fn words(event: &Event, input: &[u8], end: &Endpoint) -> String {
    let shown =
        |payload: &connection::Payload| String::from_utf8_lossy(payload.bytes(input)).into_owned();
    match event {
        Event::Request => "request".to_string(),
        Event::Page => "page".to_string(),
        Event::Open => "open".to_string(),
        Event::Received(connection::Event::Message { payload, .. }) => shown(payload),
        Event::Received(connection::Event::Ping(payload)) => format!("ping {}", shown(payload)),
        Event::Received(connection::Event::Pong(payload)) => format!("pong {}", shown(payload)),
        Event::Received(other) => format!("{other:?}"),
        Event::Closed => {
            let outcome = end.outcome().expect("it was open");
            let by = if outcome.by_peer { "peer" } else { "us" };
            assert!(outcome.clean);
            format!("closed {} {} by {by}", outcome.code, outcome.reason)
        }
        Event::Failed(failure) => format!(
            "{:?} {} {}: {}",
            failure.cause, failure.code, failure.http_status, failure.why
        ),
    }
}
