"""A WebSocket server on Python's `websockets`, for clients of libws. peer.mjs serves the same on npm's `ws`.

    /echo            sends messages back
    /binary          sends 00 01 fe ff
    /fragments       sends "one ", "zwölf ", "three" as one message of three fragments, a ping between them
    /ping            sends a ping "are you there", and when the pong has come the text "pong are you there"
    /big             sends a text of 1 MiB
    /headers         sends X-Test and Cookie of the request, a line each
    /subprotocol     agrees on "second"; sends what was agreed on
    /close?C&R       closes with the code C and the reason R, both optional
    /drop            ends the TCP connection without a Close frame
    /silent          never says anything
    /refuse          answers the upgrade with 403
    /extensions      answers each message with the extension that was agreed on, and the message's length in bytes

On stdout: where it listens; then for each connection that ends `closed CODE REASON`, as its peer has sent it.

`peer.py serve JSON` compresses with these parameters of a ServerPerMessageDeflateFactory.

`peer.py serve-tls CERT KEY [VERSION [CA]]` serves wss: "1.2" or "1.3" is the only TLS version, CA the file of the authorities
whose certificates clients must have.

`peer.py autobahn` is a fuzzing server with two cases, as far as autobahn_client can tell.
"""

import asyncio
import http
import json
import ssl
import sys
from urllib.parse import parse_qs, unquote

from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def handle(connection):
    path, _, query = connection.request.path.partition("?")
    headers = connection.request.headers

    if path == "/echo":
        async for message in connection:
            await connection.send(message)
    elif path == "/binary":
        await connection.send(b"\x00\x01\xfe\xff")
    elif path == "/fragments":

        async def fragments():
            yield "one "
            await connection.ping(b"between")
            yield "zwölf "
            yield "three"

        await connection.send(fragments())
    elif path == "/ping":
        await (await connection.ping(b"are you there"))
        await connection.send("pong are you there")
    elif path == "/big":
        await connection.send("x" * 2**20)
    elif path == "/headers":
        await connection.send("\n".join(headers.get(name, "-") for name in ("X-Test", "Cookie")))
    elif path == "/subprotocol":
        await connection.send(str(connection.subprotocol))
    elif path == "/close":
        code, _, reason = query.partition("&")
        if code:
            await connection.close(int(code), unquote(reason))
        else:
            async with connection.send_context():
                connection.protocol.send_close()
    elif path == "/extensions":
        async for message in connection:
            agreed = connection.protocol.extensions
            await connection.send(f"{agreed[0] if agreed else ''} {len(message.encode())}")
    elif path == "/drop":
        connection.transport.abort()
    await connection.wait_closed()
    received = connection.protocol.close_rcvd
    print(f"closed {received.code} {received.reason}" if received else "closed 1006 ", flush=True)


def refuse(connection, request):
    return connection.respond(http.HTTPStatus.FORBIDDEN, "no\n") if request.path == "/refuse" else None


def choose(connection, offered):
    return "second" if "second" in offered else None


async def autobahn(connection):
    path, _, query = connection.request.path.partition("?")
    values = {name: value[0] for name, value in parse_qs(query).items()}
    if path == "/getCaseCount":
        await connection.send("2")
        print("getCaseCount", flush=True)
    elif path == "/runCase":
        sent = {"1": "Grüße", "2": b"\x00" * 100000}[values["case"]]
        await connection.send(sent)
        same = "same" if await connection.recv() == sent else "DIFFERENT"
        print(f"case {values['case']} agent {values['agent']}: {same}", flush=True)
    elif path == "/updateReports":
        print(f"updateReports {values['agent']}", flush=True)


def tls_of(cert, key, version=None, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


async def main(role, *arguments):
    handler, options = {
        "serve": (handle, {"process_request": refuse, "select_subprotocol": choose}),
        "autobahn": (autobahn, {}),
    }[role.removesuffix("-tls")]
    tls = role == "serve-tls"
    deflate = arguments[0] if arguments and not tls else None
    if deflate:
        options["compression"] = None
        options["extensions"] = [ServerPerMessageDeflateFactory(**json.loads(deflate))]
    async with serve(handler, "127.0.0.1", 0, max_size=2**26, ssl=tls_of(*arguments) if tls else None, **options) as server:
        print(f"listening on {'wss' if tls else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
