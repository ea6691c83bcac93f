//! `Sec-WebSocket-Extensions`: its grammar, and which of its elements go to permessage-deflate.

use crate::proto::deflate;
use crate::proto::http::{elements, is_token, trim, HttpError, Request, Response};

const HEADER: &[u8] = b"sec-websocket-extensions";

/// RFC 6455 9.1: a value that "does not conform to the ABNF" fails the handshake.
/// A well-formed offer that we do not know is declined by not answering it.
pub(super) fn check_offer(request: &Request) -> Result<(), HttpError> {
    if elements(request.headers(HEADER)).all(is_extension) {
        return Ok(());
    }
    Err(HttpError::bad_request(
        "Sec-WebSocket-Extensions is malformed",
    ))
}

/// What a server agrees to of what is offered.
pub(super) fn agree(
    settings: &deflate::Settings,
    request: &Request,
) -> Option<(deflate::Agreed, deflate::Answer)> {
    deflate::answer(settings, elements(request.headers(HEADER)))
}

/// What a server has agreed to. RFC 6455 4.1, 5: if the response "indicates the use of an extension that was not present in
/// the client's handshake [...] the client MUST _Fail the WebSocket Connection_".
pub(super) fn check_answer(
    settings: Option<&deflate::Settings>,
    response: &Response,
) -> Result<Option<deflate::Agreed>, &'static str> {
    let mut named = elements(response.headers(HEADER));
    match (named.next(), named.next(), settings) {
        (None, ..) => Ok(None),
        (Some(element), None, Some(settings)) if is_extension(element) => {
            deflate::read_answer(settings, element).map(Some)
        }
        _ => Err("the server uses an extension that was not offered"),
    }
}

/// RFC 6455 9.1:
///
/// ```text
/// extension-list  = 1#extension
/// extension       = extension-token *( ";" extension-param )
/// extension-param = token [ "=" (token | quoted-string) ]
/// ```
///
/// Quotes need no care when the list is split: inside them stands a token, which
/// holds neither a comma nor a semicolon.
fn is_extension(extension: &[u8]) -> bool {
    let mut parts = extension.split(|&b| b == b';').map(trim);
    parts.next().is_some_and(is_token) && parts.all(is_param)
}

fn is_param(param: &[u8]) -> bool {
    let mut halves = param.splitn(2, |&b| b == b'=').map(trim);
    let name = halves.next().unwrap_or_default();
    is_token(name)
        && match halves.next() {
            None => true,
            Some([b'"', quoted @ .., b'"']) => is_quoted_token(quoted),
            Some(value) => is_token(value),
        }
}

/// 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
fn is_quoted_token(quoted: &[u8]) -> bool {
    let mut escaped = false;
    let mut length = 0_usize;
    for b in quoted {
        if *b == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        if !is_token(core::slice::from_ref(b)) {
            return false;
        }
        escaped = false;
        length += 1;
    }
    length > 0 && !escaped
}
