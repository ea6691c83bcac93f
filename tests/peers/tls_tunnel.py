"""A tunnel for programs that speak only one of ws and wss: what comes on one side goes on on the other.

    tls_tunnel.py to-tls PORT CA              plain here, TLS to 127.0.0.1:PORT, whose certificate CA has signed
    tls_tunnel.py from-tls PORT CERT KEY      TLS here, plain to 127.0.0.1:PORT

On stdout: the port that it listens on.
"""

import asyncio
import ssl
import sys


async def carry(reader, writer, ports=None):
    """`ports`: in what comes first, the Host header's port is changed from the one to the other."""
    try:
        while data := await reader.read(65536):
            if ports:
                data = data.replace(b":%d\r\n" % ports[0], b":%d\r\n" % ports[1], 1)
                ports = None
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def main(direction, port, *files):
    outer = inner = None
    if direction == "to-tls":
        outer = ssl.create_default_context(cafile=files[0])
    else:
        inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inner.load_cert_chain(*files)

    async def serve(reader, writer):
        name = "localhost" if outer else None
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=outer, server_hostname=name)
        own = writer.get_extra_info("sockname")[1]
        await asyncio.gather(carry(reader, far_writer, (own, int(port))), carry(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=inner)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
