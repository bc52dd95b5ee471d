/* From facts to verdicts. */
#include "migrate/hold.h"
#include "migrate/order.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

static bool any_pattern(const char *const *patterns, const char *s) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (str_glob(patterns[i], s))
            return true;
    return false;
}

bool selected_namespace(const struct world *w, const char *ns) {
    bool all = !w->o.ns_include || !w->o.ns_include[0];
    return (all || any_pattern(w->o.ns_include, ns)) && !any_pattern(w->o.ns_exclude, ns);
}

/* One term of a label selector: "k", "!k", "k=v", "k!=v". */
static bool label_term(yyjson_val *labels, const char *term, size_t n) {
    char buf[512];
    snprintf(buf, sizeof buf, "%.*s", (int)n, term);
    char *eq = strchr(buf, '=');
    bool negate = *buf == '!' || (eq && eq > buf && eq[-1] == '!');
    char *key = *buf == '!' ? buf + 1 : buf;
    char *value = NULL;
    if (eq) {
        value = eq[1] == '=' ? eq + 2 : eq + 1;
        *(negate ? eq - 1 : eq) = 0;
    }
    yyjson_val *v = yyjson_obj_get(labels, key);
    bool is = value ? v && str_eq(yyjson_get_str(v), value) : v != NULL;
    return is != negate;
}

static bool labels_match(yyjson_val *body, const char *selector) {
    yyjson_val *labels = json_get(body, "metadata", "labels");
    while (selector && *selector) {
        size_t n = strcspn(selector, ",");
        if (n && !label_term(labels, selector, n))
            return false;
        selector += n + (selector[n] == ',');
    }
    return true;
}

int classify_user_rule(const struct world *w, const struct kube_resource *r, yyjson_val *body) {
    const char *name = json_str(body, "metadata", "name");
    const char *ns = json_str(body, "metadata", "namespace");
    for (size_t i = 0; i < w->o.n_rules; i++) {
        const struct user_rule *u = &w->o.rules[i];
        if (str_glob(u->group, r->group) && str_glob(u->kind, r->kind) && str_glob(u->name, name) &&
            (!u->namespace || str_glob(u->namespace, ns ? ns : "")) &&
            labels_match(body, u->labels))
            return (int)i;
    }
    return -1;
}

static void decide(struct object *o, enum verdict v, const char *rule, const char *why) {
    o->verdict = (uint8_t)v;
    o->rule = rule;
    o->why = why;
}

static bool decide_by_user(struct world *w, struct object *o) {
    const struct user_rule *u = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
    enum verdict v = u && u->verdict ? verdict_of(u->verdict) : V_COUNT;
    if (v == V_COUNT)
        return false;
    const char *id = arena_printf(w->a, "user-%d", o->user_rule + 1);
    decide(o, v, id, u->why ? u->why : "a rule of the configuration");
    o->held = v == V_HOLD;
    return true;
}

static const char *block_missing_api(struct world *w, const struct object *o) {
    return arena_printf(w->a, "the destination does not serve %s %s", o->kind->src->plural,
                        kube_api_version(w->a, o->kind->src));
}

static bool is_definition(const struct object *o) {
    return object_is(o, "apiextensions.k8s.io", "CustomResourceDefinition");
}

/* A kind that the destination lacks today, but whose definition is on its way there. */
static bool definition_comes(struct world *w, const struct object *o) {
    const struct kube_resource *r = o->kind->src;
    const char *name = arena_printf(w->a, "%s.%s", r->plural, r->group);
    const struct object *crd =
        world_find(w, "apiextensions.k8s.io", "CustomResourceDefinition", "", name);
    if (!crd || crd->verdict == V_SKIP || crd->verdict == V_BLOCK)
        return false;
    w->kinds[o->kind - w->kinds].dst = r;
    return true;
}

/* Somebody asked for a hold that cannot be had: to create it unheld would let loose what must not
 * act, and nobody would notice. */
static bool cannot_hold(struct object *o) {
    bool asked = o->verdict == V_HOLD || (!o->rule && (o->facts & FACT_HOLD_ASKED));
    if (!asked || hold_row_of(o->kind->src))
        return false;
    o->held = false;
    decide(o, V_BLOCK, "hold-impossible",
           "it should be held, but objects of its kind have no field that holds them; hold what "
           "runs it, or skip it");
    return true;
}

/* Recreated at all? Sets skip, block, hold or create; what is in the destination comes after. */
static void decide_by_rules(struct world *w, struct object *o) {
    if (decide_by_user(w, o) && o->verdict != V_CREATE && o->verdict != V_HOLD)
        return;
    const struct rule *r = rules_match(o, w);
    if (r && !o->rule) {
        decide(o, V_SKIP, r->id, r->why);
        return;
    }
    if (!o->kind->dst && !definition_comes(w, o)) {
        decide(o, V_BLOCK, "api-missing", block_missing_api(w, o));
        return;
    }
    if (cannot_hold(o) || o->rule)
        return;
    const struct hold_row *h = hold_wanted(o);
    if (!h && (o->facts & FACT_HOLD_ASKED))
        h = hold_row_of(o->kind->src);
    o->held = h != NULL;
    if (h)
        decide(o, V_HOLD, h->id, h->why);
    else
        decide(o, V_CREATE, "recreate", "runs in the source, not made by the cluster itself");
}

