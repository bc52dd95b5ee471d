/* What one YAML scalar means: its JSON type, its environment variables, its bytes. Private to
 * yaml.c; apart from it so that each rule can be read in one place. Any thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum yaml_kind { YAML_STRING, YAML_NUMBER, YAML_TRUE, YAML_FALSE, YAML_NULL };

/* A plain scalar without a tag, by the core schema (YAML 1.2.2, 10.3.2), except that a number is
 * one only in a spelling that JSON knows: 0755, 0o17, 0x1F, +1, .5 and .inf stay strings, since
 * guessing a base for them has bitten every user of YAML once. */
enum yaml_kind yaml_plain_kind(const char *s, size_t n);
const char *yaml_kind_name(enum yaml_kind k);
/* How many bytes from the start are UTF-8; n when all are. */
size_t yaml_utf8_prefix(const char *s, size_t n);
/* The same, also ending before a control character that YAML does not allow (NUL and friends). */
size_t yaml_text_prefix(const char *s, size_t n);
/* Appends s with ${NAME} replaced from the environment and $${ turned into ${. The message says
 * what is wrong, without a position. */
int yaml_expand(struct sb *out, const char *s, size_t n, struct err *e);
