// ws_server.h: the table of clients, priv, exitType, the ways a client and a server go.
#include "dropin.h"

#include <sys/resource.h>

static volatile int logins;
static volatile int exits;
static volatile Ws_ExitType last_exit;
static volatile int disconnects;
static volatile int in_callback;

static void reset(void)
{
    logins = 0;
    exits = 0;
    last_exit = WET_NONE;
    disconnects = 0;
}

static void on_login(Ws_Client *wsc)
{
    (void)wsc;
    __sync_fetch_and_add(&logins, 1);
}

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0)
        ws_send(wsc->fd, msg, msgLen, false, type);
    else if (type == WDT_DISCONN)
        __sync_fetch_and_add(&disconnects, 1);
}

static void on_gone(Ws_Client *wsc, Ws_ExitType exitType)
{
    CHECK(wsc->exitType == exitType && wsc->isExiting && wsc->fd > 0);
    last_exit = exitType;
    __sync_fetch_and_add(&exits, 1);
}

static Ws_Server *serve_all(void)
{
    reset();
    return serve("/", NULL, on_login, on_message, on_gone);
}

static void check_echo(int fd)
{
    char text[32];
    Ws_DataType type;

    CHECK(ws_send(fd, "echo", 4, true, WDT_TXTDATA) > 0);
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 4);
    CHECK(type == WDT_TXTDATA && strcmp(text, "echo") == 0);
}

static int connect_to(Ws_Server *wss)
{
    int fd = ws_requestServer("127.0.0.1", wss->port, "/", (int)deadline_ms());

    CHECK(fd > 0);
    return fd;
}

