// Every wrong argument is answered with the status that the header names, changes nothing, and never crashes. Calls at
// the wrong time are in reentry.c.
#include "harness.h"

#include <limits.h>

static ws_server *new_server(void)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    OK(ws_server_new(&config, &server));
    return server;
}

static void null_server(void)
{
    ws_stats stats = {.struct_size = sizeof stats};
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server = (ws_server *)&config;
    int value;

    CHECK_STATUS(ws_server_new(NULL, &server), WS_ERR_INVALID_ARG);
    CHECK(server == NULL);
    CHECK_STATUS(ws_server_new(&config, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_new(NULL, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_listen(NULL, "ws://127.0.0.1:0"), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_server_port(NULL), 0);
    CHECK_INT(ws_server_listener_port(NULL, 0), 0);
    CHECK_STATUS(ws_server_run(NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_start(NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_poll(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_server_fd(NULL), -1);
    ws_server_stop(NULL);
    OK(ws_server_free(NULL));
    CHECK_STATUS(ws_server_send(NULL, 1, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_broadcast(NULL, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_publish(NULL, "t", WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_subscribe(NULL, 1, "t"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_unsubscribe(NULL, 1, "t"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_ping(NULL, 1, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_close(NULL, 1, 1000, "x"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_pause(NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_resume(NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_server_buffered(NULL, 1), 0);
    CHECK_STATUS(ws_server_set_conn_user(NULL, 1, &value), WS_ERR_INVALID_ARG);
    CHECK(ws_server_conn_user(NULL, 1) == NULL);
    CHECK_STATUS(ws_server_stats(NULL, &stats), WS_ERR_INVALID_ARG);

    server = new_server();
    CHECK_STATUS(ws_server_listen(server, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_stats(server, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_broadcast(server, WS_TEXT, NULL, 1), WS_ERR_INVALID_ARG);
    OK(ws_server_broadcast(server, WS_TEXT, NULL, 0));
    CHECK_STATUS(ws_server_publish(server, NULL, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    OK(ws_server_publish(server, "nobody is there", WS_TEXT, "x", 1));
    CHECK_INT(ws_server_port(server), 0);
    CHECK_INT(ws_server_listener_port(server, 0), 0);
    CHECK_INT(ws_server_listener_port(server, UINT32_MAX), 0);
    OK(ws_server_free(server));
}

static void null_client(void)
{
    ws_stats stats = {.struct_size = sizeof stats};
    ws_client_config config = {.struct_size = sizeof config, .url = "ws://127.0.0.1:1"};
    ws_client *client = (ws_client *)&config;

    CHECK_STATUS(ws_client_new(NULL, &client), WS_ERR_INVALID_ARG);
    CHECK(client == NULL);
    CHECK_STATUS(ws_client_new(&config, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_run(NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_start(NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_poll(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_client_fd(NULL), -1);
    CHECK_STATUS(ws_client_send(NULL, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_ping(NULL, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_close(NULL, 1000, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_pause(NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_resume(NULL), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_client_buffered(NULL), 0);
    CHECK(ws_client_error(NULL) != NULL);
    CHECK_INT(ws_client_http_status(NULL), 0);
    CHECK(ws_client_subprotocol(NULL) == NULL);
    CHECK_STATUS(ws_client_stats(NULL, &stats), WS_ERR_INVALID_ARG);
    ws_client_stop(NULL);
    OK(ws_client_free(NULL));

    OK(ws_client_new(&config, &client));
    CHECK_STATUS(ws_client_stats(client, NULL), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send(client, WS_TEXT, NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_client_send(client, WS_TEXT, "early", 5), WS_ERR_CLOSED);
    CHECK_STATUS(ws_client_ping(client, "early", 5), WS_ERR_CLOSED);
    CHECK_STATUS(ws_client_pause(client), WS_ERR_CLOSED);
    CHECK_STATUS(ws_client_resume(client), WS_ERR_CLOSED);
    CHECK_INT(ws_client_buffered(client), 0);
    CHECK_STR(ws_client_error(client), "");
    CHECK_INT(ws_client_http_status(client), 0);
    CHECK(ws_client_subprotocol(client) == NULL);
    OK(ws_client_free(client));
}

static void null_request(void)
{
    CHECK_STR(ws_request_method(NULL), "");
    CHECK(ws_request_path(NULL) != NULL);
    CHECK(ws_request_query(NULL) != NULL);
    CHECK(ws_request_peer(NULL) != NULL);
    CHECK(ws_request_header(NULL, "Host") == NULL);
    CHECK(ws_request_subprotocol(NULL) == NULL);
    CHECK_STATUS(ws_response_header(NULL, "A", "b"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_subprotocol(NULL, "a"), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_response_body(NULL, 200, "text/plain", "a", 1), WS_ERR_INVALID_ARG);
    ws_set_log(NULL, INT_MAX, NULL);
    ws_set_log(NULL, INT_MIN, NULL);
}

static void struct_sizes(void)
{
    struct {
        ws_server_config config;
        unsigned char tail[64];
    } newer_server;
    struct {
        ws_client_config config;
        unsigned char tail[64];
    } newer_client;
    const size_t wrong[] = {0, 1, 3, sizeof(size_t) - 1, SIZE_MAX};
    ws_server *server;
    ws_client *client;
    ws_stats stats;
    size_t i;

    memset(&newer_server, 0, sizeof newer_server);
    memset(&newer_client, 0, sizeof newer_client);
    newer_client.config.url = "ws://127.0.0.1:1";
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memset(&stats, 0xee, sizeof stats);
        stats.struct_size = newer_server.config.struct_size = newer_client.config.struct_size = wrong[i];
        server = (ws_server *)&stats;
        client = (ws_client *)&stats;
        CHECK_STATUS(ws_server_new(&newer_server.config, &server), WS_ERR_INVALID_ARG);
        CHECK(server == NULL);
        CHECK_HAS(ws_last_error(), "struct_size");
        CHECK_STATUS(ws_client_new(&newer_client.config, &client), WS_ERR_INVALID_ARG);
        CHECK(client == NULL);
        CHECK_HAS(ws_last_error(), "struct_size");
    }

    // A program built against a newer header, as long as it asks for nothing unknown.
    newer_server.config.struct_size = sizeof newer_server;
    newer_client.config.struct_size = sizeof newer_client;
    OK(ws_server_new(&newer_server.config, &server));
    OK(ws_server_free(server));
    OK(ws_client_new(&newer_client.config, &client));
    OK(ws_client_free(client));
    newer_server.tail[63] = 1;
    newer_client.tail[0] = 1;
    CHECK_STATUS(ws_server_new(&newer_server.config, &server), WS_ERR_INVALID_ARG);
    CHECK(server == NULL);
    CHECK_STATUS(ws_client_new(&newer_client.config, &client), WS_ERR_INVALID_ARG);
    CHECK(client == NULL);

    // One built against an older header: what lies behind its struct is never looked at.
    memset(&newer_server, 0xee, sizeof newer_server);
    memset(&newer_server, 0, offsetof(ws_server_config, on_upgrade));
    newer_server.config.struct_size = offsetof(ws_server_config, on_upgrade);
    OK(ws_server_new(&newer_server.config, &server));
    memset(&newer_client, 0xee, sizeof newer_client);
    memset(&newer_client, 0, offsetof(ws_client_config, on_open));
    newer_client.config.struct_size = offsetof(ws_client_config, on_open);
    newer_client.config.url = "ws://127.0.0.1:1";
    OK(ws_client_new(&newer_client.config, &client));
    OK(ws_client_free(client));

    for (i = 0; i < 4; i++) {
        stats.struct_size = wrong[i];
        CHECK_STATUS(ws_server_stats(server, &stats), WS_ERR_INVALID_ARG);
    }
    memset(&stats, 0xee, sizeof stats);
    stats.struct_size = offsetof(ws_stats, messages_received);
    OK(ws_server_stats(server, &stats));
    CHECK_INT(stats.connections_open, 0);
    CHECK_INT(stats.http_requests, 0);
    CHECK_INT(stats.struct_size, offsetof(ws_stats, messages_received));
    CHECK(stats.messages_received == 0xeeeeeeeeeeeeeeeeull);
    OK(ws_server_free(server));
}

#define REFUSED(config, field) refused(__LINE__, &(config), field)

static void refused(int line, const ws_server_config *config, const char *field)
{
    ws_server *server = (ws_server *)(uintptr_t)config;
    ws_status status = ws_server_new(config, &server);

    if (status != WS_ERR_INVALID_ARG || server != NULL)
        fail_at(__FILE__, line, "ws_server_new() with a bad %s answered %d", field, (int)status);
    if (strstr(ws_last_error(), field) == NULL)
        fail_at(__FILE__, line, "ws_last_error() does not name %s: %s", field, ws_last_error());
}

static void bad_piece(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user)
{
    (void)server;
    (void)conn;
    (void)piece;
    (void)user;
}

static void server_fields(void)
{
    static const char *const bad_paths[] = {"", "ws", "ws/", "/a b", "/a\r\nX: y", "/a\n", "/\x7f", "/\xc3\xa4", "/a?b", "/a#b"};
    static const char *const bad_lists[] = {"a b", "a\r\n", "a,\r\nb", "a;b", "\xc3\xa4", "a\x01"};
    const ws_server_config good = {.struct_size = sizeof good};
    ws_server_config config;
    size_t i;

    config = good, config.threads = 65, REFUSED(config, "threads");
    config = good, config.threads = UINT32_MAX, REFUSED(config, "threads");
    config = good, config.max_connections = 1000001, REFUSED(config, "max_connections");
    config = good, config.receive_buffer_size = 4095, REFUSED(config, "receive_buffer_size");
    config = good, config.receive_buffer_size = 16 * 1024 * 1024 + 1, REFUSED(config, "receive_buffer_size");
    config = good, config.receive_buffer_size = SIZE_MAX, REFUSED(config, "receive_buffer_size");
    config = good, config.on_message = server_message, config.on_piece = bad_piece, REFUSED(config, "on_piece");
    for (i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++)
        config = good, config.path = bad_paths[i], REFUSED(config, "path");
    for (i = 0; i < sizeof bad_lists / sizeof bad_lists[0]; i++)
        config = good, config.subprotocols = bad_lists[i], REFUSED(config, "subprotocols");
    config = good, config.allowed_origins = "https://a\r\nb", REFUSED(config, "allowed_origins");
    config = good, config.allowed_hosts = "a\r\nb", REFUSED(config, "allowed_hosts");
}

static void client_refused(const ws_client_config *config, ws_status expected, const char *what)
{
    ws_client *client = (ws_client *)(uintptr_t)config;
    ws_status status = ws_client_new(config, &client);

    if (status != expected || client != NULL)
        FAIL("ws_client_new() with %s answered %d", what, (int)status);
    CHECK(ws_last_error()[0] != '\0');
}

static void client_fields(void)
{
    static const char *const bad_urls[] = {
        "", "127.0.0.1", "http://127.0.0.1/", "ws:/127.0.0.1", "ws//127.0.0.1", "ws://", "ws:///path", "ws://:80/",
        "ws://h:0/", "ws://h:65536/", "ws://h:-1/", "ws://h:8a/", "ws://h:4294967376/", "ws://[::1", "ws://[::1/",
        "ws://[zz]/", "ws://[::1]x/", "ws://::1/", "ws://h h/", "ws://h/a b", "ws://h/\r\nX: y", "ws://h/\n",
        "ws://h\r\n/", "ws://h/\x01", "ws://h/\x7f", "ws://h/#fragment", "ws://h\xc3\xa4/", "ws://h/\xff",
        " ws://h/", "ws://h/ ", "unix:", "fd:0",
    };
    static const char *const bad_headers[] = {
        "Name", "Name value\r\n", ": value\r\n", " Name: value\r\n", "Na me: value\r\n", "Name : value\r\n",
        "Name: a\rb\r\n", "Name: a\nb\r\n", "Name: a\r\n\r\nGET / HTTP/1.1\r\n", "\r\n", "Name: a\r\n\r\n",
        "Name: \x01\r\n", "Name: \x7f\r\n", "Name: \xc3\xa4\r\n", "N\xc3\xa4me: a\r\n", "Name: a\r\n folded\r\n",
        "Host: h\r\n", "host: h\r\n", "Upgrade: x\r\n", "Connection: x\r\n", "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n", "Sec-WebSocket-Key: x\r\n", "sec-websocket-protocol: x\r\n",
        "Sec-WebSocket-Anything: x\r\n", "Good: a\r\nHost: h\r\n",
    };
    static const char *const bad_lists[] = {"a b", "a\r\nX: y", "a,,\n", "a;b", "\xc3\xa4", "a\"b"};
    const ws_client_config good = {.struct_size = sizeof good, .url = "ws://127.0.0.1:1/"};
    ws_client_config config;
    ws_client *client;
    char *huge = check_alloc(1024 * 1024 + 1);
    size_t i;

    for (i = 0; i < sizeof bad_urls / sizeof bad_urls[0]; i++)
        config = good, config.url = bad_urls[i], client_refused(&config, WS_ERR_INVALID_ARG, bad_urls[i]);
    config = good, config.url = NULL, client_refused(&config, WS_ERR_INVALID_ARG, "no url");
    CHECK_HAS(ws_last_error(), "url");
    if (has_tls()) {
        config = good, config.url = "wss://127.0.0.1/", config.tls_ca = "/no/such/file", client_refused(&config, WS_ERR_IO, "tls_ca");
        config.tls_ca = "-----BEGIN nonsense", client_refused(&config, WS_ERR_TLS, "malformed tls_ca");
        config.tls_ca = "", client_refused(&config, WS_ERR_IO, "empty tls_ca");
        config.tls_ca = NULL, config.tls_insecure_skip_verify = 1;
        config.tls_pins = "sha256/AAAA", client_refused(&config, WS_ERR_INVALID_ARG, "short pin");
        config.tls_pins = "md5/AAAA", client_refused(&config, WS_ERR_INVALID_ARG, "pin of another kind");
        config.tls_pins = "", client_refused(&config, WS_ERR_INVALID_ARG, "empty tls_pins");
        config.tls_pins = NULL, config.tls_cert = "x", client_refused(&config, WS_ERR_INVALID_ARG, "tls_cert alone");
        config.tls_cert = NULL, config.tls_key = "x", client_refused(&config, WS_ERR_INVALID_ARG, "tls_key alone");
        config.tls_key = NULL, config.tls_server_name = "a b", client_refused(&config, WS_ERR_INVALID_ARG, "tls_server_name");
        CHECK_HAS(ws_last_error(), "tls_server_name");
        config.tls_server_name = NULL, config.url = "wss://-/", client_refused(&config, WS_ERR_INVALID_ARG, "url");
        CHECK_HAS(ws_last_error(), "url");
        config.url = "wss://127.0.0.1/";
        config.tls_server_name = "\xff", client_refused(&config, WS_ERR_INVALID_ARG, "tls_server_name");
    } else {
        config = good, config.url = "wss://127.0.0.1/", client_refused(&config, WS_ERR_UNSUPPORTED, "wss");
    }
    for (i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++)
        config = good, config.headers = bad_headers[i], client_refused(&config, WS_ERR_INVALID_ARG, bad_headers[i]);
    for (i = 0; i < sizeof bad_lists / sizeof bad_lists[0]; i++)
        config = good, config.subprotocols = bad_lists[i],
        client_refused(&config, WS_ERR_INVALID_ARG, bad_lists[i]);
    config = good, config.receive_buffer_size = 1, client_refused(&config, WS_ERR_INVALID_ARG, "a tiny buffer");
    CHECK_HAS(ws_last_error(), "receive_buffer_size");

    // A header of 1 MiB is legal in itself: taken or refused, but not cut off.
    memset(huge, 'a', 1024 * 1024);
    memcpy(huge, "Name: ", 6);
    memcpy(huge + 1024 * 1024 - 2, "\r\n", 2);
    config = good, config.headers = huge;
    if (ws_client_new(&config, &client) != WS_OK)
        CHECK(client == NULL && ws_last_error()[0] != '\0');
    OK(ws_client_free(client));
    free(huge);
}

static void listen_urls(void)
{
    static const char *const bad[] = {
        "", "127.0.0.1", "127.0.0.1:0", "http://127.0.0.1:0", "ws:127.0.0.1:0", "ws://", "ws://:0", "ws://127.0.0.1:65536",
        "ws://127.0.0.1:x", "ws://127.0.0.1:-1", "ws://[::1:0", "ws://[zz]:0", "ws://::1:0", "ws://127.0.0.1:0 ",
        "ws://127.0.0.1:0\r\n", "unix:", "fd:", "fd:-1", "fd:x", "fd:3x", "fd:99999999999",
    };
    ws_server *server = new_server();
    char long_path[300] = "unix:/";
    char url[64];
    uint16_t port;
    int taken = raw_listen(&port);
    int pipes[2];
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ws_server_listen(server, bad[i]) != WS_ERR_INVALID_ARG)
            FAIL("ws_server_listen(\"%s\") was not refused", bad[i]);
    memset(long_path + 6, 'x', 200);
    CHECK_STATUS(ws_server_listen(server, long_path), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_listen(server, "wss://127.0.0.1:0"), has_tls() ? WS_ERR_INVALID_ARG : WS_ERR_UNSUPPORTED);

    // Descriptors that are none, or that do not listen. They stay the caller's.
    CHECK(ws_server_listen(server, "fd:987654") != WS_OK);
    SYS(pipe2(pipes, O_CLOEXEC));
    snprintf(url, sizeof url, "fd:%d", pipes[0]);
    CHECK(ws_server_listen(server, url) != WS_OK);
    SYS(close(pipes[0]));
    SYS(close(pipes[1]));

    // The same one twice: it goes on as the first.
    snprintf(url, sizeof url, "fd:%d", (int)SYS(dup(taken)));
    OK(ws_server_listen(server, url));
    CHECK_STATUS(ws_server_listen(server, url), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_server_port(server), port);
    OK(ws_server_free(server));
    server = new_server();

    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)port);
    errno = 0;
    CHECK_STATUS(ws_server_listen(server, url), WS_ERR_IO);
    CHECK_INT(errno, EADDRINUSE);
    CHECK_HAS(ws_last_error(), url + 5);
    CHECK_STATUS(ws_server_listen(server, "unix:/no/such/folder/socket"), WS_ERR_IO);
    CHECK_INT(errno, ENOENT);
    CHECK_STATUS(ws_server_listen(server, "ws://no-such-host.invalid:0"), WS_ERR_DNS);
    CHECK_HAS(ws_last_error(), "no-such-host.invalid");

    // None of it was taken for a listener.
    CHECK_INT(ws_server_listener_port(server, 0), 0);
    OK(ws_server_listen(server, "ws://127.0.0.1:0"));
    CHECK(ws_server_listener_port(server, 0) != 0);
    OK(ws_server_free(server));
    close(taken);
}

// One call of everything that takes a connection id; each must answer WS_ERR_CLOSED.
static void check_stale(ws_server *server, ws_conn_id conn)
{
    CHECK_STATUS(ws_server_send(server, conn, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_ping(server, conn, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_close(server, conn, 1000, "x"), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_pause(server, conn), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_resume(server, conn), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_subscribe(server, conn, "t"), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_unsubscribe(server, conn, "t"), WS_ERR_CLOSED);
    CHECK_STATUS(ws_server_set_conn_user(server, conn, server), WS_ERR_CLOSED);
    CHECK(ws_server_conn_user(server, conn) == NULL);
    CHECK_INT(ws_server_buffered(server, conn), 0);
}

static void stale_ids(void)
{
    struct recorder recorder;
    struct recorder other;
    uint16_t port = echo_start(&recorder);
    ws_conn_id live;
    ws_conn_id gone;
    uint64_t random = 88172645463325252ull;
    int live_fd;
    int gone_fd;
    int i;

    echo_start(&other);
    gone_fd = peer_open(&recorder, port, &gone);
    raw_close_frame(gone_fd, 1000, "");
    RAW_EXPECT_CLOSE(gone_fd, 1000, NULL);
    close(gone_fd);
    EXPECT_CLOSED(&recorder, gone, WS_OK, 1000, 1);
    live_fd = peer_open(&recorder, port, &live);

    CHECK(live != gone && live != 0);
    check_stale(recorder.server, gone);
    check_stale(recorder.server, 0);
    check_stale(recorder.server, UINT64_MAX);
    check_stale(other.server, live);
    for (i = 0; i < 64; i++)
        check_stale(recorder.server, live ^ 1ull << i);
    for (i = 0; i < 100000 / slowness(); i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (random != live)
            CHECK_STATUS(ws_server_send(recorder.server, random, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    }
    raw_echo(live_fd, "the live one is untouched");
    close(live_fd);
    server_end(&other);
    server_end(&recorder);
}

static void *first_error_of_a_thread(void *unused)
{
    CHECK_STR(ws_last_error(), "");
    CHECK_STATUS(ws_server_poll(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK(ws_last_error()[0] != '\0');
    return unused;
}

static void words(void)
{
    pthread_t thread;
    char before[256];
    int a;
    int b;

    for (a = -1000; a <= 1000; a++)
        CHECK(ws_strerror(a) != NULL && ws_strerror(a)[0] != '\0');
    CHECK(ws_strerror(INT_MIN) != NULL && ws_strerror(INT_MAX) != NULL);
    for (a = 0; a >= WS_ERR_PROTOCOL; a--)
        for (b = a - 1; b >= WS_ERR_PROTOCOL - 1; b--)
            if (strcmp(ws_strerror(a), ws_strerror(b)) == 0)
                FAIL("%d and %d have the same sentence", a, b);
    CHECK_STR(ws_version(), WS_VERSION);

    CHECK_STATUS(ws_server_run(NULL), WS_ERR_INVALID_ARG);
    snprintf(before, sizeof before, "%s", ws_last_error());
    CHECK(before[0] != '\0');
    thread_start(&thread, first_error_of_a_thread, NULL);
    thread_join(thread);
    OK(ws_server_free(NULL));
    CHECK_STR(ws_last_error(), before);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(null_server);
    RUN(null_client);
    RUN(null_request);
    RUN(struct_sizes);
    RUN(server_fields);
    RUN(client_fields);
    RUN(listen_urls);
    RUN(stale_ids);
    RUN(words);
    return check_end();
}
