//! A request as the application sees it: with the address that it came from, and the subprotocol
//! agreed on so far.

use super::{choose_subprotocol, offered_subprotocols};
use crate::proto::http::Request;
use crate::proto::OutOfMemory;
use crate::text::{c_string, Line, Say};
use alloc::ffi::CString;
use core::cell::OnceCell;
use core::ffi::CStr;

pub struct RequestView<'a> {
    pub request: Request,
    pub subprotocol: Option<CString>,
    /// "TLSv1.3"; None: it came without TLS.
    pub tls_version: Option<&'static CStr>,
    /// Of the client's certificate: who it is for, and "sha256/BASE64" of its public key.
    pub tls_subject: Option<CString>,
    pub tls_key: Option<CString>,
    /// Where it came from; put into words when somebody asks, which few do.
    pub from: &'a dyn Say,
    peer: OnceCell<Line<64>>,
}

impl<'a> RequestView<'a> {
    pub fn new(request: Request, from: &'a dyn Say) -> RequestView<'a> {
        RequestView {
            request,
            subprotocol: None,
            tls_version: None,
            tls_subject: None,
            tls_key: None,
            from,
            peer: OnceCell::new(),
        }
    }

    pub fn method(&self) -> &CStr {
        self.request.method()
    }

    pub fn path(&self) -> &CStr {
        self.request.path()
    }

    pub fn query(&self) -> &CStr {
        self.request.query()
    }

    pub fn peer(&self) -> &CStr {
        self.peer.get_or_init(|| Line::from(self.from)).as_c_str()
    }

    pub fn header(&self, name: &[u8]) -> Option<&CStr> {
        self.request.header(name)
    }

    pub fn subprotocol(&self) -> Option<&CStr> {
        self.subprotocol.as_deref()
    }

    pub fn offers(&self, subprotocol: &str) -> bool {
        offered_subprotocols(&self.request).any(|offered| offered == subprotocol)
    }

    /// Agrees on the first of the server's `preference` list that the client offers, if any.
    pub fn agree(&mut self, preference: Option<&str>) -> Result<(), OutOfMemory> {
        let chosen = preference.and_then(|list| choose_subprotocol(list, &self.request));
        self.subprotocol = chosen.map(c_string).transpose()?;
        Ok(())
    }
}
