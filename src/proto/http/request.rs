//! A request head, as a server sees it.

use super::fields::{check_extent, check_length, refuse, Line, Span};
use super::{cut_before, grammar, has_token, Fields, HttpError, Once, Values, MAX_HEADERS};
use crate::text::alike;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

/// A parsed request that owns its head. Every part it gives out is followed by a
/// NUL, so that C can have it without a copy.
#[derive(Debug)]
pub struct Request {
    fields: Fields,
    method: Span,
    path: Span,
    query: Span,
    minor: u8,
}

impl Request {
    /// Parses a whole head, as [`HeadBuffer`](super::HeadBuffer) gives it.
    pub fn parse(head: Vec<u8>) -> Result<Request, HttpError> {
        check_length(&head)?;
        // Not made empty beforehand, which would take longer than to parse a few.
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        let extent = parsed
            .parse_with_uninit_headers(&head, &mut slots)
            .map_err(|error| refuse(error, version(&head), "the request line is malformed"))?;
        check_extent(extent, &head)?;
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(HttpError::bad_request("the request line is malformed"));
        };

        let target = Target::parse(target, method)?;
        let method = Span::of(method.as_bytes(), &head);
        let path = Span::of(target.path.as_bytes(), &head);
        let query = Span::of(target.query.as_bytes(), &head);
        let lines = Line::collect(&head, parsed.headers)?;
        check_host(parsed.headers, minor, target.authority)?;

        let mut fields = Fields::new(head, lines);
        for part in [method, path, query] {
            if !part.is_empty() {
                fields.terminate(part);
            }
        }
        Ok(Request {
            fields,
            method,
            path,
            query,
            minor,
        })
    }

    pub fn method(&self) -> &CStr {
        self.fields.c_str(self.method)
    }

    /// The path as received (percent-encoding is kept), without the query.
    pub fn path(&self) -> &CStr {
        if self.path.is_empty() {
            c"/"
        } else {
            self.fields.c_str(self.path)
        }
    }

    /// What follows the first `?`; "" if there is none.
    pub fn query(&self) -> &CStr {
        if self.query.is_empty() {
            c""
        } else {
            self.fields.c_str(self.query)
        }
    }

    /// Is it HTTP/1.1 (else HTTP/1.0)?
    pub fn is_http11(&self) -> bool {
        self.minor == 1
    }

    /// The first value of that name. Case is ignored, white space is trimmed.
    pub fn header(&self, name: &[u8]) -> Option<&CStr> {
        self.fields.header(name)
    }

    /// All values of that name, in order.
    pub fn headers<'a>(&'a self, name: &'a [u8]) -> Values<'a> {
        self.fields.headers(name)
    }

    /// All headers as (name, value), in order.
    pub fn all(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        self.fields.all()
    }

    /// The same in bytes.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.lines()
    }

    /// For headers that must not be repeated.
    pub fn once<'a>(&'a self, name: &'a [u8]) -> Once<'a> {
        self.fields.once(name)
    }

    /// May another request follow on this connection (RFC 9112 9.3)?
    pub fn keep_alive(&self) -> bool {
        if has_token(self.headers(b"connection"), "close") {
            return false;
        }
        self.is_http11() || has_token(self.headers(b"connection"), "keep-alive")
    }

    /// Does a body follow the head? An error when its length is in doubt: what
    /// comes next on the connection is then unknown, and it must be closed.
    pub fn has_body(&self) -> Result<bool, HttpError> {
        let coded = self.headers(b"transfer-encoding").next().is_some();
        let length = match self.once(b"content-length") {
            Once::Missing => None,
            Once::One(value) => Some(content_length(value)?),
            // RFC 9110 8.6: a repeated length is rejected, or, if all are the same,
            // replaced by one. Rejecting is the safe half.
            Once::Several => return Err(HttpError::bad_request("several Content-Length headers")),
        };
        // RFC 9112 6.1: both together "ought to be handled as an error".
        if coded && length.is_some() {
            return Err(HttpError::bad_request(
                "Content-Length beside Transfer-Encoding",
            ));
        }
        // RFC 9112 6.1: a server that receives it in HTTP/1.0 "MUST treat the
        // message as if the framing is faulty".
        if coded && !self.is_http11() {
            return Err(HttpError::bad_request("Transfer-Encoding in HTTP/1.0"));
        }
        Ok(coded || length.is_some_and(|n| n > 0))
    }
}

