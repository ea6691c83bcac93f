// A client in a program with a resolver of its own, so that names mean what the tests want: one.test and two.test are this
// machine, many.test is what the program says, slow0.test and the like take as long as it says.
#ifndef NAMES_H
#define NAMES_H

#include "addresses.h"
#include "harness.h"

static struct recorder client;

static int lookups;              // begun so far
static int numbered_lookups;     // those of slow0.test and so on
static int lookups_held;         // slow.test waits while this is set
static const char *fake_list[16]; // what many.test means

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo **end = out;
    int i;

    (void)service;
    (void)hints;
    *out = NULL;
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    if (strncmp(node, "slow", 4) == 0) {
        if (node[4] != '.')
            __atomic_add_fetch(&numbered_lookups, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&lookups_held, __ATOMIC_SEQ_CST))
            nap();
        put_address(&end, "127.0.0.1");
    } else if (strcmp(node, "many.test") == 0) {
        for (i = 0; i < 16 && fake_list[i] != NULL; i++)
            put_address(&end, fake_list[i]);
    } else if (strcmp(node, "one.test") == 0 || strcmp(node, "two.test") == 0) {
        put_address(&end, "127.0.0.1");
    } else {
        return EAI_NONAME;
    }
    return 0;
}

static inline const char *url_at(const char *host, uint16_t port, const char *target)
{
    static char url[256];

    snprintf(url, sizeof url, "ws://%s:%u%s", host, (unsigned)port, target);
    return url;
}

static inline ws_client_config begin(const char *url)
{
    recorder_init(&client);
    return client_config(&client, url);
}

static inline void start(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
    OK(ws_client_start(client.client));
}

static inline void refused(const ws_client_config *config, const char *why)
{
    CHECK_STATUS(ws_client_new(config, &client.client), WS_ERR_INVALID_ARG);
    CHECK_HAS(ws_last_error(), why);
    recorder_free(&client);
}

#endif
