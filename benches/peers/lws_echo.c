// Debian's libwebsockets echoing messages, in the way that it documents: what has come is queued, and one piece is written
// for each WRITEABLE callback. Usage: lws_echo PORT (serves), lws_echo PORT CERT KEY (the same over TLS), lws_echo
// client PORT (echoes for a server).

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    struct piece *next;
    size_t len;
    int flags;
    unsigned char data[]; // LWS_PRE bytes of room, then the payload
};

struct queue {
    struct piece *first;
    struct piece **end;
};

static int keep(struct lws *wsi, struct queue *queue, const void *data, size_t len)
{
    struct piece *piece = malloc(sizeof *piece + LWS_PRE + len);

    if (piece == NULL)
        return -1;
    piece->next = NULL;
    piece->len = len;
    piece->flags = lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                      lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
    memcpy(piece->data + LWS_PRE, data, len);
    *queue->end = piece;
    queue->end = &piece->next;
    lws_callback_on_writable(wsi);
    return 0;
}

static struct piece *take(struct queue *queue)
{
    struct piece *piece = queue->first;

    if (piece != NULL) {
        queue->first = piece->next;
        if (queue->first == NULL)
            queue->end = &queue->first;
    }
    return piece;
}

static int write_one(struct lws *wsi, struct queue *queue)
{
    struct piece *piece = take(queue);
    int written;

    if (piece == NULL)
        return 0;
    written = lws_write(wsi, piece->data + LWS_PRE, piece->len, piece->flags);
    written = written < (int)piece->len ? -1 : 0;
    free(piece);
    if (queue->first != NULL)
        lws_callback_on_writable(wsi);
    return written;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *data, size_t len)
{
    struct queue *queue = user;
    struct piece *piece;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        queue->first = NULL;
        queue->end = &queue->first;
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return keep(wsi, queue, data, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return write_one(wsi, queue);
    case LWS_CALLBACK_CLOSED:
        while ((piece = take(queue)) != NULL)
            free(piece);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        exit(reason == LWS_CALLBACK_CLIENT_CLOSED ? 0 : 1);
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {"echo", on_event, sizeof(struct queue), 65536, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    int client = argc == 3 && strcmp(argv[1], "client") == 0;
    int tls = argc == 4;
    int port = argc == 2 + client || tls ? atoi(argv[1 + client]) : 0;
    struct lws_context_creation_info info;
    struct lws_client_connect_info peer;
    struct lws_context *context;

    if (port == 0)
        return 2;
    lws_set_log_level(LLL_ERR, NULL);
    memset(&info, 0, sizeof info);
    info.port = client ? CONTEXT_PORT_NO_LISTEN : port;
    info.iface = client ? NULL : "127.0.0.1";
    info.protocols = protocols;
    info.pt_serv_buf_size = 65536;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    if (tls) {
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[2];
        info.ssl_private_key_filepath = argv[3];
    }
    context = lws_create_context(&info);
    if (context == NULL)
        return 1;
    if (client) {
        memset(&peer, 0, sizeof peer);
        peer.context = context;
        peer.address = "127.0.0.1";
        peer.port = port;
        peer.path = "/";
        peer.host = "127.0.0.1";
        peer.origin = "127.0.0.1";
        peer.local_protocol_name = "echo";
        if (lws_client_connect_via_info(&peer) == NULL)
            return 1;
    }
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
