//! Why a TLS connection failed, in words that a person can act on.

use super::der::{Date, Name};
use super::Words;
use crate::net::sys::thread::ThreadText;
use crate::text::{Line, Pen, Say};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// rustls without std cannot carry words from a verifier to the connection that it works for. Both are in the same call
/// of the same thread, so this does.
static CHECK: ThreadText = ThreadText::new();

/// Leaves the words for the check that has just failed.
pub fn set(text: impl Say) {
    CHECK.set(Line::<256>::from(text).as_bytes());
}

/// Forgets the words of an earlier check.
pub fn clear() {
    CHECK.set(b"");
}

/// The words for an error of a connection, right after it came up in this thread. They are all here, and not rustls's own:
/// those would bring the names of everything that rustls knows into a small build.
pub fn of(error: &Error, is_client: bool) -> Words {
    let peer = if is_client {
        "the server"
    } else {
        "the client"
    };
    match error {
        Error::InvalidCertificate(kind) => match CHECK.copy() {
            words if !words.as_bytes().is_empty() => Words::lasting(words),
            _ if *kind == CertificateError::BadSignature => Words::lasting(words!(
                "{} has not proved that its certificate's key is its own",
                peer
            )),
            _ => Words::lasting(words!("{}'s certificate is not usable", peer)),
        },
        Error::AlertReceived(alert) => from_alert(*alert, peer),
        Error::NoCertificatesPresented => {
            Words::lasting(words!("{} has sent no certificate", peer))
        }
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => Words::lasting(words!("what came from {} is not TLS", peer)),
        Error::InvalidMessage(_) => Words::lasting(words!("{} sent a malformed TLS message", peer)),
        Error::NoApplicationProtocol => Words::lasting(words!(
            "{} does not speak http/1.1, says its ALPN list",
            peer
        )),
        Error::PeerIncompatible(why) => Words::lasting(words!("{} {}", incompatible(why), peer)),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            Words::lasting(words!("{} broke the rules of TLS", peer))
        }
        Error::PeerSentOversizedRecord => {
            Words::lasting(words!("{} sent a record that is too long", peer))
        }
        Error::DecryptError => Words::from(words!("a record was damaged on its way from {}", peer)),
        Error::General(why) => Words::from(why.as_str()),
        _ => Words::from(words!("TLS with {} has failed", peer)),
    }
}

fn incompatible(why: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as P;
    match why {
        P::NoCipherSuitesInCommon => "no cipher suite in common with",
        P::NoKxGroupsInCommon | P::KeyShareExtensionRequired | P::NamedGroupsExtensionRequired => {
            "no key exchange group in common with"
        }
        P::NoSignatureSchemesInCommon
        | P::NoCertificateRequestSignatureSchemesInCommon
        | P::SignatureAlgorithmsExtensionRequired => "no signature algorithm in common with",
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => "no TLS version in common with",
        _ => "no TLS that suits both this side and",
    }
}

/// What the peer has against us.
fn from_alert(alert: AlertDescription, peer: &str) -> Words {
    use AlertDescription as A;
    let why = match alert {
        A::CertificateRequired => "it wants a client certificate (tls_cert, tls_key)",
        A::UnknownCA => "it does not know the authority that signed our certificate",
        A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown => {
            "it does not like our certificate"
        }
        A::CertificateExpired => "our certificate has expired, or is not valid yet",
        A::CertificateRevoked => "our certificate is revoked",
        A::HandshakeFailure => "no cipher suite or signature in common, or it wants a certificate",
        A::ProtocolVersion => "no TLS version in common",
        A::NoApplicationProtocol => "it does not speak http/1.1, says its ALPN list",
        A::UnrecognisedName => "it does not serve this name (SNI)",
        A::InternalError => "an error of its own",
        _ => "",
    };
    let colon = if why.is_empty() { "" } else { ": " };
    let name = alert.as_str().unwrap_or("of an unknown kind");
    Words::lasting(words!(
        "{} has ended TLS with the alert {}{}{}",
        peer,
        name,
        colon,
        why
    ))
}

/// What is wrong with a certificate's dates. `whose` names it.
pub fn expired(whose: &dyn Say, not_after: i64, time: i64) {
    set(words!(
        "{} has expired on {} (the clock says {})",
        whose,
        Date(not_after),
        Date(time)
    ));
}

pub fn not_yet(whose: &dyn Say, not_before: i64, time: i64) {
    set(words!(
        "{} is not valid before {} (the clock says {})",
        whose,
        Date(not_before),
        Date(time)
    ));
}

/// A Name, or "(no name)".
pub struct Subject<'a>(pub &'a [u8]);

impl Say for Subject<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        match self.0 {
            [] => "(no name)".say(pen),
            name => Name(name).say(pen),
        }
    }
}
