//! The two opening handshakes on descriptors of the program's, each within a time limit, and the
//! exchange of plain bytes before them.
//!
//! Reads no further than the end of a head: what follows are frames.

use super::fds::{self, Holder};
use super::own::{Own, Told};
use super::DataType;
use crate::log;
use crate::net::random::Random;
use crate::net::resolve::Lookups;
use crate::net::sys::foreign::{borrowed, given_away, peek, wait, Until};
use crate::net::sys::poll::Event;
use crate::net::sys::socket::{self, Addr};
use crate::net::sys::thread::Mutex;
use crate::net::sys::{monotonic_ms, Fd};
use crate::proto::connection::Role;
use crate::proto::handshake::{self, Answer, Asked, Offer};
use crate::proto::http::{Fed, HeadBuffer, HttpError, Request};
use crate::proto::url::{copy, ClientUrl, Host};
use crate::proto::OutOfMemory;
use crate::text::{c_string, decimal, DIGITS};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;

/// When the caller gives no limit, in ms.
pub const CONNECT_TIMEOUT: u64 = 1000;
/// For the rest of a request of which the caller has read the beginning, and for an answer, in ms.
const ANSWER_TIMEOUT: u64 = 1000;

/// `ws_requestServer`: connects and shakes hands. The words of a failure go to the log.
pub fn request_server(host: &str, port: i32, path: &str, until: u64) -> Option<c_int> {
    match connect(host, port, path, until) {
        Ok(fd) => Some(fd),
        Err(why) => {
            log::info(words!("ws_requestServer {}:{}: {}", host, port, why));
            None
        }
    }
}

fn connect(host: &str, port: i32, path: &str, until: u64) -> Result<c_int, &'static str> {
    let url = client_url(host, port, path)?;
    let addrs = addresses(&url.host, url.port, until)?;
    let mut why = "the name has no address";
    for (nth, addr) in addrs.iter().enumerate() {
        let now = monotonic_ms();
        let left = until.saturating_sub(now);
        // One address that does not answer leaves time for the next.
        let last = nth + 1 == addrs.len();
        let share = if last { left } else { left / 2 };
        match connect_to(addr, now + share).and_then(|fd| upgrade(fd, &url, until)) {
            Ok(fd) => return Ok(fd),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn client_url(host: &str, port: i32, path: &str) -> Result<ClientUrl, &'static str> {
    let port = u16::try_from(port).map_err(|_| "the port is not a number from 1 to 65535")?;
    let literal = host.contains(':') && !host.starts_with('[');
    let (open, close) = if literal { ("[", "]") } else { ("", "") };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut digits = [0; DIGITS];
    let port = core::str::from_utf8(decimal(port.into(), &mut digits)).unwrap_or_default();
    ClientUrl::parse(&copy(&[
        "ws://", open, host, close, ":", port, slash, path,
    ])?)
}

/// Where a host is: within the time limit, also if the name servers are silent.
fn addresses(host: &Host, port: u16, until: u64) -> Result<Vec<Addr>, &'static str> {
    let name = match host {
        Host::V4(ip) => return one(Addr::v4(*ip, port)),
        Host::V6(ip) => return one(Addr::v6(*ip, port)),
        Host::Name(name) => c_string(name).map_err(|_| "out of memory")?,
    };
    let event = Arc::new(Event::new().map_err(|_| "no descriptor left")?);
    let wake = event.clone();
    let lookup = Lookups::default()
        .start(name, port, Box::new(move || wake.signal()))
        .map_err(|_| "no thread for the lookup")?;
    loop {
        if let Some(answer) = lookup.take() {
            return answer.map_err(|_| "the name could not be resolved");
        }
        if monotonic_ms() >= until {
            return Err("the lookup took too long");
        }
        wait(event.raw(), Until::Readable, left(until));
    }
}

/// The first IPv4 address of a host.
pub fn lookup_v4(host: &str, until: u64) -> Option<[u8; 4]> {
    let name = match client_url(host, 1, "").ok()?.host {
        Host::V4(ip) => return Some(ip),
        other => other,
    };
    let found = addresses(&name, 0, until).ok()?;
    found.iter().find_map(Addr::ipv4)
}

fn one(addr: Addr) -> Result<Vec<Addr>, &'static str> {
    let mut list = Vec::new();
    list.try_reserve(1).map_err(|_| "out of memory")?;
    list.push(addr);
    Ok(list)
}

