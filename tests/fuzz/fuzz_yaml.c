/* What yaml_parse() accepts must be a tree that can be written as JSON and read again, with a place
 * for each value; what it refuses must come with a message. */
#include <string.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_marks(const struct yaml_doc *d, yyjson_mut_val *v) {
    size_t i, max;
    yyjson_mut_val *k, *x;
    struct yaml_mark m = yaml_where(d, v);
    MUST(m.line > 0 && m.column > 0);
    yyjson_mut_arr_foreach (v, i, max, x) {
        check_marks(d, x);
    }
    yyjson_mut_obj_foreach (v, i, max, k, x) {
        check_marks(d, k);
        check_marks(d, x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    AUTO_ARENA a = arena_new();
    struct yaml_doc d;
    struct err e = {0};
    bool expand = size && data[size - 1] % 2;
    int r = yaml_parse(a, "f", (const char *)data, size, expand, &d, &e);
    if (r < 0) {
        MUST(e.code == r && str_starts(e.msg, "f:") && strlen(e.msg) > strlen("f:1:1: "));
        return 0;
    }
    check_marks(&d, d.root);
    size_t n;
    char *text = json_mut_write(a, d.root, &n);
    yyjson_val *again;
    MUST(json_parse(a, text, n, &again, NULL) == 0);
    return 0;
}
