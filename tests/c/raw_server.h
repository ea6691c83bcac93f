// The server's side of the opening handshake, made by hand (RFC 6455 section 4.2.2), so that clients can be met by
// servers that get it right and by servers that do not.
#ifndef RAW_SERVER_H
#define RAW_SERVER_H

#include "raw.h"

static inline uint32_t sha1_rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static inline void sha1_block(uint32_t state[5], const unsigned char block[64])
{
    uint32_t w[80];
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    uint32_t e = state[4];
    int i;

    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8
            | block[4 * i + 3];
    for (; i < 80; i++)
        w[i] = sha1_rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5a827999u : i < 40 ? 0x6ed9eba1u : i < 60 ? 0x8f1bbcdcu : 0xca62c1d6u;
        uint32_t next = sha1_rotate(a, 5) + f + e + k + w[i];

        e = d;
        d = c;
        c = sha1_rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

// Of fewer than 120 bytes: one or two blocks.
static inline void sha1(const char *text, unsigned char digest[20])
{
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    unsigned char blocks[128] = {0};
    size_t len = strlen(text);
    size_t used = len < 56 ? 64 : 128;
    int i;

    CHECK(len < 120);
    memcpy(blocks, text, len);
    blocks[len] = 0x80;
    blocks[used - 2] = (unsigned char)(len * 8 >> 8);
    blocks[used - 1] = (unsigned char)(len * 8);
    sha1_block(state, blocks);
    if (used == 128)
        sha1_block(state, blocks + 64);
    for (i = 0; i < 20; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}

// The value of Sec-WebSocket-Accept for a key: 28 characters.
static inline void accept_for(const char *key, char accept[32])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char digest[21] = {0};
    char text[119];
    int i;

    snprintf(text, sizeof text, "%.60s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, digest);
    for (i = 0; i < 7; i++) {
        uint32_t group = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];

        accept[4 * i] = alphabet[group >> 18];
        accept[4 * i + 1] = alphabet[group >> 12 & 63];
        accept[4 * i + 2] = alphabet[group >> 6 & 63];
        accept[4 * i + 3] = alphabet[group & 63];
    }
    accept[27] = '=';
    accept[28] = '\0';
}

// Writes into answer a template whose $ is replaced by the right Sec-WebSocket-Accept for the request.
static inline void fill_in_accept(const char *template, const char *request, char *answer, size_t size)
{
    const char *dollar = strchr(template, '$');
    char key[64];
    char accept[32];
    int len;

    CHECK(raw_header(request, "Sec-WebSocket-Key", key, sizeof key));
    accept_for(key, accept);
    if (dollar == NULL)
        len = snprintf(answer, size, "%s", template);
    else
        len = snprintf(answer, size, "%.*s%s%s", (int)(dollar - template), template, accept, dollar + 1);
    CHECK(len >= 0 && (size_t)len < size);
}

#define GOOD_ANSWER                      \
    "HTTP/1.1 101 Switching Protocols\r\n" \
    "Upgrade: websocket\r\n"             \
    "Connection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: $\r\n"

// Accepts a client and its request; answers with the template. Returns the connection.
static inline int raw_answer(int listener, const char *template, char *request, size_t size)
{
    char answer[8192];
    int fd = raw_accept(listener);

    if (!raw_head(fd, request, size))
        FAIL("no request came");
    fill_in_accept(template, request, answer, sizeof answer);
    raw_puts(fd, answer);
    return fd;
}

static inline int raw_serve(int listener)
{
    char request[8192];

    return raw_answer(listener, GOOD_ANSWER "\r\n", request, sizeof request);
}

#endif
