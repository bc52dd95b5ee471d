#include <errno.h>

#include "net/http_impl.h"

/* What libcurl's codes mean to a caller. Everything else is -EIO. */
static const struct {
    CURLcode curl;
    int code;
    bool retry;
} codes[] = {
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, true},
    {CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, true},
    {CURLE_COULDNT_CONNECT, -ECONNREFUSED, true},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, true},
    {CURLE_SEND_ERROR, -ECONNRESET, true},
    {CURLE_RECV_ERROR, -ECONNRESET, true},
    {CURLE_GOT_NOTHING, -ECONNRESET, true},
    {CURLE_PARTIAL_FILE, -ECONNRESET, true},
    {CURLE_ABORTED_BY_CALLBACK, -ECONNRESET, true}, /* on_send() refused a second sending */
    {CURLE_SSL_CONNECT_ERROR, -EPROTO, false},
    {CURLE_PEER_FAILED_VERIFICATION, -EPROTO, false},
    {CURLE_SSL_CERTPROBLEM, -EPROTO, false},
    {CURLE_SSL_CIPHER, -EPROTO, false},
    {CURLE_SSL_CACERT_BADFILE, -EPROTO, false},
    {CURLE_SSL_ISSUER_ERROR, -EPROTO, false},
    {CURLE_SSL_ENGINE_INITFAILED, -EPROTO, false},
    {CURLE_SSL_CLIENTCERT, -EPROTO, false},
    {CURLE_USE_SSL_FAILED, -EPROTO, false},
    {CURLE_URL_MALFORMAT, -EINVAL, false},
};

const char *url_authority(const char *url, size_t *ret_len) {
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t n = strcspn(p, "/?#");
    for (size_t i = n; i > 0; i--)
        if (p[i - 1] == '@') {
            *ret_len = n - i;
            return p + i;
        }
    *ret_len = n;
    return p;
}

static int connect_code(const struct call *call) {
    long no = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &no);
    switch (no) {
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL: return -EHOSTUNREACH;
    case ETIMEDOUT: return -ETIMEDOUT;
    case ECONNRESET: return -ECONNRESET;
    default: return -ECONNREFUSED;
    }
}

/* Traces that a cut connection leaves in libcurl's text, where its code says just "TLS". */
static const char *const cuts[] = {"SSL_ERROR_SYSCALL", "unexpected eof", "Recv failure",
                                   "Send failure", "getpeername"};

static bool looks_cut(const struct call *call) {
    for (size_t i = 0; i < COUNT_OF(cuts); i++)
        if (strstr(call->detail, cuts[i]))
            return true;
    return false;
}

/* Two things that the code alone does not tell apart: a connection cut during the handshake (a
 * balancer without a back end; may heal) from a handshake that was refused, and a TLS alert that
 * comes after the handshake (TLS 1.3 refuses a client certificate there) from a cut. */
static int refine(const struct call *call, int code, bool *retry) {
    if (call->result == CURLE_SSL_CONNECT_ERROR && looks_cut(call)) {
        *retry = true;
        return -ECONNRESET;
    }
    if (call->result == CURLE_RECV_ERROR && strstr(call->detail, " alert ")) {
        *retry = false;
        return -EPROTO;
    }
    return call->result == CURLE_COULDNT_CONNECT ? connect_code(call) : code;
}

static int code_of(const struct call *call, bool *retry) {
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (codes[i].curl == call->result) {
            *retry = codes[i].retry;
            return refine(call, codes[i].code, retry);
        }
    *retry = false;
    return -EIO;
}

static int own_error(const struct call *call, const char *host, int len, struct err *e) {
    switch (call->fail) {
    case -ESTOPPED: return err_set(e, -ESTOPPED, "%.*s: the request was stopped", len, host);
    case -EGUARD: return err_set(e, -EGUARD, "%.*s: not sent: its time was over", len, host);
    case -ETIMEDOUT:
        err_set(e, -ETIMEDOUT, "%.*s: the server sent nothing for %u ms", len, host,
                call->req->stall_timeout_ms);
        break;
    case -EMSGSIZE:
        return err_set(e, -EMSGSIZE, "%.*s: the answer is larger than %zu bytes", len, host,
                       call->max_body);
    default: return err_set(e, call->fail, "%.*s: the request was given up", len, host);
    }
    if (e)
        e->retry = true;
    return call->fail;
}

static const char *reason(const struct call *call) {
    if (call->result == CURLE_OK)
        return "the answer was cut within its headers"; /* libcurl calls it complete */
    if (call->result == CURLE_ABORTED_BY_CALLBACK)
        return "the server closed a kept-alive connection before it answered";
    if (str_starts(call->detail, "getpeername"))
        return "the server closed the connection after the handshake";
    return call->detail[0] ? call->detail : curl_easy_strerror(call->result);
}

int call_error(const struct call *call, struct err *e) {
    if (!call->fail && call->result == CURLE_OK && call->head_done)
        return 0;
    size_t n;
    const char *host = url_authority(call->req->url, &n);
    int len = (int)MIN(n, 256u);
    if (call->fail)
        return own_error(call, host, len, e);
    bool retry = true;
    int code = call->result == CURLE_OK ? -ECONNRESET : code_of(call, &retry);
    err_set(e, code, "%.*s: %s", len, host, reason(call));
    if (e)
        e->retry = retry;
    return code;
}
