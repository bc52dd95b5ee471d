#include "run/notice.h"

#include <ctype.h>
#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "migrate/keep.h"
#include "run/gate.h"
#include "run/holding.h"
#include "run/hook.h"
#include "run/own.h"
#include "run/sign.h"
#include "run/switch.h"

/* TELL_MS: for both clusters together; ASK_MS: for one request, so that one dead cluster leaves
 * time for the other. */
enum { TELL_MS = 2000, ASK_MS = 700, SWEEP_MS = 10000, SWEEP_ASK_MS = 2000 };

static const struct {
    const char *event;  /* in payloads and tandem.yaml */
    const char *reason; /* of the Event */
    const char *state;  /* in the ConfigMap */
    const char *verb;   /* in sentences */
    bool warning;
} moments[] = {
    [NOTICE_BEFORE] = {"before", "StageBegins", "under way", "begins", false},
    [NOTICE_AFTER] = {"after", "StageDone", "done", "is done", false},
    [NOTICE_FAILED] = {"failed", "StageFailed", "failed", "has failed", true},
    [NOTICE_LEFT] = {"failed", "NothingTakenBack", "failed", "has failed and was left as it is",
                     true},
    [NOTICE_TERMINAL] = {"terminal", "RunEnded", "ended", "was the end of the run", false},
};

struct said {
    enum notice_when when;
    const char *stage, *reason, *evidence;
    const char *at; /* RFC 3339 */
    int percent;    /* of the live side on the destination; -1 unknown */
    bool over;      /* no run is open any more */
};

static const char *run_id(const struct session *s) {
    return s->run_open ? s->run.id : "";
}

/* --- hooks --- */

static bool listed(const char *const *list, const char *word) {
    for (; *list; list++)
        if (str_eq(*list, word))
            return true;
    return false;
}

static bool wanted(const struct config_hook *h, const struct said *x) {
    return listed(h->on, moments[x->when].event) && (!h->stages || listed(h->stages, x->stage));
}

static void set_text(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, const char *s) {
    json_mut_set(d, obj, key, str_empty(s) ? yyjson_mut_null(d) : yyjson_mut_strcpy(d, s));
}

static void set_slot(const struct session *s, yyjson_mut_doc *d, yyjson_mut_val *root,
                     const char *key, char slot) {
    yyjson_mut_val *x = json_mut_obj_at(d, root, key);
    int i = session_slot(slot);
    set_text(d, x, "slot", (char[]){slot, 0});
    set_text(d, x, "context", s->cfg->cluster[i].context);
    set_text(d, x, "version", s->version[i].git);
    set_text(d, x, "uid", s->id[i].uid);
}

/* What is no JSON is a text. */
static yyjson_mut_val *evidence_of(struct arena *a, yyjson_mut_doc *d, const char *text) {
    yyjson_val *v;
    if (str_empty(text))
        return yyjson_mut_null(d);
    return json_parse(a, text, strlen(text), &v, NULL) < 0 ? yyjson_mut_strcpy(d, text)
                                                           : yyjson_val_mut_copy(d, v);
}

static char *payload(const struct session *s, struct arena *a, const struct said *x,
                     const char *delivery, size_t *ret_len) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_int(d, root, "version", 1);
    set_text(d, root, "delivery", delivery);
    set_text(d, root, "event", moments[x->when].event);
    set_text(d, root, "environment", s->cfg->name);
    set_text(d, root, "run", run_id(s));
    set_text(d, root, "stage", x->stage);
    set_text(d, root, "at", x->at);
    set_text(d, root, "actor", s->actor);
    set_slot(s, d, root, "source", s->source);
    set_slot(s, d, root, "destination", s->destination);
    json_mut_set(d, root, "percent",
                 x->percent < 0 ? yyjson_mut_null(d) : yyjson_mut_int(d, x->percent));
    set_text(d, root, "reason", x->reason);
    json_mut_set(d, root, "evidence", evidence_of(a, d, x->evidence));
    return json_mut_write(a, root, ret_len);
}

