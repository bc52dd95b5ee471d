#include "migrate/unclassified.h"

#include <errno.h>

#include "kube/list.h"
#include "migrate/hold.h"
#include "migrate/scaler.h"
#include "migrate/singleton.h"
#include "migrate/world_impl.h"

int unclassified_mode(const char *word, enum unclassified *ret, struct err *e) {
    if (word && !str_eq(word, "hold") && !str_eq(word, "run"))
        return err_set(e, -EUSAGE, "--unclassified: \"%s\" is none of hold, run", word);
    *ret = !word ? UNCLASSIFIED_ASK : *word == 'h' ? UNCLASSIFIED_HOLD : UNCLASSIFIED_RUN;
    return 0;
}

/* Nobody has decided, and it is not in the destination yet: there the decision was made. */
static bool is_open(const struct object *o) {
    return o->hints & HINT_ASKABLE && o->verdict == V_CREATE && !o->in_dst &&
           str_eq(o->rule, "recreate");
}

/* Under a label selector the Services were not all read. */
static bool is_served(const struct world *w, const struct trait *t) {
    if (world_opts(w)->label_selector || !t->pods)
        return true;
    for (const struct selector *s = map_get(w->selectors, t->o->ns); s; s = s->next)
        if (trait_selected(s, t))
            return true;
    return false;
}

/* Pod of a Deployment: NAME-HASH-RANDOM; of a StatefulSet: NAME-N. Client libraries append _UUID.
 */
static struct object *holder(struct world *w, const char *ns, const char *identity) {
    static const struct {
        const char *group, *kind;
        int parts;
    } of[] = {{"apps", "Deployment", 2}, {"apps", "StatefulSet", 1}, {"argoproj.io", "Rollout", 2}};
    for (size_t i = 0; i < COUNT_OF(of); i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(identity, "_"), identity);
        for (int k = 0; k < of[i].parts; k++) {
            char *dash = strrchr(name, '-');
            if (!dash)
                *name = 0;
            else
                *dash = 0;
        }
        struct object *o = *name ? world_find(w, of[i].group, of[i].kind, ns, name) : NULL;
        if (o)
            return o;
    }
    return NULL;
}

static int look_at_lease(void *ctx, yyjson_val *lease, struct err *e UNUSED) {
    const char *who = json_str(lease, "spec", "holderIdentity");
    const char *ns = json_str(lease, "metadata", "namespace");
    struct object *o = who && ns ? holder(ctx, ns, who) : NULL;
    if (o && is_open(o))
        o->hints |= HINT_LEASE;
    return 0;
}

/* Who may not list them loses that hint alone. */
static void look_at_leases(struct world *w) {
    const struct kube_resource *r =
        w->dsrc ? kube_discovery_find(w->dsrc, "coordination.k8s.io", NULL, "Lease") : NULL;
    struct kube_list_fn fn = {.item = look_at_lease, .ctx = w};
    struct kube_list_opts lo = {.field_selector = "metadata.namespace!=kube-node-lease",
                                .cancel = w->o.cancel};
    struct err e = {0};
    if (r && kube_list(w->o.src, w->a, r, &lo, &fn, NULL, &e) < 0)
        strvec_fmt(&w->warnings, "who holds a Lease is not seen: %s", err_msg(&e));
}

const char *unclassified_hints(struct arena *a, const struct object *o) {
    size_t n;
    const struct hint_row *rows = hint_rows(&n);
    AUTO_SB b = SB_INIT(0);
    for (size_t i = 0; i < n; i++)
        if (o->hints & rows[i].hint)
            sb_fmt(&b, "%s%s", b.len ? "; " : "", rows[i].what);
    return arena_strdup(a, sb_get(&b));
}

static void mark(struct world *w, struct object *o) {
    if (!is_open(o) || o->hints == HINT_ASKABLE)
        return;
    o->undecided = true;
    o->rule = "unclassified";
    o->why =
        arena_printf(w->text, "looks as if it acts by itself: %s", unclassified_hints(w->text, o));
}

static const struct trait *trait_of(const struct world *w, const struct object *o) {
    const struct trait *t = w->traits;
    while (t && t->o != o)
        t = t->next;
    return t;
}

/* What stands at 0 because no trigger asks for it would be asked about if it ran: then the question
 * is whether KEDA may start it in both clusters. */
static void mark_scaler(struct world *w, const struct scaler *s) {
    struct object *target = is_open(s->o) ? scaler_target(w, s) : NULL;
    bool nobody_decided = target && object_goes_over(target) && str_eq(target->rule, "recreate");
    const struct trait *t = nobody_decided ? trait_of(w, target) : NULL;
    if (!t || !t->idle)
        return;
    uint8_t hints = (uint8_t)(t->hints | (is_served(w, t) ? 0 : HINT_NO_SERVICE));
    if (hints)
        s->o->hints |= (uint8_t)(hints | HINT_WAKES);
    mark(w, s->o);
}

static bool hint(const struct world *w, const struct trait *t) {
    if (!is_open(t->o))
        return false;
    t->o->hints |= (uint8_t)(t->hints | (is_served(w, t) ? 0 : HINT_NO_SERVICE));
    return true;
}

void unclassified_mark_one(struct world *w, struct object *o) {
    const struct trait *t = trait_of(w, o); /* the newest of it comes first */
    const struct scaler *s = w->scalers;
    if (t && hint(w, t))
        mark(w, o);
    while (s && s->o != o)
        s = s->next;
    if (s)
        mark_scaler(w, s);
}

void unclassified_mark(struct world *w) {
    bool any = false;
    for (const struct trait *t = w->traits; t; t = t->next)
        any |= hint(w, t);
    if (any)
        look_at_leases(w);
    for (const struct trait *t = w->traits; t && any; t = t->next)
        mark(w, t->o);
    for (const struct scaler *s = w->scalers; s; s = s->next)
        mark_scaler(w, s);
}

size_t unclassified_count(const struct world *w) {
    size_t n = 0;
    for (size_t i = 0; i < w->objects.n; i++)
        n += w->objects.v[i]->undecided;
    return n;
}

void unclassified_decide_one(struct object *o, enum unclassified how) {
    bool hold = how == UNCLASSIFIED_HOLD, can = hold_row_of(o->kind->src) != NULL;
    if (how == UNCLASSIFIED_ASK)
        return;
    o->undecided = false;
    o->held = hold && can;
    o->verdict = !hold ? V_CREATE : can ? V_HOLD : V_BLOCK;
    o->rule = !hold ? "recreate" : can ? "hold-unclassified" : "hold-impossible";
    o->why = !hold ? "decided: it may act in both clusters"
             : can ? "decided: it does not act before `tandem activate`"
                   : "decided: to be held, but objects of its kind have no field that holds them; "
                     "skip it by a rule, or let it run";
}

void unclassified_decide(struct world *w, enum unclassified how) {
    for (size_t i = 0; i < w->objects.n; i++)
        if (w->objects.v[i]->undecided)
            unclassified_decide_one(w->objects.v[i], how);
    scalers_follow(w);
}