static void block_broken(struct object *o) {
    if (o->broken && (o->verdict == V_CREATE || o->verdict == V_HOLD))
        decide(o, V_BLOCK, "patch-misfit", o->note);
}

/* --- what is in the destination --- */

static bool owner_kept(const struct world *w, const struct owner *x) {
    const struct object *p = world_by_uid(w, x->uid);
    return p && p->verdict != V_SKIP && p->verdict != V_BLOCK;
}

static bool same_owner(const struct owner *x, const struct owner *y) {
    return str_eq(x->kind, y->kind) && str_eq(x->name, y->name) && str_eq(x->group, y->group);
}

static void add_change(struct world *w, struct object *o, const char *path, const char *src,
                       const char *dst) {
    struct change *c = arena_new_of(w->a, struct change);
    *c = (struct change){path, src, dst, o->changes};
    o->changes = c;
    o->n_changes++;
}

/* Owners of the source that go over must be there, with uids that the destination has. */
static void compare_owners(struct world *w, struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next) {
        if (!owner_kept(w, x))
            continue;
        const struct owner *y = o->owners_dst;
        while (y && !same_owner(x, y))
            y = y->next;
        const char *path = arena_printf(w->a, "/metadata/ownerReferences/%s %s", x->kind, x->name);
        if (!y)
            add_change(w, o, path, x->name, NULL);
        else if (!world_dst_has_uid(w, y->uid))
            add_change(w, o, path, "a uid of the destination", "a uid that it does not have");
    }
}

/* Is it to be held in the destination when it is written there? */
static bool held_after(const struct object *o) {
    bool still = o->facts & FACT_STILL;
    if (o->verdict == V_HOLD && !still)
        return true; /* acts in the source, so it must not act here, whatever it does now */
    if (still && !(o->facts & FACT_HELD))
        return false; /* its owner stopped it, and that goes over as it is */
    return o->facts_dst & FACT_HELD;
}

/* It should be held in the destination and is not: somebody let it loose there by hand. What no run
 * wrote may be each cluster's own, and is only told. */
static void note_double(struct world *w, struct object *o) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    bool loose = !((o->facts | o->facts_dst) & FACT_STILL) && !(o->facts_dst & FACT_FINISHED);
    if (o->verdict != V_HOLD || !row || !loose)
        return;
    if (o->ours)
        add_change(w, o, arena_printf(w->a, "/spec/%s", row->field),
                   arena_printf(w->a, "%s (held)", row->value), "acts in both clusters");
    else if (!o->n_changes)
        strvec_fmt(&w->warnings,
                   "%s %s/%s acts in both clusters, and no run of this environment wrote it: "
                   "suspend it in one of them unless each is to have its own",
                   o->kind->src->kind, o->ns, o->name);
}

static void decide_by_destination(struct world *w, struct object *o) {
    if (!o->uid_dst || (o->verdict != V_CREATE && o->verdict != V_HOLD))
        return;
    compare_owners(w, o);
    note_double(w, o);
    bool merge = object_merges(o);
    bool held_now = o->facts_dst & FACT_HELD;
    if (o->n_changes == 0) {
        o->held = held_now;
        decide(o, V_SAME, o->rule, held_now ? "held there as it should be" : "already there");
    } else if (o->ours || merge) {
        o->held = held_after(o);
        decide(o, V_UPDATE, o->rule,
               o->ours ? "written by an earlier run, changed since"
                       : "completed: what the destination has stays");
    } else if (o->facts_dst & FACT_SYSTEM_MADE) {
        decide(o, V_SKIP, "destination-own", "the destination made its own");
    } else {
        decide(o, V_BLOCK, "foreign",
               "the destination has another object of this name that no run of this environment "
               "wrote; delete or rename it, or skip it by a rule");
    }
}

/* A wave of its own after the latest owner; cycles and long chains are cut at the depth bound. */
static int wave_of(struct world *w, struct object *o, unsigned depth) {
    int wave = o->kind->wave;
    for (const struct owner *x = o->owners; x && depth; x = x->next) {
        struct object *p = world_by_uid(w, x->uid);
        if (p && p != o && owner_kept(w, x))
            wave = MAX(wave, wave_of(w, p, depth - 1) + 1);
    }
    return wave;
}

enum { OWNER_DEPTH_MAX = 8 };

void classify_all(struct world *w) {
    /* Definitions first: whether custom resources can go over depends on them. */
    for (int definitions = 1; definitions >= 0; definitions--)
        for (size_t i = 0; i < w->objects.n; i++)
            if (is_definition(w->objects.v[i]) == (definitions == 1))
                decide_by_rules(w, w->objects.v[i]);
    for (size_t i = 0; i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        block_broken(o);
        decide_by_destination(w, o);
        o->wave = wave_of(w, o, OWNER_DEPTH_MAX);
    }
}
