//! The C face: every `extern "C"` function and every type that crosses it, one file a noun. The
//! doc comments here are the text of `include/libws.h`.
//!
//! The functions are unsafe as a whole: each asks of its caller what its text in the header says,
//! and passes that on to `guard`, which is where raw pointers become Rust values.
#![allow(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    non_camel_case_types,
    clippy::missing_safety_doc
)]

mod callbacks;
mod client;
mod config;
mod deflate;
#[cfg(feature = "dropin")]
mod dropin;
#[cfg(feature = "reach")]
mod environment;
#[cfg(feature = "proto")]
mod frame;
mod guard;
mod log;
#[cfg(feature = "proto")]
mod proto;
#[cfg(feature = "proto")]
mod proto_config;
#[cfg(feature = "proto")]
mod proto_guard;
#[cfg(feature = "proto")]
mod proto_handle;
mod reach;
mod request;
mod server;
mod status;
#[cfg(feature = "dropin")]
pub mod table;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod types;

pub use client::ws_client_config;
pub use deflate::{ws_deflate_context, ws_deflate_info, ws_deflate_mode, ws_deflate_options};
#[cfg(feature = "proto")]
pub use frame::{ws_frame_head, ws_opcode};
pub use log::ws_log_level;
#[cfg(feature = "proto")]
pub use proto::{ws_proto_config, ws_proto_end, ws_proto_event, ws_proto_event_type, ws_role};
pub use server::{ws_server_config, ws_tls_cert};
pub use status::ws_status;
pub use types::{
    ws_close_info, ws_kind, ws_message, ws_piece, ws_queue_policy, ws_reconnect_info, ws_stats,
};
