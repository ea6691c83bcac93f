//! Compression (permessage-deflate): how it is configured, and what was agreed on.

use core::ffi::c_int;

use super::guard;
use crate::error::{Error, Status};
use crate::proto::deflate::{Agreed, Direction, Preset, Settings};

/// How messages are compressed (permessage-deflate, RFC 7692), where the peer agrees to it: the
/// field `deflate` of the configs. Each choice sets what ws_deflate_options says in detail.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_deflate_mode {
    /// Not at all.
    WS_DEFLATE_OFF = 0,
    /// Every message by itself, window 4 KiB, level 3. All connections of a thread share one
    /// compressor and one decompressor, so that an idle connection costs nothing more than one
    /// without compression.
    WS_DEFLATE_SMALL = 1,
    /// Messages refer back to earlier ones, which makes much of short and similar messages; window
    /// 4 KiB, level 5. Each connection keeps its own state once it is used, see
    /// docs/compression.md.
    WS_DEFLATE_BALANCED = 2,
    /// As balanced, window 32 KiB, level 7.
    WS_DEFLATE_BEST = 3,
}

/// In send_context_takeover and receive_context_takeover.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ws_deflate_context {
    /// Messages refer back to earlier ones in the same direction.
    WS_DEFLATE_KEEP = 1,
    /// Each message is compressed by itself.
    WS_DEFLATE_FORGET = 2,
}

/// Details of compression: the field `deflate_options` of the configs. Zero-initialise it and set
/// struct_size: every other field left zero means what the mode (`deflate`) brings along. Copied.
/// What is agreed on with a peer may be less: its window may be smaller, and it may ask for no
/// context. Grows at the end only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_deflate_options {
    /// sizeof(ws_deflate_options).
    pub struct_size: usize,
    /// Window of what is sent: a power of two, 9 (512 bytes) to 15 (32 KiB) [by the mode].
    pub send_window_bits: u32,
    /// Window of what is received, likewise. A peer that cannot bound its window is asked to take
    /// over no context instead.
    pub receive_window_bits: u32,
    /// WS_DEFLATE_KEEP or WS_DEFLATE_FORGET [by the mode].
    pub send_context_takeover: c_int,
    /// WS_DEFLATE_KEEP or WS_DEFLATE_FORGET [by the mode].
    pub receive_context_takeover: c_int,
    /// 1 (fastest) to 9 (smallest output) [by the mode].
    pub level: u32,
    /// Memory of a compressor beside its window, 1 (least) to 9; with zlib 2^(mem_level + 9) bytes
    /// [by the mode].
    pub mem_level: u32,
    /// Messages shorter than that many bytes are sent as they are [128].
    pub min_size: usize,
    /// The most bytes that one byte of a received message may inflate to, on average over the
    /// message; one that goes beyond fails the connection with close code 1009 [any]. It is judged
    /// at the message's end, and before that in steps of 4 KiB as received: no more may come of
    /// the first 4 KiB than 4096 times this, of the first 8 KiB than 8192 times this, and so on;
    /// inflating stops there. How a message is cut into fragments and packets makes no difference.
    /// max_message_size bounds the message itself, while it is inflated.
    pub max_ratio: u32,
}

/// What was agreed on for a connection. Set struct_size, then call ws_server_deflate(),
/// ws_client_deflate() or ws_proto_deflate().
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ws_deflate_info {
    /// sizeof(ws_deflate_info).
    pub struct_size: usize,
    /// 1: messages may be compressed, both ways. 0: none is; the other fields are 0.
    pub active: c_int,
    /// Window of what is sent, 8 to 15.
    pub send_window_bits: u32,
    /// Window of what is received, 8 to 15.
    pub receive_window_bits: u32,
    /// 1: messages that are sent may refer back to earlier ones. 0: they do not.
    pub send_context_takeover: c_int,
    /// 1: messages that are received may refer back to earlier ones. 0: they do not.
    pub receive_context_takeover: c_int,
}

