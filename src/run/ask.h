/* Handing a request over to the process that walks the stages of a run, from another terminal. */
#pragma once

#include "run/session.h"

/* "abort" or "switch-back": 1 when the holder took it and has ended since, 0 when nobody is there
 * or it does not answer, which is said (act yourself), negative when it refused. Waits as long as
 * the holder is at work. reason: or NULL. */
int ask_back(struct session *s, const char *verb, const char *reason, bool traffic_only,
             struct err *e);

/* Approves a gate (stage), or lets go what live sync asks about (what); both NULL: the gate at
 * which the run waits. *ret_said in s->a: what was approved, for people. Without a holder the gate
 * is approved in the journal; a holder that is silent is an error. */
int ask_approve(struct session *s, const char *stage, const char *what, const char *reason,
                const char **ret_said, struct err *e);
