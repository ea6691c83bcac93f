#!/usr/bin/env python3
"""Runs wsload against echo_server and against the floor, in turns, and prints a table.

Each run has a fresh server on CPU 0 and the generator on CPU 1 (where there are two). In a round each case is run on
both servers, in random order, one right after the other: the ratio of such a pair is what the table is made of, since
other work on the machine slows both. It does not judge the figures; it fails when a run failed.

Called by benches/run. Python's standard library only.
"""
import argparse
import collections
import contextlib
import ctypes
import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

Case = collections.namedtuple("Case", "what conns args idle", defaults=[False])
CASES = {
    "a": Case("1 connection, 20 B text", 1, ["-s", "20", "--text"]),
    "b": Case("100 connections, 20 B text", 100, ["-s", "20", "--text"]),
    "c": Case("100 connections, 20 B text, 16 in flight", 100, ["-s", "20", "-p", "16", "--text"]),
    "d": Case("1000 connections, 512 B", 1000, ["-s", "512"]),
    "e": Case("10 connections, 64 KiB", 10, ["-s", "65536"]),
    "e1m": Case("10 connections, 1 MiB", 10, ["-s", "1048576"]),
    "f": Case("1 connection, 16 MiB", 1, ["-s", "16777216"]),
    "g": Case("connect, upgrade, drop; 32 at a time", 32, ["--connrate", "--src", "8"]),
    "h": Case("10,000 idle connections", 10000, ["--idle", "--src", "4"], True),
}
LARGEST_MESSAGE = 16 * 1024 * 1024
# For a server to start, and for a generator beyond the time it measures. Generous: only a fault takes that long.
PATIENCE = 30


class Failed(Exception):
    """A run that gave no figures."""


def main():
    options = read_options()
    # So that a signal runs the `finally` that ends the server.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    cases = fit_open_files({name: CASES[name] for name in options.cases})
    results = {name: {"echo": [], "floor": []} for name in cases}
    failures = []
    began = time.monotonic()
    for round_number in range(options.rounds):
        for name, case in cases.items():
            for server in random.sample(["echo", "floor"], 2):
                try:
                    result = run_once(options, server, case)
                except Failed as failure:
                    failures.append(f"{name}, {server}, round {round_number + 1}: {failure}")
                    result = None
                results[name][server].append(result)
            progress(round_number + 1, name)
    progress()
    print_table(cases, results)
    print_conditions(options, results, time.monotonic() - began)
    for failure in failures:
        print(f"bench: FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--echo", help="the program echo_server")
    parser.add_argument("--floor", help="the program tcpecho")
    parser.add_argument("--load", help="the program wsload")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=1, help="measured seconds of each run")
    parser.add_argument("--cases", default=",".join(CASES), help="such as b,c")
    options = parser.parse_args()
    if options.list:
        for name, case in CASES.items():
            print(f"{name:4} {case.what}")
        sys.exit(0)
    options.cases = options.cases.split(",")
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    if options.rounds < 1 or options.secs <= 0:
        parser.error("--rounds and --secs must be more than 0")
    for program in ("echo", "floor", "load"):
        path = getattr(options, program)
        if path is None or not os.access(path, os.X_OK):
            parser.error(f"--{program}: no such program: {path}")
        setattr(options, program, os.path.abspath(path))
    return options


