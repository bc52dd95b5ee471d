#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "migrate/facts.h"
#include "migrate/handover_impl.h"
#include "migrate/managers.h"
#include "migrate/rules.h"

enum { ATTEMPTS = 5, CHUNK = 64 };

const char *handover_state_name(enum handover_state s) {
    static const char *const names[] = {"handed over", "already",  "finished",
                                        "alone",       "not held", "failed"};
    return s < COUNT_OF(names) ? names[s] : "?";
}

static struct finder finder_of(struct arena *a, const struct handover_opts *o, char slot,
                               struct handover_item **unlisted) {
    return (struct finder){.a = a,
                           .inc = o->ns_include,
                           .exc = o->ns_exclude,
                           .only_namespaced = o->only_namespaced,
                           .unlisted = unlisted,
                           .slot = slot};
}

static void fill(struct handover_item *it, enum handover_state s, const char *note) {
    it->state = s;
    it->note = note;
}

static const char *title_of(struct arena *a, const struct held *h) {
    return arena_printf(a, "%s %s%s%s", h->r->kind, h->ns ? h->ns : "", h->ns ? "/" : "", h->name);
}

/* --- one change of one object --- */

/* The object where this side serves it: a version that only the other one serves is answered with
 * 404, and its twin would be taken for missing. */
static char *path_at(struct arena *a, const struct side *s, const struct held *h) {
    const struct kube_resource *r = NULL;
    if (s->d)
        r = kube_discovery_find(s->d, h->r->group, h->r->version, h->r->kind);
    if (s->d && !r)
        r = kube_discovery_find(s->d, h->r->group, NULL, h->r->kind);
    return kube_path(a, r ? r : h->r, h->ns, h->name, NULL);
}

int handover_read(struct arena *a, const struct side *s, const struct held *h, yyjson_val **ret,
                  struct err *e) {
    return kube_get(s->c, a, path_at(a, s, h), NULL, ret, e);
}

static struct side side_from(const struct handover_opts *o) {
    return (struct side){o->from, o->from_slot, o->from_discovery};
}

static struct side side_to(const struct handover_opts *o) {
    return (struct side){o->to, o->to_slot, o->discovery};
}

static int journalled_patch(struct arena *a, const struct handover_opts *o, const struct side *s,
                            const struct held *h, const char *verb, const char *patch,
                            const char *previous, struct err *e) {
    const char slot[2] = {s->slot, 0};
    struct journal_effect ef = {
        .cluster = arena_strdup(a, slot),
        .ref = object_ref_of(a, h->r->group, h->r->kind, h->ns, h->name),
        .verb = verb,
        .previous = previous,
        .state = EFFECT_INTENT,
    };
    /* Without a journal (its disk is gone, or the way back from another machine) the annotation
     * alone tells what was; the change itself is what matters. */
    bool written = o->journal && journal_effects_begin(o->journal, o->run, &ef, 1, NULL) >= 0;
    struct kube_req req = {.method = "PATCH",
                           .path = path_at(a, s, h),
                           .query = "fieldManager=tandem",
                           .content_type = "application/merge-patch+json",
                           .body = patch,
                           .body_len = strlen(patch),
                           .idempotent = true};
    struct kube_resp resp;
    int r = kube_do(s->c, a, &req, &resp, e);
    ef.state = r >= 0 ? EFFECT_DONE : EFFECT_FAILED;
    ef.error = r >= 0 ? NULL : err_msg(e);
    if (written)
        (void)journal_effects_end(o->journal, &ef, 1, NULL);
    return r;
}

enum step { HOLD, UNHOLD, STAY /* held no more, and does not act either */ };

static const struct {
    const char *verb;
    char *(*patch)(struct arena *a, yyjson_val *live, const struct hold_row *row);
} steps[] = {[HOLD] = {"hold", hold_patch},
             [UNHOLD] = {"unhold", unhold_patch},
             [STAY] = {"unhold", stay_patch}};

