//! Sockets: always non-blocking, close-on-exec, and without SIGPIPE.

use super::{check, Errno, Fd};
use crate::text::{Pen, Say};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_void, CStr};
use core::mem::{size_of, zeroed};

/// A socket address of any family.
#[derive(Clone, Copy)]
pub struct Addr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Addr {
    /// None yet: a place for the kernel to write one.
    pub fn empty() -> Addr {
        // SAFETY: all zeroes is a valid sockaddr_storage (AF_UNSPEC).
        let storage = unsafe { zeroed() };
        Addr {
            storage,
            len: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub fn v4(ip: [u8; 4], port: u16) -> Addr {
        let mut addr = Addr::empty();
        addr.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // SAFETY: sockaddr_storage is large enough and aligned for every family.
        let sin = unsafe { &mut *(&mut addr.storage as *mut _ as *mut libc::sockaddr_in) };
        sin.sin_family = libc::AF_INET as libc::sa_family_t;
        sin.sin_port = port.to_be();
        sin.sin_addr.s_addr = u32::from_ne_bytes(ip);
        addr
    }

    pub fn v6(ip: [u8; 16], port: u16) -> Addr {
        let mut addr = Addr::empty();
        addr.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        // SAFETY: as above.
        let sin6 = unsafe { &mut *(&mut addr.storage as *mut _ as *mut libc::sockaddr_in6) };
        sin6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        sin6.sin6_port = port.to_be();
        sin6.sin6_addr.s6_addr = ip;
        addr
    }

    /// None if the path does not fit (107 bytes).
    pub fn unix(path: &[u8]) -> Option<Addr> {
        let mut addr = Addr::empty();
        // SAFETY: as above.
        let sun = unsafe { &mut *(&mut addr.storage as *mut _ as *mut libc::sockaddr_un) };
        sun.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let room = sun.sun_path.get_mut(..path.len() + 1)?;
        for (to, from) in room.iter_mut().zip(path) {
            *to = *from as _;
        }
        let head = size_of::<libc::sockaddr_un>() - sun.sun_path.len();
        addr.len = (head + path.len() + 1) as libc::socklen_t;
        Some(addr)
    }

    pub fn family(&self) -> c_int {
        c_int::from(self.storage.ss_family)
    }

    /// The IPv4 address, None for other families.
    pub fn ipv4(&self) -> Option<[u8; 4]> {
        match self.family() {
            // SAFETY: the family says which struct the storage holds.
            libc::AF_INET => Some(unsafe { self.as_v4() }.sin_addr.s_addr.to_ne_bytes()),
            _ => None,
        }
    }

    /// The TCP port, None for other families.
    pub fn port(&self) -> Option<u16> {
        match self.family() {
            // SAFETY: the family says which struct the storage holds.
            libc::AF_INET => Some(u16::from_be(unsafe { self.as_v4() }.sin_port)),
            // SAFETY: as above.
            libc::AF_INET6 => Some(u16::from_be(unsafe { self.as_v6() }.sin6_port)),
            _ => None,
        }
    }

    pub fn set_port(&mut self, port: u16) {
        match self.family() {
            libc::AF_INET => {
                // SAFETY: the family says which struct the storage holds.
                let sin = unsafe { &mut *(&mut self.storage as *mut _ as *mut libc::sockaddr_in) };
                sin.sin_port = port.to_be();
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let sin6 =
                    unsafe { &mut *(&mut self.storage as *mut _ as *mut libc::sockaddr_in6) };
                sin6.sin6_port = port.to_be();
            }
            _ => {}
        }
    }

    unsafe fn as_v4(&self) -> &libc::sockaddr_in {
        // SAFETY: the caller has looked at the family.
        unsafe { &*(&self.storage as *const _ as *const libc::sockaddr_in) }
    }

    unsafe fn as_v6(&self) -> &libc::sockaddr_in6 {
        // SAFETY: the caller has looked at the family.
        unsafe { &*(&self.storage as *const _ as *const libc::sockaddr_in6) }
    }

    fn raw(&self) -> *const libc::sockaddr {
        (&self.storage as *const libc::sockaddr_storage).cast()
    }

    fn raw_mut(&mut self) -> *mut libc::sockaddr {
        (&mut self.storage as *mut libc::sockaddr_storage).cast()
    }
}

impl Say for Addr {
    /// "192.0.2.7:51234", "[2001:db8::7]:51234", "unix"
    fn say(&self, pen: &mut Pen<'_>) {
        let port = self.port().unwrap_or(0);
        // The C library would take longer for these few digits than for the rest of a handshake.
        if let Some([a, b, c, d]) = self.ipv4() {
            return words!("{}.{}.{}.{}:{}", a, b, c, d, port).say(pen);
        }
        if self.family() != libc::AF_INET6 {
            return pen.put(b"unix");
        }
        let mut text = [0u8; 64];
        // SAFETY: the family says which address it is; text is writable for its length.
        unsafe {
            let ip = &raw const self.as_v6().sin6_addr;
            let room = text.len() as libc::socklen_t;
            inet_ntop(libc::AF_INET6, ip.cast(), text.as_mut_ptr().cast(), room);
        }
        let ip = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        words!("[{}]:{}", ip, port).say(pen);
    }
}

extern "C" {
    /// Of the C library; the crate libc leaves it out.
    fn inet_ntop(
        family: c_int,
        address: *const c_void,
        text: *mut c_char,
        size: libc::socklen_t,
    ) -> *const c_char;
}

/// A new stream socket for the family of `addr`.
pub fn stream(addr: &Addr) -> Result<Fd, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    check(unsafe { libc::socket(addr.family(), kind, 0) }).map(Fd::owning)
}

pub fn bind(fd: &Fd, addr: &Addr) -> Result<(), Errno> {
    // SAFETY: the address is valid for its length.
    check(unsafe { libc::bind(fd.raw(), addr.raw(), addr.len) }).map(|_| ())
}

pub fn listen(fd: &Fd, backlog: c_int) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(fd.raw(), backlog) }).map(|_| ())
}

