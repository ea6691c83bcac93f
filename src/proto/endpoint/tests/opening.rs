//! The opening handshake of either role.

use super::harness::*;
use crate::proto::connection::SendError;
use crate::proto::endpoint::{CommandError, Ending};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const CLOSED: CommandError = CommandError::Send(SendError::Closed);

#[test]
fn server_shows_the_request_and_answers_it() {
    let mut server = End::server();
    assert_eq!(server.feed(REQUEST.as_bytes()), ["request"]);
    let view = server.end.request().expect("a request");
    assert_eq!(view.method(), c"GET");
    assert_eq!(view.path(), c"/chat");
    assert_eq!(view.query(), c"room=1");
    assert_eq!(view.header(b"host"), Some(c"a.example"));
    assert_eq!(view.peer(), c"");
    assert_eq!(view.subprotocol(), Some(c"v2.acme"));
    assert_eq!(server.end.subprotocol(), None, "not agreed on yet");
    assert!(!server.end.is_open());

    server.end.accept(None, "X-Id: 1", 0).expect("an answer");
    assert!(server.end.is_open());
    assert_eq!(server.end.subprotocol(), Some(c"v2.acme"));
    assert_eq!(server.end.ending(), Ending::GoOn);
    assert_eq!(
        server.written_text(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: v2.acme\r\nX-Id: 1\r\n\r\n"
    );
    assert_eq!(server.events(), ["open"]);
    assert!(server.end.request().is_none(), "it goes after it was told");
    assert_eq!(server.end.subprotocol(), Some(c"v2.acme"));
}

#[test]
fn request_is_there_while_open_is_told() {
    let mut server = End::server();
    server.feed(REQUEST.as_bytes());
    server.end.accept(Some("v1.acme"), "", 0).expect("answer");
    let event = server.end.next(&mut [], &mut 0, &mut server.keys);
    assert_eq!(event, Some(crate::proto::endpoint::Event::Open));
    let view = server.end.request().expect("still there");
    assert_eq!(view.subprotocol(), Some(c"v1.acme"));
}

#[test]
fn chosen_subprotocol_is_sent() {
    for (choice, sent) in [
        (None, Some("v2.acme")),
        (Some("v1.acme"), Some("v1.acme")),
        (Some(""), None),
    ] {
        let mut server = End::server();
        server.feed(REQUEST.as_bytes());
        server.end.accept(choice, "", 0).expect("an answer");
        let answer = server.written_text();
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        assert_eq!(line, sent, "{choice:?}");
    }
}

#[test]
fn wrong_answers_change_nothing() {
    let mut server = End::server();
    let nothing = CommandError::Invalid("no request waits for an answer");
    assert_eq!(server.end.accept(None, "", 0), Err(nothing));
    assert_eq!(server.end.refuse(404, None, "", b"", 0), Err(nothing));
    server.feed(REQUEST.as_bytes());
    for (subprotocol, headers) in [
        (Some("v3.acme"), ""),
        (None, "X: a\r\n\r\nb"),
        (None, "Upgrade: x"),
        (None, "Sec-WebSocket-Protocol: x"),
        (None, "X: \u{e9}"),
    ] {
        let answered = server.end.accept(subprotocol, headers, 0);
        assert!(
            matches!(answered, Err(CommandError::Invalid(_))),
            "{subprotocol:?} {headers:?}: {answered:?}"
        );
    }
    for (status, content_type, headers) in [
        (299, None, ""),
        (600, None, ""),
        (0, None, ""),
        (404, Some("a\r\nb"), ""),
        (404, None, "no colon"),
    ] {
        let answered = server.end.refuse(status, content_type, headers, b"", 0);
        assert!(
            matches!(answered, Err(CommandError::Invalid(_))),
            "{status} {content_type:?} {headers:?}: {answered:?}"
        );
    }
    assert_eq!(server.end.buffered(), 0);
    server.end.accept(None, "", 0).expect("it waits still");
    assert_eq!(server.end.accept(None, "", 0), Err(nothing), "twice");
    assert_eq!(server.end.refuse(404, None, "", b"", 0), Err(nothing));
}

#[test]
fn bytes_behind_a_request_wait_for_its_answer() {
    let mut server = End::server();
    let mut input = REQUEST.as_bytes().to_vec();
    input.extend(frame(0x81, b"early"));
    let (events, left) = server.feed_some(&input);
    assert_eq!(events, ["request"]);
    assert_eq!(left, 11);
    assert_eq!(server.send("too early"), Err(CLOSED));
    server.end.accept(None, "", 0).expect("an answer");
    assert_eq!(server.feed(&input[input.len() - left..]), ["open", "early"]);
}

#[test]
fn result_does_not_depend_on_how_the_bytes_come() {
    let mut input = REQUEST.as_bytes().to_vec();
    for (first, payload) in [
        (0x81, &b"one"[..]),
        (0x01, b"frag"),
        (0x89, b"?"),
        (0x80, b"ments"),
        (0x8a, b"!"),
        (0x88, b"\x03\xe8bye"),
    ] {
        input.extend(frame(first, payload));
    }
    input.extend(b"noise");
    for size in [1, 2, 3, 7, 100, input.len()] {
        let mut server = End::server();
        let (mut events, mut answer) = (Vec::new(), Vec::new());
        for chunk in input.chunks(size) {
            let (some, left) = server.feed_some(chunk);
            events.extend(some);
            if server.end.is_asked() {
                server.end.accept(None, "", 0).expect("an answer");
                let (some, left) = server.look_at(&chunk[chunk.len() - left..]);
                assert_eq!(left, 0);
                events.extend(some);
            }
            answer.extend(server.written_by(size));
        }
        assert_eq!(
            events,
            [
                "request",
                "open",
                "one",
                "ping ?",
                "fragments",
                "pong !",
                "closed 1000 bye by peer"
            ],
            "{size} bytes at a time"
        );
        assert_eq!(
            &answer[answer.len() - 7..],
            b"\x8a\x01?\x88\x02\x03\xe8",
            "{size} bytes at a time"
        );
        assert_eq!(server.end.ending(), Ending::End);
        assert_eq!(server.end.deadline(), None);
    }
}

#[test]
fn bad_heads_are_answered() {
    let cases: [(&str, u16); 8] = [
        ("\u{16}\u{3}\u{1}", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            426,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            413,
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            400,
        ),
    ];
    for (head, status) in cases {
        let mut server = End::server();
        let mut input = head.as_bytes().to_vec();
        input.extend(b"what follows is thrown away");
        let events = server.feed(&input);
        assert!(
            matches!(&events[..], [event] if event.starts_with(&format!("Handshake 1006 {status}: "))),
            "{head:?}: {events:?}"
        );
        let answer = server.written_text();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            status == 426
        );
        assert_eq!(answer.ends_with("\r\n\r\n"), head.starts_with("HEAD"));
        assert_eq!(server.end.ending(), Ending::EndSending);
        assert_eq!(server.end.deadline(), Some(2000));
        assert!(server.feed(b"more").is_empty());
        assert_eq!(server.eof(), [] as [&str; 0]);
        assert_eq!(server.end.ending(), Ending::End);
        assert_eq!(server.end.accept(None, "", 0), Err(CLOSED));
    }
}

