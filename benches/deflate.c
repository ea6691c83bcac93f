// What compression is worth and what it costs: for each preset, kind of data and size of message the ratio, the time to
// compress and to inflate one, and the memory that one end of a connection keeps. Run by benches/deflate.
//
// Two ws_proto in one thread, without sockets. Telemetry is what /proc of this machine tells, anew for each message; log
// lines are those of a file; random bytes are the kernel's.
#define _GNU_SOURCE
#include <libws.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGES = 400, LARGEST = 16384 };

static const char *const data_names[] = {"telemetry", "log lines", "random"};
static const char *const mode_names[] = {"small", "balanced", "best"};
static const size_t sizes[] = {100, 1024, LARGEST};
static char *corpus[3]; // MESSAGES * LARGEST bytes each

static void die(const char *what)
{
    fprintf(stderr, "deflate: %s: %s\n", what, ws_last_error());
    exit(1);
}

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

// A record of telemetry: numbers of this machine as they are now.
static size_t sample(char *out, size_t room, unsigned number)
{
    char line[512];
    size_t used = (size_t)snprintf(out, room, "{\"seq\":%u,\"time\":%.3f", number, now_us() / 1e6);
    static const char *const files[] = {"/proc/stat", "/proc/meminfo", "/proc/vmstat"};
    FILE *file = fopen(files[number % 3], "r");
    unsigned skip = number / 3 % 8;

    while (file != NULL && fgets(line, sizeof line, file) != NULL && used + 120 < room) {
        char name[64];
        unsigned long long value;

        if (skip > 0) {
            skip--;
            continue;
        }
        if (sscanf(line, "%60[^: ]%*[: ]%llu", name, &value) == 2)
            used += (size_t)snprintf(out + used, room - used, ",\"%s\":%llu", name, value);
        if (used > 400)
            break;
    }
    if (file != NULL)
        fclose(file);
    used += (size_t)snprintf(out + used, room - used, "}\n");
    return used;
}

static void fill(const char *log)
{
    size_t total = (size_t)MESSAGES * LARGEST;
    size_t at = 0;
    unsigned number = 0;
    FILE *file;
    int i;

    for (i = 0; i < 3; i++)
        corpus[i] = calloc(1, total + 1024);
    while (at < total)
        at += sample(corpus[0] + at, 1024, number++);
    for (at = 0; at < total;) {
        size_t got;

        file = fopen(log, "r");
        if (file == NULL || (got = fread(corpus[1] + at, 1, total - at, file)) == 0) {
            perror(log);
            exit(1);
        }
        at += got;
        fclose(file);
    }
    file = fopen("/dev/urandom", "r");
    if (file == NULL || fread(corpus[2], 1, total, file) != total)
        exit(1);
    fclose(file);
}

struct pair {
    ws_proto *client;
    ws_proto *server;
};

// Carries bytes from one end to the other and takes the events there.
static size_t carry(ws_proto *from, ws_proto *to)
{
    ws_proto_event event = {.struct_size = sizeof event};
    const void *data;
    size_t len;
    size_t total = 0;

    while ((len = ws_proto_output(from, &data)) > 0) {
        char *copy = malloc(len);

        memcpy(copy, data, len);
        if (ws_proto_written(from, len, 0) != WS_OK || ws_proto_feed(to, copy, len, 0) != WS_OK)
            die("carry");
        do {
            if (ws_proto_next(to, &event) != WS_OK)
                die("next");
            if (event.type == WS_PROTO_ERROR)
                die(event.reason);
            if (event.type == WS_PROTO_REQUEST && ws_proto_accept(to, NULL, NULL, 0) != WS_OK)
                die("accept");
        } while (event.type != WS_PROTO_NONE);
        free(copy);
        total += len;
    }
    return total;
}

static struct pair pair_open(int mode)
{
    const ws_deflate_options options = {.struct_size = sizeof options, .min_size = 1};
    ws_proto_config client = {.struct_size = sizeof client, .role = WS_CLIENT, .url = "ws://localhost", .deflate = mode};
    ws_proto_config server = {.struct_size = sizeof server, .role = WS_SERVER, .deflate = mode};
    struct pair pair;

    if (mode != WS_DEFLATE_OFF)
        client.deflate_options = server.deflate_options = &options;
    if (ws_proto_new(&client, 0, &pair.client) != WS_OK || ws_proto_new(&server, 0, &pair.server) != WS_OK)
        die("new");
    carry(pair.client, pair.server);
    carry(pair.server, pair.client);
    return pair;
}

static void pair_end(struct pair pair)
{
    ws_proto_free(pair.client);
    ws_proto_free(pair.server);
}

// Bytes that one end keeps after a message each way.
static double memory_of(int mode)
{
    enum { PAIRS = 20 };
    struct pair pairs[PAIRS];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    double cost;
    int i;

    for (i = 0; i < PAIRS; i++) {
        pairs[i] = pair_open(mode);
        if (ws_proto_send(pairs[i].server, WS_BINARY, corpus[0], 1024) != WS_OK
            || ws_proto_send(pairs[i].client, WS_BINARY, corpus[0], 1024) != WS_OK)
            die("send");
        carry(pairs[i].server, pairs[i].client);
        carry(pairs[i].client, pairs[i].server);
    }
    cost = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / PAIRS / 2;
    for (i = 0; i < PAIRS; i++)
        pair_end(pairs[i]);
    return cost;
}

static void measure(int mode, int kind, size_t size)
{
    struct pair pair = pair_open(mode);
    double packing = 0;
    double inflating = 0;
    size_t bytes = 0;
    int i;

    for (i = 0; i < MESSAGES; i++) {
        double began = now_us();
        double sent;

        // From the server: a client would mask as well.
        if (ws_proto_send(pair.server, WS_BINARY, corpus[kind] + (size_t)i * size, size) != WS_OK)
            die("send");
        sent = now_us();
        bytes += carry(pair.server, pair.client);
        packing += sent - began;
        inflating += now_us() - sent;
    }
    printf(" %.2f, %.1f + %.1f us |", (double)bytes / MESSAGES / (double)size, packing / MESSAGES, inflating / MESSAGES);
    fflush(stdout);
    pair_end(pair);
}

int main(int argc, char **argv)
{
    double plain;
    int kind;
    int mode;
    size_t i;

    fill(argc > 1 ? argv[1] : "/var/log/dpkg.log");
    printf("| | small | balanced | best |\n|---|---|---|---|\n");
    for (kind = 0; kind < 3; kind++)
        for (i = 0; i < 3; i++) {
            printf("| %s, %zu B |", data_names[kind], sizes[i]);
            for (mode = WS_DEFLATE_SMALL; mode <= WS_DEFLATE_BEST; mode++)
                measure(mode, kind, sizes[i]);
            printf("\n");
        }
    plain = memory_of(WS_DEFLATE_OFF);
    for (mode = WS_DEFLATE_SMALL; mode <= WS_DEFLATE_BEST; mode++)
        printf("%s: compressor and inflater %.0f KiB\n", mode_names[mode - 1], (memory_of(mode) - plain) / 1024);
    return 0;
}
