//! Whether a peer's certificate is to be trusted: webpki builds the path, this module adds pins, the policy for clocks
//! that are not set, and the words for what is wrong.

use super::words::{self, Subject};
use super::{clock, der, pem};
use crate::error::{Error, Status};
use crate::log;
use crate::net::sys::socket::Addr;
use crate::text::{Line, Pen, Say};
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use core::fmt;
use core::mem::size_of;
use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

type TlsError = rustls::Error;

/// The authorities that certificates are checked against.
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    /// Where they come from, for messages.
    source: String,
}

impl Roots {
    /// All certificates of a PEM source. Those that cannot be an authority's are left out, as long as one remains:
    /// bundles hold odd things.
    pub fn load(source: &str, what: &str) -> Result<Roots, Error> {
        let certificates = pem::certificates(source, what)?;
        let mut anchors = Vec::new();
        anchors
            .try_reserve_exact(certificates.len())
            .map_err(|_| Status::NoMemory)?;
        for certificate in &certificates {
            match webpki::anchor_from_trusted_cert(certificate) {
                Ok(anchor) => anchors.push(anchor.to_owned()),
                Err(error) => log::debug(words!(
                    "{} {}: a certificate is left out: {}",
                    what,
                    pem::name(source),
                    fault(&error)
                )),
            }
        }
        if anchors.is_empty() {
            return Err(pem::tls(words!(
                "{} {}: no usable certificate in it",
                what,
                pem::name(source)
            )));
        }
        anchors.shrink_to_fit();
        Ok(Roots {
            anchors,
            source: crate::server::owned(pem::name(source))?,
        })
    }

    /// Whether a certificate is one of these itself: a self-signed one that was copied to the board. Its key counts, whose
    /// owner has to prove that he has it.
    fn hold(&self, certificate: &EndEntityCert<'_>) -> bool {
        let key = certificate.subject_public_key_info();
        let key = der::content(key.as_ref());
        self.anchors.iter().any(|anchor| {
            anchor.subject.as_ref() == certificate.subject()
                && key == Some(anchor.subject_public_key_info.as_ref())
        })
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roots")
    }
}

/// What both sides' verifiers have in common.
#[derive(Debug)]
struct Chain {
    roots: Roots,
    /// Seconds since 1970; a clock before that was not set. 0: the clock is always believed.
    clock_not_before: i64,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Where dates are checked: by the clock, or, where that cannot be believed, at the first moment not before the one that
/// the caller knows to be past at which all certificates are valid.
struct Moment {
    time: UnixTime,
    /// Where the search for it began.
    from: UnixTime,
    may_move: bool,
}

impl Moment {
    /// Of a certificate that has expired here: it was still valid where the search began.
    fn has_passed(&self, not_after: UnixTime) -> bool {
        self.time.as_secs() > self.from.as_secs() && not_after.as_secs() >= self.from.as_secs()
    }
}

/// By what a date is judged, for people.
impl Say for Moment {
    fn say(&self, pen: &mut Pen<'_>) {
        let date = der::Date(clock::seconds(self.from));
        match self.may_move {
            true => words!("the clock is not set, tls_clock_not_before says {}", date).say(pen),
            false => words!("the clock says {}", date).say(pen),
        }
    }
}

impl Chain {
    fn moment(&self, now: UnixTime) -> Moment {
        let known = clock::at(self.clock_not_before);
        let unset = now.as_secs() < known.as_secs();
        let time = if unset { known } else { now };
        Moment {
            time,
            from: time,
            may_move: unset,
        }
    }

