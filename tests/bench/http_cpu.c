/* Own CPU time of the HTTP client for each small POST over kept-alive TLS connections. The server
 * is a child process, so that its time is not counted.
 *   http_cpu [THREADS [REQUESTS [BODY]]] */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../unit/fake_http.h"
#include "base/clock.h"
#include "base/queue.h"
#include "base/str.h"
#include "net/http.h"

static struct bench {
    struct http_client *client;
    struct http_tls tls;
    char url[64];
    char *body;
    size_t body_len;
    atomic_long left;
    atomic_long failed;
} bench;

static const struct fake_reply replies[] = {
    {"*", "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
          "Audit-Id: 11111111-2222-3333-4444-555555555555\r\nCache-Control: no-cache, private\r\n"
          "Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n"
          "................................................................................"
          "................................................................................"
          "................................................................................"
          "................................................................................"
          "................................................................................"}};

static void work(void *ctx, size_t index) {
    struct bench *b = ctx;
    AUTO_ARENA a = arena_new();
    const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
                                   "Authorization: Bearer 0123456789abcdef0123456789abcdef", NULL};
    struct http_req req = {.method = "POST",
                           .url = b->url,
                           .headers = headers,
                           .body = b->body,
                           .body_len = b->body_len,
                           .tls = &b->tls};
    (void)index;
    while (atomic_fetch_sub(&b->left, 1) > 0) {
        struct http_resp resp;
        struct err e;
        arena_reset(a);
        int r = http_do(b->client, a, &req, &resp, NULL, &e);
        if (r < 0 || resp.status != 201 || resp.body_len != 400)
            atomic_fetch_add(&b->failed, 1);
    }
}

/* Serves until the parent is gone. Returns its pid; the port comes through the pipe. */
static pid_t serve(const struct fake_cert *cert, int *ret_port) {
    int fds[2];
    MUST(pipe(fds) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct fake_tls tls = {.cert_pem = cert->cert_pem, .key_pem = cert->key_pem};
        int port = fake_port(fake_start(replies, COUNT_OF(replies), &tls));
        MUST(write(fds[1], &port, sizeof port) == sizeof port);
        for (;;)
            pause();
    }
    MUST(read(fds[0], ret_port, sizeof *ret_port) == sizeof *ret_port);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static double cpu_us(double *ret_sys) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    *ret_sys = (double)u.ru_stime.tv_sec * 1e6 + (double)u.ru_stime.tv_usec;
    return *ret_sys + (double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec;
}

static size_t arg(char **v, int i, int n, size_t otherwise) {
    return i < n ? strtoul(v[i], NULL, 10) : otherwise;
}

int main(int n, char **v) {
    size_t threads = arg(v, 1, n, 32), requests = arg(v, 2, n, 20000);
    struct fake_cert cert;
    int port;
    fake_cert_make(&cert, "localhost", "DNS:localhost,IP:127.0.0.1", NULL);
    pid_t pid = serve(&cert, &port);
    bench.body_len = arg(v, 3, n, 1000);
    bench.body = xcalloc(1, bench.body_len + 1);
    memset(bench.body, 'x', bench.body_len);
    bench.tls.ca_pem = cert.cert_pem;
    snprintf(bench.url, sizeof bench.url, "https://127.0.0.1:%d/api/v1/namespaces/x/configmaps",
             port);
    bench.client = http_client_new();
    atomic_store(&bench.left, (long)threads * 4);
    workers_join(workers_start(threads, work, &bench)); /* opens the connections */
    atomic_store(&bench.left, (long)requests);
    double sys0, sys1, cpu0 = cpu_us(&sys0);
    uint64_t t0 = clock_now_ns();
    workers_join(workers_start(threads, work, &bench));
    double s = (double)(clock_now_ns() - t0) / 1e9, cpu = cpu_us(&sys1) - cpu0;
    printf("threads %zu  requests %zu  failed %ld  per_s %.0f  cpu_us_per_request %.1f (system "
           "%.1f)\n",
           threads, requests, atomic_load(&bench.failed), (double)requests / s,
           cpu / (double)requests, (sys1 - sys0) / (double)requests);
    http_client_free(bench.client);
    xfree(bench.body);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return atomic_load(&bench.failed) ? 1 : 0;
}
