"""Each example does what its first line says. Command lines and signals are in test_command_lines.py."""

import asyncio
import binascii
import functools
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

from program import DEADLINE, LONG, eventually, in_time, timed
from raw import BINARY, CONTINUATION, RawPeer, frame

open_ws = functools.partial(connect, proxy=None)


def receive_json(ws):
    return json.loads(ws.recv(DEADLINE))


def get(address, path, method="GET", **headers):
    """The response to a plain HTTP request, and its body."""
    connection = http.client.HTTPConnection(*address, timeout=DEADLINE)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


# echo_server. What it exchanges with others is in test_interop.py and test_hostile.py.


@pytest.mark.parametrize("host, shown", [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_echo_server_quiet_says_where_it_listens_and_nothing_else(serve, host, shown):
    program = serve("echo_server", "--quiet", "--host", host)
    assert program.url == f"ws://{shown}:{program.port}"
    with open_ws(program.url) as ws:
        ws.send("x")
        assert ws.recv(DEADLINE) == "x"
    program.end()
    assert program.stdout.rest() == [f"listening on {program.url}"]
    assert program.stderr.rest() == []


@pytest.mark.parametrize("options, compression", [([], None), (["--deflate"], "deflate")])
def test_echo_server_in_pieces(serve, options, compression):
    program = serve("echo_server", "--pieces", *options)
    messages = ["Grüße", b"\x00\xff", "", b"", "ü" * 250000, b"z" * 900000, "€" * (5 << 20), os.urandom(1 << 16) * 256]

    async def echo(ws, message):
        """The fragments that come back. Who sends such a message has to read meanwhile."""
        sent = asyncio.ensure_future(ws.send(message))
        fragments = [fragment async for fragment in ws.recv_streaming()]
        await sent
        return fragments

    async def exchange():
        async with connect_async(program.url, proxy=None, compression=compression, max_size=None) as ws:
            for message in messages:
                fragments = await echo(ws, message)
                # More than one read holds: more than one fragment.
                assert len(fragments) > 1 or len(message) < 2 << 20
                assert type(message)().join(fragments) == message
            await ws.send(["in ", "fragments ", "€"])
            assert await ws.recv() == "in fragments €"
            await (await ws.ping(b"p"))

    asyncio.run(asyncio.wait_for(exchange(), LONG))


def test_echo_server_in_pieces_loses_nothing_when_the_peer_reads_late(serve):
    """More than the kernel and the queue hold: it has to stop reading, and to go on with the piece that it could not send."""
    program = serve("echo_server", "--pieces")
    peer = RawPeer(program.address).upgrade()
    block = bytes(range(256)) * 4096
    blocks = 48
    sent = []

    def send():
        for n in range(blocks):
            peer.send(frame(BINARY if n == 0 else CONTINUATION, block, fin=n == blocks - 1))
            sent.append(n)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    eventually(lambda: still(lambda: len(sent)), what="a standstill")
    assert len(sent) < blocks
    received, opcodes = [], []
    while sum(map(len, received)) < blocks * len(block):
        opcode, payload = peer.read_frame()
        opcodes.append(opcode)
        received.append(payload)
    sender.join(DEADLINE)
    assert b"".join(received) == block * blocks
    assert opcodes == [BINARY] + [CONTINUATION] * (len(opcodes) - 1)


def still(value):
    """value() stays as it is for a while."""
    before = value()
    time.sleep(0.3)
    return before > 0 and value() == before


@pytest.mark.measures
@pytest.mark.skipif("LIBWS_TEST_LARGE" not in os.environ, reason="LIBWS_TEST_LARGE=1 runs it")
def test_echo_server_in_pieces_of_1_gib_in_little_memory(serve):
    program = serve("echo_server", "--pieces")
    peer = RawPeer(program.address).upgrade()
    block = bytes(range(256)) * 4096

    def send():
        for n in range(1024):
            peer.send(frame(BINARY if n == 0 else CONTINUATION, block, fin=n == 1023))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    received = place = 0
    while received < 1 << 30:
        payload = peer.read_frame()[1]
        assert payload[:4096] == (block * 2)[place : place + 4096][: len(payload)]
        place = (place + len(payload)) % 256
        received += len(payload)
    sender.join(DEADLINE)
    # A piece in each of: receive buffer, queue, set aside; and the program.
    assert program.peak_rss() < 16 << 20


# hello_server


def test_hello_server_echoes(run, tmp_path):
    path = str(tmp_path / "socket")
    program = run("hello_server", f"unix:{path}")
    ws = eventually(lambda: try_unix(path), what="hello_server")
    with ws:
        for message in ("Grüße", b"\x00\xff", "x" * 100000):
            ws.send(message)
            assert ws.recv(DEADLINE) == message
    # It is to be the shortest: no signal handler.
    program.interrupt(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM


def try_unix(path):
    try:
        return unix_connect(path, uri="ws://localhost/")
    except (FileNotFoundError, ConnectionRefusedError):
        return None


# ws_cat: the exit codes. What it exchanges with others is in test_interop.py.


def open_cat(run, echo):
    """A ws_cat that knows that it is connected; its stdin stays open."""
    program = run("ws_cat", echo.url, stdin=subprocess.PIPE)
    program.process.stdin.write(b"hello\n")
    program.process.stdin.flush()
    program.stdout.expect("^hello$")
    return program


def finish(program):
    return program.wait(), program.stdout.rest(), "\n".join(program.stderr.rest())


def test_cat_exits_0_after_once(run, echo):
    assert finish(run("ws_cat", echo.url, "--once", "hello")) == (0, ["hello"], "")
    echo.stderr.expect("closed by peer, .*, code 1000 ")


def test_cat_exits_0_after_the_end_of_stdin(run, echo):
    assert finish(run("ws_cat", echo.url)) == (0, [], "")
    echo.stderr.expect("closed by peer, .*, code 1000 ")


def test_cat_leaves_out_lines_that_are_no_text(run, echo):
    program = run("ws_cat", echo.url, stdin=subprocess.PIPE)
    program.process.stdin.write(b"one\n\xff\xfe\ntwo\n")
    program.process.stdin.close()
    status, printed, errors = finish(program)
    assert (status, printed) == (0, ["one", "two"])
    assert "UTF-8" in errors


def test_cat_prints_a_message_at_once(run, echo):
    program = run("ws_cat", echo.url, stdin=subprocess.PIPE)
    for line in ("first", "second"):
        program.process.stdin.write(f"{line}\n".encode())
        program.process.stdin.flush()
        program.stdout.expect(f"^{line}$")
    program.process.stdin.close()
    assert program.wait() == 0


def test_cat_exits_1_when_nobody_listens(run):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening
        status, printed, errors = finish(run("ws_cat", f"ws://127.0.0.1:{bound.getsockname()[1]}", "--once", "x"))
    assert (status, printed) == (1, [])
    assert errors.startswith("ws_cat: tcp: ") and "Connection refused" in errors


def test_cat_exits_1_when_the_name_is_unknown(run):
    status, printed, errors = finish(run("ws_cat", "ws://no.such.host.invalid", "--once", "x"))
    assert (status, printed) == (1, [])
    assert errors.startswith("ws_cat: dns: ")


@timed
def test_cat_exits_1_when_the_server_does_not_answer_in_time(run):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        status, printed, errors = finish(run("ws_cat", url, "--once", "x", "--timeout", "300"))
        took = time.monotonic() - began
    assert (status, printed) == (1, [])
    assert errors.startswith("ws_cat: http: ")
    assert took >= 0.3
    in_time(took, 5, "the end of ws_cat")


# (what the server answers, a word of the reason)
NO_WEBSOCKET = {
    "not found": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "http: "),
    "wrong Accept": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "Sec-WebSocket-Accept",
    ),
    "goes away": (b"", "http: "),
}


@pytest.mark.parametrize("answer", NO_WEBSOCKET)
def test_cat_exits_1_when_the_server_speaks_no_websocket(run, answer):
    said, word = NO_WEBSOCKET[answer]
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = run("ws_cat", f"ws://127.0.0.1:{server.getsockname()[1]}", "--once", "x")
        server.settimeout(DEADLINE)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(DEADLINE)
            request = b""
            while b"\r\n\r\n" not in request:
                request += peer.recv(4096)
            peer.sendall(said)
        status, printed, errors = finish(program)
    assert (status, printed) == (1, [])
    assert errors.startswith("ws_cat: http: ") and word in errors


def test_cat_exits_2_when_the_connection_is_lost(run, serve):
    echo = serve("echo_server")
    program = open_cat(run, echo)
    echo.kill()
    status, printed, errors = finish(program)
    assert (status, printed) == (2, ["hello"])
    assert errors.startswith("ws_cat: ")


def test_cat_exits_0_when_the_server_ends_in_order(run, echo):
    program = open_cat(run, echo)
    echo.end()
    assert finish(program) == (0, ["hello"], "ws_cat: closed by the server, code 1001 ")


# chat


def join(chat, name, room="lobby"):
    ws = open_ws(f"{chat.url}/chat?room={room}", legacy=True)  # legacy: closed below, not by `with`
    ws.send(name)
    return ws, receive_json(ws)


def test_chat(serve):
    chat = serve("chat")
    ann, welcome = join(chat, "Ann")
    assert welcome == {"type": "welcome", "members": ["Ann"]}
    name = 'Bob "the <b>" \\ \t😀'
    bob, welcome = join(chat, name)
    assert welcome == {"type": "welcome", "members": [name, "Ann"]} or welcome["members"] == ["Ann", name]
    assert receive_json(ann) == {"type": "join", "name": name}

    # Everything that JSON must escape comes out as it went in.
    text = "".join(map(chr, range(1, 128))) + "\u2028 ünï 😀"
    bob.send(text)
    for ws in (ann, bob):
        assert receive_json(ws) == {"type": "say", "name": name, "text": text}

    # Another room hears nothing of it.
    eve, welcome = join(chat, "Eve", room="other%20room")
    assert welcome == {"type": "welcome", "members": ["Eve"]}
    ann.send("to the lobby")
    assert receive_json(bob)["text"] == "to the lobby"
    eve.send("to the other room")
    assert receive_json(eve) == {"type": "say", "name": "Eve", "text": "to the other room"}

    receive_json(ann)
    bob.close()
    assert receive_json(ann) == {"type": "leave", "name": name}
    ann.close()
    eve.close()


@pytest.mark.parametrize("message, code", [("", 1008), ("n" * 65, 1008), ("a\0b", 1008), (b"Ann", 1003)])
def test_chat_name_that_is_none(serve, message, code):
    chat = serve("chat")
    with open_ws(chat.url + "/chat") as ws:
        ws.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(DEADLINE)
        assert closed.value.rcvd.code == code


@pytest.mark.parametrize("name, path", [("chat", "/chat"), ("dashboard", "/live")])
def test_pages_and_origins(serve, name, path):
    program = serve(name)
    response, page = get(program.address, "/")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.startswith(b"<!doctype html>") and page.rstrip().endswith(b"</html>")
    assert len(page) == int(response.headers["Content-Length"])
    response, body = get(program.address, "/", method="HEAD")
    assert (response.status, body) == (200, b"")
    assert get(program.address, "/other")[0].status == 404

    host = f"127.0.0.1:{program.port}"
    with open_ws(program.ws_url + path, origin=f"http://{host}"):
        pass
    for origin in ("http://evil.example", f"http://{host}.evil.example", "null"):
        with pytest.raises(InvalidStatus) as refused:
            open_ws(program.ws_url + path, origin=origin)
        assert refused.value.response.status_code == 403


# dashboard


def receive_type(ws, kind):
    """The next message of this type; samples come all the time."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        message = receive_json(ws)
        if message["type"] == kind:
            return message
    raise AssertionError(f"no {kind} came")


def samples_at(ws, rate):
    """Eleven samples in a row that come at this rate, and not at a fifth of it. A busy machine makes some late, but not time
    and again."""
    samples = [receive_type(ws, "sample") for _ in range(11)]
    end = time.monotonic() + DEADLINE
    while True:
        assert all(a["t"] <= b["t"] for a, b in zip(samples, samples[1:]))
        milliseconds = samples[-1]["t"] - samples[0]["t"]
        if 0.5 * 10_000 / rate <= milliseconds < 4.5 * 10_000 / rate:
            return samples
        assert time.monotonic() < end, f"ten samples take {milliseconds} ms, at a rate of {rate}"
        samples = [*samples[1:], receive_type(ws, "sample")]


def test_dashboard(serve):
    program = serve("dashboard")
    with open_ws(program.ws_url + "/live") as ws, open_ws(program.ws_url + "/live") as other:
        hello = receive_type(ws, "hello")
        assert hello["rate"] == 10
        assert hello["system"].startswith("Linux ")
        assert hello["cores"] > 0 and hello["host"] and hello["libws"]

        sample = samples_at(ws, 10)[-1]
        assert 0 <= sample["cpu"] <= 100
        assert 0 < sample["mem_used"] < sample["mem_total"]
        assert sample["load"] >= 0 and sample["uptime"] > 0 and sample["rx"] >= 0 and sample["tx"] >= 0
        assert sample["temp"] is None or -50 < sample["temp"] < 150
        assert sample["clients"] == 2

        ws.send("rate 50")
        for each in (ws, other):
            assert receive_type(each, "rate") == {"type": "rate", "rate": 50}
        samples_at(ws, 50)

    with open_ws(program.ws_url + "/live") as ws:
        assert receive_type(ws, "hello")["rate"] == 50


@pytest.mark.parametrize(
    "wrong", ["rate 0", "rate 51", "rate -1", "rate", "rate 10 ", "rate 1x", "rate 1\0x", "faster", "", b"rate 5"]
)
def test_dashboard_command_that_is_none(serve, wrong):
    program = serve("dashboard")
    with open_ws(program.ws_url + "/live") as ws:
        ws.send(wrong)
        assert "rate 1 to rate 50" in receive_type(ws, "error")["text"]
        ws.send("rate 7")
        assert receive_type(ws, "rate")["rate"] == 7


# own_epoll


def receive_tick(ws):
    return int(ws.recv(DEADLINE).removeprefix("tick "))


@timed
def test_own_epoll(serve):
    began = time.monotonic()
    program = serve("own_epoll")
    with open_ws(program.url) as ws, open_ws(program.url) as other:
        ws.send("to the loop")
        program.stderr.expect(": to the loop$")
        # It counts the seconds since its start. Each comes to all who are there, and none comes early.
        for _ in range(3):
            tick = receive_tick(ws)
            assert time.monotonic() - began >= tick
        assert tick >= 3
        in_time(time.monotonic() - began, tick + 4, f"tick {tick}")
        theirs = receive_tick(other)
        while theirs < tick:
            theirs = receive_tick(other)
        assert theirs == tick
    program.stderr.expect("closed, ")


# reactor_echo


def test_reactor_echo(serve):
    program = serve("reactor_echo", "--max-message", "100000")
    with open_ws(program.url) as ws, open_ws(program.url) as other:
        for message in ("Grüße", b"\x00\xff", "", "x" * 100000):
            ws.send(message)
            assert ws.recv(DEADLINE) == message
        other.send(["in ", "pieces"])
        assert other.recv(DEADLINE) == "in pieces"
        assert ws.ping(b"p").wait(DEADLINE)
        ws.send("x" * 100001)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(DEADLINE)
        assert closed.value.rcvd.code == 1009
        other.close(4321, "bye")
        assert other.protocol.close_rcvd.code == 4321


def test_reactor_echo_in_pieces(serve):
    program = serve("reactor_echo", "--pieces")
    with open_ws(program.url) as ws:
        for message in ("Grüße", b"\x00\xff", "", "ü" * 250000, b"z" * 900000):
            ws.send(message)
            # More than one read holds: more than one fragment.
            fragments = list(ws.recv_streaming())
            assert len(fragments) > 1 or len(message) < 1000
            assert type(message)().join(fragments) == message


# pipe_pair


@pytest.mark.parametrize("texts, answers", [([], ["HELLO"]), (["one", "Two 2"], ["ONE", "TWO 2"])])
def test_pipe_pair(run, texts, answers):
    program = run("pipe_pair", *texts)
    assert program.wait() == 0
    received = [line.removeprefix("client received: ") for line in program.stdout.rest() if "client received" in line]
    assert received == answers
    assert program.stderr.rest() == []


# stream_upload


@pytest.mark.measures
def test_stream_upload_of_64_mib_in_little_memory(serve, tmp_path, measured):
    program = serve("stream_upload", "--dir", tmp_path)
    before = program.rss()
    block = bytes(range(256)) * 4096
    crc = 0
    for _ in range(64):
        crc = binascii.crc32(block, crc)
    with open_ws(program.url) as ws:
        ws.send(block for _ in range(64))
        assert ws.recv(DEADLINE) == f"{64 * 2**20} bytes, crc32 {crc:08x}, upload-000001"
        # The same in one frame.
        ws.send(block * 64)
        assert ws.recv(DEADLINE) == f"{64 * 2**20} bytes, crc32 {crc:08x}, upload-000002"
        ws.send("")
        assert ws.recv(DEADLINE) == "0 bytes, crc32 00000000, upload-000003"
    grown = program.peak_rss() - before
    measured(f"stream_upload: 2 messages of 64 MiB, memory grew by {grown // 1024} KiB")
    assert grown < 2**20
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"upload-00000{i}" for i in (1, 2, 3)]
    assert (tmp_path / "upload-000001").read_bytes() == block * 64
    assert (tmp_path / "upload-000002").read_bytes() == block * 64


# More than a receive buffer holds: the end of the stream is there before the data has been read.
@pytest.mark.parametrize("size", [1000, 4 * 2**20])
def test_stream_upload_drops_what_is_not_complete(serve, tmp_path, size):
    program = serve("stream_upload", "--dir", tmp_path)
    peer = RawPeer(program.address).upgrade()
    peer.send(frame(BINARY, b"x" * size, fin=False))
    eventually(lambda: list(tmp_path.iterdir()), what="the file")
    assert [path.name for path in tmp_path.iterdir()] == ["upload-000001.part"]
    peer.close()
    eventually(lambda: not list(tmp_path.iterdir()), what="the removal of the file")


# autobahn_client, with a fuzzing server of two cases.


def test_autobahn_client(run, peer_program):
    suite = peer_program("websockets", "autobahn").listening()
    program = run("autobahn_client", suite.url, "--agent", "tester")
    assert program.wait() == 0
    assert program.stdout.rest() == ["case 1 of 2", "case 2 of 2"]
    for line in ("getCaseCount", "case 1 agent tester: same", "case 2 agent tester: same", "updateReports tester"):
        suite.stdout.expect(f"^{line}$")


def test_autobahn_client_without_a_server(run):
    program = run("autobahn_client", "ws://127.0.0.1:1")
    assert program.wait() == 1
    assert "Connection refused" in "\n".join(program.stderr.rest())
