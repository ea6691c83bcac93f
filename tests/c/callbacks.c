// Every call inside every callback, and that none comes after on_close.
#include "harness.h"

#include <stdatomic.h>

static struct recorder recorder;

static ws_server_config begin(void)
{
    recorder_init(&recorder);
    recorder.echo = 1;
    return server_config(&recorder);
}

enum action { SEND, SEND_BIG, PING_IT, CLOSE_IT, CLOSE_TWICE, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, BROADCAST, PAUSE, RESUME, USER, LOOK,
              STOP, ACTIONS };

static enum what act_in;
static enum action action;
static atomic_int acted;

static void act(struct recorder *unused, const struct event *event)
{
    static char big[100000];
    ws_server *server = recorder.server;
    ws_conn_id conn = event->conn;
    // In on_close the connection is gone; else all of it is allowed.
    ws_status expected = event->what == CLOSED ? WS_ERR_CLOSED : WS_OK;

    (void)unused;
    if (event->what != act_in || acted)
        return;
    acted = 1;
    switch (action) {
    case SEND:
        CHECK_STATUS(ws_server_send(server, conn, WS_TEXT, "x", 1), expected);
        break;
    case SEND_BIG:
        CHECK_STATUS(ws_server_send(server, conn, WS_BINARY, big, sizeof big), expected);
        break;
    case PING_IT:
        CHECK_STATUS(ws_server_ping(server, conn, "p", 1), expected);
        break;
    case CLOSE_IT:
        CHECK_STATUS(ws_server_close(server, conn, 1000, NULL), expected);
        CHECK_STATUS(ws_server_send(server, conn, WS_TEXT, "x", 1), WS_ERR_CLOSED);
        break;
    case CLOSE_TWICE:
        CHECK_STATUS(ws_server_close(server, conn, 1000, NULL), expected);
        CHECK_STATUS(ws_server_close(server, conn, 1000, NULL), WS_ERR_CLOSED);
        break;
    case SUBSCRIBE:
        CHECK_STATUS(ws_server_subscribe(server, conn, "t"), expected);
        OK(ws_server_publish(server, "t", WS_TEXT, "x", 1));
        break;
    case UNSUBSCRIBE:
        CHECK_STATUS(ws_server_unsubscribe(server, conn, "t"), expected);
        break;
    case PUBLISH:
        OK(ws_server_publish(server, "t", WS_TEXT, "x", 1));
        break;
    case BROADCAST:
        OK(ws_server_broadcast(server, WS_TEXT, "x", 1));
        break;
    case PAUSE:
        CHECK_STATUS(ws_server_pause(server, conn), expected);
        CHECK_STATUS(ws_server_resume(server, conn), expected);
        break;
    case RESUME:
        CHECK_STATUS(ws_server_resume(server, conn), expected);
        break;
    case USER:
        if (expected == WS_OK)
            OK(ws_server_set_conn_user(server, conn, &action));
        ws_server_conn_user(server, conn);
        break;
    case LOOK:
        ws_server_buffered(server, conn);
        server_stats(server);
        CHECK(ws_server_port(server) != 0 && ws_server_fd(server) >= 0);
        break;
    case STOP:
        ws_server_stop(server);
        break;
    case ACTIONS:
        break;
    }
}

// Brings each callback about on one connection, whose peer takes whatever happens to it.
static void live_through(int fd, ws_conn_id conn)
{
    static char big[100000];
    char buffer[65536];
    ssize_t got = 1;

    send(fd, "\x81\x81\0\0\0\0a", 7, MSG_NOSIGNAL);
    send(fd, "\x8a\x81\0\0\0\0p", 7, MSG_NOSIGNAL);
    while (act_in == WRITABLE && ws_server_send(recorder.server, conn, WS_BINARY, big, sizeof big) == WS_OK)
        ;
    // Reads until the queue has emptied once, then leaves without a word.
    raw_set_timeout(fd, 20 * slowness());
    while (got > 0 && !acted && act_in != CLOSED)
        got = recv(fd, buffer, sizeof buffer, 0) != 0;
    close(fd);
}

static void every_call_in_every_callback(void)
{
    for (int in = OPENED; in <= CLOSED; in++) {
        for (int what = 0; what < ACTIONS; what++) {
            ws_server_config config = begin();
            ws_conn_id conn;
            uint16_t port;
            int fd;

            recorder.echo = 0;
            recorder.hook = act;
            act_in = (enum what)in;
            action = (enum action)what;
            acted = 0;
            config.max_send_queue = 250000;
            config.close_timeout_ms = 100;
            port = server_start(&recorder, &config);
            fd = raw_connect(port);
            raw_puts(fd, "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
            conn = EXPECT(&recorder, OPENED, 0)->conn;
            live_through(fd, conn);
            if (what != STOP) {
                WAIT_UNTIL(count_of(&recorder, CLOSED, conn) == 1);
                WAIT_UNTIL(acted);
                // The next one is served as ever.
                fd = raw_open(port);
                raw_close_frame(fd, 1000, "");
                RAW_EXPECT_CLOSE(fd, 1000, NULL);
                close(fd);
            }
            server_end(&recorder);
            CHECK(acted);
        }
    }
}

static ws_conn_id full;
static int full_fd;
static int others_closed;
static int full_closed;
static char block[20000];

static void note_full(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    (void)server;
    (void)request;
    (void)user;
    if (full == 0)
        full = conn;
}

static void not_after_its_end(ws_server *server, ws_conn_id conn, void *user)
{
    (void)server;
    (void)user;
    CHECK(conn == full && !full_closed);
}

// One on_close makes room in the full queue, so that on_writable is owed; the next ends its connection.
static void room_then_end(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    (void)info;
    (void)user;
    full_closed |= conn == full;
    if (conn == full)
        return;
    if (others_closed++ == 0) {
        do
            while (recv(full_fd, block, sizeof block, MSG_DONTWAIT) > 0)
                ;
        while (poll(&(struct pollfd){full_fd, POLLIN, 0}, 1, 50) > 0);
        OK(ws_server_send(server, full, WS_TEXT, "touched", 7));
    } else {
        raw_reset(full_fd);
        while (ws_server_send(server, full, WS_BINARY, block, sizeof block) == WS_OK)
            ;
    }
}

static void nothing_comes_after_on_close(void)
{
    ws_server_config config = begin();
    uint16_t port;
    int fds[3];
    int turns;
    int i;

    config.on_open = note_full;
    config.on_writable = not_after_its_end;
    config.on_close = room_then_end;
    port = server_make(&recorder, &config);
    for (i = 0; i < 3; i++) {
        fds[i] = raw_connect(port);
        raw_puts(fds[i], "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
        while (server_stats(recorder.server).connections_open <= (uint64_t)i)
            OK(ws_server_poll(recorder.server, 10));
    }
    full_fd = fds[0];
    while (ws_server_send(recorder.server, full, WS_BINARY, block, sizeof block) == WS_OK)
        for (turns = 0; turns < 5; turns++)
            OK(ws_server_poll(recorder.server, 0));
    close(fds[1]);
    close(fds[2]);
    while (!full_closed)
        OK(ws_server_poll(recorder.server, 10));
    for (turns = 0; turns < 5; turns++)
        OK(ws_server_poll(recorder.server, 0));
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(every_call_in_every_callback);
    RUN(nothing_comes_after_on_close);
    return check_end();
}
