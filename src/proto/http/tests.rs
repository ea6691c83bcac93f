//! HTTP heads, as tables.

use super::*;
use alloc::{format, string::String, vec, vec::Vec};
use core::ffi::CStr;

const SAMPLE: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\n\
    Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn request(text: &[u8]) -> Result<Request, HttpError> {
    Request::parse(text.to_vec())
}

/// A request with these header lines and a Host.
fn with(lines: &str) -> Result<Request, HttpError> {
    request(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes())
}

/// Feeds the pieces to one buffer: the outcome and the bytes of `input` used.
fn collect<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize), HttpError> {
    let mut buffer = HeadBuffer::new();
    let mut used = 0;
    for piece in pieces {
        match buffer.feed(piece)? {
            Fed::NeedMore => used += piece.len(),
            Fed::Complete(n) => {
                let head = buffer.take();
                assert!(buffer.is_empty());
                return Ok((head, used + n));
            }
        }
    }
    panic!("the head never became complete");
}

#[test]
fn a_head_is_the_same_however_it_is_cut() {
    let mut stream = SAMPLE.to_vec();
    stream.extend_from_slice(b"\x81\x85frames\r\n\r\n");
    let expected = Ok((SAMPLE.to_vec(), SAMPLE.len()));
    assert_eq!(collect([&stream[..]].into_iter()), expected);
    assert_eq!(collect(stream.chunks(1)), expected);
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(collect([a, b].into_iter()), expected, "split at {at}");
    }
    for size in 2..SAMPLE.len() {
        assert_eq!(collect(stream.chunks(size)), expected, "chunks of {size}");
    }
}

#[test]
fn only_an_empty_line_ends_a_head() {
    for line in ["A", " ", "\r"] {
        let head = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").into_bytes();
        let expected = Ok((head.clone(), head.len()));
        assert_eq!(collect([&head[..]].into_iter()), expected);
        assert_eq!(collect(head.chunks(1)), expected);
    }
}

#[test]
fn a_few_empty_lines_before_a_head_are_skipped() {
    for lines in 0..=4 {
        let mut stream = b"\r\n".repeat(lines);
        stream.extend_from_slice(SAMPLE);
        let expected = Ok((SAMPLE.to_vec(), stream.len()));
        assert_eq!(collect([&stream[..]].into_iter()), expected);
        assert_eq!(collect(stream.chunks(1)), expected);
    }
    let five = collect(b"\r\n".repeat(5).chunks(1)).unwrap_err();
    assert_eq!(five.status, 400);
}

#[test]
fn the_buffer_is_ready_for_the_next_head() {
    let mut buffer = HeadBuffer::new();
    for _ in 0..3 {
        assert_eq!(buffer.feed(SAMPLE), Ok(Fed::Complete(SAMPLE.len())));
        assert!(!buffer.is_empty());
        assert_eq!(buffer.take(), SAMPLE);
    }
    assert_eq!(buffer.feed(b""), Ok(Fed::NeedMore));
    assert_eq!(buffer.take().capacity(), 0);
}

#[test]
fn streams_that_are_no_head_are_refused_at_once() {
    let table: [(&[u8], u16, &str); 9] = [
        (b"\x16\x03\x01\x02\x00", 400, "TLS"),
        (b"\x00", 400, "not HTTP"),
        (b" GET / HTTP/1.1\r\n", 400, "not HTTP"),
        (b"\r\n\xff", 400, "not HTTP"),
        (b"\n", 400, "without CR"),
        (b"GET / HTTP/1.1\n", 400, "without CR"),
        (b"GET / HTTP/1.1\r\nHost: h\n", 400, "without CR"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", 400, "without CR"),
        (b"GET / HTTP/1.1\r\r\r\n\n", 400, "without CR"),
    ];
    for (bytes, status, why) in table {
        for size in [1, bytes.len()] {
            let error = collect(bytes.chunks(size)).unwrap_err();
            assert_eq!(error.status, status, "{bytes:?}");
            assert!(error.why.contains(why), "{bytes:?}: {}", error.why);
        }
    }
}

#[test]
fn a_head_is_bounded() {
    let fits = |filler: usize| {
        let start = b"GET / HTTP/1.1\r\nHost: h\r\nX: ";
        let mut head = start.to_vec();
        head.resize(head.len() + filler, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    let frame = fits(0).len();
    let exact = fits(MAX_HEAD - frame);
    assert_eq!(exact.len(), MAX_HEAD);
    for size in [1, 100, MAX_HEAD] {
        let (head, _) = collect(exact.chunks(size)).unwrap();
        assert!(request(&head).is_ok());
        let long = fits(MAX_HEAD - frame + 1);
        assert_eq!(collect(long.chunks(size)).unwrap_err().status, 431);
        assert_eq!(request(&long).unwrap_err().status, 431);
        // 70 KiB in one header, and in many
        assert_eq!(
            collect(fits(70 << 10).chunks(size)).unwrap_err().status,
            431
        );
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(12_000));
        let error = collect(many.as_bytes().chunks(size)).unwrap_err();
        assert_eq!(error.status, 431);
        let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70 << 10));
        let error = collect(line.as_bytes().chunks(size)).unwrap_err();
        assert_eq!(error.status, 414);
    }
}

