// Receiving: whole messages and pieces, fragments, control frames in between, limits, what breaks the protocol, and
// pausing.
#include "harness.h"

static struct recorder recorder;

static ws_server_config begin(void)
{
    recorder_init(&recorder);
    recorder.echo = 1;
    return server_config(&recorder);
}

static void whole_messages(void)
{
    static const size_t lens[] = {0, 1, 125, 126, 65535, 65536, 262144, 262145, 1024 * 1024};
    ws_server_config config = begin();
    char *data = check_alloc(1024 * 1024);
    ws_conn_id conn;
    uint16_t port;
    size_t i;
    int fd;

    config.max_send_queue = 4 * 1024 * 1024;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    memset(data, 'd', 1024 * 1024);
    for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        // harness.h checks that a NUL follows the data.
        raw_frame(fd, RAW_TEXT, data, lens[i]);
        RAW_EXPECT(fd, RAW_TEXT, data, lens[i]);
        EXPECT_MESSAGE(&recorder, conn, WS_TEXT, data, lens[i]);
        raw_frame(fd, RAW_BINARY, data, lens[i]);
        RAW_EXPECT(fd, RAW_BINARY, data, lens[i]);
        EXPECT_MESSAGE(&recorder, conn, WS_BINARY, data, lens[i]);
    }
    raw_frame(fd, RAW_TEXT, "with\0a NUL", 10);
    EXPECT_MESSAGE(&recorder, conn, WS_TEXT, "with\0a NUL", 10);
    free(data);
    close(fd);
    server_end(&recorder);
}

static void fragments_with_control_frames_in_between(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);
    int i;

    raw_frame(fd, 0x01, "fr", 2);
    raw_frame(fd, RAW_PING, "in between", 10);
    raw_frame(fd, 0x00, "", 0);
    raw_frame(fd, RAW_PONG, "unasked", 7);
    raw_frame(fd, 0x00, "ag\xe2\x82", 4); // a character split between fragments
    raw_frame(fd, RAW_CONTINUATION, "\xac!", 2);
    RAW_EXPECT(fd, RAW_PONG, "in between", 10);
    RAW_EXPECT_TEXT(fd, "frag\xe2\x82\xac!");
    CHECK_INT(EXPECT(&recorder, PONG, conn)->len, 7);
    EXPECT_TEXT(&recorder, conn, "frag\xe2\x82\xac!");

    raw_frame(fd, 0x02, "", 0);
    raw_frame(fd, RAW_CONTINUATION, "", 0);
    EXPECT_MESSAGE(&recorder, conn, WS_BINARY, "", 0);
    raw_frame(fd, 0x02, "", 0);
    for (i = 0; i < 5000; i++)
        raw_frame(fd, 0x00, "x", 1);
    raw_frame(fd, RAW_CONTINUATION, "", 0);
    CHECK_INT(EXPECT(&recorder, MESSAGE, conn)->len, 5000);
    close(fd);
    server_end(&recorder);
}

// Sends what breaks the protocol; the server must say why and hang up, and deliver nothing.
static void check_violation(uint16_t port, const char *name, const void *bytes, size_t len, int code)
{
    struct raw_frame frame;
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);
    int got;

    raw_send(fd, bytes, len);
    if (!raw_read_frame(fd, &frame))
        FAIL("%s: the connection ended without a Close frame", name);
    got = frame.first != RAW_CLOSE || frame.len < 2 ? -1 : frame.data[0] << 8 | frame.data[1];
    if (got != code)
        FAIL("%s: frame 0x%02x with code %d came, not a Close with %d", name, frame.first, got, code);
    raw_drain(fd);
    close(fd);
    // Nothing of it is delivered; the code told is the one that was sent.
    EXPECT_CLOSED(&recorder, conn, WS_ERR_PROTOCOL, code, 0);
}

