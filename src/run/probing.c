#include "run/probing.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "migrate/pernamespace.h"
#include "migrate/probe_ns.h"

#define STAGE "probe-namespace"

bool probing_wanted(const struct session *s, const struct world *w) {
    bool narrowed = (s->o.namespaces && s->o.namespaces[0]) || s->o.label_selector;
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        if (!*o->ns || (o->verdict != V_CREATE && o->verdict != V_HOLD))
            continue;
        const struct object *ns = world_find(w, "", "Namespace", "", o->ns);
        if (!narrowed || !ns || !ns->in_dst)
            return true;
    }
    return false;
}

/* --- what is remembered --- */

/* A fact of the journal: of which cluster, in which run, and the keys. */
static const char *fact(const struct session *s) {
    return s->destination == 'a' ? "generated.a" : "generated.b";
}

/* The name of a probe namespace that is being made, or was when the process ended. */
static const char *open_fact(const struct session *s) {
    return s->destination == 'a' ? "probe-namespace.a" : "probe-namespace.b";
}

static const char *cluster_uid(const struct session *s) {
    return s->id[session_slot(s->destination)].uid;
}

static int read_fact(struct session *s, yyjson_val **ret, struct err *e) {
    char *text = NULL;
    yyjson_val *v;
    *ret = NULL;
    int r = s->journal ? journal_get(s->journal, s->a, fact(s), &text, e) : 0;
    if (r < 0 || str_empty(text))
        return r;
    r = json_parse(s->a, text, strlen(text), &v, e);
    if (r >= 0 && cluster_uid(s) && str_eq(json_str(v, "cluster"), cluster_uid(s)))
        *ret = v;
    return r < 0 ? err_ctx(e, r, "journal, %s", fact(s)) : 0;
}

int probing_recall(struct session *s, const char *const **ret, struct err *e) {
    yyjson_val *v, *key;
    size_t i, max, n = 0;
    int r = read_fact(s, &v, e);
    if (r < 0)
        return r;
    yyjson_val *list = v ? json_get(v, "objects") : NULL;
    const char **keys = arena_array(s->a, const char *, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach (list, i, max, key) {
        if (yyjson_is_str(key))
            keys[n++] = yyjson_get_str(key);
    }
    *ret = n ? keys : NULL;
    return 0;
}

/* Within a run nothing is forgotten: a controller that rests for a moment must not make the next
 * `migrate` write what it owns. */
static int remember(struct session *s, const struct probe_ns_seen *seen, struct err *e) {
    yyjson_val *old = NULL, *key;
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *list = yyjson_mut_arr(d);
    char when[CLOCK_RFC3339_MAX];
    size_t i, max;
    int r = read_fact(s, &old, e);
    if (r < 0)
        return r;
    for (i = 0; i < seen->keys.n; i++)
        yyjson_mut_arr_append(list, yyjson_mut_strcpy(d, seen->keys.v[i]));
    bool same_run = old && s->run_open && str_eq(json_str(old, "run"), s->run.id);
    yyjson_arr_foreach (same_run ? json_get(old, "objects") : NULL, i, max, key) {
        if (!strvec_has(&seen->keys, yyjson_get_str(key)))
            yyjson_mut_arr_append(list, yyjson_val_mut_copy(d, key));
    }
    json_mut_set_str(d, root, "cluster", cluster_uid(s) ? cluster_uid(s) : "");
    json_mut_set_str(d, root, "run", s->run_open ? s->run.id : "");
    json_mut_set_str(d, root, "at", clock_rfc3339(clock_wall_ms(), when));
    json_mut_set(d, root, "objects", list);
    return journal_set(s->journal, fact(s), json_mut_write(s->a, root, NULL), e);
}

/* --- looking --- */

struct probing {
    struct world *w;
    char name[PROBE_NS_NAME_MAX];
    bool left; /* it could not be deleted */
};

static int look(struct session *s, void *ctx, struct err *e) {
    struct probing *p = ctx;
    const struct kind *kinds;
    struct probe_ns_seen seen = {0};
    size_t n = world_kinds(p->w, &kinds);
    struct probe_ns_opts o = {.c = session_destination(s),
                              .name = p->name,
                              .kinds = kinds,
                              .n_kinds = n,
                              .cancel = &s->cancel};
    int r = probe_ns_look(&o, &seen, e);
    if (r < 0)
        return r;
    if (!seen.settled)
        log_warn("namespace %s did not come to rest within ten seconds: what %c makes in each "
                 "namespace may not be known in full",
                 p->name, s->destination);
    p->left = seen.left;
    if (seen.left)
        log_warn("namespace %s is left in %c: the next `tandem migrate` deletes it", p->name,
                 s->destination);
    pernamespace_learn(p->w, seen.keys.n ? (const char *const *)seen.keys.v
                                         : (const char *const[]){NULL});
    if (s->recording)
        r = remember(s, &seen, e);
    strvec_done(&seen.keys);
    return r;
}

int probing_look(struct session *s, struct world *w, struct err *e) {
    struct probing p = {.w = w};
    probe_ns_name(p.name);
    if (s->o.read_only)
        return err_set(e, -EGUARD, "--read-only: a probe namespace is a write");
    int r = s->recording ? journal_set(s->journal, open_fact(s), p.name, e) : 0;
    if (r >= 0)
        r = session_step(s, STAGE, arena_printf(s->a, "namespace %s", p.name), look, &p, e);
    /* After the step: what ends in between is swept, and an open step is ended with it. */
    if (r >= 0 && s->recording && !p.left)
        r = journal_set(s->journal, open_fact(s), NULL, e);
    return r;
}

/* --- after a crash --- */

static bool is_left_over(void *ctx, const char *name) {
    return str_eq(ctx, name);
}

static void end_steps(struct session *s, const char *run) {
    struct journal_step *steps;
    size_t n;
    if (journal_steps(s->journal, s->a, run, &steps, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (str_eq(steps[i].stage, STAGE) && str_eq(steps[i].state, "open"))
            journal_step_end(s->journal, steps[i].id, "failed",
                             "cut short; its namespace was removed", NULL);
}

void probing_sweep(struct session *s) {
    char *name = NULL;
    size_t n = 0;
    struct err e = {0};
    int r = s->journal ? journal_get(s->journal, s->a, open_fact(s), &name, &e) : 0;
    if (r >= 0)
        r = probe_ns_sweep(session_destination(s), is_left_over, name, &n, &e);
    if (r < 0) {
        log_warn("whether a probe namespace was left in %c is not known: %s", s->destination,
                 err_msg(&e));
        return;
    }
    if (n)
        log_info("%zu probe namespace%s left behind in %c: removed", n, n == 1 ? "" : "s",
                 s->destination);
    if (!name || !s->recording)
        return;
    end_steps(s, NULL);
    if (s->run_open)
        end_steps(s, s->run.id);
    if (journal_set(s->journal, open_fact(s), NULL, &e) < 0)
        log_warn("not recorded in the journal: %s", err_msg(&e));
}

int probing_forget(struct session *s, struct err *e) {
    return journal_set(s->journal, fact(s), NULL, e);
}
