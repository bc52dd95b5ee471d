/* The bare loop that tandem is measured against, and two small helpers of the bench.
 *
 *   postloop send --target T --in-flight N [--seed S] FILE   every line of FILE as one request
 *   postloop list --in-flight N PATHS T [T]                  paged LISTs of every path of PATHS
 *   postloop exec REPORT COMMAND [ARG]...                    runs it, what it used into REPORT
 *
 * T is HOST:PORT,CA,CERT,KEY. A line of FILE is METHOD TAB PATH TAB BODY. The result is one JSON
 * object on stdout. `send` opens all connections first, then shuffles (unless the seed is 0) and
 * lets each of N threads send one request after the other over its own connection: nothing is
 * read, parsed, recorded or tried again. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire.h"

enum { IN_FLIGHT_MAX = 256, STACK = 128 * 1024, PAGE_PATH_MAX = 4096 };

static int64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Starts n threads and waits for them. The stack is small, so that memory says what work needs. */
static void run_threads(unsigned n, void *(*fn)(void *), void *ctx) {
    pthread_t thread[IN_FLIGHT_MAX];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    for (unsigned i = 0; i < n; i++)
        MUST(pthread_create(&thread[i], &attr, fn, ctx) == 0);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_attr_destroy(&attr);
}

/* --- send --- */

struct send {
    struct target to;
    const char **line, **end; /* in the mapped file */
    uint32_t *micros;         /* by place in the order of sending */
    size_t n;
    atomic_size_t next, failed, bytes;
    pthread_barrier_t ready;
    pthread_mutex_t lock;
    uint64_t begin_ns, end_ns;
    int64_t begin_wall_us, end_wall_us;
    uint64_t begin_cpu_ms;
    char why[512]; /* of the first failure */
};

static void note_failure(struct send *s, const char *why) {
    atomic_fetch_add(&s->failed, 1);
    pthread_mutex_lock(&s->lock);
    if (!*s->why)
        snprintf(s->why, sizeof s->why, "%.500s", why);
    pthread_mutex_unlock(&s->lock);
}

static bool parse_line(const char *line, const char *end, struct request *r) {
    const char *tab = memchr(line, '\t', (size_t)(end - line));
    const char *tab2 = tab ? memchr(tab + 1, '\t', (size_t)(end - tab - 1)) : NULL;
    if (!tab2)
        return false;
    *r = (struct request){line,
                          tab + 1,
                          tab2 + 1,
                          (size_t)(tab - line),
                          (size_t)(tab2 - tab - 1),
                          (size_t)(end - tab2 - 1)};
    return true;
}

static void send_one(struct send *s, struct wire *w, size_t i, struct answer *a) {
    struct request r;
    struct err e = {0};
    if (!parse_line(s->line[i], s->end[i], &r)) {
        note_failure(s, "a line is not METHOD, PATH and BODY with tabs between");
        return;
    }
    uint64_t t = clock_now_ns();
    int rc = w->ssl ? 0 : wire_open(w, &s->to, &e);
    if (rc >= 0)
        rc = wire_do(w, &r, a, &e);
    s->micros[i] = (uint32_t)((clock_now_ns() - t) / 1000);
    if (rc < 0) {
        wire_close(w);
        note_failure(s, err_msg(&e));
    } else if (a->status < 200 || a->status > 299) {
        note_failure(s, a->head);
    }
    atomic_fetch_add_explicit(&s->bytes, r.body_len, memory_order_relaxed);
}

static void *sender(void *arg) {
    struct send *s = arg;
    struct wire *w = xmalloc(sizeof *w);
    struct answer *a = xmalloc(sizeof *a);
    struct err e = {0};
    if (wire_open(w, &s->to, &e) < 0)
        note_failure(s, err_msg(&e));
    if (pthread_barrier_wait(&s->ready) == PTHREAD_BARRIER_SERIAL_THREAD) {
        s->begin_wall_us = wall_us();
        s->begin_cpu_ms = clock_cpu_ms();
        s->begin_ns = clock_now_ns();
    }
    pthread_barrier_wait(&s->ready);
    for (size_t i; !atomic_load_explicit(&s->failed, memory_order_relaxed) &&
                   (i = atomic_fetch_add(&s->next, 1)) < s->n;)
        send_one(s, w, i, a);
    uint64_t now = clock_now_ns();
    pthread_mutex_lock(&s->lock);
    s->end_ns = MAX(s->end_ns, now);
    s->end_wall_us = wall_us();
    pthread_mutex_unlock(&s->lock);
    wire_close(w);
    xfree(w);
    xfree(a);
    return NULL;
}

