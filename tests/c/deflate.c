// Compression between servers and clients of libws, and what a server makes of the wire: configuration, what is agreed on,
// messages of all lengths both ways, broadcasts, statistics, messages left alone.
#include "harness.h"

static struct recorder recorder;

static ws_conn_id opened_last;

enum { CLIENTS = 3, LONGEST = 300000 };

// 0: this build has no compression, which every config says.
static int present(void)
{
    ws_server_config config = {.struct_size = sizeof config, .deflate = WS_DEFLATE_SMALL};
    ws_client_config client = {.struct_size = sizeof client, .deflate = WS_DEFLATE_BEST, .url = "ws://localhost"};
    ws_server *server;
    ws_client *other;
    ws_status status = ws_server_new(&config, &server);

    if (status == WS_OK) {
        OK(ws_server_free(server));
        return 1;
    }
    CHECK_INT(status, WS_ERR_UNSUPPORTED);
    CHECK_HAS(ws_last_error(), "deflate");
    CHECK(server == NULL);
    CHECK_STATUS(ws_client_new(&client, &other), WS_ERR_UNSUPPORTED);
    return 0;
}

static void configurations(void)
{
    struct {
        int deflate;
        ws_deflate_options options;
        const char *word; // in the error; NULL: it is good
    } cases[] = {
        {WS_DEFLATE_SMALL, {0}, NULL},
        {WS_DEFLATE_BALANCED, {.send_window_bits = 9, .receive_window_bits = 15, .level = 9, .mem_level = 1}, NULL},
        {WS_DEFLATE_BEST,
         {.send_context_takeover = WS_DEFLATE_FORGET, .receive_context_takeover = WS_DEFLATE_KEEP, .min_size = 1}, NULL},
        {WS_DEFLATE_OFF, {0}, "WS_DEFLATE_OFF"},
        {4, {0}, "deflate is 4"},
        {-1, {0}, "deflate is -1"},
        {WS_DEFLATE_BEST, {.send_window_bits = 8}, "send_window_bits is 8"},
        {WS_DEFLATE_BEST, {.send_window_bits = 16}, "send_window_bits is 16"},
        {WS_DEFLATE_BEST, {.receive_window_bits = 300}, "receive_window_bits is 300"},
        {WS_DEFLATE_BEST, {.level = 10}, "level is 10"},
        {WS_DEFLATE_BEST, {.mem_level = 10}, "mem_level is 10"},
        {WS_DEFLATE_BEST, {.send_context_takeover = 3}, "send_context_takeover is 3"},
        {WS_DEFLATE_BEST, {.receive_context_takeover = -1}, "receive_context_takeover is -1"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ws_server_config config = {.struct_size = sizeof config, .deflate = cases[i].deflate};
        ws_client_config client = {.struct_size = sizeof client, .deflate = cases[i].deflate, .url = "ws://localhost"};
        ws_server *server;
        ws_client *other;

        cases[i].options.struct_size = sizeof cases[i].options;
        config.deflate_options = &cases[i].options;
        client.deflate_options = &cases[i].options;
        if (cases[i].word == NULL) {
            OK(ws_server_new(&config, &server));
            OK(ws_server_free(server));
            OK(ws_client_new(&client, &other));
            OK(ws_client_free(other));
        } else {
            CHECK_STATUS(ws_server_new(&config, &server), WS_ERR_INVALID_ARG);
            CHECK_HAS(ws_last_error(), cases[i].word);
            CHECK_STATUS(ws_client_new(&client, &other), WS_ERR_INVALID_ARG);
            CHECK_HAS(ws_last_error(), cases[i].word);
        }
    }
}

// Text in which there is much to find, different for each number.
static void fill(char *data, size_t len, int number)
{
    size_t at = 0;

    while (at < len) {
        char record[64];
        int n = snprintf(record, sizeof record, "{\"sensor\":\"boiler-%d\",\"temperature\":2%d.%d}\n", number,
                         (int)(at / 40 % 10), (int)(at * 7919 % 100));
        size_t part = len - at < (size_t)n ? len - at : (size_t)n;

        memcpy(data + at, record, part);
        at += part;
    }
}

static void client_begin(struct recorder *client, uint16_t port, int deflate, const ws_deflate_options *options)
{
    ws_client_config config;

    recorder_init(client);
    config = client_config(client, url_of(port, "/"));
    config.deflate = deflate;
    config.deflate_options = options;
    OK(ws_client_new(&config, &client->client));
    OK(ws_client_start(client->client));
    EXPECT(client, OPENED, 0);
}

static ws_stats client_stats(const ws_client *client)
{
    ws_stats stats = {.struct_size = sizeof stats};

    OK(ws_client_stats(client, &stats));
    return stats;
}

// Sends messages of many lengths to an echo server and gets them back.
static void exchange(struct recorder *client, int flag, char *data)
{
    static const size_t lens[] = {0, 1, 127, 128, 129, 1000, 16383, 16384, 70000, LONGEST, 200};
    size_t i;

    for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        int kind = i % 2 == 0 ? WS_TEXT : WS_BINARY;

        fill(data, lens[i], (int)i);
        OK(ws_client_send(client->client, kind | flag, data, lens[i]));
        EXPECT_MESSAGE(client, 0, kind, data, lens[i]);
    }
}

