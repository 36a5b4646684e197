/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded with EBBTIDE_ALLOCATOR=managed, budgets of 16 MiB for the device and 32 MiB for the host. */
#include "world.h"

static size_t room(void)
{
    size_t free_bytes, total_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    return free_bytes;
}

Test(managed, what_waits_on_the_host_moves_up_when_something_is_freed)
{
    struct world world = world_make();
    CUdeviceptr first, second;

    OK(cuMemAlloc(&first, 12 * MIB));
    cr_expect_eq(room(), 4 * MIB);
    OK(cuMemAlloc(&second, 12 * MIB));
    OK(cuMemsetD32(second, bits_of(7), 1024));
    cr_expect_eq(room(), 4 * MIB, "the second is not on the device");
    OK(cuMemFree(first));
    cr_expect_eq(room(), 4 * MIB, "now it is");
    cr_expect(all_are(second, 1024, 7));
    OK(cuMemFree(second));
    cr_expect_eq(room(), 16 * MIB);
    world_end(&world);
}

Test(managed, what_waits_may_be_freed_first)
{
    struct world world = world_make();
    CUdeviceptr first, second;

    OK(cuMemAlloc(&first, 12 * MIB));
    OK(cuMemAlloc(&second, 12 * MIB));
    OK(cuMemFree(second));
    OK(cuMemFree(first));
    cr_expect_eq(room(), 16 * MIB);
    world_end(&world);
}

Test(managed, both_budgets_full_is_out_of_memory_and_changes_nothing)
{
    struct world world = world_make();
    CUdeviceptr block[8];
    unsigned count = 0;

    while (count < 8 && cuMemAlloc(&block[count], 8 * MIB) == CUDA_SUCCESS)
        count++;
    cr_expect_geq(count, 4);
    cr_expect_leq(count, 6);
    cr_expect_eq(cuMemAlloc(&block[7], 8 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(room(), 0);
    for (unsigned i = 0; i < count; i++)
        OK(cuMemFree(block[i]));
    cr_expect_eq(room(), 16 * MIB);
    world_end(&world);
}