static int map_lines(struct send *s, const char *path, struct err *e) {
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "%s", path);
    if (!st.st_size)
        return err_set(e, -EINVAL, "%s is empty", path);
    const char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, errno, "%s", path);
    const char *end = p + st.st_size, *nl;
    size_t cap = 0;
    for (; p < end && (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
        if (s->n == cap) {
            cap = MAX(cap * 2, (size_t)1024);
            s->line = xrealloc(s->line, cap * sizeof *s->line);
            s->end = xrealloc(s->end, cap * sizeof *s->end);
        }
        s->line[s->n] = p;
        s->end[s->n++] = nl;
    }
    return 0;
}

static void shuffle(struct send *s, uint64_t seed) {
    for (size_t i = s->n; seed && i > 1; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t k = (size_t)((seed >> 33) % i);
        const char *l = s->line[i - 1], *x = s->end[i - 1];
        s->line[i - 1] = s->line[k], s->end[i - 1] = s->end[k];
        s->line[k] = l, s->end[k] = x;
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const struct send *s, double q) {
    return s->n ? s->micros[(size_t)((double)(s->n - 1) * q)] / 1000.0 : 0;
}

static int send_result(struct send *s) {
    double seconds = (double)(s->end_ns - s->begin_ns) / 1e9;
    size_t failed = atomic_load(&s->failed);
    uint64_t cpu = clock_cpu_ms() - s->begin_cpu_ms;
    qsort(s->micros, s->n, sizeof *s->micros, by_value);
    AUTO_SB why = SB_INIT(4096);
    sb_json(&why, s->why, strlen(s->why));
    printf("{\"objects\":%zu,\"failed\":%zu,\"seconds\":%.6f,\"perSecond\":%.2f,"
           "\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"cpuMs\":%llu,\"bytes\":%zu,"
           "\"beginWallUs\":%lld,\"endWallUs\":%lld,\"why\":%s}\n",
           s->n, failed, seconds, (double)s->n / seconds, quantile_ms(s, 0.5), quantile_ms(s, 0.99),
           (unsigned long long)cpu, atomic_load(&s->bytes), (long long)s->begin_wall_us,
           (long long)s->end_wall_us, sb_get(&why));
    return failed ? 1 : 0;
}

static int cmd_send(const char *target, unsigned in_flight, uint64_t seed, const char *file,
                    struct err *e) {
    struct send s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int r = target_open(target, &s.to, e);
    if (r >= 0)
        r = map_lines(&s, file, e);
    if (r < 0)
        return r;
    s.micros = xcalloc(s.n, sizeof *s.micros);
    shuffle(&s, seed);
    pthread_barrier_init(&s.ready, NULL, in_flight);
    run_threads(in_flight, sender, &s);
    r = send_result(&s);
    target_close(&s.to);
    xfree(s.micros);
    xfree(s.line);
    xfree(s.end);
    return r;
}

/* --- list --- */

struct listing {
    struct target to;
    const struct strvec *paths;
    atomic_size_t next, pages, bytes, failed;
    unsigned in_flight;
};

/* The continue token stands in the list's metadata, before its items. */
static bool next_page(const char *path, const struct answer *a, char *page) {
    static const char key[] = "\"continue\":\"";
    const char *items = strstr(a->head, "\"items\":["), *p = strstr(a->head, key);
    if (!p || (items && p > items))
        return false;
    p += sizeof key - 1;
    size_t n = strcspn(p, "\"");
    MUST(snprintf(page, PAGE_PATH_MAX, "%s?limit=500&continue=%.*s", path, (int)n, p) <
         PAGE_PATH_MAX);
    return true;
}

static void list_path(struct listing *l, struct wire *w, const char *path, struct answer *a) {
    char page[PAGE_PATH_MAX];
    struct err e = {0};
    snprintf(page, sizeof page, "%s?limit=500", path);
    do {
        struct request r = {"GET", page, NULL, 3, strlen(page), 0};
        if (wire_do(w, &r, a, &e) < 0 || a->status != 200) {
            fprintf(stderr, "postloop: GET %s: %d %s\n", page, a->status,
                    a->status ? a->head : err_msg(&e));
            atomic_fetch_add(&l->failed, 1);
            return;
        }
        atomic_fetch_add(&l->pages, 1);
        atomic_fetch_add(&l->bytes, a->body_len);
    } while (next_page(path, a, page));
}

static void *lister(void *arg) {
    struct listing *l = arg;
    struct wire *w = xmalloc(sizeof *w);
    struct answer *a = xmalloc(sizeof *a);
    struct err e = {0};
    if (wire_open(w, &l->to, &e) < 0) {
        fprintf(stderr, "postloop: %s\n", err_msg(&e));
        atomic_fetch_add(&l->failed, 1);
    }
    for (size_t i; w->ssl && (i = atomic_fetch_add(&l->next, 1)) < l->paths->n;)
        list_path(l, w, l->paths->v[i], a);
    wire_close(w);
    xfree(w);
    xfree(a);
    return NULL;
}

static void *list_target(void *arg) {
    struct listing *l = arg;
    run_threads(l->in_flight, lister, l);
    return NULL;
}

static int read_paths(const char *path, struct strvec *ret, struct err *e) {
    AUTO_FILE f = fopen(path, "re");
    char line[1024];
    if (!f)
        return err_errno(e, errno, "%s", path);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (*line)
            strvec_add(ret, line);
    }
    return 0;
}

