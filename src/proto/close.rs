//! Close frames (RFC 6455 sections 5.5.1 and 7.4): codes, payloads, and violations, which are
//! protocol errors that know their close code.
//!
//! The closing handshake itself is in `connection`.

use super::frame::MAX_CONTROL;

/// The peer's Close frame held no code. Never sent.
pub const NO_CODE: u16 = 1005;
/// The connection ended without a Close frame of the peer. Never sent.
pub const ABNORMAL: u16 = 1006;
/// Bytes of the longest reason: a control payload without its code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// Why a connection must be failed (RFC 6455 section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The close code to send.
    pub code: u16,
    /// What was wrong. Sent to the peer as the reason.
    pub why: &'static str,
}

impl Violation {
    pub const BAD_UTF8: Violation = Violation::new(1007, "invalid UTF-8");
    pub const TOO_BIG: Violation = Violation::new(1009, "message too big");
    pub const NO_MEMORY: Violation = Violation::new(1011, "out of memory");
    pub const NO_RANDOMNESS: Violation = Violation::new(1011, "no randomness");

    pub const fn new(code: u16, why: &'static str) -> Violation {
        Violation { code, why }
    }

    /// A breach of the framing rules: 1002.
    pub const fn protocol(why: &'static str) -> Violation {
        Violation::new(1002, why)
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
            _ => Err(Violation::protocol("close payload of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    // 7.4.1: 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame by an
    // endpoint"; 7.4.2: 0-999 "are not used", the rest below 3000 is reserved for definition.
    if !is_sendable(code) {
        return Err(Violation::protocol("close code not allowed in a frame"));
    }
    // 5.5.1: "Following the 2-byte integer, the body MAY contain UTF-8-encoded data". 8.1: a byte
    // stream that is not valid UTF-8 fails the connection.
    match core::str::from_utf8(reason) {
        Ok(reason) => Ok((Some(code), reason)),
        Err(_) => Err(Violation::BAD_UTF8),
    }
}

/// As much of `reason` as fits into a Close frame, cut between characters.
pub fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while end > 0 && !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}
