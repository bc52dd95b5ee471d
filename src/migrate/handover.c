#include "migrate/handover.h"

#include <errno.h>

#include "base/clock.h"
#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/hold.h"

enum { SETTLE_MS = 1200, ATTEMPTS = 5 };

const char *handover_state_name(enum handover_state s) {
    static const char *const names[] = {"handed over", "already", "finished", "alone", "failed"};
    return s < COUNT_OF(names) ? names[s] : "?";
}

/* One held object found in `to`. */
struct held {
    const struct kube_resource *r;
    const struct hold_row *row;
    const char *ns, *name;
    struct held *next;
};

struct finder {
    struct arena *a;
    const struct kube_resource *r;
    const struct hold_row *row;
    const char *const *inc, *const *exc;
    bool acting; /* look for what acts, else for what is held */
    struct held *first;
};

static bool matches_any(const char *const *patterns, const char *s) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (str_glob(patterns[i], s))
            return true;
    return false;
}

static bool in_scope(const struct finder *f, const char *ns) {
    bool in = !f->inc || !f->inc[0] || matches_any(f->inc, ns);
    return in && !matches_any(f->exc, ns);
}

/* Acts by itself: neither held nor suspended nor at its end, and nobody's child. */
static bool acts(const struct hold_row *row, yyjson_val *item) {
    uint32_t facts = facts_read(row->group, row->kind, item);
    return !(facts & (row->not_when | FACT_HELD | FACT_DELETING)) &&
           !json_get(item, "metadata", "ownerReferences");
}

static int found(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct finder *f = ctx;
    const char *ns = json_str(item, "metadata", "namespace");
    bool wanted = f->acting ? acts(f->row, item)
                            : json_str(item, "metadata", "annotations", HOLD_ANNOTATION) != NULL;
    if (!wanted || !in_scope(f, ns ? ns : ""))
        return 0;
    struct held *h = arena_new_of(f->a, struct held);
    *h = (struct held){f->r, f->row, arena_strdup(f->a, ns),
                       arena_strdup(f->a, json_str(item, "metadata", "name")), f->first};
    f->first = h;
    return 0;
}

static int find(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                const char *const *inc, const char *const *exc, bool acting, struct held **ret,
                struct err *e) {
    size_t n;
    const struct hold_row *rows = hold_rows(&n);
    struct finder f = {.a = a, .inc = inc, .exc = exc, .acting = acting};
    for (size_t i = 0; i < n; i++) {
        f.row = &rows[i];
        f.r = kube_discovery_find(d, rows[i].group, NULL, rows[i].kind);
        /* What is held only where it is asked for runs in both clusters otherwise. */
        if (!f.r || (acting && rows[i].not_when == UINT32_MAX))
            continue;
        struct kube_list_fn fn = {.item = found, .ctx = &f};
        struct kube_list_opts lo = {0};
        int r = kube_list(c, a, f.r, &lo, &fn, NULL, e);
        if (r < 0)
            return err_ctx(e, r, "looking at %s", f.r->plural);
    }
    *ret = f.first;
    return 0;
}

static int find_held(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                     const char *const *inc, const char *const *exc, struct held **ret,
                     struct err *e) {
    return find(a, c, d, inc, exc, false, ret, e);
}

/* --- one change of one object --- */

struct side {
    struct kube_client *c;
    char slot;
};

