"""Clients in the field: through real proxies, over links that are cut without a word, to servers that come and go."""

import re
import signal
import subprocess
import threading
import time

import pytest
from websockets.sync.server import serve as ws_serve

from conftest import example
from field import LyingProxy, Proxy, make_network, wanted
from free_port import free_port
from program import Program, eventually, in_time, timed

# Proxies


@pytest.fixture
def started():
    proxies = []
    yield lambda *args, **options: proxies.append(Proxy(*args, **options)) or proxies[-1]
    for proxy in proxies:
        proxy.program.kill()


@pytest.fixture
def tinyproxy(started, tmp_path):
    def start(*lines):
        port = free_port()
        log = tmp_path / "tinyproxy.log"
        config = tmp_path / "tinyproxy.conf"
        config.write_text(
            "\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 20", f'LogFile "{log}"', *lines])
        )
        return started("http", port, [wanted("tinyproxy", "tinyproxy-bin"), "-d", "-c", str(config)], log)

    return start


@pytest.fixture
def dante(started, tmp_path):
    port = free_port()
    log = tmp_path / "danted.log"
    config = tmp_path / "danted.conf"
    config.write_text(
        f"logoutput: {log}\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nsocksmethod: none\nclientmethod: none\n"
        "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
        "socks block { from: 127.0.0.0/8 to: 127.0.0.0/8 port = 1 }\n"
        "socks pass { from: 127.0.0.0/8 to: 127.0.0.0/8 log: connect }\n"
    )
    return started("socks5", port, [wanted("danted", "dante-server"), "-f", str(config)], log)


@pytest.fixture
def microsocks(started):
    port = free_port()
    return started("socks5", port, [wanted("microsocks", "microsocks"), "-i", "127.0.0.1", "-p", port, "-u", "us", "-P", "p@w"])


