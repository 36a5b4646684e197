/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a launch costs while many mappings exist that it does not use: the library maps every block in pieces, and host
 * memory beside them, so a program of many blocks has thousands.
 */
#include "block.h"
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAPPINGS_MAX = 10000,
    HANDLES_MAX = 64, /* each is mapped many times over */
    BURST = 500,      /* less than what fills a queue */
};

struct world {
    CUdevice device;
    struct kernels kernels;
    CUdeviceptr word, address;
    size_t granule;
    unsigned mapped;
    CUmemGenericAllocationHandle handles[PLACE_COUNT][HANDLES_MAX];
    unsigned created[PLACE_COUNT];
};

/* Mappings of one place until there are `count` in all. */
static void map_until(struct world *world, unsigned count, enum place place)
{
    uint64_t started_ns = measure_now_ns();
    unsigned before = world->mapped;
    char name[64];

    for (; world->mapped < count; world->mapped++) {
        unsigned n = world->mapped % HANDLES_MAX;

        if (n >= world->created[place]) {
            n = world->created[place]++;
            measure_must(block_handle(world->device, place, world->granule, &world->handles[place][n]),
                         "cuMemCreate");
        }
        measure_must(block_map(world->address + world->mapped * world->granule, world->granule,
                               world->handles[place][n]),
                     "mapping");
    }
    snprintf(name, sizeof(name), "map_until_%u_%s", count, place_name(place));
    if (count > before)
        measure_row(name, (double)(measure_now_ns() - started_ns) / 1e3 / (count - before), "us_each");
}

static CUresult launch_one(struct world *world)
{
    uint64_t count = 1, more = 1;
    void *arguments[] = {&world->word, &count, &more};

    return kernels_launch(world->kernels.add, 1, arguments, NULL);
}

/* Median microseconds of a launch among others, and of one that is waited for. */
static double launches(struct world *world, const char *when)
{
    double burst[MEASURE_REPETITIONS], alone[MEASURE_REPETITIONS], median;
    char name[64];

    for (unsigned i = 0; i < MEASURE_REPETITIONS; i++) {
        uint64_t started_ns;

        MUST(cuCtxSynchronize, ());
        started_ns = measure_now_ns();
        for (unsigned n = 0; n < BURST; n++)
            measure_must(launch_one(world), "add");
        burst[i] = (double)(measure_now_ns() - started_ns) / 1e3 / BURST;
        MUST(cuCtxSynchronize, ());
        started_ns = measure_now_ns();
        measure_must(launch_one(world), "add");
        MUST(cuCtxSynchronize, ());
        alone[i] = (double)(measure_now_ns() - started_ns) / 1e3;
    }
    snprintf(name, sizeof(name), "launch_%s", when);
    median = measure_samples(name, burst, MEASURE_REPETITIONS, "us");
    snprintf(name, sizeof(name), "launch_and_wait_%s", when);
    measure_samples(name, alone, MEASURE_REPETITIONS, "us");
    return median;
}

static void world_create(struct world *world)
{
    *world = (struct world){.device = measure_open()};
    kernels_load(&world->kernels);
    if (block_host_find(world->device) != CUDA_SUCCESS)
        measure_no_host();
    world->granule = block_granularity(world->device);
    world->address = block_reserve(world->device, world->granule * (MAPPINGS_MAX + MAPPINGS_MAX / 10));
    MUST(cuMemAlloc, (&world->word, 8));
    MUST(cuMemsetD8, (world->word, 0, 8));
}

static void world_destroy(struct world *world)
{
    MUST(cuCtxSynchronize, ());
    for (unsigned i = 0; i < world->mapped; i++)
        MUST(cuMemUnmap, (world->address + i * world->granule, world->granule));
    MUST(cuMemAddressFree, (world->address, world->granule * (MAPPINGS_MAX + MAPPINGS_MAX / 10)));
    for (unsigned place = 0; place < PLACE_COUNT; place++) {
        for (unsigned i = 0; i < world->created[place]; i++)
            MUST(cuMemRelease, (world->handles[place][i]));
    }
    MUST(cuMemFree, (world->word));
}

int main(int argc, char **argv)
{
    double none, some, many, hosted;
    struct world world;
    unsigned most;

    measure_begin(argc, argv, "what does a launch cost among many mappings?");
    world_create(&world);
    most = (unsigned)measure_size(MAPPINGS_MAX, 200);
    launches(&world, "first");
    none = launches(&world, "0_mappings");
    map_until(&world, most / 10, PLACE_DEVICE);
    some = launches(&world, "a_tenth");
    map_until(&world, most, PLACE_DEVICE);
    many = launches(&world, "all_on_device");
    map_until(&world, most + most / 10, PLACE_HOST);
    hosted = launches(&world, "and_a_tenth_in_host");
    world_destroy(&world);
    return measure_verdict(
        many <= 1.5 * none && hosted <= 1.5 * none, true,
        "a launch takes %.2f us, %.2f with %u more mappings, %.2f with %u, %.2f with %u of host "
        "memory besides",
        none, some, most / 10, many, most, hosted, most / 10);
}
