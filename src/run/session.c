#include "run/session.h"

#include <errno.h>
#include <pwd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "run/adopt.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/probing.h"
#include "run/run.h"

int session_slot(char slot) {
    MUST(slot == 'a' || slot == 'b');
    return slot == 'b';
}

struct kube_client *session_source(const struct session *s) {
    return s->cluster[session_slot(s->source)];
}

struct kube_client *session_destination(const struct session *s) {
    return s->cluster[session_slot(s->destination)];
}

static void set_actor(struct session *s) {
    char host[64] = "?";
    const char *user = getenv("USER");
    struct passwd *pw = user ? NULL : getpwuid(geteuid());
    gethostname(host, sizeof host - 1);
    if (s->o.actor)
        snprintf(s->actor, sizeof s->actor, "%s", s->o.actor);
    else
        snprintf(s->actor, sizeof s->actor, "%s@%s", user ? user : pw ? pw->pw_name : "?", host);
}

static int load_config(struct session *s, unsigned needs, struct err *e) {
    const char *path = s->o.config;
    bool contexts = s->o.context_a || s->o.context_b;
    if (!path && !contexts && file_exists("tandem.yaml"))
        path = "tandem.yaml";
    if (path)
        return config_load(path, &s->cfg, e);
    if (needs & NEED_CONFIG_FILE)
        return err_set(e, -EUSAGE,
                       "this needs a tandem.yaml: write one with `tandem init`, or "
                       "name it with -f");
    if (needs & (NEED_A | NEED_B) && !contexts)
        return err_set(e, -EUSAGE,
                       "no tandem.yaml here: write one with `tandem init`, name it "
                       "with -f, or give --context-a and --context-b");
    return config_default(s->o.context_a, s->o.context_b, &s->cfg, e);
}

/* --- clusters --- */

/* OPEN_MS: an API server that has just started forbids what it will allow in a moment. */
enum { ALIVE_MS = 4000, ALIVE_TRIES = 2, OPEN_MS = 10000 };

/* One that hangs would take minutes of whoever tolerates it dead. */
static int is_alive(struct kube_client *c, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct kube_req req = {
        .method = "GET", .path = "/version", .timeout_ms = ALIVE_MS, .no_retry = true};
    struct kube_resp resp;
    int r = -1;
    for (unsigned i = 0; i < ALIVE_TRIES && r < 0; i++)
        r = kube_do(c, a, &req, &resp, e);
    return r == -EACCES ? 0 : r;
}

static int open_cluster(struct session *s, int i, struct err *e) {
    static const char *const names[] = {"A", "B"};
    const struct config_cluster *cc = &s->cfg->cluster[i];
    const char *context = i == 0 && s->o.context_a   ? s->o.context_a
                          : i == 1 && s->o.context_b ? s->o.context_b
                                                     : cc->context;
    struct kubeconfig *k;
    const struct kube_context *ctx;
    struct kube_auth *auth = NULL;
    int r = kubeconfig_load(cc->kubeconfig, &k, e);
    if (r < 0)
        return r;
    r = kubeconfig_context(k, context, &ctx, e);
    if (r >= 0)
        r = kube_auth_new(k, ctx, &auth, e);
    kubeconfig_free(k);
    if (r < 0)
        return err_ctx(e, r, "cluster %s", i ? "b" : "a");
    bool gentle = s->source == (i ? 'b' : 'a');
    struct kube_client_opts ko = {
        .name = names[i], .read_only = s->o.read_only, .max_reads = gentle ? s->cfg->reads : 0};
    s->cluster[i] = kube_client_new(s->http, auth, &ko);
    r = s->needs & TOLERATE_DEAD ? is_alive(s->cluster[i], e) : 0;
    kube_client_set_patience(s->cluster[i], OPEN_MS, &s->cancel);
    if (r >= 0)
        r = kube_get_version(s->cluster[i], &s->version[i], e);
    kube_client_set_patience(s->cluster[i], 0, NULL);
    if (r < 0)
        return r;
    r = kube_get_identity(s->cluster[i], s->a, &s->id[i], e);
    return r == -EACCES && s->needs & TOLERATE_DENIED ? 0 : r;
}

static int open_clusters(struct session *s, unsigned needs, struct err *e) {
    for (int i = 0; i < 2; i++) {
        if (!(needs & (i ? NEED_B : NEED_A)) || s->cluster[i])
            continue;
        int r = open_cluster(s, i, e);
        if (r >= 0)
            continue;
        if (!(needs & TOLERATE_DEAD))
            return r;
        log_warn("%s", err_msg(e));
        kube_client_free(s->cluster[i]);
        s->cluster[i] = NULL;
    }
    if (s->cluster[0] && s->cluster[1] && s->id[0].uid && str_eq(s->id[0].uid, s->id[1].uid))
        return err_set(e, -EGUARD,
                       "a and b are the same cluster (its kube-system namespace has uid %s): "
                       "check the two contexts",
                       s->id[0].uid);
    return 0;
}

