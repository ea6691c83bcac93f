//! Happy Eyeballs (RFC 8305): in which order the addresses of a host are tried, and when the next
//! one begins while earlier ones have not answered. Values only: sockets and the clock are the
//! caller's.

use crate::net::sys::socket::Addr;
use alloc::vec::Vec;

/// RFC 8305 section 8: the Connection Attempt Delay, and its lower bound. Ms.
const DELAY: u64 = 250;
const LEAST_DELAY: u64 = 10;

/// The addresses that are not tried yet.
#[derive(Default)]
pub struct Race {
    /// The next one last.
    rest: Vec<Addr>,
    /// When the next one begins at the latest.
    next_at: u64,
    delay: u64,
    deadline: u64,
}

pub enum Next {
    Start(Addr),
    /// Ask again at that time, or when an attempt has failed.
    At(u64),
    /// All are tried, or there is no time left.
    Nothing,
}

impl Race {
    /// `addrs` as the resolver has sorted them (RFC 6724).
    pub fn new(addrs: Vec<Addr>, now: u64, deadline: u64) -> Race {
        // With many addresses and little time they follow faster, so that each has its turn.
        let share = deadline.saturating_sub(now) / (addrs.len() as u64 + 1);
        Race {
            rest: interleave(addrs),
            next_at: now,
            delay: share.clamp(LEAST_DELAY, DELAY),
            deadline,
        }
    }

    /// What to do now; `flying`: some attempt is under way.
    pub fn next(&mut self, now: u64, flying: bool) -> Next {
        if self.rest.is_empty() || now >= self.deadline {
            return Next::Nothing;
        }
        if flying && now < self.next_at {
            return Next::At(self.next_at);
        }
        self.next_at = now + self.delay;
        self.rest.pop().map_or(Next::Nothing, Next::Start)
    }

    /// An attempt has failed: RFC 8305 section 5 has the next one begin at once.
    pub fn failed(&mut self, now: u64) {
        self.next_at = now;
    }
}

/// RFC 8305 section 4: the families take turns, that of the first address first. In reverse order.
fn interleave(mut addrs: Vec<Addr>) -> Vec<Addr> {
    let first = addrs.first().map_or(0, Addr::family);
    let mut turn = true;
    for at in 0..addrs.len() {
        let rest = addrs.get_mut(at..).unwrap_or_default();
        let wanted = rest.iter().position(|a| (a.family() == first) == turn);
        // The order within a family stays.
        if let Some(part) = rest.get_mut(..=wanted.unwrap_or(0)) {
            part.rotate_right(1);
        }
        turn = !turn;
    }
    addrs.reverse();
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Line;
    use alloc::string::String;
    use alloc::vec;

    fn four(n: u8) -> Addr {
        Addr::v4([10, 0, 0, n], 80)
    }

    fn six(n: u8) -> Addr {
        let mut ip = [0; 16];
        ip[15] = n;
        Addr::v6(ip, 80)
    }

    fn order(addrs: Vec<Addr>) -> String {
        let mut race = Race::new(addrs, 0, 10_000);
        let mut names = String::new();
        while let Next::Start(addr) = race.next(0, false) {
            let line = Line::<64>::from(addr);
            let text = core::str::from_utf8(line.as_bytes()).expect("an address");
            let name = text.trim_end_matches(":80").trim_end_matches(']');
            names.push(if text.starts_with('[') { 's' } else { 'f' });
            names.push_str(name.rsplit(['.', ':']).next().unwrap_or(""));
        }
        names
    }

    #[test]
    fn families_take_turns() {
        for (addrs, expected) in [
            (vec![], ""),
            (vec![four(1)], "f1"),
            (vec![four(1), four(2), four(3)], "f1f2f3"),
            (vec![six(1), six(2), six(3), four(1), four(2)], "s1f1s2f2s3"),
            (vec![four(1), four(2), six(1)], "f1s1f2"),
            (vec![four(1), six(1), six(2), six(3)], "f1s1s2s3"),
            (vec![six(1), four(1), six(2), four(2)], "s1f1s2f2"),
        ] {
            assert_eq!(order(addrs), expected);
        }
    }

    #[test]
    fn the_next_begins_after_the_delay_or_a_failure() {
        let mut race = Race::new(vec![six(1), six(2), four(1)], 1000, 11_000);
        assert!(matches!(race.next(1000, false), Next::Start(_)));
        assert!(matches!(race.next(1000, true), Next::At(1250)));
        assert!(matches!(race.next(1249, true), Next::At(1250)));
        assert!(matches!(race.next(1250, true), Next::Start(a) if a.family() == libc::AF_INET));
        assert!(matches!(race.next(1260, true), Next::At(1500)));
        race.failed(1270);
        assert!(matches!(race.next(1270, true), Next::Start(_)));
        assert!(matches!(race.next(1271, true), Next::Nothing));
    }

    #[test]
    fn every_address_has_its_turn_before_the_deadline() {
        for (count, time) in [(1u8, 10), (3, 1000), (20, 1000), (32, 400)] {
            let addrs = (0..count).map(four).collect();
            let mut race = Race::new(addrs, 0, time);
            let mut now = 0;
            let mut started = 0;
            loop {
                match race.next(now, true) {
                    Next::Start(_) => started += 1,
                    Next::At(at) => {
                        assert!(at > now);
                        now = at;
                    }
                    Next::Nothing => break,
                }
            }
            assert_eq!(started, count);
            assert!(now < time, "{now}");
        }
    }

    #[test]
    fn nothing_begins_after_the_deadline() {
        let mut race = Race::new(vec![four(1), four(2)], 0, 100);
        assert!(matches!(race.next(0, false), Next::Start(_)));
        assert!(matches!(race.next(100, false), Next::Nothing));
    }
}
