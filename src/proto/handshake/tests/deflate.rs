//! permessage-deflate in the headers of both halves.

use super::*;
use crate::proto::deflate::{Agreed, Preset, Settings};
use crate::proto::http::{Request, Response};
use crate::proto::url::ClientUrl;

const KEY: [u8; 16] = *b"the sample nonce";

fn preset(preset: Preset) -> Settings {
    Settings::new(preset).unwrap()
}

fn request(offers: &[&str]) -> Request {
    let lines: Vec<String> = offers
        .iter()
        .map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"))
        .collect();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n",
        lines.concat()
    );
    Request::parse(head.into_bytes()).unwrap()
}

/// The server's answer to these offers: the value of its header, if any, and what it holds for agreed.
fn served(settings: Option<&Settings>, offers: &[&str]) -> Option<(String, Agreed)> {
    let request = request(offers);
    let mut handshake = check_request(&request).unwrap().unwrap();
    handshake.agree(settings, &request);
    let mut out = Vec::new();
    write_accept(&mut out, &handshake, None, b"X: y\r\n").unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\r\nX: y\r\n"));
    let value = out
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(value.is_some(), handshake.deflate().is_some());
    Some((value?.to_owned(), handshake.deflate()?))
}

/// What a client makes of an answer with these extension headers.
fn answered(settings: Option<&Settings>, values: &[&str]) -> Result<Option<Agreed>, &'static str> {
    let lines: Vec<String> = values
        .iter()
        .map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n"))
        .collect();
    let head = format!(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{}\r\n",
        lines.concat()
    );
    let response = Response::parse(head.into_bytes()).unwrap();
    check_response(&response, &KEY, None, settings)
        .map(|agreed| agreed.deflate)
        .map_err(|error| error.why)
}

fn written(settings: &Settings) -> String {
    let url = ClientUrl::parse("ws://h").unwrap();
    let mut out = Vec::new();
    let offer = Offer {
        url: &url,
        subprotocols: None,
        headers: Some("X: y"),
        deflate: Some(settings),
        key: KEY,
    };
    write_request(&mut out, &offer).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.ends_with("\r\nX: y\r\n\r\n"));
    let value = out
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    value.unwrap().to_owned()
}

/// (bits, takeover) of what is sent and of what is received.
fn shape(agreed: &Agreed) -> [(u8, bool); 2] {
    [agreed.send, agreed.receive].map(|way| (way.window_bits(), way.takeover()))
}

#[test]
fn what_browsers_offer() {
    let table = [
        // Chromium and those built on it.
        "permessage-deflate; client_max_window_bits",
        // Firefox, and Safari since 2023.
        "permessage-deflate",
    ];
    for offer in table {
        for settings in [Preset::Small, Preset::Balanced, Preset::Best].map(preset) {
            assert!(served(Some(&settings), &[offer]).is_some(), "{offer}");
        }
    }
    // Safari before that: an earlier draft, declined without a word.
    let best = preset(Preset::Best);
    assert_eq!(served(Some(&best), &["x-webkit-deflate-frame"]), None);
    let both = ["x-webkit-deflate-frame, permessage-deflate"];
    assert!(served(Some(&best), &both).is_some());
}

