#include "probe/stats.h"

#include <string.h>

enum { SPELL_GAP = 5 }; /* losses further apart than so many periods are two spells */

static const uint64_t second_ns = 1000000000u;

struct stats *stats_new(double period_ns) {
    struct stats *s = xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->period_ns = period_ns;
    s->step_s = 1;
    return s;
}

void stats_free(struct stats *s) {
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    xfree(s->points);
    xfree(s);
}

/* --- sums --- */

uint64_t fate_sum(const uint64_t fate[PROBE_FATES]) {
    uint64_t n = 0;
    for (size_t i = 0; i < PROBE_FATES; i++)
        n += fate[i];
    return n;
}

uint64_t fate_lost(const uint64_t fate[PROBE_FATES]) {
    return fate_sum(fate) - fate[PROBE_OK] - fate[PROBE_NOT_MEASURED];
}

uint32_t counts_sum(const struct counts *c) {
    uint32_t n = 0;
    for (size_t i = 0; i < PROBE_FATES; i++)
        n += c->fate[i];
    return n;
}

uint32_t counts_lost(const struct counts *c) {
    return counts_sum(c) - c->fate[PROBE_OK] - c->fate[PROBE_NOT_MEASURED];
}

static void counts_add(struct counts *c, enum probe_fate fate, unsigned who) {
    c->fate[fate]++;
    if (who <= WHO_UNKNOWN)
        c->by[who]++;
    if (fate != PROBE_OK && who <= WHO_B)
        c->lost_by[who]++;
}

static void counts_merge(struct counts *into, const struct counts *from) {
    for (size_t i = 0; i < PROBE_FATES; i++)
        into->fate[i] += from->fate[i];
    for (size_t i = 0; i < COUNT_OF(into->by); i++)
        into->by[i] += from->by[i];
    for (size_t i = 0; i < COUNT_OF(into->lost_by); i++)
        into->lost_by[i] += from->lost_by[i];
}

/* --- the series --- */

/* Two points become one: counts add up, the median is weighted, the rest is the worse of the two.
 */
static void point_merge(struct point *into, const struct point *from) {
    double a = into->c.fate[PROBE_OK], b = from->c.fate[PROBE_OK];
    if (a + b > 0)
        into->p50_us = (uint32_t)((into->p50_us * a + from->p50_us * b) / (a + b));
    counts_merge(&into->c, &from->c);
    for (size_t i = 0; i < LANES; i++)
        into->lost_lane[i] += from->lost_lane[i];
    into->p99_us = MAX(into->p99_us, from->p99_us);
    into->max_us = MAX(into->max_us, from->max_us);
    into->lag_us = MAX(into->lag_us, from->lag_us);
}

static void coarsen(struct stats *s) {
    size_t n = (s->n_points + 1) / 2;
    for (size_t i = 0; i < n; i++) {
        struct point p = s->points[2 * i];
        if (2 * i + 1 < s->n_points)
            point_merge(&p, &s->points[2 * i + 1]);
        s->points[i] = p;
    }
    memset(s->points + n, 0, (s->cap_points - n) * sizeof *s->points);
    s->n_points = n;
    s->step_s *= 2;
}

static struct point *point_at(struct stats *s, uint64_t second) {
    while (second / s->step_s >= STATS_POINTS)
        coarsen(s);
    size_t i = (size_t)(second / s->step_s);
    if (i >= s->cap_points) {
        size_t cap = MAX((size_t)256, MAX(i + 1, s->cap_points * 2));
        s->points = xrealloc(s->points, cap * sizeof *s->points);
        memset(s->points + s->cap_points, 0, (cap - s->cap_points) * sizeof *s->points);
        s->cap_points = cap;
    }
    s->n_points = MAX(s->n_points, i + 1);
    return &s->points[i];
}

/* Percentiles of one second go into its point. */
static void settle(struct stats *s, const struct live *l) {
    if (!l->second || !l->latency.count)
        return;
    struct point now = {.p50_us = (uint32_t)hist_at(&l->latency, 0.5),
                        .p99_us = (uint32_t)hist_at(&l->latency, 0.99),
                        .max_us = (uint32_t)MIN(l->latency.max, (uint64_t)UINT32_MAX)};
    struct point *p = point_at(s, l->second - 1);
    p->p50_us = s->step_s > 1 && p->p50_us ? (p->p50_us + now.p50_us) / 2 : now.p50_us;
    p->p99_us = MAX(p->p99_us, now.p99_us);
    p->max_us = MAX(p->max_us, now.max_us);
}

static struct live *slot(struct live *ring, uint64_t second) {
    return &ring[second % STATS_LIVE];
}

