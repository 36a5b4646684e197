/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answers [calm] - what a program is told of memory that cuMemAlloc or cuMemAllocAsync gave it, one line for each question.
 *
 * Addresses, contexts and ids are printed as what they stand for, so that two runs can be compared. The memory is asked of
 * while it is used little and the device is wanted by others, through contexts of two devices and none, and once it is freed.
 * `calm`: streams write no values, which managed memory does not take, and order nothing, which stays the driver's then.
 */
#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum {
    IDS = 256,
    OTHERS = 6,
    HOST_BYTES = 8 << 20
};

/* As many of every kind as a driver that knows no interprocess handles and no network card tells alike. */
static const CUpointer_attribute asked[] = {
    CU_POINTER_ATTRIBUTE_CONTEXT,          CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
    CU_POINTER_ATTRIBUTE_DEVICE_POINTER,   CU_POINTER_ATTRIBUTE_HOST_POINTER,
    CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,      CU_POINTER_ATTRIBUTE_BUFFER_ID,
    CU_POINTER_ATTRIBUTE_IS_MANAGED,       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
    CU_POINTER_ATTRIBUTE_MAPPED,           CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES,
    CU_POINTER_ATTRIBUTE_ACCESS_FLAGS,     CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE,
    CU_POINTER_ATTRIBUTE_MAPPING_SIZE,     CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR,
    CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID,
};
enum {
    ASKED = sizeof asked / sizeof *asked
};

/* Each is the first, the second ... of its kind that was ever told. */
struct seen {
    uint64_t id[IDS];
    unsigned count;
};

static struct seen contexts, buffers, memory_blocks, pools;
static CUcontext own, other;
static char *host;
static bool is_calm, is_ordered;

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(2);
}

static unsigned number_of(struct seen *seen, uint64_t id)
{
    for (unsigned i = 0; i < seen->count; i++)
        if (seen->id[i] == id)
            return i + 1;
    if (!id || seen->count == IDS)
        return 0;
    seen->id[seen->count] = id;
    return ++seen->count;
}

static void print_value(CUpointer_attribute attribute, uint64_t value, CUdeviceptr base)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        printf(" c%u", number_of(&contexts, value));
        break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        printf(" b%u", number_of(&buffers, value));
        break;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        printf(" m%u", number_of(&memory_blocks, value));
        break;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        printf(" p%u", number_of(&pools, value));
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        if (value)
            printf(" +%lld", (long long)(value - base));
        else
            printf(" none");
        break;
    default:
        printf(" %llu", (unsigned long long)value);
    }
}

static void ask_attributes(CUdeviceptr base, size_t offset)
{
    CUpointer_attribute attributes[ASKED];
    uint64_t all[ASKED] = {0};
    void *data[ASKED];

    for (unsigned i = 0; i < ASKED; i++) {
        uint64_t one = 0;
        CUresult result = cuPointerGetAttribute(&one, asked[i], base + offset);

        printf("attribute %d: %d", (int)asked[i], (int)result);
        if (result == CUDA_SUCCESS)
            print_value(asked[i], one, base);
        putchar('\n');
        attributes[i] = asked[i];
        data[i] = &all[i];
    }
    printf("attributes: %d", (int)cuPointerGetAttributes(ASKED, attributes, data, base + offset));
    for (unsigned i = 0; i < ASKED; i++)
        print_value(asked[i], all[i], base);
    putchar('\n');
}

static void ask(const char *how, CUdeviceptr base, size_t offset)
{
    CUdeviceptr start = 0;
    size_t bytes = 0;
    CUresult result = cuMemGetAddressRange(&start, &bytes, base + offset);

    printf("%s, at %zu: range %d", how, offset, (int)result);
    if (result == CUDA_SUCCESS)
        printf(" +%lld of %zu", (long long)(start - base), bytes);
    putchar('\n');
    ask_attributes(base, offset);
}

