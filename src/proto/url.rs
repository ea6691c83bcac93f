//! The URLs of libws: where a client connects to, what a server listens on.
//!
//! Does: split and check them. Does not: look names up, percent-decode or
//! normalise paths. Everything that could not stand in a request line or a Host
//! header is refused here, before any I/O.

mod authority;
mod ip;

pub use authority::{copy, Host};

use super::http::cut_before;
use crate::text::{alike, decimal, DIGITS};
use alloc::string::String;
use authority::Authority;

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
    host_header: String,
}

impl ClientUrl {
    /// `"ws:" "//" host [ ":" port ] path [ "?" query ]`, or `wss:`.
    pub fn parse(url: &str) -> Result<ClientUrl, &'static str> {
        check_characters(url)?;
        let (secure, rest) = scheme(url).ok_or("the URL does not begin with ws:// or wss://")?;
        // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket
        // URIs and MUST NOT be used on these URIs."
        if rest.as_bytes().contains(&b'#') {
            return Err("the URL holds a fragment; a # in a path or query is written %23");
        }
        let (authority, resource) = split_authority(rest);
        let authority = Authority::parse(authority)?;
        if authority.port == Some(0) {
            return Err("the port is not a number from 1 to 65535");
        }
        let default = default_port(secure);
        let port = authority.port.unwrap_or(default);
        Ok(ClientUrl {
            secure,
            port,
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
    // sizeof(sockaddr_un.sun_path) on Linux, less the NUL
    const MAX: usize = 107;
    if path.is_empty() {
        return Err("unix: has no path");
    }
    if path.len() > MAX {
        return Err("the path of a unix socket is longer than 107 bytes");
    }
    if path.bytes().any(|b| b.is_ascii_control()) {
        return Err("the path of a unix socket holds a control character");
    }
    Ok(ListenUrl::Unix(path))
}

fn fd(number: &str) -> Result<ListenUrl<'_>, &'static str> {
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    match number.parse() {
        Ok(fd) if is_number => Ok(ListenUrl::Fd(fd)),
        _ => Err("fd: is not followed by the number of a descriptor"),
    }
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
fn strip_prefix<'a>(url: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = url.split_at_checked(prefix.len())?;
    alike(start.as_bytes(), prefix.as_bytes()).then_some(rest)
}

fn split_authority(rest: &str) -> (&str, &str) {
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
