"""The table: libws beside the floor and the goals."""
import statistics


def median(runs, key):
    values = [run[key] for run in runs if run]
    return statistics.median(values) if values else None


def ratios(runs, base, key="srv_us_msg"):
    """Of each round in which both have a figure: what other work does to the machine's speed hits both alike."""
    return [run[key] / floor[key] for run, floor in zip(runs, base) if run and floor and floor[key]]


def mark(value, goal):
    if value is None or goal is None:
        return ""
    return "ok" if value <= goal else "MISSED"


def print_ratios(rows, results, names):
    """results[row][server] is a list of runs, None where one failed."""
    peers = [name for name in names if name != "floor"]
    head = ["row", "", "floor us"] + [f"{name} / floor" for name in peers] + ["goal", ""]
    lines = [head]
    for key, row in rows.items():
        if row.kind != "ratio":
            continue
        floor = results[key].get("floor", [])
        us = median(floor, "srv_us_msg")
        cells = [key, row.what, f"{us:.3f}" if us else "-"]
        for name in peers:
            values = ratios(results[key].get(name, []), floor)
            cells.append(f"{statistics.median(values):.3f} ({min(values):.2f}-{max(values):.2f})" if values else "-")
        ours = ratios(results[key].get("libws", []), floor)
        goal = f"<= {row.goal:.2f}" if row.goal else ""
        lines.append(cells + [goal, mark(statistics.median(ours) if ours else None, row.goal)])
    print_columns(lines)


def print_columns(lines):
    if len(lines) < 2:
        return
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if column < 2 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def print_memory(rows, results, names):
    for key, row in rows.items():
        if row.kind != "memory":
            continue
        print(f"\n{key}  {row.what}: bytes of the server's resident memory for each; kB (PSS) before the first")
        for name in names:
            runs = results[key].get(name, [])
            each = median(runs, "rss_per_conn")
            if each is None:
                continue
            judged = f"goal <= {row.goal}: {mark(each, row.goal)}" if name == "libws" else ""
            print(f"   {name:12} {each:8.0f} B   {median(runs, 'pss0_kb'):6.0f} kB   {judged}".rstrip())
