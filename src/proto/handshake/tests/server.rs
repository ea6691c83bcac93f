use super::*;

const GOOD: [(&str, &str); 6] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
    ("Origin", "http://example.com"),
];

fn request(line: &str, headers: &[(&str, &str)]) -> Result<Request, HttpError> {
    let lines: Vec<String> = headers
        .iter()
        .map(|(n, v)| format!("{n}: {v}\r\n"))
        .collect();
    Request::parse(format!("{line}\r\n{}\r\n", lines.concat()).into_bytes())
}

/// The handshake with these headers; a head that does not parse counts as refused.
fn check(line: &str, headers: &[(&str, &str)]) -> Result<Option<ServerHandshake>, HttpError> {
    check_request(&request(line, headers)?)
}

fn check_get(headers: &[(&str, &str)]) -> Result<Option<ServerHandshake>, HttpError> {
    check("GET /chat HTTP/1.1", headers)
}

fn good_with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GOOD[..], more].concat()
}

fn good_but<'a>(name: &str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    GOOD.iter()
        .map(|&(n, v)| if n == name { (n, value) } else { (n, v) })
        .collect()
}

#[test]
fn the_sample() {
    let accepted = check_get(&GOOD).unwrap().unwrap();
    assert_eq!(&accepted.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for rotation in 0..GOOD.len() {
        let mut headers = GOOD;
        headers.rotate_left(rotation);
        assert_eq!(check_get(&headers), Ok(Some(accepted)));
    }
}

/// Requests seen on real wires.
#[test]
fn real_requests() {
    let table: [(&str, &str); 3] = [
        (
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ),
        (
            "GET /null HTTP/1.1\r\nConnection: Upgrade\r\nHost: 172.16.104.78:9999\r\n\
             Sec-WebSocket-Key: J2BJc+GQuSw34hi2TjyVpg==\r\nSec-WebSocket-Version: 13\r\n\
             Upgrade: websocket\r\n\r\n",
            "uGY1yScptmHNgZqrDnpq1Ws1xho=",
        ),
        (
            "GET / HTTP/1.1\r\nConnection:Upgrade\r\nHost:127.0.0.1:8088\r\nOrigin:null\r\n\
             Sec-WebSocket-Extensions:x-webkit-deflate-frame\r\n\
             Sec-WebSocket-Key:puVOuWb7rel6z2AVZBKnfw==\r\nSec-WebSocket-Version:13\r\n\
             Upgrade:websocket\r\n\r\n",
            "",
        ),
    ];
    for (text, accept) in table {
        let r = Request::parse(text.as_bytes().to_vec()).unwrap();
        let handshake = check_request(&r).unwrap().unwrap();
        if !accept.is_empty() {
            assert_eq!(handshake.accept, accept.as_bytes());
        }
        let mut out = Vec::new();
        write_accept(&mut out, &handshake, choose_subprotocol("chat", &r), b"").unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("Extensions"));
        assert_eq!(
            out.contains("Protocol: chat\r\n"),
            text.contains("chat, superchat")
        );
    }
}

#[test]
fn ordinary_requests_are_left_alone() {
    assert_eq!(check_get(&[("Host", "h")]), Ok(None));
    for upgrade in ["h2c", "websockets", "web socket", "websocket/13", ""] {
        assert_eq!(
            check_get(&good_but("Upgrade", upgrade)),
            Ok(None),
            "{upgrade}"
        );
    }
}

#[test]
fn each_header_missing() {
    let table = [
        ("Host", Err(400)),
        ("Upgrade", Ok(false)),
        ("Connection", Err(400)),
        ("Sec-WebSocket-Key", Err(400)),
        ("Sec-WebSocket-Version", Err(426)),
        ("Origin", Ok(true)),
    ];
    for (name, expected) in table {
        let mut headers = GOOD.to_vec();
        headers.retain(|(n, _)| *n != name);
        let got = check_get(&headers)
            .map(|h| h.is_some())
            .map_err(|e| e.status);
        assert_eq!(got, expected, "without {name}");
    }
}

#[test]
fn each_header_doubled() {
    let table = [
        ("Host", false),
        ("Upgrade", true),
        ("Connection", true),
        ("Sec-WebSocket-Key", false),
        ("Sec-WebSocket-Version", false),
        ("Origin", false),
    ];
    for (name, accepted) in table {
        let (_, value) = GOOD.iter().find(|(n, _)| *n == name).unwrap();
        let got = check_get(&good_with(&[(name, value)]));
        let expected = if accepted { Ok(true) } else { Err(400) };
        assert_eq!(
            got.map(|h| h.is_some()).map_err(|e| e.status),
            expected,
            "{name}"
        );
    }
}

