// A bare server for one client that echoes: keeps messages in flight and measures what CPU time the client spends on
// each. Usage: client_load BYTES IN_FLIGHT SECONDS. Prints its port; reads the client's process id from stdin; prints
// "MESSAGES US_OF_CPU_EACH".

#include "raw_server.h"

static long long cpu_ns(clockid_t clock)
{
    struct timespec now;

    SYS(clock_gettime(clock, &now));
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    size_t size = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    size_t depth = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    double seconds = argc == 4 ? atof(argv[3]) : 0;
    unsigned char *frames = check_alloc(depth * (size + 14));
    char *room = check_alloc(256 * 1024);
    size_t echo; // bytes of an echo: a frame of a client has a key
    size_t sent;
    long long began = 0;
    long long start = 0;
    long long cpu = 0;
    long long messages = 0;
    size_t pending = 0;
    clockid_t clock;
    uint16_t port;
    int listener = raw_listen(&port);
    int on = 1;
    int pid;
    int fd;

    if (size == 0 || depth == 0 || seconds <= 0)
        return 2;
    check_test = "client_load";
    printf("%u\n", (unsigned)port);
    fflush(stdout);
    if (scanf("%d", &pid) != 1)
        return 1;
    SYS(clock_getcpuclockid(pid, &clock) == 0 ? 0 : -1);
    fd = raw_serve(listener);
    SYS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    sent = raw_frame_head(frames, RAW_BINARY, 0, size);
    memset(frames + sent, 'x', size);
    sent += size;
    echo = sent + 4;
    for (size_t i = 1; i < depth; i++)
        memcpy(frames + i * sent, frames, sent);
    raw_send(fd, frames, depth * sent);
    // The first half second is for warming up.
    began = now_ms();
    while (start == 0 || now_ms() - start < seconds * 1000) {
        ssize_t got = recv(fd, room, 256 * 1024, 0);
        size_t echoes;

        if (got <= 0)
            FAIL("the client has gone");
        pending += (size_t)got;
        echoes = pending / echo;
        pending %= echo;
        messages += (long long)echoes;
        if (echoes > 0)
            raw_send(fd, frames, echoes * sent);
        if (start == 0 && now_ms() - began >= 500) {
            start = now_ms();
            cpu = cpu_ns(clock);
            messages = 0;
        }
    }
    cpu = cpu_ns(clock) - cpu;
    printf("%lld %.4f\n", messages, (double)cpu / 1000 / (double)(messages > 0 ? messages : 1));
    fflush(stdout);
    _exit(0);
}
