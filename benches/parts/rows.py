"""What is measured: the rows of the table, and the goal of each."""
import collections

# args: of the load generator. server: what the measured server needs beyond its usual arguments.
# goal: the ratio libws / floor that libws is to stay at or below; None: shown, not judged.
Row = collections.namedtuple("Row", "what conns args goal variant kind", defaults=["", "ratio"])

MIB = 1024 * 1024
LARGEST_MESSAGE = 16 * MIB

ROWS = {
    "a": Row("1 connection, 20 B text", 1, ["-s", "20", "--text"], 1.03),
    "b": Row("100 connections, 20 B text", 100, ["-s", "20", "--text"], 1.02),
    "c": Row("100 connections, 20 B text, 16 in flight", 100, ["-s", "20", "-p", "16", "--text"], 1.03),
    "d": Row("1000 connections, 512 B", 1000, ["-s", "512"], 1.02),
    "e": Row("10 connections, 64 KiB", 10, ["-s", "65536"], 0.95),
    "e1m": Row("10 connections, 1 MiB", 10, ["-s", str(MIB)], 1.08),
    "e1mp": Row("the same in pieces", 10, ["-s", str(MIB)], 1.02, "pieces"),
    "f": Row("1 connection, 16 MiB", 1, ["-s", str(LARGEST_MESSAGE)], 1.12),
    "fp": Row("the same in pieces", 1, ["-s", str(LARGEST_MESSAGE)], 1.02, "pieces"),
    "g": Row("connect, upgrade, drop; 32 at a time", 32, ["--connrate", "--src", "8"], 1.03),
    "h": Row("memory of an idle connection, 10,000 open", 10000, ["--idle", "--src", "4"], 128, "", "memory"),
}
