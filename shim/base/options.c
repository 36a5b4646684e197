/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - the options table, and reading an environment against it. See options.h. */
#include "base/options.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "base/log.h"

#define PREFIX          "EBBTIDE_"
#define NAME_BYTES_MAX  40 /* longer names are not compared for likeness */
#define NEAREST_CHANGES 3  /* letters that may differ for "did you mean" */

const struct option_row options_rows[] = {
#define OPTION(field, type, default_text, variable, flag, forms, help)                                       \
    {variable, flag, default_text, forms, help, OPTION_##type, offsetof(struct options, field)},
#include "base/options.def"
    {.variable = NULL},
};

/* Names that are no option of this version. */
static const struct {
    const char *variable;
    bool is_later;
} other_names[] = {
#define LATER(variable) {variable, true},
#define OTHER(variable) {variable, false},
#include "base/options.def"
};

int options_path(const char *path, char *buf, size_t size)
{
    const char *mark = strstr(path, "%p");
    size_t length = mark ? log_print(buf, size, "%.*s%d%s", (int)(mark - path), path, (int)getpid(), mark + 2)
                         : log_print(buf, size, "%s", path);

    return length + 1 < size ? 0 : -ENAMETOOLONG;
}

static size_t name_length(const char *name)
{
    return strcspn(name, "=");
}

static bool name_is(const char *name, const char *known)
{
    size_t length = name_length(name);
    return length == strlen(known) && memcmp(name, known, length) == 0;
}

const struct option_row *options_find(const char *variable)
{
    for (const struct option_row *row = options_rows; row->variable; row++)
        if (name_is(variable, row->variable))
            return row;
    return NULL;
}

const struct option_row *options_find_flag(const char *flag)
{
    for (const struct option_row *row = options_rows; row->variable; row++)
        if (name_is(flag, row->flag))
            return row;
    return NULL;
}

/* How many letters must be added, dropped or changed to make one name of the other (Levenshtein). */
static unsigned changes_between(const char *name, const char *known)
{
    size_t length = name_length(name);
    unsigned changes[NAME_BYTES_MAX + 1]; /* from the name's letters so far to each beginning of known */
    size_t known_length = strlen(known);

    if (length > NAME_BYTES_MAX || known_length > NAME_BYTES_MAX)
        return UINT32_MAX;
    for (unsigned k = 0; k <= known_length; k++)
        changes[k] = k;
    for (size_t n = 0; n < length; n++) {
        unsigned diagonal = changes[0]++;
        for (size_t k = 0; k < known_length; k++) {
            unsigned best = diagonal + (name[n] != known[k]);
            diagonal = changes[k + 1];
            if (best > diagonal + 1)
                best = diagonal + 1;
            if (best > changes[k] + 1)
                best = changes[k] + 1;
            changes[k + 1] = best;
        }
    }
    return changes[known_length];
}

static const struct option_row *nearest_row(const char *name)
{
    const struct option_row *nearest = NULL;
    unsigned fewest = NEAREST_CHANGES + 1;

    for (const struct option_row *row = options_rows; row->variable; row++) {
        unsigned changes = changes_between(name, row->variable);
        if (changes < fewest) {
            fewest = changes;
            nearest = row;
        }
    }
    return nearest;
}

static int set_row(struct options *o, const struct option_row *row, const char *value)
{
    return option_value_read(row, *value ? value : row->default_text, (char *)o + row->field_offset);
}

int options_make_absolute(struct options *options, const char *folder)
{
    size_t room, length = strlen(folder);
    int error = 0;

    for (const struct option_row *row = options_rows; row->variable; row++) {
        char *path = (char *)options + row->field_offset;

        if (row->type != OPTION_PATH || !*path || *path == '/')
            continue;
        room = OPTIONS_PATH_BYTES - strlen(path) - 1;
        if (length + 1 > room) {
            error = -ENAMETOOLONG;
            continue;
        }
        memmove(path + length + 1, path, strlen(path) + 1);
        memcpy(path, folder, length);
        path[length] = '/';
    }
    return error;
}

void options_init(struct options *out)
{
    memset(out, 0, sizeof(*out));
    for (const struct option_row *row = options_rows; row->variable; row++) {
        int error = set_row(out, row, "");
        assert(error == 0);
        (void)error;
    }
}

int options_set(struct options *o, const char *variable, const char *value)
{
    const struct option_row *row = options_find(variable);
    return row ? set_row(o, row, value) : -ENOENT;
}

/* Returns whether the variable is in order; if not, *out says why. */
static bool parse_variable(struct options *o, const char *entry, struct options_complaint *out)
{
    const struct option_row *row = options_find(entry);
    const char *equals = strchr(entry, '=');
    const char *value = equals ? equals + 1 : "";

    if (row) {
        *out = (struct options_complaint){OPTIONS_BAD_VALUE, row->variable, value, row};
        return set_row(o, row, value) == 0;
    }
    for (size_t i = 0; i < sizeof(other_names) / sizeof(*other_names); i++)
        if (name_is(entry, other_names[i].variable)) {
            *out = (struct options_complaint){OPTIONS_LATER, entry, value, NULL};
            return !other_names[i].is_later;
        }
    *out = (struct options_complaint){OPTIONS_UNKNOWN, entry, value, nearest_row(entry)};
    return false;
}

int options_parse(struct options *out, const char *const *environ_like, options_complain_fn complain,
                  void *arg)
{
    struct options_complaint complaint;
    int faults = 0;

    options_init(out);
    for (; environ_like && *environ_like; environ_like++) {
        if (strncmp(*environ_like, PREFIX, strlen(PREFIX)) != 0)
            continue;
        if (parse_variable(out, *environ_like, &complaint))
            continue;
        faults++;
        if (complain)
            complain(&complaint, arg);
    }
    if (out->low_ppm > out->high_ppm) {
        complaint =
            (struct options_complaint){OPTIONS_CROSSED, "EBBTIDE_LOW", "", options_find("EBBTIDE_LOW")};
        options_set(out, "EBBTIDE_LOW", "");
        options_set(out, "EBBTIDE_HIGH", "");
        faults++;
        if (complain)
            complain(&complaint, arg);
    }
    return faults;
}

size_t options_describe(const struct options_complaint *c, char *buf, size_t buf_bytes)
{
    int length = (int)name_length(c->variable);

    switch (c->fault) {
    case OPTIONS_BAD_VALUE:
        return log_print(buf, buf_bytes, "%s does not take '%.200s'; accepted: %s", c->variable, c->value,
                         c->row->forms);
    case OPTIONS_UNKNOWN:
        if (c->row)
            return log_print(buf, buf_bytes, "%.*s is not an option of ebbtide; did you mean %s?", length,
                             c->variable, c->row->variable);
        return log_print(buf, buf_bytes,
                         "%.*s is not an option of ebbtide; 'ebbtide run --help' lists the accepted ones",
                         length, c->variable);
    case OPTIONS_LATER:
        return log_print(buf, buf_bytes, "%.*s is not in this version", length, c->variable);
    case OPTIONS_CROSSED:
        return log_print(buf, buf_bytes, "EBBTIDE_LOW is above EBBTIDE_HIGH; accepted: LOW at most HIGH");
    }
    return log_print(buf, buf_bytes, "%.*s is not accepted", length, c->variable);
}

/* ---- the options of this process, read when they are first asked for --------------------------------------- */

enum load_state {
    NOT_LOADED,
    LOADING,
    LOADED
};

static struct options options;
static int load_state; /* enum load_state */

static void complain(const struct options_complaint *complaint, IGNORED void *arg)
{
    char text[OPTIONS_TEXT_BYTES];

    options_describe(complaint, text, sizeof(text));
    log_line(LOG_WARN, "%s; the default is used", text);
}

/* Not by getcwd, which may allocate. */
static void make_absolute(void)
{
    char folder[OPTIONS_PATH_BYTES];

    if (syscall(SYS_getcwd, folder, sizeof(folder)) > 0 && *folder == '/')
        options_make_absolute(&options, folder);
}

static void load_options(void)
{
    /* Whoever runs a privileged program may not steer what it writes and where. */
    const char *const *environment = getauxval(AT_SECURE) ? NULL : (const char *const *)environ;

    int faults = options_parse(&options, environment, NULL, NULL); /* in silence: the log is not open yet */

    make_absolute();
    int error = log_init((enum log_level)options.log_level, options.log_path);

    if (error)
        log_line(LOG_WARN, "cannot open %s: %s; logging to standard error (EBBTIDE_LOG_FILE)",
                 options.log_path, strerrordesc_np(-error));
    if (faults) {
        options_parse(&options, environment, complain, NULL);
        make_absolute();
    }
}

const struct options *options_of_process(void)
{
    if (__builtin_expect(__atomic_load_n(&load_state, __ATOMIC_ACQUIRE) == LOADED, 1))
        return &options;
    static const struct lock_tag loading = LOCK_TAG(LOCK_LOAD);
    int expected = NOT_LOADED;

    lock_order(&loading);
    lock_hold(&loading);
    if (__atomic_compare_exchange_n(&load_state, &expected, LOADING, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
        load_options();
        __atomic_store_n(&load_state, LOADED, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&load_state, __ATOMIC_ACQUIRE) != LOADED)
        sched_yield();
    lock_let_go(&loading);
    return &options;
}

static bool lacks_driver;

void options_account_only(void)
{
    options.allocator = ALLOCATOR_NATIVE;
    lacks_driver = true;
}

bool options_lack_driver(void)
{
    return lacks_driver;
}
