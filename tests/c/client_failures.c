// How a client's attempts and connections fail: nobody there, answers that are no upgrade, silence, broken frames; what
// it says then; reconnecting; stopping and freeing at any moment.
#include "harness.h"
#include "raw_server.h"

static struct recorder client;

static ws_client_config begin(const char *url)
{
    recorder_init(&client);
    return client_config(&client, url);
}

static void start(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
    OK(ws_client_start(client.client));
}

// The error names the place first: "dns: ...", "tcp: ...", "http: ..." or "websocket: ...".
static void check_error(const char *place)
{
    const char *error = ws_client_error(client.client);

    if (strncmp(error, place, strlen(place)) != 0)
        FAIL("ws_client_error() is \"%s\" and does not begin with \"%s\"", error, place);
    CHECK(strlen(error) > strlen(place) + 2);
}

// A port at which nobody listens.
static uint16_t dead_port(void)
{
    uint16_t port;

    close(raw_listen(&port));
    return port;
}

static void nobody_there(void)
{
    ws_client_config config = begin(url_of(dead_port(), "/"));
    char port[16];

    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_IO);
    CHECK_INT(client.count, 1);
    check_error("tcp: ");
    CHECK_HAS(ws_client_error(client.client), "127.0.0.1");
    snprintf(port, sizeof port, ":%s", strrchr(config.url, ':') + 1);
    port[strlen(port) - 1] = '\0';
    CHECK_HAS(ws_client_error(client.client), port);
    CHECK_INT(ws_client_http_status(client.client), 0);
    client_end(&client);
}

static void no_such_host(void)
{
    ws_client_config config = begin("ws://no-such-host.invalid/");
    ws_status status;

    OK(ws_client_new(&config, &client.client));
    status = ws_client_run(client.client);
    // A resolver that does not answer within connect_timeout_ms is a timeout.
    if (status != WS_ERR_TIMEOUT)
        CHECK_STATUS(status, WS_ERR_DNS);
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, status);
    check_error("dns: ");
    CHECK_HAS(ws_client_error(client.client), "no-such-host.invalid");
    client_end(&client);
}

static void answers_that_are_no_upgrade(void)
{
#define S101 "HTTP/1.1 101 Switching Protocols\r\n"
#define UP "Upgrade: websocket\r\n"
#define CO "Connection: Upgrade\r\n"
#define AC "Sec-WebSocket-Accept: $\r\n"
    static const struct {
        const char *answer;
        int status;
    } table[] = {
        // RFC 6455 section 4.1, what the client must check
        // status: what ws_client_http_status() must tell; -1: anything
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", 404},
        {"HTTP/1.1 200 OK\r\n" UP CO AC "\r\n", 200},
        {"HTTP/1.1 100 Continue\r\n" UP CO AC "\r\n", -1},
        {"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", 302},
        {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 401},
        {"HTTP/1.1 503 Service Unavailable\r\n\r\n", 503},
        {S101 CO AC "\r\n", 101},
        {S101 "Upgrade: h2c\r\n" CO AC "\r\n", 101},
        {S101 "Upgrade: websockets\r\n" CO AC "\r\n", 101},
        {S101 UP AC "\r\n", 101},
        {S101 UP "Connection: close\r\n" AC "\r\n", 101},
        {S101 UP "Connection: Upgraded\r\n" AC "\r\n", 101},
        {S101 UP CO "\r\n", 101},
        {S101 UP CO "Sec-WebSocket-Accept:\r\n\r\n", 101},
        {S101 UP CO "Sec-WebSocket-Accept: " RAW_ACCEPT "\r\n\r\n", 101},
        {S101 UP CO "Sec-WebSocket-Accept: $x\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Accept: " RAW_ACCEPT "\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Protocol: unasked\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Protocol: first, second\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Protocol: FIRST\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101},
        {S101 UP CO AC "Sec-WebSocket-Extensions: x-made-up\r\n\r\n", 101},
        {"HTTP/1.0 101 Switching Protocols\r\n" UP CO AC "\r\n", -1},
        {"HTTP/2 101\r\n" UP CO AC "\r\n", -1},
        {"HTTP/1.1 999999999999 Big\r\n" UP CO AC "\r\n", -1},
        {S101 UP CO AC "Bad header\r\n\r\n", -1},
        {S101 UP CO AC "Bad\x01: x\r\n\r\n", -1},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0},
        {"\x16\x03\x01\x02\x00\r\n\r\n", 0},
        {"\r\n\r\n\r\n\r\n", 0},
        {"", 0}, // the server hangs up
        {"HTTP/1.1 101 Swi", 0},
    };
    uint16_t port;
    int listener = raw_listen(&port);
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        ws_client_config config = begin(url_of(port, "/"));
        char request[8192];
        const struct event *event;
        int fd;

        config.subprotocols = "first,second";
        start(&config);
        fd = raw_answer(listener, table[i].answer, request, sizeof request);
        SYS(shutdown(fd, SHUT_WR));
        event = EXPECT(&client, CLOSED, 0);
        if (event->status != WS_ERR_HANDSHAKE)
            FAIL("status %d (%s) for the answer\n%s", (int)event->status, event->reason, table[i].answer);
        check_error("http: ");
        if (table[i].status >= 0 && ws_client_http_status(client.client) != table[i].status)
            FAIL("ws_client_http_status() is %d for the answer\n%s", ws_client_http_status(client.client), table[i].answer);
        CHECK_INT(client.count, 1);
        raw_expect_end(fd); // and nothing was said after a bad answer
        close(fd);
        client_end(&client);
    }
    close(listener);
}

