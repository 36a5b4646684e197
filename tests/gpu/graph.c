/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable graphs whose kernel, copy and set nodes name a block that moves between instantiation and
 * launch: to host memory, back, and to other memory of the device. Each kind of node in a process of its own, as a
 * launch may end in a lost context.
 */
#include "block.h"
#include "kernels.h"

#include "../programs/random.h"

#include <stdio.h>
#include <string.h>

enum {
    ROUNDS = 3,
    ANSWERED = 100, /* a child returns this and how many steps were wrong */
    SET_WORD = 0x5a5a5a5a,
};

enum kind {
    KERNEL,
    COPY_HTOD,
    COPY_DTOH,
    COPY_DTOD_IN,
    COPY_DTOD_OUT,
    SET,
    KINDS,
};

static const char *const kind_names[] = {"kernel",         "memcpy_htod",     "memcpy_dtoh",
                                         "memcpy_dtod_in", "memcpy_dtod_out", "memset"};

struct world {
    enum kind kind;
    CUdevice device;
    CUcontext context;
    struct kernels kernels;
    struct block block;
    CUdeviceptr native;
    uint64_t *source, *found; /* pinned */
    uint64_t words, seed;
    CUgraph graph;
    CUgraphNode node;
    CUgraphExec exec;
    bool lost; /* the context */
};

static void world_create(struct world *world, enum kind kind)
{
    memset(world, 0, sizeof(*world));
    world->kind = kind;
    world->device = measure_open();
    MUST(cuCtxGetCurrent, (&world->context));
    kernels_load(&world->kernels);
    block_create(&world->block, world->device, 2 << 20);
    world->words = world->block.bytes / 8;
    MUST(cuMemAlloc, (&world->native, world->block.bytes));
    MUST(cuMemAllocHost, ((void **)&world->source, world->block.bytes));
    MUST(cuMemAllocHost, ((void **)&world->found, world->block.bytes));
}

static CUDA_MEMCPY3D copy_of(const struct world *world)
{
    CUDA_MEMCPY3D copy = {.WidthInBytes = world->block.bytes, .Height = 1, .Depth = 1};
    bool in = world->kind == COPY_HTOD || world->kind == COPY_DTOD_IN;

    copy.srcMemoryType = world->kind == COPY_HTOD ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    copy.srcHost = world->source;
    copy.srcDevice = in ? world->native : world->block.address;
    copy.dstMemoryType = world->kind == COPY_DTOH ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    copy.dstHost = world->found;
    copy.dstDevice = in ? world->block.address : world->native;
    return copy;
}

static CUDA_MEMSET_NODE_PARAMS set_of(const struct world *world)
{
    return (CUDA_MEMSET_NODE_PARAMS){.dst = world->block.address,
                                     .value = SET_WORD,
                                     .elementSize = 4,
                                     .width = world->block.bytes / 4,
                                     .height = 1};
}

static void instantiate(struct world *world)
{
    uint64_t one = 1;
    void *arguments[] = {&world->block.address, &world->words, &one};
    CUDA_KERNEL_NODE_PARAMS kernel = {.func = world->kernels.add,
                                      .gridDimX = 256,
                                      .gridDimY = 1,
                                      .gridDimZ = 1,
                                      .blockDimX = 256,
                                      .blockDimY = 1,
                                      .blockDimZ = 1,
                                      .kernelParams = arguments};
    CUDA_MEMCPY3D copy = copy_of(world);
    CUDA_MEMSET_NODE_PARAMS set = set_of(world);

    MUST(cuGraphCreate, (&world->graph, 0));
    if (world->kind == KERNEL)
        MUST(cuGraphAddKernelNode, (&world->node, world->graph, NULL, 0, &kernel));
    else if (world->kind == SET)
        MUST(cuGraphAddMemsetNode, (&world->node, world->graph, NULL, 0, &set, world->context));
    else
        MUST(cuGraphAddMemcpyNode, (&world->node, world->graph, NULL, 0, &copy, world->context));
    MUST(cuGraphInstantiate, (&world->exec, world->graph, 0));
}

static CUresult update(struct world *world)
{
    CUDA_MEMCPY3D copy = copy_of(world);
    CUDA_MEMSET_NODE_PARAMS set = set_of(world);

    if (world->kind == SET)
        return cu.cuGraphExecMemsetNodeSetParams(world->exec, world->node, &set, world->context);
    return cu.cuGraphExecMemcpyNodeSetParams(world->exec, world->node, &copy, world->context);
}

/* What word i must be afterwards, where the kind's result lies. */
static uint64_t expected(const struct world *world, uint64_t i)
{
    switch (world->kind) {
    case KERNEL:
        return random_at(world->seed, i) + 1;
    case COPY_HTOD:
    case COPY_DTOD_IN:
        return random_at(world->seed + 1, i);
    case SET:
        return SET_WORD * 0x100000001U;
    default:
        return random_at(world->seed, i);
    }
}

