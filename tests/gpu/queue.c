/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to know that a device has come to rest, as every move and free has to: recording an event on the whole
 * context, and how long after the last kernel the host learns of it, by polling and by waiting; with one stream and
 * with many, behind queues of different lengths.
 */
#include "kernels.h"

#include <stdio.h>

enum {
    STREAMS = 32,
    REPETITIONS = 3,
    DEPTHS = 3,
    UNIT_NS = 2000000, /* what one kernel of a queue lasts */
};

struct world {
    CUcontext context;
    struct kernels kernels;
    CUstream streams[STREAMS];
    CUdeviceptr words; /* a slice for each stream */
    uint64_t slice, rounds;
    CUevent begun, drained;
    double worst_record_us, worst_late_us;
};

/* As many kernels as last `depth_ns` one after another, over so many streams. */
static void queue(struct world *world, unsigned streams, uint64_t depth_ns)
{
    for (uint64_t i = 0; i < depth_ns / UNIT_NS; i++) {
        unsigned n = (unsigned)(i % streams);

        kernels_churn(&world->kernels, world->words + n * world->slice * 8, world->slice, world->rounds,
                      world->streams[n]);
    }
}

struct sample {
    double record_us, rest_us, late_us;
};

/* One queue, and how its end is learnt of. */
static struct sample drain(struct world *world, unsigned streams, uint64_t depth_ns, bool polls)
{
    uint64_t started_ns, recorded_ns, rested_ns;
    struct sample sample;
    float on_device_ms;
    CUresult result;

    MUST(cuCtxSynchronize, ());
    started_ns = measure_now_ns();
    MUST(cuEventRecord, (world->begun, world->streams[0]));
    queue(world, streams, depth_ns);
    recorded_ns = measure_now_ns();
    MUST(cuCtxRecordEvent, (world->context, world->drained));
    sample.record_us = (double)(measure_now_ns() - recorded_ns) / 1e3;
    if (polls) {
        while (cu.cuEventQuery(world->drained) == CUDA_ERROR_NOT_READY) {
        }
    } else {
        MUST(cuCtxSynchronize, ());
    }
    rested_ns = measure_now_ns();
    sample.rest_us = (double)(rested_ns - recorded_ns) / 1e3;
    result = cu.cuEventElapsedTime(&on_device_ms, world->begun, world->drained);
    if (result != CUDA_SUCCESS)
        measure_result("cuEventElapsedTime", result);
    sample.late_us =
        result == CUDA_SUCCESS ? (double)(rested_ns - started_ns) / 1e3 - (double)on_device_ms * 1e3 : -1;
    return sample;
}

static void drains(struct world *world, unsigned streams, uint64_t depth_ns, bool polls)
{
    double record[REPETITIONS], rest[REPETITIONS], late[REPETITIONS], median;
    char name[96], full[128];

    for (unsigned i = 0; i < REPETITIONS; i++) {
        struct sample sample = drain(world, streams, depth_ns, polls);

        record[i] = sample.record_us;
        rest[i] = sample.rest_us;
        late[i] = sample.late_us;
    }
    snprintf(name, sizeof(name), "%s_%u_streams_%llu_ms", polls ? "polled" : "waited", streams,
             (unsigned long long)(depth_ns / 1000000));
    snprintf(full, sizeof(full), "%s_record", name);
    median = measure_samples(full, record, REPETITIONS, "us");
    world->worst_record_us = median > world->worst_record_us ? median : world->worst_record_us;
    snprintf(full, sizeof(full), "%s_rest", name);
    measure_samples(full, rest, REPETITIONS, "us");
    snprintf(full, sizeof(full), "%s_late", name);
    median = measure_samples(full, late, REPETITIONS, "us");
    if (polls)
        world->worst_late_us = median > world->worst_late_us ? median : world->worst_late_us;
}

static void idle_calls(void)
{
    double create[MEASURE_REPETITIONS], wait[MEASURE_REPETITIONS];

    for (unsigned i = 0; i < MEASURE_REPETITIONS; i++) {
        uint64_t started_ns = measure_now_ns();
        CUevent event;

        MUST(cuEventCreate, (&event, CU_EVENT_DISABLE_TIMING));
        MUST(cuEventDestroy, (event));
        create[i] = (double)(measure_now_ns() - started_ns) / 1e3;
        started_ns = measure_now_ns();
        MUST(cuCtxSynchronize, ());
        wait[i] = (double)(measure_now_ns() - started_ns) / 1e3;
    }
    measure_samples("cuEventCreate_cuEventDestroy", create, MEASURE_REPETITIONS, "us");
    measure_samples("cuCtxSynchronize_idle", wait, MEASURE_REPETITIONS, "us");
}

static void world_create(struct world *world)
{
    *world = (struct world){.slice = measure_size(256 << 10, 4 << 10)};
    measure_open();
    MUST(cuCtxGetCurrent, (&world->context));
    kernels_load(&world->kernels);
    MUST(cuMemAlloc, (&world->words, STREAMS * world->slice * 8));
    MUST(cuMemsetD8, (world->words, 1, STREAMS * world->slice * 8));
    MUST(cuCtxSynchronize, ());
    for (unsigned i = 0; i < STREAMS; i++)
        MUST(cuStreamCreate, (&world->streams[i], CU_STREAM_NON_BLOCKING));
    MUST(cuEventCreate, (&world->begun, CU_EVENT_DEFAULT));
    MUST(cuEventCreate, (&world->drained, CU_EVENT_DEFAULT));
    world->rounds = kernels_rounds(&world->kernels, world->words, world->slice, UNIT_NS);
}

static void world_destroy(struct world *world)
{
    MUST(cuEventDestroy, (world->drained));
    MUST(cuEventDestroy, (world->begun));
    for (unsigned i = 0; i < STREAMS; i++)
        MUST(cuStreamDestroy, (world->streams[i]));
    MUST(cuMemFree, (world->words));
}

int main(int argc, char **argv)
{
    uint64_t depths_ns[DEPTHS];
    struct world world;

    measure_begin(argc, argv, "what does it cost to know that a device is at rest?");
    world_create(&world);
    depths_ns[0] = 0;
    depths_ns[1] = 10000000;
    depths_ns[2] = measure_size(500000000, 40000000);
    idle_calls();
    if (!cu.cuCtxRecordEvent) {
        measure_word("cuCtxRecordEvent", "absent", "entry");
        world_destroy(&world);
        return measure_open_verdict(
            "the driver has no cuCtxRecordEvent: a drain waits for each context in a thread");
    }
    for (unsigned streams = 1; streams <= STREAMS; streams *= STREAMS) {
        for (unsigned i = 0; i < DEPTHS; i++) {
            drains(&world, streams, depths_ns[i], true);
            if (depths_ns[i] <= 10000000)
                drains(&world, streams, depths_ns[i], false);
        }
    }
    world_destroy(&world);
    return measure_verdict(
        world.worst_record_us <= 100 && world.worst_late_us <= 1000, true,
        "recording takes at most %.0f us (median), and who polls learns of the end %.0f us late",
        world.worst_record_us, world.worst_late_us);
}
