// What cannot be sent is refused before anything is queued: kinds, text that is no UTF-8, control payloads, close codes
// and reasons, topics, headers of an answer. The connection stays as it was.
#include "harness.h"

static struct recorder recorder;
static ws_conn_id conn;
static int peer;
static uint16_t port;

static void begin(void)
{
    port = echo_start(&recorder);
    peer = peer_open(&recorder, port, &conn);
}

static void end(void)
{
    raw_echo(peer, "still open, and nothing came before");
    close(peer);
    server_end(&recorder);
}

static void kinds(void)
{
    static const int bad[] = {0, 3, -1, 7, 8, 9, 10, 0x81, 256 + 1, WS_UNCOMPRESSED, WS_UNCOMPRESSED | 3, INT32_MAX, INT32_MIN};
    size_t i;

    begin();
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_STATUS(ws_server_send(recorder.server, conn, bad[i], "x", 1), WS_ERR_INVALID_ARG);
        CHECK_STATUS(ws_server_broadcast(recorder.server, bad[i], "x", 1), WS_ERR_INVALID_ARG);
        CHECK_STATUS(ws_server_publish(recorder.server, "t", bad[i], "x", 1), WS_ERR_INVALID_ARG);
    }
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_ping(recorder.server, conn, NULL, 1), WS_ERR_INVALID_ARG);
    end();
}

struct bytes {
    const char *data;
    size_t len;
};
#define BYTES(text) {text, sizeof text - 1}

static void utf8(void)
{
    // Cut off, stray continuation, overlong, surrogate, above U+10FFFF, never-bytes (RFC 3629).
    static const struct bytes bad[] = {
        BYTES("\x80"), BYTES("\xbf"), BYTES("a\xc3"), BYTES("\xe2\x82"), BYTES("\xf0\x9f\x98"), BYTES("\xc3("),
        BYTES("\xc0\x80"), BYTES("\xc1\xbf"), BYTES("\xe0\x80\x80"), BYTES("\xe0\x9f\xbf"), BYTES("\xf0\x80\x80\x80"),
        BYTES("\xf0\x8f\xbf\xbf"), BYTES("\xed\xa0\x80"), BYTES("\xed\xbf\xbf"), BYTES("\xf4\x90\x80\x80"),
        BYTES("\xf5\x80\x80\x80"), BYTES("\xf8\x88\x80\x80\x80"), BYTES("\xfe"), BYTES("\xff"),
        BYTES("long enough for any fast path, and then at its very end \xff"),
    };
    static const struct bytes good[] = {
        BYTES(""), BYTES("\0"), BYTES("a\0b"), BYTES("\xc2\x80"), BYTES("\xdf\xbf"), BYTES("\xe0\xa0\x80"), BYTES("\xed\x9f\xbf"),
        BYTES("\xee\x80\x80"), BYTES("\xef\xbf\xbf"), BYTES("\xf0\x90\x80\x80"), BYTES("\xf4\x8f\xbf\xbf"), BYTES("\xef\xbb\xbf"),
    };
    size_t i;

    begin();
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, bad[i].data, bad[i].len), WS_ERR_UTF8);
        CHECK_STATUS(ws_server_broadcast(recorder.server, WS_TEXT, bad[i].data, bad[i].len), WS_ERR_UTF8);
        CHECK_STATUS(ws_server_publish(recorder.server, "t", WS_TEXT, bad[i].data, bad[i].len), WS_ERR_UTF8);
        CHECK_STATUS(ws_server_close(recorder.server, conn, 1000, bad[i].data), WS_ERR_UTF8);
        OK(ws_server_send(recorder.server, conn, WS_BINARY, bad[i].data, bad[i].len));
        RAW_EXPECT(peer, RAW_BINARY, bad[i].data, bad[i].len);
    }
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        OK(ws_server_send(recorder.server, conn, WS_TEXT, good[i].data, good[i].len));
        RAW_EXPECT(peer, RAW_TEXT, good[i].data, good[i].len);
    }
    end();
}