/// Or'ed to the kind of a message that is sent: it is not compressed, since that would be in vain
/// (pictures, archives, ciphertext) or unwise (a secret beside text of an attacker's choice, RFC
/// 7692 section 8). Of no effect on connections without compression.
pub const WS_UNCOMPRESSED: c_int = 0x10;

/// From the fields of a config.
pub unsafe fn settings(
    mode: c_int,
    options: *const ws_deflate_options,
) -> Result<Option<Settings>, Error> {
    let preset = match mode {
        0 if options.is_null() => return Ok(None),
        0 => {
            return Err(
                Status::InvalidArg.because("deflate_options is set, but deflate is WS_DEFLATE_OFF")
            )
        }
        1 => Preset::Small,
        2 => Preset::Balanced,
        3 => Preset::Best,
        other => {
            return Err(Status::InvalidArg.because(words!("deflate is {}, no mode", other)));
        }
    };
    let Some(mut settings) = Settings::new(preset) else {
        return Err(Status::Unsupported.because("deflate: this build has no compression"));
    };
    if !options.is_null() {
        // SAFETY: as the caller promises.
        let options = unsafe { guard::config(options, "ws_deflate_options") }?;
        options.apply(&mut settings)?;
    }
    Ok(Some(settings))
}

impl ws_deflate_options {
    fn apply(&self, settings: &mut Settings) -> Result<(), Error> {
        settings.send = direction(
            settings.send,
            self.send_window_bits,
            self.send_context_takeover,
            ["send_window_bits", "send_context_takeover"],
        )?;
        settings.receive = direction(
            settings.receive,
            self.receive_window_bits,
            self.receive_context_takeover,
            ["receive_window_bits", "receive_context_takeover"],
        )?;
        settings.level = within(self.level, settings.level, 1, 9, "level")?;
        settings.mem_level = within(self.mem_level, settings.mem_level, 1, 9, "mem_level")?;
        if self.min_size != 0 {
            settings.min_size = self.min_size;
        }
        settings.max_ratio = self.max_ratio;
        Ok(())
    }
}

fn direction(
    preset: Direction,
    bits: u32,
    takeover: c_int,
    [bits_name, takeover_name]: [&str; 2],
) -> Result<Direction, Error> {
    let bits = within(bits, preset.window_bits(), 9, 15, bits_name)?;
    let takeover = match takeover {
        0 => preset.takeover(),
        1 => true,
        2 => false,
        other => {
            return Err(Status::InvalidArg.because(words!(
                "{} is {}, neither WS_DEFLATE_KEEP nor WS_DEFLATE_FORGET",
                takeover_name,
                other
            )))
        }
    };
    Ok(Direction::new(bits, takeover))
}

fn within(value: u32, default: u8, min: u8, max: u8, name: &str) -> Result<u8, Error> {
    match u8::try_from(value) {
        Ok(0) => Ok(default),
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        _ => Err(Status::InvalidArg.because(words!(
            "{} is {}, not {} to {}",
            name,
            value,
            u32::from(min),
            u32::from(max)
        ))),
    }
}

/// Fills in what was agreed on.
pub unsafe fn fill(out: *mut ws_deflate_info, agreed: Option<Agreed>) -> Result<(), Error> {
    // SAFETY: as the caller promises.
    let struct_size = unsafe { guard::size_of_out(out, "ws_deflate_info") }?;
    let filled = match agreed {
        None => ws_deflate_info {
            struct_size,
            ..ws_deflate_info::default()
        },
        Some(agreed) => ws_deflate_info {
            struct_size,
            active: 1,
            send_window_bits: u32::from(agreed.send.window_bits()),
            receive_window_bits: u32::from(agreed.receive.window_bits()),
            send_context_takeover: c_int::from(agreed.send.takeover()),
            receive_context_takeover: c_int::from(agreed.receive.takeover()),
        },
    };
    // SAFETY: the size was just looked at.
    unsafe { guard::fill_out(out, &filled) };
    Ok(())
}
