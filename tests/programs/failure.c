/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

void failure_exit(enum failure_status status, const char *call, const char *text)
{
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;

    /* Never unlocked: exit runs in one thread. */
    pthread_mutex_lock(&first);
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, call, text);
    exit(status);
}

void *failure_malloc(unsigned long bytes)
{
    void *memory = malloc(bytes ? bytes : 1);

    if (!memory)
        failure_exit(FAILURE_OUT_OF_MEMORY, "malloc", "out of memory");
    return memory;
}
