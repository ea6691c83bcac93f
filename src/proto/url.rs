//! The URLs of libws: where a client connects to, what a server listens on.
//!
//! Does: split and check them. Does not: look names up, percent-decode or
//! normalise paths. Everything that could not stand in a request line or a Host
//! header is refused here, before any I/O.

mod authority;
pub(crate) mod ip;
mod userinfo;

pub use authority::{copy, Host};
#[cfg(feature = "reach")]
pub(super) use userinfo::UserInfo;
pub(super) use userinfo::{basic, split_userinfo};

use super::http::{cut_before, number};
use crate::text::{alike, decimal, DIGITS};
use alloc::string::String;
pub(super) use authority::Authority;

/// A WebSocket URI (RFC 6455 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientUrl {
    /// wss
    pub secure: bool,
    pub host: Host,
    /// 80 or 443 when the URL names none.
    pub port: u16,
    /// "/path?query"; "/" when both are empty.
    pub resource: String,
    /// The socket's path in `ws+unix:/path:/resource`; then the host is "localhost".
    pub unix: Option<String>,
    /// The value of an Authorization header, made of "user:password@".
    pub authorization: Option<String>,
    host_header: String,
    /// Bytes of the host in it, without the port.
    host_len: usize,
}

impl ClientUrl {
    /// `"ws:" "//" [ user ":" password "@" ] host [ ":" port ] path [ "?" query ]`, or `wss:`; or
    /// `"ws+unix:" path [ ":" resource ]`.
    pub fn parse(url: &str) -> Result<ClientUrl, &'static str> {
        check_characters(url)?;
        if let Some(rest) = strip_prefix(url, "ws+unix:") {
            return ClientUrl::local(rest);
        }
        let (secure, rest) =
            scheme(url).ok_or("the URL does not begin with ws://, wss:// or ws+unix:")?;
        // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket
        // URIs and MUST NOT be used on these URIs."
        if rest.as_bytes().contains(&b'#') {
            return Err("the URL holds a fragment; a # in a path or query is written %23");
        }
        let (authority, resource) = split_authority(rest);
        let (user, authority) = split_userinfo(authority)?;
        let authority = Authority::parse(authority)?;
        if authority.port == Some(0) {
            return Err("the port is not a number from 1 to 65535");
        }
        let default = default_port(secure);
        let port = authority.port.unwrap_or(default);
        Ok(ClientUrl {
            secure,
            port,
            unix: None,
            authorization: user.map(|user| basic(&user)).transpose()?,
            host_len: authority.text.len(),
            // RFC 6455 3: the resource name has "/" if the path component is empty.
            resource: if resource.starts_with('/') {
                copy(&[resource])?
            } else {
                copy(&["/", resource])?
            },
            host_header: if port == default {
                copy(&[authority.text])?
            } else {
                let mut digits = [0; DIGITS];
                let digits = decimal(port.into(), &mut digits);
                let digits = core::str::from_utf8(digits).unwrap_or_default();
                copy(&[authority.text, ":", digits])?
            },
            host: authority.host,
        })
    }

    /// What follows `ws+unix:`. Some write "//" before the path.
    fn local(rest: &str) -> Result<ClientUrl, &'static str> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, resource) = cut_before(rest, b":");
        let resource = resource.get(1..).unwrap_or("/");
        check_socket_path(path)?;
        if resource.as_bytes().contains(&b'#') {
            return Err("the URL holds a fragment; a # in a path or query is written %23");
        }
        if !resource.starts_with('/') {
            return Err("what follows the path of the socket and a colon does not begin with /");
        }
        const LOCAL: &str = "localhost";
        Ok(ClientUrl {
            secure: false,
            host: Host::Name(copy(&[LOCAL])?),
            port: 80,
            resource: copy(&[resource])?,
            unix: Some(copy(&[path])?),
            authorization: None,
            host_header: copy(&[LOCAL])?,
            host_len: LOCAL.len(),
        })
    }

    /// The same place but for the resource, without credentials.
    #[cfg(feature = "reach")]
    pub(super) fn with_resource(&self, resource: String) -> Result<ClientUrl, &'static str> {
        Ok(ClientUrl {
            secure: self.secure,
            host: match &self.host {
                Host::Name(name) => Host::Name(copy(&[name])?),
                Host::V4(ip) => Host::V4(*ip),
                Host::V6(ip) => Host::V6(*ip),
            },
            port: self.port,
            resource,
            unix: match &self.unix {
                Some(path) => Some(copy(&[path])?),
                None => None,
            },
            authorization: None,
            host_header: copy(&[&self.host_header])?,
            host_len: self.host_len,
        })
    }

    /// The host as it was written, an IPv6 address in its brackets.
    pub fn host_text(&self) -> &str {
        self.host_header.get(..self.host_len).unwrap_or_default()
    }

    /// The value of the Host header: RFC 6455 4.1, 4: "/host/ optionally followed by
    /// ':' and /port/ (when not using the default port)".
    pub fn host_header(&self) -> &str {
        &self.host_header
    }
}

