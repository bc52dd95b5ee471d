/* YAML (1.2 core schema, one document) into a JSON tree that remembers where each value stood, so
 * that an error can name line and column. Over libfyaml. One thread. */
#pragma once

#include "base/json.h"

struct yaml_marks;

struct yaml_doc {
    const char *file; /* for messages */
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;     /* JSON null when the file holds nothing */
    struct yaml_marks *marks; /* value address -> position; see yaml_where() */
};

struct yaml_mark {
    unsigned line, column; /* from 1 */
};

/* text need not be NUL-terminated. `name` is used in messages only. Duplicate keys, several
 * documents, anchors that recurse and non-string keys are errors with file:line:column; so is more
 * than 16 MiB, 64 levels, or a million values once aliases are resolved. Merge keys (<<) are
 * merged. yes, no, on, off are strings (YAML 1.2), and so are numbers that JSON cannot spell (0755,
 * 0x1F). Messages never quote a value: kubeconfigs hold keys. The tree lives in a; the marks too.
 * ${NAME} in strings is replaced from the environment when expand_env (an unset name is an error;
 * $${ stands for a literal ${). */
int yaml_parse(struct arena *a, const char *name, const char *text, size_t n, bool expand_env,
               struct yaml_doc *ret, struct err *e);
int yaml_load(struct arena *a, const char *path, bool expand_env, struct yaml_doc *ret,
              struct err *e);
/* Where v (a value or a key of the tree) stood; {0,0} when unknown. */
struct yaml_mark yaml_where(const struct yaml_doc *d, const yyjson_mut_val *v);
