//! Which connection a descriptor stands for.
//!
//! The program closes its descriptors without telling us, and the kernel gives the number to the
//! next socket. So an entry of the program's own counts only as long as the descriptor is still
//! the socket that it was made for. A descriptor of a server is closed by the server, which takes
//! the entry away before.

use super::own::Own;
use super::service::Service;
use crate::net::conns::ConnId;
use crate::net::sys::foreign::{identity, Identity};
use crate::net::sys::thread::Mutex;
use crate::proto::OutOfMemory;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;

/// Who reads and writes a descriptor.
#[derive(Clone)]
pub enum Holder {
    /// The program, by calls.
    Own(Arc<Mutex<Own>>),
    /// A loop of a server.
    Served(Arc<Service>, ConnId),
}

struct Entry {
    identity: Option<Identity>,
    holder: Holder,
}

/// By number.
static TABLE: Mutex<Vec<Option<Entry>>> = Mutex::new(Vec::new());

/// Who has this descriptor. None: nobody has shaken hands on it.
pub fn find(fd: c_int) -> Option<Holder> {
    let index = usize::try_from(fd).ok()?;
    let (holder, expected) = {
        let table = TABLE.lock();
        let entry = table.get(index)?.as_ref()?;
        (entry.holder.clone(), entry.identity)
    };
    if expected.is_some() && identity(fd) != expected {
        forget(index, expected);
        return None;
    }
    Some(holder)
}

/// Makes a descriptor known. What was known under the number before is gone.
pub fn insert(fd: c_int, holder: Holder) -> Result<(), OutOfMemory> {
    let index = usize::try_from(fd).map_err(|_| OutOfMemory)?;
    let identity = match holder {
        Holder::Own(_) => identity(fd),
        Holder::Served(..) => None,
    };
    let entry = Entry { identity, holder };
    let mut table = TABLE.lock();
    if table.len() <= index {
        let more = index + 1 - table.len();
        table.try_reserve(more).map_err(|_| OutOfMemory)?;
        table.resize_with(index + 1, || None);
    }
    let before = table.get_mut(index).and_then(|place| place.replace(entry));
    // Freed without the lock: it may be large.
    drop(table);
    drop(before);
    Ok(())
}

/// A server is about to close the descriptor of a connection.
pub fn remove_served(fd: c_int, id: ConnId) {
    remove_if(
        usize::try_from(fd).unwrap_or(usize::MAX),
        |entry| matches!(entry.holder, Holder::Served(_, known) if known == id),
    );
}

fn forget(index: usize, expected: Option<Identity>) {
    remove_if(index, |entry| entry.identity == expected);
}

fn remove_if(index: usize, condition: impl FnOnce(&Entry) -> bool) {
    let mut table = TABLE.lock();
    let gone = match table.get_mut(index) {
        Some(place) if place.as_ref().is_some_and(condition) => place.take(),
        _ => None,
    };
    drop(table);
    drop(gone);
}
