// A client that keeps a heartbeat and connects again when the server has gone, in the way such programs are written:
// a loop with a short delay, ws_recv() in each turn, a ping now and then, no poll().
#include "dropin.h"

static int port_of(Ws_Server *wss)
{
    return wss->port;
}

struct beats {
    int pings;   // answered
    int texts;   // echoed
    int connects;
    int losses;
    volatile int port;
    volatile bool stop;
};

static void *heartbeat_client(void *argument)
{
    struct beats *beats = (struct beats *)argument;
    static char buff[WS_SERVER_PKG];
    int fd = -1;
    int turn = 0;

    while (!beats->stop) {
        Ws_DataType retType = WDT_NULL;
        int ret;

        if (fd <= 0) {
            fd = ws_requestServer("localhost", beats->port, "/beat", 500 * slowness());
            if (fd <= 0) {
                ws_delayms(20);
                continue;
            }
            __sync_fetch_and_add(&beats->connects, 1);
        }
        ret = ws_recv(fd, buff, sizeof buff, &retType);
        if (ret > 0) {
            CHECK(strcmp(buff, "alive") == 0);
            __sync_fetch_and_add(&beats->texts, 1);
        } else if (ret < 0) {
            FAIL("%d bytes that are no packet", -ret);
        } else if (retType == WDT_PONG) {
            __sync_fetch_and_add(&beats->pings, 1);
        } else if (retType == WDT_DISCONN) {
            __sync_fetch_and_add(&beats->losses, 1);
            close(fd);
            fd = -1;
            continue;
        }
        if (++turn % 20 == 0)
            ret = ws_send(fd, NULL, 0, true, WDT_PING);
        else if (turn % 20 == 10)
            ret = ws_send(fd, "alive", 5, true, WDT_TXTDATA);
        else
            ret = 1;
        if (ret <= 0) {
            close(fd);
            fd = -1;
        }
        ws_delayms(1);
    }
    ws_send(fd, NULL, 0, true, WDT_DISCONN);
    close(fd);
    return NULL;
}

static int controls[7];

static void on_message(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type)
{
    if (msgLen > 0)
        ws_send(wsc->fd, msg, msgLen, false, type);
    else
        __sync_fetch_and_add(&controls[type], 1);
}

int main(void)
{
    struct beats beats;
    pthread_t thread;
    Ws_Server *wss;
    int port;

    begin(120);
    memset(&beats, 0, sizeof beats);
    wss = serve("/beat", NULL, NULL, on_message, NULL);
    port = port_of(wss);
    beats.port = port;
    thread = thread_start(heartbeat_client, &beats);
    WAIT_FOR(__sync_fetch_and_add(&beats.pings, 0) >= 5 && __sync_fetch_and_add(&beats.texts, 0) >= 5);
    CHECK(__sync_fetch_and_add(&controls[WDT_PING], 0) >= 5);
    // The server goes and comes back at the same port.
    ws_server_release(&wss);
    CHECK(wss == NULL);
    WAIT_FOR(__sync_fetch_and_add(&beats.losses, 0) == 1);
    wss = ws_server_create(port, "/beat", NULL, NULL, on_message, NULL);
    WAIT_FOR(__sync_fetch_and_add(&beats.connects, 0) == 2);
    WAIT_FOR(__sync_fetch_and_add(&beats.texts, 0) >= 20);
    beats.stop = true;
    pthread_join(thread, NULL);
    WAIT_FOR(__sync_fetch_and_add(&controls[WDT_DISCONN], 0) == 1);
    CHECK_INT(beats.losses, 1);
    ws_server_release(&wss);
    ws_server_release(&wss);
    ws_server_release(NULL);
    return 0;
}
