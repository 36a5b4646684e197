/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast kernels read and write a block that lies in host memory, against how much of it they touch,
 * and beside what the copy engine reaches over the same link. Host memory is mapped in pieces, as blocks are.
 */
#include "block.h"
#include "kernels.h"
#include "link.h"

#include <stdio.h>

enum {
    PIECES_MAX = 16, /* 4 GiB, whatever is free now: the memory of some machines grows as it is used */
};

struct world {
    CUdevice device;
    struct kernels kernels;
    CUdeviceptr address;
    CUmemGenericAllocationHandle handles[PIECES_MAX];
    size_t piece_bytes;
    unsigned pieces, pieces_max;
    CUdeviceptr sum; /* one word for the kernels' results */
};

/* One more piece; false if the driver has no more host memory. */
static bool grow(struct world *world)
{
    CUdeviceptr at = world->address + world->pieces * world->piece_bytes;
    CUmemGenericAllocationHandle *handle = &world->handles[world->pieces];
    CUresult result = block_handle(world->device, PLACE_HOST, world->piece_bytes, handle);

    if (result != CUDA_SUCCESS) {
        measure_result("host_memory_ends_with", result);
        return false;
    }
    measure_must(block_map(at, world->piece_bytes, *handle), "mapping a piece");
    world->pieces++;
    return true;
}

enum access {
    STREAM_READ,
    STREAM_WRITE,
    RANDOM_READ,
    ACCESSES,
};

static const char *const access_names[] = {"stream_read", "stream_write", "random_read"};

/* GB/s of the words that one launch moves; of random reads at most as many as a stream would make in 64 MiB. */
static double run(struct world *world, enum access access, CUdeviceptr words, size_t bytes)
{
    uint64_t count = bytes / 8, seed = 3, times = count < (8 << 20) ? count : 8 << 20, started_ns, took_ns;
    void *reading[] = {&words, &count, &world->sum};
    void *writing[] = {&words, &count, &seed};
    void *jumping[] = {&words, &count, &times, &world->sum};
    CUfunction functions[] = {world->kernels.stream_read, world->kernels.fill, world->kernels.random_read};
    void **arguments[] = {reading, writing, jumping};

    MUST(cuCtxSynchronize, ());
    started_ns = measure_now_ns();
    measure_must(kernels_launch(functions[access], count, arguments[access], NULL), access_names[access]);
    MUST(cuCtxSynchronize, ());
    took_ns = measure_now_ns() - started_ns;
    return (double)(access == RANDOM_READ ? times * 8 : bytes) / (double)took_ns;
}

/* Median GB/s of one kind of access, after one launch that is not counted. */
static double accesses(struct world *world, enum access access, CUdeviceptr words, size_t bytes,
                       const char *where)
{
    double samples[MEASURE_REPETITIONS];
    char name[96];

    run(world, access, words, bytes);
    for (unsigned i = 0; i < MEASURE_REPETITIONS; i++)
        samples[i] = run(world, access, words, bytes);
    snprintf(name, sizeof(name), "%s_%s_%zuMiB", where, access_names[access], bytes >> 20);
    return measure_samples(name, samples, MEASURE_REPETITIONS, "GB/s");
}

static void world_create(struct world *world)
{
    *world = (struct world){.device = measure_open(), .piece_bytes = measure_size(256 << 20, 2 << 20)};
    kernels_load(&world->kernels);
    world->pieces_max = (unsigned)measure_size(PIECES_MAX, 4);
    world->address = block_reserve(world->device, world->piece_bytes * PIECES_MAX);
    MUST(cuMemAlloc, (&world->sum, 8));
    MUST(cuMemsetD8, (world->sum, 0, 8));
}

static void world_destroy(struct world *world)
{
    MUST(cuCtxSynchronize, ());
    for (unsigned i = 0; i < world->pieces; i++) {
        MUST(cuMemUnmap, (world->address + i * world->piece_bytes, world->piece_bytes));
        MUST(cuMemRelease, (world->handles[i]));
    }
    MUST(cuMemAddressFree, (world->address, world->piece_bytes * PIECES_MAX));
    MUST(cuMemFree, (world->sum));
}

int main(int argc, char **argv)
{
    double in, out, on_device, first_read = 0, last_read = 0, last_write = 0;
    struct world world;
    CUdeviceptr native;

    measure_begin(argc, argv, "how fast do kernels reach host memory through the mapping?");
    world_create(&world);
    MUST(cuMemAlloc, (&native, world.piece_bytes));
    in = link_rate(world.piece_bytes, native, LINK_IN);
    out = link_rate(world.piece_bytes, native, LINK_OUT);
    /* The control: the same kernel where no link is in its way. */
    on_device = accesses(&world, STREAM_READ, native, world.piece_bytes, "device");
    accesses(&world, RANDOM_READ, native, world.piece_bytes, "device");
    MUST(cuMemFree, (native));
    for (unsigned pieces = 1; pieces <= world.pieces_max; pieces *= 4) {
        size_t bytes = pieces * world.piece_bytes;

        while (world.pieces < pieces && grow(&world)) {
        }
        if (world.pieces < pieces)
            break;
        last_write = accesses(&world, STREAM_WRITE, world.address, bytes, "host");
        last_read = accesses(&world, STREAM_READ, world.address, bytes, "host");
        accesses(&world, RANDOM_READ, world.address, bytes, "host");
        first_read = pieces == 1 ? last_read : first_read;
    }
    world_destroy(&world);
    return measure_verdict(
        first_read >= 0.5 * in && on_device > 2 * in, true,
        "a kernel reads %.1f GB/s at the smallest footprint and %.1f at the largest, writes %.1f; "
        "pinned copies %.1f in, %.1f out; on the device it reads %.1f",
        first_read, last_read, last_write, in, out, on_device);
}
