// How a client reaches its server: names, addresses that race, sources, unix sockets.
#include "names.h"
#include "raw_server.h"

static void many(const char *a, const char *b, const char *c, const char *d)
{
    const char *const all[] = {a, b, c, d};

    memset(fake_list, 0, sizeof fake_list);
    memcpy(fake_list, all, sizeof all);
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
    // Lookups that were given up end on their own.
    WAIT_UNTIL(open_fds() == before);
    return check_end();
}
