#include "run/holding.h"

#include <errno.h>

#include "base/hash.h"
#include "base/log.h"
#include "kube/lease.h"
#include "migrate/keep.h"

enum session_need holding_slot(char slot) {
    return session_slot(slot) ? NEED_B : NEED_A;
}

static const char *lease_name(struct session *s) {
    return arena_printf(s->a, "tandem-%s", s->cfg->name);
}

/* Of this session and no other, also when the pid comes again. */
static const char *identity(struct session *s) {
    uint8_t raw[4];
    char hex[2 * sizeof raw + 1];
    hash_random(raw, sizeof raw);
    return arena_printf(s->a, "%s:%d:%s", s->actor, (int)getpid(), hash_hex(raw, sizeof raw, hex));
}

static void waiting(const char *cluster, const char *holder, uint32_t ms) {
    log_info("%s: %s has the lease: waiting up to %u s to see whether it lives", cluster, holder,
             ms / 1000);
}

/* Where the namespace is missing it is made. */
static int take(struct session *s, int i, struct lease_taken *how, struct err *e) {
    struct lease_opts o = {.namespace = KEEP_NAMESPACE,
                           .name = lease_name(s),
                           .identity = identity(s),
                           .by_force = s->take_over,
                           .cancel = &s->cancel,
                           .waiting = waiting};
    int r = lease_take(s->cluster[i], &o, &s->lease[i], how, e);
    if (r != -ENOENT)
        return r;
    AUTO_ARENA a = arena_new();
    r = keep_namespace(s->cluster[i], a, e);
    return r < 0 ? r : lease_take(s->cluster[i], &o, &s->lease[i], how, e);
}

/* Is a failure to take it one that says nothing about others? */
static bool goes_without(const struct session *s, int r, const struct err *e) {
    bool refused = e->http >= 400 && e->http < 500 && e->http != 429;
    bool hook = e->http >= 500 && strstr(e->msg, "webhook");
    return r != -ESTOPPED && (s->take_over || refused || hook);
}

static int hold_one(struct session *s, int i, struct err *e) {
    struct lease_taken how = {0};
    struct err own = {0};
    unsigned bit = i ? NEED_B : NEED_A;
    if (s->lease[i] && lease_lost(s->lease[i]))
        return err_set(e, -EGUARD, "%s: the lease was taken over by another",
                       kube_client_name(s->cluster[i]));
    if (s->lease[i] || s->without_lease & bit)
        return 0;
    int r = take(s, i, &how, &own);
    if (r >= 0 && how.over) {
        const char *text = arena_printf(s->a, "%s: epoch %lld, from %s", i ? "b" : "a",
                                        (long long)how.epoch, how.from);
        log_warn("lease taken over in %s", text);
        session_event(s, "lease taken over", text);
        s->taken_from = text;
    }
    if (r >= 0)
        return 0;
    if (e)
        *e = own;
    if (!goes_without(s, r, &own)) {
        if (r == -EBUSY && !own.http && e)
            e->code = -EGUARD;
        return r == -EBUSY && !own.http ? -EGUARD : r;
    }
    s->without_lease |= bit;
    log_warn("no lease in %c, so another machine may write there at the same time: %s",
             i ? 'b' : 'a', err_msg(&own));
    return 0;
}

int session_hold(struct session *s, unsigned slots, struct err *e) {
    int r = 0;
    if (s->o.read_only)
        return 0;
    if (!s->take_over)
        session_patience(s, true);
    for (int i = 0; i < 2 && r >= 0; i++)
        if (slots & (i ? NEED_B : NEED_A) && s->cluster[i])
            r = hold_one(s, i, e);
    if (s->lease[0] && s->lease[1])
        lease_pair(s->lease[0], s->lease[1]);
    if (!s->take_over)
        session_patience(s, false);
    /* What cannot be written back to the source is no reason to leave the destination alone. */
    s->refused = r == -EGUARD && slots & holding_slot(s->destination);
    return r;
}

int session_holds_still(struct session *s, uint64_t patience_ms, struct err *e) {
    int r = s->refused ? err_set(e, -EGUARD, "another process writes there") : 0;
    for (size_t i = 0; i < COUNT_OF(s->lease) && r >= 0; i++)
        if (s->lease[i])
            r = lease_check(s->lease[i], patience_ms, &s->cancel, e);
    return r < 0 ? err_ctx(e, r, "another may act in this environment") : r;
}

bool session_in_doubt(const struct session *s) {
    for (size_t i = 0; i < COUNT_OF(s->lease); i++)
        if (s->lease[i] && lease_in_doubt(s->lease[i]))
            return true;
    return false;
}

static void end_lease(struct session *s, int i, bool remove) {
    lease_end(s->lease[i], remove);
    s->lease[i] = NULL;
}

void session_let_go(struct session *s) {
    for (int i = 0; i < 2; i++)
        end_lease(s, i, false);
}

static int sweep_one(struct session *s, int i, const char *run, struct err *e) {
    struct kube_client *c = s->cluster[i];
    bool had = s->lease[i];
    end_lease(s, i, true);
    int r = had ? 0 : lease_sweep(c, KEEP_NAMESPACE, lease_name(s), e);
    if (r >= 0 || r == -EACCES)
        r = keep_sweep(c, run, e);
    return r;
}

int session_sweep(struct session *s, const char *run, struct err *e) {
    int source = session_slot(s->source), destination = session_slot(s->destination), r = 0;
    struct err left = {0};
    if (s->cluster[source] && sweep_one(s, source, s->run.id, &left) < 0)
        log_warn("something of tandem's is left in %c: %s", s->source, err_msg(&left));
    if (s->cluster[destination])
        r = sweep_one(s, destination, run, e);
    return r;
}
