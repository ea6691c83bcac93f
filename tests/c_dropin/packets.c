// ws_recv() and ws_send() packet by packet: what is told, that nothing is read beyond a packet, that nothing is lost.
#include "dropin.h"

#include <sys/wait.h>

// A raw server on a thread of its own, for one client.
struct raw_server {
    int listener;
    int port;
    int peer;
};

static const char *sha1_accept(const char *key, char *accept);

static void *raw_server_body(void *argument)
{
    struct raw_server *server = (struct raw_server *)argument;
    char head[1024];
    char answer[256];
    char accept[32];
    char key[32];
    const char *found;

    server->peer = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(server->peer > 0);
    set_deadline(server->peer);
    get_head(server->peer, head, sizeof head);
    found = strstr(head, "Sec-WebSocket-Key: ");
    CHECK(found != NULL);
    memcpy(key, found + 19, 24);
    key[24] = 0;
    // The answer and a first message in one segment.
    snprintf(answer, sizeof answer,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n\x81\x05" "first",
             sha1_accept(key, accept));
    put(server->peer, answer, strlen(answer));
    return NULL;
}

// Ours is the client's end, by ws_requestServer().
static struct pair pair_client(void)
{
    struct raw_server server;
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    struct pair pair;
    pthread_t thread;
    char text[32];
    Ws_DataType type;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server.listener, (struct sockaddr *)&address, len) == 0 && listen(server.listener, 1) == 0);
    CHECK(getsockname(server.listener, (struct sockaddr *)&address, &len) == 0);
    server.port = ntohs(address.sin_port);
    thread = thread_start(raw_server_body, &server);
    pair.ours = ws_requestServer("localhost", server.port, "/chat", 5000 * slowness());
    CHECK(pair.ours > 0);
    CHECK(fcntl(pair.ours, F_GETFL) & O_NONBLOCK);
    pthread_join(thread, NULL);
    pair.peer = server.peer;
    pair.server = 0;
    close(server.listener);
    // What came behind the answer is still there.
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 5);
    CHECK(type == WDT_TXTDATA && strcmp(text, "first") == 0);
    return pair;
}

static void pair_close(struct pair pair)
{
    close(pair.ours);
    close(pair.peer);
}

static void ten_messages_in_one_segment_come_one_by_one(struct pair pair)
{
    unsigned char all[1024];
    size_t len = 0;
    char text[64];
    char expected[64];
    Ws_DataType type;
    int i;

    for (i = 0; i < 10; i++) {
        // Of every length up to that of a short head.
        int n = snprintf(text, sizeof text, "%.*s%d", i, "xxxxxxxxxx", i);
        len += frame(all + len, 0x81, text, (size_t)n, pair.server);
    }
    put(pair.peer, all, len);
    for (i = 0; i < 10; i++) {
        WAIT_FOR(readable(pair.ours));
        snprintf(expected, sizeof expected, "%.*s%d", i, "xxxxxxxxxx", i);
        memset(text, '#', sizeof text);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), strlen(expected));
        CHECK(type == WDT_TXTDATA && strcmp(text, expected) == 0);
    }
    CHECK(!readable(pair.ours));
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_NULL);
}

static void a_frame_byte_by_byte_is_kept_and_never_read_beyond(struct pair pair)
{
    unsigned char bytes[512];
    unsigned char message[300];
    unsigned char text[512];
    Ws_DataType type;
    size_t len;
    size_t i;

    for (i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    len = frame(bytes, 0x82, message, sizeof message, pair.server);
    for (i = 0; i < len; i++) {
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        CHECK_INT(type, WDT_NULL);
        // Level-triggered: what could not be used yet does not keep the descriptor readable.
        CHECK(!readable(pair.ours));
        put(pair.peer, bytes + i, 1);
        WAIT_FOR(readable(pair.ours));
    }
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), sizeof message);
    CHECK(type == WDT_BINDATA && memcmp(text, message, sizeof message) == 0 && text[sizeof message] == 0);
}

