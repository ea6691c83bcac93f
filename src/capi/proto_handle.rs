//! What stands behind a `ws_proto`: an endpoint, the bytes that were lent to it, and what the last
//! event points to.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use core::slice;

use super::callbacks::as_kind;
use super::guard;
use super::proto::{ws_proto_config, ws_proto_end, ws_proto_event, ws_proto_event_type};
use super::request::ws_request;
use super::status::ws_status;
use crate::error::{Error, Status};
use crate::net::random::Random;
use crate::net::sys::memory::try_box;
use crate::net::sys::Errno;
use crate::proto::connection::{self, Masks, Payload, SendError};
use crate::proto::deflate::Agreed;
use crate::proto::endpoint::{Cause, CommandError, Ending, Endpoint, Event, Failure};
use crate::proto::frame::Kind;
use crate::server::checked_close;

/// What is handed out lies on the heap behind a pointer, so that it stays while the handle is used:
/// a program sends what it has just received.
pub struct Proto {
    endpoint: Endpoint,
    masks: Keys,
    input: Input,
    /// The payload of the last event, if it had come in parts.
    payload: Vec<u8>,
    /// The reason in the last event, with its NUL.
    reason: Vec<u8>,
}

/// Bytes that the endpoint has not looked at.
struct Input {
    at: *mut u8,
    len: usize,
    /// They were lent; else `at` points into `kept`.
    lent: bool,
    kept: Vec<u8>,
}

/// A client's; a server masks nothing.
struct Keys(Option<Box<Random>>);

impl Masks for Keys {
    fn mask(&mut self) -> Option<[u8; 4]> {
        self.0.as_mut()?.mask()
    }
}

impl Proto {
    pub unsafe fn new(config: &ws_proto_config, now: u64) -> Result<Box<Proto>, Error> {
        // SAFETY: texts, as ws_proto_new() asks for.
        let (settings, client) = unsafe { config.settings() }?;
        let (endpoint, masks) = match client {
            None => (Endpoint::server(settings, now), None),
            Some(request) => {
                let mut random = try_box(Random::new()).map_err(|_| Status::NoMemory)?;
                let key = random.take().map_err(no_randomness)?;
                let (url, headers) = (&request.url, request.headers.as_deref());
                let endpoint = Endpoint::client(settings, url, headers, key, now)?;
                (endpoint, Some(random))
            }
        };
        let proto = Proto {
            endpoint,
            masks: Keys(masks),
            input: Input {
                at: ptr::null_mut(),
                len: 0,
                lent: false,
                kept: Vec::new(),
            },
            payload: Vec::new(),
            reason: Vec::new(),
        };
        Ok(try_box(proto).map_err(|_| Status::NoMemory)?)
    }

    /// `data` is valid for `len` bytes, and nobody else uses it until `next` has given None.
    pub unsafe fn feed(&mut self, data: *mut u8, len: usize, now: u64) -> Result<(), Error> {
        self.all_used_up()?;
        if len > 0 {
            self.endpoint.arrived(now);
            self.input = Input {
                at: data,
                len,
                lent: true,
                kept: Vec::new(),
            };
        }
        Ok(())
    }

    pub fn next(&mut self, struct_size: usize) -> ws_proto_event {
        self.payload = Vec::new();
        let mut told = nothing(struct_size);
        let start = self.input.at;
        let event = self.step();
        if let Some(event) = event {
            self.tell(event, start, &mut told);
        }
        told
    }

    fn step(&mut self) -> Option<Event> {
        let input: &mut [u8] = match self.input.len {
            0 => &mut [],
            // SAFETY: what is left of the lent bytes, or of those kept; what was handed out of them
            // before is no longer used.
            len => unsafe { slice::from_raw_parts_mut(self.input.at, len) },
        };
        let mut used = 0;
        let event = self.endpoint.next(input, &mut used, &mut self.masks);
        self.input.at = self.input.at.wrapping_add(used);
        self.input.len -= used;
        if event.is_some() || !self.input.lent || self.input.len == 0 {
            return event;
        }
        // They wait for the answer to a request, while their buffer goes back to the program.
        if self.input.keep().is_ok() {
            return None;
        }
        self.endpoint.out_of_memory();
        self.endpoint.next(&mut [], &mut 0, &mut self.masks)
    }

