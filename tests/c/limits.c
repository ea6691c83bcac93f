// Loads at the limits: peers that do not finish what they began delay nobody and are ended; ten thousand connections at
// once; a process that has run out of file descriptors. The server is a process of its own, so that its memory and CPU
// can be read.
#include "harness.h"

#include <sys/wait.h>

struct child {
    int pid;
    uint16_t port;
    int stop; // closing it ends the server
};

static void echo(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    ws_status status = ws_server_send(server, conn, message->kind, message->data, message->len);

    (void)user;
    if (status != WS_OK && status != WS_ERR_AGAIN && status != WS_ERR_CLOSED)
        FAIL("echo: status %d (%s)", (int)status, ws_last_error());
}

static void set_fd_limit(rlim_t wanted)
{
    struct rlimit limit;

    SYS(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    SYS(setrlimit(RLIMIT_NOFILE, &limit));
}

// Starts an echo server in a child process. fd_limit 0: as many descriptors as the machine allows.
static struct child child_start(ws_server_config config, rlim_t fd_limit)
{
    struct child child;
    int ready[2];
    int stop[2];

    SYS(pipe2(ready, O_CLOEXEC));
    SYS(pipe2(stop, O_CLOEXEC));
    fflush(stdout);
    child.pid = (int)SYS(fork());
    if (child.pid == 0) {
        ws_server *server;
        uint16_t port;
        char byte;

        close(ready[0]);
        close(stop[1]);
        set_fd_limit(fd_limit == 0 ? RLIM_INFINITY : fd_limit);
        config.struct_size = sizeof config;
        config.on_message = echo;
        OK(ws_server_new(&config, &server));
        OK(ws_server_listen(server, "ws://127.0.0.1:0"));
        port = ws_server_port(server);
        OK(ws_server_start(server));
        if (write(ready[1], &port, sizeof port) != sizeof port || read(stop[0], &byte, 1) != 0)
            FAIL("pipe");
        OK(ws_server_free(server));
        _exit(0);
    }
    close(ready[1]);
    close(stop[0]);
    child.stop = stop[1];
    if (read(ready[0], &child.port, sizeof child.port) != sizeof child.port)
        FAIL("the server did not start");
    close(ready[0]);
    return child;
}

static void child_end(const struct child *child)
{
    int status;

    close(child->stop);
    SYS(waitpid(child->pid, &status, 0));
    if (status != 0)
        FAIL("the server ended with wait status 0x%x", (unsigned)status);
}

// Whether the connection has ended, as seen without waiting.
static int has_ended(int fd)
{
    char buffer[4096];
    ssize_t got;

    while ((got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        ;
    return got == 0 || (errno != EAGAIN && errno != EINTR);
}

static void unfinished_peers(void)
{
    static char block[100000];
    enum { NOTHING, HALF_A_HANDSHAKE, HALF_A_FRAME, SILENT, NEVER_READS, KINDS, EACH = 20 };
    ws_server_config config = {.handshake_timeout_ms = 500, .ping_interval_ms = 300, .pong_timeout_ms = 400,
                               .max_send_queue = 1024 * 1024};
    struct child child = child_start(config, 0);
    int good = raw_open(child.port);
    int quiet = open_fds_of(child.pid);
    int fds[KINDS * EACH];
    long long slowest = 0;
    long long began;
    int rounds = 0;
    int i;
    int j;

    for (i = 0; i < KINDS * EACH; i++) {
        switch (i % KINDS) {
        case NOTHING:
            fds[i] = raw_connect(child.port);
            break;
        case HALF_A_HANDSHAKE:
            fds[i] = raw_connect(child.port);
            raw_puts(fds[i], "GET / HTTP/1.1\r\n" RAW_UPGRADE);
            break;
        case HALF_A_FRAME:
            fds[i] = raw_open(child.port);
            raw_announce(fds[i], RAW_TEXT, 1000);
            raw_puts(fds[i], "half");
            break;
        case SILENT:
            fds[i] = raw_open(child.port);
            break;
        case NEVER_READS:
            // Asks for more echoes than sockets and queues hold.
            fds[i] = raw_open(child.port);
            for (j = 0; j < (small_loads() ? 4 : 80); j++) {
                raw_announce(fds[i], RAW_BINARY, sizeof block);
                raw_send(fds[i], block, sizeof block);
            }
            break;
        }
    }
    began = now_ms();
    // An echo after the other on the good connection, all the while, until the server has ended all the others. One that
    // never reads cannot see that, so its descriptors are counted.
    while (rounds % 64 != 0 || open_fds_of(child.pid) > quiet) {
        long long sent = now_us();

        raw_echo(good, "ping-pong");
        if (now_us() - sent > slowest)
            slowest = now_us() - sent;
        rounds++;
        if (now_ms() - began > deadline_ms())
            FAIL("%d of %d peers are still there", open_fds_of(child.pid) - quiet, KINDS * EACH);
    }
    for (i = 0; i < KINDS * EACH; i++) {
        if (i % KINDS != NEVER_READS && !has_ended(fds[i]))
            FAIL("peer %d, of kind %d, has not been told", i, i % KINDS);
        close(fds[i]);
    }
    printf("    %d echoes meanwhile, the slowest took %lld us\n", rounds, slowest);
    CHECK(now_ms() - began >= 400);
    CHECK(slowest < 800000 * slowness());
    close(good);
    child_end(&child);
}

static void ten_thousand_connections(void)
{
    ws_server_config config = {.max_connections = 20000, .ping_interval_ms = (uint32_t)WS_NEVER};
    struct child child;
    struct rlimit limit;
    int wanted = small_loads() ? 500 : 10000;
    long long empty;
    long long idle;
    long long began;
    int *fds;
    int i;

    set_fd_limit(RLIM_INFINITY);
    SYS(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < (rlim_t)wanted + 100) {
        wanted = (int)limit.rlim_cur - 100;
        printf("    REDUCED to %d connections: this machine allows no more open files\n", wanted);
    }
    child = child_start(config, 0);
    fds = check_alloc((size_t)wanted * sizeof *fds);
    close(raw_open(child.port));
    empty = rss_bytes(child.pid);
    began = now_ms();
    for (i = 0; i < wanted; i++)
        fds[i] = raw_open(child.port);
    idle = (rss_bytes(child.pid) - empty) / wanted;
    printf("    %d connections in %lld ms, %lld bytes of memory each\n", wanted, now_ms() - began, idle);
    // What fewer connections share does not count as little.
    if (slowness() == 1 && wanted == 10000)
        CHECK(idle <= 128);
    began = now_ms();
    for (i = 0; i < wanted; i++)
        raw_text(fds[i], "echo");
    for (i = 0; i < wanted; i++)
        RAW_EXPECT_TEXT(fds[i], "echo");
    printf("    an echo on each in %lld ms, then %lld bytes of memory each\n", now_ms() - began,
           (rss_bytes(child.pid) - empty) / wanted);
    if (slowness() == 1)
        CHECK((rss_bytes(child.pid) - empty) / wanted < 4096);
    for (i = 0; i < wanted; i++)
        close(fds[i]);
    free(fds);
    child_end(&child);
}

static void out_of_file_descriptors(void)
{
    enum { PEERS = 200, ROUND_MS = 2000 };
    ws_server_config config = {0};
    struct child child = child_start(config, 64);
    int first = raw_open(child.port);
    int fds[PEERS];
    long long cpu;
    int open = 0;
    int i;

    for (i = 0; i < PEERS; i++) {
        fds[i] = raw_connect(child.port);
        raw_set_timeout(fds[i], 1);
        send(fds[i], "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n", strlen("GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n"), MSG_NOSIGNAL);
    }
    raw_echo(first, "served at the limit");

    // It neither spins nor dies.
    cpu = cpu_us_of(child.pid);
    SYS(poll(NULL, 0, ROUND_MS));
    cpu = cpu_us_of(child.pid) - cpu;
    printf("    %lld ms of CPU in %d ms at the limit\n", cpu / 1000, ROUND_MS);
    CHECK(cpu < ROUND_MS * 200);
    CHECK_INT(kill(child.pid, 0), 0);
    raw_echo(first, "still served");

    // As many as there are descriptors for were let in.
    for (i = 0; i < PEERS; i++) {
        char byte;

        open += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 1 && byte == 'H';
    }
    printf("    %d of %d peers got an answer\n", open, PEERS);
    CHECK(open >= 30);
    for (i = 0; i < PEERS; i++)
        close(fds[i]);
    i = raw_open(child.port);
    raw_echo(i, "there is room again");
    close(i);
    close(first);
    child_end(&child);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 180);
    RUN(unfinished_peers);
    RUN(out_of_file_descriptors);
    RUN(ten_thousand_connections);
    return check_end();
}