/* Our change took the field that holds away from who owned it; without this its owner's next
 * server-side apply would meet a conflict. Handing over goes on without. */
static void give_back(struct arena *a, const struct side *s, const struct held *h, bool held,
                      yyjson_val *before) {
    struct err e = {0};
    int r = -EAGAIN;
    for (unsigned i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
        yyjson_val *after;
        struct kube_req req = {.method = "PATCH",
                               .path = path_at(a, s, h),
                               .query = "fieldManager=" MANAGER_OWN,
                               .content_type = "application/merge-patch+json",
                               .idempotent = true};
        struct kube_resp resp;
        r = handover_read(a, s, h, &after, &e);
        if (r >= 0 && !(req.body = managers_hand_over(a, before, after, held, &req.body_len)))
            return;
        if (r >= 0)
            r = kube_do(s->c, a, &req, &resp, &e);
    }
    if (r < 0)
        log_warn("%s: %s has no other owner than " MANAGER_OWN " now: %s", title_of(a, h),
                 h->row->path, err_msg(&e));
}

/* StatefulSets of 1.27 on may delete their claims with their pods (StatefulSetAutoDeletePVC). */
static bool would_delete_claims(const struct held *h, yyjson_val *live) {
    yyjson_val *policy = json_get(live, "spec", "persistentVolumeClaimRetentionPolicy");
    return str_eq(h->r->kind, "StatefulSet") && str_eq(h->row->path, "/spec/replicas") &&
           str_eq(json_str(policy, "whenScaled"), "Delete");
}

/* 1 changed, 0 was so. A write of somebody else in between (409) is read again. */
static int set_held(struct arena *a, const struct handover_opts *o, const struct side *s,
                    const struct held *h, enum step to_do, struct err *e) {
    int r = -EAGAIN;
    for (unsigned i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
        yyjson_val *live;
        r = handover_read(a, s, h, &live, e);
        if (r < 0)
            return r;
        char *patch = steps[to_do].patch(a, live, h->row);
        if (!patch)
            return 0;
        if (to_do == HOLD && would_delete_claims(h, live))
            return err_set(e, -EGUARD,
                           "with replicas 0 its claims would be deleted in %c "
                           "(persistentVolumeClaimRetentionPolicy): set whenScaled to Retain",
                           s->slot);
        const char *previous = hold_previous(a, h->row, hold_value(a, h->row, live));
        r = journalled_patch(a, o, s, h, steps[to_do].verb, patch, previous, e);
        if (r >= 0)
            give_back(a, s, h, to_do == HOLD, live);
    }
    return r < 0 ? r : 1;
}

