/* tandem.yaml: loaded, checked against the schema that ships with the product
 * (share/tandem.schema.json, compiled in), and read into structs. Everything lives in the config's
 * arena. Read-only afterwards; any thread. */
#pragma once

#include "base/yaml.h"
#include "migrate/finding.h"
#include "probe/probe.h"
#include "traffic/traffic.h"

struct config_cluster {
    const char *kubeconfig; /* path list, resolved against the file; NULL: kubectl's default */
    const char *context;    /* NULL: the current one of the kubeconfig */
};

struct config_rule {                             /* first match decides */
    const char *group, *kind, *name, *namespace; /* patterns with * and ?, NULL: any */
    const char *labels;                          /* "k=v,k2=v2", "k", "!k", "k!=v"; NULL: any */
    const char *verdict;   /* create, skip, hold, block, or NULL when only patched */
    const char *why;       /* never empty: "rule in line N of FILE" when not given */
    yyjson_mut_val *patch; /* RFC 6902 array or NULL */
    bool overwrite;        /* the source's wins over what others wrote or changed */
    bool recreate; /* deleted and made anew where a field would have to change that cannot */
    unsigned line; /* in the file, for messages */
};

struct config_smoke {
    const char *name;
    const char *http;  /* URL with the live host name, or NULL */
    const char *via;   /* URL whose host:port is where TCP goes, or NULL: the tier's pre-live */
    int expect_status; /* 0: 200 */
    const char *expect_body; /* substring or NULL */
    const char *const *exec; /* argv or NULL */
    uint64_t timeout_ms;
    const char *ca_file; /* resolved, or NULL */
    bool insecure;
};

struct config_probe {
    struct probe_config p;
    const char *ca_file;
    double abort_failures; /* share 0..1; 0: not set */
    uint32_t abort_window_ms;
    uint32_t abort_at_least;
};

struct config_hook {
    const char *name;
    const char *const *on;     /* before, after, failed, terminal */
    const char *const *stages; /* NULL: all */
    const char *const *exec;   /* argv, or NULL */
    const char *url;           /* or NULL */
    const char *secret_file;   /* resolved, or NULL: not signed */
    const char *ca_file;       /* resolved, or NULL */
    uint32_t timeout_ms;       /* of one try */
    unsigned retries;          /* after the first try */
    bool must;                 /* policy fail: what it refuses beforehand is not done */
};

struct config_check { /* a command that must succeed before a stage */
    const char *stage;
    const char *const *exec; /* argv, NULL-terminated */
};

struct config {
    const char *path, *dir; /* of the file; "" when there is none (contexts on the command line) */
    const char *name;       /* metadata.name */
    struct config_cluster cluster[2]; /* [0] a, [1] b */
    const char *journal;              /* resolved path */
    const char *sign_key; /* with which the history is signed when a run ends, or NULL */
    const char *const *ns_include, *const *ns_exclude; /* patterns, NULL-terminated */
    struct config_rule *rules;
    size_t n_rules;
    struct silence *silences; /* hazards.silence; ids are known ones */
    size_t n_silences;
    const char *const *storage_class_from, *const *storage_class_to; /* parallel, NULL-terminated */
    unsigned reads;   /* limits.reads: GETs in flight against the source; default 2 */
    unsigned writes;  /* limits.writes: writes in flight; default 32 */
    unsigned watches; /* limits.watches: open ones against the source; default 256 */
    unsigned delete_max, delete_percent; /* follow.deletes: asked about beyond; default 20, 5 */
    unsigned max_unready_pods;
    struct traffic_config *tiers;
    size_t n_tiers;
    const char *const *tier_prelive; /* per tier: pre-live URL base for smoke, or NULL */
    int *steps;                      /* percent, ascending, ends with 100 */
    size_t n_steps;
    uint64_t hold_ms, bake_ms;
    const char *on_abort; /* traffic.onAbort: "back" or "stop" */
    struct config_probe *probes;
    size_t n_probes;
    struct config_smoke *smokes;
    size_t n_smokes;
    const char
        *identify_header; /* of the first probe, for smoke's "answered by B" check; or NULL */
    struct config_hook *hooks;
    size_t n_hooks;
    bool tell_clusters; /* Events and a ConfigMap in both clusters; default true with a file */
    bool mirror;        /* the record in the destination; the same */
    const char *const *gates_before; /* stages, NULL-terminated */
    unsigned approvers;
    bool approvers_differ;       /* from who runs the upgrade */
    struct config_check *checks; /* gates.checks */
    size_t n_checks;
    uint64_t max_lag_ms; /* follow.maxLag */
};

/* Errors: "FILE:LINE:COL: unknown key \"clusetrs\"; did you mean \"clusters\"?". */
int config_load(const char *path, struct config **ret, struct err *e);
/* Without a file: two contexts from the command line (either may be NULL), everything else default.
 * The journal lies in ./tandem.db. */
int config_default(const char *context_a, const char *context_b, struct config **ret,
                   struct err *e);
void config_free(struct config *c);

/* The schema (share/tandem.schema.json) as it was compiled in: its text, and parsed. */
extern const char config_schema_text[];
yyjson_val *config_schema(struct arena *a);