fn connect_to(addr: &Addr, until: u64) -> Result<Fd, &'static str> {
    let fd = socket::stream(addr).map_err(|_| "no descriptor left")?;
    socket::set_nodelay(&fd);
    socket::connect(&fd, addr).map_err(|_| "the address cannot be reached")?;
    while !wait(fd.raw(), Until::Writable, left(until)) {
        if monotonic_ms() >= until {
            return Err("the server does not answer");
        }
    }
    match socket::take_error(&fd) {
        Some(_) => Err("the server refuses the connection"),
        None => Ok(fd),
    }
}

fn upgrade(fd: Fd, url: &ClientUrl, until: u64) -> Result<c_int, &'static str> {
    let key = Random::new().take::<16>().map_err(|_| "no randomness")?;
    let offer = Offer {
        url,
        subprotocols: None,
        headers: None,
        deflate: None,
        key,
    };
    let mut request = Vec::new();
    handshake::write_request(&mut request, &offer).map_err(|_| "out of memory")?;
    send_until(&fd, &request, until)?;
    loop {
        let head = read_head(&fd, &mut HeadBuffer::new(), until).map_err(|error| error.why)?;
        match handshake::read_response(head, &key, None, None).map_err(|error| error.why)? {
            Answer::Interim => {}
            Answer::Agreed { .. } => break,
        }
    }
    let fd = given_away(fd).map_err(|_| "no descriptor left")?;
    register(fd, Role::Client, Vec::new()).map_err(|OutOfMemory| {
        drop(Fd::owning(fd));
        "out of memory"
    })?;
    Ok(fd)
}

/// `ws_replyClient`: answers the request that begins with `read`, which the caller has read from the
/// descriptor. Bytes of the answer, or minus the HTTP status of the refusal.
pub fn reply_client(raw: c_int, read: &[u8], path: Option<&[u8]>) -> i32 {
    let fd = borrowed(raw);
    let until = monotonic_ms() + ANSWER_TIMEOUT;
    let mut answer = Vec::new();
    let accepted = accept(&fd, read, path, until, &mut answer);
    let early = match accepted {
        Ok(early) => early,
        Err(error) => return refuse(&fd, error, until),
    };
    // Known before the client can send anything.
    if register(raw, Role::Server, early).is_err() {
        return refuse(&fd, OutOfMemory.into(), until);
    }
    match send_until(&fd, &answer, until) {
        Ok(()) => i32::try_from(answer.len()).unwrap_or(i32::MAX),
        Err(_) => -1,
    }
}

/// Judges a request and puts the answer together. Returns what was read beyond the request.
fn accept(
    fd: &Fd,
    read: &[u8],
    path: Option<&[u8]>,
    until: u64,
    answer: &mut Vec<u8>,
) -> Result<Vec<u8>, HttpError> {
    let mut buffer = HeadBuffer::new();
    let mut early = Vec::new();
    let head = match buffer.feed(read)? {
        Fed::Complete(used) => {
            let rest = read.get(used..).unwrap_or_default();
            early.try_reserve(rest.len()).map_err(|_| OutOfMemory)?;
            early.extend_from_slice(rest);
            buffer.take()
        }
        Fed::NeedMore => read_head(fd, &mut buffer, until)?,
    };
    let (request, handshake) = match Asked::read(head) {
        Asked::Upgrade(request, handshake) => (request, handshake),
        Asked::Page(_) => return Err(NOT_AN_UPGRADE),
        Asked::Refused(_, error) => return Err(error),
    };
    if !path_matches(path, &request) {
        return Err(NO_SUCH_PATH);
    }
    handshake::write_accept(answer, &handshake, None, &[])?;
    Ok(early)
}

const NOT_AN_UPGRADE: HttpError = HttpError {
    status: 426,
    why: "only WebSockets are served here",
};
const NO_SUCH_PATH: HttpError = HttpError {
    status: 404,
    why: "no WebSocket is served at this path",
};
const NO_REQUEST: HttpError = HttpError {
    status: 408,
    why: "the head did not come in time",
};

