/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - what the user asked for, read from EBBTIDE_ variables.
 *
 * Shape    one struct, one field per OPTION row of options.def; everything is copied in, nothing points outside, since
 *          programs overwrite their environment.
 * Owns     no memory of its own, never allocates, no stdio: it runs before the program's first malloc returns.
 * Threads  pure functions on the caller's struct; read-only once loaded.
 * Units    in the names; shares in parts per million of SIZE_PPM_WHOLE.
 */
#ifndef EBB_OPTIONS_H
#define EBB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/size.h"

#define OPTIONS_DEVICES    16
#define OPTIONS_DIRS       8
#define OPTIONS_PATH_BYTES 1024 /* a path with its NUL */
#define OPTIONS_TEXT_BYTES 512  /* room for options_describe */

/* The words of each CHOICE row, in the row's order. */
enum disk_mode {
    DISK_REGISTERED,
    DISK_AUTO,
    DISK_KNOWN, /* auto, with the word that kernels read no memory but what CUDA gave out */
    DISK_ALWAYS,
    DISK_OFF
};
enum cacheable_mode {
    CACHEABLE_AUTO,
    CACHEABLE_REGISTERED,
    CACHEABLE_NONE
};
enum allocator_mode {
    ALLOCATOR_VMM,
    ALLOCATOR_NATIVE,
    ALLOCATOR_MANAGED,
    ALLOCATOR_POOL
};
enum deepbind_mode {
    DEEPBIND_CLEAR,
    DEEPBIND_KEEP
};
enum residency_mode {
    RESIDENCY_MAPPED,
    RESIDENCY_STRICT,
    RESIDENCY_AUTO
};
enum on_full_mode {
    ON_FULL_REFUSE,
    ON_FULL_ALLOW
};
enum live_mode {
    LIVE_OWN,
    LIVE_GROUP,
    LIVE_OFF
};
enum meminfo_mode {
    MEMINFO_VIRTUAL,
    MEMINFO_REAL
};
/* The words of EBBTIDE_POLICY are enum policy_kind of policies.h. */
/* The words of EBBTIDE_LOG are enum log_level of log.h. */

/* One per device ordinal. A device that the text does not name has the default. */
struct device_budgets {
    struct size_spec of[OPTIONS_DEVICES];
};

struct spill_dir {
    char path[OPTIONS_PATH_BYTES]; /* absolute */
    struct size_spec budget;       /* valid if has_budget, else disk_budget holds */
    bool has_budget;
};

struct spill_dirs {
    unsigned count; /* 1 to OPTIONS_DIRS */
    struct spill_dir of[OPTIONS_DIRS];
};

/* How far an area may grow, and from when on that is minded. */
struct share_option {
    uint32_t min_ppm, max_ppm; /* 0 when off */
    bool off;
    bool with_api; /* from the program's first successful call of the API on */
};

/* Of the pool allocator: bytes or shares of the device budget; the former at most the latter where both are alike. */
struct pool_sizes {
    struct size_spec initial;
    struct size_spec maximum;
};

#define OPTIONS_FIELD_AREA(_field)     struct share_option _field
#define OPTIONS_FIELD_DEVICES(_field)  struct device_budgets _field
#define OPTIONS_FIELD_DIRS(_field)     struct spill_dirs _field
#define OPTIONS_FIELD_SIZE(_field)     struct size_spec _field
#define OPTIONS_FIELD_PERIOD(_field)   uint32_t _field
#define OPTIONS_FIELD_POOL(_field)     struct pool_sizes _field
#define OPTIONS_FIELD_FRACTION(_field) uint32_t _field
#define OPTIONS_FIELD_MS(_field)       uint32_t _field
#define OPTIONS_FIELD_BYTES(_field)    uint64_t _field
#define OPTIONS_FIELD_LEAST(_field)    uint64_t _field /* UINT64_MAX: none */
#define OPTIONS_FIELD_CHOICE(_field)   int _field
#define OPTIONS_FIELD_FLAG(_field)     bool _field
#define OPTIONS_FIELD_PATH(_field)     char _field[OPTIONS_PATH_BYTES] /* "" for none */

struct options {
#define OPTION(field, type, default_text, variable, flag, forms, help) OPTIONS_FIELD_##type(field);
#include "base/options.def"
};

