// Servers and clients of libws that write down what their callbacks are told, for a test to wait for and compare. A
// test can also act inside a callback, through a hook. What the peers do is in raw.h.
#ifndef HARNESS_H
#define HARNESS_H

#include "raw.h"

// The library was built with the feature tls.
static inline int has_tls(void)
{
    ws_server_config config = {.struct_size = sizeof config, .tls_cert = "-----BEGIN ", .tls_key = "-----BEGIN "};
    ws_server *server;
    ws_status status = ws_server_new(&config, &server);

    CHECK(status == WS_ERR_TLS || status == WS_ERR_UNSUPPORTED);
    return status == WS_ERR_TLS;
}

enum what { OPENED = 1, MESSAGE, WRITABLE, PONG, CLOSED, RECONNECT, SENT };

struct event {
    enum what what;
    ws_conn_id conn; // 0 from a client
    int taken;
    int kind;
    size_t len;
    unsigned char *data; // a NUL follows
    ws_status status;
    int code;
    int by_peer;
    char reason[128];
    uint64_t number; // of the attempt, of the message
    uint32_t delay_ms;
    int http_status;
    int permanent;
    long long at; // now_ms()
    pthread_t thread;
};

struct recorder;
typedef void (*hook_fn)(struct recorder *recorder, const struct event *event);

struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct event **events;
    size_t count;
    size_t room;
    int echo;     // send every message back
    hook_fn hook; // called inside the callback, before the event can be seen
    void *hook_data;
    ws_server *server; // whichever it is, known inside callbacks too
    ws_client *client;
};

static inline const char *what_name(int what)
{
    static const char *const names[] = {"nothing", "on_open", "on_message", "on_writable", "on_pong", "on_close",
                                        "on_reconnect", "on_sent"};

    return names[what];
}

static inline void recorder_init(struct recorder *recorder)
{
    pthread_condattr_t clock;

    memset(recorder, 0, sizeof *recorder);
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->changed, &clock);
    pthread_condattr_destroy(&clock);
}

static inline void recorder_free(struct recorder *recorder)
{
    size_t i;

    for (i = 0; i < recorder->count; i++) {
        free(recorder->events[i]->data);
        free(recorder->events[i]);
    }
    free(recorder->events);
    pthread_cond_destroy(&recorder->changed);
    pthread_mutex_destroy(&recorder->lock);
    memset(recorder, 0, sizeof *recorder);
}

