// Many threads use one server at once while connections come and go: nothing is lost, doubled or used after its end.
// Meant for Valgrind, helgrind and ThreadSanitizer too: LIBWS_TEST_SMALL=1 makes it short, LIBWS_HAMMER_MS=N long.
#include "harness.h"

#include <stdatomic.h>

enum { IDS = 64, TOPICS = 4, MOST = 8 };

// What a connection owns: made in on_open, freed in on_close. A callback after on_close would use freed memory.
struct owned {
    ws_conn_id conn;
    uint64_t messages;
};

static ws_server *server;
static char url[256];
static _Atomic ws_conn_id ids[IDS];
static atomic_uint newest;
static atomic_ullong opened;
static atomic_ullong closed;
static atomic_ullong received;
static atomic_ullong client_opened_count;
static atomic_ullong calls;
// First nobody comes any more, then the hammers rest: what a client waits for is what they send.
static atomic_int nobody_comes;
static atomic_int over;
static const char *const topics[TOPICS] = {"a", "b", "c", "d"};

static void on_open(ws_server *self, ws_conn_id conn, const ws_request *request, void *user)
{
    struct owned *owned = check_alloc(sizeof *owned);
    unsigned slot = atomic_fetch_add(&newest, 1);

    (void)user;
    CHECK(self == server && ws_request_path(request)[0] == '/');
    owned->conn = conn;
    OK(ws_server_set_conn_user(server, conn, owned));
    OK(ws_server_subscribe(server, conn, topics[slot % TOPICS]));
    atomic_store(&ids[slot % IDS], conn);
    atomic_fetch_add(&opened, 1);
}

// What send and its like may answer to somebody who does not know whether the connection is still there.
static void check_racy(ws_status status)
{
    if (status != WS_OK && status != WS_ERR_CLOSED && status != WS_ERR_AGAIN)
        FAIL("status %d (%s)", (int)status, ws_last_error());
}

static void on_message(ws_server *self, ws_conn_id conn, const ws_message *message, void *user)
{
    struct owned *owned = ws_server_conn_user(self, conn);

    (void)user;
    CHECK(owned != NULL && owned->conn == conn);
    owned->messages++;
    atomic_fetch_add(&received, 1);
    check_racy(ws_server_send(self, conn, message->kind, message->data, message->len));
}

static void on_close(ws_server *self, ws_conn_id conn, const ws_close_info *info, void *user)
{
    struct owned *owned = ws_server_conn_user(self, conn);

    (void)user;
    CHECK(owned != NULL && owned->conn == conn && info->reason != NULL);
    free(owned);
    atomic_fetch_add(&closed, 1);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

static void *hammer(void *seed)
{
    uint32_t random = *(uint32_t *)seed;
    char data[2000];
    unsigned mine = 0;

    memset(data, 'h', sizeof data);
    while (!over) {
        ws_conn_id conn = atomic_load(&ids[next_random(&random) % IDS]);
        const char *topic = topics[next_random(&random) % TOPICS];
        size_t len = next_random(&random) % sizeof data;

        switch (next_random(&random) % 32) {
        case 0:
            check_racy(ws_server_close(server, conn, 1000, "hammered"));
            break;
        case 1:
            check_racy(ws_server_broadcast(server, WS_TEXT, data, len));
            break;
        case 2:
        case 3:
            check_racy(ws_server_publish(server, topic, WS_BINARY, data, len));
            break;
        case 4:
            check_racy(ws_server_subscribe(server, conn, topic));
            break;
        case 5:
            check_racy(ws_server_unsubscribe(server, conn, topic));
            break;
        case 6:
            check_racy(ws_server_ping(server, conn, data, len % 126));
            break;
        case 7:
            check_racy(ws_server_pause(server, conn));
            check_racy(ws_server_resume(server, conn));
            break;
        case 8:
            ws_server_buffered(server, conn);
            ws_server_conn_user(server, conn);
            break;
        case 9:
            server_stats(server);
            break;
        default:
            check_racy(ws_server_send(server, conn, WS_TEXT, data, len));
        }
        mine++;
    }
    atomic_fetch_add(&calls, mine);
    return NULL;
}

static void opened_here(ws_client *client, void *user)
{
    (void)user;
    atomic_fetch_add(&client_opened_count, 1);
    check_racy(ws_client_send(client, WS_TEXT, "hello", 5));
}

// After some messages: one of the ways to go.
static void came_here(ws_client *client, const ws_message *message, void *user)
{
    unsigned *left = user;

    (void)message;
    if (*left > 0) {
        --*left;
        return;
    }
    check_racy(ws_client_send(client, WS_BINARY, "bye", 3));
    check_racy(ws_client_close(client, 1000, "seen enough"));
}

static void *come_and_go(void *seed)
{
    uint32_t random = *(uint32_t *)seed;

    while (!nobody_comes) {
        unsigned left = next_random(&random) % 100;
        ws_client_config config = {.struct_size = sizeof config, .url = url, .on_open = opened_here,
                                   .on_message = came_here, .user = &left};
        ws_client *client;

        OK(ws_client_new(&config, &client));
        if (next_random(&random) % 2 == 0) {
            ws_client_run(client);
        } else {
            // Freed in the middle of whatever it does.
            unsigned turns = next_random(&random) % 50;

            while (turns-- > 0 && ws_client_poll(client, 10) == WS_OK)
                ;
        }
        OK(ws_client_free(client));
    }
    return NULL;
}

static void everything_at_once(void)
{
    const char *text = getenv("LIBWS_HAMMER_MS");
    long duration = text != NULL ? atol(text) : small_loads() ? 500 : 2000;
    int threads = small_loads() ? 2 : 4;
    ws_server_config config = {.struct_size = sizeof config, .threads = 3, .on_open = on_open, .on_message = on_message,
                               .on_close = on_close, .max_send_queue = 65536, .close_timeout_ms = 500};
    pthread_t hammers[MOST];
    pthread_t clients[MOST];
    uint32_t seeds[2 * MOST];
    ws_stats stats;
    int i;

    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    snprintf(url, sizeof url, "%s", url_of(ws_server_port(server), "/"));
    OK(ws_server_start(server));
    for (i = 0; i < threads; i++) {
        seeds[2 * i] = 2463534242u + (uint32_t)i;
        seeds[2 * i + 1] = 88675123u + (uint32_t)i;
        thread_start(&clients[i], come_and_go, &seeds[2 * i]);
        thread_start(&hammers[i], hammer, &seeds[2 * i + 1]);
    }
    // The load is a stretch of time, at least, and some of everything.
    for (long long until = now_ms() + duration; now_ms() < until;)
        nap();
    WAIT_UNTIL(opened >= 10 && received >= 10);
    nobody_comes = 1;
    for (i = 0; i < threads; i++)
        thread_join(clients[i]);
    over = 1;
    for (i = 0; i < threads; i++)
        thread_join(hammers[i]);
    stats = server_stats(server);
    OK(ws_server_free(server));
    printf("    %llu calls, %llu connections, %llu messages came, %llu went, %llu dropped\n", calls, opened,
           (unsigned long long)stats.messages_received, (unsigned long long)stats.messages_sent,
           (unsigned long long)stats.messages_dropped);
    CHECK_INT(closed, opened);
    CHECK(opened >= client_opened_count);
    CHECK(stats.connections_total <= opened);
    CHECK(stats.messages_received <= received);
}

int main(int argc, char **argv)
{
    const char *text = getenv("LIBWS_HAMMER_MS");

    check_begin(argc, argv, 120 + (text == NULL ? 0 : (unsigned)atol(text) / 1000));
    RUN(everything_at_once);
    return check_end();
}
