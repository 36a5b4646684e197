/* SPDX-License-Identifier: Apache-2.0 */
#include "pressure.h"

#include "arguments.h"
#include "failure.h"

#include <stdlib.h>

enum {
    BLOCK_BYTES = 4 << 20,
    BLOCK_WORDS = BLOCK_BYTES / 8
};

struct pressure {
    CUfunction fill;
    uint64_t count, seed;
    CUdeviceptr blocks[];
};

struct pressure *pressure_create(CUmodule module, uint64_t bytes)
{
    uint64_t count = bytes / BLOCK_BYTES;
    struct pressure *pressure = failure_malloc(sizeof(*pressure) + count * sizeof(*pressure->blocks));

    *pressure = (struct pressure){.fill = driver_function(module, "pressure_fill"), .count = count};
    for (uint64_t b = 0; b < count; b++)
        pressure->blocks[b] = driver_alloc(BLOCK_BYTES);
    return pressure;
}

void pressure_touch(struct pressure *pressure)
{
    uint64_t words = BLOCK_WORDS;

    pressure->seed++;
    for (uint64_t b = 0; b < pressure->count; b++) {
        uint64_t seed = pressure->seed << 32 | b;

        driver_launch(pressure->fill, words, (void *[]){&pressure->blocks[b], &words, &seed}, NULL);
        progress_show("pressure", b + 1, pressure->count);
    }
    DRIVER(cuCtxSynchronize, ());
}

static void block_verify(const struct pressure *pressure, uint64_t b, const uint64_t *host)
{
    for (uint64_t i = 0; i < BLOCK_WORDS; i++)
        if (host[i] != ((pressure->seed << 32 | b) ^ i * 0x9e3779b97f4a7c15U))
            failure_exit(FAILURE_OTHER, "pressure", "a block does not hold what was written");
}

void pressure_destroy(struct pressure *pressure)
{
    uint64_t *host = failure_malloc(BLOCK_BYTES);

    for (uint64_t b = 0; b < pressure->count; b++) {
        if (pressure->seed) {
            DRIVER(cuMemcpyDtoH, (host, pressure->blocks[b], BLOCK_BYTES));
            block_verify(pressure, b, host);
        }
        driver_free(pressure->blocks[b], BLOCK_BYTES);
    }
    free(host);
    free(pressure);
}