static inline void record(struct recorder *recorder, const struct event *event)
{
    struct event *copy = check_alloc(sizeof *copy);

    *copy = *event;
    copy->thread = pthread_self();
    copy->at = now_ms();
    copy->data = check_alloc(event->len + 1);
    if (event->len > 0)
        memcpy(copy->data, event->data, event->len);
    if (recorder->hook != NULL)
        recorder->hook(recorder, copy);

    pthread_mutex_lock(&recorder->lock);
    if (recorder->count == recorder->room) {
        recorder->room = recorder->room * 2 + 64;
        recorder->events = realloc(recorder->events, recorder->room * sizeof *recorder->events);
        CHECK(recorder->events != NULL);
    }
    recorder->events[recorder->count++] = copy;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

// How often something has happened so far, to conn or (0) to any.
static inline int count_of(struct recorder *recorder, enum what what, ws_conn_id conn)
{
    int count = 0;
    size_t i;

    pthread_mutex_lock(&recorder->lock);
    for (i = 0; i < recorder->count; i++)
        if (recorder->events[i]->what == what && (conn == 0 || recorder->events[i]->conn == conn))
            count++;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

// In place of a connection: the next event of the expected kind, whatever else has come.
#define ANY_SUCH UINT64_MAX

// The next event of conn, or (0) of any, that has not been taken yet. It must be what is expected.
static inline const struct event *expect_at(const char *file, int line, struct recorder *recorder, enum what what,
                                            ws_conn_id conn)
{
    struct event *found = NULL;
    struct timespec until;
    size_t i = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += deadline_ms() / 1000;
    pthread_mutex_lock(&recorder->lock);
    while (found == NULL) {
        for (; i < recorder->count && found == NULL; i++)
            if (!recorder->events[i]->taken
                && (conn == 0 || recorder->events[i]->conn == conn
                    || (conn == ANY_SUCH && recorder->events[i]->what == what)))
                found = recorder->events[i];
        if (found == NULL && pthread_cond_timedwait(&recorder->changed, &recorder->lock, &until) == ETIMEDOUT)
            fail_at(file, line, "%s did not come in %lld ms", what_name(what), deadline_ms());
    }
    found->taken = 1;
    pthread_mutex_unlock(&recorder->lock);
    if (found->what != what)
        fail_at(file, line, "%s came (%zu bytes \"%.60s\", status %d, code %d, reason \"%s\"), not %s",
                what_name(found->what), found->len, (const char *)found->data, (int)found->status, found->code,
                found->reason, what_name(what));
    return found;
}

static inline const struct event *expect_message_at(const char *file, int line, struct recorder *recorder,
                                                    ws_conn_id conn, int kind, const void *data, size_t len)
{
    const struct event *event = expect_at(file, line, recorder, MESSAGE, conn);

    if (event->kind != kind || event->len != len || memcmp(event->data, data, len) != 0)
        fail_at(file, line, "a message of kind %d, %zu bytes \"%.60s\" came, not of kind %d, %zu bytes", event->kind,
                event->len, (const char *)event->data, kind, len);
    return event;
}

static inline const struct event *expect_close_at(const char *file, int line, struct recorder *recorder,
                                                  ws_conn_id conn, ws_status status, int code, int by_peer)
{
    const struct event *event = expect_at(file, line, recorder, CLOSED, conn);

    if (event->status != status || event->code != code || event->by_peer != by_peer)
        fail_at(file, line, "on_close told status %d (%s), code %d, by_peer %d, reason \"%s\", not %d, %d, %d",
                (int)event->status, ws_strerror(event->status), event->code, event->by_peer, event->reason,
                (int)status, code, by_peer);
    return event;
}

#define EXPECT(recorder, what, conn) expect_at(__FILE__, __LINE__, recorder, what, conn)
#define EXPECT_TEXT(recorder, conn, text) \
    expect_message_at(__FILE__, __LINE__, recorder, conn, WS_TEXT, text, strlen(text))
#define EXPECT_MESSAGE(recorder, conn, kind, data, len) \
    expect_message_at(__FILE__, __LINE__, recorder, conn, kind, data, len)
#define EXPECT_CLOSED(recorder, conn, status, code, by_peer) \
    expect_close_at(__FILE__, __LINE__, recorder, conn, status, code, by_peer)

static inline struct event event_of_close(const ws_close_info *info, ws_conn_id conn)
{
    struct event event = {.what = CLOSED, .conn = conn, .status = info->status, .code = info->code,
                          .by_peer = info->by_peer};

    CHECK(info->reason != NULL);
    snprintf(event.reason, sizeof event.reason, "%s", info->reason);
    return event;
}

// --- a server ---

static inline void server_opened(ws_server *server, ws_conn_id conn, const ws_request *request, void *user)
{
    struct recorder *recorder = user;
    const struct event event = {.what = OPENED, .conn = conn};

    CHECK(server == recorder->server && conn != 0 && request != NULL);
    record(recorder, &event);
}

static inline void server_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    struct recorder *recorder = user;
    const struct event event = {.what = MESSAGE, .conn = conn, .kind = message->kind, .len = message->len,
                                .data = (unsigned char *)(uintptr_t)message->data};

    CHECK(message->data != NULL);
    CHECK_INT(((const char *)message->data)[message->len], 0);
    if (recorder->echo)
        OK(ws_server_send(server, conn, message->kind, message->data, message->len));
    record(recorder, &event);
}

static inline void server_writable(ws_server *server, ws_conn_id conn, void *user)
{
    const struct event event = {.what = WRITABLE, .conn = conn};

    (void)server;
    record(user, &event);
}

static inline void server_pong(ws_server *server, ws_conn_id conn, const void *data, size_t len, void *user)
{
    const struct event event = {.what = PONG, .conn = conn, .len = len, .data = (unsigned char *)(uintptr_t)data};

    (void)server;
    record(user, &event);
}

static inline void server_closed(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    const struct event event = event_of_close(info, conn);

    (void)server;
    record(user, &event);
}

static inline ws_server_config server_config(struct recorder *recorder)
{
    ws_server_config config;

    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.on_open = server_opened;
    config.on_message = server_message;
    config.on_writable = server_writable;
    config.on_pong = server_pong;
    config.on_close = server_closed;
    config.user = recorder;
    return config;
}

// Makes a server that listens at a free port of 127.0.0.1 and runs nowhere yet. Its port.
static inline uint16_t server_make(struct recorder *recorder, const ws_server_config *config)
{
    OK(ws_server_new(config, &recorder->server));
    OK(ws_server_listen(recorder->server, "ws://127.0.0.1:0"));
    CHECK(ws_server_port(recorder->server) != 0);
    return ws_server_port(recorder->server);
}

// The same, running in threads of its own.
static inline uint16_t server_start(struct recorder *recorder, const ws_server_config *config)
{
    uint16_t port = server_make(recorder, config);

    OK(ws_server_start(recorder->server));
    return port;
}

// A server with the usual configuration that sends everything back.
static inline uint16_t echo_start(struct recorder *recorder)
{
    ws_server_config config;

    recorder_init(recorder);
    recorder->echo = 1;
    config = server_config(recorder);
    return server_start(recorder, &config);
}

// Frees the server; each on_open has had its on_close then.
static inline void server_end(struct recorder *recorder)
{
    OK(ws_server_free(recorder->server));
    CHECK_INT(count_of(recorder, CLOSED, 0), count_of(recorder, OPENED, 0));
    recorder_free(recorder);
}

// A raw peer, and the id that the server knows it by.
static inline int peer_open(struct recorder *recorder, uint16_t port, ws_conn_id *conn)
{
    int fd = raw_open(port);

    *conn = EXPECT(recorder, OPENED, ANY_SUCH)->conn;
    return fd;
}

// The numbers follow what they count by a turn of the event loop: wait for them with WAIT_UNTIL.
static inline ws_stats server_stats(const ws_server *server)
{
    ws_stats stats;

    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(ws_server_stats(server, &stats));
    return stats;
}

// --- a client ---

static inline void client_opened(ws_client *client, void *user)
{
    struct recorder *recorder = user;
    const struct event event = {.what = OPENED};

    CHECK(client == recorder->client);
    record(recorder, &event);
}

static inline void client_message(ws_client *client, const ws_message *message, void *user)
{
    const struct event event = {.what = MESSAGE, .kind = message->kind, .len = message->len,
                                .data = (unsigned char *)(uintptr_t)message->data};

    (void)client;
    CHECK_INT(((const char *)message->data)[message->len], 0);
    record(user, &event);
}

static inline void client_writable(ws_client *client, void *user)
{
    const struct event event = {.what = WRITABLE};

    (void)client;
    record(user, &event);
}

static inline void client_pong(ws_client *client, const void *data, size_t len, void *user)
{
    const struct event event = {.what = PONG, .len = len, .data = (unsigned char *)(uintptr_t)data};

    (void)client;
    record(user, &event);
}

static inline void client_closed(ws_client *client, const ws_close_info *info, void *user)
{
    const struct event event = event_of_close(info, 0);

    (void)client;
    record(user, &event);
}

static inline void client_reconnect(ws_client *client, const ws_reconnect_info *info, void *user)
{
    struct event event = {.what = RECONNECT, .status = info->status, .code = info->code, .number = info->attempt,
                          .delay_ms = info->delay_ms, .http_status = info->http_status, .permanent = info->permanent};

    (void)client;
    CHECK(info->reason != NULL);
    snprintf(event.reason, sizeof event.reason, "%s", info->reason);
    record(user, &event);
}

static inline void client_sent(ws_client *client, uint64_t number, ws_status status, void *user)
{
    const struct event event = {.what = SENT, .number = number, .status = status};

    (void)client;
    record(user, &event);
}

// Without on_reconnect and on_sent, which few tests want.
static inline ws_client_config client_config(struct recorder *recorder, const char *url)
{
    ws_client_config config;

    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.url = url;
    config.on_open = client_opened;
    config.on_message = client_message;
    config.on_writable = client_writable;
    config.on_pong = client_pong;
    config.on_close = client_closed;
    config.user = recorder;
    return config;
}

static inline const char *url_of(uint16_t port, const char *target)
{
    static __thread char url[256];

    snprintf(url, sizeof url, "ws://127.0.0.1:%u%s", (unsigned)port, target);
    return url;
}

static inline void client_end(struct recorder *recorder)
{
    OK(ws_client_free(recorder->client));
    recorder_free(recorder);
}

#endif
