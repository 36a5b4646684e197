/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on the simulated driver with a device budget of 16 MiB and a host budget of 1 GiB: a program that makes green
 * contexts only, and never retains the primary one that they stand on.
 */
#include "../world.h"

enum {
    BLOCKS = 8, /* twice the budget */
    ROUNDS = 80 /* in which as much is left behind as the budgets hold together, and more */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static CUgreenCtx make_green(void)
{
    CUdevResource resource;
    CUdevResourceDesc desc;
    CUgreenCtx green;
    CUcontext context;

    OK(cuInit(0));
    OK(cuDeviceGetDevResource(0, &resource, CU_DEV_RESOURCE_TYPE_SM));
    OK(cuDevResourceGenerateDesc(&desc, &resource, 1));
    OK(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
    OK(cuCtxFromGreenCtx(&context, green));
    OK(cuCtxSetCurrent(context));
    return green;
}

Test(green, blocks_of_a_green_context_leave_and_come_back)
{
    CUgreenCtx green = make_green();
    CUdeviceptr block[BLOCKS];
    struct world world;

    OK(cuModuleLoad(&world.module, getenv("KERNELS")));
    OK(cuModuleGetFunction(&world.add, world.module, "add"));
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(world_add(&world, block[i], block[i], BLOCK_COUNT, NULL));
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, 2 * (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
    OK(cuModuleUnload(world.module));
    OK(cuGreenCtxDestroy(green));
}

Test(green, what_is_left_goes_with_the_last_one)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        CUgreenCtx green = make_green();
        CUdeviceptr block;

        for (unsigned i = 0; i < 4; i++)
            OK(cuMemAlloc(&block, BLOCK_BYTES));
        OK(cuGreenCtxDestroy(green));
    }
}

Test(green, the_primary_context_outlives_one_when_the_program_has_it_too)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUgreenCtx green = make_green();

    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
    }
    OK(cuGreenCtxDestroy(green));
    cr_expect_neq(cuGreenCtxDestroy(green), CUDA_SUCCESS);
    OK(cuCtxSetCurrent(world.context));
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
    world_end(&world);
}
