#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "probe/report_plot.h"

enum { FAILURES_SHOWN = 20 };

/* --- small writers --- */

/* 1234567 as "1,234,567". */
static void count(struct sb *b, uint64_t v) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v);
    for (int i = 0; i < n; i++) {
        sb_chr(b, digits[i]);
        if (i + 1 < n && (n - i - 1) % 3 == 0)
            sb_chr(b, ',');
    }
}

/* Three digits that count: "4.70 ms", "47.0 ms", "470 ms", "4.70 s". */
static void ms(struct sb *b, double v) {
    const char *unit = v < 1000 ? "ms" : "s";
    if (v >= 1000)
        v /= 1000;
    sb_fmt(b, "%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, unit);
}

/* "2026-11-23 10:00:00.123" */
static void date_time(struct sb *b, int64_t wall_ms, bool date) {
    char t[CLOCK_RFC3339_MAX];
    clock_rfc3339(wall_ms, t);
    if (date)
        sb_fmt(b, "%.10s %.8s UTC", t, t + 11);
    else
        sb_fmt(b, "%.12s", t + 11);
}

/* "12.345 s", "1:02:03.456" */
static void td_elapsed(struct sb *b, uint64_t ns) {
    unsigned long long t = ns / 1000000u, s = t / 1000;
    sb_str(b, "<td class=\"n\">");
    if (s < 100)
        sb_fmt(b, "%llu.%03llu s", s, t % 1000);
    else if (s < 3600)
        sb_fmt(b, "%llu:%02llu.%03llu", s / 60, s % 60, t % 1000);
    else
        sb_fmt(b, "%llu:%02llu:%02llu.%03llu", s / 3600, s / 60 % 60, s % 60, t % 1000);
    sb_str(b, "</td>");
}

static void th(struct sb *b, const char *text, bool number) {
    sb_fmt(b, "<th%s>%s</th>", number ? " class=\"n\"" : "", text);
}

static void td_count(struct sb *b, uint64_t v, bool bad) {
    sb_fmt(b, "<td class=\"n%s\">", v && bad ? " bad" : v ? "" : " zero");
    count(b, v);
    sb_str(b, "</td>");
}

static void td_ms(struct sb *b, double v) {
    sb_str(b, "<td class=\"n\">");
    ms(b, v);
    sb_str(b, "</td>");
}

static void td_text(struct sb *b, const char *text) {
    sb_str(b, "<td>");
    sb_html(b, text);
    sb_str(b, "</td>");
}

static void td_reason(struct sb *b, const char *text, const char *detail) {
    sb_str(b, "<td class=\"reason\">");
    sb_html(b, text);
    if (!str_empty(detail)) {
        sb_str(b, " <span class=\"faint\">(");
        sb_html(b, detail);
        sb_str(b, ")</span>");
    }
    sb_str(b, "</td>");
}

static void section(struct sb *b, const char *title, const char *note) {
    sb_fmt(b, "<section><h2>%s", title);
    if (note)
        sb_fmt(b, " <small>%s</small>", note);
    sb_str(b, "</h2>\n");
}

/* --- head --- */

static const char style[] =
#include "probe/report_css.inc"
    ;

static void head(struct sb *b, const struct report *r, const char *title) {
    sb_str(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
              "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
              "<meta name=\"color-scheme\" content=\"light dark\"><title>");
    sb_html(b, title);
    sb_fmt(b, "</title><style>%s</style></head><body><main>\n<header><h1>", style);
    sb_html(b, title);
    sb_str(b, "</h1><p class=\"sub\"><code>");
    sb_html(b, r->p->cfg.url);
    sb_str(b, "</code>");
    if (r->p->cfg.connect_to) {
        sb_str(b, " through <code>");
        sb_html(b, r->p->cfg.connect_to);
        sb_str(b, "</code>");
    }
    char long_[CLOCK_RFC3339_MAX];
    sb_str(b, "<br>");
    date_time(b, r->start_ms, true);
    sb_fmt(b, " · %s at %g requests/s", clock_human((uint64_t)(r->elapsed_s * 1000), long_),
           r->p->cfg.rate);
    sb_str(b, r->running ? " · still running</p></header>\n" : "</p></header>\n");
}

static void verdict_text(struct sb *b, const struct report *r) {
    const struct probe_stats *t = &r->t;
    if (!t->ok && !t->lost) {
        sb_str(b, "<strong>Nothing was measured.</strong>");
    } else if (!t->lost) {
        sb_str(b, "<strong>No request was lost.</strong> <span>");
        count(b, t->ok);
        sb_str(b, " requests were due and measured, and each was answered as expected");
        sb_fmt(b, "; with 95 %% confidence fewer than %.2g %% are lost.</span>",
               r->lost_upper_percent);
    } else {
        sb_str(b, "<strong>");
        count(b, t->lost);
        sb_fmt(b, " request%s lost.</strong> <span>Out of ", t->lost == 1 ? " was" : "s were");
        count(b, t->ok + t->lost);
        sb_str(b, " measured; the longest spell of losses lasted between ");
        ms(b, r->spell_ms);
        sb_str(b, " and ");
        ms(b, r->spell_ms + PERIODS_UNSEEN * r->s->period_ns / 1e6);
        sb_str(b, ".</span>");
    }
}

static void verdict(struct sb *b, const struct report *r) {
    bool nothing = !r->t.ok && !r->t.lost;
    sb_fmt(b, "<div class=\"verdict %s\"><b class=\"badge\">%s</b><p>",
           nothing     ? "warn"
           : r->t.lost ? "fail"
                       : "pass",
           nothing     ? "?"
           : r->t.lost ? "✕"
                       : "✓");
    verdict_text(b, r);
    sb_str(b, "</p></div>\n");
    if (!r->t.not_measured)
        return;
    sb_str(b, "<p class=\"note\">");
    count(b, r->t.not_measured);
    sb_str(b, " requests that were due could not be measured, because this machine ran short of "
              "something itself; they say nothing about the target and count neither as answered "
              "nor as lost.</p>\n");
}

static void tile_open(struct sb *b, const char *name, const char *cls) {
    sb_fmt(b, "<div class=\"tile %s\"><dt>%s</dt><dd>", cls, name);
}

static void tiles(struct sb *b, const struct report *r) {
    const struct probe_stats *t = &r->t;
    sb_str(b, "<dl class=\"tiles\">");
    tile_open(b, "Requests", "");
    count(b, t->sent);
    sb_str(b, "</dd></div>");
    tile_open(b, "Lost", t->lost ? "bad" : "good");
    count(b, t->lost);
    sb_str(b, "</dd></div>");
    tile_open(b, "Availability", t->lost ? "bad" : "good");
    if (r->availability < 0)
        sb_str(b, "–");
    else
        sb_fmt(b, "%.7g %%", r->availability);
    sb_str(b, "</dd></div>");
    tile_open(b, "Median latency", "");
    ms(b, t->p50_ms);
    sb_str(b, "</dd></div>");
    tile_open(b, "99th percentile", "");
    ms(b, t->p99_ms);
    sb_str(b, "</dd></div>");
    tile_open(b, "Slowest", "");
    ms(b, t->max_ms);
    sb_str(b, "</dd></div></dl>\n");
}

/* --- tables --- */

/* Did the cluster answer in the nearest interval before (or after) mark i in which anybody did? */
static bool answered_before(const struct report *r, size_t i, unsigned who) {
    const struct mark *m = r->s->mark;
    for (size_t k = i; k-- > 0;)
        if (m[k].n[WHO_A] + m[k].n[WHO_B])
            return m[k].n[who] > 0;
    return m[0].before[who];
}

static bool answered_after(const struct report *r, size_t i, unsigned who) {
    const struct mark *m = r->s->mark;
    for (size_t k = i + 1; k < r->s->n_marks; k++)
        if (m[k].n[WHO_A] + m[k].n[WHO_B])
            return m[k].n[who] > 0;
    double quiet_s = r->elapsed_s - (double)m[i].last[who] / 1e9;
    return quiet_s < MAX(1.0, 20 * r->s->period_ns / 1e9);
}

/* "B from 12 ms on, A until 80 ms": who came and who went between this mark and the next. */
static void td_change(struct sb *b, const struct report *r, size_t i) {
    const struct mark *m = &r->s->mark[i];
    const char *comma = "";
    sb_str(b, "<td>");
    for (unsigned who = WHO_A; who <= WHO_B; who++) {
        if (!m->n[who])
            continue;
        if (!answered_before(r, i, who)) {
            sb_fmt(b, "%s%c from ", comma, 'A' + (int)who);
            ms(b, (double)(m->first[who] - m->at) / 1e6);
            sb_str(b, " on");
            comma = ", ";
        }
        if (!answered_after(r, i, who)) {
            sb_fmt(b, "%s%c until ", comma, 'A' + (int)who);
            ms(b, (double)(m->last[who] - m->at) / 1e6);
            comma = ", ";
        }
    }
    sb_str(b, *comma ? "</td>" : "<span class=\"faint\">–</span></td>");
}

static void mark_row(struct sb *b, const struct report *r, size_t i) {
    const struct mark *m = &r->s->mark[i];
    sb_str(b, "<tr>");
    td_text(b, m->label);
    sb_str(b, "<td class=\"n\">");
    date_time(b, report_wall(r, m->at), false);
    sb_str(b, "</td>");
    td_elapsed(b, m->at);
    if (report_identifies(r)) {
        td_count(b, m->n[WHO_A], false);
        td_count(b, m->n[WHO_B], false);
        td_change(b, r, i);
    }
    sb_str(b, "</tr>\n");
}

static void marks(struct sb *b, const struct report *r) {
    if (!r->s->n_marks)
        return;
    section(b, "Marks", report_identifies(r) ? "and who answered until the next one" : NULL);
    sb_str(b, "<div class=\"scroll\"><table><thead><tr>");
    th(b, "What", false);
    th(b, "Clock, UTC", true);
    th(b, "Elapsed", true);
    if (report_identifies(r)) {
        th(b, "Answers of A", true);
        th(b, "Answers of B", true);
        th(b, "Change after the mark", false);
    }
    sb_str(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->s->n_marks; i++)
        mark_row(b, r, i);
    sb_str(b, "</tbody></table></div></section>\n");
}

static void lane_row(struct sb *b, const struct report *r, unsigned i) {
    const struct lane_total *t = &r->s->lane[i];
    sb_str(b, "<tr>");
    sb_fmt(b, "<td>%s</td>", r->p->lane[i].reused ? "reused connections" : "new connections");
    td_count(b, t->sent, false);
    for (unsigned f = 0; f < PROBE_FATES; f++)
        td_count(b, t->fate[f], f != PROBE_OK && f != PROBE_NOT_MEASURED);
    td_ms(b, (double)hist_at(&t->latency, 0.5) / 1000);
    td_ms(b, (double)hist_at(&t->latency, 0.99) / 1000);
    sb_str(b, "</tr>\n");
}

static void lanes(struct sb *b, const struct report *r) {
    section(b, "Lanes", "every request that was due has exactly one fate");
    sb_str(b, "<div class=\"scroll\"><table><thead><tr>");
    th(b, "Lane", false);
    th(b, "Due", true);
    for (unsigned f = 0; f < PROBE_FATES; f++)
        th(b, fate_title((enum probe_fate)f), true);
    th(b, "p50", true);
    th(b, "p99", true);
    sb_str(b, "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < r->p->n_lanes; i++)
        lane_row(b, r, i);
    sb_str(b, "</tbody></table></div>\n");
    if (r->p->cfg.lane_reused) {
        sb_str(b, "<p class=\"note\">The peer closed <b>");
        count(b, r->t.idle_closed);
        sb_str(b,
               "</b> kept connections while nothing was being asked on them (no loss, but a "
               "client that sends at that moment loses a request), and announced the end of <b>");
        count(b, r->announced);
        sb_str(b, "</b> with its answer. Nothing is ever sent twice.</p>\n");
    }
    sb_str(b, "</section>\n");
}

static void reasons(struct sb *b, const struct report *r) {
    if (!r->t.lost && !r->t.not_measured)
        return;
    section(b, "Reasons", NULL);
    sb_str(b, "<div class=\"scroll\"><table><thead><tr>");
    th(b, "Fate", false);
    th(b, "Reason", false);
    for (unsigned i = 0; i < r->p->n_lanes; i++)
        th(b, r->p->lane[i].name, true);
    sb_str(b, "</tr></thead><tbody>\n");
    for (unsigned w = WHY_OK + 1; w < WHY_COUNT; w++) {
        const struct why_row *row = why_row((enum probe_why)w);
        if (!r->s->lane[0].why[w] && !r->s->lane[1].why[w])
            continue;
        sb_str(b, "<tr>");
        td_text(b, fate_title(row->fate));
        td_reason(b, row->text, NULL);
        for (unsigned i = 0; i < r->p->n_lanes; i++)
            td_count(b, r->s->lane[i].why[w], row->fate != PROBE_NOT_MEASURED);
        sb_str(b, "</tr>\n");
    }
    sb_str(b, "</tbody></table></div></section>\n");
}

static void spells(struct sb *b, const struct report *r) {
    if (!r->s->n_spells)
        return;
    section(b, "Spells of loss",
            "from the first loss to the last, and at most one period more at "
            "each end");
    sb_str(b, "<div class=\"scroll\"><table><thead><tr>");
    th(b, "Lane", false);
    th(b, "From, UTC", true);
    th(b, "Elapsed", true);
    th(b, "Lost", true);
    th(b, "At least", true);
    th(b, "At most", true);
    sb_str(b, "</tr></thead><tbody>\n");
    size_t n = MIN(r->s->n_spells, (size_t)FAILURES_SHOWN);
    for (size_t i = 0; i < n; i++) {
        const struct spell *x = &r->s->spell[i];
        sb_fmt(b, "<tr><td>%s</td><td class=\"n\">", r->p->lane[x->lane].name);
        date_time(b, report_wall(r, x->from), false);
        sb_str(b, "</td>");
        td_elapsed(b, x->from);
        td_count(b, x->lost, true);
        td_ms(b, spell_ms(x));
        td_ms(b, spell_ms(x) + PERIODS_UNSEEN * r->s->period_ns / 1e6);
        sb_str(b, "</tr>\n");
    }
    sb_str(b, "</tbody></table></div>");
    if (r->s->n_spells > n)
        sb_fmt(b, "<p class=\"note\">%zu more are in the JSON report.</p>", r->s->n_spells - n);
    sb_str(b, "</section>\n");
}

static void failure_row(struct sb *b, const struct report *r, const struct failure *f) {
    const struct why_row *row = why_row(f->why);
    sb_str(b, "<tr><td class=\"n\">");
    date_time(b, report_wall(r, f->due), false);
    sb_str(b, "</td>");
    td_elapsed(b, f->due);
    td_text(b, r->p->lane[f->lane].name);
    td_text(b, f->who <= WHO_B ? (f->who == WHO_A ? "A" : "B") : "–");
    sb_str(b, "<td>");
    sb_html(b, fate_title(row->fate));
    if (f->status)
        sb_fmt(b, " %d", f->status);
    sb_str(b, "</td>");
    td_reason(b, row->text, f->detail);
    td_ms(b, (double)f->took / 1e6);
    sb_str(b, "</tr>\n");
}

static void failures(struct sb *b, const struct report *r) {
    size_t n = MIN(r->s->n_failures, (size_t)FAILURES_SHOWN);
    if (!n)
        return;
    section(b, "First failures", NULL);
    sb_str(b, "<div class=\"scroll\"><table><thead><tr>");
    th(b, "Due, UTC", true);
    th(b, "Elapsed", true);
    th(b, "Lane", false);
    th(b, "Cluster", false);
    th(b, "Fate", false);
    th(b, "Reason", false);
    th(b, "Known after", true);
    sb_str(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++)
        failure_row(b, r, &r->s->failure[i]);
    sb_str(b, "</tbody></table></div></section>\n");
}

/* --- how it was measured --- */

static void pair(struct sb *b, const char *name) {
    sb_fmt(b, "</dd><dt>%s</dt><dd>", name);
}

static void schedule(struct sb *b, const struct report *r) {
    const struct probe_config *c = &r->p->cfg;
    sb_fmt(b, "<dt>Rate</dt><dd>%g per second over %u lane%s", c->rate, r->p->n_lanes,
           r->p->n_lanes == 1 ? "" : "s");
    pair(b, "Schedule");
    sb_str(b, "fixed: a slow answer delays no other request");
    pair(b, "Sent late by");
    ms(b, r->t.lag_p99_ms);
    sb_str(b, " (99th percentile), ");
    ms(b, r->lag_max_ms);
    sb_str(b, " at most");
    pair(b, "Own processor time");
    sb_fmt(b, "%.0f µs per request", r->cpu_us);
    pair(b, "Shortest outage seen");
    ms(b, r->s->period_ns / 1e6);
    sb_str(b, " in one lane");
}

static void expectations(struct sb *b, const struct report *r) {
    const struct probe_config *c = &r->p->cfg;
    pair(b, "Expected");
    if (c->expect_status)
        sb_fmt(b, "status %d", c->expect_status);
    else
        sb_str(b, "a status from 200 to 399");
    if (c->expect_body) {
        sb_str(b, " and “");
        sb_html(b, c->expect_body);
        sb_str(b, "” in the body");
    }
    sb_fmt(b, ", whole, within %.6g s", c->timeout_ms / 1000.0);
    pair(b, "Cluster told by");
    sb_html(b, c->identify_header ? c->identify_header : "nothing");
    pair(b, "Virtual users");
    if (c->cookie) {
        count(b, c->users);
        sb_str(b, " in cookie ");
        sb_html(b, c->cookie);
    } else {
        sb_str(b, "none");
    }
    pair(b, "Kept connections");
    sb_fmt(b, "%u", c->lane_reused ? c->connections : 0);
    if (r->p->target.tls) {
        pair(b, "Certificate");
        sb_str(b, c->insecure ? "<b class=\"bad\">not verified</b>" : "verified");
    }
    if (r->s->resolve_failures) {
        pair(b, "Name look-ups failed");
        count(b, r->s->resolve_failures);
    }
}

static void method(struct sb *b, const struct report *r) {
    section(b, "How it was measured", NULL);
    sb_str(b, "<dl class=\"pairs\">");
    schedule(b, r);
    expectations(b, r);
    sb_str(b, "</dd></dl></section>\n");
}

int probe_write_html(struct probe *p, const char *path, const char *title, const char *extra_html,
                     struct err *e) {
    struct report r;
    AUTO_SB b = SB_INIT(0);
    report_open(&r, p);
    head(&b, &r, str_empty(title) ? "Probe report" : title);
    verdict(&b, &r);
    tiles(&b, &r);
    if (extra_html)
        sb_fmt(&b, "<section class=\"extra\">%s</section>\n", extra_html);
    report_plots(&b, &r);
    marks(&b, &r);
    lanes(&b, &r);
    reasons(&b, &r);
    spells(&b, &r);
    failures(&b, &r);
    method(&b, &r);
    sb_str(&b, "</main></body></html>\n");
    report_close(&r);
    int r2 = file_write_atomic(path, b.p, b.len, 0644, e);
    return r2 < 0 ? err_ctx(e, r2, "write the probe report") : 0;
}
