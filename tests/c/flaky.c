// A link that fails in every way, a hundred times: the client always comes back, does not spin, keeps its memory, and what
// is queued arrives in order. Once with a server made by hand, and once over TLS, where the server is libws's and the faults
// come from the wire between them. The program has a resolver of its own, so that lookups can fail.
#include "addresses.h"
#include "certs.h"
#include "harness.h"
#include "raw_server.h"
#include "relay.h"

enum fault { RESET, FIN, CLOSE, GONE, SILENT, REFUSED, BUSY, NO_DNS, HALF_HEAD, FAULTS };

static int dns_fails;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo **end = out;

    (void)node;
    (void)service;
    (void)hints;
    if (__atomic_load_n(&dns_fails, __ATOMIC_SEQ_CST))
        return EAI_AGAIN;
    put_address(&end, "127.0.0.1");
    return 0;
}

static struct {
    pthread_mutex_t lock;
    uint64_t sent;     // the last number that on_sent told
    uint64_t attempts; // of all
    int opened;
    int patient;          // attempts that were put off by Retry-After
    long long not_before; // when the next one may come, if it was put off
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int retry_after; // seconds that a busy server asks for; atomic

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
    if (info->http_status == 503 && __atomic_load_n(&retry_after, __ATOMIC_SEQ_CST) == 1) {
        // As long as was asked for, and up to a quarter more.
        CHECK(info->delay_ms >= 1000 && info->delay_ms <= 1250);
        told.patient++;
        told.not_before = now_ms() + info->delay_ms;
    }
    pthread_mutex_unlock(&told.lock);
}