static const char *pin_key(int i) {
    return i ? "pin.b" : "pin.a";
}

static char *pin_text(struct session *s, int i) {
    return arena_printf(s->a, "%s %s", s->id[i].uid, s->id[i].ca);
}

/* A context that suddenly means another cluster is refused. */
static int check_pins(struct session *s, struct err *e) {
    for (int i = 0; s->journal && i < 2; i++) {
        char *pin = NULL;
        if (!s->cluster[i] || !s->id[i].uid)
            continue;
        int r = journal_get(s->journal, s->a, pin_key(i), &pin, e);
        if (r < 0)
            return r;
        if (!str_empty(pin) && !str_eq(pin, pin_text(s, i)))
            return err_set(e, -EGUARD,
                           "slot %s belongs to the cluster %.36s, and the context now leads to %s: "
                           "nothing is done. If the cluster was rebuilt on purpose in the middle "
                           "of a run, begin with a new journal",
                           i ? "b" : "a", pin, s->id[i].uid);
    }
    return 0;
}

/* --- journal --- */

static int open_journal(struct session *s, unsigned needs, struct err *e) {
    const char *path = s->cfg->journal;
    bool write = needs & NEED_JOURNAL && !s->o.read_only;
    if (!(needs & (NEED_JOURNAL | NEED_JOURNAL_IF_ANY)) || !path)
        return 0;
    /* Neither looking nor the way back makes a journal. */
    if ((!write || needs & TOLERATE_BUSY) && !file_exists(path))
        return 0;
    int r = journal_open(path, !write, &s->journal, e);
    if (r < 0 && needs & TOLERATE_BUSY) {
        /* A process that has it is asked first, and records by itself; when it hangs, what it wrote
         * can still be read, and the way back says that nothing was recorded. */
        log_at(r == -EBUSY ? LOG_DEBUG : LOG_WARN, "going on without recording: %s", err_msg(e));
        write = false;
        r = 0;
        if (journal_open(path, true, &s->journal, NULL) < 0)
            s->journal = NULL;
    }
    s->recording = write && s->journal;
    if (r != -EBUSY)
        return r;
    /* That somebody else acts here is a refusal, as it is where the Lease says so. */
    if (e)
        e->code = -EGUARD;
    return -EGUARD;
}

/* Which way the run goes: as recorded by the open run, else from whoever was left live. */
static int find_direction(struct session *s, struct err *e) {
    char *live = NULL;
    s->source = 'a';
    if (s->journal) {
        int r = journal_run_open(s->journal, &s->run, e);
        if (r < 0)
            return r;
        s->run_open = r > 0;
        r = journal_get(s->journal, s->a, "live", &live, e);
        if (r < 0)
            return r;
    }
    if (s->run_open)
        s->source = s->run.source;
    else if (str_eq(live, "b"))
        s->source = 'b';
    s->destination = s->source == 'a' ? 'b' : 'a';
    return 0;
}

static int open_traffic(struct session *s, unsigned needs, struct err *e) {
    if (!(needs & (NEED_TRAFFIC | NEED_TRAFFIC_IF_ANY | NEED_LIVE)))
        return 0;
    if (needs & NEED_TRAFFIC && !s->cfg->n_tiers)
        return err_set(e, -EUSAGE, "no load balancer is configured: traffic.tiers in tandem.yaml");
    s->tiers = arena_array(s->a, struct traffic_tier *, s->cfg->n_tiers + 1);
    for (size_t i = 0; i < s->cfg->n_tiers; i++) {
        struct traffic_config tc = s->cfg->tiers[i];
        tc.read_only = s->o.read_only;
        int r = traffic_open(&tc, &s->tiers[i], e);
        if (r < 0)
            return r;
        s->n_tiers++;
    }
    return 0;
}

