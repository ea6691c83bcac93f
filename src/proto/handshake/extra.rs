//! Header lines that the application adds.

use crate::proto::http::{is_field_value, is_token};

/// Checks lines of the form "Name: value\r\n" (the last CRLF may be missing).
///
/// Refused is what would end a line or the head early, and every header that libws
/// writes itself or that would put a body where frames follow.
pub fn check_extra_headers(headers: &str) -> Result<(), &'static str> {
    if headers.is_empty() {
        return Ok(());
    }
    let lines = headers.strip_suffix("\r\n").unwrap_or(headers);
    lines.split("\r\n").try_for_each(check_line)
}

fn check_line(line: &str) -> Result<(), &'static str> {
    let (name, value) = line
        .split_once(':')
        .ok_or("a header line is not of the form \"Name: value\"")?;
    if !is_token(name.as_bytes()) {
        return Err("a header name is not a token");
    }
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
    RESERVED.iter().any(|r| name.eq_ignore_ascii_case(r))
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
