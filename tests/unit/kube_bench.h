/* A client with a scripted server behind it, for tests of the kube layer. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_api.h"
#include "kube/client_impl.h"
#include "kube/discovery.h"

/* The user has a token file, so that a 401 can be got over. */
struct bench {
    struct arena *a;
    struct http_client *http;
    struct api *api;
    struct kube_client *c;
    char dir[64]; /* with the kubeconfig and the token */
};

struct bench bench_with(const struct api_row *rows, size_t n, const struct kube_client_opts *opts);
/* In front of a server that is there already; bench_free() stops it too. */
struct bench bench_before(struct api *api, const struct kube_client_opts *opts);
/* Client "A", no limit of reads. */
struct bench bench_new(const struct api_row *rows, size_t n);
void bench_free(struct bench *b);
#define BENCH(rows) bench_new(rows, COUNT_OF(rows))

/* Credentials for a server at this port. */
struct kube_auth *bench_auth(struct bench *b, int port);
void bench_write(struct bench *b, const char *name, const char *text);
/* A request with a small body when the method has one. */
int bench_ask(struct bench *b, const char *method, const char *path, struct kube_resp *resp,
              struct err *e);

void expect(int want, int got, const struct err *e);
void says(const struct err *e, const char *text);

extern const struct kube_resource pods;
