"""Writes what was measured into docs: between markers of a page, and as plots."""
import statistics

from . import plot, table
from .rows import ROWS
from .table import median, ratios
from .tools import ROOT

PLOTTED = ["libws", "fastws", "lws", "tungst"]


def write_performance(data, sections):
    text = "\n".join(table.markdown(section) for section in sections)
    replace("performance.md", "measured", f"{data['conditions']}\n\n{text}")
    draw("performance.svg", cpu_plot(data["rows"]))
    if data["once"].get("memory"):
        draw("memory.svg", memory_plot(data["once"]["memory"]))


def write_scale(data, sections):
    text = "\n".join(table.markdown(section) for section in sections)
    replace("scale.md", "measured", f"{data['conditions']}\n\n{text}")
    draw("scale.svg", scale_plot(data["counts"]))


def cpu_plot(results):
    groups = []
    for key, runs in results.items():
        if ROWS[key].kind == "server":
            found = {name: ratios(runs.get(name, []), runs["floor"]) for name in PLOTTED}
            groups.append((f"{ROWS[key].what} ({key})",
                           {name: statistics.median(values) for name, values in found.items() if values}))
    return plot.bars("CPU time of the server for each message, as a ratio to the bare epoll floor (less is better)",
                     groups, PLOTTED, "", 0.5, 50, (1, "floor"))


def memory_plot(memory):
    groups = [(what, {name: max(1, memory[name][key]) for name in PLOTTED if memory.get(name)})
              for key, what in (("idle", "idle"), ("after", "after one message of 1 MiB"))]
    return plot.bars("Memory of the server for each connection, bytes (less is better)", groups, PLOTTED, " B", 10,
                     20_000_000)


def scale_plot(counts):
    series = {}
    for key, what in (("all", "all busy"), ("some", "100 busy")):
        for name in ("libws", "floor"):
            series[f"{name}, {what}"] = [(int(count), median(runs[name], key)) for count, runs in counts.items()]
    return plot.lines("CPU time of the server for a message of 20 B as connections become more", series,
                      "open connections", "us")


def draw(name, svg):
    (ROOT / "docs" / name).write_text(svg, encoding="utf-8")


def replace(page, marker, text):
    """Puts text between `<!-- marker: ... -->` and `<!-- end of marker -->`."""
    path = ROOT / "docs" / page
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {marker}:")
    line, _, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- end of {marker} -->")
    if not begin or not end:
        raise SystemExit(f"docs/{page} has no place for what was measured: {marker}")
    path.write_text(f"{before}{begin}{line}\n{text.rstrip()}\n{end}{after}", encoding="utf-8")
