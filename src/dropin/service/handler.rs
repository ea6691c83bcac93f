//! What the events of a connection mean to the program.

use super::{fds, DataType, Exit, Login, Service, HOLD, PACKAGE};
use crate::dropin::fds::Holder;
use crate::dropin::open::path_matches;
use crate::engine::{CloseInfo, Piece};
use crate::error::Status;
use crate::net::conns::ConnId;
use crate::proto::frame::Kind;
use crate::server::{Handler, Reply, RequestView, Server};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::net::SocketAddrV4;

pub struct Face(pub Arc<Service>);

impl Handler for Face {
    fn upgrade(&self, request: &RequestView, reply: &mut Reply<'_>) -> c_int {
        if path_matches(self.0.path.as_deref(), &request.request) {
            return 0;
        }
        let _ = reply.set_body(404, Some("text/plain"), b"no WebSocket at this path\n");
        404
    }

    fn http(&self, _request: &RequestView, _reply: &mut Reply<'_>) {}

    fn open(&self, id: ConnId, request: &RequestView) {
        let service = &self.0;
        let Some(server) = service.server() else {
            return;
        };
        let fd = server.conn_fd(id);
        let (index, first) = {
            let mut seats = service.seats.lock();
            (seats.take(id), seats.taken() == 1)
        };
        let (Some(fd), Some(index)) = (fd, index) else {
            let _ = server.abort(id);
            return;
        };
        let known = server.set_conn_user(id, index + 1).is_ok()
            && fds::insert(fd, Holder::Served(service.clone(), id)).is_ok();
        if !known {
            service.seats.lock().free(index);
            let _ = server.set_conn_user(id, 0);
            let _ = server.abort(id);
            return;
        }
        let peer = request.peer().to_str().unwrap_or_default();
        let peer = peer.parse::<SocketAddrV4>().ok();
        service.board.login(&Login {
            index,
            thread: id.owner(),
            fd,
            ip: peer.map(|peer| peer.ip().octets()).unwrap_or_default(),
            port: peer.map_or(0, |peer| peer.port()),
        });
        // The keeper has something to watch now.
        if first {
            service.wake.signal();
        }
        service.after(&server, id, index);
    }

    /// Not used: messages come in pieces.
    fn message(&self, _id: ConnId, _kind: Kind, _data: &[u8]) {}

    fn piece(&self, id: ConnId, piece: &Piece<'_>) {
        self.0.with_client(id, |service, index| {
            service.board.received(index, piece.data.len());
            if piece.last && piece.offset == 0 && piece.data.len() <= PACKAGE {
                service.whole(id, index, piece.data, piece.kind.into());
            } else {
                service.part(id, index, piece);
            }
        });
    }

    fn writable(&self, _id: ConnId) {}

    fn ping(&self, id: ConnId) {
        self.control(id, DataType::Ping);
    }

    fn pong(&self, id: ConnId, _data: &[u8]) {
        self.control(id, DataType::Pong);
    }

    fn failed(&self, id: ConnId, input: &[u8]) {
        if input.is_empty() {
            return;
        }
        self.0.with_client(id, |service, index| {
            let shown = input.get(..PACKAGE).unwrap_or(input);
            let mut copy = Vec::new();
            if copy.try_reserve_exact(shown.len() + 1).is_ok() {
                copy.extend_from_slice(shown);
                copy.push(0);
                let len = -(shown.len() as i32);
                service.board.message(index, &copy, len, DataType::Null);
            }
        });
    }

    fn closed(&self, id: ConnId, info: &CloseInfo) {
        let service = &self.0;
        let Some(server) = service.server() else {
            return;
        };
        let Some(index) = service.index(&server, id) else {
            return;
        };
        if info.status == Status::Ok && info.by_peer && !service.board.wants_exit(index) {
            service.board.message(index, &[0], 0, DataType::Close);
        }
        service.board.exit(
            index,
            match info.status {
                Status::Io | Status::NoMemory => Exit::Epoll,
                _ => Exit::Disconnect,
            },
        );
        if let Some(fd) = server.conn_fd(id) {
            fds::remove_served(fd, id);
        }
        service.seats.lock().free(index);
    }
}

impl Face {
    fn control(&self, id: ConnId, what: DataType) {
        self.0.with_client(id, |service, index| {
            service.board.message(index, &[0], 0, what);
        });
    }
}

impl Service {
    fn with_client(&self, id: ConnId, body: impl FnOnce(&Service, usize)) {
        let Some(server) = self.server() else { return };
        if let Some(index) = self.index(&server, id) {
            body(self, index);
            self.after(&server, id, index);
        }
    }

    /// After a callback: does what it asked for, and reads nothing more from a client that has
    /// to read first.
    fn after(&self, server: &Server, id: ConnId, index: usize) {
        if self.board.wants_exit(index) {
            let _ = server.abort(id);
        } else if server.buffered(id) > HOLD {
            server.hold(id);
        }
    }

    /// A message that lies whole in the input.
    fn whole(&self, id: ConnId, index: usize, data: &[u8], what: DataType) {
        let spare = self.spare.get(id.owner());
        let mut buffer = spare
            .map(|spare| core::mem::take(&mut *spare.lock()))
            .unwrap_or_default();
        buffer.clear();
        if buffer.try_reserve(data.len() + 1).is_err() {
            return self.out_of_memory(id);
        }
        buffer.extend_from_slice(data);
        buffer.push(0);
        self.board.message(index, &buffer, data.len() as i32, what);
        if let Some(spare) = spare {
            *spare.lock() = buffer;
        }
    }

    /// A stretch of a message that comes in parts.
    fn part(&self, id: ConnId, index: usize, piece: &Piece<'_>) {
        let mut seats = self.seats.lock();
        if !seats.gather(index, piece.data) {
            drop(seats);
            return self.out_of_memory(id);
        }
        if !piece.last {
            return;
        }
        let mut message = seats.gathered(index);
        drop(seats);
        let kept = message.len();
        message.push(0);
        let all = piece.offset + piece.data.len() as u64;
        if all == kept as u64 {
            let what = piece.kind.into();
            self.board.message(index, &message, kept as i32, what);
        } else {
            // Too large: its beginning is shown, as what is no packet.
            let len = -(kept as i32);
            self.board.message(index, &message, len, DataType::Null);
        }
    }

    fn out_of_memory(&self, id: ConnId) {
        if let Some(server) = self.server() {
            self.drop_client(&server, id, Exit::Epoll);
        }
    }
}
