//! `host [ ":" port ]`

use super::ip;
use crate::proto::http::{cut_before, number};
use alloc::string::String;

/// A host as it stands in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Name(String),
    V4([u8; 4]),
    V6([u8; 16]),
}

#[derive(Debug)]
pub(in crate::proto) struct Authority<'a> {
    pub host: Host,
    /// The host as it was written, an IPv6 address in its brackets.
    pub text: &'a str,
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(in crate::proto) fn parse(authority: &'a str) -> Result<Self, &'static str> {
        // Clients split it off before.
        if authority.as_bytes().contains(&b'@') {
            return Err("the URL holds a user name");
        }
        let (text, port) = split_port(authority)?;
        Ok(Self {
            host: host(text)?,
            text,
            port: port.map(parse_port).transpose()?,
        })
    }
}

/// A string in memory that was reserved fallibly.
pub fn copy(parts: &[&str]) -> Result<String, &'static str> {
    let mut string = String::new();
    let total = parts.iter().fold(0_usize, |n, p| n.saturating_add(p.len()));
    string
        .try_reserve_exact(total)
        .map_err(|_| "out of memory")?;
    for part in parts {
        string.push_str(part);
    }
    Ok(string)
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, rest) = match authority.bytes().position(|b| b == b']') {
        Some(bracket) => authority
            .split_at_checked(bracket + 1)
            .unwrap_or((authority, "")),
        None => cut_before(authority, b":"),
    };
    match rest.strip_prefix(':') {
        Some(port) if host.starts_with('[') || !port.as_bytes().contains(&b':') => {
            Ok((host, Some(port)))
        }
        Some(_) => Err("an IPv6 address is written in brackets: [::1]"),
        None if rest.is_empty() => Ok((host, None)),
        None => Err("the host is followed by something that is not a port"),
    }
}

fn parse_port(port: &str) -> Result<u16, &'static str> {
    let port = number(port.as_bytes()).and_then(|port| u16::try_from(port).ok());
    port.ok_or("the port is not a number up to 65535")
}

fn host(text: &str) -> Result<Host, &'static str> {
    if text.is_empty() {
        return Err("the URL names no host");
    }
    if let Some(rest) = text.strip_prefix('[') {
        let address = rest.strip_suffix(']').ok_or("a bracket is not closed")?;
        // RFC 6874 zones name an interface of this machine, and have no place in a
        // Host header.
        if address.as_bytes().contains(&b'%') {
            return Err("an IPv6 address with a zone is not supported");
        }
        let address = ip::v6(address.as_bytes()).ok_or("the IPv6 address is malformed")?;
        return Ok(Host::V6(address));
    }
    if let Some(address) = ip::v4(text.as_bytes()) {
        return Ok(Host::V4(address));
    }
    check_name(text)?;
    Ok(Host::Name(copy(&[text])?))
}

/// The names that a resolver takes (RFC 1123 2.1), and the underscore, which local
/// networks use. One dot may end the name.
fn check_name(name: &str) -> Result<(), &'static str> {
    let relative = name.strip_suffix('.').unwrap_or(name);
    if relative.len() > 253 {
        return Err("the host name is longer than 253 characters");
    }
    let mut last: &[u8] = &[];
    for label in relative.as_bytes().split(|&b| b == b'.') {
        last = label;
        if label.is_empty() || label.len() > 63 {
            return Err("a part of the host name is empty or longer than 63 characters");
        }
        let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !label.iter().copied().all(is_known) {
            return Err("the host name holds a character other than letters, digits, -, _ and .");
        }
    }
    // A resolver would read 10.1 as 10.0.0.1, and 0x7f000001 as 127.0.0.1.
    let is_number = match last {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        decimal => decimal.iter().all(u8::is_ascii_digit),
    };
    if is_number {
        return Err("the IPv4 address is malformed");
    }
    Ok(())
}
