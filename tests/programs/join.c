/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"

#include "digest.h"
#include "driver.h"
#include "expected.h"
#include "failure.h"

#include <stdlib.h>
#include <string.h>

static struct kernels kernels_load(CUmodule module)
{
    return (struct kernels){
        .scan = driver_function(module, "scan"),
        .count_rows = driver_function(module, "count_rows"),
        .place_rows = driver_function(module, "place_rows"),
        .scatter = driver_function(module, "scatter"),
        .build = driver_function(module, "build"),
        .probe = driver_function(module, "probe"),
        .aggregate = driver_function(module, "aggregate"),
        .merge = driver_function(module, "merge"),
        .add_up = driver_function(module, "add_up"),
    };
}

/* Lets the device whose context is current reach the memory of all others. */
static void join_peer(const struct join *join, uint32_t device)
{
    for (uint32_t other = 0; other < join->devices; other++)
        if (other != device)
            DRIVER(cuCtxEnablePeerAccess, (join->context[other], 0));
}

void join_open(struct join *join, const char *image)
{
    DRIVER(cuInit, (0));
    for (uint32_t device = 0; device < join->devices; device++) {
        join->context[device] = driver_retain((int)device);
        DRIVER(cuCtxSetCurrent, (join->context[device]));
        join->module[device] = driver_load(image);
        join->kernels[device] = kernels_load(join->module[device]);
    }
    for (uint32_t device = 0; device < join->devices; device++) {
        DRIVER(cuCtxSetCurrent, (join->context[device]));
        join_peer(join, device);
    }
    DRIVER(cuCtxSetCurrent, (join->context[0]));
}

void join_close(struct join *join)
{
    for (uint32_t device = 0; device < join->devices; device++) {
        DRIVER(cuCtxSetCurrent, (join->context[device]));
        DRIVER(cuModuleUnload, (join->module[device]));
    }
    DRIVER(cuCtxSetCurrent, (NULL));
    for (uint32_t device = 0; device < join->devices; device++)
        driver_release((int)device);
}

uint64_t block_first(const struct join *join, uint64_t b)
{
    return b * join->block_rows;
}

uint64_t block_rows(const struct join *join, uint64_t b)
{
    uint64_t left = join->rows - block_first(join, b);

    return left < join->block_rows ? left : join->block_rows;
}

/* Rows of partition p in the blocks of a table up to, not with, block b. */
uint64_t partition_rows_before(const struct join *join, uint32_t table, uint32_t p, uint64_t b)
{
    uint64_t rows = 0;

    for (uint64_t i = 0; i < b; i++) {
        const uint32_t *starts = join->host_starts + (table * join->blocks + i) * (join->partitions + 1);

        rows += starts[p + 1] - starts[p];
    }
    return rows;
}

uint64_t partition_rows(const struct join *join, uint32_t table, uint32_t p)
{
    return partition_rows_before(join, table, p, join->blocks);
}

uint64_t partition_bytes(const struct join *join, uint32_t table, uint32_t p)
{
    uint64_t blocks = (partition_rows(join, table, p) + join->block_rows - 1) / join->block_rows;

    return (blocks ? blocks : 1) * join->block_bytes;
}

void join_alloc(struct join *join)
{
    uint64_t starts_bytes;

    join->block_rows = join->block_bytes / sizeof(struct row);
    join->blocks = (join->rows + join->block_rows - 1) / join->block_rows;
    /* A few percent less than a block each on average, so that none needs a second one by chance. */
    join->partitions = (uint32_t)(join->rows * 26 / 25 / join->block_rows + 1);
    starts_bytes = TABLES * join->blocks * (join->partitions + 1) * sizeof(uint32_t);
    join->block = failure_malloc(TABLES * join->blocks * sizeof(*join->block));
    join->partition = failure_malloc(TABLES * join->partitions * sizeof(*join->partition));
    join->hashes = failure_malloc(join->partitions * sizeof(*join->hashes));
    join->places = driver_alloc(TABLES * join->blocks * join->partitions * SLICES * sizeof(uint32_t));
    join->starts = driver_alloc(starts_bytes);
    join->sums = driver_alloc(TABLES * sizeof(struct row));
    DRIVER(cuMemHostAlloc, ((void **)&join->host_starts, starts_bytes, 0));
    for (int w = 0; w < WORKERS; w++) {
        DRIVER(cuCtxSetCurrent, (join->context[join_device(join, (uint32_t)w)]));
        join->groups[w] = driver_alloc(GROUPS * sizeof(struct group));
        DRIVER(cuEventCreate, (&join->scattered[w], CU_EVENT_DISABLE_TIMING));
        DRIVER(cuEventCreate, (&join->aggregated[w], CU_EVENT_DISABLE_TIMING));
    }
    DRIVER(cuCtxSetCurrent, (join->context[0]));
}

void join_free(struct join *join)
{
    for (uint64_t job = 0; job < TABLES * join->blocks; job++)
        driver_free(join->block[job], join->block_bytes);
    for (uint32_t i = 0; i < TABLES * join->partitions; i++)
        driver_free(join->partition[i], partition_bytes(join, i / join->partitions, i % join->partitions));
    for (int w = 0; w < WORKERS; w++) {
        driver_free(join->groups[w], GROUPS * sizeof(struct group));
        DRIVER(cuEventDestroy, (join->scattered[w]));
        DRIVER(cuEventDestroy, (join->aggregated[w]));
    }
    driver_free(join->sums, TABLES * sizeof(struct row));
    driver_free(join->places, TABLES * join->blocks * join->partitions * SLICES * sizeof(uint32_t));
    driver_free(join->starts, TABLES * join->blocks * (join->partitions + 1) * sizeof(uint32_t));
    DRIVER(cuMemFreeHost, (join->host_starts));
    free(join->hashes);
    free(join->partition);
    free(join->block);
}

uint64_t join_hash(const struct join *join)
{
    static struct group groups[GROUPS], expected[GROUPS];
    struct row sums[TABLES], expected_sums[TABLES];
    struct digest *digest = digest_create();

    DRIVER(cuMemcpyDtoH, (groups, join->groups[0], sizeof(groups)));
    DRIVER(cuMemcpyDtoH, (sums, join->sums, sizeof(sums)));
    expected_find(join->rows, join->seed, expected, expected_sums);
    if (memcmp(groups, expected, sizeof(groups)))
        failure_exit(FAILURE_OTHER, "join", "the groups are wrong");
    if (memcmp(sums, expected_sums, sizeof(sums)))
        failure_exit(FAILURE_OTHER, "join", "the base tables have changed");
    digest_add(digest, groups, sizeof(groups));
    digest_add(digest, sums, sizeof(sums));
    digest_add(digest, join->hashes, join->partitions * sizeof(*join->hashes));
    return digest_finish(digest);
}
