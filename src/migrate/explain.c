#include "migrate/explain.h"

#include "kube/list.h"
#include "migrate/hold.h"
#include "migrate/order.h"
#include "migrate/refs.h"
#include "migrate/uid.h"

struct explaining {
    struct world *w;
    const struct object *o;
    struct arena *a;
    yyjson_mut_doc *d;
    yyjson_mut_val *root, *list; /* list: the one that is being filled */
};

static yyjson_mut_val *new_list(struct explaining *x, const char *key) {
    x->list = yyjson_mut_arr(x->d);
    json_mut_set(x->d, x->root, key, x->list);
    return x->list;
}

static yyjson_mut_val *add(struct explaining *x) {
    yyjson_mut_val *v = yyjson_mut_obj(x->d);
    yyjson_mut_arr_append(x->list, v);
    return v;
}

static void set(struct explaining *x, yyjson_mut_val *obj, const char *key, const char *s) {
    if (s)
        json_mut_set_str(x->d, obj, key, s);
}

/* --- what it is, and what becomes of it --- */

static void add_verdict(struct explaining *x) {
    const struct object *o = x->o;
    yyjson_mut_val *r = x->root;
    set(x, r, "apiVersion", "tandem.dev/v1");
    set(x, r, "kind", "Explanation");
    yyjson_mut_val *at = json_mut_obj_at(x->d, r, "object");
    set(x, at, "apiVersion", kube_api_version(x->a, o->kind->src));
    set(x, at, "kind", o->kind->src->kind);
    set(x, at, "namespace", *o->ns ? o->ns : NULL);
    set(x, at, "name", o->name);
    set(x, at, "ref", object_ref(x->a, o));
    set(x, r, "verdict", verdict_name(o->verdict));
    json_mut_set_bool(x->d, r, "held", o->held);
    set(x, r, "rule", o->rule);
    set(x, r, "why", o->why);
    json_mut_set_int(x->d, r, "wave", o->wave);
    set(x, r, "waveWhy", order_why(o->wave));
    json_mut_set_bool(x->d, r, "inDestination", o->in_dst);
    json_mut_set_bool(x->d, r, "writtenByRun", o->ours);
    set(x, r, "note", o->note);
}

static void add_managers(struct explaining *x, yyjson_val *body) {
    yyjson_val *list = json_get(body, "metadata", "managedFields"), *m;
    size_t i, max;
    new_list(x, "managers");
    yyjson_arr_foreach (list, i, max, m) {
        yyjson_mut_val *v = add(x);
        set(x, v, "manager", json_str(m, "manager"));
        set(x, v, "operation", json_str(m, "operation"));
        set(x, v, "subresource", json_str(m, "subresource"));
        set(x, v, "time", json_str(m, "time"));
    }
}

/* --- its fields --- */

static void add_field(struct explaining *x, enum field_fate fate, const char *path,
                      const char *why) {
    yyjson_mut_val *v = add(x);
    set(x, v, "fate", field_fate_name(fate));
    set(x, v, "path", path);
    set(x, v, "why", why);
}

static void on_fate(void *ctx, enum field_fate fate, const char *path, const char *why) {
    add_field(ctx, fate, path, why);
}

struct kept {
    struct explaining *x;
    struct sb path;
    struct map *seen; /* paths that were told already */
};

static void keep_leaf(struct kept *k) {
    const struct policy_row *row = policy_kept_by(k->x->o->kind->src, sb_get(&k->path));
    const char *path = row ? row->path : arena_strdup(k->x->a, sb_get(&k->path));
    if (map_has(k->seen, path))
        return;
    map_put(k->seen, path, k);
    add_field(k->x, FIELD_KEEP, path, row ? row->why : "no rule knows it, so it stays as it is");
}

static void keep_tree(struct kept *k, yyjson_mut_val *v) {
    size_t i, max, mark = k->path.len;
    yyjson_mut_val *key, *x;
    if (!yyjson_mut_is_ctn(v) || yyjson_mut_get_len(v) == 0) {
        keep_leaf(k);
        return;
    }
    if (yyjson_mut_is_obj(v)) {
        yyjson_mut_obj_foreach (v, i, max, key, x) {
            json_pointer_add(&k->path, yyjson_mut_get_str(key));
            keep_tree(k, x);
            k->path.len = mark;
        }
        return;
    }
    yyjson_mut_arr_foreach (v, i, max, x) {
        sb_fmt(&k->path, "/%zu", i);
        keep_tree(k, x);
        k->path.len = mark;
    }
}

static void add_fields(struct explaining *x, yyjson_val *body) {
    AUTO_MAP seen = map_new();
    struct kept k = {.x = x, .path = SB_INIT(0), .seen = seen};
    new_list(x, "fields");
    if (x->o->verdict == V_SKIP || x->o->verdict == V_BLOCK)
        return;
    yyjson_mut_val *wished = scrub_object(json_doc(x->a), x->o->kind, body, SCRUB_SOURCE,
                                          world_scrub_env(x->w), on_fate, x);
    keep_tree(&k, wished);
    sb_done(&k.path);
    const struct hold_row *h = x->o->held ? hold_row_of(x->o->kind->src) : NULL;
    if (!h)
        return;
    yyjson_mut_val *v = add(x);
    set(x, v, "fate", "hold");
    set(x, v, "path", h->path);
    set(x, v, "why", arena_printf(x->a, "%s until `tandem activate`", h->value));
}

