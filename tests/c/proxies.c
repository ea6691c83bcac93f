// What stands between a client and its server: redirects and proxies; and who it says it is to each of them.
#include "names.h"
#include "raw_server.h"

static void check_header(const char *request, const char *name, const char *expected)
{
    char value[512];

    if (!raw_header(request, name, value, sizeof value))
        strcpy(value, "(none)");
    CHECK_STR(value, expected);
}

static void credentials(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_at("user:p%40ss@127.0.0.1", port, "/"));
    char request[8192];

    config.cookies = "a=1; b=2";
    start(&config);
    close(raw_answer(listener, GOOD_ANSWER "\r\n", request, sizeof request));
    check_header(request, "Authorization", "Basic dXNlcjpwQHNz");
    check_header(request, "Cookie", "a=1; b=2");
    CHECK(strstr(request, "user") == NULL && strstr(request, "GET / HTTP/1.1") != NULL);
    client_end(&client);

    config = begin(url_of(port, "/"));
    config.bearer_token = "a.b-c_d~e+f/g==";
    start(&config);
    close(raw_answer(listener, GOOD_ANSWER "\r\n", request, sizeof request));
    check_header(request, "Authorization", "Bearer a.b-c_d~e+f/g==");
    client_end(&client);
    close(listener);

    config = begin("ws://u:p@h");
    config.bearer_token = "t";
    refused(&config, "together");
    config = begin("ws://h");
    config.headers = "authorization: x";
    config.bearer_token = "t";
    refused(&config, "together");
    config = begin("ws://h");
    config.headers = "COOKIE: x";
    config.cookies = "a=b";
    refused(&config, "cookies");
    config.cookies = NULL;
    config.keep_cookies = 1;
    refused(&config, "keep_cookies");
    config = begin("ws://h");
    config.cookies = "a=b\r\nX: y";
    refused(&config, "cookies");
    config = begin("ws://h");
    config.bearer_token = "a b";
    refused(&config, "bearer_token");
    config = begin("ws://h");
    config.bearer_token = "";
    refused(&config, "bearer_token");
    config = begin("ws://a%0d:b@h");
    refused(&config, "url");
}

static void cookies_that_the_server_sets(void)
{
    char request[8192];
    int keep;

    for (keep = 0; keep < 2; keep++) {
        uint16_t port;
        int listener = raw_listen(&port);
        ws_client_config config = begin(url_of(port, "/"));

        config.keep_cookies = keep;
        config.cookies = "own=1";
        config.reconnect_min_ms = 1;
        config.reconnect_max_ms = 1;
        start(&config);
        close(raw_answer(listener, "HTTP/1.1 503 No\r\nSet-Cookie: node=7; Path=/\r\nSet-Cookie: x=y; Secure\r\n\r\n",
                         request, sizeof request));
        check_header(request, "Cookie", "own=1");
        close(raw_answer(listener, GOOD_ANSWER "Set-Cookie: node=8\r\n\r\n", request, sizeof request));
        check_header(request, "Cookie", keep ? "own=1; node=7" : "own=1");
        close(raw_answer(listener, GOOD_ANSWER "\r\n", request, sizeof request));
        check_header(request, "Cookie", keep ? "own=1; node=8" : "own=1");
        client_end(&client);
        close(listener);
    }
}