static void fragments_arrive_whole_with_control_packets_between(struct pair pair)
{
    unsigned char all[256];
    char text[64];
    Ws_DataType type;
    size_t len = 0;

    len += frame(all + len, 0x01, "one ", 4, pair.server);
    len += frame(all + len, 0x89, "ping", 4, pair.server);
    len += frame(all + len, 0x00, "", 0, pair.server);
    len += frame(all + len, 0x00, "two ", 4, pair.server);
    len += frame(all + len, 0x8a, "pong", 4, pair.server);
    len += frame(all + len, 0x80, "three", 5, pair.server);
    len += frame(all + len, 0x81, "", 0, pair.server);
    put(pair.peer, all, len);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_PING);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_PONG);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 13);
    CHECK(type == WDT_TXTDATA && strcmp(text, "one two three") == 0);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_TXTDATA);
    get_frame(pair.peer, 0x8a, "ping", 4, !pair.server);
}

static void a_message_too_large_is_dropped_and_the_next_is_intact(struct pair pair)
{
    static unsigned char large[70000];
    char exact[16];
    char text[32];
    Ws_DataType type;

    memset(large, 'L', sizeof large);
    // In one frame, in three fragments, and one byte over.
    put_frame(pair.peer, 0x82, large, sizeof large, pair.server);
    put_frame(pair.peer, 0x81, "next", 4, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), -70000);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 4);
    CHECK(strcmp(text, "next") == 0);
    put_frame(pair.peer, 0x01, large, 20, pair.server);
    put_frame(pair.peer, 0x00, large, 20, pair.server);
    put_frame(pair.peer, 0x80, large, 1, pair.server);
    put_frame(pair.peer, 0x81, "sixteen bytes 16", 16, pair.server);
    put_frame(pair.peer, 0x81, "seventeen bytes17", 17, pair.server);
    put_frame(pair.peer, 0x81, "end", 3, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), -41);
    CHECK_INT(recv_wait(pair.ours, exact, sizeof exact, &type), 16);
    CHECK(memcmp(exact, "sixteen bytes 16", 16) == 0);
    CHECK_INT(recv_wait(pair.ours, exact, sizeof exact, &type), -17);
    // Without a place for the content, and without one for the type.
    CHECK_INT(recv_wait(pair.ours, NULL, 0, &type), 3);
    put_frame(pair.peer, 0x81, "last", 4, pair.server);
    WAIT_FOR(readable(pair.ours));
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, NULL), 4);
    CHECK(strcmp(text, "last") == 0);
}

static void half_a_message_does_not_care_which_buffer_takes_the_rest(struct pair pair)
{
    char small[16];
    char text[64];
    Ws_DataType type;

    put_frame(pair.peer, 0x01, "twenty bytes of text", 20, pair.server);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    put_frame(pair.peer, 0x80, "!", 1, pair.server);
    put_frame(pair.peer, 0x81, "ok", 2, pair.server);
    CHECK_INT(recv_wait(pair.ours, small, sizeof small, &type), -21);
    CHECK_INT(recv_wait(pair.ours, small, sizeof small, &type), 2);
    // Looked for without a buffer meanwhile, its content is gone.
    put_frame(pair.peer, 0x01, "gone", 4, pair.server);
    CHECK_INT(ws_recv(pair.ours, NULL, 0, &type), 0);
    put_frame(pair.peer, 0x80, "!", 1, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), -5);
    // The beginning kept, the rest not asked for: nothing of it comes before the next.
    put_frame(pair.peer, 0x01, "kept", 4, pair.server);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    put_frame(pair.peer, 0x80, "!", 1, pair.server);
    CHECK_INT(recv_wait(pair.ours, NULL, 0, &type), 5);
    put_frame(pair.peer, 0x01, "a", 1, pair.server);
    put_frame(pair.peer, 0x80, "b", 1, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 2);
    CHECK(strcmp(text, "ab") == 0);
}

