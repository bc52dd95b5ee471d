#include "probe_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"

struct visit {
    struct peer *p;
    int fd;
    SSL *ssl;
    unsigned n; /* requests on this connection */
    bool announced;
    size_t have;
    char buf[8192];
};

/* --- bytes --- */

static bool put(struct visit *v, const char *s, size_t n) {
    while (n) {
        ssize_t r = v->ssl ? SSL_write(v->ssl, s, (int)n) : send(v->fd, s, n, MSG_NOSIGNAL);
        if (r <= 0)
            return false;
        s += r;
        n -= (size_t)r;
    }
    return true;
}

static bool put_str(struct visit *v, const char *s) {
    return put(v, s, strlen(s));
}

/* Waits for bytes in slices, so that it ends soon when it is told to. */
static bool readable(struct visit *v) {
    uint64_t from = clock_now_ms();
    while (!atomic_load(&v->p->stop)) {
        struct pollfd f = {.fd = v->fd, .events = POLLIN};
        if ((v->ssl && SSL_pending(v->ssl)) || poll(&f, 1, 5) > 0)
            return true;
        int limit = atomic_load(&v->p->idle_close_ms);
        if (limit && clock_now_ms() - from >= (uint64_t)limit)
            return false;
    }
    return false;
}

/* A whole request at the front of the buffer, without what follows it. */
static bool get_request(struct visit *v) {
    v->have = 0;
    for (;;) {
        if (!readable(v) || v->have + 1 >= sizeof v->buf)
            return false;
        size_t room = sizeof v->buf - 1 - v->have;
        ssize_t r = v->ssl ? SSL_read(v->ssl, v->buf + v->have, (int)room)
                           : recv(v->fd, v->buf + v->have, room, 0);
        if (r <= 0)
            return false;
        v->have += (size_t)r;
        v->buf[v->have] = '\0';
        if (v->buf[0] == 0x16)
            return false; /* a TLS handshake where none is spoken */
        if (strstr(v->buf, "\r\n\r\n"))
            return true;
    }
}

/* --- answers --- */

static void see(struct visit *v) {
    struct peer *p = v->p;
    unsigned user;
    const char *cookie = strstr(v->buf, "Cookie: sid=u");
    if (cookie && sscanf(cookie, "Cookie: sid=u%u\r", &user) == 1 && user < 64)
        atomic_fetch_or(&p->users, 1ull << user);
    atomic_fetch_add(&p->requests, 1);
    v->n++;
}

static void wait_a_little(struct peer *p) {
    clock_sleep_ms((uint64_t)atomic_load(&p->delay_ms));
    while (clock_now_ns() < atomic_load(&p->stall_until) && !atomic_load(&p->stop))
        clock_sleep_ms(1);
}

static void head(struct visit *v, struct sb *b, const char *framing) {
    int cluster = atomic_load(&v->p->cluster), last = atomic_load(&v->p->announce_after);
    v->announced = last && v->n >= (unsigned)last;
    sb_fmt(b, "HTTP/1.1 %d Whatever\r\nServer: peer\r\n", atomic_load(&v->p->status));
    if (cluster)
        sb_fmt(b, "x-CLUSTER:  paas-%c \r\n", cluster);
    if (v->announced)
        sb_str(b, "Connection: close\r\n");
    sb_fmt(b, "%s\r\n", framing);
}

static bool bytewise(struct visit *v, const struct sb *b) {
    for (size_t i = 0; i < b->len; i++)
        if (!put(v, b->p + i, 1))
            return false;
    return true;
}