/* A path that an option has: `%p` becomes the process id. 0 or -ENAMETOOLONG. */
int options_path(const char *path, char *buf, size_t size);

/* Whether the allocator makes blocks. */
static inline bool options_have_blocks(const struct options *o)
{
    return o->allocator != ALLOCATOR_NATIVE;
}

/* Whether pointers are searched for, so that blocks may go to which there is none. */
static inline bool options_search(const struct options *o)
{
    return o->disk == DISK_AUTO || o->disk == DISK_KNOWN;
}

enum option_type {
    OPTION_AREA,
    OPTION_DEVICES,
    OPTION_DIRS,
    OPTION_SIZE,
    OPTION_POOL,
    OPTION_PERIOD,
    OPTION_FRACTION,
    OPTION_MS,
    OPTION_BYTES,
    OPTION_LEAST,
    OPTION_CHOICE,
    OPTION_FLAG,
    OPTION_PATH,
};

struct option_row {
    const char *variable; /* with EBBTIDE_ */
    const char *flag;     /* without -- */
    const char *default_text;
    const char *forms;
    const char *help;
    enum option_type type;
    size_t field_offset; /* in struct options */
};

/* The OPTION rows in their order, ended by one whose variable is NULL. */
extern const struct option_row options_rows[];

enum options_fault {
    OPTIONS_BAD_VALUE,
    OPTIONS_UNKNOWN, /* an EBBTIDE_ variable that no version knows */
    OPTIONS_LATER,   /* one that this version does not have */
    OPTIONS_CROSSED, /* EBBTIDE_LOW above EBBTIDE_HIGH: both keep their defaults */
};

struct options_complaint {
    enum options_fault fault;
    const char *variable;         /* ended by NUL, or by = when it points into the environment */
    const char *value;            /* as given */
    const struct option_row *row; /* the row concerned; of an unknown name the nearest, or NULL */
};

/* Called once for each fault found. @complaint and what it points to live for this call only. */
typedef void (*options_complain_fn)(const struct options_complaint *complaint, void *arg);

/* Every field at its default. */
void options_init(struct options *out);

/* The paths that are relative are so to `folder`, an absolute one: a program may leave the one that it was started in.
 * Returns 0, or -ENAMETOOLONG: those that would be too long stay as they are. */
int options_make_absolute(struct options *options, const char *folder);

/**
 * Read all EBBTIDE_ variables of an environment over the defaults.
 *
 * @environ_like  NAME=value strings, ended by NULL; NULL stands for an empty one
 * @complain      NULL to keep silent
 * Returns        the number of faults; each leaves its field at the default, *out is always complete
 */
int options_parse(struct options *out, const char *const *environ_like, options_complain_fn complain,
                  void *arg);

/**
 * Set one option.
 *
 * @variable  with EBBTIDE_
 * @value     an empty one means the default
 * Returns    0; -ENOENT for a name that is no OPTION row; -EINVAL for a value it does not take;
 *            then nothing has changed
 */
int options_set(struct options *o, const char *variable, const char *value);

/**
 * Read the text of one option into its field.
 *
 * @text    not empty, but for a PATH
 * @field   the field of struct options that the row names
 * Returns  0, or -EINVAL; then the field is untouched
 */
int option_value_read(const struct option_row *row, const char *text, void *field);

/* The row of a variable (with EBBTIDE_) or of a flag (without --), or NULL. Both end at NUL or =. */
const struct option_row *options_find(const char *variable);
const struct option_row *options_find_flag(const char *flag);

/**
 * One line that names the variable, what is wrong and the accepted forms; not what happens next, which the
 * caller knows.
 *
 * Returns  the length written, at most buf_bytes - 1; always ended by NUL
 */
size_t options_describe(const struct options_complaint *complaint, char *buf, size_t buf_bytes);

/* Those of this process, read from its environment at the first call (nothing of it when the process is privileged), which
 * opens the log. Any thread, any time, also before our constructor has run. */
const struct options *options_of_process(void);

/* The driver lacks what the allocator that was asked for needs: from now on it is the driver's own. Before core_start. */
void options_account_only(void);
/** Has that been called? Once core_start was called. */
bool options_lack_driver(void);

#endif
