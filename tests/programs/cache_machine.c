/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BlazingSQL's cache machines: stages of a query hand batches on through caches. A batch is placed on entry where there
 * is room, the device, the host, the disk; under pressure the caches of the last stage leave first, so run this with
 * EBBTIDE_POLICY=stage. With and without ebbtide the result is the same.
 */
#include "arguments.h"
#include "digest.h"
#include "failure.h"
#include "peak.h"
#include "runtime.h"

#include <ebbtide.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STAGES = 3,
    BATCHES_MOST = 256
};

struct batch {
    unsigned char *at;
    size_t bytes;
};

/* First in, first out. */
struct cache {
    struct batch batch[BATCHES_MOST];
    unsigned first, count;
    int stage;
};

static void check(int result, const char *call)
{
    if (result < 0 && result != -ENOSYS)
        failure_exit(result == -ENOSPC ? FAILURE_OUT_OF_MEMORY : FAILURE_OTHER, call, strerror(-result));
}

/* A batch enters: from now on it may be anywhere. */
static void cache_put(struct cache *cache, struct batch batch)
{
    char name[24];

    snprintf(name, sizeof(name), "stage %d", cache->stage);
    check(ebb_register(batch.at, batch.bytes, EBB_CACHEABLE, name), "ebb_register");
    check(ebb_set_stage(batch.at, cache->stage), "ebb_set_stage");
    cache->batch[cache->first + cache->count++] = batch;
}

/* It leaves the cache, and is on the device: who takes it is about to work on it. */
static struct batch cache_take(struct cache *cache)
{
    struct batch batch = cache->batch[cache->first++];

    cache->count--;
    check(ebb_pin(batch.at, EBB_RO, NULL), "ebb_pin");
    return batch;
}

static void batch_done(struct batch *batch)
{
    check(ebb_unpin(batch->at, EBB_CLEAN), "ebb_unpin");
    runtime_free(batch->at, batch->bytes);
}

/* The scan: batch `index` of the table. */
static struct batch scan(unsigned index, size_t bytes)
{
    struct batch batch = {runtime_alloc(bytes), bytes};

    RUNTIME(cudaMemset, (batch.at, (int)(index * 37 % 251), bytes));
    return batch;
}

/* A step of the query: the upper half of the batch becomes the lower one. */
static struct batch step(const struct batch *in)
{
    struct batch out = {runtime_alloc(in->bytes), in->bytes};
    size_t half = in->bytes / 2;

    RUNTIME(cudaMemcpy, (out.at, in->at + half, half, cudaMemcpyDeviceToDevice));
    RUNTIME(cudaMemset, (out.at + half, 1, half));
    return out;
}

static uint64_t query(unsigned batches, size_t bytes)
{
    static struct cache cache[STAGES];
    struct digest *digest = digest_create();
    unsigned char *copy = failure_malloc(bytes);

    for (int stage = 0; stage < STAGES; stage++)
        cache[stage].stage = stage;
    for (unsigned i = 0; i < batches; i++)
        cache_put(&cache[0], scan(i, bytes));
    for (int stage = 1; stage < STAGES; stage++)
        while (cache[stage - 1].count) {
            struct batch in = cache_take(&cache[stage - 1]);

            cache_put(&cache[stage], step(&in));
            batch_done(&in);
        }
    while (cache[STAGES - 1].count) {
        struct batch last = cache_take(&cache[STAGES - 1]);

        RUNTIME(cudaMemcpy, (copy, last.at, last.bytes, cudaMemcpyDeviceToHost));
        digest_add(digest, copy, last.bytes);
        batch_done(&last);
    }
    free(copy);
    return digest_finish(digest);
}

int main(int argc, char **argv)
{
    uint64_t bytes = 64 << 20, batches = 16, hash;
    struct ebb_stats stats = {.struct_bytes = sizeof(stats)};
    const struct argument table[] = {
        {"bytes", "of the table (64M)", ARGUMENT_SIZE, &bytes},
        {"batches", "that it comes in, up to 256 (16)", ARGUMENT_COUNT, &batches},
        {0},
    };

    arguments_read(argc, argv, "Runs batches through the caches of a query, with ebbtide.h.", "", table);
    if (!batches || batches > BATCHES_MOST || bytes / batches < 2)
        failure_exit(FAILURE_OTHER, "batches", "out of range");
    check(ebb_push_peak(), "ebb_push_peak");
    hash = query((unsigned)batches, bytes / batches / 2 * 2);
    if (ebb_pop_peak(&stats) == 0)
        fprintf(stderr, "cache_machine: peaks %llu device, %llu host, %llu disk\n",
                (unsigned long long)stats.tier[EBB_TIER_DEVICE].peak_bytes,
                (unsigned long long)stats.tier[EBB_TIER_HOST].peak_bytes,
                (unsigned long long)stats.tier[EBB_TIER_DISK].peak_bytes);
    result_print(hash, peak_bytes());
    return 0;
}