static void redirects(void)
{
    uint16_t ports[2];
    int listeners[2] = {raw_listen(&ports[0]), raw_listen(&ports[1])};
    ws_client_config config = begin(url_at("u:p@one.test", ports[0], "/a/b"));
    char answer[256];
    char request[8192];
    int fd;
    int i;

    config.max_redirects = 3;
    config.headers = "X-One: 1\r\nCookie: secret\r\n";
    start(&config);
    // The same origin: all goes along.
    close(raw_answer(listeners[0], "HTTP/1.1 302 Found\r\nLocation: c?d\r\n\r\n", request, sizeof request));
    snprintf(answer, sizeof answer, "HTTP/1.1 307 Go\r\nLocation: http://two.test:%u/e#f\r\n\r\n", (unsigned)ports[1]);
    close(raw_answer(listeners[0], answer, request, sizeof request));
    CHECK(strncmp(request, "GET /a/c?d HTTP/1.1\r\n", 21) == 0);
    check_header(request, "Authorization", "Basic dTpw");
    check_header(request, "Cookie", "secret");
    // Another origin: no secrets.
    snprintf(answer, sizeof answer, "HTTP/1.1 308 Go\r\nLocation: ws://one.test:%u/g\r\n\r\n", (unsigned)ports[0]);
    close(raw_answer(listeners[1], answer, request, sizeof request));
    CHECK(strncmp(request, "GET /e HTTP/1.1\r\n", 17) == 0);
    snprintf(answer, sizeof answer, "two.test:%u", (unsigned)ports[1]);
    check_header(request, "Host", answer);
    check_header(request, "Authorization", "(none)");
    check_header(request, "Cookie", "(none)");
    check_header(request, "X-One", "1");
    // And back again: they are for this server.
    fd = raw_answer(listeners[0], GOOD_ANSWER "\r\n", request, sizeof request);
    check_header(request, "Authorization", "Basic dTpw");
    check_header(request, "Cookie", "secret");
    EXPECT(&client, OPENED, 0);
    CHECK_INT(ws_client_http_status(client.client), 101);
    close(fd);
    EXPECT(&client, CLOSED, 0);
    CHECK_INT(client.count, 2);
    client_end(&client);

    // Who we are is not for the server to say.
    config = begin(url_at("one.test", ports[0], "/"));
    config.max_redirects = 2;
    config.bearer_token = "ours";
    start(&config);
    snprintf(answer, sizeof answer, "HTTP/1.1 302 Found\r\nLocation: ws://u:p@one.test:%u/\r\n\r\n", (unsigned)ports[0]);
    close(raw_answer(listeners[0], answer, request, sizeof request));
    snprintf(answer, sizeof answer, "HTTP/1.1 302 Found\r\nLocation: ws://u:p@two.test:%u/\r\n\r\n", (unsigned)ports[1]);
    close(raw_answer(listeners[0], answer, request, sizeof request));
    check_header(request, "Authorization", "Bearer ours");
    CHECK(strstr(strstr(request, "\r\nAuthorization: ") + 2, "\r\nAuthorization: ") == NULL);
    close(raw_answer(listeners[1], "HTTP/1.1 404 No\r\n\r\n", request, sizeof request));
    check_header(request, "Authorization", "(none)");
    EXPECT(&client, CLOSED, 0);
    client_end(&client);

    // Round and round: up to the limit.
    config = begin(url_at("one.test", ports[0], "/"));
    config.max_redirects = 2;
    start(&config);
    for (i = 0; i < 3; i++)
        close(raw_answer(listeners[0], "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", request, sizeof request));
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
    CHECK_HAS(ws_client_error(client.client), "http: 301: more redirects");
    CHECK_INT(ws_client_http_status(client.client), 301);
    client_end(&client);

    // Not asked to; and to nowhere.
    for (i = 0; i < 2; i++) {
        config = begin(url_at("one.test", ports[0], "/"));
        config.max_redirects = (uint32_t)i;
        start(&config);
        close(raw_answer(listeners[0], "HTTP/1.1 302 Found\r\nLocation: mailto:a@b\r\n\r\n", request, sizeof request));
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
        CHECK_HAS(ws_client_error(client.client), "http: 302: the server redirects");
        client_end(&client);
    }
    config = begin(url_at("one.test", ports[0], "/"));
    config.max_redirects = 1;
    start(&config);
    close(raw_answer(listeners[0], "HTTP/1.1 307 Elsewhere\r\n\r\n", request, sizeof request));
    CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
    CHECK_STR(ws_client_error(client.client), "http: 307: a redirect without Location");
    client_end(&client);

    // To wss: not a byte goes there in the clear, from a build without TLS none at all.
    config = begin(url_at("one.test", ports[0], "/"));
    config.max_redirects = 1;
    config.tls_insecure_skip_verify = 1;
    start(&config);
    snprintf(answer, sizeof answer, "HTTP/1.1 302 Found\r\nLocation: wss://two.test:%u/\r\n\r\n", (unsigned)ports[1]);
    close(raw_answer(listeners[0], answer, request, sizeof request));
    fd = raw_accept(listeners[1]);
    if (has_tls()) {
        CHECK(raw_read(fd, request, 1));
        CHECK_INT(request[0], 0x16); // a TLS handshake
        SYS(shutdown(fd, SHUT_RDWR));
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_TLS);
    } else {
        raw_expect_end(fd);
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_UNSUPPORTED);
    }
    CHECK_HAS(ws_client_error(client.client), "tls: ");
    close(fd);
    client_end(&client);
    close(listeners[0]);
    close(listeners[1]);
}

