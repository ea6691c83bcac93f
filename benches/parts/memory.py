"""What a server's connections hold of its memory: idle, and after one large message on each."""
import select
import socket
import time

from . import machine
from .rows import MIB
from .servers import Failed

KEY = bytes.fromhex("37fa213d")
# Buffers that a server keeps for a moment may go in that time.
SETTLE = 3
PATIENCE = 30


def memory_run(server, conns, large):
    """Opens conns connections, then sends one message of 1 MiB on the first `large` of them, one after the other.

    Returns the server's PSS in kB before the first connection, and bytes of resident memory for each connection, idle and
    after the large messages. One connection has come and gone before: the code that serves it is resident then, and its
    pages are not counted as the memory of connections.
    """
    with server.serving() as (process, port):
        result = {"pss_kb": machine.memory_kb(process.pid)}
        warm = connect(port, 0)
        exchange(warm, masked_frame(20), 22)
        warm.close()
        time.sleep(0.2)
        before = machine.memory_kb(process.pid, "Rss")
        sockets = [connect(port, number) for number in range(conns)]
        time.sleep(0.5)
        result["idle"] = (machine.memory_kb(process.pid, "Rss") - before) * 1024 / conns
        if large:
            frame = masked_frame(MIB)
            for peer in sockets[:large]:
                exchange(peer, frame, 10 + MIB)
            time.sleep(SETTLE)
            after = (machine.memory_kb(process.pid, "Rss") - before) * 1024
            result["after"] = (after - result["idle"] * (conns - large)) / large
        for peer in sockets:
            peer.close()
        return result


def connect(port, number):
    peer = socket.socket()
    peer.settimeout(PATIENCE)
    # Ports of one address would not do for all.
    peer.bind((f"127.0.0.{2 + number % 16}", 0))
    try:
        peer.connect(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = peer.recv(4096)
            if not data:
                raise Failed(f"connection {number} was ended")
            head += data
    except OSError as error:
        raise Failed(f"connection {number}: {error}") from None
    if not head.startswith(b"HTTP/1.1 101"):
        raise Failed(f"connection {number} was refused: {head[:60]!r}")
    return peer


def masked_frame(size):
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    mask = int.from_bytes(KEY * (size // 4), "big")
    payload = int.from_bytes(b"m" * size, "big") ^ mask
    return b"\x82" + length + KEY + payload.to_bytes(size, "big")


def exchange(peer, frame, expected):
    """Sends a frame and reads at least `expected` bytes: an echo in pieces has more heads."""
    peer.setblocking(False)
    unsent = memoryview(frame)
    room = memoryview(bytearray(256 * 1024))
    came = 0
    poll = select.poll()
    while came < expected:
        poll.register(peer, select.POLLIN | (select.POLLOUT if unsent else 0))
        if not poll.poll(PATIENCE * 1000):
            raise Failed(f"after {came} bytes of an echo nothing came")
        try:
            if unsent:
                unsent = unsent[peer.send(unsent):]
        except BlockingIOError:
            pass
        try:
            got = peer.recv_into(room)
            if got == 0:
                raise Failed(f"after {came} bytes of an echo the connection was ended")
            came += got
        except BlockingIOError:
            pass
