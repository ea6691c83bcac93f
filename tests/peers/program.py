"""A program under test: started, listened to, measured in /proc, and ended.

Every wait has a deadline and ends at the event, not after a time.
"""

import ctypes
import functools
import os
import re
import resource
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path

# Seconds for what comes at once on a machine that has nothing else to do. Less than the 40 s (ping_interval_ms + pong_timeout_ms)
# after which libws by itself ends a connection that has gone unnoticed.
DEADLINE = 30.0
# For what is much work, in an emulator that shares its machine, say. Less than faulthandler_timeout of pytest.ini.
LONG = 240.0

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def eventually(condition, deadline=DEADLINE, what="the condition"):
    """Asks until condition() is true. For what can only be asked, such as /proc. Returns what it returned."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {deadline} s"
        time.sleep(0.02)


class Late(AssertionError):
    """Something has taken longer than it may."""


def in_time(took, bound, what):
    """Of a test that is `timed`: so many seconds are less than the bound."""
    if took >= bound:
        raise Late(f"{what}: {took:.2f} s, the bound is {bound:.2f} s")


def timed(test):
    """For a test that calls in_time(). A machine that stands still for a moment delays what is measured then, so what was late
    is measured anew; late three times is a failure. Nothing else that goes wrong is tried again."""

    @functools.wraps(test)
    def measure(*args, **fixtures):
        for _ in range(2):
            try:
                return test(*args, **fixtures)
            except Late as late:
                warnings.warn(f"measured anew: {late}", stacklevel=1)
        return test(*args, **fixtures)

    return measure


def settled(value, unchanged=2.0):
    """Waits until value() has been the same for so many seconds, but not for ever, and returns it. Spare memory is given back
    after one."""
    end = time.monotonic() + DEADLINE
    last, since = value(), time.monotonic()
    while time.monotonic() - since < unchanged and time.monotonic() < end:
        time.sleep(0.05)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last


class Lines:
    """The lines of a pipe, read by a thread so that the program never blocks on it."""

    def __init__(self, pipe):
        self._lines = []
        self._taken = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe):
        with pipe:
            for line in pipe:
                with self._changed:
                    self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def all(self):
        with self._changed:
            return list(self._lines)

    def rest(self, deadline=DEADLINE):
        """All lines, once the pipe has been closed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, deadline), "the pipe stays open"
            return list(self._lines)

    def expect(self, pattern, deadline=DEADLINE):
        """The match of the next line that has one. Lines before it are passed over."""
        end = time.monotonic() + deadline
        with self._changed:
            while True:
                while self._taken < len(self._lines):
                    match = re.search(pattern, self._lines[self._taken])
                    self._taken += 1
                    if match:
                        return match
                left = end - time.monotonic()
                shown = "\n".join(self._lines[-20:])
                assert not self._ended, f"no {pattern!r} before the end of:\n{shown}"
                assert left > 0, f"no {pattern!r} within {deadline} s in:\n{shown}"
                self._changed.wait(left)


class Program:
    """A running program. limits: {resource.RLIMIT_...: (soft, hard)}."""

    def __init__(self, command, limits=None, stdin=subprocess.DEVNULL):
        def prepare():
            # Not even a test run that is killed leaves programs behind.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for name, value in (limits or {}).items():
                resource.setrlimit(name, value)

        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare
        )
        self.pid = self.process.pid
        self.stdout = Lines(self.process.stdout)
        self.stderr = Lines(self.process.stderr)
        self.url = None

    def listening(self):
        """Waits for the line that says where the program listens."""
        self.url = self.stdout.expect(r"^(?:listening on|open) (\S+?)/?$").group(1)
        return self

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def ws_url(self):
        """The address for a WebSocket; the dashboard names that of its page."""
        return re.sub(r"^http", "ws", self.url)

    def interrupt(self, number):
        self.process.send_signal(number)

    def wait(self, deadline=DEADLINE):
        """The exit status; a program that goes on is killed."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command} has not ended within {deadline} s") from None

    def end(self, number=signal.SIGTERM, expect=0):
        """Ends the program by a signal; it must exit with the status expected. Harmless when it has been ended."""
        if self.process.returncode is not None:
            return
        assert self.process.poll() is None, f"died: {self.command} {self.process.returncode}\n{self._said()}"
        self.interrupt(number)
        status = self.wait()
        assert status == expect, f"{self.command}: exit status {status} after signal {number}\n{self._said()}"
        assert "panic" not in self._said()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _said(self):
        return "\n".join(self.stderr.all()[-20:])

    # What /proc says.

    def _status(self, name):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) * 1024

    def rss(self):
        """Bytes resident now, counted page by page: the VmRSS of `status` is off by up to 128 KiB for each core."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1)) * 1024

    def peak_rss(self):
        """Bytes resident at most so far."""
        return self._status("VmHWM")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        """Processor time used so far, of user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
