// ws_proto: what a program with transports of its own sees. Conversations are fed whole and byte by byte; time is an
// argument, so nothing waits. Wrong calls are in proto_misuse.c.
#include "check.h"
#include "proto.h"

static const char request[] = "GET /chat?room=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1.acme, v2.acme\r\n\r\n";

// A conversation with a server: request, frames of every kind, Close.
static size_t conversation(unsigned char *out)
{
    unsigned char *at = out;

    memcpy(at, request, sizeof request - 1);
    at += sizeof request - 1;
    at += put_frame(at, 0x81, "one", 3);
    at += put_frame(at, 0x02, "\0fr", 3);
    at += put_frame(at, 0x89, "?", 1);
    at += put_frame(at, 0x80, "ag", 2);
    at += put_frame(at, 0x81, "", 0);
    at += put_frame(at, 0x8a, "!", 1);
    at += put_frame(at, 0x88, "\x03\xe8" "bye", 5);
    return (size_t)(at - out);
}

static void conversation_of_a_server(void)
{
    static const char *expected = "request /chat?room=1|open v2.acme|text one|ping ?|binary .frag|text |pong !|"
                                  "close 1000 bye by 1|";
    static const size_t sizes[] = {1, 2, 7, 64, 4096};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct peer peer;
        unsigned char bytes[1024];
        size_t len = conversation(bytes);
        size_t at;

        peer_new(&peer, WS_SERVER, NULL);
        for (at = 0; at < len; at += sizes[i]) {
            peer_feed(&peer, bytes + at, len - at < sizes[i] ? len - at : sizes[i]);
            peer_write(&peer, sizes[i]);
        }
        CHECK_STR(peer.log, expected);
        CHECK_HAS((char *)peer.written, "HTTP/1.1 101 Switching Protocols\r\n");
        CHECK_HAS((char *)peer.written, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
        CHECK_HAS((char *)peer.written, "\r\nSec-WebSocket-Protocol: v2.acme\r\n");
        // The Pong, and the Close that echoes the code.
        CHECK(peer.written_len > 7);
        CHECK(memcmp(peer.written + peer.written_len - 7, "\x8a\x01?\x88\x02\x03\xe8", 7) == 0);
        CHECK_STR(ws_proto_subprotocol(peer.proto), "v2.acme");
        CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
        CHECK(ws_proto_deadline(peer.proto) == UINT64_MAX);
        ws_proto_free(peer.proto);
    }
}

// Both ends are ours, joined in memory.
static void pair_talks(void)
{
    static const size_t sizes[] = {1, 3, 4096};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct peer client;
        struct peer server;

        peer_new(&client, WS_CLIENT, "wss://a.example/chat");
        peer_new(&server, WS_SERVER, NULL);
        CHECK_INT(ws_proto_is_open(client.proto), 0);
        carry(&client, &server, sizes[i]);
        CHECK_INT(ws_proto_is_open(client.proto), 1);
        CHECK_INT(ws_proto_is_open(server.proto), 1);
        CHECK_STR(ws_proto_subprotocol(client.proto), "v2.acme");

        OK(ws_proto_send(client.proto, WS_TEXT, "gr\xc3\xbc\xc3\x9f", 6));
        OK(ws_proto_send_fragment(client.proto, WS_BINARY, "a", 1, 0));
        OK(ws_proto_ping(client.proto, "p", 1));
        OK(ws_proto_send_fragment(client.proto, WS_BINARY, NULL, 0, 0));
        OK(ws_proto_send_fragment(client.proto, WS_BINARY, "b", 1, 1));
        OK(ws_proto_pong(client.proto, NULL, 0));
        OK(ws_proto_send(server.proto, WS_TEXT, NULL, 0));
        carry(&client, &server, sizes[i]);
        OK(ws_proto_close(client.proto, 3000, "done", 0));
        CHECK_INT(ws_proto_is_open(client.proto), 0);
        carry(&client, &server, sizes[i]);
        CHECK_STR(server.log, "request /chat|open v2.acme|text gr\xc3\xbc\xc3\x9f|ping p|binary ab|pong |"
                              "close 3000 done by 1|");
        CHECK_STR(client.log, "open -|text |pong p|close 3000  by 0|");

        CHECK_INT(ws_proto_wants_end(server.proto), WS_PROTO_END);
        CHECK_INT(ws_proto_wants_end(client.proto), WS_PROTO_GO_ON);
        OK(ws_proto_eof(client.proto));
        peer_events(&client);
        CHECK_INT(ws_proto_wants_end(client.proto), WS_PROTO_END);
        ws_proto_free(client.proto);
        ws_proto_free(server.proto);
    }
}

