/* SPDX-License-Identifier: Apache-2.0 */
/* Threads one after another: what an ended one kept serves the next, and the ledger stays exact to the byte. */
#include <criterion/criterion.h>

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));

/* Long enough for a cache. Returns what it freed last. */
static void *work_a_while(void *arg)
{
    void *memory[200] = {arg};

    for (unsigned i = 0; i < 200; i++)
        memory[i] = malloc(1000);
    for (unsigned i = 0; i < 200; i++)
        free(memory[i]);
    return memory[199];
}

static void *ask_once(void *arg)
{
    (void)arg;
    return malloc(1000);
}

static void *result_of(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    void *result = NULL;

    if (pthread_create(&thread, NULL, run, arg) == 0)
        pthread_join(thread, &result);
    return result;
}

Test(threads, begin_with_what_an_ended_one_kept)
{
    size_t before;
    void *kept, *got;

    result_of(work_a_while, NULL); /* what the C library keeps of threads is there from now on */
    before = mallinfo2().uordblks;
    kept = result_of(work_a_while, NULL);
    got = result_of(ask_once, NULL);
    cr_expect_eq(got, kept);
    cr_expect_eq(mallinfo2().uordblks, before + malloc_usable_size(got));
    free(got);
    cr_expect_eq(mallinfo2().uordblks, before);
    malloc_trim(0);
    cr_expect_eq(mallinfo2().uordblks, before, "what nobody took over was given back");
    cr_expect(got = result_of(ask_once, NULL));
    cr_expect_eq(mallinfo2().uordblks, before + malloc_usable_size(got));
    free(got);
}

Test(threads, begin_in_a_forked_child_after_others_ended_in_its_parent)
{
    int status = -1;
    size_t before;
    pid_t child;

    result_of(work_a_while, NULL);
    before = mallinfo2().uordblks;
    child = fork();
    if (child == 0) {
        alarm(20);
        result_of(work_a_while, NULL);
        free(result_of(ask_once, NULL));
        malloc_trim(0);
        _exit(mallinfo2().uordblks == before ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
}

static uint64_t figure_of_thread(const char *name)
{
    uint64_t bytes = 0;
    size_t size = sizeof bytes;

    mallctl(name, &bytes, &size, NULL, 0);
    return bytes;
}

/* Before it has allocated anything, and after. */
static void *tell_counters(void *arg)
{
    uint64_t *told = arg;

    told[0] = figure_of_thread("thread.allocated");
    told[1] = figure_of_thread("thread.deallocated");
    work_a_while(NULL);
    told[2] = figure_of_thread("thread.allocated");
    return NULL;
}

Test(threads, count_what_they_allocate_from_0)
{
    uint64_t told[3];

    cr_assert(mallctl, "the library is not preloaded");
    result_of(work_a_while, NULL);
    result_of(work_a_while, NULL);
    result_of(tell_counters, told);
    cr_expect_eq(told[0], 0, "%llu", (unsigned long long)told[0]);
    cr_expect_eq(told[1], 0);
    cr_expect_geq(told[2], 200 * 1000);
    cr_expect_leq(told[2], 300 * 1000);
}

static bool has_cache(void)
{
    bool has = false;
    size_t size = sizeof has;

    mallctl("thread.tcache.enabled", &has, &size, NULL, 0);
    return has;
}

/* After so many objects of 16 bytes. */
static void *tell_cache(void *arg)
{
    bool *told = arg;

    for (unsigned i = 0; i < 1000; i++) {
        free(malloc(16));
        if (i == 100)
            told[0] = has_cache();
    }
    told[1] = has_cache();
    return NULL;
}

Test(threads, get_a_cache_when_they_go_on)
{
    bool told[2] = {false, false};

    cr_assert(mallctl, "the library is not preloaded");
    result_of(tell_cache, told);
    cr_expect_not(told[0], "a short one pays for nothing");
    cr_expect(told[1]);
}

static unsigned arena_of_thread(void)
{
    unsigned arena = 0;
    size_t bytes = sizeof arena;

    mallctl("thread.arena", &arena, &bytes, NULL, 0);
    return arena;
}

static void *choose_arena(void *arg)
{
    mallctl("thread.arena", NULL, NULL, arg, sizeof(unsigned));
    return work_a_while(NULL);
}

static void *tell_arena(void *arg)
{
    work_a_while(NULL);
    *(unsigned *)arg = arena_of_thread();
    return NULL;
}

Test(threads, do_not_begin_with_the_arena_that_an_ended_one_chose)
{
    unsigned chosen = 0, next = 0;
    size_t bytes = sizeof chosen;

    cr_assert(mallctl, "the library is not preloaded");
    cr_assert_eq(mallctl("arenas.create", &chosen, &bytes, NULL, 0), 0);
    result_of(choose_arena, &chosen);
    result_of(tell_arena, &next);
    cr_expect_neq(next, chosen);
}
