// The client: where it connects to, what it asks for, which answers it takes, and the ways to run it. Failures are in
// client_failures.c.
#include "harness.h"
#include "raw_server.h"

#include <sys/epoll.h>

static struct recorder client;

static ws_client_config begin(const char *url)
{
    recorder_init(&client);
    return client_config(&client, url);
}

static void make(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
}

static void check_echo(const char *text)
{
    OK(ws_client_send(client.client, WS_TEXT, text, strlen(text)));
    EXPECT_TEXT(&client, 0, text);
}

static void close_and_end(void)
{
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
}

static void addresses(void)
{
    static const char *const forms[] = {"ws://127.0.0.1:%u", "ws://127.0.0.1:%u/", "WS://localhost:%u/path?q",
                                        "ws://LOCALHOST:%u", "ws://[::1]:%u/", "ws://[0:0:0:0:0:0:0:1]:%u"};
    struct recorder server;
    ws_server_config config;
    size_t i;

    recorder_init(&server);
    server.echo = 1;
    config = server_config(&server);
    OK(ws_server_new(&config, &server.server));
    OK(ws_server_listen(server.server, "ws://127.0.0.1:0"));
    if (have_ipv6())
        OK(ws_server_listen(server.server, "ws://[::1]:0"));
    OK(ws_server_start(server.server));
    for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        // localhost may mean ::1 first, where nobody listens at that port: the next address is tried.
        int six = strchr(forms[i], '[') != NULL;
        ws_client_config settings;
        char url[128];

        if (six && !have_ipv6()) {
            printf("    SKIPPED: %s, as this machine lacks IPv6\n", forms[i]);
            continue;
        }
        snprintf(url, sizeof url, forms[i], (unsigned)ws_server_listener_port(server.server, six ? 1 : 0));
        settings = begin(url);
        make(&settings);
        memset(url, 'x', sizeof url - 1); // copied
        OK(ws_client_start(client.client));
        EXPECT(&client, OPENED, 0);
        CHECK_INT(ws_client_http_status(client.client), 101);
        check_echo("through");
        close_and_end();
    }
    server_end(&server);
}

static void what_it_asks_for(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    char keys[2][64];
    char masks[8];
    int i;

    for (i = 0; i < 2; i++) {
        ws_client_config config = begin(url_of(port, "/a%20b?x=1&y"));
        char request[8192];
        char value[256];
        char host[64];
        int fd;

        config.headers = "X-One: 1\r\nAuthorization: Bearer a.b.c\r\n";
        config.subprotocols = "first,second";
        make(&config);
        OK(ws_client_start(client.client));
        fd = raw_answer(listener, GOOD_ANSWER "Sec-WebSocket-Protocol: second\r\n\r\n", request, sizeof request);
        CHECK(strncmp(request, "GET /a%20b?x=1&y HTTP/1.1\r\n", 27) == 0);
        snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)port);
        CHECK(raw_header(request, "Host", value, sizeof value));
        CHECK_STR(value, host);
        CHECK(raw_header(request, "Upgrade", value, sizeof value) && strcasecmp(value, "websocket") == 0);
        CHECK(raw_header(request, "Connection", value, sizeof value) && strcasecmp(value, "Upgrade") == 0);
        CHECK(raw_header(request, "Sec-WebSocket-Version", value, sizeof value));
        CHECK_STR(value, "13");
        CHECK(raw_header(request, "X-One", value, sizeof value));
        CHECK_STR(value, "1");
        CHECK(raw_header(request, "Authorization", value, sizeof value));
        CHECK_STR(value, "Bearer a.b.c");
        CHECK(raw_header(request, "Sec-WebSocket-Protocol", value, sizeof value));
        CHECK(strncmp(value, "first", 5) == 0 && strstr(value, "second") != NULL);
        CHECK(!raw_header(request, "Origin", value, sizeof value));
        CHECK(!raw_header(request, "Sec-WebSocket-Extensions", value, sizeof value));
        CHECK(raw_header(request, "Sec-WebSocket-Key", keys[i], sizeof keys[i]));
        // RFC 6455 4.1: 16 bytes in base64
        CHECK(strlen(keys[i]) == 24 && strcmp(keys[i] + 22, "==") == 0);

        EXPECT(&client, OPENED, 0);
        OK(ws_client_send(client.client, WS_TEXT, "\0\0\0\0", 4));
        // The payload is zeros, so that the wire shows the mask.
        CHECK(raw_read(fd, value, 2));
        CHECK((unsigned char)value[0] == 0x81 && (unsigned char)value[1] == 0x84);
        CHECK(raw_read(fd, masks + 4 * i, 4));
        CHECK(raw_read(fd, value, 4));
        CHECK(memcmp(value, masks + 4 * i, 4) == 0);
        raw_reset(fd);
        EXPECT(&client, CLOSED, 0);
        CHECK_STR(ws_client_subprotocol(client.client), "second");
        client_end(&client);
    }
    // RFC 6455 5.3: unpredictable
    CHECK(strcmp(keys[0], keys[1]) != 0);
    CHECK(memcmp(masks, masks + 4, 4) != 0);
    close(listener);
}

