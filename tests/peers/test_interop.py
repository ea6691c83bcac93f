"""libws and other implementations of RFC 6455, in both directions.

echo_server with Python's `websockets` and `websocket-client` and npm's `ws` as clients; ws_cat with `websockets` and
`ws` as servers.
"""

import asyncio
import subprocess

import pytest
import websocket
from websocket import ABNF
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from program import DEADLINE, LONG

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 2**20]
# Codes that a Close frame may hold (RFC 6455 section 7.4).
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]


def text_of(size):
    """Text of so many bytes, with characters of two, three and four bytes where there is room."""
    text = "aß€😀" * (size // 10)
    return text + "." * (size - len(text.encode()))


def bytes_of(size):
    return (bytes(i * 7 % 251 for i in range(251)) * (size // 251 + 1))[:size]


def legacy(echo, **options):
    """A connection of websocket-client."""
    return websocket.create_connection(echo.url, timeout=DEADLINE, **options)


# Python's websockets as the client.


@pytest.mark.parametrize("size", SIZES)
def test_websockets_echo(echo, size):
    with connect(echo.url, proxy=None) as ws:
        for message in (text_of(size), bytes_of(size)):
            ws.send(message)
            answer = ws.recv(DEADLINE)
            assert type(answer) is type(message)
            assert answer == message


def test_websockets_agrees_on_nothing_that_libws_does_not_speak(echo):
    # It offers permessage-deflate by itself.
    with connect(echo.url, proxy=None, subprotocols=["first", "second"]) as ws:
        assert ws.protocol.extensions == []
        assert ws.subprotocol is None
        assert "Sec-WebSocket-Extensions" in ws.request.headers
        assert "Sec-WebSocket-Extensions" not in ws.response.headers


@pytest.mark.parametrize("kind", [str, bytes])
def test_websockets_fragments_with_pings_between(echo, kind):
    parts = ["Grü", "", "ße ", "in ", "Stücken"]
    pongs = []
    with connect(echo.url, proxy=None) as ws:

        def fragments():
            for number, part in enumerate(parts):
                pongs.append(ws.ping(f"before {number}"))
                yield part if kind is str else part.encode()

        ws.send(fragments())
        answer = ws.recv(DEADLINE)
        assert answer == ("".join(parts) if kind is str else "".join(parts).encode())
        # websockets takes the pong of a later ping for the earlier ones too (RFC 6455 section 5.5.3).
        assert all(pong.wait(DEADLINE) for pong in pongs)


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"p" * 125])
def test_websockets_ping(echo, payload):
    with connect(echo.url, proxy=None) as ws:
        # Only a pong with the same payload counts.
        assert ws.ping(payload).wait(DEADLINE)


@pytest.mark.parametrize("code", CODES)
def test_websockets_close(echo, code):
    with connect(echo.url, proxy=None) as ws:
        ws.close(code, "tschüß")
        # RFC 6455 section 5.5.1: "the endpoint typically echos the status code it received". No reason comes back.
        assert (ws.protocol.close_rcvd.code, ws.protocol.close_rcvd.reason) == (code, "")
        assert not ws.protocol.close_rcvd_then_sent
    echo.stderr.expect(rf"closed by peer, .*, code {code} tschüß$")


def test_websockets_is_closed_with_1001_when_the_server_ends(echo):
    with connect(echo.url, proxy=None) as ws:
        echo.end()
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(DEADLINE)
        assert closed.value.rcvd.code == 1001
        assert closed.value.rcvd_then_sent


def test_websockets_message_beyond_the_limit(serve):
    echo = serve("echo_server", "--max-message", "1000")
    with connect(echo.url, proxy=None) as ws:
        ws.send(b"x" * 1000)
        assert len(ws.recv(DEADLINE)) == 1000
        ws.send(b"x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(DEADLINE)
        assert closed.value.rcvd.code == 1009
    with connect(echo.url, proxy=None) as ws:
        # RFC 6455 section 5.4: fragments make one message. The Close may come while the last of them is being sent.
        with pytest.raises(ConnectionClosed) as closed:
            ws.send([b"x" * 600, b"x" * 600])
            ws.recv(DEADLINE)
        assert closed.value.rcvd.code == 1009


def test_websockets_refusals(serve):
    echo = serve("echo_server", "--quiet", "--path", "/ws")
    with connect(echo.url + "/ws?some=query", proxy=None) as ws:
        ws.send("here")
        assert ws.recv(DEADLINE) == "here"
    for path in ("/", "/ws/", "/other"):
        with pytest.raises(InvalidStatus) as refused:
            connect(echo.url + path, proxy=None)
        assert refused.value.response.status_code == 404


@pytest.mark.parametrize("threads", ["1", "4"])
def test_websockets_many_at_once_keep_their_order(serve, threads):
    echo = serve("echo_server", "--quiet", "--threads", threads)

    async def converse(number):
        async with connect_async(echo.url, proxy=None) as ws:
            sent = [f"{number}: {i}" + "." * (i * 37 % 500) for i in range(50)]
            for message in sent:
                await ws.send(message)
            assert [await ws.recv() for _ in sent] == sent

    async def all_of_them():
        async with asyncio.timeout(LONG):
            await asyncio.gather(*(converse(number) for number in range(50)))

    asyncio.run(all_of_them())


# websocket-client as the client.


@pytest.mark.parametrize("size", SIZES)
def test_websocket_client_echo(echo, size):
    ws = legacy(echo)
    ws.send(text_of(size))
    assert ws.recv_data() == (ABNF.OPCODE_TEXT, text_of(size).encode())
    ws.send_binary(bytes_of(size))
    assert ws.recv_data() == (ABNF.OPCODE_BINARY, bytes_of(size))
    ws.close()
    echo.stderr.expect("closed by peer, .*, code 1000 $")


def test_websocket_client_fragments_split_inside_a_character(echo):
    ws = legacy(echo)
    sent = "€uro".encode()
    ws.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, sent[:1]))
    ws.ping("between")
    ws.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_CONT, 1, sent[1:2]))
    ws.send_frame(ABNF(1, 0, 0, 0, ABNF.OPCODE_CONT, 1, sent[2:]))
    opcode, frame = ws.recv_data_frame(control_frame=True)
    assert (opcode, frame.data) == (ABNF.OPCODE_PONG, b"between")
    assert ws.recv_data() == (ABNF.OPCODE_TEXT, sent)
    ws.close()


