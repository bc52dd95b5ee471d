/* The socket beside the journal: who listens, who asks, and everything that may happen to either.
 */
#include "run/holder.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/queue.h"
#include "run/holder_wire.h"

enum { MS = 10000 };

/* A session as far as the holder looks at it. */
struct bench {
    char dir[256], journal[512];
    struct config cfg;
    struct session s;
    struct arena *a;
    struct holder *h;
    struct err e;
};

static void bench_at(struct bench *b, const char *name) {
    *b = (struct bench){.dir = "/tmp/test-holder-XXXXXX", .a = arena_new()};
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->journal, sizeof b->journal, "%s/%s", b->dir, name);
    b->cfg.journal = b->journal;
    b->s.cfg = &b->cfg;
    b->s.a = b->a;
    snprintf(b->s.actor, sizeof b->s.actor, "jo@box");
}

static void bench_done(struct bench *b) {
    holder_close(b->h);
    arena_free(b->a);
    if (rmdir(b->dir) < 0) /* the socket is gone with the holder */
        fail_msg("%s is not empty", b->dir);
}

/* Says what it was asked; a few verbs fail. */
static int echo(void *ctx, const struct holder_request *rq, struct sb *ret_json, struct err *e) {
    atomic_uint *calls = ctx;
    if (calls)
        atomic_fetch_add(calls, 1);
    if (str_eq(rq->verb, "refuse")) {
        err_set(e, -EGUARD, "not \"now\", %s", rq->actor);
        e->http = 409;
        e->retry = true;
        return -EGUARD;
    }
    if (str_eq(rq->verb, "plain"))
        return -EIO;
    if (str_eq(rq->verb, "nonsense"))
        sb_str(ret_json, "[1");
    if (str_eq(rq->verb, "echo"))
        sb_fmt(ret_json, "{\"actor\": \"%s\",\n \"n\": %lld}", rq->actor,
               (long long)json_int(json_get(rq->args, "n"), -1));
    if (str_eq(rq->verb, "long")) {
        sb_str(ret_json, "{\"x\":\"");
        for (size_t i = 0; i < 3u << 20; i++)
            sb_chr(ret_json, 'x');
        sb_str(ret_json, "\"}");
    }
    return 0;
}

static void listens(struct bench *b, holder_fn fn, void *ctx) {
    if (holder_listen(&b->s, fn, ctx, &b->h, &b->e) < 0)
        fail_msg("%s", b->e.msg);
}

static int ask(struct bench *b, const char *verb, const char *args, char **ret) {
    b->e = (struct err){0};
    *ret = NULL;
    return holder_ask(b->journal, b->a, verb, args, "jo@box", MS, ret, &b->e);
}

static void requests(void **state) {
    (void)state;
    static const struct {
        const char *verb, *args;
        int want;
        const char *answer, *says;
    } rows[] = {
        {"echo", "{\"n\":7}", 0, "{\"actor\":\"jo@box\",\"n\":7}", NULL},
        {"echo", NULL, 0, "{\"actor\":\"jo@box\",\"n\":-1}", NULL},
        {"quiet", NULL, 0, "{}", NULL},
        {"refuse", NULL, -EGUARD, NULL, "not \"now\", jo@box"},
        {"plain", NULL, -EIO, NULL, "failed"},
        {"nonsense", NULL, -EBADMSG, NULL, "no JSON object"},
        {"echo", "[1]", -EINVAL, NULL, "no JSON object"},
    };
    struct bench b;
    bench_at(&b, "t.db");
    listens(&b, echo, NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *answer;
        int r = ask(&b, rows[i].verb, rows[i].args, &answer);
        if (r != rows[i].want || (rows[i].says && !strstr(b.e.msg, rows[i].says)) ||
            (rows[i].answer && !str_eq(answer, rows[i].answer)))
            fail_msg("row %zu: %d, %s, %s", i, r, b.e.msg, answer ? answer : "(none)");
        if (r == -EGUARD)
            assert_true(b.e.http == 409 && b.e.retry);
    }
    char *answer;
    assert_int_equal(0, ask(&b, "long", NULL, &answer));
    assert_int_equal((3u << 20) + 8, strlen(answer));
    AUTO_SB big = SB_INIT(0);
    sb_str(&big, "{\"x\":\"");
    while (big.len < HOLDER_REQUEST_MAX)
        sb_chr(&big, 'x');
    sb_str(&big, "\"}");
    assert_int_equal(-EMSGSIZE, ask(&b, "echo", big.p, &answer));
    bench_done(&b);
}

static void the_socket_is_ours_alone(void **state) {
    (void)state;
    struct bench b;
    struct stat st;
    bench_at(&b, "t.db");
    mode_t mask = umask(0);
    listens(&b, echo, NULL);
    umask(mask);
    const char *path = arena_printf(b.a, "%s.sock", b.journal);
    assert_int_equal(0, stat(path, &st));
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(0600, st.st_mode & 0777);
    struct holder *other = NULL;
    assert_int_equal(-EBUSY, holder_listen(&b.s, echo, NULL, &other, &b.e));
    assert_null(other);
    char *answer;
    assert_int_equal(0, ask(&b, "echo", NULL, &answer)); /* the first one is unharmed */
    bench_done(&b);
}

