//! Header lines that the application adds.

use crate::proto::http::{cut_before, cut_line, is_field_value, is_token};
use crate::text::alike;

/// Checks lines of the form "Name: value\r\n" (the last CRLF may be missing).
///
/// Refused is what would end a line or the head early, and every header that libws
/// writes itself or that would put a body where frames follow.
pub fn check_extra_headers(headers: &str) -> Result<(), &'static str> {
    let mut rest = headers;
    while !rest.is_empty() {
        let (line, more) = cut_line(rest);
        check_line(line)?;
        rest = more;
    }
    Ok(())
}

fn check_line(line: &str) -> Result<(), &'static str> {
    let (name, value) = cut_before(line, b":");
    if value.is_empty() {
        return Err("a header line is not of the form \"Name: value\"");
    }
    if !is_token(name.as_bytes()) {
        return Err("a header name is not a token");
    }
    // With the colon, which may stand in a value.
    if !is_field_value(value.as_bytes()) {
        return Err("a header value holds CR, LF, NUL or another byte outside printable ASCII");
    }
    if is_reserved(name) {
        return Err("a header is written by libws itself, or would announce a body");
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 5] = [
        "Host",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
    ];
    const PREFIX: &str = "Sec-WebSocket-";
    RESERVED
        .iter()
        .any(|r| alike(name.as_bytes(), r.as_bytes()))
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| alike(start.as_bytes(), PREFIX.as_bytes()))
}
