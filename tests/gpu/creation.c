/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measurement 7. What a handle costs to create and to release, by size and place, beside pinned memory; and what it
 * costs to use one again instead: the design recycles because it takes creating for dear.
 */
#include "block.h"

#include <stdio.h>

enum {
    HANDLES_MAX = 64,
    ROUNDS = 5,
};

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

/* What it takes to have `count` handles of a size; returns the median creation, in µs per handle. */
static double create_and_release(CUdevice device, enum place place, size_t bytes, unsigned count)
{
    double create[ROUNDS], release[ROUNDS], gib[ROUNDS], median;
    CUmemGenericAllocationHandle handles[HANDLES_MAX];
    char name[96];

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t started_ns = measure_now_ns(), created_ns;

        for (unsigned i = 0; i < count; i++)
            measure_must(block_handle(device, place, bytes, &handles[i]), "cuMemCreate");
        created_ns = measure_now_ns();
        for (unsigned i = 0; i < count; i++)
            MUST(cuMemRelease, (handles[i]));
        create[round] = us(created_ns - started_ns) / count;
        release[round] = us(measure_now_ns() - created_ns) / count;
        gib[round] = (double)bytes * count / (1 << 30) / ((double)(created_ns - started_ns) / 1e9);
    }
    snprintf(name, sizeof(name), "create_%s_%zuMiB", place_name(place), bytes >> 20);
    median = measure_samples(name, create, ROUNDS, "us");
    snprintf(name, sizeof(name), "create_%s_%zuMiB_rate", place_name(place), bytes >> 20);
    measure_samples(name, gib, ROUNDS, "GiB/s");
    snprintf(name, sizeof(name), "release_%s_%zuMiB", place_name(place), bytes >> 20);
    measure_samples(name, release, ROUNDS, "us");
    return median;
}

/* A handle that is there, mapped, made accessible and unmapped again; returns the median in µs. */
static double recycle(CUdevice device, enum place place, size_t bytes)
{
    CUdeviceptr address = block_reserve(device, bytes);
    CUmemGenericAllocationHandle handle;
    double samples[ROUNDS * 4], median;
    char name[96];

    measure_must(block_handle(device, place, bytes, &handle), "cuMemCreate");
    for (unsigned i = 0; i < ROUNDS * 4; i++) {
        uint64_t started_ns = measure_now_ns();

        measure_must(block_map(address, bytes, handle), "mapping a recycled handle");
        MUST(cuMemUnmap, (address, bytes));
        samples[i] = us(measure_now_ns() - started_ns);
    }
    MUST(cuMemRelease, (handle));
    MUST(cuMemAddressFree, (address, bytes));
    snprintf(name, sizeof(name), "recycle_%s_%zuMiB", place_name(place), bytes >> 20);
    median = measure_samples(name, samples, ROUNDS * 4, "us");
    return median;
}

static void pinned(size_t bytes)
{
    double samples[ROUNDS];
    char name[96];

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t started_ns = measure_now_ns();
        void *memory;

        MUST(cuMemAllocHost, (&memory, bytes));
        samples[i] = (double)bytes / (1 << 30) / ((double)(measure_now_ns() - started_ns) / 1e9);
        MUST(cuMemFreeHost, (memory));
    }
    snprintf(name, sizeof(name), "cuMemAllocHost_%zuMiB_rate", bytes >> 20);
    measure_samples(name, samples, ROUNDS, "GiB/s");
}

int main(int argc, char **argv)
{
    size_t sizes[] = {2 << 20, 32 << 20, 64 << 20, 256 << 20};
    size_t total;
    double host_us = 0, recycled_us = 0;
    CUdevice device;

    measure_begin(argc, argv, "7: what does creating host memory cost, and what recycling it?");
    device = measure_open();
    total = measure_size(512 << 20, 64 << 20);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= total; i++) {
        unsigned count = (unsigned)(total / sizes[i]);

        count = count > HANDLES_MAX ? HANDLES_MAX : count;
        create_and_release(device, PLACE_DEVICE, sizes[i], count);
        host_us = create_and_release(device, PLACE_HOST, sizes[i], count);
        recycle(device, PLACE_DEVICE, sizes[i]);
        recycled_us = recycle(device, PLACE_HOST, sizes[i]);
        pinned(sizes[i]);
    }
    return measure_verdict(
        host_us >= 10 * recycled_us, true,
        "at the largest size a host handle takes %.0f us to create and %.0f us to map again and "
        "unmap",
        host_us, recycled_us);
}