static void long_paths(void **state) {
    (void)state;
    static const unsigned rows[] = {20, 60, 74, 75, 76, 80, 110, 200};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[256] = {0};
        struct bench b;
        memset(name, 'n', rows[i]);
        bench_at(&b, name);
        listens(&b, echo, NULL);
        char *answer;
        if (ask(&b, "echo", NULL, &answer) < 0)
            fail_msg("a name of %u bytes: %s", rows[i], b.e.msg);
        bench_done(&b);
    }
    /* And a folder that is too deep for a socket's path by itself. */
    struct bench b;
    char deep[400];
    bench_at(&b, "t.db");
    snprintf(deep, sizeof deep, "%s/%0120d", b.dir, 7);
    assert_int_equal(0, mkdir(deep, 0700));
    snprintf(b.journal, sizeof b.journal, "%s/t.db", deep);
    listens(&b, echo, NULL);
    char *answer;
    assert_int_equal(0, ask(&b, "echo", NULL, &answer));
    assert_int_equal(0, access(arena_printf(b.a, "%s.sock", b.journal), F_OK));
    holder_close(TAKE(b.h));
    assert_int_equal(0, rmdir(deep));
    bench_done(&b);
}

static void nobody_there(void **state) {
    (void)state;
    struct bench b;
    char *answer;
    bench_at(&b, "t.db");
    assert_int_equal(-ENOENT, ask(&b, "echo", NULL, &answer));
    const char *nowhere = arena_printf(b.a, "%s/none/t.db", b.dir);
    assert_int_equal(-ENOENT, holder_ask(nowhere, b.a, "echo", NULL, "jo", MS, &answer, &b.e));
    listens(&b, echo, NULL);
    assert_int_equal(0, ask(&b, "echo", NULL, &answer));
    holder_close(TAKE(b.h));
    assert_int_equal(-ENOENT, ask(&b, "echo", NULL, &answer));
    bench_done(&b);
}