#[test]
fn long_heads_are_refused() {
    let mut server = End::server();
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(server.feed(&[b'a'; 1000]));
    }
    assert!(told[0].starts_with("Handshake 1006 414: "), "{told:?}");
    assert_eq!(told.len(), 1);
}

#[test]
fn refused_upgrade_ends() {
    let mut server = End::server();
    server.feed(REQUEST.as_bytes());
    let answered = server.end.refuse(
        401,
        Some("text/plain"),
        "WWW-Authenticate: Basic\r\n",
        b"who?",
        70,
    );
    answered.expect("an answer");
    assert_eq!(server.events(), [] as [&str; 0]);
    assert_eq!(server.end.ending(), Ending::GoOn, "it is to be written");
    assert_eq!(
        server.written_text(),
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\
         Connection: close\r\nWWW-Authenticate: Basic\r\n\r\nwho?"
    );
    assert_eq!(server.end.ending(), Ending::EndSending);
    assert_eq!(server.end.deadline(), Some(2070));
    assert_eq!(server.tick(2069), [] as [&str; 0]);
    assert_eq!(server.end.ending(), Ending::EndSending);
    assert_eq!(server.tick(2070), [] as [&str; 0]);
    assert_eq!(server.end.ending(), Ending::End);
}

#[test]
fn page_is_served_also_after_the_end_of_input() {
    for (method, body) in [("GET", "hello"), ("HEAD", "")] {
        let mut server = End::server();
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(server.feed(request.as_bytes()), ["page"]);
        assert!(matches!(
            server.end.accept(None, "", 0),
            Err(CommandError::Invalid(_))
        ));
        assert_eq!(server.eof(), [] as [&str; 0]);
        server.end.refuse(200, None, "", b"hello", 0).expect("page");
        let answer = server.written_text();
        assert!(answer.contains("\r\nContent-Length: 5\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        assert_eq!(server.end.ending(), Ending::End);
    }
}

#[test]
fn client_asks_and_takes_the_answer() {
    let mut client = End::client();
    let request = client.written_text();
    assert_eq!(
        request,
        "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: v2.acme,v1.acme\r\nX-Token: 7\r\n\r\n"
    );
    let mut server = End::server();
    server.feed(request.as_bytes());
    server.end.accept(None, "", 0).expect("an answer");
    server.send("greeting").expect("room");
    let mut answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    answer.extend(server.written());
    for size in [1, 5, answer.len()] {
        let mut client = End::client();
        let events: Vec<String> = answer
            .chunks(size)
            .flat_map(|chunk| client.feed(chunk))
            .collect();
        assert_eq!(events, ["open", "greeting"], "{size} bytes at a time");
        assert_eq!(client.end.subprotocol(), Some(c"v2.acme"));
    }
}

#[test]
fn client_says_why_there_is_no_websocket() {
    let accept = "Sec-WebSocket-Accept: uLxQrydPAwmyKPkjxg3ij6z1+XA=\r\n";
    let upgrade = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let cases: [(String, &str); 6] = [
        (
            format!("{upgrade}{accept}\r\n"),
            "101: Sec-WebSocket-Accept does not match the key",
        ),
        (
            format!("{upgrade}\r\n"),
            "101: Sec-WebSocket-Accept is missing",
        ),
        (
            "HTTP/1.1 404 X\r\n\r\n".into(),
            "404: there is nothing at this path (HTTP 404)",
        ),
        (
            "HTTP/1.1 302 X\r\nLocation: /\r\n\r\n".into(),
            "302: the server redirects, and libws does not follow",
        ),
        (
            "SSH-2.0-OpenSSH\r\n\r\n".into(),
            "0: the status line is malformed",
        ),
        ("\u{0}\u{1}".into(), "0: this is not HTTP"),
    ];
    for (answer, why) in cases {
        let mut client = End::client();
        client.written();
        let events = client.feed(format!("{answer}and more").as_bytes());
        assert_eq!(events, [format!("Handshake 1006 {why}")], "{answer}");
        assert_eq!(client.end.buffered(), 0, "nothing is answered");
        assert_eq!(client.end.ending(), Ending::End);
        assert_eq!(client.send("x"), Err(CLOSED));
    }
}

#[test]
fn handshake_has_a_deadline() {
    for mut end in [End::server(), End::client()] {
        assert_eq!(end.end.deadline(), Some(5000));
        end.feed(b"H");
        assert_eq!(end.tick(4999), [] as [&str; 0]);
        assert_eq!(end.end.deadline(), Some(5000), "bytes do not move it");
        assert_eq!(
            end.tick(5000),
            ["Timeout 1006 0: the opening handshake took too long"]
        );
        assert_eq!(end.end.ending(), Ending::End);
        assert_eq!((end.end.deadline(), end.end.buffered()), (None, 0));
    }
    let mut server = End::server();
    server.feed(REQUEST.as_bytes());
    assert_eq!(server.end.deadline(), Some(5000), "nor does the request");
    assert_eq!(server.tick(6000).len(), 1);
    assert_eq!(server.end.accept(None, "", 6000), Err(CLOSED));
    assert!(server.end.request().is_none());
}

#[test]
fn handshake_that_is_cut_off_is_told() {
    let mut asked = End::server();
    asked.feed(REQUEST.as_bytes());
    for mut end in [End::server(), End::client(), asked] {
        assert_eq!(
            end.eof(),
            ["Lost 1006 0: the transport ended before the WebSocket was open"]
        );
        assert_eq!(end.eof(), [] as [&str; 0], "once");
        assert_eq!(end.end.ending(), Ending::End);
    }
}
