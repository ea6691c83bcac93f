//! Proxies that the environment names.

use alloc::boxed::Box;
use alloc::string::String;
use core::ffi::CStr;

use super::reach::{parsed, wrong};
use crate::client::ProxyChoice;
use crate::error::Error;
use crate::net::sys::environment;
use crate::proto::proxy::{Environment, Proxy};

/// Of the variables as they are now.
pub fn proxies() -> Result<ProxyChoice, Error> {
    Ok(ProxyChoice::Environment(Box::new(Environment {
        // Not HTTP_PROXY: a CGI program has there what its client says.
        http: of_variable(&[c"http_proxy"])?,
        https: of_variable(&[c"https_proxy", c"HTTPS_PROXY"])?,
        all: of_variable(&[c"all_proxy", c"ALL_PROXY"])?,
        no_proxy: match variable(&[c"no_proxy", c"NO_PROXY"])? {
            Some((_, value)) => value,
            None => String::new(),
        },
    })))
}

fn of_variable(names: &[&CStr]) -> Result<Option<Proxy>, Error> {
    match variable(names)? {
        Some((name, url)) => Ok(Some(parsed(&url, name)?)),
        None => Ok(None),
    }
}

/// The first of them that is not empty.
fn variable<'a>(names: &[&'a CStr]) -> Result<Option<(&'a str, String)>, Error> {
    for &name in names {
        let Some(value) = environment(name).filter(|v| !v.is_empty()) else {
            continue;
        };
        let name = name.to_str().unwrap_or_default();
        return match value.into_string() {
            Ok(value) => Ok(Some((name, value))),
            Err(_) => Err(wrong(name, "not valid UTF-8")),
        };
    }
    Ok(None)
}
