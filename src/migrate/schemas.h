/* The OpenAPI v3 documents of both clusters, read when the first object of a group and version is
 * looked at and let go at once: what stays is schema.h's differences. A document whose hash is the
 * same in both clusters' index is not fetched. Shared by the readers; locks inside. */
#pragma once

#include "kube/client.h"
#include "migrate/schema.h"

struct schemas;

struct schemas *schemas_new(struct kube_client *src, struct kube_client *dst);
void schemas_free(struct schemas *s); /* and every schema_diff that it made; NULL is fine */
/* Sets k->schema, and that of every other of these n kinds of its group and version. Where a
 * document cannot be had it stays NULL and schemas_warning() says why. */
void schemas_settle(struct schemas *s, struct kind *kinds, size_t n, const struct kind *k);
/* What could not be read, once for all; NULL: nothing. */
const char *schemas_warning(const struct schemas *s);
