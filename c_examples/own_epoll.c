// own_epoll: a libws server inside a program's own epoll loop, next to a timer and signals. Run: own_epoll --port 9002
//
// ws_server_fd() becomes readable whenever ws_server_poll(server, 0) has something to do. So the program waits
// where it always did, and everything happens in its one thread. Here a timerfd sends "tick N" to all connections
// each second; what a connection sends is printed.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct options {
    const char *host;
    unsigned long port;
};

// What the loop waits for. The fds are -1 while they are not open.
struct program {
    ws_server *server;
    int epoll_fd;
    int timer_fd;
    int signal_fd;
    unsigned long long ticks;
};

static void on_open(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    (void)server;
    (void)user;
    fprintf(stderr, "%llu: open, from %s\n", (unsigned long long)conn, ws_request_peer(request));
}

static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    (void)server;
    (void)user;
    if (message->kind == WS_TEXT)
        fprintf(stderr, "%llu: %s\n", (unsigned long long)conn, (const char *)message->data);
    else
        fprintf(stderr, "%llu: %zu bytes\n", (unsigned long long)conn, message->len);
}

static void on_close(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    (void)server;
    (void)user;
    fprintf(stderr, "%llu: closed, %s\n", (unsigned long long)conn, ws_strerror(info->status));
}

// The timer has expired, maybe more than once if the loop was late.
static int on_timer(struct program *program)
{
    uint64_t expirations;
    char text[32];
    int len;
    ws_status status;

    if (read(program->timer_fd, &expirations, sizeof expirations) != sizeof expirations) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        perror("own_epoll: timer");
        return -1;
    }
    program->ticks += expirations;
    len = snprintf(text, sizeof text, "tick %llu", program->ticks);
    status = ws_server_broadcast(program->server, WS_TEXT, text, (size_t)len);
    if (status != WS_OK)
        fprintf(stderr, "own_epoll: tick: %s\n", ws_strerror(status));
    return 0;
}

static int watch(const struct program *program, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    if (epoll_ctl(program->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        perror("own_epoll: epoll_ctl");
        return -1;
    }
    return 0;
}

static int open_timer(void)
{
    struct itimerspec each_second = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd >= 0 && timerfd_settime(fd, 0, &each_second, NULL) == 0)
        return fd;
    perror("own_epoll: timerfd");
    if (fd >= 0)
        close(fd);
    return -1;
}

// Turns Ctrl-C and SIGTERM from interruptions into something to read.
static int open_signals(void)
{
    sigset_t signals;
    int fd;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        perror("own_epoll: sigprocmask");
        return -1;
    }
    fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        perror("own_epoll: signalfd");
    return fd;
}

static int open_loop(struct program *program)
{
    program->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (program->epoll_fd < 0) {
        perror("own_epoll: epoll_create1");
        return -1;
    }
    program->signal_fd = open_signals();
    program->timer_fd = open_timer();
    if (program->signal_fd < 0 || program->timer_fd < 0)
        return -1;
    if (watch(program, ws_server_fd(program->server)) != 0 || watch(program, program->timer_fd) != 0
        || watch(program, program->signal_fd) != 0)
        return -1;
    return 0;
}

static void close_loop(struct program *program)
{
    // Nothing was written to these, so there is nothing that close() could lose.
    if (program->epoll_fd >= 0)
        close(program->epoll_fd);
    if (program->timer_fd >= 0)
        close(program->timer_fd);
    if (program->signal_fd >= 0)
        close(program->signal_fd);
}

// Returns 0 when a signal has ended the loop, -1 after an error.
static int loop(struct program *program)
{
    struct epoll_event events[8];

    for (;;) {
        int count = epoll_wait(program->epoll_fd, events, 8, -1);
        int i;

        if (count < 0 && errno != EINTR) {
            perror("own_epoll: epoll_wait");
            return -1;
        }
        for (i = 0; i < count; i++) {
            int fd = events[i].data.fd;

            if (fd == program->signal_fd)
                return 0;
            if (fd == program->timer_fd && on_timer(program) != 0)
                return -1;
            if (fd == ws_server_fd(program->server) && ws_server_poll(program->server, 0) != WS_OK) {
                fprintf(stderr, "own_epoll: %s\n", ws_last_error());
                return -1;
            }
        }
    }
}

static void print_help(void)
{
    puts("usage: own_epoll [options]\n"
         "Sends \"tick N\" to every WebSocket connection each second, from an epoll loop of its own.\n"
         "Prints \"listening on ws://HOST:PORT\" when it is ready.\n"
         "\n"
         "  --host HOST  address to listen at (127.0.0.1)\n"
         "  --port PORT  port; 0 picks a free one (9002)\n"
         "  --help       this text\n"
         "\n"
         "Exit status: 0 when ended by Ctrl-C or SIGTERM, 1 after an error.");
}

static int read_port(const char *text, unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out <= 65535)
        return 0;
    fprintf(stderr, "own_epoll: --port wants a number from 0 to 65535\n");
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { HOST = 1, PORT, HELP };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case HOST:
            options->host = optarg;
            break;
        case PORT:
            bad = read_port(optarg, &options->port);
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind < argc) {
        fprintf(stderr, "own_epoll: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    return bad ? -1 : 0;
}

// Writes "ws://HOST:PORT"; an IPv6 address gets its brackets.
static int make_url(char *url, size_t size, const char *host, unsigned port)
{
    int bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    int len = snprintf(url, size, "ws://%s%s%s:%u", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port);

    if (len < 0 || (size_t)len >= size) {
        fprintf(stderr, "own_epoll: --host is too long\n");
        return -1;
    }
    return 0;
}

static ws_server *make_server(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    config.on_open = on_open;
    config.on_message = on_message;
    config.on_close = on_close;
    if (ws_server_new(&config, &server) != WS_OK)
        fprintf(stderr, "own_epoll: %s\n", ws_last_error());
    return server;
}

static int listen_and_announce(ws_server *server, const struct options *options)
{
    char url[300];

    if (make_url(url, sizeof url, options->host, (unsigned)options->port) != 0)
        return -1;
    if (ws_server_listen(server, url) != WS_OK) {
        fprintf(stderr, "own_epoll: %s\n", ws_last_error());
        return -1;
    }
    // With --port 0 only the server knows the port.
    if (make_url(url, sizeof url, options->host, ws_server_port(server)) != 0)
        return -1;
    if (printf("listening on %s\n", url) < 0 || fflush(stdout) != 0) {
        perror("own_epoll: stdout");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.host = "127.0.0.1", .port = 9002};
    struct program program = {.epoll_fd = -1, .timer_fd = -1, .signal_fd = -1};
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    program.server = make_server();
    if (program.server == NULL)
        return EXIT_FAILURE;

    result = open_loop(&program);
    if (result == 0)
        result = listen_and_announce(program.server, &options);
    if (result == 0)
        result = loop(&program);

    if (ws_server_free(program.server) != WS_OK) {
        fprintf(stderr, "own_epoll: %s\n", ws_last_error());
        result = -1;
    }
    close_loop(&program);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
