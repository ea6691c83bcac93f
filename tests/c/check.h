// What every C test is made of: checks that name file, line and values and end the program with 1, bounded
// waiting, a watchdog, and readings of this process. Nothing about WebSockets: see raw.h and harness.h.
//
// Include it first. Usage: PROGRAM [PART]; with PART only the tests whose names contain it are run.
// LIBWS_TEST_SLOW=N stretches every deadline N times (Valgrind, emulators); LIBWS_TEST_SMALL=1 makes loads small.
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libws.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *check_test = "";
static const char *check_only;
static int check_ran;

__attribute__((noreturn, format(printf, 3, 4))) static inline void fail_at(const char *file, int line,
                                                                           const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s:%d: in %s: ", file, line, check_test);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(1);
}

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) ((condition) ? (void)0 : FAIL("not true: %s", #condition))
#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_STR(actual, expected) check_str(__FILE__, __LINE__, #actual, actual, expected)
// The text holds a part. Which words a message uses is libws's affair, which thing it names is not.
#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, #text, text, part)
#define CHECK_STATUS(call, expected) check_status(__FILE__, __LINE__, #call, call, expected)
#define OK(call) CHECK_STATUS(call, WS_OK)
// A system call.
#define SYS(call) check_sys(__FILE__, __LINE__, #call, (long)(call))
#define RUN(test) check_run(#test, test)
// For what no event tells: looks again and again, as long as a deadline lasts.
#define WAIT_UNTIL(condition)                                                     \
    do {                                                                          \
        long long until_ = now_ms() + deadline_ms();                              \
        while (!(condition)) {                                                    \
            if (now_ms() > until_)                                                \
                FAIL("did not happen in %lld ms: %s", deadline_ms(), #condition); \
            nap();                                                                \
        }                                                                         \
    } while (0)

static inline void check_int(const char *file, int line, const char *what, long long actual, long long expected)
{
    if (actual != expected)
        fail_at(file, line, "%s is %lld, not %lld", what, actual, expected);
}

static inline void check_str(const char *file, int line, const char *what, const char *actual, const char *expected)
{
    if (actual == NULL || strcmp(actual, expected) != 0)
        fail_at(file, line, "%s is \"%s\", not \"%s\"", what, actual == NULL ? "(NULL)" : actual, expected);
}

static inline void check_has(const char *file, int line, const char *what, const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_at(file, line, "%s is \"%s\" and lacks \"%s\"", what, text == NULL ? "(NULL)" : text, part);
}

static inline void check_status(const char *file, int line, const char *what, ws_status actual, ws_status expected)
{
    if (actual != expected)
        fail_at(file, line, "%s answered %d (%s; last error: %s), not %d (%s)", what, (int)actual,
                ws_strerror(actual), ws_last_error(), (int)expected, ws_strerror(expected));
}

static inline long check_sys(const char *file, int line, const char *what, long result)
{
    if (result < 0)
        fail_at(file, line, "%s: %s", what, strerror(errno));
    return result;
}

static inline void check_run(const char *name, void (*test)(void))
{
    if (check_only != NULL && strstr(name, check_only) == NULL)
        return;
    check_test = name;
    printf("  %s\n", name);
    fflush(stdout);
    test();
    check_ran++;
}

// A factor of at least 1, from the environment.
static inline long slowness(void)
{
    const char *text = getenv("LIBWS_TEST_SLOW");
    long factor = text == NULL ? 1 : atol(text);

    return factor < 1 ? 1 : factor;
}

static inline int small_loads(void)
{
    const char *text = getenv("LIBWS_TEST_SMALL");

    return text != NULL && text[0] == '1';
}

// How long to wait for what must come: far longer than it takes.
static inline long long deadline_ms(void)
{
    return 10000 * slowness();
}

static inline long long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline long long now_ms(void)
{
    return now_us() / 1000;
}

static inline void nap(void)
{
    const struct timespec millisecond = {0, 1000000};

    nanosleep(&millisecond, NULL);
}

// async-signal-safe
static inline void check_watchdog(int number)
{
    static const char text[] = "watchdog: the program hangs in the test named last\n";

    (void)number;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(1);
}

static inline void check_begin(int argc, char **argv, unsigned limit_s)
{
    check_only = argc > 1 ? argv[1] : NULL;
    signal(SIGALRM, check_watchdog);
    alarm(limit_s * (unsigned)slowness());
}

static inline int check_end(void)
{
    if (check_ran == 0) {
        fprintf(stderr, "no test has that name\n");
        return 1;
    }
    printf("  %d passed\n", check_ran);
    return 0;
}

static inline void *check_alloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);

    if (memory == NULL)
        FAIL("out of memory");
    return memory;
}

// Bytes of memory that a process has resident. pid 0: this one.
static inline long long rss_bytes(int pid)
{
    char path[64];
    long long total;
    long long resident;
    FILE *file;

    snprintf(path, sizeof path, pid == 0 ? "/proc/self/statm" : "/proc/%d/statm", pid);
    file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fscanf(file, "%lld %lld", &total, &resident) == 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

// Microseconds of CPU that a process has used.
static inline long long cpu_us_of(int pid)
{
    char path[64];
    unsigned long long user;
    unsigned long long kernel;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel) == 2);
    fclose(file);
    return (long long)(user + kernel) * 1000000 / sysconf(_SC_CLK_TCK);
}

static inline int open_fds_of(int pid)
{
    char path[64];
    DIR *dir;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static inline int open_fds(void)
{
    return open_fds_of(getpid());
}

static inline void thread_start(pthread_t *thread, void *(*body)(void *), void *argument)
{
    int error = pthread_create(thread, NULL, body, argument);

    if (error != 0)
        FAIL("pthread_create: %s", strerror(error));
}

static inline void thread_join(pthread_t thread)
{
    int error = pthread_join(thread, NULL);

    if (error != 0)
        FAIL("pthread_join: %s", strerror(error));
}

#endif