/* The slot of that second, emptied if it held another; NULL when it is too old for the ring. */
static struct live *slot_for(struct stats *s, struct live *ring, uint64_t second) {
    struct live *l = slot(ring, second);
    if (l->second == second + 1)
        return l;
    if (l->second > second + 1)
        return NULL;
    if (ring == s->recent)
        settle(s, l);
    hist_reset(&l->latency);
    hist_reset(&l->lag);
    memset(&l->c, 0, sizeof l->c);
    l->second = second + 1;
    return l;
}

static void series_add(struct stats *s, const struct sample *x, enum probe_fate fate) {
    uint64_t second = x->due / second_ns;
    struct point *p = point_at(s, second);
    counts_add(&p->c, fate, x->who);
    if (fate != PROBE_OK && fate != PROBE_NOT_MEASURED)
        p->lost_lane[x->lane]++;
    if (x->sent > x->due)
        p->lag_us = MAX(p->lag_us, (uint32_t)MIN((x->sent - x->due) / 1000, UINT32_MAX));
    struct live *l = fate == PROBE_OK ? slot_for(s, s->recent, second) : NULL;
    if (l)
        hist_add(&l->latency, (x->done - x->due) / 1000);
}

static void window_add(struct stats *s, const struct sample *x, enum probe_fate fate) {
    struct live *l = slot_for(s, s->window, x->done / second_ns);
    if (!l)
        return;
    counts_add(&l->c, fate, x->who);
    if (fate == PROBE_OK)
        hist_add(&l->latency, (x->done - x->due) / 1000);
    if (x->sent)
        hist_add(&l->lag, x->sent > x->due ? (x->sent - x->due) / 1000 : 0);
}

/* --- losses --- */

static void failure_add(struct stats *s, const struct sample *x) {
    if (s->n_failures >= STATS_FAILURES)
        return;
    struct failure *f = &s->failure[s->n_failures++];
    *f = (struct failure){.due = x->due,
                          .took = x->done - MIN(x->done, x->due),
                          .lane = x->lane,
                          .who = x->who,
                          .why = x->why,
                          .status = x->status};
    snprintf(f->detail, sizeof f->detail, "%s", x->detail ? x->detail : "");
}

/* Outcomes arrive a little out of order (a timeout is known seconds after a refusal), so every
 * recent spell may be the one that a loss belongs to. */
static void spell_add(struct stats *s, const struct sample *x) {
    uint64_t gap = (uint64_t)(s->period_ns * SPELL_GAP);
    for (size_t i = s->n_spells; i-- > 0 && s->n_spells - i <= 16;) {
        struct spell *p = &s->spell[i];
        if (p->lane != x->lane || x->due + gap < p->from || x->due > p->to + gap)
            continue;
        p->from = MIN(p->from, x->due);
        p->to = MAX(p->to, x->due);
        p->lost++;
        return;
    }
    if (s->n_spells == STATS_SPELLS) {
        s->spells_full = true;
        return;
    }
    s->spell[s->n_spells++] =
        (struct spell){.from = x->due, .to = x->due, .lost = 1, .lane = x->lane};
}

/* --- marks --- */

static void mark_answer(struct stats *s, const struct sample *x) {
    if (x->who > WHO_B)
        return;
    for (size_t i = s->n_marks; i-- > 0;) {
        struct mark *m = &s->mark[i];
        if (m->at > x->due)
            continue;
        m->first[x->who] = m->n[x->who] ? MIN(m->first[x->who], x->due) : x->due;
        m->last[x->who] = MAX(m->last[x->who], x->due);
        m->n[x->who]++;
        return;
    }
}

void stats_mark(struct stats *s, uint64_t at, const char *label) {
    pthread_mutex_lock(&s->lock);
    if (s->n_marks < STATS_MARKS) {
        struct mark *m = &s->mark[s->n_marks++];
        *m = (struct mark){.at = at};
        snprintf(m->label, sizeof m->label, "%s", label);
        for (size_t k = 0; k < LANES; k++)
            for (size_t who = WHO_A; who <= WHO_B; who++)
                m->before[who] |= s->lane[k].by[who] > 0;
    }
    pthread_mutex_unlock(&s->lock);
}

/* --- what the lanes call --- */

void stats_due(struct stats *s, unsigned lane, uint64_t in_flight) {
    pthread_mutex_lock(&s->lock);
    struct lane_total *t = &s->lane[lane];
    t->sent++;
    t->peak = MAX(t->peak, in_flight);
    pthread_mutex_unlock(&s->lock);
}

void stats_add(struct stats *s, const struct sample *x) {
    enum probe_fate fate = why_row(x->why)->fate;
    pthread_mutex_lock(&s->lock);
    struct lane_total *t = &s->lane[x->lane];
    t->fate[fate]++;
    t->why[x->why]++;
    if (x->who <= WHO_UNKNOWN)
        t->by[x->who]++;
    if (fate != PROBE_OK && x->who <= WHO_B)
        t->lost_by[x->who]++;
    if (fate == PROBE_OK)
        hist_add(&t->latency, (x->done - x->due) / 1000);
    if (x->sent)
        hist_add(&t->lag, x->sent > x->due ? (x->sent - x->due) / 1000 : 0);
    series_add(s, x, fate);
    window_add(s, x, fate);
    mark_answer(s, x);
    if (fate != PROBE_OK)
        failure_add(s, x);
    if (fate != PROBE_OK && fate != PROBE_NOT_MEASURED)
        spell_add(s, x);
    pthread_mutex_unlock(&s->lock);
}

