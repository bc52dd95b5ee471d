#include "base/alive.h"

#include "base/str.h"

enum { STAT_MAX = 1024, FIELD_START = 22, FIELD_STATE = 3 };

/* The words of a stamp. */
enum { STAMP_BOOT, STAMP_NAMESPACE, STAMP_PID, STAMP_START, STAMP_WORDS };

static bool read_line(const char *path, char *out, size_t size) {
    AUTO_FILE f = fopen(path, "re");
    if (!f || !fgets(out, (int)size, f))
        return false;
    out[strcspn(out, "\n")] = 0;
    return *out;
}

/* When it began, in ticks since the boot (proc_pid_stat(5), field 22); one that only waits for its
 * parent to ask has ended. The name in field 2 may hold anything, so the fields are counted from
 * the last parenthesis. */
static bool start_of(const char *pid, char out[24]) {
    char path[64], line[STAT_MAX];
    AUTO_STRVEC field = {0};
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (!read_line(path, line, sizeof line) || !strrchr(line, ')'))
        return false;
    strvec_split(&field, strrchr(line, ')') + 1, ' ');
    if (field.n <= FIELD_START - FIELD_STATE || strchr("ZX", field.v[0][0]))
        return false;
    snprintf(out, 24, "%.20s", field.v[FIELD_START - FIELD_STATE]);
    return true;
}

/* "BOOT-ID PID-NAMESPACE" */
static bool place(char out[ALIVE_MAX]) {
    char boot[48], ns[40];
    ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof ns - 1);
    if (n <= 0 || !read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot))
        return false;
    ns[n] = 0;
    snprintf(out, ALIVE_MAX, "%s %s", boot, ns);
    return true;
}

const char *alive_stamp(char out[ALIVE_MAX]) {
    char where[ALIVE_MAX], start[24];
    out[0] = 0;
    if (place(where) && start_of("self", start))
        snprintf(out, ALIVE_MAX, "%.90s %d %s", where, (int)getpid(), start);
    return out;
}

bool alive_ended(const char *stamp) {
    char where[ALIVE_MAX], start[24];
    AUTO_STRVEC now = {0}, then = {0};
    uint64_t pid;
    strvec_split(&then, stamp ? stamp : "", ' ');
    if (then.n != STAMP_WORDS || str_u64(then.v[STAMP_PID], &pid) < 0 || !place(where))
        return false;
    strvec_split(&now, where, ' ');
    for (size_t i = STAMP_BOOT; i <= STAMP_NAMESPACE; i++)
        if (now.n <= i || !str_eq(now.v[i], then.v[i]))
            return false;
    return !start_of(then.v[STAMP_PID], start) || !str_eq(start, then.v[STAMP_START]);
}
