//! HTTP/1.1 heads, as far as a WebSocket endpoint needs them (RFC 9110, RFC 9112).
//!
//! Does: collect a head within fixed bounds, parse requests and responses, walk
//! header fields and token lists, write response heads.
//!
//! Does not: read or decode bodies, follow redirects, speak HTTP/1.0 upgrades or
//! HTTP/2. A request that has a body is only recognised as such
//! ([`Request::has_body`]), so that the caller can refuse it and close.
//!
//! What is refused although RFC 9112 lets a recipient accept it: lines that end
//! in a bare LF, and folded header lines. Both are read differently by different
//! programs, which is what request smuggling lives on.

mod date;
mod fields;
mod grammar;
mod head;
mod reply;
mod request;
mod response;

pub(crate) use date::{date, number};
pub use fields::{Fields, Once, Values};
pub(crate) use grammar::{cut_before, cut_line, list, trim};
pub use grammar::{elements, has_token, is_field_value, is_token, Elements};
pub use head::{Fed, HeadBuffer};
pub use reply::{reason_phrase, Reply};
pub use request::Request;
pub use response::Response;

use super::OutOfMemory;
use alloc::vec::Vec;

/// The longest head taken, from the first byte to the blank line.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header lines taken in one head.
pub const MAX_HEADERS: usize = 100;

/// Why a head is refused, and the status a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpError {
    pub status: u16,
    /// One line for a log or for the body of the answer.
    pub why: &'static str,
}

impl HttpError {
    pub(crate) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    pub(crate) const fn bad_request(why: &'static str) -> Self {
        Self::new(400, why)
    }
}

impl From<OutOfMemory> for HttpError {
    fn from(_: OutOfMemory) -> Self {
        Self::new(503, "out of memory")
    }
}

/// Appends all parts or, when memory is short, none.
pub(crate) fn append(out: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
    let total = parts.iter().fold(0_usize, |n, p| n.saturating_add(p.len()));
    out.try_reserve(total).map_err(|_| OutOfMemory)?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
