#include <errno.h>
#include <limits.h>
#include <strings.h>

#include "base/clock.h"
#include "base/fault.h"
#include "net/http_impl.h"

enum { CONNECT_TIMEOUT_MS = 5000, TIMEOUT_MS = 60000, CONNECTION_AGE_S = 50 };

bool too_late(const struct http_req *req) {
    return req->until_ns && clock_boot_ns() >= atomic_load(req->until_ns);
}

/* Called when the connection stands and the request is about to be sent. libcurl sends a request
 * again by itself when a reused connection dies before the first byte of an answer
 * (Curl_retry_request in lib/transfer.c). The server may have carried the first one out, so for
 * anything but a read that would be a write behind the caller's back: it is refused, and the
 * caller hears -ECONNRESET with maybe_sent. */
static int on_send(void *userp, char *peer UNUSED, char *local UNUSED, int peer_port UNUSED,
                   int local_port UNUSED) {
    struct call *call = userp;
    const char *m = call->req->method;
    bool safe = str_eq(m, "GET") || str_eq(m, "HEAD") || str_eq(m, "OPTIONS");
    call->resent = call->sent;
    if (call->sent && !safe)
        return CURL_PREREQFUNC_ABORT;
    if (too_late(call->req)) {
        call->fail = -EGUARD;
        return CURL_PREREQFUNC_ABORT;
    }
    call->sent = true;
    return CURL_PREREQFUNC_OK;
}

static void heard(struct call *call) {
    if (call->req->stall_timeout_ms)
        call->heard_ms = clock_now_ms();
}

static bool on_header_full(struct call *call) {
    call->fail = -EMSGSIZE;
    call->max_body = call->head.max; /* the limit that the message names */
    return false;
}

/* A status line starts over: what came before it was a 1xx answer. */
static bool on_status(struct call *call, const char *p, size_t n) {
    const char *sp = memchr(p, ' ', n);
    call->status = 0;
    for (size_t i = 0; sp && sp + 1 + i < p + n && i < 3; i++)
        call->status = call->status * 10 + (sp[1 + i] - '0');
    sb_reset(&call->head);
    call->n_headers = 0;
    call->head_done = false;
    return true;
}

static bool on_header_line(struct call *call, const char *p, size_t n) {
    const char *colon = memchr(p, ':', n);
    if (*p == '\r' || *p == '\n')
        call->head_done = true;
    if (!colon || *p == ' ' || *p == '\t')
        return true; /* the empty line, or a folded one, which HTTP has given up */
    const char *value = colon + 1, *end = p + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && strchr(" \t\r\n", end[-1]))
        end--;
    for (const char *c = p; c < colon; c++)
        sb_chr(&call->head, *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c);
    sb_str(&call->head, ": ");
    sb_add(&call->head, value, (size_t)(end - value));
    sb_chr(&call->head, 0);
    call->n_headers++;
    return !call->head.full || on_header_full(call);
}

static size_t on_header(char *p, size_t size, size_t count, void *userp) {
    struct call *call = userp;
    size_t n = size * count;
    heard(call);
    bool status = n > 5 && memcmp(p, "HTTP/", 5) == 0;
    bool ok = status ? on_status(call, p, n) : on_header_line(call, p, n);
    return ok ? n : 0;
}

static bool streams(const struct call *call) {
    return call->req->on_data && call->status >= 200 && call->status < 300;
}

static size_t on_body(char *p, size_t size, size_t count, void *userp) {
    struct call *call = userp;
    size_t n = size * count;
    heard(call);
    if (streams(call)) {
        call->streamed = true;
        int r = call->req->on_data(call->req->ctx, p, n);
        call->fail = r < 0 ? r : 0;
    } else {
        sb_add(&call->body, p, n);
        call->fail = call->body.full ? -EMSGSIZE : 0;
    }
    return call->fail ? 0 : n;
}

#define SET(option, value) MUST(curl_easy_setopt(easy, option, value) == CURLE_OK)

