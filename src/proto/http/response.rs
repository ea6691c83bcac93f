//! A response head, as a client sees it.

use super::fields::{check_extent, check_length, refuse, Line};
use super::{Fields, HttpError, Once, Values, MAX_HEADERS};
use alloc::vec::Vec;
use core::ffi::CStr;

/// A parsed response that owns its head.
#[derive(Debug)]
pub struct Response {
    fields: Fields,
    status: u16,
    minor: u8,
}

impl Response {
    /// Parses a whole head, as [`HeadBuffer`](super::HeadBuffer) gives it. Of an
    /// error only `why` has a meaning on this side.
    pub fn parse(head: Vec<u8>) -> Result<Response, HttpError> {
        check_length(&head)?;
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut slots);
        let extent = parsed
            .parse(&head)
            .map_err(|error| refuse(error, &head, "the status line is malformed"))?;
        check_extent(extent, &head)?;
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(HttpError::bad_request("the status line is malformed"));
        };
        let lines = Line::collect(&head, parsed.headers)?;
        Ok(Response {
            fields: Fields::new(head, lines),
            status,
            minor,
        })
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// Is it HTTP/1.1 (else HTTP/1.0)?
    pub fn is_http11(&self) -> bool {
        self.minor == 1
    }

    /// A 1xx other than 101: RFC 9110 15.2 has a client read on for the final one.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
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

    /// For headers that must not be repeated.
    pub fn once<'a>(&'a self, name: &'a [u8]) -> Once<'a> {
        self.fields.once(name)
    }
}
