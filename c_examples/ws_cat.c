// ws_cat: stdin lines out as text, messages in as lines. Run: ws_cat ws://127.0.0.1:9001, or with --once hello
//
// The client runs in this program's own poll(2) loop, beside stdin. When its send queue is full, stdin is left
// alone until on_writable: a fast producer is slowed down, not buffered without end.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libws.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_NOT_OPENED = 1,
    EXIT_LOST = 2,
    // The longest line from stdin, and so the largest message sent.
    LINE_MAX_BYTES = 16 * 1024 * 1024,
    // After the end of stdin: close when nothing has come for LINGER_MS, at the latest after LINGER_LIMIT_MS.
    LINGER_MS = 300,
    LINGER_LIMIT_MS = 2000,
};

// What is pinged to learn that the server has received all that was sent.
static const char END_MARK[] = "ws_cat: end of input";

struct options {
    const char *url;
    const char *once;
    const char *subprotocol;
    char *headers; // "Name: value\r\n" each, or NULL
    const char *proxy;
    unsigned long redirects;
    // wss://; NULL: not given
    const char *ca;
    const char *pin;
    const char *cert;
    const char *key;
    const char *server_name;
    long long clock_not_before;
    int insecure;
    unsigned long timeout;
    int deflate;
};

struct cat {
    ws_client *client;
    const char *once;

    int opened;  // on_open has come
    int closing; // our Close is sent or the connection has ended
    int failed;  // exit status 2, whatever the connection says
    int blocked; // the send queue is full: wait for on_writable

    // Bytes from stdin that are not sent yet.
    char *line;
    size_t len;
    size_t capacity;
    size_t scanned; // so many bytes of line hold no newline
    int end_of_input;
    int end_marked;      // the ping is sent
    long long close_at;  // milliseconds, 0: not yet
    long long close_limit;
};

// For the signal handler only. NULL when there is nothing to stop.
static ws_client *volatile running;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    ws_client_stop(running);
}

static int catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        perror("ws_cat: sigaction");
        return -1;
    }
    return 0;
}

static long long now_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        perror("ws_cat: clock_gettime"); // cannot happen on Linux
        exit(EXIT_LOST);
    }
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_now(struct cat *cat)
{
    ws_status status = ws_client_close(cat->client, 1000, NULL);

    cat->closing = 1;
    if (status != WS_OK && status != WS_ERR_CLOSED) {
        fprintf(stderr, "ws_cat: close: %s\n", ws_last_error());
        cat->failed = 1;
    }
}

static void fail(struct cat *cat, const char *what, const char *why)
{
    fprintf(stderr, "ws_cat: %s: %s\n", what, why);
    cat->failed = 1;
    close_now(cat);
}

static void on_open(ws_client *client, void *user)
{
    struct cat *cat = user;

    cat->opened = 1;
    if (cat->once != NULL && ws_client_send(client, WS_TEXT, cat->once, strlen(cat->once)) != WS_OK)
        fail(cat, "--once", ws_last_error());
}

static int print_message(const ws_message *message)
{
    const unsigned char *bytes = message->data;
    size_t i;

    if (message->kind == WS_TEXT) {
        if (fwrite(bytes, 1, message->len, stdout) != message->len)
            return -1;
    } else {
        for (i = 0; i < message->len; i++)
            if (printf("%02x", bytes[i]) < 0)
                return -1;
    }
    return putchar('\n') == EOF || fflush(stdout) != 0 ? -1 : 0;
}

static void on_message(ws_client *client, const ws_message *message, void *user)
{
    struct cat *cat = user;

    (void)client;
    if (print_message(message) != 0) {
        fail(cat, "stdout", strerror(errno));
        return;
    }
    if (cat->close_at != 0)
        cat->close_at = now_ms() + LINGER_MS;
    if (cat->once != NULL)
        close_now(cat);
}

static void on_writable(ws_client *client, void *user)
{
    struct cat *cat = user;

    (void)client;
    cat->blocked = 0;
}

// The server has received all our lines. Its answers have come by now or come soon.
static void on_pong(ws_client *client, const void *data, size_t len, void *user)
{
    struct cat *cat = user;

    (void)client;
    if (len == sizeof END_MARK - 1 && memcmp(data, END_MARK, len) == 0 && cat->close_at == 0) {
        cat->close_at = now_ms() + LINGER_MS;
        cat->close_limit = now_ms() + LINGER_LIMIT_MS;
    }
}

