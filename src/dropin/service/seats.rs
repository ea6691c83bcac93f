//! Which connection has which place in the table of clients, and what has come of its message.

use super::{CLIENTS, PACKAGE};
use crate::net::conns::ConnId;
use alloc::vec::Vec;

#[derive(Default)]
pub struct Seats {
    seats: Vec<Seat>,
    /// No place before this one is free.
    lowest: usize,
    taken: usize,
}

struct Seat {
    /// None: free.
    id: Option<ConnId>,
    /// The message so far, at most a package.
    partial: Vec<u8>,
}

impl Seats {
    /// Gives the first free place to a connection. None: there is none, or no memory for it.
    pub fn take(&mut self, id: ConnId) -> Option<usize> {
        let rest = self.seats.get(self.lowest..).unwrap_or_default();
        let free = rest.iter().position(|seat| seat.id.is_none());
        let index = free.map_or(self.seats.len(), |n| self.lowest + n);
        if index >= CLIENTS {
            return None;
        }
        if index == self.seats.len() {
            self.seats.try_reserve(1).ok()?;
            self.seats.push(Seat {
                id: None,
                partial: Vec::new(),
            });
        }
        self.seats.get_mut(index)?.id = Some(id);
        self.lowest = index + 1;
        self.taken += 1;
        Some(index)
    }

    pub fn free(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index) {
            if seat.id.take().is_some() {
                seat.partial = Vec::new();
                self.taken -= 1;
                self.lowest = self.lowest.min(index);
            }
        }
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The first taken place from `from` on.
    pub fn next(&self, from: usize) -> Option<(usize, ConnId)> {
        let rest = self.seats.iter().enumerate().skip(from);
        rest.filter_map(|(n, seat)| Some((n, seat.id?))).next()
    }

    /// Adds to the message of a place, as far as it is within a package. False: no memory.
    pub fn gather(&mut self, index: usize, data: &[u8]) -> bool {
        let Some(seat) = self.seats.get_mut(index) else {
            return false;
        };
        let room = PACKAGE.saturating_sub(seat.partial.len());
        let data = data.get(..room).unwrap_or(data);
        // One more for the NUL.
        if seat.partial.try_reserve(data.len() + 1).is_err() {
            return false;
        }
        seat.partial.extend_from_slice(data);
        true
    }

    /// The message of a place, which begins a new one.
    pub fn gathered(&mut self, index: usize) -> Vec<u8> {
        let seat = self.seats.get_mut(index);
        seat.map(|seat| core::mem::take(&mut seat.partial))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_place_is_given_and_given_again() {
        let mut seats = Seats::default();
        assert_eq!(seats.next(0), None);
        for n in 0..CLIENTS {
            assert_eq!(seats.take(ConnId(n as u64 + 1)), Some(n));
        }
        assert_eq!(seats.take(ConnId(9999)), None, "the table is full");
        seats.free(17);
        seats.free(3);
        seats.free(3);
        assert_eq!(seats.taken(), CLIENTS - 2);
        assert_eq!(seats.next(3), Some((4, ConnId(5))));
        assert_eq!(seats.take(ConnId(7001)), Some(3));
        assert_eq!(seats.take(ConnId(7002)), Some(17));
        assert_eq!(seats.take(ConnId(7003)), None);
    }

    #[test]
    fn a_message_is_kept_up_to_a_package() {
        let mut seats = Seats::default();
        let index = seats.take(ConnId(1)).expect("a free place");
        for _ in 0..3 {
            assert!(seats.gather(index, &[b'x'; 50 * 1024]));
        }
        assert_eq!(seats.gathered(index).len(), PACKAGE);
        assert_eq!(seats.gathered(index), b"");
        assert!(seats.gather(index, b"left over"));
        seats.free(index);
        assert_eq!(seats.take(ConnId(2)), Some(index));
        assert_eq!(seats.gathered(index), b"", "of the one before");
    }
}