/* Copies and sets of `bytes` at an address. */
static void use(CUdeviceptr at, size_t bytes, CUdeviceptr elsewhere)
{
    const CUDA_MEMCPY2D rows = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                                .srcHost = host,
                                .srcPitch = bytes,
                                .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                                .dstDevice = at,
                                .dstPitch = bytes - bytes / 2,
                                .WidthInBytes = bytes - bytes / 2,
                                .Height = 2};

    printf("use of %zu:", bytes);
    printf(" %d", (int)cuMemcpyHtoD(at, host, bytes));
    printf(" %d", (int)cuMemcpyHtoDAsync(at, host, bytes, NULL));
    printf(" %d", (int)cuMemcpyDtoH(host, at, bytes));
    printf(" %d", (int)cuMemcpyDtoD(elsewhere, at, bytes));
    printf(" %d", (int)cuMemcpyDtoDAsync(at, elsewhere, bytes, NULL));
    printf(" %d", (int)cuMemcpy(at, (CUdeviceptr)(uintptr_t)host, bytes));
    printf(" %d", (int)cuMemcpyAsync((CUdeviceptr)(uintptr_t)host, at, bytes, NULL));
    printf(" %d", (int)cuMemcpyPeer(elsewhere, own, at, own, bytes));
    printf(" %d", (int)cuMemcpy2D(&rows));
    printf(" %d", (int)cuMemsetD8(at, 1, bytes));
    printf(" %d", (int)cuMemsetD8Async(at, 1, bytes, NULL));
    printf(" %d", (int)cuMemsetD16(at, 1, bytes / 2));
    printf(" %d", (int)cuMemsetD32(at, 1, (bytes + 3) / 4));
    printf(" %d", (int)cuMemsetD2D8(at, bytes / 2, 1, bytes - bytes / 2, 2));
    printf(" %d", (int)cuMemsetD2D32(at, bytes / 8 * 4, 1, bytes / 8, 2));
    if (!is_calm)
        printf(" %d", (int)cuStreamWriteValue32(NULL, bytes > 4 ? (at + bytes - 4) / 4 * 4 : at, 1, 0));
    printf(" %d", (int)cuCtxSynchronize());
    putchar('\n');
}

/* Nothing is under way afterwards. */
static CUdeviceptr take(size_t bytes)
{
    CUdeviceptr address;

    must(is_ordered ? cuMemAllocAsync(&address, bytes, NULL) : cuMemAlloc(&address, bytes), "to allocate");
    must(cuCtxSynchronize(), "cuCtxSynchronize");
    return address;
}

static CUresult give(CUdeviceptr address)
{
    CUresult result = is_ordered ? cuMemFreeAsync(address, NULL) : cuMemFree(address);

    must(cuCtxSynchronize(), "cuCtxSynchronize");
    return result;
}

static void press(void)
{
    CUdeviceptr block[OTHERS];

    for (unsigned i = 0; i < OTHERS; i++) {
        must(cuMemAlloc(&block[i], 4 * MIB), "cuMemAlloc");
        must(cuMemsetD8(block[i], 1, 4 * MIB), "cuMemsetD8");
    }
    must(cuCtxSynchronize(), "cuCtxSynchronize");
    for (unsigned i = 0; i < OTHERS; i++)
        must(cuMemFree(block[i]), "cuMemFree");
}

static void frees(CUdeviceptr address, size_t bytes)
{
    must(cuCtxSetCurrent(other), "cuCtxSetCurrent");
    if (bytes > 1) {
        printf("free inside: %d\n", (int)give(address + bytes / 2));
        printf("free of the last byte: %d\n", (int)give(address + bytes - 1));
    }
    printf("free from another device: %d\n", (int)give(address));
    must(cuCtxSetCurrent(own), "cuCtxSetCurrent");
    printf("free again: %d\n", (int)give(address));
}