static void messages_both_ways(void)
{
    static const int modes[] = {WS_DEFLATE_SMALL, WS_DEFLATE_BALANCED, WS_DEFLATE_BEST};
    char *data = check_alloc(LONGEST);
    size_t server_mode;
    size_t client_mode;

    for (server_mode = 0; server_mode < 3; server_mode++)
        for (client_mode = 0; client_mode < 3; client_mode++) {
            ws_deflate_info here = {.struct_size = sizeof here};
            ws_deflate_info there = {.struct_size = sizeof there};
            struct recorder client;
            ws_server_config config;
            ws_stats sent;
            ws_stats again;
            ws_conn_id conn;
            uint16_t port;

            recorder_init(&recorder);
            recorder.echo = 1;
            config = server_config(&recorder);
            config.deflate = modes[server_mode];
            port = server_start(&recorder, &config);
            client_begin(&client, port, modes[client_mode], NULL);
            conn = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;

            OK(ws_server_deflate(recorder.server, conn, &there));
            OK(ws_client_deflate(client.client, &here));
            CHECK_INT(here.active, 1);
            CHECK_INT(there.active, 1);
            CHECK_INT(here.send_window_bits, there.receive_window_bits);
            CHECK_INT(there.send_window_bits, here.receive_window_bits);
            CHECK_INT(here.send_context_takeover, server_mode > 0 && client_mode > 0);
            CHECK_INT(there.send_context_takeover, here.receive_context_takeover);

            exchange(&client, 0, data);
            WAIT_UNTIL(client_stats(client.client).deflate_sent_before > LONGEST + 70000 + 2 * 16383 + 1000);
            sent = client_stats(client.client);
            CHECK(sent.deflate_sent_before > LONGEST);
            CHECK(sent.deflate_sent_after > 0 && sent.deflate_sent_after < sent.deflate_sent_before / 2);
            WAIT_UNTIL(client_stats(client.client).deflate_received_after == sent.deflate_sent_before);
            WAIT_UNTIL(server_stats(recorder.server).deflate_sent_before == sent.deflate_sent_before);
            again = server_stats(recorder.server);
            CHECK_INT(again.deflate_received_before, sent.deflate_sent_after);
            CHECK_INT(again.deflate_received_after, sent.deflate_sent_before);

            // Left alone, from the client; the server compresses its echo.
            exchange(&client, WS_UNCOMPRESSED, data);
            CHECK_INT(client_stats(client.client).deflate_sent_before, sent.deflate_sent_before);

            OK(ws_client_close(client.client, 1000, NULL));
            EXPECT_CLOSED(&recorder, ANY_SUCH, WS_OK, 1000, 1);
            WAIT_UNTIL(ws_server_deflate(recorder.server, conn, &there) == WS_ERR_CLOSED);
            client_end(&client);
            server_end(&recorder);
        }
    free(data);
}

