/* libws for programs that were written for websocket_for_linux: messages over plain descriptors.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * With -I.../include/websocket_for_linux -lws such programs compile unchanged. docs/migrating.md
 * says what is different for them.
 *
 * The historical names are static inline functions here, on top of functions of libws with names
 * of their own (ws_wfl_...). So libws.so exports none of them, and nothing that a program or another
 * library calls ws_send can clash. Macros would do the same for calls, but they would also rename
 * struct members and methods called ws_send, and a function-like one has no address.
 *
 * Threads: every function may be called from every thread; one thread may send on a descriptor while
 * another receives on it. */
#ifndef LIBWS_WFL_WS_COM_H
#define LIBWS_WFL_WS_COM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a packet is. */
typedef enum {
    WDT_NULL = 0, /* not a WebSocket packet */
    WDT_MINDATA,  /* a continuation; never received, as fragmented messages arrive whole */
    WDT_TXTDATA,  /* a text message (UTF-8) */
    WDT_BINDATA,  /* a binary message */
    WDT_DISCONN,  /* a Close, or the end of the connection */
    WDT_PING,
    WDT_PONG
} Ws_DataType;

/* What libws.so exports for this header. Call the functions below. */
int32_t ws_wfl_request_server(const char *ip, int32_t port, const char *path, int32_t timeoutMs);
int32_t ws_wfl_reply_client(int fd, const void *buff, int32_t buffLen, const char *path);
int32_t ws_wfl_send(int fd, const void *buff, int32_t buffLen, int type);
int32_t ws_wfl_recv(int fd, void *buff, int32_t buffSize, int *retType);
int ws_wfl_ip_by_host_name(const char *hostName, char *retIp, int timeoutMs);
char *ws_wfl_time(void);
void ws_wfl_delay_us(uint32_t us);
void ws_wfl_delay_ms(uint32_t ms);

#ifdef __cplusplus
}
#endif

/* gcc and clang know this spelling in every language standard. */
#define LIBWS_WFL_INLINE static __inline__ __attribute__((unused))

/* Connects to ip, an IPv4 or IPv6 address or a host name, and shakes hands for path (NULL: "/"), all
 * within timeoutMs (0: 1000). The socket, non-blocking, which the caller closes; or <= 0: minus the
 * milliseconds spent. */
LIBWS_WFL_INLINE int32_t ws_requestServer(const char *ip, int32_t port, const char *path, int32_t timeoutMs)
{
    return ws_wfl_request_server(ip, port, path, timeoutMs);
}

/* Answers the upgrade request whose bytes the caller has read from fd into buff; if its end is
 * missing, waits for it up to a second. path is the only one that is served, or NULL. > 0: the
 * connection is established, and fd is for ws_send() and ws_recv() from now on. < 0: minus the HTTP
 * status of the refusal, which has been sent; the caller closes fd. */
LIBWS_WFL_INLINE int32_t ws_replyClient(int32_t fd, const char *buff, int32_t buffLen, const char *path)
{
    return ws_wfl_reply_client(fd, buff, buffLen, path);
}

/* Sends a packet: the bytes of it that go over the wire, head included, or <= 0 if it was refused
 * whole. Whether it is masked follows from the role of the connection; mask is not looked at.
 * WDT_NULL sends the bytes as they are, on any socket. WDT_TXTDATA has to be UTF-8. WDT_DISCONN sends
 * a Close; buff may hold its code (two bytes, big-endian) and reason. To a client of a server
 * (ws_server.h) it never waits. On other sockets it waits while the kernel takes bytes, and at most a
 * second for a peer that takes none; what is left goes out with later calls, up to 1 MiB. */
LIBWS_WFL_INLINE int32_t ws_send(int32_t fd, const void *buff, int32_t buffLen, bool mask, Ws_DataType type)
{
    (void)mask;
    return ws_wfl_send(fd, buff, buffLen, (int)type);
}

/* Looks for one packet and never waits. > 0: a whole message of that many bytes in buff, with a NUL
 * behind it where there is room. 0: nothing yet (WDT_NULL), an empty message, or a control packet:
 * WDT_PING (answered), WDT_PONG, WDT_DISCONN (a Close, answered, or the connection is gone: close
 * fd). < 0: minus the number of bytes that are no packet (WDT_NULL; they are in buff, and the
 * connection has failed), or minus the size of a message that is larger than buff and was dropped.
 * retType may be NULL. buff NULL: as if received, without the content. Reads no byte beyond the
 * packet, so poll() and select() tell whether there is more. */
LIBWS_WFL_INLINE int32_t ws_recv(int32_t fd, void *buff, int32_t buffSize, Ws_DataType *retType)
{
    int type = WDT_NULL;
    int32_t result = ws_wfl_recv(fd, buff, buffSize, &type);

    if (retType)
        *retType = (Ws_DataType)type;
    return result;
}

/* The local time as "HH:MM:SS". The text is the calling thread's, until its next call. */
LIBWS_WFL_INLINE char *ws_time(void)
{
    return ws_wfl_time();
}

/* Writes the first IPv4 address of a host into retIp (16 bytes). The milliseconds spent, or negative. */
LIBWS_WFL_INLINE int ws_getIpByHostName(const char *hostName, char *retIp, int timeoutMs)
{
    return ws_wfl_ip_by_host_name(hostName, retIp, timeoutMs);
}

/* Sleeps, signals or not. */
LIBWS_WFL_INLINE void ws_delayus(uint32_t us)
{
    ws_wfl_delay_us(us);
}

LIBWS_WFL_INLINE void ws_delayms(uint32_t ms)
{
    ws_wfl_delay_ms(ms);
}

#endif
