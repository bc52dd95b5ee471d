/* What a claim is to be filled from (dataSource, dataSourceRef): does the destination have it, or
 * will it? In the source it may be gone long since: a bound claim does not need it any more, and a
 * new one waits for it for ever. Asked while claims are read, when no record of another kind can be
 * relied on: each is looked for once in the two clusters, and what was found stays so as long as
 * the world. Any thread. */
#pragma once

#include "migrate/world.h"

/* True also when that is not to be known, which is warned of. ctx: the world; ns: of the claim, or
 * the one that its reference names. */
bool sources_there(void *ctx, const char *group, const char *kind, const char *ns,
                   const char *name);
/* Offline: this item is in the destination, or in the source. */
void sources_have(struct world *w, const struct world_item *x, bool destination);
