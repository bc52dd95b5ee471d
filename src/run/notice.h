/* Telling others of the run: hooks of tandem.yaml (commands and webhooks), Events and a ConfigMap
 * in the clusters, and the record's mirror, by which another machine can take the run over. */
#pragma once

#include "run/session.h"

enum notice_when { NOTICE_BEFORE, NOTICE_AFTER, NOTICE_FAILED, NOTICE_TERMINAL };

/* Runs the hooks of this moment and tells the clusters; records each in the journal. stage: a word
 * of the run's stages. reason, evidence (JSON text): or NULL. -EGUARD when a hook whose policy is
 * `fail` refuses a NOTICE_BEFORE; everything else is only warned about. */
int notice(struct session *s, enum notice_when when, const char *stage, const char *reason,
           const char *evidence, struct err *e);
/* Mirrors the run's state and history into the destination (never Secret values); what goes wrong
 * is only told. */
void record_mirror(struct session *s);
/* Makes the journal of this machine from the mirror of a run that another machine began: for
 * `resume --take-over`. -EEXIST when this journal knows of a run already. */
int record_take_over(struct session *s, struct err *e);
