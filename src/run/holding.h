/* Who writes to the clusters: one process over all machines, by a Lease in each cluster that it
 * writes objects to (kube/lease.h), named tandem-ENVIRONMENT in tandem's own namespace. Taken
 * before the first write, given back with the session, deleted with its namespace when the run
 * ends.
 *
 * Reading needs none. Moving traffic needs none: whoever may reach the load balancer may go back.
 */
#pragma once

#include "run/session.h"

/* The need of session_open() that means this slot. */
enum session_need holding_slot(char slot);
/* Before objects are written to these slots (NEED_A, NEED_B or both; a cluster that is not open is
 * left out): takes what this session does not have yet. -EGUARD: another process writes there, with
 * who and since when, or ours was lost. One that is stale is taken over, which the journal's events
 * tell; waits for its duration. A credential that may not have Leases, or a server that refuses
 * one, is warned about once and goes without. With s->take_over another's is taken over by force,
 * and nothing but -ESTOPPED stands in the way. */
int session_hold(struct session *s, unsigned slots, struct err *e);
/* Does this session have still what it took, and was it refused nothing? -EGUARD: another acts. As
 * lease_check() for patience_ms. */
int session_holds_still(struct session *s, uint64_t patience_ms, struct err *e);
/* It will be known in a moment whether it has. */
bool session_in_doubt(const struct session *s);
/* Gives back what it has. session_close() does so too. */
void session_let_go(struct session *s);
/* The run has ended: takes the Leases away, what was kept of this run (NULL: of every run), and the
 * namespace where nothing else needs it. Fails when that cannot be done in the destination; what is
 * left in the source is only told. */
int session_sweep(struct session *s, const char *run, struct err *e);