static void payloads_lie_in_the_lent_buffer(void)
{
    struct peer peer;
    unsigned char bytes[64];
    size_t len = put_frame(bytes, 0x82, "in place", 8);
    ws_proto_event event = {.struct_size = sizeof event};

    peer_open(&peer, 0);
    OK(ws_proto_feed(peer.proto, bytes, len, 0));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_MESSAGE);
    CHECK(event.data == bytes + 6);
    CHECK(memcmp(bytes + 6, "in place", 8) == 0);
    // What was received can be sent as it is.
    OK(ws_proto_send(peer.proto, event.kind, event.data, event.len));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_NONE);
    CHECK(event.data == NULL && event.len == 0 && event.kind == 0 && event.last == 0);
    CHECK_INT(ws_proto_buffered(peer.proto), 10);
    ws_proto_free(peer.proto);
}

static void message_in_parts_can_be_echoed(void)
{
    struct peer peer;
    unsigned char bytes[64];
    size_t len = put_frame(bytes, 0x82, "in parts", 8);
    ws_proto_event event = {.struct_size = sizeof event};

    peer_open(&peer, 0);
    peer_feed(&peer, bytes, 9);
    OK(ws_proto_feed(peer.proto, bytes + 9, len - 9, 0));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.len, 8);
    OK(ws_proto_send(peer.proto, event.kind, event.data, event.len));
    OK(ws_proto_next(peer.proto, &event));
    peer.written_len = 0;
    peer_write(&peer, 4096);
    CHECK_INT(peer.written_len, 10);
    CHECK(memcmp(peer.written, "\x82\x08in parts", 10) == 0);
    ws_proto_free(peer.proto);
}

static void pieces_follow_the_reads(void)
{
    struct peer peer;
    unsigned char bytes[64];
    size_t len = put_frame(bytes, 0x01, "hel", 3);

    len += put_frame(bytes + len, 0x80, "lo", 2);
    peer_open(&peer, 1);
    peer_feed(&peer, bytes, 7);
    peer_feed(&peer, bytes + 7, len - 7);
    CHECK_STR(peer.log, "piece 0 h..|piece 1 el..|piece 3 lo|");
    ws_proto_free(peer.proto);
}

// The buffer goes back to the program, although the answer to the request is still to come.
static void answer_may_come_later(void)
{
    struct peer peer;
    unsigned char bytes[1024];
    size_t len = conversation(bytes);
    ws_proto_event event = {.struct_size = sizeof event};

    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, len, 0));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_REQUEST);
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_NONE);
    memset(bytes, 'x', sizeof bytes);

    CHECK_STATUS(ws_proto_feed(peer.proto, bytes, 1, 0), WS_ERR_AGAIN);
    CHECK_HAS(ws_last_error(), "request");
    CHECK_INT(ws_proto_deadline(peer.proto), 5000);
    OK(ws_proto_accept(peer.proto, NULL, NULL, 4999));
    OK(ws_proto_send(peer.proto, WS_TEXT, "at once", 7));
    peer_events(&peer);
    CHECK_STR(peer.log, "open v2.acme|text one|ping ?|binary .frag|text |pong !|close 1000 bye by 1|");
    ws_proto_free(peer.proto);
}

static void request_can_be_asked(void)
{
    struct peer peer;
    char bytes[sizeof request];
    ws_proto_event event = {.struct_size = sizeof event};

    memcpy(bytes, request, sizeof bytes);
    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, sizeof bytes - 1, 0));
    OK(ws_proto_next(peer.proto, &event));
    memset(bytes, 'x', sizeof bytes);
    CHECK_STR(ws_request_method(event.request), "GET");
    CHECK_STR(ws_request_path(event.request), "/chat");
    CHECK_STR(ws_request_query(event.request), "room=1");
    CHECK_STR(ws_request_header(event.request, "hOST"), "a.example");
    CHECK(ws_request_header(event.request, "Origin") == NULL);
    CHECK_STR(ws_request_subprotocol(event.request), "v2.acme");
    CHECK_STR(ws_request_peer(event.request), "");
    CHECK(ws_proto_subprotocol(peer.proto) == NULL);
    // An argument that libws itself has handed out.
    OK(ws_proto_accept(peer.proto, ws_request_subprotocol(event.request), "X-Id: 7\r\n", 0));
    peer_write(&peer, 4096);
    CHECK_HAS((char *)peer.written, "\r\nX-Id: 7\r\n");
    ws_proto_free(peer.proto);
}

