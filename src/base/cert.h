/* X.509 certificates as far as one has to tell who signed them. Over OpenSSL. Any thread. */
#pragma once

#include "base/util.h"

/* Is the first certificate of the PEM text signed by one of those of ca_pem, and not one of them
 * itself? False also when either holds none. */
bool cert_signed_by(const char *pem, size_t n, const char *ca_pem, size_t ca_n);
