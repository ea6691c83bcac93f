// A client that reconnects all the time, and threads that send, queue, hurry, forbid, close, stop and free it meanwhile,
// in the middle of lookups, races of addresses, handshakes. For ThreadSanitizer and Valgrind as much as for its checks.
#include "addresses.h"
#include "harness.h"

static int lookups;

// Takes a moment, at times fails, and gives an address at which nobody listens before the good one.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.9", "127.0.0.8"};
    int number = __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    struct addrinfo **end = out;
    int i;

    (void)node;
    (void)service;
    (void)hints;
    usleep((useconds_t)(number % 7 * 300));
    if (number % 5 == 0)
        return EAI_AGAIN;
    *out = NULL;
    for (i = number % 3; i >= 0; i--)
        put_address(&end, addresses[i]);
    return 0;
}

struct subject {
    ws_client *client;
    int going;      // the threads go on
    uint64_t queued; // messages that were taken
    uint64_t told;  // messages that on_sent was called for
    int opened;
    int closed;

};

static void on_open(ws_client *client, void *user)
{
    struct subject *subject = user;

    subject->opened++;
    OK(ws_client_send(client, WS_TEXT, "hello", 5));
}

static void on_close(ws_client *client, const ws_close_info *info, void *user)
{
    struct subject *subject = user;

    (void)client;
    CHECK(info->reason != NULL);
    subject->closed++;
}

static void on_sent(ws_client *client, uint64_t number, ws_status status, void *user)
{
    struct subject *subject = user;

    (void)client;
    CHECK(number != 0 && (status == WS_OK || status == WS_ERR_CLOSED || status == WS_ERR_AGAIN));
    subject->told++;
}

// Ends each connection after a few messages, in one way or the other.
static void on_server_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    static int count;
    int number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);

    (void)message;
    (void)user;
    if (number % 5 == 0)
        ws_server_close(server, conn, number % 2 ? 1001 : 1000, "");
}

static void *use(void *user)
{
    struct subject *subject = user;
    int i;

    for (i = 0; __atomic_load_n(&subject->going, __ATOMIC_SEQ_CST); i++) {
        ws_client *client = subject->client;
        uint64_t number;

        if (ws_client_enqueue(client, WS_TEXT, "x", 1, &number) == WS_OK)
            __atomic_add_fetch(&subject->queued, 1, __ATOMIC_SEQ_CST);
        ws_client_send(client, WS_TEXT, "y", 1);
        ws_client_ping(client, NULL, 0);
        ws_client_reconnect_now(client);
        ws_client_buffered(client);
        ws_client_queued(client);
        ws_client_http_status(client);
        if (i % 8 == 0)
            OK(ws_client_allow_reconnect(client, 0));
        OK(ws_client_allow_reconnect(client, 1));
        if (i % 3 == 0)
            usleep(200);
    }
    return NULL;
}

static void *run(void *user)
{
    ws_client_run(((struct subject *)user)->client);
    return NULL;
}

static void one(uint16_t port, int way)
{
    struct subject subject = {.going = 1};
    ws_client_config config = {.struct_size = sizeof config};
    pthread_t users[2];
    pthread_t runner;
    char url[64];
    int i;

    snprintf(url, sizeof url, "ws://races.test:%u/", (unsigned)port);
    config.url = url;
    config.connect_timeout_ms = (uint32_t)(100 * slowness());
    config.close_timeout_ms = 50;
    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 3;
    config.queue_messages = 8;
    config.queue_policy = way % 3;
    config.on_open = on_open;
    config.on_close = on_close;
    config.on_sent = on_sent;
    config.user = &subject;
    OK(ws_client_new(&config, &subject.client));
    if (way % 2 == 0)
        OK(ws_client_start(subject.client));
    else
        thread_start(&runner, run, &subject);
    for (i = 0; i < 2; i++)
        thread_start(&users[i], use, &subject);
    usleep((useconds_t)(way * 700 % 20000));
    if (way % 4 == 1)
        ws_client_stop(subject.client);
    if (way % 4 == 2 || way % 4 == 3)
        ws_client_close(subject.client, 1000, "over");
    usleep((useconds_t)(way % 5 * 500));
    __atomic_store_n(&subject.going, 0, __ATOMIC_SEQ_CST);
    for (i = 0; i < 2; i++)
        thread_join(users[i]);
    if (way % 2 != 0) {
        ws_client_stop(subject.client);
        thread_join(runner);
    }
    OK(ws_client_free(subject.client));
    // Whatever happened, each message was told of once, and each connection ended once.
    CHECK_INT(subject.told, subject.queued);
    CHECK(subject.closed >= subject.opened);
}

static void used_from_everywhere(void)
{
    struct recorder server;
    ws_server_config config;
    uint16_t port;
    int rounds = small_loads() ? 40 : 200;
    int i;

    recorder_init(&server);
    config = server_config(&server);
    config.on_open = NULL;
    config.on_close = NULL;
    config.on_message = on_server_message;
    port = server_start(&server, &config);
    for (i = 0; i < rounds; i++)
        one(port, i);
    server_end(&server);
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 90);
    RUN(used_from_everywhere);
    // Lookups that were given up end on their own.
    WAIT_UNTIL(open_fds() == before);
    return check_end();
}