def test_websocket_client_is_pinged_when_silent(serve):
    echo = serve("echo_server", "--ping-interval", "100")
    ws = legacy(echo)
    opcode, _ = ws.recv_data_frame(control_frame=True)
    assert opcode == ABNF.OPCODE_PING
    ws.send("still here")
    while opcode != ABNF.OPCODE_TEXT:
        opcode, frame = ws.recv_data_frame(control_frame=True)
    assert frame.data == b"still here"
    ws.close()


def test_websocket_client_pong_that_nobody_asked_for(echo):
    # RFC 6455 section 5.5.3: "A response to an unsolicited Pong frame is not expected."
    ws = legacy(echo)
    ws.pong("well")
    ws.send("and?")
    assert ws.recv() == "and?"
    ws.close()


# (the frame sent, the code that answers it)
WRONG = {
    "text that is not UTF-8": (ABNF(1, 0, 0, 0, ABNF.OPCODE_TEXT, 1, b"\xc3\x28"), 1007),
    "reserved bit": (ABNF(1, 1, 0, 0, ABNF.OPCODE_TEXT, 1, b"x"), 1002),
    "reserved opcode": (ABNF(1, 0, 0, 0, 0xB, 1, b"x"), 1002),
    "not masked": (ABNF(1, 0, 0, 0, ABNF.OPCODE_TEXT, 0, b"x"), 1002),
    "fragmented ping": (ABNF(0, 0, 0, 0, ABNF.OPCODE_PING, 1, b"x"), 1002),
    "long ping": (ABNF(1, 0, 0, 0, ABNF.OPCODE_PING, 1, b"x" * 126), 1002),
    "continuation of nothing": (ABNF(1, 0, 0, 0, ABNF.OPCODE_CONT, 1, b"x"), 1002),
    "close with one byte": (ABNF(1, 0, 0, 0, ABNF.OPCODE_CLOSE, 1, b"x"), 1002),
    "close with 1005": (ABNF(1, 0, 0, 0, ABNF.OPCODE_CLOSE, 1, b"\x03\xed"), 1002),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_websocket_client_that_breaks_the_protocol(echo, wrong):
    frame, code = WRONG[wrong]
    ws = legacy(echo)
    # Not frame.format(), which refuses what is wrong.
    head = bytes([frame.fin << 7 | frame.rsv1 << 6 | frame.opcode, frame.mask_value << 7 | min(len(frame.data), 126)])
    if len(frame.data) > 125:
        head += len(frame.data).to_bytes(2, "big")
    ws.sock.sendall(head + bytes(4 * frame.mask_value) + frame.data)  # a mask of zeros
    opcode, data = ws.recv_data()
    assert opcode == ABNF.OPCODE_CLOSE
    assert int.from_bytes(data[:2], "big") == code
    echo.stderr.expect(f"closed by .*, code {code} ")
    ws.shutdown()


@pytest.mark.parametrize("payload, code, reason", [(b"", 1005, ""), (b"\x0f\xa1warum", 4001, "warum")])
def test_websocket_client_close_is_answered_with_its_code(echo, payload, code, reason):
    ws = legacy(echo)
    ws.send(payload, ABNF.OPCODE_CLOSE)
    answer = ws.recv_frame()  # recv_data() would send a second Close
    assert (answer.opcode, answer.data) == (ABNF.OPCODE_CLOSE, payload[:2])
    echo.stderr.expect(rf"closed by peer, .*, code {code} {reason}$")
    # RFC 6455 section 7.1.1: the server closes the TCP connection.
    assert ws.sock.recv(1) == b""
    ws.shutdown()


# npm's ws as the client.


def test_ws_echo(echo, node_client):
    seen = node_client(echo.url, "echo")
    assert seen[0] == "extensions none"
    assert len(seen) == 1 + 2 * 7 + 1
    assert all(line.endswith(" same") for line in seen[1:-1]), seen
    assert seen[-1] == "closed 1005 "


def test_ws_fragments_and_a_ping_between(echo, node_client):
    assert node_client(echo.url, "fragments")[1:3] == ["pong between", "text Grüße in Stücken"]


def test_ws_ping(echo, node_client):
    assert node_client(echo.url, "ping")[1:4] == ["pong ", "pong 00ff0a", "pong " + "70" * 125]


def test_ws_close_codes(echo, node_client):
    assert node_client(echo.url, "close")[-1] == "closed 4321 "
    echo.stderr.expect("closed by peer, .*, code 4321 bye für now$")
    assert node_client(echo.url, "close-empty")[-1] == "closed 1005 "
    echo.stderr.expect("closed by peer, .*, code 1005 $")
    assert node_client(echo.url, "too-big")[-1].startswith("closed 1009 ")
    echo.stderr.expect("closed by .*, code 1009 ")
    node_client(echo.url, "terminate")
    echo.stderr.expect("closed by peer, .*, code 1006 ")


def test_ws_is_closed_with_1001_when_the_server_ends(echo, peer_program):
    client = peer_program("ws", "client", echo.url, "closed-by-server")
    client.stdout.expect("^open$")
    echo.end()
    client.stdout.expect("^closed 1001 ")
    assert client.wait() == 0


def test_ws_subprotocol_is_not_invented(echo, node_client):
    # It gives up by itself when it has offered subprotocols and got none.
    assert node_client(echo.url, "subprotocol")[0] == "error Server sent no subprotocol"


def test_ws_refusal(serve, node_client):
    echo = serve("echo_server", "--path", "/ws")
    assert node_client(echo.url + "/other", "echo")[0] == "error Unexpected server response: 404"


# ws_cat as the client of websockets and of ws.


def cat(run, url, *args, stdin=b""):
    """Runs ws_cat to its end: exit status, lines of stdout, stderr as text."""
    program = run("ws_cat", url, *args, stdin=subprocess.PIPE)
    program.process.stdin.write(stdin)
    program.process.stdin.close()
    return program.wait(LONG), program.stdout.rest(), "\n".join(program.stderr.rest())


def test_cat_once(run, peer):
    assert cat(run, peer.url + "/echo", "--once", "Grüße, 😀") == (0, ["Grüße, 😀"], "")
    peer.stdout.expect("^closed 1000 $")


def test_cat_sends_lines_and_prints_the_answers(run, peer):
    lines = ["first", "", "zweite Zeile", "x" * 70000, "last, without a newline"]
    assert cat(run, peer.url + "/echo", stdin="\n".join(lines).encode()) == (0, lines, "")
    peer.stdout.expect("^closed 1000 $")


def test_cat_sends_much(run, peer):
    lines = [f"{i} " + "x" * 1000 for i in range(20000)]
    status, printed, errors = cat(run, peer.url + "/echo", stdin="\n".join(lines).encode())
    assert (status, errors) == (0, "")
    assert printed == lines


def test_cat_prints_binary_as_hex(run, peer):
    assert cat(run, peer.url + "/binary", "--once", "") == (0, ["0001feff"], "")


def test_cat_joins_fragments(run, peer):
    assert cat(run, peer.url + "/fragments", "--once", "") == (0, ["one zwölf three"], "")


def test_cat_answers_a_ping(run, peer):
    assert cat(run, peer.url + "/ping", "--once", "") == (0, ["pong are you there"], "")


def test_cat_takes_a_large_message(run, peer):
    assert cat(run, peer.url + "/big", "--once", "") == (0, ["x" * 2**20], "")


def test_cat_sends_headers(run, peer):
    args = ["--header", "X-Test: one, two", "--header", "Cookie: a=b"]
    assert cat(run, peer.url + "/headers", "--once", "", *args) == (0, ["one, two", "a=b"], "")


@pytest.mark.parametrize("offered, agreed", [("first,second", "second"), ("third", "None"), (None, "None")])
def test_cat_subprotocol(run, peer, offered, agreed):
    args = ["--subprotocol", offered] if offered else []
    assert cat(run, peer.url + "/subprotocol", "--once", "", *args) == (0, [agreed], "")


@pytest.mark.parametrize("code", CODES)
def test_cat_is_closed_with_a_code(run, peer, code):
    status, printed, errors = cat(run, f"{peer.url}/close?{code}&gr%C3%BCnde", "--once", "")
    assert (status, printed, errors) == (0, [], f"ws_cat: closed by the server, code {code} gründe")
    peer.stdout.expect(f"^closed {code} $")


def test_cat_is_closed_without_a_code(run, peer):
    status, printed, errors = cat(run, f"{peer.url}/close", "--once", "")
    assert (status, printed, errors) == (0, [], "ws_cat: closed by the server, code 1005 ")
    peer.stdout.expect("^closed 1005 $")


def test_cat_whose_server_goes_away(run, peer):
    status, printed, errors = cat(run, peer.url + "/drop")
    assert (status, printed) == (2, [])
    assert errors.startswith("ws_cat: websocket: ")
    assert len(errors) > len("ws_cat: websocket: ")


def test_cat_that_is_refused(run, peer):
    status, printed, errors = cat(run, peer.url + "/refuse", "--once", "x")
    assert (status, printed) == (1, [])
    assert errors.startswith("ws_cat: http: ")
    assert "403" in errors
