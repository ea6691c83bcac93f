"""Tables: libws beside the floor and the goals, as text and as Markdown."""
import collections
import statistics

# head: of the columns; lines: of cells, as text.
Section = collections.namedtuple("Section", "title head lines note", defaults=[""])


def median(runs, key="us"):
    values = [run[key] for run in runs if run]
    return statistics.median(values) if values else None


def ratios(runs, base):
    """Of each round in which both have a figure: what other work does to the machine's speed hits both alike."""
    return [run["us"] / other["us"] for run, other in zip(runs, base) if run and other and other["us"]]


def mark(value, goal):
    if value is None or goal is None:
        return ""
    return "ok" if value <= goal else "missed"


def ratio_section(title, rows, results, base, names, ours, note=""):
    """results[row][name] is a list of runs, None where one failed. ours: the column that the goals are for."""
    head = ["row", "", f"{base}, us"] + [f"{name} / {base}" for name in names] + ["goal", ""]
    lines = []
    for key, row in rows.items():
        bases = results[key].get(base, [])
        us = median(bases)
        cells = [key, row.what, f"{us:.3f}" if us else "-"]
        found = {name: ratios(results[key].get(name, []), bases) for name in names}
        for values in found.values():
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-")
        judged = found.get(ours)
        goal = f"<= {row.goal:.2f}" if row.goal else ""
        lines.append(cells + [goal, mark(statistics.median(judged) if judged else None, row.goal)])
    if not any(line[-2] for line in lines):
        head, lines = head[:-2], [line[:-2] for line in lines]
    return Section(title, head, lines, note)


def bytes_text(value):
    return f"{value:.0f} B" if value < 10000 else f"{value / 1000:.0f} kB"


def text(section):
    lines = [section.head] + section.lines
    widths = [max(len(line[column]) for line in lines) for column in range(len(section.head))]
    out = [section.title]
    for line in lines:
        cells = [cell.ljust(width) if column < 2 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(line, widths))]
        out.append("  ".join(cells).rstrip())
    if section.note:
        out.append(section.note)
    return "\n".join(out) + "\n"


def markdown(section):
    out = [f"**{section.title}**", "", "| " + " | ".join(section.head) + " |",
           "|" + "---|" * len(section.head)]
    out += ["| " + " | ".join(line) + " |" for line in section.lines]
    if section.note:
        out += ["", section.note]
    return "\n".join(out) + "\n"
