// The HTTP side of a server: what a request shows, who is let in, which subprotocol is agreed on, how a refusal looks,
// pages on the same port, and what becomes of half a request.
#include "harness.h"

static struct recorder recorder;
static char seen[1024];
static int answer;

static const char *or_none(const char *text)
{
    return text == NULL ? "(none)" : text;
}

static void note(const ws_request *request)
{
    snprintf(seen, sizeof seen, "%s|%s|%s|%s|%s|%s|%s", ws_request_method(request), ws_request_path(request),
             ws_request_query(request), or_none(ws_request_header(request, "x-NAME")),
             or_none(ws_request_header(request, "X-Absent")), or_none(ws_request_header(request, "X-Empty")),
             or_none(ws_request_subprotocol(request)));
}

static int on_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    CHECK(server == recorder.server && user == &recorder);
    note(request);
    OK(ws_response_header(response, "X-From-Server", "yes"));
    if (strcmp(ws_request_path(request), "/choose") == 0)
        OK(ws_response_subprotocol(response, "third"));
    if (strcmp(ws_request_path(request), "/none") == 0)
        OK(ws_response_subprotocol(response, NULL));
    if (strcmp(ws_request_path(request), "/refused") == 0) {
        OK(ws_response_body(response, 200, "text/plain", "first", 5));
        OK(ws_response_body(response, 200, "application/json", "{\"why\":1}", 9));
        return answer;
    }
    return 0;
}

static void open_noting(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    note(request);
    server_opened(server, conn, request, user);
}

// More than the kernel keeps for a connection.
enum { HUGE_PAGE = 6000000 };

// GET and HEAD of "/", "/long", "/huge" and "/empty".
static void on_http(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    static char page[100000];
    static char huge[HUGE_PAGE];

    (void)server;
    (void)user;
    note(request);
    if (strcmp(ws_request_path(request), "/") == 0)
        OK(ws_response_body(response, 200, "text/html", "<p>hello", 8));
    else if (strcmp(ws_request_path(request), "/empty") == 0)
        OK(ws_response_body(response, 204, NULL, NULL, 0));
    else if (strcmp(ws_request_path(request), "/long") == 0)
        OK(ws_response_body(response, 200, "application/octet-stream", page, sizeof page));
    else if (strcmp(ws_request_path(request), "/huge") == 0)
        OK(ws_response_body(response, 200, NULL, huge, sizeof huge));
    OK(ws_response_header(response, "X-From-Server", "page"));
}

static ws_server_config begin(void)
{
    ws_server_config config;

    recorder_init(&recorder);
    recorder.echo = 1;
    config = server_config(&recorder);
    config.on_upgrade = on_upgrade;
    config.on_http = on_http;
    config.on_open = open_noting;
    return config;
}

// The status that an upgrade gets; closes the connection.
static int try_upgrade(uint16_t port, const char *target, const char *extra)
{
    int fd = raw_connect(port);
    int status = raw_try_upgrade(fd, target, extra, NULL, 0);

    close(fd);
    return status;
}

// The status that a request gets.
static int ask(uint16_t port, const char *request)
{
    char head[8192];
    int fd = raw_connect(port);

    raw_puts(fd, request);
    CHECK(raw_head(fd, head, sizeof head));
    close(fd);
    return raw_status(head);
}

static void a_request_is_visible(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    char head[8192];
    char value[64];
    ws_conn_id conn;
    int fd;

    fd = raw_connect(port);
    CHECK_INT(raw_try_upgrade(fd, "/a%20b/c?x=1&y=%26?z", "X-Name: \t some value \t\r\nX-Empty:\r\n", head, sizeof head), 101);
    conn = EXPECT(&recorder, OPENED, 0)->conn;
    CHECK_STR(seen, "GET|/a%20b/c|x=1&y=%26?z|some value|(none)||(none)");
    CHECK(raw_header(head, "X-From-Server", value, sizeof value));
    CHECK_STR(value, "yes");
    CHECK(raw_header(head, "Upgrade", value, sizeof value) && strcasecmp(value, "websocket") == 0);
    CHECK(raw_header(head, "Connection", value, sizeof value) && strcasecmp(value, "Upgrade") == 0);
    CHECK(!raw_header(head, "Sec-WebSocket-Protocol", value, sizeof value));
    CHECK(!raw_header(head, "Sec-WebSocket-Extensions", value, sizeof value));
    CHECK(!raw_header(head, "Content-Length", value, sizeof value));
    raw_echo(fd, "open");
    EXPECT_TEXT(&recorder, conn, "open");
    close(fd);

    CHECK_INT(try_upgrade(port, "/?", ""), 101);
    EXPECT(&recorder, OPENED, ANY_SUCH);
    CHECK_STR(seen, "GET|/||(none)|(none)|(none)|(none)");
    server_end(&recorder);
}