/* Launches with fresh contents: the block's from one seed, everything else's from the next. */
static CUresult launch(struct world *world, bool *right)
{
    CUdeviceptr alias = world->block.aliases[world->block.place];
    CUresult result;

    world->seed += 2;
    kernels_fill(&world->kernels, alias, world->words, world->seed);
    kernels_fill(&world->kernels, world->native, world->words, world->seed + 1);
    for (uint64_t i = 0; i < world->words; i++)
        world->source[i] = random_at(world->seed + 1, i);
    memset(world->found, 0, world->block.bytes);
    MUST(cuCtxSynchronize, ());
    result = cu.cuGraphLaunch(world->exec, NULL);
    if (result == CUDA_SUCCESS)
        result = cu.cuCtxSynchronize();
    *right = false;
    if (result != CUDA_SUCCESS)
        return result;
    if (world->kind != COPY_DTOH)
        MUST(cuMemcpyDtoH,
             (world->found, world->kind == COPY_DTOD_OUT ? world->native : alias, world->block.bytes));
    *right = true;
    for (uint64_t i = 0; i < world->words; i++)
        *right &= world->found[i] == expected(world, i);
    return result;
}

enum step {
    STAY,
    MOVE,
    RETURN,
    RETURN_TO_OTHER_MEMORY,
    UPDATE,
    STEPS,
};

static const char *const step_names[] = {"unmoved", "moved", "returned", "returned_to_other_memory",
                                         "updated_after_move"};

static CUresult step_take(struct world *world, enum step step, enum place home)
{
    enum place away = home == PLACE_HOST ? PLACE_DEVICE : PLACE_HOST;

    block_move(&world->block, step == MOVE || step == UPDATE ? away : home);
    if (step == RETURN_TO_OTHER_MEMORY) {
        block_move(&world->block, away);
        block_renew(&world->block, world->device);
        block_move(&world->block, home);
    }
    return step == UPDATE ? update(world) : CUDA_SUCCESS;
}

/* Every step, several times each; returns how many with the instantiated node were not right every time. Ends early
 * where a launch has cost the context: no call would tell anything any more. */
static int steps(struct world *world, enum place home)
{
    int wrong = 0;

    block_move(&world->block, home);
    instantiate(world);
    for (int step = STAY; step < (world->kind == KERNEL ? UPDATE : STEPS) && !world->lost; step++) {
        char name[96];
        CUresult result = CUDA_SUCCESS;
        int good = 0;

        snprintf(name, sizeof(name), "%s_made_on_%s_%s", kind_names[world->kind], place_name(home),
                 step_names[step]);
        for (int round = 0; round < ROUNDS && !world->lost; round++) {
            bool right = false;

            result = step_take(world, step, home);
            if (result != CUDA_SUCCESS)
                continue;
            result = launch(world, &right);
            world->lost = result != CUDA_SUCCESS && cu.cuCtxSynchronize() != CUDA_SUCCESS;
            good += right;
        }
        measure_row(name, good, "right_of_3");
        if (result != CUDA_SUCCESS)
            measure_result(name, result);
        wrong += step != UPDATE && good != ROUNDS;
    }
    if (world->lost)
        return wrong;
    MUST(cuGraphExecDestroy, (world->exec));
    MUST(cuGraphDestroy, (world->graph));
    return wrong;
}

static int try_kind(void *argument)
{
    struct world world;
    int wrong;

    world_create(&world, *(enum kind *)argument);
    wrong = steps(&world, PLACE_DEVICE);
    if (!world.lost)
        wrong += steps(&world, PLACE_HOST);
    return ANSWERED + wrong;
}

int main(int argc, char **argv)
{
    int kernel_wrong = 0, others_wrong = 0, unanswered = 0;

    measure_begin(argc, argv, "what do the nodes of an executable graph make of a block that moves?");
    for (enum kind kind = 0; kind < KINDS; kind++) {
        int wrong = measure_isolated(kind_names[kind], try_kind, &kind) - ANSWERED;

        /* A child that died or gave up between launches says nothing of its kind. */
        unanswered += wrong < 0;
        if (kind == KERNEL)
            kernel_wrong = wrong;
        else
            others_wrong += wrong > 0;
    }
    measure_row("unanswered", unanswered, "kinds");
    if (kernel_wrong < 0)
        return MEASURE_BROKEN;
    return measure_verdict(
        kernel_wrong == 0, false,
        "kernel nodes %s when their block moves; of the 5 kinds of copy and set nodes %d do",
        kernel_wrong ? "go wrong" : "do not go wrong", others_wrong);
}
