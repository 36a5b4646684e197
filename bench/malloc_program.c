/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_program.c - a program that uses malloc, whichever serves it.
 *
 * usage: malloc_program pairs BYTES THREADS PAIRS BALLAST
 *   each thread allocates and frees an object of BYTES, PAIRS times, while the program holds BALLAST bytes besides.
 *   prints `ns`: processor time of a pair, of the least disturbed part of each thread, the mean over the threads
 * usage: malloc_program operators BYTES THREADS PAIRS BALLAST
 *   the same by C++'s new and delete, whoever has them
 * usage: malloc_program LOAD COUNT
 *   one of malloc_loads.c
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
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
    void (*run)(size_t bytes, unsigned long count);
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

static void do_pairs(size_t bytes, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        volatile char *object = must_malloc(bytes);

        *object = 1;
        free((void *)(size_t)object);
    }
}

static struct {
    void *(*new)(size_t bytes);
    void (*delete)(void *memory);
} operators;

static void do_operator_pairs(size_t bytes, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        volatile char *object = operators.new(bytes);

        *object = 1;
        operators.delete((void *)(size_t)object);
    }
}

/* Parts are long enough to hold what an allocator does only now and then. */
static void *run_pairs(void *arg)
{
    struct pairs *pairs = arg;
    unsigned long count = pairs->count / PARTS + 1;

    for (unsigned part = 0; part <= PARTS; part++) {
        double ns = cpu_ns();

        pairs->run(pairs->bytes, count);
        ns = (cpu_ns() - ns) / (double)count;
        /* The first part faults memory in and is not counted. */
        if (part == 1 || (part && ns < pairs->best_ns))
            pairs->best_ns = ns;
    }
    return NULL;
}

/* False: there is no C++ library. */
static bool find_operators(void)
{
    if (!dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL))
        return false;
    *(void **)&operators.new = dlsym(RTLD_DEFAULT, "_Znwm");
    *(void **)&operators.delete = dlsym(RTLD_DEFAULT, "_ZdlPv");
    return operators.new &&operators.delete;
}

static int pairs(char **arguments, bool by_operators)
{
    static struct pairs threads[THREADS_MOST];
    size_t ballast = strtoul(arguments[3], NULL, 10);
    unsigned count = (unsigned)strtoul(arguments[1], NULL, 10);
    double sum_ns = 0;

    if (!count || count > THREADS_MOST || (by_operators && !find_operators()))
        return 2;
    for (size_t held = 0; held + BALLAST_BYTES <= ballast; held += BALLAST_BYTES)
        must_malloc(BALLAST_BYTES);
    for (unsigned i = 0; i < count; i++) {
        threads[i].run = by_operators ? do_operator_pairs : do_pairs;
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
    if (argc == 6 && (strcmp(argv[1], "pairs") == 0 || strcmp(argv[1], "operators") == 0))
        return pairs(argv + 2, *argv[1] == 'o');
    if (argc == 3)
        return loads_run(argv[1], strtoul(argv[2], NULL, 10));
    fprintf(stderr, "usage: %s pairs|operators BYTES THREADS PAIRS BALLAST, or LOAD COUNT\n", argv[0]);
    return 2;
}
