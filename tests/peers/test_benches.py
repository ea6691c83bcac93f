"""The tools of benches/: what they make of figures. That they measure is seen by `make bench` only, which takes its time."""
import subprocess
import sys
from pathlib import Path
from xml.dom import minidom

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))

from parts import docs, report, table  # noqa: E402
from parts.calls import read  # noqa: E402
from parts.memory import masked_frame  # noqa: E402

RUNS = {"floor": [{"us": 2.0, "p50_us": 20, "p99_us": 40}, None, {"us": 1.0, "p50_us": 20, "p99_us": 40}],
        "libws": [{"us": 3.0, "p50_us": 20, "p99_us": 40}, {"us": 9.0, "p50_us": 20, "p99_us": 40},
                  {"us": 1.1, "p50_us": 20, "p99_us": 40}],
        "lws": [None, None, None]}
MEMORY = {"floor": {"conns": 10, "idle": 80.0, "after": 90.0, "pss_kb": 150},
          "libws": {"conns": 10, "idle": 100.0, "after": 200.0, "pss_kb": 240}}
CALLS = {"floor": {"sendto": 1.0}, "libws": {"sendto": 1.0, "recvfrom": 6.0}}
SCALE = {"counts": {"100": {name: [{"all": 1.0, "some": 1.0, "open": 20.0, "bytes": 90.0}] for name in ("libws", "floor")},
                    "5000": {name: [{"all": 1.2, "some": 1.1, "open": 20.0, "bytes": 90.0}] for name in ("libws", "floor")}},
         "processes": [{"processes": 1, "held": 14000, "bytes": 90.0, "kernel_bytes": 9000.0, "open_us": 20.0, "us": 7.0,
                        "wakeups_per_s": 0.0}],
         "broadcast": {"100 x 20 B": [(1.0, 1.0), (1.3, 1.0), (1.1, 1.0)]}}


def measured():
    return {"rows": {"a": RUNS, "c": RUNS}, "conditions": "Here.",
            "once": {"memory": MEMORY, "calls": CALLS, "instructions": {"b": 301.0, "ping": 400.0}}}


def test_a_ratio_is_of_one_round():
    ours = table.ratios(RUNS["libws"], RUNS["floor"])
    assert ours == pytest.approx([1.5, 1.1])
    assert table.ratios(RUNS["lws"], RUNS["floor"]) == []


def test_goals_are_marked():
    page = "\n".join(table.markdown(section) for section in report.sections(measured()))
    row_a = next(line for line in page.splitlines() if line.startswith("| a "))
    assert "1.30 (1.10-1.50)" in row_a and row_a.endswith("| <= 1.03 | missed |")
    assert "| 100 B ok | 200 B missed | 240 kB ok |" in page
    assert "7.00 | <= 6.3 | missed |" in page
    assert "| b | 301 | <= 300 | missed |" in page


def test_scale_tells_how_flat_it_is():
    page = "\n".join(table.markdown(section) for section in report.scale_sections(SCALE))
    assert "all busy: 20%, as a ratio to the floor 0%" in page
    assert "| 100 x 20 B | 1.10 | 1.00 | 1.10 | <= 1.20 | ok |" in page


def test_plots_are_well_formed():
    for svg in (docs.cpu_plot(measured()["rows"]), docs.memory_plot(MEMORY), docs.scale_plot(SCALE["counts"])):
        assert minidom.parseString(svg).documentElement.tagName == "svg"
        assert "nan" not in svg


@pytest.mark.parametrize("page", ["performance.md", "scale.md"])
def test_pages_have_a_place_for_what_is_measured(page, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / page
    path.write_text((ROOT / "docs" / page).read_text())
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    docs.replace(page, "measured", "FIRST\n")
    docs.replace(page, "measured", "SECOND\n")
    text = path.read_text()
    assert text.count("SECOND") == 1 and "FIRST" not in text
    with pytest.raises(SystemExit):
        docs.replace(page, "elsewhere", "")


def test_straces_table_is_read(tmp_path):
    out = tmp_path / "counts"
    out.write_text("% time     seconds  usecs/call     calls    errors syscall\n------ ---\n"
                   " 50.00    0.000100           1       100           recvfrom\n"
                   " 50.00    0.000100           1        90        10 accept4\n"
                   "100.00    0.000200           1       190        10 total\n")
    assert read(out) == {"recvfrom": 100, "accept4": 90}


def test_a_masked_frame():
    frame = masked_frame(20)
    assert frame[:6] == bytes.fromhex("829437fa213d")
    assert bytes(byte ^ frame[2 + i % 4] for i, byte in enumerate(frame[6:])) == b"m" * 20


@pytest.mark.parametrize("tool", ["compare", "scale", "instructions"])
def test_help(tool):
    done = subprocess.run([sys.executable, ROOT / "benches" / tool, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout


def test_without_the_generator_nothing_is_measured_and_that_is_said(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "benches/scale", "--counts", "100"], capture_output=True, text=True,
                          env={"LIBWS_PERF": str(tmp_path), "PATH": "/usr/bin:/bin", "BUILD": str(tmp_path / "out")})
    assert done.returncode == 0
    assert "SKIPPED, nothing was measured" in done.stdout
