//! Commands of the application to an open connection.

use super::{CommandError, Endpoint, Stage};
use crate::proto::connection::{Connection, Io, Masks, Role, SendError};
use crate::proto::frame::{frame_len, Kind};

impl Endpoint {
    pub fn send(
        &mut self,
        kind: Kind,
        data: &[u8],
        plain: bool,
        masks: &mut dyn Masks,
    ) -> Result<(), CommandError> {
        self.make_room(data.len())?;
        self.command(masks, |connection, io| match plain {
            true => connection.send_plain(kind, data, io),
            false => connection.send(kind, data, io),
        })
    }

    pub fn send_fragment(
        &mut self,
        kind: Kind,
        data: &[u8],
        fin: bool,
        plain: bool,
        masks: &mut dyn Masks,
    ) -> Result<(), CommandError> {
        self.make_room(data.len())?;
        self.command(masks, |connection, io| {
            connection.send_fragment(kind, data, fin, plain, io)
        })
    }

    pub fn ping(&mut self, data: &[u8], masks: &mut dyn Masks) -> Result<(), CommandError> {
        self.make_room(data.len())?;
        self.command(masks, |connection, io| connection.ping(data, io))
    }

    pub fn pong(&mut self, data: &[u8], masks: &mut dyn Masks) -> Result<(), CommandError> {
        self.make_room(data.len())?;
        self.command(masks, |connection, io| connection.pong(data, io))
    }

    /// Starts the closing handshake.
    pub fn close(
        &mut self,
        code: u16,
        reason: &str,
        now: u64,
        masks: &mut dyn Masks,
    ) -> Result<(), CommandError> {
        self.clock(now);
        self.command(masks, |connection, io| {
            connection.close(Some(code), reason, io)?;
            // The peer's Close is to be seen.
            connection.pause(false, io.now);
            Ok(())
        })
    }

    /// The application stops reading, or reads again: meanwhile no Pong can be missing.
    pub fn pause(&mut self, paused: bool, now: u64) -> Result<(), CommandError> {
        self.clock(now);
        match &mut self.stage {
            Stage::Open(connection) if connection.is_open() => {
                connection.pause(paused, self.now);
                Ok(())
            }
            _ => Err(CommandError::Send(SendError::Closed)),
        }
    }

    /// Refuses what would exceed the send queue.
    fn make_room(&self, len: usize) -> Result<(), CommandError> {
        if !self.is_open() {
            return Err(CommandError::Send(SendError::Closed));
        }
        let need = frame_len(len, self.role == Role::Client);
        if need > self.settings.max_send_queue {
            return Err(CommandError::Send(SendError::TooBig));
        }
        if self.out.len().saturating_add(need) > self.settings.max_send_queue {
            return Err(CommandError::Again);
        }
        Ok(())
    }

    fn command(
        &mut self,
        masks: &mut dyn Masks,
        body: impl FnOnce(&mut Connection, &mut Io<'_>) -> Result<(), SendError>,
    ) -> Result<(), CommandError> {
        let done = self.with_open(masks, body);
        done.unwrap_or(Err(SendError::Closed))
            .map_err(CommandError::Send)
    }
}
