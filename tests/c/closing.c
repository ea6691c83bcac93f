// How connections end: codes and reasons both ways, who started it, peers that vanish or keep silent, every timeout.
#include "harness.h"

#include <stdatomic.h>

static struct recorder recorder;

static ws_server_config begin(void)
{
    recorder_init(&recorder);
    recorder.echo = 1;
    return server_config(&recorder);
}

// Sends until the queue of a peer that does not read is full.
static void fill(ws_conn_id conn)
{
    static char block[60000];

    while (ws_server_send(recorder.server, conn, WS_BINARY, block, sizeof block) == WS_OK)
        ;
}

static void the_peer_closes(void)
{
    static const int codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    char reason[124];
    ws_conn_id conn;
    size_t i;
    int fd;

    for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        fd = peer_open(&recorder, port, &conn);
        raw_close_frame(fd, codes[i], "gr\xc3\xbc\xc3\x9f dich");
        // RFC 6455 5.5.1: "It typically echos the status code it received."; 7.1.1: the server closes TCP first.
        RAW_EXPECT_CLOSE(fd, codes[i], NULL);
        raw_expect_end(fd);
        close(fd);
        CHECK_STR(EXPECT_CLOSED(&recorder, conn, WS_OK, codes[i], 1)->reason, "gr\xc3\xbc\xc3\x9f dich");
    }
    fd = peer_open(&recorder, port, &conn);
    memset(reason, 'r', 123);
    reason[123] = '\0';
    raw_close_frame(fd, 1000, reason);
    CHECK_STR(EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 1)->reason, reason);
    close(fd);

    // No code: 1005 is told, and nothing that may not be sent.
    fd = peer_open(&recorder, port, &conn);
    raw_frame(fd, RAW_CLOSE, NULL, 0);
    RAW_EXPECT_CLOSE(fd, 1005, NULL);
    raw_expect_end(fd);
    close(fd);
    CHECK_STR(EXPECT_CLOSED(&recorder, conn, WS_OK, 1005, 1)->reason, "");

    // What comes after a Close frame is not looked at.
    fd = peer_open(&recorder, port, &conn);
    raw_send(fd, "\x88\x82\0\0\0\0\x03\xe8\x81\x81\0\0\0\0a\xff\xff", 17);
    RAW_EXPECT_CLOSE(fd, 1000, NULL);
    raw_drain(fd);
    close(fd);
    EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 1);
    server_end(&recorder);
}

static char logged[512];

static void keep_line(int level, const char *line, void *user)
{
    (void)level;
    (void)user;
    if (strstr(line, "ended") != NULL)
        snprintf(logged, sizeof logged, "%s", line);
}

// What a peer says is no line of its own in the log.
static void a_reason_of_several_lines(void)
{
    uint16_t port = echo_start(&recorder);
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    ws_set_log(keep_line, WS_LOG_INFO, NULL);
    raw_close_frame(fd, 1000, "one\nan\x1b[31mother\r");
    CHECK_STR(EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 1)->reason, "one\nan\x1b[31mother\r");
    close(fd);
    server_end(&recorder);
    ws_set_log(NULL, WS_LOG_NONE, NULL);
    CHECK_HAS(logged, "1000 one an [31mother ");
}

static void this_side_closes(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    struct raw_frame frame;
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    OK(ws_server_send(recorder.server, conn, WS_TEXT, "goes out first", 14));
    OK(ws_server_close(recorder.server, conn, 4001, "reason"));
    CHECK_STATUS(ws_server_close(recorder.server, conn, 4002, "again"), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, "late", 4), WS_ERR_CLOSED);
    RAW_EXPECT_TEXT(fd, "goes out first");
    RAW_EXPECT_CLOSE(fd, 4001, "reason");
    // Data on its way is not delivered any more; the answer may have another code.
    raw_text(fd, "crossed");
    raw_close_frame(fd, 1000, "bye");
    raw_expect_end(fd);
    close(fd);
    CHECK_STR(EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 0)->reason, "bye");

    // Both at once: the peer's Close frame is the answer to ours.
    fd = peer_open(&recorder, port, &conn);
    OK(ws_server_close(recorder.server, conn, 1000, NULL));
    raw_close_frame(fd, 3000, "mine");
    // Whichever came first started it, and there is one Close frame.
    CHECK(raw_read_data(fd, &frame));
    CHECK(frame.first == RAW_CLOSE && frame.len >= 2);
    CHECK((frame.data[0] << 8 | frame.data[1]) == 1000 || (frame.data[0] << 8 | frame.data[1]) == 3000);
    raw_expect_end(fd);
    close(fd);
    CHECK_INT(EXPECT(&recorder, CLOSED, conn)->code, 3000);
    server_end(&recorder);
}

