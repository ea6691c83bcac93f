//! Slots that hold connections, and the ids that find them. An id carries the slot's generation,
//! so that one which outlived its connection finds nothing.

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

struct Slot<T> {
    /// Of the connection that is in the slot, or of the next one; 0 is never used.
    generation: u32,
    conn: Option<T>,
}

impl<T> Conns<T> {
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
    pub fn insert(&mut self, conn: T) -> Result<ConnId, (OutOfMemory, T)> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() >= self.limit => return Err((OutOfMemory, conn)),
            None => {
                // The free list has room for every slot, so that removing never allocates.
                let room = self.slots.try_reserve(1).is_ok()
                    && self.free.try_reserve(self.slots.len() + 1).is_ok();
                if !room {
                    return Err((OutOfMemory, conn));
                }
                self.slots.push(Slot {
                    generation: self.first,
                    conn: None,
                });
                self.slots.len() as u32 - 1
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.conn = Some(conn);
        Ok(ConnId::new(entry.generation, self.owner, slot))
    }

    pub fn get(&self, id: ConnId) -> Option<&T> {
        let slot = self.slots.get(id.slot() as usize)?;
        if slot.generation != id.generation() {
            return None;
        }
        slot.conn.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        if slot.generation != id.generation() {
            return None;
        }
        slot.conn.as_mut()
    }

    /// Takes a connection out; its id is stale from now on.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get(id)?;
        let slot = &mut self.slots[id.slot() as usize];
        // A slot whose generations are used up is retired, so that no id ever comes again.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot());
        }
        slot.conn.take()
    }

    /// Makes an id stale while the connection stays; its new id. None if the slot is used up.
    pub fn renew(&mut self, id: ConnId) -> Option<ConnId> {
        self.get(id)?;
        let slot = &mut self.slots[id.slot() as usize];
        slot.generation = slot.generation.checked_add(1)?;
        Some(ConnId::new(slot.generation, self.owner, id.slot()))
    }

    /// The id of the connection in a slot, if there is one.
    pub fn id_at(&self, slot: u32) -> Option<ConnId> {
        let entry = self.slots.get(slot as usize)?;
        entry.conn.as_ref()?;
        Some(ConnId::new(entry.generation, self.owner, slot))
    }

    /// One more than the highest slot in use so far: for walking all with `id_at`.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing_and_no_id_comes_twice() {
        let mut conns = Conns::new(3, 2);
        let a = conns.insert("a").expect("room");
        let b = conns.insert("b").expect("room");
        assert!(conns.is_full() && conns.insert("c").is_err());
        assert_eq!((a.owner(), b.slot()), (3, 1));
        assert_eq!(conns.remove(a), Some("a"));
        assert_eq!((conns.remove(a), conns.get(a)), (None, None));
        let c = conns.insert("c").expect("room");
        assert_eq!(c.slot(), a.slot());
        assert_ne!(c, a);
        assert_eq!((conns.get(a), conns.get(c)), (None, Some(&"c")));
        assert_eq!(conns.get(ConnId(0)), None);
        assert_eq!(conns.get(ConnId(u64::MAX)), None);
    }
}
