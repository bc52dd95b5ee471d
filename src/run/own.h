/* What tandem keeps for itself in namespace tandem-system of a cluster, beside the copies of
 * Secrets (migrate/keep.h): ConfigMaps, a Secret, Events. Best effort under a deadline: a cluster
 * that does not answer must hold nobody up. Everything carries a label with the environment, by
 * which it is swept when a run ends. Whatever is replaced is so by resourceVersion, whatever is
 * deleted by uid. One thread. */
#pragma once

#include "base/json.h"
#include "kube/client.h"

struct own {
    struct kube_client *c;
    const char *environment;
    uint64_t until_ms; /* clock_now_ms() from which on no request begins (-ETIMEDOUT) */
    uint32_t each_ms;  /* longest for one request; 0: what is left */
};

enum own_kind { OWN_CONFIGMAP, OWN_SECRET };

/* -ENOENT when it, or the namespace, is not there. */
int own_get(const struct own *o, struct arena *a, enum own_kind kind, const char *name,
            yyjson_val **ret, struct err *e);
/* Makes or replaces it with this data (an object of strings; of a Secret in base64), and the
 * namespace when that is missing. *ret_uid (may be NULL) in a. */
int own_put(const struct own *o, struct arena *a, enum own_kind kind, const char *name,
            yyjson_mut_doc *d, yyjson_mut_val *data, const char **ret_uid, struct err *e);
/* Makes a ConfigMap whose name follows from its content and that never changes: there already is as
 * good. */
int own_make(const struct own *o, struct arena *a, const char *name, yyjson_mut_doc *d,
             yyjson_mut_val *data, struct err *e);
/* Shows the name of each ConfigMap of this environment that begins so, and deletes those for which
 * keep says no. */
int own_each(const struct own *o, const char *begins, bool (*keep)(void *ctx, const char *name),
             void *ctx, struct err *e);

struct own_event {
    const char *action, *reason; /* words in CamelCase: "Migrate", "StageBegins" */
    const char *actor;           /* who reports it */
    bool warning;
    const char *note;        /* cut at what an Event takes */
    const char *about, *uid; /* the ConfigMap that it regards; NULL: the namespace itself, and then
                                the Event stays in namespace default when that one goes */
};
int own_event(const struct own *o, struct arena *a, const struct own_event *ev, struct err *e);

/* Deletes all that carries the environment's label. */
int own_sweep(const struct own *o, struct err *e);
