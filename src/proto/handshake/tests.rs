//! The opening handshake, as tables.

mod client;
#[cfg(any(feature = "deflate", feature = "deflate-system"))]
mod deflate;
mod lists;
mod server;

use super::*;
use crate::proto::http::{HttpError, Request, Response};
use alloc::{format, string::String, vec::Vec};

#[test]
fn accept_keys() {
    // RFC 6455 1.3, and a capture of 2017
    let table = [
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("J2BJc+GQuSw34hi2TjyVpg==", "uGY1yScptmHNgZqrDnpq1Ws1xho="),
    ];
    for (key, accept) in table {
        assert_eq!(accept_key(key.as_bytes()), accept.as_bytes());
    }
}

/// Every byte, in the places where a caller could try to smuggle one in.
fn bytes() -> impl Iterator<Item = (u8, String)> {
    // A lone byte from 0x80 up is no UTF-8; the character of that number stands for it.
    (0..=u8::MAX).map(|b| (b, format!("a{}b", char::from(b))))
}