/// The third word of the request line (RFC 9112 3).
fn version(head: &[u8]) -> &[u8] {
    let (_method, rest) = grammar::cut(head, b' ');
    grammar::cut(rest, b' ').1
}

/// The request target in its parts (RFC 9112 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str, method: &str) -> Result<Self, HttpError> {
        // RFC 3986 2: a URI is made of visible ASCII; a fragment is never sent.
        if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(HttpError::bad_request(
                "the request target holds a character that must be percent-encoded",
            ));
        }
        let (authority, rest) = match absolute(target) {
            Some((authority, rest)) => (Some(authority), rest),
            // RFC 9112 3.2.4: the asterisk-form "is only used for a server-wide OPTIONS request".
            None if target == "*" && method == "OPTIONS" => (None, target),
            None if target.starts_with('/') => (None, target),
            None => return Err(HttpError::bad_request("the request target is not a path")),
        };
        let (path, query) = cut_before(rest, b"?");
        let query = query.get(1..).unwrap_or_default();
        Ok(Self {
            authority,
            path,
            query,
        })
    }
}

/// RFC 9112 3.2.2: "a server MUST accept the absolute-form in requests". Gives
/// the authority and what follows it.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = cut_before(target, b":");
    let rest = rest.strip_prefix("://")?;
    let known = ["http", "https", "ws", "wss"];
    if !known.iter().any(|k| alike(scheme.as_bytes(), k.as_bytes())) {
        return None;
    }
    Some(cut_before(rest, b"/?"))
}

/// RFC 9112 3.2: a server "MUST respond with a 400 status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that
/// contains more than one Host header field line or [...] an invalid field value".
fn check_host(
    headers: &[httparse::Header<'_>],
    minor: u8,
    authority: Option<&str>,
) -> Result<(), HttpError> {
    let mut hosts = headers
        .iter()
        .filter(|header| header.name.len() == 4 && alike(header.name.as_bytes(), b"Host"));
    let host = hosts.next().map(|header| header.value);
    if hosts.next().is_some() {
        return Err(HttpError::bad_request("several Host headers"));
    }
    match host {
        None if minor >= 1 => return Err(HttpError::bad_request("the Host header is missing")),
        Some(host) if !grammar::is_host(host) => {
            return Err(HttpError::bad_request("the Host header is malformed"));
        }
        _ => {}
    }
    // RFC 9112 3.2: the client sends a Host "identical to that authority component".
    // Where the two differ, a check of Host would look at the wrong one.
    match (authority, host) {
        (Some(authority), Some(host)) if !alike(host, authority.as_bytes()) => Err(
            HttpError::bad_request("the Host header differs from the request target"),
        ),
        _ => Ok(()),
    }
}

/// RFC 9110 8.6: `Content-Length = 1*DIGIT`
fn content_length(value: &[u8]) -> Result<u64, HttpError> {
    const MALFORMED: HttpError = HttpError::bad_request("Content-Length is not a number");
    if value.is_empty() {
        return Err(MALFORMED);
    }
    value.iter().try_fold(0_u64, |n, &b| {
        let digit = match b {
            b'0'..=b'9' => u64::from(b - b'0'),
            _ => return Err(MALFORMED),
        };
        n.checked_mul(10)
            .and_then(|n| n.checked_add(digit))
            .ok_or(MALFORMED)
    })
}
