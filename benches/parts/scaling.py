"""How the cost of a message and of a connection changes as connections become more."""
import contextlib
import json
import subprocess
import time

from . import machine
from .holding import holding, wakeups_of
from .memory import connect, exchange, masked_frame
from .rows import Row
from .runs import generate
from .servers import PATIENCE, Failed, echo_server, free_port

ACTIVE = 100
SMALL = ["-s", "20", "--text", "--src", "16"]
# Connections of each of several processes. Each is two sockets and two open files of this machine. The kernel spreads them by
# chance, so that a process must have room for more than the mean.
EACH = 14000
KB_FOR_EACH = 16
RESERVE_KB = 3 * 1024 * 1024
# Seconds that a run of several processes takes besides opening and closing.
LOOKING = 6


def one_process(server, load, conns, secs):
    """Of one fresh server: microseconds of CPU for a message when all connections are busy, when all are idle and
    100 more are busy, and for opening one; bytes of memory for each."""
    with server.serving() as (process, port):
        warm = connect(port, 0)
        exchange(warm, masked_frame(20), 22)
        warm.close()
        time.sleep(0.1)
        before, opening = machine.memory_kb(process.pid, "Rss"), machine.cpu_of_process(process.pid)
        with holding(load, port, conns, [process.pid]):
            opened_us = (machine.cpu_of_process(process.pid) - opening) * 1e6 / conns
            each = (machine.memory_kb(process.pid, "Rss") - before) * 1024 / conns
            some = generate(Row("", ACTIVE, SMALL, None), load, secs, port, process)
        every = generate(Row("", conns, SMALL, None), load, secs, port, process)
        return {"all": every["srv_us_msg"], "some": some["srv_us_msg"], "open": opened_us, "bytes": each}


def carried(each):
    """How many processes this machine has memory and open files for, and in words what there is too little of for more."""
    with open("/proc/sys/fs/file-max", encoding="ascii") as file:
        files = int(file.read())
    available = meminfo_kb("MemAvailable")
    bounds = [((available - RESERVE_KB) // KB_FOR_EACH // each,
               f"{available / 1e6:.1f} GB of memory are available, of which {RESERVE_KB / 1e6:.1f} GB are left alone and a connection "
               f"may take {KB_FOR_EACH} kB, both ends together"),
              (files * 9 // 10 // 2 // each,
               f"a connection is two open files here, and nine tenths of fs.file-max ({files:,}) are used at most")]
    bound, why = min(bounds)
    return max(1, bound), why


def up_to(program, load, most, each, secs, patience):
    """Runs of 1, 4, 16, ... and of as many processes as the machine carries, or `most` if that is fewer (0: no matter), within
    `patience` seconds; and why there are not more."""
    until = time.monotonic() + patience
    bound, why = carried(each)
    no_time = (f"more take longer than the {patience:.0f} s that there are for them; of memory and open files there is enough for "
               f"{bound}")
    if 0 < most <= bound:
        bound, why = most, "more were not asked for"
    runs, processes, each_takes = [], 1, 0.0
    while True:
        began = time.monotonic()
        try:
            runs.append(several_processes(program, load, processes, each, secs, until - began))
        except Failed as failure:
            # What a machine carries is tried, not known.
            return runs, stopped(runs, each, f"{processes} were too many: {failure}")
        each_takes = max(each_takes, (time.monotonic() - began - LOOKING - secs) / processes)
        if processes >= bound:
            return runs, stopped(runs, each, why)
        in_time = int((until - time.monotonic() - LOOKING - secs) / each_takes)
        if in_time < min(2 * processes, bound):
            return runs, stopped(runs, each, no_time)
        if in_time < bound:
            bound, why = in_time, no_time
        # The last step is not a small one.
        processes = 4 * processes if 8 * processes <= bound else bound


def stopped(runs, each, why):
    reached = runs[-1]["processes"] if runs else 0
    return (f"Processes: not more than {reached}, with {each:,} connections each ({machine.raise_open_files():,} open files are the "
            f"limit of a process): {why}.")


def several_processes(program, load, processes, each, secs, patience):
    """Servers behind one port by SO_REUSEPORT, each of the holders with `each` connections."""
    port = free_port()
    server = echo_server("libws", program)
    server.command = [program, "--quiet", "--port", str(port), "--reuse-port", "--ping-interval", "0", "--host",
                      "0.0.0.0"]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(server.serving(cpu=None))[0] for _ in range(processes)]
        pids = [process.pid for process in running]
        empty = sum(machine.memory_kb(pid, "Rss") for pid in pids)
        slab, began, cpu = meminfo_kb("Slab"), time.monotonic(), cpu_of(pids)
        stack.enter_context(holding(load, port, each, pids, cpu=None, holders=processes, patience=patience))
        held = processes * each
        took = time.monotonic() - began
        result = {"held": held, "processes": processes, "open_per_s": held / took,
                  "open_us": (cpu_of(pids) - cpu) * 1e6 / held,
                  "bytes": (sum(machine.memory_kb(pid, "Rss") for pid in pids) - empty) * 1024 / held,
                  "kernel_bytes": (meminfo_kb("Slab") - slab) * 1024 / held}
        time.sleep(1)
        woken = sum(wakeups_of(pid) for pid in pids)
        time.sleep(5)
        result["wakeups_per_s"] = (sum(wakeups_of(pid) for pid in pids) - woken) / 5
        cpu = cpu_of(pids)
        command = [load, "-P", str(port), "-c", str(ACTIVE), "-w", "0", "-t", str(secs), "--json"] + SMALL
        done = subprocess.run(command, capture_output=True, text=True, timeout=secs + PATIENCE)
        if done.returncode != 0:
            raise Failed(f"the generator said {done.stderr.strip()[-200:]!r}")
        result["us"] = (cpu_of(pids) - cpu) * 1e6 / json.loads(done.stdout)["msgs"]
        return result


def broadcast(program, load, receivers, size, rounds):
    """[(microseconds of CPU for each receiver by libws, by a bare loop of send)] of each round."""
    server = subprocess.Popen(machine.on_cpu(machine.SERVER_CPU, [program, str(receivers), str(size), str(rounds)]),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=machine.die_with_parent)
    receiver = None
    try:
        port = server.stdout.readline().strip()
        command = [load, "-P", port, "-c", str(receivers), "--broadcast-recv", "--src", "16", "-t", "100000"]
        receiver = subprocess.Popen(machine.on_cpu(machine.LOAD_CPU, command), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    preexec_fn=machine.die_with_parent)
        out, complaint = server.communicate(timeout=PATIENCE + 2 * rounds)
        if server.returncode != 0:
            raise Failed(f"the broadcast failed: {complaint.strip()}")
        return [tuple(float(word) for word in line.split()) for line in out.splitlines()]
    except subprocess.TimeoutExpired:
        raise Failed("the broadcast did not end") from None
    finally:
        for process in filter(None, (receiver, server)):
            process.kill()
            process.wait()


def cpu_of(pids):
    return sum(machine.cpu_of_process(pid) for pid in pids)


def meminfo_kb(key):
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))
