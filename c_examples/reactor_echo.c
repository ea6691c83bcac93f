// reactor_echo: an echo server on an epoll reactor of its own; libws is its WebSocket parser. Run: reactor_echo --port 9004
//
// Sockets, epoll and time are this program's; what the bytes mean is told by a ws_proto for each connection. Reading
// from a peer stops while something waits to be written to it, so that a slow one is held back and not buffered.

#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Bytes of one read, and so of the largest piece: fewer and larger ones cost less, and the kernel holds as much of a fast
// sender. All connections share the buffer: what is in it is used up before the next read.
#define READ_SIZE (512 * 1024)
// How often all connections are looked at for what is due by time.
#define SWEEP_MS 250
// A peer that takes no byte of its echo for so long is dropped.
#define STALL_MS 30000

struct options {
    const char *host;
    const char *port;
    unsigned long max_message;
    int pieces;
    int quiet;
};

struct conn {
    struct conn *next;
    struct conn **place; // where the pointer to this one is
    ws_proto *proto;
    int fd;
    uint32_t watched;    // for these epoll events
    int sending_ended;   // shutdown() was called
    uint64_t written_at; // when the peer last took something
};

struct reactor {
    const struct options *options;
    struct conn *conns;
    int epoll_fd;
    int listen_fd;
    int signal_fd;
    int accepting;
    uint64_t now; // read once in each turn
    unsigned char buffer[READ_SIZE];
};

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int watch(const struct reactor *reactor, int operation, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data = {.ptr = what}};

    return epoll_ctl(reactor->epoll_fd, operation, fd, &event);
}

static void drop(struct conn *conn)
{
    *conn->place = conn->next;
    if (conn->next != NULL)
        conn->next->place = conn->place;
    ws_proto_free(conn->proto);
    close(conn->fd); // which takes it out of epoll; nothing that matters can be lost any more
    free(conn);
}

static void echo(const struct reactor *reactor, struct conn *conn, const ws_proto_event *event)
{
    ws_status status;

    // A piece goes out as a fragment, before the rest has come: no message is ever stored.
    if (event->type == WS_PROTO_PIECE)
        status = ws_proto_send_fragment(conn->proto, event->kind, event->data, event->len, event->last);
    else
        status = ws_proto_send(conn->proto, event->kind, event->data, event->len);
    if (status == WS_OK || status == WS_ERR_CLOSED)
        return;
    fprintf(stderr, "reactor_echo: %s\n", ws_last_error());
    if (ws_proto_close(conn->proto, 1011, ws_strerror(status), reactor->now) != WS_OK)
        fprintf(stderr, "reactor_echo: close: %s\n", ws_last_error());
}

// Takes all events, which uses up what was fed.
static void take_events(const struct reactor *reactor, struct conn *conn)
{
    static const char page[] = "This is a WebSocket echo server.\n";
    ws_proto_event event = {.struct_size = sizeof event};
    ws_status status = WS_OK;

    while (status == WS_OK && (status = ws_proto_next(conn->proto, &event)) == WS_OK
           && event.type != WS_PROTO_NONE) {
        switch (event.type) {
        case WS_PROTO_REQUEST:
            status = ws_proto_accept(conn->proto, NULL, NULL, reactor->now);
            break;
        case WS_PROTO_HTTP:
            status = ws_proto_refuse(conn->proto, 200, "text/plain", NULL, page, sizeof page - 1, reactor->now);
            break;
        case WS_PROTO_OPEN:
            if (!reactor->options->quiet)
                fprintf(stderr, "%d: open, %s\n", conn->fd, ws_request_path(event.request));
            break;
        case WS_PROTO_MESSAGE:
        case WS_PROTO_PIECE:
            echo(reactor, conn, &event);
            break;
        case WS_PROTO_CLOSE:
        case WS_PROTO_ERROR:
            if (!reactor->options->quiet)
                fprintf(stderr, "%d: closed by %s, %s, code %u %s\n", conn->fd, event.by_peer ? "peer" : "us",
                        ws_strerror(event.status), (unsigned)event.code, event.reason);
            break;
        default:
            break; // pings are answered by libws
        }
    }
    if (status != WS_OK)
        fprintf(stderr, "reactor_echo: %s\n", ws_last_error());
}

// Returns -1 when the socket is of no more use.
static int flush(const struct reactor *reactor, struct conn *conn)
{
    const void *data;
    size_t len;

    while ((len = ws_proto_output(conn->proto, &data)) > 0) {
        ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        conn->written_at = reactor->now;
        if (ws_proto_written(conn->proto, (size_t)sent, reactor->now) != WS_OK)
            return -1;
    }
    return 0;
}

