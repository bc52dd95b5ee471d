/* One hook of tandem.yaml: a command (JSON on its standard input) or a webhook (the same as a
 * POST), tried until it succeeds or its tries are used up. What a command prints goes to the debug
 * log and nowhere else. One thread. */
#pragma once

#include "net/http.h"
#include "run/config.h"

/* What it is told of: the same for every try. */
struct hook_call {
    const char *event, *stage; /* "before", "migrate" */
    const char *run;           /* or "" */
    const char *delivery;      /* of this call: a receiver drops what it has seen */
    const char *body;
    size_t body_len;
    const char *dir;            /* working directory of a command */
    struct http_client *http;   /* for a webhook */
    struct http_cancel *cancel; /* no further try once it is set; or NULL */
};

struct hook_result {
    unsigned attempts;
    uint64_t time_ms;
};

/* 0: exit code 0, or an answer of 2xx. -ETIMEDOUT, -EREMOTEIO (another exit code or answer),
 * -ENOENT (no such command or file), or those of http_do. An answer of 4xx is final but for 408,
 * 425, 429. *ret is set on failure too. Messages never carry the body, the secret or what a command
 * printed. */
int hook_run(const struct config_hook *h, const struct hook_call *c, struct hook_result *ret,
             struct err *e);

/* "sha256=" and the HMAC-SHA256 of the body in hex, as GitHub signs its webhooks; in a. */
char *hook_signature(struct arena *a, const void *secret, size_t secret_len, const void *body,
                     size_t body_len);
