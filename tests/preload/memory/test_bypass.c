/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on the simulated driver with a device budget of 16 MiB: libraries beside the driver that are loaded, BESIDE
 * being the folder that they lie in.
 */
#include "../log_lines.h"
#include "../world.h"

#include <dlfcn.h>

enum {
    FIT = 4,   /* blocks in the budget */
    BLOCKS = 8 /* twice as many */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static void load(const char *name)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", getenv("BESIDE"), name);
    cr_assert(dlopen(path, RTLD_NOW), "%s", dlerror());
}

/* Returns how many could be made. */
static unsigned make(CUdeviceptr *block, unsigned first, unsigned end)
{
    unsigned i = first;

    while (i < end && cuMemAlloc(&block[i], BLOCK_BYTES) == CUDA_SUCCESS) {
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
        i++;
    }
    return i;
}

static void check_and_free(const CUdeviceptr *block, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
}

static void stays_from_the_load_on(const char *name)
{
    FILE *errors = listen_to_errors();
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    cr_assert_eq(make(block, 0, FIT + 1), FIT + 1, "before it is loaded one leaves");
    load(name);
    unsigned made = make(block, FIT + 1, BLOCKS);

    /* One may be made in host memory. */
    cr_expect_leq(made, FIT + 2, "nothing leaves any more");
    cr_expect_eq(lines_with(errors, name), 1);
    cr_expect_eq(lines_with(errors, "memory is accounted and nothing is moved"), 1);
    check_and_free(block, made);
    /* What is free is free again, deferred or not. */
    cr_expect_eq(make(block, 0, FIT), FIT);
    check_and_free(block, FIT);
    world_end(&world);
    fclose(errors);
}

Test(bypass, nothing_moves_once_nvenc_is_loaded)
{
    stays_from_the_load_on("libnvidia-encode.so");
}

Test(bypass, nothing_moves_once_optix_is_loaded)
{
    stays_from_the_load_on("libnvoptix.so");
}

Test(bypass, what_was_loaded_first_counts_before_the_first_move)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    load("libnvoptix.so.1");
    unsigned made = make(block, 0, BLOCKS);

    cr_expect_leq(made, FIT + 1, "none leaves");
    check_and_free(block, made);
    world_end(&world);
}

Test(bypass, blocks_move_beside_nvdec_and_gdrcopy)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    load("libnvcuvid.so.1");
    load("libgdrapi.so.2");
    cr_expect_eq(make(block, 0, BLOCKS), BLOCKS);
    check_and_free(block, BLOCKS);
    world_end(&world);
}
