#include "migrate/object.h"

static const char *const names[V_COUNT] = {"create", "update", "same", "hold", "skip", "block"};

const char *verdict_name(enum verdict v) {
    return v < V_COUNT ? names[v] : "?";
}

enum verdict verdict_of(const char *name) {
    unsigned v = 0;
    while (v < V_COUNT && !str_eq(names[v], name))
        v++;
    return v;
}

const char *change_fate_name(enum change_fate f) {
    static const char *const fates[] = {"take", "keep", "clash", "fixed"};
    return f < COUNT_OF(fates) ? fates[f] : "?";
}

char *object_ref_of(struct arena *a, const char *group, const char *kind, const char *ns,
                    const char *name) {
    return arena_printf(a, "%s/%s/%s/%s", group, kind, ns ? ns : "", name);
}

char *object_ref(struct arena *a, const struct object *o) {
    return object_ref_of(a, o->kind->src->group, o->kind->src->kind, o->ns, o->name);
}

char *object_title(struct arena *a, const struct object *o) {
    return arena_printf(a, "%s %s%s%s", o->kind->src->kind, o->ns, *o->ns ? "/" : "", o->name);
}

bool object_ref_split(struct arena *a, const char *ref, char *part[4]) {
    char *p = arena_strdup(a, ref);
    for (int i = 0; i < 3; i++) {
        part[i] = p;
        p = strchr(p, '/');
        if (!p)
            return false;
        *p++ = 0;
    }
    part[3] = p;
    return true;
}

char *object_ref_title(struct arena *a, const char *ref) {
    char *part[4];
    if (!object_ref_split(a, ref, part))
        return arena_strdup(a, ref);
    return arena_printf(a, "%s %s%s%s", part[1], part[2], *part[2] ? "/" : "", part[3]);
}

bool object_is(const struct object *o, const char *group, const char *kind) {
    return str_eq(o->kind->src->kind, kind) && str_eq(o->kind->src->group, group);
}

bool object_merges(const struct object *o) {
    return o->kind->merge && (object_is(o, "", "Namespace") || str_eq(o->name, "default"));
}

bool object_is_webhook(const struct object *o) {
    return object_is(o, "admissionregistration.k8s.io", "ValidatingWebhookConfiguration") ||
           object_is(o, "admissionregistration.k8s.io", "MutatingWebhookConfiguration");
}

bool object_is_secret(const struct object *o) {
    return object_is(o, "", "Secret");
}

bool object_goes_over(const struct object *o) {
    return o->verdict != V_SKIP && o->verdict != V_BLOCK;
}

bool object_to_write(const struct object *o) {
    return (o->verdict == V_CREATE || o->verdict == V_HOLD || o->verdict == V_UPDATE) &&
           o->outcome != OUT_DONE && o->outcome != OUT_STALE;
}

bool object_due(const struct object *o) {
    return object_to_write(o) && o->outcome == OUT_NONE;
}
