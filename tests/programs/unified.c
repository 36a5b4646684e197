/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed memory, more of it than a device may have, beside blocks: kernels find it by argument and by a table of pointers,
 * the CPU reads and writes between them, some is advised about and some prefetched, either way.
 */
#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"

#include <stdlib.h>

enum {
    STREAMS = 2,
    SMALL_BYTES = 4096
};

struct unified {
    uint64_t count, range_bytes, words, blocks, rounds;
    CUdeviceptr *range; /* managed; the first is made twice as large as the others */
    CUdeviceptr *block; /* of the same size each */
    CUdeviceptr table;  /* managed: the addresses of all ranges */
    CUstream stream[STREAMS];
    CUfunction fill, blend, gather;
};

static CUdeviceptr managed(uint64_t bytes)
{
    CUdeviceptr address;

    DRIVER(cuMemAllocManaged, (&address, bytes, CU_MEM_ATTACH_GLOBAL));
    return address;
}

static void *host(CUdeviceptr address)
{
    return (void *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr): managed memory has one address
}

static void begin(struct unified *unified, uint64_t seed)
{
    unified->words = unified->range_bytes / sizeof(uint64_t);
    if (!unified->words || !unified->count)
        failure_exit(FAILURE_OTHER, "unified", "no ranges");
    for (unsigned s = 0; s < STREAMS; s++)
        DRIVER(cuStreamCreate, (&unified->stream[s], CU_STREAM_NON_BLOCKING));
    unified->range = failure_malloc(unified->count * sizeof(*unified->range));
    unified->block = failure_malloc((unified->blocks + 1) * sizeof(*unified->block));
    unified->table = managed(
        unified->count * sizeof(uint64_t) < SMALL_BYTES ? SMALL_BYTES : unified->count * sizeof(uint64_t));
    for (uint64_t r = 0; r < unified->count; r++) {
        unified->range[r] = managed(r ? unified->range_bytes : 2 * unified->range_bytes);
        ((uint64_t *)host(unified->table))[r] = unified->range[r];
        driver_launch(unified->fill, unified->words,
                      (void *[]){&unified->range[r], &unified->words, &seed, &r},
                      unified->stream[r % STREAMS]);
    }
    for (uint64_t b = 0; b < unified->blocks; b++) {
        uint64_t number = unified->count + b;

        unified->block[b] = driver_alloc(unified->range_bytes);
        driver_launch(unified->fill, unified->words,
                      (void *[]){&unified->block[b], &unified->words, &seed, &number}, unified->stream[0]);
    }
    DRIVER(cuCtxSynchronize, ());
}

/* The CPU takes part: it changes a word of every page. */
static void touch(const struct unified *unified, uint64_t r, uint64_t round)
{
    uint64_t *words = host(unified->range[r]);

    for (uint64_t i = 0; i < unified->words; i += SMALL_BYTES / sizeof(*words))
        words[i] = words[i] * 3 + round + i;
}

static void advise(const struct unified *unified, uint64_t r, uint64_t round)
{
    static const CUmem_advise advice[] = {CU_MEM_ADVISE_SET_READ_MOSTLY, CU_MEM_ADVISE_UNSET_READ_MOSTLY,
                                          CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_MEM_ADVISE_SET_ACCESSED_BY,
                                          CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION};
    const CUmemLocation device = {.type = CU_MEM_LOCATION_TYPE_DEVICE};
    const CUmemLocation cpu = {.type = CU_MEM_LOCATION_TYPE_HOST};
    uint64_t kind = (r + round) % (sizeof(advice) / sizeof(*advice));

    DRIVER(cuMemAdvise, (unified->range[r], unified->range_bytes / 2, advice[kind], device));
    DRIVER(cuMemPrefetchAsync, (unified->range[r], unified->range_bytes, kind % 2 ? cpu : device, 0,
                                unified->stream[r % STREAMS]));
}

static void run(struct unified *unified)
{
    for (uint64_t round = 1; round <= unified->rounds; round++) {
        for (uint64_t r = 0; r < unified->count; r++) {
            uint64_t other = (r * 5 + round) % unified->count;

            if (r % 3 == round % 3)
                advise(unified, r, round);
            driver_launch(unified->blend, unified->words,
                          (void *[]){&unified->range[r], &unified->range[other], &unified->words},
                          unified->stream[0]);
            if (unified->blocks)
                driver_launch(
                    unified->blend, unified->words,
                    (void *[]){&unified->block[r % unified->blocks], &unified->range[r], &unified->words},
                    unified->stream[0]);
        }
        driver_launch(unified->gather, unified->words,
                      (void *[]){&unified->range[0], &unified->table, &unified->count, &unified->words},
                      unified->stream[0]);
        DRIVER(cuCtxSynchronize, ());
        for (uint64_t r = round % 2; r < unified->count; r += 2)
            touch(unified, r, round);
        progress_show("rounds", round, unified->rounds);
    }
}

static uint64_t finish(struct unified *unified)
{
    struct digest *digest = digest_create();
    uint64_t *copy = failure_malloc(unified->range_bytes);

    DRIVER(cuCtxSynchronize, ());
    for (uint64_t r = 0; r < unified->count; r++) {
        if (r % 2)
            DRIVER(cuMemcpyDtoH, (copy, unified->range[r], unified->words * sizeof(*copy)));
        digest_add(digest, r % 2 ? copy : host(unified->range[r]), unified->words * sizeof(*copy));
        DRIVER(cuMemFree, (unified->range[r]));
    }
    for (uint64_t b = 0; b < unified->blocks; b++) {
        DRIVER(cuMemcpyDtoH, (copy, unified->block[b], unified->words * sizeof(*copy)));
        digest_add(digest, copy, unified->words * sizeof(*copy));
        driver_free(unified->block[b], unified->range_bytes);
    }
    DRIVER(cuMemFree, (unified->table));
    for (unsigned s = 0; s < STREAMS; s++)
        DRIVER(cuStreamDestroy, (unified->stream[s]));
    free(copy);
    free(unified->range);
    free(unified->block);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct unified unified = {.count = 12, .range_bytes = 8 << 20, .blocks = 0, .rounds = 3};
    const char *image = NULL;
    uint64_t seed = 1, hash;
    const struct argument table[] = {
        {"ranges", "number of managed allocations (12)", ARGUMENT_COUNT, &unified.count},
        {"bytes", "size of each (8M)", ARGUMENT_SIZE, &unified.range_bytes},
        {"blocks", "number of device allocations of that size (0)", ARGUMENT_COUNT, &unified.blocks},
        {"rounds", "how often each is changed (3)", ARGUMENT_COUNT, &unified.rounds},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Kernels and the CPU share managed memory.", NULL, table);
    driver_open();
    module = driver_load(image);
    unified.fill = driver_function(module, "fill");
    unified.blend = driver_function(module, "blend");
    unified.gather = driver_function(module, "gather");
    begin(&unified, seed);
    run(&unified);
    hash = finish(&unified);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
