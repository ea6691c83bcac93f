// Descriptors whose numbers come again: 1000 connections one after the other, each given up in another state, and on
// the same few numbers. Nothing of one shows in the next.
#include "dropin.h"

static int rounds;

// Leaves a connection behind as hand-written programs do: close(), whatever there is.
static void give_up(struct pair pair, int how)
{
    static unsigned char bytes[4096];
    static char large[400000];
    char text[64];
    Ws_DataType type;
    size_t len;

    switch (how % 6) {
    case 0: // half a head
        put(pair.peer, "\x81\xfe\x01", 3);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        break;
    case 1: // half a payload
        len = frame(bytes, 0x81, "half of a message", 17, 1);
        put(pair.peer, bytes, len - 5);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        break;
    case 2: // a fragment, and a message that has not been looked at
        put_frame(pair.peer, 0x01, "fragment", 8, 1);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        put_frame(pair.peer, 0x80, "unread", 6, 1);
        break;
    case 3: // half of a message that is too large
        put_frame(pair.peer, 0x02, large, 1000, 1);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        break;
    case 4: // failed
        put(pair.peer, "\x81\x01x", 3);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), -3);
        break;
    default: // closed in order
        put_frame(pair.peer, 0x88, "", 0, 1);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        CHECK_INT(type, WDT_DISCONN);
    }
    close(pair.ours);
    close(pair.peer);
}

static void check_fresh(struct pair pair, int number)
{
    char text[64];
    char expected[64];
    Ws_DataType type;

    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_NULL);
    snprintf(expected, sizeof expected, "message %d", number);
    put_frame(pair.peer, 0x81, expected, strlen(expected), 1);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), strlen(expected));
    CHECK(type == WDT_TXTDATA && strcmp(text, expected) == 0);
    CHECK(ws_send(pair.ours, expected, (int)strlen(expected), true, WDT_TXTDATA) > 0);
    get_frame(pair.peer, 0x81, expected, strlen(expected), 0);
}

static void numbers_come_again(void)
{
    int seen = -1;
    int again = 0;
    int i;

    for (i = 0; i < rounds; i++) {
        struct pair pair = pair_server();

        again += pair.ours == seen;
        seen = pair.ours;
        check_fresh(pair, i);
        give_up(pair, i);
    }
    // Else this test shows nothing.
    CHECK(again > rounds / 2);
}

static void a_peer_that_never_read_leaves_nothing_behind(void)
{
    static char large[2000000];
    int i;

    for (i = 0; i < 3; i++) {
        struct pair pair = pair_server();

        check_fresh(pair, i);
        ws_send(pair.ours, large, sizeof large, true, WDT_BINDATA);
        close(pair.ours);
        close(pair.peer);
    }
}

static void another_socket_under_the_number_is_no_connection(void)
{
    struct pair pair = pair_server();
    char text[64];
    Ws_DataType type;
    int fds[2];

    put(pair.peer, "\x81", 1);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(dup2(fds[0], pair.ours) == pair.ours);
    put(fds[1], "plain", 5);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), -5);
    CHECK(type == WDT_NULL && strcmp(text, "plain") == 0);
    CHECK(ws_send(pair.ours, "x", 1, false, WDT_TXTDATA) <= 0);
    close(pair.ours);
    close(pair.peer);
    close(fds[0]);
    close(fds[1]);
}

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0)
        ws_send(wsc->fd, msg, msgLen, false, type);
}

static void clients_of_a_server_come_again(void)
{
    Ws_Server *wss = serve(NULL, NULL, NULL, on_message, NULL);
    int i;

    for (i = 0; i < rounds; i++) {
        int fd = ws_requestServer("127.0.0.1", wss->port, "/", (int)deadline_ms());
        char text[64];
        char expected[64];
        Ws_DataType type;

        CHECK(fd > 0);
        if (i % 3 == 1)
            ws_send(fd, "\x81\xff", 2, true, WDT_NULL); // half a head
        snprintf(expected, sizeof expected, "message %d", i);
        if (i % 3 != 1) {
            CHECK(ws_send(fd, expected, (int)strlen(expected), true, WDT_TXTDATA) > 0);
            CHECK_INT(recv_wait(fd, text, sizeof text, &type), strlen(expected));
            CHECK(strcmp(text, expected) == 0);
        }
        if (i % 3 == 2)
            ws_send(fd, expected, (int)strlen(expected), true, WDT_TXTDATA); // the echo is not waited for
        close(fd);
    }
    WAIT_FOR(*(volatile int *)&wss->clientCount == 0);
    for (i = 0; i < WS_SERVER_CLIENT; i++)
        CHECK(wss->client[i].fd == 0 && !wss->client[i].isLogin);
    ws_server_release(&wss);
}

int main(void)
{
    begin(120);
    rounds = small_loads() ? 120 : 1000;
    RUN(numbers_come_again);
    RUN(a_peer_that_never_read_leaves_nothing_behind);
    RUN(another_socket_under_the_number_is_no_connection);
    RUN(clients_of_a_server_come_again);
    return 0;
}
