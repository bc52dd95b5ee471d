/* plan_load() on whatever stands in the file. What is JSON gets the hash that belongs to it, for
 * else nearly nothing would get past that. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "migrate/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct plan_file *p) {
    MUST(p->source == 'a' || p->source == 'b');
    MUST(p->source_uid && p->destination_uid && p->hash && p->digests && p->verdicts);
    plan_done(p);
}

/* The same with its hash, or NULL when it is no JSON object. */
static char *with_hash(struct arena *a, const char *data, size_t size, size_t *ret_len) {
    yyjson_val *v;
    if (json_parse(a, data, size, &v, NULL) < 0 || !yyjson_is_obj(v))
        return NULL;
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, v);
    AUTO_SB b = SB_INIT(0);
    json_mut_del(root, "hash");
    json_mut_canonical(&b, root);
    json_mut_set_str(d, root, "hash", hash_sha256_hex(b.p, b.len, arena_alloc(a, SHA256_HEX)));
    return json_mut_write(a, root, ret_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("plan", 0);
        MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    AUTO_ARENA a = arena_new();
    size_t n = size;
    const char *text = with_hash(a, (const char *)data, size, &n);
    text = text ? text : (const char *)data;
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, text, n, 0) == (ssize_t)n);
    struct plan_file p = {0};
    struct err e = {0};
    int r = plan_load(a, path, &p, &e);
    MUST(r >= 0 || (e.code == r && e.msg[0]));
    if (r >= 0)
        check(&p);
    return 0;
}