static void an_endless_answer(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    char request[8192];
    long sent = 0;
    int fd;

    start(&config);
    fd = raw_answer(listener, "HTTP/1.1 101 Switching Protocols\r\n", request, sizeof request);
    while (send(fd, "X: y\r\n", 6, MSG_NOSIGNAL) == 6) {
        sent += 6;
        CHECK(sent < 16 * 1024 * 1024);
    }
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
    close(fd);
    close(listener);
    client_end(&client);
}

static void silence(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    long long began = now_ms();

    // TCP connects, as the kernel does that; nobody ever accepts.
    config.connect_timeout_ms = 200;
    start(&config);
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_TIMEOUT);
    CHECK(now_ms() - began >= 190);
    CHECK(now_ms() - began < 3000 * slowness());
    CHECK(ws_client_error(client.client)[0] != '\0');
    client_end(&client);
    close(listener);
}

static void an_answer_that_drips(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    char request[8192];
    long long began;
    int fd;

    config.connect_timeout_ms = 200;
    began = now_ms();
    start(&config);
    fd = raw_answer(listener, "HTTP/1.1 101 Switching Protocols\r\nX: ", request, sizeof request);
    while (count_of(&client, CLOSED, 0) == 0 && send(fd, "y", 1, MSG_NOSIGNAL) == 1)
        nap();
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_TIMEOUT);
    CHECK(now_ms() - began < 3000 * slowness());
    close(fd);
    client_end(&client);
    close(listener);
}

// What breaks the protocol once the connection is open.
static void violations(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int code;
    } table[] = {
        // RFC 6455 5.1: "A client MUST close a connection if it detects a masked frame."
        {"\x81\x82\0\0\0\0hi", 8, 1002},
        {"\x89\x80\0\0\0\0", 6, 1002},
        {"\xc1\x00", 2, 1002},
        {"\x83\x00", 2, 1002},
        {"\x80\x00", 2, 1002},
        {"\x89\x7e\x00\x7e", 4, 1002},
        {"\x81\x01\xff", 3, 1007},
        {"\x88\x01\x03", 3, 1002},
        {"\x88\x02\x03\xed", 4, 1002},
        {"\x82\x7f\0\0\0\0\0\x10\0\x01", 10, 1009},
        {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, 1002},
    };
    uint16_t port;
    int listener = raw_listen(&port);
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        ws_client_config config = begin(url_of(port, "/"));
        struct raw_frame frame;
        int fd;

        start(&config);
        fd = raw_serve(listener);
        EXPECT(&client, OPENED, 0);
        raw_send(fd, table[i].bytes, table[i].len);
        CHECK(raw_read_frame(fd, &frame));
        CHECK(frame.first == RAW_CLOSE && frame.masked && frame.len >= 2);
        CHECK_INT(frame.data[0] << 8 | frame.data[1], table[i].code);
        EXPECT_CLOSED(&client, 0, WS_ERR_PROTOCOL, table[i].code, 0);
        check_error("websocket: ");
        CHECK_INT(count_of(&client, MESSAGE, 0), 0);
        close(fd);
        client_end(&client);
    }
    close(listener);
}