// A client has come: not sooner than it was asked to, nor much later.
static void check_patience(void)
{
    long long late;

    pthread_mutex_lock(&told.lock);
    late = told.not_before == 0 ? 0 : now_ms() - told.not_before;
    told.not_before = 0;
    pthread_mutex_unlock(&told.lock);
    // The client's clock may be a tick of the kernel's behind.
    if (late < -15 || late > 3000 * slowness())
        FAIL("the client came %lld ms after the time that Retry-After asked for", late);
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

static uint64_t received; // the last number; atomic
static uint64_t lost;     // of those before it

static uint64_t received_so_far(void)
{
    return __atomic_load_n(&received, __ATOMIC_SEQ_CST);
}

// In order. What is left out was taken by the kernel, told so, and lost with a connection.
static void take_text(const char *text)
{
    uint64_t number = strtoull(text, NULL, 10);
    uint64_t last = received_so_far();

    if (number <= last)
        FAIL("%llu came after %llu", (unsigned long long)number, (unsigned long long)last);
    lost += number - last - 1;
    __atomic_store_n(&received, number, __ATOMIC_SEQ_CST);
}

static void take_nothing_yet(void)
{
    __atomic_store_n(&received, 0, __ATOMIC_SEQ_CST);
    lost = 0;
}

// --- the peer: a server, and what can go wrong with it ---

struct peer {
    void (*serve)(void);                        // waits for a client whose "hello" comes
    void (*take)(int some);                     // waits until so many messages more have come
    void (*fault)(enum fault fault, int cycle); // ends the connection in that way
    void (*close)(void);
};

static int listener;
static uint16_t port;

// The server is killed, and started again after some attempts.
static void be_gone(void)
{
    usleep(60000);
    listener = listen_again(&port);
}

static void fail_lookups(void)
{
    __atomic_store_n(&dns_fails, 1, __ATOMIC_SEQ_CST);
    usleep(60000);
    __atomic_store_n(&dns_fails, 0, __ATOMIC_SEQ_CST);
}

// In every fourth round of faults: a second each is much.
static void choose_retry_after(int cycle)
{
    __atomic_store_n(&retry_after, cycle / FAULTS % 4 == 0, __ATOMIC_SEQ_CST);
}

static const char *retry_after_text(void)
{
    return __atomic_load_n(&retry_after, __ATOMIC_SEQ_CST) == 1 ? "1" : "0";
}

// --- made by hand ---

static int hand_fd;

// It may be a connection whose client has given up already.
static void hand_serve(void)
{
    for (;;) {
        char request[8192];
        char answer[8192];

        hand_fd = raw_accept(listener);
        check_patience();
        if (raw_head(hand_fd, request, sizeof request)) {
            struct raw_frame frame;

            fill_in_accept(GOOD_ANSWER "\r\n", request, answer, sizeof answer);
            raw_puts(hand_fd, answer);
            if (raw_read_frame(hand_fd, &frame)) {
                CHECK(frame.first == RAW_TEXT && strcmp((const char *)frame.data, "hello") == 0);
                return;
            }
        }
        close(hand_fd);
    }
}

static void hand_take(int some)
{
    while (some > 0) {
        struct raw_frame frame;

        CHECK(raw_read_frame(hand_fd, &frame));
        if (frame.first == RAW_PING) {
            raw_plain_frame(hand_fd, RAW_PONG, frame.data, frame.len);
            continue;
        }
        CHECK_INT(frame.first, RAW_TEXT);
        take_text((const char *)frame.data);
        some--;
    }
}

// Takes what still comes.
static void hand_close(void)
{
    struct raw_frame frame;

    while (raw_read_frame(hand_fd, &frame) && frame.first != RAW_CLOSE)
        if (frame.first == RAW_TEXT)
            take_text((const char *)frame.data);
    close(hand_fd);
}

static void hand_refuse(const char *answer)
{
    char request[8192];

    close(raw_answer(listener, answer, request, sizeof request));
}

static void hand_fault(enum fault fault, int cycle)
{
    char answer[64];

    switch (fault) {
    case FIN:
        close(hand_fd);
        return;
    case CLOSE:
        raw_plain_frame(hand_fd, RAW_CLOSE, "\x03\xe9", 2);
        hand_close();
        return;
    case SILENT: // nothing comes any more, not even a Pong: the client has to find out
        hand_close();
        return;
    case GONE:
        close(listener);
        raw_reset(hand_fd);
        be_gone();
        return;
    case NO_DNS:
        __atomic_store_n(&dns_fails, 1, __ATOMIC_SEQ_CST);
        raw_reset(hand_fd);
        fail_lookups();
        return;
    default:
        break;
    }
    raw_reset(hand_fd);
    if (fault == REFUSED)
        hand_refuse("HTTP/1.1 403 No\r\n\r\n");
    if (fault == BUSY) {
        choose_retry_after(cycle);
        snprintf(answer, sizeof answer, "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\n\r\n", retry_after_text());
        hand_refuse(answer);
    }
    if (fault == HALF_HEAD) { // the server hangs in the handshake
        hand_fd = raw_accept(listener);
        raw_puts(hand_fd, "HTTP/1.1 101 Swi");
        raw_drain(hand_fd);
        close(hand_fd);
    }
}

// --- libws's, over TLS, behind a relay ---

static ws_server *secure;
static struct relay relay;

static struct {
    int hellos;
    int refusal; // the HTTP status that the next client gets, once
    ws_conn_id conn;
} served; // all atomic

static int served_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *unused)
{
    int refusal = __atomic_exchange_n(&served.refusal, 0, __ATOMIC_SEQ_CST);

    (void)server;
    (void)request;
    (void)unused;
    if (refusal == 503)
        OK(ws_response_header(response, "Retry-After", retry_after_text()));
    return refusal;
}

static void served_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *unused)
{
    (void)server;
    (void)unused;
    CHECK_INT(message->kind, WS_TEXT);
    if (strcmp(message->data, "hello") != 0) {
        take_text(message->data);
        return;
    }
    __atomic_store_n(&served.conn, conn, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&served.hellos, 1, __ATOMIC_SEQ_CST);
}

static void secure_start(void)
{
    ws_server_config config = {.struct_size = sizeof config};

    config.tls_cert = "certs/server.pem";
    config.tls_key = "certs/server.key";
    config.on_upgrade = served_upgrade;
    config.on_message = served_message;
    OK(ws_server_new(&config, &secure));
    OK(ws_server_listen(secure, "wss://127.0.0.1:0"));
    OK(ws_server_start(secure));
}

static void secure_accept(void)
{
    relay_open(&relay, listener, ws_server_port(secure));
    check_patience();
}

static void secure_serve(void)
{
    int before = __atomic_load_n(&served.hellos, __ATOMIC_SEQ_CST);

    for (;;) {
        secure_accept();
        WAIT_UNTIL(__atomic_load_n(&served.hellos, __ATOMIC_SEQ_CST) > before || relay_is_over(&relay));
        if (__atomic_load_n(&served.hellos, __ATOMIC_SEQ_CST) > before)
            return;
        relay_close(&relay);
    }
}

static void secure_take(int some)
{
    uint64_t until = received_so_far() + (uint64_t)some;

    WAIT_UNTIL(received_so_far() >= until);
}

