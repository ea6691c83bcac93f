"""Many connections that stay open while something else is measured."""
import contextlib
import os
import subprocess
import time

from . import machine
from .servers import Failed

OPENING = 120


@contextlib.contextmanager
def holding(load, port, conns, pids, cpu=machine.LOAD_CPU, holders=1, patience=OPENING):
    """Holds conns idle connections to a port by each of the holders; pids: of the servers behind it. They are to be open within
    `patience` seconds.

    Each holder goes to an address of its own, and from a few: else the kernel has to search for a free pair of ports.
    """
    before = sockets_of(pids)
    command = [load, "-P", str(port), "-c", str(conns), "--idle", "--src", "4", "-w", "0", "-t", "100000",
               "--conn-timeout", str(OPENING)]
    with contextlib.ExitStack() as stack:
        processes = []
        for number in range(holders):
            host = ["-H", f"127.0.1.{number + 1}"] if holders > 1 else []
            process = subprocess.Popen(machine.on_cpu(cpu, command + host), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       preexec_fn=machine.die_with_parent)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        wait_for(pids, before + holders * conns, processes, patience)
        yield
    # What the servers do about connections that end is not part of what follows.
    deadline = time.monotonic() + OPENING
    while sockets_of(pids) > before and time.monotonic() < deadline:
        time.sleep(0.1)


def sockets_of(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def wait_for(pids, wanted, holders, patience):
    deadline = time.monotonic() + patience
    while sockets_of(pids) < wanted:
        for holder in holders:
            if holder.poll() is not None:
                raise Failed(f"a holder of connections ended with status {holder.returncode}")
        if time.monotonic() > deadline:
            raise Failed(f"only {sockets_of(pids):,} of {wanted:,} sockets were open after {patience:.0f} s")
        # Looking costs as much as there are sockets.
        time.sleep(0.05 + wanted / 200000)
    # The last ones are in their handshake.
    time.sleep(0.3)


def wakeups_of(pid):
    """How often the threads of a process have slept until something woke them."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
            total += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt"))
    return total
