//! What the programs here have in common: one thread, one argument.

use std::future::Future;

/// The port that the command line names.
pub fn port() -> u16 {
    std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("usage: PROGRAM PORT")
}

/// Runs a server in this thread, as echo_server and the floor run.
pub fn serve<F: Future>(server: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime")
        .block_on(server)
}
