#include "run/doctor.h"

#include <errno.h>

#include "migrate/access.h"

/* More missing rights of one verb than this become one finding. */
enum { GAPS_MAX = 6 };

struct exam {
    struct session *s;
    struct findings *f;
};

static void add(struct exam *x, const char *id, const char *where, const char *what) {
    struct finding_id row = finding_id_of(id);
    MUST(row.text);
    struct finding *f = findings_add(x->f, id, row.severity, where, what, row.text);
    bool cluster = (*where == 'A' || *where == 'B') && !where[1];
    f->cluster = cluster ? (char)(*where - 'A' + 'a') : 0;
}

static const char *slot_name(char slot) {
    return slot == 'a' ? "A" : "B";
}

/* --- rights --- */

static bool same_gap(const struct access_gap *x, const struct access_gap *y) {
    return x->hands == y->hands && str_eq(x->verb, y->verb);
}

static size_t count_gaps(const struct access_gap *g, const struct access_gap *like) {
    size_t n = 0;
    for (; g; g = g->next)
        n += same_gap(g, like);
    return n;
}

static void report_gap(struct exam *x, char slot, const char *verb, const char *what, bool hands) {
    struct arena *a = x->s->a;
    struct finding_id id = finding_id_of(hands ? "access-activate" : "access");
    struct finding *f =
        findings_add(x->f, id.id, id.severity, slot_name(slot),
                     arena_printf(a, "this credential may not %s %s%s", verb, what,
                                  hands ? ": singletons of that kind cannot change hands" : ""),
                     arena_printf(a, "give it the role that `tandem rbac %c` prints", slot));
    f->cluster = slot;
}

/* All of one verb. */
static void report_gaps(struct exam *x, char slot, const struct access_gap *all,
                        const struct access_gap *like) {
    bool together = count_gaps(all, like) > GAPS_MAX;
    AUTO_SB b = SB_INIT(1 << 16);
    for (const struct access_gap *g = all; g; g = g->next) {
        if (!same_gap(g, like))
            continue;
        sb_fmt(&b, "%s%s%s%s", b.len ? ", " : "", g->plural, *g->group ? "." : "", g->group);
        if (together)
            continue;
        report_gap(x, slot, like->verb, sb_get(&b), like->hands);
        sb_reset(&b);
    }
    if (together)
        report_gap(x, slot, like->verb, sb_get(&b), like->hands);
}

static bool is_first(const struct access_gap *all, const struct access_gap *g) {
    while (!same_gap(all, g))
        all = all->next;
    return all == g;
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
    for (const struct access_gap *i = r < 0 ? NULL : g; i; i = i->next)
        if (is_first(g, i))
            report_gaps(x, slot, g, i);
    kube_discovery_free(d);
    return r;
}

static void report_api_down(struct exam *x, char slot, const char *api) {
    struct arena *a = x->s->a;
    const char *slash = strchr(api, '/');
    struct finding_id id = finding_id_of("H16-api-down");
    struct finding *f = findings_add(x->f, id.id, id.severity, slot_name(slot),
                                     arena_printf(a, "API %s does not answer", api), id.text);
    f->group = "apiregistration.k8s.io";
    f->kind = "APIService";
    f->ns = "";
    f->name = slash ? arena_printf(a, "%s.%.*s", slash + 1, (int)(slash - api), api)
                    : arena_strdup(a, api);
    f->cluster = slot;
}

static int check_access(struct exam *x, char slot, enum access_role role, struct err *e) {
    struct session *s = x->s;
    struct kube_discovery *d;
    if (!s->id[session_slot(slot)].uid)
        report_gap(x, slot, "get", "namespace kube-system, whose uid tells clusters apart", false);
    int r = check_rights(x, slot, role, e);
    if (r >= 0)
        r = kube_discover(s->cluster[session_slot(slot)], &d, e);
    if (r < 0)
        return r;
    for (const char *const *f = kube_discovery_failed(d); f && *f; f++)
        report_api_down(x, slot, *f);
    kube_discovery_free(d);
    return r;
}

/* --- versions, load balancers --- */