static void answers_it_takes(void)
{
    static const char *const answers[] = {
        GOOD_ANSWER "\r\n",
        GOOD_ANSWER "Server: any\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
        "HTTP/1.1 101\r\nUPGRADE: WebSocket\r\nconnection: keep-alive,\t upgrade\r\nsec-websocket-accept:$\r\n\r\n",
        // Frames in the same packet: "hi" comes after on_open.
        GOOD_ANSWER "\r\n\x81\x02hi",
    };
    uint16_t port;
    int listener = raw_listen(&port);
    size_t i;

    for (i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        ws_client_config config = begin(url_of(port, "/"));
        char request[8192];
        int fd;

        make(&config);
        OK(ws_client_start(client.client));
        fd = raw_answer(listener, answers[i], request, sizeof request);
        EXPECT(&client, OPENED, 0);
        CHECK(ws_client_subprotocol(client.client) == NULL);
        if (i < 3)
            raw_plain_frame(fd, RAW_TEXT, "hi", 2);
        EXPECT_TEXT(&client, 0, "hi");
        raw_plain_frame(fd, RAW_CLOSE, "\x0f\xa1" "bye", 5);
        CHECK_STR(EXPECT_CLOSED(&client, 0, WS_OK, 4001, 1)->reason, "bye");
        close(fd);
        client_end(&client);
    }
    close(listener);
}

static void *close_later(void *unused)
{
    EXPECT(&client, OPENED, 0);
    check_echo("in run");
    OK(ws_client_close(client.client, 3001, "done"));
    return unused;
}

