"""A WebSocket client on a bare socket, which may do everything that a client must not."""

import socket
import struct

from program import DEADLINE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

REQUEST = (
    b"GET / HTTP/1.1\r\n"
    b"Host: localhost\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
# Of that key, from RFC 6455 section 1.3.
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def head(opcode, length, fin=True):
    """The head of a frame of that length, masked with zeros: the payload stays as it is."""
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 65536:
        size = struct.pack("!BH", 0x80 | 126, length)
    else:
        size = struct.pack("!BQ", 0x80 | 127, length)
    return bytes([fin << 7 | opcode]) + size + bytes(4)


def frame(opcode, payload=b"", fin=True):
    return head(opcode, len(payload), fin) + payload


class RawPeer:
    def __init__(self, address, timeout=DEADLINE, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def upgrade(self):
        self.send(REQUEST)
        response = self.read_head()
        assert response.startswith(b"HTTP/1.1 101 ") and ACCEPT in response, response
        return self

    def read_head(self):
        """The head of an HTTP response, not a byte more."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.exactly(1)
        return data

    def read_whole_head(self):
        """As read_head(), in few calls, when nothing follows the head."""
        data = self.socket.recv(4096)
        while not data.endswith(b"\r\n\r\n"):
            data += self.exactly(1)
        return data

    def exactly(self, count):
        parts = []
        while count:
            part = self.socket.recv(count)
            assert part, "the server has ended the connection"
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read_frame(self):
        """(opcode, payload) of the next frame."""
        first, length = self.exactly(2)
        assert length < 128, "a server must not mask"
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        return first & 0x0F, self.exactly(length)

    def echo(self, payload=b"?"):
        """A message there and back."""
        self.send(frame(BINARY, payload))
        opcode, answer = self.read_frame()
        while opcode in (PING, PONG):
            opcode, answer = self.read_frame()
        assert (opcode, answer) == (BINARY, payload)

    def close(self):
        self.socket.close()

    def reset(self):
        """Breaks the connection off: RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def rest(self):
        """What comes until the server ends the connection; b"" too when it resets it."""
        parts = []
        try:
            while part := self.socket.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)
