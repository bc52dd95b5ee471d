/* Between the orchestration (apply.c) and one write (write.c). */
#pragma once

#include "migrate/apply.h"

/* One object on its way; owns its arena. Moves feeder -> writer -> recorder. */
struct item {
    struct arena *a;
    struct object *o;
    char *path, *query;
    char *body;
    size_t body_len;
    const char *previous;
    struct journal_effect effect;
    char uid[64], rv[32];
    struct err err;
    bool ok;
    unsigned requests;
    uint64_t sent_ns, answered_ns;
};

/* Makes the item of o from its body as the source shows it. */
int write_prepare(struct world *w, struct object *o, yyjson_val *body, struct item **ret,
                  struct err *e);
void item_free(struct item *it);
/* Sends it and settles what came of it: it->ok, uid, rv or err. */
void write_item(struct world *w, struct item *it, struct http_cancel *cancel);
