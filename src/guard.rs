//! The panic guard: with the feature `std` a bug in libws that panics is contained here and
//! becomes an error; without it a panic ends the process, and this does nothing.

use crate::error::{Error, Status};

/// Runs `body`; a panic in it is answered with `Status::Internal`.
#[cfg(feature = "std")]
pub fn contain<R>(body: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    // What `body` has left half done is only reached through cells that notice, and the caller is
    // told to free the handle.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(Status::Internal.because("a bug in libws was contained")))
}

#[cfg(not(feature = "std"))]
pub fn contain<R>(body: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    let _ = Status::Internal;
    body()
}
