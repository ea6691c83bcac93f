// A server whose connections are idle sleeps: it wakes less than once a second, however many they are. It is a process of
// one thread, whose wake-ups the kernel counts.
#include "harness.h"

#include <sys/prctl.h>
#include <sys/wait.h>

enum { CONNECTIONS = 10000, FEW = 500, WINDOW_MS = 4000, HANDSHAKE_MS = 3000 };

// How often a process has slept until something woke it.
static long long wakeups_of(int pid)
{
    char path[64];
    char line[256];
    long long count = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        sscanf(line, "voluntary_ctxt_switches: %lld", &count);
    fclose(file);
    CHECK(count >= 0);
    return count;
}

static int serve_in_child(uint16_t *port)
{
    int ready[2];
    int pid;

    SYS(pipe2(ready, O_CLOEXEC));
    fflush(stdout);
    pid = (int)SYS(fork());
    if (pid == 0) {
        // Deadlines of handshakes that are done long since pass within the window; pings are due after it.
        ws_server_config config = {.struct_size = sizeof config, .max_connections = 20000,
                                   .handshake_timeout_ms = HANDSHAKE_MS};
        ws_server *server;

        SYS(prctl(PR_SET_PDEATHSIG, SIGKILL));
        OK(ws_server_new(&config, &server));
        OK(ws_server_listen(server, "ws://127.0.0.1:0"));
        *port = ws_server_port(server);
        if (write(ready[1], port, sizeof *port) != sizeof *port)
            FAIL("pipe");
        OK(ws_server_run(server));
        _exit(0);
    }
    if (read(ready[0], port, sizeof *port) != sizeof *port)
        FAIL("the server did not start");
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void idle_connections_let_the_server_sleep(void)
{
    struct rlimit limit;
    uint16_t port;
    long long woken;
    int wanted = small_loads() ? FEW : CONNECTIONS;
    int pid;
    int *fds;
    int i;

    SYS(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    SYS(setrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < (rlim_t)wanted + 100) {
        wanted = (int)limit.rlim_cur - 100;
        printf("    REDUCED to %d connections: this machine allows no more open files\n", wanted);
    }
    pid = serve_in_child(&port);
    fds = check_alloc((size_t)wanted * sizeof *fds);
    for (i = 0; i < wanted; i++)
        fds[i] = raw_open(port);
    // The last ones are being served while we look.
    SYS(poll(NULL, 0, 200));
    woken = wakeups_of(pid);
    SYS(poll(NULL, 0, WINDOW_MS));
    woken = wakeups_of(pid) - woken;
    printf("    %d idle connections: %lld wake-ups in %d ms\n", wanted, woken, WINDOW_MS);
    CHECK(woken * 1000 < WINDOW_MS);
    // It was asleep, not gone.
    woken = wakeups_of(pid);
    raw_frame(fds[0], RAW_PING, "x", 1);
    raw_expect_at(__FILE__, __LINE__, fds[0], RAW_PONG, "x", 1);
    WAIT_UNTIL(wakeups_of(pid) > woken); // the kernel counts when it falls asleep again
    for (i = 0; i < wanted; i++)
        close(fds[i]);
    free(fds);
    SYS(kill(pid, SIGKILL));
    SYS(waitpid(pid, NULL, 0));
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    RUN(idle_connections_let_the_server_sleep);
    return check_end();
}
