// The wire between a client and a server of libws, for a test to cut, to hold, to slow down: it passes bytes on without
// knowing what they are, so that what is over TLS can be disturbed too.
#ifndef RELAY_H
#define RELAY_H

#include "raw.h"

#include <limits.h>

struct relay {
    int client;
    int server;
    pthread_t thread;
    int stop;     // atomic, as all that follow
    int held;     // nothing is read, so that the kernels' buffers fill
    long allowed; // so many more bytes pass from the server; the others are thrown away
    long trickle; // if not 0: so many bytes at a time from the client, with pauses
    int over;     // both have ended
};

static inline int relay_is_over(struct relay *relay)
{
    return __atomic_load_n(&relay->over, __ATOMIC_SEQ_CST);
}

static inline void relay_hold(struct relay *relay, int held)
{
    __atomic_store_n(&relay->held, held, __ATOMIC_SEQ_CST);
}

static inline void relay_trickle(struct relay *relay, long bytes)
{
    __atomic_store_n(&relay->trickle, bytes, __ATOMIC_SEQ_CST);
}

// From now on no more than so many bytes of the server's reach the client.
static inline void relay_allow(struct relay *relay, long bytes)
{
    __atomic_store_n(&relay->allowed, bytes, __ATOMIC_SEQ_CST);
}

// 0: it can be sent no more.
static inline int relay_send(int fd, const char *data, ssize_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, (size_t)len, MSG_NOSIGNAL);

        if (sent < 0)
            return 0;
        data += sent;
        len -= sent;
    }
    return 1;
}

// Passes on what there is. 0: that direction has ended.
static inline int relay_pass(struct relay *relay, int from, int to)
{
    char buffer[16384];
    long trickle = from == relay->client ? __atomic_load_n(&relay->trickle, __ATOMIC_SEQ_CST) : 0;
    ssize_t got = recv(from, buffer, trickle > 0 ? (size_t)trickle : sizeof buffer, MSG_DONTWAIT);
    ssize_t passed = got;

    if (got < 0 && errno == EAGAIN)
        return 1;
    if (got > 0 && from == relay->server) {
        long allowed = __atomic_load_n(&relay->allowed, __ATOMIC_SEQ_CST);

        passed = got < allowed ? got : (ssize_t)allowed;
        if (allowed < LONG_MAX)
            __atomic_sub_fetch(&relay->allowed, passed, __ATOMIC_SEQ_CST);
    }
    if (got <= 0 || !relay_send(to, buffer, passed)) {
        shutdown(to, SHUT_WR);
        return 0;
    }
    if (trickle > 0)
        usleep(50000 * (useconds_t)slowness());
    return 1;
}

static inline void *relay_run(void *argument)
{
    struct relay *relay = argument;
    struct pollfd ends[2] = {{.fd = relay->client, .events = POLLIN}, {.fd = relay->server, .events = POLLIN}};

    while (!__atomic_load_n(&relay->stop, __ATOMIC_SEQ_CST) && (ends[0].fd >= 0 || ends[1].fd >= 0)) {
        if (__atomic_load_n(&relay->held, __ATOMIC_SEQ_CST)) {
            nap();
            continue;
        }
        SYS(poll(ends, 2, 2));
        if (ends[0].fd >= 0 && ends[0].revents != 0 && !relay_pass(relay, relay->client, relay->server))
            ends[0].fd = -1;
        if (ends[1].fd >= 0 && ends[1].revents != 0 && !relay_pass(relay, relay->server, relay->client))
            ends[1].fd = -1;
    }
    __atomic_store_n(&relay->over, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// Takes a client in and joins it to the server at the port.
static inline void relay_open(struct relay *relay, int listener, uint16_t port)
{
    memset(relay, 0, sizeof *relay);
    relay->allowed = LONG_MAX;
    relay->client = raw_accept(listener);
    relay->server = raw_connect(port);
    thread_start(&relay->thread, relay_run, relay);
}

static inline void relay_stop(struct relay *relay)
{
    __atomic_store_n(&relay->stop, 1, __ATOMIC_SEQ_CST);
    thread_join(relay->thread);
    close(relay->server);
}

// The client finds the connection closed, or
static inline void relay_close(struct relay *relay)
{
    relay_stop(relay);
    close(relay->client);
}

// reset.
static inline void relay_reset(struct relay *relay)
{
    relay_stop(relay);
    raw_reset(relay->client);
}

#endif
