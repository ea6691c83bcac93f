// For the programs beside it: checks that name file, line and values and end the program with 1, bounded waiting, and
// peers made by hand. Written in what C11 and C++11 have in common, since every program is compiled as both.
//
// LIBWS_TEST_SLOW=N stretches every deadline N times (Valgrind); LIBWS_TEST_SMALL=1 makes loads small.
#ifndef DROPIN_H
#define DROPIN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "ws_server.h"

#define UNUSED __attribute__((unused)) static

#define FAIL(...)                                          \
    do {                                                   \
        fflush(stdout);                                    \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);    \
        fprintf(stderr, __VA_ARGS__);                      \
        fputc('\n', stderr);                               \
        _exit(1);                                          \
    } while (0)
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
// Waits for a condition that other threads bring about.
#define WAIT_FOR(condition)                                                         \
    do {                                                                            \
        long long until_ = now_ms() + deadline_ms();                                \
        while (!(condition)) {                                                      \
            if (now_ms() > until_)                                                  \
                FAIL("did not happen in %lld ms: %s", deadline_ms(), #condition);   \
            ws_delayms(1);                                                          \
        }                                                                           \
    } while (0)
#define RUN(test)               \
    do {                        \
        puts("  " #test);       \
        fflush(stdout);         \
        test();                 \
    } while (0)

UNUSED void check_failed(const char *file, int line, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    _exit(1);
}

UNUSED void check_int(const char *file, int line, const char *what, long long actual, long long expected)
{
    if (actual == expected)
        return;
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, actual, expected);
    _exit(1);
}

UNUSED long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

UNUSED int slowness(void)
{
    const char *text = getenv("LIBWS_TEST_SLOW");

    return text != NULL && atoi(text) > 1 ? atoi(text) : 1;
}

UNUSED int small_loads(void)
{
    const char *text = getenv("LIBWS_TEST_SMALL");

    return text != NULL && text[0] == '1';
}

UNUSED long long deadline_ms(void)
{
    return 10000LL * slowness();
}

UNUSED void watchdog(int number)
{
    static const char text[] = "watchdog: the program hangs\n";

    (void)number;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(1);
}

UNUSED void begin(unsigned limit_s)
{
    signal(SIGALRM, watchdog);
    alarm(limit_s * (unsigned)slowness());
}

UNUSED pthread_t thread_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

// --- the server side of the tests: a port that is free ---

// A server at a port that the kernel chose.
UNUSED Ws_Server *serve(const char *path, void *priv, WsOnLogin login, WsOnMessage message, WsOnExit leave)
{
    Ws_Server *wss = ws_server_create(0, path, priv, login, message, leave);

    CHECK(wss != NULL);
    WAIT_FOR(*(volatile int *)&wss->fd != 0);
    return wss;
}

// --- peers by hand ---

#define REQUEST_HEADERS            \
    "Host: 127.0.0.1\r\n"          \
    "Connection: Upgrade\r\n"      \
    "Upgrade: websocket\r\n"       \
    "Sec-WebSocket-Version: 13\r\n"
#define REQUEST "GET / HTTP/1.1\r\n" REQUEST_HEADERS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

UNUSED void put(int fd, const void *data, size_t len)
{
    const char *next = (const char *)data;

    while (len > 0) {
        ssize_t sent = send(fd, next, len, MSG_NOSIGNAL);

        if (sent < 0)
            FAIL("send: %s", strerror(errno));
        next += sent;
        len -= (size_t)sent;
    }
}

// Exactly len bytes, or a failure.
UNUSED void get(int fd, void *data, size_t len)
{
    char *next = (char *)data;

    while (len > 0) {
        ssize_t got = recv(fd, next, len, 0);

        if (got <= 0)
            FAIL("%zu bytes are missing: %s", len, got == 0 ? "end" : strerror(errno));
        next += got;
        len -= (size_t)got;
    }
}

// A head, up to its blank line.
UNUSED void get_head(int fd, char *head, size_t size)
{
    size_t len = 0;

    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        CHECK(len + 1 < size);
        get(fd, head + len, 1);
        len++;
    }
    head[len] = 0;
}

// Reads until the end or a reset; how many bytes came.
UNUSED size_t drain(int fd)
{
    char buffer[4096];
    size_t total = 0;
    ssize_t got;

    while ((got = recv(fd, buffer, sizeof buffer, 0)) > 0)
        total += (size_t)got;
    if (got < 0 && errno != ECONNRESET)
        FAIL("recv: %s", strerror(errno));
    return total;
}

