//! What stands in for TLS in a build without it: the same types, of which there are no values.

use super::Words;
use crate::error::{Error, Status};
use crate::proto::url::Host;
use crate::text::Line;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ffi::CStr;

pub const MAX_PLAINTEXT: usize = 1 << 14;
pub const MAX_RECORD: usize = MAX_PLAINTEXT;

#[derive(Clone)]
pub struct ServerSource(Infallible);

#[derive(Clone)]
pub struct ServerTls(Infallible);

impl ServerTls {
    pub fn load(source: &ServerSource) -> Result<ServerTls, Error> {
        match source.0 {}
    }

    pub fn session(&self) -> Result<Session, Words> {
        match self.0 {}
    }
}

pub struct ClientSource;

#[derive(Debug)]
pub struct ClientTls(Infallible);

impl ClientTls {
    pub fn load(_: &ClientSource, _: Option<&Host>) -> Result<ClientTls, Error> {
        Err(no_tls())
    }

    pub fn for_redirects(_: &ClientSource) -> Result<Option<ClientTls>, Error> {
        Ok(None)
    }

    pub fn session(&self, _: &Host) -> Result<Session, Words> {
        match self.0 {}
    }
}

pub fn no_tls() -> Error {
    Status::Unsupported.because("this build has no TLS")
}

pub struct Session(Infallible);

pub struct Step {
    pub used: usize,
    pub again: bool,
}

pub struct PeerInfo {
    pub version: &'static CStr,
    pub subject: Option<CString>,
    pub key: Option<CString>,
}

impl Session {
    pub fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub fn peer_has_closed(&self) -> bool {
        match self.0 {}
    }

    pub fn step(
        &mut self,
        _: &mut [u8],
        _: &mut Vec<u8>,
        _: &mut dyn FnMut(&[u8]),
    ) -> Result<Step, Words> {
        match self.0 {}
    }

    pub fn seal(&mut self, _: &mut [u8], _: &[u8], _: &mut Vec<u8>) -> Result<(), Words> {
        match self.0 {}
    }

    pub fn close(&mut self, _: &mut [u8], _: &mut Vec<u8>) {
        match self.0 {}
    }

    pub fn agreed(&self) -> Line<64> {
        match self.0 {}
    }

    pub fn peer_info(&self) -> PeerInfo {
        match self.0 {}
    }
}
