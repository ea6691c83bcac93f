//! Counters that the loop's thread writes and every thread may read. One writer only, so that
//! counting is a load and a store, without a locked instruction.

use core::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Counter(AtomicU64);

// On 32 bits each of these is a loop, too long to stand wherever something is counted.
impl Counter {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub fn subtract(&self, n: u64) {
        self.add(n.wrapping_neg());
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
    deflate_sent_before,
    deflate_sent_after,
    deflate_received_before,
    deflate_received_after,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On 32-bit machines too.
    #[test]
    fn counters_hold_more_than_32_bits() {
        let counters = Counters::default();
        let mut sum = Stats::default();
        counters.bytes_received.add(u32::MAX.into());
        counters.bytes_received.add(5);
        counters.messages_sent.add(1 << 40);
        counters.messages_sent.subtract(1);
        counters.add_to(&mut sum);
        counters.add_to(&mut sum);
        assert_eq!(sum.bytes_received, 2 * 0x1_0000_0004);
        assert_eq!(sum.messages_sent, 2 * 0xff_ffff_ffff);
    }
}