static void lost_connections(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    const struct event *event;
    int fd;

    OK(ws_client_new(&config, &client.client));
    OK(ws_client_start(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close(fd);
    EXPECT_CLOSED(&client, 0, WS_ERR_CLOSED, 1006, 1);
    CHECK(ws_client_error(client.client)[0] != '\0');
    client_end(&client);

    config = begin(url_of(port, "/"));
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_reset(fd);
    event = EXPECT(&client, CLOSED, 0);
    CHECK(event->status == WS_ERR_IO || event->status == WS_ERR_CLOSED);
    CHECK_INT(event->code, 1006);
    client_end(&client);

    // No answer to our Close.
    config = begin(url_of(port, "/"));
    config.close_timeout_ms = 150;
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_ERR_TIMEOUT, 1006, 0);
    close(fd);
    client_end(&client);
    close(listener);
}

// Both have said Close: how the server ends TCP then makes no failure of it. Many do so without reading our Close.
static void a_reset_behind_the_closing_handshake(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    char byte;
    int fd;

    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_plain_frame(fd, RAW_CLOSE, "\x03\xe9" "bye", 5);
    CHECK_INT(recv(fd, &byte, 1, MSG_PEEK), 1); // the client's Close is there
    close(fd);
    CHECK_STR(EXPECT_CLOSED(&client, 0, WS_OK, 1001, 1)->reason, "bye");
    CHECK_STR(ws_client_error(client.client), "");
    client_end(&client);
    close(listener);
}

static void reconnects(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    ws_stats stats = {.struct_size = sizeof stats};
    char request[8192];
    long long began;
    int fd;

    config.reconnect_min_ms = 20;
    config.reconnect_max_ms = 100;
    start(&config);
    // Lost, refused by HTTP, lost again: each time it comes back.
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_reset(fd);
    CHECK_INT(EXPECT(&client, CLOSED, 0)->code, 1006);
    close(raw_answer(listener, "HTTP/1.1 503 Service Unavailable\r\n\r\n", request, sizeof request));
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_plain_frame(fd, RAW_TEXT, "back", 4);
    EXPECT_TEXT(&client, 0, "back");
    // A closing handshake by the server ends the connection, not the client.
    raw_plain_frame(fd, RAW_CLOSE, "\x03\xe9", 2);
    EXPECT_CLOSED(&client, 0, WS_OK, 1001, 1);
    close(fd);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);

    // Nobody there: attempts go on, and not without pauses.
    close(listener);
    raw_reset(fd);
    began = now_ms();
    while (count_of(&client, CLOSED, 0) < 10)
        CHECK(EXPECT(&client, CLOSED, 0)->code == 1006);
    CHECK(now_ms() - began >= 7 * 20);
    do
        OK(ws_client_stats(client.client, &stats));
    while (stats.handshakes_failed < 6 && now_ms() - began < deadline_ms());
    CHECK(stats.handshakes_failed >= 6 && stats.connections_total == 3);
    // Closed for good while it waits.
    OK(ws_client_close(client.client, 1000, NULL));
    WAIT_UNTIL(ws_client_close(client.client, 1000, NULL) == WS_ERR_CLOSED);
    client_end(&client);
}

static void no_reconnect_after_close(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    struct raw_frame frame;
    int fd;

    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 2;
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_close(client.client, 1000, "enough"));
    CHECK(raw_read_frame(fd, &frame) && frame.first == RAW_CLOSE);
    raw_plain_frame(fd, RAW_CLOSE, "\x03\xe8", 2);
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    close(fd);
    CHECK_INT(poll(&waiting, 1, 200), 0);
    client_end(&client);
    close(listener);
}

static void *stop_it(void *unused)
{
    ws_client_stop(client.client);
    return unused;
}

static void *run_it(void *unused)
{
    ws_status status = ws_client_run(client.client);

    // The lookup may have failed before the stop came.
    if (status != WS_ERR_DNS)
        OK(status);
    return unused;
}

static void stopped_and_freed_at_any_moment(void)
{
    static const char *const urls[] = {"ws://no-such-host.invalid/", NULL, NULL, NULL};
    uint16_t silent_port;
    int silent = raw_listen(&silent_port);
    struct recorder server;
    uint16_t port = echo_start(&server);
    size_t i;

    for (i = 0; i < 4; i++) {
        ws_client_config config = begin(urls[i] != NULL ? urls[i] : url_of(i == 3 ? port : silent_port, "/"));
        pthread_t runner;
        pthread_t stopper;
        long long began = now_ms();

        // Freed in mid-lookup, in mid-handshake, waiting to reconnect, connected: no later than at once.
        config.reconnect_min_ms = i == 2 ? 60000 : 0;
        config.connect_timeout_ms = i == 2 ? 50 : 0;
        start(&config);
        if (i == 2)
            EXPECT(&client, CLOSED, 0);
        if (i == 3)
            EXPECT(&client, OPENED, 0);
        client_end(&client);
        CHECK(now_ms() - began < 5000 * slowness());

        // Stopped by another thread while it runs.
        config.user = (recorder_init(&client), &client);
        OK(ws_client_new(&config, &client.client));
        thread_start(&runner, run_it, NULL);
        if (i == 3)
            EXPECT(&client, OPENED, 0);
        thread_start(&stopper, stop_it, NULL);
        thread_join(stopper);
        thread_join(runner);
        client_end(&client);
    }
    close(silent);
    server_end(&server);
}

static void given_up_while_connecting(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    int fd;

    start(&config);
    fd = raw_accept(listener);
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT(&client, CLOSED, 0);
    raw_drain(fd);
    CHECK_INT(count_of(&client, OPENED, 0), 0);
    CHECK_STATUS(ws_client_close(client.client, 1000, NULL), WS_ERR_CLOSED);
    close(fd);
    close(listener);
    client_end(&client);
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 90);
    RUN(nobody_there);
    RUN(no_such_host);
    RUN(answers_that_are_no_upgrade);
    RUN(an_endless_answer);
    RUN(silence);
    RUN(an_answer_that_drips);
    RUN(violations);
    RUN(lost_connections);
    RUN(a_reset_behind_the_closing_handshake);
    RUN(reconnects);
    RUN(no_reconnect_after_close);
    RUN(stopped_and_freed_at_any_moment);
    RUN(given_up_while_connecting);
    // A lookup that was given up ends on its own.
    WAIT_UNTIL(open_fds() == before);
    return check_end();
}
