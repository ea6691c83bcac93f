//! Counters: plain numbers while a turn runs, published at its end for other threads to read.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Numbers of one event loop, or the sum of several.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, readable from every thread.
        #[derive(Default)]
        pub struct Published {
            $($name: AtomicU64,)*
        }

        impl Published {
            pub fn store(&self, stats: &Stats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            pub fn add_to(&self, sum: &mut Stats) {
                $(sum.$name += self.$name.load(Ordering::Relaxed);)*
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
