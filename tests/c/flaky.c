// A link that fails in every way, a hundred times: the client always comes back, does not spin, keeps its memory, and what
// is queued arrives in order. The program has a resolver of its own, so that lookups can fail.
#include "harness.h"
#include "raw_server.h"

#include <netdb.h>

enum fault { RESET, FIN, CLOSE, GONE, SILENT, REFUSED, BUSY, NO_DNS, HALF_HEAD, FAULTS };

static int dns_fails;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo *info;
    struct sockaddr_in *in;

    (void)node;
    (void)service;
    (void)hints;
    if (__atomic_load_n(&dns_fails, __ATOMIC_SEQ_CST))
        return EAI_AGAIN;
    info = check_alloc(sizeof *info + sizeof *in);
    in = (struct sockaddr_in *)(void *)(info + 1);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    info->ai_family = AF_INET;
    info->ai_socktype = SOCK_STREAM;
    info->ai_addr = (struct sockaddr *)(void *)in;
    info->ai_addrlen = sizeof *in;
    *out = info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    free(info);
}

static struct {
    pthread_mutex_t lock;
    uint64_t sent;     // the last number that on_sent told
    uint64_t attempts; // of all
    int opened;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_open(ws_client *client, void *unused)
{
    (void)unused;
    OK(ws_client_send(client, WS_TEXT, "hello", 5));
    pthread_mutex_lock(&told.lock);
    told.opened++;
    pthread_mutex_unlock(&told.lock);
}

static void on_sent(ws_client *client, uint64_t number, ws_status status, void *unused)
{
    (void)client;
    (void)unused;
    OK(status);
    pthread_mutex_lock(&told.lock);
    CHECK_INT(number, told.sent + 1);
    told.sent = number;
    pthread_mutex_unlock(&told.lock);
}

static void on_reconnect(ws_client *client, const ws_reconnect_info *info, void *unused)
{
    (void)client;
    (void)unused;
    CHECK(info->attempt > 0 && info->reason[0] != '\0');
    pthread_mutex_lock(&told.lock);
    told.attempts++;
    pthread_mutex_unlock(&told.lock);
}

static uint64_t sent_so_far(void)
{
    uint64_t sent;

    pthread_mutex_lock(&told.lock);
    sent = told.sent;
    pthread_mutex_unlock(&told.lock);
    return sent;
}

static int producing;
static uint64_t queued; // the last number

static void *produce(void *client)
{
    uint64_t number = 0;

    while (__atomic_load_n(&producing, __ATOMIC_SEQ_CST)) {
        char text[32];
        ws_status status;

        snprintf(text, sizeof text, "%llu", (unsigned long long)number + 1);
        status = ws_client_enqueue(client, WS_TEXT, text, strlen(text), &number);
        if (status == WS_ERR_AGAIN)
            number = strtoull(text, NULL, 10) - 1;
        else
            OK(status);
        __atomic_store_n(&queued, number, __ATOMIC_SEQ_CST);
        nap();
    }
    return NULL;
}

static uint64_t queued_so_far(void)
{
    return __atomic_load_n(&queued, __ATOMIC_SEQ_CST);
}

// Listens at the port (0: any), whatever is left there of earlier connections.
static int listen_again(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof in;
    int fd = (int)SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int one = 1;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SYS(bind(fd, (struct sockaddr *)&in, sizeof in));
    SYS(listen(fd, 64));
    SYS(getsockname(fd, (struct sockaddr *)&in, &len));
    *port = ntohs(in.sin_port);
    raw_set_timeout(fd, deadline_ms());
    return fd;
}

// Takes a connection; it may be one whose client has given up already.
static int serve(int listener)
{
    for (;;) {
        char request[8192];
        char answer[8192];
        int fd = raw_accept(listener);

        if (raw_head(fd, request, sizeof request)) {
            struct raw_frame frame;

            fill_in_accept(GOOD_ANSWER "\r\n", request, answer, sizeof answer);
            raw_puts(fd, answer);
            if (raw_read_frame(fd, &frame)) {
                CHECK(frame.first == RAW_TEXT && strcmp((const char *)frame.data, "hello") == 0);
                return fd;
            }
        }
        close(fd);
    }
}

static uint64_t received; // the last number
static uint64_t lost;     // of those before it

// In order. What is left out was taken by the kernel, told so, and lost with a connection.
static void take(const struct raw_frame *frame)
{
    uint64_t number = strtoull((const char *)frame->data, NULL, 10);

    CHECK_INT(frame->first, RAW_TEXT);
    if (number <= received)
        FAIL("%llu came after %llu", (unsigned long long)number, (unsigned long long)received);
    lost += number - received - 1;
    received = number;
}

static void one_fault(enum fault fault, int fd, int *listener, uint16_t port)
{
    char request[8192];
    struct raw_frame frame;
    int other;

    switch (fault) {
    case RESET:
        raw_reset(fd);
        return;
    case FIN:
        close(fd);
        return;
    case CLOSE:
        raw_plain_frame(fd, RAW_CLOSE, "\x03\xe9", 2);
        while (raw_read_frame(fd, &frame) && frame.first != RAW_CLOSE)
            if (frame.first == RAW_TEXT)
                take(&frame);
        close(fd);
        return;
    case GONE: // the server is killed, and started again after some attempts
        close(*listener);
        raw_reset(fd);
        usleep(60000);
        *listener = listen_again(&port);
        return;
    case SILENT: // nothing comes any more, not even a Pong: the client has to find out
        while (raw_read_frame(fd, &frame) && frame.first != RAW_CLOSE)
            if (frame.first == RAW_TEXT)
                take(&frame);
        close(fd);
        return;
    case REFUSED:
        raw_reset(fd);
        other = raw_answer(*listener, "HTTP/1.1 403 No\r\n\r\n", request, sizeof request);
        close(other);
        return;
    case BUSY:
        raw_reset(fd);
        other = raw_answer(*listener, "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n\r\n", request, sizeof request);
        close(other);
        return;
    case NO_DNS:
        __atomic_store_n(&dns_fails, 1, __ATOMIC_SEQ_CST);
        raw_reset(fd);
        usleep(60000);
        __atomic_store_n(&dns_fails, 0, __ATOMIC_SEQ_CST);
        return;
    case HALF_HEAD: // the server hangs in the handshake
        raw_reset(fd);
        other = raw_accept(*listener);
        raw_puts(other, "HTTP/1.1 101 Swi");
        raw_drain(other);
        close(other);
        return;
    default:
        return;
    }
}

static void a_hundred_faults(void)
{
    int cycles = small_loads() ? 2 * FAULTS : 108;
    uint16_t port = 0;
    int listener = listen_again(&port);
    ws_client_config config = {.struct_size = sizeof config};
    long long began = now_ms();
    long long cpu = cpu_us_of(getpid());
    long long settled = 0;
    ws_client *client;
    pthread_t producer;
    char url[64];
    int cycle;

    snprintf(url, sizeof url, "ws://flaky.test:%u/", (unsigned)port);
    config.url = url;
    config.connect_timeout_ms = (uint32_t)(200 * slowness());
    config.ping_interval_ms = (uint32_t)(100 * slowness());
    config.pong_timeout_ms = (uint32_t)(100 * slowness());
    config.reconnect_min_ms = 5;
    config.reconnect_max_ms = 40;
    config.queue_messages = 200;
    config.on_open = on_open;
    config.on_sent = on_sent;
    config.on_reconnect = on_reconnect;
    OK(ws_client_new(&config, &client));
    OK(ws_client_start(client));
    producing = 1;
    thread_start(&producer, produce, client);

    for (cycle = 0; cycle <= cycles; cycle++) {
        int fd = serve(listener);
        int some = 5 + cycle % 7;

        if (cycle == cycles) {
            // The last connection stays until all has come. What was queued before may be lost with the one before.
            uint64_t before = queued_so_far();

            WAIT_UNTIL(queued_so_far() > before);
            __atomic_store_n(&producing, 0, __ATOMIC_SEQ_CST);
            thread_join(producer);
            some = INT32_MAX;
        }
        while (some > 0 && (cycle < cycles || received < queued_so_far())) {
            struct raw_frame frame;

            CHECK(raw_read_frame(fd, &frame));
            if (frame.first == RAW_PING) {
                raw_plain_frame(fd, RAW_PONG, frame.data, frame.len);
                continue;
            }
            take(&frame);
            some--;
        }
        // Those before it were told; it may be that on_sent has not been called for the last ones yet.
        WAIT_UNTIL(sent_so_far() >= received);
        if (cycle == cycles / 4)
            settled = rss_bytes(0);
        if (cycle < cycles)
            one_fault(cycle % FAULTS, fd, &listener, port);
        else
            close(fd);
    }
    CHECK_INT(ws_client_free(client), WS_OK);
    close(listener);
    CHECK_INT(received, told.sent);
    CHECK(told.opened >= cycles);
    // Each fault costs a few attempts: those while the server or the resolver is away.
    if (told.attempts > (uint64_t)cycles * 8)
        FAIL("%llu attempts in %d cycles", (unsigned long long)told.attempts, cycles);
    cpu = cpu_us_of(getpid()) - cpu;
    printf("    %d cycles in %lld ms: %llu attempts, %llu messages, %llu lost in the kernel, CPU %lld ms, memory %+lld KiB\n",
           cycles, now_ms() - began, (unsigned long long)told.attempts, (unsigned long long)received,
           (unsigned long long)lost, cpu / 1000, (rss_bytes(0) - settled) / 1024);
    if (slowness() == 1) {
        CHECK(cpu / 1000 < (now_ms() - began) / 4);
        CHECK(rss_bytes(0) - settled < 512 * 1024);
    }
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 120);
    RUN(a_hundred_faults);
    WAIT_UNTIL(open_fds() == before);
    return check_end();
}
