#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

// First, since the others use its macro.
#[macro_use]
pub mod text;

pub mod client;
#[cfg(feature = "dropin")]
pub mod dropin;
pub mod engine;
pub mod error;
pub mod guard;
pub mod log;
pub mod net;
pub mod proto;
pub mod rare;
pub mod server;
pub mod tls;
pub mod zlib;

mod capi;
#[cfg(not(feature = "std"))]
mod runtime;

/// The types of the C face, for tests that compare their layout with what a C compiler sees.
pub mod abi {
    pub use crate::capi::*;
}
