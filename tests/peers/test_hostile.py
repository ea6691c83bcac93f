"""Peers that misbehave: each is ended by a timeout or a refusal, delays no other, and leaves nothing behind."""

import random
import resource
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from program import DEADLINE, eventually, in_time, settled, timed
from raw import BINARY, CLOSE, PING, PONG, REQUEST, TEXT, RawPeer, frame, head

KIB, MIB = 2**10, 2**20

# The machine may have other work to do. A peer that holds the loop up does so until its timeout, 1 s at least.
NOT_DELAYED = 0.8


class PingPong:
    """Somebody who behaves: messages to and fro in a thread, and how long the slowest took."""

    def __init__(self, address):
        self.peer = RawPeer(address).upgrade()
        self.rounds = 0
        self.slowest = 0.0
        self.error = None
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._stop.wait(0.001):
                began = time.monotonic()
                self.peer.echo(b"x" * (self.rounds % 1000))
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.rounds += 1
                self._begun.set()
        except Exception as error:  # shown by __exit__, in the test's own thread
            self.error = error
            self._begun.set()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # What it stands beside may be over before the thread has had its first turn.
        self._begun.wait(DEADLINE)
        self._stop.set()
        self._thread.join(DEADLINE)
        self.peer.close()
        assert self.error is None, self.error
        assert self.rounds > 0


def stuff(peer):
    """Sends messages that are echoed until the server takes no more, for the peer reads nothing."""
    message = frame(BINARY, b"z" * 60000)
    peer.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 64 * MIB:
            sent += peer.socket.send(message[sent % len(message) :])
    except TimeoutError:
        return sent
    raise AssertionError("the server takes 64 MiB of messages whose echoes nobody reads")


@timed
def test_stalling_peers_are_ended_and_delay_nobody(serve, measured):
    # Pings after 1 s, and 10 s for an answer (the library's default).
    echo = serve("echo_server", "--handshake-timeout", "1000", "--ping-interval", "1000")
    base = echo.fds()

    def open_and_send(data):
        return RawPeer(echo.address).upgrade().send(data)

    def never_reading():
        peer = RawPeer(echo.address, receive_buffer=4096).upgrade()
        stuff(peer)
        return peer

    # (how it begins, the seconds after which it is ended)
    peers = {
        # The kernel's own timeout (TCP_USER_TIMEOUT), whose clock begins with the first byte it cannot deliver and is
        # looked at whenever the window is probed. The first one, since it takes a while to begin.
        "never reads": (never_reading, 10, 25),
        "nothing": (lambda: RawPeer(echo.address), 1, 4),
        "half a request line": (lambda: RawPeer(echo.address).send(b"GET / HT"), 1, 4),
        "half a handshake": (lambda: RawPeer(echo.address).send(REQUEST[:-10]), 1, 4),
        "open and silent": (lambda: open_and_send(b""), 11, 15),
        "half a frame head": (lambda: open_and_send(head(TEXT, 60000)[:3]), 11, 15),
        "half a frame": (lambda: open_and_send(head(TEXT, 60000) + b"x" * 100), 11, 15),
        "half a message": (lambda: open_and_send(frame(TEXT, b"x" * 100, fin=False)), 11, 15),
    }
    with PingPong(echo.address) as other:
        poll = select.poll()
        before, begun, names, sockets = {}, {}, {}, []
        for name, (begin, *_) in peers.items():
            before[name] = time.monotonic()
            peer = begin()
            begun[name] = time.monotonic()
            sockets.append(peer)
            names[peer.socket.fileno()] = name
            poll.register(peer.socket, select.POLLRDHUP)  # errors and resets are told anyway

        ended = {}
        deadline = time.monotonic() + 2 * DEADLINE
        while len(ended) < len(peers) and time.monotonic() < deadline:
            for fd, _ in poll.poll(1000):
                ended[names[fd]] = time.monotonic()
                poll.unregister(fd)
        for name, at in ended.items():
            measured(f"stalling peer, {name}: ended after {at - begun[name]:.2f} s")
        measured(f"stalling peers: slowest of {other.rounds} other round trips meanwhile {other.slowest * 1000:.1f} ms")
        assert set(ended) == set(peers)
        for name, (_, earliest, latest) in peers.items():
            assert earliest <= ended[name] - before[name] + 0.05, name
            in_time(ended[name] - begun[name], latest, name)
        in_time(other.slowest, NOT_DELAYED, "the other's round trip")
    for peer in sockets:
        peer.close()
    eventually(lambda: echo.fds() == base, what="the closing of all sockets")


