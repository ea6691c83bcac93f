//! Allocation that may fail, where the stable library has none.

use alloc::alloc::{alloc, alloc_zeroed, Layout};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// So many bytes can be had, for what ends the process without memory. Another thread may take them meanwhile.
pub fn is_there(bytes: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let there = probe.try_reserve_exact(bytes).is_ok();
    core::hint::black_box(&probe);
    there
}

/// `value` on the heap; gives it back when there is no memory.
pub fn try_box<T>(value: T) -> Result<Box<T>, T> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value));
    }
    // SAFETY: the layout has a size; a fresh block of that layout is written before it becomes a
    // Box, which frees it with the same layout.
    unsafe {
        let block = alloc(layout).cast::<T>();
        if block.is_null() {
            return Err(value);
        }
        block.write(value);
        Ok(Box::from_raw(block))
    }
}

/// `len` zero bytes, whose pages become resident only as they are touched.
pub fn try_zeroed(len: usize) -> Option<Box<[u8]>> {
    let layout = Layout::array::<u8>(len).ok().filter(|l| l.size() > 0)?;
    // SAFETY: the layout has a size; zero is a valid u8; the Box frees it with the same layout.
    unsafe {
        let block = alloc_zeroed(layout);
        if block.is_null() {
            return None;
        }
        let slice = core::ptr::slice_from_raw_parts_mut(block, len);
        Some(Box::from_raw(slice))
    }
}
