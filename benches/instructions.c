// The work that benches/instructions counts: a server or a client of libws and its peers in one thread.
// Usage: instructions CASE ROUNDS. Prints how many messages that were; with a round of 0, the cases.

#include "steady.h"

static const struct work works[] = {
    {"a", 1, 20, 1, RAW_TEXT},        {"b", 100, 20, 1, RAW_TEXT},     {"c", 100, 20, 16, RAW_TEXT},
    {"d", 1000, 512, 1, RAW_BINARY},  {"e", 10, 65536, 1, RAW_BINARY}, {"ping", 100, 20, 1, 0x89},
    {"client", 1, 20, 1, RAW_TEXT},   {"client16", 1, 20, 16, RAW_TEXT},
    {"broadcast", 1000, 20, 1, RAW_TEXT},
};

int main(int argc, char **argv)
{
    const struct work *work = NULL;
    struct lanes lanes = {0};
    ws_server *server = NULL;
    ws_client *client = NULL;
    long rounds = argc == 3 ? atol(argv[2]) : 0;
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
    } else {
        server = steady_server(&lanes);
        steady_connect(&lanes, work, server);
    }
    for (i = 0; i < (size_t)rounds; i++) {
        if (client != NULL)
            steady_client_round(&lanes, client);
        else if (strcmp(work->name, "broadcast") == 0)
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
