/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asleep.h - a thread that is seen to wait, for tests in which it must.
 */
#ifndef EBBTIDE_TESTS_ASLEEP_H
#define EBBTIDE_TESTS_ASLEEP_H

#include <stdbool.h>
#include <stdio.h>

/* It has no processor, and nothing to do: it waits. @id  by gettid */
static inline bool asleep(int id)
{
    char path[64], state = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    file = fopen(path, "r");
    if (!file)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(file);
    return state == 'S';
}

#endif
