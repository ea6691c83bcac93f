//! Deadlines, one for each key: a binary heap of keys that knows where each key sits, so that a
//! deadline is moved or removed in O(log n) and nothing stale is left behind.
//!
//! A key takes 12 bytes, since deadlines are kept in 32 bits, relative to the time that was told
//! last. One further away than `FARTHEST` comes early, and has to be set again by who finds that.

use super::table;
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

#[derive(Default)]
pub struct Timers {
    heap: Vec<u32>,
    keys: Vec<Key>,
    now: u64,
}

#[derive(Clone, Copy)]
struct Key {
    /// The low bits of the deadline in ms.
    at: u32,
    /// Index in the heap; NOWHERE without a deadline.
    place: u32,
}

const NOWHERE: u32 = u32::MAX;

/// Twelve days. Half of what tells two deadlines apart, so that one which has passed long ago is
/// still before all others.
const FARTHEST: u64 = 1 << 30;

impl Timers {
    pub const fn new() -> Timers {
        Timers {
            heap: Vec::new(),
            keys: Vec::new(),
            now: 0,
        }
    }

    /// What time it is, in ms; never less than before.
    pub fn tell_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Makes room for the keys below `count`; only those can be set.
    pub fn reserve(&mut self, count: usize) -> Result<(), OutOfMemory> {
        let more = count.saturating_sub(self.keys.len());
        table::reserve(&mut self.keys, more, usize::MAX)?;
        let room = count.saturating_sub(self.heap.len());
        table::reserve(&mut self.heap, room, usize::MAX)?;
        let vacant = Key {
            at: 0,
            place: NOWHERE,
        };
        self.keys.resize(self.keys.len() + more, vacant);
        Ok(())
    }

    /// Sets, moves or (None) removes the deadline of a key.
    pub fn set(&mut self, key: u32, at: Option<u64>) {
        // In the past is now.
        let at = at.map(|at| at.min(self.now + FARTHEST).max(self.now) as u32);
        let Some(entry) = self.keys.get_mut(key as usize) else {
            return;
        };
        let place = entry.place;
        match at {
            Some(at) if place == NOWHERE => {
                entry.at = at;
                entry.place = self.heap.len() as u32;
                self.heap.push(key);
                self.up(self.heap.len() - 1);
            }
            Some(at) => {
                let before = core::mem::replace(&mut entry.at, at);
                if is_before(at, before) {
                    self.up(place as usize);
                } else {
                    self.down(place as usize);
                }
            }
            None if place == NOWHERE => {}
            None => {
                entry.place = NOWHERE;
                let (place, last) = (place as usize, self.heap.pop());
                if let Some(last) = last.filter(|_| place < self.heap.len()) {
                    self.put(last, place);
                    self.down(place);
                    self.up(place);
                }
            }
        }
    }

    /// The key has a deadline.
    pub fn is_set(&self, key: u32) -> bool {
        let entry = self.keys.get(key as usize);
        entry.is_some_and(|entry| entry.place != NOWHERE)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<u64> {
        let &key = self.heap.first()?;
        let away = self.deadline(key).wrapping_sub(self.now as u32) as i32;
        Some(self.now.saturating_add_signed(i64::from(away)))
    }

    /// Takes out a key whose deadline has come, the earliest first.
    pub fn expired(&mut self) -> Option<u32> {
        let &key = self.heap.first()?;
        if self.next()? > self.now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    fn deadline(&self, key: u32) -> u32 {
        self.keys.get(key as usize).map_or(0, |entry| entry.at)
    }

    fn is_less(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some(&a), Some(&b)) => is_before(self.deadline(a), self.deadline(b)),
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (Some(&one), Some(&other)) = (self.heap.get(a), self.heap.get(b)) else {
            return;
        };
        self.put(one, b);
        self.put(other, a);
    }

    fn put(&mut self, key: u32, place: usize) {
        if let (Some(at), Some(entry)) = (self.heap.get_mut(place), self.keys.get_mut(key as usize))
        {
            *at = key;
            entry.place = place as u32;
        }
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 && self.is_less(place, (place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.is_less(child, least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

/// Of two deadlines that are less than twice FARTHEST apart.
fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_bits_wrap_and_the_farthest_comes_early() {
        let mut timers = Timers::new();
        timers.reserve(4).expect("memory");
        let start = (5 << 32) - 1000;
        timers.tell_time(start);
        timers.set(0, Some(start + 2000));
        timers.set(1, Some(start + 500));
        timers.set(2, Some(start - 7));
        timers.set(3, Some(u64::MAX));
        assert_eq!((timers.next(), timers.expired()), (Some(start), Some(2)));
        assert_eq!((timers.next(), timers.expired()), (Some(start + 500), None));
        timers.tell_time(start + 3000);
        assert_eq!(timers.expired(), Some(1));
        assert_eq!(
            (timers.next(), timers.expired()),
            (Some(start + 2000), Some(0))
        );
        assert_eq!(timers.next(), Some(start + FARTHEST));
        // Not looked at for as long again.
        timers.tell_time(start + 2 * FARTHEST - 1);
        timers.set(0, Some(start + 2 * FARTHEST));
        assert_eq!((timers.expired(), timers.expired()), (Some(3), None));
    }

    #[test]
    fn deadlines_come_in_order_and_can_be_moved_and_removed() {
        let mut timers = Timers::new();
        timers.reserve(200).expect("memory");
        let mut expected = alloc::collections::BTreeMap::new();
        let mut seed = 1u64;
        for _ in 0..5000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let key = (seed >> 33) as u32 % 200;
            let at = ((seed >> 20) % 1000).checked_sub(200);
            timers.set(key, at);
            match at {
                Some(at) => expected.insert(key, at),
                None => expected.remove(&key),
            };
            assert_eq!(timers.next(), expected.values().min().copied());
        }
        let mut last = 0;
        timers.tell_time(500);
        while let Some(key) = timers.expired() {
            let at = expected.remove(&key).expect("a key comes once");
            assert!(at >= last && at <= 500);
            last = at;
        }
        assert!(expected.values().all(|&at| at > 500));
        assert_eq!(timers.next(), expected.values().min().copied());
    }
}
