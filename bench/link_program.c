/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that uses block after block, or only copies.
 * usage: link_program out|in|both|stream PASSES
 *   out, in, both   copies the size of each block from the device to pinned memory, back, or both at once, and waits
 *   stream          writes into each block, and waits, round and round
 *
 * Prints `plain bytes N ns N`: the bytes of all blocks times the passes, and the time on the wall.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BLOCKS = 8,
    BLOCK_BYTES = 16 << 20
};

static double wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void stream_pass(const CUdeviceptr *block)
{
    for (int i = 0; i < BLOCKS; i++) {
        DRIVER(cuMemsetD32Async, (block[i], (unsigned)i, 1024, NULL));
        DRIVER(cuCtxSynchronize, ());
    }
}

static void copy_pass(const char *mode, const CUdeviceptr *block, void *const *host, const CUstream *stream)
{
    for (int i = 0; i < BLOCKS; i++) {
        if (strcmp(mode, "in") != 0)
            DRIVER(cuMemcpyDtoHAsync, (host[0], block[0], BLOCK_BYTES, stream[0]));
        if (strcmp(mode, "out") != 0)
            DRIVER(cuMemcpyHtoDAsync, (block[1], host[1], BLOCK_BYTES, stream[1]));
        DRIVER(cuCtxSynchronize, ());
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "stream";
    unsigned long passes = argc > 2 ? strtoul(argv[2], NULL, 10) : 4;
    int blocks = strcmp(mode, "stream") == 0 ? BLOCKS : 2;
    CUdeviceptr block[BLOCKS];
    CUstream stream[2];
    void *host[2];
    double ns;

    driver_open();
    for (int i = 0; i < 2; i++) {
        DRIVER(cuStreamCreate, (&stream[i], CU_STREAM_NON_BLOCKING));
        DRIVER(cuMemAllocHost, (&host[i], BLOCK_BYTES));
        memset(host[i], i, BLOCK_BYTES);
    }
    for (int i = 0; i < blocks; i++) {
        block[i] = driver_alloc(BLOCK_BYTES);
        DRIVER(cuMemsetD32, (block[i], 1, BLOCK_BYTES / 4));
    }
    DRIVER(cuCtxSynchronize, ());
    if (blocks == BLOCKS)
        stream_pass(block);
    ns = wall_ns();
    for (unsigned long pass = 0; pass < passes; pass++) {
        if (blocks == BLOCKS)
            stream_pass(block);
        else
            copy_pass(mode, block, host, stream);
    }
    ns = wall_ns() - ns;
    printf("plain bytes %lu ns %.0f\n", passes * BLOCKS * BLOCK_BYTES, ns);
    for (int i = 0; i < blocks; i++)
        driver_free(block[i], BLOCK_BYTES);
    for (int i = 0; i < 2; i++) {
        DRIVER(cuMemFreeHost, (host[i]));
        DRIVER(cuStreamDestroy, (stream[i]));
    }
    driver_close();
    return 0;
}
