// A server, or a client, and its peers in one thread: each round of the same work is the same to the last instruction,
// however busy the machine is. Shared by tests/c/allocations.c and benches/instructions.c.
#ifndef STEADY_H
#define STEADY_H

#include "raw_server.h"

#include <poll.h>

// All connections have subscribed to it.
#define STEADY_TOPIC "news/of/the/day"
// In the first byte of a broadcast's frame: it goes to connections that compress, without a context.
#define STEADY_PACKED 0x40

// Between the rounds nothing else calls into libws, so that counting in these three is counting what rounds cost.
__attribute__((noinline)) static void counted_poll(ws_server *server)
{
    OK(ws_server_poll(server, 0));
}

__attribute__((noinline)) static void counted_client_poll(ws_client *client)
{
    OK(ws_client_poll(client, 0));
}

__attribute__((noinline)) static void counted_broadcast(ws_server *server, int kind, const void *data, size_t len)
{
    OK(ws_server_broadcast(server, kind, data, len));
}

// One kind of work. Every round sends depth messages on each connection, all before the first is answered.
struct work {
    const char *name;
    size_t conns;
    size_t size; // bytes of a message
    size_t depth;
    unsigned char first; // of each frame: FIN and opcode
};

// What the peers send in a round and what they must get back.
struct lanes {
    int *fds;
    size_t count;
    unsigned char *out;
    size_t out_len;
    unsigned char *want;
    size_t want_len;
    unsigned char *packed; // the frame of a broadcast that is compressed, once it has been seen
    size_t packed_len;
    unsigned char *got;
    size_t messages; // handed on by libws so far
    // What the server does with a message; NULL: it sends it back.
    void (*on_message)(ws_server *server, ws_conn_id conn, const ws_message *message, void *user);
};

// depth frames one behind the other.
static inline size_t steady_frames(unsigned char **frames, const struct work *work, unsigned char first, int masked)
{
    size_t room = work->depth * (work->size + 14);
    size_t used = 0;
    size_t i;
    size_t k;

    *frames = check_alloc(room);
    for (i = 0; i < work->depth; i++) {
        used += raw_frame_head(*frames + used, first, masked ? 0x80 : 0, work->size);
        if (masked) {
            memcpy(*frames + used, raw_mask, 4);
            used += 4;
        }
        for (k = 0; k < work->size; k++)
            (*frames)[used++] = (unsigned char)('a' + k % 26) ^ (masked ? raw_mask[k & 3] : 0);
    }
    return used;
}

static inline void lanes_free(struct lanes *lanes)
{
    size_t i;

    for (i = 0; i < lanes->count; i++)
        close(lanes->fds[i]);
    free(lanes->fds);
    free(lanes->out);
    free(lanes->want);
    free(lanes->packed);
    free(lanes->got);
}

static inline void steady_echo(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    struct lanes *lanes = user;

    if (ws_server_send(server, conn, message->kind, message->data, message->len) != WS_OK)
        FAIL("the echo was refused: %s", ws_last_error());
    lanes->messages++;
}

static inline void steady_opened(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    (void)request;
    (void)user;
    OK(ws_server_subscribe(server, conn, STEADY_TOPIC));
}

// A unix socket: what was sent is there at once and whole, while TCP on a busy machine may take its time.
static inline const char *steady_url(void)
{
    static char url[64];

    snprintf(url, sizeof url, "unix:/tmp/libws-steady-%d", (int)getpid());
    return url;
}

static inline ws_server *steady_server(struct lanes *lanes, const struct work *work)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    config.max_connections = 20000;
    config.on_open = steady_opened;
    config.on_message = lanes->on_message != NULL ? lanes->on_message : steady_echo;
    config.deflate = (work->first & STEADY_PACKED) ? WS_DEFLATE_SMALL : WS_DEFLATE_OFF;
    config.user = lanes;
    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, steady_url()));
    return server;
}

static inline uint64_t steady_open(ws_server *server)
{
    ws_stats stats = {.struct_size = sizeof stats};

    OK(ws_server_stats(server, &stats));
    return stats.connections_open;
}

