#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "traffic/haproxy.h"

/* HAProxy's format (src/pattern.c: pat_ref_read_from_file_smp): blanks, key, blanks, value to the
 * end of the line; lines that begin with # and empty ones are skipped. Here they are kept. */
struct map_line {
    const char *key, *value; /* into the text */
    size_t key_len, value_len;
};

enum { LOCK_WAIT_MS = 5000, EPOCH_STEP = 1000 };

static size_t blanks(const char *s) {
    return strspn(s, " \t");
}

/* The line at *text; moves on to the next. False at the end. */
static bool read_line(const char **text, struct map_line *ret) {
    if (!**text)
        return false;
    const char *s = *text, *end = s + strcspn(s, "\n");
    *text = *end ? end + 1 : end;
    *ret = (struct map_line){.key = s + blanks(s)};
    if (*ret->key == '#')
        return true;
    ret->key_len = strcspn(ret->key, " \t\r\n");
    ret->value = ret->key + ret->key_len;
    ret->value += blanks(ret->value);
    while (end > ret->value && strchr(" \t\r", end[-1]))
        end--;
    ret->value_len = (size_t)(end - ret->value);
    return true;
}

static bool is_key(const struct map_line *l, const char *key) {
    return l->key_len == strlen(key) && memcmp(l->key, key, l->key_len) == 0;
}

void haproxy_map_value(const char *text, const char *key, struct haproxy_value *ret) {
    *ret = (struct haproxy_value){.percent = -1};
    struct map_line l;
    while (read_line(&text, &l)) {
        if (!is_key(&l, key))
            continue;
        char value[sizeof ret->text];
        snprintf(value, sizeof value, "%.*s", (int)MIN(l.value_len, sizeof value), l.value);
        if (ret->found++) {
            ret->differ |= !str_eq(value, ret->text);
            continue;
        }
        memcpy(ret->text, value, sizeof value);
        ret->percent = haproxy_percent(l.value, l.value_len);
    }
}

char *haproxy_map_edit(struct arena *a, const char *text, const char *key, int64_t value) {
    AUTO_SB b = SB_INIT(2 * HAPROXY_MAP_MAX);
    const char *copied = text, *at = text;
    struct map_line l;
    bool found = false;
    while (read_line(&at, &l)) {
        if (!is_key(&l, key))
            continue;
        found = true;
        sb_add(&b, copied, (size_t)(l.value - copied));
        sb_fmt(&b, "%s%lld", l.value == l.key + l.key_len ? " " : "", (long long)value);
        copied = l.value + l.value_len;
    }
    sb_str(&b, copied);
    if (!found)
        sb_fmt(&b, "%s%s %lld\n", b.len && b.p[b.len - 1] != '\n' ? "\n" : "", key,
               (long long)value);
    return arena_strdup(a, sb_get(&b));
}

char *haproxy_map_from_answer(struct arena *a, const char *answer) {
    AUTO_SB b = SB_INIT(2 * HAPROXY_MAP_MAX);
    while (*answer) {
        size_t n = strcspn(answer, "\n");
        const char *entry = memchr(answer, ' ', n);
        if (entry)
            sb_fmt(&b, "%.*s\n", (int)(n - (size_t)(entry + 1 - answer)), entry + 1);
        answer += n + (answer[n] ? 1 : 0);
    }
    return arena_strdup(a, sb_get(&b));
}

int haproxy_map_read(struct arena *a, const char *path, char **ret, struct err *e) {
    size_t n;
    int r = file_read(a, path, HAPROXY_MAP_MAX, ret, &n, e);
    if (r < 0)
        return err_ctx(e, r, "HAProxy's map file");
    if (memchr(*ret, 0, n))
        return err_set(e, -EINVAL, "HAProxy's map file: %s: holds zero bytes", path);
    return 0;
}