static void what_is_sent_has_the_mask_of_the_role(struct pair pair)
{
    static unsigned char long_one[70000];
    int masked = !pair.server;
    int head = masked ? 4 : 0;
    unsigned char close_1001[6] = {0x03, 0xe9, 'g', 'o', 'n', 'e'};
    char text[32];
    Ws_DataType type;

    // Whatever the caller says of masking.
    CHECK_INT(ws_send(pair.ours, "text", 4, true, WDT_TXTDATA), 6 + head);
    get_frame(pair.peer, 0x81, "text", 4, masked);
    CHECK_INT(ws_send(pair.ours, "binary", 6, false, WDT_BINDATA), 8 + head);
    get_frame(pair.peer, 0x82, "binary", 6, masked);
    CHECK_INT(ws_send(pair.ours, NULL, 0, false, WDT_PING), 2 + head);
    get_frame(pair.peer, 0x89, "", 0, masked);
    CHECK_INT(ws_send(pair.ours, "beat", 4, false, WDT_PONG), 6 + head);
    get_frame(pair.peer, 0x8a, "beat", 4, masked);
    CHECK_INT(ws_send(pair.ours, long_one, sizeof long_one, false, WDT_BINDATA), 70010 + head);
    get_frame(pair.peer, 0x82, long_one, sizeof long_one, masked);
    // Refused, and nothing of it goes out.
    CHECK(ws_send(pair.ours, "\xff", 1, false, WDT_TXTDATA) <= 0);
    CHECK(ws_send(pair.ours, "x", -1, false, WDT_TXTDATA) <= 0);
    CHECK(ws_send(pair.ours, NULL, 3, false, WDT_TXTDATA) <= 0);
    CHECK(ws_send(pair.ours, long_one, 126, false, WDT_PING) <= 0);
    CHECK(ws_send(pair.ours, "x", 1, false, WDT_MINDATA) <= 0);
    CHECK(ws_send(pair.ours, "x", 1, false, (Ws_DataType)7) <= 0);
    CHECK_INT(ws_send(pair.ours, close_1001, 6, false, WDT_DISCONN), 8 + head);
    get_frame(pair.peer, 0x88, close_1001, 6, masked);
    CHECK(ws_send(pair.ours, "late", 4, false, WDT_TXTDATA) <= 0);
    put_frame(pair.peer, 0x88, close_1001, 2, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
}

static void the_peers_close_is_answered_and_told_again(struct pair pair)
{
    char text[32];
    Ws_DataType type;

    put_frame(pair.peer, 0x88, "\x03\xe8" "bye", 5, pair.server);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    get_frame(pair.peer, 0x88, "\x03\xe8", 2, !pair.server);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
}

static void the_end_of_the_stream_is_a_disconnect(struct pair pair)
{
    char text[32];
    Ws_DataType type;

    put_frame(pair.peer, 0x81, "last", 4, pair.server);
    shutdown(pair.peer, SHUT_RDWR);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 4);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    CHECK(ws_send(pair.ours, "x", 1, false, WDT_TXTDATA) <= 0);
}

static void what_is_no_packet_is_handed_out_as_it_is(struct pair pair)
{
    char text[64];
    Ws_DataType type;

    put(pair.peer, "GET / HTTP/1.0\r\n\r\n", 18);
    CHECK_INT(recv_wait(pair.ours, text, sizeof text, &type), -18);
    CHECK(type == WDT_NULL && strcmp(text, "GET / HTTP/1.0\r\n\r\n") == 0);
    CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
}

