// Measures an echo server over TLS with clients of libws, each in a thread of its own: messages there and back in a
// second. Usage: tls_load URL CA CLIENTS SIZE DEPTH SECONDS; DEPTH messages of each client are under way at a time.

#define _POSIX_C_SOURCE 200809L

#include <libws.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *payload;
static size_t size;
static int depth;
static atomic_ulong count;
static atomic_int stopping;

static void fail(const char *why)
{
    fprintf(stderr, "tls_load: %s\n", why);
    exit(1);
}

static void say(ws_client *client)
{
    if (ws_client_send(client, WS_BINARY, payload, size) != WS_OK)
        fail(ws_last_error());
}

static void on_open(ws_client *client, void *user)
{
    int i;

    (void)user;
    for (i = 0; i < depth; i++)
        say(client);
}

static void on_message(ws_client *client, const ws_message *message, void *user)
{
    (void)user;
    if (message->len != size)
        fail("an echo of another size");
    atomic_fetch_add(&count, 1);
    if (!stopping)
        say(client);
}

static void on_close(ws_client *client, const ws_close_info *info, void *user)
{
    (void)info;
    (void)user;
    if (!stopping)
        fail(ws_client_error(client));
}

static void rest(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&time, NULL);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    int clients, i;
    double began, took;
    unsigned long before;

    if (argc != 7)
        fail("URL CA CLIENTS SIZE DEPTH SECONDS");
    clients = atoi(argv[3]);
    size = (size_t)atol(argv[4]);
    depth = atoi(argv[5]);
    payload = calloc(1, size);
    for (i = 0; i < clients; i++) {
        ws_client_config config = {.struct_size = sizeof config, .url = argv[1]};
        ws_client *client;

        config.tls_ca = argv[2];
        config.max_send_queue = 64 * 1024 * 1024;
        config.on_open = on_open;
        config.on_message = on_message;
        config.on_close = on_close;
        if (ws_client_new(&config, &client) != WS_OK || ws_client_start(client) != WS_OK)
            fail(ws_last_error());
    }
    rest(0.5);
    before = count;
    began = now();
    rest(atof(argv[6]));
    took = now() - began;
    printf("%.0f\n", (double)(count - before) / took);
    fflush(stdout);
    stopping = 1;
    _Exit(0);
}
