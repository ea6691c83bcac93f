//! A client and a server joined in memory, and a client that says what no client would. The certificates are made by
//! c_examples/make_certs.sh; without openssl nothing is checked, which is said aloud.

use super::*;
use crate::proto::url::Host;
use crate::tls::verify::ServerVerifier;
use crate::tls::{pem, ClientSource, ClientTls, ServerSource, ServerTls};
use alloc::string::ToString;
use alloc::vec;
use ring::aead;
use rustls::client::WantsClientCert;
use rustls::crypto::ring as provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, ConnectionTrafficSecrets};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder with the certificates.
fn certificates() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = std::env::temp_dir().join(format!("libws-tls-{}", std::process::id()));
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/c_examples/make_certs.sh");
            let made = Command::new("sh").arg(script).arg(&folder).output();
            let made = made.is_ok_and(|output| output.status.success());
            if !made {
                eprintln!("SKIPPED: certificates cannot be made (is there openssl?)");
            }
            made.then_some(folder)
        })
        .as_ref()
}

fn file(name: &str) -> String {
    let folder = certificates().expect("checked before");
    folder.join(name).to_string_lossy().into_owned()
}

fn server() -> Session {
    let source = ServerSource {
        certificates: vec![(file("server.pem"), file("server.key"))],
        ..ServerSource::default()
    };
    let tls = ServerTls::load(&source).expect("the certificates are good");
    tls.session().expect("a session")
}

fn client() -> Session {
    let source = ClientSource {
        ca: Some(file("ca.pem")),
        ..ClientSource::default()
    };
    let host = Host::Name("localhost".to_string());
    let tls = ClientTls::load(&source, Some(&host)).expect("the authority is good");
    tls.session(&host).expect("a session")
}

/// One end with what has come and not been used up.
struct End {
    session: Session,
    rest: Vec<u8>,
    plain: Vec<u8>,
}

