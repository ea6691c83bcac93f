// Calls at the wrong time: run, poll, start, free and listen inside callbacks or while another thread runs the handle;
// stop before, twice and after. Each is answered, and the server or client goes on as if it had not been made.
#include "harness.h"

static void refuse_server(ws_server *server)
{
    CHECK_STATUS(ws_server_run(server), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_start(server), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_poll(server, 0), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_free(server), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_listen(server, "ws://127.0.0.1:0"), WS_ERR_REENTRANT);
    CHECK(ws_last_error()[0] != '\0');
}

static void refuse_client(ws_client *client)
{
    CHECK_STATUS(ws_client_run(client), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_client_start(client), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_client_poll(client, 0), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_client_free(client), WS_ERR_REENTRANT);
    CHECK(ws_last_error()[0] != '\0');
}

static void hook(struct recorder *recorder, const struct event *event)
{
    (void)event;
    if (recorder->server != NULL)
        refuse_server(recorder->server);
    if (recorder->client != NULL)
        refuse_client(recorder->client);
}

static int on_upgrade(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    refuse_server(server);
    return 0;
}

static void on_http(ws_server *server, const ws_request *request, ws_response *response, void *user)
{
    (void)request;
    (void)user;
    refuse_server(server);
    OK(ws_response_body(response, 200, NULL, "page", 4));
}

static void in_each_server_callback(void)
{
    struct recorder recorder;
    ws_server_config config;
    ws_conn_id conn;
    struct raw_frame frame;
    char head[4096];
    char body[16];
    char *big = check_alloc(100000);
    uint16_t port;
    int sent = 0;
    int fd;

    recorder_init(&recorder);
    recorder.echo = 1;
    recorder.hook = hook;
    config = server_config(&recorder);
    config.on_upgrade = on_upgrade;
    config.on_http = on_http;
    port = server_start(&recorder, &config);

    fd = raw_connect(port);
    raw_puts(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_head(fd, head, sizeof head));
    raw_body(fd, head, body, sizeof body);
    CHECK_STR(body, "page");
    close(fd);

    fd = peer_open(&recorder, port, &conn);
    raw_echo(fd, "after on_open");
    EXPECT_TEXT(&recorder, conn, "after on_open");
    raw_frame(fd, RAW_PONG, "p", 1);
    EXPECT(&recorder, PONG, conn);
    raw_echo(fd, "after on_pong");
    EXPECT_TEXT(&recorder, conn, "after on_pong");
    while (ws_server_send(recorder.server, conn, WS_BINARY, big, 100000) == WS_OK)
        sent++;
    for (; sent > 0; sent--)
        CHECK(raw_read_data(fd, &frame) && frame.len == 100000);
    EXPECT(&recorder, WRITABLE, conn);
    raw_echo(fd, "after on_writable");
    EXPECT_TEXT(&recorder, conn, "after on_writable");
    raw_close_frame(fd, 1000, "");
    RAW_EXPECT_CLOSE(fd, 1000, NULL);
    EXPECT_CLOSED(&recorder, conn, WS_OK, 1000, 1);
    close(fd);

    fd = peer_open(&recorder, port, &conn);
    raw_echo(fd, "after on_close");
    close(fd);
    free(big);
    server_end(&recorder);
}

static void in_each_client_callback(void)
{
    struct recorder server;
    struct recorder client;
    uint16_t port = echo_start(&server);
    ws_client_config config;

    recorder_init(&client);
    client.hook = hook;
    config = client_config(&client, url_of(port, "/"));
    OK(ws_client_new(&config, &client.client));
    OK(ws_client_start(client.client));
    EXPECT(&client, OPENED, 0);
    OK(ws_client_send(client.client, WS_TEXT, "text", 4));
    EXPECT_TEXT(&client, 0, "text");
    OK(ws_client_ping(client.client, "p", 1));
    CHECK_INT(EXPECT(&client, PONG, 0)->len, 1);
    OK(ws_client_close(client.client, 1000, "done"));
    EXPECT_CLOSED(&client, 0, WS_OK, 1000, 0);
    client_end(&client);
    server_end(&server);
}

