//! Counters that the loop's thread writes and every thread may read. One writer only, so that
//! counting is a load and a store, without a locked instruction.

use core::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    pub fn subtract(&self, n: u64) {
        self.0.store(self.get().wrapping_sub(n), Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// Of one event loop. `ws_stats` says what each means.
        #[derive(Default)]
        pub struct Counters {
            $(pub $name: Counter,)*
        }

        /// The sum of several loops.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $(pub $name: u64,)*
        }

        impl Counters {
            pub fn add_to(&self, sum: &mut Stats) {
                $(sum.$name += self.$name.get();)*
            }
        }
    };
}

counters! {
    connections_open,
    connections_total,
    handshakes_failed,
    http_requests,
    messages_received,
    messages_sent,
    messages_dropped,
    bytes_received,
    bytes_sent,
    protocol_errors,
    timeouts,
}
