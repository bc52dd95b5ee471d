/* What others ask of the process that walks the stages: run.h has the words. On the holder's
 * thread. */
#include <errno.h>

#include "base/clock.h"
#include "run/upgrade_impl.h"

/* --- status --- */

static void add_where(yyjson_mut_doc *d, yyjson_mut_val *root, const struct upgrade *u) {
    char t[CLOCK_RFC3339_MAX];
    json_mut_set_str(d, root, "run", u->s->run.id);
    json_mut_set_str(d, root, "stage", run_stage_name(MAX(u->stage, 0)));
    json_mut_set_str(d, root, "doing", u->doing < 0 ? "" : run_stage_name(u->doing));
    json_mut_set_str(d, root, "since", u->since_ms ? clock_rfc3339(u->since_ms, t) : "");
    json_mut_set_str(d, root, "actor", u->s->actor);
    json_mut_set_int(d, root, "pid", getpid());
    json_mut_set_str(d, root, "until", run_stage_name(MAX(u->until, 0)));
    json_mut_set_str(d, root, "waiting", u->waiting);
    json_mut_set_str(d, root, "gate", u->gate < 0 ? "" : run_stage_name(u->gate));
    json_mut_set_int(d, root, "percent", u->percent);
    json_mut_set_int(d, root, "leftMs", (int64_t)u->left_ms);
    json_mut_set_str(d, root, "asked", u->asked ? u->asked_by : "");
}

static int answer_status(struct upgrade *u, const struct holder_request *rq UNUSED,
                         struct sb *ret_json, struct err *e UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    size_t n;
    pthread_mutex_lock(&u->lock);
    add_where(d, root, u);
    if (u->f)
        json_mut_set(d, root, "follow", following_json(d, u->f));
    json_mut_set(d, root, "probes", watchers_json(d, u->w));
    pthread_mutex_unlock(&u->lock);
    const char *text = json_mut_write(a, root, &n);
    sb_add(ret_json, text, n);
    return 0;
}

/* --- approve --- */

static int let_go(struct upgrade *u, const char *what, struct sb *ret_json, struct err *e) {
    pthread_mutex_lock(&u->lock);
    int n = u->f ? following_approve(u->f, what, e)
                 : err_set(e, -ENOENT, "live sync does not run now: nothing of it waits");
    pthread_mutex_unlock(&u->lock);
    if (n >= 0)
        sb_fmt(ret_json, "{\"let\":%d}", n);
    return n;
}

static int answer_approve(struct upgrade *u, const struct holder_request *rq, struct sb *ret_json,
                          struct err *e) {
    const char *gate = json_str(rq->args, "gate"), *what = json_str(rq->args, "what");
    if (!str_empty(what))
        return let_go(u, what, ret_json, e);
    pthread_mutex_lock(&u->lock);
    int at = u->gate, stage = u->stage;
    pthread_mutex_unlock(&u->lock);
    int to = str_empty(gate) ? at : run_stage_of(gate, e);
    if (str_empty(gate) && at < 0)
        return err_set(e, -EGUARD, "the run waits at no gate now: name the stage that is approved");
    if (to < 0)
        return to;
    if (to <= stage)
        return err_set(e, -EGUARD, "the run has %s behind it", run_stage_name(to));
    int r = gate_approve(u->s, to, rq->actor, json_str(rq->args, "reason"), u->s->actor, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&u->lock);
    u->poke = true;
    pthread_mutex_unlock(&u->lock);
    sb_fmt(ret_json, "{\"approved\":\"%s\"}", run_stage_name(to));
    return 0;
}

/* --- abort, switch-back --- */

/* Only a flag, and the end of what is under way: the thread that walks goes back itself. */
static int ask_back(struct upgrade *u, const struct holder_request *rq, enum asked what,
                    struct sb *ret_json) {
    const char *why = json_str(rq->args, "reason");
    pthread_mutex_lock(&u->lock);
    if (!u->asked) {
        u->asked = what;
        snprintf(u->asked_by, sizeof u->asked_by, "%s", rq->actor);
        snprintf(u->asked_why, sizeof u->asked_why, "%s", why ? why : "");
        /* Under the lock, and once: the walker takes it back before it goes back. */
        atomic_store(&u->s->cancel.stop, true);
    }
    const char *stage = run_stage_name(u->stage);
    pthread_mutex_unlock(&u->lock);
    sb_fmt(ret_json, "{\"accepted\":true,\"stage\":\"%s\"}", stage);
    return 0;
}

static int answer_abort(struct upgrade *u, const struct holder_request *rq, struct sb *ret_json,
                        struct err *e UNUSED) {
    return ask_back(u, rq, ASKED_ABORT, ret_json);
}

static int answer_switch_back(struct upgrade *u, const struct holder_request *rq,
                              struct sb *ret_json, struct err *e UNUSED) {
    bool traffic = yyjson_get_bool(json_get(rq->args, "trafficOnly"));
    return ask_back(u, rq, traffic ? ASKED_TRAFFIC_BACK : ASKED_ABORT, ret_json);
}

static const struct {
    const char *verb;
    int (*answer)(struct upgrade *u, const struct holder_request *rq, struct sb *ret_json,
                  struct err *e);
} verbs[] = {
    {"status", answer_status},
    {"approve", answer_approve},
    {"abort", answer_abort},
    {"switch-back", answer_switch_back},
};

int upgrade_answer(void *ctx, const struct holder_request *rq, struct sb *ret_json, struct err *e) {
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (str_eq(verbs[i].verb, rq->verb))
            return verbs[i].answer(ctx, rq, ret_json, e);
    return err_set(e, -EUSAGE, "`tandem upgrade` knows no request \"%s\"", rq->verb);
}
