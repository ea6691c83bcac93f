/* libws for programs that were written for websocket_for_linux: the server. See ws_com.h.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Callbacks run on threads of the server: those of one client one after the other, and those of the
 * first 500 clients too. They may call everything here and in ws_com.h. The program may look at the
 * structs at any time; what it may write is exitType and priv of a client. Entries of the table
 * change only under lock. */
#ifndef LIBWS_WFL_WS_SERVER_H
#define LIBWS_WFL_WS_SERVER_H

#include <pthread.h>

#include "ws_com.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A message of up to WS_SERVER_PKG - 16 bytes is handed to onMessage; a larger one is dropped. */
#define WS_SERVER_PKG (1024 * 100 + 16)
#define WS_SERVER_THREAD 10
#define WS_SERVER_CLIENT_OF_THREAD 500
#define WS_SERVER_CLIENT (WS_SERVER_THREAD * WS_SERVER_CLIENT_OF_THREAD)
#define WS_SERVER_BIND_TIMEOUT_MS 1000
#define WS_SERVER_LOGIN_TIMEOUT_MS 5000
#define WS_SERVER_CLIENT_OF_PRINTF 500

/* Why a client goes. */
typedef enum {
    WET_NONE = 0,      /* it stays */
    WET_EPOLL,         /* the connection broke */
    WET_SEND,          /* it does not read, and more than 4 MiB are queued for it */
    WET_LOGIN,         /* for the program's use: a client that never logged in has no entry */
    WET_LOGIN_TIMEOUT, /* likewise */
    WET_DISCONNECT     /* it has closed, broken the protocol, or the server ends */
} Ws_ExitType;

typedef struct WsClient Ws_Client;
typedef struct WsThread Ws_Thread;
typedef struct WsServer Ws_Server;

/* A client has shaken hands. */
typedef void (*WsOnLogin)(Ws_Client *wsc);
/* msgLen > 0: a whole message, with a NUL behind it. 0: a control packet, or an empty message; type
 * says which. < 0: minus the number of bytes at msg that are no message (WDT_NULL): the connection
 * has failed, or the message was too large and this is its beginning. */
typedef void (*WsOnMessage)(Ws_Client *wsc, char *msg, int msgLen, Ws_DataType type);
/* A client whose onLogin was called is gone. Once; then its entry is free again. */
typedef void (*WsOnExit)(Ws_Client *wsc, Ws_ExitType exitType);

/* An entry of the table: a client is there when fd && isLogin && !exitType. */
struct WsClient {
    int fd;               /* for ws_send(); never read, write or close it */
    uint8_t ip[4];
    int port;
    Ws_ExitType exitType; /* written by the program: the client is dropped within half a second */
    bool isLogin;
    bool isExiting;       /* onExit is running */
    uint32_t recvBytes;   /* payload received so far, modulo 2^32 */
    uint32_t index;       /* in the table */
    uint32_t loginTimeout;
    void *priv;           /* the server's at first */
    Ws_Server *wss;
    Ws_Thread *wst;
};

struct WsThread {
    int fd_epoll;
    int clientCount;
    bool isRun;
    Ws_Server *wss;
};

struct WsServer {
    int fd;
    int fd_epoll;
    int port;     /* with port 0: the one that was free, once fd is set */
    char path[256];
    void *priv;
    int clientCount;
    bool isExit;  /* the port could not be bound, or the server has ended */
    pthread_mutex_t lock;
    WsOnLogin onLogin;
    WsOnMessage onMessage;
    WsOnExit onExit;
    Ws_Thread thread[WS_SERVER_THREAD];
    Ws_Client client[WS_SERVER_CLIENT];
};

/* What libws.so exports for this header. Call the functions below. */
Ws_Server *ws_wfl_server_create(int port, const char *path, void *priv, WsOnLogin onLogin, WsOnMessage onMessage,
                                WsOnExit onExit);
void ws_wfl_server_release(Ws_Server **wss);

#ifdef __cplusplus
}
#endif

/* Serves path (NULL or "": every path) at a port of all IPv4 addresses, in threads of its own. Returns
 * at once; if the port is taken it is tried again for WS_SERVER_BIND_TIMEOUT_MS, then isExit turns true.
 * Callbacks may be NULL. NULL: a bad port, a path of more than 255 bytes, or nothing left to make it of. */
LIBWS_WFL_INLINE Ws_Server *ws_server_create(int port, const char *path, void *priv, WsOnLogin onLogin,
                                             WsOnMessage onMessage, WsOnExit onExit)
{
    return ws_wfl_server_create(port, path, priv, onLogin, onMessage, onExit);
}

/* Ends the server: onExit of every client, then the memory is freed and *wss is NULL. Waits up to a
 * second for the clients; in a callback of that server it returns at once instead. */
LIBWS_WFL_INLINE void ws_server_release(Ws_Server **wss)
{
    ws_wfl_server_release(wss);
}

#endif
