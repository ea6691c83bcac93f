//! zlib's `z_stream` interface, bound once for two suppliers: `libz-rs-sys`, compiled in (feature `deflate`), and the
//! system's libz (feature `deflate-system`). The only place that knows of either; what leaves it is safe to use.
//!
//! Raw DEFLATE streams only (RFC 1951). Memory comes from the crate's allocator, and that there is none left is a value:
//! all of it is asked for when a stream is made, but for the inflater's window with libz, which asks at its first use.
//!
//! Built with neither feature there is no [`Present`], so that what needs one cannot be made, and the compiler drops it.
#![allow(unsafe_code)]

#[cfg(any(feature = "deflate", feature = "deflate-system"))]
mod bound;
#[cfg(feature = "deflate-system")]
mod libz;
#[cfg(not(any(feature = "deflate", feature = "deflate-system")))]
mod nothing;

#[cfg(any(feature = "deflate", feature = "deflate-system"))]
pub use bound::{present, Deflate, Inflate, Present};
#[cfg(not(any(feature = "deflate", feature = "deflate-system")))]
pub use nothing::{present, Deflate, Inflate, Present};

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Bytes of the input that were used up.
    pub used: usize,
    /// The output was filled up, so there may be more of it: call again, be it without input.
    pub full: bool,
    /// Inflating: a block with BFINAL ended here, and with it the stream. See [`Inflate::restart`].
    pub ended: bool,
}

/// Why inflating cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is not DEFLATE data.
    Data,
    NoMemory,
}
