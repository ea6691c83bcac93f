"""The servers that are measured: how each is started, and where it listens."""
import contextlib
import os
import select
import socket
import subprocess
import time

from . import machine
from .rows import LARGEST_MESSAGE

# For a server to start, and for a generator beyond the time it measures. Generous: only a fault takes that long.
PATIENCE = 30
NEXT_PORT = iter(range(20000 + os.getpid() % 64 * 128, 32000))


class Failed(Exception):
    """A run that gave no figures."""


class Server:
    """command: a list in which {port} stands for the port; None for a server that picks its own and prints it."""

    def __init__(self, name, command, variants=None, announces=False):
        self.name = name
        self.command = command
        # Other commands for other variants of a row. A server without the variant is left out of the row.
        self.variants = variants or {}
        self.announces = announces

    def fits(self, row):
        return row.variant == "" or row.variant in self.variants

    @contextlib.contextmanager
    def serving(self, variant="", cpu=machine.SERVER_CPU, before=()):
        """A running server and its port. It is ended on every way out, and by the kernel if this process is killed.

        before: a command that the server's command is handed to, such as strace.
        """
        port = 0 if self.announces else free_port()
        command = [word.replace("{port}", str(port)) for word in self.variants.get(variant, self.command)]
        process = subprocess.Popen(machine.on_cpu(cpu, list(before) + command), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE if self.announces else subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, text=True, preexec_fn=machine.die_with_parent)
        try:
            if self.announces:
                port = announced_port(process)
            else:
                wait_for_port(process, port)
            yield process, port
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def echo_server(name, program):
    """An echo_server of ours, perhaps from another build."""
    options = ["--quiet", "--port", "0", "--max-message", str(LARGEST_MESSAGE)]
    variants = {"two threads": [program, "--threads", "2"] + options}
    # That of an older build may not know the option.
    if "--pieces" in help_of(program):
        variants["pieces"] = [program, "--pieces"] + options
    return Server(name, [program] + options, variants, announces=True)


def help_of(program):
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


def floor(program):
    # The floor passes on what it has read, in pieces: it is the floor of the rows with pieces also.
    command = [program, "-a", "127.0.0.1", "-P", "{port}"]
    return Server("floor", command, {"pieces": command})


def uring_floors(program):
    """With small buffers, and with large ones: neither is good at everything."""
    return [Server(f"io_uring {size // 1024}K", [program, "-P", "{port}", "-b", str(size), "-n", str(number)])
            for size, number in ((4096, 4096), (65536, 256))]


def peer(name, program):
    return Server(name, [program, "{port}"])


def announced_port(process):
    """From the line `listening on ws://HOST:PORT`."""
    ready = select.select([process.stdout], [], [], PATIENCE)[0]
    line = process.stdout.readline().strip() if ready else ""
    port = line.rpartition(":")[2]
    if not line.startswith("listening on ws://") or not port.isdigit():
        raise Failed(f"the server did not start, it said {line!r}")
    return int(port)


def free_port():
    """Not one of those that the kernel gives to clients: the generator would have taken it before the server does."""
    for port in NEXT_PORT:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no port is free")


def wait_for_port(process, port):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"the server did not start, status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Failed("the server does not answer")
