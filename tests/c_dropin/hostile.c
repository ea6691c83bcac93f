// Hostile input to the interface, for both servers: one of ws_server.h, and one with sockets of its own. Everything is
// refused, nobody else is disturbed. Under Valgrind it also shows that nothing is overwritten.
#include "dropin.h"

static char *filled(size_t len, char with)
{
    char *text = (char *)malloc(len + 1);

    CHECK(text != NULL);
    memset(text, with, len);
    text[len] = 0;
    return text;
}

// The input of each case, by number; NULL: no more. Before: instead of a request; after: behind one.
static char *before(int which, size_t *len)
{
    static const char end[] = "\r\n\r\n";
    static const char key[] = "GET / HTTP/1.1\r\n" REQUEST_HEADERS "Sec-WebSocket-Key: ";
    char *text;
    size_t filling = which == 0 ? 1024 * 1024 : which == 1 ? 100 * 1024 : 20000;

    switch (which) {
    case 0: // a key of 1 MiB
    case 1: // a first line that is GET again and again
    case 2: // a path of 20000 bytes
    case 3: // a header of 20000 bytes
        text = filled(filling + 1024, 'A');
        if (which == 0)
            memcpy(text, key, sizeof key - 1);
        if (which == 1)
            for (*len = 0; *len < filling; *len += 4)
                memcpy(text + *len, "GET ", 4);
        if (which == 2)
            memcpy(text, "GET /", 5);
        if (which == 3)
            memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
        memcpy(text + filling + 1000, end, 4);
        *len = filling + 1004;
        return text;
    case 4: // a key of 600 bytes
        text = filled(1200, 'k');
        *len = sizeof key - 1;
        memcpy(text, key, *len);
        memset(text + *len, 'k', 600);
        memcpy(text + *len + 600, end, 4);
        *len += 604;
        return text;
    case 5: // 2000 headers
        text = filled(2000 * 8 + 64, ' ');
        *len = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");
        while (*len < 2000 * 8)
            *len += (size_t)sprintf(text + *len, "a%d: b\r\n", (int)(*len % 10));
        *len += (size_t)sprintf(text + *len, "\r\n");
        return text;
    case 6: // not HTTP
        text = filled(64, '\x01');
        *len = 64;
        return text;
    case 7: // another version
        text = filled(512, 0);
        *len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        return text;
    default:
        return NULL;
    }
}

struct bytes {
    const char *text;
    size_t len;
};

#define BYTES(text) {text, sizeof(text) - 1}

static const struct bytes after[] = {
    BYTES("\x81\x05hello"),                                     // not masked
    BYTES("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00mask...."),  // 2^40 bytes
    BYTES("\x82\xff\x00\x00\x00\x00\xff\xff\xff\xf5mask...."),  // what overflowed 32 bits once
    BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask...."),  // 2^63 - 1
    BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask...."),  // over 63 bits
    BYTES("\xc1\x81mask."),                                     // a reserved bit
    BYTES("\x83\x81mask."),                                     // a reserved opcode
    BYTES("\x80\x81mask."),                                     // a continuation of nothing
    BYTES("\x09\x81mask."),                                     // a ping in fragments
    BYTES("\x89\xfe\x00\x7emask"),                              // a ping of 126 bytes
    BYTES("\x81\x82\0\0\0\0\xc3\x28"),                          // no UTF-8
    BYTES("\x88\x81\0\0\0\0x"),                                 // a Close of one byte
    BYTES("\x88\x82\0\0\0\0\x03\xed"),                          // a Close with a code that never is one
    BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),                 // HTTP again
};

enum { AFTER = sizeof after / sizeof after[0] };

// --- ws_replyClient() and ws_recv() ---

static void own_sockets_before_the_handshake(void)
{
    size_t len;
    char *input;
    int which;

    for (which = 0; (input = before(which, &len)) != NULL; which++) {
        // All at once, and in the pieces that a program with a small buffer reads.
        size_t pieces[] = {len, 512};
        int i;

        for (i = 0; i < 2; i++) {
            size_t first = pieces[i] < len ? pieces[i] : len;
            char answer[4096];
            int fds[2];
            pid_t child;

            CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
            set_deadline(fds[1]);
            child = fork();
            if (child == 0) {
                close(fds[0]);
                // It may be refused before all of it was sent.
                if (send(fds[1], input + first, len - first, MSG_NOSIGNAL) < 0)
                    _exit(0);
                _exit(0);
            }
            CHECK(ws_replyClient(fds[0], input, (int32_t)first, NULL) < 0);
            get_head(fds[1], answer, sizeof answer);
            CHECK(strncmp(answer, "HTTP/1.1 4", 10) == 0);
            CHECK(ws_send(fds[0], "x", 1, false, WDT_TXTDATA) <= 0);
            close(fds[0]);
            close(fds[1]);
        }
        free(input);
    }
    CHECK_INT(which, 8);
    CHECK(ws_replyClient(-1, REQUEST, (int32_t)strlen(REQUEST), NULL) <= 0);
    CHECK(ws_replyClient(0, NULL, 5, NULL) <= 0);
    CHECK(ws_replyClient(0, REQUEST, -5, NULL) <= 0);
}

