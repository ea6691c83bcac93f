//! The application as the core sees it: C function pointers behind the handler traits.

use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::client::{ws_client, ws_client_config};
use super::request::{ws_request, ws_response};
use super::server::{ws_server, ws_server_config};
use super::types::{ws_close_info, ws_conn_id, ws_kind, ws_message, ws_piece, ws_reconnect_info};
use crate::engine::{CloseInfo, Piece};
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::proto::frame::Kind;
use crate::{client, server};

/// Config and handle that the callbacks are called with.
struct Target<C, H> {
    config: C,
    handle: AtomicPtr<H>,
}

// SAFETY: the header tells the caller that callbacks run on the loop's threads, `user` included.
unsafe impl<C, H> Send for Target<C, H> {}
// SAFETY: as above; nothing in it is changed after the handle is bound.
unsafe impl<C, H> Sync for Target<C, H> {}

impl<C, H> Target<C, H> {
    fn new(config: C) -> Arc<Target<C, H>> {
        Arc::new(Target {
            config,
            handle: AtomicPtr::new(ptr::null_mut()),
        })
    }

    fn handle(&self) -> *mut H {
        self.handle.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
pub struct ServerCallbacks(Arc<Target<ws_server_config, ws_server>>);

impl ServerCallbacks {
    pub fn new(config: &ws_server_config) -> ServerCallbacks {
        ServerCallbacks(Target::new(*config))
    }

    /// The handle, once it exists: before anything can run.
    pub fn bind(&self, handle: *const c_void) {
        self.0
            .handle
            .store(handle.cast_mut().cast(), Ordering::Relaxed);
    }

    fn user(&self) -> *mut c_void {
        self.0.config.user
    }
}

impl server::Handler for ServerCallbacks {
    fn upgrade(&self, request: &server::RequestView, reply: &mut server::Reply<'_>) -> c_int {
        let Some(on_upgrade) = self.0.config.on_upgrade else {
            return 0;
        };
        // SAFETY: a function of this type, by the caller's promise; request and reply outlive it.
        unsafe {
            on_upgrade(
                self.0.handle(),
                as_request(request),
                as_response(reply),
                self.user(),
            )
        }
    }

    fn http(&self, request: &server::RequestView, reply: &mut server::Reply<'_>) {
        let Some(on_http) = self.0.config.on_http else {
            return;
        };
        // SAFETY: as above.
        unsafe {
            on_http(
                self.0.handle(),
                as_request(request),
                as_response(reply),
                self.user(),
            )
        }
    }

    fn open(&self, id: ConnId, request: &server::RequestView) {
        let Some(on_open) = self.0.config.on_open else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_open(self.0.handle(), id.0, as_request(request), self.user()) }
    }

    fn message(&self, id: ConnId, kind: Kind, data: &[u8]) {
        let Some(on_message) = self.0.config.on_message else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_message(self.0.handle(), id.0, &as_message(kind, data), self.user()) }
    }

    fn piece(&self, id: ConnId, piece: &Piece<'_>) {
        let Some(on_piece) = self.0.config.on_piece else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_piece(self.0.handle(), id.0, &as_piece(piece), self.user()) }
    }

    fn writable(&self, id: ConnId) {
        let Some(on_writable) = self.0.config.on_writable else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_writable(self.0.handle(), id.0, self.user()) }
    }

    fn pong(&self, id: ConnId, data: &[u8]) {
        let Some(on_pong) = self.0.config.on_pong else {
            return;
        };
        let bytes = data.as_ptr().cast();
        // SAFETY: as above.
        unsafe { on_pong(self.0.handle(), id.0, bytes, data.len(), self.user()) }
    }

    fn closed(&self, id: ConnId, info: &CloseInfo) {
        let Some(on_close) = self.0.config.on_close else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_close(self.0.handle(), id.0, &as_close_info(info), self.user()) }
    }
}

#[derive(Clone)]
pub struct ClientCallbacks(Arc<Target<ws_client_config, ws_client>>);

