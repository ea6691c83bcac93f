//! `Sec-WebSocket-Protocol`: what is offered, what is chosen.
//!
//! Names are tokens. RFC 6455 never says that their case is ignored, so it is not.

use crate::proto::http::{elements, is_token, list, HttpError, Request};

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
    list(preference)
        .find(|&name| elements(request.headers(HEADER)).any(|offered| offered == name))
        .and_then(|name| core::str::from_utf8(name).ok())
}

/// A list given by the application: tokens separated by commas, none twice.
pub fn check_subprotocols(names: &str) -> Result<(), &'static str> {
    let commas = names.bytes().filter(|&b| b == b',').count();
    match fault(&list(names)) {
        _ if commas >= MAX_SUBPROTOCOLS => Err("more than 64 subprotocols"),
        Some(Fault::Twice) => Err("a subprotocol is listed twice"),
        // An empty name is no token either.
        None if list(names).count() == commas + 1 => Ok(()),
        _ => Err("a subprotocol is not a token (letters, digits and !#$%&'*+-.^_`|~)"),
    }
}

/// Is `name` one of a list given by the application?
pub(super) fn list_has(names: &str, name: &str) -> bool {
    list(names).any(|offered| offered == name.as_bytes())
}

/// RFC 6455 4.1, 10: the elements "MUST be non-empty strings with characters in the
/// range U+0021 to U+007E not including separator characters [...] and MUST all be
/// unique strings". For a request that has the header.
pub(super) fn check_offer(request: &Request) -> Result<(), HttpError> {
    let names = elements(request.headers(HEADER));
    if names.clone().next().is_none() {
        return Err(HttpError::bad_request("Sec-WebSocket-Protocol is empty"));
    }
    let why = match fault(&names) {
        None => return Ok(()),
        Some(Fault::TooMany) => "more than 64 subprotocols offered",
        Some(Fault::NoToken) => "Sec-WebSocket-Protocol holds a name that is not a token",
        Some(Fault::Twice) => "Sec-WebSocket-Protocol holds a name twice",
    };
    Err(HttpError::bad_request(why))
}

enum Fault {
    TooMany,
    NoToken,
    Twice,
}

fn fault<'a>(names: &(impl Iterator<Item = &'a [u8]> + Clone)) -> Option<Fault> {
    let mut twice = false;
    for (at, name) in names.clone().enumerate() {
        if at >= MAX_SUBPROTOCOLS {
            return Some(Fault::TooMany);
        }
        if !is_token(name) {
            return Some(Fault::NoToken);
        }
        twice |= names.clone().take(at).any(|earlier| earlier == name);
    }
    twice.then_some(Fault::Twice)
}