static void frames_may_follow_the_request_at_once(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    // "hi" with mask key 0, in the same packet as the request.
    static const char packet[] = "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n\x81\x82\0\0\0\0hi";
    char head[8192];
    int fd = raw_connect(port);

    raw_send(fd, packet, sizeof packet - 1);
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 101);
    RAW_EXPECT_TEXT(fd, "hi");
    close(fd);

    // And a request may come in single bytes.
    fd = raw_connect(port);
    for (size_t i = 0; i < sizeof packet - 1; i++)
        raw_send(fd, packet + i, 1);
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 101);
    RAW_EXPECT_TEXT(fd, "hi");
    close(fd);
    server_end(&recorder);
}

static void origins_and_hosts(void)
{
    static const struct {
        const char *extra;
        int status;
    } origins[] = {
        {"", 101},
        {"Origin: https://app.example\r\n", 101},
        {"Origin: http://192.0.2.1:8080\r\n", 101},
        {"Origin: http://app.example\r\n", 403},
        {"Origin: https://app.example:444\r\n", 403},
        {"Origin: https://app.example.evil\r\n", 403},
        {"Origin: https://evil.app.example\r\n", 403},
        {"Origin: https://app.exampl\r\n", 403},
        {"Origin: http://192.0.2.1\r\n", 403},
        {"Origin: null\r\n", 403},
        {"Origin:\r\n", 403},
    };
    static const struct {
        const char *host;
        int status;
    } hosts[] = {
        {"board.local", 101}, {"board.local:9001", 101}, {"BOARD.local", 101}, {"192.0.2.7:80", 101},
        {"evil.example", 403}, {"board.local.evil.example", 403}, {"xboard.local", 403}, {"192.0.2.70", 403},
    };
    ws_server_config config = begin();
    uint16_t port;
    char request[1024];
    size_t i;

    config.allowed_origins = "https://app.example,http://192.0.2.1:8080";
    port = server_start(&recorder, &config);
    for (i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        int status = try_upgrade(port, "/", origins[i].extra);

        if (status != origins[i].status)
            FAIL("\"%s\" got %d, not %d", origins[i].extra, status, origins[i].status);
    }
    CHECK_INT(try_upgrade(port, "/", "Origin: https://app.example\r\nOrigin: https://evil.example\r\n") >= 400, 1);
    server_end(&recorder);

    // "self": the pages that come from here, by whatever name the browser knows this server.
    config = begin();
    config.allowed_origins = "self";
    port = server_start(&recorder, &config);
    CHECK_INT(try_upgrade(port, "/", ""), 101);
    CHECK_INT(try_upgrade(port, "/", "Origin: http://127.0.0.1\r\n"), 101);
    CHECK_INT(try_upgrade(port, "/", "Origin: http://127.0.0.1:81\r\n"), 403);
    CHECK_INT(try_upgrade(port, "/", "Origin: http://evil.example\r\n"), 403);
    CHECK_INT(try_upgrade(port, "/", "Origin: null\r\n"), 403);
    server_end(&recorder);

    config = begin();
    config.allowed_hosts = "board.local,192.0.2.7";
    port = server_start(&recorder, &config);
    for (i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int status;

        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", hosts[i].host,
                 strchr(RAW_UPGRADE, '\n') + 1);
        status = ask(port, request);
        if (status != hosts[i].status)
            FAIL("Host: %s got %d, not %d", hosts[i].host, status, hosts[i].status);
    }
    // DNS rebinding reaches pages too.
    CHECK_INT(ask(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403);
    CHECK_INT(ask(port, "GET / HTTP/1.1\r\nHost: board.local\r\n\r\n"), 200);
    server_end(&recorder);
}

