#include "migrate/record.h"

#include <errno.h>

#include "migrate/facts.h"
#include "migrate/pernamespace.h"
#include "migrate/rules.h"
#include "migrate/scaler.h"
#include "migrate/singleton.h"
#include "migrate/tuned.h"

bool record_in_scope(const struct world *w, const struct kind *k, yyjson_val *item) {
    const char *ns = json_str(item, "metadata", "namespace");
    if (ns)
        return selected_namespace(w, ns);
    bool is_ns = str_eq(k->src->kind, "Namespace") && !*k->src->group;
    return !is_ns || selected_namespace(w, json_str(item, "metadata", "name"));
}

static void note_account_secrets(struct reader *r, const char *ns, yyjson_val *item) {
    yyjson_val *list = json_get(item, "secrets"), *s;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, s) {
        strvec_fmt(&r->secrets, "%s/%s", ns, json_str(s, "name") ? json_str(s, "name") : "");
    }
}

/* Skipped, unless its owner turns out to be gone: see records_read_orphans(). */
static bool expected_again(const struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next)
        if (x->controller && rules_regenerable(o->kind->src->kind, x->kind))
            return true;
    return false;
}

static const char *namespace_name(struct reader *r, const char *ns) {
    const char *have = ns ? map_get(r->names, ns) : "";
    if (!have) {
        char *copy = arena_strdup(r->a, ns);
        map_put(r->names, copy, copy);
        have = copy;
    }
    return have;
}

/* One that can start what stands idle may be asked about (unclassified.c). */
static void note_scaler(struct reader *r, struct object *o, yyjson_val *item) {
    const uint32_t decided =
        FACT_STILL | FACT_HOLD_ASKED | FACT_HOLD_REFUSED | FACT_DELETING | FACT_SYSTEM_MADE;
    struct scaler *s = scaler_read(r->rel, o, item);
    if (!s)
        return;
    if (s->wakes && !(o->facts & decided))
        o->hints = HINT_ASKABLE;
    s->next = r->scalers;
    r->scalers = s;
}

static void note_trait(struct arena *a, struct trait **list, struct object *o, yyjson_val *item) {
    struct trait *t = trait_read(a, o, item);
    if (!t)
        return;
    if (!t->idle)
        o->hints = HINT_ASKABLE;
    t->next = *list;
    *list = t;
}

/* What the body tells. */
static void note_body(struct arena *a, struct trait **list, struct object *o, yyjson_val *item) {
    const struct kube_resource *r = o->kind->src;
    o->facts = facts_read(r->group, r->kind, item);
    o->singleton = singleton_of(r->group, r->kind, item);
    note_trait(a, list, o, item);
}

/* What verdicts on other objects need to know of this one. */
static void note_relations(struct reader *r, struct object *o, yyjson_val *item) {
    if (object_is(o, "", "ServiceAccount"))
        note_account_secrets(r, o->ns, item);
    note_scaler(r, o, item);
    struct selector *s = object_is(o, "", "Service") ? selector_read(r->rel, item) : NULL;
    if (s) {
        s->ns = arena_strdup(r->rel, o->ns);
        s->o = o;
        s->next = r->selectors;
        r->selectors = s;
    }
}

/* A platform has a few dozen controllers at most: a list will do. */
static uint8_t maker_id(struct world *w, yyjson_val *item) {
    const char *maker = pernamespace_maker(item);
    size_t i = 0;
    if (!maker)
        return 0;
    world_lock(w);
    while (i < w->makers.n && !str_eq(w->makers.v[i], maker))
        i++;
    if (i == w->makers.n && i < UINT8_MAX)
        strvec_add(&w->makers, maker);
    world_unlock(w);
    return i < UINT8_MAX ? (uint8_t)(i + 1) : 0;
}

static struct object *make_record(struct reader *r, const struct kind *k, yyjson_val *item) {
    struct object *o = r->into ? r->into : arena_new_of(r->a, struct object);
    const char *ns = o->ns, *name = o->name; /* at no moment without: backend.c looks at others */
    *o = (struct object){.kind = k, .ns = ns, .name = name};
    if (!r->into) {
        o->ns = namespace_name(r, json_str(item, "metadata", "namespace"));
        o->name = arena_strdup(r->a, json_str(item, "metadata", "name"));
    }
    o->uid_src = uid_of(json_str(item, "metadata", "uid"));
    o->owners = facts_owners(r->a, item);
    o->user_rule = (int16_t)classify_user_rule(r->w, k->src, item);
    o->ours = world_wrote(r->w, k->src->group, k->src->kind, o->ns, o->name, NULL);
    o->maker = *o->ns ? maker_id(r->w, item) : 0;
    note_body(r->rel, &r->traits, o, item);
    note_relations(r, o, item);
    object_list_add(&r->objects, o);
    return o;
}

