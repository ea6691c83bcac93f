//! The protocol, sans-IO: no sockets, no clock, no threads, no unsafe. Bytes and the time come in
//! as arguments; events and bytes to write come out as values.
#![forbid(unsafe_code)]

#[cfg(not(feature = "reach"))]
mod absent;
pub mod close;
pub mod connection;
#[cfg(feature = "reach")]
pub mod cookie;
pub mod deflate;
#[cfg(feature = "proto")]
pub mod endpoint;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod mask;
pub mod outbox;
#[cfg(feature = "reach")]
pub mod proxy;
#[cfg(feature = "reach")]
pub mod redirect;
pub mod url;
pub mod utf8;

#[cfg(not(feature = "reach"))]
pub use absent::{cookie, proxy, redirect};

/// The allocator has no memory left. What was asked for was not done, not even in part. Data sized
/// by a peer or a caller is always reserved fallibly, so that this ends one connection and not the
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;
