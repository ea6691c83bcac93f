// Peers made by hand, for what a well-behaved library would never send: sockets that speak HTTP and WebSocket
// frames byte by byte, as a client or as a server. Every read has a deadline; what does not come is a failure.
#ifndef RAW_H
#define RAW_H

#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

// First bytes of frames: FIN and the opcode.
enum {
    RAW_CONTINUATION = 0x80,
    RAW_TEXT = 0x81,
    RAW_BINARY = 0x82,
    RAW_CLOSE = 0x88,
    RAW_PING = 0x89,
    RAW_PONG = 0x8a,
    RAW_FIN = 0x80
};

// The sample key of RFC 6455 section 1.3 and its answer.
#define RAW_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define RAW_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define RAW_UPGRADE                \
    "Host: 127.0.0.1\r\n"          \
    "Connection: Upgrade\r\n"      \
    "Upgrade: websocket\r\n"       \
    "Sec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: " RAW_KEY "\r\n"

// --- sockets ---

static inline void raw_set_timeout(int fd, long long ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    SYS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    SYS(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
}

static inline int raw_connect_to(const struct sockaddr *address, socklen_t len)
{
    int fd = (int)SYS(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int one = 1;

    raw_set_timeout(fd, deadline_ms());
    if (address->sa_family != AF_UNIX)
        SYS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    SYS(connect(fd, address, len));
    return fd;
}

static inline int raw_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return raw_connect_to((const struct sockaddr *)&address, sizeof address);
}

static inline int raw_connect6(uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    address.sin6_addr = in6addr_loopback;
    return raw_connect_to((const struct sockaddr *)&address, sizeof address);
}

static inline int raw_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    CHECK(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    return raw_connect_to((const struct sockaddr *)&address, sizeof address);
}

// A socket that listens at 127.0.0.1, and its port.
static inline int raw_listen(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = (int)SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SYS(bind(fd, (struct sockaddr *)&address, len));
    SYS(listen(fd, 64));
    SYS(getsockname(fd, (struct sockaddr *)&address, &len));
    *port = ntohs(address.sin_port);
    raw_set_timeout(fd, deadline_ms());
    return fd;
}

static inline int raw_accept(int listener)
{
    int fd = (int)SYS(accept4(listener, NULL, NULL, SOCK_CLOEXEC));

    raw_set_timeout(fd, deadline_ms());
    return fd;
}

static inline int have_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int have;

    if (fd < 0)
        return 0;
    address.sin6_addr = in6addr_loopback;
    have = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return have;
}

// Ends the connection with a TCP reset.
static inline void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(fd);
}

static inline void raw_send(int fd, const void *data, size_t len)
{
    const unsigned char *next = data;

    while (len > 0) {
        ssize_t sent = send(fd, next, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            FAIL("send: %s", strerror(errno));
        next += sent;
        len -= (size_t)sent;
    }
}

static inline void raw_puts(int fd, const char *text)
{
    raw_send(fd, text, strlen(text));
}

// Reads len bytes. 0 when the peer ended the connection before the first one, in whatever way.
static inline int raw_read(int fd, void *data, size_t len)
{
    unsigned char *next = data;
    size_t left = len;

    while (left > 0) {
        ssize_t got = recv(fd, next, left, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            FAIL("nothing came in %lld ms (%zu of %zu bytes are here)", deadline_ms(), len - left, len);
        if (got <= 0 && left == len)
            return 0;
        if (got <= 0)
            FAIL("the connection ended after %zu of %zu bytes", len - left, len);
        next += got;
        left -= (size_t)got;
    }
    return 1;
}

// Waits for the end of the connection; what else comes is thrown away.
static inline void raw_drain(int fd)
{
    char buffer[65536];
    ssize_t got;

    do
        got = recv(fd, buffer, sizeof buffer, 0);
    while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0 && errno == EAGAIN)
        FAIL("the connection is still there after %lld ms", deadline_ms());
}

// The connection ends, and nothing comes before.
static inline void raw_expect_end(int fd)
{
    unsigned char byte;

    if (raw_read(fd, &byte, 1))
        FAIL("byte 0x%02x came in place of the end of the connection", byte);
}

// --- HTTP ---

// Reads a head up to its empty line and no byte more; NUL-terminates it. 0: the connection ended instead.
static inline int raw_head(int fd, char *head, size_t size)
{
    size_t len = 0;

    do {
        if (len + 2 > size)
            FAIL("the head is longer than %zu bytes", size);
        if (!raw_read(fd, head + len, 1)) {
            if (len == 0)
                return 0;
            FAIL("the connection ended within a head: %.*s", (int)len, head);
        }
        len++;
    } while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0);
    head[len] = '\0';
    return 1;
}

