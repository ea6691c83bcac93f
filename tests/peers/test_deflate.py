"""permessage-deflate (RFC 7692) with other implementations, in both directions and with all their parameters; what it
costs a server, and what it must not.
"""

import itertools
import json
import os
import random
import re
import time
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from browser import Browser
from program import DEADLINE, LONG, eventually, settled
from raw import BINARY, CLOSE, REQUEST, RawPeer, frame, head

MODES = ["small", "balanced", "best"]
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
RSV1 = 0x40


def messages():
    """Text and bytes of many lengths, some like what came before, some not."""
    dice = random.Random(7)
    for size in (0, 1, 127, 128, 1000, 20_000, 300_000):
        text = "".join(f'{{"sensor":"boiler-{i % 7}","temperature":{20 + i % 9}.{i % 10} °C}}' for i in range(size // 40 + 1))
        yield text[:size]
        yield dice.randbytes(size)
        yield (b"\x00\xff\x80" * size)[:size]
        yield text[: size // 2]


@pytest.fixture(params=MODES)
def compressing(request, serve):
    """An echo_server that compresses."""
    return serve("echo_server", "--deflate", request.param)


# Others as clients.


def test_websockets_with_all_parameters(compressing):
    takeover = [False, True]
    # 8 is a window that zlib does not have for what it compresses.
    server_bits = [None, 8, 12]
    client_bits = [None, True, 9, 15]
    for server_none, client_none, server, client in itertools.product(takeover, takeover, server_bits, client_bits):
        offer = ClientPerMessageDeflateFactory(
            server_no_context_takeover=server_none,
            client_no_context_takeover=client_none,
            server_max_window_bits=server,
            client_max_window_bits=client,
        )
        with connect(compressing.url, proxy=None, compression=None, extensions=[offer], max_size=None) as ws:
            (agreed,) = ws.protocol.extensions
            assert agreed.remote_no_context_takeover or not server_none
            assert agreed.local_no_context_takeover or not client_none
            assert agreed.remote_max_window_bits <= (server or 15)
            assert agreed.local_max_window_bits <= (client if type(client) is int else 15)
            for message in messages():
                ws.send(message)
                assert ws.recv(DEADLINE) == message
    compressing.stderr.expect("open.*, with compression")


def test_websockets_fragments(compressing):
    with connect(compressing.url, proxy=None, compression="deflate") as ws:
        for _ in range(3):
            ws.send(part for part in ("Grü", "", "ße " * 500, "in ", "Stücken", ""))
            assert ws.recv(DEADLINE) == "Grü" + "ße " * 500 + "in Stücken"


def test_npm_with_all_parameters(compressing, peer_program):
    offers = [
        # To `ws` a false means that it insists on the opposite, which a server need not grant.
        {"threshold": 0}
        | ({"serverNoContextTakeover": True} if s else {})
        | ({"clientNoContextTakeover": True} if c else {})
        | ({"serverMaxWindowBits": sb} if sb else {})
        | ({"clientMaxWindowBits": cb} if cb is not None else {})
        for s, c, sb, cb in itertools.product([False, True], [False, True], [None, 8, 10, 15], [None, True, 9, 15])
    ]
    program = peer_program("ws", "deflate", compressing.url, json.dumps(offers))
    assert program.wait(LONG) == 0, program.stderr.rest()
    lines = program.stdout.rest()
    assert len(lines) == len(offers)
    for line, offer in zip(lines, offers):
        assert re.fullmatch(r"permessage-deflate same", line), (line, offer)


def test_a_browser_compresses(compressing, serve, tmp_path):
    # A page from this machine, since one from nowhere may not connect to it.
    place = serve("dashboard").url
    browser = Browser(tmp_path)
    try:
        page = browser.open(place)
        page.wait_for("document.querySelector('#state').textContent === 'connected'")
        page.evaluate(
            f"""window.seen = []; window.ws = new WebSocket("{compressing.url}");
            ws.onopen = () => {{ ws.send("temperature ".repeat(1000)); ws.send("temperature ".repeat(1001)); }};
            ws.onmessage = event => seen.push(event.data);"""
        )
        page.wait_for("seen.length === 2")
        assert page.evaluate("ws.extensions").startswith("permessage-deflate")
        assert page.evaluate('seen[0] === "temperature ".repeat(1000) && seen[1] === "temperature ".repeat(1001)')
    finally:
        browser.end()


# Others as servers.

SERVERS = [
    ("websockets", {}),
    ("websockets", {"server_no_context_takeover": True}),
    ("websockets", {"client_no_context_takeover": True, "server_max_window_bits": 9}),
    ("websockets", {"server_no_context_takeover": True, "client_no_context_takeover": True, "client_max_window_bits": 9}),
    ("ws", {"threshold": 0}),
    ("ws", {"threshold": 0, "serverNoContextTakeover": True}),
    ("ws", {"threshold": 0, "clientNoContextTakeover": True, "serverMaxWindowBits": 9}),
    ("ws", {"threshold": 0, "serverNoContextTakeover": True, "clientNoContextTakeover": True, "clientMaxWindowBits": 10}),
]


@pytest.mark.parametrize("name,parameters", SERVERS)
def test_ws_cat_with(name, parameters, peer_program, run, tmp_path):
    server = peer_program(name, "serve", json.dumps(parameters)).listening()
    lines = [(f"Grüße {i} " * i)[:60_000] for i in range(1, 3000, 301)] * 3
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    for path, answers in (
        ("/echo", lines),
        ("/extensions", [len(line.encode()) for line in lines]),
    ):
        with open(tmp_path / "lines") as stdin:
            cat = run("ws_cat", server.url + path, "--deflate", stdin=stdin)
        assert cat.wait() == 0, cat.stderr.rest()
        said = cat.stdout.rest()
        if path == "/echo":
            assert said == answers
        else:
            assert [int(line.split()[-1]) for line in said] == answers
            assert all(re.match(r"(?i)per-?message-?deflate", line) for line in said)


def test_a_server_that_declines(peer_program, run):
    server = peer_program("ws", "serve").listening()
    cat = run("ws_cat", server.url + "/echo", "--deflate", "--once", "Grüße " * 100)
    assert cat.wait() == 0
    assert cat.stdout.rest() == ["Grüße " * 100]


# What it costs.


def upgraded(server, receive_buffer=None):
    peer = RawPeer(server.address, receive_buffer=receive_buffer)
    peer.send(REQUEST[:-2] + OFFER)
    response = peer.read_head()
    assert b"permessage-deflate" in response, response
    return peer


def bomb(size):
    """A compressed message of so many zeros, in parts that need not all be there at once."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [squeeze.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    parts.append(squeeze.flush(zlib.Z_SYNC_FLUSH)[:-4])
    return b"".join(parts)


@pytest.mark.measures
@pytest.mark.parametrize("max_message", [1 << 20, 16 << 20])
def test_a_bomb_costs_no_more_than_the_limit(serve, measured, max_message):
    server = serve("echo_server", "--deflate", "best", "--max-message", max_message)
    data = bomb(1 << 30)
    # Something has been inflated before, so that what is there anyway is there.
    first = upgraded(server)
    hello = bytes([0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    first.send(frame(BINARY | RSV1, hello))
    assert first.read_frame() == (BINARY, b"Hello")
    before = server.peak_rss()
    began = time.monotonic()
    for _ in range(3):
        peer = upgraded(server)
        try:
            peer.send(head(BINARY | RSV1, len(data)) + data)
        except OSError:
            pass  # it does not even read to the end
        opcode, payload = peer.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        peer.close()
    grown = server.peak_rss() - before
    measured(
        f"bomb of 1 GiB in {len(data) >> 10} KiB, limit {max_message >> 20} MiB: peak RSS +{grown >> 10} KiB,"
        f" {(time.monotonic() - began) / 3:.3f} s"
    )
    assert grown < 2 * max_message


def idle_cost(server, open_one, count=1000):
    """Bytes resident for each of so many connections that have exchanged a message and now say nothing."""
    message = b'{"sensor":"boiler-7","temperature":21.5}' * 10
    # What the first connections cost once is there before.
    warm = [open_one(server) for _ in range(50)]
    for peer in warm:
        exchange(peer, message)
    for peer in warm:
        peer.close()
    eventually(lambda: server.fds() < 20, what="the end of the first connections")
    before = settled(server.rss)
    peers = [open_one(server) for _ in range(count)]
    for peer in peers:
        exchange(peer, message)
    cost = (settled(server.rss) - before) / count
    for peer in peers:
        peer.close()
    return cost


def exchange(peer, message):
    if peer.compressed:
        squeeze = zlib.compressobj(6, zlib.DEFLATED, -12)
        packed = squeeze.compress(message) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        peer.send(frame(BINARY | RSV1, packed[:-4]))
        _, answer = peer.read_frame()
        assert zlib.decompressobj(-15).decompress(answer + b"\x00\x00\xff\xff") == message
    else:
        peer.echo(message)


@pytest.mark.measures
def test_idle_connections_of_the_smallest_preset_cost_nothing_more(serve, measured):
    def plain(server):
        peer = RawPeer(server.address).upgrade()
        peer.compressed = False
        return peer

    def packed(server):
        peer = upgraded(server)
        peer.compressed = True
        return peer

    without = idle_cost(serve("echo_server", "--quiet", "--ping-interval", "0"), plain)
    small = idle_cost(serve("echo_server", "--quiet", "--ping-interval", "0", "--deflate", "small"), packed)
    measured(f"1000 idle connections: {without:.0f} bytes each, {small:.0f} with --deflate small")
    assert small <= without + 64


# What it takes.


@pytest.mark.measures
def test_echo_of_compressed_messages_beside_others(serve, peer_program, measured):
    """Processor time for each message of the same work, one server after the other in the same run."""
    message = ("".join(f'{{"sensor":"boiler-{i}","temperature":{20 + i}.5}},' for i in range(30))[:1024]).encode()
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -12)
    packed = frame(BINARY | RSV1, (squeeze.compress(message) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4])
    batch, batches = 50, 180

    def work(server, path=b"/"):
        peer = RawPeer(server.address)
        request = REQUEST.replace(b"GET / ", b"GET " + path + b" ")
        offer = OFFER.replace(b"permessage-deflate;", b"permessage-deflate; server_no_context_takeover; client_no_context_takeover;")
        peer.send(request[:-2] + offer)
        assert b"permessage-deflate" in peer.read_head()
        for number in range(batches):
            if number == batches // 6:  # warm by now
                began = server.cpu_seconds()
            peer.send(packed * batch)
            for _ in range(batch):
                opcode, answer = peer.read_frame()
            assert opcode == BINARY
        assert zlib.decompressobj(-15).decompress(answer + b"\x00\x00\xff\xff") == message
        took = server.cpu_seconds() - began
        peer.close()
        return took / (batches - batches // 6) / batch * 1e6

    ours = work(serve("echo_server", "--quiet", "--deflate", "small"))
    python = work(peer_program("websockets", "serve", json.dumps({"server_no_context_takeover": True})).listening(), b"/echo")
    npm = work(peer_program("ws", "serve", json.dumps({"threshold": 0})).listening(), b"/echo")
    measured(
        f"echo of compressed messages of 1 KiB: {ours:.0f} us of processor each, websockets {python:.0f} ({python / ours:.1f} x),"
        f" ws {npm:.0f} ({npm / ours:.1f} x)"
    )
    assert ours < python and ours < npm