static int stop_twin(struct arena *a, const struct handover_opts *o, const struct side *from,
                     struct held *h, struct err *e) {
    yyjson_val *twin;
    if (!from->c)
        return err_set(e, -EHOSTUNREACH, "cluster %c does not answer", from->slot);
    h->twin = TWIN_NONE;
    int r = handover_read(a, from, h, &twin, e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    uint32_t facts = facts_read(h->r->group, h->r->kind, twin);
    h->twin = facts & FACT_FINISHED                              ? TWIN_FINISHED
              : (facts & (FACT_STILL | FACT_HELD)) == FACT_STILL ? TWIN_STOPPED
                                                                 : TWIN_HELD;
    if (h->twin != TWIN_HELD)
        return 0;
    if (!(facts & FACT_HELD))
        quiet_window(h, o->cancel);
    return set_held(a, o, from, h, HOLD, e);
}

/* Before anything is stopped for its sake. */
static int check_loose(struct arena *a, const struct side *to, const struct held *h,
                       struct err *e) {
    yyjson_val *live;
    int r = handover_read(a, to, h, &live, e);
    if (r < 0 || unhold_patch(a, live, h->row))
        return r;
    const char *note = json_str(live, "metadata", "annotations", HOLD_ANNOTATION);
    return err_set(e, -EBADMSG,
                   "its annotation " HOLD_ANNOTATION " holds %s, which is no value of %s: put "
                   "the right one there",
                   note ? note : "nothing", h->row->path);
}

static bool no_answer(const struct err *e) {
    return !e->http && e->code != -EBADMSG && e->code != -EGUARD;
}

/* Lets it act in `to`, or not, as its twin tells. */
static int let_loose(struct arena *a, const struct handover_opts *o, const struct held *h,
                     struct err *e) {
    struct side from = side_from(o), to = side_to(o);
    struct handover_item *it = h->item;
    int r = 0;
    switch (h->twin) {
    case TWIN_FINISHED:
        fill(it, HAND_FINISHED, "has run to its end where it acted; does not run again");
        return o->forward ? set_held(a, o, &to, h, STAY, e) : 0;
    case TWIN_STOPPED:
        fill(it, HAND_ALREADY,
             arena_printf(a, "its owner has stopped it in %c: it acts in neither", o->from_slot));
        return set_held(a, o, &to, h, STAY, e);
    case TWIN_HELD: r = quiet_carry(a, o->discovery, &from, &to, h, e); break;
    case TWIN_NONE:
    default: break;
    }
    return r < 0 ? r : set_held(a, o, &to, h, UNHOLD, e);
}

static bool stopped(const struct handover_opts *o) {
    return o->cancel && atomic_load(&o->cancel->stop);
}

static void stop_one(struct arena *a, const struct handover_opts *o, struct held *h) {
    struct side from = side_from(o), to = side_to(o);
    struct err e = {0};
    if (h->failed)
        return;
    h->failed = check_loose(a, &to, h, &e) < 0;
    if (h->failed) {
        fill(h->item, HAND_FAILED, arena_printf(a, "cannot be let loose: %s", err_msg(&e)));
        return;
    }
    h->unheld = stop_twin(a, o, &from, h, &e) < 0;
    h->failed = h->unheld && !(o->from_unreachable_ok && no_answer(&e));
    if (h->failed)
        fill(h->item, HAND_FAILED,
             arena_printf(a, "cannot be held where it acts: %s", err_msg(&e)));
}

/* It stays where it acts: what was stopped for its sake gets its value back. */
static void take_back(struct arena *a, const struct handover_opts *o, struct held *h,
                      const char *why) {
    struct side from = side_from(o);
    struct err e = {0};
    h->failed = true;
    bool back = set_held(a, o, &from, h, UNHOLD, &e) >= 0;
    fill(h->item, HAND_FAILED,
         back ? arena_printf(a, "%s; acts in %c still", why, o->from_slot)
              : arena_printf(a, "%s; acts in neither, and could not be let loose again in %c: %s",
                             why, o->from_slot, err_msg(&e)));
}

/* Nothing was let loose, and what was stopped would act in neither. What drives others stays
 * stopped all the same: they may have changed hands by then, and it would start them again. */
static bool is_refusal(const struct held *h, const struct err *e) {
    return e->http >= 400 && e->http < 500 && h->twin == TWIN_HELD && !h->unheld && !h->row->drives;
}

static void loose_one(struct arena *a, const struct handover_opts *o, struct held *h) {
    struct err e = {0};
    if (h->failed)
        return;
    fill(h->item,
         h->unheld              ? HAND_UNHELD
         : h->twin == TWIN_NONE ? HAND_ALONE
                                : HAND_DONE,
         arena_printf(a, "acts in %c now%s%s", o->to_slot,
                      h->unheld ? "; the other cluster does not answer, and was not held"
                      : h->twin == TWIN_NONE ? "; the other cluster does not have it"
                                             : "",
                      h->under_way ? h->under_way : ""));
    if (let_loose(a, o, h, &e) >= 0)
        return;
    const char *why = arena_printf(a, "cannot be let loose: %s", err_msg(&e));
    if (is_refusal(h, &e))
        take_back(a, o, h, why);
    else
        fill(h->item, HAND_FAILED, why);
}

/* The resource that may not be patched where h is to act; NULL: none, or the API server does not
 * say.
 */
static const char *forbidden(struct kube_client *c, const struct held *h) {
    bool cron = str_eq(h->row->group, "batch") && str_eq(h->r->kind, "CronJob");
    const char *const resources[] = {h->r->plural, cron ? "cronjobs/status" : NULL};
    for (size_t i = 0; i < COUNT_OF(resources) && resources[i]; i++) {
        bool may = true;
        if (kube_can_i(c, "patch", h->r->group, resources[i], h->ns, &may, NULL) >= 0 && !may)
            return resources[i];
    }
    return NULL;
}

/* Before anything is stopped: what may not be let loose afterwards would act in neither cluster. */
static void check_rights(struct arena *a, const struct handover_opts *o, struct held *first) {
    const struct held *last = NULL;
    const char *what = NULL;
    for (struct held *h = first; h && !stopped(o); h = h->next) {
        if (!last || last->r != h->r || !str_eq(last->ns, h->ns))
            what = forbidden(o->to, h);
        last = h;
        h->failed = what != NULL;
        if (what)
            fill(h->item, HAND_FAILED,
                 arena_printf(a,
                              "cannot be let loose: this credential may not patch %s in %c "
                              "(`tandem rbac %c` prints the role)",
                              what, o->to_slot, o->to_slot));
    }
}

static void loose_busy(struct arena *a, const struct handover_opts *o, struct held *h) {
    if (h->busy)
        take_back(a, o, h,
                  arena_printf(a,
                               "%zu of its runs are still under way in %c, and its "
                               "concurrencyPolicy wants no other beside them",
                               h->busy, o->from_slot));
    else
        loose_one(a, o, h);
}

/* Some of one row: all are stopped, then one wait for all, then all are let loose. CronJobs only as
 * many as fit before the minute turns. Returns the first that was not looked at. */
static struct held *hand_chunk(struct arena *a, const struct handover_opts *o, struct held *first,
                               struct held *end) {
    struct side from = side_from(o);
    int64_t since = 0;
    for (struct held *h = first; h != end; h = h->next) {
        if (since && !quiet_fits(since, clock_wall_ms())) {
            end = h;
            break;
        }
        stop_one(a, o, h);
        if (h->timed && !since)
            since = clock_wall_ms();
    }
    quiet_wait(a, o, &from, first, end);
    for (struct held *h = first; h != end; h = h->next)
        if (!(h->late = h->busy != 0))
            loose_one(a, o, h);
    quiet_end_runs(a, o, &from, first, end);
    for (struct held *h = first; h != end; h = h->next)
        if (h->late)
            loose_busy(a, o, h);
    return end;
}

static struct held *chunk_end(struct held *h) {
    const struct hold_row *row = h->row;
    for (size_t n = 0; h && h->row == row && n < CHUNK; n++)
        h = h->next;
    return h;
}

/* What drives others is stopped before them and let loose after them: it would undo their holds. */
static int hand_all(struct arena *a, const struct handover_opts *o, struct held *first,
                    struct err *e) {
    struct held *rest = first;
    check_rights(a, o, first);
    for (; rest && rest->row->drives && !stopped(o); rest = rest->next)
        stop_one(a, o, rest);
    for (struct held *h = rest; h && !stopped(o);)
        h = hand_chunk(a, o, h, chunk_end(h));
    for (struct held *h = first; h != rest && !stopped(o); h = h->next)
        loose_one(a, o, h);
    return stopped(o) ? err_set(e, -ESTOPPED, "stopped; run it again to go on") : 0;
}

static struct handover_item *new_item(struct arena *a, const struct held *h,
                                      struct handover_item *next) {
    struct handover_item *it = arena_new_of(a, struct handover_item);
    it->title = title_of(a, h);
    it->next = next;
    return it;
}

static bool tells_of_hold(const struct journal_effect *ef) {
    return str_eq(ef->verb, "hold") || str_eq(ef->verb, "unhold") ||
           (str_eq(ef->verb, "create") && ef->previous);
}

static bool remembers(const struct handover_opts *o) {
    return o->journal && !str_empty(o->run);
}

/* What this run never held may be each cluster's own, or a rule lets it act in both. Without a
 * journal nobody knows: then what acts by itself is better held than doubled. */
static bool was_held(const struct handover_opts *o, const struct held *h) {
    AUTO_ARENA a = arena_new();
    const char slots[2][2] = {{o->from_slot, 0}, {o->to_slot, 0}};
    const char *ref = object_ref_of(a, h->r->group, h->r->kind, h->ns, h->name);
    if (rules_system_namespace(h->ns))
        return false;
    if (!remembers(o))
        return true;
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        struct journal_effect *v;
        size_t n;
        if (journal_effects_of(o->journal, a, o->run, slots[i], ref, &v, &n, NULL) < 0)
            return true;
        for (size_t k = 0; k < n; k++)
            if (tells_of_hold(&v[k]))
                return true;
    }
    return false;
}

