// An echo server whose peers read slowly: it pauses a peer whose queue is full and resumes it in on_writable. Large
// messages then are cut at every possible place between socket, bytes set aside, and queue; none may be lost, changed or
// out of order.
#include "check.h"

enum { PEERS = 2 };

static const size_t message_size = 700 * 1000;

// A message that found the queue full.
struct held {
    size_t len;
    char data[];
};

static void echo(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    ws_status status = ws_server_send(server, conn, message->kind, message->data, message->len);
    struct held *held;

    (void)user;
    if (status == WS_OK || status == WS_ERR_CLOSED)
        return;
    CHECK_STATUS(status, WS_ERR_AGAIN);
    CHECK(ws_server_conn_user(server, conn) == NULL); // one message at the most comes after a pause
    held = malloc(sizeof *held + message->len);
    CHECK(held != NULL);
    held->len = message->len;
    memcpy(held->data, message->data, message->len);
    OK(ws_server_set_conn_user(server, conn, held));
    OK(ws_server_pause(server, conn));
}

static void go_on(ws_server *server, ws_conn_id conn, void *user)
{
    struct held *held = ws_server_conn_user(server, conn);

    (void)user;
    if (held == NULL)
        return;
    OK(ws_server_send(server, conn, WS_BINARY, held->data, held->len));
    OK(ws_server_set_conn_user(server, conn, NULL));
    OK(ws_server_resume(server, conn));
    free(held);
}

static void forget(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    (void)info;
    (void)user;
    free(ws_server_conn_user(server, conn));
}

struct peer {
    pthread_t thread;
    char url[64];
    int messages;
    int received;
};

static void fill_message(char *data, int number)
{
    size_t i;

    for (i = 0; i < message_size; i++)
        data[i] = (char)((i * 31 + (size_t)number * 7) >> 3);
}

static void peer_opened(ws_client *client, void *user)
{
    struct peer *peer = user;
    char *data = malloc(message_size);
    int i;

    CHECK(data != NULL);
    for (i = 0; i < peer->messages; i++) {
        fill_message(data, i);
        OK(ws_client_send(client, WS_BINARY, data, message_size));
    }
    free(data);
}

static void peer_message(ws_client *client, const ws_message *message, void *user)
{
    struct peer *peer = user;
    char *expected = malloc(message_size);
    struct timespec slow = {0, 3 * 1000 * 1000}; // a peer that is busy with what it got, not a wait for something

    CHECK(expected != NULL);
    fill_message(expected, peer->received);
    CHECK_INT(message->len, message_size);
    CHECK(memcmp(message->data, expected, message_size) == 0);
    free(expected);
    nanosleep(&slow, NULL);
    if (++peer->received == peer->messages)
        OK(ws_client_close(client, 1000, NULL));
}

static void *run_peer(void *argument)
{
    struct peer *peer = argument;
    ws_client_config config = {.struct_size = sizeof config};
    ws_client *client;

    config.url = peer->url;
    config.max_send_queue = (message_size + 16) * (size_t)peer->messages;
    config.receive_buffer_size = 64 * 1024;
    config.on_open = peer_opened;
    config.on_message = peer_message;
    config.user = peer;
    OK(ws_client_new(&config, &client));
    OK(ws_client_run(client));
    OK(ws_client_free(client));
    return NULL;
}

static void echo_to_slow_readers(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    struct peer peers[PEERS];
    ws_server *server;
    int i;

    config.max_send_queue = 2 * message_size + 64 * 1024; // what is at most half full takes one more
    config.on_message = echo;
    config.on_writable = go_on;
    config.on_close = forget;
    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    OK(ws_server_start(server));
    for (i = 0; i < PEERS; i++) {
        peers[i].messages = getenv("LIBWS_TEST_SMALL") != NULL ? 5 : 40;
        peers[i].received = 0;
        snprintf(peers[i].url, sizeof peers[i].url, "ws://127.0.0.1:%d", ws_server_port(server));
        CHECK_INT(pthread_create(&peers[i].thread, NULL, run_peer, &peers[i]), 0);
    }
    for (i = 0; i < PEERS; i++) {
        CHECK_INT(pthread_join(peers[i].thread, NULL), 0);
        CHECK_INT(peers[i].received, peers[i].messages);
    }
    OK(ws_server_free(server));
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(echo_to_slow_readers);
    return check_end();
}
