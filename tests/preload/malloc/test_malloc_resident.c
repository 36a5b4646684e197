/* SPDX-License-Identifier: Apache-2.0 */
/* A host budget of 256 MiB: what is in memory keeps to it as well, and not only what the program holds. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 6,
    OBJECTS = 200
};

#define MIB    ((size_t)1 << 20)
#define BUDGET (256 * MIB) /* as meson.build sets it */

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    size_t kib = 0;

    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %zu kB", &kib) == 1)
            break;
    fclose(file);
    return kib << 10;
}

static pthread_barrier_t turn;
static size_t bytes_of[THREADS];

/* Most of the budget, written to and freed, in an arena of its own: no thread ends before the last has had its turn. */
static void *take_and_free(void *arg)
{
    char *object[OBJECTS];
    size_t *bytes = arg;

    for (unsigned i = 0; i < THREADS; i++) {
        pthread_barrier_wait(&turn);
        if (bytes != &bytes_of[i])
            continue;
        for (unsigned j = 0; j < OBJECTS; j++) {
            object[j] = malloc(MIB);
            if (object[j])
                memset(object[j], 1, MIB);
        }
        *bytes = resident();
        for (unsigned j = 0; j < OBJECTS; j++)
            free(object[j]);
    }
    pthread_barrier_wait(&turn);
    return NULL;
}

Test(resident, what_one_thread_has_freed_makes_room_for_what_another_takes)
{
    pthread_t thread[THREADS];

    pthread_barrier_init(&turn, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, take_and_free, &bytes_of[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_expect_geq(bytes_of[i], OBJECTS * MIB);
        cr_expect_leq(bytes_of[i], BUDGET + BUDGET / 20, "thread %u: %zu MiB", i, bytes_of[i] / MIB);
    }
}
