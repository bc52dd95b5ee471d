/* What the engine knows of one object: a record of a few hundred bytes, never its body.
 *
 * Records and their strings live in the world's arena. A record is made while both clusters are
 * read (inventory), gets its verdict from the rules (classify) and its wave from the order table;
 * afterwards only `uid_dst`, `in_dst` and `outcome` change, under the writer's lock. There is one
 * for every object of the source: each byte here is 100 KB in a platform of 100,000 objects. */
#pragma once

#include "base/json.h"
#include "kube/discovery.h"
#include "migrate/uid.h"

enum verdict { V_CREATE, V_UPDATE, V_SAME, V_HOLD, V_SKIP, V_BLOCK, V_COUNT };
const char *verdict_name(enum verdict v);
/* V_COUNT when the word is none. */
enum verdict verdict_of(const char *name);

struct schema_diff;

/* One kind that the source serves. */
struct kind {
    const struct kube_resource *src;  /* in the version that both serve; the source's own if none */
    const struct kube_resource *dst;  /* the same in the destination; NULL: not served there */
    int wave;                         /* of the kind by the order table; an object may come later */
    const char *rv;                   /* to watch it from, as it was read; NULL: not listed */
    const char *missing;              /* why it is not served there, once that was asked */
    bool merge;                       /* an object of B's own is completed, not blocked */
    bool shallow;                     /* read by metadata alone, and not from the destination */
    bool schema_known;                /* schema is settled; when not, no object was looked at yet */
    const struct schema_diff *schema; /* what the destination's does not say alike, or NULL */
};

/* Facts read off a body (facts.c), one bit each. */
enum fact {
    FACT_DELETING = 1 << 0,
    FACT_SYSTEM_MADE = 1 << 1, /* every field manager is a part of the control plane */
    FACT_BOOTSTRAP_RBAC = 1 << 2,
    FACT_TOKEN = 1 << 3,       /* Secret of type service-account-token */
    FACT_TOKEN_SHAPE = 1 << 4, /* and its name is <sa>-token-xxxxx */
    FACT_BOOTSTRAP_TOKEN = 1 << 5,
    FACT_SELECTOR = 1 << 6, /* Service with a selector */
    FACT_MANAGED_ENDPOINTS = 1 << 7,
    FACT_LEADER = 1 << 8,
    FACT_IP_ALLOCATED = 1 << 9,
    FACT_APF_AUTO = 1 << 10,
    FACT_APISERVICE_AUTO = 1 << 11,
    FACT_MIRROR = 1 << 12,
    FACT_FINISHED = 1 << 13, /* Pod or Job that has run to its end */
    FACT_SUSPENDED = 1 << 14,
    FACT_PV_DYNAMIC = 1 << 15,
    FACT_AGGREGATED = 1 << 16,
    FACT_KUBERNETES_SIGNER = 1 << 17,
    FACT_OLM_COPY = 1 << 18,
    FACT_HELD = 1 << 19,       /* still, and with our annotation: held by an earlier step */
    FACT_HOLD_ASKED = 1 << 20, /* annotation tandem.dev/hold */
    FACT_SNAPSHOT_BOUND = 1 << 21,
    FACT_BARE_ACCOUNT = 1 << 22,   /* ServiceAccount that holds nothing but its name */
    FACT_REGISTRY_TOKEN = 1 << 23, /* Secret that OpenShift made for its own registry */
    FACT_STILL = 1 << 24,          /* suspended or without replicas, by us or by its owner */
    FACT_ACTS = 1 << 25,           /* of a kind of which only some act by themselves: it does */
    FACT_HOLD_REFUSED = 1 << 26,   /* annotation tandem.dev/hold: "false" */
    FACT_SYSTEM_NAME = 1 << 27,    /* RBAC named system:*, without the API server's label */
};

struct owner {
    const char *group, *kind, *name;
    struct uid uid;
    bool controller;
    struct owner *next;
};

/* What becomes of a field that differs. */
enum change_fate {
    CHANGE_TAKE,  /* the destination gets the source's */
    CHANGE_KEEP,  /* only the destination has changed it since it was written: it stays */
    CHANGE_CLASH, /* both have */
    CHANGE_FIXED, /* the destination's cannot be changed (immutable.h) */
};

/* One field that differs. Values are short texts; of Secrets only "(secret)" ever stands here. */
struct change {
    const char *path;      /* JSON pointer */
    const char *src, *dst; /* NULL: not there */
    struct change *next;
    uint8_t fate; /* enum change_fate */
};

