/* What a run did to one object, and what it would take to undo that now. */
#include <errno.h>

#include "migrate/hands.h"
#include "migrate/keep.h"
#include "migrate/leaves.h"
#include "migrate/previous.h"
#include "migrate/scrub.h"
#include "migrate/undo.h"
#include "migrate/world_impl.h"

enum { SETS_MAX = 16, NOTE_FIELDS = 3 };

bool undo_is(const struct piece *p, const char *group, const char *kind) {
    return str_eq(p->r->kind, kind) && str_eq(p->r->group, group);
}

char *undo_path(struct arena *a, const struct piece *p) {
    return kube_path(a, p->r, *p->ns ? p->ns : NULL, p->name, NULL);
}

/* --- what the run did, from its effects --- */

struct history {
    bool created, doubtful; /* doubtful: no answer to the create was ever seen */
    bool written;
    bool blind; /* an update of ours has made managedFields anew, and others' changes were there */
    const char *uid;
    const char *rv; /* of the newest write that was answered */
    const char *leaves[SETS_MAX];
    size_t n_leaves;
    yyjson_mut_doc *doc;
    yyjson_mut_val *restore; /* merge patch over all updates */
    const char *wrote;
    const char *copy;
    bool links;          /* an update gave it owners */
    const char *deleted; /* uid of what was told to go and has not been written again */
};

static void add_previous(struct arena *a, struct history *h, const char *text) {
    yyjson_val *v;
    if (!text || json_parse(a, text, strlen(text), &v, NULL) < 0)
        return;
    yyjson_val *restore = json_get(v, "restore");
    const char *copy = json_str(v, "copy");
    h->wrote = previous_join(a, h->wrote, json_str(v, "wrote"));
    h->copy = h->copy ? h->copy : copy;
    h->links |= yyjson_is_true(json_get(v, "links"));
    h->blind |= !yyjson_is_false(json_get(v, "hands"));
    if (!restore)
        return;
    yyjson_mut_val *later = yyjson_val_mut_copy(h->doc, restore);
    h->restore = previous_over(h->doc, later, h->restore);
}

/* Meant as a create, but another's namespace or ServiceAccount was there by then and was completed:
 * that is noted. A default ServiceAccount is completed so too, but goes with its namespace. */
static bool was_completed(struct arena *a, const char *ref, const char *previous) {
    yyjson_val *v;
    bool account = str_starts(ref, "/ServiceAccount/") && !str_eq(strrchr(ref, '/'), "/default");
    return (account || str_starts(ref, "/Namespace/")) && previous &&
           json_parse(a, previous, strlen(previous), &v, NULL) >= 0 && json_str(v, "wrote");
}

/* What was answered replaces what was sent before it; of what was not, the newest count. */
static void add_leaves(struct history *h, const struct journal_effect *ef) {
    if (ef->state == EFFECT_DONE)
        h->n_leaves = 0;
    if (h->n_leaves == SETS_MAX)
        memmove(h->leaves, h->leaves + 1, sizeof *h->leaves * --h->n_leaves);
    h->leaves[h->n_leaves++] = ef->leaves;
}

static void add_write(struct arena *a, struct history *h, const struct journal_effect *ef) {
    bool create = str_eq(ef->verb, "create") && !was_completed(a, ef->ref, ef->previous);
    bool another = ef->uid && h->uid && !str_eq(ef->uid, h->uid);
    if (another) /* of the same name: what follows is new */
        *h = (struct history){.doc = h->doc};
    if (!h->written)
        h->created = h->doubtful = create;
    h->written = true;
    h->uid = ef->uid ? ef->uid : h->uid;
    if (ef->state == EFFECT_DONE) {
        h->doubtful = false;
        h->rv = ef->resource_version;
    }
    if (ef->leaves)
        add_leaves(h, ef);
    if (!create)
        add_previous(a, h, ef->previous);
}

static void read_history(struct arena *a, struct history *h, const struct journal_effect *v,
                         size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct journal_effect *ef = &v[i];
        bool done = ef->state == EFFECT_DONE;
        if (ef->state == EFFECT_FAILED)
            continue;
        bool gone = str_eq(ef->verb, "delete");
        if ((gone || str_eq(ef->verb, "restore")) && done) /* taken back; what follows is new */
            *h = (struct history){.doc = h->doc, .deleted = gone ? ef->uid : NULL};
        else if (str_eq(ef->verb, "create") || str_eq(ef->verb, "update"))
            add_write(a, h, ef);
    }
}

