// Sending: every length, from many threads in order, full queues, broadcasts and topics, what belongs to a connection,
// and the statistics.
#include "harness.h"

static struct recorder recorder;

static ws_server_config begin(void)
{
    recorder_init(&recorder);
    return server_config(&recorder);
}

static void every_length(void)
{
    static const size_t lens[] = {0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 300000, 1000000};
    ws_server_config config = begin();
    char *data = check_alloc(1000000);
    char *reference = check_alloc(1000000);
    ws_conn_id conn;
    uint16_t port;
    int fd;
    size_t i;

    // Room for three of the largest: a message may have reached the peer before the queue is known to be shorter.
    config.max_send_queue = 3000100;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    for (i = 0; i < 1000000; i++)
        data[i] = reference[i] = (char)('a' + i % 26);
    for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        OK(ws_server_send(recorder.server, conn, WS_TEXT, data, lens[i]));
        data[0] = 'x'; // it is the caller's again at once
        RAW_EXPECT(fd, RAW_TEXT, reference, lens[i]);
        data[0] = 'a';
        OK(ws_server_send(recorder.server, conn, WS_BINARY, data, lens[i]));
        RAW_EXPECT(fd, RAW_BINARY, data, lens[i]);
    }
    OK(ws_server_send(recorder.server, conn, WS_TEXT, NULL, 0));
    RAW_EXPECT(fd, RAW_TEXT, "", 0);
    OK(ws_server_send(recorder.server, conn, WS_BINARY, NULL, 0));
    RAW_EXPECT(fd, RAW_BINARY, "", 0);
    free(reference);
    free(data);
    close(fd);
    server_end(&recorder);
}

enum { SENDERS = 4 };

struct sender {
    int number;
    int messages;
    ws_conn_id conn;
};

static void *send_in_order(void *argument)
{
    const struct sender *sender = argument;
    unsigned char message[600];
    int i;

    memset(message, sender->number, sizeof message);
    for (i = 0; i < sender->messages; i++) {
        ws_status status;

        memcpy(message + 1, &i, sizeof i);
        // Some go out at once, some wait in the queue, some meet a full one.
        do {
            status = ws_server_send(recorder.server, sender->conn, WS_BINARY, message, 5 + (size_t)(i % 595));
            if (status == WS_ERR_AGAIN)
                nap();
        } while (status == WS_ERR_AGAIN);
        OK(status);
    }
    return NULL;
}

static void order_from_several_threads(void)
{
    ws_server_config config = begin();
    int messages = small_loads() ? 200 : 5000;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct raw_frame frame;
    ws_conn_id conn;
    int next[SENDERS] = {0};
    uint16_t port;
    int fd;
    int i;

    config.max_send_queue = 20000;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    for (i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){i, messages, conn};
        thread_start(&threads[i], send_in_order, &senders[i]);
    }
    for (i = 0; i < SENDERS * messages; i++) {
        int sequence;

        CHECK(raw_read_data(fd, &frame));
        CHECK_INT(frame.first, RAW_BINARY);
        CHECK(frame.len >= 5 && frame.data[0] < SENDERS);
        memcpy(&sequence, frame.data + 1, sizeof sequence);
        CHECK_INT(sequence, next[frame.data[0]]);
        CHECK_INT(frame.len, 5 + sequence % 595);
        CHECK(frame.len == 5 || frame.data[frame.len - 1] == frame.data[0]);
        next[frame.data[0]]++;
    }
    for (i = 0; i < SENDERS; i++)
        thread_join(threads[i]);
    WAIT_UNTIL(server_stats(recorder.server).messages_sent == (uint64_t)SENDERS * (uint64_t)messages);
    close(fd);
    server_end(&recorder);
}

static void send_five(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what != MESSAGE)
        return;
    for (int i = 0; i < 5; i++) {
        char text = (char)('1' + i);

        OK(ws_server_send(recorder.server, event->conn, WS_TEXT, &text, 1));
        OK(ws_server_ping(recorder.server, event->conn, &text, 1));
    }
    OK(ws_server_close(recorder.server, event->conn, 4000, "enough"));
}