impl ClientCallbacks {
    pub fn new(config: &ws_client_config) -> ClientCallbacks {
        ClientCallbacks(Target::new(*config))
    }

    /// The handle, once it exists: before anything can run.
    pub fn bind(&self, handle: *const c_void) {
        self.0
            .handle
            .store(handle.cast_mut().cast(), Ordering::Relaxed);
    }

    fn user(&self) -> *mut c_void {
        self.0.config.user
    }
}

impl client::Handler for ClientCallbacks {
    fn open(&self) {
        let Some(on_open) = self.0.config.on_open else {
            return;
        };
        // SAFETY: a function of this type, by the caller's promise.
        unsafe { on_open(self.0.handle(), self.user()) }
    }

    fn message(&self, kind: Kind, data: &[u8]) {
        let Some(on_message) = self.0.config.on_message else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_message(self.0.handle(), &as_message(kind, data), self.user()) }
    }

    fn piece(&self, piece: &Piece<'_>) {
        let Some(on_piece) = self.0.config.on_piece else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_piece(self.0.handle(), &as_piece(piece), self.user()) }
    }

    fn writable(&self) {
        let Some(on_writable) = self.0.config.on_writable else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_writable(self.0.handle(), self.user()) }
    }

    fn pong(&self, data: &[u8]) {
        let Some(on_pong) = self.0.config.on_pong else {
            return;
        };
        // SAFETY: as above.
        unsafe {
            on_pong(
                self.0.handle(),
                data.as_ptr().cast(),
                data.len(),
                self.user(),
            )
        }
    }

    fn closed(&self, info: &CloseInfo) {
        let Some(on_close) = self.0.config.on_close else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_close(self.0.handle(), &as_close_info(info), self.user()) }
    }

    fn reconnecting(&self, info: &client::Reconnect) {
        let Some(on_reconnect) = self.0.config.on_reconnect else {
            return;
        };
        let info = ws_reconnect_info {
            attempt: info.attempt,
            delay_ms: u32::try_from(info.delay).unwrap_or(u32::MAX),
            status: info.status.into(),
            http_status: info.http_status,
            code: info.code,
            permanent: c_int::from(info.permanent),
            reason: info.reason.as_c_str().as_ptr(),
        };
        // SAFETY: as above.
        unsafe { on_reconnect(self.0.handle(), &info, self.user()) }
    }

    fn sent(&self, number: u64, status: Status) {
        let Some(on_sent) = self.0.config.on_sent else {
            return;
        };
        // SAFETY: as above.
        unsafe { on_sent(self.0.handle(), number, status.into(), self.user()) }
    }
}

fn as_request(request: &server::RequestView) -> *const ws_request {
    (request as *const server::RequestView).cast()
}

fn as_response(reply: &mut server::Reply<'_>) -> *mut ws_response {
    (reply as *mut server::Reply<'_>).cast()
}

pub fn as_kind(kind: Kind) -> ws_kind {
    match kind {
        Kind::Text => ws_kind::WS_TEXT,
        Kind::Binary => ws_kind::WS_BINARY,
    }
}

/// `data` ends with a NUL that does not count.
fn as_message(kind: Kind, data: &[u8]) -> ws_message {
    ws_message {
        kind: as_kind(kind),
        data: data.as_ptr().cast(),
        len: data.len().saturating_sub(1),
    }
}

fn as_piece(piece: &Piece<'_>) -> ws_piece {
    ws_piece {
        kind: as_kind(piece.kind),
        data: piece.data.as_ptr().cast(),
        len: piece.data.len(),
        offset: piece.offset,
        last: c_int::from(piece.last),
    }
}

fn as_close_info(info: &CloseInfo) -> ws_close_info {
    ws_close_info {
        status: info.status.into(),
        code: info.code,
        by_peer: c_int::from(info.by_peer),
        reason: info.reason.as_c_str().as_ptr(),
    }
}

/// `ws_conn_id` and `ConnId` are the same number.
const _: ws_conn_id = ConnId(0).0;
