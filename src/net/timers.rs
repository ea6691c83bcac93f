//! Deadlines, one for each key: a binary heap of keys that knows where each key sits, so that a
//! deadline is moved or removed in O(log n) and nothing stale is left behind.

use crate::proto::OutOfMemory;
use alloc::vec::Vec;

#[derive(Default)]
pub struct Timers {
    heap: Vec<u32>,
    keys: Vec<Key>,
}

#[derive(Clone, Copy)]
struct Key {
    at: u64,
    /// Index in the heap; NOWHERE without a deadline.
    place: u32,
}

const NOWHERE: u32 = u32::MAX;

impl Timers {
    pub const fn new() -> Timers {
        Timers {
            heap: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Makes room for the keys below `count`; only those can be set.
    pub fn reserve(&mut self, count: usize) -> Result<(), OutOfMemory> {
        let more = count.saturating_sub(self.keys.len());
        self.keys.try_reserve(more).map_err(|_| OutOfMemory)?;
        let room = count.saturating_sub(self.heap.len());
        self.heap.try_reserve(room).map_err(|_| OutOfMemory)?;
        self.keys.resize(
            self.keys.len() + more,
            Key {
                at: 0,
                place: NOWHERE,
            },
        );
        Ok(())
    }

    /// Sets, moves or (None) removes the deadline of a key.
    pub fn set(&mut self, key: u32, at: Option<u64>) {
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
                if at < before {
                    self.up(place as usize);
                } else {
                    self.down(place as usize);
                }
            }
            None if place == NOWHERE => {}
            None => {
                entry.place = NOWHERE;
                self.heap.swap_remove(place as usize);
                if let Some(&moved) = self.heap.get(place as usize) {
                    self.keys[moved as usize].place = place;
                    self.down(place as usize);
                    self.up(self.keys[moved as usize].place as usize);
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
        self.heap.first().map(|&key| self.keys[key as usize].at)
    }

    /// Takes out a key whose deadline has come, the earliest first.
    pub fn expired(&mut self, now: u64) -> Option<u32> {
        let &key = self.heap.first()?;
        if self.keys[key as usize].at > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    fn at(&self, place: usize) -> u64 {
        self.keys[self.heap[place] as usize].at
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.keys[self.heap[a] as usize].place = a as u32;
        self.keys[self.heap[b] as usize].place = b as u32;
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 && self.at(place) < self.at((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.at(child) < self.at(least) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        while let Some(key) = timers.expired(500) {
            let at = expected.remove(&key).expect("a key comes once");
            assert!(at >= last && at <= 500);
            last = at;
        }
        assert!(expected.values().all(|&at| at > 500));
        assert_eq!(timers.next(), expected.values().min().copied());
    }
}
