//! The tls_ fields of the config structs.

use super::client::ws_client_config;
use super::config::text;
use super::server::{ws_server_config, ws_tls_cert};
use crate::error::{Error, Status};
use crate::tls::{ClientSource, ServerSource};
use alloc::string::String;
use core::ffi::c_char;

impl ws_server_config {
    /// None: no TLS is asked for.
    pub unsafe fn tls(&self) -> Result<Option<ServerSource>, Error> {
        let mut source = ServerSource {
            client_optional: self.tls_client_optional != 0,
            clock_not_before: self.tls_clock_not_before,
            ..ServerSource::default()
        };
        if self.tls_more_certs.is_null() && self.tls_more_certs_len != 0 {
            return Err(invalid(
                "tls_more_certs is NULL, but not tls_more_certs_len",
            ));
        }
        // SAFETY: texts, as the caller promises.
        unsafe {
            source.client_ca = text(self.tls_client_ca, "tls_client_ca")?;
            let Some(first) = pair(self.tls_cert, self.tls_key)? else {
                if source.client_ca.is_some() || self.tls_more_certs_len != 0 {
                    return Err(invalid("tls_cert and tls_key are missing"));
                }
                return Ok(None);
            };
            source
                .certificates
                .try_reserve(1 + self.more_certs().len())
                .map_err(|_| Status::NoMemory)?;
            source.certificates.push(first);
            for more in self.more_certs() {
                let more = pair(more.cert, more.key)?;
                let more = more.ok_or_else(|| invalid("an entry of tls_more_certs is empty"))?;
                source.certificates.push(more);
            }
        }
        Ok(Some(source))
    }

    /// As `tls`, where it must be asked for.
    pub unsafe fn new_tls(&self) -> Result<ServerSource, Error> {
        // SAFETY: as the caller promises.
        unsafe { self.tls() }?.ok_or_else(|| invalid("tls_cert and tls_key are missing"))
    }

    unsafe fn more_certs(&self) -> &[ws_tls_cert] {
        match self.tls_more_certs.is_null() {
            true => &[],
            // SAFETY: that many entries are there, as the caller promises.
            false => unsafe {
                core::slice::from_raw_parts(self.tls_more_certs, self.tls_more_certs_len)
            },
        }
    }
}

impl ws_client_config {
    pub unsafe fn tls(&self) -> Result<ClientSource, Error> {
        // SAFETY: texts, as the caller promises.
        unsafe {
            Ok(ClientSource {
                ca: text(self.tls_ca, "tls_ca")?,
                pins: text(self.tls_pins, "tls_pins")?,
                certificate: pair(self.tls_cert, self.tls_key)?,
                server_name: text(self.tls_server_name, "tls_server_name")?,
                skip_verify: self.tls_insecure_skip_verify != 0,
                clock_not_before: self.tls_clock_not_before,
            })
        }
    }
}

/// A certificate and its key: both or none.
unsafe fn pair(cert: *const c_char, key: *const c_char) -> Result<Option<(String, String)>, Error> {
    // SAFETY: texts, as the caller promises.
    match unsafe { (text(cert, "tls_cert")?, text(key, "tls_key")?) } {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid("a tls_cert without its tls_key")),
        (None, Some(_)) => Err(invalid("a tls_key without its tls_cert")),
    }
}

fn invalid(text: &str) -> Error {
    Status::InvalidArg.because(text)
}
