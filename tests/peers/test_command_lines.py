"""Command lines and signals: each example explains itself, refuses what is wrong, and ends cleanly."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from program import DEADLINE

SERVERS = ["echo_server", "chat", "dashboard", "own_epoll", "reactor_echo", "stream_upload"]
CLIENTS = ["ws_cat", "autobahn_client", "cloud_client"]
OTHERS = ["hello_server", "pipe_pair", "tls_server"]


def test_no_example_is_left_out():
    sources = Path(__file__).parents[2] / "c_examples"
    assert sorted(SERVERS + CLIENTS + OTHERS) == sorted(source.stem for source in sources.glob("*.c"))


@pytest.mark.parametrize("name", [*SERVERS, *CLIENTS, "pipe_pair", "tls_server"])
def test_help(run, name):
    program = run(name, "--help")
    assert program.wait() == 0
    text = "\n".join(program.stdout.rest())
    assert text.startswith(f"usage: {name}")
    assert "Exit status:" in text
    assert program.stderr.rest() == []


@pytest.mark.parametrize("name", SERVERS + CLIENTS)
def test_every_option_is_in_the_help(run, name):
    """The names in the help are those that the program takes: each is known to getopt."""
    program = run(name, "--help")
    program.wait()
    options = {line.split()[0] for line in program.stdout.rest() if line.startswith("  --")}
    assert len(options) > 1
    for option in options:
        # Twice the help, so that the program ends: at once after an option that takes a value or takes none.
        program = run(name, option, "--help", "--help")
        program.wait()
        assert not any("unrecognized" in line for line in program.stderr.rest()), option


WRONG = [(name, ["--no-such-option"]) for name in SERVERS + CLIENTS]
WRONG += [(name, ["--port", port]) for name in SERVERS for port in ("65536", "-1", "http", "", "99999999999999999999")]
WRONG += [(name, ["--port"]) for name in SERVERS]
WRONG += [(name, ["surplus"]) for name in SERVERS]
WRONG += [(name, ["--host", "no.such.host.invalid", "--port", "0"]) for name in SERVERS]
WRONG += [(name, []) for name in CLIENTS]
WRONG += [(name, ["ws://127.0.0.1:1", "surplus"]) for name in CLIENTS]
WRONG += [(name, ["http://127.0.0.1:1"]) for name in CLIENTS]
WRONG += [
    ("echo_server", ["--threads", "0"]),
    ("echo_server", ["--threads", "65"]),
    ("echo_server", ["--max-message", "0"]),
    ("echo_server", ["--handshake-timeout", "x"]),
    ("echo_server", ["--path", "no-slash", "--port", "0"]),
    ("stream_upload", ["--dir", "/no/such/directory", "--port", "0"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--timeout", "0"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--redirects", "many"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--proxy", "ftp://127.0.0.1"]),
    ("cloud_client", ["ws://127.0.0.1:1", "--policy", "all"]),
    ("cloud_client", ["ws://127.0.0.1:1", "--queue", "0"]),
    ("cloud_client", ["ws://127.0.0.1:1", "--token", "a b"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--header", "X: a\r\nInjected: b"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--header", "no colon"]),
    ("ws_cat", ["ws://127.0.0.1:1", "--subprotocol", "with space"]),
    ("hello_server", ["ftp://127.0.0.1"]),
    ("reactor_echo", ["--max-message", "0"]),
]


@pytest.mark.parametrize("name, args", WRONG, ids=[f"{name} {' '.join(args)!a}" for name, args in WRONG])
def test_wrong_command_line(run, name, args):
    program = run(name, *args)
    assert program.wait() == 1
    assert program.stdout.rest() == []
    errors = program.stderr.rest()
    assert errors and any(name in line for line in errors), errors


@pytest.mark.parametrize("name", SERVERS)
def test_port_in_use(run, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = run(name, "--port", taken.getsockname()[1])
        assert program.wait() == 1
        assert program.stdout.rest() == []
        assert "Address already in use" in "\n".join(program.stderr.rest())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", SERVERS)
def test_signal_ends_a_server(serve, name, number):
    program = serve(name)
    path = {"chat": "/chat", "dashboard": "/live"}.get(name, "/")
    with connect(program.ws_url + path, proxy=None) as ws:
        program.end(number)
        for _ in ws:
            pass
        assert ws.close_code == 1001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_ws_cat(run, echo, number):
    program = run("ws_cat", echo.url, stdin=subprocess.PIPE)
    program.process.stdin.write(b"hello\n")
    program.process.stdin.flush()
    program.stdout.expect("^hello$")
    program.interrupt(number)
    assert program.wait() == 0
    echo.stderr.expect("closed by peer, .*, code 1001 ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_ws_cat_while_it_connects(run, number):
    """Its help: exit status 0 after Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE)
        program = run("ws_cat", f"ws://127.0.0.1:{silent.getsockname()[1]}", "--once", "x")
        peer, _ = silent.accept()
        with peer:
            peer.settimeout(DEADLINE)
            assert peer.recv(4096)  # the request: it runs its loop
            program.interrupt(number)
            assert program.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_autobahn_client(run, echo, number):
    program = run("autobahn_client", echo.url)  # waits for a case count
    echo.stderr.expect("open")
    program.interrupt(number)
    assert program.wait() == 0
