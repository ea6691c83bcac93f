//! What a server answers to a request that does not become a WebSocket.

use super::append;
use crate::proto::OutOfMemory;
use crate::text::{decimal, DIGITS};
use alloc::vec::Vec;

/// Header lines that belong to an answer with status 426: RFC 6455 4.4 wants the
/// version named, RFC 9110 15.5.22 the protocol to upgrade to, and RFC 9110 7.8
/// the connection option beside it. (A second `Connection` line joins the first.)
const VERSION_HEADERS: &[u8] =
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

/// A response with its body. Everything in it has been checked by the caller
/// ([`is_token`](super::is_token), [`is_field_value`](super::is_field_value)).
///
/// No `Date` is written: that header is for servers with a clock (RFC 9110 6.6.1),
/// and many boards start without one.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// 200 to 599; anything else is sent as 500.
    pub status: u16,
    pub content_type: Option<&'a str>,
    /// Whole lines, "Name: value\r\n" each.
    pub headers: &'a [u8],
    pub body: &'a [u8],
    pub keep_alive: bool,
    /// The request was HEAD: the head tells of the body, which is not sent.
    pub head_only: bool,
}

impl Reply<'_> {
    /// Appends the response to `out`, whole or not at all.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let status = match self.status {
            200..=599 => self.status,
            _ => 500,
        };
        // RFC 9110 8.6, 15.3.5, 15.4.5: no Content-Length in a 204, and neither 204
        // nor 304 has a body. A 304 would have to give the length of the page it
        // stands for, which is not known here.
        let bodiless = matches!(status, 204 | 304);

        let (mut status_digits, mut length_digits) = ([0; DIGITS], [0; DIGITS]);
        let length = decimal(self.body.len(), &mut length_digits);
        let length_line: [&[u8]; 3] = if bodiless {
            [b"", b"", b""]
        } else {
            [b"Content-Length: ", length, b"\r\n"]
        };
        let type_line: [&[u8]; 3] = match self.content_type {
            Some(content_type) => [b"Content-Type: ", content_type.as_bytes(), b"\r\n"],
            None => [b"", b"", b""],
        };
        let connection: &[u8] = if self.keep_alive {
            b"Connection: keep-alive\r\n"
        } else {
            b"Connection: close\r\n"
        };
        let upgrade = match status {
            426 => VERSION_HEADERS,
            _ => b"",
        };
        let body = if bodiless || self.head_only {
            b""
        } else {
            self.body
        };
        let [length_name, length, length_end] = length_line;
        let [type_name, content_type, type_end] = type_line;
        append(
            out,
            &[
                b"HTTP/1.1 ",
                decimal(status.into(), &mut status_digits),
                b" ",
                reason_phrase(status).as_bytes(),
                b"\r\n",
                type_name,
                content_type,
                type_end,
                length_name,
                length,
                length_end,
                connection,
                upgrade,
                self.headers,
                b"\r\n",
                body,
            ],
        )
    }
}

/// RFC 9110 15; "" for a status without a well-known phrase (the phrase may be
/// empty, RFC 9112 4).
pub fn reason_phrase(status: u16) -> &'static str {
    let mut digits = [0; DIGITS];
    let digits = decimal(status.into(), &mut digits);
    PHRASES
        .split_terminator('\n')
        .find_map(|line| match line.split_at_checked(4) {
            Some((number, phrase)) if number.as_bytes().strip_suffix(b" ") == Some(digits) => {
                Some(phrase)
            }
            _ => None,
        })
        .unwrap_or("")
}

/// One text instead of many, each of which would cost a pointer to it, too.
const PHRASES: &str = "\
    101 Switching Protocols\n\
    200 OK\n\
    201 Created\n\
    202 Accepted\n\
    204 No Content\n\
    301 Moved Permanently\n\
    302 Found\n\
    303 See Other\n\
    304 Not Modified\n\
    307 Temporary Redirect\n\
    308 Permanent Redirect\n\
    400 Bad Request\n\
    401 Unauthorized\n\
    403 Forbidden\n\
    404 Not Found\n\
    405 Method Not Allowed\n\
    406 Not Acceptable\n\
    408 Request Timeout\n\
    409 Conflict\n\
    410 Gone\n\
    411 Length Required\n\
    413 Content Too Large\n\
    414 URI Too Long\n\
    415 Unsupported Media Type\n\
    421 Misdirected Request\n\
    422 Unprocessable Content\n\
    426 Upgrade Required\n\
    429 Too Many Requests\n\
    431 Request Header Fields Too Large\n\
    500 Internal Server Error\n\
    501 Not Implemented\n\
    502 Bad Gateway\n\
    503 Service Unavailable\n\
    504 Gateway Timeout\n\
    505 HTTP Version Not Supported\n\
    ";
