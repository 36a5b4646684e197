/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver with a device budget of 16 MiB: more than fits, and nothing is lost. */
#include "world.h"

#include <dlfcn.h>
#include <ebbtide.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BLOCKS = 12
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

/* More words than a list of what is used has room for, and fewer blocks than the budget. */
Test(blocks, are_named_often_by_one_batch_of_copies)
{
    enum {
        COPIES = 500,
        BYTES = 64
    };
    CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    CUdeviceptr block[12], to[COPIES], from[COPIES];
    struct world world = world_make();
    size_t bytes[COPIES], first = 0;
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    fill_blocks(block, 12, 4 * MIB); /* the first ones are away by now */
    for (unsigned i = 0; i < COPIES; i++) {
        to[i] = block[0] + i * BYTES;
        from[i] = block[1] + i * BYTES;
        bytes[i] = BYTES;
    }
    OK(cuMemcpyBatchAsync(to, from, bytes, COPIES, &attributes, &first, 1, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block[0], COPIES * BYTES / sizeof(float), 1));
    cr_expect(all_are(block[0] + COPIES * BYTES, 1000, 0));
    free_blocks(block, 12);
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

/* Blocks are mappings, or managed memory, underneath; cudaMalloc memory is neither. */
Test(blocks, nothing_is_told_of_what_lies_under_them)
{
    CUmem_range_attribute asked = CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION;
    CUmemLocation location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    struct world world = world_make();
    unsigned long long access = 7;
    size_t answer_bytes = 4;
    int answer = 7;
    void *answers[] = {&answer};
    CUdeviceptr block;
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&block, 4 * MIB));
    cr_expect_eq(cuMemGetAccess(&access, &location, block + 1), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemRangeGetAttribute(&answer, sizeof answer, asked, block, 4 * MIB),
                 CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemRangeGetAttributes(answers, &answer_bytes, &asked, 1, block, 4 * MIB),
                 CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamAttachMemAsync(stream, block, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
    cr_expect(access == 7 && answer == 7);
    OK(cuMemFree(block));
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

Test(blocks, hold_three_times_the_budget)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < BLOCKS; i++)
            OK(world_add(&world, block[i], block[(i + 1) % BLOCKS], 1024, NULL));
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i] + BLOCK_BYTES / 2, BLOCK_COUNT / 2, (float)i), "block %u", i);
    free_blocks(block, BLOCKS);
    world_end(&world);
}

Test(blocks, are_reached_through_pointers_inside_a_structure)
{
    struct world world = world_make();
    struct {
        uint32_t tag;
        CUdeviceptr out, in;
    } operands = {7, 0, 0};
    uint64_t count = BLOCK_COUNT;
    void *parameters[] = {&operands, &count};
    CUdeviceptr block[BLOCKS];
    CUfunction add_pair;

    OK(cuModuleGetFunction(&add_pair, world.module, "add_pair"));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned i = 0; i + 1 < BLOCKS; i += 2) {
        operands.out = block[i];
        operands.in = block[i + 1];
        OK(cuLaunchKernel(add_pair, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, i % 2 ? (float)i : (float)(2 * i + 1)), "block %u", i);
    free_blocks(block, BLOCKS);
    world_end(&world);
}

