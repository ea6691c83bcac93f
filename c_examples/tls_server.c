// tls_server: wss:// with names by SNI, client certificates and reload. Run: make_certs.sh certs, then
// tls_server --cert certs/server.pem --key certs/server.key --client-ca certs/ca.pem
//
// Greets each client with its TLS version and whom its certificate is for, then echoes. On SIGHUP it reads its
// certificates again: new connections get the new ones, those that are there stay.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MORE_MAX = 8 };

struct options {
    const char *host;
    unsigned long port;
    const char *cert;
    const char *key;
    const char *client_ca;
    int client_optional;
    long long clock_not_before;
    ws_tls_cert more[MORE_MAX]; // for other names
    size_t more_len;
};

static volatile sig_atomic_t stopping;
static volatile sig_atomic_t reload_wanted;

static void on_signal(int number)
{
    if (number == SIGHUP)
        reload_wanted = 1;
    else
        stopping = 1;
}

static int catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    size_t i;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], &action, NULL) != 0) {
            perror("tls_server: sigaction");
            return -1;
        }
    return 0;
}

static void on_log(int level, const char *line, void *user)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == WS_LOG_ERROR ? "ERROR: " : "", line);
}

static const char *whose(const ws_request *request)
{
    const char *subject = ws_request_tls_subject(request);

    return subject != NULL ? subject : "(no certificate)";
}

// Certificates say who a client is; what it may do is decided here.
static int on_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)server;
    (void)response;
    (void)user;
    fprintf(stderr, "%s: %s %s\n", ws_request_peer(request), ws_request_tls_version(request), whose(request));
    return strcmp(ws_request_path(request), "/members") == 0 && ws_request_tls_subject(request) == NULL ? 403 : 0;
}

static void on_open(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    char line[512];
    ws_status status;

    (void)user;
    snprintf(line, sizeof line, "%s %s", ws_request_tls_version(request), whose(request));
    status = ws_server_send(server, conn, WS_TEXT, line, strlen(line));
    if (status != WS_OK)
        fprintf(stderr, "tls_server: greeting: %s\n", ws_strerror(status));
}

static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    (void)user;
    if (ws_server_send(server, conn, message->kind, message->data, message->len) != WS_OK)
        ws_server_close(server, conn, 1011, "cannot echo this");
}

static void print_help(void)
{
    puts("usage: tls_server --cert FILE --key FILE [options]\n"
         "Greets each client with its TLS version and the subject of its certificate, then echoes. Prints\n"
         "\"listening on wss://HOST:PORT\" when it is ready. SIGHUP: reads the certificates again.\n"
         "\n"
         "  --host HOST        address to listen at (127.0.0.1)\n"
         "  --port PORT        port; 0 picks a free one (9443)\n"
         "  --cert FILE        certificate chain (PEM), the server's own first\n"
         "  --key FILE         its key (PEM)\n"
         "  --also CERT,KEY    another certificate and key, for clients that ask for its name; up to 8 times\n"
         "  --client-ca FILE   clients must have a certificate signed by one of these (PEM)\n"
         "  --client-optional  they may also have none; /members is then for those who have\n"
         "  --clock-not-before SECONDS\n"
         "                     for those certificates: when the clock is before that many seconds since 1970, it is\n"
         "                     not believed\n"
         "  --help             this text\n"
         "\n"
         "Exit status: 0 when ended by Ctrl-C or SIGTERM, 1 after an error.");
}

// Splits "CERT,KEY" in place.
static int add_pair(struct options *options, char *text)
{
    char *comma = strchr(text, ',');

    if (comma == NULL || options->more_len == MORE_MAX) {
        fprintf(stderr, "tls_server: --also wants CERT,KEY, at most %d times\n", MORE_MAX);
        return -1;
    }
    *comma = '\0';
    options->more[options->more_len].cert = text;
    options->more[options->more_len].key = comma + 1;
    options->more_len++;
    return 0;
}

static int read_port(const char *text, unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out <= 65535)
        return 0;
    fprintf(stderr, "tls_server: --port wants a number from 0 to 65535\n");
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { HOST = 1, PORT, CERT, KEY, ALSO, CLIENT_CA, CLIENT_OPTIONAL, CLOCK, HELP };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"cert", required_argument, NULL, CERT},
        {"key", required_argument, NULL, KEY},
        {"also", required_argument, NULL, ALSO},
        {"client-ca", required_argument, NULL, CLIENT_CA},
        {"client-optional", no_argument, NULL, CLIENT_OPTIONAL},
        {"clock-not-before", required_argument, NULL, CLOCK},
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
        case CERT:
            options->cert = optarg;
            break;
        case KEY:
            options->key = optarg;
            break;
        case ALSO:
            bad = add_pair(options, optarg);
            break;
        case CLIENT_CA:
            options->client_ca = optarg;
            break;
        case CLIENT_OPTIONAL:
            options->client_optional = 1;
            break;
        case CLOCK:
            options->clock_not_before = atoll(optarg);
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind < argc) {
        fprintf(stderr, "tls_server: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    if (!bad && (options->cert == NULL || options->key == NULL)) {
        fprintf(stderr, "tls_server: --cert and --key are wanted; make_certs.sh makes some, --help tells more\n");
        bad = 1;
    }
    return bad ? -1 : 0;
}

static ws_server *make_server(const struct options *options)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;
    char url[300];

    config.tls_cert = options->cert;
    config.tls_key = options->key;
    config.tls_more_certs = options->more;
    config.tls_more_certs_len = options->more_len;
    config.tls_client_ca = options->client_ca;
    config.tls_client_optional = options->client_optional;
    config.tls_clock_not_before = options->clock_not_before;
    config.on_upgrade = on_upgrade;
    config.on_open = on_open;
    config.on_message = on_message;
    snprintf(url, sizeof url, "wss://%.200s:%lu", options->host, options->port);
    if (ws_server_new(&config, &server) == WS_OK && ws_server_listen(server, url) == WS_OK)
        return server;
    fprintf(stderr, "tls_server: %s\n", ws_last_error());
    if (server != NULL)
        ws_server_free(server);
    return NULL;
}

static int serve(ws_server *server)
{
    ws_status status = WS_OK;

    while (status == WS_OK && !stopping) {
        if (reload_wanted) {
            reload_wanted = 0;
            // When a file is missing or wrong, the old certificates stay in use.
            if (ws_server_reload_tls(server, NULL) != WS_OK)
                fprintf(stderr, "tls_server: not reloaded: %s\n", ws_last_error());
            else
                fprintf(stderr, "tls_server: reloaded\n");
        }
        // A signal that comes just before is seen a second later.
        status = ws_server_poll(server, 1000);
    }
    if (status != WS_OK) {
        fprintf(stderr, "tls_server: %s\n", ws_last_error());
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.host = "127.0.0.1", .port = 9443};
    ws_server *server;
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    ws_set_log(on_log, WS_LOG_INFO, NULL);
    server = make_server(&options);
    if (server == NULL)
        return EXIT_FAILURE;
    result = catch_signals();
    if (result == 0 && (printf("listening on wss://%s:%u\n", options.host, ws_server_port(server)) < 0 || fflush(stdout) != 0)) {
        perror("tls_server: stdout");
        result = -1;
    }
    if (result == 0)
        result = serve(server);
    if (ws_server_free(server) != WS_OK) {
        fprintf(stderr, "tls_server: %s\n", ws_last_error());
        result = -1;
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