void call_setup_once(struct call *call) {
    CURL *easy = call->easy;
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_SHARE, call->client->share);
    SET(CURLOPT_ERRORBUFFER, call->detail);
    SET(CURLOPT_NOSIGNAL, 1L);
    /* A request given up while its host name is looked up would stop the network thread until
     * the resolver answers; with this the look-up is left to itself. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    /* HTTP/2 brings no more objects per second out of an API server, and streams of one
     * connection hold each other up. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 30L);
    SET(CURLOPT_TCP_KEEPINTVL, 10L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 10L);
    /* Load balancers close after 60 s of silence; be first, since a write that meets the close
     * has an unknown outcome. */
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_S);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, "tandem");
    SET(CURLOPT_OPENSOCKETFUNCTION, loop_opensocket);
    SET(CURLOPT_OPENSOCKETDATA, call->client);
    SET(CURLOPT_CLOSESOCKETFUNCTION, loop_closesocket);
    SET(CURLOPT_CLOSESOCKETDATA, call->client);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
}

static void set_method(const struct call *call) {
    CURL *easy = call->easy;
    const struct http_req *req = call->req;
    const char *m = req->method;
    bool body = req->body_len || str_eq(m, "POST") || str_eq(m, "PUT") || str_eq(m, "PATCH");
    bool own = !(str_eq(m, "POST") || (str_eq(m, "GET") && !body) || str_eq(m, "HEAD"));
    SET(CURLOPT_HTTPGET, 1L); /* forgets what the handle did before */
    if (str_eq(m, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
        SET(CURLOPT_POSTFIELDS, req->body ? req->body : "");
    }
    SET(CURLOPT_CUSTOMREQUEST, own ? m : NULL);
}

static void set_blob(CURL *easy, CURLoption option, const char *pem) {
    /* Not copied here; libcurl copies them into a connection that it opens, and compares them
     * before it reuses one. */
    struct curl_blob blob = {.flags = CURL_BLOB_NOCOPY};
    if (pem) {
        blob.data = (void *)(uintptr_t)pem;
        blob.len = strlen(pem);
    }
    MUST(curl_easy_setopt(easy, option, pem ? &blob : NULL) == CURLE_OK);
}

static void set_tls(const struct call *call) {
    static const struct http_tls system_cas;
    CURL *easy = call->easy;
    const struct http_client *c = call->client;
    const struct http_tls *tls = call->req->tls ? call->req->tls : &system_cas;
    set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert_pem);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem);
    /* The directory of CAs would be trusted besides a CA given as a blob. */
    SET(CURLOPT_CAINFO, tls->ca_pem ? NULL : c->ca_file);
    SET(CURLOPT_CAPATH, tls->ca_pem ? NULL : c->ca_path);
    SET(CURLOPT_SSL_VERIFYPEER, tls->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, tls->insecure ? 0L : 2L);
}

static void set_timeouts(const struct call *call) {
    CURL *easy = call->easy;
    const struct http_req *req = call->req;
    uint32_t connect = req->connect_timeout_ms ? req->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    uint32_t whole = req->timeout_ms ? req->timeout_ms : TIMEOUT_MS;
    whole = MIN(whole, FAULT_NUMBER("TANDEM_TIMEOUT_MS", UINT32_MAX));
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(connect, (uint32_t)INT_MAX));
    SET(CURLOPT_TIMEOUT_MS, whole == UINT32_MAX ? 0L : (long)MIN(whole, (uint32_t)INT_MAX));
}

