/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of a context does to reservations, handles, mappings and contents. The design gives all
 * of it back before the real call, so it takes them for the process's and not the context's. Each way to end a
 * context runs in a process of its own.
 */
#include "block.h"
#include "kernels.h"

#include "../programs/random.h"

#include <stdio.h>
#include <stdlib.h>

enum end {
    RESET,
    RELEASE,
    DESTROY,
    ENDS,
};

static const char *const end_names[] = {"primary_reset", "primary_release", "destroy"};

enum {
    SURVIVES = 0,
    IS_LOST = 10,
};

static CUresult end_context(enum end end, CUdevice device, CUcontext created)
{
    if (end == RESET)
        return cu.cuDevicePrimaryCtxReset(device);
    if (end == RELEASE)
        return cu.cuDevicePrimaryCtxRelease(device);
    return cu.cuCtxDestroy(created);
}

/* A context to ask from, whatever became of the other. */
static void begin_context(CUdevice device)
{
    CUcontext context;

    MUST(cuDevicePrimaryCtxRetain, (&context, device));
    MUST(cuCtxSetCurrent, (context));
}

static void print(enum end end, const char *what, CUresult result)
{
    char name[96];

    snprintf(name, sizeof(name), "%s_%s", end_names[end], what);
    measure_result(name, result);
}

/* Whether the range can be read and holds what fill wrote from `seed`; one row for each. */
static bool holds(enum end end, const char *what, CUdeviceptr address, size_t bytes, uint64_t seed)
{
    uint64_t *found = calloc(1, bytes);
    size_t right = 0;
    CUresult result;
    char name[96];

    if (!found)
        exit(MEASURE_BROKEN);
    result = cu.cuMemcpyDtoH(found, address, bytes);
    print(end, what, result);
    for (size_t i = 0; i < bytes / 8; i++)
        right += found[i] == random_at(seed, i);
    free(found);
    snprintf(name, sizeof(name), "%s_%s_right", end_names[end], what);
    measure_row(name, (double)right / (double)(bytes / 8), "of_1");
    return result == CUDA_SUCCESS && right == bytes / 8;
}

/* Whether the driver still counts the range as taken. */
static bool is_reserved(enum end end, const struct block *block)
{
    CUdeviceptr other = 0;
    CUresult result = cu.cuMemAddressReserve(&other, block->bytes, 0, block->address, 0);
    bool reserved = result != CUDA_SUCCESS || other != block->address;
    char name[96];

    if (result == CUDA_SUCCESS)
        MUST(cuMemAddressFree, (other, block->bytes));
    snprintf(name, sizeof(name), "%s_reservation", end_names[end]);
    measure_word(name, reserved ? "kept" : "gone", "state");
    return reserved;
}

/* Whether the handle maps elsewhere, contents and all. */
static bool maps_anew(enum end end, const char *what, CUdevice device, const struct block *block,
                      enum place place)
{
    CUdeviceptr address = block_reserve(device, block->bytes);
    CUresult result = block_map(address, block->bytes, block->handles[place]);
    bool right;

    if (result != CUDA_SUCCESS)
        print(end, what, result);
    right = result == CUDA_SUCCESS && holds(end, what, address, block->bytes, place + 1U);
    if (result == CUDA_SUCCESS)
        MUST(cuMemUnmap, (address, block->bytes));
    MUST(cuMemAddressFree, (address, block->bytes));
    return right;
}

/* Gives everything back; true if every call succeeded. */
static bool give_back(enum end end, const struct block *block)
{
    CUdeviceptr ranges[] = {block->address, block->aliases[PLACE_DEVICE], block->aliases[PLACE_HOST]};
    CUresult unmapped = CUDA_SUCCESS, freed = CUDA_SUCCESS, released = CUDA_SUCCESS, result;

    for (unsigned i = 0; i < 3; i++) {
        result = cu.cuMemUnmap(ranges[i], block->bytes);
        unmapped = result == CUDA_SUCCESS ? unmapped : result;
        result = cu.cuMemAddressFree(ranges[i], block->bytes);
        freed = result == CUDA_SUCCESS ? freed : result;
    }
    for (unsigned place = 0; place < PLACE_COUNT; place++) {
        result = cu.cuMemRelease(block->handles[place]);
        released = result == CUDA_SUCCESS ? released : result;
    }
    print(end, "unmap", unmapped);
    print(end, "address_free", freed);
    print(end, "release", released);
    return unmapped == CUDA_SUCCESS && freed == CUDA_SUCCESS && released == CUDA_SUCCESS;
}

static int try_end(void *argument)
{
    enum end end = *(enum end *)argument;
    CUcontext created = NULL;
    struct kernels kernels;
    struct block block;
    CUdevice device = measure_open();
    CUresult result;
    bool kept;

    if (end == DESTROY) {
        if (!cu.cuCtxCreate) {
            measure_word("destroy", "absent", "entry");
            return SURVIVES;
        }
        MUST(cuCtxCreate, (&created, NULL, 0, device));
    }
    kernels_load(&kernels);
    block_create(&block, device, 2 << 20);
    for (unsigned place = 0; place < PLACE_COUNT; place++)
        kernels_fill(&kernels, block.aliases[place], block.bytes / 8, place + 1U);
    MUST(cuCtxSynchronize, ());
    result = end_context(end, device, created);
    print(end, "call", result);
    begin_context(device);
    kept = is_reserved(end, &block);
    kept &= holds(end, "old_mapping", block.address, block.bytes, PLACE_DEVICE + 1U);
    kept &= holds(end, "old_host_mapping", block.aliases[PLACE_HOST], block.bytes, PLACE_HOST + 1U);
    kept &= maps_anew(end, "device_handle_anew", device, &block, PLACE_DEVICE);
    kept &= maps_anew(end, "host_handle_anew", device, &block, PLACE_HOST);
    kept &= give_back(end, &block);
    return kept && result == CUDA_SUCCESS ? SURVIVES : IS_LOST;
}

/* A child that died or gave up has not answered. */
static void count(int outcome, unsigned *survived, unsigned *lost, unsigned *unanswered)
{
    *survived += outcome == SURVIVES;
    *lost += outcome == IS_LOST;
    *unanswered += outcome != SURVIVES && outcome != IS_LOST;
}

int main(int argc, char **argv)
{
    unsigned survived[ENDS] = {0}, unanswered = 0, lost = 0;
    bool all = true;
    char name[96];
    unsigned rounds;

    measure_begin(argc, argv, "what does the end of a context do to reservations, handles and mappings?");
    rounds = (unsigned)measure_size(2, 1);
    for (enum end end = 0; end < ENDS; end++) {
        for (unsigned i = 0; i < rounds; i++)
            count(measure_isolated(end_names[end], try_end, &end), &survived[end], &lost, &unanswered);
        snprintf(name, sizeof(name), "%s_kept_everything", end_names[end]);
        measure_row(name, survived[end], "times");
        all = all && survived[end] == rounds;
    }
    measure_row("unanswered", unanswered, "children");
    if (!lost && unanswered)
        return MEASURE_BROKEN;
    return measure_verdict(
        all, false,
        "everything was kept and could be given back after %u of %u resets, %u of %u last releases "
        "and %u of %u destructions",
        survived[RESET], rounds, survived[RELEASE], rounds, survived[DESTROY], rounds);
}