static void own_sockets_after_the_handshake(void)
{
    int i;

    for (i = 0; i < AFTER; i++) {
        struct pair pair = pair_server();
        char text[64];
        Ws_DataType type;
        unsigned char head[2];

        put(pair.peer, after[i].text, after[i].len);
        CHECK(recv_wait(pair.ours, text, sizeof text, &type) < 0);
        CHECK_INT(type, WDT_NULL);
        get(pair.peer, head, 2);
        CHECK_INT(head[0], 0x88);
        CHECK(ws_send(pair.ours, "x", 1, false, WDT_TXTDATA) <= 0);
        // A flood behind it is nobody's message.
        put_frame(pair.peer, 0x81, "later", 5, 1);
        CHECK_INT(ws_recv(pair.ours, text, sizeof text, &type), 0);
        CHECK_INT(type, WDT_DISCONN);
        close(pair.ours);
        close(pair.peer);
    }
}

// --- ws_server.h ---

static int negative;
static int exits;

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0) {
        ws_send(wsc->fd, msg, msgLen, false, type);
    } else if (msgLen < 0) {
        int i;
        unsigned sum = 0;

        // Every byte that is told can be read.
        for (i = 0; i < -msgLen; i++)
            sum += (unsigned char)msg[i];
        CHECK(sum > 0 && msg[-msgLen] == 0 && type == WDT_NULL);
        __sync_fetch_and_add(&negative, 1);
    }
}

static void on_exit_of_client(Ws_Client *wsc, Ws_ExitType exitType)
{
    (void)wsc;
    CHECK(exitType == WET_DISCONNECT || exitType == WET_EPOLL);
    __sync_fetch_and_add(&exits, 1);
}

// A client that is answered at once, whatever the others do.
static void check_served(int fd)
{
    long long began = now_ms();
    char text[64];
    Ws_DataType type;

    CHECK(ws_send(fd, "here?", 5, true, WDT_TXTDATA) > 0);
    CHECK_INT(recv_wait(fd, text, sizeof text, &type), 5);
    CHECK(now_ms() - began < 3000LL * slowness());
}

static void a_server_stays_calm(void)
{
    Ws_Server *wss = serve(NULL, NULL, NULL, on_message, on_exit_of_client);
    int good = ws_requestServer("127.0.0.1", wss->port, "/", (int)deadline_ms());
    int stalled[3];
    size_t len;
    char *input;
    int i;

    CHECK(good > 0);
    // Half a handshake, half a frame, and a reader that never reads.
    stalled[0] = dial(wss->port);
    put(stalled[0], REQUEST, 30);
    stalled[1] = dial_open(wss->port);
    put(stalled[1], "\x81\xfe\x04\x00mask half", 13);
    stalled[2] = dial_open(wss->port);
    check_served(good);
    for (i = 0; (input = before(i, &len)) != NULL; i++) {
        int fd = dial(wss->port);
        ssize_t sent = send(fd, input, len, MSG_NOSIGNAL);

        CHECK(sent > 0 || errno == EPIPE || errno == ECONNRESET);
        drain(fd);
        close(fd);
        free(input);
        check_served(good);
    }
    for (i = 0; i < AFTER; i++) {
        int fd = dial_open(wss->port);

        put(fd, after[i].text, after[i].len);
        CHECK(drain(fd) >= 2 || i < 0);
        close(fd);
        check_served(good);
    }
    WAIT_FOR(__sync_fetch_and_add(&exits, 0) == AFTER);
    CHECK_INT(__sync_fetch_and_add(&negative, 0), AFTER);
    // A client that sends without reading is not read either, and is not dropped for it.
    {
        char *large = filled(60000, 'x');
        size_t total = 0;
        int fd = stalled[2];
        long long until = now_ms() + 500;

        CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        while (now_ms() < until && total < 64u * 1024 * 1024) {
            unsigned char *bytes = (unsigned char *)malloc(60014);
            size_t n = frame(bytes, 0x82, large, 60000, 1);
            size_t done = 0;

            while (done < n && now_ms() < until) {
                ssize_t sent = send(fd, bytes + done, n - done, MSG_NOSIGNAL);

                if (sent > 0)
                    done += (size_t)sent;
                else
                    CHECK(errno == EAGAIN);
            }
            total += done;
            free(bytes);
        }
        check_served(good);
        free(large);
    }
    CHECK_INT(wss->clientCount, 3);
    for (i = 0; i < 3; i++)
        close(stalled[i]);
    close(good);
    ws_server_release(&wss);
}

int main(void)
{
    signal(SIGCHLD, SIG_IGN);
    begin(120);
    RUN(own_sockets_before_the_handshake);
    RUN(own_sockets_after_the_handshake);
    RUN(a_server_stays_calm);
    return 0;
}
