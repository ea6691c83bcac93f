//! The wall clock, and what stands in for it where it was never set.

use crate::net::sys::wall_clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Tells rustls the time.
#[derive(Debug)]
pub struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

pub fn now() -> UnixTime {
    at(wall_clock())
}

/// The clock counts from 1970 on; before, it counts as 1970.
pub fn at(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(core::time::Duration::from_secs(
        u64::try_from(seconds).unwrap_or(0),
    ))
}

pub fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