UNUSED void set_deadline(int fd)
{
    struct timeval time;

    time.tv_sec = (time_t)(deadline_ms() / 1000);
    time.tv_usec = 0;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
}

UNUSED int dial(int port)
{
    struct sockaddr_in address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd > 0);
    set_deadline(fd);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        FAIL("connect: %s", strerror(errno));
    return fd;
}

// A raw client whose upgrade was answered.
UNUSED int dial_open(int port)
{
    char head[1024];
    int fd = dial(port);

    put(fd, REQUEST, strlen(REQUEST));
    get_head(fd, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return fd;
}

// A frame; masked ones with a fixed key. Bytes written to out, which has room for 14 more than len.
UNUSED size_t frame(unsigned char *out, int first, const void *data, size_t len, int masked)
{
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    const unsigned char *from = (const unsigned char *)data;
    unsigned char *to = out;
    size_t i;

    *to++ = (unsigned char)first;
    if (len < 126) {
        *to++ = (unsigned char)(len | (masked ? 0x80 : 0));
    } else if (len < 65536) {
        *to++ = (unsigned char)(126 | (masked ? 0x80 : 0));
        *to++ = (unsigned char)(len >> 8);
        *to++ = (unsigned char)len;
    } else {
        *to++ = (unsigned char)(127 | (masked ? 0x80 : 0));
        for (i = 0; i < 8; i++)
            *to++ = (unsigned char)((unsigned long long)len >> (56 - 8 * i));
    }
    if (masked) {
        memcpy(to, key, 4);
        to += 4;
    }
    for (i = 0; i < len; i++)
        to[i] = masked ? from[i] ^ key[i % 4] : from[i];
    return (size_t)(to - out) + len;
}

UNUSED void put_frame(int fd, int first, const void *data, size_t len, int masked)
{
    unsigned char *out = (unsigned char *)malloc(len + 14);

    CHECK(out != NULL);
    put(fd, out, frame(out, first, data, len, masked));
    free(out);
}

// The next frame has to be this one.
UNUSED void get_frame(int fd, int first, const void *data, size_t len, int masked)
{
    unsigned char head[14];
    unsigned char *body = (unsigned char *)malloc(len + 1);
    size_t i;
    size_t head_len = len < 126 ? 2 : len < 65536 ? 4 : 10;

    CHECK(body != NULL);
    get(fd, head, 2);
    CHECK_INT(head[0], first);
    CHECK_INT(head[1], (int)(len < 126 ? len : len < 65536 ? 126 : 127) | (masked ? 0x80 : 0));
    get(fd, head + 2, head_len - 2 + (masked ? 4 : 0));
    get(fd, body, len);
    for (i = 0; masked && i < len; i++)
        body[i] ^= head[head_len + i % 4];
    CHECK(memcmp(body, data, len) == 0);
    free(body);
}

// --- two ends of one connection ---

struct pair {
    int ours; // for ws_send() and ws_recv()
    int peer; // raw
    int server; // our role
};

// Ours is the server's end, by ws_replyClient().
UNUSED struct pair pair_server(void)
{
    struct pair pair;
    char head[1024];
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    set_deadline(fds[1]);
    CHECK(ws_replyClient(fds[0], REQUEST, (int32_t)strlen(REQUEST), NULL) > 0);
    get_head(fds[1], head, sizeof head);
    CHECK(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL);
    pair.ours = fds[0];
    pair.peer = fds[1];
    pair.server = 1;
    return pair;
}

// Waits for what ws_recv() tells: anything but "nothing yet".
UNUSED int32_t recv_wait(int fd, void *buffer, int32_t size, Ws_DataType *type)
{
    long long until = now_ms() + deadline_ms();

    for (;;) {
        struct pollfd watched;
        int32_t got = ws_recv(fd, buffer, size, type);

        if (got != 0 || *type != WDT_NULL)
            return got;
        if (now_ms() > until)
            FAIL("nothing came in %lld ms", deadline_ms());
        watched.fd = fd;
        watched.events = POLLIN;
        poll(&watched, 1, 100);
    }
}

UNUSED int readable(int fd)
{
    struct pollfd watched;

    watched.fd = fd;
    watched.events = POLLIN;
    return poll(&watched, 1, 0) == 1;
}

#endif