def test_end_of_stream_behind_much_data_is_seen(echo):
    """A peer that sends more than a receive buffer holds and leaves at once."""
    base = echo.fds()
    for leave in (RawPeer.close, RawPeer.reset, lambda peer: peer.socket.shutdown(socket.SHUT_WR)):
        for size in (100, 300 * KIB, MIB - 1000):
            peer = RawPeer(echo.address).upgrade()
            peer.send(frame(BINARY, b"x" * (size // 2)) + frame(BINARY, b"x" * size)[:-1])
            leave(peer)
            echo.stderr.expect("closed by peer, .*, code 1006 ")
            peer.close()
    eventually(lambda: echo.fds() == base, what="the closing of all sockets")


@pytest.mark.measures
@timed
def test_200000_pings_without_reading_a_pong(serve):
    echo = serve("echo_server", "--quiet")
    peer = RawPeer(echo.address, receive_buffer=4096).upgrade()
    peer.echo()
    before = echo.rss()
    with PingPong(echo.address) as other:
        for start in range(0, 200_000, 1000):
            peer.send(b"".join(frame(PING, b"%06d" % number) for number in range(start, start + 1000)))
        # All that the server wants to send is small: it has read everything, and keeps one pong.
        assert echo.peak_rss() - before < MIB
    in_time(other.slowest, NOT_DELAYED, "the other's round trip")
    numbers = []
    while not numbers or numbers[-1] != 199_999:
        opcode, payload = peer.read_frame()
        assert opcode == PONG
        numbers.append(int(payload))
    assert numbers == sorted(set(numbers))
    peer.echo(b"still there")


@pytest.mark.measures
@timed
def test_peer_that_never_reads_costs_a_bounded_queue(serve):
    echo = serve("echo_server", "--quiet", "--max-message", "65536")
    RawPeer(echo.address).upgrade().echo(b"x" * 65536)
    before = echo.rss()
    peers = [RawPeer(echo.address, receive_buffer=4096).upgrade() for _ in range(8)]
    with PingPong(echo.address) as other:
        sent = [stuff(peer) for peer in peers]
    in_time(other.slowest, NOT_DELAYED, "the other's round trip")
    # The queue of each (two messages and 64 KiB), the message that is held, and what was set aside of a buffer.
    assert echo.rss() - before < 8 * (2 * 64 + 64 + 64 + 256) * KIB, sent
    # Nothing is lost: who reads in the end gets all whole messages back.
    for peer, count in zip(peers[:2], sent):
        peer.socket.settimeout(DEADLINE)
        for _ in range(count // len(frame(BINARY, b"z" * 60000))):
            assert peer.read_frame() == (BINARY, b"z" * 60000)
    for peer in peers:
        peer.reset()


HEADS = {
    "header of 1 MiB": (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a", b"431"),
    "line of 1 MiB": (b"GET /", b"a", b"414"),
    "1 MiB of headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: aaaaaaaaaaaaa\r\n", b"431"),
    "1 MiB of empty lines": (b"", b"\r\n", b"4"),
    "1 MiB of zeros": (b"", b"\0", b"400"),
}


@pytest.mark.measures
@pytest.mark.parametrize("kind", HEADS)
@timed
def test_heads_of_1_mib(serve, kind):
    echo = serve("echo_server", "--quiet")
    RawPeer(echo.address).upgrade().echo()
    before, base = echo.rss(), echo.fds()
    start, filling, status = HEADS[kind]
    data = start + filling * (MIB // len(filling))
    with PingPong(echo.address) as other:
        for _ in range(20):
            peer = RawPeer(echo.address)
            try:
                peer.send(data)
            except (ConnectionResetError, BrokenPipeError):
                pass  # it had read enough
            answer = peer.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status), answer[:100]
            peer.close()
    in_time(other.slowest, NOT_DELAYED, "the other's round trip")
    assert echo.peak_rss() - before < MIB
    eventually(lambda: echo.fds() <= base, what="the closing of all sockets")


def unread(peer):
    """Bytes that the peer has sent and that its server has not read yet."""
    ends = [f"0100007F:{port:04X}" for _, port in (peer.socket.getpeername(), peer.socket.getsockname())]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        _, local, remote, _, queues, *_ = line.split()
        if [local, remote] == ends:
            return int(queues.partition(":")[2], 16)
    return 0


def test_head_in_single_bytes_is_refused_at_its_limit(serve):
    """The cost of a head grows with its length, not with the square of it."""
    echo = serve("echo_server", "--quiet", "--handshake-timeout", "60000")
    before = echo.cpu_seconds()
    peer = RawPeer(echo.address)
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
    sent = 0
    try:
        while sent < 64 * KIB and not select.select([peer.socket], [], [], 0)[0]:
            sent += peer.socket.send(b"a")
            if sent % KIB == 0:
                eventually(lambda: unread(peer) == 0, what="the reading of what was sent")
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert 15 * KIB < sent < 20 * KIB
    assert peer.rest()[:12] in (b"", b"HTTP/1.1 431")
    assert echo.cpu_seconds() - before < 1


@pytest.mark.measures
def test_announced_length_costs_nothing(serve):
    echo = serve("echo_server", "--quiet", "--max-message", str(256 * MIB))
    peers = [RawPeer(echo.address).upgrade() for _ in range(20)]
    peers[0].echo()
    before = echo.rss()
    for peer in peers:
        peer.send(head(BINARY, 100 * MIB) + b"x")
    peers.append(RawPeer(echo.address).upgrade())
    peers[-1].echo()
    assert echo.rss() - before < MIB
    for each in peers:
        each.close()


def test_length_beyond_the_limit_is_refused_before_its_bytes_come(serve):
    echo = serve("echo_server", "--quiet", "--max-message", str(256 * MIB))
    # The largest lengths there are, too, and those that 32 bits would cut down to something small.
    for length in (256 * MIB + 1, 2**31 - 1, 2**32, 2**32 + 5, 2**63 - 1):
        peer = RawPeer(echo.address).upgrade().send(head(BINARY, length))
        opcode, payload = peer.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        peer.close()
    # RFC 6455 section 5.2: "the most significant bit MUST be 0".
    peer = RawPeer(echo.address).upgrade().send(head(BINARY, 2**63))
    opcode, payload = peer.read_frame()
    assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
    peer.close()


@pytest.mark.measures
@pytest.mark.parametrize("threads", ["1", "2"])
@timed
def test_2000_resets_at_random_moments_leave_nothing_behind(serve, threads, measured):
    echo = serve("echo_server", "--quiet", "--threads", threads)
    chance = random.Random(6455)
    stream = REQUEST + frame(TEXT, b"a" * 1000) + frame(PING, b"p") + frame(BINARY, b"b" * 70000)
    stream += frame(TEXT, b"c", fin=False) + frame(CLOSE, b"\x03\xe8")

    def break_off():
        peer = RawPeer(echo.address)
        cut = chance.choice([0, len(REQUEST), chance.randrange(len(REQUEST)), chance.randrange(len(stream))])
        try:
            peer.send(stream[:cut])
            if chance.random() < 0.3:
                peer.socket.settimeout(0.01)
                peer.socket.recv(100)
        except OSError:
            pass
        peer.reset()

    base = echo.fds()
    with PingPong(echo.address) as other:
        for _ in range(500):
            break_off()
        eventually(lambda: echo.fds() <= base + 1, what="the closing of all sockets")
        before = settled(echo.rss)
        for _ in range(2000):
            break_off()
        eventually(lambda: echo.fds() <= base + 1, what="the closing of all sockets")
        after = settled(echo.rss)
    measured(f"2000 resets, {threads} thread(s): memory {before // KIB} -> {after // KIB} KiB")
    in_time(other.slowest, NOT_DELAYED, "the other's round trip")
    assert after - before < 128 * KIB
    eventually(lambda: echo.fds() == base, what="the closing of all sockets")


@pytest.mark.measures
def test_no_descriptors_left(serve, measured):
    echo = serve("echo_server", "--quiet", limits={resource.RLIMIT_NOFILE: (64, 64)})
    room = 64 - echo.fds()
    peers = [RawPeer(echo.address).send(REQUEST) for _ in range(200)]
    eventually(lambda: echo.fds() == 64, what="the last descriptor")

    def answered():
        return [peer for peer in peers if select.select([peer.socket], [], [], 0)[0]]

    opened = eventually(lambda: len(answered()) >= room and answered(), what="the answers to all who have a descriptor")
    assert 40 < room == len(opened)
    opened[0].read_head()

    # Time must pass here, for it is processor time per time that is measured.
    cpu, began = echo.cpu_seconds(), time.monotonic()
    while time.monotonic() - began < 2:
        opened[0].echo()
        select.select([], [], [], 0.1)
    share = (echo.cpu_seconds() - cpu) / (time.monotonic() - began)
    measured(f"no descriptors left: {len(opened)} of 200 connections open, processor {share:.1%}")
    assert share < 0.2

    # The others wait in the kernel and get their turn when there is room.
    waiting = [peer for peer in peers if peer not in opened]
    for peer in opened:
        peer.close()
    waiting[0].read_head()
    waiting[0].echo(b"my turn")
    for peer in waiting:
        peer.close()
    eventually(lambda: echo.fds() < 20, what="the closing of all sockets")
    fresh = RawPeer(echo.address).upgrade()
    fresh.echo(b"all is well")
    fresh.close()


@pytest.fixture
def descriptors():
    """How many descriptors this process may open, raised as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.measures
def test_10000_connections_at_once(serve, descriptors, measured):
    if descriptors != resource.RLIM_INFINITY and descriptors < 12_000:
        pytest.skip(f"10,000 connections need 12,000 descriptors, the hard limit here is {descriptors}")
    echo = serve("echo_server", "--quiet")
    first = RawPeer(echo.address).upgrade()
    first.echo()
    before, base, began = echo.rss(), echo.fds(), time.monotonic()
    peers = []
    for _ in range(50):
        batch = [RawPeer(echo.address).send(REQUEST) for _ in range(200)]
        for peer in batch:
            assert b"101 Switching Protocols" in peer.read_whole_head()
        peers += batch
    took = time.monotonic() - began
    assert echo.fds() == base + 10_000
    idle = echo.rss() - before
    for peer in peers[::50]:
        peer.echo(b"one of ten thousand")
    assert echo.fds() == base + 10_000
    measured(f"10,000 connections opened in {took:.1f} s, memory {idle / 10_000:.0f} bytes for each that is idle")
    assert idle / 10_000 < 2048

    for peer in peers:
        peer.reset()
    eventually(lambda: echo.fds() == base, what="the closing of all sockets")
    first.echo(b"alone again")
    first.close()
