// A ws_proto with a log of what it told and what it wrote, and two of them joined in memory.
#ifndef PROTO_H
#define PROTO_H

#include "check.h"

struct peer {
    ws_proto *proto;
    uint64_t now;
    char log[1024];            // events in words, "|" after each
    ws_proto_event last;       // the last one that was none of NONE
    char reason[128];          // its reason
    unsigned char written[2048];
    size_t written_len;        // what was written, a NUL behind it
    int pings;
    int pieces;
};

// A masked frame as a client sends it, of less than 126 bytes; returns its length.
static inline size_t put_frame(unsigned char *out, unsigned char first, const char *payload, size_t len)
{
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t i;

    CHECK(len < 126);
    out[0] = first;
    out[1] = (unsigned char)(0x80 | len);
    memcpy(out + 2, key, 4);
    for (i = 0; i < len; i++)
        out[6 + i] = (unsigned char)payload[i] ^ key[i % 4];
    return 6 + len;
}

static inline void peer_new_with(struct peer *peer, ws_proto_config config)
{
    memset(peer, 0, sizeof *peer);
    config.struct_size = sizeof config;
    config.subprotocols = "v2.acme,v1.acme";
    OK(ws_proto_new(&config, 0, &peer->proto));
}

// A client has a URL.
static inline void peer_new(struct peer *peer, int role, const char *url)
{
    ws_proto_config config = {.role = role, .url = url};

    peer_new_with(peer, config);
}

__attribute__((format(printf, 2, 3))) static inline void peer_note(struct peer *peer, const char *format, ...)
{
    size_t used = strlen(peer->log);
    va_list arguments;

    va_start(arguments, format);
    CHECK((size_t)vsnprintf(peer->log + used, sizeof peer->log - used, format, arguments)
          < sizeof peer->log - used);
    va_end(arguments);
}

static inline void peer_note_data(struct peer *peer, const char *what, const ws_proto_event *event, const char *end)
{
    char text[256];
    size_t i;

    CHECK(event->len < sizeof text);
    for (i = 0; i < event->len; i++)
        text[i] = ((const char *)event->data)[i] == '\0' ? '.' : ((const char *)event->data)[i];
    text[event->len] = '\0';
    peer_note(peer, "%s%s%s|", what, text, end);
}

static inline void peer_note_event(struct peer *peer, const ws_proto_event *event)
{
    const char *name = event->kind == WS_TEXT ? "text " : "binary ";
    char piece[32];

    switch (event->type) {
    case WS_PROTO_REQUEST:
        peer_note(peer, "request %s%s%s|", ws_request_path(event->request),
                  ws_request_query(event->request)[0] == '\0' ? "" : "?", ws_request_query(event->request));
        OK(ws_proto_accept(peer->proto, NULL, NULL, peer->now));
        break;
    case WS_PROTO_OPEN:
        peer_note(peer, "open %s|", event->request == NULL ? "-" : ws_request_subprotocol(event->request));
        break;
    case WS_PROTO_MESSAGE:
        CHECK_INT(event->last, 1);
        peer_note_data(peer, name, event, "");
        break;
    case WS_PROTO_PIECE:
        snprintf(piece, sizeof piece, "piece %d ", (int)event->offset);
        peer_note_data(peer, piece, event, event->last ? "" : "..");
        break;
    case WS_PROTO_PING:
        peer_note_data(peer, "ping ", event, "");
        break;
    case WS_PROTO_PONG:
        peer_note_data(peer, "pong ", event, "");
        break;
    case WS_PROTO_CLOSE:
        CHECK_INT(event->status, WS_OK);
        peer_note(peer, "close %u %s by %d|", (unsigned)event->code, event->reason, event->by_peer);
        break;
    case WS_PROTO_ERROR:
        CHECK(event->status != WS_OK);
        peer_note(peer, "error %d|", (int)event->status);
        break;
    default:
        FAIL("event type %d", (int)event->type);
    }
}

static inline void peer_events(struct peer *peer)
{
    ws_proto_event event = {.struct_size = sizeof event};

    for (;;) {
        OK(ws_proto_next(peer->proto, &event));
        if (event.type == WS_PROTO_NONE)
            return;
        peer_note_event(peer, &event);
        peer->last = event;
        if (event.reason != NULL)
            snprintf(peer->reason, sizeof peer->reason, "%s", event.reason);
    }
}

// A copy in memory of its own is fed, so that Valgrind and the like see a byte too many.
static inline void peer_feed(struct peer *peer, const void *bytes, size_t len)
{
    void *copy = check_alloc(len);

    memcpy(copy, bytes, len);
    OK(ws_proto_feed(peer->proto, copy, len, peer->now));
    peer_events(peer);
    free(copy);
}

// As peer_feed(), but events are only counted, and the bytes are changed.
static inline void peer_count(struct peer *peer, void *bytes, size_t len)
{
    ws_proto_event event = {.struct_size = sizeof event};

    OK(ws_proto_feed(peer->proto, bytes, len, peer->now));
    for (;;) {
        OK(ws_proto_next(peer->proto, &event));
        if (event.type == WS_PROTO_NONE)
            return;
        CHECK(event.type == WS_PROTO_PING || event.type == WS_PROTO_PIECE);
        peer->pings += event.type == WS_PROTO_PING;
        peer->pieces += event.type == WS_PROTO_PIECE;
    }
}

// Writes all output, at most `size` bytes at a time.
static inline void peer_write(struct peer *peer, size_t size)
{
    const void *data;
    size_t len;

    while ((len = ws_proto_output(peer->proto, &data)) > 0) {
        len = len < size ? len : size;
        CHECK(peer->written_len + len < sizeof peer->written);
        memcpy(peer->written + peer->written_len, data, len);
        peer->written_len += len;
        peer->written[peer->written_len] = '\0';
        OK(ws_proto_written(peer->proto, len, peer->now));
    }
    CHECK_INT(ws_proto_buffered(peer->proto), 0);
}

// Carries bytes both ways, at most `size` at a time, until there are none.
static inline void carry(struct peer *one, struct peer *other, size_t size)
{
    struct peer *from = one;
    struct peer *to = other;
    int quiet = 0;

    while (quiet < 2) {
        const void *data;
        size_t len = ws_proto_output(from->proto, &data);

        if (len > 0) {
            len = len < size ? len : size;
            peer_feed(to, data, len);
            OK(ws_proto_written(from->proto, len, from->now));
            quiet = 0;
            continue;
        }
        quiet++;
        from = from == one ? other : one;
        to = to == one ? other : one;
    }
}

// A server whose upgrade is done and forgotten.
static inline void peer_open(struct peer *peer, int pieces)
{
    static const char upgrade[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Protocol: v1.acme\r\n\r\n";
    ws_proto_config config = {.role = WS_SERVER, .pieces = pieces};

    peer_new_with(peer, config);
    peer_feed(peer, upgrade, sizeof upgrade - 1);
    peer_write(peer, sizeof peer->written);
    peer->written_len = 0;
    peer->log[0] = '\0';
}

#endif
