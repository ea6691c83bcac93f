use super::*;
use crate::proto::url::ClientUrl;

const KEY: [u8; 16] = *b"the sample nonce";
const GOOD: [(&str, &str); 3] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
];

fn response(line: &str, headers: &[(&str, &str)]) -> Response {
    let lines: Vec<String> = headers
        .iter()
        .map(|(n, v)| format!("{n}: {v}\r\n"))
        .collect();
    Response::parse(format!("{line}\r\n{}\r\n", lines.concat()).into_bytes()).unwrap()
}

fn answer(headers: &[(&str, &str)]) -> Response {
    response("HTTP/1.1 101 Switching Protocols", headers)
}

fn good_but<'a>(name: &str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    GOOD.iter()
        .map(|&(n, v)| if n == name { (n, value) } else { (n, v) })
        .collect()
}

fn refused(response: &Response, offered: Option<&str>) -> &'static str {
    let error = check_response(response, &KEY, offered, None).unwrap_err();
    assert_eq!(error.status, response.status());
    error.why
}

fn written(url: &str, subprotocols: Option<&str>, headers: Option<&str>) -> Vec<u8> {
    let url = ClientUrl::parse(url).unwrap();
    let mut out = Vec::new();
    let offer = Offer {
        url: &url,
        subprotocols,
        headers,
        deflate: None,
        key: KEY,
    };
    write_request(&mut out, &offer).unwrap();
    out
}

#[test]
fn the_request() {
    let bare = "GET /chat?a=b HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Version: 13\r\n";
    let url = "ws://server.example.com/chat?a=b";
    let table = [
        (None, None, ""),
        (Some(""), Some(""), ""),
        (Some("a, b"), None, "Sec-WebSocket-Protocol: a, b\r\n"),
        (None, Some("X: y"), "X: y\r\n"),
        (None, Some("X: y\r\n"), "X: y\r\n"),
        (None, Some("X: y\r\nZ:1"), "X: y\r\nZ:1\r\n"),
    ];
    for (subprotocols, headers, more) in table {
        let out = written(url, subprotocols, headers);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{bare}{more}\r\n"));
    }
}

/// What one half writes, the other accepts.
#[test]
fn both_halves_agree() {
    for url in ["ws://h", "wss://[::1]:9001/a?b", "ws://127.0.0.1:80?q"] {
        let r = Request::parse(written(url, Some("a,b"), Some("Origin: http://x"))).unwrap();
        let handshake = check_request(&r).unwrap().unwrap();
        let mut out = Vec::new();
        let chosen = choose_subprotocol("b", &r);
        write_accept(&mut out, &handshake, chosen, b"X: y\r\n").unwrap();
        let answer = Response::parse(out).unwrap();
        let agreed = check_response(&answer, &KEY, Some("a,b"), None).unwrap();
        assert_eq!(agreed.subprotocol, Some("b"));
    }
}

#[test]
fn good_answers() {
    assert!(check_response(&answer(&GOOD), &KEY, None, None).is_ok());
    let table = [
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, UPGRADE"),
        ("Sec-WebSocket-Accept", " s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\t"),
    ];
    for (name, value) in table {
        let r = answer(&good_but(name, value));
        assert!(
            check_response(&r, &KEY, None, None).is_ok(),
            "{name}: {value}"
        );
    }
}

#[test]
fn each_check_alone() {
    let table = [
        ("Upgrade", "", "no Upgrade"),
        ("Upgrade", "h2c", "something other"),
        ("Upgrade", "websocket, h2c", "something other"),
        ("Upgrade", "websockets", "something other"),
        ("Connection", "", "Connection"),
        ("Connection", "keep-alive", "Connection"),
        ("Connection", "Upgraded", "Connection"),
        ("Sec-WebSocket-Accept", "", "does not match"),
        (
            "Sec-WebSocket-Accept",
            "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "does not match",
        ),
        (
            "Sec-WebSocket-Accept",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
            "does not match",
        ),
        (
            "Sec-WebSocket-Accept",
            "dGhlIHNhbXBsZSBub25jZQ==",
            "does not match",
        ),
    ];
    for (name, value, why) in table {
        let got = refused(&answer(&good_but(name, value)), None);
        assert!(got.contains(why), "{name}: {value}: {got}");
    }
    for (name, why) in [
        ("Upgrade", "no Upgrade"),
        ("Connection", "Connection"),
        ("Sec-WebSocket-Accept", "is missing"),
    ] {
        let mut headers = GOOD.to_vec();
        headers.retain(|(n, _)| *n != name);
        let got = refused(&answer(&headers), None);
        assert!(got.contains(why), "without {name}: {got}");
    }
    let twice = [&GOOD[..], &GOOD[2..]].concat();
    assert!(refused(&answer(&twice), None).contains("several"));
    let old = response("HTTP/1.0 101 x", &GOOD);
    assert!(refused(&old, None).contains("HTTP/1.1"));
    let good = answer(&GOOD);
    let other = check_response(&good, b"another 16 bytes", None, None);
    assert!(other.unwrap_err().why.contains("does not match"));
}

#[test]
fn every_other_status() {
    for status in (100..=599).filter(|&s| s != 101) {
        let r = response(&format!("HTTP/1.1 {status} x"), &GOOD);
        assert!(!refused(&r, None).is_empty());
    }
}

#[test]
fn extensions_in_the_answer() {
    const NAME: &str = "Sec-WebSocket-Extensions";
    for (value, good) in [("", true), ("permessage-deflate", false), ("a;b", false)] {
        let r = answer(&[&GOOD[..], &[(NAME, value)]].concat());
        assert_eq!(
            check_response(&r, &KEY, None, None).is_ok(),
            good,
            "{value}"
        );
    }
}

#[test]
fn subprotocols_in_the_answer() {
    const NAME: &str = "Sec-WebSocket-Protocol";
    type Case<'a> = (
        Option<&'a str>,
        &'a [(&'a str, &'a str)],
        Result<Option<&'a str>, ()>,
    );
    let table: [Case<'_>; 13] = [
        (None, &[], Ok(None)),
        (Some("a,b"), &[], Ok(None)),
        (Some("a, b"), &[(NAME, "b")], Ok(Some("b"))),
        (Some("a"), &[(NAME, " a ")], Ok(Some("a"))),
        (None, &[(NAME, "a")], Err(())),
        (None, &[(NAME, "")], Err(())),
        (Some(""), &[(NAME, "")], Err(())),
        (Some("a"), &[(NAME, "")], Err(())),
        (Some("a"), &[(NAME, "A")], Err(())),
        (Some("a,b"), &[(NAME, "a,b")], Err(())),
        (Some("a, b"), &[(NAME, "a, b")], Err(())),
        (Some("a,b"), &[(NAME, "a"), (NAME, "b")], Err(())),
        (Some("a"), &[(NAME, "\u{e9}")], Err(())),
    ];
    for (offered, lines, expected) in table {
        let r = answer(&[&GOOD[..], lines].concat());
        let got = check_response(&r, &KEY, offered, None);
        assert_eq!(
            got.map(|a| a.subprotocol).map_err(|_| ()),
            expected,
            "{offered:?} {lines:?}"
        );
    }
}
