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

/* Makes the object hold (want_held) or act again; 1 changed, 0 was so. A write of somebody else in
 * between (409) is read again. */
static int set_held(struct arena *a, const struct handover_opts *o, const struct side *s,
                    const struct held *h, bool want_held, struct err *e) {
    int r = -EAGAIN;
    for (unsigned i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
        yyjson_val *live;
        r = read_live(a, s, h, &live, e);
        if (r < 0)
            return r;
        char *patch = want_held ? hold_patch(a, live, h->row) : unhold_patch(a, live, h->row);
        if (!patch)
            return 0;
        yyjson_val *now = json_get(live, "spec", h->row->field);
        const char *previous = arena_printf(a, "{\"/spec/%s\":%s}", h->row->field,
                                            now ? json_write(a, now, NULL) : "null");
        r = journalled_patch(a, o, s, h, want_held ? "hold" : "unhold", patch, previous, e);
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

/* The twin in `from`: 1 there and held now, 0 not there, negative. Sets *finished for a Job that
 * has run to its end. */
static int stop_twin(struct arena *a, const struct handover_opts *o, const struct side *from,
                     const struct held *h, bool *finished, struct err *e) {
    yyjson_val *twin;
    if (!from->c)
        return err_set(e, -EHOSTUNREACH, "cluster %c does not answer", from->slot);
    int r = read_live(a, from, h, &twin, e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    *finished = facts_read(h->r->group, h->r->kind, twin) & FACT_FINISHED;
    if (*finished)
        return 1;
    r = set_held(a, o, from, h, true, e);
    if (r > 0)
        let_settle(a, from, h);
    return r < 0 ? r : 1;
}

static void hand_one(struct arena *a, const struct handover_opts *o, const struct held *h,
                     struct handover_item *it) {
    struct side from = {o->from, o->from_slot}, to = {o->to, o->to_slot};
    struct err e = {0};
    bool finished = false;
    int twin = stop_twin(a, o, &from, h, &finished, &e);
    if (twin < 0 && !o->from_unreachable_ok) {
        fill(it, HAND_FAILED, arena_printf(a, "cannot be held where it acts: %s", err_msg(&e)));
        return;
    }
    if (finished) {
        fill(it, HAND_FINISHED, "has run to its end where it acted; stays held");
        return;
    }
    int r = twin > 0 ? carry_last_schedule(a, &from, &to, h, &e) : 0;
    if (r >= 0)
        r = set_held(a, o, &to, h, false, &e);
    if (r < 0)
        fill(it, HAND_FAILED, arena_printf(a, "cannot be let loose: %s", err_msg(&e)));
    else
        fill(it, twin > 0 ? HAND_DONE : HAND_ALONE,
             arena_printf(a, "acts in %c now%s", o->to_slot,
                          twin > 0    ? ""
                          : twin == 0 ? "; the other cluster does not have it"
                                      : "; the other cluster does not answer, and was not held"));
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
        else if (set_held(a, o, &from, h, true, &why) < 0)
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
        first = new_item(a, h, first);
        if (o->dry_run)
            fill(first, HAND_ALREADY, "would be handed over");
        else
            hand_one(a, o, h, first);
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
