"""Plots as SVG: bars and lines on a logarithmic axis, with nothing but text formatting."""
import math
from xml.sax.saxutils import escape

COLOURS = ["#1f6f8b", "#e08e45", "#7a9e4f", "#9b5b8f", "#888888"]
WIDTH = 860
LEFT, RIGHT, TOP = 290, 70, 64
BAR, GAP = 13, 12
FONT = 'font-family="sans-serif" font-size="12"'


def bars(title, groups, series, unit, least, most, line=None):
    """groups: [(label, {series: value})]; values outside least to most are cut there. line: (value, label) to mark."""
    def x(value):
        share = math.log(min(max(value, least), most) / least) / math.log(most / least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    out, y = [], TOP
    for label, values in groups:
        drawn = [name for name in series if values.get(name) is not None]
        middle = y + len(drawn) * BAR / 2 + 4
        out.append(text(LEFT - 10, middle, label, "end"))
        for name in drawn:
            value, colour = values[name], COLOURS[series.index(name) % len(COLOURS)]
            out.append(f'<rect x="{LEFT}" y="{y}" width="{x(value) - LEFT:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            out.append(text(x(value) + 4, y + BAR - 3, short(value) + unit, size=10))
            y += BAR
        y += GAP
    ticks = [tick for power in range(-2, 9) for tick in (10 ** power, 2 * 10 ** power, 5 * 10 ** power)
             if least <= tick <= most and (most / least < 1000 or math.log10(tick).is_integer())]
    grid = [f'<line x1="{x(tick):.1f}" y1="{TOP - 6}" x2="{x(tick):.1f}" y2="{y - GAP + 4}" stroke="#dddddd"/>'
            + text(x(tick), y + 8, short(tick), "middle", 10) for tick in ticks]
    if line:
        out.append(f'<line x1="{x(line[0]):.1f}" y1="{TOP - 6}" x2="{x(line[0]):.1f}" y2="{y - GAP + 4}" '
                   f'stroke="#333333" stroke-dasharray="4 3"/>' + text(x(line[0]), y + 22, line[1], "middle", 10))
    return page(title, grid + legend(series) + out, y + 34)


def lines(title, series, x_label, y_label):
    """series: {name: [(x, y)]}; the x axis is logarithmic, the y axis begins at 0."""
    height, left = 380, 70
    points = [point for line in series.values() for point in line]
    low, high = min(p[0] for p in points), max(p[0] for p in points)
    top = max(p[1] for p in points) * 1.15

    def x(value):
        return left + math.log(value / low) / math.log(high / low or 2) * (WIDTH - left - RIGHT)

    def y(value):
        return height - 50 - value / top * (height - 50 - TOP)

    out = [text(left - 50, TOP - 14, y_label, size=10), text(WIDTH / 2, height - 10, x_label, "middle", 10)]
    for step in range(5):
        value = top * step / 4
        out.append(f'<line x1="{left}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}" stroke="#dddddd"/>'
                   + text(left - 6, y(value) + 4, f"{value:.1f}", "end", 10))
    for value in sorted({p[0] for p in points}):
        out.append(text(x(value), height - 32, f"{value:,}", "middle", 10))
    for colour, line in zip(COLOURS, series.values()):
        way = " ".join(f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in line)
        out.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x(p[0]):.1f}" cy="{y(p[1]):.1f}" r="3" fill="{colour}"/>' for p in line]
    return page(title, legend(list(series)) + out, height)


def legend(series):
    out, x = [], LEFT
    for index, name in enumerate(series):
        out.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(text(x + 16, 44, name))
        x += 30 + 7 * len(name)
    return out


def page(title, parts, height):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" {FONT}>\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
            + text(16, 22, title, size=14) + "\n" + "\n".join(parts) + "\n</svg>\n")


def text(x, y, words, anchor="start", size=12):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def short(value):
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1000:
        return f"{value / 1e3:.3g}k"
    return f"{value:.3g}"
