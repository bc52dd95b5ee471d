#include <malloc.h> /* alloc-ok: for mallopt, nothing is allocated */

#include "cli/commands.h"

static const char *const groups[] = {"Look first", "Upgrade",           "Recreate",
                                     "Switch",     "Watch and go back", "Try it"};

static void print_usage(FILE *f) {
    size_t n;
    const struct command *t = commands_table(&n);
    fputs("tandem upgrades a whole Kubernetes platform by A/B cluster deploys.\n\n"
          "Usage: tandem COMMAND [options]\n",
          f);
    for (size_t g = 0; g < COUNT_OF(groups); g++) {
        fprintf(f, "\n%s:\n", groups[g]);
        for (size_t i = 0; i < n; i++)
            if (str_eq(t[i].group, groups[g]))
                fprintf(f, "  %-12s %s\n", t[i].name, t[i].summary);
    }
    fputs("\nEvery command has --help. Two clusters without a file: --context-a X --context-b Y.\n",
          f);
}

static int unknown_command(const char *name) {
    size_t n;
    const struct command *t = commands_table(&n);
    const char *names[64];
    for (size_t i = 0; i < n && i < COUNT_OF(names); i++)
        names[i] = t[i].name;
    const char *near = str_nearest(name, names, n);
    log_error("tandem has no command \"%s\"%s%s%s", name, near ? "; did you mean " : "",
              near ? near : "", near ? "?" : "; see `tandem --help`");
    return EXIT_USAGE;
}

/* argv[0] is the command's name. */
static int run(int argc, char **argv) {
    size_t n;
    const struct command *t = commands_table(&n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(t[i].name, argv[0]))
            return t[i].run(&t[i], argc, argv);
    return unknown_command(argv[0]);
}

int main(int argc, char **argv) {
    size_t n;
    /* Dozens of threads that mostly wait: a heap each would hold memory that nobody uses. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    const struct command *t = commands_table(&n);
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (str_eq(name, "help") && argc > 2)
        return run(2, (char *[]){argv[2], "--help", NULL});
    if (str_eq(name, "--help") || str_eq(name, "-h") || str_eq(name, "help")) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (str_eq(name, "--version") || str_eq(name, "version")) {
        puts("tandem " TANDEM_VERSION);
        return EXIT_DONE;
    }
    if (str_eq(name, "--list-commands")) {
        for (size_t i = 0; i < n; i++)
            puts(t[i].name);
        return EXIT_DONE;
    }
    return run(argc - 1, argv + 1);
}
