#include "probe/why.h"

static const struct why_row rows[WHY_COUNT] = {
    [WHY_OK] = {"ok", PROBE_OK, "answered as expected"},
    [WHY_STATUS_CLUSTER] = {"status_cluster", PROBE_STATUS,
                            "a cluster answered with an unexpected status"},
    [WHY_STATUS_FRONT] = {"status_unidentified", PROBE_STATUS,
                          "unexpected status from an answer that names no cluster (the load "
                          "balancer itself, or something before it)"},
    [WHY_BODY] = {"wrong_body", PROBE_BODY, "the expected text is not in the answer"},
    [WHY_REFUSED] = {"refused", PROBE_CONNECT, "the connection was refused"},
    [WHY_UNREACHABLE] = {"unreachable", PROBE_CONNECT, "no route to the address"},
    [WHY_CONNECT_OTHER] = {"connect_failed", PROBE_CONNECT, "the connection could not be opened"},
    [WHY_CONNECT_TIMEOUT] = {"connect_timeout", PROBE_TIMEOUT,
                             "the connection was not accepted in time"},
    [WHY_TLS_TIMEOUT] = {"tls_timeout", PROBE_TIMEOUT, "the TLS handshake did not end in time"},
    [WHY_ANSWER_TIMEOUT] = {"answer_timeout", PROBE_TIMEOUT, "no answer began in time"},
    [WHY_REST_TIMEOUT] = {"rest_timeout", PROBE_TIMEOUT,
                          "the answer began but did not end in time"},
    [WHY_NO_CONNECTION] = {"no_free_connection", PROBE_TIMEOUT,
                           "every kept connection was waiting for an answer, and new ones were not "
                           "opened in time"},
    [WHY_TOO_MANY] = {"too_many_in_flight", PROBE_TIMEOUT,
                      "not sent: as many requests as allowed were already waiting for an answer"},
    [WHY_RESET_KEPT] = {"reset_kept", PROBE_RESET,
                        "a kept connection was closed as the request was sent (a client that does "
                        "not retry loses this one)"},
    [WHY_RESET_FRESH] = {"reset_fresh", PROBE_RESET,
                         "a fresh connection was closed before any answer"},
    [WHY_RESET_MID] = {"reset_mid_answer", PROBE_RESET,
                       "the connection was closed in the middle of the answer"},
    [WHY_TLS_HANDSHAKE] = {"tls_handshake", PROBE_TLS, "the TLS handshake failed"},
    [WHY_TLS_CERTIFICATE] = {"tls_certificate", PROBE_TLS, "the certificate was not accepted"},
    [WHY_NOT_HTTP] = {"not_http", PROBE_PROTOCOL, "the answer is not HTTP/1.1"},
    [WHY_TOO_LARGE] = {"head_too_large", PROBE_PROTOCOL, "the head of the answer is too large"},
    [WHY_NO_PORT] = {"no_local_port", PROBE_NOT_MEASURED, "this machine had no local port left"},
    [WHY_NO_DESCRIPTOR] = {"no_descriptor", PROBE_NOT_MEASURED,
                           "this process had no file descriptor left"},
    [WHY_NO_MEMORY] = {"no_memory", PROBE_NOT_MEASURED, "this machine had no socket memory left"},
    [WHY_LATE] = {"prober_late", PROBE_NOT_MEASURED,
                  "the prober itself was held up for so long that the request was not sent"},
};

static const struct {
    const char *name, *title;
} fates[PROBE_FATES] = {
    [PROBE_OK] = {"ok", "OK"},
    [PROBE_STATUS] = {"status", "Wrong status"},
    [PROBE_BODY] = {"body", "Wrong body"},
    [PROBE_CONNECT] = {"connect", "No connection"},
    [PROBE_TIMEOUT] = {"timeout", "Timeout"},
    [PROBE_RESET] = {"reset", "Reset"},
    [PROBE_TLS] = {"tls", "TLS"},
    [PROBE_PROTOCOL] = {"protocol", "Not HTTP"},
    [PROBE_NOT_MEASURED] = {"not_measured", "Not measured"},
};

const struct why_row *why_row(enum probe_why w) {
    MUST((unsigned)w < WHY_COUNT);
    return &rows[w];
}

const char *probe_fate_name(enum probe_fate f) {
    return (unsigned)f < PROBE_FATES ? fates[f].name : "unknown";
}

const char *fate_title(enum probe_fate f) {
    return (unsigned)f < PROBE_FATES ? fates[f].title : "Unknown";
}
