#include "migrate/plan.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "migrate/explain.h"
#include "migrate/order.h"
#include "migrate/unclassified.h"

enum { PLAN_FILE_MAX = 512 << 20 };

void plan_count(const struct world *w, struct plan_counts *ret) {
    *ret = (struct plan_counts){.objects = world_count(w)};
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        ret->by_verdict[o->verdict]++;
        ret->held += o->held && o->verdict != V_SKIP && o->verdict != V_BLOCK;
        ret->undecided += o->undecided;
        ret->unready += o->unready && o->verdict == V_SAME;
        ret->kept += o->kept && o->verdict == V_SAME;
    }
}

bool plan_has_work(const struct plan_counts *c) {
    return c->by_verdict[V_CREATE] + c->by_verdict[V_UPDATE] + c->by_verdict[V_HOLD] > 0;
}

static void add_changes(yyjson_mut_doc *d, yyjson_mut_val *out, const struct object *o) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (const struct change *c = o->changes; c; c = c->next) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "path", c->path);
        if (c->src)
            json_mut_set_str(d, x, "source", c->src);
        if (c->dst)
            json_mut_set_str(d, x, "destination", c->dst);
        if (c->fate != CHANGE_TAKE)
            json_mut_set_str(d, x, "fate", change_fate_name(c->fate));
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, out, "changes", list);
    json_mut_set_int(d, out, "changeCount", o->n_changes);
}

static yyjson_mut_val *entry(yyjson_mut_doc *d, struct arena *a, const struct object *o) {
    yyjson_mut_val *x = yyjson_mut_obj(d);
    char hex[33];
    json_mut_set_str(d, x, "apiVersion", kube_api_version(a, o->kind->src));
    json_mut_set_str(d, x, "kind", o->kind->src->kind);
    if (*o->ns)
        json_mut_set_str(d, x, "namespace", o->ns);
    json_mut_set_str(d, x, "name", o->name);
    json_mut_set_str(d, x, "verdict", verdict_name(o->verdict));
    json_mut_set_str(d, x, "rule", o->rule);
    json_mut_set_str(d, x, "why", o->why);
    json_mut_set_int(d, x, "wave", o->wave);
    json_mut_set_bool(d, x, "held", o->held);
    if (o->recreate)
        json_mut_set_bool(d, x, "recreate", true);
    if (o->undecided)
        json_mut_set_bool(d, x, "undecided", true);
    if (o->unready || o->note)
        json_mut_set_str(d, x, "note", o->note ? o->note : "");
    json_mut_set_str(d, x, "ref", object_ref(a, o));
    json_mut_set_str(d, x, "digest", hash_hex(o->digest, 16, hex));
    if (o->changes)
        add_changes(d, x, o);
    if (o->concerns)
        explain_concerns(d, x, o);
    return x;
}

static yyjson_mut_val *counts(yyjson_mut_doc *d, const struct world *w) {
    struct plan_counts c;
    plan_count(w, &c);
    yyjson_mut_val *x = yyjson_mut_obj(d);
    for (unsigned v = 0; v < V_COUNT; v++)
        json_mut_set_int(d, x, verdict_name(v), (int64_t)c.by_verdict[v]);
    json_mut_set_int(d, x, "held", (int64_t)c.held);
    json_mut_set_int(d, x, "unready", (int64_t)c.unready);
    json_mut_set_int(d, x, "undecided", (int64_t)c.undecided);
    json_mut_set_int(d, x, "objects", (int64_t)c.objects);
    return x;
}

static yyjson_mut_val *texts(yyjson_mut_doc *d, const char *const *t) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (; *t; t++)
        yyjson_mut_arr_append(list, yyjson_mut_strcpy(d, *t));
    return list;
}

static yyjson_mut_val *titles(yyjson_mut_doc *d, struct arena *a, const char *const *refs) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (; *refs; refs++)
        yyjson_mut_arr_add_strcpy(d, list, object_ref_title(a, *refs));
    return list;
}