@pytest.fixture(params=["ws", "wss"])
def server(request, serve, ca, certificate):
    """An echo_server without TLS, and one with it; `trust`: the options of a client that knows it."""
    secure = request.param == "wss"
    args = ["--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file] if secure else []
    program = serve("echo_server", *args)
    program.trust = ["--ca", ca.cert_file] if secure else []
    return program


def cat(run, *args):
    """Runs ws_cat to its end: exit status, stdout, stderr."""
    program = run("ws_cat", *args)
    return program.wait(), program.stdout.rest(), "\n".join(program.stderr.rest())


def test_through_an_http_proxy(run, server, tinyproxy):
    proxy = tinyproxy()
    url = server.url.replace("127.0.0.1", "localhost")
    assert cat(run, url, *server.trust, "--proxy", proxy.url(), "--once", "hello") == (0, ["hello"], "")
    # Large messages in both directions; the proxy has resolved the name.
    program = run("ws_cat", url, *server.trust, "--proxy", proxy.url(), stdin=subprocess.PIPE)
    program.process.stdin.write(b"x" * 300_000 + b"\n" + b"y\n")
    program.process.stdin.close()
    assert program.wait() == 0
    assert [len(line) for line in program.stdout.rest()] == [300_000, 1]
    assert f"CONNECT localhost:{server.port}" in proxy.log.read_text()


def test_an_http_proxy_that_wants_a_password(run, echo, tinyproxy):
    proxy = tinyproxy("BasicAuth us pw0")
    assert cat(run, echo.url, "--proxy", proxy.url("us:p%770@"), "--once", "hello") == (0, ["hello"], "")
    for user in ("", "us:wrong@"):
        status, printed, errors = cat(run, echo.url, "--proxy", proxy.url(user), "--once", "hello")
        assert (status, printed) == (1, [])
        assert re.search(r"ws_cat: proxy: 40[17]: ", errors), errors


def test_an_http_proxy_that_forbids_or_finds_nobody(run, echo, tinyproxy):
    proxy = tinyproxy(f"ConnectPort {echo.port}", "ConnectPort 1")
    assert cat(run, echo.url, "--proxy", proxy.url(), "--once", "hello")[0] == 0
    status, _, errors = cat(run, "ws://127.0.0.1:2/", "--proxy", proxy.url(), "--once", "hello")
    assert status == 1 and "ws_cat: proxy: 403: " in errors
    status, _, errors = cat(run, "ws://127.0.0.1:1/", "--proxy", proxy.url(), "--once", "hello")
    assert status == 1 and re.search(r"ws_cat: proxy: 5\d\d: ", errors), errors


def test_through_dante(run, server, dante):
    url = server.url.replace("127.0.0.1", "localhost")
    assert cat(run, url, *server.trust, "--proxy", dante.url(), "--once", "hello") == (0, ["hello"], "")
    by_name = dante.url().replace("socks5", "socks5h")
    assert cat(run, server.url, *server.trust, "--proxy", by_name, "--once", "x") == (0, ["x"], "")
    # Nobody there, then forbidden.
    status, _, errors = cat(run, "ws://127.0.0.1:2/", "--proxy", dante.url(), "--once", "hello")
    assert status == 1 and "ws_cat: proxy: the proxy " in errors, errors
    status, _, errors = cat(run, "ws://127.0.0.1:1/", "--proxy", dante.url(), "--once", "hello")
    assert status == 1 and "forbids" in errors, errors


def test_a_socks_proxy_that_wants_a_password(run, server, microsocks):
    args = [server.url, *server.trust, "--once", "hello", "--proxy"]
    assert cat(run, *args, microsocks.url("us:p%40w@")) == (0, ["hello"], "")
    for user in ("", "us:wrong@"):
        status, _, errors = cat(run, *args, microsocks.url(user))
        assert status == 1 and "ws_cat: proxy: the proxy " in errors, errors


def test_the_proxy_of_the_environment(run, server, tinyproxy, monkeypatch):
    proxy = tinyproxy()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    mine, other = ("https_proxy", "http_proxy") if server.trust else ("http_proxy", "https_proxy")
    monkeypatch.setenv(mine, proxy.url())
    monkeypatch.setenv(other, "http://127.0.0.1:1")
    args = [server.url, *server.trust, "--once", "a"]
    assert cat(run, *args)[0] == 0
    assert "CONNECT 127" not in proxy.log.read_text()
    assert cat(run, *args, "--proxy", "env")[0] == 0
    assert proxy.log.read_text().count("CONNECT 127") == 1
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert cat(run, *args, "--proxy", "env")[0] == 0
    assert proxy.log.read_text().count("CONNECT 127") == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_speaks_for_the_server(run, serve, ca, certificate, scheme):
    """What a proxy sends before TLS has begun is never taken for the server's: here it would redirect the client."""
    tls = ["--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file]
    good, bad = serve("echo_server", *tls), serve("echo_server", *tls)
    injected = f"HTTP/1.1 302 Found\r\nLocation: {bad.url}\r\n\r\n".encode()
    args = [good.url, "--ca", ca.cert_file, "--redirects", "2", "--once", "secret", "--proxy"]
    with LyingProxy(scheme, b"") as proxy:
        assert cat(run, *args, proxy.url) == (0, ["secret"], "")
    with LyingProxy(scheme, injected) as proxy:
        said = "ws_cat: proxy: bytes behind its answer, where TLS was to begin"
        assert cat(run, *args, proxy.url) == (1, [], said)
    # Later than the answer, it is no TLS.
    with LyingProxy(scheme, injected, late=True) as proxy:
        status, printed, errors = cat(run, *args, proxy.url)
        assert (status, printed) == (1, []) and errors.startswith("ws_cat: tls: "), errors


# A link that is cut


@pytest.fixture
def network():
    network = make_network()
    yield network
    network.remove()


class Ends:
    """An echo_server and a cloud_client, each in its namespace."""

    def __init__(self, network, server_args=(), client_args=()):
        self.server = Program(
            [*network.inside(2), *example("echo_server"), "--host", network.SERVER, "--port", "0", *server_args]
        ).listening()
        self.client = Program(
            [*network.inside(0), *example("cloud_client"), self.server.url, "--min", "100", "--max", "500", *client_args],
            stdin=subprocess.PIPE,
        )
        self.client.stdout.expect("^state: open")

    def say(self, text):
        self.client.process.stdin.write(text.encode() + b"\n")
        self.client.process.stdin.flush()


@pytest.fixture
def ends(network):
    running = []

    def start(**options):
        running.append(Ends(network, **options))
        return running[-1]

    yield start
    for pair in running:
        pair.client.kill()
        pair.server.kill()


PING, PONG = 1000, 800
# Timeouts of 1 s and more are rounded up to 100 ms; the rest is for a busy machine.
SLACK = 1.5
# Of the clock of the kernel's ticks.
TICKS = 0.02


@pytest.mark.parametrize("traffic", ["idle", "sending"])
@timed
def test_a_cut_link_is_noticed_in_time(network, ends, measured, traffic):
    """After ping_interval_ms + pong_timeout_ms without a byte, as libws.h says."""
    sending = ["--every", "20"] if traffic == "sending" else []
    network.restore()
    pair = ends(client_args=["--ping", str(PING), "--pong", str(PONG), "--timeout", "600", *sending])
    last = time.monotonic()
    if not sending:
        pair.say("first")
    pair.client.stdout.expect("^received: 5|^received: .*sample 10$")
    network.cut()
    cut = time.monotonic()
    pair.client.stdout.expect("^state: closed, code 1006")
    noticed = time.monotonic()
    measured(f"cut link, {traffic}: noticed after {noticed - cut:.2f} s (ping {PING} ms, pong {PONG} ms)")
    in_time(noticed - cut, (PING + PONG) / 1000 + SLACK, f"cut link, {traffic}")
    # The last byte came after `last`, and maybe some time before the cut.
    assert noticed - last >= (PING + PONG) / 1000 - TICKS
    if not sending:
        # Queued while there is no link, in order with what was before.
        for text in ("second", "third"):
            pair.say(text)
    # While it is cut, attempts go on and end in time.
    for _ in range(2):
        pair.client.stdout.expect("^state: closed, code 1006, tcp: connect .*timed out")
    network.restore()
    pair.client.stdout.expect("^state: open")
    if sending:
        again = pair.client.stdout.expect(r"^received: .* sample (\d+)$")
        numbers = [int(again.group(1))]
        while len(numbers) < 30:
            numbers.append(int(pair.client.stdout.expect(r"^received: .* sample (\d+)$").group(1)))
        assert numbers == list(range(numbers[0], numbers[0] + 30))
    else:
        pair.client.stdout.expect("^received: .*: second$")
        pair.client.stdout.expect("^received: .*: third$")


@timed
def test_a_cut_link_is_noticed_by_the_server(network, ends, measured):
    network.restore()
    pair = ends(server_args=["--ping-interval", str(PING), "--pong-timeout", str(PONG)])
    pair.server.stderr.expect("open")
    last = time.monotonic()
    pair.say("x")
    pair.client.stdout.expect("^received")
    network.cut()
    cut = time.monotonic()
    pair.server.stderr.expect("closed")
    noticed = time.monotonic()
    measured(f"cut link, server: noticed after {noticed - cut:.2f} s")
    in_time(noticed - cut, (PING + PONG) / 1000 + SLACK, "cut link, server")
    assert noticed - last >= (PING + PONG) / 1000 - TICKS


@timed
def test_a_cut_link_is_noticed_without_pings(network, ends, measured):
    """TCP keepalive: after twice keepalive_s without a packet, idle or not."""
    network.restore()
    pair = ends(client_args=["--keepalive", "2", "--timeout", "600"])
    last = time.monotonic()
    pair.say("x")
    pair.client.stdout.expect("^received")
    network.cut()
    cut = time.monotonic()
    pair.client.stdout.expect("^state: closed, code 1006, websocket: Connection timed out")
    noticed = time.monotonic()
    measured(f"cut link, keepalive 2 s, idle: noticed after {noticed - cut:.2f} s")
    in_time(noticed - cut, 4 + SLACK, "cut link, idle")
    assert noticed - last >= 4 - TICKS
    network.restore()
    pair.client.stdout.expect("^state: open")
    # Sent into the cut link: TCP_USER_TIMEOUT, which is looked at when TCP sends again, at growing intervals.
    network.cut()
    cut = time.monotonic()
    pair.say("y")
    pair.client.stdout.expect("^state: closed, code 1006, websocket: Connection timed out")
    took = time.monotonic() - cut
    measured(f"cut link, keepalive 2 s, sending: noticed after {took:.2f} s")
    in_time(took, 2 * 4 + SLACK, "cut link, sending")


# A server that comes and goes


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_cloud_client_goes_on_where_it_was(run, serve, ca, certificate, scheme):
    port = free_port()
    server_args, client_args = [], []
    if scheme == "wss":
        me = ca.issue("cloud-client", use="client")
        server_args = ["--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file, "--tls-client-ca", ca.cert_file]
        client_args = ["--ca", ca.cert_file, "--pin", certificate.pin, "--cert", me.cert_file, "--key", me.key_file]
    url = f"{scheme}://127.0.0.1:{port}/"
    program = run("cloud_client", url, "--min", "50", "--max", "200", *client_args, stdin=subprocess.PIPE)

    def say(*texts):
        for text in texts:
            program.process.stdin.write(text.encode() + b"\n")
        program.process.stdin.flush()

    say("one", "two")
    program.stdout.expect("^state: waiting .* ms for attempt 2: tcp: ")
    server = serve("echo_server", *server_args, port=port)
    program.stdout.expect("^state: open")
    program.stdout.expect("^received: .*: one$")
    program.stdout.expect("^received: .*: two$")
    server.end(signal.SIGTERM)
    program.stdout.expect("^state: closed, code 1001")
    say("three", "four")
    program.stdout.expect("^state: waiting .* ms for attempt .*: tcp: ")
    server = serve("echo_server", *server_args, port=port)
    program.stdout.expect("^received: .*: three$")
    program.stdout.expect("^received: .*: four$")
    say("five")
    program.process.stdin.close()
    assert program.wait() == 0
    assert [line for line in program.stdout.rest() if line.startswith("sent")] == [f"sent: {n}" for n in range(1, 6)]
    assert program.stderr.rest() == []


def test_cloud_client_keeps_to_its_pins(run, serve, ca, certificate):
    """A server with another key gets nothing, and what was queued for it reaches the right one."""
    port = free_port()
    other = ca.issue("another-key")
    server = serve("echo_server", "--tls-cert", other.cert_file, "--tls-key", other.key_file, port=port)
    args = ["--ca", ca.cert_file, "--pin", certificate.pin, "--min", "50", "--max", "200"]
    program = run("cloud_client", f"wss://127.0.0.1:{port}/", *args, stdin=subprocess.PIPE)
    program.process.stdin.write(b"secret\n")
    program.process.stdin.close()
    program.stdout.expect(
        "^state: waiting .* ms for attempt 1, which will fail again .*: "
        "tls: certificate of 127.0.0.1: its public key does not match the pin; it is sha256/"
    )
    server.end(signal.SIGTERM)
    server = serve("echo_server", "--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file, port=port)
    program.stdout.expect("^sent: 1$")
    assert program.wait() == 0


def test_cloud_client_is_told_that_the_network_is_back(run, serve):
    port = free_port()
    program = run("cloud_client", f"ws://127.0.0.1:{port}/", "--min", "60000", stdin=subprocess.PIPE)
    program.stdout.expect("^state: waiting 60000 ms for attempt 1: tcp: ")
    server = serve("echo_server", port=port)
    program.interrupt(signal.SIGUSR1)
    program.stdout.expect("^state: open")
    program.interrupt(signal.SIGTERM)
    assert program.wait() == 0
    server.end()


def test_cloud_client_behind_a_proxy_that_restarts(run, echo, tinyproxy):
    proxy = tinyproxy()
    program = run(
        "cloud_client", echo.url, "--proxy", proxy.url(), "--min", "50", "--max", "200", "--every", "10", "--count", "600"
    )
    program.stdout.expect("^received: .*: sample 20$")
    proxy.program.kill()
    program.stdout.expect("^state: waiting .*: tcp: ")
    again = Proxy(proxy.scheme, proxy.port, proxy.program.command, proxy.log)
    try:
        program.stdout.expect("^sent: 600$")
        assert program.wait() == 0
    finally:
        again.program.kill()


def test_a_server_that_refuses_for_good(run):
    """401: tried at the longest delay only, and told so."""

    def refuse(connection, request):
        return connection.respond(401, "no\n")

    with ws_serve(lambda _: None, "127.0.0.1", 0, process_request=refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        program = run("cloud_client", f"ws://127.0.0.1:{port}/", "--min", "10", "--max", "60000", stdin=subprocess.PIPE)
        told = program.stdout.expect(r"^state: waiting (\d+) ms for attempt 1, which will fail again .*: http: 401: ")
        assert 30000 <= int(told.group(1)) <= 60000
        program.interrupt(signal.SIGINT)
        assert program.wait() == 0
        server.shutdown()


@timed
def test_a_cut_link_is_noticed_over_tls(network, ends, measured, ca):
    """As without TLS: in the time of the pings, and what was queued meanwhile arrives over the next connection."""
    network.restore()
    certificate = ca.issue("cut-link", names=[network.SERVER])
    pair = ends(
        server_args=["--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file],
        client_args=["--ca", ca.cert_file, "--ping", str(PING), "--pong", str(PONG), "--timeout", "600"],
    )
    assert pair.server.url.startswith("wss://")
    last = time.monotonic()
    pair.say("first")
    pair.client.stdout.expect("^received: .*: first$")
    network.cut()
    cut = time.monotonic()
    pair.client.stdout.expect("^state: closed, code 1006, websocket: ")
    noticed = time.monotonic()
    measured(f"cut link, wss: noticed after {noticed - cut:.2f} s (ping {PING} ms, pong {PONG} ms)")
    in_time(noticed - cut, (PING + PONG) / 1000 + SLACK, "cut link, wss")
    assert noticed - last >= (PING + PONG) / 1000 - TICKS
    pair.say("second")
    pair.client.stdout.expect("^state: closed, code 1006, tcp: connect .*timed out")
    network.restore()
    pair.client.stdout.expect("^state: open")
    pair.client.stdout.expect("^received: .*: second$")
