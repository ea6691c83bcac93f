//! Slots that hold connections, and the ids that find them. An id carries the slot's generation,
//! so that one which outlived its connection finds nothing.

use super::table;
use crate::proto::OutOfMemory;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

/// Which connection: generation, event loop, slot. Never 0, never the same twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnId(pub u64);

const SLOT_BITS: u32 = 24;
const LOOP_BITS: u32 = 8;
/// Most slots of one event loop.
pub const MAX_SLOTS: usize = 1 << SLOT_BITS;

impl ConnId {
    fn new(generation: u32, owner: u8, slot: u32) -> ConnId {
        let low = u64::from(slot) | u64::from(owner) << SLOT_BITS;
        ConnId(u64::from(generation) << (SLOT_BITS + LOOP_BITS) | low)
    }

    pub fn slot(self) -> u32 {
        (self.0 & ((1 << SLOT_BITS) - 1)) as u32
    }

    /// The number of the event loop that has the connection.
    pub fn owner(self) -> usize {
        ((self.0 >> SLOT_BITS) & ((1 << LOOP_BITS) - 1)) as usize
    }

    pub fn generation(self) -> u32 {
        (self.0 >> (SLOT_BITS + LOOP_BITS)) as u32
    }
}

pub struct Conns<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    owner: u8,
    limit: usize,
    /// Where the generations of a new slot begin.
    first: u32,
}

/// What a slot holds. It keeps the generation of its id where it has room for it, so that a slot need not be larger.
pub trait Slotted {
    fn generation(&self) -> u32;
    fn set_generation(&mut self, generation: u32);
}

enum Slot<T> {
    /// The generation of the next connection; 0 is never used.
    Vacant(u32),
    Taken(T),
}

impl<T: Slotted> Slot<T> {
    fn generation(&self) -> u32 {
        match self {
            Slot::Vacant(generation) => *generation,
            Slot::Taken(conn) => conn.generation(),
        }
    }
}

impl<T: Slotted> Conns<T> {
    /// For the event loop number `owner`, with room for `limit` connections.
    pub fn new(owner: u8, limit: usize) -> Conns<T> {
        // Each table counts from elsewhere, so that an id which strayed from another server is
        // as good as certain to find nothing.
        static TABLES: AtomicU32 = AtomicU32::new(0);
        let table = TABLES.fetch_add(1, Ordering::Relaxed);
        Conns {
            slots: Vec::new(),
            free: Vec::new(),
            owner,
            limit: limit.min(MAX_SLOTS),
            first: (table.wrapping_mul(0x9e37_79b9) >> 2) + 1,
        }
    }

    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= self.limit
    }

    /// Puts a connection into a free slot; gives it back when there is none.
    pub fn insert(&mut self, mut conn: T) -> Result<ConnId, (OutOfMemory, T)> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() >= self.limit => return Err((OutOfMemory, conn)),
            None => {
                // The free list has room for every slot, so that removing never allocates.
                let many = self.slots.len() + 1;
                let room = table::reserve(&mut self.slots, 1, self.limit)
                    .and_then(|()| table::reserve(&mut self.free, many, self.limit));
                if room.is_err() {
                    return Err((OutOfMemory, conn));
                }
                self.slots.push(Slot::Vacant(self.first));
                self.slots.len() as u32 - 1
            }
        };
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return Err((OutOfMemory, conn));
        };
        let generation = entry.generation();
        conn.set_generation(generation);
        *entry = Slot::Taken(conn);
        Ok(ConnId::new(generation, self.owner, slot))
    }

    #[inline]
    pub fn get(&self, id: ConnId) -> Option<&T> {
        match self.slots.get(id.slot() as usize)? {
            Slot::Taken(conn) if conn.generation() == id.generation() => Some(conn),
            _ => None,
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.slots.get_mut(id.slot() as usize)? {
            Slot::Taken(conn) if conn.generation() == id.generation() => Some(conn),
            _ => None,
        }
    }

    /// Takes a connection out; its id is stale from now on.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get(id)?;
        let slot = self.slots.get_mut(id.slot() as usize)?;
        // A slot whose generations are used up is retired, so that no id ever comes again.
        let next = id.generation().checked_add(1);
        match core::mem::replace(slot, Slot::Vacant(next.unwrap_or_default())) {
            Slot::Taken(conn) => {
                if next.is_some() {
                    self.free.push(id.slot());
                }
                Some(conn)
            }
            Slot::Vacant(_) => None,
        }
    }

    /// Makes an id stale while the connection stays; its new id. None if the slot is used up.
    pub fn renew(&mut self, id: ConnId) -> Option<ConnId> {
        let owner = self.owner;
        let conn = self.get_mut(id)?;
        let generation = id.generation().checked_add(1)?;
        conn.set_generation(generation);
        Some(ConnId::new(generation, owner, id.slot()))
    }

    /// The id of the connection in a slot, if there is one.
    pub fn id_at(&self, slot: u32) -> Option<ConnId> {
        match self.slots.get(slot as usize)? {
            Slot::Taken(conn) => Some(ConnId::new(conn.generation(), self.owner, slot)),
            Slot::Vacant(_) => None,
        }
    }

    /// One more than the highest slot in use so far: for walking all with `id_at`.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }
}

/// What a connection takes in the table.
#[cfg(test)]
pub fn slot_size<T>() -> usize {
    size_of::<Slot<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Named(&'static str, u32);

    impl Slotted for Named {
        fn generation(&self) -> u32 {
            self.1
        }

        fn set_generation(&mut self, generation: u32) {
            self.1 = generation;
        }
    }

    #[test]
    fn a_stale_id_finds_nothing_and_no_id_comes_twice() {
        let mut conns = Conns::new(3, 2);
        let a = conns.insert(Named("a", 0)).expect("room");
        let b = conns.insert(Named("b", 0)).expect("room");
        assert!(conns.is_full() && conns.insert(Named("c", 0)).is_err());
        assert_eq!((a.owner(), b.slot()), (3, 1));
        assert_eq!(conns.remove(a).map(|c| c.0), Some("a"));
        assert_eq!((conns.remove(a), conns.get(a)), (None, None));
        let c = conns.insert(Named("c", 0)).expect("room");
        assert_eq!(c.slot(), a.slot());
        assert_ne!(c, a);
        assert_eq!(
            (conns.get(a), conns.get(c)),
            (None, Some(&Named("c", c.generation())))
        );
        assert_eq!(conns.get(ConnId(0)), None);
        assert_eq!(conns.get(ConnId(u64::MAX)), None);
    }
}
