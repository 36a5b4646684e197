/* SPDX-License-Identifier: Apache-2.0 */
/* A host budget of 4 GiB, nearly all of it used when the first request is refused. The memory is never touched. */
#include <criterion/criterion.h>

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define THREADS 64
#define BUDGET  ((size_t)4 << 30) /* as meson.build sets it */
#define LARGEST 100000

static _Atomic size_t held;
static _Atomic bool refused;
static pthread_barrier_t all_done;

static void *take_all(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    size_t bytes = 0;

    while (!atomic_load(&refused)) {
        void *memory = malloc(1 + (size_t)rand_r(&seed) % LARGEST);

        bytes += memory ? malloc_usable_size(memory) : 0;
        if (!memory)
            atomic_store(&refused, true);
    }
    atomic_fetch_add(&held, bytes);
    pthread_barrier_wait(&all_done);
    pthread_barrier_wait(&all_done);
    return NULL;
}

Test(full, the_first_of_64_threads_is_refused_at_999_thousandths_and_the_budget_is_never_passed)
{
    pthread_t thread[THREADS];
    size_t ledger;

    pthread_barrier_init(&all_done, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, take_all, (void *)(i + 1)), 0);
    pthread_barrier_wait(&all_done);
    ledger = mallinfo2().uordblks;
    pthread_barrier_wait(&all_done);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    cr_expect_leq(ledger, BUDGET);
    cr_expect_leq(held, ledger);
    cr_expect_geq(held, BUDGET - BUDGET / 1000, "held %zu", (size_t)held);
}
