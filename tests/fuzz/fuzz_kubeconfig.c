/* kubeconfig_load() on whatever stands in the file, and each of its contexts resolved: a server and
 * an identity, or a message. No exec plugin is run and no token file read: that is kube_auth_get.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void resolve(const struct kubeconfig *k, const struct kube_context *c) {
    struct kube_auth *auth = NULL;
    struct err e = {0};
    MUST(c->name);
    if (kube_auth_new(k, c, &auth, &e) < 0) {
        MUST(e.code < 0 && e.msg[0] && !auth);
        return;
    }
    MUST(strstr(kube_auth_server(auth), "://"));
    MUST(kube_auth_kind(auth)[0] && kube_auth_ca_fingerprint(auth));
    kube_auth_free(auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("kubeconfig", 0);
        MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    struct kubeconfig *k = NULL;
    struct err e = {0};
    int r = kubeconfig_load(path, &k, &e);
    if (r < 0) {
        MUST(e.code == r && e.msg[0] && !k);
        return 0;
    }
    const struct kube_context *all, *one;
    size_t n = kubeconfig_contexts(k, &all);
    for (size_t i = 0; i < n; i++)
        resolve(k, &all[i]);
    e = (struct err){0};
    MUST(kubeconfig_context(k, NULL, &one, &e) >= 0 || e.msg[0]);
    kubeconfig_free(k);
    return 0;
}
