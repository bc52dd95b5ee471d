#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t ns_of(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void) {
    return ns_of(CLOCK_MONOTONIC);
}

uint64_t clock_now_ms(void) {
    return ns_of(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t clock_boot_ns(void) {
    return ns_of(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void) {
    return (int64_t)(ns_of(CLOCK_REALTIME) / 1000000u);
}

void clock_sleep_ms(uint64_t ms) {
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_MAX]) {
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, CLOCK_RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, CLOCK_RFC3339_MAX - n, ".%03dZ", (int)(wall_ms % 1000));
    return out;
}

static int parse_offset(const char *s, int64_t *ret_ms) {
    unsigned h, m;
    if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0) {
        *ret_ms = 0;
        return 0;
    }
    if ((*s != '+' && *s != '-') || strlen(s) != 6 || sscanf(s + 1, "%2u:%2u", &h, &m) != 2)
        return -EINVAL;
    *ret_ms = (*s == '-' ? -1 : 1) * (int64_t)(h * 60 + m) * 60000;
    return 0;
}

int clock_parse_rfc3339(const char *s, int64_t *ret_ms, struct err *e) {
    struct tm tm = {0};
    const char *p = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t ms = 0, scale = 100, offset;
    if (p && *p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
            ms += (*p - '0') * scale;
    if (!p || parse_offset(p, &offset) < 0)
        return err_set(e, -EINVAL, "%s: not an RFC 3339 time", s ? s : "(none)");
    *ret_ms = (int64_t)timegm(&tm) * 1000 + ms - offset;
    return 0;
}

static const struct {
    const char *unit;
    uint64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

static uint64_t unit_of(const char *p, size_t n) {
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strlen(units[i].unit) == n && memcmp(units[i].unit, p, n) == 0)
            return units[i].ms;
    return 0;
}

int clock_parse_duration(const char *s, uint64_t *ret_ms, struct err *e) {
    uint64_t sum = 0;
    const char *p = s ? s : "";
    if (strcmp(p, "0") == 0) {
        *ret_ms = 0;
        return 0;
    }
    do {
        char *end;
        double v = strtod(p, &end);
        size_t n = strspn(end, "mshd");
        uint64_t unit = unit_of(end, n);
        if (end == p || *p == '-' || *p == '+' || *p == ' ' || !unit || !(v < 1e9))
            return err_set(e, -EINVAL, "\"%s\": not a duration (write 250ms, 10s, 5m, 1h30m)",
                           s ? s : "");
        sum += (uint64_t)(v * (double)unit + 0.5);
        p = end + n;
    } while (*p);
    *ret_ms = sum;
    return 0;
}

const char *clock_human(uint64_t ms, char out[CLOCK_RFC3339_MAX]) {
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(out, CLOCK_RFC3339_MAX, "%llums", (unsigned long long)ms);
    else if (s < 60)
        snprintf(out, CLOCK_RFC3339_MAX, "%.1fs", (double)ms / 1000);
    else if (s < 3600)
        snprintf(out, CLOCK_RFC3339_MAX, "%llum%02llus", s / 60, s % 60);
    else
        snprintf(out, CLOCK_RFC3339_MAX, "%lluh%02llum", s / 3600, s / 60 % 60);
    return out;
}

uint64_t clock_cpu_ms(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000u;
}
