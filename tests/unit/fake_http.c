#include "fake_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"

enum { CONNS = 512, REQUEST_MAX = 64 << 20 };

struct conn {
    struct fake *fake;
    pthread_t thread;
    int fd;
    bool started, done;
    SSL *ssl;
};

struct fake {
    const struct fake_reply *replies;
    size_t n;
    SSL_CTX *ctx;
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop;
    bool rude;
    enum fake_then rude_end;
    unsigned accepted, requests, resumed;
    unsigned *hits; /* by row */
    struct conn conn[CONNS];
};

static unsigned count(struct fake *f, const unsigned *what) {
    pthread_mutex_lock(&f->lock);
    unsigned n = *what;
    pthread_mutex_unlock(&f->lock);
    return n;
}

unsigned fake_accepted(struct fake *f) {
    return count(f, &f->accepted);
}

unsigned fake_requests(struct fake *f) {
    return count(f, &f->requests);
}

unsigned fake_resumed(struct fake *f) {
    return count(f, &f->resumed);
}

unsigned fake_hits(struct fake *f, const char *path) {
    unsigned n = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->replies[i].path, path))
            n += f->hits[i];
    pthread_mutex_unlock(&f->lock);
    return n;
}

int fake_port(const struct fake *f) {
    return f->port;
}

