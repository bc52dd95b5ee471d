/* Reading a checked YAML tree into structs by tables: one row says which key goes to which member
 * and how it is written in the file. Private to config*.c. The schema has already been through the
 * tree; what is checked here is what a schema cannot say. One thread. */
#pragma once

#include "base/yaml.h"

struct config_reader {
    struct arena *a;
    const struct yaml_doc *d;
    const char *dir; /* relative paths start here */
    struct err *e;
};

enum field_how {
    FIELD_STRING, /* const char * */
    FIELD_PATH,   /* const char *, resolved */
    FIELD_BOOL,   /* bool */
    FIELD_INT,    /* int */
    FIELD_U32,    /* unsigned or uint32_t */
    FIELD_MS32,   /* uint32_t milliseconds, from a duration */
    FIELD_MS64,   /* uint64_t milliseconds, from a duration */
    FIELD_RATE,   /* double per second, from "100/s", "30/m" or a number */
    FIELD_SHARE,  /* double 0..1, from "1%" */
    FIELD_LIST,   /* const char *const *, NULL-terminated */
    FIELD_TREE,   /* yyjson_mut_val * */
};

struct field {
    const char *key; /* with dots: "identify.header" */
    enum field_how how;
    size_t offset;
};

/* Members whose key is absent keep what they had. */
int config_fields(struct config_reader *rd, yyjson_mut_val *obj, const struct field *t, size_t n,
                  void *into);
/* The value at the dotted key, NULL when absent or null. */
yyjson_mut_val *config_at(yyjson_mut_val *obj, const char *key);
/* NULL-terminated strings of a list; NULL for NULL. */
const char *const *config_strings(struct config_reader *rd, yyjson_mut_val *list);
/* -EINVAL with FILE:LINE:COL in front; `at` is the value or key that is wrong. */
int config_fail(struct config_reader *rd, yyjson_mut_val *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
