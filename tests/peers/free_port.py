"""A TCP port for a program that has to be told one: `free_port.py` prints it.

Nobody listens at it, and it is none of those that the kernel gives to whom asks for any, so that none of the programs
started meanwhile comes upon it. Nor does a client that looks for a server there end up connected to itself.
"""

import random
import socket
from pathlib import Path

FIRST = 10000


def free_port():
    given_to_any = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    end = max(given_to_any, FIRST + 1000)
    for port in random.sample(range(FIRST, end), end - FIRST):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
                return port
            except OSError:
                pass
    raise OSError(f"no port from {FIRST} to {end - 1} is free")


if __name__ == "__main__":
    print(free_port())
