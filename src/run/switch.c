#include "run/switch.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/back.h"
#include "run/notice.h"

enum { DRAIN_MS = 10000, PROOF_MS = 2000, TICK_MS = 1000 };

static void tell(struct session *s, const struct switch_opts *o, const struct watchers *w,
                 int percent, uint64_t left_ms) {
    struct probe_stats st = {0};
    if (!o->watch)
        return;
    if (watchers_count(w))
        watchers_window(w, 0, 10000, &st);
    o->watch(o->ctx, s, percent, left_ms, watchers_count(w) ? &st : NULL);
}

/* Somebody else (a switch-back in another terminal) may have moved the traffic meanwhile: then it
 * is theirs, and nothing more is moved. What cannot be observed just now is no reason to stop. */
static int still_ours(struct session *s, int percent, struct err *e) {
    int now = switch_observe(s, NULL);
    if (now >= 0 && now != percent)
        return err_set(e, -EGUARD,
                       "the traffic was moved by somebody else: %d %% go to %c now, %d %% were "
                       "set here; nothing more is moved",
                       now, s->destination, percent);
    int r = 0;
    for (size_t i = 0; i < s->n_tiers && r >= 0; i++)
        r = traffic_claimed(s->tiers[i], e);
    return r;
}

static int hold(struct session *s, const struct switch_opts *o, const struct watchers *w,
                int percent, uint64_t ms, struct err *e) {
    uint64_t end = clock_now_ms() + ms;
    for (;;) {
        uint64_t now = clock_now_ms();
        tell(s, o, w, percent, now < end ? end - now : 0);
        int r = still_ours(s, percent, e);
        if (r >= 0)
            r = watchers_check(w, e);
        if (r < 0)
            return r;
        if (atomic_load(&s->cancel.stop))
            return err_set(e, -ESTOPPED,
                           "stopped while %d %% were on %c; the traffic stays as it "
                           "is: go on with `tandem %s`, or back with `tandem "
                           "switch-back`",
                           percent, s->destination, s->walking ? "resume" : "cutover");
        if (now >= end)
            return 0;
        clock_sleep_ms(MIN(end - now, (uint64_t)TICK_MS));
    }
}

/* --- the steps --- */

static int one_step(struct session *s, const struct switch_opts *o, const struct watchers *w,
                    size_t i, struct err *e) {
    struct move m = {o->steps[i], o->force};
    const char *what = arena_printf(s->a, "%d %% to %c", m.percent, s->destination);
    int r = session_step_recorded(s, "switch", what, move_live, &m, e);
    bool last = i + 1 == o->n_steps;
    return r < 0 ? r : hold(s, o, w, m.percent, last ? PROOF_MS : o->hold_ms, e);
}

/* What was to be seen when it was left. */
static const char *evidence(struct session *s, const struct watchers *w, int percent) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "onAbort", "stop");
    json_mut_set(d, root, "percent", percent < 0 ? yyjson_mut_null(d) : yyjson_mut_int(d, percent));
    json_mut_set(d, root, "probes", watchers_json(d, w));
    return json_mut_write(s->a, root, NULL);
}

bool switch_leaves(const struct session *s) {
    return str_eq(s->cfg->on_abort, "stop");
}

int switch_leave(struct session *s, const char *stage, const struct watchers *w, struct err *e) {
    struct err why = *e;
    int now = switch_observe(s, NULL);
    const char *share = now < 0 ? "an unknown share" : arena_printf(s->a, "%d %%", now);
    session_event(s, "switch: stopped, nothing taken back (traffic.onAbort: stop)", err_msg(&why));
    log_warn("NOTHING IS TAKEN BACK (traffic.onAbort: stop): %s of the live traffic goes to %c",
             share, s->destination);
    int r = err_set(e, -EPROTO,
                    "%s; traffic.onAbort is stop, so %s of the traffic stays on %c: a person has "
                    "to decide between `tandem switch-back` and `tandem %s`",
                    err_msg(&why), share, s->destination, s->walking ? "resume" : "cutover");
    (void)notice(s, NOTICE_LEFT, stage, err_msg(e), evidence(s, w, now), NULL);
    return r;
}

