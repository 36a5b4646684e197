/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that allocates and frees one block of 2 MiB, over and over, among others that stay.
 * usage: alloc_program BLOCKS PAIRS [ordered]
 *
 * ordered: in the order of a stream, out of the device's pool.
 *
 * Prints `pair_ns N`: processor time of the thread for one pair.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BLOCK_BYTES = 2 << 20
};

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pair(void)
{
    driver_free(driver_alloc(BLOCK_BYTES), BLOCK_BYTES);
}

static CUstream stream;

static void pair_ordered(void)
{
    CUdeviceptr block;

    DRIVER(cuMemAllocAsync, (&block, BLOCK_BYTES, stream));
    DRIVER(cuMemFreeAsync, (block, stream));
}

int main(int argc, char **argv)
{
    size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    size_t pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;
    CUdeviceptr *block = calloc(blocks, sizeof(*block));
    void (*once)(void) = argc > 3 ? pair_ordered : pair;
    double since_ns;

    if (!blocks || !block)
        return 1;
    driver_open();
    for (size_t i = 0; i < blocks; i++)
        block[i] = driver_alloc(BLOCK_BYTES);
    DRIVER(cuStreamCreate, (&stream, CU_STREAM_NON_BLOCKING));
    since_ns = cpu_ns();
    for (size_t i = 0; i < pairs; i++)
        once();
    printf("pair_ns %.1f\n", (cpu_ns() - since_ns) / (double)pairs);
    for (size_t i = 0; i < blocks; i++)
        driver_free(block[i], BLOCK_BYTES);
    free(block);
    DRIVER(cuStreamDestroy, (stream));
    driver_close();
    return 0;
}
