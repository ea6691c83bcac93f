"""Writes what was measured into docs: between markers of a page, and as plots."""
from . import table
from .tools import ROOT


def write_performance(data, sections):
    text = "\n".join(table.markdown(section) for section in sections)
    replace("performance.md", "measured", f"{data['conditions']}\n\n{text}")


def replace(page, marker, text):
    """Puts text between `<!-- marker: ... -->` and `<!-- end of marker -->`."""
    path = ROOT / "docs" / page
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {marker}:")
    line, _, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- end of {marker} -->")
    if not begin or not end:
        raise SystemExit(f"docs/{page} has no place for what was measured: {marker}")
    path.write_text(f"{before}{begin}{line}\n{text.rstrip()}\n{end}{after}", encoding="utf-8")