    /// Checks that `certificate` is signed, by way of `others`, by one of the roots, for `usage`, and the dates of all.
    fn check(
        &self,
        whose: &dyn Say,
        certificate: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
        then: impl Fn(Option<&VerifiedPath<'_>>) -> bool,
    ) -> Result<bool, TlsError> {
        let mut moment = self.moment(now);
        if self.roots.hold(certificate) {
            self.check_dates(whose, certificate, &moment)?;
            return Ok(then(None));
        }
        // Each turn passes the beginning of at least one certificate of a path.
        for _ in 0..=others.len() + 1 {
            let path = certificate.verify_for_usage(
                self.algorithms.all,
                &self.roots.anchors,
                others,
                moment.time,
                usage,
                None,
                None,
            );
            match path {
                Ok(path) => return Ok(then(Some(&path))),
                Err(webpki::Error::CertNotValidYet { not_before, .. }) if moment.may_move => {
                    moment.time = not_before;
                }
                Err(webpki::Error::CertExpired { not_after, .. })
                    if moment.has_passed(not_after) =>
                {
                    break;
                }
                Err(error) => return Err(self.refusal(whose, certificate, &moment, error)),
            }
        }
        words::set(words!(
            "{}: there is no day on which its whole chain is valid",
            whose
        ));
        Err(CertificateError::Expired.into())
    }

    fn check_dates(
        &self,
        whose: &dyn Say,
        certificate: &EndEntityCert<'_>,
        moment: &Moment,
    ) -> Result<(), TlsError> {
        let dates = der::validity(&certificate.der()).ok_or(CertificateError::BadEncoding)?;
        let time = clock::seconds(moment.time);
        if time > dates.not_after {
            words::expired(whose, dates.not_after, moment);
            return Err(CertificateError::Expired.into());
        }
        if time < dates.not_before && !moment.may_move {
            words::not_yet(whose, dates.not_before, moment);
            return Err(CertificateError::NotValidYet.into());
        }
        Ok(())
    }

    /// The words for what webpki says, and the error that leads to the right alert.
    fn refusal(
        &self,
        whose: &dyn Say,
        certificate: &EndEntityCert<'_>,
        moment: &Moment,
        error: webpki::Error,
    ) -> TlsError {
        use webpki::Error as E;
        let own = der::validity(&certificate.der());
        // webpki does not say which certificate of the path it means.
        let of_issuer = |itself: bool| if itself { "" } else { "an issuer of the " };
        let source = &self.roots.source;
        let kind = match error {
            E::CertExpired { not_after, .. } => {
                let end = clock::seconds(not_after);
                let whom = of_issuer(own.is_some_and(|own| own.not_after == end));
                words::expired(&words!("{}{}", whom, whose), end, moment);
                CertificateError::Expired
            }
            E::CertNotValidYet { not_before, .. } => {
                let start = clock::seconds(not_before);
                let whom = of_issuer(own.is_some_and(|own| own.not_before == start));
                words::not_yet(&words!("{}{}", whom, whose), start, moment);
                CertificateError::NotValidYet
            }
            // With CA:TRUE, as `openssl req -x509` makes them, webpki does not look for an issuer.
            E::UnknownIssuer | E::CaUsedAsEndEntity
                if certificate.issuer() == certificate.subject() =>
            {
                words::set(words!(
                    "{} is self-signed ({}) and not among the known authorities (ca: {})",
                    whose,
                    Subject(certificate.subject()),
                    source
                ));
                CertificateError::UnknownIssuer
            }
            E::UnknownIssuer => {
                words::set(words!(
                    "{} is not signed by a known authority, but by {} (ca: {})",
                    whose,
                    Subject(certificate.issuer()),
                    source
                ));
                CertificateError::UnknownIssuer
            }
            E::InvalidSignatureForPublicKey => {
                words::set(words!("{}: its signature is wrong; an authority of the same name has signed it (ca: {})", whose, source));
                CertificateError::BadSignature
            }
            E::CaUsedAsEndEntity => {
                words::set(words!(
                    "{} is an authority's own (CA:TRUE), and not among the known ones (ca: {})",
                    whose,
                    source
                ));
                CertificateError::UnknownIssuer
            }
            E::RequiredEkuNotFoundContext(_) => {
                words::set(words!(
                    "{} is not meant for this use (extendedKeyUsage)",
                    whose
                ));
                CertificateError::InvalidPurpose
            }
            E::UnsupportedCertVersion => {
                words::set(words!("{} is not of X.509 version 3", whose));
                CertificateError::BadEncoding
            }
            E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                words::set(words!("{} is signed by an algorithm that is not supported (SHA-1, a curve other than P-256 and P-384, RSA below 2048 bits)", whose));
                CertificateError::BadSignature
            }
            other => {
                words::set(words!("{}: {}", whose, fault(&other)));
                CertificateError::BadEncoding
            }
        };
        kind.into()
    }
}

/// What webpki has against a certificate, where it is nothing of the every day.
fn fault(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::UnsupportedCertVersion => "it is not of X.509 version 3",
        E::UnsupportedCriticalExtension => "it has a critical extension that is not known here",
        E::NameConstraintViolation => "an authority of its chain may not sign for this name",
        E::PathLenConstraintViolated => "its chain is longer than one of its authorities allows",
        E::EndEntityUsedAsCa => "one that is no authority has signed in its chain",
        E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => "its chain is too long or too intricate",
        E::InvalidCertValidity => "it ends before it begins",
        _ => "it is malformed",
    }
}

