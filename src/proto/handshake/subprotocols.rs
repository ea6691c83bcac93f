//! `Sec-WebSocket-Protocol`: what is offered, what is chosen.
//!
//! Names are tokens. RFC 6455 never says that their case is ignored, so it is not.

use crate::proto::http::{elements, is_token, HttpError, Request};

/// The most subprotocols in one offer. Each is compared with all before it, so
/// that a long list of short names would cost time by its square.
pub const MAX_SUBPROTOCOLS: usize = 64;

const HEADER: &[u8] = b"sec-websocket-protocol";

/// What the client offers, in its order of preference. Of a request that
/// [`check_request`](super::check_request) accepted these are unique tokens.
pub fn offered_subprotocols(request: &Request) -> impl Iterator<Item = &str> {
    elements(request.headers(HEADER))
        .filter(|name| is_token(name))
        .filter_map(|name| core::str::from_utf8(name).ok())
}

/// The first of the server's `preference` list (comma-separated) that the client
/// offers.
pub fn choose_subprotocol<'a>(preference: &'a str, request: &Request) -> Option<&'a str> {
    preference
        .split(',')
        .map(trim)
        .find(|&name| offered_subprotocols(request).any(|offered| offered == name))
}

/// A list given by the application: tokens separated by commas, none twice.
pub fn check_subprotocols(list: &str) -> Result<(), &'static str> {
    let names = || list.split(',').map(trim);
    if names().count() > MAX_SUBPROTOCOLS {
        return Err("more than 64 subprotocols");
    }
    if !names().all(|name| is_token(name.as_bytes())) {
        return Err("a subprotocol is not a token (letters, digits and !#$%&'*+-.^_`|~)");
    }
    if has_duplicate(names()) {
        return Err("a subprotocol is listed twice");
    }
    Ok(())
}

/// Is `name` one of a list given by the application?
pub(super) fn list_has(list: &str, name: &str) -> bool {
    list.split(',').map(trim).any(|offered| offered == name)
}

/// RFC 6455 4.1, 10: the elements "MUST be non-empty strings with characters in the
/// range U+0021 to U+007E not including separator characters [...] and MUST all be
/// unique strings".
pub(super) fn check_offer(request: &Request) -> Result<(), HttpError> {
    let names = || elements(request.headers(HEADER));
    let count = names().count();
    if count == 0 && request.headers(HEADER).next().is_some() {
        return Err(HttpError::bad_request("Sec-WebSocket-Protocol is empty"));
    }
    if count > MAX_SUBPROTOCOLS {
        return Err(HttpError::bad_request("more than 64 subprotocols offered"));
    }
    if !names().all(is_token) {
        return Err(HttpError::bad_request(
            "Sec-WebSocket-Protocol holds a name that is not a token",
        ));
    }
    if has_duplicate(names()) {
        return Err(HttpError::bad_request(
            "Sec-WebSocket-Protocol holds a name twice",
        ));
    }
    Ok(())
}

fn has_duplicate<T: Copy + Default + PartialEq>(names: impl Iterator<Item = T>) -> bool {
    let mut seen = [T::default(); MAX_SUBPROTOCOLS];
    for (at, name) in names.enumerate() {
        if seen.iter().take(at).any(|&earlier| earlier == name) {
            return true;
        }
        if let Some(slot) = seen.get_mut(at) {
            *slot = name;
        }
    }
    false
}

fn trim(name: &str) -> &str {
    name.trim_matches([' ', '\t'])
}