#[test]
fn each_header_mangled() {
    let table = [
        ("Host", "", 400),
        ("Host", "a b", 400),
        ("Host", "a,b", 400),
        ("Connection", "", 400),
        ("Connection", "keep-alive", 400),
        ("Connection", "Upgrade\u{a0}", 400),
        ("Connection", "Upgrad", 400),
        ("Sec-WebSocket-Version", "", 426),
        ("Sec-WebSocket-Version", "8", 426),
        ("Sec-WebSocket-Version", "013", 426),
        ("Sec-WebSocket-Version", "13, 8", 426),
        ("Sec-WebSocket-Version", "\u{661}\u{663}", 426),
        ("Sec-WebSocket-Key", "", 400),
        // 15 and 17 bytes
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTE=", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTEy", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ===", 400),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==, x", 400),
        (
            "Sec-WebSocket-Key",
            "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBs",
            400,
        ),
        ("Sec-WebSocket-Key", "dGhlIHNhbX sZSBub25jZQ==", 400),
        ("Sec-WebSocket-Key", "-_hlIHNhbXBsZSBub25jZQ==", 400),
        ("Sec-WebSocket-Key", "\u{e9}hlIHNhbXBsZSBub25jZ===", 400),
    ];
    for (name, value, status) in table {
        let error = check_get(&good_but(name, value)).expect_err(value);
        assert_eq!(error.status, status, "{name}: {value}");
    }
    let long = "A".repeat(10_000);
    let error = check_get(&good_but("Sec-WebSocket-Key", &long)).unwrap_err();
    assert_eq!(error.why, "Sec-WebSocket-Key is not 16 bytes in base64");
}

#[test]
fn what_is_fine_though_unusual() {
    let table = [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", ",UPGRADE,"),
        ("Sec-WebSocket-Version", "\t13 "),
        // 24 random letters: bits are left over
        ("Sec-WebSocket-Key", "abcdefghijklmnopqrstuv=="),
        ("Host", "[::1]:9001"),
    ];
    for (name, value) in table {
        assert!(
            matches!(check_get(&good_but(name, value)), Ok(Some(_))),
            "{name}: {value}"
        );
    }
    let bodiless = good_with(&[("Content-Length", "0")]);
    assert!(matches!(check_get(&bodiless), Ok(Some(_))));
}

