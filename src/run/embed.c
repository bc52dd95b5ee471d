/* Build-time tool: embed NAME FILE > OUT.c writes a file as a C string constant. */
#include <stdio.h>

int main(int argc, char **argv) {
    FILE *f = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!f)
        return 1;
    printf("const char %s[] = {", argv[1]);
    int n = 0;
    for (int c; (c = fgetc(f)) != EOF; n++)
        printf("%s%d,", n % 20 ? "" : "\n    ", c);
    printf("0,\n};\n");
    return ferror(f) || fclose(f) || fflush(stdout);
}
