// Reads values of this machine from /proc and /sys, for dashboard.c. There is no libws in here.
//
// A value that cannot be read is 0: a board may lack any of these files.

#ifndef DASHBOARD_MACHINE_H
#define DASHBOARD_MACHINE_H

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    // CPU and network are measured over that many milliseconds: /proc/stat counts in steps of 10 ms, so a shorter time
    // would show steps instead of a line.
    MACHINE_WINDOW_MS = 1000,
    // Enough readings for that time at 50 a second.
    MACHINE_HISTORY = 51,
};

// Counters that only grow, at one instant.
struct machine_counters {
    long long at_ms;
    unsigned long long cpu_busy; // ticks
    unsigned long long cpu_all;
    unsigned long long rx; // bytes
    unsigned long long tx;
};

// What is remembered between two readings. All zero at first.
struct machine {
    struct machine_counters history[MACHINE_HISTORY]; // a ring, newest at next - 1
    int count;
    int next;
    char thermometer[64]; // a path; "" where there is none
};

struct machine_values {
    long long at_ms; // monotonic
    double cpu;      // percent of all cores
    unsigned long long memory_used; // bytes
    unsigned long long memory_total;
    double load; // of the last minute
    double rx;   // bytes a second, all interfaces but the loopback
    double tx;
    int has_temperature;
    double temperature; // degrees Celsius
    double uptime;      // seconds
};

static long long machine_now_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0; // cannot happen on Linux
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void machine_read_cpu(struct machine_counters *out)
{
    // user nice system idle iowait irq softirq steal; see proc(5)
    unsigned long long ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    int i;

    if (file == NULL)
        return;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1], &ticks[2], &ticks[3],
               &ticks[4], &ticks[5], &ticks[6], &ticks[7]) >= 4) {
        for (i = 0; i < 8; i++)
            out->cpu_all += ticks[i];
        out->cpu_busy = out->cpu_all - ticks[3] - ticks[4];
    }
    fclose(file);
}

// The bytes of all interfaces but the loopback.
static void machine_read_network(struct machine_counters *out)
{
    char line[512];
    FILE *file = fopen("/proc/net/dev", "r");

    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        char name[32];
        unsigned long long rx;
        unsigned long long tx;

        if (sscanf(line, " %31[^: ]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) == 3
            && strcmp(name, "lo") != 0) {
            out->rx += rx;
            out->tx += tx;
        }
    }
    fclose(file);
}

static void machine_read_memory(unsigned long long *used, unsigned long long *total)
{
    char line[128];
    unsigned long long all = 0;
    unsigned long long available = 0;
    FILE *file = fopen("/proc/meminfo", "r");

    if (file != NULL) {
        while (fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "MemTotal: %llu kB", &all) != 1 && sscanf(line, "MemAvailable: %llu kB", &available) == 1)
                break;
        fclose(file);
    }
    *total = all * 1024;
    *used = available <= all ? (all - available) * 1024 : 0;
}

// The first number in a file, such as the load of the last minute. Returns 1 if there was one.
static int machine_read_number(const char *path, double *out)
{
    FILE *file = fopen(path, "r");
    int found;

    if (file == NULL)
        return 0;
    found = fscanf(file, "%lf", out) == 1;
    fclose(file);
    return found;
}

// Finds a thermometer that answers. To be called once, first.
static void machine_find_thermometer(struct machine *machine)
{
    double ignored;
    int zone;

    for (zone = 0; zone < 16; zone++) {
        snprintf(machine->thermometer, sizeof machine->thermometer, "/sys/class/thermal/thermal_zone%d/temp", zone);
        if (machine_read_number(machine->thermometer, &ignored))
            return;
    }
    machine->thermometer[0] = '\0';
}

// Adds the counters of now to the ring and returns those of about MACHINE_WINDOW_MS ago, to compare with.
static const struct machine_counters *machine_record(struct machine *machine, const struct machine_counters **newest)
{
    struct machine_counters *now = &machine->history[machine->next];
    const struct machine_counters *past = now;
    int age = 1;

    memset(now, 0, sizeof *now);
    now->at_ms = machine_now_ms();
    machine_read_cpu(now);
    machine_read_network(now);
    machine->next = (machine->next + 1) % MACHINE_HISTORY;
    if (machine->count < MACHINE_HISTORY)
        machine->count++;

    while (age < machine->count && now->at_ms - past->at_ms < MACHINE_WINDOW_MS) {
        age++;
        past = &machine->history[(machine->next - age + MACHINE_HISTORY) % MACHINE_HISTORY];
    }
    *newest = now;
    return past;
}

// How much a counter has grown for each unit of the other. Some fall back: an interface goes away.
static double machine_growth(unsigned long long now, unsigned long long past, double per)
{
    return now > past && per > 0 ? (double)(now - past) / per : 0;
}

static void machine_read(struct machine *machine, struct machine_values *out)
{
    const struct machine_counters *now;
    const struct machine_counters *past = machine_record(machine, &now);
    double seconds = (double)(now->at_ms - past->at_ms) / 1000;

    memset(out, 0, sizeof *out);
    out->at_ms = now->at_ms;
    out->cpu = machine_growth(now->cpu_busy, past->cpu_busy, (double)(now->cpu_all - past->cpu_all)) * 100;
    if (out->cpu > 100)
        out->cpu = 100; // the kernel's idle count sometimes runs backwards
    out->rx = machine_growth(now->rx, past->rx, seconds);
    out->tx = machine_growth(now->tx, past->tx, seconds);
    machine_read_memory(&out->memory_used, &out->memory_total);
    machine_read_number("/proc/loadavg", &out->load);
    machine_read_number("/proc/uptime", &out->uptime);
    if (machine->thermometer[0] != '\0' && machine_read_number(machine->thermometer, &out->temperature)) {
        out->has_temperature = 1;
        out->temperature /= 1000; // the file holds thousandths of a degree
    }
}

#endif
