// ws_time() beyond 2038, where a time_t of 32 bits ends, and beyond 2106, where one without a sign would: the program
// puts a clock of its own in the place of libc's, in a time zone that has summer time.
#include "dropin.h"

#include <dlfcn.h>
#include <stdarg.h>

// System call of 32-bit machines that gives 64-bit seconds.
#define CLOCK_GETTIME64 403

// As libc declares them.
#ifdef __cplusplus
#define OF_LIBC(type) extern "C" type
#define NOTHROW __THROW
#else
#define OF_LIBC(type) type
#define NOTHROW
#endif

static long long date;
static int old_kernel;
static int asked;

static void *next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    CHECK(found != NULL);
    return found;
}

// As a kernel does it that knows no more: what does not fit into a time_t is cut off.
OF_LIBC(int) clock_gettime(clockid_t clock, struct timespec *time) NOTHROW
{
    int (*next)(clockid_t, struct timespec *);
    void *found;

    if (clock == CLOCK_REALTIME) {
        time->tv_sec = (time_t)date;
        time->tv_nsec = 0;
        asked++;
        return 0;
    }
    found = next_of("clock_gettime");
    memcpy(&next, &found, sizeof next);
    return next(clock, time);
}

OF_LIBC(long) syscall(long number, ...) NOTHROW
{
    va_list arguments;
    long long *time;

    CHECK_INT(number, CLOCK_GETTIME64);
    if (old_kernel) {
        errno = ENOSYS;
        return -1;
    }
    va_start(arguments, number);
    CHECK_INT(va_arg(arguments, long), CLOCK_REALTIME);
    time = va_arg(arguments, long long *);
    va_end(arguments);
    time[0] = date;
    time[1] = 0;
    asked++;
    return 0;
}

static const struct {
    long long at;
    const char *berlin;
} dates[] = {
    {1782907200LL, "14:00:00"},  // 2026-07-01 12:00:00 UTC
    {2147483647LL, "04:14:07"},  // 2038-01-19 03:14:07 UTC, the last of 31 bits
    {2147483648LL, "04:14:08"},
    {2216249999LL, "01:59:59"},  // 2040-03-25 00:59:59 UTC, summer time begins
    {2216250000LL, "03:00:00"},
    {2234998799LL, "02:59:59"},  // 2040-10-28 00:59:59 UTC, and ends
    {2234998800LL, "02:00:00"},
    {2466633599LL, "00:59:59"},  // 2048-02-29 23:59:59 UTC
    {4294967295LL, "07:28:15"},  // 2106-02-07 06:28:15 UTC, the last of 32 bits
    {4294967296LL, "07:28:16"},
    {4339226096LL, "14:34:56"},  // 2107-07-04 12:34:56 UTC
    {13574642400LL, "23:00:00"}, // 2400-02-29 22:00:00 UTC
};

static void check_dates_before(long long end)
{
    size_t i;

    for (i = 0; i < sizeof dates / sizeof *dates && dates[i].at < end; i++) {
        date = dates[i].at;
        asked = 0;
        errno = EXDEV;
        if (strcmp(ws_time(), dates[i].berlin) != 0)
            FAIL("at %lld ws_time() is %s, not %s", date, ws_time(), dates[i].berlin);
        CHECK_INT(asked, 1);
        CHECK_INT(errno, EXDEV);
    }
}

static void the_time_of_day_is_right_beyond_2038_and_2106(void)
{
    check_dates_before(20000000000LL);
}

static void with_a_kernel_before_5_1_it_is_right_until_2106(void)
{
    old_kernel = 1;
    check_dates_before(1LL << 32);
}

int main(void)
{
    begin(120);
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    RUN(the_time_of_day_is_right_beyond_2038_and_2106);
    RUN(with_a_kernel_before_5_1_it_is_right_until_2106);
    return 0;
}
