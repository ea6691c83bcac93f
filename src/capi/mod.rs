//! The C face: every `extern "C"` function and every type that crosses it, one file a noun. The
//! doc comments here are the text of `include/libws.h`.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]

mod status;
mod log;
mod types;
mod request;
mod server;
mod client;
mod callbacks;
mod config;
mod guard;
