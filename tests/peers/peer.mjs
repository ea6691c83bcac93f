// The npm package `ws` as a peer of libws: a server as in peer.py, or a client.
//
//   node peer.mjs serve [DEFLATE]              DEFLATE: the perMessageDeflate of `ws`, as JSON
//   node peer.mjs client URL CASE [DEFLATE]    runs one of the cases below; prints what it has seen
//   node peer.mjs deflate URL DEFLATES         a connection for each of them: prints what was agreed on and whether
//                                              messages come back as they were
//   node peer.mjs serve-tls CERT KEY [VERSION [PORT]]           "1.2" or "1.3" is the only version then
//   node peer.mjs client-tls URL CASE CA [VERSION [CERT KEY]]
//
// LIBWS_NODE_MODULES names the directory that `ws` is installed in.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";

const { WebSocket, WebSocketServer } = createRequire(process.env.LIBWS_NODE_MODULES + "/")("ws");

const say = line => process.stdout.write(line + "\n");

// ---- Server. What each path does is told in peer.py.

const paths = {
  "/echo": socket => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
  "/binary": socket => socket.send(Buffer.from([0x00, 0x01, 0xfe, 0xff])),
  "/fragments": socket => {
    socket.send("one ", { fin: false });
    socket.ping("between");
    socket.send("zwölf ", { fin: false });
    socket.send("three", { fin: true });
  },
  "/ping": socket => {
    socket.on("pong", data => socket.send(`pong ${data}`));
    socket.ping("are you there");
  },
  "/big": socket => socket.send("x".repeat(2 ** 20)),
  "/headers": (socket, request) => socket.send(`${request.headers["x-test"] ?? "-"}\n${request.headers.cookie ?? "-"}`),
  "/subprotocol": socket => socket.send(socket.protocol || "None"),
  "/close": (socket, request, query) => {
    const [code, reason = ""] = query.split("&");
    if (code) socket.close(Number(code), decodeURIComponent(reason));
    else socket.close();
  },
  "/drop": socket => socket.terminate(),
  "/silent": () => {},
  "/extensions": socket => socket.on("message", data => socket.send(`${socket.extensions} ${data.length}`)),
};

// Files and a version as options of Node's TLS.
function tlsOptions({ ca, cert, key, version }) {
  const read = file => (file ? readFileSync(file) : undefined);
  const only = version ? `TLSv${version}` : undefined;
  return { ca: read(ca), cert: read(cert), key: read(key), minVersion: only, maxVersion: only };
}

function serve(deflate = "false", port = 0, https = undefined) {
  const place = https ? { server: https } : { host: "127.0.0.1", port };
  const server = new WebSocketServer({
    ...place,
    maxPayload: 2 ** 26,
    perMessageDeflate: JSON.parse(deflate),
    handleProtocols: offered => (offered.has("second") ? "second" : false),
    verifyClient: ({ req }, answer) => (req.url === "/refuse" ? answer(false, 403, "no") : answer(true)),
  });
  server.on("listening", () => say(`listening on ${https ? "wss" : "ws"}://127.0.0.1:${server.address().port}`));
  server.on("connection", (socket, request) => {
    const [path, query = ""] = request.url.split("?");
    socket.on("close", (code, reason) => say(`closed ${code} ${reason}`));
    socket.on("error", error => process.stderr.write(`${error}\n`));
    paths[path](socket, request, query);
  });
}

// ---- Client.

