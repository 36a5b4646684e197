/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which calls may be made while a stream captures, by its thread or another, in which mode. The library
 * makes its own calls in RELAXED mode: there all that a restore needs must leave the capture intact.
 */
#include "block.h"
#include "kernels.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct world {
    CUdevice device;
    CUcontext context;
    struct kernels kernels;
    struct block captured; /* what the capture works on */
    CUstream capturing, private;
    CUdeviceptr spare, address; /* an allocation; a reservation of `bytes` */
    size_t bytes;
    CUmemGenericAllocationHandle handle; /* what is mapped at `address`, if any */
    void *pinned;
    CUevent event;
};

/* Each undoes itself, or leaves what the next round of it needs; `before` and `after` run outside the capture. */
static CUresult create_device(struct world *world)
{
    return block_handle(world->device, PLACE_DEVICE, world->bytes, &world->handle);
}

static CUresult create_host(struct world *world)
{
    return block_handle(world->device, PLACE_HOST, world->bytes, &world->handle);
}

static CUresult map(struct world *world)
{
    return cu.cuMemMap(world->address, world->bytes, 0, world->handle, 0);
}

static CUresult set_access(struct world *world)
{
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

    return cu.cuMemSetAccess(world->address, world->bytes, &access, 1);
}

static CUresult unmap(struct world *world)
{
    return cu.cuMemUnmap(world->address, world->bytes);
}

static CUresult release(struct world *world)
{
    return cu.cuMemRelease(world->handle);
}

static CUresult reserve(struct world *world)
{
    return cu.cuMemAddressReserve(&world->address, world->bytes, world->bytes, 0, 0);
}

static CUresult address_free(struct world *world)
{
    return cu.cuMemAddressFree(world->address, world->bytes);
}

static CUresult copy_private(struct world *world)
{
    return cu.cuMemcpyHtoDAsync(world->spare, world->pinned, world->bytes, world->private);
}

static CUresult synchronize_private(struct world *world)
{
    return cu.cuStreamSynchronize(world->private);
}

static CUresult record_private(struct world *world)
{
    return cu.cuEventRecord(world->event, world->private);
}

static CUresult query_private(struct world *world)
{
    return cu.cuEventQuery(world->event);
}

static CUresult allocate(struct world *world)
{
    CUdeviceptr pointer;
    CUresult result = cu.cuMemAlloc(&pointer, world->bytes);

    return result == CUDA_SUCCESS ? cu.cuMemFree(pointer) : result;
}

static CUresult record_context(struct world *world)
{
    return cu.cuCtxRecordEvent ? cu.cuCtxRecordEvent(world->context, world->event) : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult synchronize_context(struct world *world)
{
    (void)world;
    return cu.cuCtxSynchronize();
}

static CUresult nothing(struct world *world)
{
    (void)world;
    return CUDA_SUCCESS;
}

/* In the order in which each finds what it needs; `needed` by a restore while something captures. */
static const struct call {
    const char *name;
    CUresult (*make)(struct world *world);
    CUresult (*otherwise)(
        struct world *world); /* afterwards, if it was refused: so that the next finds it done */
    bool needed;
} calls[] = {
    {"nothing", nothing, nothing, true},
    {"cuMemAddressReserve", reserve, reserve, true},
    {"cuMemCreate_device", create_device, create_device, true},
    {"cuMemMap_device", map, map, true},
    {"cuMemSetAccess_device", set_access, set_access, true},
    {"cuMemUnmap_device", unmap, unmap, true},
    {"cuMemRelease_device", release, release, true},
    {"cuMemCreate_host", create_host, create_host, true},
    {"cuMemMap_host", map, map, true},
    {"cuMemSetAccess_host", set_access, set_access, true},
    {"cuMemUnmap_host", unmap, unmap, true},
    {"cuMemRelease_host", release, release, true},
    {"cuMemAddressFree", address_free, address_free, true},
    {"cuMemcpyHtoDAsync_private", copy_private, nothing, true},
    {"cuEventRecord_private", record_private, nothing, true},
    {"cuStreamSynchronize_private", synchronize_private, nothing, true},
    {"cuEventQuery_private", query_private, nothing, true},
    {"cuMemAlloc_cuMemFree", allocate, nothing, false},
    {"cuCtxRecordEvent", record_context, nothing, false},
    {"cuCtxSynchronize", synchronize_context, nothing, false},
};

enum {
    CALLS = sizeof(calls) / sizeof(calls[0]),
    ROUNDS = 2,
};

struct attempt {
    struct world *world;
    const struct call *call;
    bool relaxed; /* whether the calling thread exchanges its mode first */
    CUresult result;
};

static void *make(void *argument)
{
    struct attempt *attempt = argument;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    MUST(cuCtxSetCurrent, (attempt->world->context));
    if (attempt->relaxed)
        MUST(cuThreadExchangeStreamCaptureMode, (&mode));
    attempt->result = attempt->call->make(attempt->world);
    if (attempt->relaxed)
        MUST(cuThreadExchangeStreamCaptureMode, (&mode));
    return NULL;
}

static void make_elsewhere(struct attempt *attempt)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, make, attempt) || pthread_join(thread, NULL))
        measure_must(CUDA_ERROR_OPERATING_SYSTEM, "pthread_create");
}

