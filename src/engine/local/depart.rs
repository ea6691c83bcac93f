//! Bytes go: queueing, writing straight from the caller's memory, flushing, broadcasting.

use super::{extra, note, spare, Local, SPARES, SPARE_BYTES};
use crate::engine::conn::{Conn, Ending, Phase};
use crate::engine::topics::boxed;
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::random::Random;
use crate::net::stream::Sent;
use crate::net::sys::socket::MAX_PARTS;
use crate::proto::connection::{Connection, Io, Role, SendError};
use crate::proto::frame::Kind;
use crate::proto::outbox::{Outbox, Shared};
use alloc::boxed::Box;

impl Local {
    /// Queues bytes as they are: HTTP.
    pub fn write(&mut self, id: ConnId, bytes: &[u8]) -> Result<(), Status> {
        self.with_outbox(id, |_, out, _| {
            out.push(&[bytes]).map_err(|_| SendError::NoMemory)
        })
    }

    pub fn send(&mut self, id: ConnId, kind: Kind, data: &[u8]) -> Result<(), Status> {
        self.make_room(id, data.len())?;
        // Counted before it can reach the peer.
        self.remote.counters().messages_sent.add(1);
        let sent = if data.len() >= DIRECT && self.settings.role == Role::Server {
            self.send_direct(id, kind, data)
        } else {
            self.with_open(id, |connection, io| connection.send(kind, data, io))
        };
        self.remote
            .counters()
            .messages_sent
            .subtract(u64::from(sent.is_err()));
        sent
    }

    pub fn ping(&mut self, id: ConnId, data: &[u8]) -> Result<(), Status> {
        self.make_room(id, data.len())?;
        self.with_open(id, |connection, io| connection.ping(data, io))
    }

    pub fn close(&mut self, id: ConnId, code: u16, reason: &str) -> Result<(), Status> {
        self.with_open(id, |connection, io| {
            connection.close(Some(code), reason, io)
        })?;
        self.remote.closing(id);
        // The peer's Close is to be seen, also when reading was paused.
        self.set_paused(id, false);
        self.rearm(id);
        Ok(())
    }

    /// Queues bytes that are whole frames already.
    pub fn send_framed(&mut self, id: ConnId, data: &[u8]) -> Result<(), Status> {
        self.with_open(id, |connection, io| {
            connection.ready()?;
            io.out.push(&[data]).map_err(|_| SendError::NoMemory)
        })
    }

