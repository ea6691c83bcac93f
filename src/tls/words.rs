//! Why a TLS connection failed, in words that a person can act on.

use super::der::{Date, Name};
use super::Words;
use crate::net::sys::thread::ThreadText;
use crate::text::{Line, Pen, Say};
use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

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
        Error::InvalidCertificate(_) => match CHECK.copy() {
            words if !words.as_bytes().is_empty() => Words::lasting(words),
            _ => Words::lasting(words!("{}'s certificate is not usable", peer)),
        },
        Error::NoCertificatesPresented => {
            Words::lasting(words!("{} has sent no certificate", peer))
        }
        Error::NoApplicationProtocol => Words::lasting(words!(
            "{} does not speak http/1.1, says its ALPN list",
            peer
        )),
        Error::PeerIncompatible(why) => Words::lasting(words!("{} {}", incompatible(why), peer)),
        Error::AlertReceived(alert) => from_alert(*alert, peer),
        other => on_the_way(other, peer),
    }
}

/// What may be otherwise next time: somebody in between has answered, such as the portal of a hotel's network, or bytes
/// were damaged.
fn on_the_way(error: &Error, peer: &str) -> Words {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => Words::from(words!("what came from {} is not TLS", peer)),
        Error::InvalidMessage(_) => Words::from(words!("{} sent a malformed TLS message", peer)),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            Words::from(words!("{} broke the rules of TLS", peer))
        }
        Error::PeerSentOversizedRecord => {
            Words::from(words!("{} sent a record that is too long", peer))
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
    Words {
        lasts: is_lasting(alert),
        ..Words::from(words!(
            "{} has ended TLS with the alert {}{}{}",
            peer,
            name,
            colon,
            why
        ))
    }
}

/// The alert is about certificates, names or abilities (RFC 8446 section 6.2, RFC 5246 section 7.2.2), which the next
/// attempt will find unchanged. The others tell of an accident: on the way, in the peer, or by its user.
fn is_lasting(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::HandshakeFailure
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::ExportRestriction
            | A::ProtocolVersion
            | A::InsufficientSecurity
            | A::InappropriateFallback
            | A::MissingExtension
            | A::UnsupportedExtension
            | A::CertificateUnobtainable
            | A::UnrecognisedName
            | A::BadCertificateStatusResponse
            | A::BadCertificateHashValue
            | A::UnknownPSKIdentity
            | A::CertificateRequired
            | A::NoApplicationProtocol
            | A::EncryptedClientHelloRequired
    )
}

/// What is wrong with a certificate's dates. `whose` names it, `now` says by what they are judged.
pub fn expired(whose: &dyn Say, not_after: i64, now: &dyn Say) {
    set(words!(
        "{} has expired on {} ({})",
        whose,
        Date(not_after),
        now
    ));
}

pub fn not_yet(whose: &dyn Say, not_before: i64, now: &dyn Say) {
    set(words!(
        "{} is not valid before {} ({})",
        whose,
        Date(not_before),
        now
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use rustls::CertificateError;

    /// Those with a name, by number; every other number is unknown and does not last.
    const LASTING: [u8; 23] = [
        40, 41, 42, 43, 44, 45, 46, 48, 49, 60, 70, 71, 86, 109, 110, 111, 112, 113, 114, 115, 116,
        120, 121,
    ];

    #[test]
    fn only_what_is_about_certificates_names_or_abilities_lasts() {
        let lasting: Vec<u8> = (0..=255)
            .filter(|alert| of(&Error::AlertReceived((*alert).into()), true).lasts())
            .collect();
        assert_eq!(lasting, LASTING);
    }

    #[test]
    fn every_alert_is_named() {
        for alert in 0..=255u8 {
            let words = of(&Error::AlertReceived(alert.into()), true);
            let known = AlertDescription::from(alert).as_str();
            let name = known.unwrap_or("of an unknown kind");
            let begin = format!("the server has ended TLS with the alert {name}");
            assert!(words.as_str().starts_with(&begin), "{}", words.as_str());
        }
    }

    #[test]
    fn an_answer_of_somebody_in_between_does_not_last() {
        for (error, said) in [
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "what came from the server is not TLS",
            ),
            (
                Error::InvalidMessage(InvalidMessage::MissingKeyExchange),
                "the server sent a malformed TLS message",
            ),
            (
                Error::PeerSentOversizedRecord,
                "the server sent a record that is too long",
            ),
            (
                Error::DecryptError,
                "a record was damaged on its way from the server",
            ),
            (
                Error::HandshakeNotComplete,
                "TLS with the server has failed",
            ),
        ] {
            let words = of(&error, true);
            assert_eq!((words.as_str(), words.lasts()), (said, false));
        }
    }

    #[test]
    fn what_the_peer_is_or_can_lasts() {
        let bad = Error::InvalidCertificate(CertificateError::BadSignature);
        for error in [
            bad,
            Error::NoCertificatesPresented,
            Error::NoApplicationProtocol,
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
        ] {
            clear();
            let words = of(&error, true);
            assert!(words.lasts(), "{}", words.as_str());
        }
    }
}
