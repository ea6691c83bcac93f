//! The variables by which users name proxies: http_proxy, https_proxy, all_proxy, no_proxy. No
//! standard exists; what is done here is what curl, Go and Python agree on.

use super::Proxy;
use crate::proto::url::{ClientUrl, Host};
use alloc::string::String;
use core::net::IpAddr;

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
    list.split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || names(entry, host, port))
}

fn names(entry: &str, host: &Host, port: u16) -> bool {
    let entry = match split_port(entry) {
        Some((entry, wanted)) if wanted == port => entry,
        Some(_) => return false,
        None => entry,
    };
    let ip = match host {
        Host::Name(name) => return is_part(entry, name),
        Host::V4(ip) => IpAddr::from(*ip),
        Host::V6(ip) => IpAddr::from(*ip),
    };
    let entry = entry
        .strip_prefix('[')
        .and_then(|e| e.strip_suffix(']'))
        .unwrap_or(entry);
    let (net, bits) = match entry.split_once('/') {
        Some((net, bits)) => (net, bits.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    match (net.parse(), ip, bits) {
        (Ok(IpAddr::V4(a)), IpAddr::V4(b), Some(bits)) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(bits))
                .unwrap_or(0);
            (u32::from(a) ^ u32::from(b)) & mask == 0
        }
        (Ok(IpAddr::V6(a)), IpAddr::V6(b), Some(bits)) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(bits))
                .unwrap_or(0);
            (u128::from(a) ^ u128::from(b)) & mask == 0
        }
        _ => false,
    }
}

/// "host:port" or "[v6]:port"; a bare IPv6 address has no port.
fn split_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !bracketed {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// The name itself or a domain that it lies in; ".example.com" and "*.example.com" mean the same.
fn is_part(domain: &str, name: &str) -> bool {
    let domain = domain.strip_prefix('*').unwrap_or(domain);
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let Some((before, end)) = name.split_at_checked(start) else {
        return false;
    };
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain)
        && (before.is_empty() || before.ends_with('.'))
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