/* Launches the graph that was captured: two additions. */
static bool works(struct world *world, CUgraph graph)
{
    CUgraphExec exec;
    uint64_t words = world->captured.bytes / 8;

    if (cu.cuGraphInstantiate(&exec, graph, 0) != CUDA_SUCCESS)
        return false;
    kernels_fill(&world->kernels, world->captured.address, words, 1);
    MUST(cuCtxSynchronize, ());
    MUST(cuGraphLaunch, (exec, NULL));
    MUST(cuCtxSynchronize, ());
    MUST(cuGraphExecDestroy, (exec));
    return kernels_wrong(&world->kernels, world->captured.address, words, 1, 2) == 0;
}

static void add_captured(struct world *world)
{
    uint64_t words = world->captured.bytes / 8, one = 1;
    void *arguments[] = {&world->captured.address, &words, &one};

    /* The second one fails where the capture is invalid by then; the end tells. */
    (void)kernels_launch(world->kernels.add, words, arguments, world->capturing);
}

/* One capture with the call in its middle. Returns whether it was intact afterwards. */
static bool capture_around(struct attempt *attempt, CUstreamCaptureMode mode, bool elsewhere)
{
    struct world *world = attempt->world;
    CUgraph graph = NULL;
    bool intact;

    MUST(cuStreamBeginCapture, (world->capturing, mode));
    add_captured(world);
    if (elsewhere)
        make_elsewhere(attempt);
    else
        make(attempt);
    add_captured(world);
    intact = cu.cuStreamEndCapture(world->capturing, &graph) == CUDA_SUCCESS && graph && works(world, graph);
    if (graph)
        MUST(cuGraphDestroy, (graph));
    if (attempt->result != CUDA_SUCCESS)
        measure_must(attempt->call->otherwise(world), attempt->call->name);
    MUST(cuCtxSynchronize, ());
    return intact;
}

/* All calls in one mode; returns how many of the needed ones failed or broke the capture. */
static int try_mode(struct world *world, CUstreamCaptureMode mode, bool elsewhere, bool relaxed)
{
    static const char *const modes[] = {"global", "thread_local", "relaxed"};
    int good[CALLS] = {0}, broken = 0;
    CUresult results[CALLS];

    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CALLS; i++) {
            struct attempt attempt = {world, &calls[i], relaxed, CUDA_SUCCESS};
            bool intact = capture_around(&attempt, mode, elsewhere);

            good[i] += intact && attempt.result == CUDA_SUCCESS;
            results[i] = attempt.result;
        }
    }
    for (unsigned i = 0; i < CALLS; i++) {
        char name[128];

        snprintf(name, sizeof(name), "%s_%s_%s_%s", modes[mode], elsewhere ? "other_thread" : "same_thread",
                 relaxed ? "exchanged" : "plain", calls[i].name);
        measure_row(name, good[i], "intact_of_2");
        if (good[i] != ROUNDS)
            measure_result(name, results[i]);
        broken += calls[i].needed && good[i] != ROUNDS;
    }
    return broken;
}

static void world_create(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->device = measure_open();
    MUST(cuCtxGetCurrent, (&world->context));
    kernels_load(&world->kernels);
    block_create(&world->captured, world->device, 2 << 20);
    world->bytes = world->captured.bytes;
    MUST(cuStreamCreate, (&world->capturing, CU_STREAM_NON_BLOCKING));
    MUST(cuStreamCreate, (&world->private, CU_STREAM_NON_BLOCKING));
    MUST(cuMemAlloc, (&world->spare, world->bytes));
    MUST(cuMemAllocHost, (&world->pinned, world->bytes));
    memset(world->pinned, 0, world->bytes);
    MUST(cuEventCreate, (&world->event, CU_EVENT_DISABLE_TIMING));
}

static void world_destroy(struct world *world)
{
    MUST(cuEventDestroy, (world->event));
    MUST(cuMemFreeHost, (world->pinned));
    MUST(cuMemFree, (world->spare));
    MUST(cuStreamDestroy, (world->private));
    MUST(cuStreamDestroy, (world->capturing));
    block_destroy(&world->captured);
}

int main(int argc, char **argv)
{
    int plain = 0, exchanged = 0;
    struct world world;

    measure_begin(argc, argv, "which calls invalidate a stream capture?");
    world_create(&world);
    for (int mode = CU_STREAM_CAPTURE_MODE_GLOBAL; mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++) {
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            plain += try_mode(&world, mode, elsewhere, false);
            exchanged += try_mode(&world, mode, elsewhere, true);
        }
    }
    world_destroy(&world);
    return measure_verdict(
        exchanged == 0, false,
        "what a restore calls breaks captures in %d cases; with the thread's mode exchanged for "
        "RELAXED in %d",
        plain, exchanged);
}
