/* Where the requests go: the URL taken apart, the addresses behind the name, TLS settings.
 *
 * A name is looked up again every two seconds by a thread of its own, as clients of a DNS switch
 * would; a failed look-up keeps the addresses known before and is counted. Any thread. */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "probe/stats.h"

enum { TARGET_ADDRS = 16 };

struct target {
    bool tls, insecure, host_is_ip;
    const char *host;      /* for Host, SNI and the certificate */
    const char *dial_host; /* where TCP goes */
    const char *dial_port;
    const char *head; /* request up to the cookie, with "\r\n" at its end */
    SSL_CTX *ctx;
    pthread_mutex_t lock;
    struct sockaddr_storage addr[TARGET_ADDRS];
    size_t n_addr;
    int family; /* preferred: that of the first address, or the one that was found to answer */
    struct stats *stats;
    pthread_t resolver;
    pthread_cond_t wake;
    bool has_resolver, stop;
};

/* Strings live in a. On failure nothing is left to be done. */
int target_init(struct target *t, struct arena *a, const struct probe_config *cfg, struct stats *s,
                struct err *e);
void target_done(struct target *t);
/* The address for the turn-th connection; family 0: the preferred one. False: there is none. */
bool target_pick(struct target *t, unsigned turn, int family, struct sockaddr_storage *ret);
/* The other family than that one, if it has addresses; 0: none. */
int target_other_family(struct target *t, int family);
void target_prefer(struct target *t, int family);