static void a_peer_that_reads_slowly_gets_everything_in_order(struct pair pair)
{
    enum { SIZE = 300000, COUNT = 3 };
    static char message[SIZE];
    long long began;
    int accepted = 0;
    int i;

    // Nobody reads: a few are accepted, then refused, and the caller is not kept.
    began = now_ms();
    for (i = 0; i < 200; i++) {
        memset(message, 'a' + i % 26, SIZE);
        if (ws_send(pair.ours, message, SIZE, false, WDT_BINDATA) <= 0)
            break;
        accepted++;
    }
    CHECK(i < 200 && accepted >= COUNT);
    CHECK(now_ms() - began < 4000LL * slowness());
    // What was queued leaves with later calls.
    for (i = 0; i < accepted; i++) {
        Ws_DataType type;
        unsigned char head[14];
        size_t len = 0;
        static unsigned char body[SIZE + 14];
        size_t j;

        while (len < SIZE + 10u + (pair.server ? 0 : 4)) {
            ssize_t got = recv(pair.peer, body + len, SIZE + 10u + (pair.server ? 0 : 4) - len, MSG_DONTWAIT);

            if (got > 0)
                len += (size_t)got;
            else
                CHECK_INT(ws_recv(pair.ours, message, SIZE, &type), 0);
        }
        memcpy(head, body, 14);
        for (j = 0; j < SIZE; j += 997) {
            unsigned char byte = body[(pair.server ? 10 : 14) + j];

            CHECK_INT(pair.server ? byte : byte ^ head[10 + j % 4], 'a' + i % 26);
        }
    }
    CHECK(ws_send(pair.ours, "again", 5, false, WDT_TXTDATA) > 0);
    get_frame(pair.peer, 0x81, "again", 5, !pair.server);
}

static void *receive_one(void *argument)
{
    static char text[64];
    Ws_DataType type;

    CHECK_INT(recv_wait(*(int *)argument, text, sizeof text, &type), 3);
    return NULL;
}

