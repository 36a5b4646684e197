/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory of the program's own, preloaded on a simulated device of 64 MiB of which 48 are the budget. */
#include <pthread.h>

#include "../log_lines.h"
#include "../world.h"

#include <ebbtide.h>

size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes, int ordinal);

enum {
    BUDGET_MIB = 48
};

static CUdeviceptr managed(size_t mib)
{
    CUdeviceptr address;

    OK(cuMemAllocManaged(&address, mib * MIB, CU_MEM_ATTACH_GLOBAL));
    return address;
}

static void bring(CUdeviceptr address, size_t mib, CUmemLocationType to)
{
    OK(cuMemPrefetchAsync(address, mib * MIB, (CUmemLocation){.type = to}, 0, NULL));
    OK(cuCtxSynchronize());
}

static size_t free_mib(void)
{
    size_t free_bytes, total_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    cr_expect_eq(total_bytes, BUDGET_MIB * MIB, "%zu", total_bytes);
    return free_bytes / MIB;
}

static struct ebb_stats stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof(now)};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now;
}

static size_t used_mib(void)
{
    return stats().tier[EBB_TIER_DEVICE].used_bytes / MIB;
}

Test(floating, managed_memory_of_twice_the_device_is_not_refused)
{
    struct world world = world_make();
    size_t before = free_mib();
    CUdeviceptr part[4], whole;

    for (unsigned i = 0; i < 4; i++)
        part[i] = managed(32);
    whole = managed(256);
    cr_expect_eq(free_mib(), before, "nothing of it is anywhere yet");
    for (unsigned i = 0; i < 4; i++) {
        OK(cuMemsetD32(part[i], bits_of((float)i), 32 * MIB / sizeof(float)));
        OK(cuCtxSynchronize());
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_expect(all_are(part[i], 32 * MIB / sizeof(float), (float)i), "part %u", i);
        OK(cuMemFree(part[i]));
    }
    OK(cuMemFree(whole));
    cr_expect_eq(free_mib(), before);
    world_end(&world);
}

Test(floating, what_of_it_is_on_the_device_counts)
{
    struct world world = world_make();
    size_t before = free_mib(), used = used_mib();
    CUdeviceptr address = managed(100);

    bring(address, 16, CU_MEM_LOCATION_TYPE_DEVICE);
    cr_expect_eq(simgpu_managed_bytes(address, 100 * MIB, 0), 16 * MIB);
    cr_expect_eq(before - free_mib(), 16);
    cr_expect_eq(used_mib() - used, 16);
    bring(address, 16, CU_MEM_LOCATION_TYPE_HOST);
    cr_expect_eq(free_mib(), before);
    bring(address, 16, CU_MEM_LOCATION_TYPE_DEVICE);
    OK(cuMemFree(address));
    cr_expect_eq(free_mib(), before);
    cr_expect_eq(used_mib(), used);
    world_end(&world);
}

Test(floating, it_makes_room_for_blocks)
{
    struct world world = world_make();
    size_t used = used_mib();
    CUdeviceptr address = managed(100), block[5];

    OK(cuMemsetD32(address, bits_of(7), 100 * MIB / sizeof(float)));
    bring(address, 64, CU_MEM_LOCATION_TYPE_DEVICE);
    cr_expect_eq(free_mib(), 0);
    for (unsigned i = 0; i < 5; i++) {
        OK(cuMemAlloc(&block[i], 8 * MIB));
        OK(cuMemsetD32(block[i], bits_of((float)i), 8 * MIB / sizeof(float)));
    }
    for (unsigned i = 0; i < 5; i++)
        cr_expect(all_are(block[i], 8 * MIB / sizeof(float), (float)i), "block %u", i);
    cr_expect_eq(stats().evictions, 0, "the driver's pages leave, and no block");
    cr_expect(all_are(address, 100 * MIB / sizeof(float), 7));
    for (unsigned i = 0; i < 5; i++)
        OK(cuMemFree(block[i]));
    OK(cuMemFree(address));
    cr_expect_eq(used_mib(), used);
    world_end(&world);
}

