"""What the tests of clients in the field need: proxies of other people, and a network that can be cut."""

import os
import shutil
import socket
import subprocess
import threading

import pytest

from program import DEADLINE, Program, eventually


def wanted(command, package):
    """The path of a program from Debian. Without one the test is skipped; in CI (CI=true) it fails."""
    # Daemons are not in every user's path.
    path = shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"there is no {command} (Debian's package {package})")
    return path or pytest.skip(f"there is no {command} (Debian's package {package})")


def not_permitted(what):
    """Skips the test; in CI (CI=true) it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not permitted here: {what}")
    return pytest.skip(f"not permitted here: {what}")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Proxy:
    """A proxy that listens at a port of its own."""

    def __init__(self, scheme, port, command, log=None):
        self.scheme, self.port, self.log = scheme, port, log
        self.program = Program(command)
        eventually(lambda: listens(port), what=command[0])

    def url(self, user=""):
        return f"{self.scheme}://{user}127.0.0.1:{self.port}"


class LyingProxy:
    """A proxy for one connection that sends `injected` to the client behind its own answer; with `late` only when the client
    has taken that answer and begun to speak to the server."""

    def __init__(self, scheme, injected, late=False):
        self.scheme, self.injected, self.late = scheme, injected, late
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(DEADLINE)
        self.listener.close()

    def _serve(self):
        client, _ = self.listener.accept()
        port, answer = self._asked_for(client)
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            if self.late:
                client.sendall(answer)
                server.sendall(client.recv(65536))
                client.sendall(self.injected)
            else:
                client.sendall(answer + self.injected)
            back = threading.Thread(target=self._carry, args=(server, client))
            back.start()
            self._carry(client, server)
            back.join(DEADLINE)

    def _asked_for(self, client):
        """The port that the client wants to reach, and the answer to that."""
        if self.scheme == "http":
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(4096)
            return int(head.split()[1].rpartition(b":")[2]), b"HTTP/1.1 200 OK\r\n\r\n"
        client.recv(3)  # version 5, one method
        client.sendall(b"\x05\x00")
        return int.from_bytes(client.recv(300)[-2:], "big"), b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01"

    @staticmethod
    def _carry(source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of them has gone


class Network:
    """Three network namespaces in a row: a client, a router, a server. `cut` has the router drop packets, silently."""

    CLIENT, SERVER = "192.0.2.2", "192.0.2.6"

    def __init__(self):
        self.names = [f"libws{os.getpid()}{place}" for place in "crs"]
        self._run("ip", "netns", "add", self.names[0])
        for name in self.names[1:]:
            self._run("ip", "netns", "add", name)
        client, router, server = self.names
        self._link(client, self.CLIENT, router, "192.0.2.1")
        self._link(server, self.SERVER, router, "192.0.2.5")
        self.restore()

    def _link(self, end, address, router, gateway):
        port = f"to{address.rpartition('.')[2]}"
        self._run("ip", "link", "add", "up0", "netns", end, "type", "veth", "peer", "name", port, "netns", router)
        for name, device, ip in ((end, "up0", address), (router, port, gateway)):
            self._run("ip", "-n", name, "addr", "add", f"{ip}/30", "dev", device)
            self._run("ip", "-n", name, "link", "set", device, "up")
        self._run("ip", "-n", end, "route", "add", "default", "via", gateway)

    def cut(self):
        self._forward(0)

    def restore(self):
        self._forward(1)

    def _forward(self, on):
        self._run(*self.inside(1), "sysctl", "-qw", f"net.ipv4.ip_forward={on}")

    def inside(self, place):
        """What a command in a namespace begins with: 0 the client's, 2 the server's."""
        return ["ip", "netns", "exec", self.names[place]]

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, capture_output=True, text=True)


def make_network():
    wanted("ip", "iproute2")
    wanted("sysctl", "procps")
    try:
        return Network()
    except subprocess.CalledProcessError as error:
        return not_permitted(f"network namespaces: {error.stderr.strip()}")
