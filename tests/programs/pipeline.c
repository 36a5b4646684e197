/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two streams that take turns with blocks which stay and scratch that comes and goes, all of it out of one kind of memory:
 * cudaMalloc's, or stream-ordered out of the device's pool or one of the program's own.
 */
#include "arguments.h"
#include "digest.h"
#include "driver.h"
#include "failure.h"
#include "peak.h"

#include <stdlib.h>
#include <string.h>

enum {
    STREAMS = 2
};

struct pipeline {
    uint64_t count, block_bytes, words, rounds;
    CUdeviceptr *blocks; /* number b is the affair of stream b % STREAMS */
    bool is_ordered;
    CUmemoryPool pool; /* NULL: the device's */
    CUstream stream[STREAMS];
    CUevent event[STREAMS];
    CUfunction fill, mix, fold;
};

static CUdeviceptr take(struct pipeline *pipeline, unsigned s)
{
    CUdeviceptr address;

    if (!pipeline->is_ordered)
        return driver_alloc(pipeline->block_bytes);
    if (pipeline->pool)
        DRIVER(cuMemAllocFromPoolAsync,
               (&address, pipeline->block_bytes, pipeline->pool, pipeline->stream[s]));
    else
        DRIVER(cuMemAllocAsync, (&address, pipeline->block_bytes, pipeline->stream[s]));
    peak_add(pipeline->block_bytes);
    return address;
}

static void give(struct pipeline *pipeline, CUdeviceptr address, unsigned s)
{
    if (!pipeline->is_ordered) {
        driver_free(address, pipeline->block_bytes);
        return;
    }
    DRIVER(cuMemFreeAsync, (address, pipeline->stream[s]));
    peak_remove(pipeline->block_bytes);
}

/* Stream s comes behind all that the other has been given. */
static void follow(struct pipeline *pipeline, unsigned s, unsigned other)
{
    if (s == other)
        return;
    DRIVER(cuEventRecord, (pipeline->event[other], pipeline->stream[other]));
    DRIVER(cuStreamWaitEvent, (pipeline->stream[s], pipeline->event[other], 0));
}

static void launch(struct pipeline *pipeline, CUfunction function, unsigned s, void **arguments)
{
    driver_launch(function, pipeline->words, arguments, pipeline->stream[s]);
}

static void begin(struct pipeline *pipeline, const char *kind, uint64_t seed)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};

    pipeline->words = pipeline->block_bytes / sizeof(uint64_t);
    if (!pipeline->words || pipeline->count < STREAMS)
        failure_exit(FAILURE_OTHER, "pipeline", "too few blocks");
    pipeline->is_ordered = strcmp(kind, "plain") != 0;
    if (strcmp(kind, "own") == 0)
        DRIVER(cuMemPoolCreate, (&pipeline->pool, &properties));
    else if (pipeline->is_ordered && strcmp(kind, "default") != 0)
        failure_exit(FAILURE_OTHER, "pipeline", "no such memory");
    for (unsigned s = 0; s < STREAMS; s++) {
        DRIVER(cuStreamCreate, (&pipeline->stream[s], CU_STREAM_NON_BLOCKING));
        DRIVER(cuEventCreate, (&pipeline->event[s], CU_EVENT_DISABLE_TIMING));
    }
    pipeline->blocks = failure_malloc(pipeline->count * sizeof(*pipeline->blocks));
    for (uint64_t b = 0; b < pipeline->count; b++) {
        pipeline->blocks[b] = take(pipeline, b % STREAMS);
        launch(pipeline, pipeline->fill, b % STREAMS,
               (void *[]){&pipeline->blocks[b], &pipeline->words, &seed, &b});
    }
}

