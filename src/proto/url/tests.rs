//! URLs, as tables.

use super::*;
use alloc::format;

fn name(text: &str) -> Host {
    Host::Name(text.into())
}

#[test]
fn client_urls() {
    let loopback = Host::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mapped = Host::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]);
    let table = [
        ("ws://h", false, name("h"), 80, "/", "h"),
        ("WSS://H", true, name("H"), 443, "/", "H"),
        ("ws://h/", false, name("h"), 80, "/", "h"),
        ("ws://h?", false, name("h"), 80, "/?", "h"),
        ("ws://h?q=/", false, name("h"), 80, "/?q=/", "h"),
        ("ws://h/a/b?c=d&e", false, name("h"), 80, "/a/b?c=d&e", "h"),
        ("ws://h/a:1@b", false, name("h"), 80, "/a:1@b", "h"),
        ("ws://h//x", false, name("h"), 80, "//x", "h"),
        ("ws://h/%20%23", false, name("h"), 80, "/%20%23", "h"),
        ("ws://h:80/", false, name("h"), 80, "/", "h"),
        ("ws://h:443/", false, name("h"), 443, "/", "h:443"),
        ("wss://h:443", true, name("h"), 443, "/", "h"),
        ("wss://h:80", true, name("h"), 80, "/", "h:80"),
        ("ws://h:00080", false, name("h"), 80, "/", "h"),
        ("ws://h:1", false, name("h"), 1, "/", "h:1"),
        ("ws://h:65535?q", false, name("h"), 65535, "/?q", "h:65535"),
        (
            "ws://a-b_c.d.",
            false,
            name("a-b_c.d."),
            80,
            "/",
            "a-b_c.d.",
        ),
        (
            "ws://1.2.3.4.nip.io",
            false,
            name("1.2.3.4.nip.io"),
            80,
            "/",
            "1.2.3.4.nip.io",
        ),
        (
            "ws://0xcafe.example",
            false,
            name("0xcafe.example"),
            80,
            "/",
            "0xcafe.example",
        ),
        (
            "ws://10.0.0.1:9001",
            false,
            Host::V4([10, 0, 0, 1]),
            9001,
            "/",
            "10.0.0.1:9001",
        ),
        ("ws://[::1]", false, loopback.clone(), 80, "/", "[::1]"),
        (
            "ws://[::1]:9001/x",
            false,
            loopback.clone(),
            9001,
            "/x",
            "[::1]:9001",
        ),
        (
            "ws://[::ffff:1.2.3.4]?q",
            false,
            mapped,
            80,
            "/?q",
            "[::ffff:1.2.3.4]",
        ),
        (
            "ws://[0:0:0:0:0:0:0:1]",
            false,
            loopback,
            80,
            "/",
            "[0:0:0:0:0:0:0:1]",
        ),
    ];
    for (text, secure, host, port, resource, header) in table {
        let url = ClientUrl::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((url.secure, url.port), (secure, port), "{text}");
        assert_eq!(url.host, host, "{text}");
        assert_eq!(url.resource, resource, "{text}");
        assert_eq!(url.host_header(), header, "{text}");
    }
}

/// Hosts and ports that neither a client nor a server takes.
const BAD_AUTHORITIES: [(&str, &str); 32] = [
    ("", "no host"),
    (":80", "no host"),
    ("h:", "port"),
    ("h:-1", "port"),
    ("h:+1", "port"),
    ("h:65536", "port"),
    ("h:99999999999999999999", "port"),
    ("h:8o", "port"),
    ("[::1]:", "port"),
    ("[::1]:x", "port"),
    ("[::1]9001", "not a port"),
    ("[::1", "bracket"),
    ("[", "bracket"),
    ("[]", "IPv6"),
    ("[1.2.3.4]", "IPv6"),
    ("[:::1]", "IPv6"),
    ("[1:2:3:4:5:6:7:8:9]", "IPv6"),
    ("[g::1]", "IPv6"),
    ("[fe80::1%eth0]", "zone"),
    ("[fe80::1%25eth0]", "zone"),
    ("::1", "brackets"),
    ("1:2", "IPv4"),
    ("256.0.0.1", "IPv4"),
    ("1.2.3", "IPv4"),
    ("01.2.3.4", "IPv4"),
    ("1.2.3.4.", "IPv4"),
    ("0x7f.1", "IPv4"),
    ("127.0X1", "IPv4"),
    ("a..b", "part"),
    (".", "part"),
    ("*", "character"),
    ("a\\b", "character"),
];

