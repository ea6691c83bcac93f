//! The connection from outside: bytes against events, on simulated time.

#[cfg(any(feature = "deflate", feature = "deflate-system"))]
mod deflate;
mod flood;
mod harness;
mod memory;
mod pair;
mod receiving;
mod sending;
mod timing;
mod vectors;
