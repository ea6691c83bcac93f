// ws_proto: every wrong call is answered with the status that the header names, changes nothing, and never crashes.
#include "check.h"
#include "proto.h"

static void null_handle(void)
{
    ws_proto_event event = {.struct_size = sizeof event};
    ws_proto_config config = {.struct_size = sizeof config, .role = WS_SERVER};
    ws_proto *proto = (ws_proto *)&config;
    const void *data;

    CHECK_STATUS(ws_proto_new(NULL, 0, &proto), WS_ERR_INVALID_ARG);
    CHECK(proto == NULL);
    CHECK_STATUS(ws_proto_new(&config, 0, NULL), WS_ERR_INVALID_ARG);
    ws_proto_free(NULL);
    CHECK_STATUS(ws_proto_feed(NULL, &event, 1, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_next(NULL, &event), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_accept(NULL, NULL, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(NULL, 404, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send(NULL, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send_fragment(NULL, WS_TEXT, "x", 1, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_ping(NULL, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_pong(NULL, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_close(NULL, 1000, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_pause(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_resume(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_proto_output(NULL, &data), 0);
    CHECK_STATUS(ws_proto_written(NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_proto_buffered(NULL), 0);
    CHECK(ws_proto_deadline(NULL) == UINT64_MAX);
    CHECK_STATUS(ws_proto_tick(NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_eof(NULL), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_proto_wants_end(NULL), WS_PROTO_END);
    CHECK_INT(ws_proto_is_open(NULL), 0);
    CHECK(ws_proto_subprotocol(NULL) == NULL);
}

static void config_is_checked(void)
{
    static const struct {
        ws_proto_config config;
        const char *named;
    } wrong[] = {
        {{.role = 0}, "role"},
        {{.role = 3}, "role"},
        {{.role = WS_CLIENT}, "url"},
        {{.role = WS_CLIENT, .url = "http://a"}, "url"},
        {{.role = WS_CLIENT, .url = "ws://a/\r\nX: y"}, "url"},
        {{.role = WS_CLIENT, .url = "ws://a", .headers = "X"}, "headers"},
        {{.role = WS_CLIENT, .url = "ws://a", .headers = "Host: b\r\n"}, "headers"},
        {{.role = WS_CLIENT, .url = "ws://a", .headers = "X: a\nb"}, "headers"},
        {{.role = WS_CLIENT, .url = "ws://u:p@a", .headers = "Authorization: b\r\n"}, "headers"},
        {{.role = WS_SERVER, .url = "ws://a"}, "url"},
        {{.role = WS_SERVER, .headers = "X: y"}, "headers"},
        {{.role = WS_SERVER, .subprotocols = "a,,b"}, "subprotocol"},
        {{.role = WS_SERVER, .subprotocols = "a,a"}, "subprotocol"},
        {{.role = WS_SERVER, .subprotocols = "\xff"}, "subprotocols"},
    };
    struct {
        ws_proto_config known;
        size_t unknown;
    } newer = {.known = {.role = WS_SERVER}, .unknown = 0};
    ws_proto *proto;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ws_proto_config config = wrong[i].config;

        config.struct_size = sizeof config;
        proto = (ws_proto *)&config;
        CHECK_STATUS(ws_proto_new(&config, 0, &proto), WS_ERR_INVALID_ARG);
        CHECK(proto == NULL);
        CHECK_HAS(ws_last_error(), wrong[i].named);
        config.struct_size = 1;
        CHECK_STATUS(ws_proto_new(&config, 0, &proto), WS_ERR_INVALID_ARG);
    }
    newer.known.struct_size = sizeof newer;
    OK(ws_proto_new(&newer.known, 0, &proto));
    ws_proto_free(proto);
    newer.unknown = 1;
    CHECK_STATUS(ws_proto_new(&newer.known, 0, &proto), WS_ERR_INVALID_ARG);
    // Only what an older header knew: the rest counts as zero.
    newer.known.struct_size = offsetof(ws_proto_config, max_send_queue);
    newer.known.max_send_queue = 1;
    OK(ws_proto_new(&newer.known, 0, &proto));
    ws_proto_free(proto);
}

static void before_it_is_open(void)
{
    struct peer peer;
    char bytes[] = "GET";
    ws_proto_event event = {.struct_size = sizeof event};
    const void *data = bytes;

    peer_new(&peer, WS_SERVER, NULL);
    CHECK_STATUS(ws_proto_accept(peer.proto, NULL, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 404, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_send_fragment(peer.proto, WS_TEXT, "x", 1, 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_ping(peer.proto, NULL, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_pong(peer.proto, NULL, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_close(peer.proto, 1000, NULL, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_pause(peer.proto, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_resume(peer.proto, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_written(peer.proto, 1, 0), WS_ERR_INVALID_ARG);
    OK(ws_proto_written(peer.proto, 0, 0));
    CHECK_INT(ws_proto_output(peer.proto, &data), 0);
    CHECK_INT(ws_proto_output(peer.proto, NULL), 0);
    CHECK_STATUS(ws_proto_feed(peer.proto, NULL, 1, 0), WS_ERR_INVALID_ARG);
    OK(ws_proto_feed(peer.proto, NULL, 0, 0));

    // Bytes that are not used up.
    OK(ws_proto_feed(peer.proto, bytes, 3, 0));
    CHECK_STATUS(ws_proto_feed(peer.proto, bytes, 3, 0), WS_ERR_AGAIN);
    CHECK_STATUS(ws_proto_eof(peer.proto), WS_ERR_AGAIN);
    CHECK_STATUS(ws_proto_next(peer.proto, NULL), WS_ERR_INVALID_ARG);
    event.struct_size = 0;
    CHECK_STATUS(ws_proto_next(peer.proto, &event), WS_ERR_INVALID_ARG);
    event.struct_size = SIZE_MAX;
    CHECK_STATUS(ws_proto_next(peer.proto, &event), WS_ERR_INVALID_ARG);
    event.struct_size = sizeof event;
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_NONE);
    OK(ws_proto_eof(peer.proto));
    OK(ws_proto_eof(peer.proto));
    peer_events(&peer);
    CHECK_STR(peer.log, "error -6|");
    ws_proto_free(peer.proto);
}

static void wrong_answers(void)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    ws_proto_event event = {.struct_size = sizeof event};
    char bytes[sizeof get];
    struct peer peer;

    memcpy(bytes, get, sizeof bytes);
    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, sizeof bytes - 1, 0));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_REQUEST);
    CHECK_STATUS(ws_proto_accept(peer.proto, "v1.acme", NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_accept(peer.proto, "\xff", NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_accept(peer.proto, NULL, "Upgrade: x\r\n", 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 200, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, -1, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 65536 + 404, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 404, "a\r\nb", NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 404, NULL, NULL, NULL, 1, 0), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_proto_buffered(peer.proto), 0);
    OK(ws_proto_accept(peer.proto, NULL, NULL, 0));
    CHECK_STATUS(ws_proto_accept(peer.proto, NULL, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 404, NULL, NULL, NULL, 0, 0), WS_ERR_INVALID_ARG);
    ws_proto_free(peer.proto);

    // The peer has gone before the answer.
    memcpy(bytes, get, sizeof bytes);
    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, sizeof bytes - 1, 0));
    OK(ws_proto_next(peer.proto, &event));
    OK(ws_proto_eof(peer.proto));
    CHECK_STATUS(ws_proto_accept(peer.proto, NULL, NULL, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_refuse(peer.proto, 404, NULL, NULL, NULL, 0, 0), WS_ERR_CLOSED);
    ws_proto_free(peer.proto);

    // A client has nothing to answer.
    peer_new(&peer, WS_CLIENT, "ws://a");
    CHECK_STATUS(ws_proto_accept(peer.proto, NULL, NULL, 0), WS_ERR_INVALID_ARG);
    ws_proto_free(peer.proto);
}

static void wrong_sends(void)
{
    char reason[125];
    struct peer peer;
    char *large = check_alloc(2 << 20);

    memset(reason, 'r', sizeof reason - 1);
    reason[124] = '\0';
    peer_open(&peer, 0);
    CHECK_STATUS(ws_proto_send(peer.proto, 0, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send(peer.proto, 3, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_TEXT, NULL, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_TEXT, "\xc3", 1), WS_ERR_UTF8);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_BINARY, large, SIZE_MAX), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_BINARY, large, 2 << 20), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_proto_ping(peer.proto, reason, 126), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_proto_pong(peer.proto, reason, 126), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_proto_close(peer.proto, 1005, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_close(peer.proto, 999, NULL, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_close(peer.proto, 1000, reason, 0), WS_ERR_TOO_BIG);
    CHECK_STATUS(ws_proto_close(peer.proto, 1000, "\xff", 0), WS_ERR_UTF8);
    CHECK_INT(ws_proto_buffered(peer.proto), 0);

    // One message begins, another may not.
    OK(ws_proto_send_fragment(peer.proto, WS_TEXT, "\xc3", 1, 0));
    CHECK_STATUS(ws_proto_send(peer.proto, WS_TEXT, "x", 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send_fragment(peer.proto, WS_BINARY, "x", 1, 1), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_proto_send_fragment(peer.proto, WS_TEXT, "x", 1, 1), WS_ERR_UTF8);
    OK(ws_proto_send_fragment(peer.proto, WS_TEXT, "\xbc", 1, 1));
    peer_write(&peer, 3);
    CHECK_INT(peer.written_len, 6);

    // The queue.
    OK(ws_proto_send(peer.proto, WS_BINARY, large, 1 << 20));
    CHECK_STATUS(ws_proto_send(peer.proto, WS_BINARY, large, 16), WS_ERR_AGAIN);
    CHECK_INT(ws_proto_buffered(peer.proto), (1 << 20) + 10);
    CHECK_STATUS(ws_proto_written(peer.proto, (1 << 20) + 11, 0), WS_ERR_INVALID_ARG);
    OK(ws_proto_written(peer.proto, 1 << 20, 0));
    OK(ws_proto_send(peer.proto, WS_BINARY, large, 16));

    OK(ws_proto_close(peer.proto, 1000, NULL, 0));
    CHECK_STATUS(ws_proto_close(peer.proto, 1000, NULL, 0), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_send(peer.proto, WS_TEXT, "x", 1), WS_ERR_CLOSED);
    CHECK_STATUS(ws_proto_pause(peer.proto, 0), WS_ERR_CLOSED);
    ws_proto_free(peer.proto);
    free(large);
}

// Freed in every state that holds something: Valgrind sees what is left.
static void freed_at_any_time(void)
{
    unsigned char bytes[16];
    struct peer peer;

    peer_new(&peer, WS_CLIENT, "ws://a");
    ws_proto_free(peer.proto);
    peer_new(&peer, WS_SERVER, NULL);
    peer_feed(&peer, "GET / HTTP/1.1\r\nHost", 20);
    ws_proto_free(peer.proto);
    peer_open(&peer, 0);
    put_frame(bytes, 0x81, "12345678", 8);
    OK(ws_proto_send(peer.proto, WS_TEXT, "queued", 6));
    peer_feed(&peer, bytes, 9);
    ws_proto_free(peer.proto);
    // With lent bytes that nobody has looked at.
    peer_open(&peer, 0);
    OK(ws_proto_feed(peer.proto, bytes, sizeof bytes, 0));
    ws_proto_free(peer.proto);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(null_handle);
    RUN(config_is_checked);
    RUN(before_it_is_open);
    RUN(wrong_answers);
    RUN(wrong_sends);
    RUN(freed_at_any_time);
    return check_end();
}
