// In steady state a message costs no allocation: echo, broadcast, publish, ping, on the server and on the client.
// malloc and its kin are this program's own here, which count; libws.a and libws.so both call these.

#include "steady.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

// Everything is one thread.
static size_t allocations;

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    allocations++;
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    allocations++;
    *out = __libc_memalign(alignment, size);
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

// The buffers that are kept grow to their size in the first rounds; from then on nothing is allocated.
static void expect_none(const struct work *work, round_fn round)
{
    struct lanes lanes = {0};
    ws_server *server = steady_server(&lanes);
    size_t before;
    int i;

    steady_connect(&lanes, work, server);
    for (i = 0; i < WARM_UP; i++)
        round(&lanes, server, work);
    before = allocations;
    for (i = 0; i < ROUNDS; i++)
        round(&lanes, server, work);
    if (allocations != before)
        FAIL("%s: %zu allocations in %zu messages", work->name, allocations - before,
             ROUNDS * work->conns * work->depth);
    lanes_free(&lanes);
    OK(ws_server_free(server));
}

static void the_counter_counts(void)
{
    size_t before = allocations;
    ws_server *server = NULL;
    struct lanes lanes = {0};

    server = steady_server(&lanes);
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
    static const struct work work = {"broadcast", 100, 20, 1, RAW_TEXT};

    expect_none(&work, steady_broadcast);
}

static void client_echo(void)
{
    static const struct work work = {"client", 1, 20, 16, RAW_TEXT};
    struct lanes lanes = {0};
    ws_client *client = steady_client(&lanes, &work);
    size_t before;
    int i;

    for (i = 0; i < WARM_UP; i++)
        steady_client_round(&lanes, client);
    before = allocations;
    for (i = 0; i < ROUNDS; i++)
        steady_client_round(&lanes, client);
    CHECK_INT(allocations - before, 0);
    lanes_free(&lanes);
    OK(ws_client_free(client));
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
    RUN(client_echo);
    return check_end();
}
