"""Turns what was measured into sections of tables."""
import os
import statistics

from . import machine
from .instructions import GOALS
from .rows import AFTER_GOAL, CALLS_GOAL, IDLE_GOAL, PSS_GOAL_KB, ROWS
from .table import Section, bytes_text, mark, median, ratio_section


def sections(data):
    results = data["rows"]
    found = []
    for kind, title, base, ours in (
            ("server", "Servers: CPU time for each message", "floor", "libws"),
            ("threads", "Two threads", "one thread", "two threads"),
            ("client", "Clients: CPU time for each message", "floor", "libws"),
            ("uring", "The floor with io_uring", "floor", None)):
        rows = {name: ROWS[name] for name in results if ROWS[name].kind == kind}
        if rows:
            names = list(dict.fromkeys(who for name in rows for who in results[name] if who != base))
            found.append(ratio_section(title, rows, results, base, names, ours))
    once = data["once"]
    if once.get("calls"):
        found.append(calls_section(once["calls"]))
    if once.get("memory"):
        found.append(memory_section(once["memory"]))
    if once.get("instructions"):
        found.append(instructions_section(once["instructions"]))
    if "a" in results:
        found.append(latency_section(results["a"]))
    return found


def calls_section(calls):
    lines = []
    for name, each in calls.items():
        if each:
            total = sum(each.values())
            goal = [f"<= {CALLS_GOAL}", mark(total, CALLS_GOAL)] if name == "libws" else ["", ""]
            most = sorted(each.items(), key=lambda item: -item[1])
            words = ", ".join(f"{call} {count:.2f}" for call, count in most if count >= 0.02)
            lines.append([name, words, f"{total:.2f}"] + goal)
    return Section("System calls for each connection of row g", ["server", "", "all", "goal", ""], lines)


def memory_section(memory):
    lines = []
    for name, run in memory.items():
        if run:
            ours = name == "libws"
            cells = [name, str(run["conns"])]
            for key, goal in (("idle", IDLE_GOAL), ("after", AFTER_GOAL)):
                cells.append(bytes_text(run[key]) + (f" {mark(run[key], goal)}" if ours else ""))
            cells.append(f"{run['pss_kb']} kB" + (f" {mark(run['pss_kb'], PSS_GOAL_KB)}" if ours else ""))
            lines.append(cells)
    lines.append(["goal", "", f"<= {IDLE_GOAL} B", f"<= {AFTER_GOAL} B", f"<= {PSS_GOAL_KB} kB"])
    head = ["server", "connections", "h: idle, each", "after 1 MiB on each", "PSS without any"]
    return Section("Memory of the server's process", head, lines)


def instructions_section(figures):
    lines = []
    for case, figure in figures.items():
        goal = GOALS.get(case)
        lines.append([case, f"{figure:.0f}", f"<= {goal}" if goal else "", mark(figure, goal)])
    return Section("User instructions of libws for each message", ["case", "counted", "goal", ""], lines)


def latency_section(runs):
    lines = [[name, f"{median(each, 'p50_us'):.0f}", f"{median(each, 'p99_us'):.0f}"]
             for name, each in runs.items() if any(each)]
    return Section("Round trip of row a, us", ["server", "p50", "p99"], lines)


def conditions(options, took, others):
    place = "server on CPU 0, generator on CPU 1" if machine.pinned() else "NOT pinned to CPUs"
    return (f"Ratios are those of the same round: median (least-greatest). {options.rounds} rounds of {options.secs:g} s, "
            f"{took:.0f} s in all; {place}; other work used {others.median():.1f} CPUs (at most {others.most():.1f}) of "
            f"{os.cpu_count()}.")


def scale_sections(data):
    return [counts_section(data["counts"]), processes_section(data["processes"], data.get("stopped")),
            broadcast_section(data["broadcast"])]


# Below that, what a server does once is more than what it does for each.
FEW = 1000
# How much dearer a message or a connection may be among many than among few.
FLAT_GOAL = 0.15


KEYS = {"all": "all busy", "some": "100 busy", "open": "opening"}


def counts_section(counts):
    head = ["connections", "server", "all busy: us a message", "100 busy: us a message", "us to open one", "bytes each"]
    lines = []
    for count, runs in counts.items():
        few = int(count) < FEW
        for name in sorted(runs, reverse=True):
            cells = [f"{median(runs[name], key):.2f}" if key != "open" or not few else "-" for key in KEYS]
            each = "-" if few else bytes_text(median(runs[name], "bytes"))
            lines.append([f"{int(count):,}", name] + cells + [each])
        cells = [f"{to_floor(runs, key):.2f}" if key != "open" or not few else "-" for key in KEYS]
        lines.append([f"{int(count):,}", "libws / floor"] + cells + [""])
    return Section("One process, 20 B messages", head, lines, flatness(counts))


def to_floor(runs, key):
    """The median of the rounds' ratios."""
    return statistics.median(ours[key] / floor[key] for ours, floor in zip(runs["libws"], runs["floor"]))


def flatness(counts):
    """How much dearer the dearest count is than the cheapest: of libws, of libws / floor, and of the floor, which is the kernel's part."""
    notes = []
    for key, what in KEYS.items():
        found = [runs for count, runs in counts.items() if key != "open" or int(count) >= FEW]
        if found:
            ours, ratio, floor = (growth(figures) for figures in (
                [median(runs["libws"], key) for runs in found], [to_floor(runs, key) for runs in found],
                [median(runs["floor"], key) for runs in found]))
            notes.append(f"{what}: {ours:.0%}, as a ratio to the floor {ratio:.0%} ({mark(ours, FLAT_GOAL)}, "
                         f"{mark(ratio, FLAT_GOAL)}; the floor itself {floor:.0%})")
    return (f"Flat: from the cheapest count to the dearest at most {FLAT_GOAL:.0%} is the goal, for libws and for libws / floor. "
            + "; ".join(notes) + ".")


def growth(figures):
    return max(figures) / min(figures) - 1


def processes_section(runs, stopped):
    """stopped: why there are not more of them."""
    head = ["processes", "connections", "bytes each", "of the kernel each", "us to open one", "us a message",
            "wake-ups a second, all"]
    lines = [[str(run["processes"]), f"{run['held']:,}", bytes_text(run["bytes"]), bytes_text(run["kernel_bytes"]),
              f"{run['open_us']:.1f}", f"{run['us']:.2f}", f"{run['wakeups_per_s']:.1f}"] for run in runs]
    return Section("Several processes behind one port, 100 busy connections", head, lines,
                   "Of the kernel each: what its slabs grow by, for both ends of a connection." + (f" {stopped}" if stopped else ""))


def broadcast_section(broadcast):
    lines = []
    for what, rounds in broadcast.items():
        ratio = statistics.median(ours / bare for ours, bare in rounds)
        lines.append([what, f"{statistics.median(ours for ours, _ in rounds):.2f}",
                      f"{statistics.median(bare for _, bare in rounds):.2f}", f"{ratio:.2f}", "<= 1.20",
                      mark(ratio, 1.20)])
    head = ["receivers", "libws, us each", "bare send, us each", "libws / bare", "goal", ""]
    return Section("Broadcast", head, lines)
