// A file of 10 MiB goes to an echo server and comes back identical: in packages one at a time, in packages as fast as the
// connection takes them, and in one message through a server of the program's own.
#include "dropin.h"

#define PACKAGE (WS_SERVER_PKG - 16)

static size_t file_size;
static unsigned char *file;
static unsigned char *copy;

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0)
        CHECK(ws_send(wsc->fd, msg, msgLen, false, type) > 0);
}

static size_t part(size_t offset)
{
    size_t left = file_size - offset;

    return left < PACKAGE ? left : PACKAGE;
}

static void one_package_at_a_time(void)
{
    Ws_Server *wss = serve("/", NULL, NULL, on_message, NULL);
    int fd = ws_requestServer("127.0.0.1", wss->port, "/", (int)deadline_ms());
    size_t offset = 0;

    CHECK(fd > 0);
    while (offset < file_size) {
        int len = (int)part(offset);
        Ws_DataType type;

        CHECK(ws_send(fd, file + offset, len, true, WDT_BINDATA) > len);
        CHECK_INT(recv_wait(fd, copy + offset, len, &type), len);
        CHECK_INT(type, WDT_BINDATA);
        offset += (size_t)len;
    }
    CHECK(memcmp(file, copy, file_size) == 0);
    close(fd);
    ws_server_release(&wss);
}

static int stream;

static void *receive_all(void *argument)
{
    size_t offset = 0;

    (void)argument;
    while (offset < file_size) {
        Ws_DataType type;
        int got = recv_wait(stream, copy + offset, (int)(file_size - offset), &type);

        if (got != (int)part(offset))
            FAIL("%d bytes of type %d instead of %zu at %zu", got, (int)type, part(offset), offset);
        offset += (size_t)got;
        // Slower than it is sent: the server has to wait, not to drop.
        ws_delayms(2);
    }
    return NULL;
}

static void as_fast_as_it_goes(void)
{
    Ws_Server *wss = serve("/", NULL, NULL, on_message, NULL);
    size_t offset;
    pthread_t reader;

    memset(copy, 0, file_size);
    stream = ws_requestServer("127.0.0.1", wss->port, "/", (int)deadline_ms());
    CHECK(stream > 0);
    reader = thread_start(receive_all, NULL);
    for (offset = 0; offset < file_size; offset += part(offset))
        // 0 or less: nothing of it was sent, as the reader is behind.
        while (ws_send(stream, file + offset, (int)part(offset), true, WDT_BINDATA) <= 0)
            ws_delayms(1);
    pthread_join(reader, NULL);
    CHECK(memcmp(file, copy, file_size) == 0);
    close(stream);
    ws_server_release(&wss);
}

static void *send_whole(void *argument)
{
    CHECK(ws_send(*(int *)argument, file, (int)file_size, false, WDT_BINDATA) > (int)file_size);
    return NULL;
}

static void in_one_message(void)
{
    struct pair pair = pair_server();
    unsigned char head[10];
    size_t i;
    pthread_t sender;
    Ws_DataType type;

    memset(copy, 0, file_size);
    sender = thread_start(send_whole, &pair.ours);
    get(pair.peer, head, sizeof head);
    get(pair.peer, copy, file_size);
    pthread_join(sender, NULL);
    CHECK(memcmp(file, copy, file_size) == 0);
    // And back, read while it comes.
    if (fork() == 0) {
        put_frame(pair.peer, 0x82, file, file_size, 1);
        _exit(0);
    }
    for (i = 0; i < file_size; i++)
        copy[i] = 0;
    CHECK_INT(recv_wait(pair.ours, copy, (int)file_size, &type), file_size);
    CHECK(memcmp(file, copy, file_size) == 0);
    close(pair.ours);
    close(pair.peer);
}

int main(void)
{
    unsigned seed = 20231;
    size_t i;

    begin(120);
    file_size = small_loads() ? 1024 * 1024 + 1 : 10 * 1024 * 1024;
    file = (unsigned char *)malloc(file_size);
    copy = (unsigned char *)malloc(file_size);
    CHECK(file != NULL && copy != NULL);
    for (i = 0; i < file_size; i++)
        file[i] = (unsigned char)rand_r(&seed);
    RUN(one_package_at_a_time);
    RUN(as_fast_as_it_goes);
    RUN(in_one_message);
    free(file);
    free(copy);
    return 0;
}
