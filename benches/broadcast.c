// What a broadcast costs for each receiver, beside the bare loop of send() over the same sockets: the least that the
// kernel asks for. Usage: broadcast RECEIVERS BYTES ROUNDS. Prints its port, waits until all have come, then prints for
// each round "US_OF_CPU_BY_LIBWS US_OF_CPU_BARE" for a receiver.

#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static long long cpu_ns(void)
{
    struct timespec now;

    SYS(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now));
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ws_stats stats_of(const ws_server *server)
{
    ws_stats stats = {.struct_size = sizeof stats};

    OK(ws_server_stats(server, &stats));
    return stats;
}

// The sockets of the server's connections: libws does not tell, the process's own list of descriptors does.
static size_t find_connections(int *fds, size_t most, uint16_t port)
{
    size_t count = 0;
    int fd;

    for (fd = 3; fd < sysconf(_SC_OPEN_MAX) && count < most; fd++) {
        struct sockaddr_in local = {0};
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof local;
        socklen_t peer_len = sizeof peer;

        if (getsockname(fd, (struct sockaddr *)&local, &len) == 0 && ntohs(local.sin_port) == port
            && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
            fds[count++] = fd;
    }
    return count;
}

static double by_libws(ws_server *server, const void *data, size_t len, size_t receivers, size_t frame)
{
    uint64_t wanted = stats_of(server).bytes_sent + receivers * frame;
    long long began = cpu_ns();

    OK(ws_server_broadcast(server, WS_BINARY, data, len));
    do
        OK(ws_server_poll(server, 0));
    while (stats_of(server).bytes_sent < wanted);
    return (double)(cpu_ns() - began) / 1000 / (double)receivers;
}

static double bare(const int *fds, const void *frame, size_t len, size_t receivers)
{
    long long began = cpu_ns();
    size_t i;

    for (i = 0; i < receivers; i++)
        if (send(fds[i], frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
            FAIL("send: %s", strerror(errno));
    return (double)(cpu_ns() - began) / 1000 / (double)receivers;
}

// The receivers take what has come.
static void rest(ws_server *server)
{
    long long until = now_ms() + 200;

    while (now_ms() < until)
        OK(ws_server_poll(server, 20));
}

int main(int argc, char **argv)
{
    ws_server_config config = {.struct_size = sizeof config};
    size_t receivers = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    size_t len = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    int rounds = argc == 4 ? atoi(argv[3]) : 0;
    unsigned char *frame = check_alloc(len + 4);
    int *fds = check_alloc(receivers * sizeof *fds);
    ws_server *server;
    size_t head;

    if (receivers == 0 || len == 0 || len > 65535 || rounds == 0)
        return 2;
    check_test = "broadcast";
    config.max_connections = (uint32_t)receivers;
    OK(ws_server_new(&config, &server));
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    printf("%u\n", (unsigned)ws_server_port(server));
    fflush(stdout);
    while (stats_of(server).connections_open < receivers)
        OK(ws_server_poll(server, 1000));
    rest(server);
    if (find_connections(fds, receivers, ws_server_port(server)) != receivers)
        FAIL("not all connections were found");
    frame[0] = 0x82;
    frame[1] = (unsigned char)(len < 126 ? len : 126);
    head = len < 126 ? 2 : 4;
    if (head == 4) {
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
    }
    memset(frame + head, 'b', len);
    for (int i = 0; i < rounds; i++) {
        double ours = 0;
        double theirs = 0;

        // In turns, since the one that goes second finds warmer caches.
        for (int turn = 0; turn < 2; turn++) {
            if (turn == i % 2)
                ours = by_libws(server, frame + head, len, receivers, head + len);
            else
                theirs = bare(fds, frame, head + len, receivers);
            rest(server);
        }
        printf("%.4f %.4f\n", ours, theirs);
    }
    fflush(stdout);
    _exit(0);
}
