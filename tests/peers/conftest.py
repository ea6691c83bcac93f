"""Fixtures that start the programs under test and their peers, and end them.

A program that `serve` has started must still run at the end of the test and exit with 0 on SIGTERM, else the test
fails.

LIBWS_PROGRAMS is the folder of the programs. If they are another machine's, LIBWS_TEST_RUNNER is the command that runs
them, such as `qemu-arm-static -L /usr/arm-linux-gnueabihf`; `-m "not measures"` then leaves out what would measure the
emulator.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from certs import Authority
from program import Program

HERE = Path(__file__).parent
PROGRAMS = Path(os.environ.get("LIBWS_PROGRAMS", HERE.parents[1] / "target/c_examples"))
NODE_MODULES = os.environ.get("LIBWS_NODE_MODULES", HERE.parents[1] / "target/node/node_modules")

RUNNER = os.environ.get("LIBWS_TEST_RUNNER", "").split()

MEASURED = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[MEASURED] = []
    os.environ["LIBWS_NODE_MODULES"] = str(NODE_MODULES)


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[MEASURED]:
        terminalreporter.section("measured")
        for line in config.stash[MEASURED]:
            terminalreporter.line(line)


@pytest.fixture
def measured(request):
    """Notes a figure for the summary."""
    return request.config.stash[MEASURED].append


def example(name):
    """The command that is an example."""
    found = PROGRAMS / name
    assert found.exists(), f"there is no {found}: run `make examples`"
    return [*RUNNER, found]


@pytest.fixture
def run():
    """Starts an example with these arguments, exactly. Kills it at the end if it still runs."""
    running = []

    def start(name, *args, **options):
        program = Program([*example(name), *args], **options)
        running.append(program)
        return program

    yield start
    for program in running:
        program.kill()


@pytest.fixture
def serve():
    """Starts an example that serves on a free port, and waits until it listens. It must end cleanly."""
    running = []

    def start(name, *args, port=0, **options):
        program = Program([*example(name), "--port", port, *args], **options)
        running.append(program)
        return program.listening()

    yield start
    try:
        for program in running:
            program.end(signal.SIGTERM)
    finally:
        for program in running:
            program.kill()


@pytest.fixture
def echo(serve):
    """An echo_server that tells what happens: `open` and `closed` lines in its stderr."""
    return serve("echo_server")


@pytest.fixture
def peer_program():
    """Starts peer.py ("websockets") or peer.mjs ("ws") with these arguments. Kills it at the end."""
    commands = {"websockets": [sys.executable, HERE / "peer.py"], "ws": ["node", HERE / "peer.mjs"]}
    running = []

    def start(name, *args):
        program = Program([*commands[name], *args])
        running.append(program)
        return program

    yield start
    for program in running:
        program.kill()


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    """An authority, in a folder of its own."""
    return Authority(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def certificate(ca):
    """A certificate for localhost and 127.0.0.1, signed by it."""
    return ca.issue("server")


@pytest.fixture(params=["websockets", "ws"])
def peer(request, peer_program):
    """A server built on another implementation: Python's websockets, npm's ws. See peer.py for what it serves."""
    return peer_program(request.param, "serve").listening()


@pytest.fixture
def node_client(peer_program):
    """Runs a case of peer.mjs, which is a client then, and returns the lines that it has printed."""

    def run_case(url, case):
        program = peer_program("ws", "client", url, case)
        status = program.wait()
        assert status == 0, program.stderr.rest()
        return program.stdout.rest()

    return run_case