impl End {
    fn new(session: Session) -> End {
        End {
            session,
            rest: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Takes records in pieces of `chunk` bytes; what TLS itself answers.
    fn take(&mut self, records: &[u8], chunk: usize) -> Result<Vec<u8>, Words> {
        let mut out = Vec::new();
        let mut pieces = records.chunks(chunk);
        loop {
            let plain = &mut self.plain;
            let step = self.session.step(&mut self.rest, &mut out, &mut |bytes| {
                plain.extend_from_slice(bytes);
            })?;
            self.rest.drain(..step.used);
            if step.again {
                continue;
            }
            match pieces.next() {
                Some(piece) => self.rest.extend_from_slice(piece),
                None => return Ok(out),
            }
        }
    }

    fn seal(&mut self, data: &[u8]) -> Result<Vec<u8>, Words> {
        let mut out = Vec::new();
        self.session.seal(&mut self.rest, data, &mut out)?;
        Ok(out)
    }
}

fn shake(client: &mut End, server: &mut End, chunk: usize) {
    let mut to_server = client.take(&[], chunk).expect("a ClientHello");
    while !to_server.is_empty() {
        let to_client = server.take(&to_server, chunk).expect("the server goes on");
        to_server = client.take(&to_client, chunk).expect("the client goes on");
    }
    assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
}

#[test]
fn records_may_come_in_any_pieces() {
    if certificates().is_none() {
        return;
    }
    for chunk in [1, 2, 5, 100, 4096, usize::MAX] {
        let (mut client, mut server) = (End::new(client()), End::new(server()));
        shake(&mut client, &mut server, chunk);
        for len in [0, 1, 100, MAX_PLAINTEXT, MAX_PLAINTEXT + 1, 50_000] {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let records = client.seal(&data).expect("it is sealed");
            assert!(records.len() <= data.len() + (len / MAX_PLAINTEXT + 1) * OVERHEAD);
            server.take(&records, chunk).expect("it is opened");
            assert_eq!(core::mem::take(&mut server.plain), data);
            // The other way.
            let records = server.seal(&data).expect("it is sealed");
            client.take(&records, chunk).expect("it is opened");
            assert_eq!(core::mem::take(&mut client.plain), data);
        }
        let mut goodbye = Vec::new();
        client.session.close(&mut client.rest, &mut goodbye);
        server.take(&goodbye, chunk).expect("it is understood");
        assert!(server.session.peer_has_closed() && !client.session.peer_has_closed());
        // What is said after close_notify is not heard, but can still be said.
        assert!(server.seal(b"last words").is_ok());
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    if certificates().is_none() {
        return;
    }
    // But for type and version in the head, which say nothing any more (RFC 8446 section 5.2).
    for place in [4, 5, 20, 60] {
        let (mut client, mut server) = (End::new(client()), End::new(server()));
        shake(&mut client, &mut server, usize::MAX);
        let mut records = client.seal(&[7; 100]).expect("it is sealed");
        if let Some(byte) = records.get_mut(place) {
            *byte ^= 1;
        }
        let mut out = Vec::new();
        server.rest = records;
        let step = server.session.step(&mut server.rest, &mut out, &mut |_| {
            panic!("plaintext from a changed record");
        });
        // A longer record is one that has not come to its end.
        match step {
            Ok(step) => assert!(place == 4 && !step.again),
            Err(_) => assert!(!out.is_empty(), "an alert tells the client"),
        }
    }
}

/// Hands on what each end says until one of them fails: its words.
fn failure(client: &mut End, server: &mut End) -> Words {
    let mut to_server = client.take(&[], usize::MAX).expect("a ClientHello");
    loop {
        let to_client = match server.take(&to_server, usize::MAX) {
            Ok(out) => out,
            Err(words) => return words,
        };
        to_server = match client.take(&to_client, usize::MAX) {
            Ok(out) => out,
            Err(words) => return words,
        };
        assert!(!to_server.is_empty(), "the handshake has not failed");
    }
}

/// The certificate of one with the key of another, which libws refuses to load.
fn stolen(certificate: &str, key: &str) -> SingleCertAndKey {
    let chain = pem::certificates(&file(certificate), "tls_cert").expect("it is good");
    let key = pem::private_key(&file(key), "tls_key").expect("it is good");
    let key = provider::default_provider()
        .key_provider
        .load_private_key(key)
        .expect("it can sign");
    SingleCertAndKey::from(CertifiedKey::new(chain, key))
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn a_server_that_shows_the_certificate_of_another_is_named() {
    if certificates().is_none() {
        return;
    }
    for version in VERSIONS {
        let config =
            ServerConfig::builder_with_details(Arc::new(provider::default_provider()), clock())
                .with_protocol_versions(&[version])
                .expect("it is there")
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(stolen("server.pem", "client.key")));
        let server = Session::server(Arc::new(config)).expect("a session");
        let words = failure(&mut End::new(client()), &mut End::new(server));
        let said = "certificate of localhost: the server has not proved that its key is its own";
        assert_eq!((words.as_str(), words.lasts()), (said, true));
    }
}

#[test]
fn a_client_that_shows_the_certificate_of_another_is_named() {
    if certificates().is_none() {
        return;
    }
    for version in VERSIONS {
        let source = ServerSource {
            certificates: vec![(file("server.pem"), file("server.key"))],
            client_ca: Some(file("ca.pem")),
            ..ServerSource::default()
        };
        let server = ServerTls::load(&source).expect("the certificates are good");
        let server = server.session().expect("a session");
        let client = insecure(version)
            .with_client_cert_resolver(Arc::new(stolen("client.pem", "server.key")));
        let client = Session::client(Arc::new(client), localhost()).expect("a session");
        let words = failure(&mut End::new(client), &mut End::new(server));
        let said = "client certificate O=libws tests,CN=device 7: \
                    the client has not proved that its key is its own";
        assert_eq!((words.as_str(), words.lasts()), (said, true));
    }
}

fn clock() -> Arc<crate::tls::clock::Clock> {
    Arc::new(crate::tls::clock::Clock)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// A client that trusts everybody.
fn insecure(
    version: &'static rustls::SupportedProtocolVersion,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = provider::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = ServerVerifier::new(None, vec![], 0, algorithms);
    ClientConfig::builder_with_details(Arc::new(provider), clock())
        .with_protocol_versions(&[version])
        .expect("it is there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
}

/// A client whose keys are known, so that it can seal anything.
struct Forger {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    /// Shakes hands with `server`.
    fn new(server: &mut End) -> Forger {
        let mut config = insecure(&rustls::version::TLS13).with_no_client_auth();
        config.enable_secret_extraction = true;
        let session = Session::client(Arc::new(config), localhost()).expect("a session");
        let mut client = End::new(session);
        shake(&mut client, server, usize::MAX);
        let Side::Client(connection) = client.session.side else {
            panic!("it is a client");
        };
        let (secrets, _) = connection
            .dangerous_into_kernel_connection()
            .expect("the handshake is done");
        let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
            panic!("AES-256-GCM comes first");
        };
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).expect("a key");
        Forger {
            key: aead::LessSafeKey::new(key),
            iv: iv.as_ref().try_into().expect("12 bytes"),
            sequence,
        }
    }

    /// A record (RFC 8446 section 5.2) of any content.
    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut inner = content.to_vec();
        inner.push(kind);
        let len = (inner.len() + 16) as u16;
        let head = [0x17, 3, 3, (len >> 8) as u8, len as u8];
        let mut nonce = self.iv;
        for (byte, n) in nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()) {
            *byte ^= n;
        }
        self.sequence += 1;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, aead::Aad::from(head), &mut inner)
            .expect("it is short");
        [&head[..], &inner].concat()
    }
}

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

