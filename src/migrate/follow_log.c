/* Carriers wait for their intents to be on disk; one thread writes what has gathered meanwhile in
 * one transaction, so that sixteen of them cost one sync. */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "migrate/follow_impl.h"

enum { COMPANY_MS = 50, BROKEN_MS = 200 };

struct begun {
    struct begun *next;
    struct journal_effect *ef;
    struct err *e;
    int r;
    bool done;
};

struct ended {
    struct ended *next;
    struct arena *a;
    struct journal_effect ef;
};

struct follow_log {
    struct journal *j;
    const char *run;
    pthread_mutex_t lock;
    pthread_cond_t work, written;
    struct begun *begun, **begun_tail;
    struct ended *ended, **ended_tail;
    size_t n_begun, n_ended;
    bool stop;
    bool busy;         /* with a turn */
    bool hurry;        /* somebody waits for outcomes */
    struct err broken; /* code 0: it is not */
    pthread_t thread;
};

static void tell(struct begun *list, const struct journal_effect *v, int r, const struct err *e) {
    size_t i = 0;
    for (struct begun *b = list, *next; b; b = next) {
        next = b->next; /* its owner goes on as soon as it is done */
        b->r = r;
        b->ef->id = r < 0 ? 0 : v[i++].id;
        if (r < 0 && b->e)
            *b->e = *e;
        b->done = true;
    }
}

/* Outcomes that could not be recorded now are, with the next ones. */
static void put_back(struct follow_log *l, struct ended *list, struct ended **tail, size_t n) {
    if (!list)
        return;
    *tail = l->ended;
    if (!l->ended)
        l->ended_tail = tail;
    l->ended = list;
    l->n_ended += n;
}

static void free_all(struct ended *list) {
    for (struct ended *x = list, *next; x; x = next) {
        next = x->next;
        arena_free(x->a);
    }
}

static int write_turn(struct follow_log *l, struct begun *begun, size_t n_begun,
                      struct ended *ended, size_t n_ended, struct journal_effect *v,
                      struct err *e) {
    size_t i = 0;
    for (struct begun *b = begun; b; b = b->next)
        v[i++] = *b->ef;
    for (struct ended *x = ended; x; x = x->next)
        v[i++] = x->ef;
    return journal_effects_turn(l->j, l->run, v, n_begun, v + n_begun, n_ended, e);
}

/* One that is refused, whatever the disk says, must not take its company with it. */
static void begin_alone(struct follow_log *l, struct begun *list) {
    for (struct begun *b = list, *next; b; b = next) {
        struct err e = {0};
        next = b->next;
        struct journal_effect v = *b->ef;
        int r = journal_effects_begin(l->j, l->run, &v, 1, &e);
        pthread_mutex_lock(&l->lock);
        b->next = NULL;
        tell(b, &v, r, &e);
        pthread_cond_broadcast(&l->written);
        pthread_mutex_unlock(&l->lock);
    }
}

static void turn(struct follow_log *l, struct begun *begun, size_t n_begun, struct ended *ended,
                 struct ended **ended_tail, size_t n_ended) {
    struct journal_effect *v = xcalloc(n_begun + n_ended + 1, sizeof *v);
    struct err e = {0};
    int r = write_turn(l, begun, n_begun, ended, n_ended, v, &e);
    pthread_mutex_lock(&l->lock);
    l->broken = e;
    if (r < 0)
        put_back(l, ended, ended_tail, n_ended);
    bool alone = r < 0 && n_begun > 1;
    if (!alone)
        tell(begun, v, r, &e);
    l->busy = alone;
    pthread_cond_broadcast(&l->written);
    pthread_mutex_unlock(&l->lock);
    if (alone)
        begin_alone(l, begun);
    if (r >= 0)
        free_all(ended);
    xfree(v);
}

/* Nobody waits for an outcome to be on disk: it goes with the next intents, if they come soon. */
static void wait_for_company(struct follow_log *l) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += COMPANY_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    while (!l->stop && !l->hurry && !l->begun &&
           pthread_cond_timedwait(&l->work, &l->lock, &t) == 0)
        continue;
}

/* A journal that cannot be written is tried again in a moment, not at once. */
static void rest(struct follow_log *l) {
    pthread_mutex_unlock(&l->lock);
    clock_sleep_ms(BROKEN_MS);
    pthread_mutex_lock(&l->lock);
}

static void *run(void *arg) {
    struct follow_log *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && !l->begun && !l->ended)
            pthread_cond_wait(&l->work, &l->lock);
        if (!l->stop && !l->begun)
            wait_for_company(l);
        if (l->stop && !l->begun && (!l->ended || l->broken.code))
            break;
        struct begun *b = l->begun;
        struct ended *x = l->ended, **tail = l->ended_tail;
        size_t nb = l->n_begun, nx = l->n_ended;
        l->begun = NULL;
        l->ended = NULL;
        l->begun_tail = &l->begun;
        l->ended_tail = &l->ended;
        l->n_begun = l->n_ended = 0;
        l->busy = true;
        l->hurry = false;
        pthread_mutex_unlock(&l->lock);
        turn(l, b, nb, x, tail, nx);
        pthread_mutex_lock(&l->lock);
        l->busy = false;
        pthread_cond_broadcast(&l->written);
        if (l->broken.code && !l->stop)
            rest(l);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct follow_log *follow_log_start(struct journal *j, const char *name) {
    struct follow_log *l = xcalloc(1, sizeof *l);
    l->j = j;
    l->run = name;
    l->begun_tail = &l->begun;
    l->ended_tail = &l->ended;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->work, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&l->written, NULL);
    MUST(pthread_create(&l->thread, NULL, run, l) == 0);
    return l;
}

void follow_log_stop(struct follow_log *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    free_all(l->ended); /* could not be recorded: they stay intents, which count as written by us */
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->written);
    xfree(l);
}

int follow_log_begin(struct follow_log *l, struct journal_effect *ef, struct err *e) {
    struct begun b = {.ef = ef, .e = e};
    pthread_mutex_lock(&l->lock);
    *l->begun_tail = &b;
    l->begun_tail = &b.next;
    l->n_begun++;
    pthread_cond_signal(&l->work);
    while (!b.done)
        pthread_cond_wait(&l->written, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return b.r;
}

void follow_log_end(struct follow_log *l, const struct journal_effect *ef) {
    struct arena *a = arena_new();
    struct ended *x = arena_new_of(a, struct ended);
    *x = (struct ended){.a = a, .ef = *ef};
    const char **texts[] = {&x->ef.cluster, &x->ef.ref,      &x->ef.verb, &x->ef.digest,
                            &x->ef.leaves,  &x->ef.previous, &x->ef.uid,  &x->ef.resource_version,
                            &x->ef.error};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = arena_strdup(a, *texts[i]);
    pthread_mutex_lock(&l->lock);
    *l->ended_tail = x;
    l->ended_tail = &x->next;
    l->n_ended++;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

void follow_log_flush(struct follow_log *l) {
    pthread_mutex_lock(&l->lock);
    l->hurry = true;
    pthread_cond_signal(&l->work);
    while (!l->stop && !l->broken.code && (l->ended || l->busy))
        pthread_cond_wait(&l->written, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

bool follow_log_broken(struct follow_log *l, char *out, size_t n) {
    pthread_mutex_lock(&l->lock);
    bool broken = l->broken.code != 0;
    if (broken)
        snprintf(out, n, "%s", err_msg(&l->broken));
    pthread_mutex_unlock(&l->lock);
    return broken;
}
