// autobahn_client: runs all cases of an Autobahn fuzzing server. Run: autobahn_client ws://127.0.0.1:9001 --agent libws
//
// The server tells at /getCaseCount how many cases it has. Each case is a connection to /runCase whose messages are
// to be sent back; how it went is in the server's report, which /updateReports makes it write. A case that ends
// badly is often meant to, so it ends nothing here.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_MAX_BYTES = 64 * 1024 * 1024,
};

struct options {
    const char *url;
    const char *agent;
    int deflate;
};

// One connection: what has come of it.
struct session {
    int opened;
    int echo;             // send messages back
    unsigned long number; // the last message, if it was a number
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
        perror("autobahn_client: sigaction");
        return -1;
    }
    return 0;
}

static void on_open(ws_client *client, void *user)
{
    struct session *session = user;

    (void)client;
    session->opened = 1;
}

static void on_message(ws_client *client, const ws_message *message, void *user)
{
    struct session *session = user;
    ws_status status;

    if (!session->echo) {
        session->number = strtoul(message->data, NULL, 10);
        return;
    }
    // The queue holds two of the largest messages, and a case waits for its echoes: WS_ERR_AGAIN is a failure.
    status = ws_client_send(client, message->kind, message->data, message->len);
    if (status != WS_OK && status != WS_ERR_CLOSED) {
        fprintf(stderr, "autobahn_client: echo: %s\n", ws_strerror(status));
        status = ws_client_close(client, 1011, "cannot echo");
        if (status != WS_OK && status != WS_ERR_CLOSED)
            fprintf(stderr, "autobahn_client: close: %s\n", ws_strerror(status));
    }
}

static void on_close(ws_client *client, const ws_close_info *info, void *user)
{
    const struct session *session = user;

    (void)info;
    if (!session->opened)
        fprintf(stderr, "autobahn_client: %s\n", ws_client_error(client));
}

// Connects to URL + path and stays until the connection has ended. Returns 0 if it had been opened.
static int visit(const struct options *options, const char *path, struct session *session)
{
    ws_client_config config = {.struct_size = sizeof config};
    ws_client *client;
    const char *base = options->url;
    size_t base_len = strlen(base);
    char url[1024];
    int len;

    if (base_len > 0 && base[base_len - 1] == '/')
        base_len--;
    len = snprintf(url, sizeof url, "%.*s%s", (int)base_len, base, path);
    if (len < 0 || (size_t)len >= sizeof url) {
        fprintf(stderr, "autobahn_client: the URL is too long\n");
        return -1;
    }
    config.url = url;
    config.max_message_size = MESSAGE_MAX_BYTES;
    config.max_send_queue = 2 * (size_t)MESSAGE_MAX_BYTES + 64 * 1024;
    // Its offer leaves every parameter to the server, which the cases try out.
    config.deflate = options->deflate ? WS_DEFLATE_BEST : WS_DEFLATE_OFF;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_close = on_close;
    config.user = session;
    if (ws_client_new(&config, &client) != WS_OK) {
        fprintf(stderr, "autobahn_client: %s\n", ws_last_error());
        return -1;
    }

    running = client;
    // A signal between two cases found nothing to stop. What the run ends with is the server's to judge.
    if (!interrupted)
        (void)ws_client_run(client);
    running = NULL; // a late signal must not meet a freed client
    if (ws_client_free(client) != WS_OK) {
        fprintf(stderr, "autobahn_client: %s\n", ws_last_error());
        return -1;
    }
    return session->opened ? 0 : -1;
}

static int run_case(const struct options *options, unsigned long number, unsigned long count)
{
    struct session session = {.echo = 1};
    char path[600];
    int len = snprintf(path, sizeof path, "/runCase?case=%lu&agent=%s", number, options->agent);

    if (len < 0 || (size_t)len >= sizeof path) {
        fprintf(stderr, "autobahn_client: --agent is too long\n");
        return -1;
    }
    if (printf("case %lu of %lu\n", number, count) < 0 || fflush(stdout) != 0) {
        perror("autobahn_client: stdout");
        return -1;
    }
    return visit(options, path, &session);
}

static int update_reports(const struct options *options)
{
    struct session session = {.echo = 0};
    char path[600];
    int len = snprintf(path, sizeof path, "/updateReports?agent=%s", options->agent);

    if (len < 0 || (size_t)len >= sizeof path) {
        fprintf(stderr, "autobahn_client: --agent is too long\n");
        return -1;
    }
    return visit(options, path, &session);
}

static int run_all(const struct options *options)
{
    struct session counting = {.echo = 0};
    unsigned long number;

    if (visit(options, "/getCaseCount", &counting) != 0)
        return -1;
    if (counting.number == 0 && !interrupted) {
        fprintf(stderr, "autobahn_client: the server has told no case count\n");
        return -1;
    }
    // The server is gone if a connection cannot be opened at all, and the other cases with it.
    for (number = 1; number <= counting.number && !interrupted; number++)
        if (run_case(options, number, counting.number) != 0 && !interrupted)
            return -1;
    return interrupted ? 0 : update_reports(options);
}

static void print_help(void)
{
    puts("usage: autobahn_client URL [options]\n"
         "Runs all cases of the Autobahn fuzzing server at URL, such as ws://127.0.0.1:9001, then makes it\n"
         "write its report.\n"
         "\n"
         "  --agent NAME  name in the report, of characters that a URL may hold (libws)\n"
         "  --deflate     offer compression\n"
         "  --help        this text\n"
         "\n"
         "Exit status: 0 when all cases have run or after Ctrl-C, 1 when the server could not be reached.\n"
         "Whether the cases passed is told by the report.");
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { AGENT = 1, DEFLATE, HELP };
    static const struct option table[] = {
        {"agent", required_argument, NULL, AGENT},
        {"deflate", no_argument, NULL, DEFLATE},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case AGENT:
            options->agent = optarg;
            break;
        case DEFLATE:
            options->deflate = 1;
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind != argc - 1) {
        fprintf(stderr, "autobahn_client: one URL is wanted; --help tells more\n");
        bad = 1;
    }
    options->url = argv[optind];
    return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.agent = "libws"};
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (catch_signals() != 0)
        return EXIT_FAILURE;
    result = run_all(&options);
    return result == 0 || interrupted ? EXIT_SUCCESS : EXIT_FAILURE;
}