static void refusal_and_page(void)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct peer peer;
    char bytes[sizeof request];
    ws_proto_event event = {.struct_size = sizeof event};

    memcpy(bytes, request, sizeof bytes);
    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, sizeof bytes - 1, 0));
    OK(ws_proto_next(peer.proto, &event));
    OK(ws_proto_refuse(peer.proto, 403, "text/plain", "X-Why: Origin\r\n", "no", 2, 100));
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_GO_ON);
    peer_events(&peer);
    peer_write(&peer, 4096);
    CHECK_STR((char *)peer.written, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
                                    "Connection: close\r\nX-Why: Origin\r\n\r\nno");
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END_SENDING);
    CHECK_INT(ws_proto_deadline(peer.proto), 2100);
    OK(ws_proto_tick(peer.proto, 2100));
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
    CHECK_STR(peer.log, "");
    ws_proto_free(peer.proto);

    memcpy(bytes, get, sizeof get);
    peer_new(&peer, WS_SERVER, NULL);
    OK(ws_proto_feed(peer.proto, bytes, sizeof get - 1, 0));
    OK(ws_proto_next(peer.proto, &event));
    CHECK_INT(event.type, WS_PROTO_HTTP);
    CHECK_STR(ws_request_path(event.request), "/");
    OK(ws_proto_refuse(peer.proto, 200, NULL, NULL, "page", 4, 0));
    peer_events(&peer);
    peer_write(&peer, 1);
    CHECK_STR((char *)peer.written, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage");
    OK(ws_proto_eof(peer.proto));
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
    ws_proto_free(peer.proto);
}

static void failures_say_why(void)
{
    struct peer peer;
    unsigned char bytes[64];

    // A head that is none: answered.
    peer_new(&peer, WS_SERVER, NULL);
    memcpy(bytes, "\x16\x03\x01", 3);
    peer_feed(&peer, bytes, 3);
    CHECK_INT(peer.last.status, WS_ERR_HANDSHAKE);
    CHECK_INT(peer.last.http_status, 400);
    peer_write(&peer, 4096);
    CHECK_HAS((char *)peer.written, "HTTP/1.1 400 ");
    CHECK_HAS((char *)peer.written, peer.reason);
    ws_proto_free(peer.proto);

    // A refused client.
    peer_new(&peer, WS_CLIENT, "ws://a.example");
    memcpy(bytes, "HTTP/1.1 403 No\r\n\r\n", 19);
    peer_feed(&peer, bytes, 19);
    CHECK_INT(peer.last.status, WS_ERR_HANDSHAKE);
    CHECK_INT(peer.last.http_status, 403);
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
    ws_proto_free(peer.proto);

    // An unmasked frame.
    peer_open(&peer, 0);
    memcpy(bytes, "\x81\x01x", 3);
    peer_feed(&peer, bytes, 3);
    CHECK_INT(peer.last.status, WS_ERR_PROTOCOL);
    CHECK_INT(peer.last.code, 1002);
    CHECK_INT(peer.last.by_peer, 0);
    CHECK_HAS(peer.reason, "unmasked");
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_GO_ON);
    peer_write(&peer, 4096);
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END_SENDING);
    OK(ws_proto_eof(peer.proto));
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
    ws_proto_free(peer.proto);

    // A transport that ends.
    peer_open(&peer, 0);
    OK(ws_proto_eof(peer.proto));
    peer_events(&peer);
    CHECK_INT(peer.last.status, WS_ERR_CLOSED);
    CHECK_INT(peer.last.code, 1006);
    CHECK_INT(peer.last.by_peer, 1);
    ws_proto_free(peer.proto);
}

