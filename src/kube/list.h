/* Paged lists and watches. */
#pragma once

#include "kube/discovery.h"

struct kube_list_opts {
    const char *namespace;      /* NULL: all */
    const char *label_selector; /* or NULL */
    const char *field_selector;
    unsigned limit;     /* of every page; 0: begins with 200, then as many as make 768 KiB, 500 at
                           most; fewer where objects are so large that an answer would not fit */
    bool metadata_only; /* PartialObjectMetadata */
    bool background;    /* see kube_req */
    struct http_cancel *cancel;
};

/* Calls fn for each object, page by page; `item` lives during the call only (its page's arena).
 * Items of typed lists carry no apiVersion and kind: the resource tells. A negative return of fn
 * ends the list with it. On 410 in the middle the server's "inconsistent continue" token is used
 * when it gives one (the list is then complete but not of one moment; *ret_rv is of the first page,
 * so that a watch from there misses nothing), else the list starts again and `again` is called
 * first (NULL: -ESTALE is returned). *ret_rv (may be NULL): in a. */
struct kube_list_fn {
    int (*item)(void *ctx, yyjson_val *item, struct err *e);
    void (*again)(void *ctx);
    void *ctx;
};
int kube_list(struct kube_client *c, struct arena *a, const struct kube_resource *r,
              const struct kube_list_opts *o, const struct kube_list_fn *fn, const char **ret_rv,
              struct err *e);

enum kube_event { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK };

struct kube_watch_opts {
    const char *namespace, *label_selector, *field_selector;
    const char *resource_version; /* from a list */
    bool metadata_only;           /* PartialObjectMetadata */
    uint32_t timeout_s;           /* server-side end of the watch; 0: 300 */
    struct http_cancel *cancel;
};
/* One watch request, until the server ends it (0), the callback returns negative, or it fails:
 * -ESTALE for 410 (as an HTTP status or as an ERROR event), else as kube_do. `object` lives during
 * the call; the callback runs on the calling thread (not the network thread). *last_rv (in a, may
 * be NULL) is the newest resourceVersion whose event the callback took, bookmarks included; set on
 * failure too, untouched when there was none. A callback that stays far behind (16 MiB) has its
 * watch ended in good order, 0: go on from *last_rv. */
int kube_watch(struct kube_client *c, struct arena *a, const struct kube_resource *r,
               const struct kube_watch_opts *o,
               int (*fn)(void *ctx, enum kube_event ev, yyjson_val *object, struct err *e),
               void *ctx, const char **last_rv, struct err *e);
