//! Sockets, epoll, timers, threads: all that asks the kernel. No protocol here.

pub mod conns;
pub mod random;
pub mod resolve;
pub mod secure;
pub mod stream;
pub mod sys;
pub mod table;
pub mod timers;
