/* Addresses and ranges of IPv4 and IPv6, as text and as bits. Any thread. */
#pragma once

#include "base/util.h"

struct ip_range {
    int family; /* AF_INET or AF_INET6; 0: none */
    uint8_t addr[16];
    unsigned bits; /* length of the prefix; 32 or 128: a single address */
};

/* "10.0.0.0/8", "10.1.2.3", "fd00::/64". False when it is neither; *ret untouched then. */
bool ip_range_parse(const char *text, struct ip_range *ret);
/* Does the first hold every address of the second? */
bool ip_range_covers(const struct ip_range *outer, const struct ip_range *inner);
/* The next address that stands in the text at or behind *at, with *at moved behind it; *ret_from
 * its first byte. Only what stands by itself: no part of a longer word, version or number. */
bool ip_next(const char **at, const char **ret_from, struct ip_range *ret);