/* A holder in a process of its own, since it is to be stopped and killed. */
static pid_t child_listens(struct bench *b, atomic_uint *calls) {
    int p[2];
    char x;
    assert_int_equal(0, pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (holder_listen(&b->s, echo, calls, &b->h, &b->e) < 0 || write(p[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(p[1]);
    assert_int_equal(1, read(p[0], &x, 1));
    close(p[0]);
    return pid;
}

static void end_child(pid_t pid) {
    kill(pid, SIGKILL);
    assert_int_equal(pid, waitpid(pid, NULL, 0));
}

static void a_frozen_holder(void **state) {
    (void)state;
    struct bench b;
    char *answer;
    atomic_uint *calls =
        mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(calls, MAP_FAILED);
    bench_at(&b, "t.db");
    pid_t pid = child_listens(&b, calls);
    assert_int_equal(0, ask(&b, "echo", NULL, &answer));
    kill(pid, SIGSTOP);
    assert_int_equal(pid, waitpid(pid, NULL, WUNTRACED)); /* it is a moment until it stands */
    for (unsigned i = 0; i < 40; i++) {                   /* more than its queue takes */
        uint64_t start = clock_now_ms();
        b.e = (struct err){0};
        int r = holder_ask(b.journal, b.a, "echo", NULL, "jo", 30, &answer, &b.e);
        if (r != -ETIMEDOUT || clock_now_ms() - start > 5000)
            fail_msg("%u: %d, %s", i, r, b.e.msg);
    }
    kill(pid, SIGCONT);
    assert_int_equal(0, ask(&b, "echo", NULL, &answer)); /* those who left are no harm to it */
    assert_int_equal(2, atomic_load(calls)); /* and what they wanted is not done any more */
    end_child(pid);
    assert_int_equal(-ENOENT, ask(&b, "echo", NULL, &answer));
    listens(&b, echo, NULL); /* what it left is replaced */
    assert_int_equal(0, ask(&b, "echo", NULL, &answer));
    munmap(calls, sizeof *calls);
    bench_done(&b);
}

static int slow(void *ctx UNUSED, const struct holder_request *rq UNUSED,
                struct sb *ret_json UNUSED, struct err *e UNUSED) {
    clock_sleep_ms(60000);
    return 0;
}

static void killed_while_it_answers(void **state) {
    (void)state;
    struct bench b;
    char *answer;
    int p[2];
    char x;
    bench_at(&b, "t.db");
    assert_int_equal(0, pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (holder_listen(&b.s, slow, NULL, &b.h, &b.e) < 0 || write(p[1], "x", 1) != 1)
            _exit(1);
        clock_sleep_ms(300);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(1, read(p[0], &x, 1));
    close(p[0]);
    close(p[1]);
    assert_int_equal(-ENOENT, ask(&b, "echo", NULL, &answer));
    assert_int_equal(pid, waitpid(pid, NULL, 0));
    unlink(arena_printf(b.a, "%s.sock", b.journal));
    bench_done(&b);
}

/* --- guests that misbehave --- */

static int raw(struct bench *b) {
    AUTO_HOLDER_PLACE p = {.dir = -1};
    assert_int_equal(0, holder_place(b->journal, &p, &b->e));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&p.at, sizeof p.at));
    return fd;
}

static void guests_that_misbehave(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *answer; /* answer NULL: closed without one */
        bool shut;                  /* says no more */
    } rows[] = {
        {"garbage\n", "\"ok\":false", false},
        {"{\"verb\":1}\n", "not a request", false},
        {"{\"verb\":\"echo\",\"args\":[]}\n", "not a request", false},
        {"{\"verb\":\"echo\"}\nand more\nand more", "\"ok\":true", false},
        {"\n", "not a request", false},
        {"{\"verb\":\"ec", NULL, true},
        {"", NULL, true},
    };
    struct bench b;
    atomic_uint calls = 0;
    bench_at(&b, "t.db");
    listens(&b, echo, &calls);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char buf[1024] = {0};
        int fd = raw(&b);
        assert_int_equal(strlen(rows[i].bytes), write(fd, rows[i].bytes, strlen(rows[i].bytes)));
        if (rows[i].shut)
            shutdown(fd, SHUT_WR);
        ssize_t n = read(fd, buf, sizeof buf - 1);
        if (rows[i].answer ? !strstr(buf, rows[i].answer) : n != 0)
            fail_msg("row %zu: %zd, %s", i, n, buf);
        close(fd);
    }
    assert_int_equal(1, atomic_load(&calls)); /* half a line is no request */
    int fd = raw(&b);
    char *many = arena_alloc(b.a, 2 * HOLDER_REQUEST_MAX), buf[512] = {0};
    memset(many, 'x', 2 * HOLDER_REQUEST_MAX);
    (void)send(fd, many, 2 * HOLDER_REQUEST_MAX, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)recv(fd, buf, sizeof buf - 1, 0);
    assert_non_null(strstr(buf, "bytes at most"));
    close(fd);
    bench_done(&b);
}

/* As many as it has places say nothing, and one reads nothing of a long answer: a good one waits
 * for a place, not for them. */
static void silent_guests_lose_their_place(void **state) {
    (void)state;
    struct bench b;
    int fd[16];
    char *answer;
    bench_at(&b, "t.db");
    listens(&b, echo, NULL);
    for (size_t i = 0; i < COUNT_OF(fd); i++)
        fd[i] = raw(&b);
    assert_int_equal(17, write(fd[0], "{\"verb\":\"long\"}\n\n", 17));
    uint64_t start = clock_now_ms();
    int r = holder_ask(b.journal, b.a, "echo", NULL, "jo", 15000, &answer, &b.e);
    uint64_t took = clock_now_ms() - start;
    if (r < 0)
        fail_msg("%s", b.e.msg);
    assert_in_range(took, HOLDER_WIRE_MS / 2, HOLDER_WIRE_MS + 3000);
    for (size_t i = 0; i < COUNT_OF(fd); i++)
        close(fd[i]);
    bench_done(&b);
}

static void one_asks(void *ctx, size_t index) {
    struct bench *b = ctx;
    for (unsigned i = 0; i < 20; i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        char *answer, args[32];
        snprintf(args, sizeof args, "{\"n\":%zu}", index * 100 + i);
        int r = holder_ask(b->journal, a, "echo", args, "jo", 20000, &answer, &e);
        MUST(r == 0 || r == -ETIMEDOUT); /* a full queue */
        if (r == 0)
            MUST(strstr(answer, arena_printf(a, "\"n\":%zu}", index * 100 + i)));
    }
}

static void many_at_once(void **state) {
    (void)state;
    struct bench b;
    atomic_uint calls = 0;
    bench_at(&b, "t.db");
    listens(&b, echo, &calls);
    workers_join(workers_start(24, one_asks, &b));
    assert_in_range(atomic_load(&calls), 400, 480);
    bench_done(&b);
}

static void only_a_socket_is_replaced(void **state) {
    (void)state;
    struct bench b;
    bench_at(&b, "t.db");
    const char *path = arena_printf(b.a, "%s.sock", b.journal);
    assert_int_equal(0, file_write_atomic(path, "mine", 4, 0600, NULL));
    assert_int_equal(-EEXIST, holder_listen(&b.s, echo, NULL, &b.h, &b.e));
    assert_int_equal(0, access(path, F_OK));
    unlink(path);
    bench_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(the_socket_is_ours_alone),
        cmocka_unit_test(long_paths),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(a_frozen_holder),
        cmocka_unit_test(killed_while_it_answers),
        cmocka_unit_test(guests_that_misbehave),
        cmocka_unit_test(silent_guests_lose_their_place),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(only_a_socket_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
