/* Whatever an API server answers to a paged list: the pager ends, says why when it does so early,
 * and gives each object of a page once. Real requests to a server in this process, whose answers
 * are the input: one after the other, with a NUL between them, the first byte of each telling its
 * status. When they are used up, an empty list ends it. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/client.h"
#include "kube/kubeconfig.h"
#include "kube/list.h"
#include "net/http.h"

enum { HEAD_MAX = 1 << 16, ANSWERS_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char LAST[] = "{\"metadata\":{},\"items\":[]}";

static struct script {
    pthread_mutex_t lock;
    const char *p;
    size_t n;
    unsigned asked;
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Nothing that is asked again after a pause. */
static int status_of(char c) {
    static const int statuses[] = {200, 200, 200, 200, 410, 404, 403, 400};
    return statuses[(unsigned char)c % COUNT_OF(statuses)];
}

/* The next answer, in b. */
static void next_answer(struct sb *b) {
    const char *body = LAST;
    size_t n = sizeof LAST - 1;
    int status = 200;
    pthread_mutex_lock(&script.lock);
    if (script.n && script.asked++ < ANSWERS_MAX) {
        const char *end = memchr(script.p, 0, script.n);
        size_t whole = end ? (size_t)(end - script.p) : script.n;
        status = status_of(script.p[0]);
        body = script.p + MIN((size_t)1, whole);
        n = whole - MIN((size_t)1, whole);
        script.p += whole + (end ? 1 : 0);
        script.n -= whole + (end ? 1 : 0);
    }
    sb_reset(b);
    sb_fmt(b, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
           status, n);
    sb_add(b, body, n);
    pthread_mutex_unlock(&script.lock);
}

static bool send_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Requests without bodies, one after the other. */
static void *serve_one(void *arg) {
    int fd = *(int *)arg;
    AUTO_SB head = SB_INIT(HEAD_MAX), answer = SB_INIT(0);
    char buf[4096];
    ssize_t got;
    xfree(arg);
    while ((got = recv(fd, buf, sizeof buf, 0)) > 0) {
        sb_add(&head, buf, (size_t)got);
        if (head.full)
            break;
        if (!strstr(sb_get(&head), "\r\n\r\n"))
            continue;
        sb_reset(&head);
        next_answer(&answer);
        if (!send_all(fd, answer.p, answer.len))
            break;
    }
    close(fd);
    return NULL;
}

static void *serve(void *arg) {
    int listener = *(int *)arg;
    for (;;) {
        pthread_t t;
        int *fd = xmalloc(sizeof *fd);
        *fd = accept(listener, NULL, NULL);
        MUST(*fd >= 0 && pthread_create(&t, NULL, serve_one, fd) == 0);
        pthread_detach(t);
    }
    return NULL;
}

static unsigned start_server(void) {
    static int listener;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    pthread_t t;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    MUST(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
         listen(listener, 16) == 0 && getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    MUST(pthread_create(&t, NULL, serve, &listener) == 0);
    pthread_detach(t);
    return ntohs(at.sin_port);
}

static struct kube_client *client(void) {
    static struct kube_client *c;
    if (c)
        return c;
    char path[] = "/tmp/fuzz-list-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    MUST(f);
    fprintf(f,
            "clusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:%u'}\n"
            "users:\n- name: jo\n  user: {}\n"
            "contexts:\n- name: x\n  context: {cluster: c, user: jo}\n",
            start_server());
    fclose(f);
    struct kubeconfig *k;
    const struct kube_context *ctx;
    struct kube_auth *auth;
    struct err e = {0};
    MUST(kubeconfig_load(path, &k, &e) >= 0 && kubeconfig_context(k, "x", &ctx, &e) >= 0 &&
         kube_auth_new(k, ctx, &auth, &e) >= 0);
    kubeconfig_free(k);
    unlink(path);
    c = kube_client_new(http_client_new(), auth, &(struct kube_client_opts){.name = "A"});
    return c;
}

struct count {
    size_t items;
    unsigned again;
};

static int count_item(void *ctx, yyjson_val *item, struct err *e) {
    struct count *c = ctx;
    (void)e;
    MUST(item);
    c->items++;
    return 0;
}

static void begin_again(void *ctx) {
    struct count *c = ctx;
    c->again++;
    c->items = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct kube_resource pods = {.group = "",
                                              .version = "v1",
                                              .plural = "pods",
                                              .kind = "Pod",
                                              .namespaced = true,
                                              .verbs = KUBE_LIST};
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    struct count n = {0};
    const char *rv = NULL;
    pthread_mutex_lock(&script.lock);
    script.p = arena_strndup(a, (const char *)data, size);
    memcpy((char *)(uintptr_t)script.p, data, size); /* with the NULs */
    script.n = size;
    script.asked = 0;
    pthread_mutex_unlock(&script.lock);
    struct kube_list_fn fn = {.item = count_item, .again = begin_again, .ctx = &n};
    struct kube_list_opts o = {.limit = size % 3 ? 0 : 7};
    int r = kube_list(client(), a, &pods, &o, &fn, &rv, &e);
    MUST(r == 0 ? rv != NULL : r < 0 && e.msg[0]);
    pthread_mutex_lock(&script.lock);
    script.n = 0;
    pthread_mutex_unlock(&script.lock);
    return 0;
}