static void check_subprotocol(uint16_t port, const char *target, const char *offers, const char *expected)
{
    char extra[256] = "";
    char head[8192];
    char value[64] = "(none)";
    int fd = raw_connect(port);

    if (offers != NULL)
        snprintf(extra, sizeof extra, "Sec-WebSocket-Protocol: %s\r\n", offers);
    CHECK_INT(raw_try_upgrade(fd, target, extra, head, sizeof head), 101);
    raw_header(head, "Sec-WebSocket-Protocol", value, sizeof value);
    CHECK_STR(value, expected);
    EXPECT(&recorder, OPENED, ANY_SUCH);
    CHECK_STR(strrchr(seen, '|') + 1, expected);
    close(fd);
}

static void subprotocols(void)
{
    ws_server_config config = begin();
    uint16_t port;

    config.subprotocols = "first,second";
    port = server_start(&recorder, &config);
    check_subprotocol(port, "/", NULL, "(none)");
    check_subprotocol(port, "/", "second", "second");
    check_subprotocol(port, "/", "second, first", "first");
    check_subprotocol(port, "/", "second ,\t first", "first");
    check_subprotocol(port, "/", "other", "(none)");
    check_subprotocol(port, "/", "FIRST", "(none)");
    check_subprotocol(port, "/", "firstish, xsecond", "(none)");
    check_subprotocol(port, "/", "other\r\nSec-WebSocket-Protocol: second", "second");
    check_subprotocol(port, "/choose", "first, third", "third");
    check_subprotocol(port, "/none", "first, second", "(none)");
    server_end(&recorder);
}

static void refusals(void)
{
    static const int statuses[] = {301, 400, 401, 403, 429, 500, 503, 599};
    ws_server_config config = begin();
    uint16_t port;
    char head[8192];
    char body[64];
    char value[64];
    size_t i;
    int fd;

    config.max_connections = 2;
    port = server_start(&recorder, &config);
    for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        answer = statuses[i];
        fd = raw_connect(port);
        CHECK_INT(raw_try_upgrade(fd, "/refused", "", head, sizeof head), answer);
        raw_body(fd, head, body, sizeof body);
        CHECK_STR(body, "{\"why\":1}");
        CHECK(raw_header(head, "Content-Type", value, sizeof value));
        CHECK_STR(value, "application/json");
        CHECK(raw_header(head, "X-From-Server", value, sizeof value));
        CHECK(!raw_header(head, "Sec-WebSocket-Accept", value, sizeof value));
        close(fd);
    }
    CHECK_INT(recorder.count, 0);
    WAIT_UNTIL(server_stats(recorder.server).handshakes_failed == sizeof statuses / sizeof statuses[0]);
    WAIT_UNTIL(server_stats(recorder.server).connections_total == 0);

    // RFC 9110 section 15.5.22: with 426 "the server MUST send an Upgrade header field", which is ours to write.
    answer = 426;
    fd = raw_connect(port);
    CHECK_INT(raw_try_upgrade(fd, "/refused", "", head, sizeof head), answer);
    CHECK(raw_header(head, "Upgrade", value, sizeof value));
    CHECK_STR(value, "websocket");
    CHECK(raw_header(head, "Sec-WebSocket-Version", value, sizeof value));
    CHECK_STR(value, "13");
    close(fd);

    // Full: 503, and room again when one leaves.
    fd = raw_open(port);
    close(raw_open(port));
    WAIT_UNTIL(server_stats(recorder.server).connections_open == 1);
    close(fd);
    WAIT_UNTIL(server_stats(recorder.server).connections_open == 0);
    fd = raw_open(port);
    i = (size_t)raw_open(port);
    CHECK_INT(try_upgrade(port, "/", ""), 503);
    raw_echo(fd, "not disturbed");
    close((int)i);
    WAIT_UNTIL(try_upgrade(port, "/", "") == 101);
    close(fd);
    server_end(&recorder);
}

