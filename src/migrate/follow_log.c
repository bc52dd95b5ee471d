/* Carriers wait for their intents to be on disk; one thread writes what has gathered meanwhile in
 * one transaction, so that sixteen of them cost one sync. */
#include <errno.h>
#include <time.h>

#include "migrate/follow_impl.h"

enum { COMPANY_MS = 50 };

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
    struct err broken; /* code 0: it is not */
    pthread_t thread;
};

static void tell(struct follow_log *l, struct begun *list, const struct journal_effect *v, int r,
                 const struct err *e) {
    size_t i = 0;
    for (struct begun *b = list, *next; b; b = next) {
        next = b->next; /* its owner goes on as soon as it is done */
        b->r = r;
        b->ef->id = r < 0 ? 0 : v[i++].id;
        if (r < 0 && b->e)
            *b->e = *e;
        b->done = true;
    }
    l->broken = *e;
    pthread_cond_broadcast(&l->written);
}

/* What ended and cannot be recorded stays an intent, which counts as written by us. */
static void turn(struct follow_log *l, struct begun *begun, size_t n_begun, struct ended *ended,
                 size_t n_ended) {
    struct journal_effect *v = xcalloc(n_begun + n_ended + 1, sizeof *v);
    struct err e = {0};
    size_t i = 0;
    for (struct begun *b = begun; b; b = b->next)
        v[i++] = *b->ef;
    for (struct ended *x = ended; x; x = x->next)
        v[i++] = x->ef;
    int r = journal_effects_turn(l->j, l->run, v, n_begun, v + n_begun, n_ended, &e);
    pthread_mutex_lock(&l->lock);
    tell(l, begun, v, r, &e);
    pthread_mutex_unlock(&l->lock);
    for (struct ended *x = ended, *next; x; x = next) {
        next = x->next;
        arena_free(x->a);
    }
    xfree(v);
}

/* Nobody waits for an outcome to be on disk: it goes with the next intents, if they come soon. */
static void wait_for_company(struct follow_log *l) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += COMPANY_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    while (!l->stop && !l->begun && pthread_cond_timedwait(&l->work, &l->lock, &t) == 0)
        continue;
}

static void *run(void *arg) {
    struct follow_log *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && !l->begun && !l->ended)
            pthread_cond_wait(&l->work, &l->lock);
        if (!l->stop && !l->begun)
            wait_for_company(l);
        if (l->stop && !l->begun && !l->ended)
            break;
        struct begun *b = l->begun;
        struct ended *x = l->ended;
        size_t nb = l->n_begun, nx = l->n_ended;
        l->begun = NULL;
        l->ended = NULL;
        l->begun_tail = &l->begun;
        l->ended_tail = &l->ended;
        l->n_begun = l->n_ended = 0;
        pthread_mutex_unlock(&l->lock);
        turn(l, b, nb, x, nx);
        pthread_mutex_lock(&l->lock);
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

bool follow_log_broken(struct follow_log *l, char *out, size_t n) {
    pthread_mutex_lock(&l->lock);
    bool broken = l->broken.code != 0;
    if (broken)
        snprintf(out, n, "%s", err_msg(&l->broken));
    pthread_mutex_unlock(&l->lock);
    return broken;
}
