/* Why a request had its fate: one row per reason, each belonging to one fate of probe.h.
 *
 * The fate is what callers decide by; the reason is what an operator reads. Constant tables, any
 * thread. */
#pragma once

#include "probe/probe.h"

enum probe_why {
    WHY_OK,
    WHY_STATUS_CLUSTER,
    WHY_STATUS_FRONT,
    WHY_BODY,
    WHY_REFUSED,
    WHY_UNREACHABLE,
    WHY_CONNECT_OTHER,
    WHY_CONNECT_TIMEOUT,
    WHY_TLS_TIMEOUT,
    WHY_ANSWER_TIMEOUT,
    WHY_REST_TIMEOUT,
    WHY_NO_CONNECTION,
    WHY_TOO_MANY,
    WHY_RESET_KEPT,
    WHY_RESET_FRESH,
    WHY_RESET_MID,
    WHY_TLS_HANDSHAKE,
    WHY_TLS_CERTIFICATE,
    WHY_NOT_HTTP,
    WHY_TOO_LARGE,
    WHY_NO_PORT,
    WHY_NO_DESCRIPTOR,
    WHY_NO_MEMORY,
    WHY_LATE,
    WHY_COUNT,
};

struct why_row {
    const char *name; /* machine word, stable */
    enum probe_fate fate;
    const char *text; /* for people */
};

const struct why_row *why_row(enum probe_why w);
/* "Ok", "Wrong status", … for headings. */
const char *fate_title(enum probe_fate f);
