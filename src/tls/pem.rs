//! Certificates and keys from PEM (RFC 7468), in a file or in memory.

use crate::error::{Error, Status};
use crate::net::sys::file;
use crate::text::Say;
use alloc::borrow::Cow;
use alloc::ffi::CString;
use alloc::vec::Vec;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A bundle of all the authorities of the world has 220 KB.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// A PEM text itself, or the path of a file that holds one.
pub fn is_text(source: &str) -> bool {
    source.contains("-----BEGIN ")
}

/// How to name a source in a message.
pub fn name(source: &str) -> &str {
    if is_text(source) {
        "(PEM text)"
    } else {
        source
    }
}

pub fn read<'a>(source: &'a str, what: &str) -> Result<Cow<'a, [u8]>, Error> {
    if is_text(source) {
        return Ok(Cow::Borrowed(source.as_bytes()));
    }
    let path = CString::new(source).map_err(|_| Status::InvalidArg)?;
    let bytes = file::read(&path, MAX_FILE)
        .map_err(|errno| Error::io(errno, words!("{} {}", what, source)))?;
    Ok(Cow::Owned(bytes))
}

/// All certificates of a source, in their order; at least one.
pub fn certificates(source: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(source, what)?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| malformed(source, what))?;
        found.try_reserve(1).map_err(|_| Status::NoMemory)?;
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(tls(words!(
            "{} {}: no certificate in it (no \"-----BEGIN CERTIFICATE-----\")",
            what,
            name(source)
        )));
    }
    Ok(found)
}

pub fn private_key(source: &str, what: &str) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = read(source, what)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let locked = pem.windows(9).any(|w| w == b"ENCRYPTED");
        match error {
            rustls::pki_types::pem::Error::NoItemsFound if locked => tls(words!(
                "{} {}: the key is encrypted; give one without a passphrase",
                what,
                name(source)
            )),
            rustls::pki_types::pem::Error::NoItemsFound => {
                tls(words!("{} {}: no private key in it", what, name(source)))
            }
            _ => malformed(source, what),
        }
    })
}

fn malformed(source: &str, what: &str) -> Error {
    tls(words!("{} {}: malformed PEM", what, name(source)))
}

pub fn tls(text: impl Say) -> Error {
    Status::Tls.because(text)
}
