#include <string.h>

#include "base/clock.h"
#include "probe/report.h"

static void key(struct sb *b, const char *k) {
    char last = b->len ? b->p[b->len - 1] : '{';
    if (last != '{' && last != '[')
        sb_chr(b, ',');
    sb_fmt(b, "\"%s\":", k);
}

static void item(struct sb *b) {
    if (b->p[b->len - 1] != '[')
        sb_chr(b, ',');
}

static void str(struct sb *b, const char *k, const char *v) {
    key(b, k);
    if (v)
        sb_json(b, v, strlen(v));
    else
        sb_str(b, "null");
}

static void num(struct sb *b, const char *k, uint64_t v) {
    key(b, k);
    sb_fmt(b, "%llu", (unsigned long long)v);
}

static void real(struct sb *b, const char *k, double v) {
    key(b, k);
    sb_fmt(b, "%.6g", v);
}

/* A figure that may not exist: negative means none. */
static void real_or_null(struct sb *b, const char *k, double v) {
    key(b, k);
    if (v < 0)
        sb_str(b, "null");
    else
        sb_fmt(b, "%.8g", v);
}

static void flag(struct sb *b, const char *k, bool v) {
    key(b, k);
    sb_str(b, v ? "true" : "false");
}

static void when(struct sb *b, const char *k, int64_t wall_ms) {
    char t[CLOCK_RFC3339_MAX];
    str(b, k, clock_rfc3339(wall_ms, t));
}

static void seconds(struct sb *b, const char *k, uint64_t ns) {
    key(b, k);
    sb_fmt(b, "%.6f", (double)ns / 1e9);
}

static void fates(struct sb *b, const uint64_t fate[PROBE_FATES]) {
    key(b, "fates");
    sb_chr(b, '{');
    for (unsigned i = 0; i < PROBE_FATES; i++)
        num(b, probe_fate_name((enum probe_fate)i), fate[i]);
    sb_chr(b, '}');
}

/* --- parts --- */

static void config(struct sb *b, const struct report *r) {
    const struct probe_config *c = &r->p->cfg;
    key(b, "config");
    sb_chr(b, '{');
    str(b, "url", c->url);
    str(b, "connect_to", c->connect_to);
    real(b, "rate_per_s", c->rate);
    flag(b, "lane_new", c->lane_new);
    flag(b, "lane_reused", c->lane_reused);
    num(b, "connections", c->connections);
    num(b, "timeout_ms", c->timeout_ms);
    str(b, "identify_header", c->identify_header);
    str(b, "cookie", c->cookie);
    num(b, "users", c->cookie ? c->users : 0);
    num(b, "expect_status", (uint64_t)c->expect_status);
    str(b, "expect_body", c->expect_body);
    flag(b, "tls_verified", r->p->target.tls && !c->insecure);
    num(b, "max_requests", c->max_requests);
    sb_chr(b, '}');
}

static void totals(struct sb *b, const struct report *r) {
    const struct probe_stats *t = &r->t;
    key(b, "totals");
    sb_chr(b, '{');
    num(b, "sent", t->sent);
    num(b, "ok", t->ok);
    num(b, "lost", t->lost);
    num(b, "not_measured", t->not_measured);
    real_or_null(b, "availability_percent", r->availability);
    real_or_null(b, "lost_upper_95_percent", r->lost_upper_percent);
    real(b, "longest_spell_ms", r->spell_ms);
    num(b, "by_a", t->by_a);
    num(b, "by_b", t->by_b);
    num(b, "by_unknown", t->by_unknown);
    num(b, "lost_a", t->lost_a);
    num(b, "lost_b", t->lost_b);
    real(b, "p50_ms", t->p50_ms);
    real(b, "p99_ms", t->p99_ms);
    real(b, "max_ms", t->max_ms);
    real(b, "lag_p99_ms", t->lag_p99_ms);
    real(b, "lag_max_ms", r->lag_max_ms);
    real(b, "cpu_us_per_request", r->cpu_us);
    num(b, "idle_closed", r->t.idle_closed);
    num(b, "name_lookups_failed", r->s->resolve_failures);
    fates(b, t->fate);
    sb_chr(b, '}');
}

static void lanes(struct sb *b, const struct report *r) {
    key(b, "lanes");
    sb_chr(b, '[');
    for (unsigned i = 0; i < r->p->n_lanes; i++) {
        const struct lane_total *t = &r->s->lane[i];
        item(b);
        sb_chr(b, '{');
        str(b, "name", r->p->lane[i].name);
        num(b, "sent", t->sent);
        num(b, "ok", t->fate[PROBE_OK]);
        num(b, "lost", fate_lost(t->fate));
        num(b, "not_measured", t->fate[PROBE_NOT_MEASURED]);
        num(b, "by_a", t->by[WHO_A]);
        num(b, "by_b", t->by[WHO_B]);
        num(b, "by_unknown", t->by[WHO_UNKNOWN]);
        real(b, "p50_ms", (double)hist_at(&t->latency, 0.5) / 1000);
        real(b, "p99_ms", (double)hist_at(&t->latency, 0.99) / 1000);
        real(b, "max_ms", (double)t->latency.max / 1000);
        real(b, "lag_p99_ms", (double)hist_at(&t->lag, 0.99) / 1000);
        num(b, "connections_opened", t->opened);
        num(b, "idle_closed", t->idle_closed);
        num(b, "announced_closes", t->announced);
        num(b, "over_fresh_connection", t->fresh);
        num(b, "most_in_flight", t->peak);
        fates(b, t->fate);
        sb_chr(b, '}');
    }
    sb_chr(b, ']');
}

