//! One end fed by hand, and two ends joined in memory. Time is an argument; nothing waits.

mod harness;
mod opening;
mod running;
