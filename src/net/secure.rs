//! A TLS connection over a socket: records between the kernel and [`Session`], and what of them has to wait.
//!
//! Three buffers, each there only while there is something in it: records of which the end has not come, plaintext for
//! which the reader had no room, records that the kernel has refused.

use super::stream::{Received, Sent};
use super::sys::socket;
use super::sys::{Errno, Fd};
use crate::log;
use crate::tls::{PeerInfo, Session, Words, MAX_PLAINTEXT, MAX_RECORD};
use alloc::vec::Vec;

pub struct Secure {
    fd: Fd,
    session: Session,
    incoming: Vec<u8>,
    plain: Waiting,
    outgoing: Outgoing,
    /// Plaintext that counts as sent, but was never sealed.
    discarded: usize,
    stage: Stage,
    /// Why the kernel will never take anything again.
    error: Option<Errno>,
    /// The last read filled all the room there was.
    more: bool,
    /// The last `receive` has read bytes without telling any.
    heard: bool,
    /// Something can be sent, or has to wait for the kernel, of which the reader does not know yet.
    stirred: bool,
    /// `end` was called.
    ended: bool,
}

enum Stage {
    /// Whether anything has come at all.
    Handshake(bool),
    Open,
    /// The peer has ended TCP.
    Over,
    /// What comes is thrown away.
    Failed(Words),
}

/// Most records that are sealed before the kernel is asked, so that what it refuses is bounded.
const BATCH: usize = 4;
/// What a batch takes in memory beyond its plaintext, generously.
const ROOM_BESIDE: usize = 512;
/// Most bytes of an unfinished handshake message that are kept. rustls refuses longer ones when it sees their length.
const MAX_INCOMING: usize = 64 * 1024 + 2 * MAX_RECORD;

