#include "migrate/access.h"

#include "migrate/hold.h"
#include "migrate/keep.h"
#include "migrate/rules.h"

static const char *const read_verbs[] = {"get", "list", "watch", NULL};
/* delete: for `tandem unmigrate`, which takes back what was created. */
static const char *const write_verbs[] = {"get",   "list",   "watch", "create",
                                          "patch", "delete", NULL};
/* A role may only be given by who has its rights, or these two. */
static const char *const rbac_verbs[] = {"get",    "list", "watch",    "create", "patch",
                                         "delete", "bind", "escalate", NULL};

static bool needed(const struct kube_resource *r, bool no_secrets) {
    const unsigned need = KUBE_LIST | KUBE_GET | KUBE_CREATE;
    if (!r->preferred || (r->verbs & need) != need || strchr(r->plural, '/') || rules_skip_kind(r))
        return false;
    return !(no_secrets && !*r->group && str_eq(r->kind, "Secret"));
}

static bool is_role(const struct kube_resource *r) {
    return str_eq(r->group, "rbac.authorization.k8s.io") && str_ends(r->kind, "Role");
}

static const char *const *verbs_of(const struct kube_resource *r, enum access_role role) {
    if (role == ACCESS_SOURCE)
        return read_verbs;
    return is_role(r) ? rbac_verbs : write_verbs;
}

static void add_rule(struct sb *b, const char *group, const char *plural,
                     const char *const *verbs) {
    sb_fmt(b, "- apiGroups: [\"%s\"]\n  resources: [\"%s\"]\n  verbs: [", group, plural);
    for (size_t i = 0; verbs[i]; i++)
        sb_fmt(b, "%s%s", i ? ", " : "", verbs[i]);
    sb_str(b, "]\n");
}

/* Handing singletons over changes them in both clusters. A CronJob takes its last schedule time
 * along, which is in its status; who holds a Lease hints at more singletons. */
static void add_hold_rules(struct sb *b, const struct kube_resource *all, size_t n) {
    static const char *const patch[] = {"get", "list", "patch", NULL};
    static const char *const status[] = {"get", "patch", NULL};
    static const char *const look[] = {"get", "list", NULL};
    for (size_t i = 0; i < n; i++)
        if (needed(&all[i], false) && hold_row_of(&all[i]))
            add_rule(b, all[i].group, all[i].plural, patch);
    add_rule(b, "batch", "cronjobs/status", status);
    add_rule(b, "coordination.k8s.io", "leases", look);
}

/* The Lease by which one process at a time writes to a cluster, and the namespace that it is in. In
 * the source too: handing singletons over writes there. */
static void add_lease_rules(struct sb *b) {
    static const char *const hold[] = {"get", "create", "update", "delete", NULL};
    static const char *const make[] = {"get", "create", "delete", NULL};
    add_rule(b, "coordination.k8s.io", "leases", hold);
    add_rule(b, "", "namespaces", make);
}

/* What is not recreated, but looked at by doctor. */
static void add_look_rules(struct sb *b) {
    static const char *const list[] = {"get", "list", NULL};
    add_rule(b, "", "nodes", list);
    add_rule(b, "coordination.k8s.io", "leases", list);
    add_rule(b, "storage.k8s.io", "volumeattachments", list);
    add_rule(b, "admissionregistration.k8s.io", "mutatingadmissionpolicies", list);
}

/* That an upgrade is under way is shown in the cluster, in a namespace of its own; at its end in
 * namespace default, when that one is gone. */
static void add_telling_rules(struct sb *b) {
    static const char *const create[] = {"create", NULL};
    add_rule(b, "events.k8s.io", "events", create);
}

/* What stands in tandem's own namespace, where the ClusterRole does not give it anyway. The
 * namespace is made along: a Role needs it, and who may not make namespaces finds it. */
static void add_own_role(struct sb *b, const char *name, const char *plural) {
    static const char *const verbs[] = {"get", "list", "create", "patch", "delete", NULL};
    sb_fmt(b,
           "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " KEEP_NAMESPACE "}\n---\n"
           "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n"
           "metadata: {name: tandem-%s, namespace: " KEEP_NAMESPACE "}\nrules:\n",
           name);
    add_rule(b, "", plural, verbs);
}

char *access_role_yaml(struct arena *a, const struct kube_discovery *d, enum access_role role,
                       bool no_secrets) {
    AUTO_SB b = SB_INIT(0);
    const char *name = role == ACCESS_SOURCE ? "source" : "destination";
    const struct kube_resource *all;
    size_t n = kube_discovery_all(d, &all);
    sb_fmt(&b,
           "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
           "metadata: {name: tandem-%s}\nrules:\n",
           name);
    for (size_t i = 0; i < n; i++)
        if (needed(&all[i], no_secrets))
            add_rule(&b, all[i].group, all[i].plural, verbs_of(&all[i], role));
    add_hold_rules(&b, all, n);
    add_look_rules(&b);
    add_telling_rules(&b);
    if (role == ACCESS_SOURCE)
        add_own_role(&b, name, "configmaps");
    else if (no_secrets)
        add_own_role(&b, name, "secrets");
    add_lease_rules(&b);
    return arena_strdup(a, b.p);
}

struct asking {
    struct arena *a;
    struct kube_client *c;
    struct access_gap **ret;
};

static int ask(struct asking *x, const char *verb, const char *group, const char *plural,
               bool hands, struct err *e) {
    bool ok = false;
    int r = kube_can_i(x->c, verb, group, plural, NULL, &ok, e);
    if (r < 0 || ok)
        return r;
    struct access_gap *g = arena_new_of(x->a, struct access_gap);
    *g = (struct access_gap){verb, group, plural, hands, *x->ret};
    *x->ret = g;
    return 0;
}

/* The verbs that tell: one of reading; of writing both, for updates, relinks and the owners of
 * fields are patches; of handing over the patch that holds or lets loose, and the status that takes
 * the time of the last run along. */
static int ask_of(struct asking *x, const struct kube_resource *r, bool writes, struct err *e) {
    bool held = hold_row_of(r) != NULL;
    bool cron = str_eq(r->group, "batch") && str_eq(r->kind, "CronJob");
    int n = ask(x, "list", r->group, r->plural, false, e);
    if (n >= 0 && writes)
        n = ask(x, "create", r->group, r->plural, false, e);
    if (n >= 0 && (writes || held))
        n = ask(x, "patch", r->group, r->plural, !writes, e);
    return n >= 0 && cron ? ask(x, "patch", r->group, "cronjobs/status", true, e) : n;
}

int access_check(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                 enum access_role role, struct access_gap **ret, struct err *e) {
    const struct kube_resource *all;
    struct asking x = {a, c, ret};
    size_t n = kube_discovery_all(d, &all);
    bool everything = false;
    *ret = NULL;
    int r = kube_can_i(c, "*", "*", "*", NULL, &everything, e);
    for (size_t i = 0; r >= 0 && !everything && i < n; i++)
        if (needed(&all[i], false))
            r = ask_of(&x, &all[i], role == ACCESS_DESTINATION, e);
    return r < 0 ? r : 0;
}
