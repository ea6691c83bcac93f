// The work that benches/instructions counts: a server or a client of libws and its peers in one thread.
// In `connect` and `browser` a message is a connection: accepted, upgraded, dropped by the peer.
// Usage: instructions CASE ROUNDS. Prints how many messages that were; with a round of 0, the cases.

#include "steady.h"

#define HEAD_OF_PEERS \
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define HEAD_OF_BROWSERS \
    "GET /chat?room=1 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nConnection: Upgrade\r\nPragma: no-cache\r\n" \
    "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " \
    "Chrome/126.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://127.0.0.1:9001\r\n" \
    "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n" \
    "Sec-WebSocket-Key: " RAW_KEY "\r\n" \
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

static const struct work works[] = {
    {"a", 1, 20, 1, RAW_TEXT},        {"b", 100, 20, 1, RAW_TEXT},     {"c", 100, 20, 16, RAW_TEXT},
    {"d", 1000, 512, 1, RAW_BINARY},  {"e", 10, 65536, 1, RAW_BINARY}, {"ping", 100, 20, 1, 0x89},
    {"client", 1, 20, 1, RAW_TEXT},   {"client16", 1, 20, 16, RAW_TEXT},
    {"broadcast", 1000, 20, 1, RAW_TEXT}, {"connect", 32, 0, 1, 0},       {"browser", 32, 0, 1, 0},
    {"packed", 300, 1000, 1, RAW_TEXT | STEADY_PACKED},
};

// Connections come over TCP, since their addresses are part of the work.
static ws_server *connect_server(struct lanes *lanes, const struct work *work)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    config.on_message = steady_echo;
    config.user = lanes;
    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    lanes->count = work->conns;
    lanes->fds = check_alloc(work->conns * sizeof *lanes->fds);
    lanes->got = check_alloc(1024);
    return server;
}

static void poll_until_open(ws_server *server, uint64_t wanted)
{
    while (steady_open(server) != wanted)
        counted_poll(server);
}

// All connect, ask, get their answers and go. They go by a reset, so that no ports are left over in TIME_WAIT.
static void connect_round(struct lanes *lanes, ws_server *server, const char *head)
{
    const struct linger reset = {.l_onoff = 1};
    size_t i;

    for (i = 0; i < lanes->count; i++) {
        lanes->fds[i] = raw_connect(ws_server_port(server));
        raw_puts(lanes->fds[i], head);
    }
    poll_until_open(server, lanes->count);
    for (i = 0; i < lanes->count; i++) {
        CHECK(recv(lanes->fds[i], lanes->got, 1024, 0) > 12);
        CHECK(memcmp(lanes->got, "HTTP/1.1 101", 12) == 0);
        SYS(setsockopt(lanes->fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
        close(lanes->fds[i]);
        lanes->fds[i] = -1;
    }
    poll_until_open(server, 0);
}

int main(int argc, char **argv)
{
    const struct work *work = NULL;
    struct lanes lanes = {0};
    ws_server *server = NULL;
    ws_client *client = NULL;
    long rounds = argc == 3 ? atol(argv[2]) : 0;
    const char *head = NULL;
    size_t i;

    for (i = 0; i < sizeof works / sizeof *works; i++) {
        if (rounds == 0)
            puts(works[i].name);
        else if (strcmp(works[i].name, argv[1]) == 0)
            work = &works[i];
    }
    if (work == NULL)
        return rounds == 0 ? 0 : 2;
    check_test = work->name;
    if (strncmp(work->name, "client", 6) == 0) {
        client = steady_client(&lanes, work);
    } else if (work->first == 0) {
        head = strcmp(work->name, "browser") == 0 ? HEAD_OF_BROWSERS : HEAD_OF_PEERS;
        server = connect_server(&lanes, work);
    } else {
        server = steady_server(&lanes, work);
        steady_connect(&lanes, work, server);
    }
    for (i = 0; i < (size_t)rounds; i++) {
        if (client != NULL)
            steady_client_round(&lanes, client);
        else if (head != NULL)
            connect_round(&lanes, server, head);
        else if (strcmp(work->name, "broadcast") == 0 || strcmp(work->name, "packed") == 0)
            steady_broadcast(&lanes, server, work);
        else
            steady_round(&lanes, server);
    }
    printf("%zu\n", (size_t)rounds * lanes.count * work->depth);
    lanes_free(&lanes);
    unlink(steady_url() + strlen("unix:")); // ending in good order is no part of this
    fflush(stdout);
    _exit(0);
}
