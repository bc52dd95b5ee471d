#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/str.h"

static int tls_error(struct err *e, const char *what) {
    char text[256] = "closed by the other side";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    return err_set(e, -EPROTO, "%s: %s", what, text);
}

/* --- the target --- */

static int load_files(struct target *t, char *const *v, struct err *e) {
    if (SSL_CTX_load_verify_locations(t->ctx, v[1], NULL) != 1)
        return tls_error(e, v[1]);
    if (SSL_CTX_use_certificate_chain_file(t->ctx, v[2]) != 1)
        return tls_error(e, v[2]);
    if (SSL_CTX_use_PrivateKey_file(t->ctx, v[3], SSL_FILETYPE_PEM) != 1)
        return tls_error(e, v[3]);
    return 0;
}

int target_open(const char *spec, struct target *ret, struct err *e) {
    AUTO_STRVEC v = {0};
    struct target t = {0};
    strvec_split(&v, spec, ',');
    char *colon = v.n ? strrchr(v.v[0], ':') : NULL;
    if (v.n != 4 || !colon || strlen(colon + 1) >= sizeof t.port ||
        colon - v.v[0] >= (ptrdiff_t)sizeof t.host)
        return err_set(e, -EUSAGE, "target \"%s\" is not HOST:PORT,CA,CERT,KEY", spec);
    snprintf(t.host, sizeof t.host, "%.*s", (int)(colon - v.v[0]), v.v[0]);
    snprintf(t.port, sizeof t.port, "%s", colon + 1);
    t.ctx = SSL_CTX_new(TLS_client_method());
    if (!t.ctx)
        return tls_error(e, "TLS");
    SSL_CTX_set_verify(t.ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(t.ctx, SSL_MODE_AUTO_RETRY);
    /* Head and body of an answer in one read(2) where they came together. */
    SSL_CTX_set_read_ahead(t.ctx, 1);
    int r = load_files(&t, v.v, e);
    if (r < 0) {
        SSL_CTX_free(t.ctx);
        return r;
    }
    *ret = t;
    return 0;
}

void target_close(struct target *t) {
    SSL_CTX_free(t->ctx);
    t->ctx = NULL;
}

/* --- the connection --- */

static int dial(const struct target *to, int *ret, struct err *e) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int rc = getaddrinfo(to->host, to->port, &hints, &found);
    if (rc)
        return err_set(e, -EHOSTUNREACH, "%s: %s", to->host, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = fd < 0 ? -1 : connect(fd, found->ai_addr, found->ai_addrlen);
    int why = errno, one = 1;
    freeaddrinfo(found);
    if (rc < 0) {
        cleanup_fd(&fd);
        return err_errno(e, why, "connect to %s:%s", to->host, to->port);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret = fd;
    return 0;
}

static void expect_name(SSL *ssl, const char *host) {
    struct in6_addr ip;
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, &ip) == 1 || inet_pton(AF_INET6, host, &ip) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(p, host);
    } else {
        X509_VERIFY_PARAM_set1_host(p, host, 0);
        SSL_set_tlsext_host_name(ssl, host);
    }
}

int wire_open(struct wire *w, const struct target *to, struct err *e) {
    w->to = to;
    w->ssl = NULL;
    w->fd = -1;
    w->in_len = w->in_at = 0;
    int r = dial(to, &w->fd, e);
    if (r < 0)
        return r;
    w->ssl = SSL_new(to->ctx);
    MUST(w->ssl);
    expect_name(w->ssl, to->host);
    SSL_set_fd(w->ssl, w->fd);
    ERR_clear_error();
    if (SSL_connect(w->ssl) == 1)
        return 0;
    r = tls_error(e, to->host);
    wire_close(w);
    return r;
}

void wire_close(struct wire *w) {
    SSL_free(w->ssl);
    cleanup_fd(&w->fd);
    w->ssl = NULL;
    w->fd = -1;
}

/* --- one request --- */

static int send_all(struct wire *w, const char *p, size_t n, struct err *e) {
    ERR_clear_error();
    for (size_t sent; n; p += sent, n -= sent)
        if (SSL_write_ex(w->ssl, p, n, &sent) != 1)
            return tls_error(e, "write");
    return 0;
}

static const char *content_type(const struct request *r) {
    return r->method_len == 5 ? "application/merge-patch+json" : "application/json";
}