/// The steps a feed takes do not show from outside, its memory does: a peer that
/// sends a byte at a time, or one that sends everything at once, holds no more
/// than the bound and one growth step.
#[test]
fn memory_is_bounded_while_a_peer_dribbles() {
    let mut buffer = HeadBuffer::new();
    buffer.feed(b"GET / HTTP/1.1\r\n").unwrap();
    let mut fed = 0;
    while buffer.feed(b"x").is_ok() {
        fed += 1;
        assert!(fed <= MAX_HEAD);
    }
    assert!(buffer.feed(&[b'x'; 1 << 16]).is_err());
    assert!(buffer.take().capacity() <= 2 * MAX_HEAD);
}

/// 1 MiB byte by byte, in heads of the largest size. A buffer that scanned again
/// at every feed would take 8,000 times as many steps: minutes instead of a moment.
#[test]
fn a_mebibyte_dribbled() {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    while head.len() + 8 <= MAX_HEAD {
        head.extend_from_slice(b"A: bb\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let mut buffer = HeadBuffer::new();
    let mut heads = 0;
    for byte in head.iter().cycle().take(head.len() * 64) {
        if buffer.feed(core::slice::from_ref(byte)) == Ok(Fed::Complete(1)) {
            assert_eq!(buffer.take().len(), head.len());
            heads += 1;
        }
    }
    assert_eq!(heads, 64);
}

#[test]
fn the_parts_of_a_request() {
    let r = request(SAMPLE).unwrap();
    assert_eq!(r.method(), c"GET");
    assert_eq!(r.path(), c"/chat");
    assert_eq!(r.query(), c"room=1");
    assert!(r.is_http11());
    assert_eq!(r.header(b"HOST"), Some(c"server.example.com"));
    assert_eq!(r.header(b"hos"), None);
    assert_eq!(r.header(b"Host:"), None);
    assert_eq!(r.all().count(), 5);
    assert_eq!(r.all().nth(1), Some((c"Upgrade", c"websocket")));
}

#[test]
fn request_targets() {
    let ok: [(&str, &CStr, &CStr); 11] = [
        ("/", c"/", c""),
        ("/?", c"/", c""),
        ("/?a?b", c"/", c"a?b"),
        ("//x//y", c"//x//y", c""),
        ("/%00%2f", c"/%00%2f", c""),
        ("/a:b@c", c"/a:b@c", c""),
        ("http://h/p?q", c"/p", c"q"),
        ("HTTP://H", c"/", c""),
        ("wss://h?q", c"/", c"q"),
        ("/http://other/", c"/http://other/", c""),
        ("/{\"a\":1}", c"/{\"a\":1}", c""),
    ];
    for (target, path, query) in ok {
        let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let r = request(text.as_bytes()).unwrap_or_else(|e| panic!("{target}: {e:?}"));
        assert_eq!((r.path(), r.query()), (path, query), "{target}");
        assert_eq!(r.header(b"host"), Some(c"h"), "{target}");
    }
    let r = request(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").expect("asterisk-form");
    assert_eq!((r.path(), r.query()), (c"*", c""));
    let refused: [&[u8]; 12] = [
        b"*",
        b"x",
        b"h:80",
        b"ftp://h/",
        b"http://other/",
        b"http://u@h/",
        b"/#f",
        b"/a\x01",
        b"/a\x00b",
        b"/\x7f",
        b"/\xc3\xa9",
        b"/a b",
    ];
    for target in refused {
        let text = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(request(&text).unwrap_err().status, 400, "{target:?}");
    }
}

#[test]
fn malformed_heads() {
    let table: [(&[u8], u16); 25] = [
        (b"", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\nx", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA\xe9: b\r\n\r\n", 400),
        (b"GET /\r\nHost: h\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", 400),
    ];
    for (head, status) in table {
        let error = request(head).expect_err(&String::from_utf8_lossy(head));
        assert_eq!(error.status, status, "{}", String::from_utf8_lossy(head));
        assert!(!error.why.is_empty());
    }
    assert!(request(b"GET / HTTP/1.0\r\n\r\n").is_ok());
}

/// Every byte of the sample replaced by every value: an answer, never a panic,
/// and what is accepted has no NUL inside a part.
#[test]
fn every_byte_mangled() {
    for at in 0..SAMPLE.len() {
        for value in 0..=u8::MAX {
            let mut head = SAMPLE.to_vec();
            head[at] = value;
            match Request::parse(head) {
                Ok(r) => {
                    assert_ne!(value, 0, "a NUL was taken at {at}");
                    assert!(!r.path().is_empty());
                    let _ = (r.keep_alive(), r.has_body());
                }
                Err(e) => assert!(matches!(e.status, 400 | 505), "{e:?}"),
            }
        }
    }
}

#[test]
fn header_counts() {
    let lines = |n: usize| "X: y\r\n".repeat(n);
    let full = with(&lines(MAX_HEADERS - 1)).unwrap();
    assert_eq!(full.headers(b"x").count(), MAX_HEADERS - 1);
    for n in [MAX_HEADERS, 2000] {
        assert_eq!(with(&lines(n)).unwrap_err().status, 431);
    }
}

#[test]
fn header_values_are_trimmed_and_kept() {
    let r = with("A:1\r\nB: \t 2 3\t \r\nC:\r\nD: \t \r\na: 4\r\nE: caf\u{e9}\r\n").unwrap();
    let table: [(&[u8], Option<&CStr>); 6] = [
        (b"a", Some(c"1")),
        (b"b", Some(c"2 3")),
        (b"c", Some(c"")),
        (b"d", Some(c"")),
        (b"e", Some(c"caf\u{e9}")),
        (b"f", None),
    ];
    for (name, value) in table {
        assert_eq!(r.header(name), value);
    }
    assert_eq!(r.headers(b"A").collect::<Vec<_>>(), [b"1", b"4"]);
    assert_eq!(r.once(b"a"), Once::Several);
    assert_eq!(r.once(b"c"), Once::One(b""));
    assert_eq!(r.once(b"f"), Once::Missing);
}

#[test]
fn keep_alive() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: a\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, lines, expected) in table {
        let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        let r = request(text.as_bytes()).unwrap();
        assert_eq!(r.keep_alive(), expected, "{version} {lines}");
    }
}

#[test]
fn bodies() {
    let table = [
        ("", Some(false)),
        ("Content-Length: 0\r\n", Some(false)),
        ("Content-Length: 000\r\n", Some(false)),
        ("Content-Length: 1\r\n", Some(true)),
        ("Content-Length: 18446744073709551615\r\n", Some(true)),
        ("Content-Length: 18446744073709551616\r\n", None),
        ("Content-Length:\r\n", None),
        ("Content-Length: -1\r\n", None),
        ("Content-Length: +1\r\n", None),
        ("Content-Length: 0x1\r\n", None),
        ("Content-Length: 1, 1\r\n", None),
        ("Content-Length: 1 1\r\n", None),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", None),
        ("Transfer-Encoding: chunked\r\n", Some(true)),
        (
            "Transfer-Encoding: x\r\nTransfer-Encoding: y\r\n",
            Some(true),
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", None),
    ];
    for (lines, expected) in table {
        let got = with(lines).unwrap().has_body();
        match expected {
            Some(expected) => assert_eq!(got, Ok(expected), "{lines}"),
            None => assert_eq!(got.map_err(|e| e.status), Err(400), "{lines}"),
        }
    }
    let old = request(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(old.has_body().unwrap_err().status, 400);
}

#[test]
fn token_lists() {
    let table: [(&[&[u8]], bool); 16] = [
        (&[], false),
        (&[b""], false),
        (&[b"upgrade"], true),
        (&[b"Upgrade"], true),
        (&[b"UPGRADE"], true),
        (&[b"keep-alive, Upgrade"], true),
        (&[b"keep-alive,Upgrade,x"], true),
        (&[b"keep-alive", b"Upgrade"], true),
        (&[b" \tupgrade\t ,"], true),
        (&[b",,, upgrade"], true),
        (&[b"keep-alive upgrade"], false),
        (&[b"upgrades, xupgrade"], false),
        (&[b"\x0bupgrade"], false),
        (&[b"\xc2\xa0upgrade"], false),
        (&[b"upgrade\xff"], false),
        (&[b"up", b"grade"], false),
    ];
    for (values, expected) in table {
        assert_eq!(
            has_token(values.iter().copied(), "upgrade"),
            expected,
            "{values:?}"
        );
    }
    // The sign of Kelvin is a k to Unicode, and to HTTP it is not.
    assert!(!has_token(["\u{212a}eep".as_bytes()].into_iter(), "keep"));
    let long = vec![b','; 1 << 20];
    assert!(!has_token([&long[..]].into_iter(), "upgrade"));
}

#[test]
fn tokens_and_field_values_by_byte() {
    let separators = b"()<>@,;:\\\"/[]?={} \t";
    for b in 0..=u8::MAX {
        let visible = (0x21..=0x7e).contains(&b);
        assert_eq!(
            is_token(&[b'a', b]),
            visible && !separators.contains(&b),
            "{b:#x}"
        );
        let text = visible || b == b' ' || b == b'\t';
        assert_eq!(is_field_value(&[b'a', b, b'b']), text, "{b:#x}");
    }
    assert!(!is_token(b""));
    assert!(is_field_value(b""));
}

#[test]
fn replies() {
    let reply = Reply {
        status: 200,
        content_type: Some("text/html"),
        headers: b"X: y\r\n",
        body: b"page",
        keep_alive: true,
        head_only: false,
    };
    let text = |reply: Reply<'_>| {
        let mut out = b"before".to_vec();
        reply.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        String::from(text.strip_prefix("before").unwrap())
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\
                Connection: keep-alive\r\nX: y\r\n\r\n";
    assert_eq!(text(reply), format!("{head}page"));
    assert_eq!(
        text(Reply {
            head_only: true,
            ..reply
        }),
        head
    );
    let bare = Reply {
        content_type: None,
        headers: b"",
        body: b"",
        keep_alive: false,
        ..reply
    };
    let table = [
        (200, "200 OK\r\nContent-Length: 0\r\n"),
        (204, "204 No Content\r\n"),
        (304, "304 Not Modified\r\n"),
        (
            431,
            "431 Request Header Fields Too Large\r\nContent-Length: 0\r\n",
        ),
        (599, "599 \r\nContent-Length: 0\r\n"),
        (0, "500 Internal Server Error\r\nContent-Length: 0\r\n"),
        (101, "500 Internal Server Error\r\nContent-Length: 0\r\n"),
        (600, "500 Internal Server Error\r\nContent-Length: 0\r\n"),
    ];
    for (status, start) in table {
        let expected = format!("HTTP/1.1 {start}Connection: close\r\n\r\n");
        assert_eq!(text(Reply { status, ..bare }), expected);
    }
    for status in [204, 304] {
        assert!(!text(Reply { status, ..reply }).contains("page"));
    }
    // What is written is read back by the other half.
    let read = Response::parse(text(bare).into_bytes()).unwrap();
    assert_eq!(
        (read.status(), read.header(b"connection")),
        (200, Some(c"close"))
    );
}

#[test]
fn responses() {
    let r = Response::parse(b"HTTP/1.1 101 Switching\r\nA: 1\r\nB:2\r\n\r\n".to_vec()).unwrap();
    assert_eq!((r.status(), r.is_http11()), (101, true));
    assert_eq!(r.header(b"b"), Some(c"2"));
    assert!(Response::parse(b"HTTP/1.1 200\r\n\r\n".to_vec()).is_ok());
    assert!(Response::parse(b"HTTP/1.1 200 caf\xe9\r\n\r\n".to_vec()).is_ok());
    let refused: [&[u8]; 9] = [
        b"",
        b"HTTP/1.1 101 ok\r\n",
        b"HTTP/1.1 10 ok\r\n\r\n",
        b"HTTP/1.1 1x1 ok\r\n\r\n",
        b"HTTP/2.0 101 ok\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 ok\r\nA : b\r\n\r\n",
        b"HTTP/1.1 101 ok\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 101 ok\r\nA: b\0\r\n\r\n",
    ];
    for head in refused {
        assert!(
            Response::parse(head.to_vec()).is_err(),
            "{}",
            String::from_utf8_lossy(head)
        );
    }
    for (status, interim) in [(100, true), (101, false), (103, true), (200, false)] {
        let head = format!("HTTP/1.1 {status} x\r\n\r\n").into_bytes();
        assert_eq!(Response::parse(head).unwrap().is_interim(), interim);
    }
}
