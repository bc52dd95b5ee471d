/* HAProxy's runtime socket, its map files and its answers: the parts of the haproxy driver, apart
 * so that each can be tested by itself. Private to src/traffic and its tests. Any thread.
 *
 * One map file holds the shares of all tiers: "<tier>.pct_b" (share of b on live) and
 * "<tier>.prelive_b" (0: pre-live leads to a, 100: to b); and "<tier>.epoch", a number that rises
 * with each process that takes the tier over. docs/TRAFFIC.md shows the other half,
 * HAProxy's configuration. */
#pragma once

#include "traffic/traffic.h"

enum {
    HAPROXY_TIMEOUT_MS = 2000,
    HAPROXY_ANSWER_MAX = 4 << 20, /* "show stat" of a back end with 8,000 servers */
    HAPROXY_MAP_MAX = 8 << 20,
    HAPROXY_KEY_MAX = 128,
};

extern const struct traffic_driver traffic_haproxy;

/* --- haproxy_socket.c: one command, one connection, one answer --- */

/* A path, unix://path, or tcp://host:port. */
int haproxy_address_check(const char *address, struct err *e);
/* True when the address is of this machine, so that the map file here is the one it loads. */
bool haproxy_address_local(const char *address);
/* Sends one line, reads to the end of the answer; all within timeout_ms. The answer is without the
 * blank line that ends it. -EHOSTUNREACH: not connected, so nothing was carried out;
 * -EUNKNOWNOUTCOME: the answer was late, cut off or too long, the command may have been. */
int haproxy_command(struct arena *a, const char *address, uint32_t timeout_ms, const char *line,
                    char **ret, struct err *e);

/* --- haproxy_text.c: what the answers mean --- */

/* A whole number 0..100 in decimal digits, else -1. */
int haproxy_percent(const char *s, size_t n);

/* One key of a map, in its file or at run time. */
struct haproxy_value {
    unsigned found; /* how often the key is there; HAProxy takes the first */
    bool differ;    /* found more than once, with different values */
    int percent;    /* of the first; -1 when missing or no percentage */
    char text[32];  /* the first as it stands, cut to fit */
};

/* An answer that is an error text: HAProxy gives no codes. 0 when `answer` is empty or starts with
 * `wanted` (NULL: must be empty). */
int haproxy_answer_check(const char *answer, const char *wanted, struct err *e);
/* From the answer to "show map": the name under which HAProxy knows the file `path`. Compares as
 * text, then what both resolve to, then a relative name with the end of path. The name is escaped
 * for the command line. -ENOENT when no map is of that file. */
int haproxy_find_map(struct arena *a, const char *answer, const char *path, const char **ret,
                     struct err *e);
/* From the answer to "show map NAME". */
int haproxy_find_value(const char *answer, const char *key, struct haproxy_value *ret,
                       struct err *e);

struct haproxy_backend {
    unsigned servers, healthy; /* healthy: gets requests; one without a check counts as healthy */
    uint64_t sessions;         /* current, the queued ones among them */
};
/* --- haproxy_stat.c --- */

/* From the answer to "show stat BACKEND 6 -1" (CSV). */
int haproxy_find_backend(const char *answer, const char *backend, struct haproxy_backend *ret,
                         struct err *e);

/* --- haproxy_map.c: the map file --- */

void haproxy_map_value(const char *text, const char *key, struct haproxy_value *ret);
/* Sets every line of key to value, or appends one; all else stays byte for byte. */
char *haproxy_map_edit(struct arena *a, const char *text, const char *key, int64_t value);
/* The content of a map file that holds what "show map NAME" answered. */
char *haproxy_map_from_answer(struct arena *a, const char *answer);
int haproxy_map_read(struct arena *a, const char *path, char **ret, struct err *e);
/* Whose the tier is, as one process knows it. */
struct haproxy_claim {
    char key[HAPROXY_KEY_MAX]; /* "<tier>.epoch" */
    uint64_t epoch;            /* 0: it has claimed nothing, and is not checked */
};
/* The number in a value; 0 when it is missing or none. */
uint64_t haproxy_epoch(const struct haproxy_value *v);
/* -EGUARD when what stands in `v`, found at `where`, is newer than the claim. */
int haproxy_claim_check(const struct haproxy_claim *c, const struct haproxy_value *v,
                        const char *where, struct err *e);
/* An epoch above `seen`. Two that have seen the same get different ones, as good as always. */
uint64_t haproxy_epoch_after(uint64_t seen);

/* Edits the file so that a crash leaves the old or the new one, behind symbolic links, and under a
 * lock, since tiers share a file. `missing` is what to begin with when there is no file (NULL: that
 * is an error). *ret_old: what was there before. -EGUARD, and nothing is written, when the file has
 * a newer claim. */
int haproxy_map_set(const char *path, const char *key, int percent,
                    const struct haproxy_claim *claim, const char *missing,
                    struct haproxy_value *ret_old, struct err *e);
/* Raises the key of the claim above what the file and `seen` say; claim->epoch is it then. */
int haproxy_map_claim(const char *path, struct haproxy_claim *claim, uint64_t seen,
                      const char *missing, struct err *e);

/* --- haproxy_node.c: one HAProxy process --- */

struct haproxy_node_ref {
    const char *address, *map;
    uint32_t timeout_ms;
};
/* What it says about a tier into *ret (all but the file_* members); problems go there too. */
void haproxy_node_observe(const struct haproxy_node_ref *ref, const struct traffic_config *cfg,
                          struct traffic_node *ret);
/* Adds a sentence to what is wrong with the node. */
void haproxy_note(struct traffic_node *n, const char *text);
/* Sets key and reads it back. -EHOSTUNREACH when it cannot be talked to; -EGUARD when the tier was
 * claimed since. HAProxy knows no set on a condition: when the claim came between the look and the
 * set, *ret_late is true, and what the new holder wants has to be set again. */
int haproxy_node_set(const struct haproxy_node_ref *ref, const char *key, int percent,
                     const struct haproxy_claim *claim, bool *ret_late, struct err *e);
/* Makes the claim known to it. */
int haproxy_node_claim(const struct haproxy_node_ref *ref, const struct haproxy_claim *claim,
                       struct err *e);
/* What it says of the key of a claim; 0 where it has none. */
int haproxy_node_epoch(const struct haproxy_node_ref *ref, const char *key, uint64_t *ret,
                       struct err *e);
/* The answer to "show map NAME". */
int haproxy_node_map(struct arena *a, const struct haproxy_node_ref *ref, char **ret,
                     struct err *e);