// --- proxies ---

// A proxy that answers and then is the server too.
static void proxy_connect(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    char proxy[128];
    char request[8192];
    char key[64];
    char answer[512];
    ws_client_config config = begin("ws://far.test/x");
    int fd;

    snprintf(proxy, sizeof proxy, "http://user:pw@one.test:%u", (unsigned)port);
    config.proxy = proxy;
    start(&config);
    memset(proxy, 'x', sizeof proxy - 1);
    fd = raw_accept(listener);
    CHECK(raw_head(fd, request, sizeof request));
    CHECK(strncmp(request, "CONNECT far.test:80 HTTP/1.1\r\nHost: far.test:80\r\n", 49) == 0);
    check_header(request, "Proxy-Authorization", "Basic dXNlcjpwdw==");
    check_header(request, "Upgrade", "(none)");
    raw_puts(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection est");
    nap();
    raw_puts(fd, "ablished\r\nX: y\r\n\r\n");
    CHECK(raw_head(fd, request, sizeof request));
    CHECK(strncmp(request, "GET /x HTTP/1.1\r\n", 17) == 0);
    check_header(request, "Proxy-Authorization", "(none)");
    check_header(request, "Host", "far.test");
    CHECK(raw_header(request, "Sec-WebSocket-Key", key, sizeof key));
    fill_in_accept(GOOD_ANSWER "\r\n\x81\x02hi", request, answer, sizeof answer);
    raw_puts(fd, answer);
    EXPECT(&client, OPENED, 0);
    EXPECT_TEXT(&client, 0, "hi");
    close(fd);
    EXPECT(&client, CLOSED, 0);
    client_end(&client);
    close(listener);
}

static void proxy_refusals(void)
{
    static const struct {
        const char *kind;
        const char *answer;
        size_t len;
        const char *words;
        int permanent;
    } table[] = {
        {"http", "HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n", 0, "proxy: 407: ", 1},
        {"http", "HTTP/1.1 403 No\r\n\r\n", 0, "proxy: 403: ", 1},
        {"http", "HTTP/1.1 502 Bad\r\n\r\n", 0, "proxy: 502: ", 0},
        {"http", "SSH-2.0-x\r\n\r\n", 0, "proxy: ", 0},
        {"http", "", 0, "proxy: ", 0},
        {"socks5", "\x05\xff", 2, "proxy: ", 1},
        {"socks5", "HTTP/1.1 400 Bad\r\n\r\n", 0, "proxy: the proxy does not speak SOCKS5", 0},
        {"socks5", "\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00", 12, "proxy: the proxy cannot reach", 0},
        {"socks5", "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", 12, "proxy: the proxy forbids", 1},
        {"socks5", "\x05", 1, "proxy: ", 0},
        {"socks5", "", 0, "proxy: ", 0},
    };
    uint16_t port;
    int listener = raw_listen(&port);
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        ws_client_config config = begin("ws://far.test/x");
        const struct event *event;
        char proxy[128];
        int fd;

        snprintf(proxy, sizeof proxy, "%s://127.0.0.1:%u", table[i].kind, (unsigned)port);
        config.proxy = proxy;
        config.reconnect_min_ms = 60000;
        config.on_reconnect = client_reconnect;
        start(&config);
        fd = raw_accept(listener);
        raw_send(fd, table[i].answer, table[i].len > 0 ? table[i].len : strlen(table[i].answer));
        SYS(shutdown(fd, SHUT_WR));
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_HANDSHAKE);
        event = EXPECT(&client, RECONNECT, 0);
        if (strncmp(event->reason, table[i].words, strlen(table[i].words)) != 0 || event->permanent != table[i].permanent)
            FAIL("%zu: \"%s\", permanent %d", i, event->reason, event->permanent);
        CHECK_INT(event->http_status, 0);
        raw_drain(fd);
        close(fd);
        client_end(&client);
    }
    close(listener);
}