#[test]
fn what_the_server_answers() {
    let (small, balanced, best) = (
        preset(Preset::Small),
        preset(Preset::Balanced),
        preset(Preset::Best),
    );
    const SERVER: &str = "; server_no_context_takeover";
    const CLIENT: &str = "; client_no_context_takeover";
    let bits = |who: &str, n: u8| format!("; {who}_max_window_bits={n}");
    type Case = (Settings, &'static str, String, [(u8, bool); 2]);
    let table: [Case; 12] = [
        (best, "", String::new(), [(15, true), (15, true)]),
        (
            best,
            "; client_max_window_bits",
            String::new(),
            [(15, true), (15, true)],
        ),
        (
            best,
            "; client_max_window_bits=10",
            bits("client", 10),
            [(15, true), (10, true)],
        ),
        (
            best,
            "; server_max_window_bits=\"9\"",
            bits("server", 9),
            [(9, true), (15, true)],
        ),
        (
            best,
            "; server_max_window_bits=15; client_max_window_bits=15",
            bits("server", 15) + &bits("client", 15),
            [(15, true), (15, true)],
        ),
        (
            best,
            "; server_max_window_bits=8; client_max_window_bits=8",
            bits("server", 8) + &bits("client", 8),
            [(8, true), (8, true)],
        ),
        (best, SERVER, SERVER.into(), [(15, false), (15, true)]),
        (best, CLIENT, CLIENT.into(), [(15, true), (15, false)]),
        // The client's window cannot be made smaller unless it offers that. Then it is not kept.
        (
            balanced,
            "",
            CLIENT.to_owned() + &bits("server", 12),
            [(12, true), (15, false)],
        ),
        (
            balanced,
            "; client_max_window_bits",
            bits("server", 12) + &bits("client", 12),
            [(12, true), (12, true)],
        ),
        (
            balanced,
            " ; server_max_window_bits = 10 ;client_max_window_bits=\"1\\1\"",
            bits("server", 10) + &bits("client", 11),
            [(10, true), (11, true)],
        ),
        (
            small,
            "; client_max_window_bits",
            format!(
                "{SERVER}{CLIENT}{}{}",
                bits("server", 12),
                bits("client", 12)
            ),
            [(12, false), (12, false)],
        ),
    ];
    for (settings, parameters, answer, shape_of) in table {
        let offer = format!("permessage-deflate{parameters}");
        let (value, agreed) = served(Some(&settings), &[&offer]).unwrap();
        assert_eq!(value, format!("permessage-deflate{answer}"), "{offer}");
        assert_eq!(shape(&agreed), shape_of, "{offer}");
    }
}

#[test]
fn offers_that_are_declined() {
    let settings = preset(Preset::Best);
    let table = [
        "x-webkit-deflate-frame",
        "permessage-bzip2",
        "PERMESSAGE-DEFLATE",
        "permessage-deflate; unknown",
        "permessage-deflate; unknown=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=\"1\"",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=\"08\"",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; client_max_window_bits=1",
        "permessage-deflate; client_max_window_bits=150",
        "permessage-deflate; client_max_window_bits=x",
    ];
    for offer in table {
        assert_eq!(served(Some(&settings), &[offer]), None, "{offer}");
        // What follows it counts, in the same line or in the next.
        let (value, _) = served(
            Some(&settings),
            &[&format!(
                "{offer}, permessage-deflate; server_max_window_bits=10"
            )],
        )
        .unwrap();
        assert_eq!(value, "permessage-deflate; server_max_window_bits=10");
        assert!(served(Some(&settings), &[offer, "a, permessage-deflate"]).is_some());
    }
    assert_eq!(served(Some(&settings), &[]), None);
    assert_eq!(served(None, &["permessage-deflate"]), None);
}

/// The first offer that is good is taken, not the best.
#[test]
fn offers_stand_in_order() {
    let offers = [
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; server_max_window_bits=9",
    ];
    let (value, _) = served(Some(&preset(Preset::Best)), &offers).unwrap();
    assert_eq!(value, "permessage-deflate; server_max_window_bits=10");
}

#[test]
fn what_the_client_offers() {
    assert_eq!(
        written(&preset(Preset::Best)),
        "permessage-deflate; client_max_window_bits"
    );
    assert_eq!(
        written(&preset(Preset::Balanced)),
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12, \
         permessage-deflate; server_no_context_takeover; client_max_window_bits=12"
    );
    let none = "server_no_context_takeover; client_no_context_takeover";
    assert_eq!(
        written(&preset(Preset::Small)),
        format!(
            "permessage-deflate; {none}; server_max_window_bits=12; client_max_window_bits=12, \
             permessage-deflate; {none}; client_max_window_bits=12"
        )
    );
}

#[test]
fn what_the_client_accepts() {
    let (small, balanced, best) = (
        preset(Preset::Small),
        preset(Preset::Balanced),
        preset(Preset::Best),
    );
    type Case = (Settings, &'static str, [(u8, bool); 2]);
    let table: [Case; 9] = [
        (best, "", [(15, true), (15, true)]),
        (
            best,
            "; client_max_window_bits=10",
            [(10, true), (15, true)],
        ),
        (
            best,
            "; server_max_window_bits=10; server_no_context_takeover",
            [(15, true), (10, false)],
        ),
        (
            best,
            "; client_no_context_takeover",
            [(15, false), (15, true)],
        ),
        (
            balanced,
            "; server_max_window_bits=12",
            [(12, true), (12, true)],
        ),
        (
            balanced,
            "; server_max_window_bits=9;client_max_window_bits=9",
            [(9, true), (9, true)],
        ),
        // The second offer.
        (
            balanced,
            "; server_no_context_takeover",
            [(12, true), (15, false)],
        ),
        (
            small,
            "; server_no_context_takeover",
            [(12, false), (15, false)],
        ),
        (
            small,
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            [(12, false), (12, false)],
        ),
    ];
    for (settings, parameters, expected) in table {
        let value = format!("permessage-deflate{parameters}");
        let agreed = answered(Some(&settings), &[&value]).unwrap().unwrap();
        assert_eq!(shape(&agreed), expected, "{value}");
    }
    assert_eq!(answered(Some(&best), &[]), Ok(None));
    assert_eq!(answered(Some(&best), &[""]), Ok(None));
}

#[test]
fn answers_that_fail_the_handshake() {
    let (small, balanced, best) = (
        preset(Preset::Small),
        preset(Preset::Balanced),
        preset(Preset::Best),
    );
    let table = [
        (best, "permessage-bzip2"),
        (best, "x-webkit-deflate-frame"),
        (best, "permessage-deflate, permessage-deflate"),
        (best, "permessage-deflate, x"),
        (best, "permessage-deflate; unknown"),
        (best, "permessage-deflate; server_no_context_takeover=1"),
        (best, "permessage-deflate; server_max_window_bits"),
        (best, "permessage-deflate; server_max_window_bits=16"),
        (best, "permessage-deflate; client_max_window_bits"),
        (best, "permessage-deflate; client_max_window_bits=7"),
        (best, "permessage-deflate; client_max_window_bits=\"12"),
        // More than was offered.
        (balanced, "permessage-deflate; server_max_window_bits=13"),
        (
            balanced,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=13",
        ),
        // Not what was asked for.
        (balanced, "permessage-deflate"),
        (small, "permessage-deflate"),
        (small, "permessage-deflate; server_max_window_bits=12"),
    ];
    for (settings, value) in table {
        assert!(answered(Some(&settings), &[value]).is_err(), "{value}");
    }
    let two = ["permessage-deflate", "permessage-deflate"];
    assert!(answered(Some(&best), &two).is_err());
    assert!(answered(None, &["permessage-deflate"]).is_err());
}

/// Whatever both want, what one sends the other can read.
#[test]
fn both_halves_agree() {
    use crate::proto::deflate::Direction;
    let mut all = Vec::new();
    for bits in [9, 12, 15] {
        for takeover in [false, true] {
            for other in [9, 15] {
                for kept in [false, true] {
                    all.push(Settings {
                        send: Direction::new(bits, takeover),
                        receive: Direction::new(other, kept),
                        ..preset(Preset::Best)
                    });
                }
            }
        }
    }
    for client in &all {
        for server in &all {
            let offers = written(client);
            let (value, there) = served(Some(server), &[&offers]).unwrap();
            let here = answered(Some(client), &[&value]).unwrap().unwrap();
            for (sends, receives) in [(here.send, there.receive), (there.send, here.receive)] {
                assert!(
                    sends.window_bits() <= receives.window_bits(),
                    "{offers}: {value}"
                );
                assert!(
                    !sends.takeover() || receives.takeover(),
                    "{offers}: {value}"
                );
            }
            assert!(here.send.window_bits() <= client.send.window_bits());
            assert!(there.send.window_bits() <= server.send.window_bits());
            assert!(client.send.takeover() || !here.send.takeover());
            // Memory for a window that stays is within what was configured.
            for (agreed, own) in [(here, client), (there, server)] {
                let stays = agreed.receive.takeover();
                assert!(!stays || agreed.receive.window_bits() <= own.receive.window_bits());
            }
        }
    }
}
