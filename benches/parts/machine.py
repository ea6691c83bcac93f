"""This machine: CPUs, clocks, limits, and programs that end with this one."""
import ctypes
import os
import resource
import shutil
import signal
import statistics
import threading
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
SERVER_CPU, LOAD_CPU = 0, 1


def pinned():
    return {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0) and shutil.which("taskset") is not None


def on_cpu(cpu, command):
    """taskset becomes the command, so that the pid stays that of the command. cpu: None for any."""
    return ["taskset", "-c", str(cpu)] + command if cpu is not None and pinned() else command


def die_with_parent():
    """For preexec_fn: the kernel ends the program when this process ends, however that happens."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def raise_open_files():
    """Raises the limit of open files, which all inherit. Returns how many one process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def cpu_of_process(pid):
    """Seconds of CPU time of all threads of a process: the clock that clock_getcpuclockid(3) names."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_of_machine():
    """Seconds of CPU time spent by anything on this machine; waiting for disks and idling do not count."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def memory_kb(pid, key="Pss"):
    """`Rss` or `Pss` of a process in kB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise OSError(f"no {key} of process {pid}")


class OtherWork:
    """Samples what everything but this process and its children uses of the CPUs, once a second."""

    def __init__(self):
        self.samples = []
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        machine, ours = cpu_of_machine(), cpu_of_family()
        while True:
            time.sleep(1)
            machine_now, ours_now = cpu_of_machine(), cpu_of_family()
            # Children that end between two looks take their last moments with them: that is why there is a median.
            self.samples.append(max(0.0, machine_now - machine - max(0.0, ours_now - ours)))
            machine, ours = machine_now, ours_now

    def median(self):
        return statistics.median(self.samples or [0])

    def most(self):
        return max(self.samples or [0])


def cpu_of_family():
    """Seconds of CPU time of this process, of its children, and of those that have ended."""
    total = cpu_of_children() + cpu_of_process(os.getpid())
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as pids:
            total += sum(cpu_of_process(int(pid)) for pid in pids.read().split())
    except OSError:
        pass
    return total
