/* Signed heads of the history, with the ssh-keygen of this machine. */
#include "run_bench.h"

#include <sqlite3.h>

#include "base/file.h"
#include "base/proc.h"
#include "run/sign.h"

static void run(struct run_bench *b, const char *script) {
    const char *argv[] = {"sh", "-ec", script, NULL};
    struct proc_run p = {.argv = argv, .dir = b->dir, .timeout_ms = 30000};
    struct proc_result res;
    struct err e = {0};
    run_bench_good(proc_run(b->s->a, &p, &res, &e), &e);
    if (res.status)
        fail_msg("%s: %s", script, res.err_out);
}

static void keys(struct run_bench *b) {
    run(b, "for k in jo eve; do ssh-keygen -q -t ed25519 -N '' -C $k -f $k; done;"
           "ssh-keygen -q -t ed25519 -N secret -C locked -f locked;"
           "echo \"jo@example.com $(cut -d' ' -f1,2 jo.pub)\" >signers");
}

static void done(struct run_bench *b) {
    run(b, "rm -f jo eve locked *.pub signers");
    run_bench_free(b);
}

static const char *at(struct run_bench *b, const char *name) {
    return run_bench_path(b, name);
}

static void meddle(struct run_bench *b, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b->s->cfg->journal, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_sign_and_verify(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct sign_checked *c;
    struct err e = {0};
    int64_t id;
    size_t n;
    keys(&b);
    run_bench_good(sign_verify(b.s, NULL, &c, &n, &e), &e);
    assert_int_equal(n, 0);
    assert_int_equal(sign_verify(b.s, at(&b, "signers"), &c, &n, &e), -ENOENT);
    run_bench_good(sign_history(b.s, at(&b, "jo"), &id, &e), &e);
    session_event(b.s, "more", NULL);
    run_bench_good(sign_history(b.s, at(&b, "jo"), &id, &e), &e);
    session_event(b.s, "unsigned yet", NULL);
    run_bench_good(sign_verify(b.s, at(&b, "signers"), &c, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_int_equal(c[1].event, id);
    assert_int_equal(c[0].event, id - 1);
    assert_string_equal(c[1].who, "jo@example.com");
    assert_string_equal(c[1].identity, "jo@desk");
    run_bench_good(sign_verify(b.s, NULL, &c, &n, &e), &e);
    assert_true(str_starts(c[0].who, "SHA256:"));
    done(&b);
}

/* The whole history, made anew by who has the file and knows how the chain is made, but no key. */
static void test_what_is_refused(void **state) {
    (void)state;
    enum { OTHER_KEY, OTHER_HISTORY, CUT, BENT_SIGNATURE, OTHER_EVENT, OTHER_NAME, COUNT };
    static const struct {
        int want;
        const char *says;
    } rows[COUNT] = {
        [OTHER_KEY] = {-EPERM, "does not name"},
        [OTHER_HISTORY] = {-EBADMSG, "was rewritten"},
        [CUT] = {-EBADMSG, "was cut"},
        [BENT_SIGNATURE] = {-EBADMSG, NULL},
        [OTHER_EVENT] = {-EBADMSG, "was rewritten"},
        [OTHER_NAME] = {-EBADMSG, "does not fit"},
    };
    for (int i = 0; i < COUNT; i++) {
        struct run_bench b = run_bench_new(""), other = run_bench_new("");
        struct sign_checked *c;
        struct err e = {0};
        size_t n;
        keys(&b);
        session_event(b.s, "what was done", NULL);
        run_bench_good(sign_history(b.s, at(&b, i == OTHER_KEY ? "eve" : "jo"), NULL, &e), &e);
        if (i == OTHER_HISTORY || i == CUT) { /* a journal of as many events, or of fewer */
            if (i == OTHER_HISTORY)
                session_event(other.s, "what was not", NULL);
            run(&b, arena_printf(b.s->a, "cp tandem.db.sig %s/tandem.db.sig", other.dir));
            assert_int_equal(sign_verify(other.s, at(&b, "signers"), &c, &n, &e), rows[i].want);
        } else {
            if (i == OTHER_EVENT)
                run(&b, "sed -i 's/\"event\":2/\"event\":1/' tandem.db.sig");
            if (i == OTHER_NAME)
                run(&b, "sed -i 's/\"environment\":\"prod\"/\"environment\":\"test\"/' "
                        "tandem.db.sig");
            if (i == BENT_SIGNATURE)
                run(&b, "python3 - <<'X'\nimport json\np='tandem.db.sig'\nv=json.load(open(p))\n"
                        "s=v[0]['signature'].split('\\n')\ns[2]=s[2][:10]+('A' if s[2][10]!='A' "
                        "else 'B')+s[2][11:]\nv[0]['signature']='\\n'.join(s)\n"
                        "json.dump(v,open(p,'w'))\nX");
            assert_true(sign_verify(b.s, at(&b, "signers"), &c, &n, &e) < 0);
            if (i != BENT_SIGNATURE)
                assert_int_equal(e.code, rows[i].want);
        }
        if (rows[i].says && !strstr(e.msg, rows[i].says))
            fail_msg("row %d: %s", i, e.msg);
        done(&b);
        run_bench_free(&other);
    }
}

/* A chain that was changed is told of before anybody looks at signatures. */
static void test_broken_chain(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct sign_checked *c;
    struct err e = {0};
    size_t n;
    keys(&b);
    run_bench_good(sign_history(b.s, at(&b, "jo"), NULL, &e), &e);
    meddle(&b, "DROP TRIGGER event_fixed; UPDATE event SET actor = 'eve' WHERE id = 1");
    assert_int_equal(sign_verify(b.s, at(&b, "signers"), &c, &n, &e), -EBADMSG);
    assert_non_null(strstr(e.msg, "changed at event 1"));
    assert_int_equal(sign_history(b.s, at(&b, "jo"), NULL, &e), -EBADMSG);
    done(&b);
}

/* Nobody is asked for a passphrase, and nothing hangs. */
static void test_no_signature(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct err e = {0};
    char *path = xstrdup(getenv("PATH"));
    keys(&b);
    assert_int_equal(sign_history(b.s, at(&b, "nobody"), NULL, &e), -ENOENT);
    assert_int_equal(sign_history(b.s, at(&b, "signers"), NULL, &e), -EPERM);
    assert_int_equal(sign_history(b.s, at(&b, "locked"), NULL, &e), -EPERM);
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(sign_history(b.s, at(&b, "jo"), NULL, &e), -ENOENT);
    assert_non_null(strstr(e.msg, "no ssh-keygen"));
    setenv("PATH", path, 1);
    xfree(path);
    assert_false(file_exists(at(&b, "tandem.db.sig")));
    done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_and_verify),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_broken_chain),
        cmocka_unit_test(test_no_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
