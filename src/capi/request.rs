//! `ws_request` and `ws_response`: the HTTP side of on_upgrade, on_http and on_open.

use core::ffi::{c_char, c_int, c_void};

use super::guard::{self, Text};
use super::status::ws_status;
use crate::server::{Reply, RequestView};

/// The HTTP request of a peer. Valid inside the callback that received it; for a ws_proto see
/// ws_proto_event.
pub struct ws_request(());

/// The answer to a request. Valid inside the callback that received it.
pub struct ws_response(());

/// "GET", "HEAD", ... "" if request is NULL.
#[no_mangle]
pub unsafe extern "C" fn ws_request_method(request: *const ws_request) -> *const c_char {
    guard::request(request).map_or(guard::EMPTY, |r| r.method().as_ptr())
}

/// The path without the query, as sent: begins with '/', percent-encoding not undone. "*" in a
/// server-wide OPTIONS request.
#[no_mangle]
pub unsafe extern "C" fn ws_request_path(request: *const ws_request) -> *const c_char {
    guard::request(request).map_or(guard::EMPTY, |r| r.path().as_ptr())
}

/// What follows the '?', as sent; "" if there is none.
#[no_mangle]
pub unsafe extern "C" fn ws_request_query(request: *const ws_request) -> *const c_char {
    guard::request(request).map_or(guard::EMPTY, |r| r.query().as_ptr())
}

/// The address the request came from: "192.0.2.7:51234", "[2001:db8::7]:51234", or "unix". "" for
/// a ws_proto, which does not know it.
#[no_mangle]
pub unsafe extern "C" fn ws_request_peer(request: *const ws_request) -> *const c_char {
    guard::request(request).map_or(guard::EMPTY, |r| r.peer().as_ptr())
}

/// The value of the first header of that name (letter case does not matter), without white space
/// around it; NULL if there is none.
#[no_mangle]
pub unsafe extern "C" fn ws_request_header(
    request: *const ws_request,
    name: *const c_char,
) -> *const c_char {
    let value = guard::request(request).and_then(|r| r.header(guard::bytes_of(name)?));
    value.map_or(core::ptr::null(), |v| v.as_ptr())
}

/// The subprotocol agreed on so far (RFC 6455 section 1.9), or NULL. In on_upgrade: the one that
/// ws_server_config.subprotocols leads to.
#[no_mangle]
pub unsafe extern "C" fn ws_request_subprotocol(request: *const ws_request) -> *const c_char {
    let value = guard::request(request).and_then(RequestView::subprotocol);
    value.map_or(core::ptr::null(), |v| v.as_ptr())
}

/// The TLS version, "TLSv1.2" or "TLSv1.3"; NULL if the request came without TLS.
#[no_mangle]
pub unsafe extern "C" fn ws_request_tls_version(request: *const ws_request) -> *const c_char {
    let value = guard::request(request).and_then(|r| r.tls_version);
    value.map_or(core::ptr::null(), |v| v.as_ptr())
}

/// Whom the client's certificate is for, in the order in which it says so: "O=Acme,CN=device 7".
/// Commas and the like within a value are escaped by a backslash (RFC 4514). The certificate has
/// been verified (ws_server_config.tls_client_ca). NULL if the client has shown none.
#[no_mangle]
pub unsafe extern "C" fn ws_request_tls_subject(request: *const ws_request) -> *const c_char {
    let value = guard::request(request).and_then(|r| r.tls_subject.as_deref());
    value.map_or(core::ptr::null(), |v| v.as_ptr())
}

/// The public key of the client's certificate, as ws_client_config.tls_pins writes one:
/// "sha256/..."; NULL if the client has shown none.
#[no_mangle]
pub unsafe extern "C" fn ws_request_tls_key(request: *const ws_request) -> *const c_char {
    let value = guard::request(request).and_then(|r| r.tls_key.as_deref());
    value.map_or(core::ptr::null(), |v| v.as_ptr())
}

/// Adds a header to the answer, be it the 101, a refusal or a page.
/// WS_ERR_INVALID_ARG: name is no token, value holds CR, LF or other control characters or is not
/// ASCII, or the header is one that libws writes itself (Content-Length, Content-Type, Connection,
/// Upgrade, Transfer-Encoding, Sec-WebSocket-*). WS_ERR_TOO_BIG: more than 8 KiB of headers.
/// WS_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn ws_response_header(
    response: *mut ws_response,
    name: *const c_char,
    value: *const c_char,
) -> ws_status {
    guard::with_reply(response, |reply| {
        let name = Text::required(name, "ws_response_header: name")?;
        let value = Text::required(value, "ws_response_header: value")?;
        reply.add_header(name, value)
    })
}

/// on_upgrade only: chooses the subprotocol, in place of what ws_server_config.subprotocols leads
/// to. NULL chooses none.
/// WS_ERR_INVALID_ARG: the client did not offer it, or this is not an upgrade.
#[no_mangle]
pub unsafe extern "C" fn ws_response_subprotocol(
    response: *mut ws_response,
    name: *const c_char,
) -> ws_status {
    guard::with_reply(response, |reply| {
        reply.choose_subprotocol(Text::optional(name, "ws_response_subprotocol: name")?)
    })
}

/// Sets status, type and body of the answer. In on_upgrade it is used when the upgrade is refused,
/// and the callback's return value is the status that counts. The last call wins. http_status: 200
/// to 599. content_type: NULL for none. body: len bytes, copied; NULL with len 0 is an empty body.
/// For HEAD the body is measured and left out.
/// WS_ERR_INVALID_ARG, WS_ERR_NO_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn ws_response_body(
    response: *mut ws_response,
    http_status: c_int,
    content_type: *const c_char,
    body: *const c_void,
    len: usize,
) -> ws_status {
    guard::with_reply(response, |reply: &mut Reply| {
        let content_type = Text::optional(content_type, "ws_response_body: content_type")?;
        let body = guard::data(body, len)?;
        reply.set_body(http_status, content_type, body)
    })
}
