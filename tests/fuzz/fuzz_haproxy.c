/* Whatever a socket answers and a map file holds: no parser of the haproxy driver may read beyond
 * it, refuse without a message, or report a share that is none. An edit of a map file must leave
 * every other line as it is and be found again. */
#include <string.h>

#include "base/str.h"
#include "traffic/haproxy.h"

#define KEY "frontend.pct_b"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const struct haproxy_value *v) {
    MUST(v->percent >= -1 && v->percent <= 100);
    MUST(v->found || (v->percent == -1 && !v->differ));
    MUST(!v->differ || v->found > 1);
    MUST(memchr(v->text, 0, sizeof v->text));
}

static void answers(struct arena *a, const char *text) {
    struct haproxy_value v;
    struct haproxy_backend b;
    const char *name;
    struct err e = {0};
    if (haproxy_find_value(text, KEY, &v, &e) == 0)
        check_value(&v);
    else
        MUST(e.msg[0]);
    e = (struct err){0};
    if (haproxy_find_backend(text, "paas_a", &b, &e) == 0)
        MUST(b.healthy <= b.servers);
    else
        MUST(e.msg[0]);
    e = (struct err){0};
    MUST(haproxy_find_map(a, text, "/e/t.map", &name, &e) == 0 ? name[0] != 0 : e.msg[0] != 0);
}

/* The lines of text that are not of KEY, one after the other. */
static void others(struct sb *out, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        const char *key = text + strspn(text, " \t");
        bool ours = strncmp(key, KEY, strlen(KEY)) == 0 && strchr(" \t\r\n", key[strlen(KEY)]);
        if (!ours && n)
            sb_fmt(out, "%.*s\n", (int)n, text);
        text += n + (text[n] ? 1 : 0);
    }
}

static void edits(struct arena *a, const char *text) {
    AUTO_SB before = SB_INIT(0), after = SB_INIT(0);
    struct haproxy_value v;
    haproxy_map_value(text, KEY, &v);
    check_value(&v);
    const char *now = haproxy_map_edit(a, text, KEY, 42);
    haproxy_map_value(now, KEY, &v);
    MUST(v.found && v.percent == 42 && !v.differ);
    MUST(str_eq(haproxy_map_edit(a, now, KEY, 42), now));
    others(&before, text);
    others(&after, now);
    MUST(str_eq(sb_get(&before), sb_get(&after)));
    (void)haproxy_map_from_answer(a, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    AUTO_ARENA a = arena_new();
    if (memchr(data, 0, size))
        return 0; /* refused before any parser sees it */
    const char *text = arena_strndup(a, (const char *)data, size);
    answers(a, text);
    edits(a, text);
    return 0;
}
