"""What a client costs that echoes for a server: benches/client_load.c is the server, for all of them the same."""
import subprocess

from . import machine
from .servers import PATIENCE, Failed


def client_run(command, load, row, secs):
    """The microseconds of CPU time that the client spends on a message. command: the client's, without the port."""
    server = subprocess.Popen(machine.on_cpu(machine.LOAD_CPU, [load, str(row.size), str(row.depth), str(secs)]),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=machine.die_with_parent)
    client = None
    try:
        port = server.stdout.readline().strip()
        client = subprocess.Popen(machine.on_cpu(machine.SERVER_CPU, command + [port]), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  preexec_fn=machine.die_with_parent)
        out, complaint = server.communicate(f"{client.pid}\n", timeout=secs + PATIENCE)
        words = out.split()
        if server.returncode != 0 or len(words) != 2 or int(words[0]) == 0:
            raise Failed(f"the server said {(out + complaint).strip()!r}")
        return {"us": float(words[1])}
    except subprocess.TimeoutExpired:
        raise Failed("the client does not echo") from None
    finally:
        for process in filter(None, (client, server)):
            process.kill()
            process.wait()
