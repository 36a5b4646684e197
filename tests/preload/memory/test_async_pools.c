/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded as in test_async.c: pools, and what is remembered of streams and threads. */
#include "ordered.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
    COMINGS = 4000,
    MANY = 4096
};

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t all, resident;

    cr_assert(file);
    cr_assert_eq(fscanf(file, "%zu %zu", &all, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Three streams, of which each follows the one before, and leaves something behind that it freed. */
static void come_and_go(void)
{
    CUstream stream[3];
    CUevent event = make_event();

    for (unsigned i = 0; i < 3; i++) {
        stream[i] = make_stream();
        if (i)
            OK(cuStreamWaitEvent(stream[i], event, 0));
        for (unsigned j = 0; j < 4; j++)
            OK(cuMemFreeAsync(allocate(SMALL_BYTES + 512 * j, stream[i]), stream[i]));
        OK(cuEventRecord(event, stream[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        OK(cuStreamDestroy(stream[i]));
    OK(cuEventDestroy(event));
    OK(cuCtxSynchronize());
}

static void *come_and_go_alone(void *world)
{
    OK(cuCtxSetCurrent(((const struct world *)world)->context));
    OK(cuMemFreeAsync(allocate(SMALL_BYTES, CU_STREAM_PER_THREAD), CU_STREAM_PER_THREAD));
    return NULL;
}

Test(async, streams_and_threads_that_have_gone_are_forgotten)
{
    struct world world = begin();
    size_t before = 0;
    pthread_t thread;

    for (unsigned i = 0; i < COMINGS; i++) {
        come_and_go();
        cr_assert_eq(pthread_create(&thread, NULL, come_and_go_alone, &world), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        if (i == COMINGS / 4)
            before = resident_bytes();
    }
    cr_expect_lt(resident_bytes(), before + MIB / 4, "%zu more", resident_bytes() - before);
    end(&world);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

static CUmemoryPool make_pool(int device, size_t most_bytes)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
                                       .maxSize = most_bytes};
    CUmemoryPool pool;

    OK(cuMemPoolCreate(&pool, &properties));
    return pool;
}

Test(async, a_pool_keeps_to_its_size)
{
    struct world world = begin();
    CUmemoryPool pool = make_pool(0, 8 * MIB);
    CUstream stream = make_stream();
    CUdeviceptr block[3];

    OK(cuMemAllocFromPoolAsync(&block[0], BLOCK_BYTES, pool, stream));
    OK(cuMemAllocFromPoolAsync(&block[1], BLOCK_BYTES, pool, stream));
    cr_expect_eq(cuMemAllocFromPoolAsync(&block[2], BLOCK_BYTES, pool, stream), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemFreeAsync(block[0], stream));
    OK(cuMemAllocFromPoolAsync(&block[2], BLOCK_BYTES, pool, stream));
    OK(cuMemFreeAsync(block[1], stream));
    OK(cuMemFreeAsync(block[2], stream));
    OK(cuMemPoolDestroy(pool));
    end(&world);
}

Test(async, what_is_not_passed_is_not_trimmed)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr block = allocate(BLOCK_BYTES, stream);

    hold(stream);
    OK(cuMemsetD32Async(block, 1, WORDS, stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemPoolTrimTo(pool_of(&world), 0));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    atomic_store(&let_go, true);
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
        ;
    OK(cuMemPoolTrimTo(pool_of(&world), 0));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

/* The driver refuses; meanwhile the pool is what it was. */
static atomic_bool goes_on;

static void *destroy_often(void *world)
{
    CUmemoryPool pool = pool_of(world);

    while (atomic_load(&goes_on))
        if (cuMemPoolDestroy(pool) != CUDA_ERROR_INVALID_VALUE)
            return pool;
    return NULL;
}

Test(async, a_default_pool_that_others_try_to_destroy_has_all_of_its_memory)
{
    static CUdeviceptr block[MANY];
    struct world world = begin();
    CUstream stream = make_stream();
    pthread_t thread;
    void *destroyed;

    atomic_store(&goes_on, true);
    cr_assert_eq(pthread_create(&thread, NULL, destroy_often, &world), 0);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < MANY / 2; i++)
            block[i] = allocate(512, stream);
        cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), MANY / 2 * 512);
        for (unsigned i = 0; i < MANY / 2; i++)
            OK(cuMemFreeAsync(block[i], stream));
        cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    }
    atomic_store(&goes_on, false);
    cr_assert_eq(pthread_join(thread, &destroyed), 0);
    cr_expect_null(destroyed);
    end(&world);
}

Test(async, a_pool_lets_other_devices_in)
{
    struct world world = begin(), far = world;
    CUmemoryPool pool = make_pool(1, 0);
    CUmemAccessDesc let_in = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                              .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr near, block;
    CUstream stream;

    OK(cuDeviceGet(&far.device, 1));
    OK(cuDevicePrimaryCtxRetain(&far.context, far.device));
    OK(cuMemAlloc(&near, BLOCK_BYTES));
    OK(cuMemsetD32(near, 0x3f800000, WORDS)); /* 1.0f */
    OK(cuCtxSynchronize());
    stream = make_stream();
    OK(cuMemAllocFromPoolAsync(&block, BLOCK_BYTES, pool,
                               stream)); /* of a device that the stream is not on */
    OK(cuMemPoolSetAccess(pool, &let_in, 1));
    OK(cuMemsetD32Async(block, 0x40000000, WORDS, stream)); /* 2.0f */
    OK(world_add(&world, block, near, WORDS, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemAllocFromPoolAsync(&block, BLOCK_BYTES, pool, stream)); /* let in again */
    OK(cuMemsetD32Async(block, 0, WORDS, stream));
    OK(world_add(&world, block, near, WORDS, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block, WORDS, 1.0f));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemPoolDestroy(pool));
    OK(cuDevicePrimaryCtxRelease(far.device));
    end(&world);
}