/* What acts in both clusters (the one that was to stop did not answer at the time) is held in
 * `from`. */
static int stop_doubles(struct arena *a, const struct handover_opts *o,
                        struct handover_item **first, struct err *e) {
    struct side from = side_from(o), to = side_to(o);
    struct finder f = finder_of(a, o, o->from_slot, first);
    f.look = remembers(o) ? LOOK_ACTING : LOOK_ACTING_ALONE;
    if (!from.c || !from.d)
        return 0;
    int r = handover_find(&f, o->from, o->from_discovery, e);
    for (struct held *h = r < 0 ? NULL : f.first; h; h = h->next) {
        yyjson_val *twin;
        struct err why = {0};
        if (!was_held(o, h) || handover_read(a, &to, h, &twin, NULL) < 0 ||
            !handover_wanted(f.look, h->row, h->r, twin))
            continue;
        *first = new_item(a, h, *first);
        if (o->dry_run)
            fill(*first, HAND_ALREADY,
                 arena_printf(a, "acts in both; would be held in %c", o->from_slot));
        else if (set_held(a, o, &from, h, HOLD, &why) < 0)
            fill(*first, HAND_FAILED, arena_printf(a, "acts in both: %s", err_msg(&why)));
        else
            fill(*first, HAND_DONE, arena_printf(a, "acted in both; held in %c now", o->from_slot));
    }
    return o->from_unreachable_ok ? 0 : r;
}

int handover(struct arena *a, const struct handover_opts *o, struct handover_item **ret,
             struct err *e) {
    struct handover_item *first = NULL;
    struct finder f = finder_of(a, o, o->to_slot, &first);
    int r = handover_find(&f, o->to, o->discovery, e);
    if (r < 0)
        return r;
    for (struct held *i = f.first; i; i = i->next) {
        first = i->item = new_item(a, i, first);
        fill(first, HAND_ALREADY, o->dry_run ? "would be handed over" : "not reached");
    }
    *ret = first;
    r = o->dry_run ? 0 : hand_all(a, o, f.first, e);
    if (r >= 0)
        r = stop_doubles(a, o, &first, e);
    *ret = first;
    return r;
}

int handover_held(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                  const char *const *inc, const char *const *exc, struct handover_item **ret,
                  struct err *e) {
    struct finder f = {.a = a, .inc = inc, .exc = exc};
    int r = handover_find(&f, c, d, e);
    if (r < 0)
        return r;
    *ret = NULL;
    for (struct held *h = f.first; h; h = h->next) {
        *ret = new_item(a, h, *ret);
        fill(*ret, HAND_ALREADY, NULL);
    }
    return 0;
}
