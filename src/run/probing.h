/* What the destination makes by itself in each namespace, found in a probe namespace: when one is
 * worth making, its record in the journal, and what is remembered of it for later commands. */
#pragma once

#include "run/session.h"

/* Is something to be created in a namespace? When all that is asked for are some namespaces
 * (-n, -l), only one that the destination does not have yet is worth it. */
bool probing_wanted(const struct session *s, const struct world *w);
/* Makes a probe namespace (a step of the journal), looks, deletes it, takes what is made there out
 * of w's plan (pernamespace_learn) and remembers it. -EGUARD under --read-only. */
int probing_look(struct session *s, struct world *w, struct err *e);
/* Removes a probe namespace that was left behind, and ends its step. One request when there is
 * none; what goes wrong is only told. */
void probing_sweep(struct session *s);
/* What a run brought into the destination may have made it; with the run taken back it is not
 * known any more. */
int probing_forget(struct session *s, struct err *e);
/* *ret: the keys that the last probe of this destination found ("GROUP/KIND/NAME",
 * NULL-terminated, in s->a), or NULL. */
int probing_recall(struct session *s, const char *const **ret, struct err *e);