/// Begins to connect; EINPROGRESS is success.
pub fn connect(fd: &Fd, addr: &Addr) -> Result<(), Errno> {
    // SAFETY: the address is valid for its length.
    match check(unsafe { libc::connect(fd.raw(), addr.raw(), addr.len) }) {
        Ok(_) | Err(Errno(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Takes a connection from the backlog, non-blocking and close-on-exec, and writes down whose it is.
pub fn accept(fd: &Fd, peer: &mut Addr) -> Result<Fd, Errno> {
    peer.len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the address has room for `len` bytes.
    let fd = check(unsafe { libc::accept4(fd.raw(), peer.raw_mut(), &mut peer.len, flags) })?;
    Ok(Fd::owning(fd))
}

pub fn local_addr(fd: &Fd) -> Result<Addr, Errno> {
    let mut addr = Addr::empty();
    // SAFETY: the address has room for `len` bytes.
    check(unsafe { libc::getsockname(fd.raw(), addr.raw_mut(), &mut addr.len) })?;
    Ok(addr)
}

/// Up to `into.len()` bytes; 0 is the end of the stream.
#[cfg_attr(not(libws_small), inline(always))]
pub fn recv(fd: &Fd, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: into is writable for its length.
    moved(unsafe { recv_at(fd, into.as_mut_ptr(), into.len()) })
}

/// Up to `most` bytes, appended as far as the capacity reaches; 0 is the end of the stream.
pub fn recv_onto(fd: &Fd, onto: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
    let room = onto.spare_capacity_mut();
    let most = most.min(room.len());
    // SAFETY: the spare capacity is writable; the kernel has written the bytes that become part of
    // the vector.
    unsafe {
        let n = moved(recv_at(fd, room.as_mut_ptr().cast(), most))?;
        onto.set_len(onto.len() + n);
        Ok(n)
    }
}

/// Bytes, or a negated errno: so it stays in one register.
#[cfg_attr(not(libws_small), inline(always))]
unsafe fn recv_at(fd: &Fd, at: *mut u8, len: usize) -> isize {
    // SAFETY: writable for that length, as the caller promises.
    let n = unsafe { libc::recv(fd.raw(), at.cast(), len, libc::MSG_DONTWAIT) };
    if n >= 0 {
        return n;
    }
    // SAFETY: as above.
    unsafe { recv_again(fd, at, len) }
}

/// After a `recv` that failed: once more if it was for a signal.
#[cold]
unsafe fn recv_again(fd: &Fd, at: *mut u8, len: usize) -> isize {
    match Errno::last() {
        // SAFETY: as the caller promises.
        Errno(libc::EINTR) => unsafe { recv_at(fd, at, len) },
        Errno(errno) => -(errno as isize),
    }
}

#[inline(always)]
fn moved(n: isize) -> Result<usize, Errno> {
    usize::try_from(n).map_err(|_| Errno(-n as c_int))
}

/// Most parts that one `send` hands to the kernel.
pub const MAX_PARTS: usize = 16;

const SEND: c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;

/// Sends bytes by one system call; how many the kernel took.
#[cfg_attr(not(libws_small), inline(always))]
pub fn send_one(fd: &Fd, bytes: &[u8]) -> Result<usize, Errno> {
    moved(send_bytes(fd, bytes))
}

/// As `recv_at`.
#[cfg_attr(not(libws_small), inline(always))]
fn send_bytes(fd: &Fd, bytes: &[u8]) -> isize {
    // SAFETY: the slice is readable for its length.
    let n = unsafe { libc::send(fd.raw(), bytes.as_ptr().cast(), bytes.len(), SEND) };
    if n >= 0 {
        return n;
    }
    send_again(fd, bytes)
}

/// After a `send` that failed: once more if it was for a signal.
#[cold]
fn send_again(fd: &Fd, bytes: &[u8]) -> isize {
    match Errno::last() {
        Errno(libc::EINTR) => send_bytes(fd, bytes),
        Errno(errno) => -(errno as isize),
    }
}

/// Sends the parts in order by one system call; how many bytes the kernel took.
pub fn send(fd: &Fd, parts: &[&[u8]]) -> Result<usize, Errno> {
    if let [one] = parts {
        return send_one(fd, one);
    }
    let mut list = [libc::iovec {
        iov_base: core::ptr::null_mut(),
        iov_len: 0,
    }; MAX_PARTS];
    for (to, from) in list.iter_mut().zip(parts) {
        *to = libc::iovec {
            iov_base: from.as_ptr().cast_mut().cast::<c_void>(),
            iov_len: from.len(),
        };
    }
    loop {
        // SAFETY: all zeroes is a valid msghdr; the list lives through the call and its parts are
        // readable for their lengths.
        let n = unsafe {
            let mut message: libc::msghdr = zeroed();
            message.msg_iov = list.as_mut_ptr();
            message.msg_iovlen = parts.len().min(MAX_PARTS) as _;
            libc::sendmsg(fd.raw(), &message, SEND)
        };
        match n {
            n if n >= 0 => return Ok(n as usize),
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

/// Ends our direction of the stream: the peer reads what was sent, then the end.
pub fn shutdown_write(fd: &Fd) {
    // SAFETY: no pointers are passed. ENOTCONN only says that there is nobody left.
    unsafe { libc::shutdown(fd.raw(), libc::SHUT_WR) };
}

/// The error that a connection attempt or the network has left on the socket.
pub fn take_error(fd: &Fd) -> Option<Errno> {
    let mut error: c_int = 0;
    match get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut error) {
        Err(errno) => Some(errno),
        Ok(()) if error != 0 => Some(Errno(error)),
        Ok(()) => None,
    }
}

/// Small frames leave at once instead of waiting for an acknowledgement. No effect on other
/// families. Inherited by accepted sockets.
pub fn set_nodelay(fd: &Fd) {
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
}

/// How long sent data may stay unacknowledged before the kernel ends the connection. Inherited.
pub fn set_user_timeout(fd: &Fd, ms: c_int) {
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, ms);
}

/// Probes a silent peer after `idle` seconds, four times within as many again; then the connection
/// fails. Inherited.
pub fn set_keepalive(fd: &Fd, idle: u32) {
    // The kernel takes 1 to 32767.
    let idle = idle.clamp(1, 32_767) as c_int;
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle);
    let _ = set_option(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        (idle / 4).max(1),
    );
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 4);
    let _ = set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
}

/// Sends and receives through one network interface only, whatever the routes say.
pub fn bind_to_interface(fd: &Fd, name: &CStr) -> Result<(), Errno> {
    let len = name.to_bytes().len() as libc::socklen_t;
    // SAFETY: the name is readable for its length.
    let answer = unsafe {
        libc::setsockopt(
            fd.raw(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            len,
        )
    };
    check(answer).map(|_| ())
}

/// Connects from that address, with a port that is chosen when the socket connects: so there can be
/// as many connections as there are ports to each server, not in all.
pub fn bind_source(fd: &Fd, addr: &Addr) -> Result<(), Errno> {
    let _ = set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
    bind(fd, addr)
}

pub fn set_reuse_addr(fd: &Fd) -> Result<(), Errno> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)
}

pub fn set_reuse_port(fd: &Fd) -> Result<(), Errno> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)
}

