pub mod handshake;
pub mod http;
pub mod url;

/// The allocator refused. Data sized by a peer or a caller is always reserved
/// fallibly, so this ends one connection and not the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;