/// The words for a peer that shows a certificate whose key it does not have.
fn unproved(whose: &dyn Say, peer: &str) {
    words::set(words!(
        "{}: the {} has not proved that its key is its own",
        whose,
        peer
    ));
}

fn unproved_client(certificate: &CertificateDer<'_>) {
    words::clear();
    if let Ok(certificate) = EndEntityCert::try_from(certificate) {
        unproved(&Whose::Client(Subject(certificate.subject())), "client");
    }
}

fn parsed<'a>(
    certificate: &'a CertificateDer<'a>,
    whose: &dyn Say,
) -> Result<EndEntityCert<'a>, TlsError> {
    EndEntityCert::try_from(certificate).map_err(|error| {
        words::set(words!("{}: {}", whose, fault(&error)));
        CertificateError::BadEncoding.into()
    })
}

/// SHA-256 of a public key (the DER of SubjectPublicKeyInfo), as RFC 7469 section 2.4 pins it.
pub type Pin = [u8; 32];

/// Digits of a pin in Base64.
const DIGITS: usize = 44;

/// "sha256/BASE64", several separated by commas.
pub fn parse_pins(list: &str) -> Result<Vec<Pin>, Error> {
    let mut pins = Vec::new();
    for entry in list.split(',').map(str::trim) {
        // Some write two slashes; but the second may be the first digit, as it is for one key in 64.
        let digest = entry.strip_prefix("sha256/").map(|rest| match rest.len() {
            DIGITS => rest,
            _ => rest.strip_prefix('/').unwrap_or(rest),
        });
        let mut pin = [0; 32];
        let filled = digest.and_then(|text| Base64::decode(text, &mut pin).ok());
        if filled.map(<[u8]>::len) != Some(size_of::<Pin>()) {
            return Err(Status::InvalidArg.because(words!(
                "tls_pins: \"{}\" is not \"sha256/\" and 32 bytes in Base64",
                entry
            )));
        }
        pins.try_reserve(1).map_err(|_| Status::NoMemory)?;
        pins.push(pin);
    }
    Ok(pins)
}

fn digest_of(key: &[&[u8]]) -> Pin {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in key {
        context.update(part);
    }
    let mut pin = [0; 32];
    pin.copy_from_slice(context.finish().as_ref());
    pin
}

pub fn pin_text(pin: &Pin) -> String {
    let mut digits = [0; DIGITS];
    let mut text = String::from("sha256/");
    text.push_str(Base64::encode(pin, &mut digits).unwrap_or(""));
    text
}

pub fn key_digest(certificate: &EndEntityCert<'_>) -> Pin {
    digest_of(&[certificate.subject_public_key_info().as_ref()])
}

