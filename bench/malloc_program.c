/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_program.c - a program that uses malloc, whichever serves it.
 *
 * usage: malloc_program pairs BYTES THREADS PAIRS BALLAST
 *   each thread allocates and frees an object of BYTES, PAIRS times, while the program holds BALLAST bytes besides.
 *   prints `ns`: processor time of a pair, of the least disturbed part of each thread, the mean over the threads
 * usage: malloc_program LOAD COUNT
 *   one of malloc_loads.c
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "malloc_loads.h"

enum {
    THREADS_MOST = 64,
    PARTS = 8,
    BALLAST_BYTES = 64 << 10
};

struct pairs {
    pthread_t thread;
    size_t bytes;
    unsigned long count;
    double best_ns; /* of a pair */
};

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Parts are long enough to hold what an allocator does only now and then. */
static void *run_pairs(void *arg)
{
    struct pairs *pairs = arg;
    unsigned long count = pairs->count / PARTS + 1;

    for (unsigned part = 0; part <= PARTS; part++) {
        double ns = cpu_ns();

        for (unsigned long i = 0; i < count; i++) {
            volatile char *object = must_malloc(pairs->bytes);

            *object = 1;
            free((void *)(size_t)object);
        }
        ns = (cpu_ns() - ns) / (double)count;
        /* The first part faults memory in and is not counted. */
        if (part == 1 || (part && ns < pairs->best_ns))
            pairs->best_ns = ns;
    }
    return NULL;
}

static int pairs(char **arguments)
{
    static struct pairs threads[THREADS_MOST];
    size_t ballast = strtoul(arguments[3], NULL, 10);
    unsigned count = (unsigned)strtoul(arguments[1], NULL, 10);
    double sum_ns = 0;

    if (!count || count > THREADS_MOST)
        return 2;
    for (size_t held = 0; held + BALLAST_BYTES <= ballast; held += BALLAST_BYTES)
        must_malloc(BALLAST_BYTES);
    for (unsigned i = 0; i < count; i++) {
        threads[i].bytes = strtoul(arguments[0], NULL, 10);
        threads[i].count = strtoul(arguments[2], NULL, 10);
        if (pthread_create(&threads[i].thread, NULL, run_pairs, &threads[i]))
            return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i].thread, NULL);
        sum_ns += threads[i].best_ns;
    }
    printf("ns %f\n", sum_ns / count);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "pairs") == 0)
        return pairs(argv + 2);
    if (argc == 3)
        return loads_run(argv[1], strtoul(argv[2], NULL, 10));
    fprintf(stderr, "usage: %s pairs BYTES THREADS PAIRS BALLAST, or LOAD COUNT\n", argv[0]);
    return 2;
}
