//! As `config`, for ws_proto.

use alloc::string::String;

use super::config::{
    check_headers, check_identity, check_subprotocols, interval, message_limit, or, parsed_url,
    send_queue, text, CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, PONG_TIMEOUT,
};
use super::deflate;
use super::proto::ws_proto_config;
use super::proto_guard::Text;
use crate::error::{Error, Status};
use crate::proto::connection::Limits;
use crate::proto::endpoint;
use crate::proto::url::ClientUrl;

/// What only a client's ws_proto has.
pub struct ProtoRequest {
    pub url: ClientUrl,
    pub headers: Option<String>,
}

impl ws_proto_config {
    pub unsafe fn settings(&self) -> Result<(endpoint::Settings, Option<ProtoRequest>), Error> {
        let is_client = match self.role {
            1 => false,
            2 => true,
            other => {
                return Err(Status::InvalidArg
                    .because(words!("role is {}, neither WS_SERVER nor WS_CLIENT", other)))
            }
        };
        // SAFETY: texts, as ws_proto_new() asks for.
        let (subprotocols, headers, url) = unsafe {
            (
                text(self.subprotocols, "subprotocols")?,
                text(self.headers, "headers")?,
                Text::optional(self.url, "url")?,
            )
        };
        check_subprotocols(subprotocols.as_deref())?;
        let request = match url {
            Some(url) if is_client => {
                check_headers(headers.as_deref())?;
                let url = parsed_url(url)?;
                check_identity(&url, headers.as_deref(), None, None, false)?;
                Some(ProtoRequest { url, headers })
            }
            None if !is_client && headers.is_none() => None,
            _ => {
                return Err(Status::InvalidArg
                    .because("url is for clients, who need it; headers are for clients"))
            }
        };
        let pieces = self.pieces != 0;
        let limits = Limits {
            max_message: message_limit(self.max_message_size, pieces),
            pieces,
            ping_interval: interval(self.ping_interval_ms),
            pong_timeout: or(self.pong_timeout_ms, PONG_TIMEOUT),
            close_timeout: or(self.close_timeout_ms, CLOSE_TIMEOUT),
            // SAFETY: a struct that begins with its size, as the caller promises.
            deflate: unsafe { deflate::settings(self.deflate, self.deflate_options) }?,
        };
        let settings = endpoint::Settings {
            limits,
            max_send_queue: send_queue(self.max_send_queue, limits.max_message),
            handshake_timeout: or(self.handshake_timeout_ms, HANDSHAKE_TIMEOUT),
            subprotocols,
        };
        Ok((settings, request))
    }
}
