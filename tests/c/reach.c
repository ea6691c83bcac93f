// How a client reaches its server: addresses that race, sources, unix sockets, proxies, redirects, who it says it is.
// The program has a resolver of its own, so that names mean what the tests want.
#include "harness.h"
#include "raw_server.h"

#include <netdb.h>

static struct recorder client;

// --- names ---

static int lookups;              // begun so far
static int numbered_lookups;     // those of slow0.test and so on
static int lookups_held;         // slow.test waits while this is set
static const char *fake_list[16]; // what many.test means

static void put_address(struct addrinfo ***end, const char *text)
{
    struct addrinfo *info = check_alloc(sizeof *info + sizeof(struct sockaddr_in6));
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)(info + 1);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)(info + 1);

    info->ai_addr = (struct sockaddr *)(void *)(info + 1);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        info->ai_family = in->sin_family = AF_INET;
        info->ai_addrlen = sizeof *in;
    } else {
        CHECK(inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
        info->ai_family = in6->sin6_family = AF_INET6;
        info->ai_addrlen = sizeof *in6;
    }
    info->ai_socktype = SOCK_STREAM;
    **end = info;
    *end = &info->ai_next;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo **end = out;
    int i;

    (void)service;
    (void)hints;
    *out = NULL;
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    if (strncmp(node, "slow", 4) == 0) {
        if (node[4] != '.')
            __atomic_add_fetch(&numbered_lookups, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&lookups_held, __ATOMIC_SEQ_CST))
            nap();
        put_address(&end, "127.0.0.1");
    } else if (strcmp(node, "many.test") == 0) {
        for (i = 0; i < 16 && fake_list[i] != NULL; i++)
            put_address(&end, fake_list[i]);
    } else if (strcmp(node, "one.test") == 0 || strcmp(node, "two.test") == 0) {
        put_address(&end, "127.0.0.1");
    } else {
        return EAI_NONAME;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;

        free(info);
        info = next;
    }
}

static void many(const char *a, const char *b, const char *c, const char *d)
{
    const char *const all[] = {a, b, c, d};

    memset(fake_list, 0, sizeof fake_list);
    memcpy(fake_list, all, sizeof all);
}

static const char *url_at(const char *host, uint16_t port, const char *target)
{
    static char url[256];

    snprintf(url, sizeof url, "ws://%s:%u%s", host, (unsigned)port, target);
    return url;
}

// A socket that listens at an address and a port (0: any).
static int listen_at(const char *address, uint16_t *port, int backlog)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof in;
    int fd = (int)SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int one = 1;

    CHECK(inet_pton(AF_INET, address, &in.sin_addr) == 1);
    SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SYS(bind(fd, (struct sockaddr *)&in, len));
    SYS(listen(fd, backlog));
    SYS(getsockname(fd, (struct sockaddr *)&in, &len));
    *port = ntohs(in.sin_port);
    raw_set_timeout(fd, deadline_ms());
    return fd;
}

// An address at which SYNs are dropped: a listener whose backlog is full.
struct hole {
    int fds[4];
};

static struct hole hole_at(const char *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct hole hole;
    int i;

    hole.fds[0] = listen_at(address, &port, 0);
    CHECK(inet_pton(AF_INET, address, &in.sin_addr) == 1);
    for (i = 1; i < 4; i++) {
        hole.fds[i] = (int)SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (connect(hole.fds[i], (struct sockaddr *)&in, sizeof in) != 0)
            CHECK_INT(errno, EINPROGRESS);
        nap();
    }
    return hole;
}

static void hole_end(struct hole *hole)
{
    int i;

    for (i = 0; i < 4; i++)
        close(hole->fds[i]);
}

static ws_client_config begin(const char *url)
{
    recorder_init(&client);
    return client_config(&client, url);
}

static void start(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
    OK(ws_client_start(client.client));
}

static void refused(const ws_client_config *config, const char *why)
{
    CHECK_STATUS(ws_client_new(config, &client.client), WS_ERR_INVALID_ARG);
    CHECK_HAS(ws_last_error(), why);
    recorder_free(&client);
}

// --- addresses ---

