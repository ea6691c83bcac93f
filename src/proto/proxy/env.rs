//! The variables by which users name proxies: http_proxy, https_proxy, all_proxy, no_proxy. No
//! standard exists; what is done here is what curl, Go and Python agree on.

use super::Proxy;
use crate::proto::http::{cut_before, number};
use crate::proto::url::{ip, ClientUrl, Host};
use alloc::string::String;

/// What the variables say.
#[derive(Default)]
pub struct Environment {
    /// For ws.
    pub http: Option<Proxy>,
    /// For wss.
    pub https: Option<Proxy>,
    /// For both, where the others say nothing.
    pub all: Option<Proxy>,
    /// Hosts that are connected to without a proxy.
    pub no_proxy: String,
}

impl Environment {
    pub fn proxy_for(&self, url: &ClientUrl) -> Option<&Proxy> {
        let own = if url.secure { &self.https } else { &self.http };
        let proxy = own.as_ref().or(self.all.as_ref())?;
        (!bypasses(&self.no_proxy, &url.host, url.port)).then_some(proxy)
    }
}

/// Does a list like "localhost, .example.com, 10.0.0.0/8, [::1]:9001" name the host?
pub fn bypasses(list: &str, host: &Host, port: u16) -> bool {
    let mut rest = list;
    while !rest.is_empty() {
        let (entry, more) = cut_before(rest, b", \t");
        if entry == "*" || (!entry.is_empty() && names(entry, host, port)) {
            return true;
        }
        rest = more.get(1..).unwrap_or_default();
    }
    false
}

fn names(entry: &str, host: &Host, port: u16) -> bool {
    let (entry, wanted) = split_port(entry.as_bytes());
    if wanted.is_some_and(|wanted| wanted != u64::from(port)) {
        return false;
    }
    let net = match entry {
        [b'[', address @ .., b']'] => address,
        other => other,
    };
    let slash = net.iter().position(|&b| b == b'/').unwrap_or(net.len());
    let (net, bits) = net.split_at_checked(slash).unwrap_or((net, b""));
    let bits = match bits {
        [_slash, bits @ ..] => number(bits),
        [] => Some(128),
    };
    match (host, bits) {
        (Host::Name(name), _) => is_part(entry, name.as_bytes()),
        (Host::V4(ip), Some(bits)) => ip::v4(net).is_some_and(|net| agree(&net, ip, bits)),
        (Host::V6(ip), Some(bits)) => ip::v6(net).is_some_and(|net| agree(&net, ip, bits)),
        (_, None) => false,
    }
}

/// The first `bits` bits are the same, or all if there are fewer.
fn agree(a: &[u8], b: &[u8], bits: u64) -> bool {
    let mut left = bits;
    a.iter().zip(b).all(|(a, b)| {
        let compared = left.min(8) as u32;
        left -= u64::from(compared);
        u16::from(a ^ b) >> (8 - compared) == 0
    })
}

/// "host:port" or "[v6]:port"; a bare IPv6 address has no port.
fn split_port(entry: &[u8]) -> (&[u8], Option<u64>) {
    let colon = entry.iter().rposition(|&b| b == b':');
    let Some((host, port)) = colon.and_then(|at| entry.split_at_checked(at)) else {
        return (entry, None);
    };
    let bracketed = matches!(host, [b'[', .., b']']);
    match port.get(1..).and_then(number) {
        Some(port) if bracketed || !host.contains(&b':') => (host, Some(port)),
        _ => (entry, None),
    }
}

/// The name itself or a domain that it lies in; ".example.com" and "*.example.com" mean the same.
fn is_part(domain: &[u8], name: &[u8]) -> bool {
    let domain = domain.strip_prefix(b"*").unwrap_or(domain);
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    let name = name.strip_suffix(b".").unwrap_or(name);
    let start = name.len().checked_sub(domain.len());
    let Some((before, end)) = start.and_then(|start| name.split_at_checked(start)) else {
        return false;
    };
    !domain.is_empty() && end.eq_ignore_ascii_case(domain) && matches!(before, [] | [.., b'.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_proxy() {
        let table = [
            ("", "ws://h", false),
            (" , ,", "ws://h", false),
            ("*", "ws://h", true),
            ("h", "ws://H", true),
            ("example.com", "ws://a.example.com", true),
            (".example.com", "ws://a.Example.com.", true),
            ("*.example.com", "ws://example.com", true),
            ("example.com", "ws://badexample.com", false),
            ("example.com", "ws://example.com.evil", false),
            ("x, localhost", "ws://localhost:9", true),
            ("localhost:9", "ws://localhost:9", true),
            ("localhost:8", "ws://localhost:9", false),
            ("127.0.0.1", "ws://127.0.0.1:1", true),
            ("127.0.0.1:2", "ws://127.0.0.1:1", false),
            ("127.0.0.0/8", "ws://127.9.9.9", true),
            ("10.0.0.0/8", "ws://127.9.9.9", false),
            ("10.0.0.0/x", "ws://10.0.0.0", false),
            ("0.0.0.0/0", "ws://10.1.2.3", true),
            ("::1", "ws://[::1]", true),
            ("[::1]:80", "ws://[::1]", true),
            ("fd00::/8", "ws://[fd12::1]", true),
            ("fd00::/8", "ws://[fe80::1]", false),
            ("::/0", "ws://[fe80::1]", true),
            ("0.0.0.1", "ws://[::1]", false),
            ("10", "ws://h10", false),
        ];
        for (list, url, expected) in table {
            let url = ClientUrl::parse(url).expect(url);
            assert_eq!(
                bypasses(list, &url.host, url.port),
                expected,
                "{list} {}",
                url.host_text()
            );
        }
    }

    #[test]
    fn the_scheme_chooses() {
        let proxy = |url| Some(Proxy::parse(url).expect(url));
        let ws = ClientUrl::parse("ws://h").expect("a URL");
        let wss = ClientUrl::parse("wss://h").expect("a URL");
        let mut env = Environment {
            http: proxy("http://a"),
            ..Environment::default()
        };
        assert_eq!(env.proxy_for(&ws), env.http.as_ref());
        assert_eq!(env.proxy_for(&wss), None);
        env.all = proxy("socks5://b");
        assert_eq!(env.proxy_for(&ws), env.http.as_ref());
        assert_eq!(env.proxy_for(&wss), env.all.as_ref());
        env.https = proxy("http://c");
        assert_eq!(env.proxy_for(&wss), env.https.as_ref());
        env.no_proxy = "h".into();
        assert_eq!((env.proxy_for(&ws), env.proxy_for(&wss)), (None, None));
    }
}
