//! From the config structs of C to those of the core: defaults, bounds, copies.

use alloc::string::String;
use core::ffi::c_char;

use super::client::ws_client_config;
use super::deflate;
use super::guard::Text;
use super::reach;
use super::server::{ws_server_config, WS_NEVER};
use crate::client;
use crate::engine::Settings;
use crate::error::{Error, Status};
use crate::proto::connection::{Limits, Role};
use crate::proto::frame::MAX_HEAD;
use crate::proto::handshake;
use crate::proto::http::{cut_before, cut_line, is_field_value};
use crate::proto::url::ClientUrl;
use crate::server::{self, SPARE_SLOTS};

const MESSAGE_SIZE: usize = 1024 * 1024;
const SEND_QUEUE: usize = 256 * 1024;
const RECEIVE_BUFFER: usize = 256 * 1024;
pub const HANDSHAKE_TIMEOUT: u32 = 5000;
const CONNECT_TIMEOUT: u32 = 10_000;
pub const CLOSE_TIMEOUT: u32 = 2000;
const PING_INTERVAL: u32 = 30_000;
pub const PONG_TIMEOUT: u32 = 10_000;
const KEEPALIVE: u32 = 60;
const CONNECTIONS: u32 = 1024;
const RECONNECT_MAX: u32 = 60_000;

impl ws_server_config {
    pub unsafe fn settings(&self) -> Result<server::Config, Error> {
        let threads = bounded(self.threads, 1, 1, 64, "threads")?;
        let connections = bounded(
            self.max_connections,
            CONNECTIONS,
            1,
            1_000_000,
            "max_connections",
        )?;
        if self.on_message.is_some() && self.on_piece.is_some() {
            return Err(both_deliveries());
        }
        let limits = Limits {
            max_message: message_limit(self.max_message_size, self.on_piece.is_some()),
            pieces: self.on_piece.is_some(),
            ping_interval: interval(self.ping_interval_ms),
            pong_timeout: or(self.pong_timeout_ms, PONG_TIMEOUT),
            close_timeout: or(self.close_timeout_ms, CLOSE_TIMEOUT),
            // SAFETY: a struct that begins with its size, as the caller promises.
            deflate: unsafe { deflate::settings(self.deflate, self.deflate_options) }?,
        };
        let (receive_buffer, max_send_queue) =
            buffers(self.receive_buffer_size, self.max_send_queue, &limits)?;
        // SAFETY: texts, as ws_server_new() asks for.
        let (path, subprotocols, allowed_origins, allowed_hosts) = unsafe {
            (
                text(self.path, "path")?,
                text(self.subprotocols, "subprotocols")?,
                text(self.allowed_origins, "allowed_origins")?,
                text(self.allowed_hosts, "allowed_hosts")?,
            )
        };
        if path.as_ref().is_some_and(|p| !is_path(p)) {
            return Err(Status::InvalidArg.because("path must begin with '/' and hold no '?', '#', white space, control character or non-ASCII"));
        }
        check_subprotocols(subprotocols.as_deref())?;
        check_list(allowed_origins.as_deref(), "allowed_origins")?;
        check_list(allowed_hosts.as_deref(), "allowed_hosts")?;
        // SAFETY: texts and a list of pairs, as ws_server_new() asks for.
        let tls = unsafe { self.tls() }?;
        Ok(server::Config {
            threads,
            max_connections: connections,
            fill: None,
            settings: Settings {
                role: Role::Server,
                limits,
                max_send_queue,
                handshake_timeout: or(self.handshake_timeout_ms, HANDSHAKE_TIMEOUT),
                keepalive: keepalive(self.keepalive_s),
                receive_buffer,
                slots: connections as usize + SPARE_SLOTS,
            },
            path,
            subprotocols,
            allowed_origins,
            allowed_hosts,
            reuse_port: self.reuse_port != 0,
            tls,
        })
    }
}

