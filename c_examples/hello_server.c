// hello_server: the shortest server, it echoes. Run: hello_server [URL], then: ws_cat ws://127.0.0.1:9001
#include <libws.h>
#include <stdio.h>

static void on_message(ws_server *server, ws_conn_id conn, const ws_message *message, void *user)
{
    (void)user;
    if (ws_server_send(server, conn, message->kind, message->data, message->len) != WS_OK)
        ws_server_close(server, conn, 1011, "cannot echo this");
}

int main(int argc, char **argv)
{
    ws_server_config config = {.struct_size = sizeof config, .on_message = on_message};
    ws_server *server;
    int failed = ws_server_new(&config, &server) != WS_OK
        || ws_server_listen(server, argc > 1 ? argv[1] : "ws://127.0.0.1:9001") != WS_OK
        || ws_server_run(server) != WS_OK;
    if (failed)
        fprintf(stderr, "hello_server: %s\n", ws_last_error());
    ws_server_free(server);
    return failed;
}
