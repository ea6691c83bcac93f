// What the kernel costs a client that echoes: one epoll_wait, one recv, one send for what has come, the payload masked
// on the way. Usage: client_floor PORT. It is no WebSocket client: it takes every answer for a 101 and every frame for
// data.

#include "raw.h"

#include <sys/epoll.h>

int main(int argc, char **argv)
{
    static unsigned char in[512 * 1024];
    static unsigned char out[512 * 1024];
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    struct epoll_event event = {.events = EPOLLIN};
    int loop = SYS(epoll_create1(0));
    int fd = raw_connect((uint16_t)port);
    size_t have = 0;
    char head[2048];

    raw_puts(fd, "GET / HTTP/1.1\r\n" RAW_UPGRADE "\r\n");
    if (!raw_head(fd, head, sizeof head))
        FAIL("no answer");
    SYS(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event));
    for (;;) {
        size_t used = 0;
        size_t made = 0;
        ssize_t got;

        if (epoll_wait(loop, &event, 1, -1) != 1)
            continue;
        got = recv(fd, in + have, sizeof in / 2 - have, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return 0;
        have += got > 0 ? (size_t)got : 0;
        while (have - used >= 4) {
            const unsigned char *frame = in + used;
            size_t head_len = frame[1] < 126 ? 2 : frame[1] == 126 ? 4 : 10;
            size_t len = frame[1];
            uint64_t key = 0x0102030401020304u;
            size_t i = 0;

            if (frame[1] == 126)
                len = (size_t)frame[2] << 8 | frame[3];
            else if (frame[1] == 127 && have - used >= 10)
                len = (size_t)frame[6] << 24 | (size_t)frame[7] << 16 | (size_t)frame[8] << 8 | frame[9];
            if (have - used < head_len || have - used < head_len + len)
                break;
            memcpy(out + made, frame, head_len);
            out[made + 1] |= 0x80;
            memcpy(out + made + head_len, &key, 4);
            made += head_len + 4;
            for (; i + 8 <= len; i += 8) {
                uint64_t word;

                memcpy(&word, frame + head_len + i, 8);
                word ^= key;
                memcpy(out + made + i, &word, 8);
            }
            for (; i < len; i++)
                out[made + i] = frame[head_len + i] ^ (unsigned char)(key >> i % 4 * 8);
            made += len;
            used += head_len + len;
        }
        memmove(in, in + used, have - used);
        have -= used;
        if (made > 0)
            raw_send(fd, out, made);
    }
}