// Reads while nothing waits to be written, else waits until it can be.
static int rearm(const struct reactor *reactor, struct conn *conn)
{
    uint32_t wanted = ws_proto_buffered(conn->proto) == 0 ? EPOLLIN : EPOLLOUT;

    if (wanted == conn->watched)
        return 0;
    conn->watched = wanted;
    // So that libws does not miss pongs that are not read. Both answer WS_ERR_CLOSED once it is closing.
    if (wanted == EPOLLIN) {
        ws_proto_resume(conn->proto, reactor->now);
    } else {
        ws_proto_pause(conn->proto, reactor->now);
        conn->written_at = reactor->now;
    }
    return watch(reactor, EPOLL_CTL_MOD, conn->fd, wanted, conn);
}

// Everything that follows from a change to a connection. It may be gone afterwards.
static void go_on(const struct reactor *reactor, struct conn *conn)
{
    int broken;

    take_events(reactor, conn);
    broken = flush(reactor, conn);
    if (broken || ws_proto_wants_end(conn->proto) == WS_PROTO_END || rearm(reactor, conn) != 0) {
        drop(conn);
        return;
    }
    if (ws_proto_wants_end(conn->proto) == WS_PROTO_END_SENDING && !conn->sending_ended) {
        conn->sending_ended = 1;
        if (shutdown(conn->fd, SHUT_WR) != 0)
            drop(conn);
    }
}

static void on_event(struct reactor *reactor, struct conn *conn)
{
    if (conn->watched == EPOLLIN) {
        ssize_t len = recv(conn->fd, reactor->buffer, sizeof reactor->buffer, 0);
        ws_status status;

        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len > 0)
            status = ws_proto_feed(conn->proto, reactor->buffer, (size_t)len, reactor->now);
        else
            status = ws_proto_eof(conn->proto);
        if (status != WS_OK)
            fprintf(stderr, "reactor_echo: %s\n", ws_last_error());
    }
    go_on(reactor, conn);
}

static int add_conn(struct reactor *reactor, int fd)
{
    ws_proto_config config = {.struct_size = sizeof config, .role = WS_SERVER};
    struct conn *conn = calloc(1, sizeof *conn);
    int on = 1;

    if (conn == NULL)
        return -1;
    config.max_message_size = reactor->options->max_message;
    config.pieces = reactor->options->pieces;
    // Room for the echo of a message that came in parts and of all that one read can bring after it. More does not
    // come, since nothing is read while something is queued.
    config.max_send_queue = reactor->options->max_message + 2 * READ_SIZE;
    if (ws_proto_new(&config, reactor->now, &conn->proto) != WS_OK
        || watch(reactor, EPOLL_CTL_ADD, fd, EPOLLIN, conn) != 0) {
        ws_proto_free(conn->proto);
        free(conn);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->fd = fd;
    conn->watched = EPOLLIN;
    conn->next = reactor->conns;
    conn->place = &reactor->conns;
    if (conn->next != NULL)
        conn->next->place = &conn->next;
    reactor->conns = conn;
    return 0;
}

static void set_accepting(struct reactor *reactor, int accepting)
{
    if (reactor->accepting == accepting)
        return;
    reactor->accepting = accepting;
    if (watch(reactor, EPOLL_CTL_MOD, reactor->listen_fd, accepting ? EPOLLIN : 0, &reactor->listen_fd) != 0)
        perror("reactor_echo: epoll_ctl");
}

static void on_listener(struct reactor *reactor)
{
    int fd = accept4(reactor->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && add_conn(reactor, fd) != 0) {
        fprintf(stderr, "reactor_echo: no memory for a connection\n");
        close(fd);
    }
    // Out of fds, say: epoll would report the listener again and again. The next sweep tries again.
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        perror("reactor_echo: accept");
        set_accepting(reactor, 0);
    }
}

// What is due by time.
static void sweep(struct reactor *reactor)
{
    struct conn *conn;
    struct conn *next;

    set_accepting(reactor, 1);
    for (conn = reactor->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->watched == EPOLLOUT && reactor->now - conn->written_at >= STALL_MS) {
            drop(conn);
        } else if (ws_proto_deadline(conn->proto) <= reactor->now) {
            if (ws_proto_tick(conn->proto, reactor->now) != WS_OK)
                fprintf(stderr, "reactor_echo: %s\n", ws_last_error());
            go_on(reactor, conn);
        }
    }
}

// Returns 0 when a signal has ended it, -1 after an error.
static int loop(struct reactor *reactor)
{
    uint64_t swept = reactor->now;

    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(reactor->epoll_fd, events, 64, SWEEP_MS);
        int i;

        if (count < 0 && errno != EINTR) {
            perror("reactor_echo: epoll_wait");
            return -1;
        }
        reactor->now = monotonic_ms();
        // A connection is at most once among them, and dropped only when it is its turn.
        for (i = 0; i < count; i++) {
            if (events[i].data.ptr == &reactor->signal_fd)
                return 0;
            if (events[i].data.ptr == &reactor->listen_fd)
                on_listener(reactor);
            else
                on_event(reactor, events[i].data.ptr);
        }
        if (reactor->now - swept >= SWEEP_MS) {
            swept = reactor->now;
            sweep(reactor);
        }
    }
}

