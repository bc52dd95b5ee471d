/* The journal as text, and back: for a mirror of it elsewhere (run/record.h).
 *
 * Lines of JSON: an object {"table":"run","columns":["id",...]} before the rows of a table, then
 * one array for each row. Which tables, and what of them is left out, is a table in export.c;
 * columns are those that the file has, so that a table that grows needs no word here. Never the
 * salt, and never a value of a Secret: the journal has none. */
#pragma once

#include "journal/journal.h"

enum journal_part {
    EXPORT_CORE,    /* facts, runs, steps, the history: as they are at one moment */
    EXPORT_EFFECTS, /* page by page, while others go on writing */
};
/* Calls fn with one line after the other, each with its line end. A result of fn below 0 ends it
 * and is returned. What fn is given lives until it returns; fn must not call the journal. */
int journal_export(struct journal *j, enum journal_part part,
                   int (*fn)(void *ctx, const char *line, size_t n), void *ctx, struct err *e);

/* Fills a journal that has no history of its own from such lines (both parts, one after the other),
 * all or nothing, and checks the chain of events. salt: of the journal that they come from, or NULL
 * to keep this one's (digests then match nothing). -EEXIST: this journal knows of a run, or of
 * anything else; -EBADMSG: the lines or the chain are damaged; -EPROTONOSUPPORT: a newer tandem has
 * written them. The text comes from elsewhere: nothing in it is trusted. */
int journal_import(struct journal *j, const uint8_t *salt, const char *text, size_t n,
                   struct err *e);
