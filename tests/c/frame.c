// The small pieces: ws_accept_key, ws_mask, ws_frame_parse, ws_frame_build.
#include "check.h"

static void accept_key(void)
{
    char out[30];

    memset(out, 'x', sizeof out);
    // RFC 6455 section 1.3
    OK(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", out));
    CHECK_STR(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK_INT(out[29], 'x');
    OK(ws_accept_key("", out));
    CHECK_INT(strlen(out), 28);
    CHECK_STATUS(ws_accept_key(NULL, out), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_accept_key("x", NULL), WS_ERR_INVALID_ARG);
}

static void mask(void)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char expected[257];
    unsigned char data[257];
    size_t len;
    size_t split;
    size_t i;

    // RFC 6455 section 5.7
    memcpy(data, "Hello", 5);
    OK(ws_mask(data, 5, key, 0));
    CHECK(memcmp(data, "\x7f\x9f\x4d\x51\x58", 5) == 0);

    for (len = 0; len < sizeof data; len += 7) {
        for (i = 0; i < len; i++)
            expected[i] = (unsigned char)(i ^ key[i % 4]);
        for (split = 0; split <= len; split += 5) {
            for (i = 0; i < len; i++)
                data[i] = (unsigned char)i;
            OK(ws_mask(data, split, key, 0));
            OK(ws_mask(data + split, len - split, key, split));
            CHECK(memcmp(data, expected, len) == 0);
        }
    }
    OK(ws_mask(NULL, 0, key, SIZE_MAX));
    CHECK_STATUS(ws_mask(NULL, 1, key, 0), WS_ERR_INVALID_ARG);
    CHECK_STATUS(ws_mask(data, 1, NULL, 0), WS_ERR_INVALID_ARG);
}

static void heads_both_ways(void)
{
    static const struct {
        const char *bytes;
        int len;
        ws_frame_head head;
    } table[] = {
        {"\x81\x05", 2, {.fin = 1, .opcode = WS_OP_TEXT, .len = 5}},
        {"\x02\x7d", 2, {.opcode = WS_OP_BINARY, .len = 125}},
        {"\x80\x7e\x00\x7e", 4, {.fin = 1, .opcode = WS_OP_CONTINUATION, .len = 126}},
        {"\xc1\x7e\xff\xff", 4, {.fin = 1, .rsv = 4, .opcode = WS_OP_TEXT, .len = 65535}},
        {"\x82\x7f\0\0\0\0\0\x01\0\0", 10, {.fin = 1, .opcode = WS_OP_BINARY, .len = 65536}},
        {"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10, {.fin = 1, .opcode = WS_OP_BINARY, .len = INT64_MAX}},
        {"\x88\x80\x01\x02\x03\x04", 6, {.fin = 1, .opcode = WS_OP_CLOSE, .masked = 1, .mask = {1, 2, 3, 4}}},
        {"\x89\xfd\0\0\0\0", 6, {.fin = 1, .opcode = WS_OP_PING, .masked = 1, .len = 125}},
        {"\x8a\x00", 2, {.fin = 1, .opcode = WS_OP_PONG}},
        {"\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04", 14,
         {.fin = 1, .opcode = WS_OP_BINARY, .masked = 1, .mask = {1, 2, 3, 4}, .len = 65536}},
    };
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        const ws_frame_head *expected = &table[i].head;
        ws_frame_head head;
        uint8_t out[15];
        int len;

        // Not before it is whole, and nothing is touched until then.
        memset(&head, 0x55, sizeof head);
        for (len = 0; len < table[i].len; len++) {
            CHECK_INT(ws_frame_parse(table[i].bytes, (size_t)len, &head), 0);
            CHECK_INT(head.opcode, 0x55555555);
        }
        CHECK_INT(ws_frame_parse(table[i].bytes, (size_t)len, &head), table[i].len);
        CHECK_INT(head.fin, expected->fin);
        CHECK_INT(head.rsv, expected->rsv);
        CHECK_INT(head.opcode, expected->opcode);
        CHECK_INT(head.masked, expected->masked);
        CHECK(memcmp(head.mask, expected->mask, 4) == 0);
        CHECK(head.len == expected->len);

        memset(out, 0xaa, sizeof out);
        CHECK_INT(ws_frame_build(expected, out), table[i].len);
        CHECK(memcmp(out, table[i].bytes, (size_t)table[i].len) == 0);
        CHECK_INT(out[table[i].len], 0xaa);
    }
}

static void bad_heads(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {
        {"\x83\x00", 2},                                 // reserved opcodes
        {"\x8b\x00", 2},
        {"\x08\x00", 2},                                 // a fragmented Close
        {"\x89\x7e\x00\x7e", 4},                         // a Ping over 125 bytes
        {"\x82\x7e\x00\x7d", 4},                         // lengths in too many bytes
        {"\x82\x7f\0\0\0\0\0\0\xff\xff", 10},
        {"\x82\x7f\x80\0\0\0\0\0\0\0", 10},              // over 63 bits
    };
    static const ws_frame_head wrong[] = {
        {.fin = 1, .opcode = 3},
        {.fin = 1, .opcode = 16},
        {.fin = 1, .opcode = -1},
        {.fin = 1, .opcode = 256 + 1},
        {.fin = 1, .rsv = 8, .opcode = WS_OP_TEXT},
        {.fin = 1, .rsv = -1, .opcode = WS_OP_TEXT},
        {.fin = 0, .opcode = WS_OP_CLOSE},
        {.fin = 1, .opcode = WS_OP_PING, .len = 126},
        {.fin = 1, .opcode = WS_OP_BINARY, .len = (uint64_t)1 << 63},
    };
    ws_frame_head head;
    uint8_t out[14];
    size_t i;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        CHECK_INT(ws_frame_parse(table[i].bytes, table[i].len, &head), WS_ERR_PROTOCOL);
        CHECK(ws_last_error()[0] != '\0');
    }
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_INT(ws_frame_build(&wrong[i], out), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_frame_parse(NULL, 2, &head), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_frame_parse("\x81", 1, NULL), WS_ERR_INVALID_ARG);
    CHECK_INT(ws_frame_parse(NULL, 0, &head), 0);
    CHECK_INT(ws_frame_build(NULL, out), WS_ERR_INVALID_ARG);
    head = (ws_frame_head){.fin = 1, .opcode = WS_OP_TEXT};
    CHECK_INT(ws_frame_build(&head, NULL), WS_ERR_INVALID_ARG);
}

int main(int argc, char **argv)
{
    check_begin(argc, argv, 30);
    RUN(accept_key);
    RUN(mask);
    RUN(heads_both_ways);
    RUN(bad_heads);
    return check_end();
}
