/* What of a cluster is held, or acts. */
#include <errno.h>

#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/handover_impl.h"
#include "migrate/singleton.h"

static bool matches_any(const char *const *patterns, const char *s) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (str_glob(patterns[i], s))
            return true;
    return false;
}

/* As what is migrated (inventory.c): a choice of namespaces does not leave out what is in none. */
static bool in_scope(const struct finder *f, const char *ns) {
    if (!*ns)
        return !f->only_namespaced;
    bool in = !f->inc || !f->inc[0] || matches_any(f->inc, ns);
    return in && !matches_any(f->exc, ns);
}

/* Acts: neither held nor stopped nor at its end. */
static bool acts(const struct kube_resource *r, yyjson_val *item) {
    const uint32_t rests =
        FACT_STILL | FACT_HELD | FACT_FINISHED | FACT_DELETING | FACT_HOLD_REFUSED;
    return !(facts_read(r->group, r->kind, item) & rests);
}

/* Acts by itself, as far as the object alone tells: nobody's child, and of kinds of which only some
 * are held, those that say it of themselves. */
static bool acts_alone(const struct hold_row *row, const struct kube_resource *r,
                       yyjson_val *item) {
    uint32_t facts = facts_read(r->group, r->kind, item);
    bool wanted = row->not_when == UINT32_MAX
                      ? facts & FACT_HOLD_ASKED || singleton_of(r->group, r->kind, item)
                      : hold_by_row(row, facts);
    return wanted && acts(r, item) && !json_get(item, "metadata", "ownerReferences");
}

static bool has_controller(yyjson_val *item) {
    yyjson_val *owners = json_get(item, "metadata", "ownerReferences"), *o;
    size_t i, max;
    yyjson_arr_foreach (owners, i, max, o) {
        if (yyjson_is_true(json_get(o, "controller")))
            return true;
    }
    return false;
}

/* Held by tandem itself: a Deployment's controller copies its annotations to its ReplicaSets, and
 * takes none away again (pkg/controller/deployment/util, SetNewReplicaSetAnnotations). */
static bool is_held(const struct kube_resource *r, yyjson_val *item) {
    bool copied = str_eq(r->kind, "ReplicaSet") && has_controller(item);
    return !copied && json_str(item, "metadata", "annotations", HOLD_ANNOTATION);
}

bool handover_wanted(enum look look, const struct hold_row *row, const struct kube_resource *r,
                     yyjson_val *item) {
    return look == LOOK_HELD     ? is_held(r, item)
           : look == LOOK_ACTING ? acts(r, item)
                                 : acts_alone(row, r, item);
}

static int found(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct finder *f = ctx;
    const char *ns = json_str(item, "metadata", "namespace");
    if (!handover_wanted(f->look, f->row, f->r, item) || !in_scope(f, ns ? ns : ""))
        return 0;
    struct held *h = arena_new_of(f->a, struct held);
    *h = (struct held){.r = f->r,
                       .row = f->row,
                       .ns = arena_strdup(f->a, ns),
                       .name = arena_strdup(f->a, json_str(item, "metadata", "name"))};
    *f->tail = h;
    f->tail = &h->next;
    return 0;
}

static bool looks_at(const struct hold_row *row, const struct kube_resource *r) {
    return r->preferred && r->verbs & KUBE_LIST && !strchr(r->plural, '/') && hold_row_of(r) == row;
}

/* Of one kind: a right that is missing, a conversion webhook that is dead. What ails the whole
 * cluster (no answer, a credential that has expired, too much to do) ails the next kind too. */
static bool is_of_kind(const struct err *e) {
    return e->http && (e->code == -EACCES || e->code == -ENOENT || e->code == -EREMOTEIO ||
                       e->code == -EINVAL || e->code == -EOPNOTSUPP);
}

static void report_unlisted(const struct finder *f, const struct err *why) {
    struct handover_item *it = arena_new_of(f->a, struct handover_item);
    it->title = f->r->kind;
    it->next = *f->unlisted;
    *f->unlisted = it;
    it->state = HAND_FAILED;
    it->note =
        arena_printf(f->a, "cannot be listed in %c, and those that are there were passed over: %s",
                     f->slot, err_msg(why));
}

static int find_kind(struct finder *f, struct kube_client *c, const struct kube_resource *r,
                     struct err *e) {
    struct kube_list_fn fn = {.item = found, .ctx = f};
    struct kube_list_opts lo = {0};
    struct err why = {0};
    f->r = r;
    int n = kube_list(c, f->a, r, &lo, &fn, NULL, &why);
    if (n < 0 && f->unlisted && is_of_kind(&why)) {
        report_unlisted(f, &why);
        return 0;
    }
    if (n < 0 && e)
        *e = why;
    return n < 0 ? err_ctx(e, n, "looking at %s", r->plural) : 0;
}

int handover_find(struct finder *f, struct kube_client *c, const struct kube_discovery *d,
                  struct err *e) {
    size_t n, kinds;
    const struct hold_row *rows = hold_rows(&n);
    const struct kube_resource *all;
    f->tail = &f->first;
    kinds = kube_discovery_all(d, &all);
    for (size_t i = 0; i < n; i++) {
        f->row = &rows[i];
        for (size_t k = 0; k < kinds; k++) {
            int r = looks_at(f->row, &all[k]) ? find_kind(f, c, &all[k], e) : 0;
            if (r < 0)
                return r;
        }
    }
    return 0;
}
