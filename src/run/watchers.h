/* The configured probes, kept running while something is waited for, and their limits. Calls may
 * come from any thread but start and stop, which are their owner's. */
#pragma once

#include "probe/probe.h"
#include "run/session.h"

struct watchers;

/* All of the configuration; none is fine. */
int watchers_start(struct session *s, struct watchers **ret, struct err *e);
void watchers_stop(struct watchers *w); /* NULL is fine */

/* -EPROTO, with the figures, when one has lost more than its limit over its window; NULL is fine.
 */
int watchers_check(const struct watchers *w, struct err *e);
size_t watchers_count(const struct watchers *w); /* 0 for NULL */
const struct config_probe *watchers_config(const struct watchers *w, size_t i);
void watchers_window(const struct watchers *w, size_t i, uint32_t window_ms,
                     struct probe_stats *ret);

/* What each has seen over the last ten seconds: name, ok, lost, byA, byB, p50Us, p99Us. */
yyjson_mut_val *watchers_json(yyjson_mut_doc *d, const struct watchers *w);

/* The certificate authorities that a probe names, into p; what it points to lives in a. */
int watchers_load_ca(struct arena *a, const struct config_probe *c, struct probe_config *p,
                     struct err *e);
