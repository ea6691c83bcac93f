//! How the tables grow that have an entry for each connection.

use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// A table that outgrows the first gets room of at least the second at once, in bytes. The C library gives so much by whole
/// pages, which become resident as they are written and can grow in place. Doubled step by step, the table would leave
/// behind holes in the heap that are as large together as itself.
const SMALL: usize = 16 * 1024;
const BY_PAGES: usize = 256 * 1024;

/// Makes room for `more` entries; the table will never have more than `limit`.
pub fn reserve<T>(table: &mut Vec<T>, more: usize, limit: usize) -> Result<(), OutOfMemory> {
    let need = table.len().saturating_add(more);
    if need <= table.capacity() {
        return Ok(());
    }
    let mut room = need.max(table.capacity().saturating_mul(2));
    if room.saturating_mul(size_of::<T>()) > SMALL {
        room = room.max(BY_PAGES / size_of::<T>().max(1));
    }
    let room = room.min(limit).max(need);
    table
        .try_reserve_exact(room - table.len())
        .map_err(|_| OutOfMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_double_and_larger_ones_leap() {
        let mut table: Vec<u64> = Vec::new();
        let mut rooms = Vec::new();
        for n in 0..40_000 {
            reserve(&mut table, 1, 100_000).expect("memory");
            table.push(n);
            if rooms.last() != Some(&table.capacity()) {
                rooms.push(table.capacity());
            }
        }
        assert_eq!(rooms.last_chunk(), Some(&[1024, 2048, 32_768, 65_536]));
        reserve(&mut table, 50_000, 90_000).expect("memory");
        assert_eq!(table.capacity(), 90_000);
        let mut few: Vec<u64> = Vec::new();
        reserve(&mut few, 1, 5000).expect("memory");
        reserve(&mut few, 3000, 5000).expect("memory");
        assert_eq!(few.capacity(), 5000);
    }
}