static void one_thread_sends_while_another_receives(struct pair pair)
{
    static char message[3000000];
    pthread_t thread = thread_start(receive_one, &pair.ours);
    char sink[65536];
    size_t left = sizeof message + (pair.server ? 10 : 14);
    pid_t child;
    int status;

    // The peer reads only after its own message was taken.
    put_frame(pair.peer, 0x81, "now", 3, pair.server);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        ws_delayms(200);
        while (left > 0) {
            ssize_t got = recv(pair.peer, sink, sizeof sink < left ? sizeof sink : left, 0);

            if (got <= 0)
                _exit(1);
            left -= (size_t)got;
        }
        _exit(0);
    }
    CHECK(ws_send(pair.ours, message, sizeof message, false, WDT_BINDATA) > 0);
    pthread_join(thread, NULL);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void plain_bytes_before_the_handshake(void)
{
    char text[2048];
    Ws_DataType type;
    int fds[2];
    int32_t got;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    set_deadline(fds[1]);
    CHECK_INT(ws_recv(fds[0], text, sizeof text, &type), 0);
    CHECK(type == WDT_NULL);
    put(fds[1], REQUEST, strlen(REQUEST));
    // The way of a program with an accept loop of its own.
    got = ws_recv(fds[0], text, sizeof text, &type);
    CHECK(got == -(int32_t)strlen(REQUEST) && type == WDT_NULL && strcmp(text, REQUEST) == 0);
    CHECK(ws_send(fds[0], "x", 1, false, WDT_TXTDATA) <= 0);
    CHECK_INT(ws_send(fds[0], "raw", 3, false, WDT_NULL), 3);
    get(fds[1], text + 1000, 3);
    CHECK(ws_replyClient(fds[0], text, -got, "/") > 0);
    get_head(fds[1], text, sizeof text);
    CHECK(ws_send(fds[0], "\x81\x02" "hi", 4, false, WDT_NULL) == 4);
    get_frame(fds[1], 0x81, "hi", 2, 0);
    close(fds[0]);
    close(fds[1]);
    CHECK_INT(ws_recv(fds[0], text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_DISCONN);
    CHECK(ws_send(fds[0], "x", 1, false, WDT_NULL) <= 0);
    CHECK(ws_send(-1, "x", 1, false, WDT_NULL) <= 0);
}

static int32_t reply_to(const char *first, const char *rest, const char *path)
{
    int32_t result;
    char head[2048];
    char expected[32];
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    set_deadline(fds[1]);
    put(fds[1], rest, strlen(rest));
    result = ws_replyClient(fds[0], first, (int32_t)strlen(first), path);
    get_head(fds[1], head, sizeof head);
    snprintf(expected, sizeof expected, "HTTP/1.1 %d ", result > 0 ? 101 : -result);
    CHECK(strncmp(head, expected, strlen(expected)) == 0);
    close(fds[0]);
    close(fds[1]);
    return result;
}

static void requests_are_judged(void)
{
    static const char at_x[] = "GET /x?q=1 HTTP/1.1\r\n" REQUEST_HEADERS
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char half[64];

    CHECK(reply_to(at_x, "", NULL) > 0);
    CHECK(reply_to(at_x, "", "") > 0);
    CHECK(reply_to(at_x, "", "/x") > 0);
    CHECK(reply_to(at_x, "", "x") > 0);
    CHECK(reply_to(at_x, "", "/x?q=1") > 0);
    CHECK_INT(reply_to(at_x, "", "/x?q=2"), -404);
    CHECK_INT(reply_to(at_x, "", "/"), -404);
    CHECK_INT(reply_to(at_x, "", "/xy"), -404);
    CHECK_INT(reply_to("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", NULL), -426);
    CHECK_INT(reply_to("nonsense\r\n\r\n", "", NULL), -400);
    // In two segments, of which the caller has read one.
    memcpy(half, at_x, 40);
    half[40] = 0;
    CHECK(reply_to(half, at_x + 40, "/x") > 0);
    CHECK(reply_to("", at_x, "/x") > 0);
    CHECK_INT(reply_to(half, "", "/x"), -408);
}

static void frames_behind_the_request_are_not_lost(void)
{
    static unsigned char bytes[1024];
    size_t len = strlen(REQUEST);
    char text[1024];
    Ws_DataType type;
    int fds[2];

    memcpy(bytes, REQUEST, len);
    len += frame(bytes + len, 0x81, "early", 5, 1);
    len += frame(bytes + len, 0x81, "split", 5, 1) - 2;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    set_deadline(fds[1]);
    CHECK(ws_replyClient(fds[0], (char *)bytes, (int32_t)len, NULL) > 0);
    get_head(fds[1], text, sizeof text);
    CHECK_INT(ws_recv(fds[0], text, sizeof text, &type), 5);
    CHECK(strcmp(text, "early") == 0);
    CHECK_INT(ws_recv(fds[0], text, sizeof text, &type), 0);
    CHECK_INT(type, WDT_NULL);
    put(fds[1], bytes + len, 2);
    CHECK_INT(recv_wait(fds[0], text, sizeof text, &type), 5);
    CHECK(strcmp(text, "split") == 0);
    close(fds[0]);
    close(fds[1]);
}

static void connecting_fails_within_its_time(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    long long began;
    int32_t result;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 8) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    // It accepts and is silent.
    began = now_ms();
    result = ws_requestServer("127.0.0.1", ntohs(address.sin_port), "/", 300);
    CHECK(result <= -300 && result > -300 - 2000 * slowness());
    CHECK(now_ms() - began >= 300);
    result = ws_requestServer("127.0.0.1", ntohs(address.sin_port), NULL, 0);
    CHECK(result <= -1000 && result > -1000 - 2000 * slowness());
    close(listener);
    CHECK(ws_requestServer("127.0.0.1", ntohs(address.sin_port), "/", 500) <= 0);
    CHECK(ws_requestServer("no.such.host.invalid", 80, "/", 2000) <= 0);
    CHECK(ws_requestServer("127.0.0.1", 0, "/", 500) <= 0);
    CHECK(ws_requestServer("127.0.0.1", 70000, "/", 500) <= 0);
    CHECK(ws_requestServer("127.0.0.1\r\nX: y", 80, "/", 500) <= 0);
    CHECK(ws_requestServer("127.0.0.1", 80, "/ HTTP/1.1\r\nX: y", 500) <= 0);
    CHECK(ws_requestServer(NULL, 80, "/", 500) <= 0);
}

