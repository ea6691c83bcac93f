// When a client connects again: what on_reconnect tells, what servers and the application can say about it.
#include "harness.h"
#include "raw_server.h"

static struct recorder client;

static ws_client_config begin(uint16_t port, uint32_t min, uint32_t max)
{
    ws_client_config config;

    recorder_init(&client);
    config = client_config(&client, url_of(port, "/"));
    config.reconnect_min_ms = min;
    config.reconnect_max_ms = max;
    config.on_reconnect = client_reconnect;
    return config;
}

static void start(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
    OK(ws_client_start(client.client));
}

static void close_code(int fd, int code)
{
    const unsigned char payload[2] = {(unsigned char)(code >> 8), (unsigned char)code};

    struct raw_frame frame;

    raw_plain_frame(fd, RAW_CLOSE, (const char *)payload, 2);
    CHECK(raw_read_frame(fd, &frame) && frame.first == RAW_CLOSE);
    close(fd);
}

// One refusal by HTTP, and what on_reconnect tells of it.
static const struct event *refused(int listener, const char *answer)
{
    char request[8192];
    int fd = raw_answer(listener, answer, request, sizeof request);

    raw_drain(fd);
    close(fd);
    EXPECT(&client, CLOSED, 0);
    return EXPECT(&client, RECONNECT, 0);
}

static void attempts_are_counted_from_the_first_failure(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 10, 200);
    const struct event *event = NULL;
    uint32_t ceiling = 10;
    long long delays = 0;
    long long began;
    int i;

    close(listener);
    began = now_ms();
    start(&config);
    for (i = 1; i <= 6; i++) {
        const struct event *closed = EXPECT(&client, CLOSED, 0);

        CHECK_INT(closed->status, WS_ERR_IO);
        // All the delays so far have passed. Not one by one: the next is counted from before on_reconnect has told of it.
        if (event != NULL)
            delays += event->delay_ms;
        CHECK(closed->at - began + 2 * slowness() * i >= delays);
        ceiling = ceiling * 2 > 200 ? 200 : ceiling * 2;
        event = EXPECT(&client, RECONNECT, 0);
        CHECK_INT(event->number, i);
        CHECK_INT(event->status, WS_ERR_IO);
        CHECK_INT(event->code, 1006);
        CHECK_INT(event->http_status, 0);
        CHECK_INT(event->permanent, 0);
        CHECK_HAS(event->reason, "tcp: connect 127.0.0.1:");
        if (event->delay_ms < 10 || event->delay_ms > ceiling)
            FAIL("attempt %d comes after %u ms", i, (unsigned)event->delay_ms);
    }
    client_end(&client);
}

static void a_short_connection_does_not_end_the_row(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 1, 2);
    int i;

    start(&config);
    for (i = 1; i <= 3; i++) {
        raw_reset(raw_serve(listener));
        EXPECT(&client, OPENED, 0);
        EXPECT(&client, CLOSED, 0);
        CHECK_INT(EXPECT(&client, RECONNECT, 0)->number, i);
    }
    if (small_loads()) {
        printf("    SKIPPED: what a connection of five seconds does\n");
    } else {
        int fd = raw_serve(listener);

        EXPECT(&client, OPENED, 0);
        sleep(5);
        nap();
        raw_reset(fd);
        EXPECT(&client, CLOSED, 0);
        CHECK_INT(EXPECT(&client, RECONNECT, 0)->number, 1);
    }
    close(listener);
    client_end(&client);
}

