/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on the simulated device with a budget of 16 MiB, where every context says to the library, and to nobody
 * else, that it has ended. Nothing runs when something must move, so that the library may believe it.
 */
#include "../world.h"

enum {
    BLOCKS = 12
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

Test(context_ended, a_context_that_has_ended_holds_up_no_move_and_no_free)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
        OK(cuCtxSynchronize());
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(cuMemFree(block[i]));
    OK(cuMemAlloc(&block[0], 12 * MIB));
    OK(cuMemFree(block[0]));
    world_end(&world);
}
