// dashboard: live values of this machine in the browser. Run: dashboard, then open http://127.0.0.1:8080/
//
// A worker thread reads /proc and /sys ten times a second and broadcasts what it finds; the server's own thread
// serves the page and takes commands from it. ws_server_broadcast() may be called from every thread, so nothing has
// to be handed over. The page is dashboard.html, built into the program.
//
// What the server sends is JSON:
//   {"type":"hello","host":"pi","system":"Linux 6.6 armv7l","cores":4,"libws":"0.1.0","rate":10}    once, at first
//   {"type":"sample","t":5123,"cpu":12.5,"mem_used":1,"mem_total":2,"load":0.4,"rx":0,"tx":0,"temp":null,
//    "uptime":60,"clients":1}    t in ms, mem in bytes, rx and tx in bytes a second, temp in degrees Celsius
//   {"type":"rate","rate":20}    to all, when somebody has changed the rate
//   {"type":"error","text":"..."}
// What it takes: the text "rate N", N samples a second.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "dashboard_html.h"
#include "dashboard_machine.h"

enum {
    RATE_DEFAULT = 10,
    RATE_MAX = 50,
    JSON_MAX = 512,
};

struct options {
    const char *host;
    const char *tls_cert; // NULL: http and ws, else https and wss
    const char *tls_key;
    unsigned long port;
};

struct sampler {
    ws_server *server;
    struct machine machine; // of the worker alone

    pthread_mutex_t lock; // guards rate and stop
    pthread_cond_t changed;
    int rate;
    int stop;
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
        perror("dashboard: sigaction");
        return -1;
    }
    return 0;
}

static int write_sample(struct sampler *sampler, char *json, size_t size)
{
    struct machine_values values;
    ws_stats stats = {.struct_size = sizeof stats};
    char temp[32] = "null";

    machine_read(&sampler->machine, &values);
    if (values.has_temperature)
        snprintf(temp, sizeof temp, "%.1f", values.temperature);
    if (ws_server_stats(sampler->server, &stats) != WS_OK)
        stats.connections_open = 0;
    return snprintf(json, size,
                    "{\"type\":\"sample\",\"t\":%lld,\"cpu\":%.1f,\"mem_used\":%llu,\"mem_total\":%llu,\"load\":%.2f,"
                    "\"rx\":%.0f,\"tx\":%.0f,\"temp\":%s,\"uptime\":%.0f,\"clients\":%llu}",
                    values.at_ms, values.cpu, values.memory_used, values.memory_total, values.load, values.rx,
                    values.tx, temp, values.uptime, (unsigned long long)stats.connections_open);
}

// Waits until next_ms or for a change of rate. Returns 1 to go on, 0 to stop.
static int wait_until(struct sampler *sampler, long long *next_ms)
{
    int go_on;
    int rate;

    pthread_mutex_lock(&sampler->lock);
    rate = sampler->rate;
    *next_ms += 1000 / rate;
    if (*next_ms < machine_now_ms())
        *next_ms = machine_now_ms(); // we fell behind: go on from here rather than hurry after
    while (!sampler->stop) {
        struct timespec until = {.tv_sec = *next_ms / 1000, .tv_nsec = *next_ms % 1000 * 1000000};

        if (pthread_cond_timedwait(&sampler->changed, &sampler->lock, &until) == ETIMEDOUT)
            break;
        if (sampler->rate != rate) {
            // Counted from now: a slow rate's long wait must not delay a fast one.
            rate = sampler->rate;
            *next_ms = machine_now_ms() + 1000 / rate;
        }
    }
    go_on = !sampler->stop;
    pthread_mutex_unlock(&sampler->lock);
    return go_on;
}

static void *sample_and_broadcast(void *argument)
{
    struct sampler *sampler = argument;
    long long next_ms = machine_now_ms();

    do {
        char json[JSON_MAX];
        int len = write_sample(sampler, json, sizeof json);
        ws_status status = WS_ERR_TOO_BIG;

        if (len > 0 && (size_t)len < sizeof json)
            status = ws_server_broadcast(sampler->server, WS_TEXT, json, (size_t)len);
        // WS_ERR_AGAIN: nobody takes the samples so fast. The next one tells more than this one.
        if (status != WS_OK && status != WS_ERR_AGAIN && status != WS_ERR_CLOSED)
            fprintf(stderr, "dashboard: sample: %s\n", ws_strerror(status));
    } while (wait_until(sampler, &next_ms));
    return NULL;
}

