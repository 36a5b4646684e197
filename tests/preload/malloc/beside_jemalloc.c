/* SPDX-License-Identifier: Apache-2.0 */
/* beside_jemalloc.c - linked to libjemalloc: what one API gives the other takes, as jemalloc(3) promises; see heap.py. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jemalloc/jemalloc.h>

static bool mix(size_t bytes)
{
    char *given = malloc(bytes), *extended = mallocx(bytes, MALLOCX_ALIGN(64) | MALLOCX_ZERO), *moved;
    bool good = given && extended && (size_t)extended % 64 == 0 && extended[bytes - 1] == 0;

    memset(given, 1, bytes);
    memset(extended, 2, bytes);
    moved = rallocx(given, bytes * 2, 0);
    good = good && moved && moved[bytes - 1] == 1 && sallocx(moved, 0) == malloc_usable_size(moved);
    extended = realloc(extended, bytes * 3);
    good = good && extended && extended[bytes - 1] == 2;
    sdallocx(moved, bytes * 2, 0);
    dallocx(extended, 0);
    free(mallocx(bytes, 0));
    dallocx(malloc(bytes), MALLOCX_TCACHE_NONE);
    return good && nallocx(bytes, 0) >= bytes;
}

static void *run(void *arg)
{
    for (size_t bytes = 1; bytes < 4000000; bytes = bytes * 5 / 3 + 1)
        if (!mix(bytes))
            *(bool *)arg = false;
    return NULL;
}

static void nowhere(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

int main(void)
{
    size_t allocated = 0, bytes = sizeof allocated, printed = 0;
    unsigned long long epoch = 1;
    pthread_t thread[4];
    bool good = true;

    for (unsigned i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, run, &good);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    if (mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) ||
        mallctl("stats.allocated", &allocated, &bytes, NULL, 0) || !allocated)
        good = false;
    malloc_stats_print(nowhere, &printed, NULL);
    puts(good && printed > 1000 ? "kept" : "not kept");
    return !good;
}
