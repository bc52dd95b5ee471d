#include "run/losses.h"

#include <errno.h>

#include "base/clock.h"
#include "base/map.h"
#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/hands.h"
#include "migrate/rules.h"
#include "run/following.h"
#include "run/move.h"
#include "run/trail.h"

/* Longest that the lists may take all together. */
enum { LOOK_MS = 5000, ENOUGH = -EFBIG };

struct look {
    struct session *s;
    struct losses *ret;
    const struct kube_resource *r; /* what is listed just now */
    const char *since;             /* RFC 3339, whole seconds */
    const char **titles;
    size_t n_titles, seen;
    uint64_t until;     /* clock_now_ms */
    struct map *claims; /* a set; keys in s->a */
    struct arena *scratch;
};

/* Times of the API are in whole seconds, and compare as texts. */
static const char *seconds_text(struct arena *a, int64_t wall_ms) {
    char t[CLOCK_RFC3339_MAX];
    return arena_printf(a, "%.19sZ", clock_rfc3339(wall_ms, t));
}

/* --- objects --- */

/* Made and changed by controllers all the time; their thousands would use up what is looked at. */
static const char *const left_out[][2] = {
    {"", "Pod"},
    {"apps", "ReplicaSet"},
    {"apps", "ControllerRevision"},
};

/* Whatever would be migrated: what is made there may be of a kind of which the source had none. */
static bool looks_at(const struct kube_resource *r) {
    const unsigned need = KUBE_LIST | KUBE_CREATE;
    for (size_t i = 0; i < COUNT_OF(left_out); i++)
        if (str_eq(r->group, left_out[i][0]) && str_eq(r->kind, left_out[i][1]))
            return false;
    return r->preferred && (r->verbs & need) == need && !strchr(r->plural, '/') &&
           !rules_skip_kind(r);
}

static bool in_scope(const struct session *s, const char *ns) {
    if (rules_system_namespace(ns) || rules_tandem_namespace(ns))
        return false;
    for (const char *const *x = s->cfg->ns_exclude; x && *x; x++)
        if (str_glob(*x, ns))
            return false;
    return true;
}

static bool has_owner(yyjson_val *item) {
    return yyjson_arr_size(json_get(item, "metadata", "ownerReferences")) > 0;
}

/* What tandem itself wrote there last: a create of another migrate, an update of the sync. */
static bool is_ours(struct look *l, yyjson_val *item, bool created) {
    char slot[2] = {l->s->destination, 0};
    struct journal_effect ef;
    const char *ref =
        object_ref_of(l->scratch, l->r->group, l->r->kind, json_str(item, "metadata", "namespace"),
                      json_str(item, "metadata", "name"));
    if (journal_effect_last(l->s->journal, l->scratch, slot, ref, &ef, NULL) <= 0)
        return false;
    return created ? str_eq(ef.uid, json_str(item, "metadata", "uid"))
                   : str_eq(ef.resource_version, json_str(item, "metadata", "resourceVersion"));
}

static void note_title(struct look *l, yyjson_val *item) {
    const char *ns = json_str(item, "metadata", "namespace");
    if (l->n_titles < LOSSES_TITLES)
        l->titles[l->n_titles++] = arena_printf(l->s->a, "%s %s%s%s", l->r->kind, ns ? ns : "",
                                                ns ? "/" : "", json_str(item, "metadata", "name"));
}

static void judge(struct look *l, yyjson_val *item) {
    const char *made = json_str(item, "metadata", "creationTimestamp");
    bool created = made && strcmp(made, l->since) > 0 && !is_ours(l, item, true);
    bool hands = hands_since(item, l->since) != NULL;
    if (created && !has_owner(item) && !facts_system_made(item))
        l->ret->created++;
    else if (!created && hands && !is_ours(l, item, false))
        l->ret->changed++;
    else
        return;
    note_title(l, item);
}