static void a_silent_address_does_not_hold_up_the_others(void)
{
    uint16_t port = 0;
    int listener = listen_at("127.0.0.4", &port, 8);
    struct hole first = hole_at("127.0.0.1", port);
    struct hole second = hole_at("127.0.0.2", port);
    ws_client_config config = begin(url_at("many.test", port, "/"));
    long long began = now_ms();
    long long took;
    int fd;

    // Two are silent, at the third nobody listens, the fourth answers.
    many("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4");
    config.connect_timeout_ms = 10000;
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    took = now_ms() - began;
    // 250 ms for each of the silent ones.
    if (took < 450 || took > 5000 * slowness())
        FAIL("it took %lld ms", took);
    // Those that had begun are given up.
    raw_plain_frame(fd, RAW_TEXT, "x", 1);
    EXPECT_TEXT(&client, 0, "x");
    close(fd);
    EXPECT(&client, CLOSED, 0);
    client_end(&client);
    hole_end(&first);
    hole_end(&second);
    close(listener);
}

static void all_silent(void)
{
    uint16_t port = 0;
    int any = listen_at("127.0.0.1", &port, 8);
    struct hole holes[3];
    ws_client_config config;
    long long began = now_ms();
    int i;

    close(any);
    holes[0] = hole_at("127.0.0.1", port);
    holes[1] = hole_at("127.0.0.2", port);
    holes[2] = hole_at("127.0.0.3", port);
    many("127.0.0.1", "127.0.0.2", "127.0.0.3", NULL);
    config = begin(url_at("many.test", port, "/"));
    config.connect_timeout_ms = 300;
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_TIMEOUT);
    CHECK(now_ms() - began >= 300 && now_ms() - began < 5000 * slowness());
    CHECK_HAS(ws_client_error(client.client), "tcp: connect 127.0.0.");
    CHECK_INT(count_of(&client, CLOSED, 0), 1);
    client_end(&client);
    for (i = 0; i < 3; i++)
        hole_end(&holes[i]);
}

static void freed_while_it_connects(void)
{
    uint16_t port = 0;
    ws_client_config config;
    struct hole hole;

    close(listen_at("127.0.0.1", &port, 8));
    hole = hole_at("127.0.0.1", port);
    config = begin(url_at("127.0.0.1", port, "/"));
    OK(ws_client_new(&config, &client.client));
    // It begins, and nothing comes of it.
    OK(ws_client_poll(client.client, 0));
    OK(ws_client_poll(client.client, 10));
    OK(ws_client_free(client.client));
    CHECK_HAS(EXPECT_CLOSED(&client, 0, WS_ERR_CLOSED, 1006, 0)->reason, "given up");
    recorder_free(&client);
    hole_end(&hole);
}

// One attempt, with less time than eleven times the usual 250 ms: whether it comes to the address that answers. `most`:
// descriptors at a time, for this.
static int comes_to_the_last(int listener, uint16_t port, int *most)
{
    ws_client_config config = begin(url_at("many.test", port, "/"));
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    int before = open_fds();
    int reached;

    config.connect_timeout_ms = (uint32_t)(2600 * slowness());
    start(&config);
    while (!(reached = poll(&waiting, 1, 1) == 1) && count_of(&client, CLOSED, 0) == 0) {
        int fds = open_fds() - before;

        *most = fds > *most ? fds : *most;
    }
    if (reached) {
        close(raw_serve(listener));
        EXPECT(&client, OPENED, 0);
    }
    client_end(&client);
    return reached;
}

// Eleven silent addresses before the one that answers: no more than eight are under way at a time.
static void many_silent_addresses(void)
{
    enum { HOLES = 11 };
    static char names[HOLES][16];
    struct hole holes[HOLES];
    uint16_t port = 0;
    int listener = listen_at("127.0.0.99", &port, 8);
    int most = 0;
    int tries = 1;
    int i;

    many(NULL, NULL, NULL, NULL);
    for (i = 0; i < HOLES; i++) {
        snprintf(names[i], sizeof names[i], "127.0.0.%d", 10 + i);
        holes[i] = hole_at(names[i], port);
        fake_list[i] = names[i];
    }
    fake_list[HOLES] = "127.0.0.99";
    // The last address has a fifth of a second, which a busy machine may let pass.
    while (!comes_to_the_last(listener, port, &most))
        CHECK(++tries <= 4);
    // And epoll, an eventfd, a timerfd, the fd of /proc, one that is being opened in place of another.
    if (most < 8 || most > 13)
        FAIL("%d descriptors at a time", most);
    for (i = 0; i < HOLES; i++)
        hole_end(&holes[i]);
    close(listener);
}

