#include "base/cert.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static BIO *bio_of(const char *p, size_t n) {
    return n && n <= INT_MAX ? BIO_new_mem_buf(p, (int)n) : NULL;
}

static bool signs(X509 *ca, X509 *cert) {
    return X509_cmp(ca, cert) != 0 &&
           X509_NAME_cmp(X509_get_subject_name(ca), X509_get_issuer_name(cert)) == 0 &&
           X509_verify(cert, X509_get0_pubkey(ca)) == 1;
}

static bool any_signs(BIO *cas, X509 *cert) {
    X509 *ca;
    bool yes = false;
    while (!yes && (ca = PEM_read_bio_X509(cas, NULL, NULL, NULL))) {
        yes = signs(ca, cert);
        X509_free(ca);
    }
    return yes;
}

bool cert_signed_by(const char *pem, size_t n, const char *ca_pem, size_t ca_n) {
    BIO *in = bio_of(pem, n), *cas = bio_of(ca_pem, ca_n);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool yes = cert && cas && any_signs(cas, cert);
    X509_free(cert);
    BIO_free(in);
    BIO_free(cas);
    ERR_clear_error();
    return yes;
}
