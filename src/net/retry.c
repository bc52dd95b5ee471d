#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "net/http_impl.h"

enum { ATTEMPTS = 5, BASE_MS = 100, CAP_MS = 10000, SLICE_MS = 20 };

/* Seconds or an HTTP date (RFC 9110, 10.2.3). UINT64_MAX: the header is not there. */
static uint64_t retry_after_ms(const struct http_resp *resp) {
    const char *v = http_header(resp, "retry-after");
    uint64_t s;
    if (str_empty(v))
        return UINT64_MAX;
    if (str_u64(v, &s) == 0)
        return MIN(s, (uint64_t)UINT32_MAX) * 1000;
    time_t at = curl_getdate(v, NULL);
    int64_t left = (int64_t)at * 1000 - clock_wall_ms();
    return at == -1 ? UINT64_MAX : (uint64_t)MAX(left, 0);
}

static bool answer_retries(const struct http_resp *resp, bool idempotent) {
    int s = resp->status;
    if (idempotent)
        return s == 429 || (s >= 500 && s != 501 && s != 505);
    return s == 429 || (s == 503 && http_header(resp, "retry-after"));
}

/* For how long after the first attempt this failure is borne beyond the number of attempts; resp is
 * NULL where there was no answer. */
static uint64_t patience_ms(const struct http_retry *how, const struct http_resp *resp) {
    if (!resp || resp->status == 429)
        return how->patience_ms;
    if (resp->status == 500)
        return how->patience_ms / 16;
    if (resp->status < 502 || resp->status > 504)
        return 0;
    return http_header(resp, "retry-after") ? how->patience_ms : how->patience_ms / 4;
}

static uint64_t random_below(uint64_t n) {
    uint64_t r;
    hash_random(&r, sizeof r);
    return n ? r % n : 0;
}

/* Full jitter: anything between nothing and the exponential delay. */
static uint64_t backoff_ms(const struct http_retry *how, unsigned attempt) {
    uint64_t delay = how->base_ms;
    for (unsigned i = 1; i < attempt && delay < how->cap_ms; i++)
        delay *= 2;
    return random_below(MIN(delay, how->cap_ms) + 1);
}

static uint64_t delay_ms(const struct http_retry *how, unsigned attempt,
                         const struct http_resp *resp) {
    uint64_t delay = backoff_ms(how, attempt);
    uint64_t after = resp ? retry_after_ms(resp) : UINT64_MAX;
    if (after == UINT64_MAX)
        return delay;
    /* A little more than asked for, so that those who were refused together do not return so. */
    after = MIN(after, 6 * (uint64_t)how->cap_ms);
    return after + random_below(how->base_ms + 1);
}

static bool wait_ms(struct http_client *c, const struct http_req *req, uint64_t ms) {
    uint64_t until = clock_now_ms() + ms;
    for (;;) {
        if (client_quits(c) || (req->cancel && atomic_load(&req->cancel->stop)))
            return false;
        uint64_t now = clock_now_ms();
        if (now >= until)
            return true;
        clock_sleep_ms(MIN(until - now, (uint64_t)SLICE_MS));
    }
}

static int paced_call(struct http_client *c, struct arena *a, const struct http_req *req,
                      const struct http_pacer *p, struct http_resp *ret, bool *sent, bool *streamed,
                      struct err *e) {
    int r = p ? p->begin(p->ctx, req) : 0;
    *sent = *streamed = false;
    if (r < 0)
        return err_set(e, r, "stopped while waiting for its turn");
    r = call_once(c, a, req, ret, sent, streamed, e);
    if (p)
        p->end(p->ctx, r < 0 ? NULL : ret);
    return r;
}

static int attempts(struct http_client *c, struct arena *a, const struct http_req *req,
                    const struct http_retry *how, struct http_resp *ret, bool *maybe_sent,
                    unsigned *made, struct err *e) {
    uint64_t start = clock_now_ms();
    for (;;) {
        struct http_resp resp;
        bool sent, streamed;
        int r = paced_call(c, a, req, how->pacer, &resp, &sent, &streamed, e);
        ++*made;
        *maybe_sent = *maybe_sent || sent;
        bool again = r < 0 ? e->retry && !streamed && (how->idempotent || !sent)
                           : answer_retries(&resp, how->idempotent) && !streamed;
        const struct http_resp *answer = r < 0 ? NULL : &resp;
        uint64_t delay = delay_ms(how, *made, answer);
        if (again && *made >= how->attempts)
            again = clock_now_ms() + delay - start < patience_ms(how, answer);
        if (!again) {
            if (r >= 0)
                *ret = resp;
            return r;
        }
        if (!wait_ms(c, req, delay))
            return err_set(e, -ESTOPPED, "stopped while waiting to try again");
    }
}

int http_do_retry(struct http_client *c, struct arena *a, const struct http_req *req,
                  const struct http_retry *how, struct http_resp *ret, bool *maybe_sent,
                  unsigned *made, struct err *e) {
    struct http_retry full = how ? *how : (struct http_retry){0};
    full.attempts = full.attempts ? full.attempts : ATTEMPTS;
    full.base_ms = full.base_ms ? full.base_ms : BASE_MS;
    full.cap_ms = full.cap_ms ? full.cap_ms : CAP_MS;
    struct err own = {0};
    unsigned n = 0;
    bool sent = false;
    int r;
    if (client_enter(c)) {
        r = attempts(c, a, req, &full, ret, &sent, &n, &own);
        client_leave(c);
    } else {
        r = err_set(&own, -ESTOPPED, "stopped");
    }
    if (e && r < 0)
        *e = own;
    if (maybe_sent)
        *maybe_sent = sent;
    if (made)
        *made = n;
    return r;
}