static void time_is_what_the_program_says(void)
{
    struct peer peer;

    peer_new(&peer, WS_SERVER, NULL);
    CHECK_INT(ws_proto_deadline(peer.proto), 5000);
    OK(ws_proto_tick(peer.proto, 4999));
    peer_events(&peer);
    CHECK_STR(peer.log, "");
    OK(ws_proto_tick(peer.proto, 5000));
    peer_events(&peer);
    CHECK_INT(peer.last.status, WS_ERR_TIMEOUT);
    ws_proto_free(peer.proto);

    peer_open(&peer, 0);
    CHECK_INT(ws_proto_deadline(peer.proto), 30000);
    OK(ws_proto_tick(peer.proto, 30000));
    CHECK_INT(ws_proto_buffered(peer.proto), 2);
    peer.now = 30000;
    peer_write(&peer, 4096);
    CHECK_INT(ws_proto_deadline(peer.proto), 40000);
    OK(ws_proto_pause(peer.proto, 31000));
    CHECK(ws_proto_deadline(peer.proto) == UINT64_MAX);
    OK(ws_proto_resume(peer.proto, 50000));
    CHECK_INT(ws_proto_deadline(peer.proto), 60000);
    OK(ws_proto_tick(peer.proto, 60000));
    peer_events(&peer);
    CHECK_INT(peer.last.status, WS_ERR_TIMEOUT);
    CHECK_INT(ws_proto_wants_end(peer.proto), WS_PROTO_END);
    ws_proto_free(peer.proto);

    peer_open(&peer, 0);
    OK(ws_proto_close(peer.proto, 0, NULL, 100));
    CHECK_INT(ws_proto_deadline(peer.proto), 2100);
    OK(ws_proto_tick(peer.proto, 2100));
    peer_events(&peer);
    CHECK_INT(peer.last.status, WS_ERR_TIMEOUT);
    ws_proto_free(peer.proto);
}

// A million pings to a peer that never reads, and announcements of huge messages: memory stays where it is.
static void memory_is_bounded(void)
{
    unsigned char bytes[2048];
    size_t len = 0;
    struct peer peer;
    long long before;
    int rounds = small_loads() ? 100 : 10000;
    int i;

    while (len + 16 < sizeof bytes)
        len += put_frame(bytes + len, 0x89, "ping", 4);
    peer_open(&peer, 0);
    OK(ws_proto_send(peer.proto, WS_TEXT, "not read", 8));
    before = rss_bytes(0);
    for (i = 0; i < rounds; i++) {
        unsigned char copy[sizeof bytes];

        memcpy(copy, bytes, len);
        peer_count(&peer, copy, len);
    }
    CHECK_INT(ws_proto_buffered(peer.proto), 10);
    if (slowness() == 1) // an emulator's own memory grows
        CHECK(rss_bytes(0) - before < 512 * 1024);
    CHECK_INT(peer.pings, rounds * (int)(len / 10));
    ws_proto_free(peer.proto);

    peer_open(&peer, 1);
    memcpy(bytes, "\x82\xff\0\0\x01\0\0\0\0\0\0\0\0\0", 14);
    peer_feed(&peer, bytes, 14);
    CHECK_STR(peer.log, "");
    for (i = 0; i < rounds; i++)
        peer_count(&peer, bytes, sizeof bytes);
    if (slowness() == 1)
        CHECK(rss_bytes(0) - before < 512 * 1024);
    CHECK_INT(peer.pieces, rounds);
    ws_proto_free(peer.proto);
}

// 0: this build has no compression.
static int has_deflate(void)
{
    ws_proto_config config = {.struct_size = sizeof config, .role = WS_SERVER, .deflate = WS_DEFLATE_SMALL};
    ws_proto *proto;
    ws_status status = ws_proto_new(&config, 0, &proto);

    if (status == WS_OK)
        ws_proto_free(proto);
    else
        CHECK_INT(status, WS_ERR_UNSUPPORTED);
    return status == WS_OK;
}

// What one has written, in memory of the caller's to free.
static unsigned char *output_of(ws_proto *from, size_t *len)
{
    unsigned char *bytes = check_alloc(ws_proto_buffered(from) + 1);
    const void *data;
    size_t part;

    for (*len = 0; (part = ws_proto_output(from, &data)) > 0; *len += part) {
        memcpy(bytes + *len, data, part);
        OK(ws_proto_written(from, part, 0));
    }
    return bytes;
}