static void record_call(struct session *s, struct arena *a, const struct config_hook *h,
                        const struct said *x, const struct hook_result *res, const char *delivery,
                        const char *outcome) {
    char t[CLOCK_RFC3339_MAX];
    session_event(s, arena_printf(a, "hook %s", h->name),
                  arena_printf(a, "%s %s: %s (%s, %u %s, delivery %s)", moments[x->when].event,
                               x->stage, outcome, clock_human(res->time_ms, t), res->attempts,
                               res->attempts == 1 ? "try" : "tries", delivery));
}

static int call_hook(struct session *s, const struct config_hook *h, const struct said *x,
                     struct err *e) {
    AUTO_ARENA a = arena_new();
    uint8_t random[16];
    char delivery[2 * sizeof random + 1];
    struct hook_result res;
    struct err why = {0};
    hash_random(random, sizeof random);
    hash_hex(random, sizeof random, delivery);
    struct hook_call c = {.event = moments[x->when].event,
                          .stage = x->stage,
                          .run = run_id(s),
                          .delivery = delivery,
                          .dir = s->cfg->dir,
                          .http = s->http,
                          /* Who stops a run still wants others to hear of it. */
                          .cancel = x->when == NOTICE_BEFORE ? &s->cancel : NULL};
    c.body = payload(s, a, x, delivery, &c.body_len);
    int r = hook_run(h, &c, &res, &why);
    record_call(s, a, h, x, &res, delivery, r < 0 ? err_msg(&why) : "done");
    if (r >= 0)
        return 0;
    if (h->must && x->when == NOTICE_BEFORE)
        return err_set(e, -EGUARD, "hook %s refuses %s: %s", h->name, x->stage, err_msg(&why));
    log_warn("hook %s (%s %s): %s", h->name, moments[x->when].event, x->stage, err_msg(&why));
    return 0;
}

static int call_hooks(struct session *s, const struct said *x, struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < s->cfg->n_hooks; i++)
        if (wanted(&s->cfg->hooks[i], x))
            r = call_hook(s, &s->cfg->hooks[i], x, e);
    return r;
}

/* --- the clusters --- */

/* "switch-back" -> "SwitchBack" */
static char *camel(struct arena *a, const char *word) {
    char *out = arena_strdup(a, word), *to = out;
    bool up = true;
    for (; *word; word++) {
        if (*word == '-') {
            up = true;
            continue;
        }
        *to++ = up ? (char)toupper((unsigned char)*word) : *word;
        up = false;
    }
    *to = 0;
    return out;
}

static yyjson_mut_val *state_of(const struct session *s, struct arena *a, yyjson_mut_doc *d,
                                const struct said *x) {
    yyjson_mut_val *data = yyjson_mut_obj(d);
    json_mut_set_str(d, data, "environment", s->cfg->name);
    json_mut_set_str(d, data, "run", run_id(s));
    json_mut_set_str(d, data, "stage", x->stage);
    json_mut_set_str(d, data, "state", moments[x->when].state);
    json_mut_set_str(d, data, "since", x->at);
    json_mut_set_str(d, data, "actor", s->actor);
    json_mut_set_str(d, data, "from", (char[]){s->source, 0});
    json_mut_set_str(d, data, "to", (char[]){s->destination, 0});
    json_mut_set_str(d, data, "percent", x->percent < 0 ? "" : arena_printf(a, "%d", x->percent));
    json_mut_set_str(d, data, "reason", x->reason ? x->reason : "");
    return data;
}

static int tell_one(const struct session *s, const struct own *o, const struct said *x,
                    struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    const char *name = arena_printf(a, "tandem-%s", s->cfg->name), *uid = NULL;
    int r = x->over ? 0 : own_put(o, a, OWN_CONFIGMAP, name, d, state_of(s, a, d, x), &uid, e);
    struct own_event ev = {
        .action = camel(a, x->stage),
        .reason = moments[x->when].reason,
        .actor = s->actor,
        .warning = moments[x->when].warning,
        .note = arena_printf(a, "upgrade of %s from %c to %c, %s: %s %s, by %s%s%s", s->cfg->name,
                             s->source, s->destination, s->run_open ? s->run.id : "no run",
                             x->stage, moments[x->when].verb, s->actor, x->reason ? ": " : "",
                             x->reason ? x->reason : ""),
        .about = x->over ? NULL : name,
        .uid = uid,
    };
    return r < 0 ? r : own_event(o, a, &ev, e);
}