impl ws_client_config {
    pub unsafe fn settings(&self) -> Result<client::Config, Error> {
        if self.on_message.is_some() && self.on_piece.is_some() {
            return Err(both_deliveries());
        }
        // SAFETY: texts, as ws_client_new() asks for.
        let (url, subprotocols, headers, bearer, cookies, interface, source, proxy) = unsafe {
            (
                Text::required(self.url, "ws_client_config.url")?,
                text(self.subprotocols, "subprotocols")?,
                text(self.headers, "headers")?,
                text(self.bearer_token, "bearer_token")?,
                text(self.cookies, "cookies")?,
                Text::optional(self.interface_name, "interface_name")?,
                Text::optional(self.source_address, "source_address")?,
                Text::optional(self.proxy, "proxy")?,
            )
        };
        let parsed = parsed_url(url)?;
        check_subprotocols(subprotocols.as_deref())?;
        check_headers(headers.as_deref())?;
        reach::known(self.max_redirects == 0 && self.keep_cookies == 0)?;
        check_identity(
            &parsed,
            headers.as_deref(),
            bearer.as_deref(),
            cookies.as_deref(),
            self.keep_cookies != 0,
        )?;
        let limits = Limits {
            max_message: message_limit(self.max_message_size, self.on_piece.is_some()),
            pieces: self.on_piece.is_some(),
            ping_interval: interval(self.ping_interval_ms),
            pong_timeout: or(self.pong_timeout_ms, PONG_TIMEOUT),
            close_timeout: or(self.close_timeout_ms, CLOSE_TIMEOUT),
            // SAFETY: a struct that begins with its size, as the caller promises.
            deflate: unsafe { deflate::settings(self.deflate, self.deflate_options) }?,
        };
        let (receive_buffer, max_send_queue) =
            buffers(self.receive_buffer_size, self.max_send_queue, &limits)?;
        let connect_timeout = or(self.connect_timeout_ms, CONNECT_TIMEOUT);
        let min = self.reconnect_min_ms;
        if min == 0 && self.reconnect_max_ms != 0 {
            return Err(
                Status::InvalidArg.because("reconnect_max_ms is set, but not reconnect_min_ms")
            );
        }
        if min != 0 && self.reconnect_max_ms != 0 && self.reconnect_max_ms < min {
            return Err(Status::InvalidArg.because("reconnect_max_ms is below reconnect_min_ms"));
        }
        Ok(client::Config {
            settings: Settings {
                role: Role::Client,
                limits,
                max_send_queue,
                handshake_timeout: connect_timeout,
                keepalive: keepalive(self.keepalive_s),
                receive_buffer,
                slots: client::SLOTS,
            },
            url: parsed,
            subprotocols,
            headers,
            bearer,
            cookies,
            keep_cookies: self.keep_cookies != 0,
            max_redirects: self.max_redirects,
            proxy: reach::proxy(proxy, self.proxy_from_env != 0)?,
            interface: reach::interface(interface)?,
            source: reach::source(source)?,
            queue: reach::queue(self.queue_messages, self.queue_bytes, self.queue_policy)?,
            connect_timeout,
            // SAFETY: texts, as ws_client_new() asks for.
            tls: unsafe { self.tls() }?,
            reconnect: (min != 0).then(|| (min, or(self.reconnect_max_ms, RECONNECT_MAX).max(min))),
        })
    }
}

/// Who we are is said once.
pub fn check_identity(
    url: &ClientUrl,
    headers: Option<&str>,
    bearer: Option<&str>,
    cookies: Option<&str>,
    keep_cookies: bool,
) -> Result<(), Error> {
    let (mut authorization, mut cookie) = (false, false);
    let mut lines = headers.unwrap_or_default();
    while !lines.is_empty() {
        let (line, more) = cut_line(lines);
        let (name, _) = cut_before(line, b":");
        authorization |= name.eq_ignore_ascii_case("Authorization");
        cookie |= name.eq_ignore_ascii_case("Cookie");
        lines = more;
    }
    let who = [url.authorization.is_some(), bearer.is_some(), authorization];
    let token = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic());
    let list = |c: &str| !c.is_empty() && is_field_value(c.as_bytes());
    let wrong = if who.iter().filter(|w| **w).count() > 1 {
        "url, headers and bearer_token are not to say together who asks"
    } else if (cookies.is_some() || keep_cookies) && cookie {
        // RFC 6265 5.4: "the user agent MUST NOT attach more than one Cookie header field".
        "cookies, keep_cookies: headers hold a Cookie already"
    } else if !bearer.is_none_or(token) {
        "bearer_token is empty or holds what no token can hold"
    } else if !cookies.is_none_or(list) {
        "cookies is empty or holds what no header can hold"
    } else {
        return Ok(());
    };
    Err(Status::InvalidArg.because(wrong))
}