static void check_versions(struct exam *x) {
    struct session *s = x->s;
    const struct kube_version *src = &s->version[session_slot(s->source)];
    const struct kube_version *dst = &s->version[session_slot(s->destination)];
    if (dst->minor < src->minor)
        add(x, "version-older", slot_name(s->destination),
            arena_printf(s->a, "the destination runs %s, older than the source's %s", dst->git,
                         src->git));
}

/* Of both: to the source leads the way back. */
static void check_node(struct exam *x, const struct traffic_node *n, const char *tier) {
    struct session *s = x->s;
    bool to_b = s->destination == 'b';
    if (!n->reachable)
        add(x, "balancer-node", arena_strdup(s->a, n->name), arena_strdup(s->a, n->problem));
    else if (n->lacks_a || n->lacks_b)
        add(x, "balancer-backend", tier, arena_strdup(s->a, n->problem));
    else if (!(to_b ? n->healthy_b : n->healthy_a))
        add(x, "balancer-health", tier,
            arena_printf(s->a, "no server of %c is healthy yet", s->destination));
}

static void check_tier(struct exam *x, struct traffic_tier *t) {
    struct session *s = x->s;
    struct traffic_state st;
    struct err e = {0};
    const char *where = arena_printf(s->a, "tier %s", traffic_name(t));
    if (traffic_observe(t, &st, &e) < 0) {
        add(x, "balancer", where, arena_strdup(s->a, err_msg(&e)));
        return;
    }
    if (st.drift)
        add(x, "balancer-drift", where,
            "the map file and the running process differ: a reload would move traffic");
    for (size_t i = 0; i < st.n; i++)
        check_node(x, &st.node[i], where);
}

/* Without them a cutover moves on by its clock alone. */
static void check_probes(struct exam *x) {
    if (x->s->n_tiers && !x->s->cfg->n_probes)
        add(x, "no-probes", "configuration",
            "nothing asks the live side as users do: lost requests are not seen, and a cutover "
            "that breaks them does not go back by itself");
}

/* --- objects --- */

static int check_objects(struct exam *x, struct err *e) {
    struct world *w;
    struct findings found;
    AUTO_ARENA a = arena_new();
    int r = session_world(x->s, NULL, NULL, &w, e);
    if (r < 0)
        return r;
    findings_init(&found, a);
    r = hazards_find(w, &found, e);
    if (r >= 0)
        findings_copy(x->f, found.first); /* texts may point into the world, which goes */
    for (const char *const *t = world_warnings(w); *t; t++)
        if (!strstr(*t, "does not answer for API")) /* each a finding of check_access() */
            add(x, "plan-warning", slot_name(x->s->source), arena_strdup(x->s->a, *t));
    world_free(w);
    return r;
}

static int examine_both(struct exam *x, struct err *e) {
    struct session *s = x->s;
    check_versions(x);
    int r = check_access(x, s->source, ACCESS_SOURCE, e);
    if (r >= 0)
        r = check_access(x, s->destination, ACCESS_DESTINATION, e);
    for (size_t i = 0; r >= 0 && i < s->n_tiers; i++)
        check_tier(x, s->tiers[i]);
    check_probes(x);
    return r < 0 ? r : check_objects(x, e);
}

static int examine_alone(struct exam *x, const char *target, struct err *e) {
    struct session *s = x->s;
    struct kube_discovery *d;
    int r = kube_discover(session_source(s), &d, e);
    if (r < 0)
        return r;
    r = hazards_target(session_source(s), d, target, x->f, e);
    kube_discovery_free(d);
    return r;
}

int doctor_examine(struct session *s, const char *target, struct doctor_report *ret,
                   struct err *e) {
    struct doctor_report report = {0};
    struct exam x = {s, &report.f};
    findings_init(&report.f, s->a);
    int r = target ? examine_alone(&x, target, e) : examine_both(&x, e);
    if (r < 0)
        return r;
    findings_silence(&report.f, s->cfg->silences, s->cfg->n_silences);
    findings_sort(&report.f);
    findings_count(&report.f, report.count, &report.silenced);
    *ret = report;
    return 0;
}
