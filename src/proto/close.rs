//! Close frames (RFC 6455 sections 5.5.1 and 7.4): codes, payloads, and violations, which are
//! protocol errors that know their close code.
//!
//! The closing handshake itself is in `connection`.

use super::frame::MAX_CONTROL;
use super::OutOfMemory;

/// The peer's Close frame held no code. Never sent.
pub const NO_CODE: u16 = 1005;
/// The connection ended without a Close frame of the peer. Never sent.
pub const ABNORMAL: u16 = 1006;
/// Bytes of the longest reason: a control payload without its code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// Why a connection must be failed (RFC 6455 section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Violation {
    ReservedBit,
    ReservedOpcode,
    UnmaskedFrame,
    MaskedFrame,
    FragmentedControl,
    LongControl,
    LongLength,
    HugeLength,
    StrayContinuation,
    UnfinishedMessage,
    ShortClose,
    CloseCode,
    Utf8,
    TooBig,
    NoMemory,
    NoRandomness,
    BadDeflate,
    Ratio,
}

impl Violation {
    /// The close code to send.
    pub const fn code(self) -> u16 {
        match self {
            Violation::Utf8 | Violation::BadDeflate => 1007,
            Violation::TooBig | Violation::Ratio => 1009,
            Violation::NoMemory | Violation::NoRandomness => 1011,
            _ => 1002,
        }
    }

    /// What was wrong, in at most 123 bytes of ASCII. Sent to the peer as the reason.
    pub const fn why(self) -> &'static str {
        match self {
            Violation::ReservedBit => "reserved bit set",
            Violation::ReservedOpcode => "reserved opcode",
            Violation::UnmaskedFrame => "unmasked frame",
            Violation::MaskedFrame => "masked frame",
            Violation::FragmentedControl => "fragmented control frame",
            Violation::LongControl => "control frame over 125 bytes",
            Violation::LongLength => "length not in its shortest form",
            Violation::HugeLength => "length over 63 bits",
            Violation::StrayContinuation => "continuation without a message",
            Violation::UnfinishedMessage => "message within a fragmented message",
            Violation::ShortClose => "close payload of one byte",
            Violation::CloseCode => "close code not allowed in a frame",
            Violation::Utf8 => "invalid UTF-8",
            Violation::TooBig => "message too big",
            Violation::NoMemory => "out of memory",
            Violation::NoRandomness => "no randomness",
            Violation::BadDeflate => "invalid compressed data",
            Violation::Ratio => "message inflates too much",
        }
    }
}

impl From<OutOfMemory> for Violation {
    fn from(_: OutOfMemory) -> Violation {
        Violation::NoMemory
    }
}

/// Whether a Close frame may hold this code: those of RFC 6455 section 7.4.1, those registered with
/// IANA since (1012 to 1014), and the ranges for libraries and applications of section 7.4.2. 1004
/// to 1006 and 1015 are reserved and never stand in a frame.
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a Close frame: its code, if any, and its reason.
pub fn parse(payload: &[u8]) -> Result<(Option<u16>, &str), Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        // 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
        // integer"
        return match payload {
            [] => Ok((None, "")),
            _ => Err(Violation::ShortClose),
        };
    };
    let code = u16::from_be_bytes(*code);
    // 7.4.1: 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame by an
    // endpoint"; 7.4.2: 0-999 "are not used", the rest below 3000 is reserved for definition.
    if !is_sendable(code) {
        return Err(Violation::CloseCode);
    }
    // 5.5.1: "Following the 2-byte integer, the body MAY contain UTF-8-encoded data". 8.1: a byte
    // stream that is not valid UTF-8 fails the connection.
    match core::str::from_utf8(reason) {
        Ok(reason) => Ok((Some(code), reason)),
        Err(_) => Err(Violation::Utf8),
    }
}
