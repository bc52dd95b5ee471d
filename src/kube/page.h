/* Paged lists, pulled: the caller asks for the next page when it is ready for it. kube_list() is a
 * loop over this; two pagers side by side join two clusters. One thread per pager. */
#pragma once

#include "kube/list.h"

struct kube_pager;

/* Strings of o must outlive the pager. */
struct kube_pager *kube_pager_new(struct kube_client *c, const struct kube_resource *r,
                                  const struct kube_list_opts *o);
void kube_pager_free(struct kube_pager *p);
/* Asks for the first page now, so that it is on its way while the caller does something else. */
void kube_pager_ahead(struct kube_pager *p);
/* 1: *ret_items is the next page's array (may be empty), in a. 0: no more. -ESTALE: the list has to
 * begin again (410 without a token to go on with); the pager is then at its beginning. */
int kube_pager_next(struct kube_pager *p, struct arena *a, yyjson_val **ret_items, struct err *e);
/* resourceVersion of the newest page; valid while the pager lives. */
const char *kube_pager_rv(const struct kube_pager *p);
/* Of the first page: a watch from there misses nothing, also where the server went on with an
 * inconsistent continue token. "" before the first page. */
const char *kube_pager_first_rv(const struct kube_pager *p);
