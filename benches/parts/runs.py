"""One run: a fresh server, one run of the generator, and what that says of the server."""
import json
import subprocess

from . import machine
from .servers import PATIENCE, Failed


def echo_run(server, row, load, secs, cpu=machine.SERVER_CPU):
    """Returns what the generator says of the server; `us` is the CPU time of the server for each message."""
    with server.serving(row.variant, cpu) as (process, port):
        result = generate(row, load, secs, port, process)
        result["us"] = result["srv_us_msg"]
        return result


def generate(row, load, secs, port, process):
    """Runs the generator, which looks at the server's process meanwhile."""
    command = [load, "-P", str(port), "-c", str(row.conns), "-t", str(secs), "--json", "--server-pid", str(process.pid)]
    try:
        generator = subprocess.run(machine.on_cpu(machine.LOAD_CPU, command + row.args), stdin=subprocess.DEVNULL,
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
    return result


def check(row, status, result):
    """A server that loses, cuts or garbles what it should echo has no figures worth printing."""
    for fault in ("failed", "errors", "badlen", "foreign", "closed"):
        if result[fault] != 0:
            raise Failed(f"the generator counted {fault}: {result[fault]}")
    if result["msgs"] == 0:
        raise Failed("no message came back in the measured time")
    if status != 0:
        raise Failed(f"the generator ended with status {status}")
