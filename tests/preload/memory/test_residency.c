/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on two simulated devices of a driver that gives host-located memory only while each of them has a context,
 * with a budget of 16 MiB each. Only what is mapped may leave here.
 */
#include "../world.h"

enum {
    BLOCKS = 8 /* twice the budget */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static CUresult make(CUdeviceptr *block, float value)
{
    CUresult result = cuMemAlloc(block, BLOCK_BYTES);

    if (result == CUDA_SUCCESS)
        OK(cuMemsetD32(*block, bits_of(value), BLOCK_COUNT));
    return result;
}

Test(residency, host_memory_is_asked_for_again_when_there_is_another_context)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUresult result = CUDA_SUCCESS;
    CUcontext other;
    unsigned count = 0;

    while (count < BLOCKS && (result = make(&block[count], (float)count)) == CUDA_SUCCESS)
        count++;
    cr_assert_eq(result, CUDA_ERROR_OUT_OF_MEMORY, "nothing can leave yet");
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    for (; count < BLOCKS; count++)
        OK(make(&block[count], (float)count));
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
    OK(cuDevicePrimaryCtxRelease(1));
    world_end(&world);
}
