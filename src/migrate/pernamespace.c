#include "migrate/pernamespace.h"

#include "migrate/world_impl.h"

/* --- who made it --- */

/* Names under which people, their pipelines and bare client libraries write: a manager is the first
 * word of the user agent unless the client says otherwise (KEP-555). */
static const char *const by_hand[] = {
    "kubectl*",
    "oc",
    "oc-*",
    "odo",
    "helm*",
    "Helm*",
    "argocd*",
    "argo-cd*",
    "openshift-gitops*",
    "kustomize*",
    "helm-controller*",
    "flux*",
    "fleet*",
    "rancher*",
    "kapp*",
    "terraform*",
    "Terraform*",
    "HashiCorp*",
    "OpenTofu*",
    "opentofu*",
    "pulumi*",
    "ansible*",
    "crossplane*",
    "spinnaker*",
    "jenkins*",
    "gitlab*",
    "skaffold*",
    "werf*",
    "tilt*",
    "velero*",
    "crane*",
    "tandem*",
    "k9s*",
    "lens*",
    "Lens*",
    "dashboard*",
    "Mozilla*",
    "curl*",
    "okhttp*",
    "Java*",
    "Kubernetes Java Client*",
    "fabric8*",
    "OpenAPI-Generator*",
    "python*",
    "Python*",
    "Go-http-client*",
    "node-fetch*",
    "axios*",
    "unknown",
    "before-first-apply",
};

bool pernamespace_by_hand(const char *manager) {
    if (str_empty(manager))
        return true;
    for (size_t i = 0; i < COUNT_OF(by_hand); i++)
        if (*by_hand[i] == *manager && str_glob(by_hand[i], manager))
            return true;
    return false;
}

const char *pernamespace_maker(yyjson_val *body) {
    yyjson_val *mf = json_get(body, "metadata", "managedFields"), *m;
    const char *one = NULL;
    size_t i, max;
    yyjson_arr_foreach (mf, i, max, m) {
        const char *name = json_str(m, "manager");
        if (one ? !str_eq(one, name) : pernamespace_by_hand(name))
            return NULL;
        one = name;
    }
    return one;
}

/* --- counting --- */

struct tally {
    const char *maker; /* NULL: several */
    size_t n;
};

struct census {
    struct arena *a;
    struct map *tallies;
};

struct census *census_new(void) {
    struct census *c = xcalloc(1, sizeof *c);
    *c = (struct census){.a = arena_new(), .tallies = map_new()};
    return c;
}

void census_free(struct census *c) {
    if (!c)
        return;
    map_free(c->tallies);
    arena_free(c->a);
    xfree(c);
}

void census_reset(struct census *c) {
    if (map_len(c->tallies) == 0)
        return;
    map_free(c->tallies);
    c->tallies = map_new();
    arena_reset(c->a);
}

enum { KEY_MAX = 768 };

static const char *key_of(const struct kube_resource *r, const char *name, char out[KEY_MAX]) {
    int n = snprintf(out, KEY_MAX, "%s/%s/%s", r->group, r->kind, name ? name : "");
    return n > 0 && n < KEY_MAX ? out : NULL;
}

void census_add(struct census *c, const struct kube_resource *r, const char *name,
                const char *maker) {
    char buf[KEY_MAX];
    const char *key = key_of(r, name, buf);
    struct tally *t = key ? map_get(c->tallies, key) : NULL;
    if (!key)
        return;
    if (!t) {
        t = arena_new_of(c->a, struct tally);
        t->maker = arena_strdup(c->a, maker);
        map_put(c->tallies, arena_strdup(c->a, key), t);
    } else if (!str_eq(t->maker, maker)) {
        t->maker = NULL;
    }
    t->n++;
}

void census_each(const struct census *c, size_t least,
                 void (*fn)(void *ctx, const char *key, const char *maker, size_t n), void *ctx) {
    for (size_t i = 0; i < map_len(c->tallies); i++) {
        const struct tally *t = map_value(c->tallies, i);
        if (t->maker && t->n >= least)
            fn(ctx, map_key(c->tallies, i), t->maker, t->n);
    }
}

bool census_nearly_all(size_t n, size_t total) {
    return n >= PERNAMESPACE_LEAST && n * 100 >= total * PERNAMESPACE_SHARE;
}

/* --- of a world --- */