static void reset(struct visit *v) {
    struct linger l = {.l_onoff = 1};
    setsockopt(v->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static bool hang(struct visit *v) {
    while (!atomic_load(&v->p->stop)) {
        struct pollfd f = {.fd = v->fd, .events = POLLRDHUP};
        if (poll(&f, 1, 20) > 0)
            break;
    }
    return false;
}

/* Whether the connection goes on. */
static bool answer(struct visit *v) {
    AUTO_SB b = SB_INIT(0);
    switch ((enum peer_way)atomic_load(&v->p->way)) {
    case PEER_INTERIM: sb_str(&b, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"); /* fall through */
    case PEER_BYTEWISE:
    case PEER_LENGTH:
        head(v, &b, "Content-Length: 12\r\n");
        sb_str(&b, "pulse is up\n");
        if (atomic_load(&v->p->way) == PEER_BYTEWISE)
            return bytewise(v, &b) && !v->announced;
        break;
    case PEER_CHUNKED:
        head(v, &b, "Transfer-Encoding: chunked\r\n");
        sb_str(&b, "6;x=y\r\npulse \r\n06\r\nis up\n\r\n0\r\nTrailer: x\r\n\r\n");
        break;
    case PEER_EMPTY: head(v, &b, ""); break;
    case PEER_TO_END:
        head(v, &b, "");
        sb_str(&b, "pulse is up\n");
        put(v, b.p, b.len);
        return false;
    case PEER_HALF:
    case PEER_HANG:
        head(v, &b, "Content-Length: 12\r\n");
        sb_str(&b, "pulse");
        return put(v, b.p, b.len) && atomic_load(&v->p->way) == PEER_HANG && hang(v);
    case PEER_CLOSE: return false;
    case PEER_RST: reset(v); return false;
    case PEER_SILENT: return hang(v);
    case PEER_GARBAGE: put_str(v, "SSH-2.0-OpenSSH_9.2\r\n"); return false;
    case PEER_ENDLESS_HEAD:
        put_str(v, "HTTP/1.1 200 OK\r\n");
        while (put_str(v, "X-More: and more and more and more and more and more\r\n"))
            continue;
        return false;
    }
    return put(v, b.p, b.len) && !v->announced;
}

static void serve(struct visit *v) {
    for (;;) {
        if (!get_request(v))
            return;
        int drop = atomic_load(&v->p->drop_after);
        see(v);
        if (drop && v->n > (unsigned)drop)
            return;
        wait_a_little(v->p);
        if (!answer(v))
            return;
    }
}

static void *visit_run(void *ctx) {
    struct visit *v = ctx;
    int one = 1;
    setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (v->p->tls) {
        clock_sleep_ms((uint64_t)atomic_load(&v->p->handshake_ms));
        v->ssl = SSL_new(v->p->tls);
        SSL_set_fd(v->ssl, v->fd);
    }
    if (!v->ssl || SSL_accept(v->ssl) == 1)
        serve(v);
    if (v->ssl)
        SSL_shutdown(v->ssl);
    SSL_free(v->ssl);
    close(v->fd);
    atomic_fetch_sub(&v->p->open, 1);
    xfree(v);
    return NULL;
}

/* --- start and stop --- */

static void *accept_run(void *ctx) {
    struct peer *p = ctx;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* here only: the prober has to see to its own */
    while (!atomic_load(&p->stop)) {
        struct pollfd f = {.fd = p->listener, .events = POLLIN};
        if (poll(&f, 1, 20) <= 0)
            continue;
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0)
            continue;
        struct visit *v = xcalloc(1, sizeof *v);
        pthread_t t;
        v->p = p;
        v->fd = fd;
        atomic_fetch_add(&p->connections, 1);
        atomic_fetch_add(&p->open, 1);
        MUST(pthread_create(&t, NULL, visit_run, v) == 0);
        pthread_detach(t);
    }
    return NULL;
}

static int listen_on_any(int *ret_port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

int peer_closed_port(void) {
    int port;
    close(listen_on_any(&port));
    return port;
}

static void self_sign(struct peer *p, SSL_CTX *ctx) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = X509_new();
    MUST(key && c);
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
    X509_gmtime_adj(X509_getm_notBefore(c), -60);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               (const unsigned char *)"peer", -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(c));
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:pulse.example");
    X509_add_ext(c, names, -1);
    X509_EXTENSION_free(names);
    MUST(X509_sign(c, key, EVP_sha256()) > 0);
    MUST(SSL_CTX_use_certificate(ctx, c) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, c);
    BUF_MEM *m;
    BIO_get_mem_ptr(out, &m);
    p->ca = xcalloc(1, m->length + 1);
    memcpy(p->ca, m->data, m->length);
    BIO_free(out);
    X509_free(c);
    EVP_PKEY_free(key);
}

struct peer *peer_start(bool tls) {
    struct peer *p = xcalloc(1, sizeof *p);
    atomic_store(&p->status, 200);
    p->listener = listen_on_any(&p->port);
    MUST(listen(p->listener, 512) == 0);
    if (tls) {
        p->tls = SSL_CTX_new(TLS_server_method());
        self_sign(p, p->tls);
    }
    pthread_t *t = xcalloc(1, sizeof *t);
    p->threads = t;
    MUST(pthread_create(t, NULL, accept_run, p) == 0);
    return p;
}

void peer_stop(struct peer *p) {
    atomic_store(&p->stop, true);
    pthread_join(*(pthread_t *)p->threads, NULL);
    while (atomic_load(&p->open))
        clock_sleep_ms(2);
    close(p->listener);
    SSL_CTX_free(p->tls);
    xfree(p->threads);
    xfree(p->ca);
    xfree(p);
}
