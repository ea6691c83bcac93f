//! Compressors and inflaters joined, with data of all sorts, cut at all places.

pub mod messages;
mod reference;
mod wire;

use super::*;
use alloc::vec::Vec;

/// Numbers that look random and are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Data of one of several sorts: noise, text, runs, repetitions from near and far.
pub fn data(dice: &mut Dice, len: usize) -> Vec<u8> {
    let sort = dice.below(5);
    let mut out: Vec<u8> = Vec::with_capacity(len + 300);
    while out.len() < len {
        match sort {
            0 => out.push(dice.next() as u8),
            1 => {
                let temperature = dice.below(40);
                out.extend(b"{\"sensor\":\"boiler-");
                out.extend(temperature.to_string().bytes());
                out.extend(b"\",\"temperature\":21.");
                out.extend(dice.below(100).to_string().bytes());
                out.extend(b"}");
            }
            2 => {
                let byte = dice.next() as u8;
                let run = dice.below(300);
                out.resize(out.len() + run + 1, byte);
            }
            3 if out.len() > 8 => {
                let from = dice.below(out.len());
                let run = dice.below(280).min(out.len() - from);
                out.extend_from_within(from..from + run);
                out.push(dice.next() as u8);
            }
            _ => out.extend((0..8).map(|_| b"etaoin shrdlu"[dice.below(13)])),
        }
    }
    out.truncate(len);
    out
}

pub fn agreed(send: Direction, receive: Direction) -> Agreed {
    Agreed {
        send,
        receive,
        present: crate::zlib::present().unwrap(),
    }
}

pub fn both(bits: u8, takeover: bool) -> Agreed {
    let way = Direction::new(bits, takeover);
    agreed(way, way)
}

pub fn settings(level: u8, mem_level: u8) -> Settings {
    Settings {
        level,
        mem_level,
        ..Settings::new(Preset::Best).unwrap()
    }
}

/// Inflates a message that comes in these parts, with at most `room` bytes of output a call.
pub fn inflate(
    inflater: &mut Inflater,
    parts: &[&[u8]],
    room: usize,
) -> Result<Vec<u8>, crate::zlib::InflateError> {
    let mut out = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let last = number + 1 == parts.len();
        let mut at = 0;
        loop {
            out.reserve(room);
            let before = out.len();
            let step = inflater.run(&part[at..], last, &mut out, room)?;
            assert!(out.len() - before <= room);
            at += step.used;
            if step.done {
                assert_eq!(at, part.len());
                break;
            }
            assert_eq!(out.len() - before, room, "not done, but there is room");
        }
    }
    Ok(out)
}

/// Cuts `data` at random places.
pub fn cut<'a>(dice: &mut Dice, data: &'a [u8], most: usize) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = (0..dice.below(most))
        .map(|_| dice.below(data.len() + 1))
        .collect();
    places.push(0);
    places.push(data.len());
    places.sort_unstable();
    places.windows(2).map(|w| &data[w[0]..w[1]]).collect()
}
