//! Who subscribes to what, within one event loop.

use crate::net::conns::ConnId;
use crate::proto::OutOfMemory;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Sorted by name; each topic has at least one member.
#[derive(Default)]
pub struct Topics(Vec<Topic>);

struct Topic {
    name: Box<str>,
    /// Sorted by number.
    members: Vec<u64>,
}

impl Topics {
    /// Adds a member; false if it was one already.
    pub fn add(&mut self, name: &str, id: ConnId) -> Result<bool, OutOfMemory> {
        let at = match self.find(name) {
            Ok(at) => at,
            Err(at) => {
                let mut members = Vec::new();
                members.try_reserve(1).map_err(|_| OutOfMemory)?;
                self.0.try_reserve(1).map_err(|_| OutOfMemory)?;
                self.0.insert(
                    at,
                    Topic {
                        name: boxed(name)?,
                        members,
                    },
                );
                at
            }
        };
        let Some(Topic { members, .. }) = self.0.get_mut(at) else {
            return Ok(false);
        };
        let Err(place) = members.binary_search(&id.0) else {
            return Ok(false);
        };
        members.try_reserve(1).map_err(|_| OutOfMemory)?;
        members.insert(place, id.0);
        Ok(true)
    }

    pub fn remove(&mut self, name: &str, id: ConnId) {
        let Ok(at) = self.find(name) else { return };
        let Some(Topic { members, .. }) = self.0.get_mut(at) else {
            return;
        };
        if let Ok(place) = members.binary_search(&id.0) {
            members.remove(place);
        }
        if members.is_empty() {
            self.0.remove(at);
        }
    }

    /// The member at a place, for walking them while they may change.
    pub fn member(&self, name: &str, place: usize) -> Option<ConnId> {
        let at = self.find(name).ok()?;
        self.0.get(at)?.members.get(place).copied().map(ConnId)
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|topic| (*topic.name).cmp(name))
    }
}

/// A copy of a text that may fail for want of memory.
pub fn boxed(text: &str) -> Result<Box<str>, OutOfMemory> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(text.len())
        .map_err(|_| OutOfMemory)?;
    bytes.extend_from_slice(text.as_bytes());
    let copy = alloc::string::String::from_utf8(bytes).map_err(|_| OutOfMemory)?;
    Ok(copy.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go_and_empty_topics_vanish() {
        let mut topics = Topics::default();
        assert_eq!(topics.add("b", ConnId(2)), Ok(true));
        assert_eq!(topics.add("a", ConnId(3)), Ok(true));
        assert_eq!(topics.add("b", ConnId(1)), Ok(true));
        assert_eq!(topics.add("b", ConnId(2)), Ok(false));
        assert_eq!(topics.member("b", 0), Some(ConnId(1)));
        assert_eq!(topics.member("b", 1), Some(ConnId(2)));
        assert_eq!(topics.member("b", 2), None);
        topics.remove("b", ConnId(9));
        topics.remove("b", ConnId(1));
        topics.remove("b", ConnId(2));
        assert_eq!(topics.member("b", 0), None);
        assert_eq!(topics.0.len(), 1);
    }
}
