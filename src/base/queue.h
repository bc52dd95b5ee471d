/* A bounded queue between threads, and a group of workers.
 *
 * Objects move through the queue: the pusher gives them up, the popper owns them. close() wakes
 * everybody: pushes are refused, pops drain what is left and then return NULL. */
#pragma once

#include "base/util.h"

struct queue;

struct queue *queue_new(size_t capacity);
void queue_free(struct queue *q); /* must be empty or closed; no thread inside */
/* Waits while full. False when the queue is closed (the item stays the caller's). */
bool queue_push(struct queue *q, void *item);
/* Waits while empty. NULL when closed and empty. */
void *queue_pop(struct queue *q);
/* As queue_pop, but at most ms; NULL on timeout too. */
void *queue_pop_for(struct queue *q, uint64_t ms);
void *queue_try_pop(struct queue *q);
void queue_close(struct queue *q);
size_t queue_len(struct queue *q);

/* Starts n threads that run fn(ctx, index); workers_join waits for all and frees the group. */
struct workers;
struct workers *workers_start(size_t n, void (*fn)(void *ctx, size_t index), void *ctx);
void workers_join(struct workers *w);
