/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way to reach memory, at an address whose backing was exchanged. What an operation did is checked
 * through the alias, by another path than its own. Both kinds of host memory are tried.
 */
#include "block.h"
#include "kernels.h"

#include "../programs/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 3,
    SET_BYTE = 0x5a,
    ATOMIC_ROUNDS = 3,
};

struct world {
    CUdevice device;
    struct block block;
    struct kernels kernels;
    CUdeviceptr native; /* an ordinary allocation of the same size */
    CUstream stream;
    uint64_t *pattern; /* what copies bring */
    unsigned char *found;
    size_t bytes;
};

static CUresult settle(struct world *world, CUresult submitted)
{
    return submitted == CUDA_SUCCESS ? cu.cuStreamSynchronize(world->stream) : submitted;
}

/* Writers: the block must hold `pattern` afterwards, or SET_BYTE everywhere, or ATOMIC_ROUNDS in every word. */

static CUresult kernel_write(struct world *world)
{
    uint64_t count = world->bytes / 8, seed = 1;
    void *arguments[] = {&world->block.address, &count, &seed};

    return settle(world, kernels_launch(world->kernels.fill, count, arguments, world->stream));
}

static CUresult kernel_atomics(struct world *world)
{
    uint64_t slots = world->bytes / 8, times = slots * ATOMIC_ROUNDS;
    void *arguments[] = {&world->block.address, &slots, &times};

    return settle(world, kernels_launch(world->kernels.atomics, times, arguments, world->stream));
}

static CUresult memcpy_htod(struct world *world)
{
    return cu.cuMemcpyHtoD(world->block.address, world->pattern, world->bytes);
}

static CUresult memcpy_htod_async(struct world *world)
{
    return settle(world,
                  cu.cuMemcpyHtoDAsync(world->block.address, world->pattern, world->bytes, world->stream));
}

