/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver answers to a program that manages physical memory and addresses itself, right calls and wrong ones: a line for
 * each, without addresses, so that two runs can be compared. */
#include <cuda.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define RW  CU_MEM_ACCESS_FLAGS_PROT_READWRITE

#define TELL(call) tell(#call, call)
static CUresult tell(const char *what, CUresult result)
{
    printf("%s: %d\n", what, (int)result);
    return result;
}

static CUmemGenericAllocationHandle handle[4];
static CUdeviceptr range;

static CUmemAllocationProp prop_of(CUmemAllocationHandleType types)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .requestedHandleTypes = types,
                                 .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
}

static CUresult create(int which, size_t mib, CUmemAllocationHandleType types)
{
    const CUmemAllocationProp prop = prop_of(types);

    return cuMemCreate(&handle[which], mib * MIB, &prop, 0);
}

static CUresult grant(CUdeviceptr at, size_t bytes, CUmemAccess_flags flags, CUmemLocationType type, int id)
{
    const CUmemAccessDesc access = {.location = {type, id}, .flags = flags};

    return cuMemSetAccess(at, bytes, &access, 1);
}

static CUresult let(CUdeviceptr at, size_t mib)
{
    return grant(at, mib * MIB, RW, CU_MEM_LOCATION_TYPE_DEVICE, 0);
}

static void access_at(CUdeviceptr at)
{
    for (int type = 0; type < 5; type++)
        for (int id = 0; id < 3; id++) {
            const CUmemLocation location = {(CUmemLocationType)type, id};
            unsigned long long flags = 77;
            CUresult result = cuMemGetAccess(&flags, &location, at);

            printf("access %d %d: %d %llu\n", type, id, (int)result, flags);
        }
}

/* An attribute is told as it is where it is small, else as a distance from the reservation. */
static void attributes_at(const char *what, CUdeviceptr at)
{
    CUdeviceptr base = 0;
    size_t bytes = 0;
    CUresult result = cuMemGetAddressRange(&base, &bytes, at);

    printf("%s range: %d %zd %zu\n", what, (int)result, base ? (ssize_t)(base - range) : 0, bytes);
    for (CUpointer_attribute which = 1; which < 21; which++) {
        unsigned long long one = 0, many = 0;
        void *places[] = {&many};

        if (which == CU_POINTER_ATTRIBUTE_P2P_TOKENS || which == CU_POINTER_ATTRIBUTE_BUFFER_ID ||
            which == CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID || which == 20)
            continue;
        result = cuPointerGetAttribute(&one, which, at);
        if (one > UINT32_MAX)
            one -= range;
        printf("%s attribute %d: %d %lld", what, (int)which, (int)result, result ? 0 : (long long)one);
        result = cuPointerGetAttributes(1, &which, places, at);
        if (many > UINT32_MAX)
            many -= range;
        printf(" %d %lld\n", (int)result, (long long)many);
    }
}

static unsigned word_at(CUdeviceptr at)
{
    unsigned word = 1;
    CUresult result = cuMemcpyDtoH(&word, at, sizeof(word));

    return result ? (unsigned)result : word;
}

