/* SPDX-License-Identifier: Apache-2.0 */
/* Registered host memory through the public API, in a program that never uses a device. */
#include <criterion/criterion.h>
#include <ebbtide.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

TestSuite(host, .timeout = 120);

static unsigned *map_registered(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    cr_assert_eq(ebb_register(memory, bytes, 0, "host"), 0);
    return memory;
}

static void fill(unsigned *words, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        words[i] = (unsigned)i * 2654435761u + 1;
}

static bool is_filled(const unsigned *words, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        if (words[i] != (unsigned)i * 2654435761u + 1)
            return false;
    return true;
}

static struct ebb_stats stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now;
}

/* The host budget is 64 MiB. */
Test(host, registered_data_may_be_larger_than_the_budget)
{
    unsigned *words = map_registered(160 * MIB);

    fill(words, 160 * MIB);
    cr_expect_leq(stats().tier[EBB_TIER_HOST].used_bytes, 64 * MIB);
    if (stats().to_disk_bytes == 0)
        cr_skip("faults of the kernel are not handed to this user");
    cr_expect(is_filled(words, 160 * MIB));
    cr_expect_leq(stats().tier[EBB_TIER_HOST].peak_bytes, 64 * MIB);
    cr_expect_geq(stats().from_disk_bytes, 96 * MIB);
}

static void *fork_and_look(void *argument)
{
    unsigned *words = argument;
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(is_filled(words, 16 * MIB) ? 0 : 1);
    cr_expect(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    return NULL;
}

Test(host, children_of_many_threads_have_what_is_away)
{
    unsigned *words = map_registered(16 * MIB);
    pthread_t thread[4];

    fill(words, 16 * MIB);
    if (ebb_evict(words, 0, EBB_TIER_DISK) != (long)(16 * MIB))
        cr_skip("faults of the kernel are not handed to this user");
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, fork_and_look, words), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_expect(is_filled(words, 16 * MIB));
    cr_expect_eq(ebb_unregister(words), 0);
}

Test(host, pinned_memory_stays)
{
    unsigned *words = map_registered(16 * MIB), *others;
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    fill(words, 16 * MIB);
    cr_expect_eq(ebb_pin(words, EBB_RO, NULL), 0);
    cr_expect_eq(ebb_evict(words, 0, EBB_TIER_DISK), -EBUSY);
    others = map_registered(56 * MIB); /* more than there is room for */
    fill(others, 56 * MIB);
    cr_expect_eq(ebb_query(words + 5, &info), 0);
    cr_expect_eq(info.tier, EBB_TIER_HOST);
    cr_expect_eq(info.resident_bytes, 16 * MIB);
    cr_expect_eq(ebb_unregister(others), 0);
    cr_expect_eq(ebb_unpin(words, 0), 0);
    cr_expect_eq(ebb_unregister(words), 0);
}

Test(host, least_recent_memory_leaves_when_no_object_is_named)
{
    unsigned *first = map_registered(16 * MIB), *second = map_registered(16 * MIB);
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    if (ebb_evict(first, 0, EBB_TIER_DISK) == -ENOTSUP)
        cr_skip("faults of the kernel are not handed to this user");
    fill(first, 16 * MIB);
    fill(second, 16 * MIB);
    cr_expect_eq(ebb_touch(second), 0);
    cr_expect_eq(ebb_evict(NULL, 16 * MIB, EBB_TIER_DISK), (long)(16 * MIB));
    cr_expect_eq(ebb_query(first, &info), 0);
    cr_expect_eq(info.tier, EBB_TIER_DISK);
    cr_expect_eq(ebb_query(second, &info), 0);
    cr_expect_eq(info.tier, EBB_TIER_HOST);
    cr_expect_eq(ebb_evict(NULL, SIZE_MAX, EBB_TIER_HOST), 0);
    cr_expect_eq(ebb_evict(NULL, SIZE_MAX, EBB_TIER_DISK), (long)(16 * MIB));
    cr_expect(is_filled(first, 16 * MIB) && is_filled(second, 16 * MIB));
    cr_expect_eq(ebb_unregister(first), 0);
    cr_expect_eq(ebb_unregister(second), 0);
}
