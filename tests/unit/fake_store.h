/* A cluster for tests that keeps what it is given: objects by their path, with uid and
 * resourceVersion, as far as namespaces, ConfigMaps, Secrets and Events need it. Without a
 * namespace nothing can be made in it. */
#pragma once

#include "fake_api.h"

struct store;

struct store *store_start(void);
void store_stop(struct store *s);
struct api *store_api(struct store *s); /* for its port and what was asked */
/* The object's JSON, or NULL; until the next request. */
const char *store_at(struct store *s, const char *path);
/* Changes it as somebody else would: the first `from` in it becomes `to`, of the same length. */
void store_bend(struct store *s, const char *path, const char *from, const char *to);
void store_drop(struct store *s, const char *path);
/* How many paths begin so. */
unsigned store_count(struct store *s, const char *begins);
/* The nth (from 0) of them, in the order of their making; or NULL. */
const char *store_nth(struct store *s, const char *begins, unsigned nth);