/* The block is folded with a mix of itself and another one. */
static void advance(struct pipeline *pipeline, uint64_t b, uint64_t other)
{
    unsigned s = b % STREAMS, t = other % STREAMS;
    CUdeviceptr scratch = take(pipeline, s);

    follow(pipeline, s, t);
    launch(pipeline, pipeline->mix, s,
           (void *[]){&scratch, &pipeline->blocks[b], &pipeline->blocks[other], &pipeline->words});
    follow(pipeline, t, s); /* it is written no sooner */
    launch(pipeline, pipeline->fold, s, (void *[]){&pipeline->blocks[b], &scratch, &pipeline->words});
    give(pipeline, scratch, s);
}

/* The block goes on in other memory; the other stream frees where it was. */
static void replace(struct pipeline *pipeline, uint64_t b)
{
    unsigned s = b % STREAMS, t = (s + 1) % STREAMS;
    CUdeviceptr fresh = take(pipeline, s);

    DRIVER(cuMemcpyDtoDAsync,
           (fresh, pipeline->blocks[b], pipeline->words * sizeof(uint64_t), pipeline->stream[s]));
    follow(pipeline, t, s);
    give(pipeline, pipeline->blocks[b], t);
    pipeline->blocks[b] = fresh;
}

static void run(struct pipeline *pipeline)
{
    for (uint64_t round = 0; round < pipeline->rounds; round++) {
        for (uint64_t b = 0; b < pipeline->count; b++) {
            advance(pipeline, b, (b * 7 + round + 1) % pipeline->count);
            if (b % 5 == round % 5)
                replace(pipeline, b);
        }
        if (round % 2)
            DRIVER(cuStreamSynchronize, (pipeline->stream[0]));
        progress_show("rounds", round + 1, pipeline->rounds);
    }
}

static uint64_t finish(struct pipeline *pipeline)
{
    struct digest *digest = digest_create();
    uint64_t *host = failure_malloc(pipeline->block_bytes);

    DRIVER(cuCtxSynchronize, ());
    for (uint64_t b = 0; b < pipeline->count; b++) {
        DRIVER(cuMemcpyDtoH, (host, pipeline->blocks[b], pipeline->words * sizeof(*host)));
        digest_add(digest, host, pipeline->words * sizeof(*host));
        give(pipeline, pipeline->blocks[b], b % STREAMS);
    }
    for (unsigned s = 0; s < STREAMS; s++) {
        DRIVER(cuStreamSynchronize, (pipeline->stream[s]));
        DRIVER(cuStreamDestroy, (pipeline->stream[s]));
        DRIVER(cuEventDestroy, (pipeline->event[s]));
    }
    if (pipeline->pool)
        DRIVER(cuMemPoolDestroy, (pipeline->pool));
    free(host);
    free(pipeline->blocks);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    struct pipeline pipeline = {.count = 24, .block_bytes = 4 << 20, .rounds = 4};
    const char *image = NULL, *kind = "default";
    uint64_t seed = 1, hash;
    const struct argument table[] = {
        {"blocks", "number of blocks that stay (24)", ARGUMENT_COUNT, &pipeline.count},
        {"block", "size of each (4M)", ARGUMENT_SIZE, &pipeline.block_bytes},
        {"rounds", "how often each is changed (4)", ARGUMENT_COUNT, &pipeline.rounds},
        {"memory", "plain, or stream-ordered out of the default pool or an own one (default)", ARGUMENT_TEXT,
         &kind},
        {"seed", "of the values (1)", ARGUMENT_COUNT, &seed},
        {"kernels", "file with the kernels (beside the program)", ARGUMENT_TEXT, &image},
        {0},
    };
    CUmodule module;

    arguments_read(argc, argv, "Two streams share blocks that stay and scratch that does not.", NULL, table);
    driver_open();
    module = driver_load(image);
    pipeline.fill = driver_function(module, "fill");
    pipeline.mix = driver_function(module, "mix");
    pipeline.fold = driver_function(module, "fold");
    begin(&pipeline, kind, seed);
    run(&pipeline);
    hash = finish(&pipeline);
    DRIVER(cuModuleUnload, (module));
    driver_close();
    result_print(hash, peak_bytes());
    return 0;
}
