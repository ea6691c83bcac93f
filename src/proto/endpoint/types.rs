//! What goes into an endpoint and what comes out of it. Values only.

use alloc::string::String;

use crate::proto::close::{self, Violation};
use crate::proto::connection::{self, Limits, SendError};
use crate::proto::OutOfMemory;

/// What an endpoint is made with. Times in milliseconds, sizes in bytes.
#[derive(Debug)]
pub struct Settings {
    pub limits: Limits,
    /// Bytes queued, frame heads included, above which messages are refused.
    pub max_send_queue: usize,
    pub handshake_timeout: u32,
    /// A server speaks these, a client offers them; preferred first.
    pub subprotocols: Option<String>,
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// An upgrade waits for `accept` or `refuse`; see `request`.
    Request,
    /// An ordinary HTTP request waits for `refuse`; see `request`.
    Page,
    Open,
    /// A message, a piece, a Ping or a Pong.
    Received(connection::Event),
    /// The closing handshake is done; see `outcome`.
    Closed,
    Failed(Failure),
}

/// Why there is no WebSocket, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    /// The close code that was sent; 1006 if none.
    pub code: u16,
    pub by_peer: bool,
    pub why: &'static str,
    /// The status that the server has answered, on either side; 0 if none.
    pub http_status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The opening handshake was refused or malformed.
    Handshake,
    /// The peer broke the protocol.
    Protocol,
    /// The transport ended without a closing handshake.
    Lost,
    Timeout,
    NoMemory,
    NoRandomness,
}

/// What is left to do with the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    GoOn,
    /// Nothing more will be written. The peer may not have read the last of it, so the transport is
    /// ended for sending and read on until the peer ends it (RFC 9112 section 9.6).
    EndSending,
    End,
}

/// Why a command did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// The send queue is full.
    Again,
    Invalid(&'static str),
    Send(SendError),
}

impl Failure {
    /// One that was found on this side, without a Close.
    pub(super) const fn new(cause: Cause, why: &'static str) -> Failure {
        Failure {
            cause,
            code: close::ABNORMAL,
            by_peer: false,
            why,
            http_status: 0,
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Failure {
        let cause = match violation {
            Violation::NoMemory => Cause::NoMemory,
            Violation::NoRandomness => Cause::NoRandomness,
            _ => Cause::Protocol,
        };
        Failure {
            code: violation.code(),
            ..Failure::new(cause, violation.why())
        }
    }
}

impl From<OutOfMemory> for CommandError {
    fn from(_: OutOfMemory) -> CommandError {
        CommandError::Send(SendError::NoMemory)
    }
}
