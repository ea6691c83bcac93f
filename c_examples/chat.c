// chat: rooms as topics, page on the same port. Run: chat --port 8081, then open http://127.0.0.1:8081/?room=lobby
//
// A browser connects to /chat?room=ROOM. Its first message is the name of the person, each further one a line
// of talk; libws has checked both as UTF-8. What the server sends is JSON:
//   {"type":"welcome","members":["Ann","Bob"]}    to the newcomer: who is there, the newcomer included
//   {"type":"join","name":"Ann"}                  to the room, as all that follows
//   {"type":"say","name":"Ann","text":"Hello"}
//   {"type":"leave","name":"Ann"}
// The server has one event-loop thread, so the list of members needs no lock.

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <libws.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_html.h"

enum {
    NAME_MAX_BYTES = 64,
    ROOM_MAX_BYTES = 100,
    TEXT_MAX_BYTES = 4096,
};

struct options {
    const char *host;
    unsigned long port;
};

// Somebody who is connected; the conn_user of the connection.
struct member {
    char room[ROOM_MAX_BYTES + 1]; // as in the URL, still percent-encoded; the topic of the room
    char name[NAME_MAX_BYTES + 1]; // "" until the first message
    struct member *next;
};

static struct member *members;

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
        perror("chat: sigaction");
        return -1;
    }
    return 0;
}

static void report(const char *what, ws_status status)
{
    if (status != WS_OK && status != WS_ERR_CLOSED)
        fprintf(stderr, "chat: %s: %s\n", what, ws_strerror(status));
}

// Writes text as a JSON string (RFC 8259 section 7). The bytes of UTF-8 characters need no escape.
static void write_json_string(FILE *out, const char *text, size_t len)
{
    size_t i;

    putc('"', out);
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

// Closes a memory stream. One check stands for all writes to it: they fail for lack of memory only.
static int finish(FILE *out)
{
    int failed = ferror(out);

    if (fclose(out) == 0 && !failed)
        return 0;
    fprintf(stderr, "chat: no memory for a message\n");
    return -1;
}

// Sends {"type":TYPE,"name":NAME} to the room of member, with a text if there is one.
static void tell_room(ws_server *server, const struct member *member, const char *type,
                      const char *text, size_t text_len)
{
    char *json = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&json, &len);

    if (out == NULL) {
        perror("chat: open_memstream");
        return;
    }
    fprintf(out, "{\"type\":\"%s\",\"name\":", type);
    write_json_string(out, member->name, strlen(member->name));
    if (text != NULL) {
        fputs(",\"text\":", out);
        write_json_string(out, text, text_len);
    }
    putc('}', out);
    if (finish(out) == 0)
        report("publish", ws_server_publish(server, member->room, WS_TEXT, json, len));
    free(json);
}

static void welcome(ws_server *server, ws_conn_id conn, const struct member *newcomer)
{
    char *json = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&json, &len);
    const struct member *member;
    const char *comma = "";

    if (out == NULL) {
        perror("chat: open_memstream");
        return;
    }
    fputs("{\"type\":\"welcome\",\"members\":[", out);
    for (member = members; member != NULL; member = member->next) {
        if (member->name[0] == '\0' || strcmp(member->room, newcomer->room) != 0)
            continue;
        fputs(comma, out);
        write_json_string(out, member->name, strlen(member->name));
        comma = ",";
    }
    fputs("]}", out);
    if (finish(out) == 0)
        report("welcome", ws_server_send(server, conn, WS_TEXT, json, len));
    free(json);
}

// Copies the value of room in "a=b&room=VALUE&c=d" to room, "lobby" if there is none. Returns -1 if it is too long.
static int find_room(const char *query, char *room)
{
    size_t len;

    while (strncmp(query, "room=", 5) != 0) {
        query = strchr(query, '&');
        if (query == NULL) {
            strcpy(room, "lobby");
            return 0;
        }
        query++;
    }
    query += 5;
    len = strcspn(query, "&");
    if (len == 0) {
        strcpy(room, "lobby");
        return 0;
    }
    if (len > ROOM_MAX_BYTES)
        return -1;
    memcpy(room, query, len);
    room[len] = '\0';
    return 0;
}

static int on_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    char room[ROOM_MAX_BYTES + 1];

    (void)server;
    (void)response;
    (void)user;
    return find_room(ws_request_query(request), room) == 0 ? 0 : 400;
}