static void made(void)
{
    CUmemAllocationProp prop = prop_of(0), told;
    size_t granularity;

    TELL(cuMemCreate(NULL, 2 * MIB, &prop, 0));
    TELL(cuMemCreate(&handle[0], 2 * MIB, NULL, 0));
    TELL(cuMemCreate(&handle[0], 0, &prop, 0));
    TELL(cuMemCreate(&handle[0], MIB, &prop, 0));
    TELL(cuMemCreate(&handle[0], 2 * MIB, &prop, 1));
    prop.location.id = 9;
    TELL(cuMemCreate(&handle[0], 2 * MIB, &prop, 0));
    prop = prop_of(0);
    prop.type = CU_MEM_ALLOCATION_TYPE_INVALID;
    TELL(cuMemCreate(&handle[0], 2 * MIB, &prop, 0));
    prop = prop_of(CU_MEM_HANDLE_TYPE_FABRIC);
    TELL(cuMemCreate(&handle[0], 2 * MIB, &prop, 0));
    prop = prop_of(0);
    prop.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_GENERIC;
    TELL(cuMemCreate(&handle[0], 2 * MIB, &prop, 0));
    prop = prop_of(0);
    TELL(cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    TELL(create(0, 4, 0));
    TELL(create(1, 2, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    TELL(cuMemGetAllocationPropertiesFromHandle(NULL, handle[0]));
    for (int i = 0; i < 2; i++) {
        memset(&told, 0, sizeof(told));
        TELL(cuMemGetAllocationPropertiesFromHandle(&told, handle[i]));
        printf("of %d: type %d handles %d location %d %d\n", i, told.type, told.requestedHandleTypes,
               told.location.type, told.location.id);
    }
}

static void addresses(void)
{
    CUdeviceptr other, again;

    TELL(cuMemAddressReserve(NULL, 4 * MIB, 0, 0, 0));
    TELL(cuMemAddressReserve(&other, 0, 0, 0, 0));
    TELL(cuMemAddressReserve(&other, 4 * MIB, 3, 0, 0));
    TELL(cuMemAddressReserve(&other, 4 * MIB, 0, 0, 1));
    TELL(cuMemAddressReserve(&other, 4 * MIB, 64 * MIB, 0, 0));
    printf("aligned: %d\n", other % (64 * MIB) == 0);
    TELL(cuMemAddressFree(other + 2 * MIB, 2 * MIB));
    TELL(cuMemAddressFree(other, 2 * MIB));
    TELL(cuMemAddressFree(other, 4 * MIB));
    TELL(cuMemAddressFree(other, 4 * MIB));
    TELL(cuMemAddressReserve(&again, 4 * MIB, 0, other, 0));
    printf("where it was asked for: %d\n", again == other);
    TELL(cuMemAddressReserve(&other, 4 * MIB, 0, again, 0));
    printf("twice: %d\n", again == other);
    TELL(cuMemAddressFree(other, 4 * MIB));
    TELL(cuMemAddressFree(again, 4 * MIB));
    TELL(cuMemAddressReserve(&range, 32 * MIB, 0, 0, 0));
}

static void mapped(void)
{
    unsigned value = 0x5a5a5a5a;

    attributes_at("reserved", range);
    TELL(cuMemMap(range, 4 * MIB, 0, 0, 0));
    TELL(cuMemMap(range, 4 * MIB, 0, 12345, 0));
    TELL(cuMemMap(range, 4 * MIB, 0, handle[0], 1));
    TELL(cuMemMap(range, 2 * MIB, 0, handle[0], 0));
    TELL(cuMemMap(range, 2 * MIB, 2 * MIB, handle[0], 0));
    TELL(cuMemMap(range + 4096, 4 * MIB, 0, handle[0], 0));
    TELL(cuMemMap(range + 30 * MIB, 4 * MIB, 0, handle[0], 0));
    TELL(cuMemMap(range - 2 * MIB, 4 * MIB, 0, handle[0], 0));
    TELL(let(range, 4));
    TELL(cuMemMap(range, 4 * MIB, 0, handle[0], 0));
    TELL(cuMemMap(range + 2 * MIB, 2 * MIB, 0, handle[1], 0));
    TELL(cuMemMap(range + 4 * MIB, 2 * MIB, 0, handle[1], 0));
    access_at(range + 1);
    attributes_at("mapped", range + 4096);
    TELL(cuMemsetD8(range, 1, 4096));
    TELL(cuMemAddressFree(range, 32 * MIB));
    TELL(grant(range, 4 * MIB, (CUmemAccess_flags)2, CU_MEM_LOCATION_TYPE_DEVICE, 0));
    TELL(grant(range, 4 * MIB, RW, CU_MEM_LOCATION_TYPE_DEVICE, 7));
    TELL(grant(range, 4 * MIB, RW, CU_MEM_LOCATION_TYPE_HOST, 0));
    TELL(grant(range, 4 * MIB, RW, CU_MEM_LOCATION_TYPE_INVALID, 0));
    TELL(cuMemSetAccess(range, 4 * MIB, NULL, 1));
    TELL(let(range, 2));
    TELL(let(range + 2 * MIB, 2));
    TELL(let(range, 8));
    TELL(let(range, 6));
    access_at(range + 5 * MIB);
    attributes_at("granted", range + 4096);
    attributes_at("behind", range + 6 * MIB);
    TELL(cuMemsetD32(range, value, 6 * MIB / 4));
    printf("word %x %x\n", word_at(range), word_at(range + 6 * MIB - 4));
    TELL(cuMemsetD32(range + 4 * MIB, value, MIB));
    TELL(cuMemFree(range));
    TELL(cuPointerSetAttribute(&(unsigned){1}, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, range));
    TELL(cuIpcGetMemHandle(&(CUipcMemHandle){{0}}, range));
    TELL(cuMemFreeAsync(range, NULL));
    TELL(grant(range, 6 * MIB, RW, CU_MEM_LOCATION_TYPE_DEVICE, 1));
    access_at(range);
    TELL(grant(range, 4 * MIB, CU_MEM_ACCESS_FLAGS_PROT_NONE, CU_MEM_LOCATION_TYPE_DEVICE, 1));
    access_at(range);
    access_at(range + 4 * MIB);
}

static void retained(void)
{
    CUmemGenericAllocationHandle again = 0;

    TELL(cuMemRetainAllocationHandle(NULL, (void *)(uintptr_t)range));
    TELL(cuMemRetainAllocationHandle(&again, NULL));
    TELL(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(range + 8 * MIB)));
    TELL(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(range + MIB)));
    printf("the same: %d\n", again == handle[0]);
    TELL(cuMemRelease(again));
    TELL(cuMemRelease(handle[0]));
    TELL(cuMemRelease(handle[0]));
    TELL(cuMemMap(range + 16 * MIB, 4 * MIB, 0, handle[0], 0));
    printf("word %x\n", word_at(range + 4 * MIB - 4));
    TELL(cuMemRetainAllocationHandle(&handle[0], (void *)(uintptr_t)(range + 3 * MIB)));
}

static void twice(void)
{
    TELL(cuMemMap(range + 16 * MIB, 4 * MIB, 0, handle[0], 0));
    access_at(range + 17 * MIB);
    TELL(let(range + 16 * MIB, 4));
    TELL(cuMemsetD32(range + 17 * MIB, 0x77, 1));
    printf("word %x %x\n", word_at(range + MIB), word_at(range + 17 * MIB));
    attributes_at("alias", range + 18 * MIB);
    TELL(cuMemUnmap(range, 4 * MIB));
    printf("word %x\n", word_at(range + 17 * MIB));
    TELL(cuMemcpyDtoH(&(unsigned){0}, range + MIB, 4));
    TELL(cuMemMap(range, 4 * MIB, 0, handle[0], 0));
    TELL(let(range, 4));
    printf("word %x\n", word_at(range + MIB));
    TELL(cuMemUnmap(range + 16 * MIB, 4 * MIB));
    printf("word %x\n", word_at(range + MIB));
}

/* At addresses that the program has chosen, where none of the library's lie. */
static void chosen(void)
{
    const CUdeviceptr wanted = (CUdeviceptr)1 << 44;
    CUdeviceptr at = 0;

    TELL(cuMemAddressReserve(&at, 8 * MIB, 0, wanted, 0));
    printf("there: %d\n", at == wanted);
    TELL(cuMemMap(at + 8 * MIB, 4 * MIB, 0, handle[0], 0));
    TELL(cuMemMap(at, 4 * MIB, 0, handle[0], 0));
    TELL(let(at, 4));
    printf("word %x\n", word_at(at + MIB));
    access_at(at);
    TELL(cuMemUnmap(range, 4 * MIB));
    TELL(cuMemRelease(handle[0]));
    printf("word %x\n", word_at(at + MIB));
    TELL(cuMemRetainAllocationHandle(&handle[0], (void *)(uintptr_t)(at + MIB)));
    TELL(cuMemUnmap(at, 2 * MIB));
    TELL(cuMemUnmap(at, 4 * MIB));
    TELL(cuMemUnmap(at, 4 * MIB));
    TELL(cuMemMap(range, 4 * MIB, 0, handle[0], 0));
    TELL(let(range, 4));
    printf("word %x\n", word_at(range + MIB));
    TELL(cuMemAddressFree(at, 8 * MIB));
}

static void exported(void)
{
    CUmemGenericAllocationHandle imported;
    int fd = -1;

    TELL(cuMemExportToShareableHandle(&fd, handle[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    TELL(cuMemExportToShareableHandle(NULL, handle[1], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    TELL(cuMemExportToShareableHandle(&fd, handle[1], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 1));
    TELL(cuMemExportToShareableHandle(&fd, handle[1], CU_MEM_HANDLE_TYPE_FABRIC, 0));
    TELL(cuMemExportToShareableHandle(&fd, 0, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    if (TELL(cuMemExportToShareableHandle(&fd, handle[1], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0)))
        return;
    TELL(cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
                                        CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    TELL(cuMemMap(range + 4 * MIB, 2 * MIB, 0, imported, 0));
    TELL(cuMemMap(range + 20 * MIB, 2 * MIB, 0, imported, 0));
    TELL(let(range + 20 * MIB, 2));
    TELL(cuMemsetD32(range + 5 * MIB, 0x99, 1));
    printf("word %x\n", word_at(range + 21 * MIB));
    attributes_at("imported", range + 21 * MIB);
    TELL(cuMemUnmap(range + 20 * MIB, 4 * MIB));
    TELL(cuMemUnmap(range + 20 * MIB, 2 * MIB));
    TELL(cuMemRelease(imported));
    close(fd);
}

static void unmapped(void)
{
    TELL(cuMemUnmap(range, 2 * MIB));
    TELL(cuMemUnmap(range + 2 * MIB, 4 * MIB));
    TELL(cuMemUnmap(range, 8 * MIB));
    TELL(cuMemUnmap(range, 0));
    TELL(cuMemUnmap(range, 6 * MIB));
    TELL(cuMemUnmap(range, 6 * MIB));
    TELL(cuMemMap(range + 8 * MIB, 4 * MIB, 0, handle[0], 0));
    TELL(let(range + 8 * MIB, 4));
    printf("word %x\n", word_at(range + 9 * MIB));
    TELL(cuMemUnmap(range + 8 * MIB, 4 * MIB));
    TELL(cuMemRelease(handle[0]));
    TELL(cuMemRelease(handle[1]));
    TELL(cuMemRelease(0));
    TELL(cuMemAddressFree(range, 32 * MIB));
    attributes_at("freed", range);
}

/* While a stream captures. */
static void captured(void)
{
    CUstream stream;
    CUgraph graph = NULL;

    TELL(create(2, 2, 0));
    TELL(cuMemAddressReserve(&range, 4 * MIB, 0, 0, 0));
    for (int mode = CU_STREAM_CAPTURE_MODE_GLOBAL; mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++) {
        cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
        TELL(cuStreamBeginCapture(stream, (CUstreamCaptureMode)mode));
        TELL(create(3, 2, 0) ? CUDA_SUCCESS + 1 : cuMemRelease(handle[3]));
        TELL(cuMemMap(range, 2 * MIB, 0, handle[2], 0));
        TELL(let(range, 2));
        TELL(cuMemUnmap(range, 2 * MIB));
        TELL(cuStreamEndCapture(stream, &graph));
        cuStreamDestroy(stream);
    }
    TELL(cuMemRelease(handle[2]));
    TELL(cuMemAddressFree(range, 4 * MIB));
}

/* More than the budget, which the first of these is pushed out by. */
static void crowded(void)
{
    enum {
        PIECES = 20
    };
    CUdeviceptr at;

    TELL(cuMemAddressReserve(&at, PIECES * 2 * MIB, 0, 0, 0));
    for (unsigned i = 0; i < PIECES; i++) {
        TELL(create(0, 2, i % 2 ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : 0));
        TELL(cuMemMap(at + i * 2 * MIB, 2 * MIB, 0, handle[0], 0));
        if (i % 2)
            TELL(let(at + (i - 1) * 2 * MIB, 4));
        TELL(cuMemRelease(handle[0]));
        if (i % 2)
            TELL(cuMemsetD32(at + (i - 1) * 2 * MIB, i, MIB));
    }
    for (unsigned i = 0; i < PIECES; i++)
        printf("word %x\n", word_at(at + i * 2 * MIB + MIB));
    TELL(cuMemUnmap(at, PIECES * 2 * MIB));
    TELL(cuMemAddressFree(at, PIECES * 2 * MIB));
}

int main(int argc, char **argv)
{
    CUcontext context;

    setvbuf(stdout, NULL, _IONBF, 0);
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    made();
    addresses();
    mapped();
    retained();
    twice();
    chosen();
    exported();
    unmapped();
    captured();
    if (argc < 2 || strcmp(argv[1], "calm"))
        crowded();
    cuDevicePrimaryCtxRelease(0);
    return 0;
}
