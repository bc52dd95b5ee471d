#include "migrate/renew.h"

#include <errno.h>

#include "migrate/facts.h"
#include "migrate/order.h"
#include "migrate/pernamespace.h"
#include "migrate/record.h"
#include "migrate/rules.h"

/* --- is anything new? --- */

static bool same_owners(const struct owner *x, const struct owner *y) {
    for (; x && y; x = x->next, y = y->next)
        if (!uid_same(x->uid, y->uid) || x->controller != y->controller ||
            !str_eq(x->name, y->name) || !str_eq(x->kind, y->kind) || !str_eq(x->group, y->group))
            return false;
    return !x && !y;
}

bool world_unchanged(struct world *w, const struct object *o, yyjson_val *src, bool whole) {
    AUTO_ARENA a = arena_new();
    const struct kube_resource *r = o->kind->src;
    uint8_t digest[16];
    bool skipped = o->verdict == V_SKIP, settled = o->verdict == V_SAME;
    if (o->gone || o->relink || (!skipped && !settled) ||
        !uid_same(o->uid_src, uid_of(json_str(src, "metadata", "uid"))) ||
        classify_user_rule(w, r, src) != o->user_rule ||
        !same_owners(o->owners, facts_owners(a, src)))
        return false;
    if (skipped && !whole)
        return true;
    if (facts_read(r->group, r->kind, src) != o->facts)
        return false;
    return skipped ? !o->in_dst
                   : whole && world_digest(w, o, src, NULL, digest, NULL) >= 0 &&
                         memcmp(digest, o->digest, sizeof digest) == 0;
}

/* --- one record --- */

/* Its place in the world's table, and whether it was there before. */
static size_t place_of(struct world *w, const struct kind *k, yyjson_val *src, bool *ret_new) {
    const char *ns = json_str(src, "metadata", "namespace");
    const char *name = json_str(src, "metadata", "name");
    size_t i = index_place_ref(&w->by_ref, k->src->group, k->src->kind, ns ? ns : "", name);
    *ret_new = i == SIZE_MAX;
    if (*ret_new) {
        struct object *o = arena_new_of(w->a, struct object);
        *o = (struct object){
            .kind = k, .ns = arena_strdup(w->a, ns ? ns : ""), .name = arena_strdup(w->a, name)};
        i = w->objects.n;
        world_lock(w); /* backend.c walks over them */
        object_list_add(&w->objects, o);
        w->by_ref.v = w->by_uid.v = w->objects.v; /* it may have moved */
        world_unlock(w);
    }
    return i;
}

static struct owner *keep_owners(struct world *w, const struct owner *x) {
    struct owner *first = NULL, **tail = &first;
    for (; x; x = x->next) {
        struct owner *y = arena_new_of(w->a, struct owner);
        *y = *x;
        y->group = arena_strdup(w->a, x->group);
        y->kind = arena_strdup(w->a, x->kind);
        y->name = arena_strdup(w->a, x->name);
        *tail = y;
        tail = &y->next;
    }
    *tail = NULL;
    return first;
}

static void reader_drop(struct reader *r) {
    xfree(r->objects.v);
    uid_set_done(&r->uids_dst);
    census_free(r->census);
    map_free(r->names);
    arena_free(r->tmp);
    strvec_done(&r->secrets);
    strvec_done(&r->left_over);
}

static void enter(struct world *w, size_t i, bool is_new, struct uid before) {
    struct object *const *v = w->objects.v;
    if (is_new)
        index_add_ref(&w->by_ref, v, w->objects.n, i);
    if (!uid_same(before, v[i]->uid_src))
        index_add_uid(&w->by_uid, v, w->objects.n, i);
}

/* Skipped by the kind of its owner alone, and that owner is not there: see read_orphans(). */
static int look_at_orphan(struct reader *r, struct object *o, yyjson_val *src, bool whole,
                          yyjson_val *dst) {
    if (!o->unread || rules_match(o, r->w))
        return 0;
    if (!whole)
        return -ENODATA;
    record_look(r->w, r->a, r->tmp, o, src, dst);
    o->unread = false;
    return 0;
}