static int cmd_list(unsigned in_flight, char **arg, int n, struct err *e) {
    struct listing l[2] = {0};
    pthread_t thread[2];
    AUTO_STRVEC paths = {0};
    if (n < 2 || n > 3)
        return err_set(e, -EUSAGE, "list wants PATHS and one or two targets");
    int r = read_paths(arg[0], &paths, e);
    for (int i = 0; r >= 0 && i < n - 1; i++) {
        l[i].paths = &paths;
        l[i].in_flight = in_flight;
        r = target_open(arg[1 + i], &l[i].to, e);
    }
    if (r < 0)
        return r;
    uint64_t t = clock_now_ns();
    size_t pages = 0, bytes = 0, failed = 0;
    for (int i = 0; i < n - 1; i++)
        MUST(pthread_create(&thread[i], NULL, list_target, &l[i]) == 0);
    for (int i = 0; i < n - 1; i++) {
        pthread_join(thread[i], NULL);
        pages += atomic_load(&l[i].pages);
        bytes += atomic_load(&l[i].bytes);
        failed += atomic_load(&l[i].failed);
        target_close(&l[i].to);
    }
    printf("{\"seconds\":%.6f,\"pages\":%zu,\"bytes\":%zu,\"failed\":%zu,\"cpuMs\":%llu}\n",
           (double)(clock_now_ns() - t) / 1e9, pages, bytes, failed,
           (unsigned long long)clock_cpu_ms());
    return failed ? 1 : 0;
}

/* --- exec --- */

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The parent is small, because until exec(2) a child counts its parent's memory as its own. */
static int cmd_exec(const char *report, char **argv, struct err *e) {
    struct rusage u;
    int status;
    uint64_t t = clock_now_ns();
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, errno, "fork");
    if (!pid) {
        execvp(argv[0], argv);
        _exit(127);
    }
    while (wait4(pid, &status, 0, &u) < 0)
        if (errno != EINTR)
            return err_errno(e, errno, "wait for %s", argv[0]);
    AUTO_FILE f = fopen(report, "we");
    if (!f)
        return err_errno(e, errno, "%s", report);
    fprintf(f,
            "{\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"peakRssKib\":%ld,\"status\":%d}\n",
            (double)(clock_now_ns() - t) / 1e9, seconds_of(u.ru_utime), seconds_of(u.ru_stime),
            u.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

/* --- command line --- */

struct options {
    const char *target;
    uint64_t in_flight, seed;
};

static int take_options(struct options *o, int argc, char **argv, struct err *e) {
    int i = 2;
    for (; i + 1 < argc && str_starts(argv[i], "--"); i += 2) {
        int r = 0;
        if (str_eq(argv[i], "--target"))
            o->target = argv[i + 1];
        else if (str_eq(argv[i], "--in-flight"))
            r = str_u64(argv[i + 1], &o->in_flight);
        else if (str_eq(argv[i], "--seed"))
            r = str_u64(argv[i + 1], &o->seed);
        else
            r = -EINVAL;
        if (r < 0 || o->in_flight < 1 || o->in_flight > IN_FLIGHT_MAX)
            return err_set(e, -EUSAGE, "%s %s is not understood", argv[i], argv[i + 1]);
    }
    return i;
}

int main(int argc, char **argv) {
    struct options o = {.in_flight = 32, .seed = 1};
    struct err e = {0};
    const char *what = argc > 1 ? argv[1] : "";
    int r;
    if (str_eq(what, "exec") && argc > 3) {
        r = cmd_exec(argv[2], argv + 3, &e);
    } else {
        int at = take_options(&o, argc, argv, &e);
        if (at < 0)
            r = at;
        else if (str_eq(what, "send") && o.target && at == argc - 1)
            r = cmd_send(o.target, (unsigned)o.in_flight, o.seed, argv[at], &e);
        else if (str_eq(what, "list"))
            r = cmd_list((unsigned)o.in_flight, argv + at, argc - at, &e);
        else
            r = err_set(&e, -EUSAGE, "postloop send|list|exec: see postloop.c");
    }
    if (r < 0)
        fprintf(stderr, "postloop: %s\n", err_msg(&e));
    return r < 0 ? 2 : r;
}