static int send_request(struct wire *w, const struct request *r, struct err *e) {
    int n = snprintf(w->out, sizeof w->out,
                     "%.*s %.*s HTTP/1.1\r\nHost: %s:%s\r\nAccept: application/json\r\n"
                     "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                     (int)r->method_len, r->method, (int)r->path_len, r->path, w->to->host,
                     w->to->port, content_type(r), r->body_len);
    size_t head = (size_t)n;
    if (n < 0 || head >= sizeof w->out)
        return err_set(e, -EMSGSIZE, "path too long");
    if (head + r->body_len <= sizeof w->out) {
        if (r->body_len)
            memcpy(w->out + head, r->body, r->body_len);
        return send_all(w, w->out, head + r->body_len, e);
    }
    int rc = send_all(w, w->out, head, e);
    return rc < 0 ? rc : send_all(w, r->body, r->body_len, e);
}

static int fill(struct wire *w, struct err *e) {
    if (w->in_at == w->in_len)
        w->in_at = w->in_len = 0;
    if (w->in_len == sizeof w->in && w->in_at) {
        w->in_len -= w->in_at;
        memmove(w->in, w->in + w->in_at, w->in_len);
        w->in_at = 0;
    }
    if (w->in_len == sizeof w->in)
        return err_set(e, -EMSGSIZE, "a line of the answer is too long");
    size_t got;
    ERR_clear_error();
    if (SSL_read_ex(w->ssl, w->in + w->in_len, sizeof w->in - w->in_len, &got) != 1)
        return tls_error(e, "read");
    w->in_len += got;
    return 0;
}

/* A line without its end, NUL-terminated, valid until the next read. */
static int read_line(struct wire *w, char **ret, struct err *e) {
    size_t seen = 0;
    for (;;) {
        char *p = w->in + w->in_at;
        char *nl = memchr(p + seen, '\n', w->in_len - w->in_at - seen);
        if (nl) {
            *nl = 0;
            if (nl > p && nl[-1] == '\r')
                nl[-1] = 0;
            w->in_at = (size_t)(nl + 1 - w->in);
            *ret = p;
            return 0;
        }
        seen = w->in_len - w->in_at;
        int r = fill(w, e);
        if (r < 0)
            return r;
    }
}

static int read_body(struct wire *w, size_t n, struct answer *a, struct err *e) {
    a->body_len += n;
    while (n) {
        if (w->in_at == w->in_len) {
            int r = fill(w, e);
            if (r < 0)
                return r;
        }
        size_t part = MIN(n, w->in_len - w->in_at);
        size_t keep = MIN(part, WIRE_KEEP - a->head_len);
        memcpy(a->head + a->head_len, w->in + w->in_at, keep);
        a->head_len += keep;
        w->in_at += part;
        n -= part;
    }
    a->head[a->head_len] = 0;
    return 0;
}

static int read_chunks(struct wire *w, struct answer *a, struct err *e) {
    char *line;
    for (;;) {
        int r = read_line(w, &line, e);
        if (r < 0)
            return r;
        size_t n = strtoul(line, NULL, 16);
        r = n ? read_body(w, n, a, e) : 0;
        if (r >= 0)
            r = read_line(w, &line, e);
        if (r < 0 || !n)
            return r;
    }
}

static int read_answer(struct wire *w, struct answer *a, struct err *e) {
    char *line;
    uint64_t length = 0;
    bool chunked = false;
    int r = read_line(w, &line, e);
    if (r < 0)
        return r;
    if (strlen(line) < 12 || !str_starts(line, "HTTP/1.1 "))
        return err_set(e, -EPROTO, "not an answer of HTTP/1.1");
    a->status = (int)strtol(line + 9, NULL, 10);
    while ((r = read_line(w, &line, e)) >= 0 && *line) {
        if (!strncasecmp(line, "Content-Length: ", 16))
            length = strtoull(line + 16, NULL, 10);
        else if (!strncasecmp(line, "Transfer-Encoding: chunked", 26))
            chunked = true;
    }
    if (r < 0)
        return r;
    return chunked ? read_chunks(w, a, e) : read_body(w, length, a, e);
}

int wire_do(struct wire *w, const struct request *r, struct answer *ret, struct err *e) {
    ret->status = 0;
    ret->body_len = ret->head_len = 0;
    ret->head[0] = 0;
    int rc = send_request(w, r, e);
    return rc < 0 ? rc : read_answer(w, ret, e);
}