// A callback's sends go out in order, and before the Close.
static void order_within_a_callback(void)
{
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    int fd;

    recorder.hook = send_five;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    raw_text(fd, "go");
    for (int i = 0; i < 5; i++) {
        char text = (char)('1' + i);

        RAW_EXPECT(fd, RAW_TEXT, &text, 1);
    }
    RAW_EXPECT_CLOSE(fd, 4000, "enough");
    close(fd);
    server_end(&recorder);
}

// Sends to a peer that does not read until the queue is full and the kernel takes nothing more; how many went in. The
// event loop serves other_fd too: an echo there shows that it has been round.
static int fill(ws_conn_id conn, const void *data, size_t len, int other_fd)
{
    int sent = 0;
    int sent_before;
    int writable;

    do {
        ws_status status;

        sent_before = sent;
        writable = count_of(&recorder, WRITABLE, conn);
        while ((status = ws_server_send(recorder.server, conn, WS_BINARY, data, len)) == WS_OK) {
            sent++;
            CHECK((size_t)sent * len < 1u << 30);
        }
        CHECK_STATUS(status, WS_ERR_AGAIN);
        raw_echo(other_fd, "been round");
        raw_echo(other_fd, "and again");
    } while (sent != sent_before || count_of(&recorder, WRITABLE, conn) != writable);
    return sent;
}

static size_t buffered_at_writable;

static void note_buffered(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what == WRITABLE)
        buffered_at_writable = ws_server_buffered(recorder.server, event->conn);
}

static void a_full_queue(void)
{
    enum { QUEUE = 100000, LEN = 10000 };
    static char data[LEN];
    ws_server_config config = begin();
    struct raw_frame frame;
    ws_conn_id conn;
    ws_conn_id other;
    uint16_t port;
    int other_fd;
    int sent;
    int round;
    int fd;

    config.max_send_queue = QUEUE;
    recorder.hook = note_buffered;
    recorder.echo = 1;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    other_fd = peer_open(&recorder, port, &other);
    for (round = 0; round < 3; round++) {
        size_t buffered;
        int writable;

        sent = fill(conn, data, LEN, other_fd);
        writable = count_of(&recorder, WRITABLE, conn);
        buffered = ws_server_buffered(recorder.server, conn);
        CHECK(buffered > 0 && buffered <= QUEUE);
        CHECK_INT(ws_server_buffered(recorder.server, other), 0);
        for (; sent > 0; sent--) {
            CHECK(raw_read_data(fd, &frame));
            CHECK_INT(frame.len, LEN);
        }
        // Once for each time that the queue was full, with half of it free.
        WAIT_UNTIL(count_of(&recorder, WRITABLE, conn) == writable + 1);
        CHECK(buffered_at_writable <= QUEUE / 2);
        CHECK_INT(ws_server_buffered(recorder.server, conn), 0);
        OK(ws_server_send(recorder.server, conn, WS_TEXT, "goes again", 10));
        RAW_EXPECT_TEXT(fd, "goes again");
        CHECK_INT(count_of(&recorder, WRITABLE, conn), writable + 1);
    }
    CHECK_INT(count_of(&recorder, WRITABLE, other), 0);
    close(fd);
    close(other_fd);
    server_end(&recorder);
}

enum { MOST_QUEUE = 16384, MOST_LEN = 13000 };

static ws_conn_id slow_conn;

// Tries the message that waits, inside the callback.
static void try_again(struct recorder *unused, const struct event *event)
{
    static const char most[MOST_LEN];
    ws_status status;

    (void)unused;
    if ((event->what != WRITABLE && event->what != MESSAGE) || event->conn != slow_conn)
        return;
    status = ws_server_send(recorder.server, event->conn, WS_BINARY, most, sizeof most);
    if (status != WS_OK)
        CHECK_STATUS(status, WS_ERR_AGAIN);
}

