/* The journal's file: found, told from others, made, brought to this version's schema. Internal to
 * this folder. */
#pragma once

#include "journal/db.h"

enum store_found { STORE_NONE, STORE_OURS };
/* Looks at the first bytes and leaves no trace. -EBADMSG when it is somebody else's. An empty file
 * counts as none. */
int store_look(const char *path, enum store_found *ret, struct err *e);
/* Makes a new journal under another name and renames it, so that a crash leaves none or a whole
 * one. The lock must be held. */
int store_make(const char *path, struct err *e);
/* Opens j->path into j->db, checks the schema version (upgrading it when writable) and reads the
 * salt. */
int store_open(struct journal *j, struct err *e);
/* 0600 for the file and what SQLite keeps beside it. */
int store_tighten(const char *path, struct err *e);
