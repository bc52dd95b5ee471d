#include "migrate/finding.h"

#include "base/str.h"

const char *severity_name(enum severity s) {
    static const char *const names[SEV_COUNT] = {"info", "warning", "blocker"};
    return s < SEV_COUNT ? names[s] : "?";
}

void findings_init(struct findings *l, struct arena *a) {
    *l = (struct findings){.a = a};
    l->tail = &l->first;
}

static struct finding *hang(struct findings *l, struct finding f) {
    struct finding *x = arena_new_of(l->a, struct finding);
    *x = f;
    x->next = NULL;
    *l->tail = x;
    l->tail = &x->next;
    l->n++;
    return x;
}

struct finding *findings_add(struct findings *l, const char *id, enum severity sev,
                             const char *where, const char *what, const char *remedy) {
    return hang(l, (struct finding){
                       .id = id, .severity = sev, .where = where, .what = what, .remedy = remedy});
}

void findings_copy(struct findings *l, const struct finding *f) {
    for (; f; f = f->next) {
        struct finding *x = hang(l, *f);
        const char **texts[] = {&x->id,   &x->where, &x->what, &x->remedy, &x->group,
                                &x->kind, &x->ns,    &x->name, &x->field,  &x->silenced};
        for (size_t i = 0; i < COUNT_OF(texts); i++)
            *texts[i] = arena_strdup(l->a, *texts[i]);
    }
}

/* "H9-x" before "H10-y", words before numbers. */
static int compare_ids(const char *x, const char *y) {
    bool nx = *x == 'H', ny = *y == 'H';
    if (nx != ny)
        return nx - ny;
    long a = nx ? strtol(x + 1, NULL, 10) : 0, b = ny ? strtol(y + 1, NULL, 10) : 0;
    return a != b ? (a > b) - (a < b) : strcmp(x, y);
}

struct place {
    struct finding *f;
    size_t at;
};

static int compare(const void *x, const void *y) {
    const struct place *a = x, *b = y;
    if (a->f->severity != b->f->severity)
        return a->f->severity < b->f->severity ? 1 : -1;
    int c = compare_ids(a->f->id, b->f->id);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

void findings_sort(struct findings *l) {
    struct place *v = xcalloc(l->n + 1, sizeof *v);
    size_t n = 0;
    for (struct finding *f = l->first; f; f = f->next, n++)
        v[n] = (struct place){f, n};
    if (n)
        qsort(v, n, sizeof *v, compare);
    l->tail = &l->first;
    for (size_t i = 0; i < n; i++) {
        *l->tail = v[i].f;
        l->tail = &v[i].f->next;
    }
    *l->tail = NULL;
    xfree(v);
}

static bool silences(const struct silence *s, const struct finding *f) {
    return str_eq(s->id, f->id) && (!s->kind || (f->kind && str_glob(s->kind, f->kind))) &&
           (!s->name || (f->name && str_glob(s->name, f->name))) &&
           (!s->namespace || (f->ns && str_glob(s->namespace, f->ns)));
}

void findings_silence(struct findings *l, const struct silence *rows, size_t n) {
    for (struct finding *f = l->first; f; f = f->next)
        for (size_t i = 0; i < n && !f->silenced; i++)
            if (silences(&rows[i], f))
                f->silenced = rows[i].why;
}

void findings_count(const struct findings *l, size_t count[SEV_COUNT], size_t *ret_silenced) {
    size_t silenced = 0;
    memset(count, 0, SEV_COUNT * sizeof *count);
    for (const struct finding *f = l->first; f; f = f->next)
        if (f->silenced)
            silenced++;
        else
            count[f->severity]++;
    if (ret_silenced)
        *ret_silenced = silenced;
}
