#include "run/hook.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/proc.h"

enum {
    SECRET_MAX = 4096,
    CA_MAX = 1 << 20,
    OUTPUT_MAX = 64 * 1024,
    BACKOFF_MS = 500,
    BACKOFF_CAP_MS = 10000,
    TICK_MS = 50,
};

char *hook_signature(struct arena *a, const void *secret, size_t secret_len, const void *body,
                     size_t body_len) {
    uint8_t mac[SHA256_LEN];
    char hex[SHA256_HEX];
    hash_hmac256(secret, secret_len, body, body_len, mac);
    return arena_printf(a, "sha256=%s", hash_hex(mac, sizeof mac, hex));
}

/* --- a command --- */

static void show_output(const struct config_hook *h, const struct proc_result *res) {
    if (res->out_len)
        log_debug("hook %s says: %s", h->name, res->out);
    if (res->err_len)
        log_debug("hook %s says on stderr: %s", h->name, res->err_out);
}

static int run_command(struct arena *a, const struct config_hook *h, const struct hook_call *c,
                       bool *final, struct err *e) {
    const char *env[] = {arena_printf(a, "TANDEM_EVENT=%s", c->event),
                         arena_printf(a, "TANDEM_STAGE=%s", c->stage),
                         arena_printf(a, "TANDEM_RUN=%s", c->run),
                         arena_printf(a, "TANDEM_DELIVERY=%s", c->delivery), NULL};
    struct proc_run p = {.argv = h->exec,
                         .env = env,
                         .dir = str_empty(c->dir) ? NULL : c->dir,
                         .input = c->body,
                         .input_len = c->body_len,
                         .timeout_ms = h->timeout_ms,
                         .max_output = OUTPUT_MAX};
    struct proc_result res = {0};
    int r = proc_run(a, &p, &res, e);
    *final = r < 0; /* what cannot be started now cannot be in a second either */
    if (r < 0)
        return r;
    show_output(h, &res);
    if (res.timed_out)
        return err_set(e, -ETIMEDOUT, "%s did not end in time and was ended", h->exec[0]);
    return res.status ? err_set(e, -EREMOTEIO, "%s ended with exit code %d", h->exec[0], res.status)
                      : 0;
}

/* --- a webhook --- */

/* A line end behind it is an editor's, not the secret's. */
static int read_secret(struct arena *a, const char *path, char **ret, size_t *ret_len,
                       struct err *e) {
    size_t n;
    char *text;
    int r = file_read(a, path, SECRET_MAX, &text, &n, e);
    if (r < 0)
        return r;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (!n)
        return err_set(e, -EINVAL, "%s is empty: it should hold the secret of the signature", path);
    *ret = text;
    *ret_len = n;
    return 0;
}

static int fill_headers(struct arena *a, const struct config_hook *h, const struct hook_call *c,
                        const char *headers[5], struct err *e) {
    char *secret = NULL;
    size_t n = 0, i = 0;
    headers[i++] = "Content-Type: application/json";
    headers[i++] = arena_printf(a, "X-Tandem-Event: %s", c->event);
    headers[i++] = arena_printf(a, "X-Tandem-Delivery: %s", c->delivery);
    if (h->secret_file) {
        int r = read_secret(a, h->secret_file, &secret, &n, e);
        if (r < 0)
            return r;
        headers[i++] = arena_printf(a, "X-Tandem-Signature: %s",
                                    hook_signature(a, secret, n, c->body, c->body_len));
        explicit_bzero(secret, n);
    }
    headers[i] = NULL;
    return 0;
}

static bool is_final(int status) {
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static int post(struct arena *a, const struct config_hook *h, const struct hook_call *c,
                bool *final, struct err *e) {
    const char *headers[5];
    char *pem = NULL;
    struct http_resp resp;
    *final = true;
    int r = h->ca_file ? file_read(a, h->ca_file, CA_MAX, &pem, NULL, e) : 0;
    if (r >= 0)
        r = fill_headers(a, h, c, headers, e);
    if (r < 0)
        return r;
    struct http_tls tls = {.ca_pem = pem};
    struct http_req req = {.method = "POST",
                           .url = h->url,
                           .headers = headers,
                           .body = c->body,
                           .body_len = c->body_len,
                           .tls = &tls,
                           .lane = "hook",
                           .timeout_ms = (uint32_t)h->timeout_ms,
                           .max_body = OUTPUT_MAX,
                           .cancel = c->cancel};
    r = http_do(c->http, a, &req, &resp, NULL, e);
    *final = r == -ESTOPPED || r == -EINVAL;
    if (r < 0)
        return r;
    *final = is_final(resp.status);
    return resp.status / 100 == 2 ? 0
                                  : err_set(e, -EREMOTEIO, "it was answered with %d", resp.status);
}

/* --- tries --- */

static bool stopped(const struct hook_call *c) {
    return c->cancel && atomic_load(&c->cancel->stop);
}

static void pause_before(unsigned attempt, const struct hook_call *c) {
    uint64_t ms = MIN((uint64_t)BACKOFF_MS << MIN(attempt - 1, 8u), (uint64_t)BACKOFF_CAP_MS);
    for (uint64_t end = clock_now_ms() + ms; clock_now_ms() < end && !stopped(c);)
        clock_sleep_ms(TICK_MS);
}

int hook_run(const struct config_hook *h, const struct hook_call *c, struct hook_result *ret,
             struct err *e) {
    uint64_t start = clock_now_ms();
    bool final = false;
    int r;
    *ret = (struct hook_result){0};
    do {
        AUTO_ARENA a = arena_new();
        if (ret->attempts)
            pause_before(ret->attempts, c);
        ret->attempts++;
        r = (h->exec ? run_command : post)(a, h, c, &final, e);
    } while (r < 0 && !final && ret->attempts <= h->retries && !stopped(c));
    ret->time_ms = clock_now_ms() - start;
    return r;
}
