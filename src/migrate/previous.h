/* What an update changes, noted in the journal before it is sent (effect.previous), so that it can
 * be taken back: {"restore": MERGE-PATCH, "wrote": DIGESTS, "copy": NAME, "links": true, "hands":
 * BOOL}.
 *
 * restore is the merge patch (RFC 7386) that undoes the update, wrote the digests (leaves.h) of
 * each value that the update sets, by which it is seen later whether somebody has changed it since.
 * Of a Secret no values are noted: copy names the Secret in tandem-system that holds its previous
 * body (keep.h). links stands there when the update gives the object owners: when those go, the
 * garbage collector takes it along, so that it must have its previous ones before. hands tells
 * whether somebody may have changed it by then (hands.h), which cannot be seen afterwards: the
 * update keeps what they changed and gives its fields the owners that they have in the source.
 *
 * Of what the run created and nobody else has changed nothing is noted: taken back, it is deleted.
 */
#pragma once

#include "migrate/apply_impl.h"

/* The merge patch that undoes `patch` on a body that looks like `live`; metadata.resourceVersion is
 * left out. A new tree in d. */
yyjson_mut_val *previous_reverse(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *live);
/* Digests of what a merge patch sets, in a. */
char *previous_wrote(struct arena *a, const uint8_t salt[32], yyjson_mut_val *patch,
                     yyjson_mut_val *live);
/* One merge patch for two that are to be sent one after the other: `earlier` (of the older update)
 * decides where both say something. Edits and returns `later`; earlier NULL: later as it is. */
yyjson_mut_val *previous_over(yyjson_mut_doc *d, yyjson_mut_val *later, yyjson_mut_val *earlier);
/* The merge patch that makes `want` of `have`, both objects. A new tree in d. */
yyjson_mut_val *previous_between(yyjson_mut_doc *d, yyjson_mut_val *want, yyjson_mut_val *have);
/* The digests of both, in a; either may be NULL. */
const char *previous_join(struct arena *a, const char *wrote, const char *more);

/* Notes what `patch`, about to be sent for it, changes in `live`. Without a journal nothing. */
int previous_note(struct world *w, struct item *it, struct arena *a, yyjson_val *live,
                  yyjson_mut_val *patch, struct err *e);
