// Preloaded into a program, shows it another wall clock: CLOCK_SECONDS, counted from 1970.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const char *seconds = getenv("CLOCK_SECONDS");

    if (clock != CLOCK_REALTIME || seconds == NULL)
        return (int)syscall(SYS_clock_gettime, clock, out);
    out->tv_sec = (time_t)atoll(seconds);
    out->tv_nsec = 0;
    return 0;
}
