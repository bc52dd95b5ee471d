/* The mirror of a run's record in the destination: what another machine needs to go on when this
 * one is gone (docs/RECORD.md). Never a Secret's value.
 *
 * Two ConfigMaps, tandem-record-ENVIRONMENT-0 and -1, are heads, written in turn: each names the
 * parts of the journal's text (record_parts.h) with their hashes, and carries the first ones
 * itself; the others stand in ConfigMaps named by their hash. A head is written when all its parts
 * are there, and parts go when no head names them, so that one head is whole at any moment. The
 * salt of the digests stands in the Secret tandem-record-ENVIRONMENT: whoever may not read Secrets
 * cannot try values on the digests. notice.h has what makes and takes over. */
#pragma once

#include "run/notice.h"

struct record_info {
    char cluster; /* in which it was found: 'a' / 'b' */
    int64_t generation;
    const char *run, *at, *actor; /* whose, written when and by whom */
    const char *damaged;          /* why a half could not be used; NULL: none was tried in vain */
};
/* Reads the mirror of this environment from whichever cluster has it, writing nothing: its history,
 * verified, in s->a. -ENOENT: there is none; -EBADMSG: none is whole. */
int record_history(struct session *s, struct record_info *info, struct journal_event_row **ret,
                   size_t *n, struct err *e);