Test(blocks, are_reached_through_a_packed_parameter_buffer)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    struct {
        CUdeviceptr out, in;
        uint64_t count;
    } packed = {block[0], block[1], BLOCK_COUNT};
    size_t bytes = sizeof packed;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     CU_LAUNCH_PARAM_END};

    OK(cuLaunchKernel(world.add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    cr_expect(all_are(block[0], BLOCK_COUNT, 1));
    free_blocks(block, BLOCKS);
    world_end(&world);
}

/* The kernel finds the block through a pointer that lies in another one: evicted, it is slow and not gone. */
Test(blocks, are_reached_through_a_pointer_that_nobody_saw)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUdeviceptr pointer;
    CUfunction through;
    uint64_t count = BLOCK_COUNT;

    if (strcmp(getenv("EBBTIDE_RESIDENCY"), "strict") == 0)
        cr_skip_test("with EBBTIDE_DISK=always the user vouches that there are none");
    OK(cuModuleGetFunction(&through, world.module, "add_through"));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    OK(cuMemAlloc(&pointer, 4096));
    OK(cuMemcpyHtoD(pointer, &block[0], sizeof block[0]));
    for (unsigned i = 2; i < BLOCKS; i++) /* push block 0 out */
        OK(world_add(&world, block[i], block[1], 16, NULL));
    void *parameters[] = {&pointer, &block[1], &count};

    OK(cuLaunchKernel(through, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    OK(cuCtxSynchronize());
    cr_expect(all_are(block[0], BLOCK_COUNT, 1));
    OK(cuMemFree(pointer));
    free_blocks(block, BLOCKS);
    world_end(&world);
}

Test(blocks, answer_as_device_memory_wherever_they_are)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned i = 0; i < BLOCKS; i++) {
        CUdeviceptr base;
        size_t bytes;
        unsigned type;
        int ordinal;
        CUcontext context;
        CUdeviceptr start;
        CUpointer_attribute names[] = {CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                       CU_POINTER_ATTRIBUTE_RANGE_START_ADDR};
        void *values[] = {&context, &type, &start};

        OK(cuMemGetAddressRange(&base, &bytes, block[i] + 3 * MIB));
        cr_expect_eq(base, block[i]);
        cr_expect_eq(bytes, BLOCK_BYTES);
        OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, block[i] + 1));
        cr_expect_eq(ordinal, 0);
        OK(cuPointerGetAttributes(3, names, values, block[i] + 8));
        cr_expect_eq(context, world.context);
        cr_expect_eq(type, CU_MEMORYTYPE_DEVICE);
        cr_expect_eq(start, block[i]);
    }
    free_blocks(block, BLOCKS);
    world_end(&world);
}

/* The driver refuses words of managed memory. */
static void skip_on_managed(void)
{
    const char *allocator = getenv("EBBTIDE_ALLOCATOR");

    if (allocator && strcmp(allocator, "managed") == 0)
        cr_skip("no stream memory operations on managed memory");
}

Test(blocks, hold_words_that_streams_write_and_wait_for)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream writing, waiting;
    uint64_t word = 0;

    skip_on_managed();
    OK(cuStreamCreate(&writing, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&waiting, CU_STREAM_NON_BLOCKING));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    OK(cuCtxSynchronize());
    for (unsigned i = 0; i < BLOCKS; i++) { /* more than are on the device */
        CUstreamBatchMemOpParams batch[] = {
            {.waitValue =
                 {CU_STREAM_MEM_OP_WAIT_VALUE_32, block[i], {.value = i + 1}, CU_STREAM_WAIT_VALUE_EQ, 0}},
            {.writeValue =
                 {CU_STREAM_MEM_OP_WRITE_VALUE_32, block[(i + 5) % BLOCKS] + 4, {.value = 7}, 0, 0}},
        };

        OK(cuStreamBatchMemOp(waiting, 2, batch, 0));
        OK(cuStreamWaitValue64(waiting, block[i] + 8, 1ull << 33, CU_STREAM_WAIT_VALUE_EQ));
        OK(cuStreamWriteValue64(writing, block[i] + 8, 1ull << 33, 0));
        OK(cuStreamWriteValue32(writing, block[i], i + 1, 0));
        OK(cuStreamSynchronize(waiting));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemcpyDtoH(&word, block[i], sizeof word));
        cr_expect_eq(word, (7ull << 32) + i + 1, "block %u", i);
        cr_expect(all_are(block[i] + 16, BLOCK_COUNT - 4, (float)i), "block %u", i);
    }
    OK(cuStreamDestroy(writing));
    OK(cuStreamDestroy(waiting));
    free_blocks(block, BLOCKS);
    world_end(&world);
}