// A callback of one server may use another: only the handle itself is busy.
static struct recorder neighbour;

static void use_neighbour(struct recorder *recorder, const struct event *event)
{
    (void)recorder;
    if (event->what == MESSAGE)
        OK(ws_server_broadcast(neighbour.server, WS_TEXT, "from the other", 14));
}

static void across_servers(void)
{
    struct recorder recorder;
    uint16_t neighbour_port = echo_start(&neighbour);
    uint16_t port;
    ws_conn_id conn;
    int listening = raw_open(neighbour_port);
    int speaking;

    // The hook is set before the server runs, as the recorder is not guarded against later changes.
    ws_server_config config;
    recorder_init(&recorder);
    recorder.hook = use_neighbour;
    config = server_config(&recorder);
    port = server_start(&recorder, &config);
    EXPECT(&neighbour, OPENED, 0);
    speaking = peer_open(&recorder, port, &conn);
    raw_text(speaking, "go");
    RAW_EXPECT_TEXT(listening, "from the other");
    close(listening);
    close(speaking);
    server_end(&recorder);
    server_end(&neighbour);
}

static void while_it_runs(void)
{
    struct recorder server;
    struct recorder client;
    uint16_t port = echo_start(&server);
    ws_client_config config;
    int fd = raw_open(port);

    CHECK_STATUS(ws_server_listen(server.server, "ws://127.0.0.1:0"), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_start(server.server), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_run(server.server), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_server_poll(server.server, 0), WS_ERR_REENTRANT);
    raw_echo(fd, "goes on");

    recorder_init(&client);
    config = client_config(&client, url_of(port, "/"));
    OK(ws_client_new(&config, &client.client));
    OK(ws_client_start(client.client));
    EXPECT(&client, OPENED, 0);
    CHECK_STATUS(ws_client_start(client.client), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_client_run(client.client), WS_ERR_REENTRANT);
    CHECK_STATUS(ws_client_poll(client.client, 0), WS_ERR_REENTRANT);
    OK(ws_client_send(client.client, WS_TEXT, "goes on", 7));
    EXPECT_TEXT(&client, 0, "goes on");
    client_end(&client);
    close(fd);
    server_end(&server);
}

static void *run_it(void *server)
{
    OK(ws_server_run(server));
    return NULL;
}

static void refuse_free(ws_server *server)
{
    CHECK_STATUS(ws_server_free(server), WS_ERR_REENTRANT);
}

// With two, it runs in a thread of its own as well, which ws_server_free() could join.
static void while_others_run_it(uint32_t threads, void (*refuse)(ws_server *server))
{
    struct recorder recorder;
    ws_server_config config;
    pthread_t thread;
    uint16_t port;
    int fd;

    recorder_init(&recorder);
    recorder.echo = 1;
    config = server_config(&recorder);
    config.threads = threads;
    port = server_make(&recorder, &config);
    thread_start(&thread, run_it, recorder.server);
    fd = raw_open(port);
    raw_echo(fd, "runs");
    refuse(recorder.server);
    raw_echo(fd, "still runs");
    ws_server_stop(recorder.server);
    ws_server_stop(recorder.server);
    thread_join(thread);
    close(fd);
    server_end(&recorder);
}

static void while_another_thread_runs_it(void)
{
    while_others_run_it(1, refuse_server);
}

static void free_while_two_threads_run_it(void)
{
    while_others_run_it(2, refuse_free);
}

static void wrong_polls(void)
{
    struct recorder recorder;
    ws_server_config config;
    ws_client_config client_settings = {.struct_size = sizeof client_settings, .url = "ws://127.0.0.1:1/"};
    ws_client *client;

    recorder_init(&recorder);
    config = server_config(&recorder);
    config.threads = 2;
    server_make(&recorder, &config);
    CHECK_STATUS(ws_server_poll(recorder.server, 0), WS_ERR_INVALID_ARG);
    OK(ws_server_free(recorder.server));
    config.threads = 1;
    server_make(&recorder, &config);
    CHECK_STATUS(ws_server_poll(recorder.server, -2), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_server_poll(recorder.server, INT32_MIN), WS_ERR_INVALID_ARG);
    OK(ws_server_poll(recorder.server, 0));
    server_end(&recorder);

    OK(ws_client_new(&client_settings, &client));
    CHECK_STATUS(ws_client_poll(client, -2), WS_ERR_INVALID_ARG);
    OK(ws_client_free(client));
}