static void add_changes(struct explaining *x) {
    new_list(x, "changes");
    for (const struct change *c = x->o->changes; c; c = c->next) {
        yyjson_mut_val *v = add(x);
        set(x, v, "path", c->path);
        set(x, v, "source", c->src);
        set(x, v, "destination", c->dst);
        if (c->fate != CHANGE_TAKE)
            set(x, v, "fate", change_fate_name(c->fate));
    }
}

const char *concern_name(enum concern_kind k) {
    static const char *const names[] = {"lost", "refused", "doubt"};
    return k < COUNT_OF(names) ? names[k] : "?";
}

void explain_concerns(yyjson_mut_doc *d, yyjson_mut_val *out, const struct object *o) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (const struct concern *c = o->concerns; c; c = c->next) {
        yyjson_mut_val *v = yyjson_mut_obj(d);
        json_mut_set_str(d, v, "concern", concern_name(c->kind));
        json_mut_set_str(d, v, "path", c->path);
        json_mut_set_str(d, v, "why", c->why);
        yyjson_mut_arr_append(list, v);
    }
    json_mut_set(d, out, "schema", list);
}

/* --- its relations --- */

static void add_relation(struct explaining *x, const char *kind, const char *ns, const char *name,
                         const char *path, const struct object *known) {
    yyjson_mut_val *v = add(x);
    set(x, v, "kind", kind);
    set(x, v, "namespace", ns && *ns ? ns : NULL);
    set(x, v, "name", name);
    set(x, v, "path", path);
    json_mut_set_bool(x->d, v, "inSource", known != NULL);
    set(x, v, "verdict", known ? verdict_name(known->verdict) : NULL);
}

static void add_owners(struct explaining *x) {
    new_list(x, "owners");
    for (const struct owner *w = x->o->owners; w; w = w->next)
        add_relation(x, w->kind, NULL, w->name, NULL, world_by_uid(x->w, w->uid));
    new_list(x, "owns");
    for (size_t i = 0; i < world_count(x->w); i++) {
        const struct object *c = world_at(x->w, i);
        for (const struct owner *w = c->owners; w; w = w->next)
            if (uid_given(w->uid) && uid_same(w->uid, x->o->uid_src))
                add_relation(x, c->kind->src->kind, c->ns, c->name, NULL, c);
    }
}

static void add_refs(struct explaining *x, yyjson_val *body) {
    new_list(x, "refersTo");
    for (struct ref *r = refs_of(x->a, x->o->kind, body); r; r = r->next)
        add_relation(x, r->kind, r->ns, r->name, r->path,
                     world_find(x->w, r->group, r->kind, r->ns, r->name));
}

struct incoming {
    struct explaining *x;
    const struct kind *kind;
};

static int match_incoming(void *ctx, yyjson_val *body, struct err *e UNUSED) {
    struct incoming *in = ctx;
    const struct object *o = in->x->o;
    const struct kube_resource *t = o->kind->src;
    AUTO_ARENA a = arena_new();
    for (struct ref *r = refs_of(a, in->kind, body); r; r = r->next) {
        if (!str_eq(r->kind, t->kind) || !str_eq(r->group, t->group) || !str_eq(r->ns, o->ns) ||
            !str_eq(r->name, o->name))
            continue;
        const char *ns = json_str(body, "metadata", "namespace");
        const char *name = json_str(body, "metadata", "name");
        const struct kube_resource *k = in->kind->src;
        add_relation(in->x, k->kind, ns, name, r->path,
                     world_find(in->x->w, k->group, k->kind, ns, name));
    }
    return 0;
}

static int add_incoming(struct explaining *x, struct err *e) {
    static const char *const from[] = {
        "Deployment",     "StatefulSet",          "DaemonSet", "CronJob", "Job", "Pod", "Ingress",
        "ServiceAccount", "PersistentVolumeClaim"};
    const struct kind *kinds;
    size_t n = world_kinds(x->w, &kinds);
    struct incoming in = {.x = x};
    AUTO_ARENA a = arena_new();
    new_list(x, "referredToBy");
    for (size_t i = 0; i < n; i++) {
        bool wanted = false;
        for (size_t k = 0; k < COUNT_OF(from); k++)
            wanted |= str_eq(from[k], kinds[i].src->kind);
        if (!wanted)
            continue;
        in.kind = &kinds[i];
        struct kube_list_fn fn = {.item = match_incoming, .ctx = &in};
        struct kube_list_opts lo = {.namespace = *x->o->ns ? x->o->ns : NULL};
        int r = kube_list(world_opts(x->w)->src, a, kinds[i].src, &lo, &fn, NULL, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int explain_object(struct world *w, struct arena *a, const struct object *o, yyjson_val *body,
                   yyjson_mut_val **ret, struct err *e) {
    struct explaining x = {.w = w, .o = o, .a = a, .d = json_doc(a)};
    x.root = yyjson_mut_obj(x.d);
    add_verdict(&x);
    add_managers(&x, body);
    add_owners(&x);
    add_fields(&x, body);
    add_changes(&x);
    explain_concerns(x.d, x.root, o);
    add_refs(&x, body);
    int r = add_incoming(&x, e);
    if (r >= 0)
        *ret = x.root;
    return r;
}