    fn tell(&mut self, event: Event, start: *mut u8, told: &mut ws_proto_event) {
        use ws_proto_event_type::*;
        let (kind, data) = match event {
            Event::Request => return self.tell_request(WS_PROTO_REQUEST, told),
            Event::Page => return self.tell_request(WS_PROTO_HTTP, told),
            Event::Open => return self.tell_request(WS_PROTO_OPEN, told),
            Event::Closed => return self.tell_closed(told),
            Event::Failed(failure) => return self.tell_failure(failure, told),
            Event::Received(connection::Event::Message { kind, payload }) => {
                told.kind = as_kind(kind) as c_int;
                told.last = 1;
                (WS_PROTO_MESSAGE, payload)
            }
            Event::Received(connection::Event::Piece {
                kind,
                payload,
                offset,
                last,
            }) => {
                told.kind = as_kind(kind) as c_int;
                told.offset = offset;
                told.last = c_int::from(last);
                (WS_PROTO_PIECE, payload)
            }
            Event::Received(connection::Event::Ping(payload)) => (WS_PROTO_PING, payload),
            Event::Received(connection::Event::Pong(payload)) => (WS_PROTO_PONG, payload),
            // The endpoint tells both in its own way.
            Event::Received(connection::Event::Closed | connection::Event::Failed(_)) => return,
        };
        told.r#type = kind;
        (told.data, told.len) = match data {
            Payload::Input(range) if range.is_empty() => (guard::EMPTY.cast(), 0),
            Payload::Input(range) => (
                start.wrapping_add(range.start).cast_const().cast(),
                range.len(),
            ),
            Payload::Gathered(bytes) => {
                self.payload = bytes;
                // Its NUL does not count.
                let len = self.payload.len().saturating_sub(1);
                (self.payload.as_ptr().cast::<c_void>(), len)
            }
        };
    }

    fn tell_request(&mut self, kind: ws_proto_event_type, told: &mut ws_proto_event) {
        told.r#type = kind;
        told.request = self
            .endpoint
            .request()
            .map_or(ptr::null(), |view| ptr::from_ref(view).cast::<ws_request>());
    }

    fn tell_closed(&mut self, told: &mut ws_proto_event) {
        told.r#type = ws_proto_event_type::WS_PROTO_CLOSE;
        let Some(outcome) = self.endpoint.outcome() else {
            return;
        };
        told.code = outcome.code;
        told.by_peer = c_int::from(outcome.by_peer);
        if !outcome.clean {
            told.r#type = ws_proto_event_type::WS_PROTO_ERROR;
            told.status = ws_status::WS_ERR_NO_MEMORY;
        }
        told.reason = c_text(&mut self.reason, outcome.reason);
    }

    fn tell_failure(&mut self, failure: Failure, told: &mut ws_proto_event) {
        told.r#type = ws_proto_event_type::WS_PROTO_ERROR;
        told.status = status_of(failure.cause).into();
        told.code = failure.code;
        told.by_peer = c_int::from(failure.by_peer);
        told.http_status = c_int::from(failure.http_status);
        told.reason = c_text(&mut self.reason, failure.why);
    }

    pub fn accept(
        &mut self,
        subprotocol: Option<&str>,
        headers: Option<&str>,
        now: u64,
    ) -> Result<(), Error> {
        let headers = headers.unwrap_or_default();
        answer(self.endpoint.accept(subprotocol, headers, now))
    }

    pub fn refuse(
        &mut self,
        http_status: c_int,
        content_type: Option<&str>,
        headers: Option<&str>,
        body: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        // What is no u16 is no status, and 0 neither.
        let status = u16::try_from(http_status).unwrap_or(0);
        let headers = headers.unwrap_or_default();
        answer(
            self.endpoint
                .refuse(status, content_type, headers, body, now),
        )
    }

    pub fn send(&mut self, (kind, plain): (Kind, bool), data: &[u8]) -> Result<(), Error> {
        answer(self.endpoint.send(kind, data, plain, &mut self.masks))
    }

    pub fn send_fragment(
        &mut self,
        (kind, plain): (Kind, bool),
        data: &[u8],
        fin: bool,
    ) -> Result<(), Error> {
        let masks = &mut self.masks;
        answer(self.endpoint.send_fragment(kind, data, fin, plain, masks))
    }

    /// How messages are compressed, if they are.
    pub fn deflate(&self) -> Option<Agreed> {
        self.endpoint.deflate()
    }

    pub fn ping(&mut self, data: &[u8]) -> Result<(), Error> {
        answer(self.endpoint.ping(data, &mut self.masks))
    }

    pub fn pong(&mut self, data: &[u8]) -> Result<(), Error> {
        answer(self.endpoint.pong(data, &mut self.masks))
    }

