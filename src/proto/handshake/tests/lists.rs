use super::*;

#[test]
fn allow_lists() {
    let table = [
        // origins
        ("http://a", "http://a", true),
        ("http://a", "HTTP://A", true),
        ("http://a", "https://a", false),
        ("http://a", "http://a:8080", false),
        ("http://a:8080", "http://a", false),
        ("http://a:8080", "http://a:8080", true),
        ("http://a:80", "http://a", true),
        ("https://a", "https://a:443", true),
        ("https://a:80", "https://a", false),
        ("http://[::1]:80", "http://[::1]", true),
        ("http://a", "http://a.evil", false),
        ("http://a", "http://evil.a", false),
        ("http://a", "http://a/", false),
        ("http://a", "http://", false),
        ("x://a, http://b ,http://c", "http://b", true),
        ("x://a, http://b ,http://c", "http://c", true),
        ("http://a", "null", false),
        ("null", "null", true),
        ("null", "http://a", false),
        ("http://a", "a", false),
        ("a", "http://a", false),
        ("http", "http://a", false),
        // hosts
        ("a", "a", true),
        ("a", "A:9001", true),
        ("a:9001", "a:9001", true),
        ("a:9001", "a", false),
        ("a:9001", "a:9002", false),
        ("a", "a:", false),
        ("a", "a:b", false),
        ("a", "b:a", false),
        ("[::1]", "[::1]:80", true),
        ("[::1]:80", "[::1]:80", true),
        ("[::1]", "[::1:80", false),
        ("192.168.1.7", "192.168.1.7:9001", true),
        ("192.168.1.7", "192.168.1.70", false),
        // empty ones
        ("", "a", false),
        ("", "", false),
        (",", "", false),
        ("a,", "", false),
        ("a", "", false),
    ];
    for (list, value, expected) in table {
        assert_eq!(
            list_allows(list, value.as_bytes()),
            expected,
            "{list} | {value}"
        );
    }
    assert!(!list_allows("\u{212a}", b"k"));
    assert!(!list_allows("a", b"a\xff"));
}

#[test]
fn extra_headers() {
    let good = [
        "",
        "A: b",
        "A: b\r\n",
        "A:b\r\nC: \r\nD:",
        "Authorization: Basic dTpw\r\nCookie: a=b; c=\"d\"\r\n",
        "Origin: http://a\r\n",
        "Sec-WebSocke: almost\r\nHosts: x\r\n",
    ];
    for headers in good {
        assert_eq!(check_extra_headers(headers), Ok(()), "{headers:?}");
    }
    let bad = [
        "A",
        "\r\n",
        "\n",
        ": b",
        "A : b",
        " A: b",
        "A: b\r\n\r\n",
        "A: b\r\n\r\nGET / HTTP/1.1\r\n",
        "\r\nA: b",
        "A: b\r\n folded",
        "A: b\nC: d",
        "A: b\rC: d",
        "A: b\n",
        "A: b\r",
        "A: caf\u{e9}",
        "caf\u{e9}: a",
    ];
    for headers in bad {
        assert!(check_extra_headers(headers).is_err(), "{headers:?}");
    }
    let reserved = [
        "Host",
        "UPGRADE",
        "connection",
        "Content-Length",
        "transfer-encoding",
        "Sec-WebSocket-Key",
        "sec-websocket-anything",
        "Sec-WebSocket-",
    ];
    for name in reserved {
        let headers = format!("A: b\r\n{name}: x");
        assert!(check_extra_headers(&headers).is_err(), "{name}");
    }
}

#[test]
fn extra_headers_by_byte() {
    for (b, text) in bytes() {
        let value = matches!(b, b'\t' | b' '..=b'~');
        let headers = format!("A: {text}\r\n");
        assert_eq!(
            check_extra_headers(&headers).is_ok(),
            value,
            "{b:#x} in a value"
        );
        // With a colon the rest is the value.
        let name = crate::proto::http::is_token(&[b]) || b == b':';
        let headers = format!("{text}: A\r\n");
        assert_eq!(
            check_extra_headers(&headers).is_ok(),
            name,
            "{b:#x} in a name"
        );
    }
}

#[test]
fn subprotocol_lists() {
    for list in ["a", "a,b", " a ,\tb", "v1.json", "a,A"] {
        assert_eq!(check_subprotocols(list), Ok(()), "{list}");
    }
    for list in [
        "", " ", ",", "a,", ",a", "a,,b", "a b", "a,b,a", "a , a", "a\r\n", "(a)",
    ] {
        assert!(check_subprotocols(list).is_err(), "{list}");
    }
    for (b, text) in bytes() {
        let good = crate::proto::http::is_token(&[b]) || b == b',';
        assert_eq!(check_subprotocols(&text).is_ok(), good, "{b:#x}");
    }
    let names: Vec<String> = (0..=MAX_SUBPROTOCOLS).map(|i| format!("p{i}")).collect();
    assert_eq!(check_subprotocols(&names[1..].join(",")), Ok(()));
    assert!(check_subprotocols(&names.join(",")).is_err());
}

#[test]
fn origins_of_the_server_itself() {
    for (origin, host, allowed) in [
        ("http://gw.local", "gw.local", true),
        ("http://GW.local:8080", "gw.LOCAL:8080", true),
        ("https://gw.local", "gw.local:443", true),
        ("http://gw.local:80", "gw.local", true),
        ("http://[::1]:8080", "[::1]:8080", true),
        ("http://gw.local", "gw.local:8080", false),
        ("https://gw.local", "gw.local:80", false),
        ("http://gw.local:8080", "gw.local", false),
        ("http://evil.example", "gw.local", false),
        ("http://gw.local.evil.example", "gw.local", false),
        ("ftp://gw.local", "gw.local", false),
        ("http://", "", false),
        ("null", "null", false),
        ("gw.local", "gw.local", false),
    ] {
        let (origin, host) = (origin.as_bytes(), host.as_bytes());
        assert_eq!(origin_allowed("self", origin, host), allowed, "{origin:?}");
        assert!(!origin_allowed("https://a.example", origin, host));
        assert_eq!(
            origin_allowed("https://a.example, self", origin, host),
            allowed
        );
    }
    assert!(origin_allowed(
        "https://a.example,self",
        b"https://a.example",
        b"b"
    ));
}
