// The ways to run a server and to end it: run, start, poll, a foreign epoll loop; stop from a thread and from a signal
// handler; several listeners; several threads; free with live connections.
#include "harness.h"

#include <sys/epoll.h>
#include <sys/stat.h>

static struct recorder recorder;

static ws_server_config begin(void)
{
    recorder_init(&recorder);
    recorder.echo = 1;
    return server_config(&recorder);
}

static void *run_it(void *server)
{
    OK(ws_server_run(server));
    return NULL;
}

static void run_until_a_thread_stops_it(void)
{
    ws_server_config config = begin();
    uint16_t port = server_make(&recorder, &config);
    pthread_t thread;
    int fd;

    thread_start(&thread, run_it, recorder.server);
    fd = raw_open(port);
    raw_echo(fd, "served by run");
    ws_server_stop(recorder.server);
    thread_join(thread);
    // The connection is still open, until it is freed.
    WAIT_UNTIL(server_stats(recorder.server).connections_open == 1);
    CHECK_INT(count_of(&recorder, CLOSED, 0), 0);
    close(fd);
    server_end(&recorder);
}

static ws_server *signalled;

static void on_signal(int number)
{
    (void)number;
    ws_server_stop(signalled);
}

static void *echo_then_signal(void *main_thread)
{
    int fd = raw_open(ws_server_port(signalled));

    raw_echo(fd, "before the signal");
    if (pthread_kill(*(pthread_t *)main_thread, SIGUSR1) != 0)
        FAIL("pthread_kill");
    // 1001 comes when the server is freed.
    RAW_EXPECT_CLOSE(fd, 1001, NULL);
    close(fd);
    raw_thread_end();
    return NULL;
}

static void catch_usr1(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    SYS(sigaction(SIGUSR1, &action, NULL));
}

static void run_until_a_signal_handler_stops_it(void)
{
    ws_server_config config = begin();
    pthread_t self = pthread_self();
    pthread_t thread;

    server_make(&recorder, &config);
    signalled = recorder.server;
    catch_usr1();
    thread_start(&thread, echo_then_signal, &self);
    OK(ws_server_run(recorder.server));
    server_end(&recorder);
    thread_join(thread);
}

static void raise_in_callback(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what == MESSAGE)
        raise(SIGUSR1);
}

static void *send_and_wait(void *unused)
{
    int fd = raw_open(ws_server_port(signalled));

    raw_text(fd, "stop yourself");
    raw_drain(fd);
    close(fd);
    return unused;
}

static void run_until_a_callback_raises_a_signal(void)
{
    ws_server_config config = begin();
    pthread_t thread;

    recorder.hook = raise_in_callback;
    server_make(&recorder, &config);
    signalled = recorder.server;
    catch_usr1();
    thread_start(&thread, send_and_wait, NULL);
    OK(ws_server_run(recorder.server));
    CHECK_INT(count_of(&recorder, MESSAGE, 0), 1);
    server_end(&recorder);
    thread_join(thread);
}

static void poll_by_hand(void)
{
    ws_server_config config = begin();
    uint16_t port = server_make(&recorder, &config);
    char head[4096];
    long long began;
    int turns;
    int fd;

    // Nothing to do: 0 returns at once, 40 after about as many milliseconds.
    OK(ws_server_poll(recorder.server, 0));
    for (began = now_ms(), turns = 0; now_ms() - began < 200; turns++)
        OK(ws_server_poll(recorder.server, 40));
    CHECK(turns < 20);
    CHECK(now_ms() - began < 5000 * slowness());

    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    while (count_of(&recorder, OPENED, 0) == 0)
        OK(ws_server_poll(recorder.server, (int)deadline_ms()));
    CHECK(raw_head(fd, head, sizeof head));
    CHECK_INT(raw_status(head), 101);
    raw_text(fd, "by hand");
    while (count_of(&recorder, MESSAGE, 0) == 0)
        OK(ws_server_poll(recorder.server, -1));
    // What a callback sends has gone out when poll returns.
    RAW_EXPECT_TEXT(fd, "by hand");

    // Sent outside of a callback: goes out with the next turn.
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "from outside", 12));
    OK(ws_server_poll(recorder.server, 0));
    RAW_EXPECT_TEXT(fd, "from outside");
    ws_server_stop(recorder.server);
    CHECK_STATUS(ws_server_poll(recorder.server, -1), WS_ERR_CLOSED);
    close(fd);
    server_end(&recorder);
}

static void *stop_it(void *server)
{
    ws_server_stop(server);
    return NULL;
}

