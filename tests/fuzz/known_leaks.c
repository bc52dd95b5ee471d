/* libfyaml 0.7.12 loses 512 bytes in fy_token_get_text() for a scalar of many pieces
 * (''''''''''''), and its other way to read a token returns wrong text. Leaks of our own use of it
 * (a parser that is not destroyed) are found by tests/unit/test_yaml.c, which runs without this
 * list. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void) {
    return "leak:libfyaml";
}