#[test]
fn authorities_that_are_refused() {
    for (authority, why) in BAD_AUTHORITIES {
        let text = format!("ws://{authority}/");
        let client = ClientUrl::parse(&text).expect_err(&text);
        assert!(client.contains(why), "{text}: {client}");
        let server = ListenUrl::parse(&text).expect_err(&text);
        assert!(server.contains(why), "{text}: {server}");
    }
    assert!(ClientUrl::parse("ws://h:0").unwrap_err().contains("port"));
    let label = |n: usize| "x".repeat(n);
    assert!(ClientUrl::parse(&format!("ws://{}", label(63))).is_ok());
    assert!(ClientUrl::parse(&format!("ws://{}", label(64))).is_err());
    let long = [label(63), label(63), label(63), label(61)].join(".");
    assert_eq!(long.len(), 253);
    assert!(ClientUrl::parse(&format!("ws://{long}")).is_ok());
    assert!(ClientUrl::parse(&format!("ws://{long}x"))
        .unwrap_err()
        .contains("253"));
}

#[test]
fn client_urls_that_are_refused() {
    let table = [
        ("", "begin"),
        ("h", "begin"),
        ("ws:", "begin"),
        ("ws:/h", "begin"),
        ("ws:h", "begin"),
        ("http://h", "begin"),
        ("wsss://h", "begin"),
        ("//h", "begin"),
        ("unix:/x", "begin"),
        ("ws://h#f", "fragment"),
        ("ws://h/p#", "fragment"),
        ("ws://h/p?q#f", "fragment"),
        (" ws://h", "space"),
        ("ws://h ", "space"),
    ];
    for (text, why) in table {
        let error = ClientUrl::parse(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn client_urls_by_byte() {
    for b in 0..=u8::MAX {
        let c = char::from(b);
        let path_good = (0x21..=0x7e).contains(&b) && b != b'#';
        for text in [format!("ws://h/a{c}b"), format!("ws://h/?a{c}b")] {
            assert_eq!(
                ClientUrl::parse(&text).is_ok(),
                path_good,
                "{b:#x} in {text:?}"
            );
        }
        // What stands before an @ is a user name.
        let host_good = b.is_ascii_alphanumeric() || b"-_./?@".contains(&b);
        let text = format!("ws://a{c}b");
        assert_eq!(
            ClientUrl::parse(&text).is_ok(),
            host_good,
            "{b:#x} in a host"
        );
        let smuggled = format!("ws://h:1{c}1");
        let port_good = b.is_ascii_digit() || b"/?".contains(&b);
        assert_eq!(
            ClientUrl::parse(&smuggled).is_ok(),
            port_good,
            "{b:#x} in a port"
        );
    }
}

#[test]
fn listen_urls() {
    let tcp = |secure, host, port| ListenUrl::Tcp { secure, host, port };
    let longest = format!("unix:/{}", "x".repeat(106));
    let table = [
        ("ws://0.0.0.0:9001", tcp(false, Host::V4([0; 4]), 9001)),
        ("ws://[::]:0", tcp(false, Host::V6([0; 16]), 0)),
        ("ws://localhost:80/", tcp(false, name("localhost"), 80)),
        ("WS://localhost", tcp(false, name("localhost"), 80)),
        ("wss://127.0.0.1", tcp(true, Host::V4([127, 0, 0, 1]), 443)),
        ("unix:/run/app.sock", ListenUrl::Unix("/run/app.sock")),
        ("UNIX:app.sock", ListenUrl::Unix("app.sock")),
        ("unix:/a b/\u{e9}", ListenUrl::Unix("/a b/\u{e9}")),
        (&longest, ListenUrl::Unix(&longest[5..])),
        ("fd:3", ListenUrl::Fd(3)),
        ("fd:0", ListenUrl::Fd(0)),
        ("fd:2147483647", ListenUrl::Fd(i32::MAX)),
    ];
    for (text, expected) in table {
        assert_eq!(ListenUrl::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn listen_urls_that_are_refused() {
    let too_long = format!("unix:/{}", "x".repeat(107));
    let table = [
        ("", "begin"),
        ("9001", "begin"),
        ("http://h", "begin"),
        ("ws://h/path", "no path"),
        ("ws://h:1//", "no path"),
        ("ws://h?q", "no path"),
        ("ws://h/?q", "no path"),
        ("ws://h#f", "no path"),
        ("ws://h ", "space"),
        ("ws://\u{e9}", "non-ASCII"),
        ("ws://h\n", "control"),
        ("unix:", "no path"),
        ("unix:/a\0b", "control"),
        ("unix:/a\n", "control"),
        (&too_long, "107"),
        ("fd:", "descriptor"),
        ("fd:-1", "descriptor"),
        ("fd:+1", "descriptor"),
        ("fd:3x", "descriptor"),
        ("fd:2147483648", "descriptor"),
    ];
    for (text, why) in table {
        let error = ListenUrl::parse(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn user_names_are_for_clients() {
    let table = [
        ("ws://u:p@h", Some("Basic dTpw")),
        ("ws://u@h", Some("Basic dTo=")),
        ("ws://:p@h", Some("Basic OnA=")),
        ("wss://u:p:q%40@h:1/x@y", Some("Basic dTpwOnFA")),
        ("ws://%C3%BC:p@[::1]", Some("Basic w7w6cA==")),
        ("ws://@h", None),
        ("ws://h", None),
    ];
    for (text, expected) in table {
        let url = ClientUrl::parse(text).expect(text);
        assert_eq!(url.authorization.as_deref(), expected, "{text}");
        assert!(!url.host_header().contains('@'));
    }
    for (text, why) in [
        ("ws://a%3Ab:p@h", "colon"),
        ("ws://a%0a:p@h", "control"),
        ("ws://a:%00@h", "control"),
        ("ws://a%4@h", "percent"),
        ("ws://a%zz@h", "percent"),
        ("ws://a@b@h", "percent"),
    ] {
        let error = ClientUrl::parse(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    for text in ["ws://u@h", "ws://u:p@h", "ws://@h"] {
        let error = ListenUrl::parse(text).expect_err(text);
        assert!(error.contains("user name"), "{text}: {error}");
    }
}

#[test]
fn unix_sockets_of_clients() {
    for (text, path, resource) in [
        ("ws+unix:/run/a.sock:/x?q", "/run/a.sock", "/x?q"),
        ("ws+unix:/run/a.sock", "/run/a.sock", "/"),
        ("WS+UNIX:///run/a.sock:/", "/run/a.sock", "/"),
        ("ws+unix:a.sock:/b:c", "a.sock", "/b:c"),
    ] {
        let url = ClientUrl::parse(text).expect(text);
        assert_eq!(url.unix.as_deref(), Some(path), "{text}");
        assert_eq!(url.resource, resource);
        assert_eq!(
            (url.host_header(), url.host_text()),
            ("localhost", "localhost")
        );
    }
    for text in [
        "ws+unix:",
        "ws+unix::/x",
        "ws+unix:/a:b",
        "ws+unix:/a:/b#c",
        "ws+unix:/a b",
    ] {
        assert!(ClientUrl::parse(text).is_err(), "{text}");
    }
}
