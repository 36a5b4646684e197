/* SPDX-License-Identifier: Apache-2.0 */
/* faulty.c - `faulty` is sound; `faulty x` writes behind the end of an object. For checkers of memory; see heap.py. */
#include "object.h"

#include <pthread.h>

static void *run(void *arg)
{
    objects_pass();
    return arg;
}

int main(int count, char **arguments)
{
    volatile char *memory = malloc(100);
    pthread_t thread;

    (void)arguments;
    if (pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL))
        fail("no thread");
    objects_pass();
    memory[count > 1 ? 101 : 99] = 1;
    free((void *)memory);
    say("kept\n");
    return 0;
}
