#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod proto;
#[cfg(not(feature = "std"))]
mod runtime;
