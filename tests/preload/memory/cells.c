/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cells SEED OPERATIONS THREADS keep|free - random small allocations on two devices, used and given back by any thread.
 *
 * Each holds a value of its own, which is looked for whenever it is touched. keep: ends at rest with whatever is left. free:
 * gives everything back first. Prints what was made, moved about and refused.
 */
#include <cuda.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum {
    SLOTS = 600,
    THREADS_MAX = 64,
    DEVICES = 2,
    CONTEXT_CELLS = 20,
    TEXTURES_MOST = 3, /* that live at a time: each keeps its block on the device */
    LOOKED_AT = 4096,
    TRIES = 100
};

struct cell {
    CUdeviceptr address;
    size_t bytes;
    CUcontext context;
    CUtexObject texture; /* 0: none */
    uint8_t value;
};

struct worker {
    pthread_t thread;
    uint64_t random;
    CUstream streams[DEVICES];
};

static _Atomic(struct cell *) slots[SLOTS];
static CUcontext contexts[DEVICES];
static atomic_ulong made, looked_at, copied, pinned, ended, refused;
static atomic_uint values, textures;
static unsigned long operations;

/* An injected failure ends; a call that goes on failing is a broken test. */
#define INSIST(call)                                                                                         \
    do {                                                                                                     \
        CUresult insist_result = (call);                                                                     \
        for (int tries = 0; insist_result != CUDA_SUCCESS && tries < TRIES; tries++)                         \
            insist_result = (call);                                                                          \
        if (insist_result != CUDA_SUCCESS)                                                                   \
            fail(#call, (int)insist_result);                                                                 \
    } while (0)

static void fail(const char *what, int result)
{
    fprintf(stderr, "%s: %d\n", what, result);
    exit(2);
}

static uint64_t draw(struct worker *worker, uint64_t below)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (worker->random * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

/* Mostly of a few KiB, some as large as those that share a block can be, and some larger. */
static size_t draw_bytes(struct worker *worker)
{
    static const size_t most[] = {KIB, 8 * KIB, 64 * KIB, 64 * KIB, 300 * KIB, MIB, 1800 * KIB, 3 * MIB};

    return 1 + draw(worker, most[draw(worker, draw(worker, 3) ? 4 : 8)]);
}

static CUstream stream_of(const struct worker *worker, const struct cell *cell)
{
    return worker->streams[cell->context == contexts[1]];
}

/* A part of it, from its first to its last byte. */
static void expect_value(struct worker *worker, const struct cell *cell)
{
    static _Thread_local uint8_t bytes[LOOKED_AT];
    size_t count = 1 + draw(worker, cell->bytes < LOOKED_AT ? cell->bytes : LOOKED_AT);
    size_t offset = draw(worker, cell->bytes - count + 1);

    INSIST(cuStreamSynchronize(stream_of(worker, cell)));
    INSIST(cuMemcpyDtoH(bytes, cell->address + offset, count));
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != cell->value) {
            fprintf(stderr, "%zu bytes at %llx hold %u at %zu, and not %u\n", cell->bytes,
                    (unsigned long long)cell->address, bytes[i], offset + i, cell->value);
            exit(3);
        }
    atomic_fetch_add(&looked_at, 1);
}

static void expect_told(const struct cell *cell)
{
    CUdeviceptr base;
    size_t bytes;

    INSIST(cuMemGetAddressRange(&base, &bytes, cell->address + cell->bytes - 1));
    if (base != cell->address || bytes != cell->bytes)
        fail("cuMemGetAddressRange", -1);
}

static bool make(struct worker *worker, CUcontext context, struct cell *out)
{
    size_t bytes = draw_bytes(worker), pitch, rows = 1 + draw(worker, 40);
    bool is_pitched = !draw(worker, 8);

    *out = (struct cell){
        .context = context, .bytes = bytes, .value = (uint8_t)(1 + atomic_fetch_add(&values, 1) % 255)};
    if (is_pitched && cuMemAllocPitch(&out->address, &pitch, 1 + bytes / rows, rows, 4) != CUDA_SUCCESS)
        return false;
    if (!is_pitched && cuMemAlloc(&out->address, bytes) != CUDA_SUCCESS)
        return false;
    if (is_pitched)
        out->bytes = pitch * rows;
    INSIST(cuMemsetD8Async(out->address, out->value, out->bytes, stream_of(worker, out)));
    atomic_fetch_add(&made, 1);
    return true;
}

static void give(struct worker *worker, const struct cell *cell)
{
    expect_value(worker, cell);
    if (cell->texture) {
        INSIST(cuTexObjectDestroy(cell->texture));
        atomic_fetch_sub(&textures, 1);
    }
    if (cell->bytes > 1 && cuMemFree(cell->address + cell->bytes / 2) == CUDA_SUCCESS)
        fail("cuMemFree in the middle", 0);
    INSIST(cuMemFree(cell->address));
}

/* The driver remembers the address for as long as the texture lives. */
static void pin(struct cell *cell)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    CUDA_RESOURCE_DESC desc = {.resType = CU_RESOURCE_TYPE_LINEAR};

    desc.res.linear.devPtr = cell->address;
    desc.res.linear.format = CU_AD_FORMAT_UNSIGNED_INT8;
    desc.res.linear.numChannels = 1;
    desc.res.linear.sizeInBytes = cell->bytes;
    if (cell->texture)
        return;
    if (atomic_fetch_add(&textures, 1) < TEXTURES_MOST &&
        cuTexObjectCreate(&cell->texture, &desc, &sampling, NULL) == CUDA_SUCCESS)
        atomic_fetch_add(&pinned, 1);
    else
        atomic_fetch_sub(&textures, 1);
}