/* With little patience. What waits for the host does not come to rest; what is allocated meanwhile finds room or does not. */
Test(held, a_stream_that_waits_for_the_host_delays_an_allocation_and_no_more)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS], more, word;
    CUstream waiting;
    uint32_t *flag;

    skip_on_managed();
    OK(cuMemHostAlloc((void **)&flag, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
    *flag = 0;
    OK(cuStreamCreate(&waiting, CU_STREAM_NON_BLOCKING));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    OK(cuCtxSynchronize());
    word = block[BLOCKS - 1]; /* the latest is on the device */
    OK(cuStreamWaitValue32(waiting, (CUdeviceptr)(uintptr_t)flag, 1, CU_STREAM_WAIT_VALUE_EQ));
    OK(cuStreamWriteValue32(waiting, word, 77, 0));
    CUresult result = cuMemAlloc(&more, BLOCK_BYTES);

    cr_expect(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY, "%d", result);
    cr_expect_eq(cuStreamQuery(waiting), CUDA_ERROR_NOT_READY);
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    OK(cuStreamSynchronize(waiting));
    if (result == CUDA_SUCCESS)
        OK(cuMemFree(more));
    OK(cuMemAlloc(&more, BLOCK_BYTES));
    OK(cuMemFree(more));
    OK(cuMemcpyDtoH(flag, word, 4));
    cr_expect_eq(*flag, 77);
    cr_expect(all_are(word + 4, BLOCK_COUNT - 1, BLOCKS - 1));
    OK(cuStreamDestroy(waiting));
    OK(cuMemFreeHost(flag));
    free_blocks(block, BLOCKS);
    world_end(&world);
}

static struct ebb_stats stats(void)
{
    int (*get)(struct ebb_stats *) =
        (int (*)(struct ebb_stats *))(uintptr_t)dlsym(RTLD_DEFAULT, "ebb_get_stats");
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert(get);
    cr_assert_eq(get(&now), 0);
    return now;
}

/* Kernels take 150 ms here, and the budget of 14 MiB holds one set and the chunk that is kept free. A launch finds the
 * device at work, and would run from host memory if it did not wait. */
Test(queued, launches_with_two_working_sets_find_them_on_the_device, .timeout = 120)
{
    enum {
        LAUNCHES = 20,
        SET = 2
    };
    struct world world = world_make();
    CUdeviceptr block[2 * SET];
    uint64_t before, bytes = 6 * MIB;

    fill_blocks(block, 2 * SET, bytes);
    OK(world_add(&world, block[2], block[3], 0, NULL));
    OK(cuCtxSynchronize());
    before = stats().to_device_bytes;
    for (unsigned i = 0; i < LAUNCHES; i++) {
        const CUdeviceptr *set = &block[i % 2 * SET];

        OK(world_add(&world, set[0], set[1], bytes / sizeof(float), NULL));
    }
    OK(cuCtxSynchronize());
    cr_expect_eq(stats().to_device_bytes - before, LAUNCHES * SET * bytes);
    cr_expect(all_are(block[0], bytes / sizeof(float), LAUNCHES / 2));
    cr_expect(all_are(block[2], bytes / sizeof(float), 2 + LAUNCHES / 2 * 3));
    free_blocks(block, 2 * SET);
    world_end(&world);
}

Test(blocks, of_odd_sizes_copy_whole_and_in_rows)
{
    struct world world = world_make();
    CUdeviceptr plane;
    size_t pitch;
    unsigned char row[1000];
    unsigned char back[1000];

    OK(cuMemAllocPitch(&plane, &pitch, sizeof row, 5000, 4));
    cr_assert_geq(pitch, sizeof row);
    memset(row, 0x5a, sizeof row);
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = row,
                          .srcPitch = sizeof row,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = plane,
                          .dstPitch = pitch,
                          .dstY = 4999,
                          .WidthInBytes = sizeof row,
                          .Height = 1};

    OK(cuMemcpy2D(&copy));
    OK(cuMemcpyDtoH(back, plane + 4999 * pitch, sizeof back));
    cr_expect_eq(memcmp(row, back, sizeof row), 0);
    OK(cuMemFree(plane));
    world_end(&world);
}