static void families_take_turns(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config;
    int fd;

    if (!have_ipv6()) {
        printf("    SKIPPED: this machine lacks IPv6\n");
        close(listener);
        return;
    }
    // Nobody at ::1; 127.0.0.1 comes before ::2, which has no route.
    many("::1", "::2", "127.0.0.1", NULL);
    config = begin(url_at("many.test", port, "/"));
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    close(fd);
    EXPECT(&client, CLOSED, 0);
    client_end(&client);
    close(listener);
}

static void no_address(void)
{
    ws_client_config config = begin("ws://many.test:1/");

    many(NULL, NULL, NULL, NULL);
    OK(ws_client_new(&config, &client.client));
    CHECK(ws_client_run(client.client) != WS_OK);
    client_end(&client);

    config = begin("ws://nothing.test/");
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_DNS);
    CHECK_HAS(ws_client_error(client.client), "dns: nothing.test: ");
    client_end(&client);
}

// A resolver that hangs: attempts end in time, and share the lookup instead of beginning one each.
static void slow_lookups(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_at("slow.test", port, "/"));
    int before = __atomic_load_n(&lookups, __ATOMIC_SEQ_CST);
    int fd;
    int i;

    __atomic_store_n(&lookups_held, 1, __ATOMIC_SEQ_CST);
    // Of the last attempt as well, which has to reach the server.
    config.connect_timeout_ms = (uint32_t)(300 * slowness());
    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 2;
    start(&config);
    for (i = 0; i < 4; i++)
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_DNS);
    CHECK_INT(__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) - before, 1);
    CHECK_HAS(ws_client_error(client.client), "dns: slow.test: the resolver has not answered in time (connect_timeout_ms: ");
    __atomic_store_n(&lookups_held, 0, __ATOMIC_SEQ_CST);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, ANY_SUCH);
    close(fd);
    client_end(&client);

    // Freed in mid-lookup: at once, and the thread ends later by itself.
    for (i = 0; i < 20; i++) {
        long long began;

        __atomic_store_n(&lookups_held, 1, __ATOMIC_SEQ_CST);
        config = begin(url_at("slow.test", port, "/"));
        start(&config);
        if (i % 2 == 0)
            WAIT_UNTIL(__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) > before);
        began = now_ms();
        client_end(&client);
        CHECK(now_ms() - began < 3000 * slowness());
        __atomic_store_n(&lookups_held, 0, __ATOMIC_SEQ_CST);
    }
    close(listener);
}

// Each attempt is redirected to a name of its own, and the resolver hangs: the threads are bounded.
static void lookups_that_hang(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    int i;

    __atomic_store_n(&lookups_held, 1, __ATOMIC_SEQ_CST);
    config.connect_timeout_ms = (uint32_t)(300 * slowness());
    config.max_redirects = 1;
    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 1;
    start(&config);
    for (i = 0; i < 6; i++) {
        char answer[128];
        char request[8192];

        snprintf(answer, sizeof answer, "HTTP/1.1 302 Found\r\nLocation: ws://slow%d.test/\r\n\r\n", i);
        close(raw_answer(listener, answer, request, sizeof request));
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_DNS);
    }
    CHECK_HAS(ws_client_error(client.client), "earlier lookups have not been answered yet");
    // Not counted: what the last test has left behind may begin only now. As may the last of these on a busy machine.
    WAIT_UNTIL(__atomic_load_n(&numbered_lookups, __ATOMIC_SEQ_CST) >= 4);
    CHECK_INT(__atomic_load_n(&numbered_lookups, __ATOMIC_SEQ_CST), 4);
    client_end(&client);
    __atomic_store_n(&lookups_held, 0, __ATOMIC_SEQ_CST);
    close(listener);
}