static ssize_t conn_read(struct conn *c, char *p, size_t n) {
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

static bool conn_write(struct conn *c, const char *p, size_t n) {
    while (n) {
        ssize_t w = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* Reads one whole request into b. */
static bool read_request(struct conn *c, struct sb *b) {
    char chunk[16384];
    size_t need = SIZE_MAX;
    sb_reset(b);
    while (b->len < need) {
        ssize_t n = conn_read(c, chunk, sizeof chunk);
        if (n <= 0)
            return false;
        sb_add(b, chunk, (size_t)n);
        const char *end = need == SIZE_MAX ? strstr(b->p, "\r\n\r\n") : NULL;
        if (!end)
            continue;
        const char *length = strcasestr(b->p, "\r\nContent-Length:");
        need = (size_t)(end + 4 - b->p) +
               (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

/* The row for the path of the request; counts it. */
static const struct fake_reply *reply_for(struct fake *f, const char *request) {
    const char *path = strchr(request, ' ');
    size_t n = path ? strcspn(++path, " ?") : 0;
    const struct fake_reply *found = NULL;
    pthread_mutex_lock(&f->lock);
    f->requests++;
    for (size_t i = 0; i < f->n && !found; i++) {
        const struct fake_reply *r = &f->replies[i];
        bool same = str_eq(r->path, "*") || (strlen(r->path) == n && !memcmp(r->path, path, n));
        if (same && (!r->times || f->hits[i] < r->times)) {
            f->hits[i]++;
            found = r;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

static bool send_reply(struct conn *c, const struct fake_reply *r, const struct sb *request) {
    if (r->delay_ms)
        clock_sleep_ms(r->delay_ms);
    if (str_eq(r->raw, "ECHO")) {
        AUTO_SB b = SB_INIT(0);
        sb_fmt(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", request->len);
        sb_add(&b, request->p, request->len);
        return conn_write(c, b.p, b.len);
    }
    if (r->raw && !conn_write(c, r->raw, strlen(r->raw)))
        return false;
    for (unsigned i = 0; i < r->repeat; i++) {
        clock_sleep_ms(r->every_ms);
        if (!conn_write(c, r->again, strlen(r->again)))
            return false;
    }
    return true;
}

static void end_how(struct conn *c, enum fake_then how) {
    struct linger hard = {.l_onoff = 1};
    char x;
    if (how == FAKE_RESET)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    while (how == FAKE_HANG && recv(c->fd, &x, 1, 0) > 0)
        ;
}

/* A whole request has been read; false: the connection ends. */
static bool answer(struct conn *c, const struct sb *request) {
    static const struct fake_reply lost = {
        .raw = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
    const struct fake_reply *r = reply_for(c->fake, request->p);
    if (!r)
        r = &lost;
    if (!send_reply(c, r, request))
        return false;
    end_how(c, r->then);
    return r->then == FAKE_KEEP;
}

static bool greet(struct conn *c) {
    if (c->fake->rude) {
        char hello[4096]; /* all of it: unread bytes would make a reset of the close */
        recv(c->fd, hello, sizeof hello, 0);
        end_how(c, c->fake->rude_end);
        return false;
    }
    if (!c->fake->ctx)
        return true;
    c->ssl = SSL_new(c->fake->ctx);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_accept(c->ssl) != 1) {
        /* The alert must not be overtaken by the reset that closing over unread bytes makes. */
        shutdown(c->fd, SHUT_WR);
        end_how(c, FAKE_HANG);
        return false;
    }
    pthread_mutex_lock(&c->fake->lock);
    c->fake->resumed += (unsigned)SSL_session_reused(c->ssl);
    pthread_mutex_unlock(&c->fake->lock);
    return true;
}

static void *conn_main(void *arg) {
    struct conn *c = arg;
    AUTO_SB b = SB_INIT(REQUEST_MAX);
    if (greet(c))
        while (read_request(c, &b) && answer(c, &b))
            ;
    SSL_free(c->ssl);
    c->ssl = NULL;
    pthread_mutex_lock(&c->fake->lock);
    close(c->fd);
    c->fd = -1;
    c->done = true;
    pthread_mutex_unlock(&c->fake->lock);
    return NULL;
}

/* With the lock held. */
static void conn_start(struct fake *f, int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *c = &f->conn[i];
        if (c->started && !c->done)
            continue;
        if (c->started)
            pthread_join(c->thread, NULL);
        *c = (struct conn){.fake = f, .fd = fd, .started = true};
        MUST(pthread_create(&c->thread, NULL, conn_main, c) == 0);
        return;
    }
    close(fd);
}

static void *accept_main(void *arg) {
    struct fake *f = arg;
    for (;;) {
        int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&f->lock);
        bool stop = f->stop;
        if (fd >= 0 && !stop) {
            f->accepted++;
            conn_start(f, fd);
        } else if (fd >= 0) {
            close(fd);
        }
        pthread_mutex_unlock(&f->lock);
        if (stop)
            return NULL;
    }
}

static BIO *bio_of(const char *pem) {
    return BIO_new_mem_buf(pem, -1);
}

static X509 *cert_of(const char *pem) {
    BIO *b = bio_of(pem);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    MUST(x);
    return x;
}

static EVP_PKEY *key_of(const char *pem) {
    BIO *b = bio_of(pem);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    BIO_free(b);
    MUST(k);
    return k;
}

static SSL_CTX *tls_context(const struct fake_tls *tls) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *cert = cert_of(tls->cert_pem);
    EVP_PKEY *key = key_of(tls->key_pem);
    MUST(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    MUST(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1) == 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    if (tls->client_ca_pem) {
        X509 *ca = cert_of(tls->client_ca_pem);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
        X509_free(ca);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

static int listen_on(int backlog, int *ret_port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    MUST(listen(fd, backlog) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static struct fake *serve(struct fake *f) {
    pthread_mutex_init(&f->lock, NULL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    f->listener = listen_on(256, &f->port);
    MUST(pthread_create(&f->thread, NULL, accept_main, f) == 0);
    return f;
}

struct fake *fake_start_rude(enum fake_then how) {
    struct fake *f = xcalloc(1, sizeof *f);
    f->rude = true;
    f->rude_end = how;
    return serve(f);
}

struct fake *fake_start(const struct fake_reply *replies, size_t n, const struct fake_tls *tls) {
    struct fake *f = xcalloc(1, sizeof *f);
    f->replies = replies;
    f->n = n;
    f->hits = xcalloc(n, sizeof *f->hits);
    f->ctx = tls ? tls_context(tls) : NULL;
    return serve(f);
}

void fake_drop_connections(struct fake *f) {
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < CONNS; i++)
        if (f->conn[i].started && !f->conn[i].done)
            shutdown(f->conn[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&f->lock);
}

void fake_stop(struct fake *f) {
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_mutex_unlock(&f->lock);
    shutdown(f->listener, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    fake_drop_connections(f);
    for (size_t i = 0; i < CONNS; i++)
        if (f->conn[i].started)
            pthread_join(f->conn[i].thread, NULL);
    close(f->listener);
    SSL_CTX_free(f->ctx);
    pthread_mutex_destroy(&f->lock);
    xfree(f->hits);
    xfree(f);
}

struct fake_blackhole {
    int listener, port, filler[8];
};

struct fake_blackhole *fake_blackhole_new(void) {
    struct fake_blackhole *b = xcalloc(1, sizeof *b);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    b->listener = listen_on(0, &b->port);
    at.sin_port = htons((uint16_t)b->port);
    for (size_t i = 0; i < COUNT_OF(b->filler); i++) {
        b->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(b->filler[i], (struct sockaddr *)&at, sizeof at) < 0)
            MUST(errno == EINPROGRESS);
    }
    return b;
}

int fake_blackhole_port(const struct fake_blackhole *b) {
    return b->port;
}

void fake_blackhole_free(struct fake_blackhole *b) {
    for (size_t i = 0; i < COUNT_OF(b->filler); i++)
        close(b->filler[i]);
    close(b->listener);
    xfree(b);
}

static void pem_out(BIO *b, char *out, size_t size) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    MUST(n > 0 && (size_t)n < size);
    memcpy(out, p, (size_t)n);
    out[n] = 0;
    BIO_free(b);
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(ext && X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

void fake_cert_make(struct fake_cert *out, const char *name, const char *alt,
                    const struct fake_cert *by) {
    static atomic_long serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY *signer = by ? key_of(by->key_pem) : key;
    X509 *x = X509_new();
    X509 *issuer = by ? cert_of(by->cert_pem) : x;
    MUST(key && x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1));
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    X509_set_pubkey(x, key);
    add_extension(x, issuer, NID_basic_constraints, alt ? "CA:FALSE" : "critical,CA:TRUE");
    if (alt)
        add_extension(x, issuer, NID_subject_alt_name, alt);
    MUST(X509_sign(x, signer, EVP_sha256()) > 0);
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(c, x);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    pem_out(c, out->cert_pem, sizeof out->cert_pem);
    pem_out(k, out->key_pem, sizeof out->key_pem);
    if (by) {
        EVP_PKEY_free(signer);
        X509_free(issuer);
    }
    X509_free(x);
    EVP_PKEY_free(key);
}