static void proxy_silence(void)
{
    static const char *const kinds[] = {"http", "socks5"};
    uint16_t port;
    int listener = raw_listen(&port);
    size_t i;

    for (i = 0; i < 2; i++) {
        ws_client_config config = begin("ws://far.test/x");
        char proxy[128];

        snprintf(proxy, sizeof proxy, "%s://127.0.0.1:%u", kinds[i], (unsigned)port);
        config.proxy = proxy;
        config.connect_timeout_ms = 100;
        start(&config);
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_TIMEOUT);
        CHECK_HAS(ws_client_error(client.client), "proxy: no answer");
        client_end(&client);
    }
    close(listener);
    {
        ws_client_config config = begin("ws://far.test/x");

        config.proxy = "http://nothing.test:1";
        start(&config);
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_DNS);
        CHECK_HAS(ws_client_error(client.client), "dns: proxy nothing.test: ");
        client_end(&client);
    }
}

static void proxy_socks(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    char proxy[128];
    char bytes[64];
    char request[8192];
    char answer[512];
    ws_client_config config = begin("ws://far.test:99/x");
    int fd;

    snprintf(proxy, sizeof proxy, "socks5://us:pw@127.0.0.1:%u", (unsigned)port);
    config.proxy = proxy;
    start(&config);
    fd = raw_accept(listener);
    CHECK(raw_read(fd, bytes, 3) && memcmp(bytes, "\x05\x01\x02", 3) == 0);
    raw_send(fd, "\x05\x02", 2);
    CHECK(raw_read(fd, bytes, 7) && memcmp(bytes, "\x01\x02us\x02pw", 7) == 0);
    raw_send(fd, "\x01", 1);
    nap();
    raw_send(fd, "\x00", 1);
    CHECK(raw_read(fd, bytes, 15) && memcmp(bytes, "\x05\x01\x00\x03\x08" "far.test\x00\x63", 15) == 0);
    raw_send(fd, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x09", 10);
    CHECK(raw_head(fd, request, sizeof request));
    CHECK(strncmp(request, "GET /x HTTP/1.1\r\nHost: far.test:99\r\n", 36) == 0);
    fill_in_accept(GOOD_ANSWER "\r\n", request, answer, sizeof answer);
    raw_puts(fd, answer);
    EXPECT(&client, OPENED, 0);
    close(fd);
    EXPECT(&client, CLOSED, 0);
    client_end(&client);
    close(listener);
}

static void proxy_of_the_environment(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        "no_proxy",   "NO_PROXY"};
    uint16_t port;
    int listener = raw_listen(&port);
    uint16_t direct_port;
    int direct = raw_listen(&direct_port);
    char value[64];
    char request[64];
    size_t i;
    int step;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    snprintf(value, sizeof value, "http://127.0.0.1:%u", (unsigned)port);
    for (step = 0; step < 5; step++) {
        ws_client_config config = begin(url_of(direct_port, "/"));
        int through = step == 1 || step == 3;
        int fd;

        config.proxy_from_env = step != 0;
        if (step == 0 || step == 1)
            setenv("ALL_PROXY", value, 1);
        if (step == 2)
            setenv("no_proxy", "example.com, 127.0.0.0/8", 1);
        if (step == 3) {
            setenv("no_proxy", "example.com", 1);
            setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
            setenv("http_proxy", value, 1);
        }
        if (step == 4)
            setenv("no_proxy", "*", 1);
        start(&config);
        fd = raw_accept(through ? listener : direct);
        CHECK(raw_read(fd, request, 4) && memcmp(request, through ? "CONN" : "GET ", 4) == 0);
        raw_reset(fd);
        EXPECT(&client, CLOSED, 0);
        client_end(&client);
    }
    setenv("http_proxy", "ftp://x", 1);
    {
        ws_client_config config = begin("ws://h");

        config.proxy_from_env = 1;
        refused(&config, "http_proxy: ");
        config = begin("ws://h");
        config.proxy = "https://h";
        refused(&config, "proxy: ");
    }
    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    close(listener);
    close(direct);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 90);
    RUN(credentials);
    RUN(cookies_that_the_server_sets);
    RUN(redirects);
    RUN(proxy_connect);
    RUN(proxy_refusals);
    RUN(proxy_silence);
    RUN(proxy_socks);
    RUN(proxy_of_the_environment);
    return check_end();
}
