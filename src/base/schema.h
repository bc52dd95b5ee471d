/* Checks a YAML document against a JSON Schema (draft 2020-12), the subset that a file format of
 * ours needs: type, properties, required, additionalProperties, items, enum, const, pattern (POSIX
 * extended), minimum, maximum, minItems, minLength and $ref into #/$defs. Annotations (title,
 * description, default, examples) are allowed; examples are shown when a pattern does not match.
 * One thread. */
#pragma once

#include "base/yaml.h"

enum { SCHEMA_MAX_ERRORS = 10 };

/* One line per complaint, first in the file first, at most SCHEMA_MAX_ERRORS:
 *   FILE:LINE:COL: traffic.tiers.web: unknown key "sokets"; did you mean "sockets"?
 * Values are never quoted: ${NAME} may have put a credential there. A member whose value is null
 * counts as absent, so that a section may be left empty. */
int schema_check(yyjson_val *schema, const struct yaml_doc *d, struct err *e);

/* The schema itself: -EINVAL names the first keyword that schema_check() would silently ignore, or
 * a $ref or pattern that cannot be used. For tests. */
int schema_lint(yyjson_val *schema, struct err *e);
