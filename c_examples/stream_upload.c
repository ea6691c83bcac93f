// stream_upload: writes messages of any size to files, in little memory. Run: stream_upload --port 9003 --dir .
//
// With on_piece a message is handed on as its bytes come and never gathered, so a message of many GiB needs no more
// memory than the receive buffer. While this program writes to the disk it does not read from the network: TCP
// slows the sender down to what the disk can take.
//
// Each message becomes a file upload-000001, upload-000002, ... While it comes in, its name ends with ".part". The
// sender is told "BYTES bytes, crc32 XXXXXXXX, upload-000001" (the checksum that gzip and zlib use).

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libws.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *host;
    const char *dir;
    unsigned long port;
};

// A message that comes in; the conn_user of its connection. There is none between two messages.
struct upload {
    int fd;
    uint32_t crc; // of the bytes so far, inverted
    uint64_t bytes;
    char name[32];
    char path[PATH_MAX];
    char part_path[PATH_MAX];
};

// For the signal handler only. NULL when there is nothing to stop.
static ws_server *volatile running;

static void on_signal(int number)
{
    (void)number;
    ws_server_stop(running);
}

static int catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        perror("stream_upload: sigaction");
        return -1;
    }
    return 0;
}

// CRC-32 with the polynomial of IEEE 802.3, a byte at a time by a table.
static uint32_t add_to_crc(uint32_t crc, const unsigned char *bytes, size_t len)
{
    static uint32_t table[256];
    size_t i;

    if (table[1] == 0) {
        for (i = 0; i < 256; i++) {
            uint32_t value = (uint32_t)i;
            int bit;

            for (bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
            table[i] = value;
        }
    }
    for (i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return crc;
}

// Opens the next file that does not exist yet. Returns -1 with errno set.
static int open_next(struct upload *upload, const char *dir)
{
    static unsigned long number;

    for (;;) {
        int len;

        snprintf(upload->name, sizeof upload->name, "upload-%06lu", ++number);
        len = snprintf(upload->path, sizeof upload->path, "%s/%s", dir, upload->name);
        if (len < 0 || (size_t)len + sizeof ".part" > sizeof upload->part_path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(upload->part_path, upload->path, (size_t)len);
        memcpy(upload->part_path + len, ".part", sizeof ".part");

        if (access(upload->path, F_OK) == 0)
            continue; // from an earlier run
        upload->fd = open(upload->part_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (upload->fd >= 0 || errno != EEXIST)
            return upload->fd >= 0 ? 0 : -1;
    }
}

static struct upload *begin_upload(const char *dir)
{
    struct upload *upload = calloc(1, sizeof *upload);

    if (upload == NULL)
        return NULL;
    upload->crc = 0xffffffffu;
    if (open_next(upload, dir) != 0) {
        free(upload);
        return NULL;
    }
    return upload;
}

// Removes what there is of a message that will not be complete.
static void drop_upload(struct upload *upload)
{
    if (upload->fd >= 0)
        close(upload->fd); // an error does not matter for a file that goes away
    if (unlink(upload->part_path) != 0 && errno != ENOENT)
        perror("stream_upload: unlink");
    free(upload);
}

// Writes all of it; a disk may take less at a time. Returns -1 with errno set.
static int write_bytes(struct upload *upload, const unsigned char *bytes, size_t len)
{
    upload->crc = add_to_crc(upload->crc, bytes, len);
    upload->bytes += len;
    while (len > 0) {
        ssize_t written = write(upload->fd, bytes, len);

        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

// Gives the file its name. Returns -1 with errno set: some file systems report a full disk only when closing.
static int finish_file(struct upload *upload)
{
    int closed = close(upload->fd);

    upload->fd = -1;
    return closed == 0 && rename(upload->part_path, upload->path) == 0 ? 0 : -1;
}

static void close_conn(ws_server *server, ws_conn_id conn, uint16_t code, const char *reason)
{
    ws_status status = ws_server_close(server, conn, code, reason);

    if (status != WS_OK && status != WS_ERR_CLOSED)
        fprintf(stderr, "stream_upload: close: %s\n", ws_last_error());
}

static void send_receipt(ws_server *server, ws_conn_id conn, const struct upload *upload)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%llu bytes, crc32 %08lx, %s", (unsigned long long)upload->bytes,
                       (unsigned long)(upload->crc ^ 0xffffffffu), upload->name);
    ws_status status = ws_server_send(server, conn, WS_TEXT, text, (size_t)len);

    // A sender that lets thousands of receipts lie unread is not worth waiting for.
    if (status == WS_ERR_AGAIN)
        close_conn(server, conn, 1008, "receipts are not read");
    else if (status != WS_OK && status != WS_ERR_CLOSED)
        fprintf(stderr, "stream_upload: receipt: %s\n", ws_strerror(status));
}

// Ends a connection whose message cannot be stored; errno says why. on_close drops the file.
static void fail(ws_server *server, ws_conn_id conn)
{
    perror("stream_upload");
    close_conn(server, conn, 1011, "cannot store this");
}

static void on_piece(ws_server *server, ws_conn_id conn, const ws_piece *piece, void *user)
{
    const struct options *options = user;
    struct upload *upload = ws_server_conn_user(server, conn);

    if (piece->offset == 0 && upload == NULL) {
        upload = begin_upload(options->dir);
        if (upload == NULL) {
            fail(server, conn);
            return;
        }
        if (ws_server_set_conn_user(server, conn, upload) != WS_OK) {
            drop_upload(upload); // the connection has ended
            return;
        }
    }
    if (upload == NULL || write_bytes(upload, piece->data, piece->len) != 0
        || (piece->last && finish_file(upload) != 0)) {
        fail(server, conn);
        return;
    }
    if (piece->last && ws_server_set_conn_user(server, conn, NULL) == WS_OK) {
        send_receipt(server, conn, upload);
        free(upload);
    }
}

static void on_close(ws_server *server, ws_conn_id conn, const ws_close_info *info, void *user)
{
    struct upload *upload = ws_server_conn_user(server, conn);

    (void)info;
    (void)user;
    if (upload != NULL)
        drop_upload(upload);
}

static void print_help(void)
{
    puts("usage: stream_upload [options]\n"
         "Writes each WebSocket message received to a file and answers with its size and CRC-32.\n"
         "Prints \"listening on ws://HOST:PORT\" when it is ready.\n"
         "\n"
         "  --host HOST  address to listen at (127.0.0.1)\n"
         "  --port PORT  port; 0 picks a free one (9003)\n"
         "  --dir DIR    where the files go (the current directory)\n"
         "  --help       this text\n"
         "\n"
         "Exit status: 0 when ended by Ctrl-C or SIGTERM, 1 after an error.");
}

static int read_port(const char *text, unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out <= 65535)
        return 0;
    fprintf(stderr, "stream_upload: --port wants a number from 0 to 65535\n");
    return -1;
}

static int check_dir(const char *dir)
{
    struct stat status;

    if (stat(dir, &status) == 0 && !S_ISDIR(status.st_mode))
        errno = ENOTDIR;
    else if (access(dir, W_OK | X_OK) == 0)
        return 0;
    fprintf(stderr, "stream_upload: %s: %s\n", dir, strerror(errno));
    return -1;
}

// Returns 0 to go on, 1 when all is done (--help), -1 on a wrong command line.
static int read_options(int argc, char **argv, struct options *options)
{
    enum { HOST = 1, PORT, DIR, HELP };
    static const struct option table[] = {
        {"host", required_argument, NULL, HOST},
        {"port", required_argument, NULL, PORT},
        {"dir", required_argument, NULL, DIR},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    int bad = 0;

    while (!bad && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case HOST:
            options->host = optarg;
            break;
        case PORT:
            bad = read_port(optarg, &options->port);
            break;
        case DIR:
            options->dir = optarg;
            break;
        case HELP:
            print_help();
            return 1;
        default:
            bad = 1;
        }
    }
    if (!bad && optind < argc) {
        fprintf(stderr, "stream_upload: unexpected argument: %s\n", argv[optind]);
        bad = 1;
    }
    return bad || check_dir(options->dir) != 0 ? -1 : 0;
}

// Writes "ws://HOST:PORT"; an IPv6 address gets its brackets.
static int make_url(char *url, size_t size, const char *host, unsigned port)
{
    int bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    int len = snprintf(url, size, "ws://%s%s%s:%u", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port);

    if (len < 0 || (size_t)len >= size) {
        fprintf(stderr, "stream_upload: --host is too long\n");
        return -1;
    }
    return 0;
}

static ws_server *make_server(struct options *options)
{
    ws_server_config config = {.struct_size = sizeof config};
    ws_server *server;

    // max_message_size stays 0: with on_piece that is no limit.
    config.on_piece = on_piece;
    config.on_close = on_close;
    config.user = options;
    if (ws_server_new(&config, &server) != WS_OK)
        fprintf(stderr, "stream_upload: %s\n", ws_last_error());
    return server;
}

static int serve(ws_server *server, const struct options *options)
{
    char url[300];

    if (make_url(url, sizeof url, options->host, (unsigned)options->port) != 0)
        return -1;
    if (ws_server_listen(server, url) != WS_OK) {
        fprintf(stderr, "stream_upload: %s\n", ws_last_error());
        return -1;
    }
    // With --port 0 only the server knows the port.
    if (make_url(url, sizeof url, options->host, ws_server_port(server)) != 0)
        return -1;
    if (printf("listening on %s\n", url) < 0 || fflush(stdout) != 0) {
        perror("stream_upload: stdout");
        return -1;
    }
    if (ws_server_run(server) != WS_OK) {
        fprintf(stderr, "stream_upload: %s\n", ws_last_error());
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.host = "127.0.0.1", .dir = ".", .port = 9003};
    ws_server *server;
    int result = read_options(argc, argv, &options);

    if (result != 0)
        return result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    server = make_server(&options);
    if (server == NULL)
        return EXIT_FAILURE;

    running = server;
    result = catch_signals();
    if (result == 0)
        result = serve(server, &options);
    running = NULL; // a late signal must not meet a freed server

    if (ws_server_free(server) != WS_OK) {
        fprintf(stderr, "stream_upload: %s\n", ws_last_error());
        result = -1;
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
