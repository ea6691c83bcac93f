//! A server behind the table of clients that programs for websocket_for_linux walk.
//!
//! The work is done by `server::Server`. Here: which place of the table a connection has, what of
//! its events the program is told, and the keeper, a thread that binds the port, drops the clients
//! whose `exitType` the program has set, and ends the server.
//!
//! The table itself and the program's functions are behind [`Board`], since they are C.

mod handler;
mod keeper;
mod seats;

pub use keeper::{create, release};

use super::{close_of, fds, frame_len, DataType, MAX_MESSAGE};
use crate::engine::Settings;
use crate::net::conns::ConnId;
use crate::net::sys::poll::Event;
use crate::net::sys::thread::{Mutex, Thread};
use crate::proto::connection::{Limits, Role};
use crate::proto::frame::{Header, Kind, Opcode, MAX_CONTROL};
use crate::server::{self, Server, SPARE_SLOTS};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicUsize};
use seats::Seats;

/// `WS_SERVER_THREAD`
pub const THREADS: usize = 10;
/// `WS_SERVER_CLIENT_OF_THREAD`
pub const CLIENTS_OF_THREAD: usize = 500;
/// `WS_SERVER_CLIENT`
pub const CLIENTS: usize = THREADS * CLIENTS_OF_THREAD;
/// The longest message that is handed to the program: `WS_SERVER_PKG` less the head that it had
/// room for. Programs copy messages into buffers of that size.
pub const PACKAGE: usize = 100 * 1024;

/// `WS_SERVER_LOGIN_TIMEOUT_MS`
const LOGIN_TIMEOUT: u32 = 5000;
/// For the closing handshakes when the server ends, in ms.
const CLOSE_TIMEOUT: u32 = 1000;
/// A client for which more is queued is dropped.
const MAX_QUEUED: usize = 4 * 1024 * 1024;
/// A client that sends while more is queued for it is not read until it has read.
const HOLD: usize = 256 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// `Ws_ExitType`: why a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The connection has failed below the protocol.
    Epoll = 1,
    /// What was queued for it went beyond the bound.
    Send = 2,
    /// It has ended: by a Close, by the end of the stream, or by breaking the protocol.
    Disconnect = 5,
}

/// A client that has come.
pub struct Login {
    pub index: usize,
    pub thread: usize,
    pub fd: c_int,
    pub ip: [u8; 4],
    pub port: u16,
}

/// The C side: the public structs, and the program's functions. Calls for one client come one after
/// the other; calls of the functions hold no lock.
pub trait Board: Send + Sync {
    /// Fills in an entry of the table and calls onLogin.
    fn login(&self, login: &Login);
    /// Calls onMessage. `data` ends with a NUL that does not count.
    fn message(&self, index: usize, data: &[u8], len: i32, what: DataType);
    /// Counts bytes that a client has sent.
    fn received(&self, index: usize, bytes: usize);
    /// Calls onExit with the exit type in the entry, or with `why` if there is none; clears the entry.
    fn exit(&self, index: usize, why: Exit);
    /// The program wants the client gone.
    fn wants_exit(&self, index: usize) -> bool;
    /// Marks the client as one to be dropped. Answers whether it was not one already.
    fn set_exit(&self, index: usize, why: Exit) -> bool;
    /// The port is bound; the descriptors are for the program to see.
    fn listening(&self, port: u16, fd: c_int, loops: &[c_int]);
    /// Nothing more is served.
    fn ended(&self);
    /// Where the program's handle lies.
    fn address(&self) -> usize;
}

pub struct Service {
    board: Box<dyn Board>,
    path: Option<Vec<u8>>,
    /// The keeper has it; gone when it has ended.
    server: Mutex<Weak<Server>>,
    seats: Mutex<Seats>,
    /// For each loop a buffer in which whole messages get their NUL; empty while in use.
    spare: [Mutex<Vec<u8>>; THREADS],
    wake: Event,
    stop: AtomicBool,
    keeper: Mutex<Option<Thread>>,
    /// The keeper's thread, as `thread::current` numbers it.
    keeper_id: AtomicUsize,
}

