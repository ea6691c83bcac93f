// echo_server: sends every message back and loses none, however slow the peer. Run: echo_server --port 9001
//
// ws_server_send() never blocks: it answers WS_ERR_AGAIN when the peer does not read and its queue is full. Here
// the one message that was refused is kept, and reading from that peer is paused until on_writable. With --pieces a message
// is sent back piece by piece as it comes, so that one of any size is never stored.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the command line says.
struct options {
    const char *host;
    const char *path;
    const char *tls_cert; // NULL: ws://, else wss://
    const char *tls_key;
    const char *tls_client_ca;
    unsigned long port;
    unsigned long threads;
    unsigned long max_message;
    unsigned long handshake_timeout;
    unsigned long ping_interval;
    int reuse_port;
    unsigned long pong_timeout;
    int deflate;
    int pieces;
    int quiet;
};

// With --pieces: bytes that are read at once, so that no piece is larger. With the head of its frame it fills 1 MiB: what
// keeps to such boundaries is copied faster by the kernel.
static const size_t piece_size = 1024 * 1024 - 10;

// A message or piece that the send queue had no room for; the conn_user of its connection.
struct held {
    ws_kind kind;
    int last; // of a piece
    size_t len;
    unsigned char data[];
};

// For the signal handler only. NULL when there is nothing to stop.
static ws_server *volatile running;

static void on_signal(int number)
{
    (void)number;
    ws_server_stop(running);
}

static int catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        perror("echo_server: sigaction");
        return -1;
    }
    return 0;
}

static void on_open(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    const struct options *options = user;
    ws_deflate_info deflate = {.struct_size = sizeof deflate};

    if (options->quiet)
        return;
    if (ws_server_deflate(server, conn, &deflate) != WS_OK)
        deflate.active = 0;
    fprintf(stderr, "%llu: open, from %s%s\n", (unsigned long long)conn, ws_request_peer(request),
            deflate.active ? ", with compression" : "");
}

static ws_status send_back(ws_server *server, ws_conn_id conn, const struct options *options, ws_kind kind,
                           const void *data, size_t len, int last)
{
    if (options->pieces)
        return ws_server_send_piece(server, conn, kind, data, len, last);
    return ws_server_send(server, conn, kind, data, len);
}

// Keeps a copy of what was refused and stops reading, so that nothing more can come before it is sent.
static ws_status hold(ws_server *server, ws_conn_id conn, ws_kind kind, const void *data, size_t len, int last)
{
    struct held *held = malloc(sizeof *held + len);
    ws_status status;

    if (held == NULL)
        return WS_ERR_NO_MEMORY;
    held->kind = kind;
    held->last = last;
    held->len = len;
    memcpy(held->data, data, len);

    status = ws_server_set_conn_user(server, conn, held);
    if (status != WS_OK) {
        free(held);
        return status;
    }
    return ws_server_pause(server, conn);
}

// Ends a connection whose echo cannot be sent. WS_ERR_CLOSED is no failure of ours: on_close is on its way.
static void give_up(ws_server *server, ws_conn_id conn, ws_status status)
{
    if (status == WS_ERR_CLOSED)
        return;
    fprintf(stderr, "echo_server: %s\n", ws_strerror(status));
    status = ws_server_close(server, conn, 1011, ws_strerror(status));
    if (status != WS_OK && status != WS_ERR_CLOSED)
        fprintf(stderr, "echo_server: close: %s\n", ws_last_error());
}

static void echo(ws_server *server, ws_conn_id conn, const struct options *options, ws_kind kind, const void *data,
                 size_t len, int last)
{
    ws_status status = send_back(server, conn, options, kind, data, len, last);

    if (status == WS_ERR_AGAIN)
        status = hold(server, conn, kind, data, len, last);
    if (status != WS_OK)
        give_up(server, conn, status);
}

static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    echo(server, conn, user, message->kind, message->data, message->len, 1);
}

static void on_piece(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user)
{
    echo(server, conn, user, piece->kind, piece->data, piece->len, piece->last);
}

static void on_writable(ws_server *server, ws_conn_id conn, void *user)
{
    struct held *held = ws_server_conn_user(server, conn);
    ws_status status;

    if (held == NULL)
        return;
    status = send_back(server, conn, user, held->kind, held->data, held->len, held->last);
    if (status == WS_ERR_AGAIN)
        return; // on_writable comes again
    if (status == WS_OK)
        status = ws_server_set_conn_user(server, conn, NULL);
    if (status == WS_OK) {
        free(held);
        status = ws_server_resume(server, conn);
    }
    if (status != WS_OK)
        give_up(server, conn, status);
}

