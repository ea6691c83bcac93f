//! A connection on a descriptor of the program's: it is read and written when the program calls.
//!
//! Reading takes from the socket what belongs to the packet that is told, and not a byte more:
//! the head is looked at before it is taken. So `poll` on the descriptor goes on telling the truth.
//! What has come of an unfinished message is kept here.
//!
//! Does not: ping by itself, wait for the peer's Close, close the descriptor.

mod write;

pub use write::send;

use super::{DataType, MAX_MESSAGE};
use crate::net::random::Random;
use crate::net::sys::foreign::{peek, recv_both};
use crate::net::sys::thread::Mutex;
use crate::net::sys::{monotonic_ms, Errno, Fd};
use crate::proto::connection::{Connection, Event, Io, Limits, Payload, Pool, Role};
use crate::proto::frame::{Header, Kind, MAX_HEAD};
use crate::proto::outbox::Outbox;
use alloc::vec::Vec;
use core::ops::Range;

/// Messages are gathered here and not in the connection, so that one which is too large for the
/// caller's buffer costs no memory.
const LIMITS: Limits = Limits {
    max_message: MAX_MESSAGE,
    pieces: true,
    ping_interval: None,
    pong_timeout: Limits::FOREVER,
    close_timeout: 2000,
    deflate: None,
};

/// System calls of one `receive`. A peer that sends empty fragments for ever does not keep the
/// caller for ever.
const READS: usize = 256;

/// Masking keys of all these connections.
static RANDOM: Mutex<Random> = Mutex::new(Random::new());

pub struct Own {
    role: Role,
    connection: Connection,
    out: Outbox,
    /// The message so far.
    message: Vec<u8>,
    /// The message is too large for the caller and is thrown away.
    dropping: bool,
    /// Bytes that the caller had read behind the request, and how many of them are used up.
    early: Vec<u8>,
    early_used: usize,
    /// The kernel took nothing for so long that the last `send` gave up waiting.
    stalled: bool,
    /// The kernel says that nothing can be sent any more.
    broken: bool,
}

/// What a call tells: the return value, and the type beside it.
pub type Told = (i32, DataType);

const NOTHING: Told = (0, DataType::Null);
const ENDED: Told = (0, DataType::Close);

impl Own {
    /// A connection whose handshake is done. `early` came behind the peer's part of it.
    pub fn new(role: Role, early: Vec<u8>) -> Own {
        Own {
            role,
            connection: Connection::new(role, monotonic_ms()),
            out: Outbox::new(),
            message: Vec::new(),
            dropping: false,
            early,
            early_used: 0,
            stalled: false,
            broken: false,
        }
    }

    /// Looks for one whole message or control packet. Never waits. `buffer` None: its content is
    /// thrown away.
    pub fn receive(&mut self, fd: &Fd, mut buffer: Option<&mut [u8]>) -> Told {
        self.flush(fd);
        let mut scratch = [0; 4096];
        for _ in 0..READS {
            if self.connection.is_finished() {
                return ENDED;
            }
            let keep = buffer.is_some();
            let place = match &mut buffer {
                Some(buffer) => &mut **buffer,
                None => &mut scratch,
            };
            let told = match self.part(fd, place, keep) {
                Ok(Some(told)) => told,
                Ok(None) => continue,
                Err(Stop::Empty) => NOTHING,
                Err(Stop::End) => {
                    self.connection.lost();
                    ENDED
                }
            };
            self.flush(fd);
            return told;
        }
        self.flush(fd);
        NOTHING
    }

    /// Takes one stretch from the socket: a head with what follows of its payload, or more of a
    /// payload. None: nothing to tell yet.
    fn part(&mut self, fd: &Fd, place: &mut [u8], keep: bool) -> Result<Option<Told>, Stop> {
        let mut head = [0; MAX_HEAD];
        let (head_len, payload) = match self.connection.payload_to_come() {
            0 => {
                let kept = self.connection.head_so_far();
                let known = kept.len();
                for (to, from) in head.iter_mut().zip(kept) {
                    *to = *from;
                }
                let fresh = head.get_mut(known..).unwrap_or_default();
                let seen = self.peek(fd, fresh)?;
                match Header::parse(head.get(..known + seen).unwrap_or_default()) {
                    Ok(Some((header, used))) => (known..used, header.len),
                    // It goes on, or is none: the connection finds out which.
                    Ok(None) | Err(_) => (known..known + seen, 0),
                }
            }
            rest => (0..0, rest),
        };
        let known = head_len.start;
        // The connection judges the head before it is taken. What is no packet is then still there
        // to be read as it is.
        let mut at = 0;
        let judged = head.get_mut(head_len.clone()).unwrap_or_default();
        let event = self.feed(judged, &mut at);
        if matches!(event, Some(Event::Failed(_))) {
            return self.take_what_is_no_packet(fd, head.get(..known).unwrap_or_default(), place);
        }
        let room = usize::try_from(payload).unwrap_or(usize::MAX);
        let room = room.min(place.len());
        let body = place.get_mut(..room).unwrap_or_default();
        let taken = head.get_mut(head_len).unwrap_or_default();
        let got = self.take(fd, taken, body)?;
        let Some(got) = got.checked_sub(taken.len()) else {
            // Somebody else reads from this socket: where frames begin is not known any more.
            return Err(Stop::End);
        };
        if let Some(event) = event {
            return Ok(self.tell(event, place, keep));
        }
        let mut at = 0;
        let mut told = None;
        while at < got && told.is_none() {
            let event = self.feed(place.get_mut(..got).unwrap_or_default(), &mut at);
            told = event.and_then(|event| match event {
                Event::Failed(_) => Some(refused(got)),
                event => self.tell(event, place, keep),
            });
        }
        Ok(told)
    }

