/* The classification table: which objects a cluster makes by itself, and what becomes of the rest.
 * The first row that matches decides; rows of the user come before (world.c). */
#pragma once

#include "migrate/world.h"

struct rule {
    const char *id;           /* stable; shown in plan and explain */
    const char *group, *kind; /* NULL: any */
    uint32_t facts;           /* any of these bits; 0: no condition */
    /* Further condition, or NULL. w is NULL while the source is still being read: a row that
     * needs the whole world then says false. */
    bool (*when)(const struct object *o, const struct world *w);
    const char *why;
};

/* All rows say skip; what none matches is migrated (created, or held by hold.h's table). */
const struct rule *rules_table(size_t *ret_n);
/* The first matching row, or NULL. w may be NULL (see above). */
const struct rule *rules_match(const struct object *o, const struct world *w);
/* A row that skips every object of the kind whatever it holds: such kinds are not even read. */
const struct rule *rules_skip_kind(const struct kube_resource *r);
/* Which children an owner's controller makes again; owner NULL: any. */
struct regenerable {
    const char *child, *owner;
};
const struct regenerable *rules_regenerables(size_t *ret_n);
/* Is a child of this kind made again by an owner of that kind? */
bool rules_regenerable(const char *child_kind, const char *owner_kind);
bool rules_system_namespace(const char *ns);
/* tandem-system, and the namespaces of probes (probe_ns.h). */
bool rules_tandem_namespace(const char *ns);
/* Those namespaces and what is in them: no rule of the user's migrates that. */
bool rules_tandem_own(const struct object *o);
