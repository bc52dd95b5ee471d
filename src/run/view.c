#include "run/view.h"

#include <errno.h>

#include "base/clock.h"
#include "run/holder.h"

enum { ASK_MS = 1500 };

/* --- reading --- */

static void ask_holder(struct view *v) {
    struct session *s = v->s;
    struct err e = {0};
    char *text;
    int r = s->cfg->journal
                ? holder_ask(s->cfg->journal, s->a, "status", NULL, s->actor, ASK_MS, &text, &e)
                : -ENOENT;
    v->holder = r >= 0 ? HOLDER_THERE : r == -ENOENT ? HOLDER_NONE : HOLDER_SILENT;
    v->holder_problem = r < 0 && r != -ENOENT ? arena_strdup(s->a, err_msg(&e)) : NULL;
    if (r >= 0 && json_parse(s->a, text, strlen(text), &v->live, &e) < 0)
        v->live = NULL;
}

static void look_at_tiers(struct view *v) {
    struct session *s = v->s;
    v->tiers = arena_array(s->a, struct view_tier, s->n_tiers + 1);
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct err e = {0};
        v->tiers[i] = (struct view_tier){.name = traffic_name(s->tiers[i])};
        if (traffic_observe(s->tiers[i], &v->tiers[i].st, &e) < 0)
            v->tiers[i].problem = arena_strdup(s->a, err_msg(&e));
    }
}

/* Where no journal is, nothing is believed. */
static void compare_share(struct view *v) {
    if (!v->s->n_tiers || !v->s->journal || live_look(v->s, &v->share, NULL) < 0)
        v->share = (struct live_view){.observed = -1, .believed = -1};
}

static int read_run(struct view *v, struct err *e) {
    struct session *s = v->s;
    struct journal *j = s->journal;
    const char *runner = json_str(v->live, "actor");
    int r = v->stage = run_stage(s, e);
    if (r < 0 || !j || !s->run_open)
        return r;
    r = journal_moves(j, s->a, s->run.id, &v->moves, &v->n_moves, e);
    if (r >= 0)
        r = journal_steps(j, s->a, s->run.id, &v->steps, &v->n_steps, e);
    if (r >= 0)
        r = journal_approvals(j, s->a, s->run.id, &v->approvals, &v->n_approvals, e);
    for (int i = v->stage + 1; r >= 0 && i <= RUN_RETIRE; i++)
        r = gate_people(s, s->a, i, runner, &v->gate[i], e);
    for (size_t i = 0; r >= 0 && i < v->n_moves; i++)
        if (str_eq(v->moves[i].state, "intent"))
            v->under_way = &v->moves[i];
    return r;
}

int view_read(struct session *s, const struct view_deep *deep, struct view *ret, struct err *e) {
    struct view v = {.s = s};
    ask_holder(&v);
    int r = read_run(&v, e);
    if (r < 0)
        return r;
    look_at_tiers(&v);
    compare_share(&v);
    if (deep) {
        v.deep = *deep;
    } else if (s->needs & NEED_CLUSTERS) {
        stage_way_back(s, &v.deep.back);
        if (s->run_open)
            stage_losses(s, &v.deep.losses);
        (void)record_other(s, &v.deep.other, NULL); /* what cannot be read is none */
        v.deep.looked = true;
    }
    *ret = v;
    return 0;
}

/* --- JSON --- */

static void set_time(yyjson_mut_doc *d, yyjson_mut_val *x, const char *key, int64_t ms) {
    char t[CLOCK_RFC3339_MAX];
    if (ms)
        json_mut_set_str(d, x, key, clock_rfc3339(ms, t));
}

static void set_text(yyjson_mut_doc *d, yyjson_mut_val *x, const char *key, const char *text) {
    if (text)
        json_mut_set_str(d, x, key, text);
}

static void add_moves(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct journal_move *m = &v->moves[i];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "from", m->from);
        json_mut_set_str(d, x, "to", m->to);
        json_mut_set_str(d, x, "name", m->name);
        json_mut_set_str(d, x, "state", m->state);
        json_mut_set_str(d, x, "actor", m->actor);
        set_text(d, x, "reason", m->reason);
        set_text(d, x, "note", m->note);
        set_time(d, x, "at", m->at_ms);
        set_time(d, x, "ended", m->ended_ms);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "moves", list);
}

