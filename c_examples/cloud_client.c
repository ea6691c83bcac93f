// cloud_client: measurements that reach the cloud over a link that comes and goes. Run: cloud_client wss://HOST/PATH
//
// Lines from stdin, or numbered samples with --every, go into the client's queue, whether there is a connection or not.
// libws connects again by itself; this program prints what it does, and which messages have gone out. Everything happens
// in one poll(2) loop. SIGUSR1 stands for "the network is back": it ends the wait before the next attempt.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libws.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
    const char *url;
    const char *token;
    const char *proxy; // "env": of the environment
    const char *ca, *pin, *cert, *key;
    uint32_t min, max, timeout, ping, pong;
    uint32_t keepalive; // seconds, instead of pings
    uint32_t queue;
    int policy;
    uint32_t every; // ms between samples, 0: lines from stdin
    uint32_t count; // samples, 0: without end
};

struct cloud {
    ws_client *client;
    const struct options *options;
    int open;
    int closing;
    int input_ended;
    uint32_t samples;
    long long next_sample;
    char line[4096];
    size_t len;
    int skipping; // the rest of a line that is too long
};

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t network_is_back;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        network_is_back = 1;
    else
        interrupted = 1;
}

static int catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction action;
    size_t i;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (sigaction(numbers[i], &action, NULL) != 0) {
            perror("cloud_client: sigaction");
            return -1;
        }
    }
    return 0;
}

