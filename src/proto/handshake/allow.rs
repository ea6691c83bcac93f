//! Allow-lists for `Origin` and `Host`.

use crate::proto::http::{list, trim};
use crate::text::alike;

/// Is `value` on the comma-separated list `allowed`? An empty list allows nothing.
///
/// An entry with `://` is an origin: it equals the serialized origin that the
/// browser sends (RFC 6454 6.2), where a default port may be written or not. The
/// entry `null` allows the opaque origin. Any other entry is a host: with a port
/// it must equal the value, without one it allows the host on every port.
/// ASCII case is ignored. There are no wildcards.
pub fn list_allows(allowed: &str, value: &[u8]) -> bool {
    let value = trim(value);
    list(allowed).any(|entry| matches(entry, value))
}

/// Is `origin` on the list? Beside what [`list_allows`] knows, the entry `self` allows pages from
/// the same host and port that the request names in `Host`: those that this server serves itself.
pub fn origin_allowed(allowed: &str, origin: &[u8], host: &[u8]) -> bool {
    let itself = list(allowed).any(|entry| entry == b"self");
    list_allows(allowed, origin) || (itself && is_same_host(trim(origin), trim(host)))
}

fn is_same_host(origin: &[u8], host: &[u8]) -> bool {
    [(&b"http://"[..], &b":80"[..]), (b"https://", b":443")]
        .iter()
        .any(|(scheme, port)| {
            let start = origin.get(..scheme.len()).unwrap_or_default();
            let place = origin.get(scheme.len()..).unwrap_or_default();
            let bare = |at: &'_ [u8]| at.strip_suffix(*port).map_or(at.len(), <[u8]>::len);
            alike(start, scheme)
                && !place.is_empty()
                && alike(
                    place.get(..bare(place)).unwrap_or_default(),
                    host.get(..bare(host)).unwrap_or_default(),
                )
        })
}

fn matches(entry: &[u8], value: &[u8]) -> bool {
    if entry.windows(3).any(|three| three == b"://") {
        return alike(without_default_port(entry), without_default_port(value));
    }
    let value = match split_port(entry) {
        Some(_) => value,
        None => split_port(value).map_or(value, |(host, _)| host),
    };
    alike(entry, value)
}

/// RFC 6454 6.2 leaves the default port out of a serialized origin; people who
/// write lists do not always.
fn without_default_port(origin: &[u8]) -> &[u8] {
    let (Some((rest, port)), Some(colon)) =
        (split_port(origin), origin.iter().position(|&b| b == b':'))
    else {
        return origin;
    };
    let scheme = origin.get(..colon).unwrap_or_default();
    let default: &[u8] = match scheme {
        s if alike(s, b"http") || alike(s, b"ws") => b"80",
        s if alike(s, b"https") || alike(s, b"wss") => b"443",
        _ => return origin,
    };
    if port == default {
        rest
    } else {
        origin
    }
}

/// `host:port` in its halves. The colons of an IPv6 address stand in brackets.
fn split_port(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().rposition(|&b| b == b':')?;
    let (host, port) = (bytes.get(..colon)?, bytes.get(colon + 1..)?);
    let is_port = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    (is_port && !host.is_empty()).then_some((host, port))
}
