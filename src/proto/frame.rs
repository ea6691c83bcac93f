//! Frame heads (RFC 6455 section 5.2): parse and encode.
//!
//! Checks what a head shows by itself. What depends on the connection (the direction of masking,
//! reserved bits, the order of fragments, limits) is checked by `connection`. Payloads are not
//! touched here.

use alloc::vec::Vec;
use core::ops::Deref;

use super::close::Violation;

/// Bytes of the longest head: two, a 64-bit length, a masking key.
pub const MAX_HEAD: usize = 14;

/// Bytes of the longest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;

/// Bytes of a whole frame with that many bytes of payload.
pub const fn frame_len(payload: usize, masked: bool) -> usize {
    let head = match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let key = if masked { 4 } else { 0 };
    payload.saturating_add(head + key)
}

/// What a frame is.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    /// None: reserved.
    pub const fn from_u8(value: u8) -> Option<Opcode> {
        match value {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    pub const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// What a data message holds.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text = 1,
    Binary = 2,
}

impl Kind {
    /// The opcode of the first frame of such a message.
    pub const fn opcode(self) -> Opcode {
        match self {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        }
    }
}

/// The first two bytes of a head. They are enough to refuse most bad frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    pub opcode: Opcode,
    pub masked: bool,
    /// The length if below 126; 126 and 127 announce a longer field.
    len7: u8,
}

impl Start {
    pub fn parse(first: u8, second: u8) -> Result<Start, Violation> {
        // 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket
        // Connection_."
        let opcode = Opcode::from_u8(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let start = Start {
            fin: first & 0x80 != 0,
            rsv: (first >> 4) & 7,
            opcode,
            masked: second & 0x80 != 0,
            len7: second & 0x7f,
        };
        // 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
        // fragmented."
        if opcode.is_control() {
            if !start.fin {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(start.len7) > MAX_CONTROL {
                return Err(Violation::LongControl);
            }
        }
        Ok(start)
    }
}

/// A frame head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    pub opcode: Opcode,
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub len: u64,
}

impl Header {
    /// The head at the beginning of `bytes` and its length in bytes. None: more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let start = Start::parse(*first, *second)?;
        let (len, rest) = match start.len7 {
            126 => match rest.split_first_chunk() {
                Some((field, rest)) => (u64::from(u16::from_be_bytes(*field)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((field, rest)) => (u64::from_be_bytes(*field), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        // 5.2: "the minimal number of bytes MUST be used to encode the length"
        if (start.len7 == 126 && len < 126) || (start.len7 == 127 && len <= 0xffff) {
            return Err(Violation::LongLength);
        }
        // 5.2: "the most significant bit MUST be 0"
        if len >> 63 != 0 {
            return Err(Violation::HugeLength);
        }
        let (mask, rest) = if start.masked {
            match rest.split_first_chunk() {
                Some((key, rest)) => (Some(*key), rest),
                None => return Ok(None),
            }
        } else {
            (None, rest)
        };
        let header = Header {
            fin: start.fin,
            rsv: start.rsv,
            opcode: start.opcode,
            mask,
            len,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    pub fn encode(&self) -> Head {
        let mut head = Head {
            bytes: [0; MAX_HEAD],
            len: 0,
        };
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        head.put([u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode as u8]);
        match self.len {
            0..=125 => head.put([masked | self.len as u8]),
            126..=0xffff => {
                head.put([masked | 126]);
                head.put((self.len as u16).to_be_bytes());
            }
            _ => {
                head.put([masked | 127]);
                head.put(self.len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            head.put(key);
        }
        head
    }
}

/// An encoded frame head.
#[derive(Clone, Copy)]
pub struct Head {
    bytes: [u8; MAX_HEAD],
    len: u8,
}

impl Head {
    /// Appends the head to a buffer that has room for MAX_HEAD bytes more.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        // All bytes, whose number is known to the compiler, cost less than just those that count.
        let len = out.len() + usize::from(self.len);
        out.extend_from_slice(&self.bytes);
        out.truncate(len);
    }

    fn put<const N: usize>(&mut self, more: [u8; N]) {
        let free = self.bytes.get_mut(usize::from(self.len)..);
        if let Some(place) = free.and_then(|free| free.first_chunk_mut()) {
            *place = more;
            self.len += N as u8;
        }
    }
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl core::fmt::Debug for Head {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
