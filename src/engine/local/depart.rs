//! Bytes go: queueing, writing straight from the caller's memory, flushing, broadcasting.

use super::{extra, note_last, spare, Local, POOL_MS, SPARE_BYTES};
use crate::engine::conn::{Conn, Ending, Flags, Phase};
use crate::engine::remote::{Broadcast, Packing, LARGE_BROADCAST, NO_MORE_BROADCASTS};
use crate::engine::topics::boxed;
use crate::engine::Part;
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::net::stream::Sent;
use crate::net::sys::socket::MAX_PARTS;
use crate::net::sys::{coarse_ms, Errno};
use crate::proto::connection::{Connection, Io, Role, SendError};
use crate::proto::deflate::Agreed;
use crate::proto::frame::{Header, Kind, Opcode};
use crate::proto::outbox::{Outbox, Shared};
use crate::proto::OutOfMemory;
use crate::rare::rarely;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Local {
    /// Queues bytes as they are: HTTP.
    pub fn write(&mut self, id: ConnId, bytes: &[u8]) -> Result<(), Status> {
        self.queue(id, |out| out.push(&[bytes]))
    }

    /// The way of most messages: short, from a server, with room for them. False, with nothing
    /// done: it is not like that, or cannot be sent, and `send` finds out.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn send_short(&mut self, id: ConnId, kind: Kind, data: &[u8]) -> bool {
        let Some(conn) = self.conns.get_mut(id) else {
            rarely();
            return false;
        };
        let Phase::Open(connection) = &conn.phase else {
            rarely();
            return false;
        };
        // DIRTY: it is flushed without being told.
        if !conn.flags.has(Flags::DIRTY)
            || conn.flags.has(Flags::LONG_WAY)
            || data.len() >= DIRECT
            || !connection.may_send(kind, data)
        {
            rarely();
            return false;
        }
        if conn.outbox.is_none() {
            conn.outbox = self.spare.pop();
        }
        let Some(outbox) = conn.outbox.as_mut() else {
            rarely();
            return false;
        };
        let sent = outbox.push_short(kind.opcode(), data, self.settings.max_send_queue);
        if sent {
            self.remote.counters().messages_sent.add(1);
        }
        sent
    }

    pub fn send(&mut self, id: ConnId, kind: Kind, data: &[u8], plain: bool) -> Result<(), Status> {
        let direct = data.len() >= DIRECT && self.settings.role == Role::Server;
        if direct && !self.packs(id, data.len(), plain) {
            return self.send_large(id, kind, data);
        }
        if data.len() > SPARE_BYTES {
            self.lend_buffer(id);
        }
        let limit = self.settings.max_send_queue;
        let need = self.settings.frame_len(data.len());
        let sent = self.with_open(id, |connection, io| {
            if need > limit - io.out.len().min(limit) {
                connection.ready()?;
                let full = need <= limit;
                return Err(if full {
                    SendError::Full
                } else {
                    SendError::TooBig
                });
            }
            match plain {
                true => connection.send_plain(kind, data, io),
                false => connection.send(kind, data, io),
            }
        });
        match sent {
            Ok(()) => self.remote.counters().messages_sent.add(1),
            Err(Status::Again) => self.wants_room(id),
            Err(_) => {}
        }
        sent
    }

    /// A message is about to be copied that no spare outbox has room for: into a buffer of the pool, if there is one.
    #[cold]
    #[inline(never)]
    fn lend_buffer(&mut self, id: ConnId) {
        let open = |conn: &&mut Conn| matches!(conn.phase, Phase::Open(_)) && !conn.has_ended();
        let Some(conn) = self.conns.get_mut(id).filter(open) else {
            return;
        };
        if conn.outbox.is_none() {
            conn.outbox = spare(&mut self.spare);
        }
        if let Some(outbox) = conn.outbox.as_deref_mut() {
            let unused = outbox.swap_buffer(self.pool.take_message());
            self.pool.give_message(unused);
        }
    }

    #[inline(never)]
    fn send_large(&mut self, id: ConnId, kind: Kind, data: &[u8]) -> Result<(), Status> {
        self.make_room(id, data.len())?;
        // Counted before it can reach the peer.
        self.remote.counters().messages_sent.add(1);
        let sent = self.send_direct(id, kind, data);
        let failed = u64::from(sent.is_err());
        self.remote.counters().messages_sent.subtract(failed);
        sent
    }

    /// Sends a piece of a message. The first one begins it, the last one ends it.
    pub fn send_part(&mut self, id: ConnId, part: &Part<'_>) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        let connection = conn.websocket().ok_or(Status::Closed)?;
        let begins = connection.begins(part.kind)?;
        if begins && part.last {
            return self.send(id, part.kind, part.data, part.plain);
        }
        self.make_room(id, part.data.len())?;
        // What other threads have asked for before goes before.
        while begins && !self.remote.begin_pieces(id, part.kind) {
            self.take_commands();
        }
        let sent = self.put_part(id, part);
        let goes_on = if sent.is_ok() { !part.last } else { !begins };
        if !goes_on {
            self.remote.end_pieces(id);
        }
        sent
    }

    /// The same, of a piece that there is room for.
    pub(super) fn put_part(&mut self, id: ConnId, part: &Part<'_>) -> Result<(), Status> {
        // Counted before it can reach the peer.
        let ends = u64::from(part.last);
        self.remote.counters().messages_sent.add(ends);
        let sent = if self.is_direct(id, part) {
            self.part_direct(id, part)
        } else {
            self.with_open(id, |connection, io| {
                connection.send_fragment(part.kind, part.data, part.last, part.plain, io)
            })
        };
        let failed = if sent.is_err() { ends } else { 0 };
        self.remote.counters().messages_sent.subtract(failed);
        sent
    }

    fn is_direct(&mut self, id: ConnId, part: &Part<'_>) -> bool {
        let Part {
            data, last, plain, ..
        } = *part;
        let settings = self.settings.limits.deflate.as_ref();
        let websocket = self.conns.get_mut(id).and_then(Conn::websocket);
        data.len() >= DIRECT
            && self.settings.role == Role::Server
            && websocket.is_some_and(|c| !c.packs_fragment(data.len(), last, plain, settings))
    }

    /// Writes a piece from where it lies, as `send_direct` does.
    fn part_direct(&mut self, id: ConnId, part: &Part<'_>) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        let connection = conn.websocket().ok_or(Status::Closed)?;
        let (head, fragment) =
            connection.fragment_head(part.kind, part.data, part.last, &mut self.pool)?;
        self.write_frame(id, &head, part.data)?;
        if let Some(connection) = self.conns.get_mut(id).and_then(Conn::websocket) {
            connection.fragment_sent(fragment, &mut self.pool);
        }
        Ok(())
    }

    /// `send` would compress such a message.
    pub(super) fn packs(&mut self, id: ConnId, len: usize, plain: bool) -> bool {
        let settings = self.settings.limits.deflate.as_ref();
        let websocket = self.conns.get_mut(id).and_then(Conn::websocket);
        !plain && websocket.is_some_and(|c| c.packs(len, settings))
    }

    pub fn ping(&mut self, id: ConnId, data: &[u8]) -> Result<(), Status> {
        self.make_room(id, data.len())?;
        self.with_open(id, |connection, io| connection.ping(data, io))
    }

    pub fn close(&mut self, id: ConnId, code: u16, reason: &str) -> Result<(), Status> {
        // The deadline counts from now, not from when this turn began.
        self.tell_time(coarse_ms());
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
            conn.flags.set(Flags::DRAINING, conn.queued() > 0);
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
            // Set aside as well: what has been inflated is told before anything that the stream brings, its end included.
            let inflated = paused && connection.has_more();
            if inflated {
                conn.flags.set(Flags::STASHED, true);
            }
        }
        let before = conn.flags.has(Flags::PAUSED);
        conn.flags.set(Flags::PAUSED, paused);
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
    pub fn broadcast(&mut self, topic: Option<&str>, frame: &Broadcast) {
        if frame.frame.len() > LARGE_BROADCAST {
            // Without memory for the timer nothing is given back.
            let _ = self.set_timer(NO_MORE_BROADCASTS, Some(self.now + POOL_MS));
        }
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

    #[inline]
    fn share(&mut self, id: ConnId, broadcast: &Broadcast) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let coded = conn.flags.has(Flags::CODED);
        let Some(connection) = conn.websocket() else {
            return;
        };
        match connection.ready() {
            Ok(()) => {}
            Err(SendError::Fragmented) => {
                self.remote.counters().messages_dropped.add(1);
                return;
            }
            Err(_) => return,
        }
        match connection.deflate().filter(|_| coded) {
            None => {
                self.share_frame(id, &broadcast.frame);
            }
            Some(agreed) => self.share_packed(id, broadcast, agreed),
        }
    }

    #[inline(never)]
    fn share_packed(&mut self, id: ConnId, broadcast: &Broadcast, agreed: Agreed) {
        let Broadcast { frame, packing } = broadcast;
        let packed = match packing {
            Packing::Once(packed) if !agreed.send.takeover() => {
                let window = usize::from(agreed.send.window_bits()).saturating_sub(8);
                packed.get(window).and_then(Option::as_ref)
            }
            _ => None,
        };
        match (packing, packed) {
            (Packing::Plain, _) => {
                self.share_one(id, frame);
            }
            (_, Some(packed)) => {
                // Where it would have become no shorter, it is the frame itself.
                if self.share_one(id, packed) && packed.len() < frame.len() {
                    self.pool
                        .deflate
                        .count_sent(payload_len(frame), payload_len(packed));
                }
            }
            (Packing::Each | Packing::Once(_), None) => {
                let Ok(Some((header, head))) = Header::parse(frame) else {
                    return;
                };
                let kind = match header.opcode {
                    Opcode::Text => Kind::Text,
                    _ => Kind::Binary,
                };
                let data = frame.get(head..).unwrap_or_default();
                match self.send(id, kind, data, false) {
                    Ok(()) | Err(Status::Closed) => {}
                    Err(_) => self.remote.counters().messages_dropped.add(1),
                }
            }
        }
    }

    #[inline(never)]
    fn share_one(&mut self, id: ConnId, frame: &Shared) -> bool {
        self.share_frame(id, frame)
    }

    /// False: the connection has gone, or has no room for it.
    #[cfg_attr(not(libws_small), inline(always))]
    fn share_frame(&mut self, id: ConnId, frame: &Shared) -> bool {
        let limit = self.settings.max_send_queue;
        let Some(conn) = self.conns.get_mut(id) else {
            return false;
        };
        if conn.queued() + frame.len() > limit {
            conn.flags.set(Flags::WANTS_ROOM, true);
            self.remote.counters().messages_dropped.add(1);
            return false;
        }
        self.remote.counters().messages_sent.add(1);
        // Nothing is queued: the kernel takes it from the shared bytes. Else it waits its turn.
        let mut taken = 0;
        if conn.queued() == 0 {
            match conn.stream.send_one(frame) {
                Sent::Bytes(n) => taken = n,
                Sent::Failed(errno) => {
                    self.end(id, Ending::Io(errno));
                    return true;
                }
            }
            self.remote.counters().bytes_sent.add(taken as u64);
            if taken == frame.len() {
                if conn.flags.has(Flags::TLS) {
                    self.touch(id);
                }
                return true;
            }
        }
        let queued = self.queue(id, |out| out.push_shared(frame, taken));
        if queued.is_err() {
            // Part of a frame may be out: the stream is of no more use.
            self.end(id, Ending::NoMemory);
        }
        true
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
        self.write_frame(id, &head, data)
    }

    fn write_frame(&mut self, id: ConnId, head: &[u8], data: &[u8]) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
        let before = conn.queued();
        let blocked = conn.outbox.as_ref().is_some_and(|o| o.is_blocked());
        let mut filled = 0;
        if let Some(outbox) = &conn.outbox {
            filled = outbox.slices(parts.get_mut(..MAX_PARTS - 2).unwrap_or_default());
        }
        let offered: usize = parts.iter().take(filled).map(|p| p.len()).sum();
        let mut taken = 0;
        if !blocked && offered == before {
            if let Some([place_of_head, place_of_data]) = parts.get_mut(filled..filled + 2) {
                *place_of_head = head;
                *place_of_data = data;
            }
            match conn
                .stream
                .send(parts.get(..filled + 2).unwrap_or_default())
            {
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
            let spent = outbox.take_spent();
            self.use_again(spent);
        }
        let of_head = taken.saturating_sub(before).min(head.len());
        let of_data = taken.saturating_sub(before + head.len());
        if of_data < data.len() || of_head < head.len() {
            let head = head.get(of_head..).unwrap_or_default();
            let data = data.get(of_data..).unwrap_or_default();
            // What the application sends on as it came need not be copied.
            let came = self
                .delivering
                .as_ref()
                .filter(|came| 2 * data.len() >= came.len());
            let shared = came.and_then(|came| Some((came.clone(), came.place_of(data)?)));
            let queued = self.queue(id, |out| match shared {
                None => out.push(&[head, data]),
                Some((came, start)) => {
                    out.push(&[head])?;
                    out.push_part(&came, start, start + data.len())
                }
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
            conn.flags.set(Flags::WANTS_ROOM, true);
            return Err(Status::Again);
        }
        Ok(())
    }

    /// on_writable is owed once there is room.
    #[inline(never)]
    fn wants_room(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.flags.set(Flags::WANTS_ROOM, true);
        }
    }

    /// Runs a method of an open connection with what it works with.
    #[inline]
    pub(super) fn with_open(
        &mut self,
        id: ConnId,
        body: impl FnOnce(&mut Connection, &mut Io<'_>) -> Result<(), SendError>,
    ) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        let Phase::Open(connection) = &mut conn.phase else {
            return Err(Status::Closed);
        };
        if conn.flags.has(Flags::ENDED) {
            return Err(Status::Closed);
        }
        if conn.outbox.is_none() {
            conn.outbox = spare(&mut self.spare);
        }
        let dirty = conn.flags.has(Flags::DIRTY);
        let mut io = Io {
            limits: &self.settings.limits,
            out: conn.outbox.as_deref_mut().ok_or(Status::NoMemory)?,
            masks: &mut self.random,
            pool: &mut self.pool,
            now: self.now,
        };
        let result = body(connection, &mut io);
        // Flushing puts the outbox back into the pool. What was refused changes nothing: on_writable would be told at once,
        // of no more room than there is, again and again.
        if !dirty && !matches!(result, Err(SendError::Full)) {
            self.touch(id);
        }
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(Status::from(error)),
        }
    }

    /// Appends to the outbox of a connection in any phase.
    fn queue(
        &mut self,
        id: ConnId,
        body: impl FnOnce(&mut Outbox) -> Result<(), OutOfMemory>,
    ) -> Result<(), Status> {
        let conn = self.conns.get_mut(id).ok_or(Status::Closed)?;
        if conn.outbox.is_none() {
            conn.outbox = spare(&mut self.spare);
        }
        let result = body(conn.outbox.as_deref_mut().ok_or(Status::NoMemory)?);
        self.touch(id);
        Ok(result?)
    }

    /// Puts an outbox into the pool, without what may be in it.
    pub(super) fn give_back(&mut self, mut outbox: Box<Outbox>) {
        if let Some(buffer) = outbox.take_large(SPARE_BYTES) {
            self.give_message(buffer);
        }
        outbox.reset(SPARE_BYTES);
        keep(&mut self.spare, outbox);
    }

    /// Writes what is queued, as far as the kernel takes it.
    #[inline(never)]
    pub fn flush(&mut self, id: ConnId) {
        self.flush_now(id);
    }

    /// The same, for where nearly all of it is done.
    #[cfg_attr(not(libws_small), inline(always))]
    pub fn flush_now(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            rarely();
            return;
        };
        conn.flags.set(Flags::DIRTY, false);
        // Nearly always the kernel takes all, and nothing follows from that.
        let (Phase::Open(connection), Some(outbox)) = (&conn.phase, &mut conn.outbox) else {
            rarely();
            return self.flush_any(id);
        };
        if conn.flags.has(Flags::AFTER_FLUSH) || !connection.holds_nothing_back() {
            rarely();
            return self.flush_any(id);
        }
        let Some(bytes) = outbox.short(SPARE_BYTES) else {
            rarely();
            return self.flush_any(id);
        };
        match conn.stream.send_one(bytes) {
            Sent::Bytes(n) if n == bytes.len() => {
                self.remote.counters().bytes_sent.add(n as u64);
                outbox.clear();
                if let Some(outbox) = conn.outbox.take() {
                    keep(&mut self.spare, outbox);
                }
            }
            Sent::Bytes(n) => {
                rarely();
                self.remote.counters().bytes_sent.add(n as u64);
                outbox.advance(n);
                self.flush_rest(id, true);
            }
            Sent::Failed(errno) => {
                rarely();
                self.cannot_send(id, errno);
            }
        }
    }

    /// As `flush`, of a connection of any kind.
    #[inline(never)]
    fn flush_any(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.outbox.is_some() {
            self.flush_rest(id, false);
        } else if conn.flags.has(Flags::AFTER_FLUSH) || !matches!(conn.phase, Phase::Open(_)) {
            self.flushed(id);
        }
    }

    /// As `flush`, where there may be more to do. `refused`: the kernel takes no more for now.
    #[inline(never)]
    fn flush_rest(&mut self, id: ConnId, mut refused: bool) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let Some(outbox) = conn.outbox.as_deref_mut() else {
            return;
        };
        let mut violation = None;
        loop {
            if outbox.is_empty() {
                outbox.set_blocked(false);
                if let Phase::Open(connection) = &mut conn.phase {
                    connection.drained(&mut Io {
                        limits: &self.settings.limits,
                        out: outbox,
                        masks: &mut self.random,
                        pool: &mut self.pool,
                        now: self.now,
                    });
                    // For want of memory or randomness it may have given up.
                    violation = connection.violation();
                }
            }
            if outbox.is_empty() || refused {
                break;
            }
            let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
            let filled = outbox.slices(&mut parts);
            let parts = parts.get(..filled).unwrap_or_default();
            let offered: usize = parts.iter().map(|p| p.len()).sum();
            match conn.stream.send(parts) {
                Sent::Bytes(n) => {
                    self.remote.counters().bytes_sent.add(n as u64);
                    outbox.advance(n);
                    refused = n < offered;
                }
                Sent::Failed(errno) => return self.cannot_send(id, errno),
            }
        }
        let blocked = !outbox.is_empty();
        outbox.set_blocked(blocked);
        let spent = outbox.take_spent();
        if !blocked {
            if let Some(outbox) = conn.outbox.take() {
                self.give_back(outbox);
            }
        }
        self.use_again(spent);
        if let Some(violation) = violation {
            self.end(id, Ending::from(violation));
        }
        self.watch(id, blocked);
        self.flushed(id);
    }

    /// Message buffers that were sent on.
    fn use_again(&mut self, spent: Option<Shared>) {
        if let Some(bytes) = spent.and_then(Shared::into_inner) {
            self.give_message(bytes);
        }
    }

    /// What is queued can never go.
    fn cannot_send(&mut self, id: ConnId, errno: Errno) {
        if let Some(outbox) = self.conns.get_mut(id).and_then(|conn| conn.outbox.take()) {
            self.give_back(outbox);
        }
        self.end(id, Ending::Io(errno));
        self.flushed(id);
    }

    /// What follows from the state of the outbox.
    fn flushed(&mut self, id: ConnId) {
        let client = self.settings.role == Role::Client;
        let half = self.settings.max_send_queue / 2;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let mut queued = conn.queued();
        if conn.flags.has(Flags::TLS) {
            if let Err(errno) = conn.stream.flush() {
                return self.end(id, Ending::Io(errno));
            }
            queued += conn.stream.unsent();
            self.watch(id, queued > 0);
        }
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if queued > 0 || conn.flags.has(Flags::PUBLISHED) {
            conn.flags.set(Flags::PUBLISHED, queued > 0);
            self.remote.settle(id, 0, queued);
        }
        if conn.flags.has(Flags::WANTS_ROOM) && queued <= half && !conn.has_ended() {
            conn.flags.set(Flags::WANTS_ROOM, false);
            note_last(&mut self.lists.writable, id);
        }
        if queued > 0 {
            return;
        }
        match conn.phase {
            Phase::Lingering { .. } => conn.stream.end(),
            // RFC 6455 section 7.1.1: the server ends the TCP connection first; the client waits
            // for it, until its close deadline.
            Phase::Open(_) if conn.flags.has(Flags::LAST_WORDS) && client => {}
            _ if conn.flags.has(Flags::LAST_WORDS) => self.end(id, Ending::Clean),
            _ if conn.flags.has(Flags::DRAINING) => {
                conn.flags.set(Flags::DRAINING, false);
                if let Phase::Upgrading(Some(upgrading)) = &mut conn.phase {
                    upgrading.until = self.now + u64::from(self.settings.handshake_timeout);
                    self.rearm(id);
                }
                self.look_again(id);
            }
            _ => {}
        }
    }
}

/// Keeps an empty outbox, as far as the list was made with room.
#[allow(clippy::vec_box)]
#[cfg_attr(not(libws_small), inline(always))]
fn keep(spare: &mut Vec<Box<Outbox>>, outbox: Box<Outbox>) {
    if spare.len() < spare.capacity() {
        spare.push(outbox);
    }
}

/// Bytes of the payload of a frame.
fn payload_len(frame: &[u8]) -> usize {
    match Header::parse(frame) {
        Ok(Some((_, head))) => frame.len().saturating_sub(head),
        _ => 0,
    }
}

/// From here on a message is written straight from the caller's memory.
pub(super) const DIRECT: usize = 16 * 1024;
