#include "migrate/changes.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/map.h"

enum { BUCKETS = 1 << 14, RETRY_MS = 20, RETRY_MAX_MS = 10000, QUIET_MS = 3000 };

struct changes {
    pthread_mutex_t lock;
    pthread_cond_t due;
    struct pending *bucket[BUCKETS];
    struct pending **heap; /* those that wait, by due_ms */
    size_t n_heap, cap_heap;
    bool closed, frozen;
};

struct changes *changes_new(void) {
    struct changes *q = xcalloc(1, sizeof *q);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->due, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

static void pending_free(struct pending *p) {
    xfree(p->body);
    xfree(p->next_body);
    xfree(p->why);
    xfree((char *)(uintptr_t)p->ref);
    xfree(p);
}

void changes_free(struct changes *q) {
    if (!q)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pending *p = q->bucket[i], *next; p; p = next) {
            next = p->chain;
            pending_free(p);
        }
    xfree(q->heap);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->due);
    xfree(q);
}

/* --- the heap --- */

static void place(struct changes *q, size_t at, struct pending *p) {
    q->heap[at - 1] = p;
    p->heap = at;
}

static void rise(struct changes *q, size_t at) {
    struct pending *p = q->heap[at - 1];
    for (; at > 1 && q->heap[at / 2 - 1]->due_ms > p->due_ms; at /= 2)
        place(q, at, q->heap[at / 2 - 1]);
    place(q, at, p);
}

static void sink(struct changes *q, size_t at) {
    struct pending *p = q->heap[at - 1];
    for (size_t child; (child = at * 2) <= q->n_heap; at = child) {
        if (child < q->n_heap && q->heap[child]->due_ms < q->heap[child - 1]->due_ms)
            child++;
        if (q->heap[child - 1]->due_ms >= p->due_ms)
            break;
        place(q, at, q->heap[child - 1]);
    }
    place(q, at, p);
}

static void heap_add(struct changes *q, struct pending *p) {
    if (q->n_heap == q->cap_heap) {
        q->cap_heap = q->cap_heap ? q->cap_heap * 2 : 64;
        q->heap = xrealloc(q->heap, q->cap_heap * sizeof *q->heap);
    }
    q->n_heap++;
    place(q, q->n_heap, p);
    rise(q, q->n_heap);
}

static void heap_remove(struct changes *q, struct pending *p) {
    size_t at = p->heap;
    struct pending *last = q->heap[--q->n_heap];
    p->heap = 0;
    if (last == p)
        return;
    place(q, at, last);
    rise(q, at);
    sink(q, last->heap);
}

/* --- entries --- */

static struct pending *find(struct changes *q, const char *ref, bool make) {
    uint64_t h = map_hash(ref);
    struct pending **at = &q->bucket[h % BUCKETS];
    for (struct pending *p = *at; p; p = p->chain)
        if (p->hash == h && str_eq(p->ref, ref))
            return p;
    if (!make)
        return NULL;
    struct pending *p = xcalloc(1, sizeof *p);
    p->ref = xstrdup(ref);
    p->hash = h;
    p->chain = *at;
    *at = p;
    return p;
}

/* Has it changed more than HOT times in the last second? */
static bool is_hot(const struct pending *p, uint64_t now) {
    return p->n_recent >= COUNT_OF(p->recent) &&
           now - p->recent[p->n_recent % COUNT_OF(p->recent)] < 1000;
}

/* When it may be carried. */
static uint64_t due_of(const struct pending *p, uint64_t now) {
    return is_hot(p, now) ? p->seen_ms + CHANGES_HOT_WAIT_MS : now;
}

static void set_why(struct pending *p, const char *why) {
    if (why && str_eq(p->why, why))
        return;
    xfree(p->why);
    p->why = why ? xstrdup(why) : NULL;
}

static void wait_for_turn(struct changes *q, struct pending *p, uint64_t due_ms) {
    p->due_ms = due_ms;
    if (p->heap) {
        rise(q, p->heap);
        sink(q, p->heap);
    } else {
        heap_add(q, p);
    }
    p->state = CHANGE_WAITS;
    pthread_cond_signal(&q->due);
}