static void stopped_before(void)
{
    struct recorder recorder;
    ws_server_config config;
    ws_client_config client_settings;

    recorder_init(&recorder);
    config = server_config(&recorder);
    server_make(&recorder, &config);
    ws_server_stop(recorder.server);
    ws_server_stop(recorder.server);
    OK(ws_server_run(recorder.server));
    OK(ws_server_run(recorder.server));
    CHECK_STATUS(ws_server_poll(recorder.server, -1), WS_ERR_CLOSED);
    server_end(&recorder);

    recorder_init(&recorder);
    client_settings = client_config(&recorder, "ws://127.0.0.1:1/");
    OK(ws_client_new(&client_settings, &recorder.client));
    ws_client_stop(recorder.client);
    ws_client_stop(recorder.client);
    OK(ws_client_run(recorder.client));
    CHECK_STATUS(ws_client_poll(recorder.client, -1), WS_ERR_CLOSED);
    client_end(&recorder);
}

static void stop_in_callback(struct recorder *recorder, const struct event *event)
{
    (void)event;
    ws_server_stop(recorder->server);
    ws_server_stop(recorder->server);
}

static void stopped_by_its_own_callback(void)
{
    struct recorder recorder;
    ws_server_config config;
    uint16_t port;
    pthread_t thread;
    int fd;

    recorder_init(&recorder);
    recorder.hook = stop_in_callback;
    config = server_config(&recorder);
    port = server_make(&recorder, &config);
    thread_start(&thread, run_it, recorder.server);
    fd = raw_open(port);
    thread_join(thread);
    EXPECT(&recorder, OPENED, 0);
    CHECK_STATUS(ws_server_poll(recorder.server, 0), WS_ERR_CLOSED);
    close(fd);
    server_end(&recorder);
}

// A client whose own thread has ended is run by nobody.
static void after_its_thread_has_ended(void)
{
    struct recorder recorder;
    ws_client_config config;

    recorder_init(&recorder);
    config = client_config(&recorder, "ws://127.0.0.1:1/");
    OK(ws_client_new(&config, &recorder.client));
    OK(ws_client_start(recorder.client));
    CHECK_INT(EXPECT(&recorder, CLOSED, 0)->status, WS_ERR_IO);
    WAIT_UNTIL(ws_client_poll(recorder.client, 0) == WS_ERR_CLOSED);
    CHECK_STATUS(ws_client_run(recorder.client), WS_ERR_IO);
    OK(ws_client_start(recorder.client));
    WAIT_UNTIL(ws_client_poll(recorder.client, 0) == WS_ERR_CLOSED);
    CHECK_INT(recorder.count, 1);
    client_end(&recorder);
}

static void free_without_running(void)
{
    struct recorder recorder;
    ws_server_config config;
    ws_client_config client_settings;

    recorder_init(&recorder);
    config = server_config(&recorder);
    OK(ws_server_new(&config, &recorder.server));
    server_end(&recorder);
    recorder_init(&recorder);
    server_make(&recorder, &config);
    close(raw_connect(ws_server_port(recorder.server)));
    server_end(&recorder);

    recorder_init(&recorder);
    client_settings = client_config(&recorder, "ws://127.0.0.1:1/");
    OK(ws_client_new(&client_settings, &recorder.client));
    OK(ws_client_free(recorder.client));
    CHECK_INT(recorder.count, 0);
    recorder_free(&recorder);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(in_each_server_callback);
    RUN(in_each_client_callback);
    RUN(across_servers);
    RUN(while_it_runs);
    RUN(while_another_thread_runs_it);
    RUN(free_while_two_threads_run_it);
    RUN(wrong_polls);
    RUN(stopped_before);
    RUN(stopped_by_its_own_callback);
    RUN(after_its_thread_has_ended);
    RUN(free_without_running);
    return check_end();
}
