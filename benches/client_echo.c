// A client of libws that echoes for a server, for benches/compare. Usage: client_echo PORT

#include <libws.h>
#include <stdio.h>

static void on_message(ws_client *client, const ws_message *message, void *user)
{
    (void)user;
    if (ws_client_send(client, message->kind, message->data, message->len) != WS_OK)
        fprintf(stderr, "client_echo: %s\n", ws_last_error());
}

int main(int argc, char **argv)
{
    ws_client_config config = {.struct_size = sizeof config};
    ws_client *client;
    char url[64];

    snprintf(url, sizeof url, "ws://127.0.0.1:%s/", argc == 2 ? argv[1] : "0");
    config.url = url;
    config.max_message_size = 16 * 1024 * 1024;
    config.on_message = on_message;
    if (ws_client_new(&config, &client) != WS_OK) {
        fprintf(stderr, "client_echo: %s\n", ws_last_error());
        return 1;
    }
    ws_client_run(client);
    ws_client_free(client);
    return 0;
}
