/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on two simulated devices with budgets of 16 MiB each: who else reaches blocks that come and go. */
#include "../world.h"

enum {
    BLOCKS = 8
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static void make(CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
    }
}

static void release(const CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(cuMemFree(block[i]));
}

Test(reach, a_peers_kernels_still_may_after_blocks_have_moved)
{
    struct world world = world_make();
    CUdeviceptr theirs[BLOCKS], ours;
    CUcontext other;

    OK(cuMemAlloc(&ours, BLOCK_BYTES));
    OK(cuMemsetD32(ours, 0, BLOCK_COUNT));
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxEnablePeerAccess(other, 0));
    OK(cuCtxSetCurrent(other));
    make(theirs); /* twice the budget: some have left before the first look */
    OK(cuCtxSynchronize());
    OK(cuCtxSetCurrent(world.context));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < BLOCKS; i++)
            OK(world_add(&world, ours, theirs[i], BLOCK_COUNT, NULL));
    cr_expect(all_are(ours, BLOCK_COUNT, 3 * (BLOCKS * (BLOCKS - 1) / 2)));
    OK(cuMemFree(ours));
    OK(cuCtxSetCurrent(other));
    release(theirs);
    OK(cuDevicePrimaryCtxRelease(1));
    OK(cuCtxSetCurrent(world.context));
    world_end(&world);
}

/* A kernel without a context stands for a function of each; its parameters are laid out by the library's image. */
Test(reach, a_kernel_handles_parameters_are_seen)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUlibrary library;
    CUkernel add;
    uint64_t count = BLOCK_COUNT;

    OK(cuLibraryLoadFromFile(&library, getenv("KERNELS"), NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&add, library, "add"));
    make(block);
    for (unsigned i = 0; i + 1 < BLOCKS; i++) {
        void *parameters[] = {&block[i + 1], &block[i], &count};

        OK(cuLaunchKernel((CUfunction)add, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    }
    cr_expect(all_are(block[BLOCKS - 1], BLOCK_COUNT, BLOCKS * (BLOCKS - 1) / 2));
    release(block);
    OK(cuLibraryUnload(library));
    world_end(&world);
}