static void only_one_path(void)
{
    ws_server_config config = begin();
    uint16_t port;

    config.path = "/ws";
    port = server_start(&recorder, &config);
    CHECK_INT(try_upgrade(port, "/ws", ""), 101);
    CHECK_INT(try_upgrade(port, "/ws?query", ""), 101);
    CHECK_INT(try_upgrade(port, "/", ""), 404);
    CHECK_INT(try_upgrade(port, "/ws/", ""), 404);
    CHECK_INT(try_upgrade(port, "/wsx", ""), 404);
    CHECK_INT(try_upgrade(port, "/WS", ""), 404);
    CHECK_INT(ask(port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    server_end(&recorder);
}

// RFC 6455 section 4.2.1, each part of it missing or wrong in turn.
static void malformed_upgrades(void)
{
#define HEAD "GET / HTTP/1.1\r\nHost: h\r\n"
#define UP "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: " RAW_KEY "\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
    static const struct {
        const char *request;
        int status; // 0: any of 400 to 499, -1: of 400 to 599
    } table[] = {
        {HEAD UP KEY V13 "\r\n", 101},
        {HEAD "Connection: keep-alive, upGRADE\r\nupgrade: WebSocket\r\n" KEY V13 "\r\n", 101},
        {"GET / HTTP/1.1\r\n" UP KEY V13 "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n" UP KEY V13 "\r\n", 400},
        {HEAD UP KEY "\r\n", 0},
        {HEAD UP KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {HEAD UP V13 "\r\n", 400},
        {HEAD UP V13 "Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n", 400},
        {HEAD UP V13 "Sec-WebSocket-Key: not base64 at all!!!!!!!\r\n\r\n", 400},
        {HEAD UP KEY KEY V13 "\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\n" UP KEY V13 "\r\n", 0},
        {"GET / HTTP/1.0\r\nHost: h\r\n" UP KEY V13 "\r\n", -1},
        {"GET / HTTP/2.0\r\nHost: h\r\n" UP KEY V13 "\r\n", -1},
        {"GET  / HTTP/1.1\r\nHost: h\r\n" UP KEY V13 "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : h\r\n" UP KEY V13 "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n" UP KEY V13 "\r\n", 400},
        {"\x16\x03\x01\x02\r\n\r\n", 400},
    };
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        int status = ask(port, table[i].request);

        if (table[i].status > 0 ? status != table[i].status
                                : status < 400 || status > (table[i].status == 0 ? 499 : 599))
            FAIL("status %d for request %zu:\n%s", status, i, table[i].request);
    }
    server_end(&recorder);
}

static void check_page(int fd, int status, const char *body)
{
    char head[8192];
    char text[256];

    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), status);
    raw_body(fd, head, text, sizeof text);
    CHECK_STR(text, body);
}

