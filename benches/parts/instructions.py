"""What benches/instructions counts, for the tables."""
import subprocess
import sys

from .tools import ROOT, say

GOALS = {"b": 300, "c": 180, "d": 700}


def instructions():
    """Returns {case: user instructions for each message}; nothing where they cannot be counted."""
    done = subprocess.run([sys.executable, ROOT / "benches/instructions"], capture_output=True, text=True)
    figures = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1].replace(".", "", 1).isdigit():
            figures[words[0]] = float(words[1])
    if not figures:
        say(f"instructions are left out: {(done.stdout or done.stderr).strip()}")
    return figures
