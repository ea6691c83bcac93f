//! The answer to a request, as the application puts it together.

use crate::error::{Error, Status};
use crate::proto::handshake::{self, c_string};
use crate::proto::http::{is_field_value, is_token, Request};
use crate::text::{alike, Say};
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_int;

/// The answer to a request, as far as the application has chosen it.
pub struct Reply<'a> {
    /// The request, if it is an upgrade.
    upgrade: Option<&'a Request>,
    /// Lines "Name: value\r\n", each checked.
    pub headers: Vec<u8>,
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
    /// Some(None): none, in spite of the configuration.
    pub subprotocol: Option<Option<CString>>,
}

/// Bytes of headers that the application may add.
const MAX_ADDED: usize = 8 * 1024;

/// Headers that follow from the answer itself.
const OURS: [&str; 5] = [
    "content-length",
    "content-type",
    "connection",
    "upgrade",
    "transfer-encoding",
];

impl<'a> Reply<'a> {
    pub fn new(upgrade: Option<&'a Request>) -> Reply<'a> {
        Reply {
            upgrade,
            headers: Vec::new(),
            status: 404,
            content_type: None,
            body: Vec::new(),
            subprotocol: None,
        }
    }

    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if !is_token(name.as_bytes()) {
            return Err(invalid("a header's name must be an HTTP token"));
        }
        let ours = OURS.iter().any(|o| alike(o.as_bytes(), name.as_bytes()));
        let prefix = name.as_bytes().get(..14).unwrap_or_default();
        if ours || alike(prefix, b"sec-websocket-") {
            return Err(invalid(words!("libws writes the header {} itself", name)));
        }
        if !is_field_value(value.as_bytes()) {
            return Err(invalid(words!(
                "the value of {} has a character that HTTP forbids",
                name
            )));
        }
        let more = name.len() + value.len() + 4;
        if self.headers.len() + more > MAX_ADDED {
            return Err(Status::TooBig.because("more than 8 KiB of headers"));
        }
        self.headers
            .try_reserve(more)
            .map_err(|_| Status::NoMemory)?;
        for part in [name, ": ", value, "\r\n"] {
            self.headers.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }

    pub fn choose_subprotocol(&mut self, name: Option<&str>) -> Result<(), Error> {
        let Some(request) = self.upgrade else {
            return Err(invalid("a subprotocol belongs to an upgrade"));
        };
        let chosen = match name {
            None => None,
            Some(name) if handshake::offered_subprotocols(request).any(|o| o == name) => {
                Some(c_string(name)?)
            }
            Some(name) => {
                return Err(invalid(words!(
                    "the client did not offer subprotocol {}",
                    name
                )));
            }
        };
        self.subprotocol = Some(chosen);
        Ok(())
    }

    pub fn set_body(
        &mut self,
        status: c_int,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), Error> {
        let status = u16::try_from(status)
            .ok()
            .filter(|s| (200..=599).contains(s));
        let status = status.ok_or_else(|| invalid("http_status is not 200 to 599"))?;
        if !content_type.is_none_or(|t| is_field_value(t.as_bytes())) {
            return Err(invalid("content_type has a character that HTTP forbids"));
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(body.len())
            .map_err(|_| Status::NoMemory)?;
        copy.extend_from_slice(body);
        self.content_type = content_type.map(owned).transpose()?;
        self.status = status;
        self.body = copy;
        Ok(())
    }
}

pub fn owned(text: &str) -> Result<String, Status> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len())
        .map_err(|_| Status::NoMemory)?;
    copy.push_str(text);
    Ok(copy)
}

fn invalid(text: impl Say) -> Error {
    Status::InvalidArg.because(text)
}