static void pages(void)
{
    static char long_body[100001];
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    char head[8192];
    char value[64];
    int fd = raw_connect(port);

    // No path but one that begins with '/', except for OPTIONS.
    CHECK_INT(ask(port, "GET * HTTP/1.1\r\n" RAW_UPGRADE "\r\n"), 400);
    CHECK_INT(ask(port, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    CHECK_STR(seen, "OPTIONS|*||(none)|(none)|(none)|(none)");

    // Several requests one after the other.
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 200);
    CHECK(raw_header(head, "Content-Type", value, sizeof value));
    CHECK_STR(value, "text/html");
    CHECK(raw_header(head, "X-From-Server", value, sizeof value));
    CHECK_STR(value, "page");
    CHECK_INT(raw_body(fd, head, value, sizeof value), 8);
    CHECK_STR(value, "<p>hello");
    CHECK_STR(seen, "GET|/||(none)|(none)|(none)|(none)");
    raw_puts(fd, "HEAD /?q HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 200);
    CHECK(raw_header(head, "Content-Length", value, sizeof value));
    CHECK_STR(value, "8");
    CHECK_STR(seen, "HEAD|/|q|(none)|(none)|(none)|(none)");
    raw_puts(fd, "GET /absent HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 404);
    raw_body(fd, head, long_body, sizeof long_body);
    raw_puts(fd, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 204);
    raw_puts(fd, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_body(fd, head, long_body, sizeof long_body), 100000);

    // Pipelined, the last with an upgrade.
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    check_page(fd, 200, "<p>hello");
    check_page(fd, 200, "<p>hello");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 101);
    raw_echo(fd, "and then frames");
    close(fd);

    // Closing when asked to; HTTP/1.0 keeps nothing.
    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    check_page(fd, 200, "<p>hello");
    raw_expect_end(fd);
    close(fd);
    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    check_page(fd, 200, "<p>hello");
    raw_expect_end(fd);
    close(fd);
    WAIT_UNTIL(server_stats(recorder.server).http_requests == 10);
    server_end(&recorder);
}

// It takes far more than 4 KiB in each handshake_timeout_ms, though of what the kernel has taken long ago.
static void a_page_over_a_slow_link(void)
{
    static char some[20000];
    const struct timespec pause = {0, 25000000};
    ws_server_config config = begin();
    uint16_t port;
    long long got = 0;
    ssize_t n;
    int reads;
    int fd;

    config.handshake_timeout_ms = 1000;
    port = server_start(&recorder, &config);
    fd = raw_connect(port);
    raw_puts(fd, "GET /huge HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    for (reads = 0; (n = SYS(recv(fd, some, sizeof some, 0))) > 0; reads++) {
        got += n;
        if (reads < 80)
            nanosleep(&pause, NULL);
    }
    CHECK(got > HUGE_PAGE && got < HUGE_PAGE + 1000);
    close(fd);
    server_end(&recorder);
}

static void requests_that_get_no_page(void)
{
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    char *huge = check_alloc(80000);
    char head[8192];
    int fd;

    // A body is refused, and what follows cannot be taken for the next request.
    fd = raw_connect(port);
    raw_puts(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 28\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 413);
    raw_drain(fd);
    close(fd);
    CHECK_INT(ask(port, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 413);
    CHECK(strstr(seen, "smuggled") == NULL);
    CHECK(ask(port, "BREW / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n") >= 400);

    // 70 KiB of one header; 2000 headers.
    memset(huge, 'a', 79999);
    memcpy(huge, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
    memcpy(huge + 71000, "\r\n\r\n", 5);
    fd = raw_connect(port);
    // The server may have closed before it has read all of it.
    send(fd, huge, 71004, MSG_NOSIGNAL);
    if (raw_head(fd, head, sizeof head))
        CHECK(raw_status(head) == 431 || raw_status(head) == 400);
    close(fd);
    free(huge);
    // None of them got so far as to be counted, and each is a failure.
    WAIT_UNTIL(server_stats(recorder.server).handshakes_failed == 4);
    CHECK_INT(server_stats(recorder.server).http_requests, 0);
    server_end(&recorder);

    // Without on_http.
    recorder_init(&recorder);
    config = server_config(&recorder);
    port = server_start(&recorder, &config);
    CHECK_INT(ask(port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    server_end(&recorder);
}

static void a_peer_that_aborts(void)
{
    static const char *const starts[] = {"", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n" RAW_UPGRADE};
    ws_server_config config = begin();
    uint16_t port = server_start(&recorder, &config);
    int rounds = small_loads() ? 20 : 500;
    int before;
    int i;

    close(raw_open(port));
    WAIT_UNTIL(server_stats(recorder.server).connections_total == 1
               && server_stats(recorder.server).connections_open == 0);
    before = open_fds();
    for (i = 0; i < rounds; i++) {
        int fd = raw_connect(port);

        raw_puts(fd, starts[i % 4]);
        if (i % 8 < 4)
            raw_reset(fd);
        else
            close(fd);
    }
    WAIT_UNTIL(open_fds() == before);
    WAIT_UNTIL(server_stats(recorder.server).handshakes_failed == (uint64_t)rounds);
    // Gone before the answer to a whole request can be read.
    for (i = 0; i < rounds; i++) {
        int fd = raw_connect(port);

        raw_puts(fd, "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
        raw_reset(fd);
    }
    WAIT_UNTIL(open_fds() == before);
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(a_request_is_visible);
    RUN(frames_may_follow_the_request_at_once);
    RUN(origins_and_hosts);
    RUN(subprotocols);
    RUN(refusals);
    RUN(only_one_path);
    RUN(malformed_upgrades);
    RUN(pages);
    RUN(a_page_over_a_slow_link);
    RUN(requests_that_get_no_page);
    RUN(a_peer_that_aborts);
    return check_end();
}
