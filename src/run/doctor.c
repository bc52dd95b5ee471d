#include "run/doctor.h"

#include <errno.h>

#include "migrate/access.h"

struct exam {
    struct session *s;
    struct finding *all[3], **tail[3]; /* by severity */
};

static void add(struct exam *x, enum severity sev, const char *id, const char *where,
                const char *what, const char *remedy) {
    struct finding *f = arena_new_of(x->s->a, struct finding);
    *f = (struct finding){id, sev, where, what, remedy, NULL};
    *x->tail[sev] = f;
    x->tail[sev] = &f->next;
}

static void add_all(struct exam *x, const struct finding *f) {
    for (; f; f = f->next)
        add(x, f->severity, f->id, f->where, f->what, f->remedy);
}

static const char *slot_name(char slot) {
    return slot == 'a' ? "A" : "B";
}

/* The kinds of the source decide for both: definitions that it has and the destination lacks come
 * with the migration. */
static int check_rights(struct exam *x, char slot, enum access_role role, struct err *e) {
    struct session *s = x->s;
    struct kube_discovery *d;
    struct access_gap *g;
    int r = kube_discover(session_source(s), &d, e);
    if (r < 0)
        return r;
    r = access_check(s->a, s->cluster[session_slot(slot)], d, role, &g, e);
    for (; r >= 0 && g; g = g->next)
        add(x, SEV_BLOCKER, "access", slot_name(slot),
            arena_printf(s->a, "this credential may not %s %s%s%s", g->verb, g->plural,
                         *g->group ? "." : "", g->group),
            arena_printf(s->a, "give it the role that `tandem rbac %c` prints", slot));
    kube_discovery_free(d);
    return r;
}

static int check_access(struct exam *x, char slot, enum access_role role, struct err *e) {
    struct session *s = x->s;
    struct kube_discovery *d;
    int r = check_rights(x, slot, role, e);
    if (r >= 0)
        r = kube_discover(s->cluster[session_slot(slot)], &d, e);
    if (r < 0)
        return r;
    for (const char *const *f = kube_discovery_failed(d); f && *f; f++)
        add(x, SEV_WARNING, "H16-api-down", slot_name(slot),
            arena_printf(s->a, "API %s does not answer", *f),
            "bring its back end up, or delete its APIService");
    kube_discovery_free(d);
    return r;
}

static void check_versions(struct exam *x) {
    struct session *s = x->s;
    const struct kube_version *src = &s->version[session_slot(s->source)];
    const struct kube_version *dst = &s->version[session_slot(s->destination)];
    if (dst->minor < src->minor)
        add(x, SEV_WARNING, "version-older", slot_name(s->destination),
            arena_printf(s->a, "the destination runs %s, older than the source's %s", dst->git,
                         src->git),
            "fields that it does not know would be lost; `tandem plan` shows what it can hold");
}

static void check_tier(struct exam *x, struct traffic_tier *t) {
    struct session *s = x->s;
    struct traffic_state st;
    struct err e = {0};
    const char *where = arena_printf(s->a, "tier %s", traffic_name(t));
    if (traffic_observe(t, &st, &e) < 0) {
        add(x, SEV_BLOCKER, "balancer", where, arena_strdup(s->a, err_msg(&e)),
            "see docs/TRAFFIC.md");
        return;
    }
    if (st.drift)
        add(x, SEV_WARNING, "balancer-drift", where,
            "the map file and the running process differ: a reload would move traffic",
            "write the file as the process has it, or reload knowingly");
    for (size_t i = 0; i < st.n; i++) {
        const struct traffic_node *n = &st.node[i];
        if (!n->reachable)
            add(x, SEV_WARNING, "balancer-node", arena_strdup(s->a, n->name),
                arena_strdup(s->a, n->problem), "bring it up, or take it out of the configuration");
        else if (!(s->destination == 'b' ? n->healthy_b : n->healthy_a))
            add(x, SEV_WARNING, "balancer-health", where,
                arena_printf(s->a, "no server of %c is healthy yet", s->destination),
                "cutover refuses until one is");
    }
}

static int check_objects(struct exam *x, struct err *e) {
    struct world *w;
    struct finding *f;
    int r = session_world(x->s, NULL, NULL, &w, e);
    if (r < 0)
        return r;
    r = hazards_find(w, x->s->a, &f, e);
    /* Texts point into the world: copy before it goes. */
    for (struct finding *i = r >= 0 ? f : NULL; i; i = i->next)
        add(x, i->severity, i->id, arena_strdup(x->s->a, i->where), arena_strdup(x->s->a, i->what),
            i->remedy);
    for (const char *const *t = world_warnings(w); *t; t++)
        add(x, SEV_WARNING, "H16-api-down", slot_name(x->s->source), arena_strdup(x->s->a, *t),
            "bring its back end up");
    world_free(w);
    return r;
}

static int examine_both(struct exam *x, struct err *e) {
    struct session *s = x->s;
    check_versions(x);
    int r = check_access(x, s->source, ACCESS_SOURCE, e);
    if (r >= 0)
        r = check_access(x, s->destination, ACCESS_DESTINATION, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->n_tiers; i++)
        check_tier(x, s->tiers[i]);
    if (x->all[SEV_BLOCKER] && str_eq(x->all[SEV_BLOCKER]->id, "access"))
        return 0; /* reading would only fail at the first kind that is not allowed */
    return check_objects(x, e);
}

static int examine_alone(struct exam *x, const char *target, struct err *e) {
    struct session *s = x->s;
    struct kube_discovery *d;
    struct finding *f;
    int r = kube_discover(session_source(s), &d, e);
    if (r < 0)
        return r;
    r = hazards_target(s->a, session_source(s), d, target, &f, e);
    if (r >= 0)
        add_all(x, f);
    kube_discovery_free(d);
    return r;
}

int doctor_examine(struct session *s, const char *target, struct finding **ret, struct err *e) {
    struct exam x = {.s = s};
    for (size_t i = 0; i < COUNT_OF(x.all); i++)
        x.tail[i] = &x.all[i];
    int r = target ? examine_alone(&x, target, e) : examine_both(&x, e);
    if (r < 0)
        return r;
    *x.tail[SEV_BLOCKER] = x.all[SEV_WARNING];
    struct finding **end = x.all[SEV_WARNING] ? x.tail[SEV_WARNING] : x.tail[SEV_BLOCKER];
    *end = x.all[SEV_INFO];
    *ret = x.all[SEV_BLOCKER]   ? x.all[SEV_BLOCKER]
           : x.all[SEV_WARNING] ? x.all[SEV_WARNING]
                                : x.all[SEV_INFO];
    return 0;
}