// The status of a response head.
static inline int raw_status(const char *head)
{
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        FAIL("not an HTTP/1.1 response: %s", head);
    return atoi(head + 9);
}

// Copies the value of a header into value; 0 if there is none.
static inline int raw_header(const char *head, const char *name, char *value, size_t size)
{
    const char *line = strstr(head, "\r\n");
    size_t name_len = strlen(name);

    while (line != NULL && strncmp(line, "\r\n\r\n", 4) != 0) {
        line += 2;
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *begin = line + name_len + 1;
            size_t len;

            begin += strspn(begin, " \t");
            len = strcspn(begin, "\r");
            CHECK(len < size);
            memcpy(value, begin, len);
            value[len] = '\0';
            return 1;
        }
        line = strstr(line, "\r\n");
    }
    return 0;
}

// Reads the body of an answer, as its Content-Length says; NUL-terminates it.
static inline size_t raw_body(int fd, const char *head, char *body, size_t size)
{
    char text[32];
    size_t len;

    if (!raw_header(head, "Content-Length", text, sizeof text))
        FAIL("no Content-Length in: %s", head);
    len = (size_t)atol(text);
    CHECK(len < size);
    if (len > 0 && !raw_read(fd, body, len))
        FAIL("no body came");
    body[len] = '\0';
    return len;
}

// Sends a GET with an upgrade, with extra header lines, and returns the status. head may be NULL.
static inline int raw_try_upgrade(int fd, const char *target, const char *extra, char *head, size_t size)
{
    char request[8192];
    char answer[8192];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" RAW_UPGRADE "%s\r\n", target, extra);

    CHECK(len > 0 && (size_t)len < sizeof request);
    raw_send(fd, request, (size_t)len);
    if (!raw_head(fd, head == NULL ? answer : head, head == NULL ? sizeof answer : size))
        FAIL("the connection ended without an answer");
    return raw_status(head == NULL ? answer : head);
}

static inline void raw_upgrade(int fd)
{
    char head[8192];
    char accept[64];

    CHECK_INT(raw_try_upgrade(fd, "/", "", head, sizeof head), 101);
    CHECK(raw_header(head, "Sec-WebSocket-Accept", accept, sizeof accept));
    CHECK_STR(accept, RAW_ACCEPT);
}

// A WebSocket connection to a server on this machine.
static inline int raw_open(uint16_t port)
{
    int fd = raw_connect(port);

    raw_upgrade(fd);
    return fd;
}

// --- frames ---

struct raw_frame {
    int first;   // FIN, RSV and opcode
    int masked;
    size_t len;
    unsigned char *data; // a NUL follows; lives until the next frame is read in this thread
};

// Where raw_read_frame() keeps the payload.
static __thread unsigned char *raw_buffer;
static __thread size_t raw_capacity;

// Frees it; for threads that read frames and end.
static inline void raw_thread_end(void)
{
    free(raw_buffer);
    raw_buffer = NULL;
    raw_capacity = 0;
}

static inline size_t raw_frame_head(unsigned char *head, int first, int masked, uint64_t len)
{
    int i;

    head[0] = (unsigned char)first;
    if (len < 126) {
        head[1] = (unsigned char)(masked | (int)len);
        return 2;
    }
    if (len < 65536) {
        head[1] = (unsigned char)(masked | 126);
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        return 4;
    }
    head[1] = (unsigned char)(masked | 127);
    for (i = 0; i < 8; i++)
        head[2 + i] = (unsigned char)(len >> (56 - 8 * i));
    return 10;
}

static const unsigned char raw_mask[4] = {0x37, 0xfa, 0x21, 0x3d};

// A client's frame: masked.
static inline void raw_frame(int fd, int first, const void *data, size_t len)
{
    unsigned char *frame = check_alloc(len + 14);
    size_t head = raw_frame_head(frame, first, 0x80, len);
    size_t i;

    memcpy(frame + head, raw_mask, 4);
    for (i = 0; i < len; i++)
        frame[head + 4 + i] = ((const unsigned char *)data)[i] ^ raw_mask[i % 4];
    raw_send(fd, frame, head + 4 + len);
    free(frame);
}

// A server's frame: not masked.
static inline void raw_plain_frame(int fd, int first, const void *data, size_t len)
{
    unsigned char head[14];

    raw_send(fd, head, raw_frame_head(head, first, 0, len));
    raw_send(fd, data, len);
}

static inline void raw_text(int fd, const char *text)
{
    raw_frame(fd, RAW_TEXT, text, strlen(text));
}