// A queue that is less than half full and still has no room for a large message: on_writable follows when there is more
// room, not at once and again and again. Over a unix socket, whose buffer does not grow.
static void a_large_message_waits(void)
{
    static const char data[MOST_LEN];
    ws_server_config config = begin();
    struct raw_frame frame;
    char url[128];
    int round;

    config.max_send_queue = MOST_QUEUE;
    recorder.hook = try_again;
    recorder.echo = 1;
    snprintf(url, sizeof url, "unix:sending-%d.sock", (int)getpid());
    OK(ws_server_new(&config, &recorder.server));
    OK(ws_server_listen(recorder.server, url));
    OK(ws_server_start(recorder.server));
    for (round = 0; round < 2; round++) {
        int fd = raw_connect_unix(url + strlen("unix:"));
        int other = raw_connect_unix(url + strlen("unix:"));
        int i;

        raw_upgrade(fd);
        slow_conn = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;
        raw_upgrade(other);
        EXPECT(&recorder, OPENED, ANY_SUCH);
        // The kernel has its fill, and a third of the queue is used.
        while (ws_server_buffered(recorder.server, slow_conn) < MOST_QUEUE / 3) {
            OK(ws_server_send(recorder.server, slow_conn, WS_BINARY, data, 1000));
            raw_echo(other, "been round");
            raw_echo(other, "and again");
        }
        CHECK(ws_server_buffered(recorder.server, slow_conn) < MOST_QUEUE / 2);
        if (round == 0)
            raw_text(fd, "go");
        else
            CHECK_STATUS(ws_server_send(recorder.server, slow_conn, WS_BINARY, data, sizeof data), WS_ERR_AGAIN);
        for (i = 0; i < 20; i++)
            raw_echo(other, "been round");
        CHECK(count_of(&recorder, WRITABLE, slow_conn) <= 1);
        do
            CHECK(raw_read_data(fd, &frame));
        while (frame.len != MOST_LEN);
        CHECK(count_of(&recorder, WRITABLE, slow_conn) > 0);
        close(fd);
        close(other);
    }
    server_end(&recorder);
}

// A callback takes its time, and a thread tries again and again: that takes no memory.
static void nap_in_message(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what == MESSAGE)
        for (long long until = now_ms() + 200; now_ms() < until;)
            nap();
}

static void trying_again_takes_no_memory(void)
{
    static const char data[1000];
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    long long before;
    int refused = 0;
    int fd;

    config.max_send_queue = 10000;
    recorder.hook = nap_in_message;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    raw_text(fd, "go");
    before = rss_bytes(0);
    while (count_of(&recorder, MESSAGE, conn) == 0)
        refused += ws_server_send(recorder.server, conn, WS_BINARY, data, sizeof data) == WS_ERR_AGAIN;
    CHECK(refused > 100);
    CHECK(rss_bytes(0) < before + (8 << 20));
    close(fd);
    server_end(&recorder);
}

static void sizes_at_the_limit(void)
{
    enum { QUEUE = 70000 };
    static char data[QUEUE + 100];
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    int fd;

    config.max_send_queue = QUEUE;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    // The head of a frame that long has ten bytes, and counts.
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_BINARY, data, QUEUE + 1), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_BINARY, data, QUEUE - 9), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_server_broadcast(recorder.server, WS_BINARY, data, QUEUE + 1), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_server_publish(recorder.server, "t", WS_BINARY, data, QUEUE + 1), WS_ERR_TOO_BIG);
    OK(ws_server_send(recorder.server, conn, WS_BINARY, data, QUEUE - 10));
    RAW_EXPECT(fd, RAW_BINARY, data, QUEUE - 10);
    OK(ws_server_broadcast(recorder.server, WS_BINARY, data, QUEUE - 10));
    RAW_EXPECT(fd, RAW_BINARY, data, QUEUE - 10);
    CHECK_INT(count_of(&recorder, WRITABLE, 0), 0);
    close(fd);
    server_end(&recorder);
}