/* Namespace default is as old as the cluster: what makes something in each may have come later. */
static bool counts_for_census(const struct world *w, const char *ns) {
    return !rules_system_namespace(ns) && !rules_tandem_namespace(ns) && !str_eq(ns, "default") &&
           !world_wrote(w, "", "Namespace", NULL, ns, NULL);
}

static void count_destination(struct reader *r, const struct kind *k, yyjson_val *dst) {
    const char *ns = json_str(dst, "metadata", "namespace");
    const char *name = json_str(dst, "metadata", "name");
    if (!ns) {
        bool is_ns = !*k->src->group && str_eq(k->src->kind, "Namespace");
        r->namespaces_dst += is_ns && counts_for_census(r->w, name);
        return;
    }
    const char *maker = pernamespace_maker(dst);
    if (maker && !json_get(dst, "metadata", "ownerReferences") && counts_for_census(r->w, ns) &&
        !world_wrote(r->w, k->src->group, k->src->kind, ns, name, json_str(dst, "metadata", "uid")))
        census_add(r->census, k->src, name, maker);
}

static void note_uid(struct reader *r, yyjson_val *dst) {
    struct uid uid = uid_of(json_str(dst, "metadata", "uid"));
    if (uid_given(uid))
        uid_set_add(&r->uids_dst, uid);
}

void record_note_destination(struct world *w, struct arena *a, struct object *o, yyjson_val *dst,
                             bool skipped) {
    /* A server gives every object a uid; an export may have lost it. */
    const char *uid = json_str(dst, "metadata", "uid");
    world_lock(w);
    world_set_uid_dst(w, o, uid);
    world_unlock(w);
    o->ours =
        o->ours && world_wrote(w, o->kind->src->group, o->kind->src->kind, o->ns, o->name, uid);
    o->facts_dst = facts_read(o->kind->src->group, o->kind->src->kind, dst);
    o->owners_dst = skipped ? NULL : facts_owners(a, dst);
}

/* Written by an earlier run and gone from the source since: it is not deleted, but it is shown.
 * Under a label selector the source was not asked for everything; who follows asks it again. */
static void note_left_over(struct reader *r, const struct kind *k, yyjson_val *dst) {
    bool unseen = r->w->o.label_selector && !r->w->o.follow;
    if (unseen || !record_in_scope(r->w, k, dst))
        return;
    const char *ns = json_str(dst, "metadata", "namespace");
    const char *name = json_str(dst, "metadata", "name");
    if (world_wrote(r->w, k->src->group, k->src->kind, ns, name, json_str(dst, "metadata", "uid")))
        strvec_fmt(&r->left_over, "%s/%s/%s/%s", k->src->group, k->src->kind, ns ? ns : "", name);
}

void record_look(struct world *w, struct arena *a, struct arena *tmp, struct object *o,
                 yyjson_val *src, yyjson_val *dst) {
    struct err why = {0};
    arena_reset(tmp);
    world_settle_schema(w, o->kind);
    /* A patch of the user's that does not fit this object blocks it, not everything. */
    o->broken = world_judge(w, o, a, tmp, src, dst, &why) < 0;
    if (o->broken)
        o->note = arena_strdup(a, err_msg(&why));
}

/* What is skipped since the destination has its own may hold what a person granted in the source.
 */
static void note_tuned(struct reader *r, struct object *o, yyjson_val *src, yyjson_val *dst) {
    if (o->facts & FACT_DELETING || !(o->facts & (FACT_BOOTSTRAP_RBAC | FACT_SYSTEM_NAME)))
        return;
    o->note = tuned_rbac(r->a, src, dst);
    o->tuned = o->note != NULL;
}

/* src NULL: only in the destination; dst NULL: only in the source. */
void reader_take(struct reader *r, const struct kind *k, yyjson_val *src, yyjson_val *dst) {
    if (dst) {
        note_uid(r, dst);
        count_destination(r, k, dst);
    }
    if (!src) {
        note_left_over(r, k, dst);
        return;
    }
    if (!record_in_scope(r->w, k, src))
        return;
    struct object *o = make_record(r, k, src);
    o->in_dst = dst != NULL; /* rules look at it */
    bool skipped = o->user_rule < 0 && rules_match(o, NULL);
    if (dst)
        record_note_destination(r->w, r->a, o, dst, skipped);
    if (dst && skipped)
        note_tuned(r, o, src, dst);
    if (o->user_rule < 0)
        o->unread = expected_again(o);
    if (skipped || o->unread)
        return;
    o->unread = r->shallow;
    r->one_by_one += r->shallow;
    if (!r->shallow)
        record_look(r->w, r->a, r->tmp, o, src, dst);
}

/* --- into the world --- */