/// The client's side: who is this server?
#[derive(Debug)]
pub struct ServerVerifier {
    /// None: nobody is asked who signed the certificate.
    chain: Option<Chain>,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    /// `roots` None: only the pins count, if there are any.
    pub fn new(
        roots: Option<Roots>,
        pins: Vec<Pin>,
        clock_not_before: i64,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> ServerVerifier {
        ServerVerifier {
            chain: roots.map(|roots| Chain {
                roots,
                clock_not_before,
                algorithms,
            }),
            pins,
            algorithms,
        }
    }

    /// A key of the path is pinned, the server's own or that of one who signed.
    fn pinned(&self, certificate: &EndEntityCert<'_>, path: Option<&VerifiedPath<'_>>) -> bool {
        let is_pinned = |pin: Pin| self.pins.contains(&pin);
        self.pins.is_empty()
            || is_pinned(key_digest(certificate))
            || path.is_some_and(|path| {
                let anchor = path.anchor().subject_public_key_info.as_ref();
                let mut keys = path
                    .intermediate_certificates()
                    .map(|c| digest_of(&[c.subject_public_key_info().as_ref()]));
                keys.any(is_pinned)
                    || is_pinned(digest_of(&[
                        der::sequence_head(anchor.len()).as_ref(),
                        anchor,
                    ]))
            })
    }

    fn check_pins(
        &self,
        pinned: bool,
        whose: &dyn Say,
        certificate: &EndEntityCert<'_>,
    ) -> Result<(), TlsError> {
        if pinned {
            return Ok(());
        }
        let key = pin_text(&key_digest(certificate));
        match self.pins.len() {
            1 => words::set(words!(
                "{}: its public key does not match the pin; it is {}",
                whose,
                key
            )),
            count => words::set(words!(
                "{}: its public key matches none of the {} pins; it is {}",
                whose,
                count,
                key
            )),
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

/// The certificate that a message is about.
enum Whose<'a> {
    Server(&'a Shown<'a>),
    Client(Subject<'a>),
}

impl Say for Whose<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        match self {
            Whose::Server(name) => words!("certificate of {}", name).say(pen),
            Whose::Client(subject) => words!("client certificate {}", subject).say(pen),
        }
    }
}

/// A name of a server, for people.
struct Shown<'a>(&'a ServerName<'a>);

impl Say for Shown<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        match self.0 {
            ServerName::DnsName(name) => name.as_ref().say(pen),
            ServerName::IpAddress(IpAddr::V4(ip)) => {
                let [a, b, c, d] = *ip.as_ref();
                words!("{}.{}.{}.{}", a, b, c, d).say(pen);
            }
            ServerName::IpAddress(IpAddr::V6(ip)) => {
                // "[2001:db8::7]:0"
                let text = Line::<64>::from(Addr::v6(*ip.as_ref(), 0));
                let text = text.as_bytes().strip_suffix(b"]:0").unwrap_or_default();
                text.strip_prefix(b"[").unwrap_or_default().say(pen);
            }
            _ => {}
        }
    }
}

fn check_name(certificate: &EndEntityCert<'_>, name: &ServerName<'_>) -> Result<(), TlsError> {
    let Err(error) = certificate.verify_is_valid_for_subject_name(name) else {
        return Ok(());
    };
    let names = Line::<150>::from(Names(certificate, &error));
    let wanted = Shown(name);
    if names.as_bytes().is_empty() {
        words::set(words!(
            "certificate names no host (subjectAltName), so it is not for {}; its subject is {}",
            wanted,
            Subject(certificate.subject())
        ));
    } else {
        words::set(words!("certificate is for {}, not for {}", names, wanted));
    }
    Err(CertificateError::NotValidForName.into())
}

/// The names that a certificate is for, none of which was the one wanted, which `error` says.
struct Names<'a>(&'a EndEntityCert<'a>, &'a webpki::Error);

