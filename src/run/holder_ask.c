#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "run/holder.h"
#include "run/holder_wire.h"

enum { DIGEST_SHOWN = 16, CROWD_MS = 5 };

/* --- where it is --- */

static void name_of(const char *base, char out[80]) {
    char hex[SHA256_HEX];
    if ((size_t)snprintf(out, 80, "%s.sock", base) < 80)
        return;
    snprintf(out, 80, ".%.*s.sock", DIGEST_SHOWN, hash_sha256_hex(base, strlen(base), hex));
}

int holder_place(const char *journal_path, struct holder_place *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *slash = strrchr(journal_path, '/');
    const char *folder = file_dirname(a, journal_path);
    struct holder_place p = {.dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC),
                             .at = {.sun_family = AF_UNIX}};
    if (p.dir < 0)
        return err_errno(e, errno, "the socket beside the journal: %s", folder);
    name_of(slash ? slash + 1 : journal_path, p.name);
    const char *path = arena_printf(a, "%s/%s", folder, p.name);
    if (strlen(path) >= sizeof p.at.sun_path)
        path = arena_printf(a, "/proc/self/fd/%d/%s", p.dir, p.name);
    MUST(strlen(path) < sizeof p.at.sun_path);
    memcpy(p.at.sun_path, path, strlen(path) + 1);
    *ret = p;
    return 0;
}

bool holder_same_user(int fd) {
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid();
}

/* --- asking --- */

static int nobody(struct err *e) {
    return err_set(e, -ENOENT, "no process holds this environment");
}

static int hangs(struct err *e, uint32_t ms) {
    return err_set(
        e, -ETIMEDOUT,
        "the process that holds this environment has not answered for %u ms: it hangs, or "
        "is stopped",
        ms);
}

/* -EAGAIN: so many wait already that the kernel takes no more; it may have room in a moment. */
static int connect_until(int fd, const struct holder_place *p, uint64_t end_ms) {
    for (;;) {
        if (connect(fd, (const struct sockaddr *)&p->at, sizeof p->at) == 0)
            return 0;
        if (errno != EAGAIN || clock_now_ms() + CROWD_MS >= end_ms)
            return -errno;
        clock_sleep_ms(CROWD_MS);
    }
}

static int reach(const char *journal_path, uint32_t ms, struct err *e) {
    AUTO_HOLDER_PLACE p = {.dir = -1};
    int r = holder_place(journal_path, &p, e);
    if (r < 0)
        return r == -ENOENT ? nobody(e) : r;
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, errno, "a socket");
    r = connect_until(fd, &p, clock_now_ms() + ms);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return nobody(e);
    if (r == -EAGAIN)
        return hangs(e, ms);
    if (r < 0)
        return err_errno(e, -r, "the socket %s", p.at.sun_path);
    if (!holder_same_user(fd))
        return err_set(e, -EACCES, "the socket %s is another user's", p.at.sun_path);
    int ret = fd;
    fd = -1;
    return ret;
}

static bool ready(int fd, short events, uint64_t end_ms) {
    for (;;) {
        uint64_t now = clock_now_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = now < end_ms ? poll(&p, 1, (int)MIN(end_ms - now, 60000)) : 0;
        if (n > 0 || now >= end_ms)
            return n > 0;
    }
}

/* Whoever ended in the midst of it is as good as not there. */
static int say(int fd, const struct sb *b, uint64_t end_ms, uint32_t ms, struct err *e) {
    for (size_t at = 0; at < b->len;) {
        if (!ready(fd, POLLOUT, end_ms))
            return hangs(e, ms);
        ssize_t n = send(fd, b->p + at, b->len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return 0; /* it may have answered before it closed: hear() tells */
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int hear(int fd, struct sb *b, uint64_t end_ms, uint32_t ms, struct err *e) {
    char buf[8192];
    while (!b->len || !memchr(b->p, '\n', b->len)) {
        if (!ready(fd, POLLIN, end_ms))
            return hangs(e, ms);
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return nobody(e);
        if (n > 0)
            sb_add(b, buf, (size_t)n);
        if (b->full)
            return err_set(e, -EMSGSIZE, "the holder's answer is longer than %d bytes",
                           HOLDER_ANSWER_MAX);
    }
    return 0;
}

static int understand(struct arena *a, const struct sb *b, char **ret_json, struct err *e) {
    yyjson_val *v;
    size_t line = (size_t)((const char *)memchr(b->p, '\n', b->len) - b->p);
    int r = json_parse(a, b->p, line, &v, NULL);
    yyjson_val *answer = r < 0 ? NULL : json_get(v, "answer");
    if (r >= 0 && yyjson_is_true(json_get(v, "ok")) && yyjson_is_obj(answer)) {
        *ret_json = json_write(a, answer, NULL);
        return 0;
    }
    int64_t code = r < 0 ? 0 : json_int(json_get(v, "code"), 0);
    if (code >= 0 || code < -99999 || !json_str(v, "msg"))
        return err_set(e, -EBADMSG,
                       "the holder's answer is not understood: is it of another "
                       "version?");
    err_set(e, (int)code, "%s", json_str(v, "msg"));
    if (e) {
        e->http = (int)json_int(json_get(v, "http"), 0);
        e->retry = yyjson_is_true(json_get(v, "retry"));
        snprintf(e->reason, sizeof e->reason, "%s",
                 json_str(v, "reason") ? json_str(v, "reason") : "");
    }
    return (int)code;
}

static int request(struct arena *a, const char *verb, const char *args, const char *actor,
                   struct sb *b, struct err *e) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_val *v = NULL;
    if (args && (json_parse(a, args, strlen(args), &v, NULL) < 0 || !yyjson_is_obj(v)))
        return err_set(e, -EINVAL, "%s: the arguments are no JSON object", verb);
    json_mut_set_str(d, root, "verb", verb);
    json_mut_set_str(d, root, "actor", actor ? actor : "");
    if (v)
        json_mut_set(d, root, "args", yyjson_val_mut_copy(d, v));
    sb_fmt(b, "%s\n", json_mut_write(a, root, NULL));
    return b->full ? err_set(e, -EMSGSIZE, "%s: longer than %d bytes", verb, HOLDER_REQUEST_MAX)
                   : 0;
}

int holder_ask(const char *journal_path, struct arena *a, const char *verb, const char *args,
               const char *actor, uint32_t timeout_ms, char **ret_json, struct err *e) {
    uint64_t end = clock_now_ms() + timeout_ms;
    AUTO_SB out = SB_INIT(HOLDER_REQUEST_MAX), in = SB_INIT(HOLDER_ANSWER_MAX);
    int r = request(a, verb, args, actor, &out, e);
    if (r < 0)
        return r;
    AUTO_FD fd = reach(journal_path, timeout_ms, e);
    if (fd < 0)
        return fd;
    r = say(fd, &out, end, timeout_ms, e);
    if (r >= 0)
        r = hear(fd, &in, end, timeout_ms, e);
    return r < 0 ? r : understand(a, &in, ret_json, e);
}
