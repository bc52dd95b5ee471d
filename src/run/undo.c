#include "run/undo.h"

#include <errno.h>

#include "base/log.h"
#include "migrate/handover.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/probing.h"
#include "run/run.h"
#include "run/switch.h"

enum { ASK_TIMES = 5 };

/* What cannot be seen counts as live: this deletes. */
static int guard_no_traffic(struct session *s, struct err *e) {
    int percent = s->n_tiers ? switch_observe(s, e) : 0;
    if (percent < -1)
        return percent;
    if (percent != 0)
        return err_set(e, -EGUARD,
                       percent < 0 ? "where the live side leads cannot be told, so that nothing is "
                                     "taken out of %c: `tandem switch-back` first"
                                   : "%c has live traffic: `tandem switch-back` first",
                       s->destination);
    unsigned elsewhere = 0;
    int n = s->n_tiers && s->cfg->n_probes ? switch_ask_live(s, ASK_TIMES, &elsewhere, e) : 0;
    if (n < 0)
        return n;
    if (s->cfg->identify_header && elsewhere != (unsigned)n)
        return err_set(e, -EGUARD,
                       "%u of %d answers on the live side came from %c: `tandem "
                       "switch-back` first",
                       (unsigned)n - elsewhere, n, s->destination);
    return 0;
}

/* What is held in the source acts in the destination. */
static int guard_no_singletons(struct session *s, struct err *e) {
    struct kube_discovery *d;
    struct handover_item *items = NULL;
    size_t held = 0;
    int r = kube_discover(session_source(s), &d, e);
    if (r < 0)
        return r;
    r = handover_held(s->a, session_source(s), d, s->cfg->ns_include, s->cfg->ns_exclude, &items,
                      e);
    kube_discovery_free(d);
    for (; items; items = items->next)
        held++;
    if (r >= 0 && held)
        return err_set(e, -EGUARD,
                       "%zu singletons act in %c and are held in %c: `tandem deactivate` first",
                       held, s->destination, s->source);
    return r;
}

static int opts_of(struct session *s, const struct undo_opts *o, struct unmigrate_opts *ret,
                   struct err *e) {
    struct kube_discovery *d;
    const char *const *generated = NULL;
    if (!s->journal || !s->run_open)
        return err_set(e, -EGUARD, "no run is open: there is nothing to take back");
    int r = probing_recall(s, &generated, e);
    if (r >= 0)
        r = kube_discover(session_destination(s), &d, e);
    if (r < 0)
        return r;
    *ret = (struct unmigrate_opts){
        .c = session_destination(s),
        .slot = s->destination,
        .discovery = d,
        .journal = s->journal,
        .run = s->run.id,
        .generated = generated,
        .ns_include = s->o.namespaces,
        .dry_run = o && o->dry_run,
        .force = o && o->force,
        .writes = s->cfg->writes / 2,
        .wait_ms = o ? o->wait_ms : 0,
        .cancel = &s->cancel,
        .progress = o ? o->progress : NULL,
        .progress_ctx = o ? o->progress_ctx : NULL,
    };
    return 0;
}

static void opts_done(struct unmigrate_opts *o) {
    kube_discovery_free((struct kube_discovery *)(uintptr_t)o->discovery);
}

int undo_count(struct session *s, size_t *ret_objects, size_t *ret_storage, struct err *e) {
    struct unmigrate_opts uo;
    int r = opts_of(s, NULL, &uo, e);
    if (r < 0)
        return r;
    r = unmigrate_count(&uo, ret_objects, ret_storage, e);
    opts_done(&uo);
    return r;
}

struct undo_ctx {
    const struct unmigrate_opts *o;
    struct unmigrate_result *res;
};

static int take_back(struct session *s, void *ctx, struct err *e) {
    struct undo_ctx *c = ctx;
    int r = unmigrate(s->a, c->o, c->res, e);
    size_t bad = c->res->by[TAKEN_FAILED] + c->res->by[TAKEN_HANGS];
    if (r < 0)
        return r;
    return bad ? err_set(e, -EREMOTEIO, "%zu objects could not be taken back", bad) : 0;
}

/* Nothing of it is left: what was kept for this moment goes, and with it the run. */
static int end_run(struct session *s, struct err *e) {
    notice_sweep(s);
    int r = session_sweep(s, s->run.id, e);
    if (r < 0)
        return err_ctx(e, r, "removing what was kept of the run in %c", s->destination);
    r = probing_forget(s, e);
    if (r >= 0)
        run_note_end(s, RUN_UNMIGRATED, "taken back");
    if (r >= 0)
        r = journal_run_end(s->journal, s->run.id, "aborted", e);
    if (r >= 0)
        session_event(s, "run ended", "taken back");
    return r;
}

static void note_room(struct session *s, struct object *o, const struct unmigrate_item *i) {
    if (i->taken == TAKEN_DELETED || i->taken == TAKEN_ALREADY) {
        world_made_room(o);
        return;
    }
    o->recreate = false;
    o->verdict = V_BLOCK;
    o->rule = "immutable";
    o->note = arena_printf(s->a, "cannot be made anew: %s%s%s", taken_name(i->taken),
                           i->note ? ": " : "", i->note ? i->note : "");
}

int undo_make_room(struct session *s, struct world *w, struct err *e) {
    struct unmigrate_opts uo;
    struct unmigrate_result res;
    AUTO_MAP refs = map_new();
    for (size_t i = 0; i < world_count(w); i++) {
        struct object *o = world_at(w, i);
        if (o->recreate && o->verdict == V_UPDATE && o->outcome == OUT_NONE)
            map_put(refs, object_ref(s->a, o), o);
    }
    if (map_len(refs) == 0)
        return 0;
    int r = guard_no_traffic(s, e);
    if (r < 0)
        return err_ctx(e, r, "%zu objects would be deleted and made anew", map_len(refs));
    r = opts_of(s, NULL, &uo, e);
    if (r < 0)
        return r;
    uo.only = refs;
    uo.ns_include = NULL;
    r = unmigrate(s->a, &uo, &res, e);
    for (const struct unmigrate_item *i = res.items; i; i = i->next)
        note_room(s, map_get(refs, i->ref), i);
    opts_done(&uo);
    return r;
}

int stage_unmigrate(struct session *s, const struct undo_opts *o, struct unmigrate_result *ret,
                    struct err *e) {
    struct unmigrate_opts uo;
    *ret = (struct unmigrate_result){0};
    int r = opts_of(s, o, &uo, e);
    if (r < 0)
        return r;
    r = guard_no_traffic(s, e);
    if (r >= 0)
        r = guard_no_singletons(s, e);
    if (r >= 0 && !o->dry_run)
        r = session_hold(s, holding_slot(s->destination), e);
    struct undo_ctx c = {&uo, ret};
    if (r >= 0 && !o->dry_run)
        probing_sweep(s);
    if (r >= 0)
        r = o->dry_run
                ? take_back(s, &c, e)
                : session_step(s, "unmigrate", "take back what was written", take_back, &c, e);
    opts_done(&uo);
    return r >= 0 && ret->clean ? end_run(s, e) : r;
}