static void ways_to_run(void)
{
    struct recorder server;
    uint16_t port = echo_start(&server);
    ws_client_config config = begin(url_of(port, "/"));
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = (int)SYS(epoll_create1(EPOLL_CLOEXEC));
    pthread_t thread;
    int said = 0;
    int done = 0;
    int turns;

    // run
    make(&config);
    thread_start(&thread, close_later, NULL);
    OK(ws_client_run(client.client));
    thread_join(thread);
    EXPECT_CLOSED(&client, 0, WS_OK, 3001, 0);
    CHECK_STATUS(ws_client_send(client.client, WS_TEXT, "late", 4), WS_ERR_CLOSED);
    CHECK_STATUS(ws_client_close(client.client, 1000, NULL), WS_ERR_CLOSED);
    client_end(&client);

    // poll
    config = begin(url_of(port, "/"));
    make(&config);
    while (count_of(&client, OPENED, 0) == 0)
        OK(ws_client_poll(client.client, (int)deadline_ms()));
    OK(ws_client_send(client.client, WS_TEXT, "polled", 6));
    while (count_of(&client, MESSAGE, 0) == 0)
        OK(ws_client_poll(client.client, -1));
    OK(ws_client_close(client.client, 1000, NULL));
    while (ws_client_poll(client.client, -1) == WS_OK)
        ;
    CHECK_STATUS(ws_client_poll(client.client, -1), WS_ERR_CLOSED);
    CHECK_INT(count_of(&client, CLOSED, 0), 1);
    client_end(&client);

    // An epoll loop of one's own: readable at first, so that it begins to connect.
    config = begin(url_of(port, "/"));
    make(&config);
    SYS(epoll_ctl(epoll, EPOLL_CTL_ADD, ws_client_fd(client.client), &event));
    for (turns = 0; count_of(&client, CLOSED, 0) == 0; turns++) {
        CHECK_INT(epoll_wait(epoll, &event, 1, (int)deadline_ms()), 1);
        if (ws_client_poll(client.client, 0) != WS_OK)
            break;
        if (!said && count_of(&client, OPENED, 0) == 1)
            OK((said = 1, ws_client_send(client.client, WS_TEXT, "foreign", 7)));
        if (!done && count_of(&client, MESSAGE, 0) == 1)
            OK((done = 1, ws_client_close(client.client, 1000, NULL)));
    }
    CHECK_INT(count_of(&client, CLOSED, 0), 1);
    CHECK(turns < 200);
    client_end(&client);
    close(epoll);
    server_end(&server);
}

static void *send_some(void *number)
{
    int i;

    for (i = 0; i < 500; i++) {
        char text[32];
        ws_status status;

        snprintf(text, sizeof text, "%d %d", *(int *)number, i);
        while ((status = ws_client_send(client.client, WS_TEXT, text, strlen(text))) == WS_ERR_AGAIN)
            nap();
        OK(status);
    }
    return NULL;
}

static void sends_from_any_thread(void)
{
    struct recorder server;
    uint16_t port = echo_start(&server);
    ws_client_config config = begin(url_of(port, "/"));
    int numbers[] = {0, 1, 2};
    int next[3] = {0};
    pthread_t threads[3];
    int i;

    config.max_send_queue = 4096;
    make(&config);
    OK(ws_client_start(client.client));
    EXPECT(&client, OPENED, 0);
    for (i = 0; i < 3; i++)
        thread_start(&threads[i], send_some, &numbers[i]);
    for (i = 0; i < 1500; i++) {
        const struct event *event = EXPECT(&client, MESSAGE, ANY_SUCH);
        int number;
        int sequence;

        CHECK(sscanf((const char *)event->data, "%d %d", &number, &sequence) == 2);
        CHECK(number >= 0 && number < 3);
        CHECK_INT(sequence, next[number]);
        next[number]++;
    }
    for (i = 0; i < 3; i++)
        thread_join(threads[i]);
    client_end(&client);
    server_end(&server);
}