static bool in_bounds(const struct look *l) {
    return l->seen <= LOSSES_OBJECTS && clock_now_ms() < l->until &&
           !atomic_load(&l->s->cancel.stop);
}

static int look_at(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct look *l = ctx;
    const char *ns = json_str(item, "metadata", "namespace");
    l->seen++;
    if (!in_bounds(l))
        return ENOUGH;
    if (in_scope(l->s, ns ? ns : ""))
        judge(l, item);
    arena_reset(l->scratch);
    return 0;
}

/* 0, or negative when it could not be listed. What is beyond the bounds, or may not be read, is
 * said to be there. */
static int list_kind(struct look *l, const struct kube_resource *r,
                     int (*item)(void *, yyjson_val *, struct err *), const char *fields) {
    AUTO_ARENA a = arena_new();
    struct kube_list_opts lo = {.metadata_only = !fields, .field_selector = fields};
    struct kube_list_fn fn = {.item = item, .ctx = l};
    l->r = r;
    int n = kube_list(session_destination(l->s), a, r, &lo, &fn, NULL, NULL);
    l->ret->more |= n < 0;
    return n == ENOUGH ? 0 : n;
}

static void look_through(struct look *l, const struct kube_discovery *d) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(d, &all);
    for (size_t i = 0; i < n && in_bounds(l); i++)
        if (looks_at(&all[i]))
            (void)list_kind(l, &all[i], look_at, NULL);
    l->ret->more |= !in_bounds(l);
}

/* --- claims --- */

static void note_claim(struct look *l, char *name) {
    if (!map_has(l->claims, name))
        map_put(l->claims, arena_strdup(l->s->a, name), l);
    arena_reset(l->scratch);
}

static int look_at_pod(void *ctx, yyjson_val *pod, struct err *e UNUSED) {
    struct look *l = ctx;
    yyjson_val *volumes = json_get(pod, "spec", "volumes"), *v;
    const char *ns = json_str(pod, "metadata", "namespace");
    size_t i, max;
    l->seen++;
    if (!in_bounds(l))
        return ENOUGH;
    if (!ns || !in_scope(l->s, ns))
        return 0;
    yyjson_arr_foreach (volumes, i, max, v) {
        const char *name = json_str(v, "persistentVolumeClaim", "claimName");
        if (name)
            note_claim(l, arena_printf(l->scratch, "%s/%s", ns, name));
        else if (json_get(v, "ephemeral")) /* its claim is named POD-VOLUME */
            note_claim(l, arena_printf(l->scratch, "%s/%s-%s", ns,
                                       json_str(pod, "metadata", "name"), json_str(v, "name")));
    }
    return 0;
}

static void count_claims(struct look *l, const struct kube_discovery *d) {
    const struct kube_resource *pod = kube_discovery_find(d, "", NULL, "Pod");
    AUTO_MAP claims = map_new();
    l->claims = claims;
    l->ret->claims_known = pod && list_kind(l, pod, look_at_pod, "status.phase=Running") >= 0;
    l->ret->claims = map_len(claims);
}

/* --- all of it --- */

static int64_t earlier(int64_t a, int64_t b) {
    return a && b ? MIN(a, b) : MAX(a, b);
}

static void look_there(struct session *s, struct losses *ret) {
    struct kube_discovery *d;
    struct look l = {.s = s, .ret = ret, .until = clock_now_ms() + LOOK_MS};
    if (!session_destination(s) || kube_discover(session_destination(s), &d, NULL) < 0)
        return;
    l.scratch = arena_new();
    l.since = seconds_text(s->a, ret->since_ms);
    l.titles = arena_array(s->a, const char *, LOSSES_TITLES + 1);
    ret->titles = l.titles;
    if (ret->since_ms && s->journal && s->run_open) {
        look_through(&l, d);
        ret->known = true;
    }
    l.seen = 0;
    count_claims(&l, d);
    arena_free(l.scratch);
    kube_discovery_free(d);
}