/* Whoever has taken over from us tells them. */
static void tell_clusters(struct session *s, const struct said *x) {
    const uint64_t until = clock_now_ms() + TELL_MS;
    struct err lost = {0};
    if (session_holds_still(s, 0, &lost) < 0) {
        log_info("the clusters are not told of it: %s", err_msg(&lost));
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct own o = {s->cluster[i], s->cfg->name, until, ASK_MS};
        struct err e = {0};
        if (o.c && tell_one(s, &o, x, &e) < 0)
            log_info("%c is not told of the upgrade: %s", 'a' + i, err_msg(&e));
    }
}

static bool keeps_any(const struct session *s) {
    return (s->cfg->tell_clusters || s->cfg->mirror) && !s->o.read_only;
}

void notice_sweep(struct session *s) {
    for (int i = 0; i < 2; i++) {
        struct own o = {s->cluster[i], s->cfg->name, clock_now_ms() + SWEEP_MS, SWEEP_ASK_MS};
        struct err e = {0};
        int r = o.c && keeps_any(s) ? own_sweep(&o, &e) : -ENOENT;
        if (r >= 0 && 'a' + i == s->source)
            r = keep_leave(o.c, false, &e);
        if (r < 0 && r != -ENOENT)
            log_info("the upgrade's state is left in namespace " KEEP_NAMESPACE " of %c: %s",
                     'a' + i, err_msg(&e));
    }
}

/* --- all of it --- */

static bool is_over(const struct session *s) {
    struct journal_run run;
    return s->recording && journal_run_open(s->journal, &run, NULL) == 0;
}

static void end_all(struct session *s, const struct said *x) {
    struct err e = {0};
    if (x->over && keeps_any(s)) {
        notice_sweep(s);
        if (session_destination(s))
            (void)keep_leave(session_destination(s), false, NULL);
    }
    if (s->cfg->sign_key && s->recording && sign_history(s, s->cfg->sign_key, NULL, &e) < 0)
        log_warn("the history is not signed: %s", err_msg(&e));
}

/* For a command that has opened none, where a person is waited for: one that is dead costs seconds,
 * which nobody misses then. */
static void reach(struct session *s) {
    struct err e = {0};
    if (session_reach(s, NEED_CLUSTERS | TOLERATE_DEAD, &e) < 0)
        log_info("no cluster is told of it: %s", err_msg(&e));
}

int notice(struct session *s, enum notice_when when, const char *stage, const char *reason,
           const char *evidence, struct err *e) {
    char at[CLOCK_RFC3339_MAX];
    bool again = when == NOTICE_FAILED && s->failure_told;
    s->failure_told = when == NOTICE_LEFT;
    if (s->o.read_only || again)
        return 0;
    struct said x = {.when = when,
                     .stage = stage,
                     .reason = reason,
                     .evidence = evidence,
                     .at = clock_rfc3339(clock_wall_ms(), at),
                     .percent = s->n_tiers ? MAX(switch_observe(s, NULL), -1) : -1,
                     .over = is_over(s)};
    int r = call_hooks(s, &x, e);
    if (when == NOTICE_LEFT && s->cfg->tell_clusters)
        reach(s);
    if (r >= 0 && s->cfg->tell_clusters)
        tell_clusters(s, &x);
    if (when == NOTICE_TERMINAL)
        end_all(s, &x);
    return r;
}

int run_announce(struct session *s, const char *stage, unsigned holds,
                 int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx, struct err *e) {
    struct err other = {0};
    int stage_no = run_stage_of(stage, NULL), r = record_no_other(s, e);
    if (r >= 0)
        r = session_hold(s, holds, e);
    if (r >= 0 && stage_no >= 0)
        r = gate_by_hand(s, stage_no, e);
    if (r < 0)
        return r;
    r = notice(s, NOTICE_BEFORE, stage, NULL, NULL, e);
    if (r >= 0)
        r = fn(s, ctx, e);
    (void)notice(s, r < 0 ? NOTICE_FAILED : NOTICE_AFTER, stage, r < 0 ? err_msg(e) : NULL, NULL,
                 &other);
    record_mirror(s);
    return r;
}