static void broadcast_leaves_out_who_is_full(void)
{
    static char data[10000];
    ws_server_config config = begin();
    struct raw_frame frame;
    ws_conn_id conns[3];
    uint16_t port;
    int fds[3];
    int sent;
    int i;

    config.max_send_queue = 50000;
    recorder.echo = 1;
    port = server_start(&recorder, &config);
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "nobody", 6));
    for (i = 0; i < 3; i++)
        fds[i] = peer_open(&recorder, port, &conns[i]);
    sent = fill(conns[0], data, sizeof data, fds[1]);
    OK(ws_server_broadcast(recorder.server, WS_BINARY, data, sizeof data));
    for (i = 1; i < 3; i++)
        RAW_EXPECT(fds[i], RAW_BINARY, data, sizeof data);
    WAIT_UNTIL(server_stats(recorder.server).messages_dropped == 1);
    for (; sent > 0; sent--)
        CHECK(raw_read_data(fds[0], &frame) && frame.first == RAW_BINARY);
    // It is told, although it was a broadcast that met the full queue.
    WAIT_UNTIL(ws_server_buffered(recorder.server, conns[0]) == 0);
    CHECK(count_of(&recorder, WRITABLE, conns[0]) > 0);
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all again", 12));
    for (i = 0; i < 3; i++) {
        RAW_EXPECT_TEXT(fds[i], "to all again");
        close(fds[i]);
    }
    server_end(&recorder);
}

static void topics_reach_their_subscribers(void)
{
    ws_server_config config = begin();
    ws_conn_id conns[3];
    uint16_t port;
    int fds[3];
    int i;

    config.threads = 2;
    port = server_start(&recorder, &config);
    for (i = 0; i < 3; i++)
        fds[i] = peer_open(&recorder, port, &conns[i]);
    OK(ws_server_subscribe(recorder.server, conns[0], "news"));
    OK(ws_server_subscribe(recorder.server, conns[0], "news"));
    OK(ws_server_subscribe(recorder.server, conns[1], "news"));
    OK(ws_server_subscribe(recorder.server, conns[1], "News"));
    OK(ws_server_publish(recorder.server, "news", WS_TEXT, "to 0 and 1", 10));
    OK(ws_server_publish(recorder.server, "News", WS_BINARY, "to 1", 4));
    OK(ws_server_publish(recorder.server, "new", WS_TEXT, "to nobody", 9));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    RAW_EXPECT_TEXT(fds[0], "to 0 and 1");
    RAW_EXPECT_TEXT(fds[0], "to all");
    RAW_EXPECT_TEXT(fds[1], "to 0 and 1");
    RAW_EXPECT(fds[1], RAW_BINARY, "to 1", 4);
    RAW_EXPECT_TEXT(fds[1], "to all");
    RAW_EXPECT_TEXT(fds[2], "to all");

    // Subscribed twice, ended once; and by going away.
    OK(ws_server_unsubscribe(recorder.server, conns[0], "news"));
    OK(ws_server_subscribe(recorder.server, conns[2], "news"));
    raw_reset(fds[1]);
    EXPECT(&recorder, CLOSED, conns[1]);
    OK(ws_server_publish(recorder.server, "news", WS_TEXT, "to 2", 4));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    RAW_EXPECT_TEXT(fds[0], "to all");
    RAW_EXPECT_TEXT(fds[2], "to 2");
    RAW_EXPECT_TEXT(fds[2], "to all");

    // A new connection in the slot of an old one has none of its subscriptions.
    fds[1] = peer_open(&recorder, port, &conns[1]);
    OK(ws_server_publish(recorder.server, "news", WS_TEXT, "to 2", 4));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    RAW_EXPECT_TEXT(fds[1], "to all");
    for (i = 0; i < 3; i++)
        close(fds[i]);
    server_end(&recorder);
}

static void *user_in_close;

