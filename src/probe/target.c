#include "probe/target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

enum { LOOK_UP_EVERY_S = 2 };

/* --- the URL --- */

struct parts {
    char *scheme, *host, *port, *path, *query;
};

static void cleanup_parts(struct parts *p) {
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->path);
    curl_free(p->query);
}

static void cleanup_url(CURLU **u) {
    curl_url_cleanup(*u);
}

static int split_url(const char *url, struct parts *p, struct err *e) {
    CLEANUP(cleanup_url) CURLU *u = curl_url();
    MUST(u);
    CURLUcode c = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (c == CURLUE_OK)
        c = curl_url_get(u, CURLUPART_SCHEME, &p->scheme, 0);
    if (c == CURLUE_OK)
        c = curl_url_get(u, CURLUPART_HOST, &p->host, 0);
    if (c != CURLUE_OK)
        return err_set(e, -EINVAL, "the probe URL \"%s\" cannot be read: %s", url,
                       curl_url_strerror(c));
    if (!str_eq(p->scheme, "http") && !str_eq(p->scheme, "https"))
        return err_set(e, -EINVAL, "the probe URL \"%s\" must begin with http:// or https://", url);
    curl_url_get(u, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT);
    curl_url_get(u, CURLUPART_PATH, &p->path, 0);
    curl_url_get(u, CURLUPART_QUERY, &p->query, 0);
    return 0;
}

/* Without the brackets of an IPv6 address. */
static const char *bare_host(struct arena *a, const char *host) {
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']')
        return arena_strndup(a, host + 1, n - 2);
    return arena_strdup(a, host);
}

static bool is_ip(const char *host) {
    unsigned char b[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, b) == 1 || inet_pton(AF_INET6, host, b) == 1;
}

/* "host:port", "[::1]:port" */
static int split_connect_to(struct target *t, struct arena *a, const char *to, struct err *e) {
    const char *colon = strrchr(to, ':');
    uint64_t port;
    if (!colon || colon == to || str_u64(colon + 1, &port) < 0 || port == 0 || port > 65535)
        return err_set(e, -EINVAL, "the address to connect to, \"%s\", must be HOST:PORT", to);
    t->dial_host = bare_host(a, arena_strndup(a, to, (size_t)(colon - to)));
    t->dial_port = arena_strdup(a, colon + 1);
    return 0;
}

