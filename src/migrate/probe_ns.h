/* A probe namespace: made empty in the destination for a second or two, to see what is put into it.
 *
 * What appears there (metadata only is read) is made in every namespace by the cluster itself. Its
 * name and label tell it from everything else: no rule migrates it, and what a crash has left is
 * removed by the next `migrate` (probe_ns_sweep). */
#pragma once

#include "kube/discovery.h"
#include "migrate/object.h"

#define PROBE_NS_PREFIX "tandem-probe-"
#define PROBE_NS_LABEL  "tandem.dev/probe"

enum { PROBE_NS_NAME_MAX = 32 };

/* A fresh name, PROBE_NS_PREFIX and six random hex digits, into out, which is returned. */
const char *probe_ns_name(char out[PROBE_NS_NAME_MAX]);
/* Does the name have that shape? */
bool probe_ns_named(const char *name);

struct probe_ns_opts {
    struct kube_client *c;
    const char *name;         /* probe_ns_name(), already in the journal */
    const struct kind *kinds; /* those namespaced ones that the destination serves are looked at */
    size_t n_kinds;
    struct http_cancel *cancel;
};
struct probe_ns_seen {
    struct strvec keys; /* "GROUP/KIND/NAME"; strvec_done() */
    bool settled; /* the default ServiceAccount and kube-root-ca.crt were there, and a second went
                     by without anything new; else it was given up after ten */
    bool left;    /* it could not be deleted */
};
/* Makes the namespace, looks until what appears is stable, deletes it (without waiting until it is
 * gone). Negative when it could not be made, or on cancel; it is deleted then too. Kinds that may
 * not be listed are passed over. */
int probe_ns_look(const struct probe_ns_opts *o, struct probe_ns_seen *ret, struct err *e);

/* Deletes what a probe that was cut short has left: labelled, named as above, not going yet, and
 * either ours (fn) or older than ten minutes: a probe of another environment may be at work.
 * *ret_n: how many. */
int probe_ns_sweep(struct kube_client *c, bool (*ours)(void *ctx, const char *name), void *ctx,
                   size_t *ret_n, struct err *e);