static void on_open(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    struct member *member = calloc(1, sizeof *member);
    ws_status status;

    (void)user;
    if (member == NULL || find_room(ws_request_query(request), member->room) != 0) {
        free(member);
        report("close", ws_server_close(server, conn, 1011, "no place left"));
        return;
    }
    status = ws_server_set_conn_user(server, conn, member);
    if (status != WS_OK) {
        report("open", status);
        free(member);
        return;
    }
    member->next = members;
    members = member;
}

static void join(ws_server *server, ws_conn_id conn, struct member *member, const ws_message *message)
{
    ws_status status;

    if (message->len == 0 || message->len > NAME_MAX_BYTES || memchr(message->data, '\0', message->len) != NULL) {
        report("close", ws_server_close(server, conn, 1008, "a name has 1 to 64 bytes"));
        return;
    }
    memcpy(member->name, message->data, message->len);
    // The newcomer is told who is there and subscribes after the room has heard of it: each learns of it once.
    tell_room(server, member, "join", NULL, 0);
    welcome(server, conn, member);
    status = ws_server_subscribe(server, conn, member->room);
    if (status != WS_OK) {
        report("subscribe", status);
        report("close", ws_server_close(server, conn, 1011, "cannot join"));
    }
}

static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    struct member *member = ws_server_conn_user(server, conn);

    (void)user;
    if (member == NULL)
        return; // on_open has closed the connection
    if (message->kind != WS_TEXT)
        report("close", ws_server_close(server, conn, 1003, "text only"));
    else if (member->name[0] == '\0')
        join(server, conn, member, message);
    else if (message->len > 0)
        tell_room(server, member, "say", message->data, message->len);
}

static void on_close(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    struct member *member = ws_server_conn_user(server, conn);
    struct member **link = &members;

    (void)info;
    (void)user;
    if (member == NULL)
        return;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    if (member->name[0] != '\0')
        tell_room(server, member, "leave", NULL, 0);
    free(member);
}

static void on_http(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    static const char not_found[] = "There is only one page here: /\n";

    (void)server;
    (void)user;
    if (strcmp(ws_request_path(request), "/") == 0) {
        report("page", ws_response_header(response, "Cache-Control", "no-cache"));
        report("page", ws_response_body(response, 200, "text/html; charset=utf-8", chat_html, chat_html_len));
    } else {
        report("page", ws_response_body(response, 404, "text/plain", not_found, sizeof not_found - 1));
    }
}

static void print_help(void)
{
    puts("usage: chat [options]\n"
         "Serves a chat page and its WebSocket. Rooms are chosen by the address: http://HOST:PORT/?room=NAME\n"
         "Prints \"listening on ws://HOST:PORT\" when it is ready.\n"
         "\n"
         "  --host HOST  address to listen at (127.0.0.1)\n"
         "  --port PORT  port; 0 picks a free one (8081)\n"
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
    fprintf(stderr, "chat: --port wants a number from 0 to 65535\n");
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
        fprintf(stderr, "chat: unexpected argument: %s\n", argv[optind]);
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
        fprintf(stderr, "chat: --host is too long\n");
        return -1;
    }
    return 0;
}

static ws_server *make_server(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    config.path = "/chat";
    // A page from elsewhere, open in somebody's browser, can reach this server too: it is not let in.
    config.allowed_origins = "self";
    config.max_message_size = TEXT_MAX_BYTES;
    config.on_upgrade = on_upgrade;
    config.on_http = on_http;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_close = on_close;

    if (ws_server_new(&config, &server) != WS_OK)
        fprintf(stderr, "chat: %s\n", ws_last_error());
    return server;
}

static int serve(ws_server *server, const struct options *options)
{
    char url[300];

    if (make_url(url, sizeof url, options->host, (unsigned)options->port) != 0)
        return -1;
    if (ws_server_listen(server, url) != WS_OK) {
        fprintf(stderr, "chat: %s\n", ws_last_error());
        return -1;
    }
    // With --port 0 only the server knows the port.
    if (make_url(url, sizeof url, options->host, ws_server_port(server)) != 0)
        return -1;
    if (printf("listening on %s\n", url) < 0 || fflush(stdout) != 0) {
        perror("chat: stdout");
        return -1;
    }
    if (ws_server_run(server) != WS_OK) {
        fprintf(stderr, "chat: %s\n", ws_last_error());
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.host = "127.0.0.1", .port = 8081};
    ws_server *server;
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    server = make_server();
    if (server == NULL)
        return EXIT_FAILURE;

    running = server;
    result = catch_signals();
    if (result == 0)
        result = serve(server, &options);
    running = NULL; // a late signal must not meet a freed server

    if (ws_server_free(server) != WS_OK) {
        fprintf(stderr, "chat: %s\n", ws_last_error());
        result = -1;
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