static int read_live(struct arena *a, const struct side *s, const struct held *h, yyjson_val **ret,
                     struct err *e) {
    return kube_get(s->c, a, kube_path(a, h->r, h->ns, h->name, NULL), NULL, ret, e);
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
                           .path = kube_path(a, h->r, h->ns, h->name, NULL),
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

/* 1 changed, 0 was so. A write of somebody else in between (409) is read again. */
static int set_held(struct arena *a, const struct handover_opts *o, const struct side *s,
                    const struct held *h, enum step to_do, struct err *e) {
    int r = -EAGAIN;
    for (unsigned i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
        yyjson_val *live;
        r = read_live(a, s, h, &live, e);
        if (r < 0)
            return r;
        char *patch = steps[to_do].patch(a, live, h->row);
        if (!patch)
            return 0;
        yyjson_val *now = json_get(live, "spec", h->row->field);
        const char *previous = arena_printf(a, "{\"/spec/%s\":%s}", h->row->field,
                                            now ? json_write(a, now, NULL) : "null");
        r = journalled_patch(a, o, s, h, steps[to_do].verb, patch, previous, e);
    }
    return r < 0 ? r : 1;
}

/* The controller of `from` may be in the middle of starting a run when the hold arrives: wait until
 * what it shows of its last run stands still. */
static void let_settle(struct arena *a, const struct side *s, const struct held *h) {
    char last[64] = "?";
    for (unsigned i = 0; i < 4; i++) {
        yyjson_val *live;
        if (read_live(a, s, h, &live, NULL) < 0)
            return;
        const char *t = json_str(live, "status", "lastScheduleTime");
        if (str_eq(t ? t : "", last))
            return;
        snprintf(last, sizeof last, "%s", t ? t : "");
        clock_sleep_ms(SETTLE_MS / 4);
    }
}

/* Without it the destination's controller would count from the CronJob's creation and fire missed
 * runs at once (hazard 1). */
static int carry_last_schedule(struct arena *a, const struct side *from, const struct side *to,
                               const struct held *h, struct err *e) {
    yyjson_val *live;
    if (!str_eq(h->r->kind, "CronJob") || read_live(a, from, h, &live, NULL) < 0)
        return 0;
    const char *t = json_str(live, "status", "lastScheduleTime");
    if (!t)
        return 0;
    char *patch = arena_printf(a, "{\"status\":{\"lastScheduleTime\":\"%s\"}}", t);
    struct kube_req req = {.method = "PATCH",
                           .path = kube_path(a, h->r, h->ns, h->name, "status"),
                           .query = "fieldManager=tandem",
                           .content_type = "application/merge-patch+json",
                           .body = patch,
                           .body_len = strlen(patch),
                           .idempotent = true};
    struct kube_resp resp;
    return kube_do(to->c, a, &req, &resp, e);
}

static void fill(struct handover_item *it, enum handover_state s, const char *note) {
    it->state = s;
    it->note = note;
}

/* What became of the twin in `from`. */
enum twin { TWIN_NONE, TWIN_HELD, TWIN_STOPPED /* by its owner */, TWIN_FINISHED };

static int stop_twin(struct arena *a, const struct handover_opts *o, const struct side *from,
                     const struct held *h, enum twin *ret, struct err *e) {
    yyjson_val *twin;
    if (!from->c)
        return err_set(e, -EHOSTUNREACH, "cluster %c does not answer", from->slot);
    *ret = TWIN_NONE;
    int r = read_live(a, from, h, &twin, e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    uint32_t facts = facts_read(h->r->group, h->r->kind, twin);
    *ret = facts & FACT_FINISHED                              ? TWIN_FINISHED
           : (facts & (FACT_STILL | FACT_HELD)) == FACT_STILL ? TWIN_STOPPED
                                                              : TWIN_HELD;
    if (*ret != TWIN_HELD)
        return 0;
    r = set_held(a, o, from, h, HOLD, e);
    if (r > 0)
        let_settle(a, from, h);
    return r;
}

/* Before anything is stopped for its sake. */
static int check_loose(struct arena *a, const struct side *to, const struct held *h,
                       struct err *e) {
    yyjson_val *live;
    int r = read_live(a, to, h, &live, e);
    if (r < 0 || unhold_patch(a, live, h->row))
        return r;
    const char *note = json_str(live, "metadata", "annotations", HOLD_ANNOTATION);
    return err_set(e, -EBADMSG,
                   "its annotation " HOLD_ANNOTATION " holds %s, which is no value of spec.%s: put "
                   "the right one there",
                   note ? note : "nothing", h->row->field);
}

static bool no_answer(const struct err *e) {
    return !e->http && e->code != -EBADMSG;
}

/* Lets it act in `to`, or not, as its twin tells. */
static int let_loose(struct arena *a, const struct handover_opts *o, const struct held *h,
                     enum twin twin, struct handover_item *it, struct err *e) {
    struct side from = {o->from, o->from_slot}, to = {o->to, o->to_slot};
    int r = 0;
    switch (twin) {
    case TWIN_FINISHED:
        fill(it, HAND_FINISHED, "has run to its end where it acted; does not run again");
        return o->forward ? set_held(a, o, &to, h, STAY, e) : 0;
    case TWIN_STOPPED:
        fill(it, HAND_ALREADY,
             arena_printf(a, "its owner has stopped it in %c: it acts in neither", o->from_slot));
        return set_held(a, o, &to, h, STAY, e);
    case TWIN_HELD: r = carry_last_schedule(a, &from, &to, h, e); break;
    case TWIN_NONE:
    default: break;
    }
    return r < 0 ? r : set_held(a, o, &to, h, UNHOLD, e);
}

static void hand_one(struct arena *a, const struct handover_opts *o, const struct held *h,
                     struct handover_item *it) {
    struct side from = {o->from, o->from_slot}, to = {o->to, o->to_slot};
    struct err e = {0};
    enum twin twin = TWIN_NONE;
    int r = check_loose(a, &to, h, &e);
    int stopped = r < 0 ? 0 : stop_twin(a, o, &from, h, &twin, &e);
    if (stopped < 0 && !(o->from_unreachable_ok && no_answer(&e))) {
        fill(it, HAND_FAILED, arena_printf(a, "cannot be held where it acts: %s", err_msg(&e)));
        return;
    }
    fill(it, twin == TWIN_NONE ? HAND_ALONE : HAND_DONE,
         arena_printf(a, "acts in %c now%s", o->to_slot,
                      stopped < 0         ? "; the other cluster does not answer, and was not held"
                      : twin == TWIN_NONE ? "; the other cluster does not have it"
                                          : ""));
    if (r >= 0)
        r = let_loose(a, o, h, twin, it, &e);
    if (r < 0)
        fill(it, HAND_FAILED, arena_printf(a, "cannot be let loose: %s", err_msg(&e)));
}

static struct handover_item *new_item(struct arena *a, const struct held *h,
                                      struct handover_item *next) {
    struct handover_item *it = arena_new_of(a, struct handover_item);
    it->title = arena_printf(a, "%s %s/%s", h->r->kind, h->ns, h->name);
    it->next = next;
    return it;
}

/* What acts in both clusters (the one that was to stop did not answer at the time) is held in
 * `from`. */
static int stop_doubles(struct arena *a, const struct handover_opts *o,
                        struct handover_item **first, struct err *e) {
    struct side from = {o->from, o->from_slot}, to = {o->to, o->to_slot};
    struct held *h = NULL;
    if (!from.c)
        return 0;
    int r = find(a, o->from, o->discovery, o->ns_include, o->ns_exclude, true, &h, e);
    for (; r >= 0 && h; h = h->next) {
        yyjson_val *twin;
        struct err why = {0};
        if (read_live(a, &to, h, &twin, NULL) < 0 || !acts(h->row, twin))
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
    struct held *h;
    int r = find_held(a, o->to, o->discovery, o->ns_include, o->ns_exclude, &h, e);
    if (r < 0)
        return r;
    struct handover_item *first = NULL;
    for (; h; h = h->next) {
        if (o->cancel && atomic_load(&o->cancel->stop))
            return err_set(e, -ESTOPPED, "stopped; run it again to go on");
        first = new_item(a, h, first);
        if (o->dry_run)
            fill(first, HAND_ALREADY, "would be handed over");
        else
            hand_one(a, o, h, first);
        *ret = first;
    }
    r = stop_doubles(a, o, &first, e);
    *ret = first;
    return r;
}

int handover_held(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                  const char *const *inc, const char *const *exc, struct handover_item **ret,
                  struct err *e) {
    struct held *h;
    int r = find_held(a, c, d, inc, exc, &h, e);
    if (r < 0)
        return r;
    *ret = NULL;
    for (; h; h = h->next) {
        *ret = new_item(a, h, *ret);
        fill(*ret, HAND_ALREADY, NULL);
    }
    return 0;
}
