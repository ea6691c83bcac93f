"""What is measured: the rows of the tables, and the goal of each."""
import collections

# args: of the load generator, wsload. goal: the ratio of libws to the base that is to be reached; None: shown, not judged.
# variant: how the server is started, see servers.py. kind: which programs run in the row, see compare.
Row = collections.namedtuple("Row", "what conns args goal variant kind", defaults=["", "server"])
# size: bytes of a message; depth: messages in flight.
ClientRow = collections.namedtuple("ClientRow", "what size depth goal kind", defaults=[None, "client"])

MIB = 1024 * 1024
LARGEST_MESSAGE = 16 * MIB

SMALL = ["-s", "20", "--text"]
DEEP = ["-s", "20", "-p", "16", "--text"]
MIDDLING = ["-s", "512"]
LARGE = ["-s", "65536"]

ROWS = {
    "a": Row("1 connection, 20 B text", 1, SMALL, 1.03),
    "b": Row("100 connections, 20 B text", 100, SMALL, 1.02),
    "c": Row("100 connections, 20 B text, 16 in flight", 100, DEEP, 1.03),
    "d": Row("1000 connections, 512 B", 1000, MIDDLING, 1.02),
    "e": Row("10 connections, 64 KiB", 10, LARGE, 0.95),
    "e1m": Row("10 connections, 1 MiB", 10, ["-s", str(MIB)], 1.08),
    "e1mp": Row("the same, in pieces", 10, ["-s", str(MIB)], 1.02, "pieces"),
    "f": Row("1 connection, 16 MiB", 1, ["-s", str(LARGEST_MESSAGE)], 1.12),
    "fp": Row("the same, in pieces", 1, ["-s", str(LARGEST_MESSAGE)], 1.02, "pieces"),
    "g": Row("connect, upgrade, drop; 32 at a time", 32, ["--connrate", "--src", "8"], 1.03),
    "d2": Row("two threads in place of one, as d", 1000, MIDDLING, 1.10, kind="threads"),
    "ca": ClientRow("a client, 20 B", 20, 1),
    "cc": ClientRow("a client, 20 B, 16 in flight", 20, 16),
    "ce": ClientRow("a client, 64 KiB", 65536, 1),
    "ub": Row("as b", 100, SMALL, None, kind="uring"),
    "uc": Row("as c", 100, DEEP, None, kind="uring"),
    "ud": Row("as d", 1000, MIDDLING, None, kind="uring"),
    "ue": Row("as e", 10, LARGE, None, kind="uring"),
    "u10k": Row("10,000 connections, 20 B", 10000, SMALL + ["--src", "4"], None, kind="uring"),
}

# Measured once, not in rounds: they do not depend on what else the machine does.
CALLS_GOAL = 6.3
IDLE_GOAL = AFTER_GOAL = 128
PSS_GOAL_KB = 250
ONCE = {
    "calls": "system calls for each connection of row g",
    "h": "memory: idle connections, after a large message on each, without any",
    "i": "user instructions for each message (benches/instructions)",
}