static void retry_after(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 10, 20);
    const struct event *event;
    long long told;
    int fd;

    start(&config);
    event = refused(listener, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n");
    told = now_ms();
    CHECK_INT(event->http_status, 503);
    CHECK_INT(event->permanent, 0);
    if (event->delay_ms < 1000 || event->delay_ms > 1250)
        FAIL("Retry-After: 1 became %u ms", (unsigned)event->delay_ms);
    // Dates are compared with that of the answer, whatever the clock here says.
    event = refused(listener, "HTTP/1.1 429 Slow\r\nDate: Thu, 01 Jan 1970 00:00:10 GMT\r\n"
                              "Retry-After: Thu, 01 Jan 1970 00:00:11 GMT\r\n\r\n");
    CHECK(now_ms() - told >= 1000);
    CHECK(event->delay_ms >= 1000 && event->delay_ms <= 1250);
    event = refused(listener, "HTTP/1.1 503 Busy\r\nRetry-After: Thu, 01 Jan 2070 00:00:11 GMT\r\n\r\n");
    CHECK(event->delay_ms <= 20);
    event = refused(listener, "HTTP/1.1 503 Busy\r\nRetry-After: soon\r\n\r\n");
    CHECK(event->delay_ms <= 20);
    // At most a day.
    event = refused(listener, "HTTP/1.1 503 Busy\r\nRetry-After: 999999999\r\n\r\n");
    CHECK(event->delay_ms >= 24 * 3600 * 1000 && event->delay_ms <= 30 * 3600 * 1000);
    OK(ws_client_reconnect_now(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close(fd);
    close(listener);
    client_end(&client);
}

static void refusals_that_will_not_change(void)
{
    static const int table[] = {401, 403, 407, 410, 404, 500};
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 10, 60);
    size_t i;

    start(&config);
    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct event *event;
        char answer[64];

        snprintf(answer, sizeof answer, "HTTP/1.1 %d No\r\n\r\n", table[i]);
        event = refused(listener, answer);
        CHECK_INT(event->http_status, table[i]);
        CHECK_INT(event->status, WS_ERR_HANDSHAKE);
        CHECK_INT(event->permanent, i < 4);
        CHECK_INT(event->number, i + 1);
        if (event->delay_ms > 60 || event->delay_ms < (i < 4 ? 30 : 10))
            FAIL("after %d it waits %u ms", table[i], (unsigned)event->delay_ms);
    }
    close(listener);
    client_end(&client);
}

static void close_codes(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 1, 2);
    const struct event *event;
    int fd;

    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close_code(fd, 1012);
    EXPECT_CLOSED(&client, 0, WS_OK, 1012, 1);
    event = EXPECT(&client, RECONNECT, 0);
    CHECK_INT(event->code, 1012);
    CHECK_INT(event->status, WS_OK);
    CHECK(event->delay_ms >= 5000 && event->delay_ms <= 30000);
    OK(ws_client_reconnect_now(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close_code(fd, 1013);
    EXPECT_CLOSED(&client, 0, WS_OK, 1013, 1);
    event = EXPECT(&client, RECONNECT, 0);
    CHECK(event->code == 1013 && event->delay_ms >= 5000 && event->delay_ms <= 10000);
    OK(ws_client_reconnect_now(client.client));
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close_code(fd, 1001);
    EXPECT_CLOSED(&client, 0, WS_OK, 1001, 1);
    CHECK(EXPECT(&client, RECONNECT, 0)->delay_ms <= 2);
    close(listener);
    client_end(&client);
}

// In the callback too.
static void at_once(struct recorder *recorder, const struct event *event)
{
    if (event->what == RECONNECT && event->number < 50)
        OK(ws_client_reconnect_now(recorder->client));
}

static void now(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 60000, 60000);
    int fd;
    int i;

    start(&config);
    for (i = 1; i <= 3; i++) {
        fd = raw_serve(listener);
        EXPECT(&client, OPENED, 0);
        // While it is connected nothing happens, now and later.
        OK(ws_client_reconnect_now(client.client));
        raw_plain_frame(fd, RAW_TEXT, "x", 1);
        EXPECT_TEXT(&client, 0, "x");
        raw_reset(fd);
        EXPECT(&client, CLOSED, 0);
        CHECK_INT(EXPECT(&client, RECONNECT, 0)->number, i);
        OK(ws_client_reconnect_now(client.client));
    }
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_close(client.client, 1000, NULL));
    CHECK_STATUS(ws_client_reconnect_now(client.client), WS_ERR_CLOSED);
    close(fd);
    close(listener);
    client_end(&client);

    config = begin(port, 60000, 60000);
    client.hook = at_once;
    start(&config);
    WAIT_UNTIL(count_of(&client, RECONNECT, 0) == 50);
    client_end(&client);
}