pub fn set_v6_only(fd: &Fd) -> Result<(), Errno> {
    set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)
}

/// An inherited descriptor is a listening stream socket.
pub fn is_listening(fd: c_int) -> bool {
    let borrowed = core::mem::ManuallyDrop::new(Fd::owning(fd));
    let (mut listening, mut kind) = (0, 0);
    get_option(
        &borrowed,
        libc::SOL_SOCKET,
        libc::SO_ACCEPTCONN,
        &mut listening,
    )
    .is_ok()
        && get_option(&borrowed, libc::SOL_SOCKET, libc::SO_TYPE, &mut kind).is_ok()
        && listening != 0
        && kind == libc::SOCK_STREAM
}

/// Bytes that the kernel has taken and the peer has not; 0 if it does not tell.
pub fn in_flight(fd: c_int) -> usize {
    let mut bytes: c_int = 0;
    // SAFETY: the kernel writes one int.
    unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &mut bytes) };
    usize::try_from(bytes).unwrap_or(0)
}

/// Makes an inherited descriptor non-blocking and close-on-exec.
pub fn adopt(fd: &Fd) -> Result<(), Errno> {
    // SAFETY: fcntl with integer arguments.
    unsafe {
        let flags = check(libc::fcntl(fd.raw(), libc::F_GETFL))?;
        check(libc::fcntl(
            fd.raw(),
            libc::F_SETFL,
            flags | libc::O_NONBLOCK,
        ))?;
        check(libc::fcntl(fd.raw(), libc::F_SETFD, libc::FD_CLOEXEC))?;
    }
    Ok(())
}