static void the_peer_vanishes(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    const struct event *event;
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    // FIN without a Close frame.
    close(fd);
    EXPECT_CLOSED(&recorder, conn, WS_ERR_CLOSED, 1006, 1);

    // FIN within a frame.
    fd = peer_open(&recorder, port, &conn);
    raw_announce(fd, RAW_TEXT, 100);
    raw_puts(fd, "half");
    close(fd);
    EXPECT_CLOSED(&recorder, conn, WS_ERR_CLOSED, 1006, 1);

    // RST.
    fd = peer_open(&recorder, port, &conn);
    raw_echo(fd, "here");
    EXPECT_TEXT(&recorder, conn, "here");
    raw_reset(fd);
    event = EXPECT(&recorder, CLOSED, conn);
    CHECK_INT(event->code, 1006);
    CHECK_INT(event->by_peer, 1);
    CHECK(event->status == WS_ERR_IO || event->status == WS_ERR_CLOSED);

    // RST while much is queued.
    fd = peer_open(&recorder, port, &conn);
    fill(conn);
    raw_reset(fd);
    event = EXPECT(&recorder, CLOSED, ANY_SUCH);
    CHECK(event->conn == conn);
    CHECK_INT(event->code, 1006);
    CHECK_INT(event->by_peer, 1);
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    server_end(&recorder);
}

static void the_peer_does_not_answer_our_close(void)
{
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    long long began;
    int fd;

    config.close_timeout_ms = 150;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    began = now_ms();
    OK(ws_server_close(recorder.server, conn, 1000, NULL));
    EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    CHECK(now_ms() - began >= 140);
    CHECK(now_ms() - began < 3000 * slowness());
    RAW_EXPECT_CLOSE(fd, 1000, "");
    raw_drain(fd);
    close(fd);
    WAIT_UNTIL(server_stats(recorder.server).timeouts == 1);

    // One that talks on is not spared, nor one that does not even read.
    fd = peer_open(&recorder, port, &conn);
    OK(ws_server_close(recorder.server, conn, 1000, NULL));
    RAW_EXPECT_CLOSE(fd, 1000, "");
    while (count_of(&recorder, CLOSED, conn) == 0 && send(fd, "\x89\x80\0\0\0\0", 6, MSG_NOSIGNAL) > 0)
        nap();
    EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    close(fd);
    fd = peer_open(&recorder, port, &conn);
    fill(conn);
    OK(ws_server_close(recorder.server, conn, 1000, NULL));
    EXPECT(&recorder, CLOSED, ANY_SUCH);
    WAIT_UNTIL(server_stats(recorder.server).timeouts == 3);
    close(fd);
    server_end(&recorder);
}

static void the_peer_is_silent(void)
{
    ws_server_config config = begin();
    struct raw_frame frame;
    ws_conn_id conn;
    uint16_t port;
    long long began;
    int fd;

    config.ping_interval_ms = 100;
    config.pong_timeout_ms = 200;
    port = server_start(&recorder, &config);
    began = now_ms();
    fd = peer_open(&recorder, port, &conn);
    CHECK(raw_read_frame(fd, &frame));
    CHECK_INT(frame.first, RAW_PING);
    CHECK_INT(frame.len, 0);
    CHECK(now_ms() - began >= 90);
    EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    CHECK(now_ms() - began >= 290);
    CHECK(now_ms() - began < 3000 * slowness());
    raw_drain(fd);
    close(fd);
    server_end(&recorder);
}

