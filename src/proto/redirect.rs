//! Where a 3xx answer leads, and what may go along (RFC 9110 section 15.4). RFC 6455 leaves it to
//! the client whether it follows; libws does so only when it is asked to.

use super::http::{cut_before, trim};
use super::url::{copy, split_authority, strip_prefix, ClientUrl};
use alloc::string::String;

/// Where a redirect leads to. In a build that follows none, this is a type without a value.
pub type Target = ClientUrl;

/// The URL that it is.
pub fn url_of(target: Target) -> ClientUrl {
    target
}

/// The statuses that name another place.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Scheme, host and port are the same, so that what the one may know the other may know too.
pub fn same_origin(a: &ClientUrl, b: &ClientUrl) -> bool {
    a.secure == b.secure
        && a.port == b.port
        && a.unix == b.unix
        && a.host_text().eq_ignore_ascii_case(b.host_text())
}

/// The URL that `location`, the value of a Location header, means at `from`. http and https stand
/// for ws and wss. The credentials of `own`, the URL of the application, go along only to its origin.
pub fn follow(own: &ClientUrl, from: &ClientUrl, location: &[u8]) -> Result<Target, &'static str> {
    let location = core::str::from_utf8(trim(location)).map_err(|_| BAD)?;
    // A fragment is for the one who asked (RFC 9110 10.2.2), and a WebSocket URI has none.
    let (location, _) = cut_before(location, b"#");
    let mut to = resolve(from, location)?;
    if from.secure && !to.secure {
        return Err("the server redirects from wss to ws, which is never followed");
    }
    // It is not for the server to say who we are.
    to.authorization = match &own.authorization {
        Some(value) if same_origin(own, &to) => Some(copy(&[value])?),
        _ => None,
    };
    Ok(to)
}

const BAD: &str = "the server redirects to something that is no ws or wss URL";

/// RFC 3986 section 5.2.
fn resolve(from: &ClientUrl, location: &str) -> Result<ClientUrl, &'static str> {
    for (scheme, own) in [
        ("http:", "ws:"),
        ("https:", "wss:"),
        ("ws:", "ws:"),
        ("wss:", "wss:"),
    ] {
        if let Some(rest) = strip_prefix(location, scheme) {
            return parse(&[own, rest]);
        }
    }
    let scheme = if from.secure { "wss:" } else { "ws:" };
    if location.starts_with("//") {
        return parse(&[scheme, location]);
    }
    let (before_path, _) = cut_before(location, b"/?");
    if before_path.as_bytes().contains(&b':') {
        return Err(BAD);
    }
    let (old_path, old_query) = cut_before(&from.resource, b"?");
    let (path, query) = cut_before(location, b"?");
    let mut resource = match path {
        "" => copy(&[old_path])?,
        path if path.starts_with('/') => without_dots(&[path])?,
        path => {
            let slash = old_path.bytes().rposition(|b| b == b'/');
            let folder = slash.and_then(|at| old_path.get(..=at));
            without_dots(&[folder.unwrap_or("/"), path])?
        }
    };
    // "" means the same place, its query included.
    let query = if location.is_empty() {
        old_query
    } else {
        query
    };
    resource = copy(&[&resource, query])?;
    if !resource.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(BAD);
    }
    from.with_resource(resource)
}

fn parse(parts: &[&str]) -> Result<ClientUrl, &'static str> {
    let text = copy(parts)?;
    // ws+unix: is not for others to choose.
    let is_url = strip_prefix(&text, "ws://").or_else(|| strip_prefix(&text, "wss://"));
    let (authority, _) = split_authority(is_url.ok_or(BAD)?);
    if authority.is_empty() {
        return Err(BAD);
    }
    ClientUrl::parse(&text).map_err(|_| BAD)
}