void losses_there(struct session *s, struct losses *ret, const struct trail *t) {
    static const char *const none[] = {NULL};
    char direction = 0;
    *ret = (struct losses){.slot = s->destination, .percent = -1, .titles = none};
    ret->measured_ms = trail_way_back_ms(s);
    if (s->journal && s->run_open && following_direction(s, &direction, NULL) >= 0)
        ret->followed_back = direction == 'r';
    ret->since_ms = earlier(t->moved_ms, t->acts_ms);
    ret->known = s->journal && s->run_open && !ret->since_ms;
    look_there(s, ret);
}

/* Traffic that is there, and that the journal has not brought there, came at a time that nobody
 * knows. */
void losses_share(const struct session *s, struct losses *l, int percent) {
    l->percent = percent;
    if (s->n_tiers && percent != 0 && !l->since_ms)
        l->known = false;
}

void stage_losses(struct session *s, struct losses *ret) {
    struct trail t = {0};
    (void)trail_read(s, &t, NULL);
    losses_there(s, ret, &t);
    if (s->n_tiers)
        losses_share(s, ret, MAX(switch_observe(s, NULL), -1));
}

static void objects_text(const struct losses *l, struct sb *b) {
    if (!l->known) {
        sb_fmt(b, "; what was changed in %c since cannot be told", l->slot);
        return;
    }
    if (l->changed + l->created == 0) {
        sb_fmt(b, "; no object was changed in %c%s", l->slot,
               l->more ? ", as far as was looked" : "");
        return;
    }
    sb_fmt(b, "; %s%zu objects changed and %zu created in %c", l->more ? "more than " : "",
           l->changed, l->created, l->slot);
    for (size_t i = 0; l->titles && l->titles[i]; i++)
        sb_fmt(b, "%s%s", i ? ", " : " (", l->titles[i]);
    size_t named = MIN(l->changed + l->created, (size_t)LOSSES_TITLES);
    sb_str(b, l->changed + l->created > named || l->more ? ", …)" : ")");
    if (l->followed_back)
        sb_str(b, ", which the reverse sync carries back");
}

void back_losses_text(const struct losses *l, struct sb *b) {
    char t[CLOCK_RFC3339_MAX];
    if (l->known && !l->since_ms) {
        sb_fmt(b, "%c has no traffic and no singletons: nothing is lost", l->slot);
        return;
    }
    sb_fmt(b, "not taken back: what %c's applications did outside the clusters", l->slot);
    if (l->since_ms)
        sb_fmt(b, " since %s", clock_rfc3339(l->since_ms, t));
    sb_str(b, " (rows, queues, mails, calls)");
    if (!l->claims_known)
        sb_fmt(b, "; what was written to %c's volumes", l->slot);
    else if (l->claims)
        sb_fmt(b, "; what was written to %zu claims that running pods mount there", l->claims);
    objects_text(l, b);
}

yyjson_mut_val *back_losses_json(const struct losses *l, yyjson_mut_doc *d) {
    yyjson_mut_val *x = yyjson_mut_obj(d), *titles = yyjson_mut_arr(d);
    char t[CLOCK_RFC3339_MAX];
    json_mut_set_int(d, x, "measuredMs", (int64_t)l->measured_ms);
    json_mut_set_bool(d, x, "known", l->known);
    json_mut_set_str(d, x, "since", l->since_ms ? clock_rfc3339(l->since_ms, t) : "");
    json_mut_set_int(d, x, "changed", l->known ? (int64_t)l->changed : -1);
    json_mut_set_int(d, x, "created", l->known ? (int64_t)l->created : -1);
    json_mut_set_int(d, x, "claims", l->claims_known ? (int64_t)l->claims : -1);
    json_mut_set_bool(d, x, "moreThan", l->more);
    json_mut_set_bool(d, x, "followedBack", l->followed_back);
    for (size_t i = 0; l->titles && l->titles[i]; i++)
        yyjson_mut_arr_add_strcpy(d, titles, l->titles[i]);
    json_mut_set(d, x, "objects", titles);
    return x;
}
