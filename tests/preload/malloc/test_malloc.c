/* SPDX-License-Identifier: Apache-2.0 */
/* The malloc family under the preload: what glibc promises, the ledger to the byte, the budget never passed. */
#include <criterion/criterion.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 64
#define SLOTS   64
#define MANY    ((size_t)PTRDIFF_MAX)
#define BUDGET  ((size_t)256 << 20) /* as meson.build sets it */
#define LARGEST 100000

void cfree(void *memory) __attribute__((weak)); /* no longer in glibc's headers, nor for new programs */
size_t sallocx(const void *memory, int flags) __attribute__((weak));

static volatile size_t sink_bytes; /* the compiler must not know that a size is too large */

Test(malloc, is_ours)
{
    void *memory = malloc(100);

    cr_assert(sallocx, "the library is not preloaded");
    cr_expect_eq(sallocx(memory, 0), malloc_usable_size(memory));
    cr_expect_geq(malloc_usable_size(memory), 100);
    cfree(memory);
}

Test(malloc, aligns_every_size_to_16_bytes)
{
    for (size_t bytes = 0; bytes < 20000; bytes += bytes < 64 ? 1 : 61) {
        void *memory = malloc(bytes), *zeroed = calloc(1, bytes);

        cr_assert(memory && (uintptr_t)memory % 16 == 0 && malloc_usable_size(memory) >= bytes);
        cr_assert(zeroed && (uintptr_t)zeroed % 16 == 0);
        free(memory);
        free(zeroed);
    }
}

Test(malloc, refuses_more_than_PTRDIFF_MAX_with_ENOMEM)
{
    sink_bytes = MANY;
    errno = 0;
    cr_expect_null(malloc(sink_bytes + 1));
    cr_expect_eq(errno, ENOMEM);
    errno = 0;
    cr_expect_null(calloc(sink_bytes, 16));
    cr_expect_eq(errno, ENOMEM);
    errno = 0;
    cr_expect_null(reallocarray(NULL, sink_bytes, 16));
    cr_expect_eq(errno, ENOMEM);
    errno = 0;
    cr_expect_null(pvalloc(SIZE_MAX - (MANY - sink_bytes)));
    cr_expect_eq(errno, ENOMEM);
    char *memory = malloc(10);
    strcpy(memory, "kept");
    errno = 0;
    cr_expect_null(realloc(memory, sink_bytes + 1));
    cr_expect_eq(errno, ENOMEM);
    cr_expect_str_eq(memory, "kept");
    free(memory);
}

Test(malloc, aligned_forms_follow_glibc)
{
    void *memory = NULL;

    errno = 7;
    cr_expect_eq(posix_memalign(&memory, 24, 8), EINVAL);
    cr_expect_eq(posix_memalign(&memory, 4, 8), EINVAL);
    cr_expect_eq(posix_memalign(&memory, 64, MANY - 100 + sink_bytes), ENOMEM);
    cr_expect_null(memory);
    cr_expect_eq(errno, 7, "posix_memalign touched errno");
    for (size_t alignment = 8; alignment <= 1 << 20; alignment *= 2) {
        cr_assert_eq(posix_memalign(&memory, alignment, 100), 0);
        cr_expect_eq((uintptr_t)memory % alignment, 0);
        free(memory);
        memory = aligned_alloc(alignment, alignment);
        cr_expect_eq((uintptr_t)memory % alignment, 0);
        free(memory);
    }
    sink_bytes = 24;
    memory = memalign(sink_bytes, 10);
    cr_expect_eq((uintptr_t)memory % 32, 0, "rounded up to a power of two");
    free(memory);
    memory = valloc(1);
    cr_expect_eq((uintptr_t)memory % 4096, 0);
    free(memory);
    memory = pvalloc(1);
    cr_expect_geq(malloc_usable_size(memory), 4096);
    free(memory);
}