const cases = {
  // Text and binary messages of all kinds of length; prints "SIZE text|binary same|DIFFERENT".
  async echo(socket) {
    for (const size of [0, 1, 125, 126, 65535, 65536, 2 ** 20])
      for (const binary of [false, true]) {
        const sent = Buffer.alloc(size, binary ? Buffer.from([0, 255, 128, 7, 13]) : "abcdefg");
        socket.send(sent, { binary });
        const [data, isBinary] = await event(socket, "message");
        const same = isBinary === binary && data.equals(sent);
        say(`${size} ${isBinary ? "binary" : "text"} ${same ? "same" : "DIFFERENT"}`);
      }
    socket.close();
  },

  // Four fragments, an empty one among them and a ping between; prints the pong and the message in their order.
  async fragments(socket) {
    socket.on("pong", data => say(`pong ${data}`));
    socket.send("Grüße ", { fin: false });
    socket.send("", { fin: false });
    socket.ping("between");
    socket.send("in ", { fin: false });
    socket.send("Stücken", { fin: true });
    const [data, isBinary] = await event(socket, "message");
    say(`${isBinary ? "binary" : "text"} ${data}`);
    socket.close();
  },

  // Pings with an empty, a binary and the longest payload; prints the pongs in hex.
  async ping(socket) {
    for (const payload of [Buffer.alloc(0), Buffer.from([0, 255, 10]), Buffer.alloc(125, 0x70)]) {
      socket.ping(payload);
      const [data] = await event(socket, "pong");
      say(`pong ${data.toString("hex")}`);
    }
    socket.close();
  },

  // Prints the code and the reason that come back.
  async close(socket) {
    socket.close(4321, "bye für now");
  },

  async "close-empty"(socket) {
    socket.close();
  },

  // Waits to be closed by the server.
  async "closed-by-server"() {
    say("open");
  },

  // More than the server takes.
  async "too-big"(socket) {
    socket.send(Buffer.alloc(2 ** 20 + 1));
  },

  async terminate(socket) {
    socket.terminate();
  },
};

// The arguments of the next such event. Nothing that comes earlier is lost: each case asks before it yields.
const event = (socket, name) => new Promise(resolve => socket.once(name, (...values) => resolve(values)));

function client(url, name, tls = {}) {
  const protocols = name === "subprotocol" ? ["first", "second"] : [];
  const socket = new WebSocket(url, protocols, tls);
  socket.on("open", () => {
    say(`extensions ${socket.extensions || "none"}`);
    cases[name](socket);
  });
  socket.on("error", error => say(`error ${error.message}`));
  socket.on("close", (code, reason) => say(`closed ${code} ${reason}`));
}

// Messages of all sorts and lengths, each twice, so that the second one can refer back to the first.
async function deflate(url, deflates) {
  for (const perMessageDeflate of JSON.parse(deflates)) {
    const socket = new WebSocket(url, { perMessageDeflate, maxPayload: 2 ** 26 });
    const failed = new Promise(resolve => socket.on("error", resolve));
    const done = (async () => {
      await event(socket, "open");
      let same = true;
      for (const size of [0, 1, 127, 128, 1000, 20000, 300000])
        for (const binary of [false, true, false]) {
          const sent = Buffer.alloc(size, binary ? Buffer.from([0, 255, 128, 7, 13]) : '{"temperature":21.5},');
          for (let i = 0; binary && i < size; i += 97) sent[i] = Math.random() * 256;
          socket.send(sent, { binary });
          const [data, isBinary] = await event(socket, "message");
          same &&= isBinary === binary && data.equals(sent);
        }
      say(`${socket.extensions || "none"} ${same ? "same" : "DIFFERENT"}`);
      socket.close();
      await event(socket, "close");
    })();
    const error = await Promise.race([failed, done]);
    if (error) say(`error ${error.message}`);
  }
}

const [role, ...rest] = process.argv.slice(2);
if (role === "serve") serve(...rest);
else if (role === "deflate") deflate(...rest);
else if (role === "serve-tls") {
  const [cert, key, version, port = 0] = rest;
  const https = createServer(tlsOptions({ cert, key, version })).listen(Number(port), "127.0.0.1");
  serve("false", 0, https);
} else if (role === "client-tls") {
  const [url, name, ca, version, cert, key] = rest;
  client(url, name, tlsOptions({ ca, cert, key, version }));
} else client(...rest.slice(0, 2));
