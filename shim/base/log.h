/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line out, also from inside malloc, a fork child or a dying process.
 *
 * Shape    a line is `ebbtide[pid]: warn: text`, at most LOG_LINE_BYTES, one write(2); longer text ends in "...".
 *          Warnings are capped at LOG_WARNINGS, then one line says that more were suppressed.
 * Owns     the level, the file and the count of warnings of the process. Never allocates, never locks.
 * Threads  any, at any time after log_init; before it, warnings go to standard error. errno is kept.
 * Text     lower case, exact cause, what happens instead, units always. Never logged while a lock is held.
 */
#ifndef EBB_LOG_H
#define EBB_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/lock.h"

#define LOG_LINE_BYTES 896
#define LOG_WARNINGS   32

enum log_level {
    LOG_ERROR, /* the user must act */
    LOG_WARN,  /* we gave something up; the text says what happens instead */
    LOG_INFO,  /* start, stop, configuration */
    LOG_DEBUG, /* per move */
    LOG_TRACE, /* per call */
};

/* A duplicate of the program's descriptor for threads that do not have it under its number, for the log to close, or -1;
 * the number itself for those that have it. NULL: all have. */
extern int (*log_borrow)(int file);

/* What is wanted, most verbose level included. Written by log_init only. */
extern enum log_level log_threshold;

/**
 * Set level and file, and forget earlier warnings.
 *
 * @path    appended to, created for the user alone; NULL or "" for standard error. Must outlive the log. A file, or a
 *          character device: nothing that somebody has to read
 * Returns  0, or the -errno of opening path, -EINVAL for what is neither; then lines go to standard error
 */
int log_init(enum log_level level, const char *path);

/* Close the file; later lines go to standard error. */
void log_finish(void);

static inline bool log_wants(enum log_level level)
{
    return level <= log_threshold;
}

/* Write a line if its level is wanted; the arguments are not evaluated otherwise. */
#define log_line(_level, ...)                                                                                \
    (lock_assert_none(), log_wants(_level) ? log_write(_level, __VA_ARGS__) : (void)0)

/* The line without the check. Use log_line. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * printf into a buffer without libc, whose own may allocate. Any program text of ours uses this one.
 *
 * @format  %d %i %u %x %c %s %p %%, with l, ll or z for the integers, flags - and 0, a width (digits or *), and for %s a
 *          precision; any other conversion ends the formatting and the rest of the format comes out as it is
 * Returns  the length written, at most size - 1; always ended by NUL when size > 0
 */
size_t log_format(char *buf, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* The same with the arguments spelled out. */
size_t log_print(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