// Until the client has ended it.
static void secure_close(void)
{
    WAIT_UNTIL(relay_is_over(&relay));
    relay_close(&relay);
}

// The client may have given up before it is answered: then the next one is.
static void secure_refuse(int status)
{
    __atomic_store_n(&served.refusal, status, __ATOMIC_SEQ_CST);
    do {
        secure_accept();
        secure_close();
    } while (__atomic_load_n(&served.refusal, __ATOMIC_SEQ_CST) != 0);
}

static void secure_fault(enum fault fault, int cycle)
{
    switch (fault) {
    case FIN: // of TCP, without TLS's close_notify
        relay_close(&relay);
        return;
    case CLOSE:
        OK(ws_server_close(secure, __atomic_load_n(&served.conn, __ATOMIC_SEQ_CST), 1001, ""));
        secure_close();
        return;
    case SILENT:
        relay_allow(&relay, 0);
        secure_close();
        return;
    case GONE:
        close(listener);
        relay_reset(&relay);
        be_gone();
        return;
    case NO_DNS:
        __atomic_store_n(&dns_fails, 1, __ATOMIC_SEQ_CST);
        relay_reset(&relay);
        fail_lookups();
        return;
    default:
        break;
    }
    relay_reset(&relay);
    if (fault == REFUSED)
        secure_refuse(403);
    if (fault == BUSY) {
        choose_retry_after(cycle);
        secure_refuse(503);
    }
    if (fault == HALF_HEAD) { // within the first record of the server, or behind it
        secure_accept();
        relay_allow(&relay, cycle % 2 == 0 ? 50 : 500);
        secure_close();
    }
}

// --- a hundred times ---

static void a_hundred_faults(const char *scheme, const struct peer *peer)
{
    int cycles = small_loads() ? 2 * FAULTS : 108;
    ws_client_config config = {.struct_size = sizeof config};
    long long began = now_ms();
    long long cpu = cpu_us_of(getpid());
    long long settled = 0;
    ws_client *client;
    pthread_t producer;
    uint64_t before;
    char url[64];
    int cycle;

    told.sent = 0, told.attempts = 0, told.opened = 0, told.patient = 0;
    queued = 0;
    take_nothing_yet();
    port = 0;
    listener = listen_again(&port);
    snprintf(url, sizeof url, "%s://flaky.test:%u/", scheme, (unsigned)port);
    config.url = url;
    if (strcmp(scheme, "wss") == 0) {
        config.tls_ca = "certs/ca.pem";
        config.tls_server_name = "localhost";
    }
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

    for (cycle = 0; cycle < cycles; cycle++) {
        peer->serve();
        peer->take(5 + cycle % 7);
        // Those before it were told; it may be that on_sent has not been called for the last ones yet.
        WAIT_UNTIL(sent_so_far() >= received_so_far());
        if (cycle == cycles / 4)
            settled = rss_bytes(0);
        peer->fault(cycle % FAULTS, cycle);
    }
    // The last connection stays until all has come. What was queued before may be lost with the one before.
    before = queued_so_far();
    peer->serve();
    WAIT_UNTIL(queued_so_far() > before);
    __atomic_store_n(&producing, 0, __ATOMIC_SEQ_CST);
    thread_join(producer);
    while (received_so_far() < queued_so_far())
        peer->take(1);
    WAIT_UNTIL(sent_so_far() >= received_so_far());
    OK(ws_client_close(client, 1000, NULL));
    peer->close();
    CHECK_INT(ws_client_free(client), WS_OK);
    close(listener);
    CHECK_INT(received, told.sent);
    CHECK(told.opened >= cycles);
    CHECK(told.patient > 0);
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

static void a_hundred_faults_of_a_server(void)
{
    static const struct peer by_hand = {hand_serve, hand_take, hand_fault, hand_close};

    a_hundred_faults("ws", &by_hand);
}

static void a_hundred_faults_over_tls(void)
{
    static const struct peer over_tls = {secure_serve, secure_take, secure_fault, secure_close};

    secure_start();
    a_hundred_faults("wss", &over_tls);
    OK(ws_server_free(secure));
}

int main(int argc, char **argv)
{
    int before = open_fds();

    check_begin(argc, argv, 240);
    RUN(a_hundred_faults_of_a_server);
    WAIT_UNTIL(open_fds() == before);
    if (has_tls() && make_certificates("")) {
        RUN(a_hundred_faults_over_tls);
        WAIT_UNTIL(open_fds() == before);
    }
    return check_end();
}
