//! What a request head asks a server for, and how the answer is a no.

use super::{check_request, ServerHandshake};
use crate::proto::http::{append, HttpError, Reply, Request};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// The content type of answers in words.
pub const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// A request head, looked at.
#[derive(Debug)]
pub enum Asked {
    /// For a WebSocket, in good form.
    Upgrade(Request, ServerHandshake),
    /// For something else: an ordinary HTTP request.
    Page(Request),
    /// It has to be refused; the request where the head could be parsed.
    Refused(Option<Request>, HttpError),
}

impl Asked {
    /// Looks at a whole head, as [`HeadBuffer`](crate::proto::http::HeadBuffer) gives it.
    pub fn read(head: Vec<u8>) -> Asked {
        let request = match Request::parse(head) {
            Ok(request) => request,
            Err(error) => return Asked::Refused(None, error),
        };
        match check_request(&request) {
            Ok(Some(handshake)) => Asked::Upgrade(request, handshake),
            Ok(None) => Asked::Page(request),
            Err(error) => Asked::Refused(Some(request), error),
        }
    }
}

/// Whether an ordinary request can be answered: bodies are not read.
pub fn check_page(request: &Request) -> Result<(), HttpError> {
    if request.has_body()? {
        return Err(HttpError::new(413, "a request with a body is not served"));
    }
    Ok(())
}

/// Appends an answer that says no in words. The connection ends after it.
pub fn write_refusal(
    out: &mut Vec<u8>,
    error: HttpError,
    head_only: bool,
) -> Result<(), OutOfMemory> {
    let mut body = Vec::new();
    append(&mut body, &[error.why.as_bytes(), b"\n"])?;
    Reply {
        status: error.status,
        content_type: Some(PLAIN_TEXT),
        headers: b"",
        body: &body,
        keep_alive: false,
        head_only,
    }
    .write(out)
}
