#include "run/watchers.h"

#include <errno.h>

#include "base/file.h"

enum { CA_MAX = 1 << 20, WATCHERS_MAX = 16 };
enum { ABORT_WINDOW_MS = 10000, ABORT_AT_LEAST = 50, SHOWN_WINDOW_MS = 10000 };

struct watchers {
    struct probe *p[WATCHERS_MAX];
    const struct config_probe *cfg[WATCHERS_MAX];
    struct arena *a;
    size_t n;
};

int watchers_load_ca(struct arena *a, const struct config_probe *c, struct probe_config *p,
                     struct err *e) {
    char *pem;
    if (!c->ca_file)
        return 0;
    int r = file_read(a, c->ca_file, CA_MAX, &pem, NULL, e);
    if (r >= 0)
        p->ca_pem = pem;
    return r;
}

static int start_one(struct watchers *w, const struct config_probe *c, struct err *e) {
    struct probe_config pc = c->p;
    int r = watchers_load_ca(w->a, c, &pc, e);
    if (r >= 0)
        r = probe_start(&pc, &w->p[w->n], e);
    if (r < 0)
        return err_ctx(e, r, "probe %s", pc.name);
    w->cfg[w->n++] = c;
    return 0;
}

int watchers_start(struct session *s, struct watchers **ret, struct err *e) {
    struct watchers *w = xcalloc(1, sizeof *w);
    int r = 0;
    w->a = arena_new();
    for (size_t i = 0; r >= 0 && i < s->cfg->n_probes && w->n < WATCHERS_MAX; i++)
        r = start_one(w, &s->cfg->probes[i], e);
    if (r < 0) {
        watchers_stop(w);
        return r;
    }
    *ret = w;
    return 0;
}

void watchers_stop(struct watchers *w) {
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        probe_stop(w->p[i]);
        probe_free(w->p[i]);
    }
    arena_free(w->a);
    xfree(w);
}

int watchers_check(const struct watchers *w, struct err *e) {
    for (size_t i = 0; i < watchers_count(w); i++) {
        const struct config_probe *c = w->cfg[i];
        struct probe_stats st;
        uint32_t window = c->abort_window_ms ? c->abort_window_ms : ABORT_WINDOW_MS;
        uint64_t least = c->abort_at_least ? c->abort_at_least : ABORT_AT_LEAST;
        probe_window(w->p[i], window, &st);
        uint64_t seen = st.ok + st.lost;
        if (c->abort_failures <= 0 || seen < least)
            continue;
        double share = (double)st.lost / (double)seen;
        if (share > c->abort_failures)
            return err_set(e, -EPROTO,
                           "probe %s lost %llu of %llu requests (%.2f %%, the limit is %.2f %%)",
                           c->p.name, (unsigned long long)st.lost, (unsigned long long)seen,
                           share * 100, c->abort_failures * 100);
    }
    return 0;
}

size_t watchers_count(const struct watchers *w) {
    return w ? w->n : 0;
}

const struct config_probe *watchers_config(const struct watchers *w, size_t i) {
    MUST(i < w->n);
    return w->cfg[i];
}

void watchers_window(const struct watchers *w, size_t i, uint32_t window_ms,
                     struct probe_stats *ret) {
    MUST(i < w->n);
    probe_window(w->p[i], window_ms, ret);
}

yyjson_mut_val *watchers_json(yyjson_mut_doc *d, const struct watchers *w) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < watchers_count(w); i++) {
        struct probe_stats st;
        watchers_window(w, i, SHOWN_WINDOW_MS, &st);
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "name", w->cfg[i]->p.name);
        json_mut_set_int(d, x, "ok", (int64_t)st.ok);
        json_mut_set_int(d, x, "lost", (int64_t)st.lost);
        json_mut_set_int(d, x, "byA", (int64_t)st.by_a);
        json_mut_set_int(d, x, "byB", (int64_t)st.by_b);
        json_mut_set_int(d, x, "p50Us", (int64_t)(st.p50_ms * 1000));
        json_mut_set_int(d, x, "p99Us", (int64_t)(st.p99_ms * 1000));
        yyjson_mut_arr_append(list, x);
    }
    return list;
}