static bool has_control(const char *s) {
    for (; s && *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return true;
    return false;
}

static int compose(struct target *t, struct arena *a, const struct probe_config *cfg,
                   const struct parts *p, struct err *e) {
    if (has_control(p->path) || has_control(p->query) || has_control(p->host) ||
        has_control(cfg->cookie))
        return err_set(e, -EINVAL,
                       "the probe URL and cookie name must not hold blanks or control "
                       "characters");
    bool plain_port = str_eq(p->port, t->tls ? "443" : "80");
    const char *path = str_empty(p->path) ? "/" : p->path;
    t->head = arena_printf(a,
                           "GET %s%s%s HTTP/1.1\r\nHost: %s%s%s\r\n"
                           "User-Agent: tandem-probe\r\nAccept: */*\r\n"
                           "Cache-Control: no-cache\r\n",
                           path, p->query ? "?" : "", p->query ? p->query : "", p->host,
                           plain_port ? "" : ":", plain_port ? "" : p->port);
    return 0;
}

static int read_url(struct target *t, struct arena *a, const struct probe_config *cfg,
                    struct err *e) {
    CLEANUP(cleanup_parts) struct parts p = {0};
    if (str_empty(cfg->url))
        return err_set(e, -EINVAL, "the probe has no URL");
    int r = split_url(cfg->url, &p, e);
    if (r < 0)
        return r;
    t->tls = str_eq(p.scheme, "https");
    t->host = bare_host(a, p.host);
    t->host_is_ip = is_ip(t->host);
    t->dial_host = t->host;
    t->dial_port = arena_strdup(a, p.port);
    r = compose(t, a, cfg, &p, e);
    if (r >= 0 && !str_empty(cfg->connect_to))
        r = split_connect_to(t, a, cfg->connect_to, e);
    return r;
}

/* --- addresses --- */

static void cleanup_addrinfo(struct addrinfo **ai) {
    if (*ai)
        freeaddrinfo(*ai);
}

/* Returns a code of getaddrinfo. */
static int look_up(struct target *t) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    CLEANUP(cleanup_addrinfo) struct addrinfo *list = NULL;
    int r = getaddrinfo(t->dial_host, t->dial_port, &hints, &list);
    if (r != 0)
        return r;
    pthread_mutex_lock(&t->lock);
    bool kept = false;
    t->n_addr = 0;
    for (const struct addrinfo *i = list; i && t->n_addr < TARGET_ADDRS; i = i->ai_next) {
        memcpy(&t->addr[t->n_addr++], i->ai_addr, i->ai_addrlen);
        kept |= i->ai_family == t->family;
    }
    if (!kept)
        t->family = list->ai_family;
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static void *resolve_again(void *ctx) {
    struct target *t = ctx;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_UP_EVERY_S;
        pthread_cond_timedwait(&t->wake, &t->lock, &until);
        if (t->stop)
            break;
        pthread_mutex_unlock(&t->lock);
        if (look_up(t) != 0)
            stats_resolve_failed(t->stats);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static int start_resolver(struct target *t, struct err *e) {
    int r = look_up(t);
    if (r != 0)
        return err_set(e, -ENOENT, "%s: the name cannot be resolved: %s", t->dial_host,
                       gai_strerror(r));
    if (is_ip(t->dial_host))
        return 0;
    r = pthread_create(&t->resolver, NULL, resolve_again, t);
    if (r != 0)
        return err_errno(e, r, "start the thread that looks up %s", t->dial_host);
    t->has_resolver = true;
    return 0;
}

bool target_pick(struct target *t, unsigned turn, int family, struct sockaddr_storage *ret) {
    size_t n = 0;
    const struct sockaddr_storage *of[TARGET_ADDRS];
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n_addr; i++)
        if (t->addr[i].ss_family == (family ? family : t->family))
            of[n++] = &t->addr[i];
    if (n)
        *ret = *of[turn % n];
    pthread_mutex_unlock(&t->lock);
    return n > 0;
}

int target_other_family(struct target *t, int family) {
    int other = 0;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n_addr && !other; i++)
        if (t->addr[i].ss_family != family)
            other = t->addr[i].ss_family;
    pthread_mutex_unlock(&t->lock);
    return other;
}

void target_prefer(struct target *t, int family) {
    pthread_mutex_lock(&t->lock);
    t->family = family;
    pthread_mutex_unlock(&t->lock);
}

/* --- TLS --- */

static void cleanup_bio(BIO **b) {
    BIO_free(*b);
}

static int trust_pem(SSL_CTX *ctx, const char *pem, struct err *e) {
    CLEANUP(cleanup_bio) BIO *b = BIO_new_mem_buf(pem, -1);
    MUST(b);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    unsigned n = 0;
    for (;;) {
        X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
        if (!cert)
            break;
        n += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    ERR_clear_error(); /* the end of the list is reported as an error */
    return n ? 0 : err_set(e, -EINVAL, "the CA for the probe holds no PEM certificate");
}

static int make_ctx(struct target *t, const struct probe_config *cfg, struct err *e) {
    static const unsigned char alpn[] = "\x08http/1.1";
    t->ctx = SSL_CTX_new(TLS_client_method());
    MUST(t->ctx);
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_protos(t->ctx, alpn, sizeof alpn - 1);
    SSL_CTX_set_verify(t->ctx, t->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (cfg->ca_pem)
        return trust_pem(t->ctx, cfg->ca_pem, e);
    if (!t->insecure && SSL_CTX_set_default_verify_paths(t->ctx) != 1)
        return err_set(e, -EIO, "the system's certificate authorities cannot be read");
    return 0;
}

int target_init(struct target *t, struct arena *a, const struct probe_config *cfg, struct stats *s,
                struct err *e) {
    pthread_condattr_t attr;
    *t = (struct target){.insecure = cfg->insecure, .stats = s};
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
    int r = read_url(t, a, cfg, e);
    if (r >= 0 && t->tls)
        r = make_ctx(t, cfg, e);
    if (r >= 0)
        r = start_resolver(t, e);
    if (r < 0)
        target_done(t);
    return r;
}

void target_done(struct target *t) {
    if (t->has_resolver) {
        pthread_mutex_lock(&t->lock);
        t->stop = true;
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->resolver, NULL);
    }
    SSL_CTX_free(t->ctx);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
}
