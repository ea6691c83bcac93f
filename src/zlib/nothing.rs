//! A build without a supplier: none of these can exist.

use super::{InflateError, Ran};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// That streams can be made: not in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {}

pub const fn present() -> Option<Present> {
    None
}

#[derive(Debug)]
pub enum Deflate {}

#[derive(Debug)]
pub enum Inflate {}

impl Deflate {
    pub fn new(present: Present, _: u8, _: u8, _: u8) -> Result<Deflate, OutOfMemory> {
        match present {}
    }

    pub fn run(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Ran {
        match *self {}
    }

    pub fn reset(&mut self) {
        match *self {}
    }
}

impl Inflate {
    pub fn new(present: Present, _: u8) -> Result<Inflate, OutOfMemory> {
        match present {}
    }

    pub fn run(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<Ran, InflateError> {
        match *self {}
    }

    pub fn expects_tail(&self) -> bool {
        match *self {}
    }

    pub fn restart(&mut self) {
        match *self {}
    }

    pub fn reset(&mut self) {
        match *self {}
    }
}