static void entries_are_filled_and_free_again(void)
{
    char priv = 'p';
    Ws_Server *wss;
    int fds[3];
    int i;

    reset();
    wss = serve("/", &priv, on_login, on_message, on_gone);
    CHECK(wss->priv == &priv && strcmp(wss->path, "/") == 0 && !wss->isExit && wss->fd_epoll > 0);
    CHECK(wss->onLogin == on_login && wss->onMessage == on_message && wss->onExit == on_gone);
    for (i = 0; i < 3; i++) {
        fds[i] = connect_to(wss);
        check_echo(fds[i]);
        CHECK(wss->client[i].fd > 0 && wss->client[i].isLogin && wss->client[i].exitType == WET_NONE);
        CHECK(wss->client[i].priv == &priv && wss->client[i].wss == wss && wss->client[i].wst == &wss->thread[0]);
        CHECK_INT(wss->client[i].index, i);
        CHECK_INT(wss->client[i].recvBytes, 4);
        CHECK_INT(wss->clientCount, i + 1);
        CHECK_INT(wss->thread[0].clientCount, i + 1);
    }
    CHECK(wss->thread[0].isRun && wss->thread[9].isRun && wss->thread[3].wss == wss);
    wss->client[1].priv = fds;
    ws_send(fds[1], NULL, 0, true, WDT_DISCONN);
    WAIT_FOR(exits == 1);
    CHECK(last_exit == WET_DISCONNECT && disconnects == 1);
    WAIT_FOR(*(volatile int *)&wss->clientCount == 2);
    CHECK(wss->client[1].fd == 0 && !wss->client[1].isLogin);
    close(fds[1]);
    // The first free entry, with the server's priv again.
    fds[1] = connect_to(wss);
    check_echo(fds[1]);
    CHECK(wss->client[1].isLogin && wss->client[1].priv == &priv);
    // Gone without a Close, and reset.
    close(fds[0]);
    WAIT_FOR(exits == 2);
    CHECK(last_exit == WET_DISCONNECT && disconnects == 1);
    {
        struct linger now;

        now.l_onoff = 1;
        now.l_linger = 0;
        CHECK(setsockopt(fds[2], SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
        close(fds[2]);
    }
    WAIT_FOR(exits == 3);
    CHECK_INT(last_exit, WET_EPOLL);
    ws_server_release(&wss);
    CHECK_INT(exits, 4);
    CHECK_INT(logins, 4);
    close(fds[1]);
}

static void a_client_whose_exit_type_is_set_is_dropped(void)
{
    Ws_Server *wss = serve_all();
    int fd = connect_to(wss);
    int other = connect_to(wss);
    char text[32];
    Ws_DataType type;
    long long began;

    check_echo(fd);
    check_echo(other);
    began = now_ms();
    wss->client[0].exitType = WET_SEND;
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    CHECK(now_ms() - began < 2000LL * slowness());
    WAIT_FOR(exits == 1);
    CHECK_INT(last_exit, WET_SEND);
    check_echo(other);
    WAIT_FOR(wss->client[0].fd == 0 && wss->client[0].exitType == WET_NONE);
    CHECK_INT(exits, 1);
    close(fd);
    close(other);
    ws_server_release(&wss);
}

static void drop_in_callback(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    on_message(wsc, msg, msgLen, type);
    if (msgLen == 3)
        wsc->exitType = WET_LOGIN;
}

static void a_callback_drops_its_client_at_once(void)
{
    Ws_Server *wss;
    char text[32];
    Ws_DataType type;
    int fd;

    reset();
    wss = serve("/", NULL, on_login, drop_in_callback, on_gone);
    fd = connect_to(wss);
    ws_send(fd, "out", 3, true, WDT_TXTDATA);
    // What the callback sent comes first.
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 3);
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    WAIT_FOR(exits == 1);
    CHECK_INT(last_exit, WET_LOGIN);
    close(fd);
    ws_server_release(&wss);
}

static void one_that_does_not_read_is_dropped_and_stalls_nobody(void)
{
    static char large[WS_SERVER_PKG];
    Ws_Server *wss = serve_all();
    int deaf = dial_open(wss->port);
    int other = connect_to(wss);
    int sent = 0;

    WAIT_FOR(logins == 2);
    while (exits == 0 && sent < 1000) {
        if (ws_send(wss->client[0].fd, large, 100000, false, WDT_BINDATA) > 0)
            sent++;
        else
            ws_delayms(1);
        if (sent % 10 == 0)
            check_echo(other);
    }
    CHECK(sent >= 40 && sent < 1000);
    CHECK_INT(last_exit, WET_SEND);
    check_echo(other);
    CHECK_INT(exits, 1);
    // What it had been sent is still whole, as far as it came.
    get_frame(deaf, 0x82, large, 100000, 0);
    close(deaf);
    close(other);
    ws_server_release(&wss);
}

static void messages_of_any_shape_arrive_whole(void)
{
    static char large[WS_SERVER_PKG];
    Ws_Server *wss = serve_all();
    int fd = dial_open(wss->port);
    int i;

    for (i = 0; i < (int)sizeof large; i++)
        large[i] = (char)i;
    // Three in a segment, of which the second is short.
    put(fd, "\x81\x81\0\0\0\0a\x81\x80\0\0\0\0\x81\x82\0\0\0\0bc", 21);
    get_frame(fd, 0x81, "a", 1, 0);
    get_frame(fd, 0x81, "bc", 2, 0);
    // In fragments, with a ping between.
    put_frame(fd, 0x02, large, 60000, 1);
    put_frame(fd, 0x89, "?", 1, 1);
    put_frame(fd, 0x80, large + 60000, 42400, 1);
    get_frame(fd, 0x8a, "?", 1, 0);
    get_frame(fd, 0x82, large, 102400, 0);
    // The largest; one more is dropped, the next is intact.
    put_frame(fd, 0x82, large, WS_SERVER_PKG - 16, 1);
    get_frame(fd, 0x82, large, WS_SERVER_PKG - 16, 0);
    put_frame(fd, 0x82, large, WS_SERVER_PKG - 15, 1);
    put_frame(fd, 0x81, "next", 4, 1);
    get_frame(fd, 0x81, "next", 4, 0);
    // Other packets from here.
    WAIT_FOR(logins == 1);
    CHECK_INT(ws_send(wss->client[0].fd, "beat", 4, true, WDT_PONG), 6);
    get_frame(fd, 0x8a, "beat", 4, 0);
    CHECK_INT(ws_send(wss->client[0].fd, NULL, 0, true, WDT_PING), 2);
    get_frame(fd, 0x89, "", 0, 0);
    CHECK_INT(ws_send(wss->client[0].fd, "\x81\x03raw", 5, true, WDT_NULL), 5);
    get_frame(fd, 0x81, "raw", 3, 0);
    CHECK(ws_send(wss->client[0].fd, "\xff", 1, true, WDT_TXTDATA) <= 0);
    CHECK(ws_send(wss->client[0].fd, large, 126, true, WDT_PONG) <= 0);
    CHECK(ws_send(wss->client[0].fd, large, 1, true, WDT_MINDATA) <= 0);
    CHECK_INT(ws_recv(wss->client[0].fd, large, 100, NULL), 0);
    CHECK(ws_send(wss->client[0].fd, NULL, 0, true, WDT_DISCONN) > 0);
    get_frame(fd, 0x88, "\x03\xe8", 2, 0);
    put_frame(fd, 0x88, "\x03\xe8", 2, 1);
    WAIT_FOR(exits == 1);
    close(fd);
    ws_server_release(&wss);
}

static void other_paths_and_plain_requests_are_refused(void)
{
    Ws_Server *wss;
    char head[1024];
    int fd;

    reset();
    wss = serve("/only", NULL, on_login, on_message, on_gone);
    CHECK(ws_requestServer("127.0.0.1", wss->port, "/other", (int)deadline_ms()) <= 0);
    fd = ws_requestServer("127.0.0.1", wss->port, "only", (int)deadline_ms());
    CHECK(fd > 0);
    check_echo(fd);
    close(fd);
    fd = dial(wss->port);
    put(fd, "GET /only HTTP/1.1\r\nHost: a\r\n\r\n", 32);
    get_head(fd, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 404", 12) == 0);
    close(fd);
    // Those were no clients.
    WAIT_FOR(exits == 1);
    CHECK_INT(logins, 1);
    ws_server_release(&wss);
}

static void a_port_that_is_taken_is_waited_for(void)
{
    Ws_Server *wss;
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    long long began;
    int port;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 1) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    port = ntohs(address.sin_port);
    began = now_ms();
    wss = ws_server_create(port, "/", NULL, on_login, on_message, on_gone);
    CHECK(wss != NULL && now_ms() - began < WS_SERVER_BIND_TIMEOUT_MS * slowness());
    WAIT_FOR(*(volatile bool *)&wss->isExit);
    CHECK(now_ms() - began >= WS_SERVER_BIND_TIMEOUT_MS);
    ws_server_release(&wss);
    CHECK(wss == NULL);
    // Let go within that time it is taken.
    reset();
    wss = ws_server_create(port, "/", NULL, on_login, on_message, on_gone);
    ws_delayms(200);
    CHECK(!wss->isExit);
    close(fd);
    WAIT_FOR(*(volatile int *)&wss->fd != 0);
    fd = connect_to(wss);
    check_echo(fd);
    close(fd);
    ws_server_release(&wss);
    CHECK(ws_server_create(-1, "/", NULL, NULL, NULL, NULL) == NULL);
    CHECK(ws_server_create(65536, "/", NULL, NULL, NULL, NULL) == NULL);
    {
        char path[300];

        memset(path, 'x', sizeof path);
        path[299] = 0;
        CHECK(ws_server_create(0, path, NULL, NULL, NULL, NULL) == NULL);
    }
}

static void release_here(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    Ws_Server **place = (Ws_Server **)wsc->priv;

    (void)msg;
    if (msgLen > 0 && type == WDT_TXTDATA) {
        ws_server_release(place);
        CHECK(*place == NULL);
        // Still there until the callback is over.
        CHECK(wsc->fd > 0 && wsc->wss->client[wsc->index].isLogin);
        in_callback = 1;
    }
}

static void a_server_is_released_in_a_callback(void)
{
    static Ws_Server *wss;
    char text[32];
    Ws_DataType type;
    int fd;

    reset();
    in_callback = 0;
    wss = serve("/", &wss, on_login, release_here, on_gone);
    fd = connect_to(wss);
    ws_send(fd, "end", 3, true, WDT_TXTDATA);
    WAIT_FOR(in_callback);
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    WAIT_FOR(exits == 1);
    CHECK_INT(logins, 1);
    close(fd);
}

static void without_callbacks_and_with_two_servers(void)
{
    Ws_Server *quiet = serve(NULL, NULL, NULL, NULL, NULL);
    Ws_Server *wss = serve_all();
    int fd = ws_requestServer("127.0.0.1", quiet->port, "/anything?x", (int)deadline_ms());
    int other = connect_to(wss);

    CHECK(fd > 0 && quiet->port != wss->port);
    CHECK(ws_send(fd, "nobody", 6, true, WDT_TXTDATA) > 0);
    check_echo(other);
    WAIT_FOR(*(volatile int *)&quiet->clientCount == 1);
    ws_server_release(&quiet);
    check_echo(other);
    close(fd);
    close(other);
    ws_server_release(&wss);
}

static void *hammer(void *argument)
{
    Ws_Server *wss = (Ws_Server *)argument;
    int i;

    while (!in_callback) {
        pthread_mutex_lock(&wss->lock);
        for (i = 0; i < 16; i++)
            if (wss->client[i].fd && wss->client[i].isLogin && !wss->client[i].exitType)
                ws_send(wss->client[i].fd, "push", 4, false, WDT_TXTDATA);
        pthread_mutex_unlock(&wss->lock);
        ws_delayus(200);
    }
    return NULL;
}

static void threads_push_while_clients_come_and_go(void)
{
    Ws_Server *wss = serve_all();
    int rounds = small_loads() ? 30 : 300;
    pthread_t threads[2];
    int fds[8];
    int i;

    in_callback = 0;
    for (i = 0; i < 2; i++)
        threads[i] = thread_start(hammer, wss);
    for (i = 0; i < 8; i++)
        fds[i] = connect_to(wss);
    for (i = 0; i < rounds; i++) {
        int which = i % 8;
        char text[32];
        Ws_DataType type;

        ws_recv(fds[which], text, sizeof text, &type);
        if (i % 5 == 0)
            wss->client[i % 4].exitType = WET_SEND;
        close(fds[which]);
        fds[which] = connect_to(wss);
    }
    in_callback = 1;
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ws_server_release(&wss);
    CHECK_INT(exits, logins);
    CHECK_INT(logins, rounds + 8);
    for (i = 0; i < 8; i++)
        close(fds[i]);
}

static void the_501st_client_has_another_thread(void)
{
    enum { COUNT = WS_SERVER_CLIENT_OF_THREAD + 20 };
    static int fds[COUNT];
    struct rlimit files;
    Ws_Server *wss;
    int i;

    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur < 2 * COUNT + 100)
        files.rlim_cur = 2 * COUNT + 100;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        puts("  SKIPPED: the limit of open files cannot be raised");
        return;
    }
    wss = serve_all();
    for (i = 0; i < COUNT; i++)
        fds[i] = connect_to(wss);
    WAIT_FOR(logins == COUNT);
    CHECK_INT(wss->clientCount, COUNT);
    CHECK_INT(wss->thread[0].clientCount, WS_SERVER_CLIENT_OF_THREAD);
    CHECK_INT(wss->thread[1].clientCount, 20);
    check_echo(fds[0]);
    check_echo(fds[COUNT - 1]);
    for (i = 0; i < COUNT; i++)
        close(fds[i]);
    WAIT_FOR(exits == COUNT);
    ws_server_release(&wss);
}

int main(void)
{
    begin(120);
    RUN(entries_are_filled_and_free_again);
    RUN(a_client_whose_exit_type_is_set_is_dropped);
    RUN(a_callback_drops_its_client_at_once);
    RUN(one_that_does_not_read_is_dropped_and_stalls_nobody);
    RUN(messages_of_any_shape_arrive_whole);
    RUN(other_paths_and_plain_requests_are_refused);
    RUN(a_port_that_is_taken_is_waited_for);
    RUN(a_server_is_released_in_a_callback);
    RUN(without_callbacks_and_with_two_servers);
    RUN(the_501st_client_has_another_thread);
    RUN(threads_push_while_clients_come_and_go);
    return 0;
}
