// Messages sent in pieces: what goes out on the wire, what is refused meanwhile, a full queue, several threads, and ends in
// the middle. What a piece does is looked at twice where it differs: in the loop's thread and in another.
#include "harness.h"

static struct recorder recorder;
static ws_conn_id conn;
static int peer;
static uint16_t port;

static ws_status piece(int kind, const void *data, size_t len, int last)
{
    return ws_server_send_piece(recorder.server, conn, kind, data, len, last);
}

static ws_status text_piece(const char *text, int last)
{
    return piece(WS_TEXT, text, strlen(text), last);
}

// What the loop's thread is to do when the peer says "go".
static void (*script)(void);

static void run_script(struct recorder *unused, const struct event *event)
{
    void (*what)(void);

    (void)unused;
    if (event->what != WRITABLE && (event->what != MESSAGE || strcmp((const char *)event->data, "go") != 0))
        return;
    pthread_mutex_lock(&recorder.lock);
    what = script;
    pthread_mutex_unlock(&recorder.lock);
    if (what != NULL)
        what();
}

static void go(void (*what)(void))
{
    pthread_mutex_lock(&recorder.lock);
    script = what;
    pthread_mutex_unlock(&recorder.lock);
    raw_text(peer, "go");
}

static char large[100 * 1000];

static void begin_with(ws_server_config config)
{
    memset(large, 'l', sizeof large);
    script = NULL;
    recorder.hook = run_script;
    port = server_start(&recorder, &config);
    peer = peer_open(&recorder, port, &conn);
}

static void begin(void)
{
    recorder_init(&recorder);
    begin_with(server_config(&recorder));
}

// Runs the script in this thread, then in the loop's. The peer sees the same each time.
static void both_ways(void (*what)(void), void (*seen)(void))
{
    begin();
    what();
    seen();
    go(what);
    seen();
    close(peer);
    server_end(&recorder);
}

// --- on the wire ---

static void send_fragments(void)
{
    OK(text_piece("a\xe2", 0));
    OK(text_piece("\x82", 0));
    OK(text_piece("", 0));
    OK(piece(WS_TEXT, NULL, 0, 0));
    OK(text_piece("\xac", 1));
    OK(piece(WS_BINARY, "\xff", 1, 1)); // a message by itself
    OK(piece(WS_BINARY | WS_UNCOMPRESSED, large, sizeof large, 0));
    OK(piece(WS_BINARY, large, sizeof large, 0));
    OK(piece(WS_BINARY, NULL, 0, 1));
    OK(ws_server_send(recorder.server, conn, WS_TEXT, "whole", 5));
}

static void see_fragments(void)
{
    RAW_EXPECT(peer, 0x01, "a\xe2", 2);
    RAW_EXPECT(peer, 0x00, "\x82", 1);
    RAW_EXPECT(peer, 0x00, "", 0);
    RAW_EXPECT(peer, 0x00, "", 0);
    RAW_EXPECT(peer, 0x80, "\xac", 1);
    RAW_EXPECT(peer, 0x82, "\xff", 1);
    RAW_EXPECT(peer, 0x02, large, sizeof large);
    RAW_EXPECT(peer, 0x00, large, sizeof large);
    RAW_EXPECT(peer, 0x80, "", 0);
    RAW_EXPECT_TEXT(peer, "whole");
}

static void fragments(void)
{
    both_ways(send_fragments, see_fragments);
}

static void messages_are_counted_once(void)
{
    begin();
    send_fragments();
    see_fragments();
    WAIT_UNTIL(server_stats(recorder.server).messages_sent == 4);
    close(peer);
    server_end(&recorder);
}

// --- what is refused ---