/* Fills the ordinary allocation with the pattern, to copy from there. */
static CUresult prepare_native(struct world *world)
{
    CUresult result = cu.cuMemcpyHtoD(world->native, world->pattern, world->bytes);

    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memcpy_dtod_in(struct world *world)
{
    CUresult result = prepare_native(world);

    if (result == CUDA_SUCCESS)
        result = cu.cuMemcpyDtoD(world->block.address, world->native, world->bytes);
    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memcpy_dtod_async_in(struct world *world)
{
    CUresult result = prepare_native(world);

    if (result == CUDA_SUCCESS)
        result = cu.cuMemcpyDtoDAsync(world->block.address, world->native, world->bytes, world->stream);
    return settle(world, result);
}

static CUresult memcpy_any_in(struct world *world)
{
    return cu.cuMemcpy(world->block.address, (CUdeviceptr)(uintptr_t)world->pattern, world->bytes);
}

static CUresult memcpy_any_async_in(struct world *world)
{
    return settle(world, cu.cuMemcpyAsync(world->block.address, (CUdeviceptr)(uintptr_t)world->pattern,
                                          world->bytes, world->stream));
}

static CUresult memcpy_2d_in(struct world *world)
{
    CUDA_MEMCPY2D copy = {
        .srcMemoryType = CU_MEMORYTYPE_HOST,
        .srcHost = world->pattern,
        .srcPitch = 4096,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = world->block.address,
        .dstPitch = 4096,
        .WidthInBytes = 4096,
        .Height = world->bytes / 4096,
    };

    return cu.cuMemcpy2D(&copy);
}

static CUresult memset_d8(struct world *world)
{
    CUresult result = cu.cuMemsetD8(world->block.address, SET_BYTE, world->bytes);

    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memset_d16(struct world *world)
{
    CUresult result = cu.cuMemsetD16(world->block.address, SET_BYTE * 0x101, world->bytes / 2);

    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memset_d32(struct world *world)
{
    CUresult result = cu.cuMemsetD32(world->block.address, SET_BYTE * 0x1010101U, world->bytes / 4);

    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memset_2d32(struct world *world)
{
    CUresult result =
        cu.cuMemsetD2D32(world->block.address, 4096, SET_BYTE * 0x1010101U, 1024, world->bytes / 4096);

    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

static CUresult memset_d8_async(struct world *world)
{
    return settle(world, cu.cuMemsetD8Async(world->block.address, SET_BYTE, world->bytes, world->stream));
}

static CUresult memset_d32_async(struct world *world)
{
    return settle(world, cu.cuMemsetD32Async(world->block.address, SET_BYTE * 0x1010101U, world->bytes / 4,
                                             world->stream));
}

static CUresult nothing(struct world *world)
{
    (void)world;
    return CUDA_SUCCESS;
}

/* Readers: `found` must hold the pattern afterwards. */

static CUresult kernel_read(struct world *world)
{
    if (kernels_wrong(&world->kernels, world->block.address, world->bytes / 8, 1, 0) == 0)
        memcpy(world->found, world->pattern, world->bytes);
    return CUDA_SUCCESS;
}

static CUresult memcpy_dtoh(struct world *world)
{
    return cu.cuMemcpyDtoH(world->found, world->block.address, world->bytes);
}

static CUresult memcpy_dtoh_async(struct world *world)
{
    return settle(world,
                  cu.cuMemcpyDtoHAsync(world->found, world->block.address, world->bytes, world->stream));
}

static CUresult memcpy_dtod_out(struct world *world)
{
    CUresult result = cu.cuMemcpyDtoD(world->native, world->block.address, world->bytes);

    return result == CUDA_SUCCESS ? cu.cuMemcpyDtoH(world->found, world->native, world->bytes) : result;
}

static CUresult memcpy_any_out(struct world *world)
{
    return cu.cuMemcpy((CUdeviceptr)(uintptr_t)world->found, world->block.address, world->bytes);
}

static CUresult memcpy_2d_out(struct world *world)
{
    CUDA_MEMCPY2D copy = {
        .srcMemoryType = CU_MEMORYTYPE_UNIFIED,
        .srcDevice = world->block.address,
        .srcPitch = 4096,
        .dstMemoryType = CU_MEMORYTYPE_HOST,
        .dstHost = world->found,
        .dstPitch = 4096,
        .WidthInBytes = 4096,
        .Height = world->bytes / 4096,
    };

    return cu.cuMemcpy2D(&copy);
}

enum effect {
    BRINGS_PATTERN,
    SETS_BYTES,
    COUNTS,
    READS,
};

static const struct operation {
    const char *name;
    CUresult (*run)(struct world *world);
    enum effect effect;
} operations[] = {
    {"kernel_write", kernel_write, BRINGS_PATTERN},
    {"kernel_read", kernel_read, READS},
    {"kernel_atomics", kernel_atomics, COUNTS},
    {"memcpy_htod", memcpy_htod, BRINGS_PATTERN},
    {"memcpy_htod_async", memcpy_htod_async, BRINGS_PATTERN},
    {"memcpy_dtoh", memcpy_dtoh, READS},
    {"memcpy_dtoh_async", memcpy_dtoh_async, READS},
    {"memcpy_dtod_in", memcpy_dtod_in, BRINGS_PATTERN},
    {"memcpy_dtod_async_in", memcpy_dtod_async_in, BRINGS_PATTERN},
    {"memcpy_dtod_out", memcpy_dtod_out, READS},
    {"memcpy_any_in", memcpy_any_in, BRINGS_PATTERN},
    {"memcpy_any_async_in", memcpy_any_async_in, BRINGS_PATTERN},
    {"memcpy_any_out", memcpy_any_out, READS},
    {"memcpy_2d_in", memcpy_2d_in, BRINGS_PATTERN},
    {"memcpy_2d_out", memcpy_2d_out, READS},
    {"memset_d8", memset_d8, SETS_BYTES},
    {"memset_d16", memset_d16, SETS_BYTES},
    {"memset_d32", memset_d32, SETS_BYTES},
    {"memset_2d32", memset_2d32, SETS_BYTES},
    {"memset_d8_async", memset_d8_async, SETS_BYTES},
    {"memset_d32_async", memset_d32_async, SETS_BYTES},
};

enum {
    OPERATIONS = sizeof(operations) / sizeof(operations[0]),
};

static bool as_expected(const struct world *world, enum effect effect)
{
    if (effect == BRINGS_PATTERN || effect == READS)
        return memcmp(world->found, world->pattern, world->bytes) == 0;
    for (size_t i = 0; effect == SETS_BYTES && i < world->bytes; i++) {
        if (world->found[i] != SET_BYTE)
            return false;
    }
    for (size_t i = 0; effect == COUNTS && i < world->bytes; i += 8) {
        if (world->found[i] != ATOMIC_ROUNDS || world->found[i + 1])
            return false;
    }
    return true;
}

/* Puts the start state in place through the alias, runs, and looks at what came of it. */
static bool right(struct world *world, const struct operation *operation, CUresult *result)
{
    CUdeviceptr alias = world->block.aliases[world->block.place];

    memset(world->found, 0, world->bytes);
    if (operation->effect == READS)
        MUST(cuMemcpyHtoD, (alias, world->pattern, world->bytes));
    else
        MUST(cuMemcpyHtoD, (alias, world->found, world->bytes));
    /* From pageable memory the call may return before the last piece has arrived. */
    MUST(cuCtxSynchronize, ());
    *result = operation->run(world);
    if (*result != CUDA_SUCCESS)
        return false;
    if (operation->effect != READS)
        MUST(cuMemcpyDtoH, (world->found, alias, world->bytes));
    return as_expected(world, operation->effect);
}

/* Returns how many operations were not right every time. */
static unsigned try_all(struct world *world, const char *when)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned good = 0;
        char name[96];

        snprintf(name, sizeof(name), "%s_%s", when, operations[i].name);
        for (unsigned round = 0; round < ROUNDS; round++) {
            CUresult result;

            good += right(world, &operations[i], &result);
            if (result != CUDA_SUCCESS)
                measure_result(name, result);
        }
        measure_row(name, good, "right_of_3");
        failures += good != ROUNDS;
    }
    return failures;
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory)
        exit(MEASURE_BROKEN);
    return memory;
}

/* The world's parts that do not depend on where host memory lies. */
static void world_create(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->device = measure_open();
    kernels_load(&world->kernels);
    MUST(cuStreamCreate, (&world->stream, CU_STREAM_NON_BLOCKING));
}

/* How many kinds of access fail, before the move, after it and after the return; with control whether one that does
 * nothing was missed. */
struct failures {
    unsigned before, moved, back;
    bool missed;
};

static void try_places(struct world *world, const char *location, struct failures *failures)
{
    static const struct operation control = {"nothing", nothing, BRINGS_PATTERN};
    CUresult result;
    char when[64];

    block_create(&world->block, world->device, 2 << 20);
    world->bytes = world->block.bytes;
    world->pattern = allocate(world->bytes);
    world->found = allocate(world->bytes);
    for (size_t i = 0; i < world->bytes / 8; i++)
        world->pattern[i] = random_at(1, i);
    MUST(cuMemAlloc, (&world->native, world->bytes));
    failures->missed = right(world, &control, &result);
    measure_word("control_no_operation", failures->missed ? "missed" : "noticed", "control");
    snprintf(when, sizeof(when), "%s_before", location);
    failures->before = try_all(world, when);
    block_move(&world->block, PLACE_HOST);
    snprintf(when, sizeof(when), "%s_host", location);
    failures->moved = try_all(world, when);
    block_move(&world->block, PLACE_DEVICE);
    snprintf(when, sizeof(when), "%s_back", location);
    failures->back = try_all(world, when);
    MUST(cuMemFree, (world->native));
    block_destroy(&world->block);
    free(world->found);
    free(world->pattern);
}

int main(int argc, char **argv)
{
    static const CUmemLocationType types[] = {CU_MEM_LOCATION_TYPE_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST};
    struct failures all[2] = {{0}}, *used = NULL;
    struct world world;

    measure_begin(argc, argv, "do kernels, copies and sets of every kind work at a swapped address?");
    world_create(&world);
    for (unsigned i = 0; i < 2; i++) {
        CUresult result = block_host_use(world.device, types[i]);
        char row[64];

        snprintf(row, sizeof(row), "create_%s", block_host_name(types[i]));
        measure_result(row, result);
        if (result != CUDA_SUCCESS)
            continue;
        try_places(&world, block_host_name(types[i]), &all[i]);
        /* The library takes the first that can be made. */
        used = used ? used : &all[i];
    }
    MUST(cuStreamDestroy, (world.stream));
    if (!used)
        measure_no_host();
    return measure_verdict(!used->missed && used->before + used->moved + used->back == 0, false,
                           "of %u kinds of access fail with memory at HOST_NUMA %u on the device, %u in host "
                           "memory, %u after the return; at HOST %u, %u and %u",
                           (unsigned)OPERATIONS, all[0].before, all[0].moved, all[0].back, all[1].before,
                           all[1].moved, all[1].back);
}
