//! The client's half: RFC 6455 4.1.

use super::digest::base64;
use super::{accept_key, c_string, extensions, subprotocols};
use crate::proto::deflate;
use crate::proto::http::{append, elements, has_token, HttpError, Once, Response};
use crate::proto::url::ClientUrl;
use crate::proto::OutOfMemory;
use crate::text::alike;
use alloc::ffi::CString;
use alloc::vec::Vec;

/// What the client asks for. The strings have passed
/// [`check_subprotocols`](super::check_subprotocols) and
/// [`check_extra_headers`](super::check_extra_headers).
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    pub url: &'a ClientUrl,
    /// Comma-separated, in order of preference.
    pub subprotocols: Option<&'a str>,
    /// Extra lines, "Name: value\r\n" each; the last CRLF may be missing.
    pub headers: Option<&'a str>,
    pub deflate: Option<&'a deflate::Settings>,
    /// RFC 6455 4.1, 7: random, and new for each connection.
    pub key: [u8; 16],
}

/// What the server agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed<'r> {
    pub subprotocol: Option<&'r str>,
    pub deflate: Option<deflate::Agreed>,
}

/// An answer that is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// RFC 9110 15.2: the real one follows.
    Interim,
    /// The WebSocket is open.
    Agreed {
        subprotocol: Option<CString>,
        deflate: Option<deflate::Agreed>,
    },
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeError {
    pub why: &'static str,
    /// The status of the server's answer; 0 when there was none to read.
    pub status: u16,
}

impl From<HttpError> for HandshakeError {
    fn from(error: HttpError) -> Self {
        Self {
            why: error.why,
            status: 0,
        }
    }
}

/// Appends the client's request.
pub fn write_request(out: &mut Vec<u8>, offer: &Offer<'_>) -> Result<(), OutOfMemory> {
    let [name, value, end] = match offer.subprotocols {
        Some(list) if !list.is_empty() => ["Sec-WebSocket-Protocol: ", list, "\r\n"],
        _ => [""; 3],
    };
    let [auth, credentials, auth_end] = match &offer.url.authorization {
        Some(value) => ["Authorization: ", value, "\r\n"],
        None => [""; 3],
    };
    let headers = offer.headers.unwrap_or_default();
    let headers_end = if headers.is_empty() || headers.ends_with("\r\n") {
        ""
    } else {
        "\r\n"
    };
    append(
        out,
        &[
            b"GET ",
            offer.url.resource.as_bytes(),
            b" HTTP/1.1\r\n",
            b"Host: ",
            offer.url.host_header().as_bytes(),
            b"\r\nUpgrade: websocket\r\n",
            b"Connection: Upgrade\r\n",
            b"Sec-WebSocket-Key: ",
            &key_text(&offer.key),
            b"\r\nSec-WebSocket-Version: 13\r\n",
            name.as_bytes(),
            value.as_bytes(),
            end.as_bytes(),
            auth.as_bytes(),
            credentials.as_bytes(),
            auth_end.as_bytes(),
        ],
    )?;
    if let Some(settings) = offer.deflate {
        deflate::write_offers(out, settings)?;
    }
    append(out, &[headers.as_bytes(), headers_end.as_bytes(), b"\r\n"])
}

/// What the server's answer, a whole head, says to an offer with this key, these subprotocols and this compression.
pub fn read_response(
    head: Vec<u8>,
    key: &[u8; 16],
    offered: Option<&str>,
    deflate: Option<&deflate::Settings>,
) -> Result<Answer, HandshakeError> {
    let response = Response::parse(head)?;
    if response.is_interim() {
        return Ok(Answer::Interim);
    }
    let agreed = check_response(&response, key, offered, deflate)?;
    match agreed.subprotocol.map(c_string).transpose() {
        Ok(subprotocol) => Ok(Answer::Agreed {
            subprotocol,
            deflate: agreed.deflate,
        }),
        Err(OutOfMemory) => Err(HandshakeError {
            why: "out of memory",
            status: response.status(),
        }),
    }
}

