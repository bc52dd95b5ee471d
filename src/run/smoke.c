#include "run/smoke.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/proc.h"

enum { CA_MAX = 1 << 20, NOTE_MAX = 200 };

/* "https://host:port/x" -> "host:port", with the scheme's default port. */
static const char *authority(struct arena *a, const char *url) {
    const char *p = strstr(url, "://");
    bool tls = str_starts(url, "https://");
    p = p ? p + 3 : url;
    size_t n = strcspn(p, "/?#");
    const char *host = arena_strndup(a, p, n);
    const char *end = strrchr(host, ']');
    return strchr(end ? end : host, ':') ? host : arena_printf(a, "%s:%d", host, tls ? 443 : 80);
}

/* Where TCP goes: the check's own `via`, else the first tier's pre-live address. */
static const char *via(struct session *s, const struct config_smoke *c) {
    if (c->via)
        return authority(s->a, c->via);
    for (size_t i = 0; i < s->cfg->n_tiers; i++)
        if (s->cfg->tier_prelive[i])
            return authority(s->a, s->cfg->tier_prelive[i]);
    return NULL;
}

static void fail(struct session *s, struct smoke_result *r, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void fail(struct session *s, struct smoke_result *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    r->note = arena_vprintf(s->a, fmt, ap);
    va_end(ap);
    r->ok = false;
}

static void judge(struct session *s, const struct config_smoke *c, const struct http_resp *resp,
                  struct smoke_result *r) {
    int want = c->expect_status ? c->expect_status : 200;
    const char *header = s->cfg->identify_header;
    const char *who = header ? http_header(resp, header) : NULL;
    if (header && !who)
        fail(s, r, "the answer does not say which cluster it is from (no header %s)", header);
    else if (who && (*who | 0x20) != s->destination)
        fail(s, r, "answered by %s, not by %c: pre-live leads to the wrong cluster", who,
             s->destination);
    else if (resp->status != want)
        fail(s, r, "status %d, expected %d", resp->status, want);
    else if (c->expect_body && !strstr(resp->body, c->expect_body))
        fail(s, r, "the body does not contain \"%s\"", c->expect_body);
    else
        r->note = arena_printf(s->a, "status %d%s%s", resp->status, who ? ", answered by " : "",
                               who ? who : "");
}

static void check_http(struct session *s, const struct config_smoke *c, struct smoke_result *r) {
    struct err e = {0};
    struct http_tls tls = {.insecure = c->insecure};
    char *pem = NULL;
    if (c->ca_file && file_read(s->a, c->ca_file, CA_MAX, &pem, NULL, &e) < 0) {
        fail(s, r, "%s", err_msg(&e));
        return;
    }
    tls.ca_pem = pem;
    struct http_req req = {.method = "GET",
                           .url = c->http,
                           .connect_to = via(s, c),
                           .tls = &tls,
                           .timeout_ms = c->timeout_ms ? (uint32_t)c->timeout_ms : 10000,
                           .lane = "smoke",
                           .cancel = &s->cancel};
    struct http_resp resp;
    if (http_do(s->http, s->a, &req, &resp, NULL, &e) < 0)
        fail(s, r, "%s", err_msg(&e));
    else
        judge(s, c, &resp, r);
}

static void check_exec(struct session *s, const struct config_smoke *c, struct smoke_result *r) {
    struct err e = {0};
    const char *prelive = s->cfg->n_tiers ? s->cfg->tier_prelive[0] : NULL;
    const char *env[] = {arena_printf(s->a, "TANDEM_DESTINATION=%c", s->destination),
                         arena_printf(s->a, "TANDEM_PRELIVE_URL=%s", prelive ? prelive : ""), NULL};
    struct proc_run p = {.argv = c->exec,
                         .env = env,
                         .dir = s->cfg->dir,
                         .timeout_ms = c->timeout_ms ? c->timeout_ms : 600000};
    struct proc_result res;
    if (proc_run(s->a, &p, &res, &e) < 0)
        fail(s, r, "%s", err_msg(&e));
    else if (res.timed_out)
        fail(s, r, "did not end in time");
    else if (res.status != 0)
        fail(s, r, "exit code %d: %.*s", res.status, NOTE_MAX, res.err_out);
    else
        r->note = "exit code 0";
}

int smoke_run(struct session *s, struct smoke_result **ret, size_t *n, struct err *e) {
    int failed = 0;
    if (!s->cfg->n_smokes)
        return err_set(e, -EUSAGE, "no checks are configured: `smoke` in tandem.yaml");
    struct smoke_result *out = arena_array(s->a, struct smoke_result, s->cfg->n_smokes);
    for (size_t i = 0; i < s->cfg->n_smokes; i++) {
        const struct config_smoke *c = &s->cfg->smokes[i];
        uint64_t start = clock_now_ms();
        out[i] = (struct smoke_result){.name = c->name, .ok = true};
        (c->http ? check_http : check_exec)(s, c, &out[i]);
        out[i].time_ms = clock_now_ms() - start;
        failed += !out[i].ok;
        if (atomic_load(&s->cancel.stop))
            return err_set(e, -ESTOPPED, "stopped");
    }
    *ret = out;
    *n = s->cfg->n_smokes;
    return failed;
}