static void violations(void)
{
#define V(name, bytes, code) {name, bytes, sizeof bytes - 1, code}
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        int code;
    } table[] = {
        // RFC 6455 5.1: "a server MUST close the connection upon receiving a frame that is not masked"
        V("unmasked text", "\x81\x02hi", 1002),
        V("unmasked Ping", "\x89\x00", 1002),
        // 5.2: reserved bits and opcodes
        V("RSV1", "\xc1\x80\0\0\0\0", 1002),
        V("RSV2", "\xa1\x80\0\0\0\0", 1002),
        V("RSV3", "\x91\x80\0\0\0\0", 1002),
        V("opcode 3", "\x83\x80\0\0\0\0", 1002),
        V("opcode 7", "\x87\x80\0\0\0\0", 1002),
        V("opcode 11", "\x8b\x80\0\0\0\0", 1002),
        V("opcode 15", "\x8f\x80\0\0\0\0", 1002),
        // 5.2: lengths in the shortest way, the most significant bit 0
        V("length 125 in 16 bits", "\x82\xfe\0\x7d\0\0\0\0", 1002),
        V("length 65535 in 64 bits", "\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 1002),
        V("2^63", "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
        V("2^64-1", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1002),
        // 5.5: control frames
        V("Ping of 126 bytes", "\x89\xfe\0\x7e\0\0\0\0", 1002),
        V("fragmented Ping", "\x09\x80\0\0\0\0", 1002),
        V("fragmented Close", "\x08\x80\0\0\0\0", 1002),
        // 5.4: fragments
        V("continuation of nothing", "\x80\x80\0\0\0\0", 1002),
        V("text within a message", "\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b", 1002),
        // 7.1.5, 7.4: Close frames
        V("Close with one byte", "\x88\x81\0\0\0\0\x03", 1002),
        V("Close with 999", "\x88\x82\0\0\0\0\x03\xe7", 1002),
        V("Close with 1004", "\x88\x82\0\0\0\0\x03\xec", 1002),
        V("Close with 1005", "\x88\x82\0\0\0\0\x03\xed", 1002),
        V("Close with 1006", "\x88\x82\0\0\0\0\x03\xee", 1002),
        V("Close with 1015", "\x88\x82\0\0\0\0\x03\xf7", 1002),
        V("Close with 5000", "\x88\x82\0\0\0\0\x13\x88", 1002),
        V("Close with a reason that is no UTF-8", "\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
        // 8.1: UTF-8, as early as it shows
        V("text that is no UTF-8", "\x81\x81\0\0\0\0\xff", 1007),
        V("text that ends within a character", "\x81\x82\0\0\0\0\xe2\x82", 1007),
        V("a fragment that is no UTF-8", "\x01\x81\0\0\0\0\xff", 1007),
        V("the first byte of a long text", "\x81\xff\0\0\0\0\0\x0f\xff\xff\0\0\0\0\xff", 1007),
        // Sizes are judged by the announcement (limit 1 MiB).
        V("2^63-1", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
        V("4 GiB", "\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0", 1009),
        V("4 GiB and 1", "\x82\xff\0\0\0\x01\0\0\0\x01\0\0\0\0", 1009),
        V("1 MiB and 1", "\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0", 1009),
        V("fragments together", "\x02\x81\0\0\0\0a\x80\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 1009),
        V("a sum beyond 2^64", "\x02\x81\0\0\0\0a\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    };
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++)
        check_violation(port, table[i].name, table[i].bytes, table[i].len, table[i].code);
    WAIT_UNTIL(server_stats(recorder.server).protocol_errors == sizeof table / sizeof table[0]);
    CHECK_INT(count_of(&recorder, MESSAGE, 0), 0);
    server_end(&recorder);
}

static void nothing_follows_a_violation(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    // Good, bad and good in one packet.
    raw_send(fd, "\x81\x81\0\0\0\0a\xc1\x81\0\0\0\0b\x81\x81\0\0\0\0c", 21);
    RAW_EXPECT_TEXT(fd, "a");
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    raw_drain(fd);
    close(fd);
    EXPECT_TEXT(&recorder, conn, "a");
    EXPECT_CLOSED(&recorder, conn, WS_ERR_PROTOCOL, 1002, 0);
    server_end(&recorder);
}

static void an_announced_size_costs_nothing(void)
{
    enum { PEERS = 20 };
    ws_server_config config = begin();
    ws_conn_id conn;
    int fds[PEERS];
    long long before;
    long long grown;
    uint16_t port;
    int i;

    config.max_message_size = (size_t)100 * 1024 * 1024;
    port = server_start(&recorder, &config);
    for (i = 0; i < PEERS; i++) {
        fds[i] = peer_open(&recorder, port, &conn);
        raw_echo(fds[i], "warm");
    }
    before = rss_bytes(0);
    for (i = 0; i < PEERS; i++) {
        raw_announce(fds[i], RAW_BINARY, (uint64_t)100 * 1024 * 1024);
        raw_send(fds[i], "and ten more", 12);
    }
    // All of it has been read once the counter says so.
    WAIT_UNTIL(server_stats(recorder.server).bytes_received
               >= PEERS * (strlen("GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n") + 10 + 14 + 12));
    grown = rss_bytes(0) - before;
    if (slowness() == 1)
        CHECK(grown < 1024 * 1024);
    for (i = 0; i < PEERS; i++)
        close(fds[i]);
    server_end(&recorder);
}

// --- pieces ---

static struct {
    pthread_mutex_t lock;
    uint64_t bytes;
    uint64_t messages;
    size_t largest;
    int kind;
    char text[64];
    size_t text_len;
} pieces = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_piece(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user)
{
    (void)server;
    (void)conn;
    (void)user;
    pthread_mutex_lock(&pieces.lock);
    CHECK(piece->data != NULL);
    CHECK_INT(piece->offset, pieces.bytes);
    CHECK(piece->len > 0 || piece->last);
    CHECK(piece->last == 0 || piece->last == 1);
    CHECK(piece->offset == 0 || pieces.kind == (int)piece->kind);
    pieces.kind = (int)piece->kind;
    if (piece->len > pieces.largest)
        pieces.largest = piece->len;
    // Each byte is the low byte of its offset times 7, unless the test looks at the text.
    if (pieces.text_len + piece->len < sizeof pieces.text) {
        memcpy(pieces.text + pieces.text_len, piece->data, piece->len);
        pieces.text_len += piece->len;
        pieces.text[pieces.text_len] = '\0';
    } else if (piece->len > 0) {
        const unsigned char *data = piece->data;

        CHECK_INT(data[0], (unsigned char)(piece->offset * 7));
        CHECK_INT(data[piece->len - 1], (unsigned char)((piece->offset + piece->len - 1) * 7));
    }
    pieces.bytes += piece->len;
    if (piece->last) {
        pieces.messages++;
        pieces.bytes = 0;
    }
    pthread_mutex_unlock(&pieces.lock);
}

static uint64_t messages_in_pieces(void)
{
    uint64_t messages;

    pthread_mutex_lock(&pieces.lock);
    messages = pieces.messages;
    pthread_mutex_unlock(&pieces.lock);
    return messages;
}

static ws_server_config begin_pieces(void)
{
    ws_server_config config = begin();

    pieces.bytes = pieces.messages = pieces.largest = pieces.text_len = 0;
    config.on_message = NULL;
    config.on_piece = on_piece;
    config.receive_buffer_size = 64 * 1024;
    return config;
}

static void send_pattern(int fd, uint64_t len)
{
    static unsigned char block[256 * 256];
    uint64_t sent;
    size_t i;

    for (i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)(i * 7);
    raw_announce(fd, RAW_BINARY, len);
    for (sent = 0; sent < len; sent += sizeof block)
        raw_send(fd, block, len - sent < sizeof block ? (size_t)(len - sent) : sizeof block);
}

static void small_messages_in_pieces(void)
{
    ws_server_config config = begin_pieces();
    uint16_t port = server_start(&recorder, &config);
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    raw_text(fd, "whole");
    WAIT_UNTIL(messages_in_pieces() == 1);
    CHECK_STR(pieces.text, "whole");
    CHECK_INT(pieces.kind, WS_TEXT);
    pieces.text_len = 0;
    raw_frame(fd, 0x02, "frag", 4);
    raw_frame(fd, RAW_PING, "p", 1);
    RAW_EXPECT(fd, RAW_PONG, "p", 1);
    raw_frame(fd, RAW_CONTINUATION, "ment", 4);
    WAIT_UNTIL(messages_in_pieces() == 2);
    CHECK_STR(pieces.text, "fragment");
    CHECK_INT(pieces.kind, WS_BINARY);
    pieces.text_len = 0;
    raw_text(fd, "");
    WAIT_UNTIL(messages_in_pieces() == 3);
    raw_frame(fd, 0x01, "\xe2\x82", 2);
    raw_frame(fd, RAW_CONTINUATION, "\xac", 1);
    WAIT_UNTIL(messages_in_pieces() == 4);
    CHECK_STR(pieces.text, "\xe2\x82\xac");
    WAIT_UNTIL(server_stats(recorder.server).messages_received == 4);
    close(fd);
    server_end(&recorder);
}

static void a_huge_message_in_pieces(void)
{
    ws_server_config config = begin_pieces();
    const char *large = getenv("LIBWS_TEST_LARGE"); // GiB; 5 goes beyond 32 bits
    uint64_t len = (uint64_t)64 * 1024 * 1024;
    long long before;
    long long grown;
    ws_conn_id conn;
    uint16_t port;
    int fd;

    if (small_loads())
        len = 4 * 1024 * 1024;
    if (large != NULL)
        len = (uint64_t)atoi(large) << 30;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    send_pattern(fd, 1024 * 1024);
    WAIT_UNTIL(messages_in_pieces() == 1);
    before = rss_bytes(0);
    send_pattern(fd, len);
    WAIT_UNTIL(messages_in_pieces() == 2);
    grown = rss_bytes(0) - before;
    printf("    %llu MiB in pieces of up to %zu bytes: %lld KiB more memory\n", (unsigned long long)len >> 20,
           pieces.largest, grown >> 10);
    CHECK(server_stats(recorder.server).bytes_received > len);
    CHECK(pieces.largest <= 64 * 1024);
    if (slowness() == 1)
        CHECK(grown < 1024 * 1024);
    close(fd);
    server_end(&recorder);
}

static void limits_of_pieces(void)
{
    ws_server_config config = begin_pieces();
    uint16_t port;

    config.max_message_size = 1000;
    port = server_start(&recorder, &config);
    check_violation(port, "1001 in one frame", "\x82\xfe\x03\xe9\0\0\0\0", 8, 1009);
    check_violation(port, "1001 in two frames", "\x02\x81\0\0\0\0\0\x80\xfe\x03\xe8\0\0\0\0", 15, 1009);
    pieces.bytes = 0; // the message of one byte was cut off
    // Text is judged as it comes, long before the end.
    check_violation(port, "no UTF-8", "\x81\xfe\x03\xe8\0\0\0\0\xff", 9, 1007);
    check_violation(port, "unmasked", "\x82\x01x", 3, 1002);
    CHECK_INT(messages_in_pieces(), 0);
    server_end(&recorder);
}

// --- lengths that 32 bits do not hold ---

static void no_limit_of_a_size_t_is_beyond_reach(void)
{
    ws_server_config config = begin();
    uint16_t port;

    if (sizeof(size_t) > 4)
        return;
    config.max_message_size = SIZE_MAX;
    port = server_start(&recorder, &config);
    check_violation(port, "4 GiB", "\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0", 14, 1009);
    check_violation(port, "4 GiB and 5", "\x82\xff\0\0\0\x01\0\0\0\x05\0\0\0\0", 14, 1009);
    check_violation(port, "4 GiB together", "\x02\x81\0\0\0\0a\x80\xff\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 21, 1009);
    server_end(&recorder);
}

// Without a limit the first bytes are handed on; nothing ends after the five that are left of it in 32 bits.
static void more_than_4_gib_in_pieces(void)
{
    ws_server_config config = begin_pieces();
    uint16_t port = server_start(&recorder, &config);
    struct raw_frame frame;
    ws_conn_id conn;
    int fd = peer_open(&recorder, port, &conn);

    raw_announce(fd, RAW_BINARY, ((uint64_t)1 << 32) + 5);
    raw_send(fd, "five!", 5);
    raw_frame(fd, RAW_PING, "no frame", 8);
    SYS(shutdown(fd, SHUT_WR));
    CHECK(!raw_read_frame(fd, &frame));
    EXPECT(&recorder, CLOSED, conn);
    CHECK_INT(messages_in_pieces(), 0);
    CHECK_INT(pieces.bytes, 5 + 6 + 8);
    close(fd);
    server_end(&recorder);
}

// --- pausing ---

static void pause_after_the_first(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what == MESSAGE && memcmp(event->data, "pause", 5) == 0) {
        OK(ws_server_pause(recorder.server, event->conn));
        OK(ws_server_pause(recorder.server, event->conn));
    }
}

static void pause_and_resume(void)
{
    static char block[65536];
    ws_server_config config = begin();
    ws_conn_id conn;
    ws_conn_id other;
    uint16_t port;
    size_t pushed = 0;
    ssize_t sent;
    int other_fd;
    int fd;

    recorder.hook = pause_after_the_first;
    config.ping_interval_ms = (uint32_t)(150 * slowness());
    config.pong_timeout_ms = (uint32_t)(1200 * slowness());
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    other_fd = peer_open(&recorder, port, &other);
    // "pause", "a" and "b" in one packet: a and b wait, and so does the Close behind them.
    raw_send(fd, "\x81\x85\0\0\0\0pause\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b", 25);
    RAW_EXPECT_TEXT(fd, "pause");
    EXPECT_TEXT(&recorder, conn, "pause");
    // Pong deadlines rest: one passes while the other peer is served.
    for (long long until = now_ms() + 2000 * slowness(); now_ms() < until;)
        raw_echo(other_fd, "served");
    CHECK_INT(count_of(&recorder, MESSAGE, conn), 1);
    CHECK_INT(count_of(&recorder, CLOSED, conn), 0);
    OK(ws_server_send(recorder.server, conn, WS_TEXT, "sending goes on", 15));
    RAW_EXPECT_TEXT(fd, "sending goes on");
    OK(ws_server_resume(recorder.server, conn));
    OK(ws_server_resume(recorder.server, conn));
    EXPECT_TEXT(&recorder, conn, "a");
    EXPECT_TEXT(&recorder, conn, "b");
    RAW_EXPECT_TEXT(fd, "a");
    RAW_EXPECT_TEXT(fd, "b");

    // TCP slows the peer down: sooner or later its socket takes no more.
    OK(ws_server_pause(recorder.server, conn));
    raw_echo(other_fd, "the loop knows of it");
    raw_announce(fd, RAW_BINARY, (uint64_t)1 << 40);
    while ((sent = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
        pushed += (size_t)sent;
        CHECK(pushed < (size_t)64 * 1024 * 1024);
    }
    CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
    raw_echo(other_fd, "served");
    close(fd);
    close(other_fd);
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(whole_messages);
    RUN(fragments_with_control_frames_in_between);
    RUN(violations);
    RUN(nothing_follows_a_violation);
    RUN(an_announced_size_costs_nothing);
    RUN(small_messages_in_pieces);
    RUN(a_huge_message_in_pieces);
    RUN(limits_of_pieces);
    RUN(no_limit_of_a_size_t_is_beyond_reach);
    RUN(more_than_4_gib_in_pieces);
    RUN(pause_and_resume);
    return check_end();
}
