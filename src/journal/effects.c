#include <errno.h>

#include "base/clock.h"
#include "journal/db.h"

enum { PAGE = 256 };

/* --- writing --- */

/* Is the object of this reference (GROUP/KIND/NS/NAME) a Secret of the core group? */
static bool is_secret(const char *ref) {
    return str_starts(ref, "/Secret/") || str_starts(ref, "core/Secret/");
}

/* The last fence before the disk: callers must not hand a Secret's values over at all. */
static bool carries_secret(const struct journal_effect *e) {
    static const char *const marks[] = {"\"data\"", "\"/data", "\"stringData\"", "\"/stringData"};
    if (!e->previous || !is_secret(e->ref))
        return false;
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (strstr(e->previous, marks[i]))
            return true;
    return false;
}

static int refuse_secret(const struct journal *j, const struct journal_effect *e, struct err *err) {
    return carries_secret(e)
               ? err_set(err, -EGUARD, "journal %s: %s: values of a Secret are never recorded",
                         j->path, e->ref)
               : 0;
}

static int insert_one(struct journal *j, const char *run, const struct journal_effect *e,
                      int64_t now, int64_t *ret_id, struct err *err) {
    int r = refuse_secret(j, e, err);
    if (r < 0)
        return r;
    r = query_run(j, Q_EFFECT_INSERT,
                  ARGS(TEXT(run_or_null(run)), TEXT(e->cluster), TEXT(e->ref), TEXT(e->verb),
                       TEXT(e->digest), TEXT(e->leaves), TEXT(e->previous), TEXT(e->uid),
                       TEXT(e->resource_version), INT(now)),
                  err);
    if (r >= 0)
        *ret_id = sqlite3_last_insert_rowid(j->db);
    return r;
}

static int insert_all(struct journal *j, const char *run, const struct journal_effect *e, size_t n,
                      int64_t *ids, struct err *err) {
    int64_t now = clock_wall_ms();
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = insert_one(j, run, &e[i], now, &ids[i], err);
    return r;
}

int journal_effects_begin(struct journal *j, const char *run, struct journal_effect *e, size_t n,
                          struct err *err) {
    return journal_effects_turn(j, run, e, n, NULL, 0, err);
}

static int no_effect(const struct journal *j, const struct journal_effect *e, struct err *err) {
    return err_set(err, -ENOENT, "journal %s: there is no effect %lld (%s)", j->path,
                   (long long)e->id, e->ref ? e->ref : "");
}

int journal_effect_note(struct journal *j, const struct journal_effect *e, struct err *err) {
    AUTO_USE u = {0};
    int r = refuse_secret(j, e, err);
    if (r >= 0)
        r = use_write(&u, j, "record what will be changed", err);
    if (r >= 0)
        r = query_run(j, Q_EFFECT_NOTE,
                      ARGS(INT(e->id), TEXT(e->previous), TEXT(e->uid), TEXT(e->resource_version)),
                      err);
    if (r == 0)
        return no_effect(j, e, err);
    return r < 0 ? r : use_commit(&u, err);
}

static int end_one(struct journal *j, const struct journal_effect *e, int64_t now,
                   struct err *err) {
    int r = query_run(j, Q_EFFECT_END,
                      ARGS(INT(e->id), INT(e->state), TEXT(e->uid), TEXT(e->resource_version),
                           TEXT(e->error), TEXT(e->digest), TEXT(e->leaves), INT(now)),
                      err);
    return r == 0 ? no_effect(j, e, err) : r;
}

int journal_effects_end(struct journal *j, const struct journal_effect *e, size_t n,
                        struct err *err) {
    return journal_effects_turn(j, NULL, NULL, 0, e, n, err);
}

int journal_effects_turn(struct journal *j, const char *run, struct journal_effect *begun,
                         size_t n_begun, const struct journal_effect *ended, size_t n_ended,
                         struct err *err) {
    if (n_begun + n_ended == 0)
        return 0;
    AUTO_ARENA a = arena_new();
    int64_t *ids = arena_array(a, int64_t, n_begun + 1), now = clock_wall_ms();
    AUTO_USE u = {0};
    int r =
        use_write(&u, j, n_begun ? "record what will be written" : "record what was written", err);
    if (r >= 0)
        r = insert_all(j, run, begun, n_begun, ids, err);
    for (size_t i = 0; r >= 0 && i < n_ended; i++)
        r = end_one(j, &ended[i], now, err);
    if (r >= 0)
        r = use_commit(&u, err);
    for (size_t i = 0; r >= 0 && i < n_begun; i++)
        begun[i].id = ids[i];
    return r;
}

/* --- reading --- */