static void sources(void)
{
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config config = begin(url_of(port, "/"));
    struct recorder server;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    int fd;

    config.source_address = "127.0.0.77";
    start(&config);
    fd = raw_serve(listener);
    EXPECT(&client, OPENED, 0);
    SYS(getpeername(fd, (struct sockaddr *)&peer, &len));
    CHECK_INT(ntohl(peer.sin_addr.s_addr), 0x7f00004d);
    close(fd);
    EXPECT(&client, CLOSED, 0);
    client_end(&client);

    config = begin(url_of(port, "/"));
    config.source_address = "192.0.2.1";
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    CHECK_HAS(ws_client_error(client.client), "source_address");
    client_end(&client);

    config = begin(url_of(port, "/"));
    config.source_address = "::1";
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    CHECK_HAS(ws_client_error(client.client), "family of source_address");
    client_end(&client);

    config = begin(url_of(port, "/"));
    config.interface_name = "nosuch0";
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    CHECK_HAS(ws_client_error(client.client), "tcp: interface");
    client_end(&client);

    close(listener);

    port = echo_start(&server);
    config = begin(url_of(port, "/"));
    config.interface_name = "lo";
    start(&config);
    WAIT_UNTIL(count_of(&client, OPENED, 0) + count_of(&client, CLOSED, 0) > 0);
    if (count_of(&client, OPENED, 0) == 0) {
        CHECK_HAS(ws_client_error(client.client), "Operation not permitted");
        printf("    SKIPPED: interfaces, which only CAP_NET_RAW may choose here\n");
    }
    client_end(&client);
    server_end(&server);

    config = begin("ws://h");
    config.source_address = "localhost";
    refused(&config, "source_address");
    config = begin("ws://h");
    config.interface_name = "";
    refused(&config, "interface_name");
    config = begin("ws://h");
    config.interface_name = "sixteen-letters-";
    refused(&config, "interface_name");
}

static void unix_sockets(void)
{
    struct recorder server;
    ws_server_config server_settings;
    ws_client_config config;
    char path[64];
    char url[128];

    snprintf(path, sizeof path, "reach-%d.sock", (int)getpid());
    recorder_init(&server);
    server.echo = 1;
    server_settings = server_config(&server);
    server_settings.path = "/chat";
    OK(ws_server_new(&server_settings, &server.server));
    snprintf(url, sizeof url, "unix:%s", path);
    OK(ws_server_listen(server.server, url));
    OK(ws_server_start(server.server));
    snprintf(url, sizeof url, "ws+unix:%s:/chat?x", path);
    config = begin(url);
    // For TCP only.
    config.proxy = "http://127.0.0.1:1";
    start(&config);
    EXPECT(&client, OPENED, 0);
    OK(ws_client_send(client.client, WS_TEXT, "through", 7));
    EXPECT_TEXT(&client, 0, "through");
    client_end(&client);
    server_end(&server);

    config = begin("ws+unix:/no/such/socket:/");
    OK(ws_client_new(&config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_IO);
    CHECK_HAS(ws_client_error(client.client), "tcp: connect unix: ");
    client_end(&client);
}

// --- who asks ---

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
    int before = open_fds();

    check_begin(argc, argv, 90);
    RUN(a_silent_address_does_not_hold_up_the_others);
    RUN(all_silent);
    RUN(freed_while_it_connects);
    RUN(many_silent_addresses);
    RUN(families_take_turns);
    RUN(no_address);
    RUN(slow_lookups);
    RUN(lookups_that_hang);
    RUN(sources);
    RUN(unix_sockets);
    RUN(credentials);
    RUN(cookies_that_the_server_sets);
    RUN(redirects);
    RUN(proxy_connect);
    RUN(proxy_refusals);
    RUN(proxy_silence);
    RUN(proxy_socks);
    RUN(proxy_of_the_environment);
    // Lookups that were given up end on their own.
    WAIT_UNTIL(open_fds() == before);
    return check_end();
}
