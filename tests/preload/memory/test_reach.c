/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on two simulated devices with budgets of 16 MiB each: who else reaches blocks that come and go. */
#include "../world.h"

#include <ebbtide.h>

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

/* A texture hides the address from us: its block stays for as long as the texture is there. */
Test(reach, a_block_behind_a_texture_stays_and_may_leave_afterwards)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    struct world world = world_make();
    CUDA_RESOURCE_DESC desc = {.resType = CU_RESOURCE_TYPE_LINEAR};
    struct ebb_block_info info = {.struct_bytes = sizeof info};
    CUdeviceptr block, others[BLOCKS];
    CUtexObject texture;
    void *pointer;

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemsetD32(block, bits_of(5), BLOCK_COUNT));
    pointer = (void *)(uintptr_t)block;
    cr_assert_eq(ebb_register(pointer, BLOCK_BYTES, 0, "behind a texture"), 0);
    desc.res.linear.devPtr = block;
    desc.res.linear.format = CU_AD_FORMAT_FLOAT;
    desc.res.linear.numChannels = 1;
    desc.res.linear.sizeInBytes = BLOCK_BYTES;
    OK(cuTexObjectCreate(&texture, &desc, &sampling, NULL));
    make(others); /* twice the budget */
    cr_expect_leq(ebb_evict(pointer, 0, EBB_TIER_HOST), 0);
    cr_assert_eq(ebb_query(pointer, &info), 0);
    cr_expect_eq(info.tier, EBB_TIER_DEVICE);
    OK(cuTexObjectDestroy(texture));
    cr_expect_eq(ebb_evict(pointer, 0, EBB_TIER_HOST), (long)BLOCK_BYTES);
    cr_assert_eq(ebb_query(pointer, &info), 0);
    cr_expect_neq(info.tier, EBB_TIER_DEVICE);
    cr_expect(all_are(block, BLOCK_COUNT, 5));
    cr_assert_eq(ebb_unregister(pointer), 0);
    release(others);
    OK(cuMemFree(block));
    world_end(&world);
}