static void a_full_queue(void)
{
    enum { LEN = 10000 };
    static char block[100001];
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    struct raw_frame frame;
    int sent = 0;
    int fd;

    config.max_send_queue = 100000;
    make(&config);
    CHECK_STATUS(ws_client_send(client.client, WS_TEXT, "early", 5), WS_ERR_CLOSED);
    OK(ws_client_start(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    CHECK_STATUS(ws_client_send(client.client, WS_BINARY, block, sizeof block), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_client_send(client.client, 3, block, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send(client.client, WS_TEXT, "\xff", 1), WS_ERR_UTF8);
    CHECK_STATUS(ws_client_ping(client.client, block, 126), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_client_close(client.client, 1005, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_close(client.client, 1000, "\xff"), WS_ERR_UTF8);
    while (ws_client_send(client.client, WS_BINARY, block, LEN) == WS_OK)
        sent++;
    CHECK(ws_client_buffered(client.client) <= 100000);
    for (; sent > 0; sent--) {
        CHECK(raw_read_frame(fd, &frame));
        CHECK(frame.masked && frame.len == LEN && memcmp(frame.data, block, LEN) == 0);
    }
    EXPECT(&client, WRITABLE, 0);
    OK(ws_client_send(client.client, WS_TEXT, "again", 5));
    CHECK(raw_read_frame(fd, &frame) && frame.len == 5 && memcmp(frame.data, "again", 5) == 0);
    close(fd);
    EXPECT_CLOSED(&client, 0, WS_ERR_CLOSED, 1006, 1);
    close(listener);
    client_end(&client);
}

static uint64_t piece_bytes;

static void on_piece(ws_client *unused, const ws_piece *piece, void *user)
{
    struct event event = {.what = MESSAGE, .kind = piece->kind};

    (void)unused;
    CHECK_INT(piece->offset, piece_bytes);
    CHECK(piece->len <= 16384);
    piece_bytes += piece->len;
    if (piece->last)
        record(user, &event);
}

static void pieces_pause_and_resume(void)
{
    static char block[1000000];
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    int fd;

    config.on_message = NULL;
    config.on_piece = on_piece;
    config.receive_buffer_size = 16384;
    make(&config);
    CHECK_STATUS(ws_client_pause(client.client), WS_ERR_CLOSED);
    OK(ws_client_start(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_plain_frame(fd, RAW_BINARY, block, sizeof block);
    EXPECT(&client, MESSAGE, 0);
    CHECK_INT(piece_bytes, sizeof block);
    piece_bytes = 0;
    OK(ws_client_pause(client.client));
    OK(ws_client_resume(client.client));
    raw_plain_frame(fd, RAW_TEXT, "on", 2);
    EXPECT(&client, MESSAGE, 0);
    CHECK_INT(piece_bytes, 2);
    raw_reset(fd);
    EXPECT(&client, CLOSED, 0);
    close(listener);
    client_end(&client);
}

static void keeps_alive(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    struct raw_frame frame;
    int fd;

    config.ping_interval_ms = 100;
    config.pong_timeout_ms = (uint32_t)(1000 * slowness());
    make(&config);
    OK(ws_client_start(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    raw_plain_frame(fd, RAW_PING, "of the server", 13);
    do
        CHECK(raw_read_frame(fd, &frame));
    while (frame.first == RAW_PING);
    CHECK(frame.first == RAW_PONG && frame.len == 13 && frame.masked && memcmp(frame.data, "of the server", 13) == 0);
    do
        CHECK(raw_read_frame(fd, &frame));
    while (frame.first != RAW_PING);
    CHECK_INT(frame.len, 0);
    // No Pong.
    EXPECT_CLOSED(&client, 0, WS_ERR_TIMEOUT, 1006, 0);
    raw_drain(fd);
    close(fd);
    close(listener);
    client_end(&client);
}

static void statistics(void)
{
    struct recorder server;
    uint16_t port = echo_start(&server);
    ws_client_config config = begin(url_of(port, "/"));
    ws_stats stats = {.struct_size = sizeof stats};
    long long until = now_ms() + deadline_ms();

    make(&config);
    OK(ws_client_start(client.client));
    EXPECT(&client, OPENED, 0);
    check_echo("one");
    check_echo("two");
    // Numbers follow what they count by a turn of the event loop.
    do
        OK(ws_client_stats(client.client, &stats));
    while (stats.messages_received < 2 && now_ms() < until);
    CHECK_INT(stats.connections_open, 1);
    CHECK_INT(stats.connections_total, 1);
    CHECK_INT(stats.messages_sent, 2);
    CHECK_INT(stats.messages_received, 2);
    CHECK(stats.bytes_sent > 18 && stats.bytes_received > 10);
    close_and_end();
    server_end(&server);
}

// --- closing ---

// More than socket buffers hold, and far more than the connection's queue.
enum { QUEUED = 240, QUEUED_LEN = 50000 };

enum closer { IN_CALLBACK, IN_OTHER_THREAD, BY_FREE };

static enum closer closer;

// In on_open: fills the queue, and closes or stops if it is to.
static void queue_much(struct recorder *recorder, const struct event *event)
{
    static char block[QUEUED_LEN];
    int i;

    if (event->what != OPENED)
        return;
    for (i = 1; i <= QUEUED; i++) {
        snprintf(block, sizeof block, "%d", i);
        OK(ws_client_enqueue(recorder->client, WS_BINARY, block, sizeof block, NULL));
    }
    if (closer == IN_CALLBACK)
        OK(ws_client_close(recorder->client, 4001, "done"));
    else if (closer == BY_FREE)
        ws_client_stop(recorder->client);
}

static int serve_little(uint16_t *port)
{
    int listener = raw_listen(port);
    int little = 32768;

    SYS(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little));
    return listener;
}

static void queue_and_open(uint16_t port, uint32_t close_timeout_ms)
{
    ws_client_config config = begin(url_of(port, "/"));

    config.on_sent = client_sent;
    config.max_send_queue = 60000;
    config.queue_bytes = QUEUED * QUEUED_LEN;
    config.close_timeout_ms = close_timeout_ms;
    client.hook = queue_much;
    make(&config);
    OK(ws_client_start(client.client));
}

// The server: reads all that was queued, then a Close, which it answers. The code comes back in place of the socket.
static void *take_all(void *place)
{
    int *fd = place;
    struct raw_frame frame;
    int i;

    for (i = 1; i <= QUEUED; i++) {
        CHECK(raw_read_frame(*fd, &frame));
        if (frame.first != RAW_BINARY || atoi((const char *)frame.data) != i)
            FAIL("frame 0x%02x came in place of message %d of %d", frame.first, i, QUEUED);
    }
    CHECK(raw_read_frame(*fd, &frame));
    CHECK_INT(frame.first, RAW_CLOSE);
    raw_plain_frame(*fd, RAW_CLOSE, frame.data, 2);
    i = frame.data[0] << 8 | frame.data[1];
    close(*fd);
    *fd = i;
    raw_thread_end();
    return NULL;
}

// Of each message once and in order: those that the kernel took, then those that were dropped. How many it took.
static int expect_all_told(void)
{
    int taken = 0;
    int i;

    for (i = 1; i <= QUEUED; i++) {
        const struct event *event = EXPECT(&client, SENT, ANY_SUCH);

        CHECK_INT(event->number, i);
        if (event->status == WS_OK && taken == i - 1)
            taken = i;
        else
            CHECK_INT(event->status, WS_ERR_CLOSED);
    }
    CHECK_INT(count_of(&client, SENT, 0), QUEUED);
    return taken;
}

static void closing_sends_all_that_is_queued(void)
{
    uint16_t port;
    int listener = serve_little(&port);
    int how;

    for (how = IN_CALLBACK; how <= BY_FREE; how++) {
        int code = how == BY_FREE ? 1001 : 4001;
        pthread_t server;
        int fd;

        closer = (enum closer)how;
        queue_and_open(port, (uint32_t)deadline_ms());
        fd = raw_serve(listener);
        EXPECT(&client, OPENED, ANY_SUCH);
        if (how == IN_OTHER_THREAD)
            OK(ws_client_close(client.client, 4001, "done"));
        thread_start(&server, take_all, &fd);
        if (how == BY_FREE)
            OK(ws_client_free(client.client));
        thread_join(server);
        CHECK_INT(fd, code);
        CHECK_INT(expect_all_told(), QUEUED);
        EXPECT_CLOSED(&client, ANY_SUCH, WS_OK, code, 0);
        if (how == BY_FREE)
            recorder_free(&client);
        else
            client_end(&client);
    }
    close(listener);
}

static void closing_does_not_wait_for_one_who_does_not_read(void)
{
    uint16_t port;
    int listener = serve_little(&port);
    int how;

    for (how = IN_CALLBACK; how <= BY_FREE; how++) {
        const struct event *event;
        long long began;
        int fd;

        closer = (enum closer)how;
        queue_and_open(port, 200);
        fd = raw_serve(listener);
        event = EXPECT(&client, OPENED, ANY_SUCH);
        // Taken just before the hook closed.
        began = event->at;
        if (how == IN_OTHER_THREAD) {
            began = now_ms();
            OK(ws_client_close(client.client, 4001, "done"));
        } else if (how == BY_FREE) {
            began = now_ms();
            OK(ws_client_free(client.client));
        }
        CHECK(expect_all_told() < QUEUED);
        event = EXPECT(&client, CLOSED, ANY_SUCH);
        CHECK_INT(event->code, 1006);
        CHECK_INT(event->by_peer, 0);
        CHECK(event->status == WS_ERR_TIMEOUT || (how == BY_FREE && event->status == WS_ERR_CLOSED));
        CHECK(event->at - began >= 190);
        CHECK(event->at - began < 3000 * slowness());
        close(fd);
        if (how == BY_FREE)
            recorder_free(&client);
        else
            client_end(&client);
    }
    close(listener);
}

// Answers the client's Close if there is one, and waits for its end.
static void let_it_end(int fd)
{
    struct raw_frame frame;

    if (raw_read_frame(fd, &frame)) {
        CHECK_INT(frame.first, RAW_CLOSE);
        raw_plain_frame(fd, RAW_CLOSE, frame.data, 2);
    }
    close(fd);
}

static void *run(void *status)
{
    *(ws_status *)status = ws_client_run(client.client);
    return NULL;
}

// Whether the connection still opens is a matter of chance; that the client ends is not.
static void closed_while_the_answer_comes(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    int rounds = small_loads() ? 20 : 120;
    int i;

    for (i = 0; i < rounds; i++) {
        ws_client_config config = begin(url_of(port, "/"));
        const struct event *event;
        char request[8192];
        char answer[8192];
        pthread_t thread;
        ws_status ran;
        int fd;

        make(&config);
        thread_start(&thread, run, &ran);
        fd = raw_accept(listener);
        CHECK(raw_head(fd, request, sizeof request));
        fill_in_accept(GOOD_ANSWER "\r\n", request, answer, sizeof answer);
        if (i % 4 == 0)
            OK(ws_client_close(client.client, 1000, NULL));
        // It may have given up by now.
        send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        if (i % 4 != 0) {
            // At once, and ever a little later.
            for (long long until = now_us() + i % 64; now_us() < until;)
                ;
            OK(ws_client_close(client.client, 1000, NULL));
        }
        let_it_end(fd);
        event = EXPECT(&client, CLOSED, ANY_SUCH);
        CHECK(event->status == (count_of(&client, OPENED, 0) == 1 ? WS_OK : WS_ERR_CLOSED));
        thread_join(thread);
        CHECK_INT(ran, event->status);
        client_end(&client);
    }
    close(listener);
}

static void freed_before_it_is_open(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    char request[8192];
    int fd;

    make(&config);
    OK(ws_client_start(client.client));
    fd = raw_accept(listener);
    CHECK(raw_head(fd, request, sizeof request));
    OK(ws_client_free(client.client));
    CHECK_HAS(EXPECT_CLOSED(&client, 0, WS_ERR_CLOSED, 1006, 0)->reason, "given up");
    raw_expect_end(fd);
    close(fd);
    close(listener);
    recorder_free(&client);
}

int main(int argc, char **argv)
{
    int before = open_fds();
    char accept[32];

    accept_for(RAW_KEY, accept);
    CHECK_STR(accept, RAW_ACCEPT);
    check_begin(argc, argv, 60);
    RUN(addresses);
    RUN(what_it_asks_for);
    RUN(answers_it_takes);
    RUN(ways_to_run);
    RUN(sends_from_any_thread);
    RUN(a_full_queue);
    RUN(pieces_pause_and_resume);
    RUN(keeps_alive);
    RUN(statistics);
    RUN(closing_sends_all_that_is_queued);
    RUN(closing_does_not_wait_for_one_who_does_not_read);
    RUN(closed_while_the_answer_comes);
    RUN(freed_before_it_is_open);
    CHECK_INT(open_fds(), before);
    return check_end();
}