#[test]
fn request_lines_and_bodies() {
    for line in [
        "POST / HTTP/1.1",
        "get / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "GET / HTTP/1.0",
    ] {
        assert_eq!(check(line, &GOOD).unwrap_err().status, 400, "{line}");
    }
    assert_eq!(check("GET / HTTP/2.0", &GOOD).unwrap_err().status, 505);
    for body in [
        ("Content-Length", "1"),
        ("Content-Length", "x"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(
            check_get(&good_with(&[body])).unwrap_err().status,
            400,
            "{body:?}"
        );
    }
}

/// An upgrade with every byte of its head replaced by every value: an answer each
/// time, and no other status than these.
#[test]
fn every_byte_mangled() {
    let lines: Vec<String> = GOOD.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", lines.concat()).into_bytes();
    for at in 0..head.len() {
        for value in 0..=u8::MAX {
            let mut head = head.clone();
            head[at] = value;
            if let Err(e) = Request::parse(head).and_then(|r| check_request(&r)) {
                assert!(matches!(e.status, 400 | 426 | 505), "{e:?}");
            }
        }
    }
}

#[test]
fn offered_subprotocols_in_order() {
    const NAME: &str = "Sec-WebSocket-Protocol";
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let table: [Case<'_>; 4] = [
        (&[], &[]),
        (&[(NAME, "chat, superchat")], &["chat", "superchat"]),
        (&[(NAME, "b,a"), ("X", "y"), (NAME, "c")], &["b", "a", "c"]),
        (&[(NAME, " , chat,, CHAT ,")], &["chat", "CHAT"]),
    ];
    for (lines, expected) in table {
        let r = request("GET / HTTP/1.1", &good_with(lines)).unwrap();
        assert!(matches!(check_request(&r), Ok(Some(_))), "{lines:?}");
        assert_eq!(offered_subprotocols(&r).collect::<Vec<_>>(), expected);
    }
    let refused: [&[(&str, &str)]; 7] = [
        &[(NAME, "")],
        &[(NAME, ",")],
        &[(NAME, "a b")],
        &[(NAME, "a;b")],
        &[(NAME, "caf\u{e9}")],
        &[(NAME, "a, b, a")],
        &[(NAME, "a"), (NAME, "a")],
    ];
    for lines in refused {
        let error = check_get(&good_with(lines)).unwrap_err();
        assert_eq!(error.status, 400, "{lines:?}");
    }
}

#[test]
fn long_offers_are_bounded() {
    let list = |n: usize| {
        let names: Vec<String> = (0..n).map(|i| format!("p{i}")).collect();
        names.join(",")
    };
    let offer = |n| check_get(&good_with(&[("Sec-WebSocket-Protocol", &list(n))]));
    assert!(matches!(offer(MAX_SUBPROTOCOLS), Ok(Some(_))));
    assert_eq!(offer(MAX_SUBPROTOCOLS + 1).unwrap_err().status, 400);
    assert_eq!(offer(2000).unwrap_err().status, 400);
    let last_twice = format!("{},p62", list(MAX_SUBPROTOCOLS - 1));
    let twice = check_get(&good_with(&[("Sec-WebSocket-Protocol", &last_twice)]));
    assert!(twice.unwrap_err().why.contains("twice"));
}

#[test]
fn the_server_prefers() {
    let lines = good_with(&[("Sec-WebSocket-Protocol", "a, b, c")]);
    let r = request("GET / HTTP/1.1", &lines).unwrap();
    let table = [
        ("c,a", Some("c")),
        (" x , b ", Some("b")),
        ("A", None),
        ("", None),
        (",", None),
        ("a b", None),
    ];
    for (preference, expected) in table {
        assert_eq!(choose_subprotocol(preference, &r), expected, "{preference}");
    }
}

#[test]
fn extension_offers() {
    let table = [
        ("permessage-deflate; client_max_window_bits", true),
        ("permessage-deflate; server_max_window_bits=10, x", true),
        ("a; b=\"c\"; d = \"e\\f\", g", true),
        ("x-webkit-deflate-frame", true),
        ("", true),
        (", a ,,", true),
        ("a b", false),
        ("a;", false),
        (";a", false),
        ("a; b=", false),
        ("a; =b", false),
        ("a; b=c d", false),
        ("a; b=\"c", false),
        ("a; b=\"", false),
        ("a; b=\"\"", false),
        ("a; b=\"c,d\"", false),
        ("a; b=\"c;d\"", false),
        ("a; b=\"c, d; e", false),
        ("a; b=\"c\\\"\", d", false),
        ("a; b=\"c\\\"", false),
        ("a; b=\"c\"d", false),
        ("caf\u{e9}", false),
    ];
    for (value, accepted) in table {
        let got = check_get(&good_with(&[("Sec-WebSocket-Extensions", value)]));
        let expected = if accepted { Ok(true) } else { Err(400) };
        assert_eq!(
            got.map(|h| h.is_some()).map_err(|e| e.status),
            expected,
            "{value}"
        );
    }
}

#[test]
fn the_101() {
    let handshake = check_get(&GOOD).unwrap().unwrap();
    let text = |subprotocol, headers: &[u8]| {
        let mut out = Vec::new();
        write_accept(&mut out, &handshake, subprotocol, headers).unwrap();
        String::from_utf8(out).unwrap()
    };
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert_eq!(text(None, b""), format!("{head}\r\n"));
    assert_eq!(
        text(Some("chat"), b"Set-Cookie: a=b\r\n"),
        format!("{head}Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\n\r\n")
    );
}

#[test]
fn the_426_names_the_version() {
    let error = check_get(&good_but("Sec-WebSocket-Version", "8")).unwrap_err();
    let mut out = Vec::new();
    crate::proto::http::Reply {
        status: error.status,
        content_type: None,
        headers: b"",
        body: error.why.as_bytes(),
        keep_alive: false,
        head_only: false,
    }
    .write(&mut out)
    .unwrap();
    let head = out.len() - error.why.len();
    let response = Response::parse(out[..head].to_vec()).unwrap();
    assert_eq!(response.status(), 426);
    assert_eq!(response.header(b"Sec-WebSocket-Version"), Some(c"13"));
    assert_eq!(response.header(b"Upgrade"), Some(c"websocket"));
}
