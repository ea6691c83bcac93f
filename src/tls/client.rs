//! What a client checks its server with.

use super::clock::Clock;
use super::verify::{parse_pins, Roots, ServerVerifier};
use super::{credentials, pem, Session, Words};
use crate::error::{Error, Status};
use crate::net::sys::file;
use crate::proto::url::Host;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::fmt;
use rustls::crypto::ring;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::ClientConfig;

/// Where everything comes from. Each text but pins and name is PEM itself or the path of a PEM file.
#[derive(Clone, Default, PartialEq)]
pub struct ClientSource {
    /// None: the authorities of the system.
    pub ca: Option<String>,
    pub pins: Option<String>,
    /// Chain and key.
    pub certificate: Option<(String, String)>,
    /// Whom the certificate has to be for, in place of the host of the URL.
    pub server_name: Option<String>,
    pub skip_verify: bool,
    /// Seconds since 1970; when the clock is before that, it was not set.
    pub clock_not_before: i64,
}

pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// In place of the host that is connected to.
    name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads all the sources, for connections to `host`, if it is known. The words of an error name the source that is
    /// wrong.
    pub fn load(source: &ClientSource, host: Option<&Host>) -> Result<ClientTls, Error> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let pins = match &source.pins {
            Some(list) => parse_pins(list)?,
            None => vec![],
        };
        let roots = match &source.ca {
            _ if source.skip_verify => None,
            Some(ca) => Some(Roots::load(ca, "tls_ca")?),
            None => Some(Roots::load(&system_store()?, "the system's authorities")?),
        };
        let verifier = ServerVerifier::new(roots, pins, source.clock_not_before, algorithms);
        let own = match &source.certificate {
            Some((chain, key)) => Some(credentials(chain, key, &provider)?),
            None => None,
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Clock))
            .with_safe_default_protocol_versions()
            .map_err(|_| Status::Internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ClientTls {
            config: Arc::new(config),
            name: match (&source.server_name, host) {
                (Some(name), _) => Some(named(name, "tls_server_name")?),
                // Found out now if it is none.
                (None, Some(host)) => name_of(host).map(|_| None)?,
                (None, None) => None,
            },
        })
    }

    /// For a server without TLS that may redirect to one with it. None: nothing was asked for, and the system has nothing to
    /// check such a server with. Then the attempt fails that is redirected there.
    pub fn for_redirects(source: &ClientSource) -> Result<Option<ClientTls>, Error> {
        match ClientTls::load(source, None) {
            Err(_) if *source == ClientSource::default() => Ok(None),
            loaded => loaded.map(Some),
        }
    }

    /// For a connection to `host`.
    pub fn session(&self, host: &Host) -> Result<Session, Words> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(host)
                .map_err(|_| Words::from(words!("the host has no name for a certificate")))?,
        };
        Session::client(self.config.clone(), name)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

fn name_of(host: &Host) -> Result<ServerName<'static>, Error> {
    match host {
        Host::Name(name) => named(name, "url"),
        Host::V4(ip) => Ok(ServerName::IpAddress(IpAddr::V4((*ip).into()))),
        Host::V6(ip) => {
            let ip = core::net::Ipv6Addr::from(*ip).segments();
            Ok(ServerName::IpAddress(IpAddr::V6(ip.into())))
        }
    }
}

fn named(name: &str, field: &str) -> Result<ServerName<'static>, Error> {
    let parsed = ServerName::try_from(name).map(|name| name.to_owned());
    parsed.map_err(|_| {
        Status::InvalidArg.because(words!(
            "{}: \"{}\" is no name that a certificate could be for",
            field,
            name
        ))
    })
}

/// Where Linux systems keep the certificates of all authorities in one file: Debian, Alpine, Buildroot, Yocto; Fedora;
/// SUSE; OpenWrt and what follows OpenSSL.
const STORES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

fn system_store() -> Result<String, Error> {
    if let Some(path) = file::environment(c"SSL_CERT_FILE") {
        return Ok(path);
    }
    let found = STORES.iter().find(|path| {
        let path = CString::new(**path).unwrap_or_default();
        file::is_readable(&path)
    });
    match found {
        Some(path) => Ok(crate::server::owned(path)?),
        None => Err(pem::tls(words!(
            "no file with the system's authorities (such as {}): set tls_ca or SSL_CERT_FILE",
            STORES[0]
        ))),
    }
}
