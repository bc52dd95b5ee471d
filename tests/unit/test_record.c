/* The record's mirror: out of a journal, into a cluster, and into another machine's journal. */
#include "run_bench.h"

#include <sqlite3.h>

#include "base/gzip.h"
#include "base/hash.h"
#include "journal/export.h"
#include "run/record.h"
#include "run/record_parts.h"

#define OWN   "/api/v1/namespaces/tandem-system"
#define MAPS  OWN "/configmaps/tandem-record-prod-"
#define HEAD0 MAPS "0"
#define HEAD1 MAPS "1"

/* --- gzip and parts --- */

static void test_gzip(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    size_t n, m, big = 300000;
    char *text = arena_alloc(a, big), *back;
    for (size_t i = 0; i < big; i++)
        text[i] = (char)('a' + (i * i >> 3) % 23);
    for (size_t len = 0; len <= big; len = len * 7 + 1) {
        uint8_t *gz = gzip_pack(a, text, len, &n);
        run_bench_good(gzip_unpack(a, gz, n, len + 1, &back, &m, &e), &e);
        assert_int_equal(m, len);
        assert_memory_equal(back, text, len);
        assert_int_equal(back[len], 0);
        for (size_t cut = 0; cut < n; cut += n / 5 + 1)
            assert_int_equal(gzip_unpack(a, gz, cut, len + 1, &back, &m, &e), -EBADMSG);
    }
    uint8_t *gz = gzip_pack(a, text, big, &n);
    assert_int_equal(gzip_unpack(a, gz, n, big - 1, &back, &m, &e), -EFBIG);
    for (size_t i = 10; i < n; i += n / 50) { /* behind the head: its time and system may be any */
        gz[i] ^= 0x10;
        assert_true(gzip_unpack(a, gz, n, big + 1, &back, &m, &e) < 0);
        gz[i] ^= 0x10;
    }
}

struct seen {
    struct arena *a;
    struct sb text;
    size_t parts, largest;
    char first[SHA256_HEX];
};

static int see(void *ctx, const struct record_part *p, struct err *e) {
    struct seen *s = ctx;
    if (s->parts++ == 0)
        memcpy(s->first, p->sha256, sizeof s->first);
    s->largest = MAX(s->largest, p->len);
    return record_unpack(p->text, p->len, p->sha256, &s->text, e);
}

/* 4 MiB of what packs well, and of what does not pack at all. */
static void test_parts(void **state) {
    (void)state;
    for (int noise = 0; noise < 2; noise++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        struct seen s = {.a = a, .text = SB_INIT(0)}, more = {.a = a, .text = SB_INIT(0)};
        struct record_packer p;
        size_t len = 4 << 20;
        char *text = arena_alloc(a, len);
        memset(text, 'x', len);
        if (noise)
            hash_random(text, len);
        record_packer_init(&p, see, &s);
        for (size_t at = 0; at < len; at += 100000)
            run_bench_good(record_pack(&p, text + at, MIN(len - at, (size_t)100000), &e), &e);
        run_bench_good(record_pack_end(&p, &e), &e);
        assert_int_equal(s.text.len, len);
        assert_memory_equal(s.text.p, text, len);
        assert_true(s.largest <= RECORD_PART_MAX);
        assert_int_equal(s.parts > 4, noise);
        /* More behind it leaves what was there as it is. */
        p.ctx = &more;
        run_bench_good(record_pack(&p, text, len, &e), &e);
        run_bench_good(record_pack(&p, "more", 4, &e), &e);
        run_bench_good(record_pack_end(&p, &e), &e);
        assert_string_equal(s.first, more.first);
        record_packer_done(&p);
        sb_done(&s.text);
        sb_done(&more.text);
    }
}

static void test_damaged_part(void **state) {
    (void)state;
    struct err e = {0};
    AUTO_SB out = SB_INIT(0);
    char hex[SHA256_HEX];
    assert_int_equal(record_unpack("QUJD", 4, hash_sha256_hex("QUJE", 4, hex), &out, &e), -EBADMSG);
    assert_int_equal(record_unpack("QUJD", 4, hash_sha256_hex("QUJD", 4, hex), &out, &e), -EBADMSG);
    assert_int_equal(record_unpack("=!", 2, hash_sha256_hex("=!", 2, hex), &out, &e), -EBADMSG);
    assert_int_equal(out.len, 0);
}

/* --- the journal's text --- */

static int collect(void *ctx, const char *line, size_t n) {
    sb_add(ctx, line, n);
    return 0;
}