// Says goodbye and ends all connections, without waiting for answers.
static void end_all(struct reactor *reactor)
{
    while (reactor->conns != NULL) {
        struct conn *conn = reactor->conns;

        if (ws_proto_is_open(conn->proto) && ws_proto_close(conn->proto, 1001, NULL, reactor->now) == WS_OK)
            flush(reactor, conn);
        drop(conn);
    }
}

static int open_listener(const struct options *options)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int on = 1;
    int fd;
    int error = getaddrinfo(options->host, options->port, &hints, &found);

    if (error != 0) {
        fprintf(stderr, "reactor_echo: %s: %s\n", options->host, gai_strerror(error));
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1024) != 0) {
        perror("reactor_echo: listen");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

// With --port 0 only the kernel knows the port.
static int announce(int listen_fd, const char *host)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char port[8];

    if (getsockname(listen_fd, (struct sockaddr *)&address, &len) != 0
        || getnameinfo((struct sockaddr *)&address, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) {
        fprintf(stderr, "reactor_echo: the port is unknown\n");
        return -1;
    }
    if (printf(strchr(host, ':') == NULL ? "listening on ws://%s:%s\n" : "listening on ws://[%s]:%s\n", host, port) < 0
        || fflush(stdout) != 0) {
        perror("reactor_echo: stdout");
        return -1;
    }
    return 0;
}

static int open_reactor(struct reactor *reactor)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    reactor->now = monotonic_ms();
    reactor->accepting = 1;
    reactor->listen_fd = open_listener(reactor->options);
    if (reactor->listen_fd < 0)
        return -1;
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0
        || (reactor->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0
        || (reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0
        || watch(reactor, EPOLL_CTL_ADD, reactor->signal_fd, EPOLLIN, &reactor->signal_fd) != 0
        || watch(reactor, EPOLL_CTL_ADD, reactor->listen_fd, EPOLLIN, &reactor->listen_fd) != 0) {
        perror("reactor_echo");
        return -1;
    }
    return announce(reactor->listen_fd, reactor->options->host);
}

static void close_reactor(struct reactor *reactor)
{
    end_all(reactor);
    if (reactor->epoll_fd >= 0)
        close(reactor->epoll_fd);
    if (reactor->signal_fd >= 0)
        close(reactor->signal_fd);
    if (reactor->listen_fd >= 0)
        close(reactor->listen_fd);
}

static void print_help(void)
{
    puts("usage: reactor_echo [options]\n"
         "Sends every WebSocket message back. Prints \"listening on ws://HOST:PORT\" when it is ready.\n"
         "\n"
         "  --host HOST          address to listen at (127.0.0.1)\n"
         "  --port PORT          port; 0 picks a free one (9004)\n"
         "  --max-message BYTES  largest message taken (1048576)\n"
         "  --pieces             echo messages in pieces as they come, without storing them\n"
         "  --quiet              no line for each connection\n"
         "  --help               this text\n"
         "\n"
         "Exit status: 0 when ended by Ctrl-C or SIGTERM, 1 after an error.");
}

// Reads a number from min to max. Complains and returns -1 if text is none.
static int read_number(const char *option, const char *text, unsigned long min, unsigned long max,
                       unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= min && *out <= max)
        return 0;
    fprintf(stderr, "reactor_echo: --%s wants a number from %lu to %lu\n", option, min, max);
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { HOST = 1, PORT, MAX_MESSAGE, PIECES, QUIET, HELP };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"max-message", required_argument, NULL, MAX_MESSAGE},
        {"pieces", no_argument, NULL, PIECES},
        {"quiet", no_argument, NULL, QUIET},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    unsigned long port;
    int option;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case HOST:
            options->host = optarg;
            break;
        case PORT:
            bad = read_number("port", optarg, 0, 65535, &port);
            options->port = optarg;
            break;
        case MAX_MESSAGE:
            // A quarter of the address space, so that the queue's size cannot overflow.
            bad = read_number("max-message", optarg, 1, SIZE_MAX / 4, &options->max_message);
            break;
        case PIECES:
            options->pieces = 1;
            break;
        case QUIET:
            options->quiet = 1;
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind < argc) {
        fprintf(stderr, "reactor_echo: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.host = "127.0.0.1", .port = "9004", .max_message = 1024 * 1024};
    static struct reactor reactor = {.epoll_fd = -1, .listen_fd = -1, .signal_fd = -1};
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    reactor.options = &options;
    result = open_reactor(&reactor);
    if (result == 0)
        result = loop(&reactor);
    close_reactor(&reactor);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
