/* The tree of `tandem status`. */
#include "base/clock.h"
#include "run/view.h"

enum { BAR = 24 };

struct out {
    const struct view *v;
    struct sb *b;
    bool colour;
};

/* --- marks --- */

enum mark { MARK_DONE, MARK_NOW, MARK_BROKEN, MARK_LEFT_OUT, MARK_AHEAD };
static const struct {
    const char *sign, *colour;
} marks[] = {
    [MARK_DONE] = {"✔", "32"},     [MARK_NOW] = {"▶", "1;33"}, [MARK_BROKEN] = {"!", "1;31"},
    [MARK_LEFT_OUT] = {"–", "90"}, [MARK_AHEAD] = {"·", "90"},
};

static void put_mark(struct out *o, enum mark m) {
    if (o->colour)
        sb_fmt(o->b, "\033[%sm%s\033[0m", marks[m].colour, marks[m].sign);
    else
        sb_str(o->b, marks[m].sign);
}

static void put_title(struct out *o, const char *title) {
    sb_fmt(o->b, o->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", title);
}

/* --- stages --- */

/* The done move that led there, since the run last went back; NULL: none. */
static const struct journal_move *done_move(const struct view *v, int stage) {
    const struct journal_move *found = NULL;
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct journal_move *m = &v->moves[i];
        if (!str_eq(m->state, "done"))
            continue;
        int to = sm_find(&run_table, m->to), from = sm_find(&run_table, m->from);
        if (to == stage && from < to)
            found = m;
        else if (to < from && to < stage)
            found = NULL;
    }
    return found;
}

static int going_to(const struct view *v) {
    return v->under_way ? sm_find(&run_table, v->under_way->to) : -1;
}

static enum mark mark_of(const struct view *v, int stage) {
    if (stage == going_to(v))
        return v->holder == HOLDER_THERE ? MARK_NOW : MARK_BROKEN;
    if (stage > v->stage)
        return MARK_AHEAD;
    return done_move(v, stage) ? MARK_DONE : MARK_LEFT_OUT;
}

static void put_gate(struct out *o, int stage) {
    const struct gate *g = &o->v->gate[stage];
    const char *at = json_str(o->v->live, "gate");
    if (stage <= o->v->stage || (!gate_is(o->v->s, stage) && !g->has))
        return;
    if (str_eq(at, run_stage_name(stage)))
        sb_str(o->b, "WAITS HERE, ");
    sb_fmt(o->b, "gate: %u of %u approvals", g->has, g->needs);
    for (unsigned i = 0; i < g->has; i++)
        sb_fmt(o->b, "%s%s", i ? ", " : " (", g->who[i]);
    sb_str(o->b, g->has ? ")" : "");
}

static void put_steps(struct out *o) {
    const struct view *v = o->v;
    for (size_t i = 0; i < v->n_steps; i++) {
        const struct journal_step *p = &v->steps[i];
        if (!v->under_way || p->begun_ms < v->under_way->at_ms)
            continue;
        sb_fmt(o->b, "      %-7s %s%s%s\n", p->state ? p->state : "open", p->what,
               p->note ? ": " : "", p->note ? p->note : "");
    }
}

static void put_now(struct out *o) {
    const char *waiting = json_str(o->v->live, "waiting");
    uint64_t left = (uint64_t)MAX(json_int(json_get(o->v->live, "leftMs"), 0), 0);
    char t[CLOCK_RFC3339_MAX];
    if (!str_empty(waiting))
        sb_str(o->b, waiting);
    if (left)
        sb_fmt(o->b, "%s%s left", str_empty(waiting) ? "" : "; ", clock_human(left, t));
}

static void put_stage(struct out *o, int stage) {
    const struct view *v = o->v;
    const struct journal_move *m = done_move(v, stage);
    enum mark mark = mark_of(v, stage);
    char at[CLOCK_RFC3339_MAX], took[CLOCK_RFC3339_MAX];
    sb_str(o->b, "  ");
    put_mark(o, mark);
    sb_fmt(o->b, " %-10s ", run_stage_name(stage));
    if (mark == MARK_NOW)
        put_now(o);
    else if (mark == MARK_BROKEN)
        sb_str(o->b, v->holder == HOLDER_SILENT
                         ? "its process does not answer: `tandem abort` goes back without it"
                         : "interrupted: `tandem resume` goes on");
    else if (mark == MARK_DONE)
        sb_fmt(o->b, "%.19sZ  %s", clock_rfc3339(m->ended_ms, at),
               clock_human((uint64_t)MAX(m->ended_ms - m->at_ms, 0), took));
    put_gate(o, stage);
    sb_chr(o->b, '\n');
    if (mark == MARK_NOW || mark == MARK_BROKEN)
        put_steps(o);
}