Test(blocks, refuse_what_the_driver_refuses)
{
    struct world world = world_make();
    CUdeviceptr block;
    CUdeviceptr base;

    OK(cuMemFree(0));
    cr_expect_eq(cuMemFree(4096), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemAlloc(NULL, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemAlloc(&block, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemAlloc(&block, 4 * MIB));
    cr_expect_eq(cuMemFree(block + 256), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemUnmap(block, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(block));
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    cr_expect_neq(cuMemGetAddressRange(&base, NULL, block), CUDA_SUCCESS);
    world_end(&world);
}

/* Small ones come out of slabs: the first charges the slab, the last gives it back. */
Test(blocks, that_are_small_cost_their_slab)
{
    struct world world = world_make();
    CUdeviceptr small[64];
    size_t before, during, after, total;

    OK(cuMemGetInfo(&before, &total));
    cr_expect_eq(total, 16 * MIB);
    for (unsigned i = 0; i < 64; i++)
        OK(cuMemAlloc(&small[i], 1000));
    OK(cuMemGetInfo(&during, &total));
    cr_expect_eq(before - during, 2 * MIB, "%zu", before - during);
    for (unsigned i = 0; i < 64; i++)
        OK(cuMemFree(small[i]));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
    world_end(&world);
}

Test(blocks, go_with_their_context)
{
    struct world world = world_make();
    CUcontext own;
    CUdeviceptr block;
    size_t before, after, total;

    OK(cuMemGetInfo(&before, &total));
    OK(cuCtxCreate(&own, NULL, 0, world.device));
    OK(cuMemAlloc(&block, 8 * MIB));
    OK(cuCtxDestroy(own));
    OK(cuCtxSetCurrent(world.context));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    world_end(&world);
}

Test(blocks, go_with_a_reset_of_their_primary_context)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    size_t before, after, total;

    OK(cuMemGetInfo(&before, &total));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    OK(cuDevicePrimaryCtxReset(world.device));
    cr_expect_eq(cuMemAlloc(block, BLOCK_BYTES), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    OK(cuDevicePrimaryCtxRetain(&world.context, world.device));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
    fill_blocks(block, BLOCKS, BLOCK_BYTES); /* and all works as before */
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
    free_blocks(block, BLOCKS);
    OK(cuDevicePrimaryCtxRelease(world.device));
    OK(cuDevicePrimaryCtxRelease(world.device));
}

/* The primary one is still retained, and dead. */
Test(blocks, of_another_context_move_on_when_the_primary_one_is_reset)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUcontext own;

    OK(cuCtxCreate(&own, NULL, 0, world.device));
    OK(cuDevicePrimaryCtxReset(world.device));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
    free_blocks(block, BLOCKS);
    OK(cuCtxDestroy(own));
    OK(cuDevicePrimaryCtxRelease(world.device));
}

Test(blocks, a_function_of_an_unloaded_module_is_forgotten)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned round = 0; round < 8; round++) {
        CUmodule module;
        CUfunction function;
        uint64_t count = 1024;
        void *three[] = {&block[round], &block[8], &count};
        struct {
            uint32_t tag;
            CUdeviceptr out, in;
        } pair = {0, block[round], block[8]};
        void *two[] = {&pair, &count};

        OK(cuModuleLoad(&module, getenv("KERNELS")));
        OK(cuModuleGetFunction(&function, module, round % 2 ? "add" : "add_pair"));
        OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, round % 2 ? three : two, NULL));
        OK(cuCtxSynchronize());
        OK(cuModuleUnload(module));
    }
    for (unsigned i = 0; i < 8; i++)
        cr_expect(all_are(block[i], 1024, (float)(i + 8)));
    free_blocks(block, BLOCKS);
    world_end(&world);
}

/* Bytes of mappings that a forked child is not given. */
static size_t kept_from_children(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    size_t kib = 0, sum = 0;
    char line[512];

    cr_assert(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        sscanf(line, "Size: %zu kB", &kib);
        if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dc"))
            sum += kib << 10;
    }
    fclose(smaps);
    return sum;
}

/* The kernel would copy all of its pages for each one. */
Test(blocks, pinned_host_memory_is_given_to_no_child)
{
    const char *residency = getenv("EBBTIDE_RESIDENCY");
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    size_t before = kept_from_children();

    if (!residency || strcmp(residency, "strict") != 0)
        cr_skip("evicted blocks lie in memory of the driver's");
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    cr_expect_geq(kept_from_children() - before, BLOCKS * BLOCK_BYTES - 16 * MIB);
    free_blocks(block, BLOCKS);
    world_end(&world);
}

Test(blocks, a_forked_child_leaves_them_alone)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    int status;

    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    pid_t child = fork();

    if (child == 0) {
        CUdeviceptr other;

        cuMemAlloc(&other, 4 * MIB); /* whatever the driver says in a child; it must come back */
        exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
    free_blocks(block, BLOCKS);
    world_end(&world);
}
