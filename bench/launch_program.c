/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that launches an empty kernel with 8 pointers, over and over, among many blocks.
 * usage: launch_program BLOCKS LAUNCHES
 *
 * Prints `launch_ns N`: processor time of the launching thread for one launch.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ARGUMENTS = 8,
    BATCH = 64, /* launches between two waits, so that the queue stays short */
    BLOCK_BYTES = 2 << 20
};

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* One batch; only the launches are timed, not the wait. */
static double batch(CUfunction function, const CUdeviceptr *block, size_t blocks, unsigned long *random)
{
    CUdeviceptr argument[BATCH * ARGUMENTS];
    void *parameters[ARGUMENTS];
    double since_ns;

    for (int i = 0; i < BATCH * ARGUMENTS; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        argument[i] = block[(*random >> 33) % blocks];
    }
    since_ns = cpu_ns();
    for (int i = 0; i < BATCH; i++) {
        for (int a = 0; a < ARGUMENTS; a++)
            parameters[a] = &argument[i * ARGUMENTS + a];
        DRIVER(cuLaunchKernel, (function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    }
    since_ns = cpu_ns() - since_ns;
    DRIVER(cuCtxSynchronize, ());
    return since_ns;
}

int main(int argc, char **argv)
{
    size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    size_t launches = argc > 2 ? strtoul(argv[2], NULL, 10) : 64000;
    CUdeviceptr *block = calloc(blocks, sizeof(*block));
    unsigned long random = 1;
    CUfunction function;
    double ns = 0;

    if (!blocks || !block)
        return 1;
    driver_open();
    function = driver_function(driver_load(NULL), "nothing");
    for (size_t i = 0; i < blocks; i++)
        block[i] = driver_alloc(BLOCK_BYTES);
    for (int i = 0; i < 4; i++)
        batch(function, block, blocks, &random);
    for (size_t done = 0; done < launches; done += BATCH)
        ns += batch(function, block, blocks, &random);
    printf("launch_ns %.2f\n", ns / (double)((launches + BATCH - 1) / BATCH * BATCH));
    for (size_t i = 0; i < blocks; i++)
        driver_free(block[i], BLOCK_BYTES);
    free(block);
    driver_close();
    return 0;
}
