//! TLS 1.2 and 1.3 by rustls, with ring's cryptography. Sans-IO: [`Session`] turns bytes into bytes; sockets and
//! buffers are in `net::stream`.
//!
//! Without the feature `tls` the same types exist, but none can be made: [`ServerTls::load`] and [`ClientTls::load`] answer
//! `Unsupported`.

#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod clock;
#[cfg(feature = "tls")]
mod der;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod server;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod verify;
#[cfg(feature = "tls")]
mod words;

#[cfg(feature = "tls")]
pub use client::{ClientSource, ClientTls};
#[cfg(feature = "tls")]
pub use server::{ServerSource, ServerTls};
#[cfg(feature = "tls")]
pub use session::{PeerInfo, Session, Step, MAX_PLAINTEXT, MAX_RECORD};

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(not(feature = "tls"))]
pub use absent::{
    no_tls, ClientSource, ClientTls, PeerInfo, ServerSource, ServerTls, Session, Step,
    MAX_PLAINTEXT, MAX_RECORD,
};

#[cfg(feature = "tls")]
use crate::error::Error;
use crate::net::sys::memory::try_box;
use crate::text::{Line, Pen, Say};
use alloc::boxed::Box;
#[cfg(feature = "tls")]
use rustls::crypto::CryptoProvider;
#[cfg(feature = "tls")]
use rustls::sign::CertifiedKey;

/// Why TLS has failed, for people.
#[derive(Clone, Debug, Default)]
pub struct Words {
    text: Option<Box<Line<256>>>,
    /// It is about certificates, keys or abilities, and not about what happened on the way.
    lasts: bool,
}

impl Words {
    pub fn from(text: impl Say) -> Words {
        Words {
            text: try_box(Line::from(text)).ok(),
            lasts: false,
        }
    }

    /// What will come out the same next time.
    pub fn lasting(text: impl Say) -> Words {
        Words {
            lasts: true,
            ..Words::from(text)
        }
    }

    /// It will fail again unless somebody changes something.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    pub fn as_str(&self) -> &str {
        let text = self.text.as_ref().map(|line| line.as_bytes());
        text.map_or("out of memory", |text| {
            core::str::from_utf8(text).unwrap_or("")
        })
    }
}

impl Say for Words {
    fn say(&self, pen: &mut Pen<'_>) {
        self.as_str().say(pen);
    }
}

/// A certificate chain and its key, which belong together.
#[cfg(feature = "tls")]
fn credentials(
    chain: &str,
    key: &str,
    provider: &CryptoProvider,
) -> Result<alloc::sync::Arc<CertifiedKey>, Error> {
    let certificates = pem::certificates(chain, "tls_cert")?;
    let der = pem::private_key(key, "tls_key")?;
    let signing = provider.key_provider.load_private_key(der).map_err(|_| {
        pem::tls(words!(
            "tls_key {}: not a key that TLS can use (RSA from 2048 bits, P-256, P-384, Ed25519)",
            pem::name(key)
        ))
    })?;
    let pair = CertifiedKey::new(certificates, signing);
    match pair.keys_match() {
        Ok(()) => Ok(alloc::sync::Arc::new(pair)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(pem::tls(words!(
            "tls_key {} does not belong to tls_cert {}",
            pem::name(key),
            pem::name(chain)
        ))),
        Err(_) => Err(pem::tls(words!(
            "tls_cert {}: not a certificate of X.509 version 3",
            pem::name(chain)
        ))),
    }
}