static long long now_ms(void)
{
    struct timespec now = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail on Linux
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// --- what libws tells ---

static void on_open(ws_client *client, void *user)
{
    struct cloud *cloud = user;

    (void)client;
    cloud->open = 1;
    puts("state: open");
}

static void on_message(ws_client *client, const ws_message *message, void *user)
{
    (void)client;
    (void)user;
    printf("received: %zu bytes%s%s\n", message->len, message->kind == WS_TEXT ? ": " : "",
           message->kind == WS_TEXT ? (const char *)message->data : "");
}

static void on_close(ws_client *client, const ws_close_info *info, void *user)
{
    struct cloud *cloud = user;

    cloud->open = 0;
    printf("state: closed, code %d, %s\n", info->code, info->status == WS_OK ? info->reason : ws_client_error(client));
}

static void on_reconnect(ws_client *client, const ws_reconnect_info *info, void *user)
{
    (void)client;
    (void)user;
    printf("state: waiting %" PRIu32 " ms for attempt %" PRIu32 "%s: %s\n", info->delay_ms, info->attempt,
           info->permanent ? ", which will fail again unless something is changed" : "", info->reason);
}

static void on_sent(ws_client *client, uint64_t number, ws_status status, void *user)
{
    (void)client;
    (void)user;
    if (status == WS_OK)
        printf("sent: %" PRIu64 "\n", number);
    else
        printf("dropped: %" PRIu64 ": %s\n", number, ws_strerror(status));
}

static ws_status make_client(struct cloud *cloud)
{
    const struct options *options = cloud->options;
    ws_client_config config = {.struct_size = sizeof config};

    config.url = options->url;
    config.bearer_token = options->token;
    if (options->proxy != NULL && strcmp(options->proxy, "env") == 0)
        config.proxy_from_env = 1;
    else
        config.proxy = options->proxy;
    config.tls_ca = options->ca;
    config.tls_pins = options->pin;
    config.tls_cert = options->cert;
    config.tls_key = options->key;
    config.connect_timeout_ms = options->timeout;
    config.reconnect_min_ms = options->min;
    config.reconnect_max_ms = options->max;
    config.ping_interval_ms = options->ping;
    config.pong_timeout_ms = options->pong;
    if (options->keepalive != 0) {
        config.ping_interval_ms = WS_NEVER;
        config.keepalive_s = options->keepalive;
    }
    config.queue_messages = options->queue;
    config.queue_policy = options->policy;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_close = on_close;
    config.on_reconnect = on_reconnect;
    config.on_sent = on_sent;
    config.user = cloud;
    return ws_client_new(&config, &cloud->client);
}

// --- what goes out ---

static void enqueue(struct cloud *cloud, const char *text, size_t len)
{
    if (ws_client_enqueue(cloud->client, WS_TEXT, text, len, NULL) != WS_OK)
        fprintf(stderr, "cloud_client: not queued: %s\n", ws_last_error());
}

static void take_sample(struct cloud *cloud)
{
    const struct options *options = cloud->options;
    char text[64];
    int len = snprintf(text, sizeof text, "sample %" PRIu32, ++cloud->samples);

    enqueue(cloud, text, (size_t)len);
    cloud->next_sample += options->every;
    if (options->count != 0 && cloud->samples == options->count)
        cloud->input_ended = 1;
}

// Queues the lines that are whole; a line of more than 4 KiB is left out.
static void read_lines(struct cloud *cloud)
{
    ssize_t got = read(STDIN_FILENO, cloud->line + cloud->len, sizeof cloud->line - cloud->len);
    char *begin = cloud->line;
    char *end;

    if (got < 0 && errno != EINTR)
        perror("cloud_client: stdin");
    if (got == 0 || (got < 0 && errno != EINTR))
        cloud->input_ended = 1;
    if (got <= 0)
        return;
    cloud->len += (size_t)got;
    while ((end = memchr(begin, '\n', cloud->len - (size_t)(begin - cloud->line))) != NULL) {
        if (!cloud->skipping)
            enqueue(cloud, begin, (size_t)(end - begin));
        cloud->skipping = 0;
        begin = end + 1;
    }
    cloud->len -= (size_t)(begin - cloud->line);
    memmove(cloud->line, begin, cloud->len);
    if (cloud->len == sizeof cloud->line) {
        if (!cloud->skipping)
            fprintf(stderr, "cloud_client: a line of more than 4 KiB is left out\n");
        cloud->skipping = 1;
        cloud->len = 0;
    }
}

static int wait_ms(const struct cloud *cloud)
{
    long long left;

    if (cloud->options->every == 0 || cloud->input_ended)
        return -1;
    left = cloud->next_sample - now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static ws_status loop(struct cloud *cloud)
{
    struct pollfd fds[2] = {{.fd = ws_client_fd(cloud->client), .events = POLLIN}, {.events = POLLIN}};
    ws_status status;

    puts("state: connecting");
    cloud->next_sample = now_ms();
    while ((status = ws_client_poll(cloud->client, 0)) == WS_OK) {
        fflush(stdout);
        if (network_is_back) {
            network_is_back = 0;
            ws_client_reconnect_now(cloud->client);
        }
        // All is sent, or nothing more is wanted: an open connection is closed in order.
        if (!cloud->closing && (interrupted || (cloud->input_ended && ws_client_queued(cloud->client) == 0))) {
            cloud->closing = 1;
            ws_client_close(cloud->client, 1000, NULL);
            continue;
        }
        fds[1].fd = cloud->options->every == 0 && !cloud->input_ended && !cloud->closing ? STDIN_FILENO : -1;
        fds[1].revents = 0;
        if (poll(fds, 2, wait_ms(cloud)) < 0 && errno != EINTR) {
            perror("cloud_client: poll");
            break;
        }
        if (fds[1].revents != 0)
            read_lines(cloud);
        if (cloud->options->every != 0 && !cloud->input_ended && !cloud->closing && now_ms() >= cloud->next_sample)
            take_sample(cloud);
    }
    return status;
}

// --- command line ---

static void print_help(void)
{
    puts("usage: cloud_client URL [options]\n"
         "Sends each line of stdin to the server at URL, over as many connections as that takes, and prints\n"
         "what happens. At the end of stdin it waits until all is sent, then closes.\n"
         "\n"
         "  --every MS          send a numbered sample so often, instead of lines of stdin\n"
         "  --count N           end after so many samples\n"
         "  --token T           bearer token for the server\n"
         "  --proxy URL         go through a proxy (http://, socks5://), or \"env\": as the environment says\n"
         "  --ca FILE           wss: the authorities to trust, in PEM (the system's)\n"
         "  --pin PIN           wss: the server's key must be this, \"sha256/BASE64\"; several with commas\n"
         "  --cert FILE         wss: our certificate, in PEM, for servers that ask for one\n"
         "  --key FILE          wss: its key\n"
         "  --min MS            shortest wait before connecting again (500)\n"
         "  --max MS            longest wait before connecting again (60000)\n"
         "  --timeout MS        time for opening a connection (10000)\n"
         "  --ping MS           silence before a ping (30000)\n"
         "  --pong MS           silence after it before the link counts as dead (10000)\n"
         "  --keepalive S       no pings: the kernel probes after S seconds, dead after twice that\n"
         "  --queue N           messages kept while there is no connection (1024)\n"
         "  --policy P          when there are more: refuse, oldest or newest is dropped (oldest)\n"
         "  --help              this text\n"
         "\n"
         "SIGUSR1: try to connect now.\n"
         "Exit status: 0 when all was sent or after Ctrl-C, 1 when the command line is wrong.");
}

static int read_number(const char *name, const char *text, uint32_t *out)
{
    unsigned long value;
    char *end;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value >= 1 && value < UINT32_MAX) {
        *out = (uint32_t)value;
        return 0;
    }
    fprintf(stderr, "cloud_client: --%s wants a number, 1 or more\n", name);
    return -1;
}

static int read_policy(const char *text, int *out)
{
    static const char *const names[] = {"refuse", "oldest", "newest"};
    int i;

    for (i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i; // in the order of ws_queue_policy
            return 0;
        }
    }
    fprintf(stderr, "cloud_client: --policy wants refuse, oldest or newest\n");
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    // Numbers, texts, others.
    enum {
        EVERY = 1, COUNT, MIN, MAX, TIMEOUT, PING, PONG, KEEPALIVE, QUEUE,
        TOKEN, PROXY, CA, PIN, CERT, KEY,
        POLICY, HELP
    };
    static const struct option table[] = {
        {"every", required_argument, NULL, EVERY},
        {"count", required_argument, NULL, COUNT},
        {"token", required_argument, NULL, TOKEN},
        {"proxy", required_argument, NULL, PROXY},
        {"ca", required_argument, NULL, CA},
        {"pin", required_argument, NULL, PIN},
        {"cert", required_argument, NULL, CERT},
        {"key", required_argument, NULL, KEY},
        {"min", required_argument, NULL, MIN},
        {"max", required_argument, NULL, MAX},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"ping", required_argument, NULL, PING},
        {"pong", required_argument, NULL, PONG},
        {"keepalive", required_argument, NULL, KEEPALIVE},
        {"queue", required_argument, NULL, QUEUE},
        {"policy", required_argument, NULL, POLICY},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    uint32_t *const numbers[] = {
        [EVERY] = &options->every,
        [COUNT] = &options->count,
        [MIN] = &options->min,
        [MAX] = &options->max,
        [TIMEOUT] = &options->timeout,
        [PING] = &options->ping,
        [PONG] = &options->pong,
        [KEEPALIVE] = &options->keepalive,
        [QUEUE] = &options->queue,
    };
    const char **const texts[] = {
        [TOKEN] = &options->token,
        [PROXY] = &options->proxy,
        [CA] = &options->ca,
        [PIN] = &options->pin,
        [CERT] = &options->cert,
        [KEY] = &options->key,
    };
    int option;
    int index = 0;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, &index)) != -1) {
        switch (option) {
        case POLICY:
            bad = read_policy(optarg, &options->policy);
            break;
        case HELP:
            print_help();
            return 1;
        case '?':
            bad = 1;
            break;
        default:
            if (option <= QUEUE)
                bad = read_number(table[index].name, optarg, numbers[option]);
            else
                *texts[option] = optarg;
        }
    }
    if (!bad && optind != argc - 1) {
        fprintf(stderr, "cloud_client: one URL is wanted; --help tells more\n");
        bad = 1;
    }
    options->url = argv[optind];
    return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.min = 500, .policy = WS_QUEUE_DROP_OLDEST};
    struct cloud cloud = {.options = &options};
    int result = read_options(argc, argv, &options);
    ws_status status;

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (make_client(&cloud) != WS_OK) {
        fprintf(stderr, "cloud_client: %s\n", ws_last_error());
        return EXIT_FAILURE;
    }
    status = catch_signals() == 0 ? loop(&cloud) : WS_ERR_IO;
    if (status != WS_ERR_CLOSED)
        fprintf(stderr, "cloud_client: %s\n", ws_last_error());
    ws_client_free(cloud.client);
    return status == WS_ERR_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE;
}