static int take(struct world *w, struct reader *r, const struct kind *k, yyjson_val *src,
                bool whole, yyjson_val *dst, struct object **ret) {
    bool is_new;
    if (!record_in_scope(w, k, src))
        return 0;
    size_t i = place_of(w, k, src, &is_new);
    struct object *o = w->objects.v[i];
    const struct owner *owners = o->owners;
    struct uid uid = o->uid_src;
    records_unrelate(w, o);
    r->into = o;
    r->shallow = !whole;
    reader_take(r, k, src, dst);
    /* Others look at owners for as long as the world lives. */
    o->owners = same_owners(o->owners, owners) ? (struct owner *)(uintptr_t)owners
                                               : keep_owners(w, o->owners);
    enter(w, i, is_new, uid);
    reader_relate(w, r);
    reader_note_volumes(w, r);
    *ret = o;
    return look_at_orphan(r, o, src, whole, dst);
}

int world_renew(struct world *w, struct arena *a, const struct kind *k, yyjson_val *src, bool whole,
                yyjson_val *dst, struct object **ret, struct err *e) {
    struct reader r = reader_make(w, a);
    size_t warned = w->warnings.n;
    r.rel = w->a;
    *ret = NULL;
    w->text = a;
    w->renewing = true;
    int n = take(w, &r, k, src, whole, dst, ret);
    if (n >= 0 && *ret)
        classify_one(w, *ret);
    w->text = w->a;
    for (size_t i = 0; i < r.uids_dst.n; i++) {
        char text[UID_TEXT_MAX];
        if (!world_dst_has_uid(w, r.uids_dst.v[i]))
            map_put(w->uids_since, arena_strdup(w->a, uid_text(r.uids_dst.v[i], text)), w);
    }
    while (w->warnings.n > warned) /* said when everything was read; here there is nobody to read */
        xfree(w->warnings.v[--w->warnings.n]);
    reader_drop(&r);
    return n < 0 ? err_set(e, n, "its whole body is needed") : 0;
}

void world_rest(struct object *o) {
    o->why = o->note = NULL; /* the rule is a word of a table */
    o->changes = NULL;
    o->concerns = NULL;
    o->owners_dst = NULL;
}

int world_applied(struct world *w, struct err *e) {
    int r = world_read_journal(w, e);
    for (size_t i = 0; r >= 0 && i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        const struct kube_resource *k = o->kind->src;
        AUTO_ARENA a = arena_new();
        if (o->outcome != OUT_DONE)
            continue;
        const char *uid = world_uid_dst(w, a, o);
        bool ours = world_wrote(w, k->group, k->kind, o->ns, o->name, uid);
        world_written(w, o, uid, false, false); /* the journal has it already */
        o->ours = ours;
    }
    return r;
}

/* --- what came of it --- */

static char *ref_of(struct world *w, const struct object *o) {
    return object_ref(w->a, o);
}

static void remember(struct world *w, const struct object *o, const char *uid) {
    const struct kube_resource *r = o->kind->src;
    AUTO_ARENA a = arena_new();
    const char *ref = object_ref(a, o), *was = map_get(w->since, ref);
    char *text = uid && !str_eq(uid, was) ? arena_strdup(w->a, uid) : NULL;
    if (was && str_eq(was, uid))
        return;
    map_put(w->since, map_has(w->since, ref) ? ref : ref_of(w, o), text);
    if (!world_wrote_kind(w, r))
        map_put(w->kinds_ours, arena_printf(w->a, "%s/%s", r->group, r->kind), w);
}

void world_written(struct world *w, struct object *o, const char *uid, bool ours, bool made) {
    char text[UID_TEXT_MAX];
    world_lock(w);
    world_set_uid_dst(w, o, uid);
    world_unlock(w);
    if (!world_dst_has_uid(w, o->uid_dst))
        map_put(w->uids_since, arena_strdup(w->a, uid_text(o->uid_dst, text)), w);
    o->ours = ours;
    o->verdict = V_SAME;
    o->outcome = OUT_DONE;
    if (!ours)
        return;
    remember(w, o, uid);
    if (made && !world_created(w, o)) {
        world_lock(w);
        map_put(w->made_since, ref_of(w, o), w);
        world_unlock(w);
    }
}

void world_gone(struct world *w, struct object *o, bool deleted) {
    o->gone = true;
    o->verdict = V_SKIP;
    o->uid_src = (struct uid){0};
    if (deleted) {
        o->in_dst = o->ours = false;
        o->uid_dst = (struct uid){0};
        remember(w, o, NULL);
    }
}

bool world_owner_missing(struct world *w, const struct object *o, bool *ret_first) {
    bool missing = false, first = true;
    for (const struct owner *x = o->owners; x; x = x->next) {
        const struct object *p = world_by_uid(w, x->uid);
        if (!p || p->gone || !object_goes_over(p) || uid_given(p->uid_dst))
            continue;
        missing = true;
        first = first && p->wave >= o->wave;
    }
    *ret_first = first;
    return missing;
}
