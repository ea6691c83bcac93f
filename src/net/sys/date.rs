//! The time of day, which is all that libws has to do with dates: the log lines of the old interface.
//!
//! `time_t` has 32 bits on 32-bit machines with a glibc that is asked in the old way, and on those it ends in January
//! 2038. Here seconds have 64 bits, and only `localtime_r`, which knows the time zone, is asked with fewer.
#![allow(deprecated)] // libc::time_t, with musl: it may get 64 bits, which is all the same here

use super::{wall_clock, Errno};
use core::mem::zeroed;

const DAY: u64 = 24 * 60 * 60;
/// From 1970 to the 1st of March 2000, in days.
const MARCH_2000: u64 = 11_017;
/// After 400 years the calendar is the same again, weekdays included.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// The local time of day as "HH:MM:SS". Leaves errno alone, which the same log line may show.
pub fn time_of_day() -> [u8; 8] {
    let errno = Errno::last();
    let now = wall_clock() as u64;
    let mut asked = now as libc::time_t;
    #[allow(clippy::unnecessary_cast)] // on machines where it has 64 bits
    if asked as u64 != now {
        asked = twin(now) as libc::time_t;
    }
    // SAFETY: all zeroes is a valid tm; both places are valid for the call.
    let parts = unsafe {
        let mut parts: libc::tm = zeroed();
        libc::localtime_r(&asked, &mut parts);
        [parts.tm_hour, parts.tm_min, parts.tm_sec]
    };
    errno.set();
    let [hour, minute, second] = parts.map(|n| {
        let n = u8::try_from(n).unwrap_or(0) % 100;
        [b'0' + n / 10, b'0' + n % 10]
    });
    let ([a, b], [c, d], [e, f]) = (hour, minute, second);
    [a, b, b':', c, d, b':', e, f]
}

/// A time between 2026 and 2037 that is the same in month, day, weekday and hour: a time zone's rules, such as "the last
/// Sunday in March", make the same of it. Only the 29th of February can become the 1st of March.
fn twin(seconds: u64) -> u64 {
    let since = ((seconds / DAY).wrapping_sub(MARCH_2000) % DAYS_OF_400_YEARS) as u32;
    // Years that begin in March have their leap day, if any, at the end.
    let first = |year: u32| 365 * year + year / 4 - year / 100;
    let begin = (0..400)
        .rev()
        .map(first)
        .find(|first| *first <= since)
        .unwrap_or(0);
    let other = (26..37)
        .rev()
        .map(first)
        .find(|other| other % 7 == begin % 7)
        .unwrap_or(0);
    (MARCH_2000 + u64::from(other + (since - begin))) * DAY + seconds % DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST_OF_32_BITS: u64 = 0x7fff_ffff;

    /// Every day from 2038 on, at changing hours. An emulator takes half a minute for that: there every 29th.
    fn five_hundred_years() -> impl Iterator<Item = u64> {
        let small = std::env::var_os("LIBWS_TEST_SMALL").is_some();
        let days = (24_855..24_855 + 500 * 366).step_by(if small { 29 } else { 1 });
        days.map(|day| day * DAY + day * 7919 % DAY)
    }

    #[test]
    fn twins_of_known_dates() {
        for (seconds, expected) in [
            // Tuesday 2038-01-19 03:14:08, the first second that 32 bits do not hold: as in 2027.
            (0x8000_0000, 1_800_328_448),
            // Sunday 2040-03-25 01:00:00, when summer time begins in Europe: as in 2035.
            (2_216_250_000, 2_058_397_200),
            // Saturday 2048-02-29 23:59:59: as the 1st of March 2031.
            (2_466_633_599, 1_930_175_999),
            // Sunday 2106-02-07 06:28:15, the last second that 32 bits without a sign hold, and the next: as in 2027.
            (0xffff_ffff, 1_801_981_695),
            (0x1_0000_0000, 1_801_981_696),
            // Monday 2107-07-04 12:34:56: as in 2033.
            (4_339_226_096, 2_004_093_296),
        ] {
            assert_eq!(twin(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn twins_have_the_same_weekday_and_fit() {
        for seconds in five_hundred_years() {
            let twin = twin(seconds);
            assert!(twin < LAST_OF_32_BITS && twin > 1_772_323_200, "{seconds}");
            assert_eq!(seconds % (7 * DAY), twin % (7 * DAY), "{seconds}");
        }
    }

    #[test]
    fn twins_have_the_same_month_day_and_hour() {
        if size_of::<libc::time_t>() < 8 {
            return; // there is nobody to ask
        }
        let parts = |seconds: u64| {
            // SAFETY: as above.
            let parts = unsafe {
                let mut parts: libc::tm = zeroed();
                libc::gmtime_r(&(seconds as libc::time_t), &mut parts);
                parts
            };
            let date = (parts.tm_mon, parts.tm_mday, parts.tm_wday);
            (date, parts.tm_hour, parts.tm_min, parts.tm_sec)
        };
        for seconds in five_hundred_years() {
            let (asked, answered) = (parts(seconds), parts(twin(seconds)));
            let leap_day = (1, 29);
            if (asked.0 .0, asked.0 .1) != leap_day {
                assert_eq!(asked, answered, "{seconds}");
            } else {
                let (month, day, _) = answered.0;
                assert!([leap_day, (2, 1)].contains(&(month, day)), "{seconds}");
            }
        }
    }
}