static void on_close(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    const struct options *options = user;

    free(ws_server_conn_user(server, conn));
    if (!options->quiet)
        fprintf(stderr, "%llu: closed by %s, %s, code %u %s\n", (unsigned long long)conn,
                info->by_peer ? "peer" : "us", ws_strerror(info->status), (unsigned)info->code, info->reason);
}

static void print_help(void)
{
    puts("usage: echo_server [options]\n"
         "Sends every WebSocket message back. Prints \"listening on ws://HOST:PORT\" when it is ready.\n"
         "\n"
         "  --host HOST             address to listen at (127.0.0.1)\n"
         "  --port PORT             port; 0 picks a free one (9001)\n"
         "  --path PATH             serve this path only (any)\n"
         "  --threads N             event-loop threads, 1 to 64 (1)\n"
         "  --max-message BYTES     largest message taken (1048576; with --pieces any)\n"
         "  --handshake-timeout MS  time for a request to arrive (5000)\n"
         "  --ping-interval MS      ping after that much silence, 0: never (30000)\n"
         "  --reuse-port            share the port with other processes that say so too\n"
         "  --pong-timeout MS       silence after that before a peer counts as gone (10000)\n"
         "  --deflate [MODE]        compress, where the client agrees: small, balanced (balanced) or best\n"
         "  --pieces                send back piece by piece what comes, storing no message\n"
         "  --tls-cert FILE         certificate chain (PEM): serve wss:// instead of ws://\n"
         "  --tls-key FILE          its key (PEM)\n"
         "  --tls-client-ca FILE    clients must have a certificate signed by one of these (PEM)\n"
         "  --quiet                 no line for each connection\n"
         "  --help                  this text\n"
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
    fprintf(stderr, "echo_server: --%s wants a number from %lu to %lu\n", option, min, max);
    return -1;
}

// Reads the name of a way to compress, which may follow --deflate as its argument or as the next word of the command line.
// Without one it is "balanced". Complains and returns -1 if it is none.
static int read_deflate(const char *name, int argc, char **argv, int *mode)
{
    static const char *const names[] = {"small", "balanced", "best"};
    static const int modes[] = {WS_DEFLATE_SMALL, WS_DEFLATE_BALANCED, WS_DEFLATE_BEST};
    size_t i;

    for (i = 0; i < 3; i++) {
        if (name != NULL && strcmp(name, names[i]) == 0) {
            *mode = modes[i];
            return 0;
        }
        if (name == NULL && optind < argc && strcmp(argv[optind], names[i]) == 0) {
            *mode = modes[i];
            optind++;
            return 0;
        }
    }
    *mode = WS_DEFLATE_BALANCED;
    if (name == NULL)
        return 0;
    fprintf(stderr, "echo_server: --deflate wants small, balanced or best\n");
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum {
        HOST = 1,
        PORT,
        PATH,
        THREADS,
        MAX_MESSAGE,
        HANDSHAKE_TIMEOUT,
        PING_INTERVAL,
        PONG_TIMEOUT,
        REUSE_PORT,
        DEFLATE,
        PIECES,
        TLS_CERT,
        TLS_KEY,
        TLS_CLIENT_CA,
        QUIET,
        HELP
    };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"path", required_argument, NULL, PATH},
        {"threads", required_argument, NULL, THREADS},
        {"max-message", required_argument, NULL, MAX_MESSAGE},
        {"handshake-timeout", required_argument, NULL, HANDSHAKE_TIMEOUT},
        {"ping-interval", required_argument, NULL, PING_INTERVAL},
        {"reuse-port", no_argument, NULL, REUSE_PORT},
        {"pong-timeout", required_argument, NULL, PONG_TIMEOUT},
        {"deflate", optional_argument, NULL, DEFLATE},
        {"pieces", no_argument, NULL, PIECES},
        {"tls-cert", required_argument, NULL, TLS_CERT},
        {"tls-key", required_argument, NULL, TLS_KEY},
        {"tls-client-ca", required_argument, NULL, TLS_CLIENT_CA},
        {"quiet", no_argument, NULL, QUIET},
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
            bad = read_number("port", optarg, 0, 65535, &options->port);
            break;
        case PATH:
            options->path = optarg;
            break;
        case THREADS:
            bad = read_number("threads", optarg, 1, 64, &options->threads);
            break;
        case MAX_MESSAGE:
            // A quarter of the address space, so that the queue's size below cannot overflow.
            bad = read_number("max-message", optarg, 1, SIZE_MAX / 4, &options->max_message);
            break;
        case HANDSHAKE_TIMEOUT:
            bad = read_number("handshake-timeout", optarg, 1, UINT32_MAX - 1, &options->handshake_timeout);
            break;
        case PING_INTERVAL:
            bad = read_number("ping-interval", optarg, 0, UINT32_MAX - 1, &options->ping_interval);
            break;
        case PONG_TIMEOUT:
            bad = read_number("pong-timeout", optarg, 1, UINT32_MAX - 1, &options->pong_timeout);
            break;
        case REUSE_PORT:
            options->reuse_port = 1;
            break;
        case DEFLATE:
            bad = read_deflate(optarg, argc, argv, &options->deflate);
            break;
        case PIECES:
            options->pieces = 1;
            break;
        case TLS_CERT:
            options->tls_cert = optarg;
            break;
        case TLS_KEY:
            options->tls_key = optarg;
            break;
        case TLS_CLIENT_CA:
            options->tls_client_ca = optarg;
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
        fprintf(stderr, "echo_server: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    return bad ? -1 : 0;
}

// Writes "ws://HOST:PORT", or "wss://..."; an IPv6 address gets its brackets.
static int make_url(char *url, size_t size, const struct options *options, unsigned port)
{
    const char *host = options->host;
    int bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    int len = snprintf(url, size, "ws%s://%s%s%s:%u", options->tls_cert != NULL ? "s" : "", bare_ipv6 ? "[" : "",
                       host, bare_ipv6 ? "]" : "", port);

    if (len < 0 || (size_t)len >= size) {
        fprintf(stderr, "echo_server: --host is too long\n");
        return -1;
    }
    return 0;
}

static ws_server *make_server(struct options *options)
{
    ws_server_config config = {.struct_size = sizeof config};
    size_t largest = options->max_message;
    ws_server *server;

    config.threads = (uint32_t)options->threads;
    config.path = options->path;
    config.max_connections = 100000;
    config.max_message_size = options->max_message;
    if (options->pieces) {
        config.receive_buffer_size = piece_size;
        largest = piece_size;
        config.on_piece = on_piece;
    } else {
        config.on_message = on_message;
    }
    // Two of the largest: when on_writable comes, half the queue is free and the one held surely fits.
    config.max_send_queue = 2 * largest + 64 * 1024;
    config.handshake_timeout_ms = (uint32_t)options->handshake_timeout;
    config.ping_interval_ms = options->ping_interval == 0 ? WS_NEVER : (uint32_t)options->ping_interval;
    config.pong_timeout_ms = (uint32_t)options->pong_timeout;
    config.deflate = options->deflate;
    config.tls_cert = options->tls_cert;
    config.tls_key = options->tls_key;
    config.tls_client_ca = options->tls_client_ca;
    config.on_open = on_open;
    config.on_writable = on_writable;
    config.on_close = on_close;
    config.user = options;
    config.reuse_port = options->reuse_port;

    if (ws_server_new(&config, &server) != WS_OK)
        fprintf(stderr, "echo_server: %s\n", ws_last_error());
    return server;
}

static int serve(ws_server *server, const struct options *options)
{
    char url[300];

    if (make_url(url, sizeof url, options, (unsigned)options->port) != 0)
        return -1;
    if (ws_server_listen(server, url) != WS_OK) {
        fprintf(stderr, "echo_server: %s\n", ws_last_error());
        return -1;
    }
    // With --port 0 only the server knows the port.
    if (make_url(url, sizeof url, options, ws_server_port(server)) != 0)
        return -1;
    if (printf("listening on %s\n", url) < 0 || fflush(stdout) != 0) {
        perror("echo_server: stdout");
        return -1;
    }
    if (ws_server_run(server) != WS_OK) {
        fprintf(stderr, "echo_server: %s\n", ws_last_error());
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .host = "127.0.0.1",
        .port = 9001,
        .threads = 1,
        .handshake_timeout = 5000,
        .ping_interval = 30000,
        .pong_timeout = 10000,
    };
    ws_server *server;
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (options.max_message == 0 && !options.pieces)
        options.max_message = 1024 * 1024;
    server = make_server(&options);
    if (server == NULL)
        return EXIT_FAILURE;

    running = server;
    result = catch_signals();
    if (result == 0)
        result = serve(server, &options);
    running = NULL; // a late signal must not meet a freed server

    if (ws_server_free(server) != WS_OK) {
        fprintf(stderr, "echo_server: %s\n", ws_last_error());
        result = -1;
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