static struct generated *add(struct world *w, const char *key, const char *by, size_t n) {
    struct generated *g = arena_new_of(w->a, struct generated);
    *g = (struct generated){.key = arena_strdup(w->a, key), .by = arena_strdup(w->a, by), .n = n};
    map_put(w->generated, g->key, g);
    return g;
}

void pernamespace_candidate(struct world *w, const char *key, const char *maker, size_t n) {
    add(w, key, maker, n);
}

void pernamespace_settle(struct world *w) {
    for (size_t i = 0; i < map_len(w->generated); i++) {
        struct generated *g = map_value(w->generated, i);
        if (!census_nearly_all(g->n, w->namespaces_dst))
            map_put(w->generated, map_key(w->generated, i), NULL);
        else
            g->of = MAX(w->namespaces_dst, g->n);
    }
    for (const char *const *k = w->o.generated; k && *k; k++)
        add(w, *k, NULL, 0);
}

/* Of the namespaces that are there nobody can tell "in each" from "for something that each has": a
 * certificate's Secret, a claim. What holds data that cannot be made again is not left out on such
 * a guess, nor what has an owner or what a person has touched. */
static bool may_infer(const struct object *o) {
    return o->maker && !o->owners && !object_is_secret(o) &&
           !object_is(o, "", "PersistentVolumeClaim");
}

const struct generated *pernamespace_find(const struct world *w, const struct object *o) {
    char buf[KEY_MAX];
    if (!*o->ns || o->ours || object_merges(o) || map_len(w->generated) == 0)
        return NULL;
    const char *key = key_of(o->kind->src, o->name, buf);
    const struct generated *g = key ? map_get(w->generated, key) : NULL;
    return g && (!g->by || may_infer(o)) ? g : NULL;
}

const struct generated *pernamespace_at(const struct world *w, size_t i) {
    size_t seen = 0;
    for (size_t k = 0; k < map_len(w->generated); k++)
        if (map_value(w->generated, k) && seen++ == i)
            return map_value(w->generated, k);
    return NULL;
}

/* --- the source's --- */

enum { HINTS_MAX = 5 };

struct hints {
    struct world *w;
    size_t namespaces, n;
};

static void hint(void *ctx, const char *key, const char *maker, size_t n) {
    struct hints *h = ctx;
    if (!census_nearly_all(n, h->namespaces) || h->n++ >= HINTS_MAX)
        return;
    const char *kind = strchr(key, '/') + 1, *name = strchr(kind, '/') + 1;
    strvec_fmt(&h->w->warnings,
               "%.*s %s is in %zu of %zu namespaces of the source, made by %s: if the destination "
               "makes its own, skip it by a rule (plan --probe and migrate see for themselves)",
               (int)(name - 1 - kind), kind, name, n, h->namespaces, maker);
}

void pernamespace_hint(struct world *w) {
    struct hints h = {.w = w};
    if (w->o.label_selector) /* not all namespaces were read */
        return;
    struct census *c = census_new();
    for (size_t i = 0; i < w->objects.n; i++) {
        const struct object *o = w->objects.v[i];
        if (object_is(o, "", "Namespace"))
            h.namespaces += object_goes_over(o);
        else if (o->verdict == V_CREATE && *o->ns && o->maker && !o->owners)
            census_add(c, o->kind->src, o->name, w->makers.v[o->maker - 1]);
    }
    census_each(c, PERNAMESPACE_LEAST, hint, &h);
    if (h.n > HINTS_MAX)
        strvec_fmt(&w->warnings,
                   "and %zu more kinds of objects are made by a controller in nearly "
                   "all namespaces of the source",
                   h.n - HINTS_MAX);
    census_free(c);
}

/* --- after a probe --- */

static void leave_out(struct object *o, struct generated *g) {
    o->verdict = V_SKIP;
    o->rule = PERNAMESPACE_RULE;
    o->why = "the destination makes one in each of its namespaces";
    o->held = o->undecided = false;
    g->skipped++;
    if (o->maker)
        return;
    g->by_hand++;
    o->note =
        "not only its controller has written the source's: see whether the destination's will do";
}

size_t pernamespace_learn(struct world *w, const char *const *keys) {
    size_t n = 0;
    for (; *keys; keys++)
        add(w, *keys, NULL, 0);
    for (size_t i = 0; i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        bool user = o->user_rule >= 0 && w->o.rules[o->user_rule].verdict;
        const struct generated *g = user || o->verdict == V_SKIP ? NULL : pernamespace_find(w, o);
        if (!g)
            continue;
        leave_out(o, map_get(w->generated, g->key));
        n++;
    }
    return n;
}