static void *serve_and_reset(void *listener)
{
    raw_reset(raw_serve(*(int *)listener));
    return NULL;
}

static void forbid(struct recorder *recorder, const struct event *event)
{
    if (event->what == RECONNECT)
        OK(ws_client_allow_reconnect(recorder->client, 0));
}

static void forbidden(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(port, 60000, 60000);
    pthread_t thread;
    int fd;

    // In the callback: it is over with the status of the failure.
    client.hook = forbid;
    OK(ws_client_new(&config, &client.client));
    thread_start(&thread, serve_and_reset, &listener);
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    thread_join(thread);
    CHECK_INT(count_of(&client, CLOSED, 0), 1);
    CHECK_STATUS(ws_client_reconnect_now(client.client), WS_ERR_CLOSED);
    client_end(&client);

    // While it is connected: the connection stays, and is the last.
    config = begin(port, 1, 1);
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_allow_reconnect(client.client, 0));
    raw_plain_frame(fd, RAW_TEXT, "x", 1);
    EXPECT_TEXT(&client, 0, "x");
    raw_reset(fd);
    EXPECT(&client, CLOSED, 0);
    WAIT_UNTIL(ws_client_close(client.client, 1000, NULL) == WS_ERR_CLOSED);
    CHECK_INT(count_of(&client, RECONNECT, 0), 0);
    client_end(&client);

    // Allowed again in time.
    config = begin(port, 1, 1);
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_allow_reconnect(client.client, 0));
    OK(ws_client_allow_reconnect(client.client, 1));
    raw_reset(fd);
    close(raw_serve(listener));
    EXPECT(&client, CLOSED, 0);
    EXPECT(&client, RECONNECT, 0);
    EXPECT(&client, OPENED, 0);
    client_end(&client);

    config = begin(port, 0, 0);
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_allow_reconnect(client.client, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_allow_reconnect(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_reconnect_now(NULL), WS_ERR_INVALID_ARG);
    client_end(&client);
    close(listener);
}

static void close_it(struct recorder *recorder, const struct event *event)
{
    if (event->what == RECONNECT)
        OK(ws_client_close(recorder->client, 1000, NULL));
}

static void closed_in_the_callback(void)
{
    uint16_t port;
    ws_client_config config;

    close(raw_listen(&port));
    config = begin(port, 1, 1);
    client.hook = close_it;
    OK(ws_client_new(&config, &client.client));
    OK(ws_client_run(client.client));
    CHECK_INT(count_of(&client, CLOSED, 0), 1);
    client_end(&client);
}

// What the application does when it is told of a dropped message, once.
static ws_status (*on_drop)(ws_client *client);
static int dropped;

static ws_status close_for_good(ws_client *handle)
{
    return ws_client_close(handle, 4000, "enough");
}

static void act_on_drop(struct recorder *recorder, const struct event *event)
{
    if (event->what != SENT || event->status != WS_ERR_AGAIN || __atomic_load_n(&dropped, __ATOMIC_SEQ_CST))
        return;
    OK(on_drop(recorder->client));
    __atomic_store_n(&dropped, 1, __ATOMIC_SEQ_CST);
}

// Queues for a server that does not read until on_sent has told of a dropped message and what it did has come back.
static void queue_until_dropped(void)
{
    static char block[50000];
    long long until = now_ms() + deadline_ms();

    while (!__atomic_load_n(&dropped, __ATOMIC_SEQ_CST)) {
        if (now_ms() > until)
            FAIL("on_sent did not tell of a dropped message, or hangs");
        if (ws_client_enqueue(client.client, WS_BINARY, block, sizeof block, NULL) == WS_ERR_CLOSED)
            continue; // it has closed just now
        // Wakes the loop, which then tells at the beginning of its turn.
        OK(ws_client_allow_reconnect(client.client, 1));
        nap();
    }
}

