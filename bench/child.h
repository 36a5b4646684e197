/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - unmodified programs, run with or without the library that is preloaded.
 *
 * Paths are found from the bench's own place in the build folder. A program prints figures, one `name value` a line.
 * Errors   a program that fails says why on standard error, and its figures are absent.
 */
#ifndef EBB_BENCH_CHILD_H
#define EBB_BENCH_CHILD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    CHILD_TEXT = 16384
};

struct child {
    const char *program;          /**< below bench/ of the build folder, or an absolute path */
    const char *const *arguments; /**< ended by NULL */
    const char *const
        *environment; /**< pairs of name and value, ended by NULL; the simulated driver is added */
    bool preloaded;   /**< with the library */
};

/** Why programs cannot be run here, or NULL. */
const char *child_missing(void);

/** Copy the library to a new file, which the caller removes, into `path`. Which pages of memory a file lies in
 *  decides up to 3 % of the time of a program, for as long as it lies there. False with errno: there is no room. */
bool child_copy_library(char path[PATH_MAX]);

/** Run it to its end. False: it failed. `out_text` gets what it printed, ended by NUL, and behind that, when it ran
 *  with the library, the library's statistics. */
bool child_run(const struct child *child, char out_text[CHILD_TEXT]);

/** Run it to its end and tell what that took, from the fork on: processor time of the child, and time on the wall.
 *  Its output is not looked at and no statistics are written. False: it failed. */
bool child_time(const struct child *child, double *out_cpu_ns, double *out_wall_ns);

/** The number that follows `name`, or the first `part` behind it where that is not NULL; negative: there is none. */
double child_figure(const char *text, const char *name, const char *part);

#endif