static void export(struct journal *j, struct sb *out) {
    struct err e = {0};
    sb_reset(out);
    run_bench_good(journal_export(j, EXPORT_CORE, collect, out, &e), &e);
    run_bench_good(journal_export(j, EXPORT_EFFECTS, collect, out, &e), &e);
}

/* n objects, some of them changed, some of them failed; steps and events of all shapes. */
static void fill(struct session *s, size_t n) {
    struct err e = {0};
    int64_t id;
    AUTO_ARENA a = arena_new();
    struct journal_effect *v = arena_array(a, struct journal_effect, n);
    run_bench_good(journal_set(s->journal, "live", "a", &e), &e);
    run_bench_good(journal_step_begin(s->journal, s->run.id, "migrate", MIGRATE_ALL,
                                      "{\"x\":\"ü\\n\"}", &id, &e),
                   &e);
    for (size_t i = 0; i < n; i++) {
        char hex[SHA256_HEX], more[SHA256_HEX];
        hash_sha256_hex(&i, sizeof i, hex);
        hash_sha256_hex(hex, sizeof hex, more);
        v[i] = (struct journal_effect){
            .cluster = "b",
            .ref = arena_printf(a, "apps/Deployment/shop/cart-%zu", i),
            .verb = i % 7 ? "create" : "update",
            .digest = arena_strdup(a, hex),
            .leaves = arena_printf(a, "/spec/replicas %.8s /spec/x %s%s", hex, hex, more),
            .previous = i % 7 ? NULL : "{\"restore\":{\"spec\":{\"replicas\":3}}}"};
    }
    run_bench_good(journal_effects_begin(s->journal, s->run.id, v, n, &e), &e);
    for (size_t i = 0; i < n; i++) {
        v[i].state = i % 11 ? EFFECT_DONE : EFFECT_FAILED;
        v[i].error = i % 11 ? NULL : "quota exceeded";
        v[i].uid = arena_printf(a, "u-%zu", i);
    }
    run_bench_good(journal_effects_end(s->journal, v, n, &e), &e);
    run_bench_good(journal_step_end(s->journal, id, "failed", "1 object failed", &e), &e);
    struct journal_move m = {.from = "migrate",
                             .to = "verify",
                             .name = "next",
                             .actor = "jo",
                             .reason = "\"it\" is time"};
    run_bench_good(journal_move_begin(s->journal, s->run.id, &m, &id, &e), &e);
    run_bench_good(journal_move_end(s->journal, id, "done", NULL, &e), &e);
    run_bench_good(journal_approve(s->journal, s->run.id, "switch", "jo", NULL, &e), &e);
    session_event(s, "migrate", "\"quoted\" \\ and\ttabbed");
}

static void test_export_import(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b);
    struct err e = {0};
    AUTO_SB out = SB_INIT(0);
    AUTO_SB again = SB_INIT(0);
    fill(b.s, 1200);
    export(b.s->journal, &out);
    assert_null(strstr(out.p, "quota exceeded"));
    run_bench_good(journal_import(c.s->journal, journal_salt(b.s->journal), out.p, out.len, &e),
                   &e);
    export(c.s->journal, &again);
    assert_string_equal(out.p, again.p);
    assert_memory_equal(journal_salt(b.s->journal), journal_salt(c.s->journal), SHA256_LEN);
    run_bench_good(journal_events_verify(c.s->journal, &e), &e);
    struct journal_effect last;
    assert_int_equal(
        journal_effect_last(c.s->journal, c.s->a, "b", "apps/Deployment/shop/cart-700", &last, &e),
        1);
    assert_string_equal(last.uid, "u-700");
    assert_string_equal(last.previous, "{\"restore\":{\"spec\":{\"replicas\":3}}}");
    /* The chain goes on where it was, and counts on. */
    run_bench_good(journal_event(c.s->journal, NULL, "jo", "next", NULL, &e), &e);
    run_bench_good(journal_events_verify(c.s->journal, &e), &e);
    /* Twice is once too often. */
    assert_int_equal(journal_import(c.s->journal, NULL, out.p, out.len, &e), -EEXIST);
    run_bench_free(&c);
    run_bench_free(&b);
}

