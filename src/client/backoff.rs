//! How long to wait before the next attempt: exponential backoff with full jitter. Values only: the
//! clock and the randomness are the caller's.

/// The longest wait that a server can ask for with Retry-After: a day.
const LONGEST: u64 = 24 * 60 * 60 * 1000;
/// The least wait after a server that has said to be overloaded or restarting (codes 1013, 1012).
const POLITE: u64 = 5000;
/// RFC 6455's registry on 1012: "a randomized delay of 5 - 30s".
const RESTART: u64 = 30_000;

/// How soon an attempt may follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Sooner at first, later with each failure.
    Normal,
    /// Nothing will change by itself (401, 403, a bad certificate): at the longest delay.
    Slow,
    /// Close code 1012, service restart.
    Restart,
    /// Close code 1013, try again later.
    Busy,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// In a row, without a stable connection between them.
    failures: u32,
}

impl Backoff {
    /// A connection was stable: the row ends.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure. Returns the number of the attempt that follows (1 after the first failure)
    /// and its delay in ms. `min` is not above `max`; `after` is what the server asked for, in ms.
    pub fn fail(
        &mut self,
        (min, max): (u32, u32),
        pace: Pace,
        after: Option<u64>,
        random: u64,
    ) -> (u32, u64) {
        self.failures = self.failures.saturating_add(1);
        let (min, max) = (u64::from(min), u64::from(max));
        let (low, high) = match pace {
            Pace::Normal => (min, (min << self.failures.min(32)).min(max)),
            Pace::Slow => (min.max(max / 2), max),
            Pace::Restart => (min.max(POLITE), min.max(RESTART)),
            Pace::Busy => (min.max(max / 2).max(POLITE), max.max(2 * POLITE)),
        };
        let mut delay = between(low, high, random);
        if let Some(after) = after {
            // Those who were refused together are not to come back together.
            let after = after.min(LONGEST);
            delay = delay.max(between(after, after + after / 4, random));
        }
        (self.failures, delay)
    }
}

fn between(low: u64, high: u64, random: u64) -> u64 {
    low + random % (high.saturating_sub(low) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: (u32, u32) = (100, 3000);

    #[test]
    fn delays_grow_from_the_first_failure_up_to_the_longest() {
        let mut backoff = Backoff::default();
        for (n, ceiling) in [200, 400, 800, 1600, 3000, 3000, 3000]
            .into_iter()
            .enumerate()
        {
            let attempt = n as u32 + 1;
            // The last of the range, then the first.
            let mut copy = backoff;
            let last = ceiling - 100;
            assert_eq!(
                copy.fail(BOUNDS, Pace::Normal, None, last),
                (attempt, ceiling)
            );
            assert_eq!(
                backoff.fail(BOUNDS, Pace::Normal, None, last + 1),
                (attempt, 100)
            );
        }
        backoff.reset();
        assert_eq!(backoff.fail(BOUNDS, Pace::Normal, None, 100), (1, 200));
    }

    #[test]
    fn every_delay_of_the_range_is_as_likely() {
        let mut seen = [0u32; 101];
        for random in 0..101 * 3 {
            let (_, delay) = Backoff::default().fail((100, 200), Pace::Normal, None, random);
            seen[delay as usize - 100] += 1;
        }
        assert_eq!(seen, [3; 101]);
    }

    #[test]
    fn numbers_at_their_ends() {
        let mut backoff = Backoff {
            failures: u32::MAX - 1,
        };
        for bounds in [(1, u32::MAX), (u32::MAX, u32::MAX), (1, 1)] {
            for pace in [Pace::Normal, Pace::Slow, Pace::Restart, Pace::Busy] {
                let (_, delay) = backoff.fail(bounds, pace, Some(u64::MAX), u64::MAX);
                assert!(
                    delay >= u64::from(bounds.0) && delay <= 2 * LONGEST.max(u64::from(u32::MAX))
                );
            }
        }
        assert_eq!(backoff.fail((1, 1), Pace::Normal, None, 77), (u32::MAX, 1));
    }

    #[test]
    fn what_will_not_change_by_itself_is_tried_at_the_longest_delay() {
        let mut backoff = Backoff::default();
        for random in [0, 1, 700, 1500, u64::MAX] {
            let (_, delay) = backoff.fail(BOUNDS, Pace::Slow, None, random);
            assert!((1500..=3000).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn close_codes_and_retry_after_are_honoured() {
        for random in (0..60_000).step_by(7) {
            let mut backoff = Backoff::default();
            let (_, restart) = backoff.fail(BOUNDS, Pace::Restart, None, random);
            assert!((5000..=30_000).contains(&restart), "{restart}");
            let (_, rare) = backoff.fail((100, 600_000), Pace::Restart, None, random);
            assert!((5000..=30_000).contains(&rare), "{rare}");
            let (_, long) = backoff.fail((60_000, 60_000), Pace::Normal, Some(100_000), random);
            assert!((100_000..=125_000).contains(&long), "{long}");
            let (_, busy) = backoff.fail(BOUNDS, Pace::Busy, None, random);
            assert!((5000..=10_000).contains(&busy), "{busy}");
            let (_, after) = backoff.fail(BOUNDS, Pace::Normal, Some(20_000), random);
            assert!((20_000..=25_000).contains(&after), "{after}");
            // A short one does not shorten the backoff.
            let (_, slow) = backoff.fail(BOUNDS, Pace::Slow, Some(0), random);
            assert!((1500..=3000).contains(&slow), "{slow}");
        }
    }
}