static size_t on_device(CUdeviceptr address, size_t mib)
{
    return simgpu_managed_bytes(address, mib * MIB, 0) / MIB;
}

static void fill(CUdeviceptr address, size_t mib, float value)
{
    OK(cuMemsetD32(address, bits_of(value), mib * MIB / sizeof(float)));
    OK(cuCtxSynchronize());
}

Test(floating, no_more_of_it_is_on_the_device_than_the_budget_allows)
{
    struct world world = world_make();
    CUdeviceptr address = managed(100), block;

    fill(address, 100, 3);
    cr_expect_eq(on_device(address, 100), BUDGET_MIB);
    OK(cuMemAlloc(&block, 8 * MIB));
    cr_expect_leq(on_device(address, 100), BUDGET_MIB - 8);
    cr_expect(all_are(address, 100 * MIB / sizeof(float), 3));
    OK(cuMemFree(block));
    OK(cuMemFree(address));
    world_end(&world);
}

Test(floating, what_was_used_longest_ago_leaves_for_what_a_kernel_names)
{
    struct world world = world_make();
    CUdeviceptr first = managed(24), second = managed(24), third = managed(24);
    size_t words = 24 * MIB / sizeof(float);

    fill(second, 24, 2);
    fill(first, 24, 1);
    fill(third, 24, 3);
    cr_expect_eq(on_device(second, 24), 0);
    cr_expect_eq(on_device(first, 24), 24);
    OK(world_add(&world, second, first, (unsigned)words, NULL));
    OK(cuCtxSynchronize());
    cr_expect_eq(on_device(second, 24), 24);
    cr_expect_eq(on_device(third, 24), 0);
    cr_expect(all_are(second, words, 3));
    cr_expect(all_are(third, words, 3));
    OK(cuMemFree(first));
    OK(cuMemFree(second));
    OK(cuMemFree(third));
    world_end(&world);
}

static int told(CUmem_range_attribute attribute, CUdeviceptr address, size_t mib)
{
    int value = -7;

    OK(cuMemRangeGetAttribute(&value, sizeof(value), attribute, address, mib * MIB));
    return value;
}

Test(floating, the_program_is_told_its_own_advice_wherever_the_pages_are)
{
    static const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE};
    struct world world = world_make();
    CUdeviceptr address = managed(24), other;
    int accessors[2];

    OK(cuMemAdvise(address, 12 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, device));
    OK(cuMemAdvise(address, 24 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, device));
    fill(address, 24, 1);
    other = managed(48);
    fill(other, 48, 2);
    cr_assert_eq(on_device(address, 24), 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address, 12), 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address, 24), CU_DEVICE_INVALID);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address + 12 * MIB, 12), CU_DEVICE_INVALID);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 24), 1);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, address, 24), CU_DEVICE_INVALID);
    OK(cuMemRangeGetAttribute(accessors, sizeof(accessors), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, address,
                              24 * MIB));
    cr_expect_eq(accessors[0], CU_DEVICE_INVALID);
    OK(cuMemAdvise(address, 24 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, device));
    OK(cuMemAdvise(address, 24 * MIB, CU_MEM_ADVISE_UNSET_READ_MOSTLY, device));
    OK(cuMemRangeGetAttribute(accessors, sizeof(accessors), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, address,
                              24 * MIB));
    cr_expect_eq(accessors[0], 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 24), 0);
    fill(address, 24, 4);
    cr_expect_eq(on_device(address, 12), 12, "it is back, and prefers to be");
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address, 12), 0);
    cr_expect(all_are(address, 24 * MIB / sizeof(float), 4));
    cr_expect(all_are(other, 48 * MIB / sizeof(float), 2));
    OK(cuMemFree(address));
    OK(cuMemFree(other));
    world_end(&world);
}

