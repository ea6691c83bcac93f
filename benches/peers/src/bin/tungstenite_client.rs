//! A client of tungstenite (blocking, its cheapest way) that echoes whole messages until the server has gone.

use std::net::TcpStream;

fn main() {
    let port = peers::port();
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (mut socket, _) =
        tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream).expect("an upgrade");
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            break;
        }
    }
}