static void on_close(ws_client *client, const ws_close_info *info, void *user)
{
    struct cat *cat = user;

    cat->closing = 1;
    if (info->status != WS_OK) {
        const char *error = ws_client_error(client);

        cat->failed = 1;
        fprintf(stderr, "ws_cat: %s\n", error[0] != '\0' ? error : ws_strerror(info->status));
    } else if (info->by_peer) {
        fprintf(stderr, "ws_cat: closed by the server, code %u %s\n", (unsigned)info->code, info->reason);
    }
}

// Returns 0 when the line is queued or was refused for good, -1 when it must wait.
static int send_line(struct cat *cat, const char *line, size_t len)
{
    ws_status status = ws_client_send(cat->client, WS_TEXT, line, len);

    if (status == WS_ERR_AGAIN) {
        cat->blocked = 1;
        return -1;
    }
    if (status == WS_ERR_UTF8)
        fprintf(stderr, "ws_cat: a line that is not UTF-8 was left out\n");
    else if (status != WS_OK && status != WS_ERR_CLOSED)
        fail(cat, "send", ws_last_error());
    return 0;
}

// Sends the complete lines that stdin has given, and after its end what is left without a newline.
static void send_lines(struct cat *cat)
{
    size_t sent = 0;

    while (!cat->blocked && !cat->closing) {
        const char *newline = cat->scanned < cat->len
            ? memchr(cat->line + cat->scanned, '\n', cat->len - cat->scanned) : NULL;

        if (newline != NULL) {
            size_t len = (size_t)(newline - cat->line) - sent;

            // When it must wait, scanned stays, so that the same newline is found again.
            if (send_line(cat, cat->line + sent, len) == 0) {
                sent += len + 1;
                cat->scanned = sent;
            }
        } else {
            cat->scanned = cat->len;
            if (!cat->end_of_input || sent == cat->len || send_line(cat, cat->line + sent, cat->len - sent) != 0)
                break;
            sent = cat->len;
        }
    }
    if (sent > 0) {
        memmove(cat->line, cat->line + sent, cat->len - sent);
        cat->len -= sent;
        cat->scanned -= sent;
    }
}

// After the last line: a Ping, which the server gets after all lines, and some time after its Pong the close.
static void end_output(struct cat *cat)
{
    ws_status status;

    if (!cat->end_of_input || cat->len > 0 || cat->blocked || cat->closing)
        return;
    if (!cat->end_marked) {
        status = ws_client_ping(cat->client, END_MARK, sizeof END_MARK - 1);
        if (status == WS_OK)
            cat->end_marked = 1;
        else if (status == WS_ERR_AGAIN)
            cat->blocked = 1;
        else if (status != WS_ERR_CLOSED)
            fail(cat, "ping", ws_last_error());
    } else if (cat->close_at != 0 && (now_ms() >= cat->close_at || now_ms() >= cat->close_limit)) {
        close_now(cat);
    }
}

// Makes room for one more read. A line that outgrows the limit ends the program.
static int grow_line(struct cat *cat)
{
    size_t capacity = cat->capacity == 0 ? 64 * 1024 : cat->capacity * 2;
    char *line;

    if (cat->len < cat->capacity)
        return 0;
    if (cat->len >= LINE_MAX_BYTES) {
        fail(cat, "stdin", "a line is too long");
        return -1;
    }
    line = realloc(cat->line, capacity);
    if (line == NULL) {
        fail(cat, "stdin", strerror(errno));
        return -1;
    }
    cat->line = line;
    cat->capacity = capacity;
    return 0;
}

static void read_input(struct cat *cat)
{
    ssize_t got;

    if (grow_line(cat) != 0)
        return;
    got = read(STDIN_FILENO, cat->line + cat->len, cat->capacity - cat->len);
    if (got > 0)
        cat->len += (size_t)got;
    else if (got == 0)
        cat->end_of_input = 1;
    else if (errno != EINTR && errno != EAGAIN)
        fail(cat, "stdin", strerror(errno));
}

// Milliseconds until end_output() has something to do: -1 when only an event can bring it.
static int wait_ms(const struct cat *cat)
{
    long long until = cat->close_at < cat->close_limit ? cat->close_at : cat->close_limit;
    long long left = until - now_ms();

    if (cat->close_at == 0 || cat->closing)
        return -1;
    return left > 0 ? (int)left : 0;
}