Test(malloc, realloc_keeps_what_was_there)
{
    unsigned char *memory = NULL;

    for (size_t bytes = 1; bytes < (16 << 20); bytes = bytes * 3 + 1) {
        memory = realloc(memory, bytes);
        cr_assert(memory);
        for (size_t i = 0; i < bytes / 3; i++)
            cr_assert_eq(memory[i], (unsigned char)(i * 7));
        for (size_t i = 0; i < bytes; i++)
            memory[i] = (unsigned char)(i * 7);
    }
    memory = realloc(memory, 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(memory[i], (unsigned char)(i * 7));
    cr_expect_null(realloc(memory, 0));
}

/* Large is what has four pages of those that the library is built for. */
#ifdef __x86_64__
#define STEP_BYTES ((size_t)4000)
#else
#define STEP_BYTES ((size_t)64000)
#endif

Test(malloc, realloc_moves_a_large_object_rarely)
{
    unsigned char *memory = NULL;
    unsigned moves = 0;

    for (size_t bytes = 5 * STEP_BYTES; bytes < 75 * STEP_BYTES; bytes += STEP_BYTES) {
        unsigned char *moved = realloc(memory, bytes);

        cr_assert(moved);
        moves += moved != memory;
        memory = moved;
        cr_assert(bytes == 5 * STEP_BYTES || memory[bytes - STEP_BYTES - 1] == 7);
        memory[bytes - 1] = 7;
    }
    cr_expect_leq(moves, 6, "%u moves of 70 steps", moves);
    free(memory);
}

Test(malloc, calloc_zeroes_what_was_used_before)
{
    for (size_t bytes = 16; bytes < (8 << 20); bytes *= 4) {
        unsigned char *memory = malloc(bytes);

        memset(memory, 255, bytes);
        free(memory);
        memory = calloc(bytes / 8, 8);
        for (size_t i = 0; i < bytes; i++)
            cr_assert_eq(memory[i], 0);
        free(memory);
    }
}

Test(malloc, free_keeps_errno)
{
    void *small = malloc(10), *large = malloc(32 << 20);

    errno = 99;
    free(small);
    free(large);
    free(NULL);
    cr_expect_eq(errno, 99);
}

/* ---- the ledger ------------------------------------------------------------------------------------------ */

struct shared {
    pthread_mutex_t lock;
    void *memory[SLOTS * THREADS];
    unsigned long operations;
};
static struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t draw_bytes(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 100;

    if (kind < 70)
        return (size_t)rand_r(seed) % 512;
    if (kind < 95)
        return (size_t)rand_r(seed) % 20000;
    return (size_t)rand_r(seed) % 300000;
}

static pthread_key_t late_key;

static void free_late(void *memory)
{
    free(memory);
}

/* Allocates, hands over and frees what others allocated; ends with memory that its key's destructor frees. */
static void *churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg * 2654435761u;

    pthread_setspecific(late_key, malloc(12345));
    for (unsigned long i = 0; i < shared.operations; i++) {
        unsigned slot = (unsigned)rand_r(&seed) % (SLOTS * THREADS);
        void *mine, *other;

        pthread_mutex_lock(&shared.lock);
        mine = shared.memory[slot];
        shared.memory[slot] = NULL;
        pthread_mutex_unlock(&shared.lock);
        if (mine && rand_r(&seed) % 3 == 0) {
            other = realloc(mine, draw_bytes(&seed) + 1);
            mine = other ? other : mine;
        } else {
            free(mine);
            mine = rand_r(&seed) % 2 ? malloc(draw_bytes(&seed)) : NULL;
        }
        pthread_mutex_lock(&shared.lock);
        other = shared.memory[slot];
        shared.memory[slot] = mine;
        pthread_mutex_unlock(&shared.lock);
        free(other);
    }
    return NULL;
}

static void run_threads(unsigned generation)
{
    pthread_t thread[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, churn, (void *)(i + 1 + generation * THREADS)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

Test(ledger, is_exact_after_a_storm_of_64_threads)
{
    unsigned long all = getenv("EBBTIDE_TEST_LONG") ? 100000000 : 1000000, generations = 4;
    size_t before, live = 0;

    pthread_key_create(&late_key, free_late);
    shared.operations = 1;
    run_threads(0); /* what the C library keeps of threads is there from now on */
    for (unsigned i = 0; i < SLOTS * THREADS; i++) {
        free(shared.memory[i]);
        shared.memory[i] = NULL;
    }
    before = mallinfo2().uordblks;
    shared.operations = all / THREADS / generations;
    for (unsigned generation = 1; generation <= generations; generation++)
        run_threads(generation);
    for (unsigned i = 0; i < SLOTS * THREADS; i++)
        live += malloc_usable_size(shared.memory[i]);
    cr_expect_eq(mallinfo2().uordblks - before, live, "ledger %zu, model %zu", mallinfo2().uordblks - before,
                 live);
    for (unsigned i = 0; i < SLOTS * THREADS; i++)
        free(shared.memory[i]);
    cr_expect_eq(mallinfo2().uordblks, before);
}

/* ---- the budget ------------------------------------------------------------------------------------------ */

static _Atomic size_t held;
static _Atomic bool refused;
static pthread_barrier_t all_done;

struct node {
    struct node *next;
};

static void *take_all(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct node *list = NULL, *node;

    while (!atomic_load(&refused)) {
        node = malloc(sizeof *node + (size_t)rand_r(&seed) % LARGEST);
        if (!node) {
            atomic_store(&refused, true);
            break;
        }
        node->next = list;
        list = node;
        atomic_fetch_add(&held, malloc_usable_size(node));
    }
    pthread_barrier_wait(&all_done);
    pthread_barrier_wait(&all_done);
    while ((node = list)) {
        list = node->next;
        free(node);
    }
    return NULL;
}

Test(budget, is_nearly_used_up_and_never_passed_by_64_threads)
{
    pthread_t thread[THREADS];
    size_t ledger, again;
    void *memory;

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
    cr_expect_geq(ledger, BUDGET - BUDGET / 100, "the first refusal came at %zu of %zu", ledger, BUDGET);
    memory = malloc(BUDGET / 2);
    cr_expect(memory, "what was freed can be had again");
    free(memory);
    again = mallinfo2().uordblks;
    cr_expect_lt(again, BUDGET / 2);
}

/* ---- fork ------------------------------------------------------------------------------------------------ */

static _Atomic bool stop;

static void *keep_busy(void *arg)
{
    while (!atomic_load(&stop)) {
        free(malloc(100));
        free(malloc(50000));
        free(malloc(3000000));
    }
    return arg;
}

Test(fork, a_child_of_a_threaded_program_allocates_at_once)
{
    pthread_t thread[3];

    for (unsigned i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, keep_busy, NULL);
    for (unsigned i = 0; i < (getenv("EBBTIDE_TEST_LONG") ? 1000 : 50); i++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            alarm(20);
            for (unsigned n = 0; n < 100; n++)
                free(realloc(malloc(n * 1000), n * 3000));
            _exit(mallinfo2().uordblks < BUDGET ? 0 : 1);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0, "child %u ended with %x", i, (unsigned)status);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}