static void small_things(void)
{
    char ip[16];
    char expected[16], told[16];
    struct timespec before, after;
    struct tm parts;
    long long began = now_ms();

    ws_delayms(20);
    ws_delayus(5000);
    CHECK(now_ms() - began >= 24);
    CHECK(ws_getIpByHostName("localhost", ip, 2000) >= 0);
    CHECK(strcmp(ip, "127.0.0.1") == 0);
    CHECK(ws_getIpByHostName("192.0.2.7", ip, 2000) >= 0);
    CHECK(strcmp(ip, "192.0.2.7") == 0);
    CHECK(ws_getIpByHostName("no.such.host.invalid", ip, 2000) < 0);
    // By the same clock as ws_time(): what time() says lags some milliseconds behind it.
    do {
        clock_gettime(CLOCK_REALTIME, &before);
        snprintf(told, sizeof told, "%s", ws_time());
        clock_gettime(CLOCK_REALTIME, &after);
    } while (before.tv_sec != after.tv_sec);
    localtime_r(&before.tv_sec, &parts);
    strftime(expected, sizeof expected, "%H:%M:%S", &parts);
    if (strcmp(told, expected) != 0)
        FAIL("ws_time() is %s, not %s", told, expected);
}

#define BOTH(test)                        \
    do {                                  \
        struct pair pair = pair_server(); \
        puts("  " #test);                 \
        fflush(stdout);                   \
        test(pair);                       \
        pair_close(pair);                 \
        pair = pair_client();             \
        test(pair);                       \
        pair_close(pair);                 \
    } while (0)

int main(void)
{
    begin(120);
    BOTH(ten_messages_in_one_segment_come_one_by_one);
    BOTH(a_frame_byte_by_byte_is_kept_and_never_read_beyond);
    BOTH(fragments_arrive_whole_with_control_packets_between);
    BOTH(a_message_too_large_is_dropped_and_the_next_is_intact);
    BOTH(half_a_message_does_not_care_which_buffer_takes_the_rest);
    BOTH(what_is_sent_has_the_mask_of_the_role);
    BOTH(the_peers_close_is_answered_and_told_again);
    BOTH(the_end_of_the_stream_is_a_disconnect);
    BOTH(what_is_no_packet_is_handed_out_as_it_is);
    BOTH(a_peer_that_reads_slowly_gets_everything_in_order);
    BOTH(one_thread_sends_while_another_receives);
    RUN(plain_bytes_before_the_handshake);
    RUN(requests_are_judged);
    RUN(frames_behind_the_request_are_not_lost);
    RUN(connecting_fails_within_its_time);
    RUN(small_things);
    return 0;
}

// --- SHA-1 and base64, for the raw server's answer ---

static uint32_t rotated(uint32_t value, int by)
{
    return value << by | value >> (32 - by);
}

// key has 24 characters: with the GUID 60 bytes, which fill two blocks.
static const char *sha1_accept(const char *key, char *accept)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char blocks[128];
    unsigned char hash[21];
    int block;
    int i;

    memset(blocks, 0, sizeof blocks);
    memcpy(blocks, key, 24);
    memcpy(blocks + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    blocks[60] = 0x80;
    blocks[126] = 480 >> 8;
    blocks[127] = 480 & 255;
    for (block = 0; block < 2; block++) {
        uint32_t w[80];
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

        for (i = 0; i < 16; i++) {
            const unsigned char *p = blocks + 64 * block + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (; i < 80; i++)
            w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t t = rotated(a, 5) + f + e + k + w[i];

            e = d;
            d = c;
            c = rotated(b, 30);
            b = a;
            a = t;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }
    for (i = 0; i < 20; i++)
        hash[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    hash[20] = 0;
    for (i = 0; i < 7; i++) {
        uint32_t group = (uint32_t)hash[3 * i] << 16 | (uint32_t)hash[3 * i + 1] << 8 | hash[3 * i + 2];
        int j;

        for (j = 0; j < 4; j++)
            accept[4 * i + j] = digits[group >> (18 - 6 * j) & 63];
    }
    accept[27] = '=';
    accept[28] = 0;
    return accept;
}