// Any byte counts as a sign of life, a Pong as much as data, and the next Ping comes an interval after it, however long a
// Pong may take.
static void pings_go_on(void)
{
    const uint32_t timeouts[] = {(uint32_t)deadline_ms(), (uint32_t)WS_NEVER};
    size_t i;
    int n;

    for (i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        ws_server_config config = begin();
        struct raw_frame frame;
        ws_conn_id conn;
        uint16_t port;
        int fd;

        recorder.echo = 0;
        config.ping_interval_ms = 100;
        config.pong_timeout_ms = timeouts[i];
        port = server_start(&recorder, &config);
        fd = peer_open(&recorder, port, &conn);
        for (n = 0; n < 5; n++) {
            CHECK(raw_read_frame(fd, &frame));
            CHECK_INT(frame.first, RAW_PING);
            if (n % 2 == 0)
                raw_frame(fd, RAW_PONG, NULL, 0);
            else
                raw_text(fd, "here");
            CHECK(EXPECT(&recorder, n % 2 == 0 ? PONG : MESSAGE, conn)->len == (n % 2 == 0 ? 0 : 4));
        }
        close(fd);
        EXPECT_CLOSED(&recorder, conn, WS_ERR_CLOSED, 1006, 1);
        server_end(&recorder);
    }
}

static void no_pings_when_told_so(void)
{
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    char byte;
    int fd;

    config.ping_interval_ms = (uint32_t)WS_NEVER;
    config.pong_timeout_ms = (uint32_t)WS_NEVER;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    raw_set_timeout(fd, 300);
    CHECK_INT(recv(fd, &byte, 1, 0), -1);
    CHECK(errno == EAGAIN);
    close(fd);
    server_end(&recorder);
}

static void the_handshake_takes_too_long(void)
{
    static const char *const starts[] = {"", "G", "GET / HTTP/1.1\r\nHost: h\r\n", "GET / HTTP/1.1\r\n" RAW_UPGRADE};
    static const char dribble[] = "GET / HTTP/1.1\r\nX: ";
    ws_server_config config = begin();
    uint16_t port;
    size_t i;
    int fd;

    config.handshake_timeout_ms = 150;
    port = server_start(&recorder, &config);
    for (i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        long long began = now_ms();

        fd = raw_connect(port);
        raw_puts(fd, starts[i]);
        raw_drain(fd); // a 408 may come
        CHECK(now_ms() - began >= 140);
        CHECK(now_ms() - began < 3000 * slowness());
        close(fd);
    }
    // A byte now and then does not help.
    fd = raw_connect(port);
    for (i = 0; send(fd, i < sizeof dribble - 1 ? dribble + i : "y", 1, MSG_NOSIGNAL) == 1; i++) {
        CHECK(i < 100000);
        nap();
    }
    close(fd);
    WAIT_UNTIL(server_stats(recorder.server).timeouts == 5);
    WAIT_UNTIL(server_stats(recorder.server).handshakes_failed == 5);

    // A connection that is open outlives it.
    fd = raw_open(port);
    for (long long until = now_ms() + 400; now_ms() < until; nap())
        raw_echo(fd, "open");
    close(fd);
    server_end(&recorder);
}

// The peer ends the stream properly, and nothing comes before.
static void expect_fin(int fd)
{
    char byte;

    if (recv(fd, &byte, 1, 0) != 0)
        FAIL("a byte came, or the connection was reset: %s", strerror(errno));
}

// A peer that breaks the protocol and talks on is listened to, so that it can read why.
static void a_violation_within_a_flood(void)
{
    enum { AFTER = 24, MEGABYTE = 1000 };
    static unsigned char block[MEGABYTE * 1008];
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    int fd;
    int i;

    recorder.echo = 0;
    config.on_message = NULL;
    // Every read fills it, so that there is ever more to read.
    config.receive_buffer_size = 4096;
    config.close_timeout_ms = (uint32_t)deadline_ms();
    for (i = 0; i < MEGABYTE; i++)
        memcpy(block + i * 1008, "\x82\xfe\x03\xe8\0\0\0\0", 8);
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    block[MEGABYTE / 2 * 1008] = 0x8f; // a reserved opcode
    for (i = 0; i < AFTER; i++)
        raw_send(fd, block, sizeof block);
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    expect_fin(fd);
    close(fd);
    EXPECT_CLOSED(&recorder, conn, WS_ERR_PROTOCOL, 1002, 0);
    server_end(&recorder);
}

// More than socket buffers hold.
enum { QUEUED = 12, QUEUED_LEN = 1000000 };

// In the loop's thread, so that the peer's Close comes after it.
static void queue_much(struct recorder *unused, const struct event *event)
{
    static const char block[QUEUED_LEN];
    int i;

    (void)unused;
    for (i = 0; event->what == MESSAGE && i < QUEUED; i++)
        OK(ws_server_send(recorder.server, event->conn, WS_BINARY, block, QUEUED_LEN));
}