/* --- has somebody changed it since? --- */

/* A claim or a chosen address is compared as it was sent, whatever the cluster's ranges are. */
static bool any(void *ctx UNUSED, const char *what UNUSED) {
    return true;
}

static yyjson_mut_val *scrubbed(struct arena *a, const struct piece *p, yyjson_val *live) {
    static const struct scrub_env env = {.volume_moves = any, .service_ip_fits = any};
    struct kind k = {.src = p->r, .dst = p->r};
    return scrub_object(json_doc(a), &k, live, SCRUB_DESTINATION, &env, NULL, NULL);
}

struct changed {
    struct arena *a;
    const struct piece *p;
    yyjson_val *live;
    bool blind; /* managedFields do not tell: there are none, or see struct history */
    struct sb text;
    size_t n;
};

/* Our own precaution of before: see protect() in unmigrate.c. */
static bool is_precaution(const struct changed *c, const char *pointer) {
    return undo_is(c->p, "", "PersistentVolume") &&
           str_eq(pointer, "/spec/persistentVolumeReclaimPolicy") &&
           str_eq(json_str(c->live, "spec", "persistentVolumeReclaimPolicy"), "Retain");
}

/* Filled in by a newer server when it was written, under the writer's name. */
static bool is_new_default(const struct changed *c, const char *pointer) {
    size_t n;
    const struct new_default *row = compare_new_defaults(&n);
    yyjson_val *v = yyjson_ptr_get(c->live, pointer);
    AUTO_SB text = SB_INIT(0);
    json_canonical(&text, v);
    for (size_t i = 0; v && i < n; i++)
        if (str_eq(row[i].group, c->p->r->group) && str_eq(row[i].kind, c->p->r->kind) &&
            str_glob(row[i].path, pointer) && str_glob(row[i].value, sb_get(&text)))
            return true;
    return false;
}

static void note_change(void *ctx, const char *pointer, enum leaf_fate fate) {
    struct changed *c = ctx;
    if (fate == LEAF_ABSENT && is_new_default(c, pointer))
        return;
    const char *who = hands_at(c->live, pointer);
    if (is_precaution(c, pointer) || (!who && (!c->blind || hands_system(c->live, pointer))))
        return;
    if (c->n++ < NOTE_FIELDS)
        sb_fmt(&c->text, "%s%s%s (%s)", c->text.len ? ", " : "", fate == LEAF_ABSENT ? "+" : "",
               pointer, who ? who : "by whom is not known");
}

/* Against one set; the text of what differs, or NULL. */
static const char *changed_since(struct arena *a, const struct undo *u, const struct piece *p,
                                 yyjson_val *live, yyjson_mut_val *tree, bool blinded,
                                 const char *text) {
    struct leaves l;
    struct leaves_count n;
    bool blind = blinded || !json_get(live, "metadata", "managedFields");
    struct changed c = {.a = a, .p = p, .live = live, .blind = blind};
    if (leaves_read(journal_salt(u->o->journal), text, &l, NULL) < 0)
        return NULL;
    leaves_compare(&l, tree, &n, note_change, &c);
    const char *who = hands_on(live);
    if (n.gone && (who || blind)) {
        c.n += n.gone;
        sb_fmt(&c.text, "%s%zu fields are gone (%s)", c.text.len ? ", " : "", n.gone,
               who ? who : "by whom is not known");
    }
    const char *out =
        c.n ? arena_printf(a, "%s%s", sb_get(&c.text), c.n > NOTE_FIELDS ? ", …" : "") : NULL;
    sb_done(&c.text);
    return out;
}

/* Exactly what one of our writes sent? For creates whose answer nobody saw. */
static bool has_our_content(const struct undo *u, yyjson_mut_val *tree, const struct history *h) {
    for (size_t i = 0; i < h->n_leaves; i++) {
        struct leaves l;
        struct leaves_count n;
        if (leaves_read(journal_salt(u->o->journal), h->leaves[i], &l, NULL) < 0)
            continue;
        leaves_compare(&l, tree, &n, NULL, NULL);
        if (!n.other && !n.gone)
            return true;
    }
    return false;
}