static yyjson_mut_val *asked(yyjson_mut_doc *d, const struct dryrun *t) {
    static const char *const none[] = {NULL};
    const struct {
        const char *key;
        size_t n;
    } counts[] = {{"doubtful", t->doubtful}, {"left", t->left},       {"sent", t->sent},
                  {"passed", t->passed},     {"refused", t->refused}, {"untold", t->untold},
                  {"unserved", t->unserved}, {"hooked", t->hooked}};
    yyjson_mut_val *x = yyjson_mut_obj(d);
    json_mut_set_str(d, x, "mode", dryrun_mode_name(t->mode));
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        json_mut_set_int(d, x, counts[i].key, (int64_t)counts[i].n);
    json_mut_set(d, x, "webhooks", texts(d, t->hooks.n ? (const char *const *)t->hooks.v : none));
    return x;
}

static const char *content_hash(struct arena *a, yyjson_mut_val *root) {
    AUTO_SB b = SB_INIT(0);
    json_mut_canonical(&b, root);
    return hash_sha256_hex(b.p, b.len, arena_alloc(a, SHA256_HEX));
}

static int by_place(const void *x, const void *y) {
    const struct object *a = *(struct object *const *)x, *b = *(struct object *const *)y;
    int c = strcmp(a->ns, b->ns);
    if (!c)
        c = strcmp(a->kind->src->kind, b->kind->src->kind);
    if (!c)
        c = strcmp(a->kind->src->group, b->kind->src->group);
    return c ? c : strcmp(a->name, b->name);
}

/* Kinds are read side by side, so the order of records is by chance; two plans must be comparable
 * line by line. */
static void add_objects(yyjson_mut_doc *d, struct arena *a, yyjson_mut_val *list,
                        const struct world *w) {
    size_t n = world_count(w);
    struct object **v = xcalloc(n + 1, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = world_at(w, i);
    qsort(v, n, sizeof *v, by_place);
    for (size_t i = 0; i < n; i++)
        yyjson_mut_arr_append(list, entry(d, a, v[i]));
    xfree(v);
}

char *plan_json(const struct world *w, struct arena *a, const char *source_uid,
                const char *destination_uid, const struct dryrun *t, size_t *ret_len) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *list = yyjson_mut_arr(d);
    char when[CLOCK_RFC3339_MAX], slot[2] = {world_opts(w)->src_slot, 0};
    json_mut_set_str(d, root, "apiVersion", "tandem.dev/v1");
    json_mut_set_str(d, root, "kind", "Plan");
    json_mut_set_str(d, root, "madeAt", clock_rfc3339(clock_wall_ms(), when));
    json_mut_set_str(d, root, "source", slot);
    json_mut_set_str(d, root, "sourceUid", source_uid);
    json_mut_set_str(d, root, "destinationUid", destination_uid);
    char salt[65];
    json_mut_set_str(d, root, "salt", hash_hex(world_salt(w), 32, salt));
    json_mut_set(d, root, "counts", counts(d, w));
    add_objects(d, a, list, w);
    json_mut_set(d, root, "objects", list);
    json_mut_set(d, root, "leftOver", titles(d, a, world_left_over(w)));
    json_mut_set(d, root, "warnings", texts(d, world_warnings(w)));
    if (t)
        json_mut_set(d, root, "dryRun", asked(d, t));
    json_mut_set_str(d, root, "hash", content_hash(a, root));
    return json_mut_write(a, root, ret_len);
}

static int read_salt(const char *hex, uint8_t out[32]) {
    unsigned v;
    for (size_t i = 0; i < 32; i++) {
        if (!hex || strlen(hex) != 64 || sscanf(hex + 2 * i, "%2x", &v) != 1)
            return -EBADMSG;
        out[i] = (uint8_t)v;
    }
    return 0;
}

