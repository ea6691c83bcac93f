//! Messages that outlive a connection: each has a number, is kept until the kernel has taken all of
//! it, and is then told of, once. Bounded in messages and bytes. No I/O: the caller sends what
//! `next` shows and says how far the kernel is, in bytes written since the client was made.

use crate::error::Status;
use crate::proto::frame::Kind;
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// What happens when there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The caller is told, and nothing is queued.
    #[default]
    Refuse,
    /// The oldest ones that are not being sent make room.
    DropOldest,
    /// The new one is dropped.
    DropNewest,
}

#[derive(Clone, Copy)]
pub struct Bounds {
    pub messages: usize,
    /// Of payloads.
    pub bytes: usize,
    pub policy: Policy,
}

pub struct Queue {
    bounds: Bounds,
    items: VecDeque<Item>,
    bytes: usize,
    /// So many at the front are handed to the connection.
    flying: usize,
    /// The number of the last message.
    last: u64,
    /// Numbers of messages that were dropped, which nobody was told yet: (first, last). As a rule a new range needs a
    /// message kept in between, so that there are as many as that; but one that has no room beside what is being sent
    /// goes before older ones, which later ones may find room for.
    dropped: VecDeque<(u64, u64)>,
}

pub struct Item {
    pub number: u64,
    pub kind: Kind,
    pub data: Box<[u8]>,
    /// It is not compressed.
    pub plain: bool,
    /// Sent when so many bytes are written.
    end: u64,
}

impl Queue {
    pub fn new(bounds: Bounds) -> Queue {
        Queue {
            bounds,
            items: VecDeque::new(),
            bytes: 0,
            flying: 0,
            last: 0,
            dropped: VecDeque::new(),
        }
    }

    /// Takes a message in; its number. `TooBig`: larger than the whole queue; `Again`: no room.
    pub fn push(&mut self, kind: Kind, data: Box<[u8]>, plain: bool) -> Result<u64, Status> {
        if data.len() > self.bounds.bytes {
            return Err(Status::TooBig);
        }
        // Who drops and drops while nobody can be told is not to gather numbers without end.
        if self.dropped.len() > self.bounds.messages {
            return Err(Status::Again);
        }
        self.items.try_reserve(1).map_err(|_| Status::NoMemory)?;
        self.dropped.try_reserve(1).map_err(|_| Status::NoMemory)?;
        if !self.fits(data.len()) {
            match self.bounds.policy {
                Policy::Refuse => return Err(Status::Again),
                // What is being sent stays; if that is too much, the new one goes.
                Policy::DropOldest if self.would_fit_without_waiting(data.len()) => {
                    while !self.fits(data.len()) {
                        let Some(oldest) = self.items.remove(self.flying) else {
                            break;
                        };
                        self.bytes -= oldest.data.len();
                        self.drop_number(oldest.number);
                    }
                }
                Policy::DropOldest | Policy::DropNewest => {
                    self.last += 1;
                    self.drop_number(self.last);
                    return Ok(self.last);
                }
            }
        }
        self.last += 1;
        self.bytes += data.len();
        self.items.push_back(Item {
            number: self.last,
            plain,
            kind,
            data,
            end: u64::MAX,
        });
        Ok(self.last)
    }

    /// The first message that is not handed to the connection.
    pub fn next(&self) -> Option<&Item> {
        self.items.get(self.flying)
    }

    /// That message is with the connection; the kernel has all of it when `end` bytes are written.
    pub fn took_off(&mut self, end: u64) {
        if let Some(item) = self.items.get_mut(self.flying) {
            item.end = end;
            self.flying += 1;
        }
    }

    /// The number of a message that the kernel has taken, each once, in order.
    pub fn sent(&mut self, written: u64) -> Option<u64> {
        if self.flying == 0 || self.items.front()?.end > written {
            return None;
        }
        self.flying -= 1;
        let item = self.items.pop_front()?;
        self.bytes -= item.data.len();
        self.trim();
        Some(item.number)
    }

    /// The connection is lost: what the kernel had not taken goes again.
    pub fn lost(&mut self) {
        self.flying = 0;
    }

    /// No further connection comes: drops all.
    pub fn clear(&mut self) {
        self.flying = 0;
        while let Some(item) = self.items.pop_front() {
            self.bytes -= item.data.len();
            // Without memory to say so at least the messages go.
            if self.dropped.try_reserve(1).is_ok() {
                self.drop_number(item.number);
            }
        }
        self.trim();
    }

    /// The number of a dropped message that nobody was told of, each once.
    pub fn dropped(&mut self) -> Option<u64> {
        let (first, last) = self.dropped.front_mut()?;
        let number = *first;
        *first += 1;
        if number == *last {
            self.dropped.pop_front();
        }
        self.trim();
        Some(number)
    }

    /// How many `dropped` would tell.
    pub fn dropped_count(&self) -> u64 {
        self.dropped
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// There is news for `sent`, `next` or `dropped`.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty() && self.dropped.is_empty()
    }

    fn fits(&self, len: usize) -> bool {
        self.items.len() < self.bounds.messages && self.bytes + len <= self.bounds.bytes
    }

    fn would_fit_without_waiting(&self, len: usize) -> bool {
        let flying = self.items.iter().take(self.flying);
        let bytes: usize = flying.map(|item| item.data.len()).sum();
        self.flying < self.bounds.messages && bytes + len <= self.bounds.bytes
    }