/* --- what is to be done --- */

static int leave(struct look *l, enum taken t, const char *note) {
    l->p->taken = (uint8_t)t;
    l->p->note = note;
    l->p->act = ACT_NONE;
    return 0;
}

/* An update whose answer was lost may or may not have been done: any of the sets will do. */
static const char *moved_on(const struct undo *u, struct look *l, const struct history *h) {
    yyjson_mut_val *tree = scrubbed(l->a, l->p, l->live);
    const char *first = NULL;
    for (size_t i = h->n_leaves; i-- > 0;) {
        const char *why = changed_since(l->a, u, l->p, l->live, tree, h->blind, h->leaves[i]);
        if (!why)
            return NULL;
        first = first ? first : why;
    }
    return first;
}

static int look_created(const struct undo *u, struct look *l, const struct history *h) {
    struct arena *a = l->a;
    if (h->uid && !str_eq(h->uid, l->uid))
        return leave(l, TAKEN_MOVED, "somebody has made it anew since: it is not the run's");
    bool never_came = h->doubtful && !has_our_content(u, scrubbed(a, l->p, l->live), h);
    if (never_came && undo_clusters_own(a, l->p->r, l->live))
        return leave(l, TAKEN_ALREADY, NULL); /* nobody's either: its namespace's ServiceAccount */
    if (never_came)
        return leave(l, TAKEN_MOVED,
                     "is there, but not as the run would have made it: it is taken as another's");
    if (json_get(l->live, "metadata", "deletionTimestamp")) {
        l->p->pending = true;
        return leave(l, TAKEN_DELETED, NULL);
    }
    /* An update keeps what others changed before it: then the version tells nothing. */
    bool untouched = !h->blind && str_eq(h->rv, l->rv);
    const char *why = u->o->force || untouched ? NULL : moved_on(u, l, h);
    if (why)
        return leave(l, TAKEN_MOVED, arena_printf(a, "changed since: %s", why));
    l->p->act = ACT_DELETE;
    return 0;
}

/* --- restoring --- */

struct limiter {
    const struct undo *u;
    struct arena *a;
    const struct leaves *wrote;
    struct sb moved; /* pointers that somebody else has changed */
    struct sb at;
};

static bool same(yyjson_mut_val *want, yyjson_mut_val *have) {
    return have ? json_mut_equal(want, have) : yyjson_mut_is_null(want);
}

/* Leaves in `patch` what still is as the run wrote it. */
static void limit(struct limiter *m, struct leaf_at at, yyjson_mut_val *patch,
                  yyjson_mut_val *live) {
    yyjson_mut_obj_iter it = yyjson_mut_obj_iter_with(patch);
    yyjson_mut_val *key;
    yyjson_mut_doc *d = json_doc(m->a);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *val = yyjson_mut_obj_iter_get_val(key), *now = yyjson_mut_obj_get(live, k);
        struct leaf_at in = leaves_in(m->wrote, at, k);
        size_t mark = m->at.len;
        json_pointer_add(&m->at, k);
        bool drop = same(val, now);
        if (!drop && yyjson_mut_is_obj(val) && yyjson_mut_is_obj(now)) {
            limit(m, in, val, now);
            drop = yyjson_mut_obj_size(val) == 0;
        } else if (!drop && !m->u->o->force &&
                   leaves_judge(m->wrote, in, now ? now : yyjson_mut_null(d)) != LEAF_SAME) {
            sb_fmt(&m->moved, "%s%s", m->moved.len ? ", " : "", sb_get(&m->at));
            drop = true;
        }
        m->at.len = mark;
        m->at.p[mark] = 0;
        if (drop)
            yyjson_mut_obj_iter_remove(&it);
    }
}

/* What of a Secret a patch can bring back. */
static const struct {
    const char *in, *field; /* in: NULL for the top */
} secret_parts[] = {
    {NULL, "data"},
    {NULL, "immutable"},
    {"metadata", "labels"},
    {"metadata", "annotations"},
    {"metadata", "ownerReferences"},
};