impl Service {
    /// `ws_send` to one of the clients: bytes of the packet, or -1. Never waits.
    pub fn send(&self, id: ConnId, data: &[u8], what: DataType) -> i32 {
        let Some(server) = self.server() else {
            return -1;
        };
        if server.buffered(id) > MAX_QUEUED {
            self.drop_client(&server, id, Exit::Send);
            return -1;
        }
        let mut len = frame_len(data.len(), false);
        let sent = match what {
            DataType::Text | DataType::Binary => {
                let text = matches!(what, DataType::Text);
                let kind = if text { Kind::Text } else { Kind::Binary };
                server.send(id, kind, data, true).is_ok()
            }
            DataType::Ping => server.ping(id, data).is_ok(),
            DataType::Pong => pong(&server, id, data),
            DataType::Close => {
                let (code, reason) = close_of(data);
                // The server's Close always has a code.
                len = frame_len(2 + reason.len(), false);
                server.close(id, code.unwrap_or(0), reason).is_ok()
            }
            DataType::Null => {
                len = i32::try_from(data.len()).unwrap_or(i32::MAX);
                server.send_framed(id, data).is_ok()
            }
            // The interface has no way to begin a message in fragments.
            DataType::Continuation => false,
        };
        if sent {
            len
        } else {
            -1
        }
    }

    fn server(&self) -> Option<Arc<Server>> {
        self.server.lock().upgrade()
    }

    /// The place of a connection in the table.
    fn index(&self, server: &Server, id: ConnId) -> Option<usize> {
        server.conn_user(id).checked_sub(1)
    }

    fn drop_client(&self, server: &Server, id: ConnId, why: Exit) {
        // Once is enough: a program may go on sending until the loop has come to it.
        let index = self.index(server, id);
        if index.is_none_or(|i| self.board.set_exit(i, why)) {
            let _ = server.abort(id);
        }
    }
}

fn pong(server: &Server, id: ConnId, data: &[u8]) -> bool {
    if data.len() > MAX_CONTROL {
        return false;
    }
    let head = Header {
        fin: true,
        rsv: 0,
        opcode: Opcode::Pong,
        mask: None,
        len: data.len() as u64,
    }
    .encode();
    let mut frame = [0; MAX_CONTROL + 2];
    let mut len = 0;
    for (to, from) in frame.iter_mut().zip(head.iter().chain(data)) {
        *to = *from;
        len += 1;
    }
    let frame = frame.get(..len).unwrap_or_default();
    server.send_framed(id, frame).is_ok()
}

fn config() -> server::Config {
    server::Config {
        threads: THREADS as u32,
        max_connections: CLIENTS as u32,
        // Programs with fewer clients have never seen two callbacks at the same time.
        fill: Some(CLIENTS_OF_THREAD as u32),
        settings: Settings {
            role: Role::Server,
            limits: Limits {
                max_message: MAX_MESSAGE,
                // Gathered here, so that one which is too large for the program is left out and
                // the next arrives.
                pieces: true,
                // Programs have heartbeats of their own.
                ping_interval: None,
                pong_timeout: Limits::FOREVER,
                close_timeout: CLOSE_TIMEOUT,
                deflate: None,
            },
            // Bounded by MAX_QUEUED before each message, whatever the size of the last.
            max_send_queue: usize::MAX / 4,
            handshake_timeout: LOGIN_TIMEOUT,
            keepalive: None,
            receive_buffer: RECEIVE_BUFFER,
            slots: CLIENTS + SPARE_SLOTS,
        },
        path: None,
        subprotocols: None,
        allowed_origins: None,
        allowed_hosts: None,
        reuse_port: false,
        tls: None,
    }
}
