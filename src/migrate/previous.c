#include "migrate/previous.h"

#include "migrate/hands.h"
#include "migrate/keep.h"
#include "migrate/leaves.h"
#include "migrate/world_impl.h"

/* Does a merge patch descend here, or set a value? */
static bool descends(yyjson_mut_val *patch, yyjson_mut_val *live) {
    return yyjson_mut_is_obj(patch) && yyjson_mut_is_obj(live);
}

static void reverse(yyjson_mut_doc *d, yyjson_mut_val *out, yyjson_mut_val *patch,
                    yyjson_mut_val *live) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (patch, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *was = yyjson_mut_obj_get(live, k);
        if (descends(val, was))
            reverse(d, json_mut_obj_at(d, out, k), val, was);
        else
            json_mut_set(d, out, k, was ? yyjson_mut_val_mut_copy(d, was) : yyjson_mut_null(d));
    }
}

yyjson_mut_val *previous_reverse(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *live) {
    yyjson_mut_val *out = yyjson_mut_obj(d);
    reverse(d, out, patch, live);
    json_mut_del(json_mut_get(out, "metadata"), "resourceVersion");
    return out;
}

static void wrote(const struct leaves *l, struct sb *b, struct leaf_at at, yyjson_mut_val *patch,
                  yyjson_mut_val *live) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (patch, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *was = yyjson_mut_obj_get(live, k);
        struct leaf_at in = leaves_in(l, at, k);
        if (descends(val, was))
            wrote(l, b, in, val, was);
        else
            leaves_add(l, b, in, val);
    }
}

char *previous_wrote(struct arena *a, const uint8_t salt[32], yyjson_mut_val *patch,
                     yyjson_mut_val *live) {
    struct leaves l;
    AUTO_SB b = SB_INIT(0);
    leaves_empty(salt, &l);
    leaves_add_head(&b);
    wrote(&l, &b, leaves_top(), patch, live);
    return arena_strdup(a, sb_get(&b));
}

/* An earlier attempt whose answer was lost may have worked: then `live` is what we wrote ourselves,
 * and what was there before it stands in that attempt's note. */
static void add_earlier(struct arena *a, yyjson_mut_doc *d, yyjson_mut_val *note,
                        const char *earlier) {
    yyjson_val *v;
    if (!earlier || json_parse(a, earlier, strlen(earlier), &v, NULL) < 0)
        return;
    yyjson_mut_val *was = yyjson_val_mut_copy(d, v);
    yyjson_mut_val *restore = json_mut_get(note, "restore");
    if (restore)
        json_mut_set(d, note, "restore", previous_over(d, restore, json_mut_get(was, "restore")));
    json_mut_set_str(d, note, "wrote",
                     previous_join(a, json_mut_str(note, "wrote"), json_mut_str(was, "wrote")));
}

yyjson_mut_val *previous_over(yyjson_mut_doc *d, yyjson_mut_val *later, yyjson_mut_val *earlier) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    if (!earlier)
        return later;
    yyjson_mut_obj_foreach (earlier, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *there = yyjson_mut_obj_get(later, k);
        if (yyjson_mut_is_obj(val) && yyjson_mut_is_obj(there))
            previous_over(d, there, val);
        else
            json_mut_set(d, later, k, yyjson_mut_val_mut_copy(d, val));
    }
    return later;
}

static void between(yyjson_mut_doc *d, yyjson_mut_val *out, yyjson_mut_val *want,
                    yyjson_mut_val *have) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (want, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *h = yyjson_mut_obj_get(have, k);
        if (h && json_mut_equal(val, h))
            continue;
        if (descends(val, h))
            between(d, json_mut_obj_at(d, out, k), val, h);
        else
            json_mut_set(d, out, k, yyjson_mut_val_mut_copy(d, val));
    }
    yyjson_mut_obj_foreach (have, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!yyjson_mut_obj_get(want, k))
            json_mut_set(d, out, k, yyjson_mut_null(d));
    }
}

yyjson_mut_val *previous_between(yyjson_mut_doc *d, yyjson_mut_val *want, yyjson_mut_val *have) {
    yyjson_mut_val *out = yyjson_mut_obj(d);
    between(d, out, want, have);
    return out;
}

const char *previous_join(struct arena *a, const char *wrote, const char *more) {
    struct leaves l;
    if (!wrote || !more || leaves_read((const uint8_t[LEAVES_SALT]){0}, more, &l, NULL) < 0)
        return wrote ? wrote : more;
    return arena_printf(a, "%s%s", wrote, l.entry);
}

/* The effect that took this run's changes of it back last, or 0. */
static int taken_back_by(struct item *it, struct arena *a, int64_t *ret, struct err *e) {
    struct journal_effect *v;
    size_t n;
    *ret = 0;
    int r =
        journal_effects_of(it->journal, a, it->run, it->effect.cluster, it->effect.ref, &v, &n, e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (str_eq(v[i].verb, "restore") && v[i].state == EFFECT_DONE)
            *ret = v[i].id;
    return r;
}

static int keep_copy(struct world *w, struct item *it, struct arena *a, yyjson_val *live,
                     const char **ret, struct err *e) {
    int64_t since;
    int r = taken_back_by(it, a, &since, e);
    return r < 0 ? r
                 : keep_secret(world_opts(w)->dst, a, it->run, it->effect.ref, since, live, ret, e);
}

static int describe(struct world *w, struct item *it, struct arena *a, yyjson_val *live,
                    yyjson_mut_val *patch, const char **ret, struct err *e) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *was = yyjson_val_mut_copy(d, live), *note = yyjson_mut_obj(d);
    const char *copy = NULL;
    if (object_is_secret(it->o)) {
        int r = keep_copy(w, it, a, live, &copy, e);
        if (r < 0)
            return r;
        json_mut_set_str(d, note, "copy", copy);
    } else {
        json_mut_set(d, note, "restore", previous_reverse(d, patch, was));
    }
    json_mut_set_str(d, note, "wrote", previous_wrote(a, world_salt(w), patch, was));
    if (json_mut_get(patch, "metadata", "ownerReferences"))
        json_mut_set_bool(d, note, "links", true);
    json_mut_set_bool(d, note, "hands",
                      hands_on(live) || !json_get(live, "metadata", "managedFields"));
    add_earlier(a, d, note, it->noted);
    *ret = json_mut_write(a, note, NULL);
    return 0;
}

/* What the run created and nobody else has changed is deleted when the run is taken back: what it
 * was before this update does not matter to anybody. */
static bool goes_as_a_whole(struct world *w, const struct item *it, yyjson_val *live) {
    bool hands = hands_on(live) || !json_get(live, "metadata", "managedFields");
    return !hands && !it->noted && it->o->ours && !it->o->kind->merge && world_created(w, it->o);
}

int previous_note(struct world *w, struct item *it, struct arena *a, yyjson_val *live,
                  yyjson_mut_val *patch, struct err *e) {
    const char *note;
    if (!it->journal || goes_as_a_whole(w, it, live))
        return 0;
    int r = describe(w, it, a, live, patch, &note, e);
    if (r < 0)
        return r;
    struct journal_effect ef = {.id = it->effect.id,
                                .ref = it->effect.ref,
                                .previous = note,
                                .uid = json_str(live, "metadata", "uid"),
                                .resource_version = json_str(live, "metadata", "resourceVersion")};
    it->noted = arena_strdup(it->a, note);
    return journal_effect_note(it->journal, &ef, e);
}