static void candidate(void *ctx, const char *key, const char *maker, size_t n) {
    struct world *w = ctx;
    world_lock(w);
    pernamespace_candidate(w, key, maker, n);
    world_unlock(w);
}

void reader_end_census(struct reader *r) {
    census_each(r->census, PERNAMESPACE_LEAST, candidate, r->w);
    census_reset(r->census);
}

struct reader reader_make(struct world *w, struct arena *a) {
    return (struct reader){
        .w = w, .a = a, .rel = a, .tmp = arena_new(), .names = map_new(), .census = census_new()};
}

/* What an object said before it was renewed. */
static void drop_scaler(struct world *w, const struct object *o) {
    for (struct scaler **at = &w->scalers; *at; at = &(*at)->next)
        if ((*at)->o == o) {
            *at = (*at)->next;
            return;
        }
}

static void drop_trait(struct world *w, const struct object *o) {
    for (struct trait **at = &w->traits; *at; at = &(*at)->next)
        if ((*at)->o == o) {
            *at = (*at)->next;
            return;
        }
}

static void drop_selector(struct world *w, const struct object *o) {
    struct selector *first = map_get(w->selectors, o->ns), *s = first;
    if (first && first->o == o) {
        map_put(w->selectors, first->ns, first->next);
        return;
    }
    for (; s && s->next; s = s->next)
        if (s->next->o == o) {
            s->next = s->next->next;
            return;
        }
}

void records_unrelate(struct world *w, const struct object *o) {
    drop_scaler(w, o);
    drop_trait(w, o);
    drop_selector(w, o);
}

void reader_relate(struct world *w, struct reader *r) {
    for (size_t i = 0; i < r->secrets.n; i++)
        map_put(w->sa_secrets, arena_strdup(w->a, r->secrets.v[i]), w);
    for (struct scaler *x = r->scalers, *next; x; x = next) {
        next = x->next;
        x->next = w->scalers;
        w->scalers = x;
        if (x->o->facts & FACT_ACTS)
            map_put(w->consumers, arena_printf(w->a, "%s/%s/%s", x->o->ns, x->kind, x->name), x);
    }
    for (struct trait *t = r->traits, *next; t; t = next) {
        next = t->next;
        t->next = w->traits;
        w->traits = t;
    }
    for (struct selector *s = r->selectors, *next; s; s = next) {
        next = s->next;
        s->next = map_put(w->selectors, s->ns, s);
    }
    r->scalers = NULL;
    r->traits = NULL;
    r->selectors = NULL;
}

void reader_gather(struct world *w, struct reader *r) {
    reader_relate(w, r);
    for (size_t i = 0; i < r->objects.n; i++)
        object_list_add(&w->objects, r->objects.v[i]);
    for (size_t i = 0; i < r->uids_dst.n; i++)
        uid_set_add(&w->uids_dst, r->uids_dst.v[i]);
    for (size_t i = 0; i < r->left_over.n; i++)
        strvec_add(&w->left_over, r->left_over.v[i]);
    strvec_done(&r->left_over);
    xfree(r->objects.v);
    uid_set_done(&r->uids_dst);
    reader_end_census(r);
    census_free(r->census);
    w->namespaces_dst += r->namespaces_dst;
    map_free(r->names);
    arena_free(r->tmp);
    strvec_done(&r->secrets);
}

static void put_volume(struct world *w, struct object *o) {
    world_lock(w);
    map_put(w->volumes, o->name, o);
    world_unlock(w);
}

void reader_note_volumes(struct world *w, const struct reader *r) {
    for (size_t i = 0; i < r->objects.n; i++) {
        struct object *o = r->objects.v[i];
        const struct user_rule *u = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
        bool skipped = u && str_eq(u->verdict, "skip");
        if (object_is(o, "", "PersistentVolume") && !(o->facts & FACT_PV_DYNAMIC) && !skipped)
            put_volume(w, o);
    }
}

int records_read_orphans(struct world *w, record_fetch fetch, void *ctx, struct err *e) {
    for (size_t i = 0; i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        if (!o->unread || rules_match(o, w))
            continue;
        AUTO_ARENA a = arena_new();
        AUTO_ARENA tmp = arena_new();
        yyjson_val *src, *dst = NULL;
        int n = fetch(ctx, a, o, false, &src, e);
        if (n == -ENOENT)
            continue;
        if (n >= 0 && (o->in_dst || (o->kind->shallow && o->kind->dst)))
            n = fetch(ctx, a, o, true, &dst, e);
        if (n < 0 && n != -ENOENT)
            return n;
        if (dst && !o->in_dst)
            record_note_destination(w, w->a, o, dst, false);
        if (o->kind->shallow)
            note_body(w->a, &w->traits, o, src);
        if (!rules_match(o, w))
            record_look(w, w->a, tmp, o, src, dst);
        o->unread = false;
    }
    return 0;
}
