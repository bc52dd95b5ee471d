/* config_load() on whatever stands in the file: a config that keeps its promises, or a message with
 * the file's name. */
#include <string.h>
#include <sys/mman.h>

#include "run/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *c) {
    MUST(c->n_steps > 0 && c->steps[c->n_steps - 1] == 100);
    for (size_t i = 1; i < c->n_steps; i++)
        MUST(c->steps[i - 1] < c->steps[i]);
    for (size_t i = 0; i < 2; i++)
        MUST(c->cluster[i].context || c->cluster[i].kubeconfig);
    for (size_t i = 0; i < c->n_rules; i++)
        MUST((c->rules[i].verdict || c->rules[i].patch) && c->rules[i].why && c->rules[i].line);
    for (size_t i = 0; i < c->n_tiers; i++)
        MUST(c->tiers[i].name && c->tiers[i].driver && c->tiers[i].live_a && c->tiers[i].live_b);
    for (size_t i = 0; i < c->n_probes; i++)
        MUST(c->probes[i].p.rate > 0 && str_starts(c->probes[i].p.url, "http") &&
             c->probes[i].abort_window_ms);
    for (size_t i = 0; i < c->n_smokes; i++)
        MUST(!c->smokes[i].http != !c->smokes[i].exec && c->smokes[i].timeout_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("config", 0);
        MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    struct config *c = NULL;
    struct err e = {0};
    int r = config_load(path, &c, &e);
    if (r < 0) {
        MUST(e.code == r && str_starts(e.msg, path) && !c);
        return 0;
    }
    check(c);
    config_free(c);
    return 0;
}
