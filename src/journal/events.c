#include <errno.h>

#include "base/clock.h"
#include "journal/db.h"

enum { CANONICAL_MAX = 1 << 24 };

/* --- the chain ---
 *
 * hash = hex(SHA-256(hash of the row before || canonical row)), where the canonical row is the JSON
 * array [id,at_ms,run,actor,what,detail] without spaces, null for what is missing, and the hash
 * before the first row is 64 zeros. Anybody can recompute it with sha256sum. */

static const char chain_start[SHA256_HEX] =
    "0000000000000000000000000000000000000000000000000000000000000000";

static void add_text(struct sb *b, const char *s) {
    sb_chr(b, ',');
    if (s)
        sb_json(b, s, strlen(s));
    else
        sb_str(b, "null");
}

static int chain_hash(const struct journal *j, const char *before,
                      const struct journal_event_row *v, char out[SHA256_HEX], struct err *e) {
    AUTO_SB b = SB_INIT(CANONICAL_MAX);
    sb_fmt(&b, "%s[%lld,%lld", before, (long long)v->id, (long long)v->at_ms);
    add_text(&b, v->run);
    add_text(&b, v->actor);
    add_text(&b, v->what);
    add_text(&b, v->detail);
    sb_chr(&b, ']');
    if (b.full)
        return err_set(e, -EFBIG, "journal %s: the event is larger than %d bytes", j->path,
                       CANONICAL_MAX);
    hash_sha256_hex(sb_get(&b), b.len, out);
    return 0;
}

/* --- writing --- */

static int read_tip(struct journal *j, int64_t *ret_id, char ret_hash[SHA256_HEX], struct err *e) {
    AUTO_STMT st = NULL;
    int r = query(j, Q_EVENT_TIP, NO_ARGS, &st, e);
    if (r >= 0)
        r = query_next(j, st, e);
    if (r < 0)
        return r;
    *ret_id = r ? sqlite3_column_int64(st, 0) : 0;
    snprintf(ret_hash, SHA256_HEX, "%s",
             r ? (const char *)sqlite3_column_text(st, 1) : chain_start);
    return 0;
}

static int append(struct journal *j, struct journal_event_row *v, struct err *e) {
    char before[SHA256_HEX], hash[SHA256_HEX];
    int64_t last;
    int r = read_tip(j, &last, before, e);
    if (r < 0)
        return r;
    v->id = last + 1;
    r = chain_hash(j, before, v, hash, e);
    if (r < 0)
        return r;
    return query_run(j, Q_EVENT_INSERT,
                     ARGS(INT(v->id), INT(v->at_ms), TEXT(v->run), TEXT(v->actor), TEXT(v->what),
                          TEXT(v->detail), TEXT(hash)),
                     e);
}

int journal_event(struct journal *j, const char *run, const char *actor, const char *what,
                  const char *detail, struct err *e) {
    struct journal_event_row v = {
        .at_ms = clock_wall_ms(),
        .run = run_or_null(run),
        .actor = actor,
        .what = what,
        .detail = detail,
    };
    AUTO_USE u = {0};
    int r = use_write(&u, j, "record an event", e);
    if (r >= 0)
        r = append(j, &v, e);
    return r < 0 ? r : use_commit(&u, e);
}

/* --- reading --- */

static struct journal_event_row read_event(struct arena *a, sqlite3_stmt *st) {
    return (struct journal_event_row){
        .id = sqlite3_column_int64(st, 0),
        .at_ms = sqlite3_column_int64(st, 1),
        .run = column_text(a, st, 2),
        .actor = column_text(a, st, 3),
        .what = column_text(a, st, 4),
        .detail = column_text(a, st, 5),
        .hash = column_text(a, st, 6),
    };
}

int journal_events(struct journal *j, struct arena *a, const char *run,
                   struct journal_event_row **ret, size_t *n, struct err *e) {
    AUTO_USE u = use_read(j, "read the events");
    AUTO_STMT st = NULL;
    struct journal_event_row *v = NULL;
    size_t len = 0, cap = 0;
    int r = query(j, Q_EVENTS, ARGS(TEXT(run_or_null(run))), &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0)
        *ARENA_PUSH(a, v, len, cap) = read_event(a, st);
    if (r < 0)
        return r;
    *ret = v;
    *n = len;
    return 0;
}

/* --- verifying --- */

static int bad_row(const struct journal *j, int64_t id, const char *why, struct err *e) {
    return err_set(e, -EBADMSG, "journal %s: the history was changed at event %lld: %s", j->path,
                   (long long)id, why);
}

static int check_row(const struct journal *j, const struct journal_event_row *v, int64_t expected,
                     char before[SHA256_HEX], struct err *e) {
    char hash[SHA256_HEX];
    if (v->id != expected)
        return bad_row(j, expected, "it is missing", e);
    int r = chain_hash(j, before, v, hash, e);
    if (r < 0)
        return r;
    if (!str_eq(hash, v->hash))
        return bad_row(j, v->id, "its hash does not follow from its content and the row before", e);
    memcpy(before, hash, SHA256_HEX);
    return 0;
}

static int check_end(struct journal *j, int64_t count, struct err *e) {
    AUTO_STMT st = NULL;
    int r = query(j, Q_EVENT_SEQUENCE, NO_ARGS, &st, e);
    if (r >= 0)
        r = query_next(j, st, e);
    if (r > 0 && sqlite3_column_int64(st, 0) > count)
        return bad_row(j, count + 1, "it and what followed is missing", e);
    return r < 0 ? r : 0;
}

int events_verify(struct journal *j, struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_STMT st = NULL;
    char before[SHA256_HEX];
    int64_t count = 0;
    memcpy(before, chain_start, sizeof before);
    int r = query(j, Q_EVENTS, ARGS(TEXT(NULL)), &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0) {
        arena_reset(a);
        struct journal_event_row v = read_event(a, st);
        r = check_row(j, &v, ++count, before, e);
    }
    return r < 0 ? r : check_end(j, count, e);
}

int journal_events_verify(struct journal *j, struct err *e) {
    AUTO_USE u = use_read(j, "verify the events");
    return events_verify(j, e);
}
