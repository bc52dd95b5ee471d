#include "run/ask.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/gate.h"
#include "run/holder.h"

enum { ASK_MS = 2000, LOOK_MS = 300, SILENT_MAX = 5 };

static const char *args_of(struct arena *a, const char *const *pairs) {
    AUTO_SB b = SB_INIT(1 << 16);
    sb_chr(&b, '{');
    for (; pairs[0]; pairs += 2) {
        if (!pairs[1])
            continue;
        sb_fmt(&b, "%s\"%s\":", b.len > 1 ? "," : "", pairs[0]);
        sb_json(&b, pairs[1], strlen(pairs[1]));
    }
    sb_chr(&b, '}');
    return arena_strdup(a, sb_get(&b));
}

/* --- back --- */

/* Until nobody listens any more: then it has ended, and the journal says how. */
static int wait_for_end(struct session *s) {
    for (int silent = 0; silent < SILENT_MAX;) {
        AUTO_ARENA a = arena_new();
        char *text;
        int r = holder_ask(s->cfg->journal, a, "status", NULL, s->actor, ASK_MS, &text, NULL);
        if (r == -ENOENT)
            return 1;
        silent = r < 0 ? silent + 1 : 0;
        if (atomic_load(&s->cancel.stop))
            return 1;
        clock_sleep_ms(LOOK_MS);
    }
    log_warn("the process that holds this environment has begun, and answers no more; taking over");
    return 0;
}

static const char *back_args(struct arena *a, const char *reason, bool traffic_only) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_bool(d, root, "trafficOnly", traffic_only);
    if (reason)
        json_mut_set_str(d, root, "reason", reason);
    return json_mut_write(a, root, NULL);
}

int ask_back(struct session *s, const char *verb, const char *reason, bool traffic_only,
             struct err *e) {
    struct err why = {0};
    char *text;
    const char *args = back_args(s->a, reason, traffic_only);
    int r = s->cfg->journal
                ? holder_ask(s->cfg->journal, s->a, verb, args, s->actor, ASK_MS, &text, &why)
                : -ENOENT;
    if (r >= 0)
        return wait_for_end(s);
    if (r == -ENOENT)
        return 0;
    if (r == -ETIMEDOUT) {
        log_warn("%s; taking over", err_msg(&why));
        return 0;
    }
    if (e)
        *e = why;
    return r;
}

/* --- approve --- */

/* The next stage that has a gate, of a run that nobody walks now. */
static int next_gate(struct session *s, int stage) {
    for (int i = stage + 1; i <= RUN_RETIRE; i++)
        if (gate_needs(s, i))
            return i;
    return -1;
}

static int approve_here(struct session *s, const char *name, const char *what, const char *reason,
                        const char **ret_said, struct err *e) {
    if (what)
        return err_set(e, -ENOENT,
                       "nothing follows now, so that nothing of it waits for a person: \"%s\"",
                       what);
    if (!s->run_open)
        return err_set(e, -EGUARD, "no run is open: there is nothing to approve");
    if (!s->recording)
        return err_set(e, -EBUSY,
                       "the journal is held by another process, which takes no "
                       "requests: the approval cannot be recorded");
    int stage = run_stage(s, e);
    int to = stage < 0 ? stage : name ? run_stage_of(name, e) : next_gate(s, stage);
    if (stage < 0 || (name && to < 0))
        return MIN(stage, to);
    if (to < 0)
        return err_set(e, -EGUARD, "no gate lies ahead of the run");
    if (to <= stage)
        return err_set(e, -EGUARD, "the run has %s behind it", run_stage_name(to));
    *ret_said = run_stage_name(to);
    return gate_approve(s, to, s->actor, reason, NULL, e);
}

int ask_approve(struct session *s, const char *stage, const char *what, const char *reason,
                const char **ret_said, struct err *e) {
    struct err why = {0};
    char *text;
    yyjson_val *v = NULL;
    const char *args =
        args_of(s->a, (const char *const[]){"gate", stage, "what", what, "reason", reason, NULL});
    int r = holder_ask(s->cfg->journal, s->a, "approve", args, s->actor, ASK_MS, &text, &why);
    if (r == -ENOENT && s->recording)
        return approve_here(s, stage, what, reason, ret_said, e);
    if (r >= 0)
        r = json_parse(s->a, text, strlen(text), &v, &why);
    if (r < 0) {
        if (e)
            *e = why;
        return r;
    }
    const char *gate = json_str(v, "approved");
    *ret_said = gate ? gate
                     : arena_printf(s->a, "%lld that live sync asked about",
                                    (long long)json_int(json_get(v, "let"), 0));
    return 0;
}