impl Say for Names<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        let Names(certificate, error) = self;
        let presented = match error {
            webpki::Error::CertNotValidForName(context) => &context.presented[..],
            _ => &[],
        };
        // webpki shows addresses as "IpAddress(192.0.2.7)".
        let addresses = presented.iter().filter_map(|shown| {
            let shown = shown.strip_prefix("IpAddress(")?;
            shown.strip_suffix(')')
        });
        let mut between = "";
        for name in certificate.valid_dns_names().chain(addresses) {
            words!("{}{}", between, name).say(pen);
            between = ", ";
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        words::clear();
        let name = &Shown(server_name);
        let whose = Whose::Server(name);
        let whose = &whose;
        let certificate = parsed(end_entity, whose)?;
        let pinned = match &self.chain {
            Some(chain) => {
                let pinned = chain.check(
                    whose,
                    &certificate,
                    intermediates,
                    KeyUsage::server_auth(),
                    now,
                    |path| self.pinned(&certificate, path),
                )?;
                check_name(&certificate, server_name)?;
                pinned
            }
            None => {
                let but = if self.pins.is_empty() {
                    "at all: anyone in between can read and change everything"
                } else {
                    "but for its pinned key"
                };
                log::error(words!(
                    "tls_insecure_skip_verify: the certificate of {} is not checked {}",
                    name,
                    but
                ));
                self.pinned(&certificate, None)
            }
        };
        self.check_pins(pinned, whose, &certificate)?;
        // The signature is checked next, in the same step of rustls, without a word of whose it is: these are for it.
        unproved(whose, "server");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let valid = verify_tls12_signature(message, certificate, signed, &self.algorithms)?;
        words::clear();
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let valid = verify_tls13_signature(message, certificate, signed, &self.algorithms)?;
        words::clear();
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The server's side: may this client come in?
#[derive(Debug)]
pub struct ClientVerifier {
    chain: Chain,
    /// The names of the authorities, which the client is told so that it can choose among its certificates.
    hints: Vec<DistinguishedName>,
    optional: bool,
}

impl ClientVerifier {
    pub fn new(
        roots: Roots,
        optional: bool,
        clock_not_before: i64,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> ClientVerifier {
        let subjects = roots.anchors.iter().map(|a| a.subject.as_ref());
        ClientVerifier {
            hints: subjects.map(DistinguishedName::in_sequence).collect(),
            chain: Chain {
                roots,
                clock_not_before,
                algorithms,
            },
            optional,
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        words::clear();
        let certificate = parsed(end_entity, &"client certificate")?;
        self.chain.check(
            &Whose::Client(Subject(certificate.subject())),
            &certificate,
            intermediates,
            KeyUsage::client_auth(),
            now,
            |_| true,
        )?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        unproved_client(certificate);
        let algorithms = &self.chain.algorithms;
        let valid = verify_tls12_signature(message, certificate, signed, algorithms)?;
        words::clear();
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        unproved_client(certificate);
        let algorithms = &self.chain.algorithms;
        let valid = verify_tls13_signature(message, certificate, signed, algorithms)?;
        words::clear();
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Every first digit, the slash among them; and as curl writes it, with two slashes.
    #[test]
    fn pins_are_read_as_they_are_written() {
        for first in 0..=255 {
            let mut pin = [7; 32];
            pin[0] = first;
            let text = pin_text(&pin);
            assert_eq!(parse_pins(&text).ok(), Some(alloc::vec![pin]), "{text}");
            let curls = text.replacen('/', "//", 1);
            let list = format!("{curls}, {text}");
            assert_eq!(
                parse_pins(&list).ok(),
                Some(alloc::vec![pin, pin]),
                "{list}"
            );
        }
        for bad in ["", "sha256/", "sha256//", "sha1/AAAA", "sha256/AAAA"] {
            assert!(parse_pins(bad).is_err(), "{bad}");
        }
    }
}
