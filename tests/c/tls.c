// wss:// between libws and itself: certificates from files and from memory, client certificates, reload, every way to
// run and to send. Other TLS implementations are in tests/peers.
#include "certs.h"
#include "harness.h"
#include "relay.h"

#include <sys/stat.h>

static struct recorder server, client;
static char *ca, *cert, *key, *other_cert, *other_key, *client_cert, *client_key; // PEM texts

// --- certificates ---

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = check_alloc(64 * 1024);
    size_t len;

    CHECK(file != NULL);
    len = fread(text, 1, 64 * 1024 - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static void read_certificates(void)
{
    ca = slurp("certs/ca.pem");
    cert = slurp("certs/server.pem");
    key = slurp("certs/server.key");
    other_cert = slurp("certs/other.example.pem");
    other_key = slurp("certs/other.example.key");
    client_cert = slurp("certs/client.pem");
    client_key = slurp("certs/client.key");
}

static void free_certificates(void)
{
    free(ca);
    free(cert);
    free(key);
    free(other_cert);
    free(other_key);
    free(client_cert);
    free(client_key);
}

// --- a server and a client ---

static const char *wss(const char *target)
{
    static char url[256];

    snprintf(url, sizeof url, "wss://localhost:%u%s", (unsigned)ws_server_port(server.server), target);
    return url;
}

static ws_server_config tls_config(void)
{
    ws_server_config config;

    recorder_init(&server);
    config = server_config(&server);
    config.tls_cert = cert;
    config.tls_key = key;
    return config;
}

static void serve(const ws_server_config *config)
{
    OK(ws_server_new(config, &server.server));
    OK(ws_server_listen(server.server, "wss://127.0.0.1:0"));
    OK(ws_server_start(server.server));
}

static ws_client_config trusting(void)
{
    ws_client_config config;

    recorder_init(&client);
    config = client_config(&client, wss("/"));
    config.tls_ca = ca;
    return config;
}

static void connect_with(const ws_client_config *config)
{
    OK(ws_client_new(config, &client.client));
    OK(ws_client_start(client.client));
    EXPECT(&client, OPENED, 0);
}

static void close_both(void)
{
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
    server_end(&server);
}

// A client that must not get through. Its words begin with "tls: " and hold the part.
static void refused(const ws_client_config *config, const char *part)
{
    const struct event *closed;

    OK(ws_client_new(config, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_TLS);
    closed = EXPECT(&client, CLOSED, 0);
    CHECK_INT(closed->status, WS_ERR_TLS);
    CHECK_INT(closed->code, 1006);
    CHECK(strncmp(ws_client_error(client.client), "tls: ", 5) == 0);
    CHECK_HAS(ws_client_error(client.client), part);
    client_end(&client);
}

static const char *filled(size_t len)
{
    static char text[3 * 1024 * 1024];
    size_t i;

    for (i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    return text;
}

// --- parts ---

static void sizes_there_and_back(void)
{
    static const size_t sizes[] = {0, 1, 125, 126, 16383, 16384, 16385, 65535, 65536, 70000, 1000000};
    static const size_t buffers[] = {0, 4096, 20000};
    size_t b, i;

    for (b = 0; b < sizeof buffers / sizeof buffers[0]; b++) {
        ws_server_config config = tls_config();
        ws_client_config own;

        server.echo = 1;
        config.receive_buffer_size = buffers[b];
        serve(&config);
        own = trusting();
        own.receive_buffer_size = buffers[b];
        connect_with(&own);
        for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            const struct event *event;

            OK(ws_client_send(client.client, WS_BINARY, filled(sizes[i]), sizes[i]));
            event = EXPECT(&client, MESSAGE, 0);
            CHECK_INT(event->len, sizes[i]);
            CHECK(memcmp(event->data, filled(sizes[i]), sizes[i]) == 0);
        }
        close_both();
    }
}

static void files_and_texts(void)
{
    ws_server_config config = tls_config();
    ws_client_config own;

    config.tls_cert = "certs/server.pem";
    config.tls_key = "certs/server.key";
    server.echo = 1;
    serve(&config);
    own = trusting();
    own.tls_ca = "certs/ca.pem";
    connect_with(&own);
    close_both();
}

static int subject_upgrade(ws_server *handle, const ws_request *request, ws_response *response, void *user)
{
    (void)handle;
    (void)response;
    (void)user;
    CHECK_STR(ws_request_tls_version(request), "TLSv1.3");
    CHECK_STR(ws_request_tls_subject(request), "O=libws tests,CN=device 7");
    CHECK_INT(strlen(ws_request_tls_key(request)), strlen("sha256/") + 44);
    return strcmp(ws_request_path(request), "/no") == 0 ? 403 : 0;
}

static int anonymous_upgrade(ws_server *handle, const ws_request *request, ws_response *response, void *user)
{
    (void)handle;
    (void)response;
    (void)user;
    CHECK(ws_request_tls_version(request) != NULL);
    CHECK(ws_request_tls_subject(request) == NULL);
    CHECK(ws_request_tls_key(request) == NULL);
    return 0;
}

static void client_certificates(void)
{
    ws_server_config config = tls_config();
    ws_client_config own;

    config.tls_client_ca = ca;
    config.on_upgrade = subject_upgrade;
    serve(&config);
    own = trusting();
    refused(&own, "CertificateRequired");
    own = trusting();
    own.tls_cert = client_cert;
    own.tls_key = client_key;
    own.url = wss("/no");
    OK(ws_client_new(&own, &client.client));
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_HANDSHAKE);
    CHECK_INT(ws_client_http_status(client.client), 403);
    client_end(&client);
    own = trusting();
    own.tls_cert = client_cert;
    own.tls_key = client_key;
    connect_with(&own);
    close_both();

    config = tls_config();
    config.tls_client_ca = ca;
    config.tls_client_optional = 1;
    config.on_upgrade = anonymous_upgrade;
    serve(&config);
    own = trusting();
    connect_with(&own);
    close_both();
}

static void reload(void)
{
    ws_server_config config = tls_config();
    const ws_tls_cert more = {.cert = other_cert, .key = other_key};
    ws_client_config own;
    ws_server_config fresh = {.struct_size = sizeof fresh};

    server.echo = 1;
    serve(&config);
    own = trusting();
    connect_with(&own);

    // Nothing changes when something is wrong.
    CHECK_STATUS(ws_server_reload_tls(server.server, &fresh), WS_ERR_INVALID_ARG);
    fresh.tls_cert = cert;
    fresh.tls_key = other_key;
    CHECK_STATUS(ws_server_reload_tls(server.server, &fresh), WS_ERR_TLS);
    CHECK_HAS(ws_last_error(), "does not belong to");
    fresh.tls_key = "certs/nowhere.key";
    CHECK_STATUS(ws_server_reload_tls(server.server, &fresh), WS_ERR_IO);
    CHECK_STATUS(ws_server_reload_tls(NULL, NULL), WS_ERR_INVALID_ARG);
    OK(ws_server_reload_tls(server.server, NULL));

    fresh.tls_cert = other_cert, fresh.tls_key = other_key;
    OK(ws_server_reload_tls(server.server, &fresh));
    OK(ws_client_send(client.client, WS_TEXT, "still", 5));
    EXPECT_TEXT(&client, 0, "still");
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
    own = trusting();
    refused(&own, "certificate is for other.example, not for localhost");

    // Both, by name.
    fresh.tls_cert = cert;
    fresh.tls_key = key;
    fresh.tls_more_certs = &more;
    fresh.tls_more_certs_len = 1;
    OK(ws_server_reload_tls(server.server, &fresh));
    own = trusting();
    own.tls_server_name = "other.example";
    connect_with(&own);
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
    own = trusting();
    connect_with(&own);
    close_both();
}

static void plain_and_secure_mixed_up(void)
{
    ws_server_config config = tls_config();
    ws_client_config own;
    char url[64];

    OK(ws_server_new(&config, &server.server));
    OK(ws_server_listen(server.server, "wss://127.0.0.1:0"));
    OK(ws_server_listen(server.server, "ws://127.0.0.1:0"));
    OK(ws_server_start(server.server));

    // A client without TLS at the TLS port.
    recorder_init(&client);
    own = client_config(&client, url_of(ws_server_port(server.server), "/"));
    OK(ws_client_new(&own, &client.client));
    CHECK(ws_client_run(client.client) != WS_OK);
    client_end(&client);
    // One with TLS at the port without.
    own = trusting();
    snprintf(url, sizeof url, "wss://localhost:%u", (unsigned)ws_server_listener_port(server.server, 1));
    own.url = url;
    refused(&own, "not TLS");
    // Each where it belongs.
    recorder_init(&client);
    own = client_config(&client, url_of(ws_server_listener_port(server.server, 1), "/"));
    connect_with(&own);
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
    own = trusting();
    connect_with(&own);
    close_both();
}

// A server that is none keeps what is told why it was left: the attempts that follow have room all the same.
static void failed_attempts_leave_room(void)
{
    enum { ATTEMPTS = 40 };
    int fds[ATTEMPTS];
    ws_client_config own;
    uint16_t port;
    int listener = raw_listen(&port);
    char url[64];
    int i;

    recorder_init(&client);
    snprintf(url, sizeof url, "wss://127.0.0.1:%u", (unsigned)port);
    own = client_config(&client, url);
    own.tls_ca = ca;
    own.reconnect_min_ms = 1;
    own.reconnect_max_ms = 1;
    own.close_timeout_ms = 60000;
    OK(ws_client_new(&own, &client.client));
    OK(ws_client_start(client.client));
    for (i = 0; i < ATTEMPTS; i++) {
        fds[i] = raw_accept(listener);
        raw_puts(fds[i], "SSH-2.0-none\r\n");
        CHECK_INT(EXPECT(&client, CLOSED, 0)->status, WS_ERR_TLS);
    }
    client_end(&client);
    for (i = 0; i < ATTEMPTS; i++)
        close(fds[i]);
    close(listener);
}

// What does not fit is refused, and fits later: nothing is lost, also of what waits beneath the queue, in TLS.
static void backpressure(void)
{
    enum { LEN = 30000, COUNT = 400 };
    ws_server_config config = tls_config();
    ws_client_config own;
    ws_conn_id conn;
    int sent = 0, refusals = 0, i;

    config.max_send_queue = 100000;
    serve(&config);
    own = trusting();
    connect_with(&own);
    conn = EXPECT(&server, OPENED, ANY_SUCH)->conn;
    OK(ws_client_pause(client.client));
    while (sent < COUNT) {
        char head[16];
        char *message = check_alloc(LEN);
        ws_status status;

        memset(message, 'm', LEN);
        snprintf(head, sizeof head, "%08d", sent);
        memcpy(message, head, 8);
        status = ws_server_send(server.server, conn, WS_BINARY, message, LEN);
        free(message);
        if (status == WS_ERR_AGAIN) {
            if (refusals++ == 0)
                OK(ws_client_resume(client.client));
            EXPECT(&server, WRITABLE, conn);
            continue;
        }
        OK(status);
        sent++;
    }
    OK(ws_client_resume(client.client));
    CHECK(refusals > 0);
    for (i = 0; i < COUNT; i++) {
        const struct event *event = EXPECT(&client, MESSAGE, 0);

        CHECK_INT(event->len, LEN);
        CHECK_INT(atoi((const char *)event->data), i);
    }
    WAIT_UNTIL(ws_server_buffered(server.server, conn) == 0);
    close_both();
}

// A record that comes in small pieces over a long time: each piece is life, although it brings nothing to tell.
static void a_slow_record_is_life(void)
{
    ws_server_config config = tls_config();
    struct relay relay;
    uint16_t port;
    int listener = raw_listen(&port);
    ws_client_config own;
    char url[64];

    server.echo = 1;
    config.ping_interval_ms = (uint32_t)(300 * slowness());
    config.pong_timeout_ms = (uint32_t)(300 * slowness());
    serve(&config);
    own = trusting();
    snprintf(url, sizeof url, "wss://127.0.0.1:%u", (unsigned)port);
    own.url = url;
    OK(ws_client_new(&own, &client.client));
    OK(ws_client_start(client.client));
    relay_open(&relay, listener, ws_server_port(server.server));
    EXPECT(&client, OPENED, 0);
    // A Pong comes behind the record: for the 0.8 s that it takes there is nothing but its pieces.
    relay_trickle(&relay, 1000);
    OK(ws_client_send(client.client, WS_BINARY, filled(16000), 16000));
    EXPECT_MESSAGE(&client, 0, WS_BINARY, filled(16000), 16000);
    relay_trickle(&relay, 0);
    OK(ws_client_close(client.client, 1000, NULL));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    relay_close(&relay);
    close(listener);
    client_end(&client);
    server_end(&server);
}

static void broadcast_to_many(void)
{
    enum { COUNT = 12 };
    static struct recorder clients[COUNT];
    ws_server_config config = tls_config();
    int i;

    config.threads = 2;
    serve(&config);
    for (i = 0; i < COUNT; i++) {
        ws_client_config own;

        recorder_init(&clients[i]);
        own = client_config(&clients[i], wss("/"));
        own.tls_ca = "certs/ca.pem";
        OK(ws_client_new(&own, &clients[i].client));
        OK(ws_client_start(clients[i].client));
        EXPECT(&clients[i], OPENED, 0);
    }
    for (i = 0; i < COUNT; i++)
        EXPECT(&server, OPENED, ANY_SUCH);
    for (i = 0; i < 20; i++)
        WAIT_UNTIL(ws_server_broadcast(server.server, WS_TEXT, filled(20000), 20000) == WS_OK);
    for (i = 0; i < COUNT * 20; i++)
        CHECK_INT(EXPECT(&clients[i / 20], MESSAGE, 0)->len, 20000);
    // Freed while all are open: each is told, also on the TLS level.
    server_end(&server);
    for (i = 0; i < COUNT; i++) {
        EXPECT_CLOSED(&clients[i], 0, WS_OK, 1001, 1);
        client_end(&clients[i]);
    }
}

static void piece_came(ws_client *handle, const ws_piece *piece, void *user)
{
    size_t *total = user;

    (void)handle;
    CHECK_INT(piece->offset, *total);
    *total += piece->len;
    if (piece->last) {
        CHECK_INT(*total, 2500000);
        ws_client_close(handle, 1000, NULL);
    }
}

static void sent_when_open(struct recorder *recorder, const struct event *event)
{
    if (event->what == OPENED)
        OK(ws_server_send(recorder->server, event->conn, WS_BINARY, filled(2500000), 2500000));
}

static void pieces(void)
{
    ws_server_config config = tls_config();
    ws_client_config own = {.struct_size = sizeof own};
    size_t total = 0;

    config.max_send_queue = 4 * 1024 * 1024;
    server.hook = sent_when_open;
    serve(&config);
    recorder_init(&client);
    own.url = wss("/");
    own.tls_ca = ca;
    own.on_piece = piece_came;
    own.user = &total;
    OK(ws_client_new(&own, &client.client));
    OK(ws_client_run(client.client));
    CHECK_INT(total, 2500000);
    client_end(&client);
    server_end(&server);
}

static void own_loop(void)
{
    ws_server_config config = tls_config();
    ws_client_config own;

    // Both in this thread, turn by turn.
    server.echo = 1;
    OK(ws_server_new(&config, &server.server));
    OK(ws_server_listen(server.server, "wss://127.0.0.1:0"));
    own = trusting();
    OK(ws_client_new(&own, &client.client));
    WAIT_UNTIL(ws_server_poll(server.server, 0) == WS_OK && ws_client_poll(client.client, 0) == WS_OK
               && count_of(&client, OPENED, 0) == 1);
    OK(ws_client_send(client.client, WS_TEXT, "turn", 4));
    WAIT_UNTIL(ws_server_poll(server.server, 0) == WS_OK && ws_client_poll(client.client, 0) == WS_OK
               && count_of(&client, MESSAGE, 0) == 1);
    OK(ws_client_close(client.client, 1000, NULL));
    WAIT_UNTIL(ws_server_poll(server.server, 0) == WS_OK
               && (ws_client_poll(client.client, 0), count_of(&client, CLOSED, 0) == 1));
    client_end(&client);
    server_end(&server);
}

static void wrong_configs(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *handle;

    config.tls_cert = cert;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_INVALID_ARG);
    config.tls_key = "";
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_IO);
    config.tls_key = cert;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_TLS);
    CHECK_HAS(ws_last_error(), "no private key");
    config.tls_cert = key, config.tls_key = key;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_TLS);
    CHECK_HAS(ws_last_error(), "no certificate");
    config.tls_cert = NULL, config.tls_key = NULL, config.tls_client_ca = ca;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_INVALID_ARG);
    config.tls_client_ca = NULL, config.tls_more_certs_len = 1;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_INVALID_ARG);
    config.tls_cert = cert, config.tls_key = key;
    CHECK_STATUS(ws_server_new(&config, &handle), WS_ERR_INVALID_ARG);
    CHECK(handle == NULL);
    CHECK(ws_request_tls_version(NULL) == NULL);
    CHECK(ws_request_tls_subject(NULL) == NULL);
    CHECK(ws_request_tls_key(NULL) == NULL);
}