/* What the schema of the destination does to a field of the source's object. */
enum concern_kind {
    CONCERN_LOST,    /* the field would be dropped without a word */
    CONCERN_REFUSED, /* the object would be refused */
    CONCERN_DOUBT,   /* the schemas do not tell; a dry run does */
};
struct concern {
    enum concern_kind kind;
    const char *path; /* JSON pointer */
    const char *why;
    struct concern *next;
};

/* OUT_SENT: handed to a writer, or left behind when the run stopped. OUT_LATER: held back in this
 * round (waits.h). */
enum outcome { OUT_NONE, OUT_SENT, OUT_DONE, OUT_FAILED, OUT_STALE, OUT_LATER };

struct object {
    const struct kind *kind;
    const char *ns, *name;       /* ns "" when cluster-scoped */
    struct uid uid_src, uid_dst; /* the latter's text: world_uid_dst() */
    struct owner *owners, *owners_dst;
    uint32_t facts, facts_dst;
    int16_t user_rule;       /* index into the user's rules, -1: none */
    uint8_t singleton;       /* row of singleton.h that knows it, from 1; 0: none */
    uint8_t hints;           /* enum hint of singleton.h */
    uint8_t maker;           /* the one controller that wrote it (world_impl.h), from 1; 0: none */
    uint8_t verdict;         /* enum verdict */
    _Atomic uint8_t outcome; /* enum outcome; feeders look at what writers have in hand */
    bool in_dst;    /* in the destination, or made there meanwhile; a uid may lack all the same */
    bool held;      /* in the destination, or to be created so */
    bool broken;    /* a patch of the user's does not fit; note says why */
    bool ours;      /* an earlier run wrote it */
    bool unread;    /* body not looked at: its owner is expected to make it again */
    uint8_t fate;   /* enum fate (settle.h) */
    bool relink;    /* written before an owner of its own; the reference comes afterwards */
    bool undecided; /* looks like a singleton, and nobody has said whether to hold it */
    bool unready;   /* less ready in the destination than in the source */
    bool kept;      /* the destination has fields of its own that stay */
    bool clash;     /* a field was changed in both */
    bool fixed;     /* a field would have to change that cannot */
    bool tuned;     /* of the destination's own, and the source's says more; note says what */
    bool gone;      /* from the source, since it was read (renew.c) */
    bool recreate;  /* V_UPDATE by deleting it and making it anew: a rule says so */
    uint8_t digest[16]; /* salted, of the body that the destination should get */
    int wave;
    const char *rule, *why;
    struct change *changes; /* when it is in both and differs; at most CHANGES_MAX kept */
    uint32_t n_changes;
    struct concern *concerns; /* of the destination's schema; at most CONCERNS_MAX */
    const char *note;         /* readiness, failure or hint, for people; or NULL */
};

enum { CHANGES_MAX = 20, CONCERNS_MAX = 20 };

/* "apps/Deployment/shop/cart": GROUP/KIND/NS/NAME; the group of core is empty, so is the namespace
 * of a cluster-scoped object. Identifies an object in journal, plan and events. */
char *object_ref(struct arena *a, const struct object *o);
char *object_ref_of(struct arena *a, const char *group, const char *kind, const char *ns,
                    const char *name);
/* "Deployment shop/cart", for people. */
char *object_title(struct arena *a, const struct object *o);
/* The title of a reference, in a. */
char *object_ref_title(struct arena *a, const char *ref);
/* GROUP/KIND/NS/NAME into its four parts, in a; false when ref is none. */
bool object_ref_split(struct arena *a, const char *ref, char *part[4]);
bool object_is(const struct object *o, const char *group, const char *kind);
bool object_is_secret(const struct object *o);
/* A Validating- or MutatingWebhookConfiguration. */
bool object_is_webhook(const struct object *o);
/* Something else than a user makes it in every cluster: the destination's is completed with what
 * the source says, and what only the destination has stays. */
bool object_merges(const struct object *o);
/* Is it recreated, so that what it owns may refer to it? */
bool object_goes_over(const struct object *o);
/* "take", "keep", "clash", "fixed". */
const char *change_fate_name(enum change_fate f);
/* By its verdict, and not done yet. */
bool object_to_write(const struct object *o);
/* To be written and not tried yet (in this round). */
bool object_due(const struct object *o);