/* The same whole way as a person would go, or none of it: what tandem.yaml says. */
static int abort_to_source(struct session *s, const struct watchers *w, struct err *e) {
    struct err why = *e, back = {0};
    struct back_result res;
    struct back_opts bo = {.reason = err_msg(&why), .automatic = true};
    log_error("%s", err_msg(&why));
    if (switch_leaves(s))
        return switch_leave(s, "switch", w, e);
    log_warn("taking everything back to %c", s->source);
    int r = stage_switch_back(s, &bo, &res, &back);
    if (r < 0 && !res.traffic_back)
        return err_set(e, r,
                       "%s; AND the traffic could not be taken back: %s; use `tandem "
                       "switch-back` at once",
                       err_msg(&why), err_msg(&back));
    if (r < 0)
        return err_set(e, -EPROTO, "%s; the traffic is back on %c, but not everything is: %s",
                       err_msg(&why), s->source, err_msg(&back));
    return err_set(e, -EPROTO, "%s; the traffic is back on %c", err_msg(&why), s->source);
}

static int prove(struct session *s, struct err *e) {
    int percent = switch_observe(s, e);
    if (percent < -1)
        return percent;
    if (percent != 100)
        return err_set(e, -EPROTO, "the balancer shows %d %% on %c after the last step", percent,
                       s->destination);
    unsigned elsewhere = 0;
    int n = s->cfg->n_probes ? switch_ask_live(s, 5, &elsewhere, e) : 0;
    if (n < 0)
        return n;
    return elsewhere ? err_set(e, -EPROTO, "%u of %d answers on the live side did not come from %c",
                               elsewhere, n, s->destination)
                     : 0;
}

static int lead_prelive(struct session *s, void *ctx UNUSED, struct err *e) {
    return move_prelive(s, s->source, e);
}

static int finish(struct session *s, const struct watchers *w, struct err *e) {
    int r = prove(s, e);
    if (r < 0)
        return abort_to_source(s, w, e);
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct err de = {0};
        int left = traffic_drain(s->tiers[i], s->source, DRAIN_MS, &de);
        if (left > 0)
            log_info("tier %s: %d sessions are still open on %c", traffic_name(s->tiers[i]), left,
                     s->source);
    }
    return session_step_recorded(s, "switch", SWITCH_LAST, lead_prelive, NULL, e);
}

static int walk(struct session *s, const struct switch_opts *o, const struct watchers *w, int at,
                struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < o->n_steps; i++)
        if (o->steps[i] > at) /* a resumed cutover goes on where the traffic stands */
            r = one_step(s, o, w, i, e);
    return r;
}

/* A cutover that has failed goes back where it may have moved something. A full disk here says
 * nothing against the destination: the traffic stays as recorded. */
static int give_up(struct session *s, const struct watchers *w, int at, int r, struct err *e) {
    if (r == -ESTOPPED || r == -EGUARD || r == -EUNRECORDED)
        return r;
    return at == 0 || at == -1 || switch_observe(s, NULL) != at ? abort_to_source(s, w, e) : r;
}

int switch_cutover(struct session *s, const struct switch_opts *o, struct err *e) {
    struct watchers *own = NULL;
    int at = switch_observe(s, e);
    int r = at < -1 ? at : move_claim(s, false, e);
    if (r >= 0 && !s->cfg->n_probes)
        log_warn("no probes are configured: requests that are lost meanwhile are not seen, and "
                 "nothing goes back by itself");
    if (r >= 0 && !o->no_probe && !o->watchers)
        r = watchers_start(s, &own, e);
    const struct watchers *w = o->watchers ? o->watchers : own;
    if (r >= 0)
        r = walk(s, o, w, at, e);
    if (r < 0)
        r = give_up(s, w, at, r, e);
    else if (o->steps[o->n_steps - 1] == 100)
        r = finish(s, w, e);
    watchers_stop(own);
    return r;
}

int switch_ask_live(struct session *s, unsigned times, unsigned *ret_elsewhere, struct err *e) {
    unsigned answers = 0, elsewhere = 0;
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < s->cfg->n_probes; i++) {
        const struct config_probe *c = &s->cfg->probes[i];
        struct probe_config pc = c->p;
        int r = watchers_load_ca(a, c, &pc, e);
        if (r < 0)
            return r;
        struct http_tls tls = {.ca_pem = pc.ca_pem, .insecure = pc.insecure};
        struct http_req req = {.method = "GET",
                               .url = pc.url,
                               .connect_to = pc.connect_to,
                               .tls = &tls,
                               .timeout_ms = 5000,
                               .lane = "ask"};
        for (unsigned k = 0; k < times; k++) {
            struct http_resp resp;
            r = http_do(s->http, a, &req, &resp, NULL, e);
            if (r < 0)
                return err_ctx(e, r, "asking %s", pc.url);
            const char *who = pc.identify_header ? http_header(&resp, pc.identify_header) : NULL;
            answers++;
            elsewhere += pc.identify_header && !(who && (*who | 0x20) == s->destination);
        }
    }
    *ret_elsewhere = elsewhere;
    return (int)answers;
}
