"""One run: a fresh server, one run of the generator, and what that says of the server."""
import json
import subprocess
import time

from . import machine
from .servers import PATIENCE, Failed


def echo_run(server, row, load, secs):
    """Returns what the generator says of the server, and `others`: CPUs that other work on the machine used."""
    with server.serving(row.variant) as (process, port):
        command = [load, "-P", str(port), "-c", str(row.conns), "-t", str(secs)]
        command += ["--json", "--server-pid", str(process.pid)] + row.args
        busy, used, began = machine.cpu_of_machine(), machine.cpu_of_process(process.pid), time.monotonic()
        children = machine.cpu_of_children()
        try:
            generator = subprocess.run(machine.on_cpu(machine.LOAD_CPU, command), stdin=subprocess.DEVNULL,
                                       capture_output=True, text=True, timeout=secs + PATIENCE,
                                       preexec_fn=machine.die_with_parent)
        except subprocess.TimeoutExpired:
            raise Failed("the generator did not end") from None
        if process.poll() is not None:
            raise Failed(f"the server ended with status {process.returncode}")
        try:
            result = json.loads(generator.stdout)
        except ValueError:
            raise Failed(f"the generator said {(generator.stderr or generator.stdout).strip()[-200:]!r}") from None
        check(row, generator.returncode, result)
        ours = machine.cpu_of_process(process.pid) - used + machine.cpu_of_children() - children
        took = time.monotonic() - began
        result["others"] = max(0.0, (machine.cpu_of_machine() - busy - ours) / took)
        return result


def check(row, status, result):
    """A server that loses, cuts or garbles what it should echo has no figures worth printing."""
    for fault in ("failed", "errors", "badlen", "foreign", "closed"):
        if result[fault] != 0:
            raise Failed(f"the generator counted {fault}: {result[fault]}")
    if status != 0:
        raise Failed(f"the generator ended with status {status}")
    if row.kind == "ratio" and result["msgs"] == 0:
        raise Failed("no message came back")
    if row.kind == "memory" and result["held"] != row.conns:
        raise Failed(f"only {result['held']} of {row.conns} connections were held")
