/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on a simulated device that lets memory be mapped and refuses access to it: to some, or to all. */
#include "../world.h"

#include <ebbtide.h>
#include <errno.h>

enum {
    BLOCKS = 12 /* three times the budget */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static struct ebb_stats stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now;
}

/* SIMGPU_RDMA=refuse, as on WSL2. */
Test(some, blocks_are_made_of_memory_that_may_be_used)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    cr_expect_eq(ebb_register((void *)(uintptr_t)block[0], BLOCK_BYTES, 0, "block"), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
    cr_expect_gt(stats().to_host_bytes, 0);
    world_end(&world);
}

/* Every cuMemSetAccess of the library fails. */
Test(all, memory_is_the_drivers_where_mappings_may_not_be_used)
{
    struct world world = world_make();
    CUdeviceptr memory[2];

    for (unsigned i = 0; i < 2; i++) {
        OK(cuMemAlloc(&memory[i], BLOCK_BYTES));
        OK(cuMemsetD32(memory[i], bits_of((float)i), BLOCK_COUNT));
        cr_expect(all_are(memory[i], BLOCK_COUNT, (float)i));
    }
    cr_expect_eq(ebb_register((void *)(uintptr_t)memory[0], BLOCK_BYTES, 0, "memory"), -ENOTSUP);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].used_bytes, 2 * BLOCK_BYTES, "it is accounted");
    for (unsigned i = 0; i < 2; i++)
        OK(cuMemFree(memory[i]));
    world_end(&world);
}