static yyjson_mut_val *part_of(yyjson_mut_val *body, size_t i) {
    const char *in = secret_parts[i].in, *field = secret_parts[i].field;
    return in ? json_mut_get(body, in, field) : json_mut_get(body, field);
}

/* Of a Secret: the patch that makes of it what the copy holds. */
static int secret_restore(const struct undo *u, struct look *l, struct history *h, struct err *e) {
    yyjson_mut_val *was, *live = yyjson_val_mut_copy(h->doc, l->live);
    int r = keep_fetch(u->o->c, l->a, h->doc, h->copy, &was, e);
    if (r < 0)
        return r;
    h->restore = yyjson_mut_obj(h->doc);
    for (size_t i = 0; i < COUNT_OF(secret_parts); i++) {
        yyjson_mut_val *old = part_of(was, i), *now = part_of(live, i);
        if ((!old && !now) || (old && now && json_mut_equal(old, now)))
            continue;
        yyjson_mut_val *at = secret_parts[i].in
                                 ? json_mut_obj_at(h->doc, h->restore, secret_parts[i].in)
                                 : h->restore;
        if (yyjson_mut_is_obj(old) && yyjson_mut_is_obj(now))
            old = previous_between(h->doc, old, now);
        json_mut_set(h->doc, at, secret_parts[i].field, old ? old : yyjson_mut_null(h->doc));
    }
    return 0;
}

bool undo_gives_owners(yyjson_mut_val *restore) {
    return json_mut_get(restore, "metadata", "ownerReferences");
}

bool undo_brings_back(const struct piece *p) {
    return p->act == ACT_RESTORE || p->act == ACT_REMAKE;
}

static bool has_owners(yyjson_val *live) {
    return yyjson_arr_size(json_get(live, "metadata", "ownerReferences")) > 0;
}

/* Is one of those that a body names as its owners there? Without any the garbage collector would
 * delete it again, and has deleted it before. */
static int owner_lives(const struct undo *u, struct arena *a, const struct piece *p,
                       yyjson_mut_val *refs, bool *ret, struct err *e) {
    size_t i, max;
    yyjson_mut_val *ref;
    *ret = yyjson_mut_arr_size(refs) == 0;
    yyjson_mut_arr_foreach (refs, i, max, ref) {
        const char *api = json_mut_str(ref, "apiVersion"), *name = json_mut_str(ref, "name");
        const char *slash = api ? strchr(api, '/') : NULL;
        const char *group = slash ? arena_strndup(a, api, (size_t)(slash - api)) : "";
        const struct kube_resource *r =
            kube_discovery_find(u->o->discovery, group, NULL, json_mut_str(ref, "kind"));
        yyjson_val *owner;
        if (!r || !name)
            continue;
        int got = kube_get(u->o->c, a, kube_path(a, r, r->namespaced ? p->ns : NULL, name, NULL),
                           NULL, &owner, e);
        if (got < 0 && got != -ENOENT)
            return got;
        *ret |= got >= 0 && str_eq(json_str(owner, "metadata", "uid"), json_mut_str(ref, "uid"));
    }
    return 0;
}

/* Gone, and not by us. Of a Secret there is a copy to make it anew from. */
static int look_gone(const struct undo *u, struct look *l, struct history *h, struct err *e) {
    yyjson_mut_val *was;
    bool lives;
    if (h->created)
        return leave(l, TAKEN_ALREADY, NULL);
    int r = h->copy ? keep_fetch(u->o->c, l->a, h->doc, h->copy, &was, e) : -ENOENT;
    if (r == -ENOENT)
        return leave(l, TAKEN_MOVED, "somebody has deleted it since");
    if (r >= 0)
        r = owner_lives(u, l->a, l->p, json_mut_get(was, "metadata", "ownerReferences"), &lives, e);
    if (r < 0)
        return r;
    if (!lives)
        return leave(l, TAKEN_MOVED, "has gone with its owner since");
    l->restore = was;
    l->p->act = ACT_REMAKE;
    return 0;
}

/* Another uid: made anew by somebody, or by us (ACT_REMAKE) without an answer to that. */
static int look_replaced(const struct undo *u, struct look *l, struct history *h, struct err *e) {
    int r = h->copy ? secret_restore(u, l, h, e) : -ENOENT;
    if (r < 0 && r != -ENOENT)
        return r;
    return r >= 0 && yyjson_mut_obj_size(h->restore) == 0
               ? leave(l, TAKEN_ALREADY, NULL)
               : leave(l, TAKEN_MOVED, "somebody has made it anew since");
}