static void reasons(struct sb *b, const struct report *r) {
    key(b, "reasons");
    sb_chr(b, '[');
    for (unsigned w = 0; w < WHY_COUNT; w++) {
        uint64_t n = 0;
        for (size_t i = 0; i < LANES; i++)
            n += r->s->lane[i].why[w];
        if (!n || w == WHY_OK)
            continue;
        const struct why_row *row = why_row((enum probe_why)w);
        item(b);
        sb_chr(b, '{');
        str(b, "reason", row->name);
        str(b, "fate", probe_fate_name(row->fate));
        num(b, "count", n);
        str(b, "text", row->text);
        sb_chr(b, '}');
    }
    sb_chr(b, ']');
}

static void since_mark(struct sb *b, const char *k, const struct mark *m, const uint64_t at[2],
                       unsigned who) {
    key(b, k);
    if (m->n[who])
        sb_fmt(b, "%.3f", (double)(at[who] - m->at) / 1e6);
    else
        sb_str(b, "null");
}

static void marks(struct sb *b, const struct report *r) {
    key(b, "marks");
    sb_chr(b, '[');
    for (size_t i = 0; i < r->s->n_marks; i++) {
        const struct mark *m = &r->s->mark[i];
        item(b);
        sb_chr(b, '{');
        when(b, "at", report_wall(r, m->at));
        seconds(b, "elapsed_s", m->at);
        str(b, "label", m->label);
        since_mark(b, "first_a_ms", m, m->first, WHO_A);
        since_mark(b, "last_a_ms", m, m->last, WHO_A);
        since_mark(b, "first_b_ms", m, m->first, WHO_B);
        since_mark(b, "last_b_ms", m, m->last, WHO_B);
        sb_chr(b, '}');
    }
    sb_chr(b, ']');
}

static void spells(struct sb *b, const struct report *r) {
    key(b, "spells");
    sb_chr(b, '[');
    for (size_t i = 0; i < r->s->n_spells; i++) {
        const struct spell *x = &r->s->spell[i];
        item(b);
        sb_chr(b, '{');
        str(b, "lane", r->p->lane[x->lane].name);
        when(b, "from", report_wall(r, x->from));
        when(b, "to", report_wall(r, x->to));
        seconds(b, "from_s", x->from);
        real(b, "at_least_ms", spell_ms(x));
        real(b, "at_most_ms", spell_ms(x) + PERIODS_UNSEEN * r->s->period_ns / 1e6);
        num(b, "lost", x->lost);
        sb_chr(b, '}');
    }
    sb_chr(b, ']');
    flag(b, "spells_cut", r->s->spells_full);
}

static void failures(struct sb *b, const struct report *r) {
    key(b, "failures");
    sb_chr(b, '[');
    for (size_t i = 0; i < r->s->n_failures; i++) {
        const struct failure *f = &r->s->failure[i];
        const struct why_row *row = why_row(f->why);
        item(b);
        sb_chr(b, '{');
        when(b, "due", report_wall(r, f->due));
        seconds(b, "elapsed_s", f->due);
        real(b, "took_ms", (double)f->took / 1e6);
        str(b, "lane", r->p->lane[f->lane].name);
        str(b, "fate", probe_fate_name(row->fate));
        str(b, "reason", row->name);
        str(b, "text", row->text);
        str(b, "cluster", f->who <= WHO_B ? who_name(f->who) : NULL);
        num(b, "status", (uint64_t)f->status);
        str(b, "detail", f->detail[0] ? f->detail : NULL);
        sb_chr(b, '}');
    }
    sb_chr(b, ']');
}

static void series(struct sb *b, const struct report *r) {
    key(b, "series");
    sb_fmt(b,
           "{\"step_s\":%u,\"columns\":[\"elapsed_s\",\"ok\",\"lost\",\"not_measured\",\"by_a\","
           "\"by_b\",\"by_unknown\",\"lost_a\",\"lost_b\",\"lost_lane_0\",\"lost_lane_1\","
           "\"p50_ms\",\"p99_ms\",\"max_ms\",\"lag_max_ms\"],\"rows\":[",
           r->s->step_s);
    for (size_t i = 0; i < r->s->n_points; i++) {
        const struct point *p = &r->s->points[i];
        const struct counts *c = &p->c;
        sb_fmt(b, "%s[%zu,%u,%u,%u,%u,%u,%u,%u,%u,%u,%u,%.6g,%.6g,%.6g,%.6g]", i ? "," : "",
               i * r->s->step_s, c->fate[PROBE_OK], counts_lost(c), c->fate[PROBE_NOT_MEASURED],
               c->by[WHO_A], c->by[WHO_B], c->by[WHO_UNKNOWN], c->lost_by[WHO_A], c->lost_by[WHO_B],
               p->lost_lane[0], p->lost_lane[1], p->p50_us / 1e3, p->p99_us / 1e3, p->max_us / 1e3,
               p->lag_us / 1e3);
    }
    sb_str(b, "]}");
}

char *probe_json(struct probe *p, struct arena *a, size_t *ret_len) {
    struct report r;
    AUTO_SB b = SB_INIT(0);
    report_open(&r, p);
    sb_chr(&b, '{');
    str(&b, "name", p->cfg.name);
    when(&b, "start", r.start_ms);
    when(&b, "end", r.end_ms);
    real(&b, "elapsed_s", r.elapsed_s);
    flag(&b, "running", r.running);
    config(&b, &r);
    totals(&b, &r);
    lanes(&b, &r);
    reasons(&b, &r);
    marks(&b, &r);
    spells(&b, &r);
    failures(&b, &r);
    series(&b, &r);
    sb_chr(&b, '}');
    report_close(&r);
    if (ret_len)
        *ret_len = b.len;
    return arena_strndup(a, b.p, b.len);
}
