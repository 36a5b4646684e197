/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a linked structure that no kernel argument shows: its nodes lie in three blocks, its root in a
 * __device__ variable. Between the walks other data wants the device's memory.
 */
#include "linked.h"

#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"
#include "pressure.h"
#include "random.h"

#include <string.h>

enum {
    WALKS = 3
};

static struct found found_expected(uint64_t seed)
{
    struct found found = {0};

    for (; found.count < (uint64_t)LINKED_BLOCKS * LINKED_BLOCK_NODES; found.count++)
        found.mix = (found.mix ^ random_at(seed, found.count)) * linked_multiplier;
    return found;
}

static struct found list_walk(CUmodule module, CUfunction walk)
{
    uint64_t most = (uint64_t)LINKED_BLOCKS * LINKED_BLOCK_NODES;
    struct found found = {0};

    driver_launch(walk, 1, (void *[]){&most}, NULL);
    DRIVER(cuMemcpyDtoH, (&found, driver_global(module, "found", sizeof(found)), sizeof(found)));
    return found;
}

/* Where the first node lies, read from the variable and put there again: a copy with an address in it. */
static void root_copy(CUmodule module)
{
    CUdeviceptr variable = driver_global(module, "root", sizeof(CUdeviceptr)), root;

    DRIVER(cuMemcpyDtoH, (&root, variable, sizeof(root)));
    DRIVER(cuMemsetD8, (variable, 0, sizeof(root)));
    DRIVER(cuMemcpyHtoD, (variable, &root, sizeof(root)));
}

int main(int argc, char **argv)
{
    uint64_t pressure_bytes = 64 << 20, seed = 1;
    const char *image = NULL, *root = "kernel";
    const struct argument table[] = {
        {"pressure", "size of the other data (64M)", ARGUMENT_SIZE, &pressure_bytes},
        {"root", "who writes the root: kernel or copy (kernel)", ARGUMENT_TEXT, &root},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    struct found found, expected;
    struct pressure *pressure;
    struct digest *digest;
    CUdeviceptr blocks[LINKED_BLOCKS];
    CUfunction walk;
    CUmodule module;

    arguments_read(argc, argv, "Walks a list through blocks that no argument names.", NULL, table);
    if (strcmp(root, "kernel") && strcmp(root, "copy"))
        failure_exit(FAILURE_OTHER, "root", "neither kernel nor copy");
    driver_open();
    module = driver_load(image);
    walk = driver_function(module, "walk");
    for (int b = 0; b < LINKED_BLOCKS; b++)
        blocks[b] = driver_alloc(LINKED_BLOCK_BYTES);
    driver_launch(driver_function(module, "make"), LINKED_BLOCK_NODES,
                  (void *[]){&blocks[0], &blocks[1], &blocks[2], &seed}, NULL);
    if (!strcmp(root, "copy"))
        root_copy(module);
    pressure = pressure_create(module, pressure_bytes);
    expected = found_expected(seed);
    digest = digest_create();
    for (int i = 0; i < WALKS; i++) {
        pressure_touch(pressure);
        found = list_walk(module, walk);
        if (found.mix != expected.mix || found.count != expected.count)
            failure_exit(FAILURE_OTHER, "walk", "the list is not what was written");
        digest_add(digest, &found, sizeof(found));
    }
    pressure_destroy(pressure);
    for (int b = 0; b < LINKED_BLOCKS; b++)
        driver_free(blocks[b], LINKED_BLOCK_BYTES);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(digest_finish(digest), peak_bytes());
    return 0;
}
