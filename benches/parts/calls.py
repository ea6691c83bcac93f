"""System calls of a server for each connection, counted by strace."""
import os
import shutil
import signal
import subprocess
import tempfile

from . import machine
from .runs import generate
from .servers import Failed


def have_strace():
    return shutil.which("strace") is not None


def calls_run(server, row, load, secs):
    """Returns {call: how often for each connection}, those of the start left out."""
    with tempfile.TemporaryDirectory() as folder:
        counts = []
        opened = 0
        for busy in (False, True):
            out = os.path.join(folder, str(busy))
            with server.serving(before=["strace", "-f", "-c", "-o", out]) as (process, port):
                if busy:
                    opened = generate(row, load, secs, port, process)["opened"]
                end(process)
            counts.append(read(out))
        if opened == 0:
            raise Failed("nothing was opened under strace")
        idle, loaded = counts
        return {name: (count - idle.get(name, 0)) / opened for name, count in loaded.items()
                if count > idle.get(name, 0)}


def end(process):
    """Ends the server under strace, which then writes its table."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children, encoding="ascii") as pids:
        for pid in pids.read().split():
            os.kill(int(pid), signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        raise Failed("strace did not end") from None


def read(out):
    counts = {}
    with open(out, encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            # % time, seconds, usecs/call, calls, [errors,] syscall
            if len(words) in (5, 6) and words[3].isdigit() and words[-1] != "total":
                counts[words[-1]] = int(words[3])
    return counts