static void put_other(struct out *o) {
    const struct record_other *x = &o->v->deep.other;
    if (!x->there)
        return;
    put_mark(o, MARK_BROKEN);
    sb_fmt(o->b,
           x->taken ? " run %s was taken over and goes on elsewhere"
                    : " run %s is open, and this journal does not know it",
           x->run);
    sb_fmt(o->b, " (its record is in %c, of %s, by %s)%s\n", x->cluster, x->at, x->actor,
           x->taken ? "" : ": `tandem resume --take-over` goes on with it here");
}

static void put_head(struct out *o) {
    const struct view *v = o->v;
    const struct session *s = v->s;
    const char *name = s->cfg->name ? s->cfg->name : "(no file)",
               *actor = json_str(v->live, "actor");
    if (!s->run_open) {
        sb_fmt(o->b, "environment %s: %c is live, %c is idle; no run is open%s\n", name, s->source,
               s->destination, s->journal ? "" : ", as far as can be told without a journal");
        put_other(o);
        return;
    }
    sb_fmt(o->b, "environment %s: an upgrade from %c to %c is under way\n\nrun %s, at %s", name,
           s->source, s->destination, s->run.id, run_stage_name(v->stage));
    if (actor)
        sb_fmt(o->b, ", carried out by %s (pid %lld), up to %s", actor,
               (long long)json_int(json_get(v->live, "pid"), 0), json_str(v->live, "until"));
    if (v->holder_problem)
        sb_fmt(o->b, "\n  %s", v->holder_problem);
    sb_chr(o->b, '\n');
    put_other(o);
    for (int i = RUN_PREFLIGHT; i <= RUN_RETIRE; i++)
        put_stage(o, i);
}

/* --- what is observed --- */

static void put_bar(struct out *o, int percent_b) {
    int b = percent_b * BAR / 100;
    sb_str(o->b, "a ");
    for (int i = 0; i < BAR; i++)
        sb_str(o->b, i < BAR - b ? "█" : "░");
    sb_str(o->b, " b");
}

static void put_traffic(struct out *o) {
    const struct view *v = o->v;
    if (v->s->n_tiers)
        put_title(o, "traffic");
    for (size_t i = 0; i < v->s->n_tiers; i++) {
        const struct view_tier *t = &v->tiers[i];
        sb_fmt(o->b, "  %-10s ", t->name);
        if (t->problem) {
            sb_fmt(o->b, "%s\n", t->problem);
            continue;
        }
        if (t->st.live_b >= 0)
            put_bar(o, t->st.live_b);
        if (t->st.live_b >= 0)
            sb_fmt(o->b, "  live: %d %% a, %d %% b", 100 - t->st.live_b, t->st.live_b);
        else
            sb_str(o->b, "live: unknown");
        sb_fmt(o->b, "; pre-live: %s%s\n",
               t->st.prelive_b < 0 ? "?"
               : t->st.prelive_b   ? "b"
                                   : "a",
               t->st.drift ? "; DRIFT between file and process" : "");
    }
    if (!v->share.differs)
        return;
    sb_str(o->b, "  ");
    put_mark(o, MARK_BROKEN);
    if (v->share.observed < 0) {
        sb_fmt(o->b,
               " the tiers lead to different sides, and the journal believes that %d %% go to %c: "
               "`tandem switch-back` leads all of it to %c\n",
               v->share.believed, v->s->destination, v->s->source);
        return;
    }
    sb_fmt(o->b,
           " the journal believes that %d %% go to %c: somebody moved it without tandem. `tandem "
           "adopt` records it as true, `tandem switch-back` leads all of it to %c\n",
           v->share.believed, v->s->destination, v->s->source);
}

static void put_follow(struct out *o) {
    yyjson_val *f = json_get(o->v->live, "follow");
    char t[CLOCK_RFC3339_MAX];
    if (!f)
        return;
    const char *why = json_str(f, "why");
    put_title(o, "live sync");
    sb_fmt(o->b, "  %s to %s  %s, lag %s, %lld to carry, %lld carried, %lld deleted%s%s\n",
           json_str(f, "from"), json_str(f, "to"), json_str(f, "state"),
           clock_human((uint64_t)MAX(json_int(json_get(f, "lagMs"), 0), 0), t),
           (long long)json_int(json_get(f, "pending"), 0),
           (long long)json_int(json_get(f, "carried"), 0),
           (long long)json_int(json_get(f, "deleted"), 0), str_empty(why) ? "" : "\n  ",
           why ? why : "");
}

