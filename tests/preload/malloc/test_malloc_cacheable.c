/* SPDX-License-Identifier: Apache-2.0 */
/* EBBTIDE_HOST_CACHEABLE=4M: larger objects of the heap go to disk by themselves. The host budget is 64 MiB. */
#include <criterion/criterion.h>
#include <ebbtide.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB  ((size_t)1 << 20)
#define MANY 10

TestSuite(cacheable, .timeout = 60);

static int is_block(void *memory)
{
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    return ebb_query(memory, &info) == 0;
}

Test(cacheable, every_way_to_a_large_object_makes_a_block_and_a_small_one_none)
{
    void *memory[] = {malloc(5 * MIB), calloc(5, MIB), realloc(NULL, 5 * MIB), aligned_alloc(65536, 5 * MIB),
                      realloc(malloc(MIB), 5 * MIB)};
    void *small = malloc(3 * MIB);

    errno = 55;
    for (unsigned i = 0; i < sizeof memory / sizeof memory[0]; i++) {
        cr_expect(is_block(memory[i]), "way %u", i);
        free(memory[i]);
        cr_expect_not(is_block(memory[i]), "way %u", i);
    }
    cr_expect_not(is_block(small));
    free(small);
    cr_expect_eq(errno, 55);
}

Test(cacheable, data_of_the_heap_may_be_larger_than_the_budget)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};
    unsigned char *memory[MANY];

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            memory[i] = round % 2 ? calloc(10, MIB) : malloc(10 * MIB);
            if (!memory[i] && !now.to_disk_bytes)
                cr_skip("faults of the kernel are not handed to this user");
            cr_assert(memory[i], "round %u, object %u", round, i);
            for (size_t n = 0; round % 2 && n < 10 * MIB; n += 509)
                cr_assert_eq(memory[i][n], 0);
            memset(memory[i], (int)(i + 1), 10 * MIB);
            cr_assert_eq(ebb_get_stats(&now), 0);
            cr_expect_leq(now.tier[EBB_TIER_HOST].used_bytes, 64 * MIB);
        }
        for (unsigned i = 0; i < MANY; i++)
            for (size_t n = 0; n < 10 * MIB; n += 509)
                cr_assert_eq(memory[i][n], i + 1);
        for (unsigned i = 0; i < MANY; i++)
            free(memory[i]);
    }
    cr_expect_geq(now.to_disk_bytes, 36 * MIB);
    cr_assert_eq(ebb_get_stats(&now), 0);
    cr_expect_lt(now.tier[EBB_TIER_HOST].used_bytes, 32 * MIB);
}

static bool all_there(unsigned char *const *memory)
{
    for (unsigned i = 0; i < MANY; i++)
        for (size_t n = 0; n < 10 * MIB; n += 509)
            if (memory[i][n] != i + 1)
                return false;
    return true;
}

/* It has more in memory than the budget then, and nothing of that can leave: it may allocate as its parent could. */
Test(cacheable, forked_child_has_what_was_away_allocates_and_frees)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};
    unsigned char *memory[MANY];
    int status;

    for (unsigned i = 0; i < MANY; i++) {
        memory[i] = malloc(10 * MIB);
        if (!memory[i])
            cr_skip("faults of the kernel are not handed to this user");
        memset(memory[i], (int)(i + 1), 10 * MIB);
    }
    pid_t child = fork();

    if (child == 0) {
        bool good = all_there(memory);
        void *more = malloc(MIB);

        good = good && more;
        for (unsigned i = 0; i < MANY; i++)
            free(memory[i]);
        for (unsigned i = 0; i < 4 && good; i++)
            good = malloc(10 * MIB);
        _exit(good ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect(all_there(memory));
    for (unsigned i = 0; i < MANY; i++)
        free(memory[i]);
    cr_assert_eq(ebb_get_stats(&now), 0);
    cr_expect_leq(now.tier[EBB_TIER_HOST].peak_bytes, 64 * MIB);
}

static pid_t bare_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

Test(cacheable, child_that_no_handler_is_told_of_has_what_was_away)
{
    pid_t (*const make[])(void) = {_Fork, bare_clone};
    unsigned char *memory[MANY];
    int status;

    for (unsigned i = 0; i < MANY; i++) {
        memory[i] = malloc(10 * MIB);
        if (!memory[i])
            cr_skip("faults of the kernel are not handed to this user");
        memset(memory[i], (int)(i + 1), 10 * MIB);
    }
    for (unsigned way = 0; way < 2; way++) {
        pid_t child = make[way]();

        if (child == 0)
            _exit(all_there(memory) ? 0 : 1);
        cr_assert_eq(waitpid(child, &status, 0), child);
        if (status && way && geteuid())
            cr_skip("the kernel does not tell this user of children");
        cr_expect_eq(status, 0, "way %u: status %x", way, status);
        cr_expect(all_there(memory));
    }
    for (unsigned i = 0; i < MANY; i++)
        free(memory[i]);
}

Test(cacheable, pages_that_the_program_gives_up_are_empty)
{
    unsigned char *memory[MANY], found = 0;

    for (unsigned i = 0; i < MANY; i++) {
        if (posix_memalign((void **)&memory[i], 4096, 10 * MIB))
            cr_skip("faults of the kernel are not handed to this user");
        memset(memory[i], (int)(i + 1), 10 * MIB);
    }
    for (unsigned i = 0; i < MANY; i++)
        cr_assert_eq(madvise(memory[i], 5 * MIB, MADV_DONTNEED), 0);
    for (unsigned i = 0; i < MANY; i++)
        for (size_t n = 0; n < 5 * MIB; n += 509) {
            found |= memory[i][n];
            cr_assert_eq(memory[i][n + 5 * MIB], i + 1);
        }
    cr_expect_eq(found, 0);
    for (unsigned i = 0; i < MANY; i++)
        free(memory[i]);
}