/// What a server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenUrl<'a> {
    /// "ws://0.0.0.0:9001", "wss://[::]:443"; port 0: any free one.
    Tcp { secure: bool, host: Host, port: u16 },
    /// "unix:/run/app.sock"
    Unix(&'a str),
    /// "fd:3": a listening socket that was inherited.
    Fd(i32),
}

impl<'a> ListenUrl<'a> {
    pub fn parse(url: &'a str) -> Result<ListenUrl<'a>, &'static str> {
        if let Some(path) = strip_prefix(url, "unix:") {
            return unix(path);
        }
        if let Some(number) = strip_prefix(url, "fd:") {
            return fd(number);
        }
        check_characters(url)?;
        let (secure, rest) =
            scheme(url).ok_or("the URL does not begin with ws://, wss://, unix: or fd:")?;
        let (authority, resource) = split_authority(rest);
        if !matches!(resource, "" | "/") {
            return Err("a listen URL has no path; the path served is set in the config");
        }
        let authority = Authority::parse(authority)?;
        Ok(ListenUrl::Tcp {
            secure,
            host: authority.host,
            port: authority.port.unwrap_or(default_port(secure)),
        })
    }
}

fn unix(path: &str) -> Result<ListenUrl<'_>, &'static str> {
    check_socket_path(path)?;
    Ok(ListenUrl::Unix(path))
}

fn check_socket_path(path: &str) -> Result<(), &'static str> {
    // sizeof(sockaddr_un.sun_path) on Linux, less the NUL
    const MAX: usize = 107;
    if path.is_empty() {
        return Err("unix: is followed by no path");
    }
    if path.len() > MAX {
        return Err("the path of a unix socket is longer than 107 bytes");
    }
    if path.bytes().any(|b| b.is_ascii_control()) {
        return Err("the path of a unix socket holds a control character");
    }
    Ok(())
}

fn fd(digits: &str) -> Result<ListenUrl<'_>, &'static str> {
    let fd = number(digits.as_bytes()).and_then(|fd| i32::try_from(fd).ok());
    fd.map(ListenUrl::Fd)
        .ok_or("fd: is not followed by the number of a descriptor")
}

/// RFC 3986 2: visible ASCII.
fn check_characters(url: &str) -> Result<(), &'static str> {
    for b in url.bytes() {
        match b {
            b'!'..=b'~' => {}
            b' ' => return Err("the URL holds a space; it is written %20"),
            0x80..=0xff => {
                return Err("the URL holds a non-ASCII character; it must be percent-encoded");
            }
            _ => return Err("the URL holds a control character"),
        }
    }
    Ok(())
}

fn scheme(url: &str) -> Option<(bool, &str)> {
    match strip_prefix(url, "ws://") {
        Some(rest) => Some((false, rest)),
        None => Some((true, strip_prefix(url, "wss://")?)),
    }
}

/// RFC 3986 3.1: schemes are case-insensitive.
pub(super) fn strip_prefix<'a>(url: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = url.split_at_checked(prefix.len())?;
    alike(start.as_bytes(), prefix.as_bytes()).then_some(rest)
}

pub(super) fn split_authority(rest: &str) -> (&str, &str) {
    cut_before(rest, b"/?#")
}

fn default_port(secure: bool) -> u16 {
    if secure {
        443
    } else {
        80
    }
}

#[cfg(test)]
mod tests;