impl Secure {
    pub fn new(fd: Fd, session: Session) -> Secure {
        Secure {
            fd,
            session,
            incoming: Vec::new(),
            plain: Waiting::default(),
            outgoing: Outgoing::default(),
            discarded: 0,
            stage: Stage::Handshake(false),
            error: None,
            more: false,
            heard: false,
            stirred: false,
            ended: false,
        }
    }

    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    pub fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake(_))
    }

    /// There may be more to read, although a read came back with less than it had room for.
    pub fn has_more(&self) -> bool {
        self.more || self.plain.len() > 0 || self.session.peer_has_closed()
    }

    /// Bytes that the kernel has refused.
    pub fn unsent(&self) -> usize {
        self.outgoing.waiting.len()
    }

    /// Plaintext that counts as sent, although the kernel has not all of its record: the peer cannot open it. It is
    /// the last that was sent.
    pub fn held(&self) -> usize {
        self.outgoing.held() + self.discarded
    }

    /// Bytes came in the last `receive`, although it brought none: of an unfinished record, or TLS's own.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Why TLS has failed.
    pub fn failure(&self) -> Option<&Words> {
        match &self.stage {
            Stage::Failed(words) => Some(words),
            _ => None,
        }
    }

    /// The peer has ended TCP without TLS's close_notify.
    pub fn is_truncated(&self) -> bool {
        matches!(self.stage, Stage::Over) && !self.session.peer_has_closed()
    }

    /// None until the handshake is done.
    pub fn peer_info(&self) -> Option<PeerInfo> {
        (!self.is_handshaking()).then(|| self.session.peer_info())
    }

    /// Reads until there is plaintext, or nothing more to read.
    #[inline(never)]
    pub fn receive(&mut self, into: &mut [u8]) -> Received {
        self.heard = false;
        loop {
            if self.plain.len() > 0 {
                let n = copy(self.plain.rest(), into);
                self.plain.advance(n);
                // epoll may have told of bytes in the socket, which it does once.
                self.more = true;
                return Received::Bytes(n);
            }
            match &self.stage {
                Stage::Failed(_) => return self.throw_away(into),
                // Nobody listens any more: it need not even be opened.
                _ if self.ended => return self.throw_away(into),
                _ if self.session.peer_has_closed() => return Received::End,
                _ => {}
            }
            match self.receive_records(into) {
                Ok(0) => self.heard = true,
                Ok(n) => return Received::Bytes(n),
                Err(Trouble::Nothing) => {
                    self.more = false;
                    return match core::mem::take(&mut self.stirred) {
                        true => Received::Progress,
                        false => Received::Nothing,
                    };
                }
                Err(Trouble::End) => return Received::End,
                Err(Trouble::Socket(errno)) => return Received::Failed(errno),
                Err(Trouble::Tls(words)) => {
                    // The alert for the peer, if there is one.
                    let _ = self.flush();
                    self.stage = Stage::Failed(words);
                    self.incoming = Vec::new();
                    return Received::Refused;
                }
            }
        }
    }

    /// One read, and all the records that are whole with it: how many bytes of plaintext are in `into` now. Where it is
    /// long enough, the records are read into it, behind the place for the plaintext of the first of them, so
    /// that they need no memory of their own.
    fn receive_records(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let start = MAX_PLAINTEXT + self.incoming.len();
        let out = match into.get_mut(start..) {
            Some(room) if room.len() >= MAX_RECORD => {
                let n = read(&self.fd, room)?;
                self.more = n == room.len();
                if n == 0 {
                    return Err(self.ended_by_peer());
                }
                copy(
                    &self.incoming,
                    into.get_mut(MAX_PLAINTEXT..).unwrap_or_default(),
                );
                self.incoming = Vec::new();
                let (out, used) = self.open_in_place(into, start + n)?;
                let rest = into.get(used..start + n).unwrap_or_default();
                self.incoming
                    .try_reserve_exact(rest.len())
                    .map_err(|_| no_memory())?;
                self.incoming.extend_from_slice(rest);
                out
            }
            _ => {
                let before = self.incoming.len();
                self.incoming
                    .try_reserve(MAX_RECORD)
                    .map_err(|_| no_memory())?;
                self.incoming.resize(before + MAX_RECORD, 0);
                let got = read(
                    &self.fd,
                    self.incoming.get_mut(before..).unwrap_or_default(),
                );
                self.incoming.truncate(before + *got.as_ref().unwrap_or(&0));
                if self.incoming.is_empty() {
                    self.incoming = Vec::new();
                }
                let n = got?;
                self.more = n == MAX_RECORD;
                if n == 0 {
                    return Err(self.ended_by_peer());
                }
                self.open_apart(into)?
            }
        };
        if self.incoming.len() > MAX_INCOMING {
            return Err(Trouble::Tls(Words::from("a handshake message is too long")));
        }
        self.note_progress()?;
        Ok(out)
    }

    /// Opens the records in `into` from MAX_PLAINTEXT to `end`. Plaintext goes to the front: each record is longer than
    /// its plaintext, so it never reaches those that are still to be opened. How much there is of it, and where the
    /// records begin that are not whole.
    fn open_in_place(&mut self, into: &mut [u8], end: usize) -> Result<(usize, usize), Trouble> {
        let (mut out, mut at) = (0, MAX_PLAINTEXT);
        loop {
            let Some((front, records)) =
                into.get_mut(..end).and_then(|i| i.split_at_mut_checked(at))
            else {
                return Ok((out, at));
            };
            let step = self
                .session
                .step(records, &mut self.outgoing.waiting.bytes, &mut |plain| {
                    out += copy(plain, front.get_mut(out..).unwrap_or_default());
                });
            let step = step.map_err(Trouble::Tls)?;
            at += step.used;
            if !step.again {
                return Ok((out, at));
            }
        }
    }

    /// Opens the records in `incoming`. What `into` has no room for waits.
    fn open_apart(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let mut records = core::mem::take(&mut self.incoming);
        let (mut out, mut at) = (0, 0);
        let mut lost = false;
        loop {
            let plain = &mut self.plain.bytes;
            let step = self.session.step(
                records.get_mut(at..).unwrap_or_default(),
                &mut self.outgoing.waiting.bytes,
                &mut |bytes| {
                    let n = copy(bytes, into.get_mut(out..).unwrap_or_default());
                    out += n;
                    let rest = bytes.get(n..).unwrap_or_default();
                    lost |= plain.try_reserve(rest.len()).is_err();
                    if !lost {
                        plain.extend_from_slice(rest);
                    }
                },
            );
            let step = step.map_err(Trouble::Tls)?;
            if lost {
                return Err(no_memory());
            }
            at += step.used;
            if !step.again {
                break;
            }
        }
        records.drain(..at.min(records.len()));
        if !records.is_empty() {
            self.incoming = records;
        }
        Ok(out)
    }

    /// Sends what TLS itself has to say, and takes note of the end of the handshake.
    fn note_progress(&mut self) -> Result<(), Trouble> {
        if self.is_handshaking() {
            self.stage = Stage::Handshake(true);
            self.stirred = true;
            if !self.session.is_handshaking() {
                self.stage = Stage::Open;
                let agreed = self.session.agreed();
                let agreed = core::str::from_utf8(agreed.as_bytes()).unwrap_or("");
                log::debug(words!("TLS handshake done: {}", agreed));
            }
        }
        self.flush().map_err(Trouble::Socket)?;
        self.stirred |= self.unsent() > 0;
        Ok(())
    }

    fn ended_by_peer(&mut self) -> Trouble {
        if matches!(self.stage, Stage::Handshake(true)) {
            return Trouble::Tls(Words::from(
                "the connection ended in the middle of the TLS handshake",
            ));
        }
        if !self.is_handshaking() {
            self.stage = Stage::Over;
        }
        Trouble::End
    }

    fn throw_away(&mut self, into: &mut [u8]) -> Received {
        match read(&self.fd, into) {
            Ok(0) => Received::End,
            Ok(n) => {
                self.more = n == into.len();
                Received::Bytes(n)
            }
            Err(Trouble::Socket(errno)) => Received::Failed(errno),
            Err(_) => Received::Nothing,
        }
    }

    /// Seals and sends the parts, in order, as far as the kernel takes the records. What it refuses of one batch waits
    /// here, and counts as sent; see `unsent` and `held`. An error is told when nothing was sealed before it in this
    /// call, so that all that was sealed is counted; then every later `flush` tells it.
    #[inline(never)]
    pub fn send(&mut self, parts: &[&[u8]]) -> Sent {
        let mut parts = Parts { parts, at: 0 };
        match &self.stage {
            // Nobody is to wait for it to go.
            Stage::Failed(_) => {
                self.discarded += parts.len();
                return Sent::Bytes(parts.len());
            }
            Stage::Handshake(_) => return self.begin(),
            Stage::Open | Stage::Over => {}
        }
        let mut taken = 0;
        loop {
            let flushed = self.flush();
            if flushed.is_ok() && self.unsent() == 0 && !parts.is_empty() {
                taken += self.seal_batch(&mut parts);
                continue;
            }
            return match flushed {
                Err(errno) if taken == 0 => Sent::Failed(errno),
                _ => Sent::Bytes(taken),
            };
        }
    }

    /// Nothing can be sealed any more: no memory, or more records than one key may be used for.
    fn broken(&mut self, words: Words) -> Errno {
        let errno = Errno(libc::EPROTO);
        self.stage = Stage::Failed(words);
        self.error = Some(errno);
        errno
    }

    /// The first words of a handshake, which are the client's.
    fn begin(&mut self) -> Sent {
        let begun = self.session.step(
            &mut self.incoming,
            &mut self.outgoing.waiting.bytes,
            &mut |_| {},
        );
        match begun {
            Ok(step) if step.again => self.begin(),
            Ok(_) => match self.flush() {
                Ok(()) => Sent::Bytes(0),
                Err(errno) => Sent::Failed(errno),
            },
            Err(words) => Sent::Failed(self.broken(words)),
        }
    }

    /// Seals as many records as go to the kernel at once: how many bytes of the parts.
    fn seal_batch(&mut self, parts: &mut Parts<'_>) -> usize {
        self.outgoing.make_room(parts.len());
        let mut sealed = 0;
        for _ in 0..BATCH {
            if parts.is_empty() {
                break;
            }
            match self.seal_record(parts) {
                Ok(n) => sealed += n,
                Err(words) => {
                    self.broken(words);
                    break;
                }
            }
        }
        sealed
    }

    /// Seals one record, as full as the parts make it: how many bytes. Short parts share it.
    fn seal_record(&mut self, parts: &mut Parts<'_>) -> Result<usize, Words> {
        let len = parts.len().min(MAX_PLAINTEXT);
        if let Some(whole) = parts.next().get(..len) {
            self.seal(whole)?;
            parts.advance(len);
            return Ok(len);
        }
        let mut joined = Vec::new();
        joined
            .try_reserve_exact(len)
            .map_err(|_| Words::from("out of memory"))?;
        while joined.len() < len {
            let next = parts.next();
            let next = next.get(..len - joined.len()).unwrap_or(next);
            joined.extend_from_slice(next);
            parts.advance(next.len());
        }
        self.seal(&joined)?;
        Ok(len)
    }

    fn seal(&mut self, record: &[u8]) -> Result<(), Words> {
        self.session
            .seal(&mut self.incoming, record, &mut self.outgoing.waiting.bytes)?;
        self.outgoing.sealed(record.len());
        Ok(())
    }

    /// Offers to the kernel what it has refused before. What it does not take for an error stays, and so is counted.
    pub fn flush(&mut self) -> Result<(), Errno> {
        if let Some(errno) = self.error {
            return Err(errno);
        }
        while self.unsent() > 0 {
            match socket::send(&self.fd, &[self.outgoing.waiting.rest()]) {
                Ok(n) => self.outgoing.advance(n),
                Err(errno) if errno.would_block() => return Ok(()),
                Err(errno) => {
                    self.error = Some(errno);
                    return Err(errno);
                }
            }
        }
        if self.ended {
            socket::shutdown_write(&self.fd);
        }
        Ok(())
    }

    /// Says that nothing more will be sent: close_notify, then the end of TCP's direction.
    pub fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.say_goodbye();
        }
        let _ = self.flush();
    }

    fn say_goodbye(&mut self) {
        if matches!(self.stage, Stage::Open | Stage::Over) {
            self.session
                .close(&mut self.incoming, &mut self.outgoing.waiting.bytes);
        }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        // What waits still was given up: whoever has counted it as not sent may send it elsewhere.
        if !self.ended && self.unsent() == 0 {
            self.say_goodbye();
            let _ = self.flush();
        }
    }
}

