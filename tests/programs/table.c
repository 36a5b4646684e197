/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes and rewrites blocks through a table of pointers in device memory, the only argument a kernel gets,
 * with other data wanting the device's memory in between; then verifies every byte.
 */
#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"
#include "pressure.h"
#include "random.h"

#include <stdlib.h>

enum {
    CHANGES = 2
};

struct table {
    uint64_t count, block_bytes, words;
    CUdeviceptr *blocks; /* on the host */
    CUdeviceptr device;  /* the same on the device */
};

static void table_alloc(struct table *table)
{
    table->words = table->block_bytes / sizeof(uint64_t);
    if (!table->count || !table->words)
        failure_exit(FAILURE_OTHER, "table", "no blocks");
    table->blocks = failure_malloc(table->count * sizeof(*table->blocks));
    for (uint64_t b = 0; b < table->count; b++)
        table->blocks[b] = driver_alloc(table->block_bytes);
    table->device = driver_alloc(table->count * sizeof(*table->blocks));
    DRIVER(cuMemcpyHtoD, (table->device, table->blocks, table->count * sizeof(*table->blocks)));
}

static void table_free(struct table *table)
{
    for (uint64_t b = 0; b < table->count; b++)
        driver_free(table->blocks[b], table->block_bytes);
    driver_free(table->device, table->count * sizeof(*table->blocks));
    free(table->blocks);
}

static void table_launch(struct table *table, CUfunction function, uint64_t seed)
{
    driver_launch(function, table->words, (void *[]){&table->device, &table->count, &table->words, &seed},
                  NULL);
}

static uint64_t word_expected(const struct table *table, uint64_t b, uint64_t i, uint64_t seed)
{
    uint64_t word = random_at(seed, b * table->words + i);

    for (uint64_t change = 1; change <= CHANGES; change++)
        word = word * 0x9e3779b97f4a7c15U + seed + change + b;
    return word;
}

static uint64_t table_verify(const struct table *table, uint64_t seed)
{
    struct digest *digest = digest_create();
    uint64_t *host = failure_malloc(table->block_bytes);

    for (uint64_t b = 0; b < table->count; b++) {
        DRIVER(cuMemcpyDtoH, (host, table->blocks[b], table->words * sizeof(*host)));
        for (uint64_t i = 0; i < table->words; i++)
            if (host[i] != word_expected(table, b, i, seed))
                failure_exit(FAILURE_OTHER, "table", "a block does not hold what was written");
        digest_add(digest, host, table->words * sizeof(*host));
    }
    free(host);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct table blocks = {.count = 8, .block_bytes = 4 << 20};
    uint64_t pressure_bytes = 64 << 20, seed = 1, hash;
    const char *image = NULL;
    const struct argument table[] = {
        {"blocks", "number of blocks in the table (8)", ARGUMENT_COUNT, &blocks.count},
        {"block", "size of each (4M)", ARGUMENT_SIZE, &blocks.block_bytes},
        {"pressure", "size of the other data (64M)", ARGUMENT_SIZE, &pressure_bytes},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    struct pressure *pressure;
    CUmodule module;
    CUfunction change;

    arguments_read(argc, argv, "Writes blocks through a table of pointers.", NULL, table);
    driver_open();
    module = driver_load(image);
    change = driver_function(module, "change");
    table_alloc(&blocks);
    table_launch(&blocks, driver_function(module, "put"), seed);
    pressure = pressure_create(module, pressure_bytes);
    for (uint64_t i = 1; i <= CHANGES; i++) {
        pressure_touch(pressure);
        table_launch(&blocks, change, seed + i);
    }
    pressure_touch(pressure);
    hash = table_verify(&blocks, seed);
    pressure_destroy(pressure);
    table_free(&blocks);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