// Opens one connection after the other.
static inline void steady_connect(struct lanes *lanes, const struct work *work, ws_server *server)
{
    const char *offer = (work->first & STEADY_PACKED) ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "";
    char head[1024];
    size_t i;

    lanes->count = work->conns;
    lanes->fds = check_alloc(work->conns * sizeof *lanes->fds);
    lanes->out_len = steady_frames(&lanes->out, work, work->first, 1);
    lanes->want_len = steady_frames(&lanes->want, work, (work->first & 15) == 9 ? 0x8a : work->first, 0);
    lanes->got = check_alloc(lanes->want_len);
    for (i = 0; i < work->conns; i++) {
        lanes->fds[i] = raw_connect_unix(steady_url() + strlen("unix:"));
        raw_puts(lanes->fds[i], "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
        raw_puts(lanes->fds[i], offer);
        raw_puts(lanes->fds[i], "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " RAW_KEY "\r\n\r\n");
        WAIT_UNTIL((OK(ws_server_poll(server, 0)), steady_open(server) == i + 1));
        CHECK(raw_head(lanes->fds[i], head, sizeof head));
        CHECK_INT(raw_status(head), 101);
    }
}

// The peer has nothing left to send, but it may be that the loop was a moment ahead of the kernel.
static inline void steady_collect(struct lanes *lanes, ws_server *server, size_t lane, const unsigned char *want, size_t len)
{
    size_t used = 0;

    while (used < len) {
        ssize_t now = recv(lanes->fds[lane], lanes->got + used, len - used, MSG_DONTWAIT);

        if (now > 0)
            used += (size_t)now;
        else if (now == 0 || (errno != EAGAIN && errno != EINTR))
            FAIL("connection %zu has ended", lane);
        else
            counted_poll(server);
    }
    CHECK(memcmp(lanes->got, want, len) == 0);
}

// One round of echoes, or of pings and pongs.
static inline void steady_round(struct lanes *lanes, ws_server *server)
{
    size_t i;

    for (i = 0; i < lanes->count; i++)
        raw_send(lanes->fds[i], lanes->out, lanes->out_len);
    counted_poll(server);
    for (i = 0; i < lanes->count; i++)
        steady_collect(lanes, server, i, lanes->want, lanes->want_len);
}

// What a broadcast is compressed to is the same each time: no context is kept.
static inline void steady_learn(struct lanes *lanes, ws_server *server)
{
    unsigned char head[4];
    size_t len;

    while (recv(lanes->fds[0], head, sizeof head, MSG_PEEK | MSG_DONTWAIT) != sizeof head)
        counted_poll(server);
    CHECK(head[0] & STEADY_PACKED);
    len = head[1] < 126 ? 2u + head[1] : 4u + (size_t)(head[2] << 8 | head[3]);
    CHECK(len < lanes->want_len);
    lanes->packed = check_alloc(len);
    lanes->packed_len = len;
    CHECK_INT(recv(lanes->fds[0], lanes->packed, len, MSG_PEEK | MSG_DONTWAIT), len);
}

static inline void steady_collect_all(struct lanes *lanes, ws_server *server)
{
    const unsigned char *want = lanes->packed != NULL ? lanes->packed : lanes->want;
    size_t len = lanes->packed != NULL ? lanes->packed_len : lanes->want_len;
    size_t i;

    for (i = 0; i < lanes->count; i++)
        steady_collect(lanes, server, i, want, len);
}

// One broadcast to all.
static inline void steady_broadcast(struct lanes *lanes, ws_server *server, const struct work *work)
{
    size_t head = work->size < 126 ? 2 : 4;

    counted_broadcast(server, work->first & 15, lanes->want + head, work->size);
    counted_poll(server);
    if ((work->first & STEADY_PACKED) && lanes->packed == NULL)
        steady_learn(lanes, server);
    steady_collect_all(lanes, server);
}

// --- a client of libws, and a server made by hand ---

static inline void steady_client_echo(ws_client *client, const ws_message *message, void *user)
{
    struct lanes *lanes = user;

    OK(ws_client_send(client, message->kind, message->data, message->len));
    lanes->messages++;
}

static inline ws_client *steady_client(struct lanes *lanes, const struct work *work)
{
    ws_client_config config = {.struct_size = sizeof config};
    ws_client *client;
    char url[64];
    char head[2048];
    char answer[1024];
    uint16_t port;
    int listener = raw_listen(&port);
    size_t used = 0;
    struct pollfd accepting = {.fd = listener, .events = POLLIN};

    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
    config.url = url;
    config.on_message = steady_client_echo;
    config.user = lanes;
    OK(ws_client_new(&config, &client));
    lanes->count = 1;
    lanes->fds = check_alloc(sizeof *lanes->fds);
    lanes->out_len = steady_frames(&lanes->out, work, work->first, 0);
    lanes->want_len = lanes->out_len + 4 * work->depth;
    lanes->got = check_alloc(lanes->want_len);
    WAIT_UNTIL((OK(ws_client_poll(client, 0)), poll(&accepting, 1, 0) == 1));
    lanes->fds[0] = raw_accept(listener);
    close(listener);
    memset(head, 0, sizeof head);
    while (strstr(head, "\r\n\r\n") == NULL) {
        ssize_t now = recv(lanes->fds[0], head + used, sizeof head - 1 - used, MSG_DONTWAIT);

        if (now > 0)
            used += (size_t)now;
        else
            OK(ws_client_poll(client, 1));
    }
    fill_in_accept(GOOD_ANSWER "\r\n", head, answer, sizeof answer);
    raw_puts(lanes->fds[0], answer);
    return client;
}

// One round of echoes by the client. Its masks are random, so only the first byte of what comes back is compared.
static inline void steady_client_round(struct lanes *lanes, ws_client *client)
{
    size_t used = 0;

    raw_send(lanes->fds[0], lanes->out, lanes->out_len);
    counted_client_poll(client);
    while (used < lanes->want_len) {
        ssize_t now = recv(lanes->fds[0], lanes->got + used, lanes->want_len - used, MSG_DONTWAIT);

        if (now > 0)
            used += (size_t)now;
        else if (now == 0 || (errno != EAGAIN && errno != EINTR))
            FAIL("the client has gone");
        else
            counted_client_poll(client);
    }
    CHECK_INT(lanes->got[0], lanes->out[0]);
}

#endif