enum Trouble {
    /// Nothing to read now.
    Nothing,
    End,
    Socket(Errno),
    Tls(Words),
}

/// Also what rustls remembers of the input is of no more use then.
fn no_memory() -> Trouble {
    Trouble::Tls(Words::from("out of memory"))
}

fn read(fd: &Fd, into: &mut [u8]) -> Result<usize, Trouble> {
    socket::recv(fd, into).map_err(|errno| match errno.would_block() {
        true => Trouble::Nothing,
        false => Trouble::Socket(errno),
    })
}

/// Copies what fits; how much that was.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
        to.copy_from_slice(from);
    }
    n
}

/// Bytes of which the first `gone` have gone.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    gone: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// Frees the memory with the last byte.
    fn advance(&mut self, by: usize) {
        self.gone += by;
        if self.gone >= self.bytes.len() {
            *self = Waiting::default();
        }
    }
}

/// Records for the kernel. All plaintext in them was sealed when nothing waited any more, so that there is one batch of
/// it, and TLS's own records around it.
#[derive(Default)]
struct Outgoing {
    waiting: Waiting,
    /// Where the records of the batch end in `waiting`; 0 for those that it does not have. All but the last are full.
    ends: [u32; BATCH],
    /// Bytes of plaintext in the last.
    last: u16,
}

