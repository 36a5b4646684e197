/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program that uses block after block, or only copies.
 * usage: link_program out|in|both|stream PASSES [MIB [BLOCKS]]
 *   out, in, both   copies the size of each block from the device to pinned memory, back, or both at once, and waits
 *   stream          writes into each block, and waits, round and round
 *   MIB             size of a block; 16
 *   BLOCKS          how many; 8
 *
 * Prints `plain bytes N ns N`: the bytes of all blocks times the passes, and the time on the wall.
 */
#include "driver.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BLOCKS_MOST = 64
};

static size_t block_bytes = 16 << 20;
static int blocks = 8;

static double wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void stream_pass(const CUdeviceptr *block)
{
    for (int i = 0; i < blocks; i++) {
        DRIVER(cuMemsetD32Async, (block[i], (unsigned)i, 1024, NULL));
        DRIVER(cuCtxSynchronize, ());
    }
}

static void copy_pass(const char *mode, const CUdeviceptr *block, void *const *host, const CUstream *stream)
{
    for (int i = 0; i < blocks; i++) {
        if (strcmp(mode, "in") != 0)
            DRIVER(cuMemcpyDtoHAsync, (host[0], block[0], block_bytes, stream[0]));
        if (strcmp(mode, "out") != 0)
            DRIVER(cuMemcpyHtoDAsync, (block[1], host[1], block_bytes, stream[1]));
        DRIVER(cuCtxSynchronize, ());
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "stream";
    unsigned long passes = argc > 2 ? strtoul(argv[2], NULL, 10) : 4;
    bool is_stream = strcmp(mode, "stream") == 0;
    CUdeviceptr block[BLOCKS_MOST];
    int made;
    CUstream stream[2];
    void *host[2];
    double ns;

    if (argc > 3)
        block_bytes = strtoul(argv[3], NULL, 10) << 20;
    if (argc > 4)
        blocks = atoi(argv[4]);
    if (blocks < 2 || blocks > BLOCKS_MOST)
        return 2;
    made = is_stream ? blocks : 2;
    driver_open();
    for (int i = 0; i < 2; i++) {
        DRIVER(cuStreamCreate, (&stream[i], CU_STREAM_NON_BLOCKING));
        DRIVER(cuMemAllocHost, (&host[i], block_bytes));
        memset(host[i], i, block_bytes);
    }
    for (int i = 0; i < made; i++) {
        block[i] = driver_alloc(block_bytes);
        DRIVER(cuMemsetD32, (block[i], 1, block_bytes / 4));
    }
    DRIVER(cuCtxSynchronize, ());
    if (is_stream)
        stream_pass(block);
    ns = wall_ns();
    for (unsigned long pass = 0; pass < passes; pass++) {
        if (is_stream)
            stream_pass(block);
        else
            copy_pass(mode, block, host, stream);
    }
    ns = wall_ns() - ns;
    printf("plain bytes %zu ns %.0f\n", passes * (size_t)blocks * block_bytes, ns);
    for (int i = 0; i < made; i++)
        driver_free(block[i], block_bytes);
    for (int i = 0; i < 2; i++) {
        DRIVER(cuMemFreeHost, (host[i]));
        DRIVER(cuStreamDestroy, (stream[i]));
    }
    driver_close();
    return 0;
}
