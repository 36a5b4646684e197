/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handle costs to create and to release, by size and place, and what its first uses cost: whether the driver
 * pins host memory when the handle is made, when access is granted, or when it is first touched. Beside it pinned
 * memory, and what it costs to use a handle again instead: the design recycles because it takes creating for dear.
 */
#include "block.h"

#include <stdio.h>

enum {
    HANDLES_MAX = 32,
    ROUNDS = 3,
};

/* The parts of a handle's life, in its order. */
enum part {
    CREATE,
    MAP,
    FIRST_ACCESS,
    FIRST_TOUCH, /* every byte set by the device */
    SECOND_TOUCH,
    UNMAP,
    RELEASE,
    PARTS,
};

static const char *const part_names[] = {"create",       "map",   "first_access", "first_touch",
                                         "second_touch", "unmap", "release"};

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static double rate(size_t bytes, uint64_t ns)
{
    return (double)bytes / (1 << 30) / ((double)ns / 1e9);
}

/* What one part of the life of `count` handles does. */
static void live(enum part part, CUdevice device, enum place place, CUdeviceptr address, size_t bytes,
                 unsigned count, CUmemGenericAllocationHandle *handles)
{
    for (unsigned i = 0; i < count && part != UNMAP; i++) {
        CUdeviceptr at = address + i * bytes;

        if (part == CREATE)
            measure_must(block_handle(device, place, bytes, &handles[i]), "cuMemCreate");
        else if (part == MAP)
            MUST(cuMemMap, (at, bytes, 0, handles[i], 0));
        else if (part == FIRST_ACCESS)
            measure_must(block_grant(at, bytes), "cuMemSetAccess");
        else if (part == FIRST_TOUCH || part == SECOND_TOUCH)
            MUST(cuMemsetD8, (at, (unsigned char)part, bytes));
        else if (part == RELEASE)
            MUST(cuMemRelease, (handles[i]));
    }
    if (part == FIRST_TOUCH || part == SECOND_TOUCH)
        MUST(cuCtxSynchronize, ());
    if (part == UNMAP)
        MUST(cuMemUnmap, (address, bytes * count));
}

/* The whole life of `count` handles of a size, some times; returns what making them usable takes by the medians, in us
 * per handle, whenever the driver does it: creation, access, and what the first touch takes beyond the second. */
static double lives(CUdevice device, enum place place, const char *where, size_t bytes, unsigned count)
{
    double samples[PARTS][ROUNDS], medians[PARTS];
    CUmemGenericAllocationHandle handles[HANDLES_MAX];
    CUdeviceptr address = block_reserve(device, bytes * count);
    char name[96];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (enum part part = 0; part < PARTS; part++) {
            uint64_t started_ns = measure_now_ns();

            live(part, device, place, address, bytes, count, handles);
            samples[part][round] = us(measure_now_ns() - started_ns) / count;
        }
    }
    for (enum part part = 0; part < PARTS; part++) {
        snprintf(name, sizeof(name), "%s_%s_%zuMiB", part_names[part], where, bytes >> 20);
        medians[part] = measure_samples(name, samples[part], ROUNDS, "us");
        if (part == CREATE || part == FIRST_ACCESS || part == FIRST_TOUCH) {
            snprintf(name, sizeof(name), "%s_%s_%zuMiB_rate", part_names[part], where, bytes >> 20);
            measure_row(name, rate(bytes, (uint64_t)(medians[part] * 1e3) + 1), "GiB/s");
        }
    }
    MUST(cuMemAddressFree, (address, bytes * count));
    return medians[CREATE] + medians[FIRST_ACCESS] + medians[FIRST_TOUCH] - medians[SECOND_TOUCH];
}

/* A handle that is there, mapped, made accessible and unmapped again; returns the median in us. */
static double recycle(CUdevice device, enum place place, const char *where, size_t bytes)
{
    CUdeviceptr address = block_reserve(device, bytes);
    CUmemGenericAllocationHandle handle;
    double samples[ROUNDS * 4];
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
    snprintf(name, sizeof(name), "recycle_%s_%zuMiB", where, bytes >> 20);
    return measure_samples(name, samples, ROUNDS * 4, "us");
}

static void pinned(size_t bytes)
{
    double samples[ROUNDS];
    char name[96];

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t started_ns = measure_now_ns();
        void *memory;

        MUST(cuMemAllocHost, (&memory, bytes));
        samples[i] = rate(bytes, measure_now_ns() - started_ns);
        MUST(cuMemFreeHost, (memory));
    }
    snprintf(name, sizeof(name), "cuMemAllocHost_%zuMiB_rate", bytes >> 20);
    measure_samples(name, samples, ROUNDS, "GiB/s");
}

int main(int argc, char **argv)
{
    static const CUmemLocationType types[] = {CU_MEM_LOCATION_TYPE_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST};
    size_t sizes[] = {2 << 20, 32 << 20, 256 << 20};
    double created_us = 0, recycled_us = 0;
    CUdevice device;
    size_t total;

    measure_begin(argc, argv,
                  "what does creating host memory cost, when is it paid, and what does recycling cost?");
    device = measure_open();
    if (block_host_find(device) != CUDA_SUCCESS)
        measure_no_host();
    total = measure_size(256 << 20, 32 << 20);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= total; i++) {
        unsigned count = (unsigned)(total / sizes[i]);

        count = count > HANDLES_MAX ? HANDLES_MAX : count;
        /* Last the kind that the library takes, for the verdict. */
        for (unsigned t = 2; t-- > 0;) {
            if (block_host_use(device, types[t]) != CUDA_SUCCESS)
                continue;
            created_us = lives(device, PLACE_HOST, block_host_name(types[t]), sizes[i], count);
            recycled_us = recycle(device, PLACE_HOST, block_host_name(types[t]), sizes[i]);
        }
        lives(device, PLACE_DEVICE, "device", sizes[i], count);
        recycle(device, PLACE_DEVICE, "device", sizes[i]);
        pinned(sizes[i]);
    }
    return measure_verdict(
        created_us >= 10 * recycled_us, true,
        "at the largest size a host handle takes %.0f us until it is usable, and %.0f us to map again and "
        "unmap",
        created_us, recycled_us);
}
