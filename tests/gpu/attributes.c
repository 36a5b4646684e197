/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver tells about an address before, during and after its stay in host memory, beside an
 * ordinary allocation: whatever differs the library has to answer itself.
 */
#include "block.h"

#include <stdio.h>
#include <string.h>

static const struct attribute {
    const char *name;
    CUpointer_attribute attribute;
    bool names_program; /* programs decide by it, so it has to be that of cudaMalloc */
} attributes[] = {
    {"CONTEXT", CU_POINTER_ATTRIBUTE_CONTEXT, true},
    {"MEMORY_TYPE", CU_POINTER_ATTRIBUTE_MEMORY_TYPE, true},
    {"DEVICE_POINTER", CU_POINTER_ATTRIBUTE_DEVICE_POINTER, true},
    {"HOST_POINTER", CU_POINTER_ATTRIBUTE_HOST_POINTER, true},
    {"SYNC_MEMOPS", CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, true},
    {"BUFFER_ID", CU_POINTER_ATTRIBUTE_BUFFER_ID, true},
    {"IS_MANAGED", CU_POINTER_ATTRIBUTE_IS_MANAGED, true},
    {"DEVICE_ORDINAL", CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, true},
    {"IS_LEGACY_CUDA_IPC_CAPABLE", CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, true},
    {"RANGE_START_ADDR", CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, true},
    {"RANGE_SIZE", CU_POINTER_ATTRIBUTE_RANGE_SIZE, true},
    {"MAPPED", CU_POINTER_ATTRIBUTE_MAPPED, false},
    {"ALLOWED_HANDLE_TYPES", CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, false},
    {"IS_GPU_DIRECT_RDMA_CAPABLE", CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE, false},
    {"ACCESS_FLAGS", CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, false},
    {"MEMPOOL_HANDLE", CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, true},
    {"MAPPING_SIZE", CU_POINTER_ATTRIBUTE_MAPPING_SIZE, false},
    {"MAPPING_BASE_ADDR", CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, false},
    {"MEMORY_BLOCK_ID", CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, false},
};

enum {
    ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]),
    ROUNDS = 5,
};

/* What one address looked like. */
struct picture {
    CUresult results[ATTRIBUTES];
    uint64_t values[ATTRIBUTES];
    CUresult range_result, sync_result; /* of cuMemGetAddressRange, of setting SYNC_MEMOPS */
    CUdeviceptr range_start;
    size_t range_bytes;
};

static struct picture take(CUdeviceptr address)
{
    unsigned sync = 1;
    struct picture picture;

    memset(&picture, 0, sizeof(picture));
    for (unsigned i = 0; i < ATTRIBUTES; i++)
        picture.results[i] = cu.cuPointerGetAttribute(&picture.values[i], attributes[i].attribute, address);
    picture.range_result = cu.cuMemGetAddressRange(&picture.range_start, &picture.range_bytes, address);
    picture.sync_result = cu.cuPointerSetAttribute(&sync, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, address);
    return picture;
}

static void print(const char *when, const struct picture *picture)
{
    char name[96], value[32];

    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        snprintf(name, sizeof(name), "%s_%s", when, attributes[i].name);
        if (picture->results[i] != CUDA_SUCCESS) {
            measure_result(name, picture->results[i]);
            continue;
        }
        snprintf(value, sizeof(value), "0x%llx", (unsigned long long)picture->values[i]);
        measure_word(name, value, "value");
    }
    snprintf(name, sizeof(name), "%s_cuMemGetAddressRange", when);
    measure_result(name, picture->range_result);
    snprintf(name, sizeof(name), "%s_cuMemGetAddressRange_bytes", when);
    measure_row(name, (double)picture->range_bytes, "B");
    snprintf(name, sizeof(name), "%s_set_SYNC_MEMOPS", when);
    measure_result(name, picture->sync_result);
}

static bool same(const struct picture *a, const struct picture *b, unsigned i)
{
    return a->results[i] == b->results[i] && a->values[i] == b->values[i];
}

/* How many attributes that programs decide by differ; each gets a row. */
static unsigned differing(const char *what, const struct picture *a, const struct picture *b)
{
    unsigned count = 0;
    char name[96];

    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        if (!attributes[i].names_program || same(a, b, i))
            continue;
        snprintf(name, sizeof(name), "%s_%s", what, attributes[i].name);
        measure_word(name, "differs", "attribute");
        count++;
    }
    return count;
}

/* What a move to one kind of host memory and the return change; how many attributes, and whether answers are stable. */
struct changes {
    unsigned by_move, by_kind, by_return;
    bool stable;
};

static struct changes watch(CUdevice device, const char *location)
{
    struct picture ordinary, before, hosted, after, unmapped;
    struct changes changes = {.stable = true};
    struct block block;
    CUdeviceptr native;
    char name[96];

    block_create(&block, device, 2 << 20);
    MUST(cuMemAlloc, (&native, block.bytes));
    ordinary = take(native);
    before = take(block.address);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct picture again;

        block_move(&block, PLACE_HOST);
        hosted = take(block.address);
        block_move(&block, PLACE_DEVICE);
        after = take(block.address);
        again = take(block.address);
        changes.stable = changes.stable && memcmp(&again, &after, sizeof(after)) == 0;
    }
    MUST(cuCtxSynchronize, ());
    MUST(cuMemUnmap, (block.address, block.bytes));
    unmapped = take(block.address);
    measure_must(block_map(block.address, block.bytes, block.handles[PLACE_DEVICE]), "mapping a block");
    print("native", &ordinary);
    print("device", &before);
    print(location, &hosted);
    print("back", &after);
    print("unmapped", &unmapped);
    changes.by_kind = differing("mapped_from_native", &ordinary, &before);
    snprintf(name, sizeof(name), "%s_from_device", location);
    changes.by_move = differing(name, &before, &hosted);
    changes.by_return = differing("back_from_device", &before, &after);
    MUST(cuMemFree, (native));
    block_destroy(&block);
    return changes;
}

int main(int argc, char **argv)
{
    static const CUmemLocationType types[] = {CU_MEM_LOCATION_TYPE_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST};
    struct changes all = {.stable = true};
    unsigned kinds = 0;
    CUdevice device;

    measure_begin(argc, argv, "what does the driver tell about an address that moves?");
    device = measure_open();
    for (unsigned i = 0; i < 2; i++) {
        struct changes changes;

        if (block_host_use(device, types[i]) != CUDA_SUCCESS)
            continue;
        changes = watch(device, block_host_name(types[i]));
        all.by_move = changes.by_move > all.by_move ? changes.by_move : all.by_move;
        all.by_kind = changes.by_kind > all.by_kind ? changes.by_kind : all.by_kind;
        all.by_return = changes.by_return > all.by_return ? changes.by_return : all.by_return;
        all.stable = all.stable && changes.stable;
        kinds++;
    }
    measure_word("asked_twice", all.stable ? "same" : "differs", "control");
    if (!kinds)
        measure_no_host();
    return measure_verdict(
        all.stable && all.by_move > 0, false,
        "%u attributes change with a move to host memory, %u stay changed after the return, %u "
        "differ from cudaMalloc's: emulation is %s",
        all.by_move, all.by_return, all.by_kind, all.by_move ? "needed" : "not needed for moves");
}