static void a_waiting_poll_is_woken_by_stop(void)
{
    ws_server_config config = begin();
    pthread_t thread;
    ws_status status;

    server_make(&recorder, &config);
    thread_start(&thread, stop_it, recorder.server);
    do
        status = ws_server_poll(recorder.server, -1);
    while (status == WS_OK);
    CHECK_STATUS(status, WS_ERR_CLOSED);
    thread_join(thread);
    server_end(&recorder);
}

// Turns of a foreign loop until the condition holds, counted in turns.
#define LOOP_UNTIL(epoll, condition)                                              \
    do {                                                                          \
        struct epoll_event ready_;                                                \
        while (!(condition)) {                                                    \
            if (epoll_wait(epoll, &ready_, 1, (int)deadline_ms()) != 1)           \
                FAIL("ws_server_fd() does not become readable: %s", #condition);  \
            turns++;                                                              \
            OK(ws_server_poll(recorder.server, 0));                               \
        }                                                                         \
    } while (0)

static int has_ended(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EINTR);
}

static void in_a_foreign_epoll_loop(void)
{
    ws_server_config config = begin();
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = (int)SYS(epoll_create1(EPOLL_CLOEXEC));
    char head[4096];
    uint16_t port;
    int turns = 0;
    int pollable;
    int silent;
    int fd;

    config.handshake_timeout_ms = 200;
    port = server_make(&recorder, &config);
    pollable = ws_server_fd(recorder.server);
    SYS(epoll_ctl(epoll, EPOLL_CTL_ADD, pollable, &event));

    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    LOOP_UNTIL(epoll, count_of(&recorder, OPENED, 0) == 1);
    CHECK(raw_head(fd, head, sizeof head));
    raw_text(fd, "in your loop");
    LOOP_UNTIL(epoll, count_of(&recorder, MESSAGE, 0) == 1);
    RAW_EXPECT_TEXT(fd, "in your loop");

    // A send from outside makes the fd readable, and so does a timeout.
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "wake", 4));
    CHECK_INT(epoll_wait(epoll, &event, 1, (int)deadline_ms()), 1);
    OK(ws_server_poll(recorder.server, 0));
    RAW_EXPECT_TEXT(fd, "wake");
    silent = raw_connect(port);
    turns = 0;
    LOOP_UNTIL(epoll, has_ended(silent));
    // It was idle nearly all the time.
    CHECK(turns < 100);
    CHECK_INT(ws_server_fd(recorder.server), pollable);
    close(silent);

    raw_close_frame(fd, 1000, "");
    LOOP_UNTIL(epoll, count_of(&recorder, CLOSED, 0) == 1);
    RAW_EXPECT_CLOSE(fd, 1000, NULL);
    close(fd);
    close(epoll);
    server_end(&recorder);
}

