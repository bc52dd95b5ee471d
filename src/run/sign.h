/* Signed heads of the history: by `ssh-keygen -Y sign -n tandem`, in JOURNAL.sig beside the
 * journal, verified without any network by `ssh-keygen -Y verify`. What was signed once cannot be
 * rewritten nor cut off by who has the journal alone: the chain carries each event's hash into the
 * head, and the head is signed. One thread. */
#pragma once

#include "run/session.h"

/* The last event as it is now. key: a private key's file, or a public one's whose private key an
 * agent has. *ret_id (may be NULL): the event. -ENOENT: no ssh-keygen, or nothing to sign. A key
 * with a passphrase needs the agent: nobody is asked. */
int sign_history(struct session *s, const char *key, int64_t *ret_id, struct err *e);

struct sign_checked {
    int64_t event; /* up to which it vouches */
    const char *at;
    const char *who;      /* whom the signers' file names; without one, the key's fingerprint */
    const char *identity; /* who it says has signed; nobody vouches for that */
};
/* Verifies the chain, then each signature: that it is of this event and hash, and by one whom
 * `signers` (allowed_signers(5) of ssh-keygen) names; signers NULL: only that it is a signature.
 * *ret in s->a, in the order of signing. -EBADMSG: the history was changed or cut, or a signature
 * is not what it should be; -EPERM: by a key that is not in signers; -ENOENT: no ssh-keygen, no
 * such file; or nothing is signed, and signers was given. */
int sign_verify(struct session *s, const char *signers, struct sign_checked **ret, size_t *n,
                struct err *e);