static void alter(struct session *s, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(s->cfg->journal, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* A column that a later schema brings is carried along without a word about it. */
static void test_later_columns(void **state) {
    (void)state;
    static const char *const column =
        "ALTER TABLE approval ADD COLUMN later TEXT DEFAULT 'why not'";
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b);
    struct err e = {0};
    AUTO_SB out = SB_INIT(0);
    AUTO_SB again = SB_INIT(0);
    alter(b.s, column);
    fill(b.s, 1);
    export(b.s->journal, &out);
    assert_non_null(strstr(out.p, "\"at_ms\",\"later\"]"));
    assert_non_null(strstr(out.p, ",\"why not\"]"));
    /* A file without it is older than the text. */
    assert_true(journal_import(c.s->journal, NULL, out.p, out.len, &e) < 0);
    alter(c.s, column);
    run_bench_good(journal_import(c.s->journal, NULL, out.p, out.len, &e), &e);
    export(c.s->journal, &again);
    assert_string_equal(out.p, again.p);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* Nothing in the text is trusted, and nothing of a bad one stays. */
static void test_bad_text(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        int want;
        const char *says;
    } rows[] = {
        {"\"table\":\"run\"", "\"table\":\"sqlite_master\"", -EPROTONOSUPPORT, "sqlite_master"},
        {"\"table\":\"run\"", "\"tabel\":\"run\"", -EBADMSG, "without a name"},
        {"[\"id\",\"source\"", "[\"id\\\") SELECT 1;--\",\"source\"", -EPROTONOSUPPORT, "SELECT"},
        {"[\"id\",\"source\"", "[\"id\",\"id\"", -EBADMSG, "twice"},
        {",\"a\",\"b\",\"open\"", ",\"a\",\"a\",\"open\"", -EBADMSG, "CHECK"},
        {",\"a\",\"b\",\"open\"", ",\"a\",\"b\"", -EBADMSG, "too few"},
        {",\"a\",\"b\",\"open\"", ",\"a\",[],\"open\"", -EBADMSG, "no column takes"},
        {"jo@desk", "eve@bar", -EBADMSG, "event 1"},
        {"{\"table\":\"step\"", "what\n{\"table\":\"step\"", -EBADMSG, "no JSON"},
        {"{\"table\":\"step\"", "7\n{\"table\":\"step\"", -EBADMSG, "neither"},
    };
    struct run_bench b = run_bench_new("");
    AUTO_SB out = SB_INIT(0);
    fill(b.s, 3);
    export(b.s->journal, &out);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run_bench c = run_bench_beside(&b);
        struct err e = {0};
        struct journal_run *runs;
        size_t n;
        AUTO_SB bent = SB_INIT(0);
        const char *at = strstr(out.p, rows[i].from);
        assert_non_null(at);
        sb_add(&bent, out.p, (size_t)(at - out.p));
        sb_str(&bent, rows[i].to);
        sb_str(&bent, at + strlen(rows[i].from));
        int r = journal_import(c.s->journal, journal_salt(b.s->journal), bent.p, bent.len, &e);
        if (r != rows[i].want || !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %d: %s", i, r, e.msg);
        run_bench_good(journal_runs(c.s->journal, c.s->a, &runs, &n, &e), &e);
        assert_int_equal(n, 0);
        assert_memory_not_equal(journal_salt(b.s->journal), journal_salt(c.s->journal), SHA256_LEN);
        run_bench_free(&c);
    }
    struct run_bench c = run_bench_beside(&b);
    struct err e = {0};
    assert_int_equal(journal_import(c.s->journal, NULL, out.p, out.len - 1, &e), -EBADMSG);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* --- in a cluster --- */

static void test_round_trip(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct err e = {0};
    AUTO_SB out = SB_INIT(0);
    AUTO_SB again = SB_INIT(0);
    fill(b.s, 10000);
    record_mirror(b.s);
    assert_non_null(store_at(b.store[1], HEAD0));
    assert_null(store_at(b.store[1], HEAD1));
    assert_null(store_at(b.store[0], OWN)); /* the source has nothing of it */
    unsigned parts = store_count(b.store[1], MAPS) - 1;
    assert_true(parts >= 1);
    for (unsigned i = 0; i <= parts; i++)
        assert_true(strlen(store_at(b.store[1], store_nth(b.store[1], MAPS, i))) < 1 << 20);
    /* The salt is where Secrets are, and nowhere else. */
    const char *salt = base64_encode(b.s->a, journal_salt(b.s->journal), SHA256_LEN);
    assert_non_null(strstr(store_at(b.store[1], OWN "/secrets/tandem-record-prod"), salt));
    for (unsigned i = 0; i <= parts; i++)
        assert_null(strstr(store_at(b.store[1], store_nth(b.store[1], MAPS, i)), salt));

    struct run_bench c = run_bench_beside(&b);
    c.s->source = 'b'; /* it knows nothing yet */
    c.s->destination = 'a';
    run_bench_good(record_take_over(c.s, &e), &e);
    assert_true(c.s->run_open);
    assert_string_equal(c.s->run.id, b.s->run.id);
    assert_int_equal(c.s->source, 'a');
    assert_int_equal(c.s->destination, 'b');
    export(b.s->journal, &out);
    export(c.s->journal, &again);
    /* All of it, and one event more. */
    struct journal_event_row *was, *is;
    size_t n, m;
    run_bench_good(journal_events(b.s->journal, b.s->a, NULL, &was, &n, &e), &e);
    run_bench_good(journal_events(c.s->journal, c.s->a, NULL, &is, &m, &e), &e);
    assert_int_equal(m, n + 1);
    assert_string_equal(was[n - 1].hash, is[n - 1].hash);
    assert_string_equal(is[n].what, "run taken over");
    const char *effects = strstr(out.p, "{\"table\":\"effect\"");
    assert_string_equal(effects, strstr(again.p, "{\"table\":\"effect\""));
    assert_int_equal(record_take_over(c.s, &e), -EEXIST);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* What has not changed is not written again, and what no head names any more goes. */
static void test_parts_are_kept(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct api *api = store_api(b.store[1]);
    fill(b.s, 10000);
    record_mirror(b.s);
    unsigned posts = api_count(api, "POST " OWN "/configmaps"),
             parts = store_count(b.store[1], MAPS);
    session_event(b.s, "another", NULL);
    record_mirror(b.s);
    assert_int_equal(api_count(api, "POST " OWN "/configmaps"), posts + 1); /* the other head */
    assert_int_equal(store_count(b.store[1], MAPS), parts + 1);
    for (int i = 0; i < 4; i++) { /* others in their place */
        fill(b.s, 4000);
        record_mirror(b.s);
    }
    unsigned named = 0;
    for (unsigned i = 0; i < store_count(b.store[1], MAPS); i++) {
        const char *path = store_nth(b.store[1], MAPS, i);
        if (str_eq(path, HEAD0) || str_eq(path, HEAD1))
            continue;
        const char *name = strrchr(path, '/') + 1;
        named++;
        if (!strstr(store_at(b.store[1], HEAD0), name) &&
            !strstr(store_at(b.store[1], HEAD1), name))
            fail_msg("%s is named by no head", name);
    }
    assert_true(named > 0);
    run_bench_free(&b);
}

/* Whatever happens to one half, the other is there. */
static void test_damage(void **state) {
    (void)state;
    static const struct {
        const char *name, *path, *from, *to;
        bool other; /* the other half as well */
        int want;
        const char *what; /* the last event of what is found */
    } rows[] = {
        {"nothing", NULL, NULL, NULL, false, 0, "second"},
        {"the newer head", HEAD1, "generation", "degenerate", false, 0, "first"},
        {"a part in it", HEAD1, "\"part-1\":\"H4s", "\"part-1\":\"H4t", false, 0, "first"},
        {"the older head", HEAD0, "generation", "degenerate", false, 0, "second"},
        {"the newer one is gone", HEAD1, NULL, NULL, false, 0, "first"},
        {"both", HEAD1, "generation", "degenerate", true, -EBADMSG, NULL},
        {"both are gone", HEAD1, NULL, NULL, true, -ENOENT, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run_bench b = run_bench_new("");
        const char *paths[] = {rows[i].path, rows[i].other ? HEAD0 : NULL};
        for (int k = 0; k < 2; k++) {
            session_event(b.s, k ? "second" : "first", NULL);
            record_mirror(b.s);
        }
        for (size_t k = 0; k < 2; k++)
            if (paths[k] && rows[i].from)
                store_bend(b.store[1], paths[k], rows[i].from, rows[i].to);
            else if (paths[k])
                store_drop(b.store[1], paths[k]);
        struct run_bench c = run_bench_beside(&b);
        struct err e = {0};
        struct journal_event_row *v;
        struct record_info info;
        size_t n = 0;
        int r = record_history(c.s, &info, &v, &n, &e);
        if (r != rows[i].want || (r >= 0 && !str_eq(v[n - 1].what, rows[i].what)))
            fail_msg("%s: %d: %s, %s", rows[i].name, r, r < 0 ? e.msg : v[n - 1].what,
                     rows[i].what);
        assert_int_equal(record_take_over(c.s, &e), rows[i].want);
        assert_int_equal(c.s->run_open, rows[i].want == 0);
        /* A damaged half is the next to be written, by whoever has the run now. */
        session_event(b.s, "third", NULL);
        record_mirror(b.s);
        run_bench_good(record_history(c.s, &info, &v, &n, &e), &e);
        assert_string_equal(v[n - 1].what, rows[i].want ? "third" : "run taken over");
        run_bench_free(&c);
        run_bench_free(&b);
    }
}

/* A part by itself, of a record too large for one ConfigMap. */
static void test_lost_part(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b);
    struct err e = {0};
    fill(b.s, 10000);
    record_mirror(b.s);
    const char *path = NULL;
    for (unsigned i = 0; (path = store_nth(b.store[1], MAPS, i)) && str_eq(path, HEAD0); i++)
        ;
    assert_non_null(path);
    store_drop(b.store[1], arena_strdup(b.s->a, path));
    assert_int_equal(record_take_over(c.s, &e), -EBADMSG);
    assert_non_null(strstr(e.msg, "is gone"));
    record_mirror(b.s); /* and it is written anew */
    run_bench_good(record_take_over(c.s, &e), &e);
    run_bench_free(&c);
    run_bench_free(&b);
}

static void test_refusals(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b);
    struct err e = {0};
    record_mirror(b.s);
    c.s->id[0].uid = "uid-of-another";
    assert_int_equal(record_take_over(c.s, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "uid-of-another"));
    c.s->id[0].uid = "uid-a";
    store_bend(b.store[1], OWN "/secrets/tandem-record-prod", "\"salt\":\"", "\"tlas\":\"");
    assert_int_equal(record_take_over(c.s, &e), -EBADMSG);
    store_drop(b.store[1], OWN "/secrets/tandem-record-prod");
    assert_int_equal(record_take_over(c.s, &e), -ENOENT);
    assert_false(c.s->run_open);
    c.s->recording = false;
    assert_int_equal(record_take_over(c.s, &e), -EGUARD);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* Who was taken over from, and woke up, neither writes over the record nor goes on; who took over
 * does. */
static void test_taken(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b);
    struct record_other o;
    struct err e = {0};
    record_mirror(b.s);
    assert_int_equal(record_other(b.s, &o, &e), 0);
    assert_int_equal(record_other(c.s, &o, &e), 1);
    assert_false(o.taken);
    assert_string_equal(o.run, b.s->run.id);
    assert_int_equal(o.cluster, 'b');
    run_bench_good(record_take_over(c.s, &e), &e);
    assert_int_equal(record_other(c.s, &o, &e), 0); /* nor is what it came from another's */
    run_bench_good(record_no_other(c.s, &e), &e);
    assert_int_equal(record_other(b.s, &o, &e), 1);
    assert_true(o.taken);
    assert_int_equal(record_no_other(b.s, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "taken over from this journal"));
    assert_int_equal(session_begin_run(b.s, &e), -EGUARD);
    /* There and back again: the half that was not written yet is of the first one still. */
    struct run_bench d = run_bench_beside(&b);
    run_bench_good(record_take_over(d.s, &e), &e);
    run_bench_good(record_no_other(d.s, &e), &e);
    assert_int_equal(record_other(c.s, &o, &e), 1);
    assert_int_equal(record_other(b.s, &o, &e), 1);
    run_bench_free(&d);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* Taken from the older half, since the newer one, another's by then, is damaged. */
static void test_taken_from_the_older(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(""), c = run_bench_beside(&b), d = run_bench_beside(&b);
    struct err e = {0};
    record_mirror(b.s);
    run_bench_good(record_take_over(c.s, &e), &e);
    store_bend(b.store[1], HEAD1, "\"part-1\":\"H4s", "\"part-1\":\"H4t");
    run_bench_good(record_take_over(d.s, &e), &e);
    run_bench_good(record_no_other(d.s, &e), &e);
    run_bench_free(&d);
    run_bench_free(&c);
    run_bench_free(&b);
}

/* A run that is over, --read-only, and who does not want it leave no mirror. */
static void test_no_mirror(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct run_bench b = run_bench_new(i == 0 ? "notices: {record: false}\n" : "");
        struct err e = {0};
        b.s->o.read_only = i == 1;
        if (i == 2)
            run_bench_good(journal_run_end(b.s->journal, b.s->run.id, "retired", &e), &e);
        int before = api_count(store_api(b.store[1]), "HTTP/1.1");
        record_mirror(b.s);
        assert_int_equal(api_count(store_api(b.store[1]), "HTTP/1.1"), before);
        run_bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_damaged_part),
        cmocka_unit_test(test_export_import),
        cmocka_unit_test(test_later_columns),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_parts_are_kept),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lost_part),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_taken_from_the_older),
        cmocka_unit_test(test_no_mirror),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
