//! What the connections of one event loop share: a compressor and an inflater for all those that keep no context, and
//! memory to work in.
//!
//! A connection that keeps a context has its own; one that keeps none takes one here for the time of a message, so that
//! while it is idle it has nothing.

use super::{Agreed, Compressor, Inflater, Settings};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// Output of a compressor beyond this is not kept for the next.
const KEPT: usize = 64 * 1024;

#[derive(Debug, Default)]
pub struct Pool {
    compressor: Option<Compressor>,
    inflater: Option<Inflater>,
    output: Vec<u8>,
    traffic: Traffic,
    /// It was used since that was asked last.
    touched: bool,
}

/// Bytes of payloads of messages that were compressed, before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub sent_plain: u64,
    pub sent_packed: u64,
    pub received_packed: u64,
    pub received_plain: u64,
}

impl Pool {
    pub const fn new() -> Pool {
        Pool {
            compressor: None,
            inflater: None,
            output: Vec::new(),
            traffic: Traffic {
                sent_plain: 0,
                sent_packed: 0,
                received_packed: 0,
                received_plain: 0,
            },
            touched: false,
        }
    }

    /// All of it since the pool was made.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// It was used since this was asked last.
    #[inline]
    pub fn take_touched(&mut self) -> bool {
        core::mem::take(&mut self.touched)
    }

    /// Counts bytes.
    pub fn count_sent(&mut self, plain: usize, packed: usize) {
        self.touched = true;
        self.traffic.sent_plain += plain as u64;
        self.traffic.sent_packed += packed as u64;
    }

    pub fn count_received(&mut self, packed: usize, plain: usize) {
        self.touched = true;
        self.traffic.received_packed += packed as u64;
        self.traffic.received_plain += plain as u64;
    }

    /// Frees the memory to work in. The compressor and the inflater stay: there is one of each, and who has sent one
    /// message sends another.
    pub fn trim(&mut self) {
        self.output = Vec::new();
    }

    /// A compressor as new. Give it back.
    pub fn take_compressor(
        &mut self,
        settings: &Settings,
        agreed: Agreed,
    ) -> Result<Compressor, OutOfMemory> {
        let window_bits = agreed.send.window_bits();
        let kept = self.compressor.take();
        match kept.filter(|c| c.window_bits() == window_bits) {
            Some(mut compressor) => {
                compressor.reset();
                Ok(compressor)
            }
            None => Compressor::new(settings, agreed),
        }
    }

    pub fn give_compressor(&mut self, compressor: Compressor) {
        self.compressor = Some(compressor);
    }

    /// An inflater as new. Give it back.
    pub fn take_inflater(&mut self, agreed: Agreed) -> Result<Inflater, OutOfMemory> {
        match self.inflater.take().filter(|i| i.suits(agreed)) {
            Some(mut inflater) => {
                inflater.reset();
                Ok(inflater)
            }
            None => Inflater::new(agreed),
        }
    }

    pub fn give_inflater(&mut self, inflater: Inflater) {
        self.inflater = Some(inflater);
    }

    /// An empty buffer. Give it back.
    pub fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.output)
    }

    pub fn give_output(&mut self, mut output: Vec<u8>) {
        if output.capacity() <= KEPT {
            output.clear();
            self.output = output;
        }
    }
}
