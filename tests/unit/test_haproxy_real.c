/* The haproxy driver and a real HAProxy with the configuration of docs/TRAFFIC.md, under load:
 * requests on a schedule over new and over reused connections, none of them ever repeated. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/queue.h"
#include "base/str.h"
#include "traffic/haproxy.h"

enum { LANES = 6, LANE_REQUESTS_MAX = 8000, PERIOD_MS = 5, FLIPS = 30 };

struct request {
    uint64_t sent_ns, answered_ns;
    char cluster; /* 'a', 'b', or 0: lost */
};

struct load {
    unsigned port;
    atomic_bool stop;
    struct workers *lanes;
    size_t n[LANES];
    struct request request[LANES][LANE_REQUESTS_MAX];
};

struct bed {
    char dir[64], map[128], socket[128], live[64], prelive[64];
    const char *sockets[2];
    pid_t pid;
    FILE *to, *from;
    struct traffic_tier *tier;
    struct load *load;
};

/* --- the HAProxy --- */

static void child(const char *script, const char *dir, int in, int out) {
    dup2(in, 0);
    dup2(out, 1);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    execl("/bin/bash", "bash", script, dir, (char *)NULL);
    _exit(127);
}

/* Reads lines up to `last`; false with the reason in why when something else comes. */
static bool converse(struct bed *b, const char *last, char why[256]) {
    char line[256], name[32], value[64];
    while (fgets(line, sizeof line, b->from)) {
        line[strcspn(line, "\n")] = 0;
        if (str_eq(line, last))
            return true;
        if (str_starts(line, "skip ") || str_starts(line, "failed ")) {
            snprintf(why, 256, "%s", line);
            return false;
        }
        if (sscanf(line, "%31s %63s", name, value) == 2)
            snprintf(str_eq(name, "live") ? b->live : b->prelive, sizeof b->live, "%s", value);
    }
    snprintf(why, 256, "failed: tests/traffic/lb ended");
    return false;
}

static void tell(struct bed *b, const char *command) {
    char why[256];
    fprintf(b->to, "%s\n", command);
    fflush(b->to);
    if (!converse(b, "done", why))
        fail_msg("%s: %s", command, why);
}

static void open_tier(struct bed *b) {
    struct err e = {0};
    snprintf(b->map, sizeof b->map, "%s/tandem.map", b->dir);
    snprintf(b->socket, sizeof b->socket, "%s/admin.sock", b->dir);
    b->sockets[0] = b->socket;
    struct traffic_config cfg = {.name = "frontend",
                                 .driver = "haproxy",
                                 .sockets = b->sockets,
                                 .map = b->map,
                                 .live_a = "paas_a",
                                 .live_b = "paas_b"};
    if (traffic_open(&cfg, &b->tier, &e) < 0)
        fail_msg("%s", e.msg);
}

static int bed_close(void **state) {
    struct bed *b = *state;
    if (!b)
        return 0;
    AUTO_ARENA a = arena_new();
    traffic_close(b->tier);
    fclose(b->to);
    fclose(b->from);
    waitpid(b->pid, NULL, 0);
    struct proc_result r;
    const char *const rm[] = {"rm", "-rf", b->dir, NULL};
    proc_run(a, &(struct proc_run){.argv = rm}, &r, NULL);
    xfree(b->load);
    xfree(b);
    return 0;
}