    pub fn close(&mut self, code: u16, reason: &str, now: u64) -> Result<(), Error> {
        let code = checked_close(code, reason)?;
        answer(self.endpoint.close(code, reason, now, &mut self.masks))
    }

    pub fn pause(&mut self, paused: bool, now: u64) -> Result<(), Error> {
        answer(self.endpoint.pause(paused, now))
    }

    pub fn output(&self) -> &[u8] {
        self.endpoint.output()
    }

    pub fn written(&mut self, len: usize, now: u64) -> Result<(), Error> {
        answer(self.endpoint.written(len, now, &mut self.masks))
    }

    pub fn buffered(&self) -> usize {
        self.endpoint.buffered()
    }

    pub fn deadline(&self) -> u64 {
        self.endpoint.deadline().unwrap_or(u64::MAX)
    }

    pub fn tick(&mut self, now: u64) -> Result<(), Error> {
        self.endpoint.tick(now, &mut self.masks);
        Ok(())
    }

    pub fn eof(&mut self) -> Result<(), Error> {
        // Those that wait for an answer are no reason to wait: nothing comes after them.
        if self.input.lent {
            self.all_used_up()?;
        }
        self.endpoint.input_ended();
        Ok(())
    }

    pub fn wants_end(&self) -> ws_proto_end {
        match self.endpoint.ending() {
            Ending::GoOn => ws_proto_end::WS_PROTO_GO_ON,
            Ending::EndSending => ws_proto_end::WS_PROTO_END_SENDING,
            Ending::End => ws_proto_end::WS_PROTO_END,
        }
    }

    pub fn is_open(&self) -> c_int {
        c_int::from(self.endpoint.is_open())
    }

    pub fn subprotocol(&self) -> *const c_char {
        let name = self.endpoint.subprotocol();
        name.map_or(ptr::null(), |name| name.as_ptr())
    }

    fn all_used_up(&self) -> Result<(), Error> {
        if self.input.len == 0 && !self.endpoint.has_more() {
            return Ok(());
        }
        Err(match self.endpoint.is_asked() {
            true => Status::Again.because("a request waits for its answer"),
            false => Status::Again.because(
                "bytes fed before are not used up: call ws_proto_next() until WS_PROTO_NONE",
            ),
        })
    }
}

impl Input {
    /// Copies what is left of lent bytes.
    fn keep(&mut self) -> Result<(), Error> {
        let mut kept = Vec::new();
        kept.try_reserve_exact(self.len)
            .map_err(|_| Status::NoMemory)?;
        // SAFETY: lent, and not looked at yet.
        kept.extend_from_slice(unsafe { slice::from_raw_parts(self.at, self.len) });
        self.kept = kept;
        self.at = self.kept.as_mut_ptr();
        self.lent = false;
        Ok(())
    }
}

fn nothing(struct_size: usize) -> ws_proto_event {
    ws_proto_event {
        struct_size,
        r#type: ws_proto_event_type::WS_PROTO_NONE,
        kind: 0,
        data: ptr::null(),
        len: 0,
        offset: 0,
        last: 0,
        by_peer: 0,
        request: ptr::null(),
        status: ws_status::WS_OK,
        code: 0,
        http_status: 0,
        reason: ptr::null(),
    }
}

/// Without memory for them there are no words.
fn c_text(place: &mut Vec<u8>, text: &str) -> *const c_char {
    *place = Vec::new();
    if place.try_reserve_exact(text.len() + 1).is_err() {
        return guard::EMPTY;
    }
    place.extend_from_slice(text.as_bytes());
    place.push(0);
    place.as_ptr().cast()
}

fn status_of(cause: Cause) -> Status {
    match cause {
        Cause::Handshake => Status::Handshake,
        Cause::Protocol => Status::Protocol,
        Cause::Lost => Status::Closed,
        Cause::Timeout => Status::Timeout,
        Cause::NoMemory => Status::NoMemory,
        Cause::NoRandomness => Status::Io,
    }
}

fn answer(result: Result<(), CommandError>) -> Result<(), Error> {
    result.map_err(|error| match error {
        CommandError::Again => Status::Again.because("the send queue is full"),
        CommandError::Invalid(why) => Status::InvalidArg.because(why),
        CommandError::Send(SendError::Fragmented) => {
            Status::InvalidArg.because("a message in fragments is unfinished, or of another kind")
        }
        CommandError::Send(error) => Status::from(error).into(),
    })
}

fn no_randomness(errno: Errno) -> Error {
    Error::io(errno, "getrandom")
}
