#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more, room;
    size_t cap, head, n;
    bool closed;
    void *item[];
};

struct queue *queue_new(size_t capacity) {
    struct queue *q = xcalloc(1, sizeof *q + capacity * sizeof(void *));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, &attr);
    pthread_cond_init(&q->room, &attr);
    pthread_condattr_destroy(&attr);
    q->cap = capacity;
    return q;
}

void queue_free(struct queue *q) {
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
    pthread_cond_destroy(&q->room);
    xfree(q);
}

bool queue_push(struct queue *q, void *item) {
    pthread_mutex_lock(&q->lock);
    while (q->n == q->cap && !q->closed)
        pthread_cond_wait(&q->room, &q->lock);
    bool ok = !q->closed;
    if (ok) {
        q->item[(q->head + q->n++) % q->cap] = item;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

/* With the lock held. */
static void *take(struct queue *q) {
    if (!q->n)
        return NULL;
    void *item = q->item[q->head];
    q->head = (q->head + 1) % q->cap;
    q->n--;
    pthread_cond_signal(&q->room);
    return item;
}

void *queue_pop(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    while (!q->n && !q->closed)
        pthread_cond_wait(&q->more, &q->lock);
    void *item = take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_pop_for(struct queue *q, uint64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + ms % 1000 * 1000000u;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    pthread_mutex_lock(&q->lock);
    int r = 0;
    while (!q->n && !q->closed && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&q->more, &q->lock, &t);
    void *item = take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_try_pop(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    void *item = take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->more);
    pthread_cond_broadcast(&q->room);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_len(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    return n;
}

struct worker {
    struct workers *group;
    size_t index;
    pthread_t thread;
};

struct workers {
    void (*fn)(void *ctx, size_t index);
    void *ctx;
    size_t n;
    struct worker w[];
};

static void *worker_main(void *arg) {
    struct worker *w = arg;
    w->group->fn(w->group->ctx, w->index);
    return NULL;
}

struct workers *workers_start(size_t n, void (*fn)(void *ctx, size_t index), void *ctx) {
    struct workers *g = xcalloc(1, sizeof *g + n * sizeof(struct worker));
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    *g = (struct workers){.fn = fn, .ctx = ctx, .n = n};
    for (size_t i = 0; i < n; i++) {
        g->w[i] = (struct worker){.group = g, .index = i};
        MUST(pthread_create(&g->w[i].thread, &attr, worker_main, &g->w[i]) == 0);
    }
    pthread_attr_destroy(&attr);
    return g;
}

void workers_join(struct workers *g) {
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        pthread_join(g->w[i].thread, NULL);
    xfree(g);
}