void changes_put(struct changes *q, const char *ref, const struct kind *kind, char *body,
                 size_t len, bool whole) {
    uint64_t now = clock_now_ms();
    pthread_mutex_lock(&q->lock);
    struct pending *p = find(q, ref, true);
    p->recent[p->n_recent++ % COUNT_OF(p->recent)] = now;
    if (p->state == CHANGE_RUNS) {
        xfree(p->next_body);
        p->next_body = body;
        p->next_len = len;
        p->next_whole = whole;
        if (!p->again)
            p->again_ms = now;
        p->again = true;
    } else {
        xfree(p->body);
        p->body = body;
        p->len = len;
        p->whole = whole;
        p->kind = kind;
        bool fresh = p->state != CHANGE_WAITS;
        p->approved = false;
        p->seen_ms = fresh ? now : p->seen_ms;
        p->tries = 0;
        wait_for_turn(q, p, fresh ? due_of(p, now) : MIN(p->due_ms, due_of(p, now)));
    }
    pthread_mutex_unlock(&q->lock);
}

static struct timespec until(uint64_t ms) {
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

struct pending *changes_next(struct changes *q) {
    struct pending *p = NULL;
    pthread_mutex_lock(&q->lock);
    while (!q->closed) {
        struct pending *first = q->n_heap && !q->frozen ? q->heap[0] : NULL;
        if (first && first->due_ms <= clock_now_ms()) {
            p = first;
            heap_remove(q, p);
            p->state = CHANGE_RUNS;
            break;
        }
        if (first) {
            struct timespec t = until(first->due_ms);
            pthread_cond_timedwait(&q->due, &q->lock, &t);
        } else {
            pthread_cond_wait(&q->due, &q->lock);
        }
    }
    if (p && q->n_heap)
        pthread_cond_signal(
            &q->due); /* the next one may be due too, or somebody must wait for it */
    pthread_mutex_unlock(&q->lock);
    return p;
}

/* What came while it was carried takes its place. */
static bool take_newer(struct changes *q, struct pending *p) {
    if (!p->again)
        return false;
    xfree(p->body);
    p->body = TAKE(p->next_body);
    p->len = p->next_len;
    p->whole = p->next_whole;
    p->again = p->approved = false;
    p->tries = 0;
    p->seen_ms = p->again_ms;
    set_why(p, NULL);
    wait_for_turn(q, p, due_of(p, clock_now_ms()));
    return true;
}

static void rest(struct pending *p, enum change_state state) {
    p->state = state;
    p->seen_ms = 0;
    p->tries = 0;
}

void changes_done(struct changes *q, struct pending *p) {
    pthread_mutex_lock(&q->lock);
    if (!take_newer(q, p)) {
        xfree(TAKE(p->body));
        set_why(p, NULL);
        rest(p, CHANGE_IDLE);
    }
    pthread_mutex_unlock(&q->lock);
}

void changes_retry(struct changes *q, struct pending *p, const char *why) {
    pthread_mutex_lock(&q->lock);
    if (!take_newer(q, p)) {
        uint64_t delay = RETRY_MS;
        for (unsigned i = 0; i < p->tries && delay < RETRY_MAX_MS; i++)
            delay *= 2;
        p->tries++;
        set_why(p, why);
        wait_for_turn(q, p, clock_now_ms() + MIN(delay, (uint64_t)RETRY_MAX_MS));
    }
    pthread_mutex_unlock(&q->lock);
}

void changes_hold(struct changes *q, struct pending *p, enum change_state state, const char *why) {
    pthread_mutex_lock(&q->lock);
    if (!take_newer(q, p)) {
        set_why(p, why);
        rest(p, state);
    }
    pthread_mutex_unlock(&q->lock);
}

/* --- all of them --- */

static void each(struct changes *q, void (*fn)(void *ctx, struct pending *p), void *ctx) {
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pending *p = q->bucket[i]; p; p = p->chain)
            fn(ctx, p);
}