// A client's are looked at for wss://, and for ws:// too if a redirect may lead from there to wss.
static void wrong_client_configs(void)
{
    static const char *const urls[] = {"wss://localhost:9", "ws://localhost:9", "ws://no_name_for_certificates:9"};
    ws_client *handle;
    size_t i;

    for (i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ws_client_config config = {.struct_size = sizeof config, .url = urls[i], .max_redirects = 1};

        config.tls_ca = "certs/none.pem";
        CHECK_STATUS(ws_client_new(&config, &handle), WS_ERR_IO);
        CHECK_HAS(ws_last_error(), "tls_ca");
        config.tls_ca = ca, config.tls_pins = "sha256/short";
        CHECK_STATUS(ws_client_new(&config, &handle), WS_ERR_INVALID_ARG);
        CHECK_HAS(ws_last_error(), "tls_pins");
        config.tls_pins = NULL, config.tls_server_name = "no name";
        CHECK_STATUS(ws_client_new(&config, &handle), WS_ERR_INVALID_ARG);
        CHECK_HAS(ws_last_error(), "tls_server_name");
        CHECK(handle == NULL);
        config.tls_server_name = "other.example";
        OK(ws_client_new(&config, &handle));
        OK(ws_client_free(handle));
    }
}

static void without_tls(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_client_config own = {.struct_size = sizeof own, .url = "wss://localhost"};
    ws_server *handle;
    ws_client *other;

    CHECK_STATUS(ws_client_new(&own, &other), WS_ERR_UNSUPPORTED);
    OK(ws_server_new(&config, &handle));
    CHECK_STATUS(ws_server_listen(handle, "wss://127.0.0.1:0"), WS_ERR_UNSUPPORTED);
    OK(ws_server_free(handle));
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 120);
    if (!has_tls()) {
        RUN(without_tls);
        return check_end();
    }
    if (!make_certificates("other.example"))
        return check_end();
    read_certificates();
    RUN(sizes_there_and_back);
    RUN(files_and_texts);
    RUN(client_certificates);
    RUN(reload);
    RUN(plain_and_secure_mixed_up);
    RUN(failed_attempts_leave_room);
    RUN(backpressure);
    RUN(a_slow_record_is_life);
    RUN(broadcast_to_many);
    RUN(pieces);
    RUN(own_loop);
    RUN(wrong_configs);
    RUN(wrong_client_configs);
    free_certificates();
    return check_end();
}