static void control_payloads(void)
{
    ws_server_config config;
    char payload[200];

    memset(payload, 'p', sizeof payload);
    begin();
    CHECK_STATUS(ws_server_ping(recorder.server, conn, payload, 126), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_server_ping(recorder.server, conn, payload, SIZE_MAX), WS_ERR_TOO_BIG);
    OK(ws_server_ping(recorder.server, conn, payload, 125));
    raw_echo(peer, "answers the Ping on its way");
    CHECK_INT(EXPECT(&recorder, PONG, ANY_SUCH)->len, 125);
    OK(ws_server_ping(recorder.server, conn, NULL, 0));
    end();

    // A queue that has no room for it at any time.
    recorder_init(&recorder);
    config = server_config(&recorder);
    config.max_send_queue = 100;
    port = server_start(&recorder, &config);
    peer = peer_open(&recorder, port, &conn);
    CHECK_STATUS(ws_server_ping(recorder.server, conn, payload, 99), WS_ERR_TOO_BIG);
    OK(ws_server_ping(recorder.server, conn, payload, 98));
    close(peer);
    server_end(&recorder);
}

// RFC 6455 section 7.4; 1012 to 1014 were registered later (IANA).
static int may_be_sent(int code)
{
    return code == 0 || (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void close_codes(void)
{
    static const int good[] = {0, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    int code;
    size_t i;

    begin();
    for (code = 0; code <= 65535; code += code > 5000 ? 97 : 1)
        if (!may_be_sent(code))
            CHECK_STATUS(ws_server_close(recorder.server, conn, (uint16_t)code, "x"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_close(recorder.server, conn, 65535, "x"), WS_ERR_INVALID_ARG);
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        ws_conn_id id;
        int fd = peer_open(&recorder, port, &id);
        int sent = good[i] == 0 ? 1000 : good[i];

        OK(ws_server_close(recorder.server, id, (uint16_t)good[i], NULL));
        RAW_EXPECT_CLOSE(fd, sent, "");
        raw_close_frame(fd, sent, "");
        raw_expect_end(fd);
        close(fd);
        EXPECT_CLOSED(&recorder, id, WS_OK, sent, 0);
    }
    end();
}

static void close_reasons(void)
{
    char reason[200];

    begin();
    memset(reason, 'r', sizeof reason);
    reason[124] = '\0';
    CHECK_STATUS(ws_server_close(recorder.server, conn, 1000, reason), WS_ERR_TOO_BIG);
    raw_echo(peer, "not closing");
    reason[123] = '\0';
    OK(ws_server_close(recorder.server, conn, 1000, reason));
    CHECK_STATUS(ws_server_close(recorder.server, conn, 1000, NULL), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_send(recorder.server, conn, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_ping(recorder.server, conn, "x", 1), WS_ERR_CLOSED);
    RAW_EXPECT_CLOSE(peer, 1000, reason);
    close(peer);
    server_end(&recorder);
}

static void topics(void)
{
    char topic[300];

    begin();
    memset(topic, 't', sizeof topic);
    topic[256] = '\0';
    CHECK_STATUS(ws_server_subscribe(recorder.server, conn, ""), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_subscribe(recorder.server, conn, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_subscribe(recorder.server, conn, topic), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_subscribe(recorder.server, conn, "\xff"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_unsubscribe(recorder.server, conn, ""), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_unsubscribe(recorder.server, conn, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_publish(recorder.server, "", WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_publish(recorder.server, topic, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    OK(ws_server_unsubscribe(recorder.server, conn, "never subscribed"));
    topic[255] = '\0';
    OK(ws_server_subscribe(recorder.server, conn, topic));
    OK(ws_server_subscribe(recorder.server, conn, topic));
    OK(ws_server_publish(recorder.server, topic, WS_TEXT, "once", 4));
    RAW_EXPECT_TEXT(peer, "once");
    OK(ws_server_unsubscribe(recorder.server, conn, topic));
    OK(ws_server_publish(recorder.server, topic, WS_TEXT, "no more", 7));
    end();
}

// Called in on_upgrade and in on_http.
static void spoil(ws_response *response)
{
    static const char *const bad_names[] = {
        "", "a b", "a:", ":", "a\r\n", "a\n", "\xc3\xa4", "a\x7f", "a(b)", "Content-Length", "content-length", "Content-Type",
        "Connection", "Upgrade", "Transfer-Encoding", "Sec-WebSocket-Accept", "sec-websocket-protocol",
        "Sec-WebSocket-Extensions",
    };
    static const char *const bad_values[] = {"a\r\nB: c", "a\n", "a\r", "\x01", "\x7f", "\xc3\xa4"};
    static const int bad_statuses[] = {0, -1, 99, 100, 101, 199, 600, 1000, INT32_MAX, INT32_MIN};
    char value[9000];
    size_t i;

    for (i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++)
        if (ws_response_header(response, bad_names[i], "x") != WS_ERR_INVALID_ARG)
            FAIL("header name \"%s\" was not refused", bad_names[i]);
    for (i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++)
        CHECK_STATUS(ws_response_header(response, "X-Bad", bad_values[i]), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_header(response, NULL, "x"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_header(response, "X-Bad", NULL), WS_ERR_INVALID_ARG);
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    CHECK_STATUS(ws_response_header(response, "X-Bad", value), WS_ERR_TOO_BIG);
    for (i = 0; i < sizeof bad_statuses / sizeof bad_statuses[0]; i++)
        CHECK_STATUS(ws_response_body(response, bad_statuses[i], "text/plain", "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_body(response, 200, "text/plain\r\nX-Bad: 1", "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_body(response, 200, "text/plain", NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_subprotocol(response, "not offered"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_subprotocol(response, "v1.acme\r\nX-Bad: 1"), WS_ERR_INVALID_ARG);
    OK(ws_response_header(response, "X-Good", "1"));
}

static int answer;

static int on_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)server;
    (void)request;
    (void)user;
    spoil(response);
    return answer;
}

static void on_http(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)server;
    (void)request;
    (void)user;
    spoil(response);
    CHECK_STATUS(ws_response_subprotocol(response, "v1.acme"), WS_ERR_INVALID_ARG);
    OK(ws_response_body(response, 200, "text/plain", NULL, 0));
}

static void check_answer(int fd, const char *head)
{
    char value[64];

    CHECK(!raw_header(head, "X-Bad", value, sizeof value));
    CHECK(raw_header(head, "X-Good", value, sizeof value));
    CHECK_STR(value, "1");
    close(fd);
}

static void responses(void)
{
    // What on_upgrade must not return: whichever is sent, it is no 101 and one whole answer.
    static const int nonsense[] = {-1, 1, 99, 100, 101, 200, 299, 600, 65536 + 403, INT32_MAX, INT32_MIN};
    ws_server_config config;
    char head[8192];
    char body[64];
    int fd;
    size_t i;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.on_upgrade = on_upgrade;
    config.on_http = on_http;
    port = server_start(&recorder, &config);

    answer = 0;
    fd = raw_connect(port);
    CHECK_INT(raw_try_upgrade(fd, "/", "Sec-WebSocket-Protocol: v1.acme\r\n", head, sizeof head), 101);
    check_answer(fd, head);
    answer = 403;
    fd = raw_connect(port);
    CHECK_INT(raw_try_upgrade(fd, "/", "", head, sizeof head), 403);
    check_answer(fd, head);
    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 200);
    CHECK_INT(raw_body(fd, head, body, sizeof body), 0);
    check_answer(fd, head);
    for (i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        int status;

        answer = nonsense[i];
        fd = raw_connect(port);
        status = raw_try_upgrade(fd, "/", "", head, sizeof head);
        if (status < 300 || status > 599)
            FAIL("on_upgrade returned %d and the peer got %d", answer, status);
        close(fd);
    }
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(kinds);
    RUN(utf8);
    RUN(control_payloads);
    RUN(close_codes);
    RUN(close_reasons);
    RUN(topics);
    RUN(responses);
    return check_end();
}