// More connections and messages at once than a turn takes, in a foreign loop that is told of news only.
static void in_an_edge_triggered_loop(void)
{
    enum { MANY = 300 };
    ws_server_config config = begin();
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll = (int)SYS(epoll_create1(EPOLL_CLOEXEC));
    char head[4096];
    int fds[MANY];
    uint16_t port;
    int turns = 0;
    int i;

    port = server_make(&recorder, &config);
    SYS(epoll_ctl(epoll, EPOLL_CTL_ADD, ws_server_fd(recorder.server), &event));
    LOOP_UNTIL(epoll, turns > 0);
    for (i = 0; i < MANY; i++)
        fds[i] = raw_connect(port);
    raw_puts(fds[MANY - 1], "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    LOOP_UNTIL(epoll, count_of(&recorder, OPENED, 0) == 1);
    for (i = 0; i < MANY - 1; i++)
        raw_puts(fds[i], "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    LOOP_UNTIL(epoll, count_of(&recorder, OPENED, 0) == MANY);
    for (i = 0; i < MANY; i++) {
        CHECK(raw_head(fds[i], head, sizeof head));
        raw_text(fds[i], "all at once");
    }
    LOOP_UNTIL(epoll, count_of(&recorder, MESSAGE, 0) == MANY);
    for (i = 0; i < MANY; i++) {
        RAW_EXPECT_TEXT(fds[i], "all at once");
        close(fds[i]);
    }
    LOOP_UNTIL(epoll, count_of(&recorder, CLOSED, 0) == MANY);
    close(epoll);
    server_end(&recorder);
}

static char seen_peer[128];

static void note_peer(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    snprintf(seen_peer, sizeof seen_peer, "%s", ws_request_peer(request));
    server_opened(server, conn, request, user);
}

static void check_listener(int fd, const char *peer)
{
    raw_upgrade(fd);
    raw_echo(fd, "through this door");
    EXPECT(&recorder, OPENED, 0);
    EXPECT(&recorder, MESSAGE, 0);
    if (strncmp(seen_peer, peer, strlen(peer)) != 0)
        FAIL("peer is \"%s\", not \"%s...\"", seen_peer, peer);
    raw_close_frame(fd, 1000, "");
    RAW_EXPECT_CLOSE(fd, 1000, NULL);
    EXPECT(&recorder, CLOSED, 0);
    close(fd);
}

static void several_listeners(void)
{
    ws_server_config config = begin();
    char folder[] = "libws-test-XXXXXX";
    char path[64];
    char url[128];
    uint16_t inherited_port;
    int inherited = raw_listen(&inherited_port);
    struct stat info;

    config.on_open = note_peer;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/socket", folder);

    OK(ws_server_new(&config, &recorder.server));
    snprintf(url, sizeof url, "unix:%s", path);
    OK(ws_server_listen(recorder.server, url));
    CHECK_INT(ws_server_port(recorder.server), 0);
    OK(ws_server_listen(recorder.server, "ws://127.0.0.1:0"));
    snprintf(url, sizeof url, "fd:%d", inherited);
    OK(ws_server_listen(recorder.server, url));
    OK(ws_server_listen(recorder.server, "ws://localhost:0"));
    if (have_ipv6())
        OK(ws_server_listen(recorder.server, "ws://[::1]:0"));
    else
        printf("    SKIPPED: IPv6, which this machine lacks\n");
    CHECK_INT(ws_server_listener_port(recorder.server, 0), 0);
    CHECK(ws_server_listener_port(recorder.server, 1) != 0);
    CHECK_INT(ws_server_port(recorder.server), ws_server_listener_port(recorder.server, 1));
    CHECK_INT(ws_server_listener_port(recorder.server, 2), inherited_port);
    CHECK(ws_server_listener_port(recorder.server, 3) != 0);
    CHECK_INT(ws_server_listener_port(recorder.server, 99), 0);
    OK(ws_server_start(recorder.server));

    check_listener(raw_connect_unix(path), "unix");
    check_listener(raw_connect(ws_server_listener_port(recorder.server, 1)), "127.0.0.1:");
    check_listener(raw_connect(inherited_port), "127.0.0.1:");
    if (have_ipv6())
        check_listener(raw_connect6(ws_server_listener_port(recorder.server, 4)), "[::1]:");
    server_end(&recorder);
    CHECK(stat(path, &info) != 0 && errno == ENOENT);
    SYS(rmdir(folder));
}

static void unix_socket_files(void)
{
    ws_server_config config = begin();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "libws-test-XXXXXX";
    char url[128];
    int holder = (int)SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct stat info;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    snprintf(url, sizeof url, "unix:%s/socket", folder);
    SYS(bind(holder, (struct sockaddr *)&address, sizeof address));
    SYS(listen(holder, 1));

    // Somebody serves there: not taken away.
    OK(ws_server_new(&config, &recorder.server));
    CHECK_STATUS(ws_server_listen(recorder.server, url), WS_ERR_IO);
    close(raw_connect_unix(address.sun_path));
    // Left behind by a program that is gone: replaced.
    close(holder);
    OK(ws_server_listen(recorder.server, url));
    OK(ws_server_start(recorder.server));
    holder = raw_connect_unix(address.sun_path);
    raw_upgrade(holder);
    raw_echo(holder, "replaced");
    close(holder);
    server_end(&recorder);

    // A file that is no socket is nobody's to remove.
    close((int)SYS(open(address.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    begin();
    OK(ws_server_new(&config, &recorder.server));
    CHECK_STATUS(ws_server_listen(recorder.server, url), WS_ERR_IO);
    server_end(&recorder);
    SYS(stat(address.sun_path, &info));
    CHECK(S_ISREG(info.st_mode));
    SYS(unlink(address.sun_path));
    SYS(rmdir(folder));
}

static void four_threads_share_the_connections(void)
{
    enum { PEERS = 40 };
    ws_server_config config = begin();
    pthread_t threads[4];
    int conns[4] = {0};
    int known = 0;
    int fds[PEERS];
    uint16_t port;
    int i;
    int t;

    config.threads = 4;
    port = server_start(&recorder, &config);
    for (i = 0; i < PEERS; i++)
        fds[i] = raw_open(port);
    for (i = 0; i < PEERS; i++)
        raw_echo(fds[i], "who are you");
    for (i = 0; i < PEERS; i++) {
        const struct event *event = EXPECT(&recorder, MESSAGE, ANY_SUCH);

        for (t = 0; t < known && !pthread_equal(threads[t], event->thread); t++)
            ;
        if (t == known) {
            CHECK(known < 4);
            threads[known++] = event->thread;
        }
        conns[t]++;
    }
    printf("    %d, %d, %d and %d connections\n", conns[0], conns[1], conns[2], conns[3]);
    for (t = 0; t < 4; t++)
        CHECK(conns[t] >= PEERS / 8);
    // Ids are found whichever thread has them, and a broadcast reaches all.
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    for (i = 0; i < PEERS; i++) {
        RAW_EXPECT_TEXT(fds[i], "to all");
        OK(ws_server_send(recorder.server, EXPECT(&recorder, OPENED, ANY_SUCH)->conn, WS_TEXT, "to one", 6));
    }
    for (i = 0; i < PEERS; i++) {
        RAW_EXPECT_TEXT(fds[i], "to one");
        close(fds[i]);
    }
    server_end(&recorder);
}

static void *free_it(void *server)
{
    OK(ws_server_free(server));
    return NULL;
}

static void free_with_live_connections(uint32_t threads)
{
    enum { PEERS = 8 };
    ws_server_config config = begin();
    ws_conn_id conns[PEERS];
    int fds[PEERS];
    pthread_t thread;
    uint16_t port;
    int half;
    int i;

    config.threads = threads;
    config.close_timeout_ms = 60000; // not needed: the peers answer
    port = server_start(&recorder, &config);
    half = raw_connect(port);
    raw_puts(half, "GET / HTTP/1.1\r\n");
    for (i = 0; i < PEERS; i++)
        fds[i] = peer_open(&recorder, port, &conns[i]);
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "last words", 10));
    thread_start(&thread, free_it, recorder.server);
    for (i = 0; i < PEERS; i++) {
        RAW_EXPECT_TEXT(fds[i], "last words");
        RAW_EXPECT_CLOSE(fds[i], 1001, NULL);
        raw_close_frame(fds[i], 1001, "");
        raw_expect_end(fds[i]);
        close(fds[i]);
    }
    raw_drain(half);
    close(half);
    thread_join(thread);
    for (i = 0; i < PEERS; i++) {
        EXPECT_CLOSED(&recorder, conns[i], WS_OK, 1001, 0);
        CHECK_INT(count_of(&recorder, CLOSED, conns[i]), 1);
    }
    CHECK_INT(count_of(&recorder, CLOSED, 0), PEERS);
    recorder_free(&recorder);
}

static void free_with_live_connections_1(void)
{
    free_with_live_connections(1);
}

static void free_with_live_connections_4(void)
{
    free_with_live_connections(4);
}

static void free_does_not_wait_for_the_silent(void)
{
    ws_server_config config = begin();
    ws_conn_id conn;
    uint16_t port;
    long long began;
    int fd;

    config.close_timeout_ms = 200;
    port = server_start(&recorder, &config);
    fd = peer_open(&recorder, port, &conn);
    began = now_ms();
    OK(ws_server_free(recorder.server));
    CHECK(now_ms() - began >= 190);
    CHECK(now_ms() - began < 3000 * slowness());
    RAW_EXPECT_CLOSE(fd, 1001, NULL);
    EXPECT_CLOSED(&recorder, conn, WS_ERR_TIMEOUT, 1006, 0);
    close(fd);
    recorder_free(&recorder);
}

static sigset_t blocked;

static void note_signal_mask(struct recorder *unused, const struct event *event)
{
    (void)unused;
    if (event->what == OPENED)
        pthread_sigmask(SIG_BLOCK, NULL, &blocked);
}

// What is queued before the server is freed goes out first, also when no loop has come by meanwhile.
static void free_sends_what_is_queued(void)
{
    ws_server_config config = begin();
    uint16_t port = server_make(&recorder, &config);
    int fds[2];
    ws_conn_id conns[2];
    int i;

    for (i = 0; i < 2; i++) {
        fds[i] = raw_connect(port);
        raw_puts(fds[i], "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
        while (count_of(&recorder, OPENED, 0) <= i)
            OK(ws_server_poll(recorder.server, 10));
        conns[i] = EXPECT(&recorder, OPENED, ANY_SUCH)->conn;
        CHECK(raw_head(fds[i], (char[4096]){0}, 4096));
    }
    OK(ws_server_send(recorder.server, conns[0], WS_TEXT, "goodbye", 7));
    OK(ws_server_broadcast(recorder.server, WS_TEXT, "to all", 6));
    OK(ws_server_close(recorder.server, conns[1], 4000, "own"));
    server_end(&recorder);
    RAW_EXPECT_TEXT(fds[0], "goodbye");
    RAW_EXPECT_TEXT(fds[0], "to all");
    RAW_EXPECT_CLOSE(fds[0], 1001, NULL);
    RAW_EXPECT_TEXT(fds[1], "to all");
    RAW_EXPECT_CLOSE(fds[1], 4000, "own");
    close(fds[0]);
    close(fds[1]);
}

static void own_threads_take_no_signals(void)
{
    ws_server_config config = begin();
    sigset_t before;
    sigset_t after;
    ws_conn_id conn;
    uint16_t port;

    recorder.hook = note_signal_mask;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    port = server_start(&recorder, &config);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK_INT(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
    close(peer_open(&recorder, port, &conn));
    CHECK(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1));
    CHECK(sigismember(&blocked, SIGCHLD) && sigismember(&blocked, SIGHUP));
    server_end(&recorder);
}

static void every_fd_is_closed_on_exec(void)
{
    ws_server_config config = begin();
    int before = open_fds();
    ws_conn_id conn;
    uint16_t port;
    int peer;
    int fd;

    config.threads = 2;
    port = server_start(&recorder, &config);
    peer = peer_open(&recorder, port, &conn);
    for (fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            char link[64];
            char target[128] = "";

            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            if (readlink(link, target, sizeof target - 1) > 0 && strncmp(target, "socket:", 7) != 0
                && strncmp(target, "anon_inode:", 11) != 0)
                continue; // inherited from whoever started this test
            FAIL("fd %d (%s) would be inherited by a child", fd, target);
        }
    }
    close(peer);
    server_end(&recorder);
    CHECK_INT(open_fds(), before);
}

static void the_config_is_copied(void)
{
    ws_server_config config = begin();
    char path[] = "/only";
    uint16_t port;
    int fd;

    config.path = path;
    port = server_make(&recorder, &config);
    memset(&config, 0xee, sizeof config);
    memset(path, 'x', sizeof path - 1);
    OK(ws_server_start(recorder.server));
    fd = raw_connect(port);
    CHECK_INT(raw_try_upgrade(fd, "/only", "", NULL, 0), 101);
    raw_echo(fd, "copied");
    close(fd);
    server_end(&recorder);
}

// Two servers in place of two processes: the kernel does not care.
static void several_servers_share_a_port(void)
{
    enum { CLIENTS = 64 };
    ws_server_config config = begin();
    struct recorder other;
    char url[64];
    int fds[CLIENTS];
    int i;

    config.reuse_port = 1;
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)server_make(&recorder, &config));
    OK(ws_server_start(recorder.server));
    recorder_init(&other);
    other.echo = 1;
    config.user = &other;
    OK(ws_server_new(&config, &other.server));
    OK(ws_server_listen(other.server, url));
    OK(ws_server_start(other.server));
    for (i = 0; i < CLIENTS; i++) {
        fds[i] = raw_open(ws_server_port(recorder.server));
        raw_echo(fds[i], "served by one of them");
    }
    WAIT_UNTIL(server_stats(recorder.server).connections_open + server_stats(other.server).connections_open == CLIENTS);
    CHECK(server_stats(recorder.server).connections_open > 0);
    CHECK(server_stats(other.server).connections_open > 0);
    for (i = 0; i < CLIENTS; i++)
        close(fds[i]);
    server_end(&other);
    server_end(&recorder);

    // Only those that ask for it share.
    config = begin();
    config.reuse_port = 1;
    server_make(&recorder, &config);
    config.reuse_port = 0;
    OK(ws_server_new(&config, &other.server));
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)ws_server_port(recorder.server));
    CHECK_STATUS(ws_server_listen(other.server, url), WS_ERR_IO);
    CHECK_INT(errno, EADDRINUSE);
    OK(ws_server_free(other.server));
    server_end(&recorder);
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 90);
    RUN(run_until_a_thread_stops_it);
    RUN(run_until_a_signal_handler_stops_it);
    RUN(run_until_a_callback_raises_a_signal);
    RUN(poll_by_hand);
    RUN(a_waiting_poll_is_woken_by_stop);
    RUN(in_a_foreign_epoll_loop);
    RUN(in_an_edge_triggered_loop);
    RUN(several_listeners);
    RUN(unix_socket_files);
    RUN(four_threads_share_the_connections);
    RUN(free_with_live_connections_1);
    RUN(free_with_live_connections_4);
    RUN(free_does_not_wait_for_the_silent);
    RUN(free_sends_what_is_queued);
    RUN(own_threads_take_no_signals);
    RUN(every_fd_is_closed_on_exec);
    RUN(the_config_is_copied);
    CHECK_INT(open_fds(), before);
    RUN(several_servers_share_a_port);
    return check_end();
}
