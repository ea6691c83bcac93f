//! One TLS connection, sans-IO: records in, plaintext out; plaintext in, records out. rustls keeps no buffers here: it
//! decrypts where the bytes lie, and what it has to say goes to a buffer of the caller's.

use super::{der, verify, words, Words};
use crate::text::{Hex, Line};
use alloc::ffi::CString;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::CStr;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ProtocolVersion, ServerConfig};

/// Most plaintext that one record holds (RFC 8446 section 5.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;
/// Most bytes of a record on the wire, of TLS 1.2 (RFC 5246 section 6.2.3).
pub const MAX_RECORD: usize = 5 + MAX_PLAINTEXT + 2048;
/// What a record costs beyond its plaintext, at the most: head, explicit nonce or content type, tag.
const OVERHEAD: usize = 5 + 8 + 16;

/// A longer subject is cut off.
const MAX_SUBJECT: usize = 1024;

pub struct Session {
    side: Side,
    /// close_notify has come.
    peer_closed: bool,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What one step came to.
pub struct Step {
    /// Bytes at the front of the input that are used up.
    pub used: usize,
    /// There may be more in the input; else the next step waits for more bytes.
    pub again: bool,
    peer_closed: bool,
}

/// What the application may know about the peer.
pub struct PeerInfo {
    pub version: &'static CStr,
    /// Of the certificate that the peer has sent.
    pub subject: Option<CString>,
    /// "sha256/BASE64" of its public key.
    pub key: Option<CString>,
}

impl Session {
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, Words> {
        match UnbufferedServerConnection::new(config) {
            Ok(connection) => Ok(Session::new(Side::Server(connection))),
            Err(error) => Err(words::of(&error, false)),
        }
    }

    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Session, Words> {
        match UnbufferedClientConnection::new(config, name) {
            Ok(connection) => Ok(Session::new(Side::Client(connection))),
            Err(error) => Err(words::of(&error, true)),
        }
    }

    fn new(side: Side) -> Session {
        Session {
            side,
            peer_closed: false,
        }
    }

    fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    fn state(&self) -> &CommonState {
        match &self.side {
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// close_notify has come: no more plaintext will.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    /// Looks at the records at the front of `input`, up to the first that brings plaintext, which `take` is given. What
    /// TLS itself has to send is appended to `out`. After an error, `out` holds the alert for the peer.
    ///
    /// What is left of the input must be there, unchanged and from its beginning, in every later call of every method:
    /// rustls remembers where in it the parts of an unfinished message lie.
    pub fn step(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Step, Words> {
        let is_client = self.is_client();
        self.advance(input, out, take).map_err(|(used, error)| {
            let words = words::of(&error, is_client);
            // What was to be said before and the alert lie ready. More of the input must not be looked at.
            let rest = input.get_mut(used..).unwrap_or_default();
            while self.state().wants_write() && self.advance(rest, out, &mut |_| {}).is_ok() {}
            words
        })
    }

    /// In an error: how much of the input was used up before.
    fn advance(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Step, (usize, Error)> {
        let step = match &mut self.side {
            Side::Client(connection) => work_off(connection.process_tls_records(input), out, take),
            Side::Server(connection) => work_off(connection.process_tls_records(input), out, take),
        }?;
        self.peer_closed |= step.peer_closed;
        Ok(step)
    }

    /// Appends `data` to `out` as records. The handshake is done. `rest`: what is left of the input.
    pub fn seal(&mut self, rest: &mut [u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), Words> {
        let is_client = self.is_client();
        loop {
            let sealed = match &mut self.side {
                Side::Client(c) => seal(c.process_tls_records(rest), data, out),
                Side::Server(c) => seal(c.process_tls_records(rest), data, out),
            };
            match sealed {
                Ok(true) => return Ok(()),
                // Something of TLS's own had to go first.
                Ok(false) => {}
                Err((_, error)) => return Err(words::of(&error, is_client)),
            }
        }
    }

    /// Appends close_notify to `out`, if the handshake is done and it was not sent before. `rest`: what is left of the
    /// input.
    pub fn close(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        match &mut self.side {
            Side::Client(c) => close(c.process_tls_records(rest), out),
            Side::Server(c) => close(c.process_tls_records(rest), out),
        }
    }

    /// Version and cipher suite, for the log.
    pub fn agreed(&self) -> Line<64> {
        let state = self.state();
        let version = version(state).to_str().unwrap_or("");
        match state.negotiated_cipher_suite() {
            Some(suite) => {
                let number = Hex(u64::from(u16::from(suite.suite())));
                Line::from(words!("{}, cipher suite 0x{}", version, number))
            }
            None => Line::from(version),
        }
    }

    pub fn peer_info(&self) -> PeerInfo {
        let state = self.state();
        let certificate = state.peer_certificates().and_then(|list| list.first());
        let certificate = certificate.and_then(|der| webpki::EndEntityCert::try_from(der).ok());
        let text = |text: String| CString::new(text).ok();
        PeerInfo {
            version: version(state),
            subject: certificate.as_ref().and_then(|certificate| {
                let subject = Line::<MAX_SUBJECT>::from(der::Name(certificate.subject()));
                CString::new(subject.as_bytes()).ok()
            }),
            key: certificate
                .as_ref()
                .and_then(|certificate| text(verify::pin_text(&verify::key_digest(certificate)))),
        }
    }
}

fn version(state: &CommonState) -> &'static CStr {
    match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => c"TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => c"TLSv1.2",
        _ => c"",
    }
}

/// Deals with one state of rustls's.
fn work_off<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
    take: &mut dyn FnMut(&[u8]),
) -> Result<Step, (usize, Error)> {
    let mut used = status.discard;
    let fail = |error| (used, error);
    let mut peer_closed = false;
    let again = match status.state.map_err(fail)? {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(|error| (used, error))?;
                used += record.discard;
                take(record.payload);
            }
            true
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let encoded = append(out, |room| {
                data.encode(room).map_err(|error| match error {
                    EncodeError::InsufficientSize(need) => Some(need.required_size),
                    EncodeError::AlreadyEncoded => None,
                })
            });
            encoded.map_err(|error| (used, error))?;
            true
        }
        ConnectionState::TransmitTlsData(data) => {
            // It is in `out`, which is sent in its order.
            data.done();
            true
        }
        ConnectionState::PeerClosed => {
            peer_closed = true;
            true
        }
        // Closed, WriteTraffic, BlockedHandshake. Early data is never agreed on.
        _ => false,
    };
    Ok(Step {
        used,
        again,
        peer_closed,
    })
}

/// Whether `data` was sealed; else it is to be tried again.
fn seal<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    data: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, (usize, Error)> {
    let fail = |error| (0, error);
    let mut traffic = match status.state.map_err(fail)? {
        ConnectionState::WriteTraffic(traffic) => traffic,
        ConnectionState::Closed | ConnectionState::BlockedHandshake => {
            return Err(fail(Error::HandshakeNotComplete))
        }
        other => {
            let status = UnbufferedStatus {
                discard: 0,
                state: Ok(other),
            };
            return work_off(status, out, &mut |_| {}).map(|_| false);
        }
    };
    let records = data.len() / MAX_PLAINTEXT + 1;
    let before = out.len();
    // Room for a key update that may go first, too.
    grow(out, data.len() + (records + 4) * OVERHEAD).map_err(fail)?;
    let room = out.get_mut(before..).unwrap_or_default();
    let written = traffic.encrypt(data, room);
    out.truncate(before + *written.as_ref().unwrap_or(&0));
    written.map(|_| true).map_err(|_| fail(exhausted()))
}

fn close<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) {
    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
        // Without memory for these few bytes the peer has to do without.
        let _ = append(out, |room| {
            traffic.queue_close_notify(room).map_err(encrypt_error)
        });
    }
}

/// The size that is needed, or None: it cannot be done.
fn encrypt_error(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(need) => Some(need.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Appends what `fill` writes, asking it first how much that is.
fn append(
    out: &mut Vec<u8>,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let before = out.len();
    let need = match fill(&mut []) {
        Ok(_) => return Ok(()),
        Err(Some(need)) => need,
        Err(None) => return Err(exhausted()),
    };
    grow(out, need)?;
    let written = fill(out.get_mut(before..).unwrap_or_default());
    out.truncate(before + written.unwrap_or(0));
    written.map(|_| ()).map_err(|_| exhausted())
}

fn grow(out: &mut Vec<u8>, by: usize) -> Result<(), Error> {
    out.try_reserve(by)
        .map_err(|_| Error::General(String::from("out of memory")))?;
    out.resize(out.len() + by, 0);
    Ok(())
}

fn exhausted() -> Error {
    Error::General(String::from("the keys of this connection are used up"))
}

#[cfg(test)]
mod tests;
