//! What one side wants, and what two sides have agreed on.

use crate::zlib::{self, Present};
use core::num::NonZeroU8;

/// How the messages of one direction are compressed. One byte, so that connections can keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction(NonZeroU8);

const TAKEOVER: u8 = 0x10;

impl Direction {
    /// `window_bits`: 8 to 15, the logarithm of the window's size. `takeover`: messages refer back to earlier ones.
    pub const fn new(window_bits: u8, takeover: bool) -> Direction {
        let window_bits = if window_bits < 8 {
            8
        } else if window_bits > 15 {
            15
        } else {
            window_bits
        };
        let byte = window_bits | if takeover { TAKEOVER } else { 0 };
        match NonZeroU8::new(byte) {
            Some(byte) => Direction(byte),
            None => Direction(NonZeroU8::MIN),
        }
    }

    pub const fn window_bits(self) -> u8 {
        self.0.get() & 15
    }

    pub const fn takeover(self) -> bool {
        self.0.get() & TAKEOVER != 0
    }
}

/// What one side wants. It exists only in builds that can do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What it sends; at most so.
    pub send: Direction,
    /// What it receives; at most so.
    pub receive: Direction,
    /// 1 (fast) to 9 (small).
    pub level: u8,
    /// 1 to 9: memory of a compressor beside its window.
    pub mem_level: u8,
    /// Bytes below which a message is not compressed.
    pub min_size: usize,
    /// The most bytes that may come of a received one, on average over a message, judged at its end and every 4 KiB before
    /// that. 0: any.
    pub max_ratio: u32,
    pub present: Present,
}

/// Choices that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Nothing is kept between messages: an idle connection costs what a plain one does.
    Small,
    /// A window of 4 KiB each way.
    Balanced,
    /// A window of 32 KiB each way.
    Best,
}

impl Settings {
    /// None: this build cannot compress.
    pub fn new(preset: Preset) -> Option<Settings> {
        let present = zlib::present()?;
        let (bits, takeover, level, mem_level) = match preset {
            Preset::Small => (12, false, 3, 5),
            Preset::Balanced => (12, true, 5, 5),
            Preset::Best => (15, true, 7, 8),
        };
        Some(Settings {
            send: Direction::new(bits, takeover),
            receive: Direction::new(bits, takeover),
            level,
            mem_level,
            min_size: 128,
            max_ratio: 0,
            present,
        })
    }
}

/// What two sides have agreed on, as one of them sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    pub send: Direction,
    pub receive: Direction,
    pub present: Present,
}