static int bed_open(void **state) {
    const char *root = getenv("SOURCE_ROOT");
    int to[2], from[2];
    char script[512], why[256];
    struct bed *b = xcalloc(1, sizeof *b);
    snprintf(script, sizeof script, "%s/tests/traffic/lb", root ? root : ".");
    snprintf(b->dir, sizeof b->dir, "/tmp/test-haproxy-XXXXXX");
    MUST(mkdtemp(b->dir) && pipe(to) == 0 && pipe(from) == 0);
    b->pid = fork();
    if (b->pid == 0)
        child(script, b->dir, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    b->to = fdopen(to[1], "w");
    b->from = fdopen(from[0], "r");
    b->load = xcalloc(1, sizeof *b->load);
    *state = b;
    if (converse(b, "ready", why)) {
        open_tier(b);
        return 0;
    }
    print_message("# %s\n", why);
    bool missing = str_starts(why, "skip ");
    bed_close(state);
    *state = NULL;
    return missing ? 0 : -1;
}

static struct bed *bed_or_skip(void **state) {
    if (!*state)
        skip();
    return *state;
}

static void set_live(struct bed *b, int percent) {
    struct err e = {0};
    if (traffic_set_live(b->tier, percent, false, &e) < 0)
        fail_msg("set_live %d: %s", percent, e.msg);
}

static struct traffic_state look(struct bed *b) {
    struct traffic_state s;
    struct err e = {0};
    if (traffic_observe(b->tier, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

/* --- the load --- */

static int dial(unsigned port) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One request, one answer. Sets *keep to whether the connection may be used again. */
static char ask(int fd, unsigned user, bool *keep) {
    char buf[2048];
    int n =
        snprintf(buf, sizeof buf, "GET / HTTP/1.1\r\nHost: live\r\nCookie: sid=%u\r\n\r\n", user);
    size_t got = 0;
    if (fd < 0 || send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
        return 0;
    for (;;) {
        ssize_t r = recv(fd, buf + got, sizeof buf - 1 - got, 0);
        if (r <= 0)
            return 0;
        got += (size_t)r;
        buf[got] = 0;
        if (strstr(buf, "\r\n\r\nok\n"))
            break;
    }
    const char *x = strcasestr(buf, "\r\nx-cluster: ");
    *keep = !strcasestr(buf, "\r\nconnection: close");
    return str_starts(buf, "HTTP/1.1 200 ") && x ? x[13] : 0;
}

/* Even lanes reuse their connection, odd ones take a new one for each request. */
static void lane(void *ctx, size_t index) {
    struct load *l = ctx;
    uint64_t start = clock_now_ms() + index;
    int fd = -1;
    while (!l->stop && l->n[index] < LANE_REQUESTS_MAX) {
        uint64_t due = start + l->n[index] * PERIOD_MS, now = clock_now_ms();
        if (now < due)
            clock_sleep_ms(due - now);
        struct request *r = &l->request[index][l->n[index]];
        bool keep = false;
        fd = fd < 0 ? dial(l->port) : fd;
        r->sent_ns = clock_now_ns();
        r->cluster = ask(fd, (unsigned)(l->n[index] * LANES + index), &keep);
        r->answered_ns = clock_now_ns();
        l->n[index]++;
        if (fd >= 0 && (!keep || index % 2)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void load_start(struct bed *b) {
    memset(b->load, 0, sizeof *b->load);
    uint64_t port = 0;
    assert_int_equal(str_u64(strchr(b->live, ':') + 1, &port), 0);
    b->load->port = (unsigned)port;
    b->load->lanes = workers_start(LANES, lane, b->load);
}

struct count {
    size_t all, lost, a, b;
};

static struct count load_stop(struct bed *b) {
    struct load *l = b->load;
    struct count c = {0};
    l->stop = true;
    workers_join(l->lanes);
    for (size_t i = 0; i < LANES; i++) {
        c.all += l->n[i];
        for (size_t k = 0; k < l->n[i]; k++) {
            c.lost += l->request[i][k].cluster == 0;
            c.a += l->request[i][k].cluster == 'a';
            c.b += l->request[i][k].cluster == 'b';
        }
    }
    return c;
}

/* Requests sent within [from, to) that another cluster than `want` answered. */
static size_t wrong_side(const struct load *l, uint64_t from, uint64_t to, char want) {
    size_t n = 0;
    for (size_t i = 0; i < LANES; i++)
        for (size_t k = 0; k < l->n[i]; k++) {
            const struct request *r = &l->request[i][k];
            n += r->sent_ns >= from && r->sent_ns < to && r->cluster != want;
        }
    return n;
}

/* --- the tests --- */

static void starts(void **state) {
    struct bed *b = bed_or_skip(state);
    struct traffic_state s = look(b);
    const struct traffic_node *n = &s.node[0];
    assert_true(str_empty(n->problem));
    assert_int_equal(s.live_b, 0);
    assert_int_equal(s.prelive_b, 100);
    assert_false(s.drift);
    assert_int_equal(n->servers_a, 2);
    assert_int_equal(n->healthy_a, 2);
    assert_int_equal(n->healthy_b, 2);
}

/* After set_live has returned, no request more goes to the old side, and none is ever lost. */
static void flips(void **state) {
    struct bed *b = bed_or_skip(state);
    uint64_t before[FLIPS + 1], after[FLIPS], slowest = 0;
    load_start(b);
    clock_sleep_ms(200);
    for (size_t i = 0; i < FLIPS; i++) {
        before[i] = clock_now_ns();
        set_live(b, i % 2 ? 0 : 100);
        after[i] = clock_now_ns();
        slowest = MAX(slowest, after[i] - before[i]);
        clock_sleep_ms(60);
    }
    before[FLIPS] = clock_now_ns();
    struct count c = load_stop(b);
    for (size_t i = 0; i < FLIPS; i++)
        assert_int_equal(wrong_side(b->load, after[i], before[i + 1], i % 2 ? 'a' : 'b'), 0);
    print_message("# %d flips: %zu of %zu requests lost, a %zu, b %zu; slowest change %.1f ms\n",
                  FLIPS, c.lost, c.all, c.a, c.b, (double)slowest / 1e6);
    assert_int_equal(c.lost, 0);
    assert_true(c.a > 300 && c.b > 300);
}

static void shares(void **state) {
    static const int rows[] = {5, 30, 75};
    struct bed *b = bed_or_skip(state);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        set_live(b, rows[i]);
        load_start(b);
        clock_sleep_ms(1500);
        struct count c = load_stop(b);
        double share = 100.0 * (double)c.b / (double)c.all;
        print_message("# %d %%: %.1f %% of %zu requests\n", rows[i], share, c.all);
        assert_int_equal(c.lost, 0);
        assert_true(share > rows[i] - 6.0 && share < rows[i] + 6.0);
    }
}

/* What was set outlives a reload, which loses nothing either. */
static void reload(void **state) {
    struct bed *b = bed_or_skip(state);
    set_live(b, 0);
    load_start(b);
    clock_sleep_ms(200);
    set_live(b, 100);
    uint64_t full = clock_now_ns();
    tell(b, "reload");
    clock_sleep_ms(500);
    struct count c = load_stop(b);
    print_message("# reload: %zu of %zu requests lost\n", c.lost, c.all);
    assert_int_equal(wrong_side(b->load, full, UINT64_MAX, 'b'), 0);
    assert_int_equal(c.lost, 0);
    struct traffic_state s = look(b);
    assert_int_equal(s.live_b, 100);
    assert_false(s.drift);
}

static void by_hand(void **state) {
    struct bed *b = bed_or_skip(state);
    AUTO_ARENA a = arena_new();
    char *answer;
    set_live(b, 100);
    const char *line = arena_printf(a, "set map %s frontend.pct_b 0", b->map);
    assert_int_equal(haproxy_command(a, b->socket, 0, line, &answer, NULL), 0);
    assert_string_equal(answer, "");
    struct traffic_state s = look(b);
    assert_true(s.drift);
    assert_int_equal(s.live_b, 0);
    assert_int_equal(s.node[0].file_live_b, 100);
    set_live(b, 100);
    s = look(b);
    assert_false(s.drift);
    assert_int_equal(s.live_b, 100);
}

/* The key is added when it is not there, and once only. */
static void lost_key(void **state) {
    struct bed *b = bed_or_skip(state);
    AUTO_ARENA a = arena_new();
    struct haproxy_value v;
    char *answer;
    const char *line = arena_printf(a, "del map %s frontend.pct_b", b->map);
    assert_int_equal(haproxy_command(a, b->socket, 0, line, &answer, NULL), 0);
    struct traffic_state s = look(b);
    assert_int_equal(s.live_b, -1);
    assert_true(s.drift);
    set_live(b, 40);
    set_live(b, 60);
    line = arena_printf(a, "show map %s", b->map);
    assert_int_equal(haproxy_command(a, b->socket, 0, line, &answer, NULL), 0);
    assert_int_equal(haproxy_find_value(answer, "frontend.pct_b", &v, NULL), 0);
    assert_int_equal(v.found, 1);
    assert_int_equal(v.percent, 60);
}

static void prelive(void **state) {
    struct bed *b = bed_or_skip(state);
    struct err e = {0};
    uint64_t port = 0;
    assert_int_equal(str_u64(strchr(b->prelive, ':') + 1, &port), 0);
    for (const char *c = "abab"; *c; c++) {
        bool keep;
        assert_int_equal(traffic_set_prelive(b->tier, *c, &e), 0);
        AUTO_FD fd = dial((unsigned)port);
        assert_int_equal(ask(fd, 1, &keep), *c);
    }
}

static void unknown_backend(void **state) {
    struct bed *b = bed_or_skip(state);
    struct err e = {0};
    struct traffic_tier *t;
    struct traffic_state s;
    struct traffic_config cfg = {.name = "frontend",
                                 .driver = "haproxy",
                                 .sockets = b->sockets,
                                 .map = b->map,
                                 .live_a = "paas_a",
                                 .live_b = "paas_x"};
    assert_int_equal(traffic_open(&cfg, &t, &e), 0);
    assert_int_equal(traffic_observe(t, &s, &e), 0);
    assert_non_null(strstr(s.node[0].problem, "back end paas_x"));
    assert_int_equal(traffic_set_live(t, 0, false, &e), 0);
    assert_int_equal(traffic_set_live(t, 100, false, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "paas_x"));
    traffic_close(t);
}

/* The last: b's server is gone for good. */
static void dead_cluster(void **state) {
    struct bed *b = bed_or_skip(state);
    struct err e = {0};
    set_live(b, 0);
    assert_int_equal(traffic_drain(b->tier, 'b', 5000, &e), 0);
    tell(b, "stop b");
    assert_int_equal(traffic_set_live(b->tier, 10, false, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "none of the 2 servers of back end paas_b is healthy"));
    assert_int_equal(look(b).live_b, 0);
    assert_int_equal(look(b).node[0].file_live_b, 0);
    assert_int_equal(traffic_set_live(b->tier, 10, true, &e), 0);
    set_live(b, 0);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts),       cmocka_unit_test(flips),
        cmocka_unit_test(shares),       cmocka_unit_test(reload),
        cmocka_unit_test(by_hand),      cmocka_unit_test(lost_key),
        cmocka_unit_test(prelive),      cmocka_unit_test(unknown_backend),
        cmocka_unit_test(dead_cluster),
    };
    return cmocka_run_group_tests(tests, bed_open, bed_close);
}
