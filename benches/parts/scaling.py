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


def several_processes(program, load, processes, each, secs):
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
        stack.enter_context(holding(load, port, each, pids, cpu=None, holders=processes))
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