static int look_updated(const struct undo *u, struct look *l, struct history *h, struct err *e) {
    struct leaves wrote;
    if (h->uid && !str_eq(h->uid, l->uid))
        return look_replaced(u, l, h, e);
    if (h->copy) {
        int r = secret_restore(u, l, h, e);
        l->bound = r == -ENOENT && h->links && has_owners(l->live);
        if (r == -ENOENT)
            return leave(l, TAKEN_FAILED,
                         "the copy of its previous values is gone from "
                         "namespace " KEEP_NAMESPACE);
        if (r < 0)
            return r;
    }
    if (!h->restore || leaves_read(journal_salt(u->o->journal), h->wrote, &wrote, NULL) < 0)
        return leave(l, TAKEN_ALREADY, NULL); /* it was never sent */
    struct limiter m = {.u = u, .a = l->a, .wrote = &wrote};
    limit(&m, leaves_top(), h->restore, yyjson_val_mut_copy(h->doc, l->live));
    if (m.moved.len)
        leave(l, TAKEN_MOVED, arena_printf(l->a, "changed since: %s", sb_get(&m.moved)));
    else
        leave(l, TAKEN_ALREADY, NULL);
    l->bound =
        h->links && has_owners(l->live) &&
        (undo_gives_owners(h->restore) || strstr(sb_get(&m.moved), "/metadata/ownerReferences"));
    sb_done(&m.moved);
    sb_done(&m.at);
    if (yyjson_mut_obj_size(h->restore) == 0)
        return 0;
    yyjson_mut_val *meta = json_mut_obj_at(h->doc, h->restore, "metadata");
    json_mut_set_str(h->doc, meta, "uid", l->uid);
    json_mut_set_str(h->doc, meta, "resourceVersion", l->rv);
    l->restore = h->restore;
    l->p->act = ACT_RESTORE;
    return 0;
}

/* Told to go by an earlier call: a finalizer may still keep it. What has its name now and another
 * uid is somebody's. */
static int look_deleted(const struct undo *u, struct look *l, const char *uid, struct err *e) {
    int r = kube_get(u->o->c, l->a, undo_path(l->a, l->p), NULL, &l->live, e);
    if (r < 0 && r != -ENOENT)
        return r;
    l->uid = uid;
    l->p->pending = r >= 0 && str_eq(json_str(l->live, "metadata", "uid"), uid);
    return leave(l, l->p->pending ? TAKEN_DELETED : TAKEN_ALREADY, NULL);
}

int undo_look(struct undo *u, struct look *l, struct err *e) {
    struct journal_effect *v;
    size_t n;
    struct arena *a = l->a;
    l->p->act = ACT_NONE;
    l->bound = false;
    int r = journal_effects_of(u->o->journal, a, u->o->run, u->slot, l->p->ref, &v, &n, e);
    if (r < 0)
        return r;
    struct history h = {.doc = json_doc(a)};
    read_history(a, &h, v, n);
    if (!h.written && h.deleted)
        return look_deleted(u, l, h.deleted, e);
    if (!h.written)
        return leave(l, TAKEN_ALREADY, NULL);
    r = kube_get(u->o->c, a, undo_path(a, l->p), NULL, &l->live, e);
    if (r == -ENOENT)
        return look_gone(u, l, &h, e);
    if (r < 0)
        return r;
    l->uid = json_str(l->live, "metadata", "uid");
    l->rv = json_str(l->live, "metadata", "resourceVersion");
    return h.created ? look_created(u, l, &h) : look_updated(u, l, &h, e);
}

int undo_links(struct undo *u, const struct piece *p, bool *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct journal_effect *v;
    size_t n;
    int r = journal_effects_of(u->o->journal, a, u->o->run, u->slot, p->ref, &v, &n, e);
    if (r < 0)
        return r;
    struct history h = {.doc = json_doc(a)};
    read_history(a, &h, v, n);
    *ret = h.written && !h.created && h.links;
    return 0;
}
