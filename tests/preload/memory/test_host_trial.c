/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory at a block's address, which is tried before the first block goes there. Preloaded on two simulated devices with a
 * budget of 16 MiB each; only what is mapped may leave.
 */
#include "../world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCKS = 8 /* twice the budget */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

/* Of the simulated driver; a program is told nothing of what lies under a block. */
bool simgpu_has_access(CUdeviceptr address, int ordinal);

/* Pieces of host memory that a device may use. */
static unsigned host_pieces(int device)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned pieces = 0;
    char line[512];

    cr_assert(maps);
    while (fgets(line, sizeof(line), maps)) {
        uint64_t start;

        if (strstr(line, "simgpu-host") && sscanf(line, "%" SCNx64, &start) == 1)
            pieces += simgpu_has_access(start, device);
    }
    fclose(maps);
    return pieces;
}

static void expect_values(const CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
}

Test(found, host_memory_is_for_the_devices_whose_blocks_are_there)
{
    struct world world = world_make();
    CUdeviceptr first[BLOCKS], second[BLOCKS];
    CUcontext other;

    fill_blocks(first, BLOCKS, BLOCK_BYTES);
    cr_expect_gt(host_pieces(0), 0);
    cr_expect_eq(host_pieces(1), 0, "nobody uses it");
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxSetCurrent(other));
    fill_blocks(second, BLOCKS, BLOCK_BYTES);
    cr_expect_gt(host_pieces(1), 0);
    expect_values(second);
    OK(cuCtxSetCurrent(world.context));
    expect_values(first);
    free_blocks(first, BLOCKS);
    OK(cuCtxSetCurrent(other));
    free_blocks(second, BLOCKS);
    OK(cuDevicePrimaryCtxRelease(1));
    OK(cuCtxSetCurrent(world.context));
    world_end(&world);
}

/* A kernel that writes nothing stands for a device that does not come to host memory. */
Test(missed, blocks_stay_where_no_kernel_finds_host_memory)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    unsigned count = 0;

    while (count < BLOCKS && cuMemAlloc(&block[count], BLOCK_BYTES) == CUDA_SUCCESS) {
        OK(cuMemsetD32(block[count], bits_of((float)count), BLOCK_COUNT));
        count++;
    }
    cr_expect_eq(count, 4, "%u", count);
    for (unsigned i = 0; i < count; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
    free_blocks(block, count);
    world_end(&world);
}