static void not_agreed_on(void)
{
    ws_deflate_info info = {.struct_size = sizeof info, .active = 7, .send_window_bits = 7};
    ws_server_config config;
    struct recorder client;
    char data[1000];
    ws_conn_id conn;
    uint16_t port;

    // A server without, a client with; and the other way round.
    port = echo_start(&recorder);
    client_begin(&client, port, WS_DEFLATE_BEST, NULL);
    OK(ws_client_deflate(client.client, &info));
    CHECK_INT(info.active, 0);
    CHECK_INT(info.send_window_bits, 0);
    fill(data, sizeof data, 1);
    OK(ws_client_send(client.client, WS_TEXT, data, sizeof data));
    EXPECT_MESSAGE(&client, 0, WS_TEXT, data, sizeof data);
    CHECK_INT(client_stats(client.client).deflate_sent_before, 0);
    client_end(&client);
    CHECK_STATUS(ws_client_deflate(NULL, &info), WS_ERR_INVALID_ARG);
    server_end(&recorder);

    recorder_init(&recorder);
    recorder.echo = 1;
    config = server_config(&recorder);
    config.deflate = WS_DEFLATE_BEST;
    port = server_start(&recorder, &config);
    client_begin(&client, port, WS_DEFLATE_OFF, NULL);
    conn = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;
    OK(ws_server_deflate(recorder.server, conn, &info));
    CHECK_INT(info.active, 0);
    info.struct_size = 3;
    CHECK_STATUS(ws_server_deflate(recorder.server, conn, &info), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_deflate(recorder.server, conn, NULL), WS_ERR_INVALID_ARG);
    client_end(&client);
    server_end(&recorder);
}

// To clients that share a compressed frame, that compress for themselves, and that take it as it is.
static void broadcasts(void)
{
    static const int modes[CLIENTS] = {WS_DEFLATE_SMALL, WS_DEFLATE_BEST, WS_DEFLATE_OFF};
    const ws_deflate_options small_window = {
        .struct_size = sizeof small_window, .receive_window_bits = 9, .receive_context_takeover = WS_DEFLATE_FORGET};
    static const size_t lens[] = {50, 500, 20000, 100000};
    struct recorder clients[CLIENTS + 1];
    unsigned char *noise = check_alloc(20000);
    char *data = check_alloc(100000);
    unsigned state = 1;
    size_t i;
    int n;

    for (n = 1; n <= 3; n++) {
        ws_server_config config;
        ws_stats stats;
        uint16_t port;

        recorder_init(&recorder);
        config = server_config(&recorder);
        config.deflate = n == 3 ? WS_DEFLATE_SMALL : WS_DEFLATE_BEST;
        config.threads = (uint32_t)n;
        port = server_start(&recorder, &config);
        for (i = 0; i < CLIENTS; i++)
            client_begin(&clients[i], port, modes[i], NULL);
        client_begin(&clients[CLIENTS], port, WS_DEFLATE_BEST, &small_window);
        for (i = 0; i <= CLIENTS; i++)
            EXPECT(&recorder, OPENED, ANY_SUCH);

        for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            size_t c;

            fill(data, lens[i], (int)i);
            OK(ws_server_broadcast(recorder.server, WS_TEXT, data, lens[i]));
            for (c = 0; c <= CLIENTS; c++)
                EXPECT_MESSAGE(&clients[c], 0, WS_TEXT, data, lens[i]);
        }
        WAIT_UNTIL(server_stats(recorder.server).deflate_sent_before == 3 * (500 + 20000 + 100000));
        stats = server_stats(recorder.server);
        CHECK(stats.deflate_sent_after < stats.deflate_sent_before / 2);
        CHECK_INT(stats.messages_sent, (CLIENTS + 1) * 4);

        OK(ws_server_broadcast(recorder.server, WS_TEXT | WS_UNCOMPRESSED, data, 20000));
        for (i = 0; i <= CLIENTS; i++)
            EXPECT_MESSAGE(&clients[i], 0, WS_TEXT, data, 20000);
        CHECK_INT(server_stats(recorder.server).deflate_sent_before, stats.deflate_sent_before);

        // What does not become shorter, and then what does: contexts are in step.
        for (i = 0; i < 20000; i++) {
            state = state * 1103515245 + 12345;
            noise[i] = (unsigned char)(state >> 16);
        }
        OK(ws_server_broadcast(recorder.server, WS_BINARY, noise, 20000));
        OK(ws_server_broadcast(recorder.server, WS_TEXT, data, 20000));
        for (i = 0; i <= CLIENTS; i++) {
            EXPECT_MESSAGE(&clients[i], 0, WS_BINARY, noise, 20000);
            EXPECT_MESSAGE(&clients[i], 0, WS_TEXT, data, 20000);
        }
        for (i = 0; i <= CLIENTS; i++)
            client_end(&clients[i]);
        server_end(&recorder);
    }
    free(data);
    free(noise);
}