/// RFC 3986 5.2.4: takes "." and ".." out of a path, which `parts` make together.
fn without_dots(parts: &[&str]) -> Result<String, &'static str> {
    let path = copy(parts)?;
    let mut out = copy(&[&path])?;
    out.clear();
    let mut rest = path.get(1..);
    while let Some(path) = rest {
        let (segment, more) = cut_before(path, b"/");
        rest = more.get(1..);
        match segment {
            ".." => {
                let slash = out.bytes().rposition(|b| b == b'/');
                out.truncate(slash.unwrap_or(0));
            }
            "." => {}
            segment => {
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        if rest.is_none() {
            out.push('/');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn shown(url: &ClientUrl) -> String {
        let scheme = if url.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", url.host_header(), url.resource)
    }

    #[test]
    fn locations() {
        let table = [
            ("ws://h/a/b?q", "ws://i/c", "ws://i/c"),
            ("ws://h/a/b?q", "http://i:8080", "ws://i:8080/"),
            ("ws://h/a/b?q", "HTTPS://i/c#f", "wss://i/c"),
            ("ws://h/a/b?q", " wss://i/c\t", "wss://i/c"),
            ("wss://h/a", "https://h/b", "wss://h/b"),
            ("wss://h/a", "//i/b", "wss://i/b"),
            ("ws://h:9/a/b?q", "/c?d", "ws://h:9/c?d"),
            ("ws://h/a/b?q", "c", "ws://h/a/c"),
            ("ws://h/a/b?q", "../c", "ws://h/c"),
            ("ws://h/a/b/c", "./../../../d/.", "ws://h/d/"),
            ("ws://h/a/b?q", "?r", "ws://h/a/b?r"),
            ("ws://h/a/b?q", "", "ws://h/a/b?q"),
            ("ws://h/a?x/y", "c", "ws://h/c"),
            ("ws://h", "c:/d", ""),
            ("ws://h", "ftp://h/", ""),
            ("ws://h", "ws+unix:/x:/", ""),
            ("ws://h", "http:///x", ""),
            ("ws://h", "/a\r\nX: y", ""),
            ("ws://h", "/a b", ""),
            ("ws://h", "//a@b@c/", ""),
            ("ws://h", "/\u{e9}", ""),
            ("wss://h", "ws://h", ""),
            ("wss://h", "http://h", ""),
        ];
        for (from, location, expected) in table {
            let from = ClientUrl::parse(from).expect(from);
            let to = follow(&from, &from, location.as_bytes()).map(|url| shown(&url));
            assert_eq!(
                to.unwrap_or_default(),
                expected,
                "{} {location}",
                shown(&from)
            );
        }
        let from = ClientUrl::parse("ws://h").expect("a URL");
        assert!(follow(&from, &from, b"/\xff").is_err());
        let local = ClientUrl::parse("ws+unix:/s:/a").expect("a URL");
        let to = follow(&local, &local, b"/b").expect("within the socket");
        assert_eq!((to.unix.as_deref(), &*to.resource), (Some("/s"), "/b"));
    }

    #[test]
    fn credentials_stay_within_the_origin() {
        let from = ClientUrl::parse("ws://u:p@h:81/a").expect("a URL");
        for (location, kept) in [
            ("/b", true),
            ("ws://H:81/", true),
            ("http://h:81/", true),
            ("ws://h:82/", false),
            ("ws://i:81/", false),
            ("wss://h:81/", false),
        ] {
            let to = follow(&from, &from, location.as_bytes()).expect(location);
            assert_eq!(to.authorization.is_some(), kept, "{location}");
            assert_eq!(same_origin(&from, &to), kept, "{location}");
        }
        // The server does not choose them.
        let elsewhere = follow(&from, &from, b"ws://v:q@i/").expect("a URL");
        assert_eq!(elsewhere.authorization, None);
        let here = follow(&from, &from, b"ws://v:q@h:81/").expect("a URL");
        assert_eq!(here.authorization, from.authorization);
        let back = follow(&from, &elsewhere, b"ws://h:81/").expect("a URL");
        assert_eq!(back.authorization, from.authorization);
    }
}