static int get_rate(struct sampler *sampler)
{
    int rate;

    pthread_mutex_lock(&sampler->lock);
    rate = sampler->rate;
    pthread_mutex_unlock(&sampler->lock);
    return rate;
}

static void set_rate(struct sampler *sampler, int rate)
{
    pthread_mutex_lock(&sampler->lock);
    sampler->rate = rate;
    pthread_cond_signal(&sampler->changed);
    pthread_mutex_unlock(&sampler->lock);
}

static void stop_sampler(struct sampler *sampler)
{
    pthread_mutex_lock(&sampler->lock);
    sampler->stop = 1;
    pthread_cond_signal(&sampler->changed);
    pthread_mutex_unlock(&sampler->lock);
}

// The deadlines are of the monotonic clock, so that setting the date does not stop the samples.
static int init_sampler(struct sampler *sampler)
{
    pthread_condattr_t monotonic;
    int error = pthread_mutex_init(&sampler->lock, NULL);

    sampler->rate = RATE_DEFAULT;
    machine_find_thermometer(&sampler->machine);
    if (error == 0)
        error = pthread_condattr_init(&monotonic);
    if (error == 0)
        error = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (error == 0)
        error = pthread_cond_init(&sampler->changed, &monotonic);
    if (error != 0)
        fprintf(stderr, "dashboard: %s\n", strerror(error));
    return error == 0 ? 0 : -1;
}

static void report(const char *what, ws_status status)
{
    if (status != WS_OK && status != WS_ERR_CLOSED)
        fprintf(stderr, "dashboard: %s: %s\n", what, ws_strerror(status));
}

static void on_open(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    struct sampler *sampler = user;
    struct utsname system;
    char json[JSON_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int len;

    (void)request;
    if (uname(&system) != 0) {
        perror("dashboard: uname");
        memset(&system, 0, sizeof system);
    }
    // None of these strings needs escapes: Linux's names and versions hold no quotes.
    len = snprintf(json, sizeof json,
                   "{\"type\":\"hello\",\"host\":\"%.64s\",\"system\":\"%.32s %.64s %.32s\",\"cores\":%ld,"
                   "\"libws\":\"%.16s\",\"rate\":%d}",
                   system.nodename, system.sysname, system.release, system.machine, cores, ws_version(),
                   get_rate(sampler));
    if (len > 0 && (size_t)len < sizeof json)
        report("hello", ws_server_send(server, conn, WS_TEXT, json, (size_t)len));
}

// Takes "rate N" and tells everybody.
static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    struct sampler *sampler = user;
    char json[JSON_MAX];
    int rate;
    char rest;
    int len;

    // Exactly one number: anything behind it makes the count 2.
    if (message->kind != WS_TEXT || message->len > 16
        || memchr(message->data, '\0', message->len) != NULL || sscanf(message->data, "rate %3d%c", &rate, &rest) != 1
        || rate < 1 || rate > RATE_MAX) {
        len = snprintf(json, sizeof json, "{\"type\":\"error\",\"text\":\"I know only: rate 1 to rate %d\"}", RATE_MAX);
        report("answer", ws_server_send(server, conn, WS_TEXT, json, (size_t)len));
        return;
    }
    set_rate(sampler, rate);
    len = snprintf(json, sizeof json, "{\"type\":\"rate\",\"rate\":%d}", rate);
    report("rate", ws_server_broadcast(server, WS_TEXT, json, (size_t)len));
}

static void on_http(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    static const char not_found[] = "There is only one page here: /\n";

    (void)server;
    (void)user;
    if (strcmp(ws_request_path(request), "/") == 0) {
        report("page", ws_response_header(response, "Cache-Control", "no-cache"));
        report("page",
               ws_response_body(response, 200, "text/html; charset=utf-8", dashboard_html, dashboard_html_len));
    } else {
        report("page", ws_response_body(response, 404, "text/plain", not_found, sizeof not_found - 1));
    }
}

