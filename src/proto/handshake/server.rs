//! The server's half: RFC 6455 4.2.

use super::digest::is_base64_of_16_bytes;
use super::{accept_key, extensions, subprotocols};
use crate::proto::deflate;
use crate::proto::http::{append, has_token, HttpError, Once, Request};
use crate::proto::OutOfMemory;
use crate::text::alike;
use alloc::vec::Vec;

/// What the server has to say in its 101.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHandshake {
    pub accept: [u8; 28],
    /// Agreed on with [`agree`](ServerHandshake::agree).
    deflate: Option<(deflate::Agreed, deflate::Answer)>,
}

impl ServerHandshake {
    /// Agrees to what `request` offers of permessage-deflate, if the server wants any.
    pub fn agree(&mut self, settings: Option<&deflate::Settings>, request: &Request) {
        self.deflate = settings.and_then(|settings| extensions::agree(settings, request));
    }

    pub fn deflate(&self) -> Option<deflate::Agreed> {
        self.deflate.map(|(agreed, _)| agreed)
    }
}

/// Is this request an upgrade to WebSocket, and a good one? `Ok(None)`: it does
/// not ask for WebSocket, and is an ordinary HTTP request.
pub fn check_request(request: &Request) -> Result<Option<ServerHandshake>, HttpError> {
    let lines = Lines::read(request);
    // RFC 6455 4.2.1, 3: "An |Upgrade| header field containing the value
    // 'websocket', treated as an ASCII case-insensitive value."
    if !lines.websocket {
        return Ok(None);
    }
    // 4.2.1, 1: "An HTTP/1.1 or higher GET request"
    if request.method().to_bytes() != b"GET" {
        return bad("the method of a WebSocket handshake is not GET");
    }
    if !request.is_http11() {
        return bad("a WebSocket handshake needs HTTP/1.1");
    }
    // A body would be read as frames.
    if lines.framing && request.has_body()? {
        return bad("a WebSocket handshake has no body");
    }
    // 4.2.1, 2: "A |Host| header field containing the server's authority."
    match lines.host {
        Once::Missing | Once::One(b"") => return bad("the Host header is missing"),
        Once::Several => return bad("several Host headers"),
        Once::One(_) => {}
    }
    // 4.2.1, 4: "A |Connection| header field that includes the token 'Upgrade'"
    if !lines.upgrade {
        return bad("the Connection header does not name Upgrade");
    }
    check_version(lines.version)?;
    let key = check_key(lines.key)?;
    // 4.2.1, 7: a browser sends one Origin. With two, the one checked might not be
    // the one meant.
    if lines.origin == Once::Several {
        return bad("several Origin headers");
    }
    if lines.subprotocols {
        subprotocols::check_offer(request)?;
    }
    if lines.extensions {
        extensions::check_offer(request)?;
    }
    Ok(Some(ServerHandshake {
        accept: accept_key(key),
        deflate: None,
    }))
}

/// What an upgrade depends on, gathered in one pass over the lines: most of a browser's are about something else.
#[derive(Default)]
struct Lines<'r> {
    /// |Upgrade| names WebSocket.
    websocket: bool,
    /// |Connection| names Upgrade.
    upgrade: bool,
    /// A line speaks of a body.
    framing: bool,
    subprotocols: bool,
    extensions: bool,
    host: Once<'r>,
    origin: Once<'r>,
    version: Once<'r>,
    key: Once<'r>,
}

impl<'r> Lines<'r> {
    fn read(request: &'r Request) -> Lines<'r> {
        let mut seen = Lines::default();
        for (name, value) in request.lines() {
            let is = |wanted: &[u8]| alike(name, wanted);
            let has = |token| has_token(Some(value).into_iter(), token);
            match name.len() {
                4 if is(b"Host") => seen.host.add(value),
                6 if is(b"Origin") => seen.origin.add(value),
                7 if is(b"Upgrade") => seen.websocket |= has("websocket"),
                10 if is(b"Connection") => seen.upgrade |= has("Upgrade"),
                14 if is(b"Content-Length") => seen.framing = true,
                17 if is(b"Sec-WebSocket-Key") => seen.key.add(value),
                17 if is(b"Transfer-Encoding") => seen.framing = true,
                21 if is(b"Sec-WebSocket-Version") => seen.version.add(value),
                22 if is(b"Sec-WebSocket-Protocol") => seen.subprotocols = true,
                24 if is(b"Sec-WebSocket-Extensions") => seen.extensions = true,
                _ => {}
            }
        }
        seen
    }
}

/// Appends the 101 (RFC 6455 4.2.2, 5). The caller has checked `subprotocol` to be
/// one that was offered, and `headers` to be whole lines.
pub fn write_accept(
    out: &mut Vec<u8>,
    handshake: &ServerHandshake,
    subprotocol: Option<&str>,
    headers: &[u8],
) -> Result<(), OutOfMemory> {
    const BEGIN: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: ";
    // Room for all of it at once, but for a long subprotocol.
    out.try_reserve(BEGIN.len() + headers.len() + 192)
        .map_err(|_| OutOfMemory)?;
    append(out, &[BEGIN, &handshake.accept, b"\r\n"])?;
    if let Some(subprotocol) = subprotocol {
        append(
            out,
            &[b"Sec-WebSocket-Protocol: ", subprotocol.as_bytes(), b"\r\n"],
        )?;
    }
    if let Some((_, answer)) = &handshake.deflate {
        deflate::write_answer(out, answer)?;
    }
    append(out, &[headers, b"\r\n"])
}

/// 4.2.1, 6: "A |Sec-WebSocket-Version| header field, with a value of 13." 11.3.5:
/// it "MUST NOT appear more than once".
fn check_version(version: Once<'_>) -> Result<(), HttpError> {
    match version {
        Once::One(b"13") => Ok(()),
        Once::Several => Err(HttpError::bad_request(
            "several Sec-WebSocket-Version headers",
        )),
        // 4.2.2, 4: "an appropriate HTTP error code (such as 426 Upgrade Required)"
        Once::One(_) => Err(HttpError::new(426, "Sec-WebSocket-Version is not 13")),
        Once::Missing => Err(HttpError::new(426, "Sec-WebSocket-Version is missing")),
    }
}

/// 4.2.1, 5: "A |Sec-WebSocket-Key| header field with a base64-encoded value that,
/// when decoded, is 16 bytes in length." 11.3.1: it "MUST NOT appear more than once".
fn check_key(key: Once<'_>) -> Result<&[u8], HttpError> {
    let key = match key {
        Once::One(key) => key,
        Once::Missing => return bad("Sec-WebSocket-Key is missing"),
        Once::Several => return bad("several Sec-WebSocket-Key headers"),
    };
    if !is_base64_of_16_bytes(key) {
        return bad("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    Ok(key)
}

fn bad<T>(why: &'static str) -> Result<T, HttpError> {
    Err(HttpError::bad_request(why))
}