int session_open(const struct session_opts *o, unsigned needs, struct session **ret,
                 struct err *e) {
    struct session *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->needs = needs;
    s->a = arena_new();
    s->http = http_client_new();
    set_actor(s);
    int r = load_config(s, needs, e);
    if (r >= 0)
        r = open_journal(s, needs, e);
    if (r >= 0)
        r = find_direction(s, e);
    if (r >= 0 && !(needs & WALKS_STAGES))
        run_hint(s);
    if (r >= 0)
        r = open_clusters(s, needs, e);
    if (r >= 0)
        r = check_pins(s, e);
    if (r >= 0)
        r = open_traffic(s, needs, e);
    if (r >= 0 && needs & NEED_LIVE)
        r = session_check_live(s, e);
    if (r < 0) {
        session_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

int session_reach(struct session *s, unsigned needs, struct err *e) {
    s->needs |= needs;
    int r = open_clusters(s, needs, e);
    if (r >= 0)
        r = check_pins(s, e);
    if (r < 0)
        session_leave(s);
    return r;
}

void session_leave(struct session *s) {
    for (size_t i = 0; i < COUNT_OF(s->cluster); i++) {
        kube_client_free(s->cluster[i]);
        s->cluster[i] = NULL;
    }
}

enum { RECORD_STEP_MS = 100 };

bool session_record(struct session *s, uint64_t max_ms) {
    uint64_t end = clock_now_ms() + max_ms;
    struct journal *j = NULL;
    struct err e = {0};
    int r = -EBUSY;
    if (s->recording || s->o.read_only || !(s->needs & NEED_JOURNAL) || !s->cfg->journal ||
        !file_exists(s->cfg->journal))
        return s->recording;
    while ((r = journal_open(s->cfg->journal, false, &j, &e)) == -EBUSY && clock_now_ms() < end)
        clock_sleep_ms(RECORD_STEP_MS);
    if (r < 0)
        return false;
    journal_close(s->journal);
    s->journal = j;
    s->recording = true;
    s->run_open = journal_run_open(j, &s->run, NULL) > 0; /* its holder may have ended it */
    log_info("the journal is free now: what was done is recorded");
    return true;
}

void session_close(struct session *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n_tiers; i++)
        traffic_close(s->tiers[i]);
    session_let_go(s);
    kube_client_free(s->cluster[0]);
    kube_client_free(s->cluster[1]);
    journal_close(s->journal);
    config_free(s->cfg);
    http_client_free(s->http);
    arena_free(s->a);
    xfree(s);
}

/* --- world --- */

static const struct user_rule *rules_of(struct session *s) {
    struct user_rule *out = arena_array(s->a, struct user_rule, s->cfg->n_rules + 1);
    for (size_t i = 0; i < s->cfg->n_rules; i++) {
        const struct config_rule *c = &s->cfg->rules[i];
        out[i] = (struct user_rule){c->group,   c->kind, c->name,  c->namespace, c->labels,
                                    c->verdict, c->why,  c->patch, c->overwrite, c->recreate};
    }
    return out;
}

int session_world(struct session *s, void (*progress)(void *, const char *, size_t), void *ctx,
                  struct world **ret, struct err *e) {
    return session_world_of(s, NULL, progress, ctx, ret, e);
}

enum { PATIENCE_MS = 60000 };

void session_patience(struct session *s, bool on) {
    s->patience += on ? 1 : -1;
    on = s->patience > 0;
    uint32_t ms = on ? FAULT_NUMBER("TANDEM_PATIENCE_MS", PATIENCE_MS) : 0;
    for (size_t i = 0; i < COUNT_OF(s->cluster); i++)
        if (s->cluster[i])
            kube_client_set_patience(s->cluster[i], ms, on ? &s->cancel : NULL);
}

int session_world_opts(struct session *s, const uint8_t *plan_salt, struct world_opts *ret,
                       struct err *e) {
    bool narrowed = s->o.namespaces && s->o.namespaces[0];
    const char *const *generated = NULL;
    int r = probing_recall(s, &generated, e);
    if (r < 0)
        return r;
    *ret = (struct world_opts){
        .src = session_source(s),
        .dst = session_destination(s),
        .src_slot = s->source,
        .dst_slot = s->destination,
        .ns_include = narrowed ? s->o.namespaces : s->cfg->ns_include,
        .ns_exclude = s->cfg->ns_exclude,
        .only_namespaced = narrowed,
        .label_selector = s->o.label_selector,
        .rules = rules_of(s),
        .n_rules = s->cfg->n_rules,
        .class_from = s->cfg->storage_class_from,
        .class_to = s->cfg->storage_class_to,
        .journal = s->journal,
        .run = s->run_open ? s->run.id : NULL,
        .salt = s->journal ? journal_salt(s->journal) : NULL,
        .plan_salt = plan_salt,
        .generated = generated,
        .cancel = &s->cancel,
        .tolerate_denied = s->needs & TOLERATE_DENIED,
        .without_digests = s->without_digests,
        .read_made = s->read_made,
    };
    return 0;
}

int session_world_of(struct session *s, const uint8_t *plan_salt,
                     void (*progress)(void *, const char *, size_t), void *ctx, struct world **ret,
                     struct err *e) {
    struct world_opts wo;
    int r = session_world_opts(s, plan_salt, &wo, e);
    if (r < 0)
        return r;
    wo.progress = progress;
    wo.progress_ctx = ctx;
    struct world *w;
    session_patience(s, true);
    r = world_new(&wo, &w, e);
    if (r >= 0) {
        r = world_read(w, e);
        if (r < 0)
            world_free(w);
    }
    session_patience(s, false);
    if (r < 0)
        return r;
    *ret = w;
    return 0;
}

/* --- the run --- */

int session_begin_run(struct session *s, struct err *e) {
    MUST(s->journal);
    int r = record_no_other(s, e);
    if (r >= 0 && !s->run_open)
        r = session_hold(s, holding_slot(s->destination), e);
    for (int i = 0; i < 2 && r >= 0; i++)
        r = s->cluster[i] ? journal_set(s->journal, pin_key(i), pin_text(s, i), e) : 0;
    if (r < 0 || s->run_open)
        return r;
    r = journal_run_begin(s->journal, s->source, s->destination, &s->run, e);
    if (r < 0)
        return r;
    s->run_open = true;
    session_event(s, "run begun", s->source == 'a' ? "a to b" : "b to a");
    return 0;
}

void session_event(struct session *s, const char *what, const char *detail) {
    struct err e = {0};
    if (s->recording &&
        journal_event(s->journal, s->run_open ? s->run.id : "", s->actor, what, detail, &e) < 0)
        log_warn("not recorded in the journal: %s", err_msg(&e));
}

static int step_begin(struct session *s, const char *stage, const char *what, int64_t *ret_id,
                      struct err *e) {
    return s->recording ? journal_step_begin(s->journal, s->run.id, stage, what, NULL, ret_id, e)
                        : 0;
}

/* What was done is recorded as far as that is possible. */
static void step_end(struct session *s, const char *stage, const char *what, int64_t id, int r,
                     const char *note) {
    struct err je = {0};
    if (id && journal_step_end(s->journal, id, r < 0 ? "failed" : "done", note, &je) < 0)
        log_warn("not recorded in the journal: %s", err_msg(&je));
    session_event(s, arena_printf(s->a, "%s: %s", stage, what), r < 0 ? note : "done");
    if (r >= 0)
        run_note(s, arena_printf(s->a, "%s: %s", stage, what));
}

int session_step(struct session *s, const char *stage, const char *what,
                 int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx, struct err *e) {
    bool recorded = s->recording;
    struct err je = {0};
    int64_t id = 0;
    int began = step_begin(s, stage, what, &id, &je);
    int r = fn(s, ctx, e);
    if (began >= 0 && !recorded)
        began = step_begin(s, stage, what, &id, &je);
    if (began < 0)
        log_warn("not recorded in the journal: %s", err_msg(&je));
    step_end(s, stage, what, id, r, r < 0 ? err_msg(e) : NULL);
    return r;
}

int session_step_recorded(struct session *s, const char *stage, const char *what,
                          int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx,
                          struct err *e) {
    struct err je = {0};
    int64_t id = 0;
    if (atomic_load(&s->cancel.stop))
        return err_set(e, -ESTOPPED, "stopped before it: %s: %s", stage, what);
    if (step_begin(s, stage, what, &id, &je) < 0)
        return err_set(e, -EUNRECORDED, "%s: %s cannot be recorded and is not done: %s", stage,
                       what, err_msg(&je));
    int r = fn(s, ctx, e);
    step_end(s, stage, what, id, r, r < 0 ? err_msg(e) : NULL);
    return r;
}

/* What takes a stage back: another stage, or a step of its own whose words begin so. */
static const struct {
    const char *stage, *undone_by, *begins;
} undoing[] = {
    {"activate", "deactivate", ""},
    {"deactivate", "activate", ""},
    {"switch", "switch", "back to"},
    {"migrate", "unmigrate", ""},
};

static bool undoes(const struct journal_step *step, const char *stage) {
    for (size_t i = 0; i < COUNT_OF(undoing); i++)
        if (str_eq(undoing[i].stage, stage) && str_eq(undoing[i].undone_by, step->stage) &&
            str_starts(step->what, undoing[i].begins) && str_eq(step->state, "done"))
            return true;
    return false;
}

bool session_stage_done(struct session *s, const char *stage, const char *what) {
    struct journal_step *steps;
    size_t n;
    bool done = false;
    if (!s->journal || !s->run_open ||
        journal_steps(s->journal, s->a, s->run.id, &steps, &n, NULL) < 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (undoes(&steps[i], stage))
            done = false;
        else if (str_eq(steps[i].stage, stage) && (!what || str_eq(steps[i].what, what)))
            done = str_eq(steps[i].state, "done");
    }
    return done;
}