static void touch(struct worker *worker, struct cell *cell)
{
    switch (draw(worker, 8)) {
    case 0:
        if (!draw(worker, 8))
            pin(cell);
        break;
    case 1:
        expect_told(cell);
        break;
    case 2:
        cell->value = (uint8_t)(1 + atomic_fetch_add(&values, 1) % 255);
        INSIST(cuMemsetD8Async(cell->address, cell->value, cell->bytes, stream_of(worker, cell)));
        break;
    default:
        expect_value(worker, cell);
    }
}

/* As many bytes as the smaller one has; the rest of the larger one is set. Both on the device that is current. */
static void copy(struct worker *worker, struct cell *to, const struct cell *from)
{
    size_t bytes = to->bytes < from->bytes ? to->bytes : from->bytes;
    CUstream stream = stream_of(worker, to);

    INSIST(cuMemcpyDtoDAsync(to->address, from->address, bytes, stream));
    if (bytes < to->bytes)
        INSIST(cuMemsetD8Async(to->address + bytes, from->value, to->bytes - bytes, stream));
    to->value = from->value;
    INSIST(cuStreamSynchronize(stream));
    atomic_fetch_add(&copied, 1);
}

/* A context of the worker's own takes along what it has. */
static void live_and_end(struct worker *worker, int ordinal)
{
    struct cell cell[CONTEXT_CELLS];
    unsigned count = 0;
    CUcontext own;

    if (cuCtxCreate(&own, NULL, 0, ordinal) != CUDA_SUCCESS)
        return;
    for (unsigned i = 0; i < CONTEXT_CELLS; i++)
        count += make(worker, contexts[ordinal], &cell[count]);
    for (unsigned i = 0; i < count; i++)
        expect_value(worker, &cell[i]);
    for (unsigned i = 0; i < count / 2; i++)
        give(worker, &cell[i]);
    INSIST(cuCtxDestroy(own));
    atomic_fetch_add(&ended, 1);
}

static void put(struct worker *worker, unsigned slot, struct cell *cell)
{
    struct cell *none = NULL;

    INSIST(cuStreamSynchronize(stream_of(worker, cell)));
    if (atomic_compare_exchange_strong(&slots[slot], &none, cell))
        return;
    give(worker, cell);
    free(cell);
}

static void fill(struct worker *worker, unsigned slot)
{
    int ordinal = (int)draw(worker, DEVICES);
    struct cell *cell = malloc(sizeof *cell);

    INSIST(cuCtxSetCurrent(contexts[ordinal]));
    if (!draw(worker, 200))
        live_and_end(worker, ordinal);
    INSIST(cuCtxSetCurrent(contexts[ordinal]));
    if (cell && make(worker, contexts[ordinal], cell)) {
        put(worker, slot, cell);
        return;
    }
    atomic_fetch_add(&refused, 1);
    free(cell);
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (unsigned long i = 0; i < operations; i++) {
        unsigned slot = (unsigned)draw(worker, SLOTS), more = (unsigned)draw(worker, SLOTS);
        struct cell *cell = atomic_exchange(&slots[slot], NULL), *other;

        if (!cell) {
            fill(worker, slot);
            continue;
        }
        INSIST(cuCtxSetCurrent(cell->context));
        if (!draw(worker, 4)) {
            give(worker, cell);
            free(cell);
            continue;
        }
        other = draw(worker, 3) ? NULL : atomic_exchange(&slots[more], NULL);
        if (other && other->context == cell->context)
            copy(worker, cell, other);
        else
            touch(worker, cell);
        if (other) {
            INSIST(cuCtxSetCurrent(other->context));
            put(worker, more, other);
            INSIST(cuCtxSetCurrent(cell->context));
        }
        put(worker, slot, cell);
    }
    return NULL;
}

static void start(struct worker *worker, uint64_t seed)
{
    worker->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int device = 0; device < DEVICES; device++) {
        INSIST(cuCtxSetCurrent(contexts[device]));
        INSIST(cuStreamCreate(&worker->streams[device], CU_STREAM_NON_BLOCKING));
    }
}

static void settle(bool free_all, struct worker *worker)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct cell *cell = atomic_exchange(&slots[i], NULL);

        if (!cell)
            continue;
        INSIST(cuCtxSetCurrent(cell->context));
        if (free_all)
            give(worker, cell);
        else
            expect_value(worker, cell);
        free(cell);
    }
    for (int device = 0; device < DEVICES; device++) {
        INSIST(cuCtxSetCurrent(contexts[device]));
        INSIST(cuCtxSynchronize());
    }
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    unsigned count = argc == 5 ? (unsigned)atoi(argv[3]) : 0;

    if (!count || count > THREADS_MAX) {
        fprintf(stderr, "usage: cells SEED OPERATIONS THREADS keep|free\n");
        return 1;
    }
    operations = strtoul(argv[2], NULL, 10) / count;
    INSIST(cuInit(0));
    for (int device = 0; device < DEVICES; device++)
        INSIST(cuDevicePrimaryCtxRetain(&contexts[device], device));
    for (unsigned i = 0; i < count; i++) {
        start(&workers[i], strtoull(argv[1], NULL, 10) * THREADS_MAX + i + 1);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    settle(strcmp(argv[4], "free") == 0, &workers[0]);
    printf("made %lu %lu %lu %lu %lu\nrefused %lu\n", atomic_load(&made), atomic_load(&looked_at),
           atomic_load(&copied), atomic_load(&pinned), atomic_load(&ended), atomic_load(&refused));
    return 0;
}