Test(floating, a_prefetch_brings_what_there_is_room_for)
{
    struct world world = world_make();
    CUdeviceptr first = managed(40), second = managed(60);
    CUstream stream;

    fill(first, 40, 1);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemPrefetchAsync(second, 60 * MIB, (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE}, 0, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(on_device(second, 60), BUDGET_MIB);
    cr_expect_eq(on_device(first, 40), 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, second, 60), 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, first, 40), CU_DEVICE_INVALID);
    bring(second, 60, CU_MEM_LOCATION_TYPE_HOST);
    cr_expect_eq(on_device(second, 60), 0);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, second, 60), CU_DEVICE_CPU);
    cr_expect(all_are(first, 40 * MIB / sizeof(float), 1));
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(first));
    OK(cuMemFree(second));
    world_end(&world);
}

Test(floating, what_is_wrong_with_a_call_is_the_driver_s_to_say)
{
    static const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
                               none = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 9};
    struct world world = world_make();
    CUdeviceptr address = managed(60);
    int value[2];

    cr_expect_eq(cuMemPrefetchAsync(address, 61 * MIB, device, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemPrefetchAsync(address, 0, device, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemPrefetchAsync(address, 60 * MIB, none, 0, NULL), CUDA_ERROR_INVALID_DEVICE);
    cr_expect_eq(cuMemPrefetchAsync(address, 60 * MIB, device, 1, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemAdvise(address, 61 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, device),
                 CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemAdvise(address, 60 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, none),
                 CUDA_ERROR_INVALID_DEVICE);
    cr_expect_eq(cuMemAdvise(address, 60 * MIB, (CUmem_advise)99, device), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemRangeGetAttribute(value, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 60 * MIB),
                 CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemRangeGetAttribute(NULL, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 60 * MIB),
                 CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(told(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address, 60), 0);
    OK(cuMemFree(address));
    cr_expect_eq(cuMemPrefetchAsync(address, 60 * MIB, device, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemAdvise(address, 60 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, device),
                 CUDA_ERROR_INVALID_VALUE);
    world_end(&world);
}

struct asker {
    struct world *world;
    CUdeviceptr address;
    bool advises;
};

/* Every call of the driver is a point at which the thread could end. */
static void *ask(void *arg)
{
    static const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE};
    const struct asker *asker = arg;

    OK(cuCtxSetCurrent(asker->world->context));
    pthread_cancel(pthread_self());
    if (asker->advises)
        OK(cuMemAdvise(asker->address, 60 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, device));
    else
        OK(cuMemPrefetchAsync(asker->address, 60 * MIB, device, 0, NULL));
    pthread_testcancel();
    return NULL;
}

Test(cancelled, a_thread_that_ends_within_a_call_holds_nothing, .timeout = 60)
{
    struct world world = world_make();

    for (int advises = 0; advises < 2; advises++) {
        struct asker asker = {&world, managed(60), advises};
        pthread_t thread;

        fill(asker.address, 60, 1);
        cr_assert_eq(pthread_create(&thread, NULL, ask, &asker), 0);
        pthread_join(thread, NULL);
        OK(cuMemFree(asker.address));
    }
    world_end(&world);
}

Test(rooted, managed_memory_that_takes_its_room_at_once_is_held_to_the_budget)
{
    struct world world = world_make();
    FILE *lines = listen_to_errors();
    size_t before = free_mib();
    CUdeviceptr address = managed(24), another = managed(8), more;

    cr_expect_eq(before - free_mib(), 32);
    cr_expect_eq(cuMemAllocManaged(&more, 32 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(lines, "concurrentManagedAccess is 0"), 1);
    cr_expect_eq(lines_with(lines, "holds 32 MiB in managed memory (taken at once"), 1);
    fclose(lines);
    OK(cuMemFree(another));
    OK(cuMemFree(address));
    cr_expect_eq(free_mib(), before);
    world_end(&world);
}
