// An echo server that pushes to all clients from its main loop every second, in the way programs for websocket_for_linux
// do it, and 100 clients at once for LIBWS_TEST_SECONDS (20) seconds: nothing is lost, nothing comes twice or out of order.
#include "dropin.h"

#define MAX_CLIENTS 100

// --- the server ---

static int logins;
static int exits;
static int push_number;

static void on_login(Ws_Client *wsc)
{
    __sync_fetch_and_add(&logins, 1);
    CHECK(wsc->fd > 0 && wsc->isLogin && wsc->priv == wsc->wss->priv);
    CHECK(memcmp(wsc->ip, "\x7f\0\0\1", 4) == 0 && wsc->port > 0);
    CHECK(&wsc->wss->client[wsc->index] == wsc);
}

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0) {
        CHECK(msg[msgLen] == 0);
        ws_send(wsc->fd, msg, msgLen, false, type);
    }
}

static void on_exit_of_client(Ws_Client *wsc, Ws_ExitType exitType)
{
    __sync_fetch_and_add(&exits, 1);
    CHECK(wsc->fd > 0 && exitType == WET_DISCONNECT);
}

static void push_to_all(Ws_Server *wss)
{
    char text[64];
    int i;

    push_number++;
    snprintf(text, sizeof text, "push %d at %s", push_number, ws_time());
    for (i = 0; i < WS_SERVER_CLIENT; i++)
        if (wss->client[i].fd && wss->client[i].isLogin && !wss->client[i].exitType)
            ws_send(wss->client[i].fd, text, (int)strlen(text), false, WDT_TXTDATA);
}

// --- a client ---

struct client {
    int port;
    long long until;
    long echoes;
    int first_push;
    int last_push;
    bool ended;
};

static void take(struct client *client, const char *text, long *expected)
{
    long echo;
    int push;

    if (sscanf(text, "push %d at ", &push) == 1) {
        if (client->first_push == 0)
            client->first_push = push;
        else
            CHECK_INT(push, client->last_push + 1);
        client->last_push = push;
    } else {
        CHECK(sscanf(text, "echo %ld ", &echo) == 1);
        CHECK_INT(echo, *expected);
        ++*expected;
    }
}

static void *client_body(void *argument)
{
    struct client *client = (struct client *)argument;
    int fd = ws_requestServer("127.0.0.1", client->port, "/echo", (int)deadline_ms());
    unsigned seed = (unsigned)fd;
    long sent = 0;
    long expected = 0;
    static const char padding[] = "................................................................";
    char *text = (char *)malloc(WS_SERVER_PKG);

    CHECK(fd > 0 && text != NULL);
    while (now_ms() < client->until || expected < sent) {
        struct pollfd watched;
        Ws_DataType type;

        if (now_ms() < client->until && sent - expected < 8) {
            int n = snprintf(text, 200, "echo %ld %.*s", sent, (int)(rand_r(&seed) % 64), padding);

            CHECK(ws_send(fd, text, n, true, sent % 2 ? WDT_TXTDATA : WDT_BINDATA) > 0);
            sent++;
        }
        watched.fd = fd;
        watched.events = POLLIN;
        if (poll(&watched, 1, 1) == 1) {
            int got = ws_recv(fd, text, WS_SERVER_PKG, &type);

            CHECK(got > 0);
            take(client, text, &expected);
        }
        if (now_ms() > client->until + deadline_ms())
            FAIL("%ld of %ld came back", expected, sent);
    }
    client->echoes = expected;
    // The last push is waited for.
    while (!*(volatile bool *)&client->ended || client->last_push < push_number) {
        Ws_DataType type;
        int got = ws_recv(fd, text, WS_SERVER_PKG, &type);

        if (got > 0)
            take(client, text, &expected);
        ws_delayms(1);
        if (now_ms() > client->until + 2 * deadline_ms())
            FAIL("push %d of %d was the last to come", client->last_push, push_number);
    }
    ws_send(fd, NULL, 0, true, WDT_DISCONN);
    close(fd);
    free(text);
    return NULL;
}

int main(void)
{
    static struct client clients[MAX_CLIENTS];
    static pthread_t threads[MAX_CLIENTS];
    const char *text = getenv("LIBWS_TEST_SECONDS");
    int seconds = text != NULL ? atoi(text) : small_loads() ? 3 : 20;
    int count = small_loads() ? 10 : MAX_CLIENTS;
    long long began;
    long total = 0;
    char priv = 'p';
    Ws_Server *wss;
    int i;

    begin(120 + (unsigned)seconds);
    wss = serve("/echo", &priv, on_login, on_message, on_exit_of_client);
    began = now_ms();
    for (i = 0; i < count; i++) {
        clients[i].port = wss->port;
        clients[i].until = began + seconds * 1000;
        threads[i] = thread_start(client_body, &clients[i]);
    }
    while (now_ms() < began + seconds * 1000) {
        push_to_all(wss);
        ws_delayms(1000);
    }
    WAIT_FOR(__sync_fetch_and_add(&logins, 0) == count);
    push_to_all(wss);
    CHECK_INT(wss->clientCount, count);
    for (i = 0; i < count; i++)
        *(volatile bool *)&clients[i].ended = true;
    for (i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        total += clients[i].echoes;
        CHECK(clients[i].first_push > 0 && clients[i].first_push <= 2);
    }
    WAIT_FOR(__sync_fetch_and_add(&exits, 0) == count);
    WAIT_FOR(*(volatile int *)&wss->clientCount == 0);
    printf("  %d clients, %d s: %ld echoes, %d pushes to each\n", count, seconds, total, push_number);
    ws_server_release(&wss);
    CHECK(wss == NULL);
    return 0;
}