static void print_help(void)
{
    puts("usage: dashboard [options]\n"
         "Serves a page with live values of this machine. Prints \"open http://HOST:PORT/\" when it is ready.\n"
         "\n"
         "  --host HOST      address to listen at (127.0.0.1); 0.0.0.0 lets other machines and phones see it\n"
         "  --port PORT      port; 0 picks a free one (8080)\n"
         "  --tls-cert FILE  certificate chain (PEM): serve https and wss\n"
         "  --tls-key FILE   its key (PEM)\n"
         "  --help           this text\n"
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
    fprintf(stderr, "dashboard: --port wants a number from 0 to 65535\n");
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { HOST = 1, PORT, TLS_CERT, TLS_KEY, HELP };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"tls-cert", required_argument, NULL, TLS_CERT},
        {"tls-key", required_argument, NULL, TLS_KEY},
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
        case TLS_CERT:
            options->tls_cert = optarg;
            break;
        case TLS_KEY:
            options->tls_key = optarg;
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind < argc) {
        fprintf(stderr, "dashboard: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    return bad ? -1 : 0;
}

// Writes "SCHEME://HOST:PORT"; an IPv6 address gets its brackets.
static int make_url(char *url, size_t size, const char *scheme, const char *host, unsigned port)
{
    int bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    int len = snprintf(url, size, "%s://%s%s%s:%u", scheme, bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port);

    if (len < 0 || (size_t)len >= size) {
        fprintf(stderr, "dashboard: --host is too long\n");
        return -1;
    }
    return 0;
}

static ws_server *make_server(struct sampler *sampler, const struct options *options)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    config.path = "/live";
    config.tls_cert = options->tls_cert;
    config.tls_key = options->tls_key;
    // A page from elsewhere, open in somebody's browser, can reach this server too: it is not let in.
    config.allowed_origins = "self";
    config.max_message_size = 1024;
    config.on_http = on_http;
    config.on_open = on_open;
    config.on_message = on_message;
    config.user = sampler;

    if (ws_server_new(&config, &server) != WS_OK)
        fprintf(stderr, "dashboard: %s\n", ws_last_error());
    return server;
}

static int listen_and_announce(ws_server *server, const struct options *options)
{
    int secure = options->tls_cert != NULL;
    char url[300];

    if (make_url(url, sizeof url, secure ? "wss" : "ws", options->host, (unsigned)options->port) != 0)
        return -1;
    if (ws_server_listen(server, url) != WS_OK) {
        fprintf(stderr, "dashboard: %s\n", ws_last_error());
        return -1;
    }
    // With --port 0 only the server knows the port.
    if (make_url(url, sizeof url, secure ? "https" : "http", options->host, ws_server_port(server)) != 0)
        return -1;
    if (printf("open %s/\n", url) < 0 || fflush(stdout) != 0) {
        perror("dashboard: stdout");
        return -1;
    }
    return 0;
}

static int serve(ws_server *server, struct sampler *sampler)
{
    pthread_t worker;
    int result = 0;
    int error = pthread_create(&worker, NULL, sample_and_broadcast, sampler);

    if (error != 0) {
        fprintf(stderr, "dashboard: pthread_create: %s\n", strerror(error));
        return -1;
    }
    if (ws_server_run(server) != WS_OK) {
        fprintf(stderr, "dashboard: %s\n", ws_last_error());
        result = -1;
    }
    // The worker uses the server: it must be gone before the server is freed.
    stop_sampler(sampler);
    error = pthread_join(worker, NULL);
    if (error != 0) {
        fprintf(stderr, "dashboard: pthread_join: %s\n", strerror(error));
        result = -1;
    }
    return result;
}

int main(int argc, char **argv)
{
    static struct sampler sampler; // static, because it is large; all zero at first
    struct options options = {.host = "127.0.0.1", .port = 8080};
    ws_server *server;
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (init_sampler(&sampler) != 0)
        return EXIT_FAILURE;
    server = make_server(&sampler, &options);
    if (server == NULL)
        return EXIT_FAILURE;

    sampler.server = server;
    running = server;
    result = catch_signals();
    if (result == 0)
        result = listen_and_announce(server, &options);
    if (result == 0)
        result = serve(server, &sampler);
    running = NULL; // a late signal must not meet a freed server

    if (ws_server_free(server) != WS_OK) {
        fprintf(stderr, "dashboard: %s\n", ws_last_error());
        result = -1;
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
