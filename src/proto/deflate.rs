//! permessage-deflate (RFC 7692), both roles.
//!
//! Does: negotiate ([`answer`], [`read_answer`]), compress messages and fragments ([`Compressor`]), inflate payloads as they
//! come, never more at once than there is room for ([`Inflater`]), and share what has no context to keep ([`Pool`]).
//!
//! Does not: frames, limits of messages, UTF-8. That is `connection`'s. DEFLATE itself is `zlib`'s.

// Without a supplier half of this can never be, which the compiler sees.
#![cfg_attr(
    not(any(feature = "deflate", feature = "deflate-system")),
    allow(unreachable_code)
)]

mod compressor;
mod inflater;
mod negotiate;
mod pool;
mod settings;

pub use compressor::Compressor;
pub use inflater::{Inflated, Inflater};
pub use negotiate::{answer, read_answer, write_answer, write_offers, Answer};
pub use pool::{Pool, Traffic};
pub use settings::{Agreed, Direction, Preset, Settings};

#[cfg(all(test, any(feature = "deflate", feature = "deflate-system")))]
pub(in crate::proto) mod tests;
