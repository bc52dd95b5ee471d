#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/str.h"
#include "traffic/haproxy.h"

#define TCP  "tcp://"
#define UNIX "unix://"

/* What an operator should look at, by errno of the connect. */
static const char *hint(int errno_value) {
    switch (errno_value) {
    case ENOENT:
    case ECONNREFUSED: return "; is HAProxy running, and is `stats socket` set?";
    case EACCES:
    case EPERM: return "; see `user`, `group` and `mode` of `stats socket`";
    default: return "";
    }
}

static int unreachable(const char *address, int errno_value, struct err *e) {
    int r = err_set(e, -EHOSTUNREACH, "HAProxy's socket %s: %s%s", address, strerror(errno_value),
                    hint(errno_value));
    if (e)
        e->retry = true;
    return r;
}

static int unknown(const char *address, struct err *e, const char *what) {
    int r = err_set(e, -EUNKNOWNOUTCOME, "HAProxy's socket %s: %s", address, what);
    if (e)
        e->retry = true;
    return r;
}

static const char *unix_path(const char *address) {
    return str_starts(address, UNIX) ? address + strlen(UNIX) : address;
}

/* host:port or [v6]:port, cut in two in the arena. */
static int split_tcp(struct arena *a, const char *address, const char **ret_host,
                     const char **ret_port, struct err *e) {
    const char *s = address + strlen(TCP);
    const char *colon = strrchr(s, ':');
    uint64_t port = 0;
    if (!colon || colon == s || str_u64(colon + 1, &port) < 0 || port < 1 || port > 65535)
        return err_set(e, -EINVAL, "%s: wants tcp://HOST:PORT", address);
    bool v6 = s[0] == '[' && colon[-1] == ']';
    if (!v6 && memchr(s, ':', (size_t)(colon - s)))
        return err_set(e, -EINVAL, "%s: an IPv6 address goes in brackets, tcp://[::1]:9999",
                       address);
    *ret_host = arena_strndup(a, s + (v6 ? 1 : 0), (size_t)(colon - s) - (v6 ? 2 : 0));
    *ret_port = arena_strdup(a, colon + 1);
    return 0;
}

int haproxy_address_check(const char *address, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *host, *port;
    if (str_starts(address, TCP))
        return split_tcp(a, address, &host, &port, e);
    const char *path = unix_path(address);
    if (!*path || strstr(path, "://"))
        return err_set(e, -EINVAL, "%s: wants a path or tcp://HOST:PORT", address);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return err_set(e, -ENAMETOOLONG, "%s: longer than a socket's path can be (%zu bytes)", path,
                       sizeof((struct sockaddr_un *)0)->sun_path - 1);
    return 0;
}

bool haproxy_address_local(const char *address) {
    static const char *const prefix[] = {TCP "127.", TCP "localhost:", TCP "[::1]:"};
    if (!str_starts(address, TCP))
        return true;
    for (size_t i = 0; i < COUNT_OF(prefix); i++)
        if (str_starts(address, prefix[i]))
            return true;
    return false;
}

/* Waits until fd is ready for `events`. 0, or -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t deadline_ms) {
    for (;;) {
        uint64_t now = clock_now_ms();
        if (now >= deadline_ms)
            return -ETIMEDOUT;
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, (int)MIN(deadline_ms - now, 60000));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* A connected descriptor, or negative errno. */
static int connect_to(const struct sockaddr *sa, socklen_t len, uint64_t deadline_ms) {
    AUTO_FD fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, sa, len) < 0 ? -errno : 0;
    if (r == -EINPROGRESS)
        r = wait_for(fd, POLLOUT, deadline_ms);
    if (r < 0)
        return r == -EAGAIN ? -ETIMEDOUT : r; /* a full backlog of a Unix socket */
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        return -errno;
    if (error)
        return -error;
    int ret = fd;
    fd = -1;
    return ret;
}

static int connect_tcp(const char *address, uint64_t deadline_ms, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *host, *port;
    int r = split_tcp(a, address, &host, &port, e);
    if (r < 0)
        return r;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    int g = getaddrinfo(host, port, &hints, &list);
    if (g) {
        r = err_set(e, -EHOSTUNREACH, "HAProxy's socket %s: %s", address, gai_strerror(g));
        return r;
    }
    int fd = -EHOSTUNREACH;
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
        fd = connect_to(i->ai_addr, i->ai_addrlen, deadline_ms);
    freeaddrinfo(list);
    return fd < 0 ? unreachable(address, -fd, e) : fd;
}

static int connect_unix(const char *address, uint64_t deadline_ms, struct err *e) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = unix_path(address);
    if (strlen(path) >= sizeof sa.sun_path)
        return unreachable(address, ENAMETOOLONG, e);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = connect_to((struct sockaddr *)&sa, sizeof sa, deadline_ms);
    return fd < 0 ? unreachable(address, -fd, e) : fd;
}

static int send_line(int fd, const char *address, const char *line, uint64_t deadline_ms,
                     struct err *e) {
    AUTO_SB b = SB_INIT(HAPROXY_ANSWER_MAX);
    sb_str(&b, line);
    sb_chr(&b, '\n');
    for (size_t at = 0; at < b.len;) {
        int r = wait_for(fd, POLLOUT, deadline_ms);
        ssize_t n = r < 0 ? -1 : send(fd, b.p + at, b.len - at, MSG_NOSIGNAL);
        if (n >= 0) {
            at += (size_t)n;
        } else if (r < 0 || (errno != EAGAIN && errno != EINTR)) {
            r = r < 0 ? r : -errno;
            return at ? unknown(address, e, strerror(-r)) : unreachable(address, -r, e);
        }
    }
    return 0;
}

/* To the end of the stream: HAProxy closes after the answer to a non-interactive command. */
static int receive(int fd, const char *address, uint64_t deadline_ms, struct sb *b, struct err *e) {
    for (;;) {
        char buf[16384];
        if (wait_for(fd, POLLIN, deadline_ms) < 0)
            return unknown(address, e, "no answer in time; is the process stalled?");
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return unknown(address, e, strerror(errno));
        if (n == 0)
            return 0;
        sb_add(b, buf, (size_t)n);
        if (b->full)
            return unknown(address, e, "the answer is longer than 4 MiB");
    }
}

/* A blank line ends every answer; success of a change is nothing but that line. */
static bool complete(const struct sb *b) {
    return b->len && b->p[b->len - 1] == '\n' && (b->len == 1 || b->p[b->len - 2] == '\n');
}

int haproxy_command(struct arena *a, const char *address, uint32_t timeout_ms, const char *line,
                    char **ret, struct err *e) {
    uint64_t deadline = clock_now_ms() + (timeout_ms ? timeout_ms : HAPROXY_TIMEOUT_MS);
    AUTO_FD fd = str_starts(address, TCP) ? connect_tcp(address, deadline, e)
                                          : connect_unix(address, deadline, e);
    if (fd < 0)
        return fd;
    AUTO_SB b = SB_INIT(HAPROXY_ANSWER_MAX);
    int r = send_line(fd, address, line, deadline, e);
    if (r == 0)
        r = receive(fd, address, deadline, &b, e);
    if (r < 0)
        return r;
    if (!complete(&b))
        return unknown(address, e,
                       b.len ? "the answer is cut off, or it is not HAProxy that answers"
                             : "closed without an answer");
    if (memchr(b.p, 0, b.len))
        return unknown(address, e, "the answer holds zero bytes: it is not HAProxy that answers");
    *ret = arena_strndup(a, b.p, b.len - 1);
    return 0;
}