// A peer that says Close and no more, while much is queued for it.
static int half_closed(uint16_t port, ws_conn_id *conn)
{
    int fd = peer_open(&recorder, port, conn);
    int little = 32768;

    SYS(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little));
    raw_text(fd, "send");
    EXPECT_TEXT(&recorder, *conn, "send");
    WAIT_UNTIL(ws_server_buffered(recorder.server, *conn) > 0);
    raw_close_frame(fd, 1000, "");
    SYS(shutdown(fd, SHUT_WR));
    return fd;
}

static void a_peer_that_has_half_closed_gets_what_is_queued(void)
{
    ws_server_config config = begin();
    struct raw_frame frame;
    ws_conn_id conn;
    uint16_t port;
    long long began;
    int fd;
    int i;

    recorder.echo = 0;
    recorder.hook = queue_much;
    config.max_send_queue = QUEUED * (QUEUED_LEN + 16);
    config.close_timeout_ms = (uint32_t)deadline_ms();
    port = server_start(&recorder, &config);
    fd = half_closed(port, &conn);
    for (i = 0; i < QUEUED; i++) {
        CHECK(raw_read_frame(fd, &frame));
        if (frame.first != RAW_BINARY || frame.len != QUEUED_LEN)
            FAIL("frame 0x%02x of %zu bytes came in place of message %d of %d", frame.first, frame.len, i + 1, QUEUED);
    }
    RAW_EXPECT_CLOSE(fd, 1000, NULL);
    expect_fin(fd);
    close(fd);
    EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 1);
    server_end(&recorder);

    // One that does not read.
    config = begin();
    recorder.echo = 0;
    recorder.hook = queue_much;
    config.max_send_queue = QUEUED * (QUEUED_LEN + 16);
    config.close_timeout_ms = 200;
    port = server_start(&recorder, &config);
    began = now_ms();
    fd = half_closed(port, &conn);
    CHECK_INT(EXPECT(&recorder, CLOSED, conn)->status, WS_ERR_TIMEOUT);
    CHECK(now_ms() - began >= 190);
    CHECK(now_ms() - began < 3000 * slowness());
    close(fd);
    server_end(&recorder);
}

static long long closed_at;

// A callback that lasts longer than close_timeout_ms.
static void work_and_close(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what != MESSAGE)
        return;
    for (long long until = event->at + 300; now_ms() < until; nap())
        ;
    closed_at = now_ms();
    OK(ws_server_close(recorder.server, event->conn, 1000, NULL));
}

static void a_close_after_long_work_has_its_whole_time(void)
{
    ws_server_config config = begin();
    const struct event *event;
    ws_conn_id conn;
    uint16_t port;
    int fd;

    recorder.echo = 0;
    recorder.hook = work_and_close;
    config.close_timeout_ms = 200;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    raw_text(fd, "work");
    EXPECT_TEXT(&recorder, conn, "work");
    event = EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    if (event->at - closed_at < 190)
        FAIL("the peer had %lld ms", event->at - closed_at);
    close(fd);
    server_end(&recorder);
}

// --- a loop that is held up ---

enum { PEERS = 200 };

static atomic_int held;
static atomic_int released;

// A callback that lasts as long as the test wants.
static void hold(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what != MESSAGE || strcmp((const char *)event->data, "hold") != 0)
        return;
    held = 1;
    while (!released)
        nap();
}

static void a_close_of_another_thread_during_long_work_has_its_whole_time(void)
{
    const struct timespec longer = {0, 300000000};
    ws_server_config config = begin();
    const struct event *event;
    ws_conn_id worked_for;
    ws_conn_id conn;
    long long began;
    uint16_t port;
    int working;
    int fd;

    recorder.hook = hold;
    config.close_timeout_ms = 200;
    port = server_start(&recorder, &config);
    working = peer_open(&recorder, port, &worked_for);
    fd = peer_open(&recorder, port, &conn);
    held = 0;
    released = 0;
    raw_text(working, "hold");
    WAIT_UNTIL(held);
    OK(ws_server_close(recorder.server, conn, 1000, NULL));
    nanosleep(&longer, NULL);
    began = now_ms();
    released = 1;
    event = EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    if (event->at - began < 190)
        FAIL("the peer had %lld ms", event->at - began);
    close(working);
    close(fd);
    server_end(&recorder);
}

