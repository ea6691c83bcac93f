//! What other threads have asked for.

use super::depart::DIRECT;
use super::Local;
use crate::engine::conn::{Ending, Flags};
use crate::engine::remote::Command;
use crate::engine::Part;
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::proto::connection::Role;

impl Local {
    /// Does what other threads have asked for. Calls nobody.
    pub fn take_commands(&mut self) {
        let spare = core::mem::take(&mut self.commands);
        let mut commands = self.remote.take(spare);
        for command in commands.drain(..) {
            self.obey(command);
        }
        self.commands = commands;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Send {
                id,
                kind,
                data,
                plain,
            } => {
                // It was let in by the limit as it stood then; now it must not be lost.
                // Counted before it can reach the peer.
                self.remote.counters().messages_sent.add(1);
                let direct = data.len() >= DIRECT && self.settings.role == Role::Server;
                let sent = if direct && !self.packs(id, data.len(), plain) {
                    self.send_direct(id, kind, &data)
                } else {
                    self.with_open(id, |connection, io| match plain {
                        true => connection.send_plain(kind, &data, io),
                        false => connection.send(kind, &data, io),
                    })
                };
                self.obeyed(id, self.settings.frame_len(data.len()), sent);
                self.remote
                    .counters()
                    .messages_sent
                    .subtract(u64::from(sent.is_err()));
            }
            Command::SendPart {
                id,
                kind,
                data,
                last,
                plain,
            } => {
                let part = Part {
                    kind,
                    data: &data,
                    last,
                    plain,
                };
                let sent = self.put_part(id, &part);
                self.obeyed(id, self.settings.frame_len(data.len()), sent);
                self.not_continued(id, sent);
            }
            Command::Ping { id, data } => {
                let sent = self.with_open(id, |connection, io| connection.ping(&data, io));
                self.obeyed(id, self.settings.frame_len(data.len()), sent);
            }
            Command::Framed { id, data } => {
                let sent = self.send_framed(id, &data);
                self.obeyed(id, data.len(), sent);
            }
            Command::Abort { id } => self.abort(id),
            Command::Close { id, code, reason } => {
                let _ = self.close(id, code, &reason);
            }
            Command::Pause { id, paused } => {
                let _ = self.pause(id, paused);
            }
            Command::Subscribe { id, topic, on } => {
                let done = self.subscribe(id, &topic, on);
                self.obeyed(id, 0, done);
            }
            Command::WantRoom { id } => {
                self.remote.room_is_wanted(id);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.flags.set(Flags::WANTS_ROOM, true);
                    // Else there is more room when some of it has gone, and not before.
                    if conn.unsent() == 0 {
                        self.touch(id);
                    }
                }
            }
            Command::Broadcast { topic, frame } => self.broadcast(topic.as_deref(), &frame),
            Command::Adopt { stream, peer } => {
                if let Err(status) = self.adopt(stream, &peer) {
                    // Counted when it was handed over.
                    self.remote.set_load(self.conns.count() as u32);
                    let text = Status::text_of(status as i32).to_str().unwrap_or("");
                    crate::log::error(words!("{}: not taken in: {}", *peer, text));
                }
            }
        }
    }

    /// A message whose first pieces are out can be continued or the connection closed, nothing else.
    fn not_continued(&mut self, id: ConnId, sent: Result<(), Status>) {
        let (code, reason) = match sent {
            Err(Status::Utf8) => (1007, "text is not valid UTF-8"),
            Err(Status::InvalidArg) => (1011, "two messages at a time"),
            _ => return,
        };
        let _ = self.close(id, code, reason);
    }

    /// Accounts for a command; one that was promised and cannot be kept ends the connection.
    fn obeyed(&mut self, id: ConnId, bytes: usize, result: Result<(), Status>) {
        let queued = self.conns.get_mut(id).map_or(0, |conn| {
            conn.flags.set(Flags::PUBLISHED, conn.queued() > 0);
            conn.queued()
        });
        self.remote.settle(id, bytes, queued);
        if result == Err(Status::NoMemory) {
            self.end(id, Ending::NoMemory);
        }
    }
}
