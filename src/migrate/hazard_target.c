/* One cluster alone, before there is a destination. */
#include <errno.h>

#include "migrate/hazards_impl.h"
#include "migrate/removals.h"

static bool other_version(const struct kube_resource *all, size_t n,
                          const struct kube_resource *r) {
    for (size_t k = 0; k < n; k++)
        if (&all[k] != r && str_eq(all[k].group, r->group) && str_eq(all[k].kind, r->kind) &&
            !str_eq(all[k].version, r->version))
            return true;
    return false;
}

static void check(struct findings *out, const struct kube_resource *r, int minor) {
    struct arena *a = out->a;
    const struct removal *row = removal_of(r);
    if (!row || minor < row->minor)
        return;
    struct finding *f = findings_add(
        out, "H24-api", SEV_WARNING, arena_strdup(a, r->kind),
        arena_printf(a, "%s/%s is gone from 1.%d on", r->group, r->version, row->minor),
        row->instead ? arena_printf(a, "use %s", row->instead) : "nothing takes its place");
    f->group = arena_strdup(a, r->group);
    f->kind = f->where;
    f->cluster = 'a';
}

int hazards_target(struct kube_client *c, const struct kube_discovery *d, const char *target,
                   struct findings *out, struct err *e) {
    struct kube_version v;
    uint64_t minor;
    if (!str_starts(target, "1.") || str_u64(target + 2, &minor) < 0 || minor > 1000)
        return err_set(e, -EUSAGE, "--target: \"%s\" is not a version like 1.37", target);
    int r = kube_get_version(c, &v, e);
    if (r < 0)
        return r;
    if ((int)minor < v.minor)
        findings_add(out, "version-older", SEV_BLOCKER, "A",
                     arena_printf(out->a, "runs %s, the target is older", v.git),
                     "choose a newer target");
    const struct kube_resource *all;
    size_t n = kube_discovery_all(d, &all);
    for (size_t i = 0; i < n; i++)
        if (!other_version(all, n, &all[i]))
            check(out, &all[i], (int)minor);
    return 0;
}
