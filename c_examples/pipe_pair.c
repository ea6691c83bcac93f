// pipe_pair: a WebSocket client and server that talk over two pipes, without a network. Run: pipe_pair hello world
//
// A ws_proto moves no bytes, so they may travel over anything: here over pipes, elsewhere over a serial line or a TLS
// library. The client sends its arguments as messages, the server sends each back in capitals, then the client closes.

#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libws.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// One end of the connection.
struct end {
    const char *name;
    ws_proto *proto;
    int in;  // bytes of the other end, -1 once they have ended
    int out; // bytes to the other end, -1 once closed
    // Client: the messages to send, and how many answers are still to come.
    char **messages;
    int count;
    int missing;
    int failed;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void check(struct end *end, ws_status status)
{
    if (status == WS_OK)
        return;
    fprintf(stderr, "%s: %s\n", end->name, ws_last_error());
    end->failed = 1;
}

static void send_all(struct end *client)
{
    int i;

    for (i = 0; i < client->count; i++)
        check(client, ws_proto_send(client->proto, WS_TEXT, client->messages[i], strlen(client->messages[i])));
    client->missing = client->count;
}

static void on_message(struct end *end, const ws_proto_event *event)
{
    char *text = malloc(event->len + 1);
    size_t i;

    if (text == NULL) {
        end->failed = 1;
        return;
    }
    memcpy(text, event->data, event->len);
    text[event->len] = '\0'; // none follows in the event
    printf("%s received: %s\n", end->name, text);
    if (end->messages == NULL) {
        for (i = 0; i < event->len; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        check(end, ws_proto_send(end->proto, WS_TEXT, text, event->len));
    } else if (--end->missing == 0) {
        check(end, ws_proto_close(end->proto, 1000, "that was all", now_ms()));
    }
    free(text);
}

static void on_event(struct end *end, const ws_proto_event *event)
{
    switch (event->type) {
    case WS_PROTO_REQUEST:
        printf("%s: a request for %s\n", end->name, ws_request_path(event->request));
        check(end, ws_proto_accept(end->proto, NULL, NULL, now_ms()));
        break;
    case WS_PROTO_OPEN:
        printf("%s: open\n", end->name);
        if (end->messages != NULL)
            send_all(end);
        break;
    case WS_PROTO_MESSAGE:
        on_message(end, event);
        break;
    case WS_PROTO_CLOSE:
        printf("%s: closed by %s, %u %s\n", end->name, event->by_peer ? "the other end" : "this end",
               (unsigned)event->code, event->reason);
        break;
    case WS_PROTO_ERROR:
        fprintf(stderr, "%s: %s: %s\n", end->name, ws_strerror(event->status), event->reason);
        end->failed = 1;
        break;
    default:
        break;
    }
}

static void take_events(struct end *end)
{
    ws_proto_event event = {.struct_size = sizeof event};
    ws_status status;

    while ((status = ws_proto_next(end->proto, &event)) == WS_OK && event.type != WS_PROTO_NONE)
        on_event(end, &event);
    check(end, status);
}

static void close_out(struct end *end)
{
    if (end->out >= 0)
        close(end->out);
    end->out = -1;
}

static void write_output(struct end *end)
{
    const void *data;
    size_t len;

    while (end->out >= 0 && (len = ws_proto_output(end->proto, &data)) > 0) {
        ssize_t written = write(end->out, data, len);

        if (written >= 0)
            check(end, ws_proto_written(end->proto, (size_t)written, now_ms()));
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            close_out(end); // the other end has gone
    }
    if (ws_proto_wants_end(end->proto) != WS_PROTO_GO_ON)
        close_out(end);
}

static void read_input(struct end *end)
{
    // Used up before this returns: the server answers its request at once.
    char buffer[4096];
    ssize_t len = read(end->in, buffer, sizeof buffer);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len > 0) {
        check(end, ws_proto_feed(end->proto, buffer, (size_t)len, now_ms()));
    } else {
        check(end, ws_proto_eof(end->proto));
        close(end->in);
        end->in = -1;
    }
    take_events(end);
}

// Milliseconds until something is due at one of the ends, for poll().
static int wait_ms(const struct end *ends)
{
    uint64_t now = now_ms();
    uint64_t due = ws_proto_deadline(ends[0].proto);

    if (ws_proto_deadline(ends[1].proto) < due)
        due = ws_proto_deadline(ends[1].proto);
    if (due == UINT64_MAX)
        return -1;
    return due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

static int is_over(const struct end *end)
{
    return ws_proto_wants_end(end->proto) == WS_PROTO_END;
}

static int talk(struct end *ends)
{
    while (!is_over(&ends[0]) || !is_over(&ends[1])) {
        struct pollfd fds[4];
        int i;

        for (i = 0; i < 2; i++) {
            write_output(&ends[i]);
            // poll() passes over negative fds.
            fds[2 * i] = (struct pollfd){.fd = ends[i].in, .events = POLLIN};
            fds[2 * i + 1] = (struct pollfd){
                .fd = ws_proto_buffered(ends[i].proto) > 0 ? ends[i].out : -1,
                .events = POLLOUT,
            };
        }
        if (poll(fds, 4, wait_ms(ends)) < 0 && errno != EINTR) {
            perror("pipe_pair: poll");
            return -1;
        }
        for (i = 0; i < 2; i++) {
            if (ws_proto_deadline(ends[i].proto) <= now_ms()) {
                check(&ends[i], ws_proto_tick(ends[i].proto, now_ms()));
                take_events(&ends[i]);
            }
            if (fds[2 * i].revents != 0)
                read_input(&ends[i]);
        }
    }
    return ends[0].failed || ends[1].failed ? -1 : 0;
}

// Two pipes: what one end writes, the other reads.
static int connect_ends(struct end *ends)
{
    int up[2];
    int down[2];
    int i;

    if (pipe(up) != 0 || pipe(down) != 0) {
        perror("pipe_pair: pipe");
        return -1;
    }
    ends[0].in = down[0];
    ends[0].out = up[1];
    ends[1].in = up[0];
    ends[1].out = down[1];
    for (i = 0; i < 2; i++) {
        if (fcntl(ends[i].in, F_SETFL, O_NONBLOCK) != 0 || fcntl(ends[i].out, F_SETFL, O_NONBLOCK) != 0) {
            perror("pipe_pair: fcntl");
            return -1;
        }
    }
    // Else a write to a pipe that nobody reads would end the program.
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int make_ends(struct end *ends)
{
    ws_proto_config client = {.struct_size = sizeof client, .role = WS_CLIENT, .url = "ws://pipe/capitals"};
    ws_proto_config server = {.struct_size = sizeof server, .role = WS_SERVER};

    if (ws_proto_new(&client, now_ms(), &ends[0].proto) == WS_OK
        && ws_proto_new(&server, now_ms(), &ends[1].proto) == WS_OK)
        return 0;
    fprintf(stderr, "pipe_pair: %s\n", ws_last_error());
    return -1;
}

int main(int argc, char **argv)
{
    static char greeting[] = "hello";
    char *one[] = {greeting};
    struct end ends[2] = {
        {.name = "client", .in = -1, .out = -1},
        {.name = "server", .in = -1, .out = -1},
    };
    int result;
    int i;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: pipe_pair [--] [TEXT]...\n"
             "A WebSocket client sends each TEXT (\"hello\" if there is none) over a pipe to a server, which sends it\n"
             "back in capitals; then the client closes.\n"
             "\n"
             "  --help    this text\n"
             "\n"
             "Exit status: 0 after a clean close, 1 after an error.");
        return EXIT_SUCCESS;
    }
    if (argc > 1 && argv[1][0] == '-' && strcmp(argv[1], "--") != 0) {
        fprintf(stderr, "pipe_pair: unknown option %s; a TEXT that begins with - stands behind --\n", argv[1]);
        return EXIT_FAILURE;
    }
    if (argc > 1 && strcmp(argv[1], "--") == 0) {
        argv++;
        argc--;
    }
    ends[0].messages = argc > 1 ? argv + 1 : one;
    ends[0].count = argc > 1 ? argc - 1 : 1;

    result = connect_ends(ends);
    if (result == 0)
        result = make_ends(ends);
    if (result == 0)
        result = talk(ends);
    for (i = 0; i < 2; i++) {
        ws_proto_free(ends[i].proto);
        if (ends[i].in >= 0)
            close(ends[i].in);
        close_out(&ends[i]);
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