#[test]
fn half_a_handshake_message_does_not_stop_what_is_sent() {
    if certificates().is_none() {
        return;
    }
    let mut server = End::new(server());
    let mut forger = Forger::new(&mut server);
    // The first bytes of a KeyUpdate (RFC 8446 section 4.6.3), whose last one is missing.
    let part = forger.record(HANDSHAKE, &[24, 0, 0]);
    server.take(&part, usize::MAX).expect("more may come");
    assert!(!server.rest.is_empty(), "rustls needs it again");
    assert!(server.seal(b"meanwhile").is_ok());
    let mut goodbye = Vec::new();
    server.session.close(&mut server.rest, &mut goodbye);
    assert!(!goodbye.is_empty());
    // Nothing may come between the parts.
    let other = forger.record(APPLICATION_DATA, b"x");
    assert!(server.take(&other, usize::MAX).is_err());
}

#[test]
fn no_content_makes_it_panic() {
    if certificates().is_none() {
        return;
    }
    let mut seed = 1u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16
    };
    // All of them take an emulator half a minute.
    let small = std::env::var_os("LIBWS_TEST_SMALL").is_some();
    for _ in 0..if small { 10 } else { 100 } {
        let mut server = End::new(server());
        let mut forger = Forger::new(&mut server);
        for _ in 0..20 {
            let kind =
                [HANDSHAKE, HANDSHAKE, 21, 20, APPLICATION_DATA, 0, 99][random() as usize % 7];
            let len = random() as usize % 40;
            // Messages that servers know, mostly, and small numbers.
            let content: Vec<u8> = (0..len)
                .map(|i| match i {
                    0 => [24, 4, 1, 11, 15, 20, 0, 2][random() as usize % 8],
                    _ => (random() % 6) as u8,
                })
                .collect();
            let record = forger.record(kind, &content);
            let chunk = 1 + random() as usize % 60;
            if server.take(&record, chunk).is_err() {
                break;
            }
            let _ = server.seal(b"answer");
            if random() % 10 == 0 {
                server.session.close(&mut server.rest, &mut Vec::new());
                break;
            }
        }
    }
}
