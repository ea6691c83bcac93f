//! The connection from outside: bytes against events, on simulated time.

mod flood;
mod harness;
mod memory;
mod pair;
mod receiving;
mod sending;
mod timing;
mod vectors;