static void note_user(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what != CLOSED)
        return;
    user_in_close = ws_server_conn_user(recorder.server, event->conn);
    CHECK_STATUS(ws_server_send(recorder.server, event->conn, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_close(recorder.server, event->conn, 1000, NULL), WS_ERR_CLOSED);
}

static void conn_user(void)
{
    ws_server_config config = begin();
    ws_conn_id conns[2];
    uint16_t port;
    int values[2];
    int fds[2];
    int i;

    recorder.hook = note_user;
    port = server_start(&recorder, &config);
    for (i = 0; i < 2; i++) {
        fds[i] = peer_open(&recorder, port, &conns[i]);
        CHECK(ws_server_conn_user(recorder.server, conns[i]) == NULL);
        OK(ws_server_set_conn_user(recorder.server, conns[i], &values[i]));
    }
    for (i = 0; i < 2; i++)
        CHECK(ws_server_conn_user(recorder.server, conns[i]) == &values[i]);
    OK(ws_server_set_conn_user(recorder.server, conns[0], &values[1]));
    OK(ws_server_set_conn_user(recorder.server, conns[0], NULL));
    CHECK(ws_server_conn_user(recorder.server, conns[0]) == NULL);
    raw_reset(fds[1]);
    EXPECT(&recorder, CLOSED, conns[1]);
    CHECK(user_in_close == &values[1]);
    // Gone as soon as on_close has returned.
    WAIT_UNTIL(ws_server_conn_user(recorder.server, conns[1]) == NULL);
    close(fds[0]);
    server_end(&recorder);
}

static void statistics(void)
{
    ws_server_config config = begin();
    uint16_t port;
    ws_stats stats;
    ws_conn_id conn;
    char head[4096];
    int fd;

    recorder.echo = 1;
    port = server_start(&recorder, &config);
    stats = server_stats(recorder.server);
    CHECK(stats.connections_total == 0 && stats.bytes_received == 0 && stats.bytes_sent == 0);
    fd = peer_open(&recorder, port, &conn);
    raw_echo(fd, "one");
    raw_frame(fd, 0x01, "t", 1); // two fragments are one message
    raw_frame(fd, RAW_CONTINUATION, "wo", 2);
    RAW_EXPECT_TEXT(fd, "two");
    // A frame of a few bytes: 2 of head, 4 of mask.
    WAIT_UNTIL(server_stats(recorder.server).messages_sent == 2);
    stats = server_stats(recorder.server);
    CHECK_INT(stats.connections_open, 1);
    CHECK_INT(stats.connections_total, 1);
    CHECK_INT(stats.messages_received, 2);
    CHECK_INT(stats.messages_dropped, 0);
    CHECK_INT(stats.protocol_errors, 0);
    CHECK_INT(stats.bytes_received, strlen("GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n") + 6 + 3 + 6 + 1 + 6 + 2);
    CHECK(stats.bytes_sent > 2 + 3 + 2 + 3 && stats.bytes_sent < 1000);

    raw_frame(fd, 0x83, "", 0); // no such opcode
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    close(fd);
    EXPECT(&recorder, CLOSED, ANY_SUCH);
    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    close(fd);
    WAIT_UNTIL(server_stats(recorder.server).http_requests == 1);
    stats = server_stats(recorder.server);
    CHECK_INT(stats.connections_open, 0);
    CHECK_INT(stats.connections_total, 1);
    CHECK_INT(stats.protocol_errors, 1);
    CHECK_INT(stats.timeouts, 0);
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 90);
    RUN(every_length);
    RUN(order_from_several_threads);
    RUN(order_within_a_callback);
    RUN(a_full_queue);
    RUN(a_large_message_waits);
    RUN(trying_again_takes_no_memory);
    RUN(sizes_at_the_limit);
    RUN(broadcast_leaves_out_who_is_full);
    RUN(topics_reach_their_subscribers);
    RUN(conn_user);
    RUN(statistics);
    return check_end();
}