static int raw_deflate(uint16_t port, const char *offer)
{
    int fd = raw_connect(port);
    char head[8192];
    char extra[256];
    char agreed[256];

    snprintf(extra, sizeof extra, "Sec-WebSocket-Extensions: %s\r\n", offer);
    CHECK_INT(raw_try_upgrade(fd, "/", extra, head, sizeof head), 101);
    CHECK(raw_header(head, "Sec-WebSocket-Extensions", agreed, sizeof agreed));
    CHECK_HAS(agreed, "permessage-deflate");
    return fd;
}

// What a full queue drops was not sent, so its bytes do not count.
static void broadcasts_to_one_that_does_not_read(void)
{
    enum { LEN = 20000, DROPPED = 200 };
    char *data = check_alloc(LEN);
    ws_server_config config;
    uint64_t handed = 0;
    ws_stats stats;
    uint16_t port;
    int fd;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.deflate = WS_DEFLATE_SMALL;
    config.max_send_queue = 2 * LEN;
    port = server_start(&recorder, &config);
    fd = raw_deflate(port, "permessage-deflate");
    EXPECT(&recorder, OPENED, ANY_SUCH);
    fill(data, LEN, 1);
    while (server_stats(recorder.server).messages_dropped < DROPPED) {
        ws_status status = ws_server_broadcast(recorder.server, WS_TEXT, data, LEN);

        if (status == WS_OK)
            handed++;
        else
            CHECK_INT(status, WS_ERR_AGAIN);
    }
    WAIT_UNTIL((stats = server_stats(recorder.server), stats.messages_sent + stats.messages_dropped == handed));
    WAIT_UNTIL(server_stats(recorder.server).deflate_sent_before == stats.messages_sent * LEN);
    close(fd);
    server_end(&recorder);
    free(data);
}

static void *send_many(void *argument)
{
    ws_conn_id conn = *(ws_conn_id *)argument;
    char data[1000];
    int i;

    fill(data, sizeof data, 3);
    for (i = 0; i < 100; i++)
        OK(ws_server_send(recorder.server, conn, WS_TEXT, data, sizeof data));
    return NULL;
}

static void from_other_threads(void)
{
    ws_server_config config;
    struct recorder client;
    pthread_t threads[2];
    char data[1000];
    ws_conn_id conn;
    uint16_t port;
    int i;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.deflate = WS_DEFLATE_BALANCED;
    port = server_start(&recorder, &config);
    client_begin(&client, port, WS_DEFLATE_BALANCED, NULL);
    conn = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;
    for (i = 0; i < 2; i++)
        thread_start(&threads[i], send_many, &conn);
    fill(data, sizeof data, 3);
    for (i = 0; i < 200; i++)
        EXPECT_MESSAGE(&client, 0, WS_TEXT, data, sizeof data);
    for (i = 0; i < 2; i++)
        thread_join(threads[i]);
    client_end(&client);
    server_end(&recorder);
}

