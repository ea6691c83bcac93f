//! Proxies, sans-IO: what a URL says about one, the exchange that opens a tunnel through it, and
//! which proxy the environment names for a host.
//!
//! Through a tunnel a client talks as if it were connected to the server itself; the name of the
//! server is resolved by the proxy. HTTP proxies are asked with CONNECT (RFC 9110 section 9.3.6),
//! for ws too, as RFC 6455 section 4.1 wants it; SOCKS5 is RFC 1928 with the user name and password
//! of RFC 1929.

mod env;
mod socks;

pub use env::{bypasses, Environment};
pub use socks::Socks;

use super::http::append;
use super::url::{
    basic, copy, split_authority, split_userinfo, strip_prefix, Authority, ClientUrl, Host,
    UserInfo,
};
use super::OutOfMemory;
use crate::text::{decimal, DIGITS};
use alloc::string::String;
use alloc::vec::Vec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Http,
    Socks5,
}

/// A proxy, as its URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub kind: Kind,
    pub host: Host,
    pub port: u16,
    /// The host as it was written, for messages.
    pub host_text: String,
    user: Option<UserInfo>,
    /// The value of a Proxy-Authorization header.
    authorization: Option<String>,
}

impl Proxy {
    /// `"http://[user:password@]host[:port]"` (80), `"socks5://..."` or `"socks5h://..."` (1080);
    /// without a scheme it is http.
    pub fn parse(url: &str) -> Result<Proxy, &'static str> {
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("a URL holds visible ASCII characters only");
        }
        let (kind, rest) = if let Some(rest) = strip_prefix(url, "http://") {
            (Kind::Http, rest)
        } else if let Some(rest) =
            strip_prefix(url, "socks5h://").or_else(|| strip_prefix(url, "socks5://"))
        {
            (Kind::Socks5, rest)
        } else if url.as_bytes().windows(3).any(|three| three == b"://") {
            return Err("the scheme of a proxy is http, socks5 or socks5h");
        } else {
            (Kind::Http, url)
        };
        let (authority, path) = split_authority(rest);
        if !matches!(path, "" | "/") {
            return Err("the URL of a proxy has no path");
        }
        let (user, authority) = split_userinfo(authority)?;
        let authority = Authority::parse(authority)?;
        if authority.port == Some(0) {
            return Err("the port is not a number from 1 to 65535");
        }
        let too_long = |u: &UserInfo| u.user.len() > 255 || u.password.len() > 255;
        if kind == Kind::Socks5 && user.as_ref().is_some_and(too_long) {
            return Err("a user name or password for SOCKS5 is longer than 255 bytes");
        }
        Ok(Proxy {
            kind,
            port: authority.port.unwrap_or(match kind {
                Kind::Http => 80,
                Kind::Socks5 => 1080,
            }),
            host_text: copy(&[authority.text])?,
            host: authority.host,
            authorization: match (kind, &user) {
                (Kind::Http, Some(user)) => Some(basic(user)?),
                _ => None,
            },
            user,
        })
    }

    /// Appends what asks an HTTP proxy for a tunnel to the server of `target`.
    pub fn write_connect(
        &self,
        out: &mut Vec<u8>,
        target: &ClientUrl,
    ) -> Result<Asked, OutOfMemory> {
        let mut digits = [0; DIGITS];
        let port = decimal(target.port.into(), &mut digits);
        let host = target.host_text().as_bytes();
        let [name, value, end] = match &self.authorization {
            Some(value) => ["Proxy-Authorization: ", value, "\r\n"],
            None => [""; 3],
        };
        append(
            out,
            &[
                b"CONNECT ",
                host,
                b":",
                port,
                b" HTTP/1.1\r\nHost: ",
                host,
                b":",
                port,
                b"\r\n",
                name.as_bytes(),
                value.as_bytes(),
                end.as_bytes(),
                b"\r\n",
            ],
        )?;
        Ok(Asked(()))
    }
}

/// An HTTP proxy was asked for a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked(());

/// Why a proxy opens no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyError {
    pub why: &'static str,
    /// It will answer the same again: who we are is not welcome.
    pub permanent: bool,
}

impl Asked {
    /// What the status of the proxy's answer says. RFC 9110 9.3.6: "Any 2xx (Successful) response
    /// indicates that the sender (and all inbound proxies) will switch to tunnel mode".
    pub fn answered(&self, status: u16) -> Result<(), ProxyError> {
        let (why, permanent) = match status {
            200..=299 => return Ok(()),
            401 | 407 => ("the proxy wants a user name and password", true),
            403 | 405 => ("the proxy forbids the connection", true),
            502..=504 => ("the proxy cannot reach the server", false),
            _ => ("the proxy opens no tunnel", false),
        };
        Err(ProxyError { why, permanent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies() {
        let table = [
            ("http://p", Kind::Http, 80, "p"),
            ("HTTP://p:3128/", Kind::Http, 3128, "p"),
            ("p:8080", Kind::Http, 8080, "p"),
            ("socks5://127.0.0.1", Kind::Socks5, 1080, "127.0.0.1"),
            ("socks5h://u:p@[::1]:9", Kind::Socks5, 9, "[::1]"),
        ];
        for (url, kind, port, host) in table {
            let proxy = Proxy::parse(url).expect(url);
            assert_eq!(
                (proxy.kind, proxy.port, &*proxy.host_text),
                (kind, port, host),
                "{url}"
            );
        }
        let long = alloc::format!("socks5://{}:p@h", "u".repeat(256));
        for url in [
            "",
            "http://",
            "https://p",
            "socks4://p",
            "ftp://p",
            "http://p/path",
            "p:0",
            "p:x",
            "http://a b",
            "http://u:%0d@p",
            &long,
        ] {
            assert!(Proxy::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn connect_names_host_and_port_and_who_asks() {
        let table = [
            (
                "p:1",
                "ws://Host/x",
                "CONNECT Host:80 HTTP/1.1\r\nHost: Host:80\r\n\r\n",
            ),
            (
                "http://u:p%40@p",
                "wss://[::1]:81",
                "CONNECT [::1]:81 HTTP/1.1\r\nHost: [::1]:81\r\n\
                 Proxy-Authorization: Basic dTpwQA==\r\n\r\n",
            ),
        ];
        for (proxy, url, expected) in table {
            let mut out = Vec::new();
            let proxy = Proxy::parse(proxy).expect(proxy);
            let url = ClientUrl::parse(url).expect(url);
            proxy.write_connect(&mut out, &url).expect("memory");
            assert_eq!(core::str::from_utf8(&out), Ok(expected));
        }
    }

    #[test]
    fn answers_to_connect() {
        assert_eq!(Asked(()).answered(200), Ok(()));
        assert_eq!(Asked(()).answered(204), Ok(()));
        for (status, permanent) in [
            (407, true),
            (403, true),
            (502, false),
            (500, false),
            (101, false),
            (302, false),
        ] {
            let error = Asked(()).answered(status).expect_err("no tunnel");
            assert_eq!(error.permanent, permanent, "{status}");
        }
    }
}