    fn drop_number(&mut self, number: u64) {
        match self.dropped.back_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.dropped.push_back((number, number)),
        }
    }

    /// An idle queue owns no memory.
    fn trim(&mut self) {
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        if self.dropped.is_empty() {
            self.dropped = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn queue(messages: usize, bytes: usize, policy: Policy) -> Queue {
        Queue::new(Bounds {
            messages,
            bytes,
            policy,
        })
    }

    fn push(queue: &mut Queue, len: usize) -> Result<u64, Status> {
        queue.push(Kind::Binary, alloc::vec![0; len].into_boxed_slice(), false)
    }

    fn all_dropped(queue: &mut Queue) -> Vec<u64> {
        core::iter::from_fn(|| queue.dropped()).collect()
    }

    fn waiting(queue: &Queue) -> Vec<u64> {
        queue.items.iter().map(|item| item.number).collect()
    }

    #[test]
    fn messages_are_sent_in_order_and_told_once() {
        let mut q = queue(10, 1000, Policy::Refuse);
        for n in 1..=3 {
            assert_eq!(push(&mut q, 10), Ok(n));
        }
        assert_eq!(q.next().map(|i| i.number), Some(1));
        q.took_off(16);
        q.took_off(32);
        assert_eq!(q.next().map(|i| i.number), Some(3));
        assert_eq!(q.sent(15), None);
        assert_eq!(q.sent(31), Some(1));
        assert_eq!(q.sent(31), None);
        // The second one was not taken whole: it goes again.
        q.lost();
        assert_eq!(q.sent(1000), None);
        assert_eq!(q.next().map(|i| i.number), Some(2));
        q.took_off(1100);
        q.took_off(1200);
        assert!(q.next().is_none());
        assert_eq!(
            (q.sent(1200), q.sent(1200), q.sent(1200)),
            (Some(2), Some(3), None)
        );
        assert!(q.is_idle() && q.bytes == 0 && q.items.capacity() == 0);
    }

    #[test]
    fn a_full_queue_refuses() {
        let mut q = queue(2, 100, Policy::Refuse);
        assert_eq!(push(&mut q, 101), Err(Status::TooBig));
        assert_eq!(
            (push(&mut q, 50), push(&mut q, 51)),
            (Ok(1), Err(Status::Again))
        );
        assert_eq!(
            (push(&mut q, 0), push(&mut q, 0)),
            (Ok(2), Err(Status::Again))
        );
        assert!(all_dropped(&mut q).is_empty());
        q.took_off(1);
        assert_eq!((q.sent(1), push(&mut q, 100)), (Some(1), Ok(3)));
    }

    #[test]
    fn the_oldest_that_wait_make_room() {
        let mut q = queue(4, 100, Policy::DropOldest);
        for _ in 0..4 {
            push(&mut q, 20).expect("room");
        }
        q.took_off(1);
        assert_eq!(push(&mut q, 60), Ok(5));
        assert_eq!(waiting(&q), [1, 4, 5]);
        assert_eq!(all_dropped(&mut q), [2, 3]);
        // All of it is being sent: the new one has no room.
        q.took_off(2);
        q.took_off(3);
        assert_eq!(push(&mut q, 20), Ok(6));
        assert_eq!(
            (waiting(&q), all_dropped(&mut q)),
            (alloc::vec![1, 4, 5], alloc::vec![6])
        );
    }

    #[test]
    fn the_newest_is_dropped() {
        let mut q = queue(2, 100, Policy::DropNewest);
        for n in 1..=5 {
            assert_eq!(push(&mut q, 10), Ok(n));
        }
        assert_eq!(waiting(&q), [1, 2]);
        assert_eq!(all_dropped(&mut q), [3, 4, 5]);
        assert_eq!(q.dropped(), None);
    }

    #[test]
    fn a_million_drops_cost_no_memory() {
        for policy in [Policy::DropOldest, Policy::DropNewest] {
            let mut q = queue(10, 100, policy);
            for n in 1..=1_000_000u64 {
                assert_eq!(push(&mut q, 1), Ok(n));
            }
            assert_eq!((q.len(), q.dropped.len()), (10, 1));
        }
    }

    #[test]
    fn what_is_dropped_out_of_order_is_bounded() {
        let mut q = queue(10, 100, Policy::DropOldest);
        push(&mut q, 60).expect("room");
        q.took_off(1);
        push(&mut q, 20).expect("room");
        let mut told = 0;
        let mut full = false;
        for _ in 0..1000 {
            // The first has no room beside what is being sent, the second takes that of the one before.
            for len in [50, 30] {
                full |= push(&mut q, len) == Err(Status::Again);
            }
            assert!(q.dropped.len() <= 11);
        }
        assert!(full);
        for round in 0..1000 {
            told += all_dropped(&mut q).len();
            for len in [50, 30] {
                assert!(push(&mut q, len).is_ok(), "{round}");
            }
        }
        told += all_dropped(&mut q).len();
        assert_eq!(told as u64 + q.len() as u64, q.last);
    }

    #[test]
    fn the_end_drops_what_is_left() {
        let mut q = queue(10, 100, Policy::Refuse);
        for _ in 0..3 {
            push(&mut q, 10).expect("room");
        }
        q.took_off(10);
        q.clear();
        assert_eq!(all_dropped(&mut q), [1, 2, 3]);
        assert_eq!((q.len(), q.bytes, q.sent(u64::MAX)), (0, 0, None));
    }
}
