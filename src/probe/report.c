#include "probe/report.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

int64_t report_wall(const struct report *r, uint64_t ns) {
    return r->start_ms + (int64_t)(ns / 1000000u);
}

double spell_ms(const struct spell *x) {
    return (double)(x->to - x->from) / 1e6;
}

const char *who_name(unsigned who) {
    static const char *const names[] = {"a", "b", "unknown", ""};
    return names[MIN(who, (unsigned)WHO_NOBODY)];
}

bool report_identifies(const struct report *r) {
    return r->p->cfg.identify_header != NULL;
}

/* Rounded down, so that one loss in a million never reads as 100 %. */
static double availability(const struct probe_stats *t) {
    double measured = (double)(t->ok + t->lost);
    if (measured <= 0)
        return -1;
    return t->lost ? floor((double)t->ok / measured * 1e6) / 1e4 : 100;
}

static void add_lanes(struct report *r) {
    uint64_t cpu = 0;
    for (size_t i = 0; i < LANES; i++) {
        const struct lane_total *t = &r->s->lane[i];
        r->announced += t->announced;
        r->lag_max_ms = MAX(r->lag_max_ms, (double)t->lag.max / 1000);
        cpu += t->cpu_ns;
    }
    r->cpu_us = r->t.sent ? (double)cpu / 1000 / (double)r->t.sent : 0;
}

void report_open(struct report *r, struct probe *p) {
    *r = (struct report){.p = p, .start_ms = p->start_wall, .lost_upper_percent = -1};
    r->elapsed_s = (double)probe_elapsed(p) / 1e9;
    r->running = !probe_done(p);
    r->s = stats_copy(p->stats);
    stats_total(r->s, &r->t);
    r->end_ms = r->start_ms + (int64_t)(r->elapsed_s * 1000);
    r->availability = availability(&r->t);
    if (!r->t.lost && r->t.ok)
        r->lost_upper_percent = MIN(300.0 / (double)r->t.ok, 100.0); /* the rule of three */
    for (size_t i = 0; i < r->s->n_spells; i++)
        r->spell_ms = MAX(r->spell_ms, spell_ms(&r->s->spell[i]));
    add_lanes(r);
}

void report_close(struct report *r) {
    stats_free(r->s);
}