    fn feed(&mut self, input: &mut [u8], at: &mut usize) -> Option<Event> {
        let mut random = RANDOM.lock();
        let mut io = Io {
            limits: &LIMITS,
            out: &mut self.out,
            masks: &mut *random,
            pool: &mut Pool::none(),
            now: monotonic_ms(),
        };
        self.connection.receive(input, at, &mut io)
    }

    /// What an event means to the caller; `place` holds the bytes that it is about.
    fn tell(&mut self, event: Event, place: &mut [u8], keep: bool) -> Option<Told> {
        match event {
            Event::Piece {
                kind,
                payload: Payload::Input(range),
                offset,
                last,
            } => self.piece(kind, range, offset, last, place, keep),
            Event::Ping(_) => Some((0, DataType::Ping)),
            Event::Pong(_) => Some((0, DataType::Pong)),
            Event::Closed => Some(ENDED),
            // Neither whole messages nor compressed ones were asked for.
            Event::Failed(_) | Event::Message { .. } | Event::Piece { .. } => Some(refused(0)),
        }
    }

    fn piece(
        &mut self,
        kind: Kind,
        range: Range<usize>,
        offset: u64,
        last: bool,
        place: &mut [u8],
        keep: bool,
    ) -> Option<Told> {
        let len = range.len();
        // Within MAX_MESSAGE, as the connection has checked.
        let total = i32::try_from(offset + len as u64).unwrap_or(i32::MAX);
        let fits = keep && offset + len as u64 <= place.len() as u64;
        let whole = last && offset == 0;
        if fits && !whole && !self.dropping {
            let stretch = place.get(range).unwrap_or_default();
            self.dropping = self.message.try_reserve(len).is_err();
            if !self.dropping {
                self.message.extend_from_slice(stretch);
            }
        } else if !whole {
            // Thrown away as asked, or too large.
            self.dropping |= keep || !last;
        }
        if self.dropping {
            self.message = Vec::new();
        }
        if !last {
            return None;
        }
        let dropped = core::mem::take(&mut self.dropping);
        if !keep {
            self.message = Vec::new();
            return Some((total, kind.into()));
        }
        if dropped || !fits {
            return Some((-total, kind.into()));
        }
        if !whole {
            let message = core::mem::take(&mut self.message);
            if let Some(to) = place.get_mut(..message.len()) {
                to.copy_from_slice(&message);
            }
        }
        if let Some(end) = place.get_mut(offset as usize + len) {
            *end = 0;
        }
        Some((total, kind.into()))
    }

    /// The connection has failed over a head that is still to be read: hands it out as it is, with
    /// what else has come.
    fn take_what_is_no_packet(
        &mut self,
        fd: &Fd,
        before: &[u8],
        place: &mut [u8],
    ) -> Result<Option<Told>, Stop> {
        let shown = before.len().min(place.len());
        let (first, rest) = place.split_at_mut(shown);
        first.copy_from_slice(before.get(..shown).unwrap_or_default());
        let got = self.take(fd, &mut [], rest)?;
        if let Some(end) = rest.get_mut(got) {
            *end = 0;
        }
        Ok(Some(refused(shown + got)))
    }

    fn peek(&self, fd: &Fd, into: &mut [u8]) -> Result<usize, Stop> {
        match self.early.get(self.early_used..) {
            Some(early) if !early.is_empty() => {
                let n = early.len().min(into.len());
                for (to, from) in into.iter_mut().zip(early) {
                    *to = *from;
                }
                Ok(n)
            }
            _ => came(peek(fd, into)),
        }
    }

    fn take(&mut self, fd: &Fd, first: &mut [u8], second: &mut [u8]) -> Result<usize, Stop> {
        let wanted = first.len() + second.len();
        if wanted == 0 {
            return Ok(0);
        }
        let early = self.early.get(self.early_used..).unwrap_or_default();
        if early.is_empty() {
            return came(recv_both(fd, first, second));
        }
        let n = early.len().min(wanted);
        for (to, from) in first.iter_mut().chain(second).zip(early) {
            *to = *from;
        }
        self.early_used += n;
        if self.early_used == self.early.len() {
            self.early = Vec::new();
            self.early_used = 0;
        }
        Ok(n)
    }
}

/// Why nothing more was read.
enum Stop {
    /// Nothing has come.
    Empty,
    /// Nothing will come.
    End,
}

fn came(result: Result<usize, Errno>) -> Result<usize, Stop> {
    match result {
        Ok(0) => Err(Stop::End),
        Ok(n) => Ok(n),
        Err(errno) if errno.would_block() => Err(Stop::Empty),
        Err(_) => Err(Stop::End),
    }
}

/// So many bytes were no packet. At least one, since 0 means something else.
fn refused(bytes: usize) -> Told {
    (
        -i32::try_from(bytes.max(1)).unwrap_or(i32::MAX),
        DataType::Null,
    )
}