fn set_option(fd: &Fd, level: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: value is readable for len bytes.
    let answer =
        unsafe { libc::setsockopt(fd.raw(), level, name, (&value as *const c_int).cast(), len) };
    check(answer).map(|_| ())
}

fn get_option(fd: &Fd, level: c_int, name: c_int, value: &mut c_int) -> Result<(), Errno> {
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: value is writable for len bytes.
    let answer = unsafe {
        libc::getsockopt(
            fd.raw(),
            level,
            name,
            (value as *mut c_int).cast(),
            &mut len,
        )
    };
    check(answer).map(|_| ())
}

/// A name that could not be resolved; the text is static.
#[derive(Clone, Copy)]
pub struct LookupError(pub &'static CStr);

/// More addresses of one name are not looked at.
const MAX_ADDRESSES: usize = 32;

/// The stream addresses of `host`, in the order of RFC 6724. Blocks: call it off the loop.
pub fn lookup(host: &CString, port: u16) -> Result<Vec<Addr>, LookupError> {
    // SAFETY: hints is zeroed and filled; the list is walked until its end and freed once; each
    // entry's address is readable for its length, which is checked against the storage.
    unsafe {
        let mut hints: libc::addrinfo = zeroed();
        hints.ai_socktype = libc::SOCK_STREAM;
        hints.ai_flags = libc::AI_ADDRCONFIG;
        let mut list = core::ptr::null_mut();
        let mut failure = libc::getaddrinfo(host.as_ptr(), core::ptr::null(), &hints, &mut list);
        if failure != 0 {
            // A machine with nothing but loopback has no "configured" address, yet localhost works.
            hints.ai_flags = 0;
            failure = libc::getaddrinfo(host.as_ptr(), core::ptr::null(), &hints, &mut list);
        }
        if failure != 0 {
            return Err(LookupError(CStr::from_ptr(libc::gai_strerror(failure))));
        }
        let mut found = Vec::new();
        let mut at = list;
        while let Some(entry) = at.as_ref() {
            let mut addr = Addr::empty();
            let fits = entry.ai_addrlen as usize <= size_of::<libc::sockaddr_storage>();
            let room = found.len() < MAX_ADDRESSES && found.try_reserve(1).is_ok();
            if fits && !entry.ai_addr.is_null() && room {
                core::ptr::copy_nonoverlapping(
                    entry.ai_addr.cast::<u8>(),
                    (&mut addr.storage as *mut libc::sockaddr_storage).cast::<u8>(),
                    entry.ai_addrlen as usize,
                );
                addr.len = entry.ai_addrlen;
                addr.set_port(port);
                found.push(addr);
            }
            at = entry.ai_next;
        }
        libc::freeaddrinfo(list);
        Ok(found)
    }
}