// Hands over what one has written, of which the other tells one thing.
static ws_proto_event_type hand_over(ws_proto *from, ws_proto *to)
{
    ws_proto_event event = {.struct_size = sizeof event};
    size_t len;
    unsigned char *bytes = output_of(from, &len);

    OK(ws_proto_feed(to, bytes, len, 0));
    OK(ws_proto_next(to, &event));
    free(bytes);
    return event.type;
}

// Compressed messages of any size, in pieces of which the bytes may all have been used up before the last is told.
static void compressed_pieces(void)
{
    static const size_t lens[] = {0, 1, 16383, 16384, 16385, 16484, 100000, 16384 * 3 + 1};
    static const char zeros[100000];
    ws_proto_config config = {.struct_size = sizeof config, .role = WS_SERVER, .pieces = 1, .deflate = WS_DEFLATE_SMALL};
    ws_deflate_options options = {.struct_size = sizeof options, .min_size = 1};
    ws_deflate_info info = {.struct_size = sizeof info};
    ws_proto_event event = {.struct_size = sizeof event};
    ws_proto *server;
    ws_proto *client;
    int unfinished = 0;
    size_t i;

    if (!has_deflate())
        return;
    OK(ws_proto_new(&config, 0, &server));
    config = (ws_proto_config){.struct_size = sizeof config, .role = WS_CLIENT, .url = "ws://a/",
                               .deflate = WS_DEFLATE_SMALL, .deflate_options = &options};
    OK(ws_proto_new(&config, 0, &client));
    CHECK_INT(hand_over(client, server), WS_PROTO_REQUEST);
    OK(ws_proto_accept(server, NULL, NULL, 0));
    CHECK_INT(hand_over(server, client), WS_PROTO_OPEN);
    OK(ws_proto_next(server, &event));
    CHECK_INT(event.type, WS_PROTO_OPEN);
    OK(ws_proto_deflate(client, &info));
    CHECK(info.active == 1 && info.send_window_bits == 12 && info.send_context_takeover == 0);

    for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t told = 0;
        size_t len;
        unsigned char *bytes;

        OK(ws_proto_send(client, WS_BINARY, zeros, lens[i]));
        bytes = output_of(client, &len);
        OK(ws_proto_feed(server, bytes, len, 0));
        do {
            OK(ws_proto_next(server, &event));
            CHECK_INT(event.type, WS_PROTO_PIECE);
            CHECK_INT(event.offset, told);
            told += event.len;
            if (!event.last) {
                CHECK_STATUS(ws_proto_feed(server, bytes, len, 0), WS_ERR_AGAIN);
                CHECK_STATUS(ws_proto_eof(server), WS_ERR_AGAIN);
                unfinished++;
            }
        } while (!event.last);
        CHECK_INT(told, lens[i]);
        OK(ws_proto_next(server, &event));
        CHECK_INT(event.type, WS_PROTO_NONE);
        free(bytes);
    }
    CHECK_INT(unfinished, 1 + 1 + 1 + 6 + 3);
    OK(ws_proto_eof(server));
    ws_proto_free(server);
    ws_proto_free(client);
}

// Many of them, as a reactor with idle connections has: what each costs.
static void idle_ones_cost_little(void)
{
    enum { MANY = 2000 };
    static struct peer peers[MANY];
    long long before;
    long long each;
    int i;

    if (small_loads())
        return;
    memset(peers, 1, sizeof peers);
    before = rss_bytes(0);
    for (i = 0; i < MANY; i++)
        peer_open(&peers[i], 0);
    each = (rss_bytes(0) - before) / MANY;
    printf("    an idle connection costs %lld bytes\n", each);
    CHECK(each < 2048);
    for (i = 0; i < MANY; i++)
        ws_proto_free(peers[i].proto);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 60);
    RUN(conversation_of_a_server);
    RUN(pair_talks);
    RUN(payloads_lie_in_the_lent_buffer);
    RUN(message_in_parts_can_be_echoed);
    RUN(pieces_follow_the_reads);
    RUN(answer_may_come_later);
    RUN(request_can_be_asked);
    RUN(refusal_and_page);
    RUN(failures_say_why);
    RUN(time_is_what_the_program_says);
    RUN(memory_is_bounded);
    RUN(compressed_pieces);
    RUN(idle_ones_cost_little);
    return check_end();
}
