//! The small pieces that hand-written code has on its own: accept key, mask, frame head.

use core::ffi::{c_char, c_int, c_void};

use super::proto_guard as guard;
use super::status::ws_status;
use crate::error::{Error, Status};
use crate::proto::frame::{Header, Opcode};
use crate::proto::{handshake, mask};

/// What a frame is (RFC 6455 section 5.2). The other values are reserved.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_opcode {
    /// A further fragment of a message.
    WS_OP_CONTINUATION = 0,
    /// A text message, or its first fragment.
    WS_OP_TEXT = 1,
    /// A binary message, or its first fragment.
    WS_OP_BINARY = 2,
    /// Close; its payload is a code in two bytes, high byte first, and a reason, or nothing.
    WS_OP_CLOSE = 8,
    /// Ping.
    WS_OP_PING = 9,
    /// Pong.
    WS_OP_PONG = 10,
}

/// The head of a frame (RFC 6455 section 5.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ws_frame_head {
    /// 1: the message ends with this frame.
    pub fin: c_int,
    /// The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1. 0 without an extension.
    pub rsv: c_int,
    /// A ws_opcode.
    pub opcode: c_int,
    /// 1: the payload is masked with mask. Every frame of a client is, none of a server.
    pub masked: c_int,
    /// The masking key; 0 without one.
    pub mask: [u8; 4],
    /// Bytes of payload, up to 2^63 - 1: compare it with a limit before it becomes a size_t.
    pub len: u64,
}

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2): writes 28 characters and a
/// NUL. key: as it stands in the request, without white space around it. out: 29 bytes.
/// WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_accept_key(key: *const c_char, out: *mut c_char) -> ws_status {
    guard::run(|| {
        let key = guard::bytes_of(key).ok_or(Status::InvalidArg)?;
        let [first @ .., end] = guard::array_out::<29>(out.cast(), "out")?;
        first.copy_from_slice(&handshake::accept_key(key));
        *end = 0;
        Ok(())
    })
}

/// Masks or unmasks len bytes in place (RFC 6455 section 5.3). key: 4 bytes. offset: bytes of the
/// same payload before data, so that it can be done in parts; 0 at its beginning.
/// WS_ERR_INVALID_ARG. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_mask(
    data: *mut c_void,
    len: usize,
    key: *const u8,
    offset: usize,
) -> ws_status {
    guard::run(|| {
        let mut key = *guard::array_in::<4>(key, "key")?;
        key.rotate_left(offset % 4);
        mask::apply_binary(guard::data_mut(data, len)?, key);
        Ok(())
    })
}

/// Reads a frame head from the first bytes of a frame. *out is filled in when the head is whole.
/// Returns its length, 2 to 14 bytes; 0: more than len bytes are needed; WS_ERR_PROTOCOL: reserved
/// opcode, control frame that is over 125 bytes or fragmented, length that is over 63 bits or not in
/// its shortest form. Masking and reserved bits are left to the caller. WS_ERR_INVALID_ARG. [any
/// thread]
#[no_mangle]
pub unsafe extern "C" fn ws_frame_parse(
    data: *const c_void,
    len: usize,
    out: *mut ws_frame_head,
) -> c_int {
    let mut head_len = 0;
    let status = guard::run(|| {
        let parsed = Header::parse(guard::data(data, len)?).map_err(protocol)?;
        let out = guard::place(out, "out")?;
        if let Some((header, consumed)) = parsed {
            head_len = consumed as c_int;
            *out = header.into();
        }
        Ok(())
    });
    length_or(status, head_len)
}

/// Writes a frame head. out: 14 bytes. len is written in its shortest form; the payload is the
/// caller's to write, and to mask with ws_mask().
/// Returns the length of the head, 2 to 14 bytes. WS_ERR_INVALID_ARG: reserved opcode, rsv over 7,
/// control frame that is over 125 bytes or fragmented, length over 63 bits. [any thread]
#[no_mangle]
pub unsafe extern "C" fn ws_frame_build(head: *const ws_frame_head, out: *mut u8) -> c_int {
    let mut head_len = 0;
    let status = guard::run(|| {
        let header = Header::try_from(*guard::place_in(head, "head")?)?;
        let encoded = header.encode();
        let out = guard::array_out::<14>(out, "out")?;
        for (place, byte) in out.iter_mut().zip(encoded.iter()) {
            *place = *byte;
        }
        head_len = encoded.len() as c_int;
        Ok(())
    });
    length_or(status, head_len)
}

impl From<Header> for ws_frame_head {
    fn from(header: Header) -> ws_frame_head {
        ws_frame_head {
            fin: c_int::from(header.fin),
            rsv: c_int::from(header.rsv),
            opcode: header.opcode as c_int,
            masked: c_int::from(header.mask.is_some()),
            mask: header.mask.unwrap_or_default(),
            len: header.len,
        }
    }
}

impl TryFrom<ws_frame_head> for Header {
    type Error = Error;

    fn try_from(head: ws_frame_head) -> Result<Header, Error> {
        let opcode = u8::try_from(head.opcode).ok().and_then(Opcode::from_u8);
        let rsv = u8::try_from(head.rsv).ok().filter(|rsv| *rsv <= 7);
        let (Some(opcode), Some(rsv)) = (opcode, rsv) else {
            return Err(Status::InvalidArg.because("opcode or rsv is out of bounds"));
        };
        let header = Header {
            fin: head.fin != 0,
            rsv,
            opcode,
            mask: (head.masked != 0).then_some(head.mask),
            len: head.len,
        };
        // What must not be read must not be written.
        match Header::parse(&header.encode()) {
            Ok(_) => Ok(header),
            Err(violation) => Err(Status::InvalidArg.because(violation.why())),
        }
    }
}

fn protocol(violation: crate::proto::close::Violation) -> Error {
    Status::Protocol.because(violation.why())
}

fn length_or(status: ws_status, len: c_int) -> c_int {
    match status {
        ws_status::WS_OK => len,
        failed => failed as c_int,
    }
}