// The examples of RFC 7692 section 7.2.3, and what ends a connection.
static void on_the_wire(void)
{
    static const unsigned char hello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    static const unsigned char again[] = {0xf2, 0x00, 0x11, 0x00, 0x00};
    static const unsigned char bad[] = {0x06};
    enum { RSV1 = 0x40 };
    ws_deflate_options options = {.struct_size = sizeof options, .max_ratio = 20};
    ws_server_config config;
    static const unsigned char zeros[] = {0x62, 0x60, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0x00, 0x00};
    struct raw_frame frame;
    uint16_t port;
    int fd;
    int n;

    recorder_init(&recorder);
    recorder.echo = 1;
    config = server_config(&recorder);
    config.deflate = WS_DEFLATE_BEST;
    port = server_start(&recorder, &config);

    fd = raw_deflate(port, "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits");
    raw_frame(fd, RAW_TEXT | RSV1, hello, sizeof hello);
    RAW_EXPECT_TEXT(fd, "Hello");
    raw_frame(fd, RAW_TEXT | RSV1, again, sizeof again);
    RAW_EXPECT_TEXT(fd, "Hello");
    // In fragments, with a ping between.
    raw_frame(fd, (RAW_TEXT & ~RAW_FIN) | RSV1, hello, 3);
    raw_frame(fd, RAW_PING, "?", 1);
    raw_frame(fd, RAW_CONTINUATION, hello + 3, sizeof hello - 3);
    RAW_EXPECT(fd, RAW_PONG, "?", 1);
    RAW_EXPECT_TEXT(fd, "Hello");
    raw_frame(fd, RAW_TEXT, "plain", 5);
    RAW_EXPECT_TEXT(fd, "plain");
    raw_frame(fd, RAW_PING | RSV1, "", 0);
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    close(fd);

    fd = raw_deflate(port, "permessage-deflate");
    raw_frame(fd, RAW_TEXT | RSV1, bad, sizeof bad);
    RAW_EXPECT_CLOSE(fd, 1007, NULL);
    close(fd);
    fd = raw_deflate(port, "permessage-deflate");
    raw_frame(fd, RAW_TEXT & ~RAW_FIN, "a", 1);
    raw_frame(fd, RAW_CONTINUATION | RSV1, hello, sizeof hello);
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    close(fd);
    // Not agreed on.
    fd = raw_open(port);
    raw_frame(fd, RAW_TEXT | RSV1, hello, sizeof hello);
    RAW_EXPECT_CLOSE(fd, 1002, NULL);
    close(fd);
    for (n = 0; n < 4; n++)
        EXPECT(&recorder, OPENED, ANY_SUCH);
    server_end(&recorder);

    // 11 bytes that become 1000.
    recorder_init(&recorder);
    config.deflate_options = &options;
    port = server_start(&recorder, &config);
    fd = raw_deflate(port, "permessage-deflate");
    raw_frame(fd, RAW_BINARY | RSV1, zeros, sizeof zeros);
    CHECK(raw_read_data(fd, &frame));
    CHECK_INT(frame.first, RAW_CLOSE);
    CHECK_INT(frame.data[0] << 8 | frame.data[1], 1009);
    close(fd);
    server_end(&recorder);
}

static void pause_first(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user)
{
    size_t *told = user;

    CHECK_INT(piece->offset, *told);
    *told += piece->len;
    if (piece->offset == 0)
        OK(ws_server_pause(server, conn));
}

static void note_id(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    (void)server;
    (void)request;
    (void)user;
    opened_last = conn;
}

static void note_end(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    (void)server;
    (void)user;
    CHECK(conn == opened_last);
    CHECK_INT(info->status, WS_ERR_CLOSED);
    opened_last = 0;
}

// The peer ends TCP while reading is paused, when all of its bytes have been taken in but not all that comes of them was told.
static void what_was_inflated_outlives_the_peer(void)
{
    // 16484 zeros: a piece, and 100 more.
    static const unsigned char zeros[] = {0xec, 0xc1, 0x01, 0x01, 0x00, 0x00, 0x00, 0x82, 0x20, 0xff, 0xaf, 0x6e, 0x48, 0x40,
                                          0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                          0x00, 0x00, 0x0f, 0x06};
    size_t told = 0;
    ws_server_config config = {.struct_size = sizeof config, .deflate = WS_DEFLATE_SMALL, .on_open = note_id,
                               .on_piece = pause_first, .on_close = note_end, .user = &told};
    ws_server *server;
    int fd;

    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    fd = raw_connect(ws_server_port(server));
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    raw_frame(fd, RAW_BINARY | 0x40, zeros, sizeof zeros);
    while (told == 0)
        OK(ws_server_poll(server, -1));
    shutdown(fd, SHUT_WR);
    OK(ws_server_resume(server, opened_last));
    while (opened_last != 0)
        OK(ws_server_poll(server, -1));
    CHECK_INT(told, 16484);
    close(fd);
    OK(ws_server_free(server));
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    if (!present()) {
        printf("  this build has no compression\n");
        return 0;
    }
    RUN(configurations);
    RUN(messages_both_ways);
    RUN(not_agreed_on);
    RUN(broadcasts);
    RUN(broadcasts_to_one_that_does_not_read);
    RUN(from_other_threads);
    RUN(on_the_wire);
    RUN(what_was_inflated_outlives_the_peer);
    return check_end();
}