static void hold_or_work(struct recorder *unused, const struct event *event)
{
    const struct timespec work = {1, 200000000};

    hold(unused, event);
    if (event->what == MESSAGE && strcmp((const char *)event->data, "work") == 0)
        nanosleep(&work, NULL);
}

// The loop finds both at once: a message that it works on for longer than handshake_timeout_ms, and a new connection.
static void a_handshake_after_long_work_has_its_whole_time(void)
{
    ws_server_config config = begin();
    ws_conn_id conns[2];
    uint16_t port;
    int fds[2];
    int fd;

    recorder.hook = hold_or_work;
    config.handshake_timeout_ms = 1000;
    port = server_start(&recorder, &config);
    fds[0] = peer_open(&recorder, port, &conns[0]);
    fds[1] = peer_open(&recorder, port, &conns[1]);
    held = 0;
    released = 0;
    raw_text(fds[0], "hold");
    WAIT_UNTIL(held);
    raw_text(fds[1], "work");
    nap();
    fd = raw_connect(port);
    nap();
    released = 1;
    RAW_EXPECT_TEXT(fds[1], "work");
    raw_upgrade(fd);
    raw_echo(fd, "open");
    close(fd);
    close(fds[0]);
    close(fds[1]);
    server_end(&recorder);
}

// 1: nobody was dropped. 0: the machine was too slow for the test to begin.
static int pongs_come_while_it_is_held_up(uint32_t patience)
{
    ws_server_config config = begin();
    ws_conn_id conn[PEERS];
    struct raw_frame frame;
    int fd[PEERS];
    long long until;
    uint16_t port;
    int in_time;
    int i;

    recorder.echo = 0;
    recorder.hook = hold;
    held = 0;
    released = 0;
    config.ping_interval_ms = patience / 4;
    config.pong_timeout_ms = patience;
    port = server_start(&recorder, &config);
    for (i = 0; i < PEERS; i++)
        fd[i] = peer_open(&recorder, port, &conn[i]);
    for (i = 0; i < PEERS && raw_read_frame(fd[i], &frame); i++)
        CHECK_INT(frame.first, RAW_PING);
    until = now_ms() + patience + patience / 4;
    if (i == PEERS) {
        raw_text(fd[0], "hold");
        WAIT_UNTIL(held || count_of(&recorder, CLOSED, 0) > 0);
    }
    in_time = count_of(&recorder, CLOSED, 0) == 0;
    if (in_time) {
        for (i = 0; i < PEERS; i++)
            raw_frame(fd[i], RAW_PONG, NULL, 0);
        while (now_ms() < until)
            nap();
        released = 1;
        EXPECT(&recorder, MESSAGE, conn[0]);
        for (i = 0; i < PEERS; i++)
            EXPECT(&recorder, PONG, conn[i]);
        CHECK_INT(count_of(&recorder, CLOSED, 0), 0);
    }
    released = 1;
    for (i = 0; i < PEERS; i++)
        close(fd[i]);
    server_end(&recorder);
    return in_time;
}

// More connections than one look at the sockets reports.
static void pongs_that_wait_to_be_read_have_come(void)
{
    uint32_t patience = (uint32_t)(800 * slowness());
    int tries;

    for (tries = 1; !pongs_come_while_it_is_held_up(patience); tries++) {
        CHECK(tries < 4);
        patience *= 2;
    }
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(the_peer_closes);
    RUN(a_reason_of_several_lines);
    RUN(this_side_closes);
    RUN(the_peer_vanishes);
    RUN(the_peer_does_not_answer_our_close);
    RUN(the_peer_is_silent);
    RUN(pings_go_on);
    RUN(no_pings_when_told_so);
    RUN(the_handshake_takes_too_long);
    RUN(a_violation_within_a_flood);
    RUN(a_peer_that_has_half_closed_gets_what_is_queued);
    RUN(a_close_after_long_work_has_its_whole_time);
    RUN(a_handshake_after_long_work_has_its_whole_time);
    RUN(a_close_of_another_thread_during_long_work_has_its_whole_time);
    RUN(pongs_that_wait_to_be_read_have_come);
    return check_end();
}