void stats_event(struct stats *s, unsigned lane, enum stats_event ev) {
    pthread_mutex_lock(&s->lock);
    struct lane_total *t = &s->lane[lane];
    switch (ev) {
    case EVENT_OPENED: t->opened++; break;
    case EVENT_IDLE_CLOSED: t->idle_closed++; break;
    case EVENT_ANNOUNCED: t->announced++; break;
    case EVENT_FRESH: t->fresh++; break;
    }
    pthread_mutex_unlock(&s->lock);
}

void stats_cpu(struct stats *s, unsigned lane, uint64_t ns) {
    pthread_mutex_lock(&s->lock);
    s->lane[lane].cpu_ns = ns;
    pthread_mutex_unlock(&s->lock);
}

void stats_resolve_failed(struct stats *s) {
    pthread_mutex_lock(&s->lock);
    s->resolve_failures++;
    pthread_mutex_unlock(&s->lock);
}

/* --- what everybody else calls --- */

static void percentiles(struct probe_stats *ret, const struct hist *latency,
                        const struct hist *lag) {
    ret->p50_ms = (double)hist_at(latency, 0.5) / 1000;
    ret->p99_ms = (double)hist_at(latency, 0.99) / 1000;
    ret->max_ms = (double)latency->max / 1000;
    ret->lag_p99_ms = (double)hist_at(lag, 0.99) / 1000;
}

static void sums(struct probe_stats *ret) {
    ret->ok = ret->fate[PROBE_OK];
    ret->not_measured = ret->fate[PROBE_NOT_MEASURED];
    ret->lost = fate_lost(ret->fate);
}

void stats_total(struct stats *s, struct probe_stats *ret) {
    struct hist latency = {0}, lag = {0};
    *ret = (struct probe_stats){0};
    pthread_mutex_lock(&s->lock);
    for (size_t k = 0; k < LANES; k++) {
        const struct lane_total *t = &s->lane[k];
        ret->sent += t->sent;
        for (size_t i = 0; i < PROBE_FATES; i++)
            ret->fate[i] += t->fate[i];
        ret->by_a += t->by[WHO_A];
        ret->by_b += t->by[WHO_B];
        ret->by_unknown += t->by[WHO_UNKNOWN];
        ret->lost_a += t->lost_by[WHO_A];
        ret->lost_b += t->lost_by[WHO_B];
        ret->idle_closed += t->idle_closed;
        hist_merge(&latency, &t->latency);
        hist_merge(&lag, &t->lag);
    }
    pthread_mutex_unlock(&s->lock);
    sums(ret);
    percentiles(ret, &latency, &lag);
}

void stats_window(struct stats *s, uint64_t now, uint32_t window_ms, struct probe_stats *ret) {
    uint64_t seconds = MIN(MAX(window_ms / 1000u, 1u), 120u), last = now / second_ns;
    struct hist latency = {0}, lag = {0};
    struct counts c = {0};
    pthread_mutex_lock(&s->lock);
    for (uint64_t i = 0; i < seconds && i <= last; i++) {
        const struct live *l = slot(s->window, last - i);
        if (l->second != last - i + 1)
            continue;
        counts_merge(&c, &l->c);
        hist_merge(&latency, &l->latency);
        hist_merge(&lag, &l->lag);
    }
    pthread_mutex_unlock(&s->lock);
    *ret = (struct probe_stats){.sent = counts_sum(&c),
                                .by_a = c.by[WHO_A],
                                .by_b = c.by[WHO_B],
                                .by_unknown = c.by[WHO_UNKNOWN],
                                .lost_a = c.lost_by[WHO_A],
                                .lost_b = c.lost_by[WHO_B]};
    for (size_t i = 0; i < PROBE_FATES; i++)
        ret->fate[i] = c.fate[i];
    sums(ret);
    percentiles(ret, &latency, &lag);
}

struct stats *stats_copy(struct stats *s) {
    struct stats *c = xmalloc(sizeof *c);
    pthread_mutex_lock(&s->lock);
    *c = *s;
    c->points = xcalloc(MAX(s->cap_points, (size_t)1), sizeof *c->points);
    if (s->n_points)
        memcpy(c->points, s->points, s->n_points * sizeof *c->points);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_init(&c->lock, NULL);
    for (size_t i = 0; i < STATS_LIVE; i++)
        settle(c, &c->recent[i]);
    return c;
}
