//! The header fields of a head, as spans into the bytes that were received.

use super::{HttpError, MAX_HEAD};
use crate::proto::OutOfMemory;
use crate::text::alike;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A head and where its parts lie in it. A NUL has been written over the byte
/// behind each part (a separator in every case), so that parts can be handed to C
/// as they are.
#[derive(Debug)]
pub struct Fields {
    head: Vec<u8>,
    lines: Vec<Line>,
}

/// How often a header occurs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Once<'a> {
    #[default]
    Missing,
    One(&'a [u8]),
    Several,
}

impl<'a> Once<'a> {
    /// It occurs once more.
    pub fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::Missing => Once::One(value),
            Once::One(_) | Once::Several => Once::Several,
        };
    }
}

impl Fields {
    /// The first value of that name. Case is ignored, white space is trimmed.
    pub fn header(&self, name: &[u8]) -> Option<&CStr> {
        let span = self.headers(name).next_span()?;
        Some(self.c_str(span))
    }

    /// All values of that name, in order.
    pub fn headers<'a>(&'a self, name: &'a [u8]) -> Values<'a> {
        Values {
            fields: self,
            name,
            next: 0,
        }
    }

    /// All headers as (name, value), in order.
    pub fn all(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        self.lines
            .iter()
            .map(|line| (self.c_str(line.name), self.c_str(line.value)))
    }

    /// The same in bytes.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .iter()
            .map(|line| (self.bytes(line.name), self.bytes(line.value)))
    }

    /// For headers that must not be repeated.
    pub fn once<'a>(&'a self, name: &'a [u8]) -> Once<'a> {
        let mut values = self.headers(name);
        match (values.next(), values.next()) {
            (None, _) => Once::Missing,
            (Some(value), None) => Once::One(value),
            (Some(_), Some(_)) => Once::Several,
        }
    }

    pub(super) fn new(head: Vec<u8>, lines: Vec<Line>) -> Self {
        let mut fields = Self { head, lines };
        for line in &fields.lines {
            line.name.terminate(&mut fields.head);
            line.value.terminate(&mut fields.head);
        }
        fields
    }

    pub(super) fn terminate(&mut self, span: Span) {
        span.terminate(&mut self.head);
    }

    pub(super) fn c_str(&self, span: Span) -> &CStr {
        self.head
            .get(span.start.into()..=span.end.into())
            .and_then(|bytes| CStr::from_bytes_until_nul(bytes).ok())
            .unwrap_or_default()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.head
            .get(span.start.into()..span.end.into())
            .unwrap_or_default()
    }

    #[inline]
    fn is_named(&self, line: &Line, name: &[u8]) -> bool {
        // Every name that matters is looked for among all: most lines are told apart by their length.
        line.name.len() == name.len() && alike(self.bytes(line.name), name)
    }
}

/// The values of the headers of one name.
#[derive(Clone)]
pub struct Values<'a> {
    fields: &'a Fields,
    name: &'a [u8],
    /// The line to look at next.
    next: usize,
}

impl Values<'_> {
    fn next_span(&mut self) -> Option<Span> {
        loop {
            let line = self.fields.lines.get(self.next)?;
            self.next += 1;
            if self.fields.is_named(line, self.name) {
                return Some(line.value);
            }
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let span = self.next_span()?;
        Some(self.fields.bytes(span))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    name: Span,
    value: Span,
}

impl Line {
    /// Where the parsed headers lie in `head`.
    pub(super) fn collect(
        head: &[u8],
        headers: &[httparse::Header<'_>],
    ) -> Result<Vec<Line>, OutOfMemory> {
        let mut lines = Vec::new();
        lines
            .try_reserve_exact(headers.len())
            .map_err(|_| OutOfMemory)?;
        lines.extend(headers.iter().map(|header| Line {
            name: Span::of(header.name.as_bytes(), head),
            value: Span::of(header.value, head),
        }));
        Ok(lines)
    }
}

/// A part of a head; 16 bits are enough for [`MAX_HEAD`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

const _: () = assert!(MAX_HEAD < u16::MAX as usize);

impl Span {
    /// `part` is a slice of `head`. If it were not, the span would be empty or lie
    /// outside, and read as empty.
    pub(super) fn of(part: &[u8], head: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) => Self { start, end },
            _ => Self::default(),
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    fn len(self) -> usize {
        usize::from(self.end.wrapping_sub(self.start))
    }

    fn terminate(self, head: &mut [u8]) {
        if let Some(byte) = head.get_mut(usize::from(self.end)) {
            *byte = 0;
        }
    }
}

/// What is wrong with a head that httparse refused. `version` is what stands where
/// the version should, `first_line` the text for a first line that is no such line.
pub(super) fn refuse(
    error: httparse::Error,
    version: &[u8],
    first_line: &'static str,
) -> HttpError {
    match error {
        httparse::Error::HeaderName => {
            HttpError::bad_request("a header name is not a token, or a header line is folded")
        }
        httparse::Error::HeaderValue => {
            HttpError::bad_request("a header value holds a control character")
        }
        httparse::Error::TooManyHeaders => HttpError::new(431, "more than 100 header lines"),
        httparse::Error::Version if version.starts_with(b"HTTP/") => {
            HttpError::new(505, "the HTTP version is neither 1.0 nor 1.1")
        }
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => HttpError::bad_request(first_line),
    }
}

/// The head handed to a parser must be whole, and nothing may follow it.
pub(super) fn check_extent(parsed: httparse::Status<usize>, head: &[u8]) -> Result<(), HttpError> {
    if parsed == httparse::Status::Complete(head.len()) {
        Ok(())
    } else {
        Err(HttpError::bad_request(
            "the head does not end with a blank line",
        ))
    }
}

pub(super) fn check_length(head: &[u8]) -> Result<(), HttpError> {
    if head.len() > MAX_HEAD {
        return Err(HttpError::new(431, "the head is longer than 16 KiB"));
    }
    Ok(())
}
