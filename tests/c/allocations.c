// In steady state a message costs no allocation: echo, broadcast, publish, ping, on the server and on the client. And what
// is told when there is no memory to begin with.
// malloc and its kin are this program's own here, which count; libws.a and libws.so both call these.

#include "steady.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

// Everything is one thread, where that is counted.
static size_t allocations;

// So many large blocks of zeros are still to be had.
enum { LARGE_BLOCK = 200000 };
static int large_left = 1000000;

// This thread gets no other memory.
static _Thread_local int none_left;

void *malloc(size_t size)
{
    allocations++;
    return none_left ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    if (count * size >= LARGE_BLOCK ? large_left-- <= 0 : none_left)
        return NULL;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    allocations++;
    return none_left ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return none_left ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    allocations++;
    *out = none_left ? NULL : __libc_memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}

void free(void *block)
{
    __libc_free(block);
}

enum { WARM_UP = 20, ROUNDS = 50 };

typedef void (*round_fn)(struct lanes *lanes, ws_server *server, const struct work *work);

static void echo_round(struct lanes *lanes, ws_server *server, const struct work *work)
{
    (void)work;
    steady_round(lanes, server);
}

static void publish_it(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    (void)conn;
    (void)user;
    OK(ws_server_publish(server, STEADY_TOPIC, message->kind, message->data, message->len));
}

// One connection sends what all get.
static void publish_round(struct lanes *lanes, ws_server *server, const struct work *work)
{
    (void)work;
    raw_send(lanes->fds[0], lanes->out, lanes->out_len);
    counted_poll(server);
    steady_collect_all(lanes, server);
}

// The buffers that are kept grow to their size in the first rounds; from then on nothing is allocated.
static size_t allocations_of(const struct work *work, round_fn round)
{
    struct lanes lanes = {.on_message = round == publish_round ? publish_it : NULL};
    ws_server *server = steady_server(&lanes, work);
    size_t before;
    size_t counted;
    int i;

    steady_connect(&lanes, work, server);
    for (i = 0; i < WARM_UP; i++)
        round(&lanes, server, work);
    before = allocations;
    for (i = 0; i < ROUNDS; i++)
        round(&lanes, server, work);
    counted = allocations - before;
    lanes_free(&lanes);
    OK(ws_server_free(server));
    return counted;
}

static void expect_none(const struct work *work, round_fn round)
{
    size_t counted = allocations_of(work, round);

    if (counted > 0)
        FAIL("%s: %zu allocations in %zu messages", work->name, counted, ROUNDS * work->conns * work->depth);
}

static void the_counter_counts(void)
{
    static const struct work work = {"none", 0, 0, 0, RAW_TEXT};
    size_t before = allocations;
    ws_server *server = NULL;
    struct lanes lanes = {0};

    server = steady_server(&lanes, &work);
    CHECK(allocations > before);
    OK(ws_server_free(server));
}

static void echo_of_small_messages(void)
{
    static const struct work work = {"echo", 100, 20, 1, RAW_TEXT};

    expect_none(&work, echo_round);
}

static void echo_of_many_messages_at_once(void)
{
    static const struct work work = {"echo, 16 at once", 100, 20, 16, RAW_TEXT};

    expect_none(&work, echo_round);
}

static void echo_of_middling_messages(void)
{
    static const struct work work = {"echo of 512 B", 200, 512, 1, RAW_BINARY};

    expect_none(&work, echo_round);
}

// Each lies whole in the receive buffer and is written straight from there.
static void echo_of_large_messages(void)
{
    static const struct work work = {"echo of 60,000 B", 5, 60000, 1, RAW_BINARY};

    expect_none(&work, echo_round);
}

static void pings_from_peers(void)
{
    static const struct work work = {"ping", 100, 20, 1, RAW_PING};

    expect_none(&work, echo_round);
}

static void broadcasts(void)
{
    static const struct work works[] = {
        {"broadcast", 100, 20, 1, RAW_TEXT},
        {"broadcast of 5000 B", 100, 5000, 1, RAW_TEXT},
        {"broadcast of 60,000 B", 20, 60000, 1, RAW_BINARY},
    };
    size_t i;

    for (i = 0; i < sizeof works / sizeof *works; i++)
        expect_none(&works[i], steady_broadcast);
}

static void publishing(void)
{
    static const struct work works[] = {
        {"publish", 100, 20, 1, RAW_TEXT},
        {"publish of 5000 B", 100, 5000, 1, RAW_TEXT},
        {"publish of 60,000 B", 20, 60000, 1, RAW_BINARY},
    };
    size_t i;

    for (i = 0; i < sizeof works / sizeof *works; i++)
        expect_none(&works[i], publish_round);
}

// It is compressed once, into memory of its own, however many get it.
static void broadcasts_that_are_compressed(void)
{
    static const struct work work = {"compressed broadcast", 100, 1000, 1, RAW_TEXT | STEADY_PACKED};
    ws_server_config config = {.struct_size = sizeof config, .deflate = WS_DEFLATE_SMALL};
    ws_server *server;
    ws_status status = ws_server_new(&config, &server);
    size_t counted;

    if (status == WS_ERR_UNSUPPORTED)
        return;
    OK(status);
    OK(ws_server_free(server));
    counted = allocations_of(&work, steady_broadcast);
    if (counted > 5 * ROUNDS)
        FAIL("%zu allocations in %d broadcasts to %zu", counted, ROUNDS, work.conns);
}