/// Checks the server's answer to an offer with this key, these subprotocols and this compression.
pub fn check_response<'r>(
    response: &'r Response,
    key: &[u8; 16],
    offered: Option<&str>,
    deflate: Option<&deflate::Settings>,
) -> Result<Agreed<'r>, HandshakeError> {
    check(response, key, offered, deflate).map_err(|why| HandshakeError {
        why,
        status: response.status(),
    })
}

/// RFC 6455 4.1, the list after "Once the client's opening handshake has been sent".
fn check<'r>(
    response: &'r Response,
    key: &[u8; 16],
    offered: Option<&str>,
    deflate: Option<&deflate::Settings>,
) -> Result<Agreed<'r>, &'static str> {
    // 1: "If the status code received from the server is not 101 [...]"
    if response.status() != 101 {
        return Err(no_upgrade(response.status()));
    }
    // RFC 9110 7.8 has no upgrade before HTTP/1.1.
    if !response.is_http11() {
        return Err("the 101 is not HTTP/1.1");
    }
    // 2: "If the response lacks an |Upgrade| header field or [it] contains a value
    // that is not an ASCII case-insensitive match for the value 'websocket'"
    let mut upgrades = elements(response.headers(b"upgrade")).peekable();
    if upgrades.peek().is_none() {
        return Err("the 101 has no Upgrade header");
    }
    if !upgrades.all(|protocol| alike(protocol, b"websocket")) {
        return Err("the 101 upgrades to something other than websocket");
    }
    // 3: "[...] doesn't contain a token that is an ASCII case-insensitive match for
    // the value 'Upgrade'"
    if !has_token(response.headers(b"connection"), "upgrade") {
        return Err("the 101 has no Connection header that names Upgrade");
    }
    // 4: Sec-WebSocket-Accept; 11.3.3: "MUST NOT appear more than once"
    match response.once(b"sec-websocket-accept") {
        Once::One(accept) if accept == accept_key(&key_text(key)) => {}
        Once::One(_) => return Err("Sec-WebSocket-Accept does not match the key"),
        Once::Missing => return Err("Sec-WebSocket-Accept is missing"),
        Once::Several => return Err("several Sec-WebSocket-Accept headers"),
    }
    let deflate = extensions::check_answer(deflate, response)?;
    check_subprotocol(response, offered).map(|subprotocol| Agreed {
        subprotocol,
        deflate,
    })
}

/// 6: "[...] indicates the use of a subprotocol that was not present in the client's
/// handshake". 11.3.4: in a response it "MUST NOT appear more than once". A server
/// that names none declines the offer, which is for the application to judge.
fn check_subprotocol<'r>(
    response: &'r Response,
    offered: Option<&str>,
) -> Result<Option<&'r str>, &'static str> {
    let chosen = match response.once(b"sec-websocket-protocol") {
        Once::Missing => return Ok(None),
        Once::Several => return Err("several Sec-WebSocket-Protocol headers"),
        Once::One(chosen) => core::str::from_utf8(chosen).unwrap_or_default(),
    };
    match offered {
        Some(list) if !chosen.is_empty() && subprotocols::list_has(list, chosen) => {
            Ok(Some(chosen))
        }
        _ => Err("the server chose a subprotocol that was not offered"),
    }
}

fn no_upgrade(status: u16) -> &'static str {
    match status {
        300..=399 => "the server redirects, and libws does not follow",
        400 => "the server calls the request bad (HTTP 400)",
        401 | 407 => "authentication is required (HTTP 401 or 407)",
        403 => "the server forbids it (HTTP 403)",
        404 => "there is nothing at this path (HTTP 404)",
        426 => "the server speaks another WebSocket version (HTTP 426)",
        429 => "too many requests (HTTP 429)",
        500..=599 => "the server or a proxy before it failed (HTTP 5xx)",
        _ => "the server does not upgrade to WebSocket",
    }
}

fn key_text(key: &[u8; 16]) -> [u8; 24] {
    let mut text = [0; 24];
    base64(key, &mut text);
    text
}
