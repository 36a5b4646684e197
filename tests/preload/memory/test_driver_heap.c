/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on a simulated driver that takes 32 MiB of the heap for a new stream while it holds its lock, with a device
 * budget of 16 MiB and a host budget of 48 MiB, which blocks fill that can go on to the disk.
 */
#include "../world.h"

#include <malloc.h>

enum {
    BLOCKS = 12
};
#define BLOCK_BYTES   (4 * MIB)
#define BLOCK_COUNT   (BLOCK_BYTES / sizeof(float))
#define SCRATCH_BYTES (32 * MIB)
#define LARGE_BYTES   (64 * MIB)

static void make(CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
    }
    OK(cuCtxSynchronize());
}

static void check_and_free(const CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
}

Test(driver_heap, driver_waits_for_nobody_who_waits_for_the_driver)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;

    make(block);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamDestroy(stream));
    check_and_free(block);
    world_end(&world);
}

static void *by_malloc(void)
{
    return malloc(LARGE_BYTES);
}

static void *by_calloc(void)
{
    return calloc(2, LARGE_BYTES / 2);
}

static void *by_realloc(void)
{
    void *small = malloc(1), *large = realloc(small, LARGE_BYTES);

    if (!large)
        free(small);
    return large;
}

static void *by_memalign(void)
{
    return memalign(4096, LARGE_BYTES);
}

static void *by_aligned_alloc(void)
{
    return aligned_alloc(64, LARGE_BYTES);
}

static void *by_posix_memalign(void)
{
    void *memory;

    return posix_memalign(&memory, 4096, LARGE_BYTES) == 0 ? memory : NULL;
}

static void *by_valloc(void)
{
    return valloc(LARGE_BYTES);
}

static void *by_pvalloc(void)
{
    return pvalloc(LARGE_BYTES);
}

static void *(*const larger[])(void) = {by_malloc,        by_calloc,         by_realloc, by_memalign,
                                        by_aligned_alloc, by_posix_memalign, by_valloc,  by_pvalloc};

Test(driver_heap, program_still_waits_for_room)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;

    make(block);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING)); /* whose right passes to nobody */
    void *volatile memory = malloc(SCRATCH_BYTES);

    cr_expect(memory, "blocks go to disk for it");
    free(memory);
    for (unsigned i = 0; i < sizeof larger / sizeof *larger; i++) {
        OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        memory = larger[i]();
        cr_expect_null(memory, "more than the budget, by way %u", i);
        free(memory);
    }
    check_and_free(block);
    world_end(&world);
}
