//! The opening handshake, RFC 6455 section 4, both roles.
//!
//! Does: decide whether a request is a good upgrade, write the 101, write the
//! client's request, check the server's answer, pick subprotocols, match Origin
//! and Host against allow-lists, check what the application wants to add.
//!
//! Does not: read bytes ([`HeadBuffer`](super::http::HeadBuffer) does), make random
//! keys, decide about paths or origins. Of extensions it knows permessage-deflate,
//! whose parameters are [`deflate`](super::deflate)'s; every other offer is declined
//! by silence, an answer that names another is refused.

mod allow;
mod asked;
mod client;
mod digest;
mod extensions;
mod extra;
mod server;
mod subprotocols;
mod view;

pub use crate::text::c_string;
pub use allow::{list_allows, origin_allowed};
pub use asked::{check_page, write_refusal, Asked, PLAIN_TEXT};
pub use client::{
    check_response, read_response, write_request, Agreed, Answer, HandshakeError, Offer,
};
pub(crate) use digest::base64;
pub use extra::check_extra_headers;
pub use server::{check_request, write_accept, ServerHandshake};
pub use subprotocols::MAX_SUBPROTOCOLS;
pub use subprotocols::{check_subprotocols, choose_subprotocol, offered_subprotocols};
pub use view::RequestView;

use digest::sha1;

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
///
/// RFC 6455 4.2.2: the key as it came, concatenated with the GUID, SHA-1, base64.
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut accept = [0; 28];
    base64(&sha1(&[key, GUID]), &mut accept);
    accept
}

#[cfg(test)]
mod tests;
