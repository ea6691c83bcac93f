//! What a server's TLS listeners are made with: certificates by name, authorities of clients.

use super::clock::Clock;
use super::verify::{ClientVerifier, Roots};
use super::{credentials, Session, Words};
use crate::error::{Error, Status};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use rustls::crypto::ring;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::ServerConfig;
use webpki::EndEntityCert;

/// Where everything comes from. Each text is PEM itself or the path of a PEM file.
#[derive(Clone, Default)]
pub struct ServerSource {
    /// Chain and key of each certificate; the first is for clients that name no host, or one that no certificate has.
    pub certificates: Vec<(String, String)>,
    /// Who signs the certificates of clients. None: they are not asked for any.
    pub client_ca: Option<String>,
    /// A client may also come without one.
    pub client_optional: bool,
    /// Seconds since 1970; when the clock is before that, it was not set.
    pub clock_not_before: i64,
}

/// What new connections of a server are made with.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Reads all the sources. The words of an error name the one that is wrong.
    pub fn load(source: &ServerSource) -> Result<ServerTls, Error> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let mut certificates = Vec::new();
        for (chain, key) in &source.certificates {
            certificates.try_reserve(1).map_err(|_| Status::NoMemory)?;
            certificates.push(credentials(chain, key, &provider)?);
        }
        let builder = versions(ServerConfig::builder_with_details(
            provider,
            Arc::new(Clock),
        ))?;
        let builder = match &source.client_ca {
            Some(ca) => {
                let roots = Roots::load(ca, "tls_client_ca")?;
                builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(
                    roots,
                    source.client_optional,
                    source.clock_not_before,
                    algorithms,
                )))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(certificates)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing is kept of a connection that could be resumed.
        config.send_tls13_tickets = 0;
        Ok(ServerTls(Arc::new(config)))
    }

    pub fn session(&self) -> Result<Session, Words> {
        Session::server(self.0.clone())
    }
}

fn versions<Side: rustls::ConfigSide>(
    builder: rustls::ConfigBuilder<Side, rustls::WantsVersions>,
) -> Result<rustls::ConfigBuilder<Side, rustls::WantsVerifier>, Error> {
    builder
        .with_safe_default_protocol_versions()
        .map_err(|_| Status::Internal.into())
}

/// Chooses a certificate by the name that the client asks for (RFC 6066 section 3).
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let name = name.and_then(|name| DnsName::try_from(name).ok());
        let name = name.map(ServerName::DnsName);
        let schemes = hello.signature_schemes();
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let is_for_it = |key: &&Arc<CertifiedKey>| {
            let certificate = key.cert.first().map(EndEntityCert::try_from);
            match (certificate, &name) {
                (Some(Ok(certificate)), Some(name)) => {
                    certificate.verify_is_valid_for_subject_name(name).is_ok()
                }
                _ => false,
            }
        };
        let mut usable = self.0.iter().filter(is_usable);
        let first = usable.clone().next();
        usable.find(is_for_it).or(first).cloned()
    }
}
