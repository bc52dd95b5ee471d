#include "probe/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/epoll.h>

static void note(struct conn *c, const char *what, const char *text) {
    snprintf(c->detail, sizeof c->detail, "%s: %s", what, text);
}

static enum conn_event fail(enum probe_why *ret_why, enum probe_why why) {
    *ret_why = why;
    return CONN_FAILED;
}

/* --- connecting --- */

/* Shortages of this machine are told from what the network said. */
static enum probe_why why_of_errno(int e) {
    switch (e) {
    case EMFILE:
    case ENFILE: return WHY_NO_DESCRIPTOR;
    case ENOBUFS:
    case ENOMEM: return WHY_NO_MEMORY;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EAGAIN: return WHY_NO_PORT;
    case ECONNREFUSED: return WHY_REFUSED;
    case ETIMEDOUT: return WHY_CONNECT_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN: return WHY_UNREACHABLE;
    default: return WHY_CONNECT_OTHER;
    }
}

static socklen_t addr_len(const struct sockaddr_storage *a) {
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* A socket of its own on the way to the address: 0, or errno. */
static int dial(struct conn *c, const struct sockaddr_storage *to) {
    int one = 1;
    c->family = to->ss_family;
    c->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (connect(c->fd, (const struct sockaddr *)to, addr_len(to)) < 0 && errno != EINPROGRESS)
        return errno;
    return epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0 ? errno : 0;
}

static void hang_up(struct conn *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static bool worth_other_family(enum probe_why w) {
    return w == WHY_REFUSED || w == WHY_UNREACHABLE;
}

/* Before there is a connection, the other family of addresses is tried once: "localhost" has two
 * and most servers listen on one. Returns 0 or the errno that stands. */
static int dial_other(struct conn *c, int error) {
    struct sockaddr_storage to;
    int family = target_other_family(c->target, c->family);
    if (c->fell_back || !family || !worth_other_family(why_of_errno(error)) ||
        !target_pick(c->target, 0, family, &to))
        return error;
    hang_up(c);
    c->fell_back = true;
    return dial(c, &to);
}

struct conn *conn_open(struct target *t, int epoll, unsigned turn, const char *identify,
                       bool keep_body, size_t request_max, enum probe_why *ret_why, char *detail) {
    struct sockaddr_storage to;
    struct conn *c = xcalloc(1, sizeof *c + request_max);
    c->target = t;
    c->epoll = epoll;
    c->fd = -1;
    c->cap = request_max;
    c->state = CONN_CONNECTING;
    http1_init(&c->answer, identify, keep_body);
    int error = target_pick(t, turn, 0, &to) ? dial(c, &to) : EHOSTUNREACH;
    if (error)
        error = dial_other(c, error);
    if (!error)
        return c;
    *ret_why = why_of_errno(error);
    snprintf(detail, DETAIL_MAX, "connect: %s", strerror(error));
    conn_free(c);
    return NULL;
}

void conn_free(struct conn *c) {
    if (!c)
        return;
    SSL_free(c->ssl);
    hang_up(c);
    http1_done(&c->answer);
    xfree(c);
}

static void start_tls(struct conn *c) {
    const struct target *t = c->target;
    c->ssl = SSL_new(t->ctx);
    MUST(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1);
    X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
    if (t->host_is_ip) {
        X509_VERIFY_PARAM_set1_ip_asc(param, t->host);
    } else {
        SSL_set_tlsext_host_name(c->ssl, t->host);
        X509_VERIFY_PARAM_set1_host(param, t->host, 0);
    }
    SSL_set_connect_state(c->ssl);
    c->state = CONN_TLS;
}

static enum conn_event step_connect(struct conn *c, enum probe_why *ret_why) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (!error) {
        struct sockaddr_storage peer;
        len = sizeof peer;
        if (getpeername(c->fd, (struct sockaddr *)&peer, &len) < 0)
            return CONN_GOES_ON; /* still on its way */
        if (c->fell_back)
            target_prefer(c->target, c->family);
        if (c->target->tls)
            start_tls(c);
        else
            c->state = CONN_SENDING;
        return CONN_GOES_ON;
    }
    error = dial_other(c, error);
    if (!error)
        return CONN_GOES_ON;
    note(c, "connect", strerror(error));
    return fail(ret_why, why_of_errno(error));
}

/* --- TLS --- */

static const char *tls_text(struct conn *c) {
    long verify = SSL_get_verify_result(c->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (verify != X509_V_OK && !c->target->insecure)
        return X509_verify_cert_error_string(verify);
    return text ? text : "the peer closed the connection";
}

static enum conn_event step_tls(struct conn *c, enum probe_why *ret_why) {
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) {
        c->state = CONN_SENDING;
        return CONN_GOES_ON;
    }
    int want = SSL_get_error(c->ssl, r);
    if (want == SSL_ERROR_WANT_READ || want == SSL_ERROR_WANT_WRITE)
        return CONN_GOES_ON;
    bool certificate = SSL_get_verify_result(c->ssl) != X509_V_OK && !c->target->insecure;
    note(c, "TLS", tls_text(c));
    ERR_clear_error();
    return fail(ret_why, certificate ? WHY_TLS_CERTIFICATE : WHY_TLS_HANDSHAKE);
}

/* --- bytes in and out --- */

enum { IO_AGAIN = -1, IO_EOF = -2, IO_ERROR = -3 };

static ssize_t tls_result(struct conn *c, int r) {
    if (r > 0)
        return r;
    int want = SSL_get_error(c->ssl, r);
    ERR_clear_error();
    if (want == SSL_ERROR_WANT_READ || want == SSL_ERROR_WANT_WRITE)
        return IO_AGAIN;
    return want == SSL_ERROR_ZERO_RETURN ? IO_EOF : IO_ERROR;
}

static ssize_t plain_result(ssize_t r, bool reading) {
    if (r > 0)
        return r;
    if (r < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_AGAIN;
    return r == 0 && reading ? IO_EOF : IO_ERROR;
}

static ssize_t io_read(struct conn *c, char *p, size_t room) {
    errno = 0;
    if (c->ssl) {
        ERR_clear_error();
        return tls_result(c, SSL_read(c->ssl, p, (int)room));
    }
    return plain_result(recv(c->fd, p, room, 0), true);
}

static ssize_t io_write(struct conn *c, const char *p, size_t n) {
    errno = 0;
    if (c->ssl) {
        ERR_clear_error();
        return tls_result(c, SSL_write(c->ssl, p, (int)n));
    }
    return plain_result(send(c->fd, p, n, MSG_NOSIGNAL), false);
}

/* --- the request and its answer --- */

static enum conn_event cut_off(struct conn *c, const char *where, enum probe_why *ret_why) {
    note(c, where, errno ? strerror(errno) : "closed by the peer");
    if (c->answer.began)
        return fail(ret_why, WHY_RESET_MID);
    return fail(ret_why, c->fresh ? WHY_RESET_FRESH : WHY_RESET_KEPT);
}

static enum conn_event step_send(struct conn *c, enum probe_why *ret_why) {
    while (c->off < c->len) {
        ssize_t n = io_write(c, c->out + c->off, c->len - c->off);
        if (n == IO_AGAIN)
            return CONN_GOES_ON;
        if (n < 0)
            return cut_off(c, "send", ret_why);
        c->off += (size_t)n;
    }
    c->state = CONN_WAITING;
    return CONN_GOES_ON;
}

/* Anything more than the answer, or the end of the peer, makes the connection unfit to be kept. */
static enum conn_event took(struct conn *c, const char *p, size_t n, enum probe_why *ret_why) {
    size_t used;
    switch (http1_feed(&c->answer, p, n, &used)) {
    case HTTP1_DONE:
        if (used < n)
            c->answer.close = true;
        return CONN_ANSWERED;
    case HTTP1_BAD: return fail(ret_why, WHY_NOT_HTTP);
    case HTTP1_LARGE: return fail(ret_why, WHY_TOO_LARGE);
    case HTTP1_MORE: break;
    }
    return CONN_GOES_ON;
}

static enum conn_event step_read(struct conn *c, char *p, size_t room, enum probe_why *ret_why) {
    for (;;) {
        ssize_t n = io_read(c, p, room);
        if (n == IO_AGAIN)
            return CONN_GOES_ON;
        if (n == IO_EOF && http1_eof(&c->answer) == HTTP1_DONE)
            return CONN_ANSWERED;
        if (n < 0)
            return cut_off(c, c->answer.began ? "answer" : "before the answer", ret_why);
        c->state = CONN_READING;
        enum conn_event r = took(c, p, (size_t)n, ret_why);
        if (r != CONN_GOES_ON)
            return r;
    }
}

/* Nothing was asked: the only thing to hear is the end, or TLS housekeeping. */
static enum conn_event step_quiet(struct conn *c, char *p, size_t room) {
    ssize_t n = io_read(c, p, room);
    return n == IO_AGAIN ? CONN_GOES_ON : CONN_CLOSED;
}

enum conn_event conn_step(struct conn *c, char *scratch, size_t room, enum probe_why *ret_why) {
    enum conn_event r = CONN_GOES_ON;
    if (c->state == CONN_IDLE || c->state == CONN_LINGER)
        return step_quiet(c, scratch, room);
    if (c->state == CONN_CONNECTING)
        r = step_connect(c, ret_why);
    if (r == CONN_GOES_ON && c->state == CONN_TLS)
        r = step_tls(c, ret_why);
    if (r == CONN_GOES_ON && c->state == CONN_SENDING)
        r = step_send(c, ret_why);
    if (r == CONN_GOES_ON && (c->state == CONN_WAITING || c->state == CONN_READING))
        r = step_read(c, scratch, room, ret_why);
    return r;
}

void conn_request(struct conn *c, const char *text, size_t n) {
    MUST(n <= c->cap);
    memcpy(c->out, text, n);
    c->len = n;
    c->off = 0;
    c->detail[0] = '\0';
    http1_reset(&c->answer);
    if (c->state == CONN_IDLE)
        c->state = CONN_SENDING;
}

enum probe_why conn_timeout_why(const struct conn *c) {
    switch (c->state) {
    case CONN_CONNECTING: return WHY_CONNECT_TIMEOUT;
    case CONN_TLS: return WHY_TLS_TIMEOUT;
    case CONN_READING: return WHY_REST_TIMEOUT;
    case CONN_SENDING:
    case CONN_WAITING:
    case CONN_IDLE:
    case CONN_LINGER: break;
    }
    return WHY_ANSWER_TIMEOUT;
}