int plan_load(struct arena *a, const char *path, struct plan_file *ret, struct err *e) {
    char *text;
    size_t n;
    yyjson_val *v;
    int r = file_read(a, path, PLAN_FILE_MAX, &text, &n, e);
    if (r >= 0)
        r = json_parse(a, text, n, &v, e);
    if (r < 0)
        return err_ctx(e, r, "plan %s", path);
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, v);
    const char *hash = json_str(v, "hash");
    json_mut_del(root, "hash");
    if (!str_eq(json_str(v, "kind"), "Plan") || !hash || !json_str(v, "source"))
        return err_set(e, -EBADMSG, "%s is not a plan of tandem", path);
    if (!str_eq(hash, content_hash(a, root)))
        return err_set(e, -EBADMSG,
                       "%s was changed after it was written (its hash does not fit); make it again "
                       "with `tandem plan --out %s`",
                       path, path);
    const char *slot = json_str(v, "source");
    if ((!str_eq(slot, "a") && !str_eq(slot, "b")) || !json_str(v, "sourceUid") ||
        !json_str(v, "destinationUid"))
        return err_set(e, -EBADMSG, "%s does not say which clusters it is for", path);
    uint8_t salt[32];
    if (read_salt(json_str(v, "salt"), salt) < 0)
        return err_set(e, -EBADMSG, "%s: its salt is not one", path);
    *ret = (struct plan_file){.source_uid = json_str(v, "sourceUid"),
                              .destination_uid = json_str(v, "destinationUid"),
                              .source = *json_str(v, "source"),
                              .digests = map_new(),
                              .verdicts = map_new(),
                              .held = map_new(),
                              .undecided = map_new(),
                              .hash = hash};
    memcpy(ret->salt, salt, sizeof salt);
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(v, "objects"), i, max, x) {
        const char *ref = json_str(x, "ref"), *verdict = json_str(x, "verdict");
        const char *digest = json_str(x, "digest");
        if (!ref || !verdict || !digest)
            continue;
        map_put(ret->verdicts, ref, (void *)(uintptr_t)verdict);
        if (yyjson_is_true(json_get(x, "held")))
            map_put(ret->held, ref, ret);
        if (yyjson_is_true(json_get(x, "undecided")))
            map_put(ret->undecided, ref, ret);
        if (verdict_of(verdict) != V_SKIP && verdict_of(verdict) != V_BLOCK)
            map_put(ret->digests, ref, (void *)(uintptr_t)digest);
    }
    return 0;
}

void plan_done(struct plan_file *p) {
    map_free(p->digests);
    map_free(p->verdicts);
    map_free(p->held);
    map_free(p->undecided);
    p->digests = p->verdicts = p->held = p->undecided = NULL;
}

void plan_decide(const struct plan_file *p, struct world *w) {
    for (size_t i = 0; i < world_count(w); i++) {
        AUTO_ARENA a = arena_new();
        struct object *o = world_at(w, i);
        const char *ref = o->undecided ? object_ref(a, o) : NULL;
        if (ref && map_has(p->verdicts, ref) && !map_has(p->undecided, ref))
            unclassified_decide_one(o,
                                    map_has(p->held, ref) ? UNCLASSIFIED_HOLD : UNCLASSIFIED_RUN);
    }
}

/* The digest is of the body before a hold. A scaler that is held for its target's sake is so as
 * soon as that was decided, which the plan may have left open. */
static bool held_otherwise(const struct plan_file *p, const char *ref, const struct object *o) {
    bool planned = map_has(p->held, ref);
    bool open = map_has(p->undecided, ref) || str_eq(o->rule, "hold-scaler");
    return planned != o->held && (planned || !open);
}

const char *plan_stale(const struct plan_file *p, const struct object *o) {
    AUTO_ARENA a = arena_new();
    const char *ref = object_ref(a, o), *planned = map_get(p->digests, ref);
    char hex[33];
    if (!planned)
        return "not in the plan";
    if (!str_eq(planned, hash_hex(o->digest, sizeof o->digest, hex)))
        return "changed in the source since the plan was made";
    if (held_otherwise(p, ref, o))
        return o->held ? "to be held now, and not when the plan was made"
                       : "not to be held any more, as it was when the plan was made";
    return NULL;
}