static bool is_loopback(const char *host, size_t n) {
    return (n == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (n > 4 && memcmp(host, "127.", 4) == 0) || (n == 5 && memcmp(host, "[::1]", 5) == 0);
}

/* curl has no option for another name to verify. So the URL gets that name (it is sent as SNI
 * too, as client-go's tls-server-name does), TCP goes to the old one, and so does Host. */
static void set_url(const struct call *call, struct arena *a, struct curl_slist *to,
                    const char **ret_host) {
    CURL *easy = call->easy;
    const struct http_req *req = call->req;
    const char *name = req->tls ? req->tls->server_name : NULL, *url = req->url;
    size_t n, host;
    const char *auth = url_authority(url, &n);
    const char *close_br = n && *auth == '[' ? memchr(auth, ']', n) : NULL;
    const char *colon =
        memchr(close_br ? close_br : auth, ':', (size_t)(auth + n - (close_br ? close_br : auth)));
    host = colon ? (size_t)(colon - auth) : n;
    const char *target = req->connect_to;
    if (name && !(strlen(name) == host && strncasecmp(name, auth, host) == 0)) {
        *ret_host = arena_strndup(a, auth, n);
        url = arena_printf(a, "%.*s%s%.*s%s", (int)(auth - url), url, name, (int)(n - host),
                           auth + host, auth + n);
        if (!target)
            target = arena_printf(a, "%.*s%s", (int)n, auth,
                                  colon ? "" : (str_starts(url, "http:") ? ":80" : ":443"));
    }
    SET(CURLOPT_URL, url);
    *to = (struct curl_slist){.data = target ? arena_printf(a, "::%s", target) : NULL};
    SET(CURLOPT_CONNECT_TO, target ? to : NULL);
    /* As Go does, never a proxy for loopback; nor where the caller says where TCP goes. */
    SET(CURLOPT_PROXY, req->connect_to || is_loopback(auth, host) ? "" : NULL);
}

static bool has_header(const struct http_req *req, const char *name) {
    size_t n = strlen(name);
    for (const char *const *h = req->headers; h && *h; h++)
        if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':')
            return true;
    return false;
}

/* The list lives in the arena: curl_slist_append() would copy each line. */
static void set_headers(const struct call *call, struct arena *a, const char *host) {
    CURL *easy = call->easy;
    const struct http_req *req = call->req;
    const char *extra[3] = {"Expect:"};
    size_t n_extra = 1, n = 0, i = 0;
    if (!has_header(req, "content-type"))
        extra[n_extra++] = "Content-Type:"; /* curl would say that it is a form */
    if (host && !has_header(req, "host"))
        extra[n_extra++] = arena_printf(a, "Host: %s", host);
    while (req->headers && req->headers[n])
        n++;
    struct curl_slist *list = arena_array(a, struct curl_slist, n + n_extra);
    for (; i < n + n_extra; i++) {
        list[i].data = (char *)(uintptr_t)(i < n ? req->headers[i] : extra[i - n]);
        list[i].next = i + 1 < n + n_extra ? &list[i + 1] : NULL;
    }
    SET(CURLOPT_HTTPHEADER, list);
}

static int check(const struct http_req *req, struct err *e) {
    if (!str_starts(req->url, "http://") && !str_starts(req->url, "https://"))
        return err_set(e, -EINVAL, "the URL is neither http:// nor https://");
    size_t n;
    const char *host = url_authority(req->url, &n);
    int len = (int)MIN(n, 256u);
    /* 1 MiB: below what curl takes, above what any server takes. */
    if (!n || strnlen(req->url, 1 << 20) == 1 << 20 || req->url[strcspn(req->url, " \r\n\t")])
        return err_set(e, -EINVAL, "%.*s: not a URL that can be requested", len, host);
    if (str_empty(req->method) || req->method[strcspn(req->method, " \r\n\t")])
        return err_set(e, -EINVAL, "%.*s: not an HTTP method", len, host);
    for (const char *const *h = req->headers; h && *h; h++)
        if ((*h)[strcspn(*h, "\r\n")])
            return err_set(e, -EINVAL, "%.*s: a header contains a line break", len, host);
    return 0;
}

int call_setup(struct call *call, struct arena *a, struct err *e) {
    int r = check(call->req, e);
    if (r < 0)
        return r;
    const char *host = NULL;
    struct curl_slist *to = arena_new_of(a, struct curl_slist);
    set_url(call, a, to, &host);
    set_method(call);
    set_headers(call, a, host);
    set_tls(call);
    set_timeouts(call);
    return 0;
}