static void send_in_between(void)
{
    static const int bad[] = {0, 3, -1, 8, 9, WS_UNCOMPRESSED, INT32_MAX, INT32_MIN};
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(piece(bad[i], "x", 1, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(piece(WS_TEXT, NULL, 1, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_send_piece(NULL, conn, WS_TEXT, "x", 1, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_send_piece(recorder.server, 0, WS_TEXT, "x", 1, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_send_piece(recorder.server, UINT64_MAX, WS_TEXT, "x", 1, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_send_piece(recorder.server, conn + ((ws_conn_id)1 << 40), WS_TEXT, "x", 1, 0), WS_ERR_CLOSED);
    CHECK_STATUS(piece(WS_BINARY, large, 4 << 20, 0), WS_ERR_TOO_BIG);

    OK(text_piece("begun, ", 0));
    CHECK_STATUS(piece(WS_BINARY, "x", 1, 0), WS_ERR_INVALID_ARG);
    CHECK_HAS(ws_last_error(), "in pieces");
    CHECK_STATUS(piece(WS_BINARY, large, sizeof large, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_HAS(ws_last_error(), "in pieces");
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_BINARY, large, sizeof large), WS_ERR_INVALID_ARG);
    CHECK_STATUS(piece(WS_TEXT, large, 4 << 20, 0), WS_ERR_TOO_BIG);
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    OK(ws_server_ping(recorder.server, conn, "p", 1));
    OK(text_piece("ended", 1));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all again", 12));
}

static void see_in_between(void)
{
    struct raw_frame frame;

    RAW_EXPECT(peer, 0x01, "begun, ", 7);
    CHECK(raw_read_frame(peer, &frame));
    CHECK_INT(frame.first, RAW_PING);
    RAW_EXPECT(peer, 0x80, "ended", 5);
    RAW_EXPECT_TEXT(peer, "to all again");
}

static void only_control_frames_in_between(void)
{
    both_ways(send_in_between, see_in_between);
}

static void broadcasts_leave_it_out(void)
{
    begin();
    OK(text_piece("begun", 0));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    WAIT_UNTIL(server_stats(recorder.server).messages_dropped == 1);
    OK(text_piece("", 1));
    RAW_EXPECT(peer, 0x01, "begun", 5);
    RAW_EXPECT(peer, 0x80, "", 0);
    close(peer);
    server_end(&recorder);
}

// --- text ---

static void send_bad_text(void)
{
    char *many = check_alloc(sizeof large);

    memset(many, '\xbc', sizeof large);
    CHECK_STATUS(text_piece("\xff", 0), WS_ERR_UTF8);
    CHECK_STATUS(text_piece("cut off \xc3", 1), WS_ERR_UTF8);
    OK(text_piece("\xc3", 0));
    CHECK_STATUS(text_piece("(", 0), WS_ERR_UTF8);
    CHECK_STATUS(text_piece("", 1), WS_ERR_UTF8);
    CHECK_STATUS(piece(WS_TEXT, many, sizeof large, 1), WS_ERR_UTF8);
    OK(text_piece("\xbc", 1));
    free(many);
}

static void text_is_checked_over_pieces(void)
{
    begin();
    go(send_bad_text);
    RAW_EXPECT(peer, 0x01, "\xc3", 1);
    RAW_EXPECT(peer, 0x80, "\xbc", 1);
    close(peer);
    server_end(&recorder);
}

// The loop finds out, and the message cannot be taken back.
static void bad_text_of_another_thread_closes(void)
{
    begin();
    OK(text_piece("\xc3", 0));
    OK(text_piece("(", 0));
    RAW_EXPECT(peer, 0x01, "\xc3", 1);
    RAW_EXPECT_CLOSE(peer, 1007, NULL);
    CHECK_STATUS(text_piece("x", 1), WS_ERR_CLOSED);
    raw_close_frame(peer, 1007, "");
    EXPECT_CLOSED(&recorder, conn, WS_OK, 1007, 0);
    close(peer);
    server_end(&recorder);
}

// --- a full queue ---

enum { PIECES = 200, PIECE = 60 * 1000 };

static int next_piece; // atomic

static void fill(char *data, int number)
{
    memset(data, 'a' + number % 26, PIECE);
}

// Sends what there is room for. True: all are sent.
static int send_more(void)
{
    int next = __atomic_load_n(&next_piece, __ATOMIC_SEQ_CST);
    char *data = check_alloc(PIECE);

    for (; next < PIECES; next++) {
        ws_status status;

        fill(data, next);
        status = piece(WS_TEXT, data, PIECE, next == PIECES - 1);
        if (status == WS_ERR_AGAIN)
            break;
        OK(status);
    }
    __atomic_store_n(&next_piece, next, __ATOMIC_SEQ_CST);
    free(data);
    return next == PIECES;
}

static void send_some(void)
{
    send_more();
}

static void see_pieces(void)
{
    char *data = check_alloc(PIECE);
    int i;

    for (i = 0; i < PIECES; i++) {
        fill(data, i);
        RAW_EXPECT(peer, i == 0 ? 0x01 : i == PIECES - 1 ? 0x80 : 0x00, data, PIECE);
    }
    free(data);
}

static void a_full_queue_in_the_loop(void)
{
    int sent;

    next_piece = 0;
    begin();
    go(send_some); // and again in on_writable
    EXPECT(&recorder, MESSAGE, conn);
    sent = __atomic_load_n(&next_piece, __ATOMIC_SEQ_CST);
    CHECK(sent > 0 && sent < PIECES); // the peer has read nothing
    see_pieces();
    CHECK(count_of(&recorder, WRITABLE, conn) > 0);
    close(peer);
    server_end(&recorder);
}

static void *send_all(void *unused)
{
    while (!send_more())
        EXPECT(&recorder, WRITABLE, conn);
    return unused;
}

static void a_full_queue_in_another_thread(void)
{
    pthread_t thread;

    next_piece = 0;
    begin();
    thread_start(&thread, send_all, NULL);
    see_pieces();
    thread_join(thread);
    close(peer);
    server_end(&recorder);
}

// --- several threads ---

static int over; // atomic

static void *send_whole(void *count)
{
    while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
        ws_status status = ws_server_send(recorder.server, conn, WS_BINARY, "whole", 5);

        if (status != WS_OK)
            CHECK_STATUS(status, WS_ERR_INVALID_ARG);
        else if (++*(long *)count % 20 == 0)
            nap(); // or the queue would fill
    }
    return NULL;
}

static void send_three(void)
{
    OK(text_piece("one", 0));
    OK(text_piece("two", 0));
    OK(text_piece("three", 1));
}

// While the loop sends in pieces, another thread sends whole messages: none comes in between.
static void whole_messages_of_another_thread_do_not_mix(void)
{
    ws_server_config config;
    pthread_t thread;
    long sent = 0;
    long whole = 0;
    int pieces = 0;
    int rounds = small_loads() ? 20 : 500;
    struct raw_frame frame;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.max_send_queue = 64 * 1024 * 1024;
    over = 0;
    begin_with(config);
    thread_start(&thread, send_whole, &sent);
    while (pieces < rounds) {
        go(send_three);
        do {
            CHECK(raw_read_data(peer, &frame));
            whole += frame.first == RAW_BINARY;
        } while (frame.first == RAW_BINARY);
        CHECK_INT(frame.first, 0x01);
        RAW_EXPECT(peer, 0x00, "two", 3);
        RAW_EXPECT(peer, 0x80, "three", 5);
        pieces++;
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    thread_join(thread);
    for (; whole < sent; whole++)
        RAW_EXPECT(peer, RAW_BINARY, "whole", 5);
    close(peer);
    server_end(&recorder);
}

// --- ends in the middle ---

static void the_peer_goes_in_the_middle(void)
{
    begin();
    OK(text_piece("begun", 0));
    RAW_EXPECT(peer, 0x01, "begun", 5);
    close(peer);
    EXPECT(&recorder, CLOSED, conn);
    CHECK_STATUS(text_piece("ended", 1), WS_ERR_CLOSED);
    server_end(&recorder);
}

static void close_in_the_middle(void)
{
    OK(piece(WS_BINARY, "begun", 5, 0));
    OK(ws_server_close(recorder.server, conn, 1011, "no more"));
    CHECK_STATUS(piece(WS_BINARY, "x", 1, 1), WS_ERR_CLOSED);
}

static void closing_in_the_middle(void)
{
    int in_loop;

    for (in_loop = 0; in_loop < 2; in_loop++) {
        begin();
        if (in_loop)
            go(close_in_the_middle);
        else
            close_in_the_middle();
        RAW_EXPECT(peer, 0x02, "begun", 5);
        RAW_EXPECT_CLOSE(peer, 1011, "no more");
        close(peer);
        server_end(&recorder);
    }
}

// --- received in pieces, sent in pieces ---

static size_t largest_piece;

static void echo_piece(ws_server *server, ws_conn_id id, const ws_piece *came, void *user)
{
    (void)user;
    if (came->len > largest_piece)
        largest_piece = came->len;
    OK(ws_server_send_piece(server, id, came->kind, came->data, came->len, came->last));
}

// With the defaults there is room for any piece that comes.
static void echo_in_pieces(void)
{
    enum { SIZE = 700 * 1000 };
    unsigned char *sent = check_alloc(SIZE);
    unsigned char *got = check_alloc(SIZE);
    ws_server_config config;
    struct raw_frame frame = {0};
    size_t len = 0;
    int i;

    for (i = 0; i < SIZE; i++)
        sent[i] = (unsigned char)(i * 7 >> 3);
    recorder_init(&recorder);
    config = server_config(&recorder);
    config.on_message = NULL;
    config.on_piece = echo_piece;
    begin_with(config);
    raw_frame(peer, RAW_BINARY, sent, SIZE);
    while (len < SIZE || !(frame.first & RAW_FIN)) {
        CHECK(raw_read_frame(peer, &frame));
        CHECK_INT(frame.first & 0x0f, len == 0 ? 2 : 0);
        CHECK(len + frame.len <= SIZE);
        memcpy(got + len, frame.data, frame.len);
        len += frame.len;
    }
    CHECK(memcmp(got, sent, SIZE) == 0);
    free(sent);
    free(got);
    close(peer);
    server_end(&recorder);
    printf("    the largest piece had %zu bytes\n", largest_piece);
}

// --- clients ---

static struct recorder client;

static ws_status client_piece(const char *text, int last)
{
    return ws_client_send_piece(client.client, WS_TEXT, text, strlen(text), last);
}

static void client_script(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what != OPENED)
        return;
    OK(client_piece("in a callback \xc3", 0));
    CHECK_STATUS(client_piece("(", 0), WS_ERR_UTF8);
    CHECK_STATUS(ws_client_send(client.client, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send_piece(client.client, WS_BINARY, "x", 1, 1), WS_ERR_INVALID_ARG);
    OK(client_piece("\xbc", 1));
}

static void begin_client(hook_fn hook, uint32_t reconnect_ms, int deflate)
{
    ws_server_config config;
    ws_client_config client_side;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.deflate = deflate;
    port = server_start(&recorder, &config);
    recorder_init(&client);
    client.hook = hook;
    client_side = client_config(&client, url_of(port, "/"));
    client_side.reconnect_min_ms = reconnect_ms;
    client_side.reconnect_max_ms = reconnect_ms;
    client_side.deflate = deflate;
    OK(ws_client_new(&client_side, &client.client));
    OK(ws_client_start(client.client));
    conn = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;
    EXPECT(&client, OPENED, 0);
}

static void end_client(void)
{
    client_end(&client);
    server_end(&recorder);
}

static void of_a_client(void)
{
    CHECK_STATUS(ws_client_send_piece(NULL, WS_TEXT, "x", 1, 1), WS_ERR_INVALID_ARG);
    begin_client(client_script, 0, WS_DEFLATE_OFF);
    EXPECT_TEXT(&recorder, conn, "in a callback \xc3\xbc");
    OK(client_piece("from \xc3", 0));
    CHECK_STATUS(ws_client_send(client.client, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send_piece(client.client, WS_BINARY, "x", 1, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send_piece(client.client, WS_TEXT, NULL, 1, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send_piece(client.client, 7, "x", 1, 1), WS_ERR_INVALID_ARG);
    OK(ws_client_enqueue(client.client, WS_TEXT, "enqueued meanwhile", 18, NULL));
    OK(client_piece("\xbc", 0));
    OK(client_piece("", 1));
    EXPECT_TEXT(&recorder, conn, "from \xc3\xbc");
    EXPECT_TEXT(&recorder, conn, "enqueued meanwhile");
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    CHECK_STATUS(client_piece("x", 1), WS_ERR_CLOSED);
    end_client();
}

// The rest of a message must not become a message on the next connection.
static void a_client_that_connects_again(void)
{
    begin_client(NULL, 1, WS_DEFLATE_OFF);
    OK(client_piece("begun here", 0));
    OK(ws_server_close(recorder.server, conn, 1011, NULL));
    EXPECT(&recorder, CLOSED, conn);
    conn = EXPECT(&recorder, OPENED, 0)->conn;
    EXPECT(&client, CLOSED, 0);
    EXPECT(&client, OPENED, 0);
    CHECK_STATUS(client_piece("the rest", 1), WS_ERR_CLOSED);
    OK(client_piece("an", 0));
    OK(client_piece("other", 1));
    EXPECT_TEXT(&recorder, conn, "another");
    end_client();
}

static int has_deflate(void)
{
    ws_server_config config = {.struct_size = sizeof config, .deflate = WS_DEFLATE_BALANCED};
    ws_server *server;
    ws_status status = ws_server_new(&config, &server);

    if (status == WS_OK)
        OK(ws_server_free(server));
    return status == WS_OK;
}

static void compressed(void)
{
    char *expected;
    int i;

    if (!has_deflate())
        return;
    memset(large, 'z', sizeof large);
    expected = check_alloc(2 * sizeof large);
    memset(expected, 'z', 2 * sizeof large);
    begin_client(NULL, 0, WS_DEFLATE_BALANCED);
    for (i = 0; i < 3; i++) {
        int plain = i == 1 ? WS_UNCOMPRESSED : 0;

        OK(piece(WS_TEXT | plain, large, sizeof large, 0));
        CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
        OK(piece(WS_TEXT, NULL, 0, 0));
        OK(piece(WS_TEXT, large, sizeof large, 1));
        EXPECT_MESSAGE(&client, 0, WS_TEXT, expected, 2 * sizeof large);
        OK(ws_client_send_piece(client.client, WS_BINARY | plain, large, sizeof large, 0));
        OK(ws_client_send_piece(client.client, WS_BINARY, large, sizeof large, 1));
        EXPECT_MESSAGE(&recorder, conn, WS_BINARY, expected, 2 * sizeof large);
    }
    CHECK(server_stats(recorder.server).bytes_sent < 3 * sizeof large); // of three times two, one was not compressed
    free(expected);
    end_client();
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(fragments);
    RUN(messages_are_counted_once);
    RUN(only_control_frames_in_between);
    RUN(broadcasts_leave_it_out);
    RUN(text_is_checked_over_pieces);
    RUN(bad_text_of_another_thread_closes);
    RUN(a_full_queue_in_the_loop);
    RUN(a_full_queue_in_another_thread);
    RUN(whole_messages_of_another_thread_do_not_mix);
    RUN(the_peer_goes_in_the_middle);
    RUN(closing_in_the_middle);
    RUN(echo_in_pieces);
    RUN(of_a_client);
    RUN(a_client_that_connects_again);
    RUN(compressed);
    return check_end();
}
