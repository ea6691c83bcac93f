//! Unpredictable bytes for masking keys and handshake keys (RFC 6455 section 10.3), drawn from the
//! kernel by the page, since one getrandom() for each frame would cost a tenth of a small message.

use super::sys::{self, Errno};
use crate::proto::connection::Masks;

/// Where masking keys come from.
pub struct Random {
    pool: [u8; POOL],
    left: usize,
}

const POOL: usize = 512;

impl Default for Random {
    fn default() -> Random {
        Random::new()
    }
}

impl Random {
    pub const fn new() -> Random {
        Random {
            pool: [0; POOL],
            left: 0,
        }
    }

    /// `N` fresh bytes (N is at most the pool's size), each given out once.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        if self.left < N {
            self.left = 0;
            sys::random_bytes(&mut self.pool)?;
            self.left = POOL;
        }
        self.left -= N;
        let from = self.pool.get_mut(self.left..).unwrap_or_default();
        let taken = from
            .first_chunk_mut()
            .map(|bytes| core::mem::replace(bytes, [0; N]));
        taken.ok_or(Errno(libc::EINVAL))
    }
}

impl Masks for Random {
    fn mask(&mut self) -> Option<[u8; 4]> {
        self.take().ok()
    }
}
