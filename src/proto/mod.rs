//! The protocol, sans-IO: no sockets, no clock, no threads, no unsafe. Bytes and the time come in
//! as arguments; events and bytes to write come out as values.
#![forbid(unsafe_code)]

pub mod close;
pub mod connection;
#[cfg(feature = "proto")]
pub mod endpoint;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod mask;
pub mod outbox;
pub mod url;
pub mod utf8;

/// The allocator has no memory left. What was asked for was not done, not even in part. Data sized
/// by a peer or a caller is always reserved fallibly, so that this ends one connection and not the
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;