struct approving {
    struct changes *q;
    bool (*match)(void *ctx, const struct pending *p);
    void *ctx;
    size_t n;
};

static void approve_one(void *ctx, struct pending *p) {
    struct approving *g = ctx;
    if (p->state != CHANGE_ASKS || !g->match(g->ctx, p))
        return;
    p->approved = true;
    p->seen_ms = clock_now_ms();
    set_why(p, NULL);
    wait_for_turn(g->q, p, p->seen_ms);
    g->n++;
}

size_t changes_approve(struct changes *q, bool (*match)(void *ctx, const struct pending *p),
                       void *ctx) {
    struct approving g = {q, match, ctx, 0};
    pthread_mutex_lock(&q->lock);
    each(q, approve_one, &g);
    pthread_mutex_unlock(&q->lock);
    return g.n;
}

void changes_freeze(struct changes *q, bool frozen) {
    pthread_mutex_lock(&q->lock);
    q->frozen = frozen;
    pthread_cond_broadcast(&q->due);
    pthread_mutex_unlock(&q->lock);
}

void changes_close(struct changes *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->due);
    pthread_mutex_unlock(&q->lock);
}

struct counting {
    struct changes_count *c;
    uint64_t oldest; /* when it was seen */
    int rank;        /* of the why that is told */
};

static void count_one(void *ctx, struct pending *p) {
    struct counting *k = ctx;
    struct changes_count *c = k->c;
    bool open = p->state == CHANGE_WAITS || p->state == CHANGE_RUNS;
    c->pending += open;
    c->failing += open && p->tries && p->why;
    c->asks += p->state == CHANGE_ASKS;
    c->blocked += p->state == CHANGE_BLOCKED;
    if (open && p->seen_ms && (!k->oldest || p->seen_ms < k->oldest))
        k->oldest = p->seen_ms;
    int rank = !p->why ? 0 : p->state == CHANGE_ASKS ? 3 : p->state == CHANGE_BLOCKED ? 1 : 2;
    if (rank > k->rank) {
        k->rank = rank;
        AUTO_ARENA a = arena_new();
        snprintf(c->why, sizeof c->why, "%s: %s", object_ref_title(a, p->ref), p->why);
    }
}

void changes_count(struct changes *q, struct changes_count *ret) {
    *ret = (struct changes_count){0};
    struct counting k = {.c = ret};
    pthread_mutex_lock(&q->lock);
    each(q, count_one, &k);
    pthread_mutex_unlock(&q->lock);
    uint64_t now = clock_now_ms();
    ret->oldest_ms = k.oldest && k.oldest < now ? now - k.oldest : 0;
}

void changes_reap(struct changes *q) {
    uint64_t now = clock_now_ms();
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pending **at = &q->bucket[i], *p; (p = *at);) {
            uint64_t last = p->recent[(p->n_recent - 1) % COUNT_OF(p->recent)];
            if (p->state != CHANGE_IDLE || now - last < QUIET_MS) {
                at = &p->chain;
                continue;
            }
            *at = p->chain;
            pending_free(p);
        }
    pthread_mutex_unlock(&q->lock);
}

struct telling {
    size_t left;
    void (*fn)(void *ctx, const char *ref, bool asks, const char *why);
    void *ctx;
};

static void tell_one(void *ctx, struct pending *p) {
    struct telling *t = ctx;
    bool asks = p->state == CHANGE_ASKS;
    if (!t->left || (!asks && p->state != CHANGE_BLOCKED))
        return;
    t->left--;
    t->fn(t->ctx, p->ref, asks, p->why ? p->why : "");
}

void changes_each_held(struct changes *q, size_t n,
                       void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                       void *ctx) {
    struct telling t = {n, fn, ctx};
    pthread_mutex_lock(&q->lock);
    each(q, tell_one, &t);
    pthread_mutex_unlock(&q->lock);
}