    /// Reads nothing more from a connection until what is queued for it has gone.
    pub fn hold(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.draining = conn.queued() > 0;
        }
    }

    pub fn pause(&mut self, id: ConnId, paused: bool) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        conn.websocket()
            .filter(|c| c.is_open())
            .ok_or(Status::Closed)?;
        self.set_paused(id, paused);
        self.rearm(id);
        Ok(())
    }

    fn set_paused(&mut self, id: ConnId, paused: bool) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if let Some(connection) = conn.websocket() {
            connection.pause(paused, now);
        }
        let before = core::mem::replace(&mut conn.flags.paused, paused);
        if before && !paused {
            self.look_again(id);
        }
    }

    pub fn subscribe(&mut self, id: ConnId, topic: &str, on: bool) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        conn.websocket()
            .filter(|c| c.is_open())
            .ok_or(Status::Closed)?;
        let extra = extra(conn)?;
        if on {
            extra.topics.try_reserve(1).map_err(|_| Status::NoMemory)?;
            let name = boxed(topic)?;
            if self.topics.add(topic, id)? {
                extra.topics.push(name);
            }
        } else {
            extra.topics.retain(|t| **t != *topic);
            self.topics.remove(topic, id);
        }
        Ok(())
    }

    /// Queues an encoded frame for all open connections, or for a topic's subscribers.
    pub fn broadcast(&mut self, topic: Option<&str>, frame: &Shared) {
        let mut place = 0;
        loop {
            let id = match topic {
                Some(topic) => match self.topics.member(topic, place) {
                    Some(id) => Some(id),
                    None => return,
                },
                None => match self.nth(place as u32) {
                    Some(id) => id,
                    None => return,
                },
            };
            place += 1;
            if let Some(id) = id {
                self.share(id, frame);
            }
        }
    }

    fn share(&mut self, id: ConnId, frame: &Shared) {
        let limit = self.settings.max_send_queue;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if !conn.websocket().is_some_and(|c| c.is_open()) {
            return;
        }
        if conn.queued() + frame.len() > limit {
            conn.flags.wants_room = true;
            self.remote.counters().messages_dropped.add(1);
            return;
        }
        self.remote.counters().messages_sent.add(1);
        // Nothing is queued: the kernel takes it from the shared bytes. Else it waits its turn.
        let mut taken = 0;
        if conn.queued() == 0 {
            match conn.stream.send(&[frame]) {
                Sent::Bytes(n) => taken = n,
                Sent::Failed(errno) => return self.end(id, Ending::Io(errno)),
            }
            self.remote.counters().bytes_sent.add(taken as u64);
            if taken == frame.len() {
                return;
            }
        }
        let queued = self.with_outbox(id, |_, out, _| {
            out.push_shared(frame, taken)
                .map_err(|_| SendError::NoMemory)
        });
        if queued.is_err() {
            // Part of a frame may be out: the stream is of no more use.
            self.end(id, Ending::NoMemory);
        }
    }

    /// Writes head and payload from where they lie; only what the kernel refuses is copied.
    pub(super) fn send_direct(
        &mut self,
        id: ConnId,
        kind: Kind,
        data: &[u8],
    ) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        let connection = conn.websocket().ok_or(Status::Closed)?;
        let head = connection.message_head(kind, data)?;
        let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
        let before = conn.queued();
        let blocked = conn.outbox.as_ref().is_some_and(|o| o.is_blocked());
        let mut filled = 0;
        if let Some(outbox) = &conn.outbox {
            filled = outbox.slices(&mut parts[..MAX_PARTS - 2]);
        }
        let offered: usize = parts[..filled].iter().map(|p| p.len()).sum();
        let mut taken = 0;
        if !blocked && offered == before {
            parts[filled] = &head;
            parts[filled + 1] = data;
            match conn.stream.send(&parts[..filled + 2]) {
                Sent::Bytes(n) => taken = n,
                Sent::Failed(errno) => {
                    // The failure is told by on_close; the message was as good as sent.
                    self.end(id, Ending::Io(errno));
                    return Ok(());
                }
            }
            self.remote.counters().bytes_sent.add(taken as u64);
        }
        if let Some(outbox) = &mut conn.outbox {
            outbox.advance(taken.min(before));
        }
        let of_head = taken.saturating_sub(before).min(head.len());
        let of_data = taken.saturating_sub(before + head.len());
        if of_data < data.len() || of_head < head.len() {
            let rest = [&head[of_head..], &data[of_data..]];
            let queued = self.with_outbox(id, |_, out, _| {
                out.push(&rest).map_err(|_| SendError::NoMemory)
            });
            if queued.is_err() && taken > before {
                self.end(id, Ending::NoMemory);
                return Ok(());
            }
            return queued;
        }
        self.touch(id);
        Ok(())
    }

    /// Refuses what would exceed the send queue.
    fn make_room(&mut self, id: ConnId, len: usize) -> Result<(), Status> {
        let limit = self.settings.max_send_queue;
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        conn.websocket()
            .filter(|c| c.is_open())
            .ok_or(Status::Closed)?;
        let need = self.settings.frame_len(len);
        if need > limit {
            return Err(Status::TooBig);
        }
        if conn.queued() + need > limit {
            conn.flags.wants_room = true;
            return Err(Status::Again);
        }
        Ok(())
    }

    /// Runs a sending method of an open connection on its outbox.
    pub(super) fn with_open(
        &mut self,
        id: ConnId,
        body: impl FnOnce(&mut Connection, &mut Io<'_>) -> Result<(), SendError>,
    ) -> Result<(), Status> {
        let limits = self.settings.limits;
        let now = self.now;
        self.with_outbox(id, |conn, out, random| {
            let connection = conn.websocket().ok_or(SendError::Closed)?;
            body(
                connection,
                &mut Io {
                    limits: &limits,
                    out,
                    masks: random,
                    now,
                },
            )
        })
    }

    fn with_outbox(
        &mut self,
        id: ConnId,
        body: impl FnOnce(&mut Conn, &mut Outbox, &mut Random) -> Result<(), SendError>,
    ) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        if conn.outbox.is_none() {
            conn.outbox = spare(&mut self.spare);
        }
        let mut outbox = conn.outbox.take().ok_or(Status::NoMemory)?;
        let result = body(conn, &mut outbox, &mut self.random);
        conn.outbox = Some(outbox);
        // Flushing puts it back into the pool.
        self.touch(id);
        result.map_err(Status::from)
    }

    /// Puts an outbox back into its connection, or into the pool when nothing is queued.
    pub(super) fn give_back(&mut self, id: ConnId, mut outbox: Box<Outbox>) {
        if !outbox.is_empty() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.outbox = Some(outbox);
            }
        } else if self.spare.len() < SPARES && self.spare.try_reserve(1).is_ok() {
            outbox.reset(SPARE_BYTES);
            self.spare.push(outbox);
        }
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub fn flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        conn.flags.dirty = false;
        if let Some(mut outbox) = conn.outbox.take() {
            let mut failed = None;
            let mut violation = None;
            while !outbox.is_empty() {
                let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
                let filled = outbox.slices(&mut parts);
                let offered: usize = parts[..filled].iter().map(|p| p.len()).sum();
                match conn.stream.send(&parts[..filled]) {
                    Sent::Bytes(n) => {
                        self.remote.counters().bytes_sent.add(n as u64);
                        outbox.advance(n);
                        if n < offered {
                            break;
                        }
                    }
                    Sent::Failed(errno) => {
                        failed = Some(errno);
                        break;
                    }
                }
                if let (true, Phase::Open(connection)) = (outbox.is_empty(), &mut conn.phase) {
                    outbox.set_blocked(false);
                    connection.drained(&mut Io {
                        limits: &self.settings.limits,
                        out: &mut outbox,
                        masks: &mut self.random,
                        now: self.now,
                    });
                    // For want of memory or randomness it may have given up.
                    violation = connection.outcome().violation;
                }
            }
            if let Some(violation) = violation.filter(|_| failed.is_none()) {
                self.end(id, Ending::from(violation));
            }
            if let Some(errno) = failed {
                // What is queued can never go.
                outbox.reset(0);
                self.end(id, Ending::Io(errno));
            }
            let blocked = !outbox.is_empty();
            outbox.set_blocked(blocked);
            self.give_back(id, outbox);
            self.watch(id, blocked);
        }
        self.flushed(id);
    }

    /// What follows from the state of the outbox.
    fn flushed(&mut self, id: ConnId) {
        let client = self.settings.role == Role::Client;
        let half = self.settings.max_send_queue / 2;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let queued = conn.queued();
        if conn.published != queued {
            conn.published = queued;
            self.remote.settle(id, 0, queued);
        }
        if conn.flags.wants_room && queued <= half && conn.ending.is_none() {
            conn.flags.wants_room = false;
            note(&mut self.lists.writable, id);
        }
        if queued > 0 {
            return;
        }
        match conn.phase {
            Phase::Lingering { .. } => conn.stream.end(),
            // RFC 6455 section 7.1.1: the server ends the TCP connection first; the client waits
            // for it, until its close deadline.
            Phase::Open(_) if conn.flags.last_words && client => {}
            _ if conn.flags.last_words => self.end(id, Ending::Clean),
            _ if conn.flags.draining => {
                conn.flags.draining = false;
                self.look_again(id);
            }
            _ => {}
        }
    }
}

/// From here on a message is written straight from the caller's memory.
pub(super) const DIRECT: usize = 16 * 1024;
