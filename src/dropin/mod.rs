//! What programs written for websocket_for_linux call: messages over plain descriptors, and a
//! server behind a table of clients. The same protocol core and the same server as everywhere else;
//! here are only the habits of that interface.
//!
//! Not here: C types and pointers (`capi::dropin`), the protocol (`proto`), event loops (`engine`).
//!
//! ```text
//!   fds       which connection a descriptor stands for: one of these two
//!   own       a connection that the program reads and writes: ws_requestServer, ws_replyClient
//!   service   a server; its connections are read and written by its loops
//!   open      the two opening handshakes of `own`
//! ```

pub mod fds;
pub mod open;
pub mod own;
pub mod service;

use crate::net::sys::foreign::borrowed;
use crate::proto::close;
use crate::proto::frame::{Header, Kind, Opcode};
use core::ffi::c_int;
use fds::Holder;

/// `Ws_DataType`: what a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// Not a WebSocket packet.
    Null = 0,
    /// A continuation. Never told, as fragmented messages arrive whole.
    Continuation = 1,
    Text = 2,
    Binary = 3,
    Close = 4,
    Ping = 5,
    Pong = 6,
}

impl DataType {
    pub fn of(value: i32) -> Option<DataType> {
        Some(match value {
            0 => DataType::Null,
            1 => DataType::Continuation,
            2 => DataType::Text,
            3 => DataType::Binary,
            4 => DataType::Close,
            5 => DataType::Ping,
            6 => DataType::Pong,
            _ => return None,
        })
    }
}

impl From<Kind> for DataType {
    fn from(kind: Kind) -> DataType {
        match kind {
            Kind::Text => DataType::Text,
            Kind::Binary => DataType::Binary,
        }
    }
}

/// The longest message: its length has to fit into what the calls return. A longer one fails the
/// connection with 1009 as soon as it is announced.
pub const MAX_MESSAGE: u64 = i32::MAX as u64;

/// `ws_send`: bytes of the packet that was sent or accepted for sending, or -1.
pub fn send(fd: c_int, data: &[u8], what: DataType) -> i32 {
    match fds::find(fd) {
        Some(Holder::Own(own)) => own::send(&own, fd, data, what),
        Some(Holder::Served(service, id)) => service.send(id, data, what),
        // Before the handshake there are only bytes.
        None if what == DataType::Null => open::send_all(fd, data),
        None => -1,
    }
}

/// `ws_recv`. `buffer` None: the content is thrown away; else it has at least one byte.
pub fn receive(fd: c_int, buffer: Option<&mut [u8]>) -> own::Told {
    match fds::find(fd) {
        Some(Holder::Own(own)) => own.lock().receive(&borrowed(fd), buffer),
        // Its messages go to onMessage.
        Some(Holder::Served(..)) => (0, DataType::Null),
        None => open::receive_bytes(fd, buffer),
    }
}

/// The code and the reason of a Close that the program puts together. A payload that is none
/// is left out.
fn close_of(payload: &[u8]) -> (Option<u16>, &str) {
    close::parse(payload).unwrap_or((None, ""))
}

/// Bytes of a frame with such a payload.
fn frame_len(payload: usize, masked: bool) -> i32 {
    let header = Header {
        fin: true,
        rsv: 0,
        opcode: Opcode::Binary,
        mask: masked.then_some([0; 4]),
        len: payload as u64,
    };
    i32::try_from(payload.saturating_add(header.encode().len())).unwrap_or(i32::MAX)
}