def fit_open_files(cases):
    """Raises the limit of open files, which all inherit, and shrinks the cases that exceed it still."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return cases
    most = max(1, hard - 100)
    for name, case in cases.items():
        if case.conns > most:
            print(f"bench: {name} with {most} connections in place of {case.conns}: open files are limited to {hard}")
            cases[name] = case._replace(what=f"{case.what}: only {most}", conns=most)
    return cases


def run_once(options, server, case):
    """One fresh server, one run of the generator. Returns what the generator says of it."""
    with serving(options, server) as (process, port):
        command = [options.load, "-P", str(port), "-c", str(case.conns), "-t", str(options.secs)]
        command += ["--json", "--server-pid", str(process.pid)] + case.args
        busy, used, began = cpu_of_machine(), cpu_of_process(process), time.monotonic()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            load = subprocess.run(on_cpu(1, command), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=options.secs + PATIENCE, preexec_fn=die_with_parent)
        except subprocess.TimeoutExpired:
            raise Failed("the generator did not end") from None
        if process.poll() is not None:
            raise Failed(f"the server ended with status {process.returncode}")
        try:
            result = json.loads(load.stdout)
        except ValueError:
            raise Failed(f"the generator said {(load.stderr or load.stdout).strip()[-200:]!r}") from None
        check(case, load.returncode, result)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = cpu_of_process(process) - used
        ours += after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
        result["others"] = max(0.0, (cpu_of_machine() - busy - ours) / (time.monotonic() - began))
        return result


def check(case, status, result):
    """A server that loses, cuts or garbles what it should echo has no figures worth printing."""
    for fault in ("failed", "errors", "badlen", "foreign", "closed"):
        if result[fault] != 0:
            raise Failed(f"the generator counted {fault}: {result[fault]}")
    if status != 0:
        raise Failed(f"the generator ended with status {status}")
    if not case.idle and result["msgs"] == 0:
        raise Failed("no message came back")
    if case.idle and result["held"] != case.conns:
        raise Failed(f"only {result['held']} of {case.conns} connections were held")


@contextlib.contextmanager
def serving(options, server):
    """A running server and its port. It is ended on every way out, and by the kernel if this process is killed."""
    if server == "echo":
        port = 0
        command = [options.echo, "--quiet", "--port", "0", "--max-message", str(LARGEST_MESSAGE)]
    else:
        port = free_port()
        command = [options.floor, "-a", "127.0.0.1", "-P", str(port)]
    process = subprocess.Popen(on_cpu(0, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent)
    try:
        if server == "echo":
            port = announced_port(process)
        else:
            wait_for_port(process, port)
        yield process, port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def announced_port(process):
    """From the line `listening on ws://HOST:PORT`."""
    ready = select.select([process.stdout], [], [], PATIENCE)[0]
    line = process.stdout.readline().strip() if ready else ""
    port = line.rpartition(":")[2]
    if not line.startswith("listening on ws://") or not port.isdigit():
        raise Failed(f"the server did not start, it said {line!r}")
    return int(port)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(process, port):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"the server did not start, status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Failed("the server does not answer")


def on_cpu(cpu, command):
    """taskset becomes the command, so that the pid stays that of the command."""
    return ["taskset", "-c", str(cpu)] + command if pinned() else command


def pinned():
    return {0, 1} <= os.sched_getaffinity(0) and shutil.which("taskset") is not None


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cpu_of_process(process):
    """Seconds of CPU time of all threads of a process: the clock that clock_getcpuclockid(3) names."""
    try:
        return time.clock_gettime(~process.pid << 3 | 2)
    except OSError:
        return 0.0


def cpu_of_machine():
    """Seconds of CPU time spent by anything on this machine; waiting for disks and idling do not count."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def progress(round_number=None, name=""):
    if sys.stderr.isatty():
        text = f"round {round_number}, {name}" if round_number else ""
        print(f"\r{text:40}\r", end="", file=sys.stderr, flush=True)


def print_table(cases, results):
    row = "{:4} {:42} {:>9} {:>9} {:>6} {:>12} {:>16} {:>16}"
    busy = [name for name, case in cases.items() if not case.idle]
    if busy:
        print(row.format("", "", "CPU us a", "message", "", "", "p50 / p99 us", "p50 / p99 us"))
        print(row.format("case", "", "libws", "floor", "ratio", "(min-max)", "libws", "floor"))
    for name in busy:
        cells = [f"{median(results[name][server], 'srv_us_msg'):.3f}" for server in ("echo", "floor")]
        cells += ratio(pairs(results[name]))
        cells += [latency(results[name][server]) for server in ("echo", "floor")]
        print(row.format(name, cases[name].what, *cells))
    for name in [name for name in cases if name not in busy]:
        print(f"{name:4} {cases[name].what}: resident memory")
        for server, label in (("echo", "libws"), ("floor", "floor")):
            print(f"     {label}: {median(results[name][server], 'rss_per_conn'):.0f} B a connection, "
                  f"{median(results[name][server], 'rss0_kb'):.0f} kB before the first "
                  f"({median(results[name][server], 'pss0_kb'):.0f} kB when shared pages are split)")


def print_conditions(options, results, took):
    runs = [run for case in results.values() for server in case.values() for run in server if run]
    others = [run["others"] for run in runs]
    place = "server on CPU 0, generator on CPU 1" if pinned() else "NOT pinned to CPUs"
    print()
    print("ratio: floor / libws, in pairs of the same round, median; above 1 libws is the cheaper one")
    print(f"{options.rounds} rounds of {options.secs:g} s, {took:.0f} s in all; {place}; other work used "
          f"{statistics.median(others or [0]):.1f} CPUs (at most {max(others or [0]):.1f}) of {os.cpu_count()}")


def pairs(case):
    return [(echo, floor) for echo, floor in zip(case["echo"], case["floor"]) if echo and floor]


def ratio(both):
    ratios = [floor["srv_us_msg"] / echo["srv_us_msg"] for echo, floor in both if echo["srv_us_msg"]]
    if not ratios:
        return ["-", ""]
    return [f"{statistics.median(ratios):.2f}", f"({min(ratios):.2f}-{max(ratios):.2f})"]


def median(runs, key):
    values = [run[key] for run in runs if run]
    return statistics.median(values) if values else float("nan")


def latency(runs):
    return f"{median(runs, 'p50_us'):.0f} / {median(runs, 'p99_us'):.0f}"


if __name__ == "__main__":
    sys.exit(main())