const _: () = assert!(MAX_PLAINTEXT <= u16::MAX as usize);

impl Outgoing {
    /// Room for so much plaintext, if it is more than a record: else the room would grow record by record. Without
    /// memory, sealing finds out.
    fn make_room(&mut self, len: usize) {
        let records = len.div_ceil(MAX_PLAINTEXT).min(BATCH);
        if records > 1 {
            let len = len.min(BATCH * MAX_PLAINTEXT) + ROOM_BESIDE;
            let _ = self.waiting.bytes.try_reserve(len);
        }
    }

    /// A record with so many bytes of plaintext was appended.
    fn sealed(&mut self, len: usize) {
        if let Some(end) = self.ends.iter_mut().find(|end| **end == 0) {
            *end = u32::try_from(self.waiting.bytes.len()).unwrap_or(u32::MAX);
            self.last = u16::try_from(len).unwrap_or(u16::MAX);
        }
    }

    /// Bytes of plaintext in records that are not gone whole.
    fn held(&self) -> usize {
        let gone = self.waiting.gone as u64;
        let held = { self.ends.iter() }.filter(|end| u64::from(**end) > gone);
        match held.count() {
            0 => 0,
            records => (records - 1) * MAX_PLAINTEXT + usize::from(self.last),
        }
    }

    fn advance(&mut self, by: usize) {
        self.waiting.advance(by);
        if self.waiting.len() == 0 {
            self.ends = [0; BATCH];
        }
    }
}

/// What is left of parts that go one after the other.
struct Parts<'a> {
    parts: &'a [&'a [u8]],
    /// Where in the first.
    at: usize,
}

impl<'a> Parts<'a> {
    fn next(&self) -> &'a [u8] {
        let first = self.parts.first().and_then(|part| part.get(self.at..));
        first.unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum::<usize>() - self.at
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn advance(&mut self, by: usize) {
        self.at += by;
        while let Some((first, rest)) = self.parts.split_first() {
            if self.at < first.len() {
                return;
            }
            self.at -= first.len();
            self.parts = rest;
        }
    }
}