// When the program was started without a stdin, the next fd opened would take its number: the client's own.
static int check_stdin(void)
{
    if (fcntl(STDIN_FILENO, F_GETFD) >= 0 || open("/dev/null", O_RDONLY) == STDIN_FILENO)
        return 0;
    perror("ws_cat: stdin");
    return -1;
}

static void loop(struct cat *cat)
{
    struct pollfd fds[2] = {
        {.fd = ws_client_fd(cat->client), .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    ws_status status;

    while ((status = ws_client_poll(cat->client, 0)) == WS_OK) {
        if (cat->opened && cat->once == NULL) {
            send_lines(cat);
            end_output(cat);
        }
        // stdin is looked at only when there is a place for its bytes: poll(2) leaves out negative fds.
        int reading = cat->opened && cat->once == NULL && !cat->end_of_input && !cat->blocked && !cat->closing;
        fds[1].fd = reading ? STDIN_FILENO : -1;
        fds[1].revents = 0;
        if (poll(fds, 2, wait_ms(cat)) < 0 && errno != EINTR) {
            fail(cat, "poll", strerror(errno));
            return;
        }
        if (fds[1].revents != 0)
            read_input(cat);
    }
    if (status != WS_ERR_CLOSED) {
        fprintf(stderr, "ws_cat: %s\n", ws_last_error());
        cat->failed = 1;
    }
}

// Warnings and errors, such as the one about --insecure.
static void on_log(int level, const char *line, void *user)
{
    (void)level;
    (void)user;
    fprintf(stderr, "ws_cat: %s\n", line);
}

static int run(const struct options *options)
{
    struct cat cat = {.once = options->once};
    ws_client_config config = {.struct_size = sizeof config};
    int caught;

    config.url = options->url;
    config.subprotocols = options->subprotocol;
    config.headers = options->headers;
    config.connect_timeout_ms = (uint32_t)options->timeout;
    config.max_redirects = (uint32_t)options->redirects;
    // "env": the one that the environment names.
    if (options->proxy != NULL && strcmp(options->proxy, "env") == 0)
        config.proxy_from_env = 1;
    else
        config.proxy = options->proxy;
    config.max_message_size = 64 * 1024 * 1024;
    config.max_send_queue = 2 * LINE_MAX_BYTES;
    // Only long messages are compressed: a short one gains nothing that a packet would not have room for anyway.
    config.deflate = options->deflate ? WS_DEFLATE_BALANCED : WS_DEFLATE_OFF;
    config.tls_ca = options->ca;
    config.tls_pins = options->pin;
    config.tls_cert = options->cert;
    config.tls_key = options->key;
    config.tls_server_name = options->server_name;
    config.tls_insecure_skip_verify = options->insecure;
    config.tls_clock_not_before = options->clock_not_before;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_writable = on_writable;
    config.on_pong = on_pong;
    config.on_close = on_close;
    config.user = &cat;
    ws_set_log(on_log, WS_LOG_WARN, NULL);
    if (ws_client_new(&config, &cat.client) != WS_OK) {
        fprintf(stderr, "ws_cat: %s\n", ws_last_error());
        return EXIT_NOT_OPENED;
    }

    running = cat.client;
    caught = catch_signals();
    if (caught == 0)
        loop(&cat);
    running = NULL; // a late signal must not meet a freed client
    if (ws_client_free(cat.client) != WS_OK) {
        fprintf(stderr, "ws_cat: %s\n", ws_last_error());
        cat.failed = 1;
    }
    free(cat.line);

    if (!cat.opened && !interrupted)
        return EXIT_NOT_OPENED;
    return cat.failed && !interrupted ? EXIT_LOST : EXIT_SUCCESS;
}

static void print_help(void)
{
    puts("usage: ws_cat URL [options]\n"
         "Sends each line of stdin as a text message and prints each message received on a line, binary\n"
         "ones as hex. At the end of stdin it waits for the answers that come at once, then closes.\n"
         "\n"
         "  --once TEXT         send TEXT instead of stdin, close after the first message received\n"
         "  --header \"N: V\"     add a header to the request; may be given several times\n"
         "  --subprotocol P     offer these subprotocols, comma-separated\n"
         "  --timeout MS        time for opening the connection (10000)\n"
         "  --proxy URL         go through a proxy (http://, socks5://), or \"env\": as the environment says\n"
         "  --redirects N       follow so many redirects (none)\n"
         "  --deflate           offer compression\n"
         "  --ca FILE           wss: the authorities to trust, in PEM (the system's)\n"
         "  --pin PIN           wss: the server's key must be this, \"sha256/BASE64\"; several with commas\n"
         "  --cert FILE         wss: our certificate, in PEM, for servers that ask for one\n"
         "  --key FILE          wss: its key\n"
         "  --server-name NAME  wss: whom the server's certificate has to be for (the URL's host)\n"
         "  --clock-not-before SECONDS\n"
         "                      wss: when the clock is before that many seconds since 1970, it is not believed\n"
         "  --insecure          wss: do not check the server's certificate at all\n"
         "  --help              this text\n"
         "\n"
         "Exit status: 0 after a clean close or Ctrl-C, 1 when the connection could not be opened (or\n"
         "the command line is wrong), 2 when an opened connection failed or was lost.");
}

// Appends "header\r\n" to options->headers.
static int add_header(struct options *options, const char *header)
{
    size_t old = options->headers == NULL ? 0 : strlen(options->headers);
    size_t size = old + strlen(header) + sizeof "\r\n";
    char *headers;

    // A line end would begin a second header.
    if (strpbrk(header, "\r\n") != NULL) {
        fprintf(stderr, "ws_cat: --header wants one line\n");
        return -1;
    }
    headers = realloc(options->headers, size);
    if (headers == NULL) {
        perror("ws_cat: --header");
        return -1;
    }
    options->headers = headers;
    snprintf(headers + old, size - old, "%s\r\n", header);
    return 0;
}

static int read_number(const char *name, const char *text, unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= 1 && *out < UINT32_MAX)
        return 0;
    fprintf(stderr, "ws_cat: --%s wants a number, 1 or more\n", name);
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum {
        ONCE = 1,
        HEADER,
        SUBPROTOCOL,
        TIMEOUT,
        PROXY,
        REDIRECTS,
        DEFLATE,
        CA,
        PIN,
        CERT,
        KEY,
        SERVER_NAME,
        CLOCK,
        INSECURE,
        HELP
    };
    static const struct option table[] = {
        {"once", required_argument, NULL, ONCE},
        {"header", required_argument, NULL, HEADER},
        {"subprotocol", required_argument, NULL, SUBPROTOCOL},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"proxy", required_argument, NULL, PROXY},
        {"redirects", required_argument, NULL, REDIRECTS},
        {"deflate", no_argument, NULL, DEFLATE},
        {"ca", required_argument, NULL, CA},
        {"pin", required_argument, NULL, PIN},
        {"cert", required_argument, NULL, CERT},
        {"key", required_argument, NULL, KEY},
        {"server-name", required_argument, NULL, SERVER_NAME},
        {"clock-not-before", required_argument, NULL, CLOCK},
        {"insecure", no_argument, NULL, INSECURE},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case ONCE:
            options->once = optarg;
            break;
        case HEADER:
            bad = add_header(options, optarg);
            break;
        case SUBPROTOCOL:
            options->subprotocol = optarg;
            break;
        case TIMEOUT:
            bad = read_number("timeout", optarg, &options->timeout);
            break;
        case PROXY:
            options->proxy = optarg;
            break;
        case REDIRECTS:
            bad = read_number("redirects", optarg, &options->redirects);
            break;
        case DEFLATE:
            options->deflate = 1;
            break;
        case CA:
            options->ca = optarg;
            break;
        case PIN:
            options->pin = optarg;
            break;
        case CERT:
            options->cert = optarg;
            break;
        case KEY:
            options->key = optarg;
            break;
        case SERVER_NAME:
            options->server_name = optarg;
            break;
        case CLOCK:
            options->clock_not_before = atoll(optarg);
            break;
        case INSECURE:
            options->insecure = 1;
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind != argc - 1) {
        fprintf(stderr, "ws_cat: one URL is wanted; --help tells more\n");
        bad = 1;
    }
    options->url = argv[optind];
    return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.timeout = 10000};
    int result = read_options(argc, argv, &options);

    if (result == 0)
        result = check_stdin() == 0 ? run(&options) : EXIT_NOT_OPENED;
    else
        result = result > 0 ? EXIT_SUCCESS : EXIT_NOT_OPENED;
    free(options.headers);
    return result;
}
