//! How a client reaches its server and what it keeps for it, from the config of C.

use alloc::ffi::CString;
use core::ffi::c_int;

#[cfg(feature = "reach")]
use super::environment;
use crate::client::queue::{Bounds, Policy};
use crate::client::ProxyChoice;
use crate::error::{Error, Status};
use crate::net::sys::socket::Addr;
use crate::proto::proxy::Proxy;
use crate::proto::url::ip;
use crate::text::c_string;

const QUEUE_MESSAGES: u32 = 1024;
const QUEUE_BYTES: usize = 1024 * 1024;

pub fn proxy(proxy: Option<&str>, from_env: bool) -> Result<ProxyChoice, Error> {
    known(proxy.is_none() && !from_env)?;
    match proxy {
        Some(url) => Ok(ProxyChoice::Always(parsed(url, "proxy")?)),
        #[cfg(feature = "reach")]
        None if from_env => environment::proxies(),
        None => Ok(ProxyChoice::None),
    }
}

/// Without the feature `reach` some fields have to be left at zero.
pub fn known(unset: bool) -> Result<(), Error> {
    if cfg!(feature = "reach") || unset {
        return Ok(());
    }
    Err(Status::Unsupported.because("this build has no proxies, redirects and kept cookies"))
}

pub fn parsed(url: &str, name: &str) -> Result<Proxy, Error> {
    Proxy::parse(url).map_err(|why| wrong(name, why))
}

pub fn wrong(name: &str, why: &str) -> Error {
    Status::InvalidArg.because(words!("{}: {}", name, why))
}

/// IFNAMSIZ with its NUL is 16.
pub fn interface(name: Option<&str>) -> Result<Option<CString>, Error> {
    match name {
        None => Ok(None),
        Some(name) if (1..16).contains(&name.len()) => Ok(Some(c_string(name)?)),
        Some(_) => Err(wrong("interface_name", "1 to 15 bytes")),
    }
}

pub fn source(address: Option<&str>) -> Result<Option<Addr>, Error> {
    let Some(address) = address.map(str::as_bytes) else {
        return Ok(None);
    };
    let four = ip::v4(address).map(|ip| Addr::v4(ip, 0));
    match four.or_else(|| ip::v6(address).map(|ip| Addr::v6(ip, 0))) {
        Some(addr) => Ok(Some(addr)),
        None => Err(wrong("source_address", "not an IPv4 or IPv6 address")),
    }
}

pub fn queue(messages: u32, bytes: usize, policy: c_int) -> Result<Bounds, Error> {
    let policy = match policy {
        0 => Policy::Refuse,
        1 => Policy::DropOldest,
        2 => Policy::DropNewest,
        _ => return Err(wrong("queue_policy", "not a ws_queue_policy")),
    };
    let messages = if messages == 0 {
        QUEUE_MESSAGES
    } else {
        messages
    };
    Ok(Bounds {
        messages: messages as usize,
        bytes: if bytes == 0 { QUEUE_BYTES } else { bytes },
        policy,
    })
}