/* Locks the folder: the file itself is replaced by each change. Released by closing. */
static int lock_folder(const char *path, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *dir = file_dirname(a, path);
    AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "HAProxy's map file: %s", dir);
    uint64_t deadline = clock_now_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_errno(e, errno, "HAProxy's map file: cannot lock %s", dir);
        if (clock_now_ms() >= deadline)
            return err_set(e, -EBUSY, "HAProxy's map file: another process holds the lock of %s",
                           dir);
        clock_sleep_ms(2);
    }
    int ret = fd;
    fd = -1;
    return ret;
}

/* The file itself behind symbolic links, so that they survive the rename. */
static const char *target(struct arena *a, const char *path) {
    char *real = realpath(path, NULL);
    const char *ret = real ? arena_strdup(a, real) : path;
    xfree(real);
    return ret;
}

uint64_t haproxy_epoch(const struct haproxy_value *v) {
    uint64_t n;
    return v->found && str_u64(v->text, &n) == 0 ? n : 0;
}

int haproxy_claim_check(const struct haproxy_claim *c, const struct haproxy_value *v,
                        const char *where, struct err *e) {
    uint64_t now = haproxy_epoch(v);
    if (!c || !c->epoch || now <= c->epoch)
        return 0;
    return err_set(e, -EGUARD,
                   "the traffic was taken over by another command (%s says %s %llu, ours is %llu): "
                   "nothing more is moved",
                   where, c->key, (unsigned long long)now, (unsigned long long)c->epoch);
}

uint64_t haproxy_epoch_after(uint64_t seen) {
    uint32_t r;
    hash_random(&r, sizeof r);
    return (seen / EPOCH_STEP + 1) * EPOCH_STEP + r % EPOCH_STEP;
}

/* The file under its lock: read, changed by fn and written where that made a difference. */
struct edit {
    const char *key, *missing;
    int64_t value;
    struct haproxy_claim *claim; /* to be raised, above `seen` */
    uint64_t seen;
    const struct haproxy_claim *held; /* to be obeyed */
    struct haproxy_value old;
};

static int decide(struct edit *x, const char *path, const char *text, struct err *e) {
    struct haproxy_value epoch;
    haproxy_map_value(text, x->key, &x->old);
    if (x->claim) {
        x->claim->epoch = haproxy_epoch_after(MAX(haproxy_epoch(&x->old), x->seen));
        x->value = (int64_t)x->claim->epoch;
        return 0;
    }
    haproxy_map_value(text, x->held ? x->held->key : "", &epoch);
    return haproxy_claim_check(x->held, &epoch, path, e);
}

static int edit_file(const char *path, struct edit *x, struct err *e) {
    AUTO_ARENA a = arena_new();
    path = target(a, path);
    AUTO_FD lock = lock_folder(path, e);
    if (lock < 0)
        return lock;
    char *text;
    int r = haproxy_map_read(a, path, &text, e);
    bool made = r == -ENOENT && x->missing;
    if (made)
        text = arena_strdup(a, x->missing);
    else if (r < 0)
        return r;
    r = decide(x, path, text, e);
    if (r < 0)
        return r;
    const char *now = haproxy_map_edit(a, text, x->key, x->value);
    r = made || !str_eq(now, text) ? file_write_atomic(path, now, strlen(now), 0644, e) : 0;
    return r < 0 ? err_ctx(e, r, "HAProxy's map file") : 0;
}

int haproxy_map_set(const char *path, const char *key, int percent,
                    const struct haproxy_claim *claim, const char *missing,
                    struct haproxy_value *ret_old, struct err *e) {
    MUST(percent >= 0 && percent <= 100);
    struct edit x = {.key = key, .missing = missing, .value = percent, .held = claim};
    int r = edit_file(path, &x, e);
    if (r >= 0)
        *ret_old = x.old;
    return r;
}

int haproxy_map_claim(const char *path, struct haproxy_claim *claim, uint64_t seen,
                      const char *missing, struct err *e) {
    struct haproxy_claim c = *claim;
    struct edit x = {.key = c.key, .missing = missing, .claim = &c, .seen = seen};
    int r = edit_file(path, &x, e);
    if (r >= 0)
        *claim = c;
    return r;
}