static struct journal_effect read_effect(struct arena *a, sqlite3_stmt *st) {
    return (struct journal_effect){
        .id = sqlite3_column_int64(st, 0),
        .cluster = column_text(a, st, 1),
        .ref = column_text(a, st, 2),
        .verb = column_text(a, st, 3),
        .digest = column_text(a, st, 4),
        .leaves = column_text(a, st, 5),
        .previous = column_text(a, st, 6),
        .uid = column_text(a, st, 7),
        .resource_version = column_text(a, st, 8),
        .error = column_text(a, st, 9),
        .state = (enum journal_effect_state)sqlite3_column_int(st, 10),
    };
}

int journal_effect_last(struct journal *j, struct arena *a, const char *cluster, const char *ref,
                        struct journal_effect *ret, struct err *err) {
    AUTO_USE u = use_read(j, "read an effect");
    AUTO_STMT st = NULL;
    int r = query(j, Q_EFFECT_LAST, ARGS(TEXT(cluster), TEXT(ref)), &st, err);
    if (r >= 0)
        r = query_next(j, st, err);
    if (r > 0)
        *ret = read_effect(a, st);
    return r;
}

static int effects_of(struct journal *j, struct arena *a, enum query_name q, const char *run,
                      const char *cluster, const char *ref, struct journal_effect **ret, size_t *n,
                      struct err *err) {
    AUTO_USE u = use_read(j, "read an object's effects");
    AUTO_STMT st = NULL;
    struct journal_effect *v = NULL;
    size_t count = 0, cap = 0;
    int r = query(j, q, ARGS(TEXT(cluster), TEXT(ref), TEXT(run_or_null(run))), &st, err);
    while (r >= 0 && (r = query_next(j, st, err)) > 0)
        *ARENA_PUSH(a, v, count, cap) = read_effect(a, st);
    if (r < 0)
        return r;
    *ret = v;
    *n = count;
    return 0;
}

int journal_effects_of(struct journal *j, struct arena *a, const char *run, const char *cluster,
                       const char *ref, struct journal_effect **ret, size_t *n, struct err *err) {
    return effects_of(j, a, Q_EFFECT_OF, run, cluster, ref, ret, n, err);
}

int journal_effects_tail(struct journal *j, struct arena *a, const char *run, const char *cluster,
                         const char *ref, struct journal_effect **ret, size_t *n, struct err *err) {
    return effects_of(j, a, Q_EFFECT_TAIL, run, cluster, ref, ret, n, err);
}

int journal_deleted_since(struct journal *j, const char *run, const char *cluster, int64_t since_ms,
                          void (*fn)(void *ctx, const char *ref, int64_t at_ms), void *ctx,
                          struct err *err) {
    AUTO_USE u = use_read(j, "read what was deleted");
    AUTO_STMT st = NULL;
    int r = query(j, Q_EFFECT_DELETED, ARGS(TEXT(run_or_null(run)), TEXT(cluster), INT(since_ms)),
                  &st, err);
    while (r >= 0 && (r = query_next(j, st, err)) > 0)
        fn(ctx, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
    return r;
}

/* Up to PAGE effects behind the one with id `after`; the number read. */
static int read_page(struct journal *j, struct arena *a, int64_t after, const char *run, int only,
                     struct journal_effect v[PAGE], struct err *err) {
    AUTO_USE u = use_read(j, "read the effects");
    AUTO_STMT st = NULL;
    int n = 0;
    int r = query(j, Q_EFFECT_PAGE, ARGS(INT(after), TEXT(run_or_null(run)), INT(only), INT(PAGE)),
                  &st, err);
    while (r >= 0 && (r = query_next(j, st, err)) > 0)
        v[n++] = read_effect(a, st);
    return r < 0 ? r : n;
}

int journal_effects_each(struct journal *j, const char *run, int only,
                         int (*fn)(void *ctx, const struct journal_effect *e), void *ctx,
                         struct err *err) {
    return journal_effects_each_after(j, 0, run, only, fn, ctx, err);
}

int journal_effects_each_after(struct journal *j, int64_t after, const char *run, int only,
                               int (*fn)(void *ctx, const struct journal_effect *e), void *ctx,
                               struct err *err) {
    AUTO_ARENA a = arena_new();
    int n;
    do {
        arena_reset(a);
        struct journal_effect *v = arena_array(a, struct journal_effect, PAGE);
        n = read_page(j, a, after, run, only, v, err);
        for (int i = 0; i < n; i++) {
            int r = fn(ctx, &v[i]);
            if (r != 0)
                return r;
            after = v[i].id;
        }
    } while (n == PAGE);
    return n < 0 ? n : 0;
}