// The memory of a large broadcast is kept for the next, and freed when none follows.
static void the_frame_of_a_large_broadcast_is_given_back(void)
{
    static const struct work work = {"large broadcast", 5, 60000, 1, RAW_BINARY};
    struct lanes lanes = {0};
    ws_server *server = steady_server(&lanes, &work);
    size_t before;
    int i;

    steady_connect(&lanes, &work, server);
    for (i = 0; i < WARM_UP; i++)
        steady_broadcast(&lanes, server, &work);
    for (i = 0; i < 15; i++)
        OK(ws_server_poll(server, 100));
    before = allocations;
    steady_broadcast(&lanes, server, &work);
    CHECK(allocations > before);
    lanes_free(&lanes);
    OK(ws_server_free(server));
}

static void expect_none_of_client(const struct work *work)
{
    struct lanes lanes = {0};
    ws_client *client = steady_client(&lanes, work);
    size_t before;
    int i;

    for (i = 0; i < WARM_UP; i++)
        steady_client_round(&lanes, client);
    before = allocations;
    for (i = 0; i < ROUNDS; i++)
        steady_client_round(&lanes, client);
    if (allocations != before)
        FAIL("%s: %zu allocations in %zu messages", work->name, allocations - before, ROUNDS * work->depth);
    lanes_free(&lanes);
    OK(ws_client_free(client));
}

static void client_echo(void)
{
    static const struct work works[] = {
        {"client", 1, 20, 16, RAW_TEXT},
        {"client, 5000 B", 1, 5000, 1, RAW_TEXT},
        {"client, 60,000 B", 1, 60000, 1, RAW_BINARY},
        {"client, 200,000 B", 1, 200000, 1, RAW_BINARY},
    };
    size_t i;

    for (i = 0; i < sizeof works / sizeof *works; i++)
        expect_none_of_client(&works[i]);
}

// There is no memory for what a thread needs: who starts it is told, and may try again later.
static void threads_without_memory(void)
{
    enum { THREADS = 3, PEERS = 6 };
    ws_server_config config = {.struct_size = sizeof config, .threads = THREADS, .on_message = steady_echo};
    ws_client_config client_config = {.struct_size = sizeof client_config};
    struct lanes lanes = {0};
    int plenty = large_left;
    ws_client *client;
    ws_server *server;
    int fds[PEERS];
    char url[64];
    int i;

    config.user = &lanes;
    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    for (i = 0; i < THREADS; i++) {
        // Each time one more has what it needs.
        large_left = i > 0;
        CHECK_STATUS(ws_server_start(server), WS_ERR_NO_MEMORY);
    }
    large_left = plenty;
    OK(ws_server_start(server));
    // Each thread serves.
    for (i = 0; i < PEERS; i++) {
        fds[i] = raw_open(ws_server_port(server));
        raw_echo(fds[i], "there");
    }
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", ws_server_port(server));
    client_config.url = url;
    OK(ws_client_new(&client_config, &client));
    large_left = 0;
    CHECK_STATUS(ws_client_start(client), WS_ERR_NO_MEMORY);
    large_left = plenty;
    OK(ws_client_start(client));
    OK(ws_client_free(client));
    for (i = 0; i < PEERS; i++)
        close(fds[i]);
    OK(ws_server_free(server));
}

static int to_the_end(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)server;
    (void)user;
    if (strcmp(ws_request_path(request), "/end") == 0)
        return 0;
    OK(ws_response_header(response, "Location", "/end"));
    return 302;
}

static void note_open(ws_client *client, void *user)
{
    (void)client;
    *(int *)user = 1;
}

// Memory ends at some step of an attempt that looks a name up and is redirected: it fails, and a later one does not.
static void attempts_without_memory(void)
{
    enum { STEPS = 12, TURNS = 20 };
    ws_server_config config = {.struct_size = sizeof config, .on_upgrade = to_the_end};
    ws_client_config client_config = {.struct_size = sizeof client_config, .on_open = note_open};
    ws_server *server;
    ws_client *client;
    char url[64];
    int steps;

    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    OK(ws_server_start(server));
    snprintf(url, sizeof url, "ws://localhost:%d/", ws_server_port(server));
    for (steps = 0; steps < STEPS; steps++) {
        int is_open = 0;
        int i;

        client_config.url = url;
        client_config.user = &is_open;
        client_config.max_redirects = 1;
        client_config.reconnect_min_ms = 1;
        client_config.reconnect_max_ms = 1;
        if (ws_client_new(&client_config, &client) == WS_ERR_UNSUPPORTED)
            break; // this build follows no redirects
        for (i = 0; i < steps && !is_open; i++)
            OK(ws_client_poll(client, 50));
        none_left = 1;
        for (i = 0; i < TURNS && !is_open; i++) {
            ws_status status = ws_client_poll(client, 2);

            if (status != WS_OK && status != WS_ERR_NO_MEMORY)
                FAIL("ws_client_poll answers %d", status);
        }
        none_left = 0;
        while (!is_open)
            OK(ws_client_poll(client, 50));
        OK(ws_client_free(client));
    }
    OK(ws_server_free(server));
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(the_counter_counts);
    RUN(echo_of_small_messages);
    RUN(echo_of_many_messages_at_once);
    RUN(echo_of_middling_messages);
    RUN(echo_of_large_messages);
    RUN(pings_from_peers);
    RUN(broadcasts);
    RUN(publishing);
    RUN(broadcasts_that_are_compressed);
    RUN(the_frame_of_a_large_broadcast_is_given_back);
    RUN(client_echo);
    RUN(threads_without_memory);
    RUN(attempts_without_memory);
    return check_end();
}