pub fn parsed_url(url: &str) -> Result<ClientUrl, Error> {
    ClientUrl::parse(url).map_err(|why| Status::InvalidArg.because(words!("url: {}", why)))
}

pub fn check_headers(headers: Option<&str>) -> Result<(), Error> {
    match headers.map(handshake::check_extra_headers) {
        Some(Err(why)) => Err(Status::InvalidArg.because(words!("headers: {}", why))),
        _ => Ok(()),
    }
}

pub fn or(value: u32, default: u32) -> u32 {
    if value == 0 {
        default
    } else {
        value
    }
}

fn bounded(value: u32, default: u32, min: u32, max: u32, name: &str) -> Result<u32, Error> {
    let value = or(value, default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Status::InvalidArg.because(words!("{} is {}, not {} to {}", name, value, min, max)))
}

fn keepalive(seconds: u32) -> Option<u32> {
    (seconds != WS_NEVER).then(|| or(seconds, KEEPALIVE))
}

pub fn interval(ms: u32) -> Option<u32> {
    (ms != WS_NEVER).then(|| or(ms, PING_INTERVAL))
}

pub fn message_limit(bytes: usize, pieces: bool) -> u64 {
    match bytes {
        0 if pieces => u64::MAX,
        0 => MESSAGE_SIZE as u64,
        bytes => bytes as u64,
    }
}

/// By default there is room for an echo of the largest message.
pub fn send_queue(bytes: usize, max_message: u64) -> usize {
    // The loops count in 32 bits.
    let most = u32::MAX as usize;
    if bytes != 0 {
        return bytes.min(most);
    }
    match usize::try_from(max_message) {
        Ok(message) if max_message != u64::MAX => {
            SEND_QUEUE.max(message.saturating_add(MAX_HEAD)).min(most)
        }
        _ => SEND_QUEUE,
    }
}

/// The receive buffer and the send queue; by default the queue has room for the largest piece, too.
fn buffers(receive: usize, send: usize, limits: &Limits) -> Result<(usize, usize), Error> {
    let receive = receive_buffer(receive)?;
    let piece = match limits.pieces && send == 0 {
        true => receive + MAX_HEAD,
        false => 0,
    };
    Ok((receive, send_queue(send, limits.max_message).max(piece)))
}

fn receive_buffer(bytes: usize) -> Result<usize, Error> {
    match bytes {
        0 => Ok(RECEIVE_BUFFER),
        4096..=0x100_0000 => Ok(bytes),
        _ => Err(Status::InvalidArg.because(words!(
            "receive_buffer_size is {}, not 4 KiB to 16 MiB",
            bytes
        ))),
    }
}

fn is_path(path: &str) -> bool {
    let visible = |b: u8| b.is_ascii_graphic() && b != b'?' && b != b'#';
    path.starts_with('/') && path.bytes().all(visible)
}

fn both_deliveries() -> Error {
    Status::InvalidArg.because("on_message and on_piece exclude each other")
}

pub fn check_subprotocols(list: Option<&str>) -> Result<(), Error> {
    match list.map(handshake::check_subprotocols) {
        Some(Err(why)) => Err(Status::InvalidArg.because(words!("subprotocols: {}", why))),
        _ => Ok(()),
    }
}

/// An allow-list can hold nothing that could not stand in a header.
fn check_list(list: Option<&str>, name: &str) -> Result<(), Error> {
    match list {
        Some(list) if list.is_empty() || !is_field_value(list.as_bytes()) => {
            Err(Status::InvalidArg
                .because(words!("{} is empty or holds what no header can hold", name)))
        }
        _ => Ok(()),
    }
}

/// A copy of an optional text.
pub unsafe fn text(text: *const c_char, name: &str) -> Result<Option<String>, Error> {
    // SAFETY: NUL-terminated, as the caller promises.
    let Some(text) = unsafe { Text::optional(text, name) }? else {
        return Ok(None);
    };
    Ok(Some(server::owned(text)?))
}