static void put_probes(struct out *o) {
    yyjson_val *list = json_get(o->v->live, "probes"), *p;
    size_t i, max;
    if (yyjson_arr_size(list))
        put_title(o, "probes, the last ten seconds");
    yyjson_arr_foreach (list, i, max, p) {
        int64_t lost = json_int(json_get(p, "lost"), 0);
        sb_str(o->b, "  ");
        put_mark(o, lost ? MARK_BROKEN : MARK_DONE);
        sb_fmt(o->b, " %-10s %lld ok, %lld lost, %lld from a, %lld from b, p99 %.1f ms\n",
               json_str(p, "name"), (long long)json_int(json_get(p, "ok"), 0), (long long)lost,
               (long long)json_int(json_get(p, "byA"), 0),
               (long long)json_int(json_get(p, "byB"), 0),
               (double)json_int(json_get(p, "p99Us"), 0) / 1000);
    }
}

static void put_held(struct out *o, char slot, bool known, size_t n) {
    if (known)
        sb_fmt(o->b, "  %zu are held in %c\n", n, slot);
    else
        sb_fmt(o->b, "  %c does not answer\n", slot);
}

static void put_losses(struct out *o) {
    const struct losses *l = &o->v->deep.losses;
    char t[CLOCK_RFC3339_MAX];
    sb_fmt(o->b, "\n  %s%s\n  ",
           l->measured_ms ? "takes " : "how long it takes was not measured here yet",
           l->measured_ms ? clock_human(l->measured_ms, t) : "");
    back_losses_text(l, o->b);
}

static void put_way_back(struct out *o) {
    const struct view *v = o->v;
    const struct way_back *w = &v->deep.back;
    if (v->deep.looked) {
        put_title(o, "singletons");
        put_held(o, v->s->source, w->known_source, w->held_source);
        put_held(o, v->s->destination, w->known_destination, w->held_destination);
    }
    bool away = !v->s->run_open && v->share.differs;
    sb_fmt(o->b, "\nway back: %s",
           v->s->run_open ? "open (tandem switch-back)"
           : away         ? "the traffic alone (tandem switch-back --to a, or b)"
                          : "nothing to go back from");
    if (v->deep.looked && v->s->run_open)
        put_losses(o);
    sb_chr(o->b, '\n');
}

void view_text(const struct view *v, bool colour, struct sb *ret) {
    struct out o = {v, ret, colour};
    put_head(&o);
    put_traffic(&o);
    put_follow(&o);
    put_probes(&o);
    put_way_back(&o);
}

/* --- one line --- */

static int percent_of(const struct view *v) {
    if (!v->s->n_tiers || v->tiers[0].problem || v->tiers[0].st.live_b < 0)
        return -1;
    int b = v->tiers[0].st.live_b;
    return v->s->destination == 'b' ? b : 100 - b;
}

void view_line(const struct view *v, struct sb *ret) {
    const struct session *s = v->s;
    const char *waiting = json_str(v->live, "waiting");
    yyjson_val *f = json_get(v->live, "follow"), *list = json_get(v->live, "probes"), *p;
    int64_t lost = 0;
    size_t i, max;
    if (!s->run_open) {
        sb_fmt(ret, "no run is open; %c is live", s->source);
        return;
    }
    sb_fmt(ret, "run %s at %s", s->run.id, run_stage_name(v->stage));
    if (v->under_way)
        sb_fmt(ret, ", %s to %s",
               v->holder == HOLDER_THERE ? "on its way" : "interrupted on its way",
               v->under_way->to);
    if (percent_of(v) >= 0)
        sb_fmt(ret, "; %d %% on %c", percent_of(v), s->destination);
    if (f)
        sb_fmt(ret, "; live sync %s, %lld to carry", json_str(f, "state"),
               (long long)json_int(json_get(f, "pending"), 0));
    yyjson_arr_foreach (list, i, max, p) {
        lost += json_int(json_get(p, "lost"), 0);
    }
    if (lost)
        sb_fmt(ret, "; %lld requests lost in ten seconds", (long long)lost);
    if (!str_empty(waiting))
        sb_fmt(ret, "; %s", waiting);
}
