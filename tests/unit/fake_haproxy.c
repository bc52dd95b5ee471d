#include "fake_haproxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LINE_MAX_BYTES = 1024, ANSWER_MAX_BYTES = 8 << 20 };

static struct fake_entry *find(struct fake *f, const char *key) {
    for (size_t i = 0; i < f->entries; i++)
        if (str_eq(f->entry[i].key, key))
            return &f->entry[i];
    return NULL;
}

static void add(struct fake *f, const char *key, const char *value) {
    MUST(f->entries < FAKE_ENTRIES);
    struct fake_entry *x = &f->entry[f->entries++];
    snprintf(x->key, sizeof x->key, "%s", key);
    snprintf(x->value, sizeof x->value, "%s", value);
}

static void show_map(struct fake *f, struct sb *out) {
    for (size_t i = 0; i < f->entries; i++)
        sb_fmt(out, "0x%zx %s %s\n", 4096 + i, f->entry[i].key, f->entry[i].value);
}

static void show_stat(struct fake *f, bool b, struct sb *out) {
    unsigned *n = b ? &f->sessions_b : &f->sessions_a;
    const char *name = b ? "paas_b" : "paas_a";
    sb_fmt(out, "# pxname,svname,qcur,scur,status,weight\n%s,s1,0,%u,%s,1\n%s,BACKEND,0,%u,UP,1\n",
           name, *n, b ? f->status_b : f->status_a, name, *n);
    if (f->draining && *n)
        --*n;
}

static void change_map(struct fake *f, struct strvec *w, struct sb *out) {
    if (w->n != 5 || !str_eq(w->v[2], f->map)) {
        sb_str(out, "Unknown map identifier. Please use #<id> or <file>.\n");
    } else if (str_eq(w->v[0], "add")) {
        add(f, w->v[3], w->v[4]);
    } else if (!find(f, w->v[3])) {
        sb_str(out, "entry not found.\n");
    } else {
        for (size_t i = 0; i < f->entries; i++)
            if (str_eq(f->entry[i].key, w->v[3]))
                snprintf(f->entry[i].value, sizeof f->entry[i].value, "%s", w->v[4]);
    }
}

static void answer(struct fake *f, const char *line, struct sb *out) {
    AUTO_STRVEC w = {0};
    strvec_split(&w, line, ' ');
    if (str_eq(line, "show map"))
        sb_fmt(out,
               "# id (file) description\n7 (/other.map) pattern loaded from file '/other.map'\n"
               "0 (%s) pattern loaded from file '%s' used by map at file 'h.cfg' line 11. "
               "curr_ver=0 next_ver=0 entry_cnt=%zu\n",
               f->map, f->map, f->entries);
    else if (str_starts(line, "show map ") && w.n == 3 && str_eq(w.v[2], f->map))
        show_map(f, out);
    else if (str_starts(line, "show stat paas_"))
        show_stat(f, str_eq(w.v[2], "paas_b"), out);
    else if (str_starts(line, "set map ") || str_starts(line, "add map "))
        change_map(f, &w, out);
    else
        sb_str(out, "Unknown command: '");
    sb_chr(out, '\n');
}

/* Ends early when the test wants the fake to end. */
static void pause_ms(struct fake *f, int ms) {
    struct pollfd p = {.fd = f->stop[0], .events = POLLIN};
    fake_unlock(f);
    poll(&p, 1, ms);
    fake_lock(f);
}

static void send_all(int c, const char *p, size_t n) {
    while (n) {
        ssize_t sent = send(c, p, n, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void respond(struct fake *f, int c, const char *line) {
    AUTO_SB out = SB_INIT(ANSWER_MAX_BYTES);
    bool faulty = f->fault_command && str_starts(line, f->fault_command);
    enum fake_fault fault = faulty ? f->fault : FAKE_ANSWER;
    if (faulty && f->hook) {
        void (*hook)(struct fake *) = TAKE(f->hook);
        hook(f);
        f->fault_command = NULL;
        faulty = false;
    }
    if (fault == FAKE_CLOSE)
        return;
    if (faulty && fault == FAKE_ANSWER)
        sb_str(&out, f->fault_text);
    else if (fault == FAKE_IGNORE)
        sb_chr(&out, '\n');
    else
        answer(f, line, &out);
    if (fault == FAKE_HANG)
        pause_ms(f, 60000);
    else if (fault == FAKE_CUT)
        send_all(c, out.p, out.len / 2);
    for (size_t i = 0; i < out.len && fault == FAKE_DRIBBLE; i += 3) {
        send_all(c, out.p + i, MIN(3, out.len - i));
        pause_ms(f, 1);
    }
    if (fault == FAKE_ANSWER || fault == FAKE_IGNORE)
        send_all(c, out.p, out.len);
}

static void serve(struct fake *f, int c) {
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    while (n < sizeof line - 1 && recv(c, line + n, 1, 0) == 1 && line[n] != '\n')
        n++;
    line[n] = 0;
    fake_lock(f);
    strvec_add(&f->lines, line);
    respond(f, c, line);
    fake_unlock(f);
}

static void *fake_main(void *arg) {
    struct fake *f = arg;
    for (;;) {
        struct pollfd p[] = {{.fd = f->fd, .events = POLLIN}, {.fd = f->stop[0], .events = POLLIN}};
        poll(p, 2, -1);
        if (p[1].revents)
            return NULL;
        AUTO_FD c = accept(f->fd, NULL, NULL);
        if (c >= 0)
            serve(f, c);
    }
}

static void add_share(struct fake *f, const char *key, int percent) {
    char value[16];
    snprintf(value, sizeof value, "%d", percent);
    if (percent >= 0)
        add(f, key, value);
}

void fake_start(struct fake *f, const char *path, const char *map, int live_b, int prelive_b) {
    *f = (struct fake){.status_a = "UP", .status_b = "UP"};
    snprintf(f->map, sizeof f->map, "%s", map);
    add_share(f, "frontend.pct_b", live_b);
    add_share(f, "frontend.prelive_b", prelive_b);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    MUST(strlen(path) < sizeof sa.sun_path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    unlink(path);
    f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(f->fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(f->fd, 64) == 0);
    MUST(pipe(f->stop) == 0);
    pthread_mutex_init(&f->lock, NULL);
    MUST(pthread_create(&f->thread, NULL, fake_main, f) == 0);
}

void fake_stop(struct fake *f) {
    MUST(write(f->stop[1], "x", 1) == 1);
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    close(f->fd);
    close(f->stop[0]);
    close(f->stop[1]);
    strvec_done(&f->lines);
}

void fake_fail(struct fake *f, const char *command, enum fake_fault fault, const char *text) {
    WITH_FAKE(f) {
        f->fault_command = command;
        f->fault = fault;
        f->fault_text = text;
    }
}

bool fake_lock(struct fake *f) {
    pthread_mutex_lock(&f->lock);
    return true;
}

bool fake_unlock(struct fake *f) {
    pthread_mutex_unlock(&f->lock);
    return false;
}

const char *fake_value(struct fake *f, const char *key) {
    const char *ret = NULL;
    WITH_FAKE(f) {
        const struct fake_entry *x = find(f, key);
        ret = x ? x->value : NULL;
    }
    return ret;
}

unsigned fake_count(struct fake *f, const char *command) {
    unsigned n = 0;
    WITH_FAKE(f) {
        for (size_t i = 0; i < f->lines.n; i++)
            n += str_starts(f->lines.v[i], command) ? 1 : 0;
    }
    return n;
}