/// Whether a request is for the path that the program serves: "/x", "x" or "/x?y". None and "" stand
/// for every path.
pub fn path_matches(path: Option<&[u8]>, request: &Request) -> bool {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return true;
    };
    let mut parts = path.splitn(2, |&b| b == b'?');
    let wanted = parts.next().unwrap_or_default();
    let wanted = wanted.strip_prefix(b"/").unwrap_or(wanted);
    let asked = request.path().to_bytes();
    let asked = asked.strip_prefix(b"/").unwrap_or(asked);
    wanted == asked
        && parts
            .next()
            .is_none_or(|query| query == request.query().to_bytes())
}

fn refuse(fd: &Fd, error: HttpError, until: u64) -> i32 {
    log::info(words!("ws_replyClient: {} {}", error.status, error.why));
    let mut out = Vec::new();
    if handshake::write_refusal(&mut out, error, false).is_ok() {
        let _ = send_until(fd, &out, until);
    }
    -i32::from(error.status)
}

fn register(fd: c_int, role: Role, early: Vec<u8>) -> Result<(), OutOfMemory> {
    let own = Arc::new(Mutex::new(Own::new(role, early)));
    fds::insert(fd, Holder::Own(own))
}

/// Reads a head, and nothing that follows it.
fn read_head(fd: &Fd, head: &mut HeadBuffer, until: u64) -> Result<Vec<u8>, HttpError> {
    let ended = HttpError {
        status: 400,
        why: "the peer has ended the connection",
    };
    let mut bytes = [0; 1024];
    loop {
        let seen = match peek(fd, &mut bytes) {
            Ok(0) => return Err(ended),
            Ok(seen) => seen,
            Err(errno) if errno.would_block() => {
                if monotonic_ms() >= until {
                    return Err(NO_REQUEST);
                }
                wait(fd.raw(), Until::Readable, left(until));
                continue;
            }
            Err(_) => return Err(ended),
        };
        let fed = head.feed(bytes.get(..seen).unwrap_or_default())?;
        let used = match fed {
            Fed::NeedMore => seen,
            Fed::Complete(used) => used,
        };
        let taken = bytes.get_mut(..used).unwrap_or_default();
        if socket::recv(fd, taken) != Ok(used) {
            return Err(ended);
        }
        if fed != Fed::NeedMore {
            return Ok(head.take());
        }
    }
}

fn send_until(fd: &Fd, data: &[u8], until: u64) -> Result<(), &'static str> {
    match send_some(fd, data, until) {
        sent if sent == data.len() => Ok(()),
        _ => Err("the peer takes no more"),
    }
}

fn send_some(fd: &Fd, data: &[u8], until: u64) -> usize {
    let mut sent = 0;
    while let Some(rest) = data.get(sent..).filter(|rest| !rest.is_empty()) {
        match socket::send(fd, &[rest]) {
            Ok(n) => sent += n,
            Err(errno) if errno.would_block() && monotonic_ms() < until => {
                wait(fd.raw(), Until::Writable, left(until));
            }
            Err(_) => break,
        }
    }
    sent
}

/// Sends bytes on a descriptor without a connection. How many, or -1.
pub fn send_all(raw: c_int, data: &[u8]) -> i32 {
    let until = monotonic_ms() + ANSWER_TIMEOUT;
    match send_some(&borrowed(raw), data, until) {
        0 => -1,
        sent => i32::try_from(sent).unwrap_or(i32::MAX),
    }
}

/// Receives bytes on a descriptor without a connection: all of them are no packet.
pub fn receive_bytes(raw: c_int, buffer: Option<&mut [u8]>) -> Told {
    let mut scratch = [0; 4096];
    let place = buffer.unwrap_or(&mut scratch);
    // Room for a NUL, as the caller will read a head in it as a text.
    let room = place.len().saturating_sub(1).max(1);
    let taken = place.get_mut(..room).unwrap_or_default();
    match socket::recv(&borrowed(raw), taken) {
        Ok(0) => (0, DataType::Close),
        Ok(n) => {
            if let Some(end) = place.get_mut(n) {
                *end = 0;
            }
            (-i32::try_from(n).unwrap_or(i32::MAX), DataType::Null)
        }
        Err(errno) if errno.would_block() => (0, DataType::Null),
        Err(_) => (0, DataType::Close),
    }
}

/// Milliseconds until then, for `wait`.
fn left(until: u64) -> c_int {
    c_int::try_from(until.saturating_sub(monotonic_ms())).unwrap_or(c_int::MAX)
}
