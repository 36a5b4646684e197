/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_lines.h - the lines that the library writes, for tests that run preloaded. They go to EBBTIDE_LOG_FILE, which
 * several processes share: standard error cannot be turned around within a process, since the library then keeps
 * silent.
 */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long listened_from;

/* What is written from now on. */
static inline FILE *listen_to_errors(void)
{
    FILE *file = fopen(getenv("EBBTIDE_LOG_FILE"), "r");

    cr_assert(file);
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    listened_from = ftell(file);
    return file;
}

/* How many of these lines a process has written since then. */
static inline unsigned lines_of(FILE *file, pid_t process, const char *word)
{
    char start[32], line[1024];
    unsigned count = 0;

    snprintf(start, sizeof start, "ebbtide[%d]: ", (int)process);
    cr_assert_eq(fseek(file, listened_from, SEEK_SET), 0);
    while (fgets(line, sizeof line, file))
        count += strncmp(line, start, strlen(start)) == 0 && strstr(line, word) != NULL;
    return count;
}

static inline unsigned lines_with(FILE *file, const char *word)
{
    return lines_of(file, getpid(), word);
}

#endif