// Reads what is queued, up to a Close frame or an empty message.
static void read_to_the_mark(int fd, int mark)
{
    struct raw_frame frame;

    do
        CHECK(raw_read_frame(fd, &frame));
    while (frame.first == RAW_BINARY && frame.len == 50000);
    CHECK_INT(frame.first, mark);
}

static void on_sent_acts_on_what_was_dropped(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config;
    int i;

    for (i = 0; i < 2; i++) {
        int closes = i == 1;
        int fd;

        config = begin(port, 3600000, 3600000);
        config.on_sent = client_sent;
        config.queue_policy = WS_QUEUE_DROP_OLDEST;
        config.queue_messages = 20;
        config.close_timeout_ms = (uint32_t)deadline_ms();
        client.hook = act_on_drop;
        dropped = 0;
        on_drop = closes ? close_for_good : ws_client_reconnect_now;
        start(&config);
        fd = raw_serve(listener);
        EXPECT(&client, OPENED, 0);
        queue_until_dropped();
        // What is left goes out as ever.
        if (!closes)
            OK(ws_client_enqueue(client.client, WS_TEXT, "on", 2, NULL));
        read_to_the_mark(fd, closes ? RAW_CLOSE : RAW_TEXT);
        if (closes) {
            raw_plain_frame(fd, RAW_CLOSE, "\x0f\xa0", 2);
            close(fd);
        } else {
            close_code(fd, 1000);
        }
        CHECK_INT(EXPECT(&client, CLOSED, ANY_SUCH)->code, closes ? 4000 : 1000);
        client_end(&client);
    }
    close(listener);
}

// The loop is woken for it, however long it would sleep.
static void dropped_while_it_waits(void)
{
    static const int all[] = {WS_QUEUE_DROP_OLDEST, WS_QUEUE_DROP_NEWEST};
    uint16_t port;
    size_t i;

    close(raw_listen(&port));
    for (i = 0; i < 2; i++) {
        ws_client_config config = begin(port, 3600000, 3600000);
        struct pollfd readable = {.events = POLLIN};
        const struct event *event;
        int n;

        config.on_sent = client_sent;
        config.queue_policy = all[i];
        config.queue_messages = 2;
        OK(ws_client_new(&config, &client.client));
        while (count_of(&client, RECONNECT, 0) == 0)
            OK(ws_client_poll(client.client, (int)deadline_ms()));
        EXPECT(&client, CLOSED, 0);
        EXPECT(&client, RECONNECT, 0);
        readable.fd = ws_client_fd(client.client);
        for (n = 0; n < 2; n++) {
            OK(ws_client_enqueue(client.client, WS_TEXT, "x", 1, NULL));
            while (SYS(poll(&readable, 1, 0)) == 1)
                OK(ws_client_poll(client.client, 0));
        }
        OK(ws_client_enqueue(client.client, WS_TEXT, "x", 1, NULL));
        CHECK_INT(poll(&readable, 1, (int)deadline_ms()), 1);
        OK(ws_client_poll(client.client, 0));
        CHECK_INT(count_of(&client, SENT, 0), 1);
        event = EXPECT(&client, SENT, 0);
        CHECK_INT(event->number, i == 0 ? 1 : 3);
        CHECK_INT(event->status, WS_ERR_AGAIN);
        client_end(&client);
    }
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 90);
    RUN(attempts_are_counted_from_the_first_failure);
    RUN(a_short_connection_does_not_end_the_row);
    RUN(retry_after);
    RUN(refusals_that_will_not_change);
    RUN(close_codes);
    RUN(now);
    RUN(forbidden);
    RUN(closed_in_the_callback);
    RUN(on_sent_acts_on_what_was_dropped);
    RUN(dropped_while_it_waits);
    CHECK_INT(open_fds(), before);
    return check_end();
}