// Announces a frame whose payload is to follow: head and mask key only. The key is 0, so that payload is sent as it is.
static inline void raw_announce(int fd, int first, uint64_t len)
{
    unsigned char head[14] = {0};
    size_t used = raw_frame_head(head, first, 0x80, len);

    memset(head + used, 0, 4);
    raw_send(fd, head, used + 4);
}

static inline void raw_close_frame(int fd, int code, const char *reason)
{
    unsigned char payload[125];
    size_t len = strlen(reason);

    CHECK(len <= 123);
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    memcpy(payload + 2, reason, len);
    raw_frame(fd, RAW_CLOSE, payload, len + 2);
}

// Reads a frame, which must be encoded in the shortest way and have no reserved bit set. 0: the connection ended.
static inline int raw_read_frame(int fd, struct raw_frame *frame)
{
    unsigned char head[14];
    unsigned char key[4] = {0};
    uint64_t len;
    size_t i;

    if (!raw_read(fd, head, 1))
        return 0;
    CHECK(raw_read(fd, head + 1, 1));
    frame->first = head[0];
    CHECK_INT(head[0] & 0x70, 0);
    frame->masked = head[1] >> 7;
    len = head[1] & 0x7f;
    if (len == 126) {
        CHECK(raw_read(fd, head + 2, 2));
        len = (uint64_t)head[2] << 8 | head[3];
        CHECK(len > 125);
    } else if (len == 127) {
        CHECK(raw_read(fd, head + 2, 8));
        for (len = 0, i = 0; i < 8; i++)
            len = len << 8 | head[2 + i];
        CHECK(len > 65535 && len < (1ull << 32));
    }
    if (frame->masked)
        CHECK(raw_read(fd, key, 4));
    if (len + 1 > raw_capacity) {
        free(raw_buffer);
        raw_capacity = (size_t)len + 1;
        raw_buffer = check_alloc(raw_capacity);
    }
    if (len > 0 && !raw_read(fd, raw_buffer, (size_t)len))
        FAIL("the connection ended within a frame");
    for (i = 0; i < len; i++)
        raw_buffer[i] ^= key[i % 4];
    raw_buffer[len] = '\0';
    frame->data = raw_buffer;
    frame->len = (size_t)len;
    return 1;
}

// The next frame that is no Ping; Pings are answered, as a client does.
static inline int raw_read_data(int fd, struct raw_frame *frame)
{
    while (raw_read_frame(fd, frame)) {
        if (frame->first != RAW_PING)
            return 1;
        raw_frame(fd, RAW_PONG, frame->data, frame->len);
    }
    return 0;
}

#define RAW_EXPECT(fd, first, data, len) raw_expect_at(__FILE__, __LINE__, fd, first, data, len)
#define RAW_EXPECT_TEXT(fd, text) raw_expect_at(__FILE__, __LINE__, fd, RAW_TEXT, text, strlen(text))
// A Close frame from a server with that code, then nothing more. reason NULL: any.
#define RAW_EXPECT_CLOSE(fd, code, reason) raw_expect_close_at(__FILE__, __LINE__, fd, code, reason)

static inline void raw_expect_at(const char *file, int line, int fd, int first, const void *data, size_t len)
{
    struct raw_frame frame;

    if (!raw_read_data(fd, &frame))
        fail_at(file, line, "the connection ended; a frame with 0x%02x was to come", first);
    if (frame.first != first || frame.len != len || (len > 0 && memcmp(frame.data, data, len) != 0))
        fail_at(file, line, "frame 0x%02x of %zu bytes \"%.60s\" came, not 0x%02x of %zu bytes", frame.first,
                frame.len, (const char *)frame.data, first, len);
}

static inline void raw_expect_close_at(const char *file, int line, int fd, int code, const char *reason)
{
    struct raw_frame frame;
    int got;

    if (!raw_read_data(fd, &frame))
        fail_at(file, line, "the connection ended without a Close frame");
    if (frame.first != RAW_CLOSE)
        fail_at(file, line, "frame 0x%02x of %zu bytes came, not a Close", frame.first, frame.len);
    got = frame.len < 2 ? 1005 : frame.data[0] << 8 | frame.data[1];
    if (got != code)
        fail_at(file, line, "Close came with %d %s, not %d", got, frame.len < 2 ? "" : (char *)frame.data + 2, code);
    if (reason != NULL && strcmp((const char *)frame.data + (frame.len < 2 ? 0 : 2), reason) != 0)
        fail_at(file, line, "Close came with reason \"%s\", not \"%s\"", (const char *)frame.data + 2, reason);
}

// Sends a text and waits for it to come back: everything sent before it has been dealt with.
static inline void raw_echo(int fd, const char *text)
{
    raw_text(fd, text);
    RAW_EXPECT_TEXT(fd, text);
}

#endif