/* What ends inside of a unit of the driver's own has nobody behind it. */
static void look_at(size_t bytes)
{
    CUdeviceptr elsewhere = take(bytes + MIB), before = take(bytes), address = take(bytes),
                after = take(bytes);
    CUipcMemHandle handle;

    printf("---- %zu bytes%s\n", bytes, is_ordered ? ", in the order of a stream" : "");
    printf("aligned to 512: %d\n", before % 512 == 0 && address % 512 == 0 && after % 512 == 0);
    press();
    ask("here", address, 0);
    ask("here", address, bytes - 1);
    if (bytes % 512)
        ask("behind", address, bytes);
    must(cuCtxSetCurrent(other), "cuCtxSetCurrent");
    ask("from another device", address, bytes / 2);
    must(cuCtxSetCurrent(NULL), "cuCtxSetCurrent");
    ask("without a context", address, 0);
    printf("free without a context: %d\n", (int)cuMemFree(address));
    printf("handle without a context: %d\n", (int)cuIpcGetMemHandle(&handle, address));
    must(cuCtxSetCurrent(own), "cuCtxSetCurrent");
    use(address, 0, elsewhere);
    use(address, bytes, elsewhere);
    use(address + bytes / 2, bytes - bytes / 2, elsewhere);
    if (bytes % 512) {
        use(address, bytes + 1, elsewhere);
        use(address + bytes - 1, 2, elsewhere);
        use(address + bytes, 1, elsewhere);
    }
    frees(address, bytes);
    ask("freed", address, 0);
    ask("freed", address, bytes / 2);
    use(address, bytes, elsewhere);
    must(give(before), "to free");
    must(give(after), "to free");
    must(give(elsewhere), "to free");
    ask("freed with all of its kind", address, 0);
}

static void look_at_contexts(void)
{
    CUdeviceptr theirs, mine;
    CUcontext gone;
    size_t pitch = 0;

    printf("---- contexts\n");
    must(cuMemAlloc(&mine, 3000), "cuMemAlloc");
    must(cuCtxCreate(&gone, NULL, 0, 0), "cuCtxCreate");
    must(cuMemAlloc(&theirs, 3000), "cuMemAlloc");
    ask("theirs", theirs, 0);
    ask("mine", mine, 0);
    must(cuCtxPopCurrent(&gone), "cuCtxPopCurrent");
    must(cuCtxDestroy(gone), "cuCtxDestroy");
    ask("theirs", theirs, 0);
    ask("mine", mine, 0);
    printf("free: %d\n", (int)cuMemFree(theirs));
    printf("free: %d\n", (int)cuMemFree(mine));
    printf("nothing: %d %d\n", (int)cuMemAlloc(&mine, 0), (int)cuMemFree(0));
    printf("rows: %d", (int)cuMemAllocPitch(&mine, &pitch, 700, 30, 4));
    printf(" %zu\n", pitch);
    ask("rows", mine, 29 * pitch + 699);
    must(cuMemFree(mine), "cuMemFree");
}

static void look_at_peers(void)
{
    CUdeviceptr address;

    printf("---- peers\n");
    must(cuMemAlloc(&address, 5000), "cuMemAlloc");
    must(cuCtxSetCurrent(other), "cuCtxSetCurrent");
    must(cuCtxEnablePeerAccess(own, 0), "cuCtxEnablePeerAccess");
    ask("of a peer", address, 0);
    must(cuCtxDisablePeerAccess(own), "cuCtxDisablePeerAccess");
    ask("of a peer no more", address, 0);
    must(cuCtxSetCurrent(own), "cuCtxSetCurrent");
    must(cuMemFree(address), "cuMemFree");
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1,   3,       512,     1000,       4096,    65536,   100001,
                                   MIB, MIB + 1, 1500000, 1792 * KIB, 1900001, 2 * MIB, 3 * MIB + 5};

    (void)argv;
    is_calm = argc > 1;
    must(cuInit(0), "cuInit");
    must(cuDevicePrimaryCtxRetain(&other, 1), "cuDevicePrimaryCtxRetain");
    must(cuDevicePrimaryCtxRetain(&own, 0), "cuDevicePrimaryCtxRetain");
    must(cuCtxSetCurrent(own), "cuCtxSetCurrent");
    must(cuMemAllocHost((void **)&host, HOST_BYTES), "cuMemAllocHost");
    memset(host, 0, HOST_BYTES);
    for (unsigned i = 0; i < 2 * (sizeof sizes / sizeof *sizes); i++) {
        is_ordered = i % 2;
        if (!is_ordered || !is_calm)
            look_at(sizes[i / 2]);
    }
    look_at_contexts();
    look_at_peers();
    must(cuMemFreeHost(host), "cuMemFreeHost");
    return 0;
}
