//! `user [ ":" password ] "@"` before a host, and what becomes of it (RFC 7617).

use super::authority::copy;
use crate::proto::handshake::base64;
use crate::proto::http::cut_before;
use alloc::string::String;
use alloc::vec::Vec;

/// Decoded: any bytes but control characters, and no colon in the user's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proto) struct UserInfo {
    pub user: Vec<u8>,
    pub password: Vec<u8>,
}

/// What stands before the `@`, if anything does, and what follows it.
pub(in crate::proto) fn split_userinfo(
    authority: &str,
) -> Result<(Option<UserInfo>, &str), &'static str> {
    let at = authority.bytes().rposition(|b| b == b'@');
    let Some((text, rest)) = at.and_then(|at| authority.split_at_checked(at)) else {
        return Ok((None, authority));
    };
    let rest = rest.get(1..).unwrap_or_default();
    if text.is_empty() {
        return Ok((None, rest));
    }
    let (user, password) = cut_before(text, b":");
    let password = password.get(1..).unwrap_or_default();
    let info = UserInfo {
        user: decode(user)?,
        password: decode(password)?,
    };
    // RFC 7617 2: "a user-id containing a colon character is invalid".
    if info.user.contains(&b':') {
        return Err("the user name of the URL holds a colon");
    }
    Ok((Some(info), rest))
}

/// RFC 7617 2: the value of an Authorization header.
pub(in crate::proto) fn basic(info: &UserInfo) -> Result<String, &'static str> {
    const MEMORY: &str = "out of memory";
    let len = info.user.len() + 1 + info.password.len();
    let mut plain = Vec::new();
    plain.try_reserve_exact(len).map_err(|_| MEMORY)?;
    plain.extend_from_slice(&info.user);
    plain.push(b':');
    plain.extend_from_slice(&info.password);
    let mut encoded = Vec::new();
    let room = len.div_ceil(3).saturating_mul(4);
    encoded.try_reserve_exact(room).map_err(|_| MEMORY)?;
    encoded.resize(room, 0);
    base64(&plain, &mut encoded);
    copy(&["Basic ", core::str::from_utf8(&encoded).unwrap_or_default()])
}

/// RFC 3986 2.1. What a percent sign cannot hide: a control character would end up in a header.
fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    out.try_reserve_exact(text.len())
        .map_err(|_| "out of memory")?;
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let b = match b {
            b'%' => {
                let digit = |d: Option<u8>| d.and_then(|d| char::from(d).to_digit(16));
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(
                            "a percent sign in the user name is not followed by two hex digits",
                        )
                    }
                }
            }
            b'@' => return Err("an @ in a user name or password must be percent-encoded"),
            b => b,
        };
        if b.is_ascii_control() {
            return Err("the user name or password holds a control character");
        }
        out.push(b);
    }
    Ok(out)
}