static void add_steps(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < v->n_steps; i++) {
        const struct journal_step *p = &v->steps[i];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "stage", p->stage);
        json_mut_set_str(d, x, "what", p->what);
        json_mut_set_str(d, x, "state", p->state ? p->state : "open");
        set_time(d, x, "at", p->begun_ms);
        set_text(d, x, "note", p->note);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "steps", list);
}

static void add_gates(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (int i = v->stage + 1; i <= RUN_RETIRE && v->s->run_open; i++) {
        const struct gate *g = &v->gate[i];
        if (!gate_is(v->s, i) && !g->has)
            continue;
        yyjson_mut_val *x = yyjson_mut_obj(d), *who = yyjson_mut_arr(d);
        json_mut_set_str(d, x, "before", g->stage);
        json_mut_set_int(d, x, "needs", g->needs);
        for (unsigned k = 0; k < g->has; k++)
            yyjson_mut_arr_append(who, yyjson_mut_strcpy(d, g->who[k]));
        json_mut_set(d, x, "approvedBy", who);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "gates", list);
}

static void add_approvals(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < v->n_approvals; i++) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "gate", v->approvals[i].gate);
        json_mut_set_str(d, x, "actor", v->approvals[i].actor);
        set_text(d, x, "reason", v->approvals[i].reason);
        set_time(d, x, "at", v->approvals[i].at_ms);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "approvals", list);
}

static void add_tiers(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < v->s->n_tiers; i++) {
        const struct view_tier *t = &v->tiers[i];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "tier", t->name);
        if (t->problem) {
            json_mut_set_str(d, x, "problem", t->problem);
        } else {
            json_mut_set_int(d, x, "liveToB", t->st.live_b);
            json_mut_set_int(d, x, "preliveToB", t->st.prelive_b);
            json_mut_set_bool(d, x, "drift", t->st.drift);
        }
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "tiers", list);
}

static void add_other(yyjson_mut_doc *d, yyjson_mut_val *root, const struct record_other *o) {
    yyjson_mut_val *x = o->there ? json_mut_obj_at(d, root, "otherRun") : NULL;
    if (!x)
        return;
    json_mut_set_str(d, x, "run", o->run);
    json_mut_set_str(d, x, "recordIn", (char[]){o->cluster, 0});
    json_mut_set_str(d, x, "at", o->at);
    json_mut_set_str(d, x, "actor", o->actor);
    json_mut_set_bool(d, x, "takenOver", o->taken);
}

static void add_way_back(yyjson_mut_doc *d, yyjson_mut_val *root, const struct view *v) {
    const struct way_back *w = &v->deep.back;
    const struct losses *l = &v->deep.losses;
    yyjson_mut_val *x = yyjson_mut_obj(d);
    json_mut_set_bool(d, x, "open", v->s->run_open);
    json_mut_set_int(d, x, "liveToDestination", w->percent);
    json_mut_set_int(d, x, "believed", v->share.believed);
    json_mut_set_bool(d, x, "differs", v->share.differs);
    json_mut_set_int(d, x, "heldInSource", w->known_source ? (int64_t)w->held_source : -1);
    json_mut_set_int(d, x, "heldInDestination",
                     w->known_destination ? (int64_t)w->held_destination : -1);
    if (v->deep.looked && v->s->run_open)
        json_mut_set(d, x, "losses", back_losses_json(l, d));
    json_mut_set(d, root, "wayBack", x);
}

char *view_json(const struct view *v, size_t *ret_n) {
    static const char *const holders[] = {"none", "there", "silent"};
    struct session *s = v->s;
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "environment", s->cfg->name ? s->cfg->name : "");
    json_mut_set_str(d, root, "source", (char[]){s->source, 0});
    json_mut_set_str(d, root, "destination", (char[]){s->destination, 0});
    json_mut_set_str(d, root, "run", s->run_open ? s->run.id : "");
    json_mut_set_str(d, root, "stage", s->run_open ? run_stage_name(v->stage) : "");
    json_mut_set_str(d, root, "underWay", v->under_way ? v->under_way->to : "");
    json_mut_set_str(d, root, "holder", holders[v->holder]);
    if (v->live)
        json_mut_set(d, root, "live", yyjson_val_mut_copy(d, v->live));
    add_gates(d, root, v);
    add_approvals(d, root, v);
    add_moves(d, root, v);
    add_steps(d, root, v);
    add_tiers(d, root, v);
    add_other(d, root, &v->deep.other);
    add_way_back(d, root, v);
    return json_mut_write(s->a, root, ret_n);
}
