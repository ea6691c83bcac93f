//! The tls_ fields of the config structs in a build without TLS: none can be met.

use super::client::ws_client_config;
use super::server::ws_server_config;
use crate::error::Error;
use crate::tls::{no_tls, ClientSource, ServerSource};

impl ws_server_config {
    pub unsafe fn tls(&self) -> Result<Option<ServerSource>, Error> {
        match self.asks_for_tls() {
            true => Err(no_tls()),
            false => Ok(None),
        }
    }

    pub unsafe fn new_tls(&self) -> Result<ServerSource, Error> {
        Err(no_tls())
    }

    fn asks_for_tls(&self) -> bool {
        !self.tls_cert.is_null()
            || !self.tls_key.is_null()
            || !self.tls_client_ca.is_null()
            || self.tls_more_certs_len != 0
    }
}

impl ws_client_config {
    /// They are for wss:// alone, which is refused in a build without TLS.
    pub unsafe fn tls(&self) -> Result<ClientSource, Error> {
        Ok(ClientSource)
    }
}
