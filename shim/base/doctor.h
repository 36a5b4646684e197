/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - what `ebbtide doctor` prints of this process: which hooks are live, and what the core found.
 *
 * Called by the command alone, in a process of its own with the library preloaded. Lines are written with stdio.
 */
#ifndef EBB_DOCTOR_H
#define EBB_DOCTOR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/** The CUDA that this library is made for, as cuDriverGetVersion has it. Older drivers lack entries that moving needs; newer
 *  ones may have forms of entries that no hook stands in front of, which the self-test notices (self_test.h). */
#define DRIVER_OLDEST 11080
#define DRIVER_NEWEST 13000

#define VERSIONS_TEXT                                                                                        \
    "CUDA drivers 11.8 to 13.0; runtimes 11, 12 and 13, static or as libcudart.so.11.0, libcudart.so.12, "   \
    "libcudart.so.13"

struct options;

/** A line: a name and what is to be said of it. */
__attribute__((format(printf, 3, 4))) static inline void doctor_line(FILE *out, const char *name,
                                                                     const char *format, ...)
{
    va_list args;

    fprintf(out, "%-16s ", name);
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fputc('\n', out);
}

/** The budgets, where blocks go, and what the system lets us do. Without a started core: what can be said anyway.
 *  Returns whether nothing is missing. */
bool doctor_core(FILE *out, const struct options *options);

/** Exported: all of it. `has_started`: cuInit has succeeded. Returns whether nothing is missing. */
bool ebb_doctor(FILE *out, bool has_started);

#endif
