/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on two simulated devices with budgets of 16 MiB each: who else reaches blocks that come and go. */
#include "../world.h"

#include <ebbtide.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs go on using texture references. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum {
    BLOCKS = 8
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

/* A block that the program told the library of, so that it may be unmapped; filled with `value`. */
static CUdeviceptr make_object(float value)
{
    CUdeviceptr block;

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemsetD32(block, bits_of(value), BLOCK_COUNT));
    cr_assert_eq(ebb_register((void *)(uintptr_t)block, BLOCK_BYTES, 0, "object"), 0);
    return block;
}

static bool is_on_device(CUdeviceptr block)
{
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    cr_assert_eq(ebb_query((void *)(uintptr_t)block, &info), 0);
    return info.tier == EBB_TIER_DEVICE;
}

static long evict(CUdeviceptr block)
{
    return ebb_evict((void *)(uintptr_t)block, 0, EBB_TIER_HOST);
}

/* What a program may ask of an address and would take a wrong turn at, were it told where the block is now. */
static const CUpointer_attribute asked[] = {
    CU_POINTER_ATTRIBUTE_CONTEXT,        CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
    CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
    CU_POINTER_ATTRIBUTE_BUFFER_ID,      CU_POINTER_ATTRIBUTE_IS_MANAGED,
    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
    CU_POINTER_ATTRIBUTE_RANGE_SIZE,     CU_POINTER_ATTRIBUTE_MAPPED,
    CU_POINTER_ATTRIBUTE_ACCESS_FLAGS,   CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE,
};
enum {
    ASKED = sizeof asked / sizeof *asked
};

struct answers {
    CUresult result[ASKED];
    uint64_t one[ASKED]; /* asked one by one */
    uint64_t all[ASKED]; /* asked in one call */
};

static struct answers ask(CUdeviceptr address)
{
    struct answers answers = {0};
    CUpointer_attribute attributes[ASKED];
    void *data[ASKED];

    for (unsigned i = 0; i < ASKED; i++) {
        attributes[i] = asked[i];
        data[i] = &answers.all[i];
        answers.result[i] = cuPointerGetAttribute(&answers.one[i], asked[i], address);
    }
    OK(cuPointerGetAttributes(ASKED, attributes, data, address));
    return answers;
}

Test(block_uses, what_an_address_is_asked_does_not_tell_where_its_block_is)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(1);
    struct answers before = ask(block), after;

    cr_assert_eq(evict(block), (long)BLOCK_BYTES);
    after = ask(block);
    for (unsigned i = 0; i < ASKED; i++) {
        cr_expect_eq(before.result[i], after.result[i], "attribute %d", asked[i]);
        cr_expect_eq(before.one[i], after.one[i], "attribute %d", asked[i]);
        cr_expect_eq(before.all[i], after.all[i], "attribute %d", asked[i]);
        cr_expect(after.result[i] != CUDA_SUCCESS || after.one[i] == after.all[i], "attribute %d", asked[i]);
        if (asked[i] == CU_POINTER_ATTRIBUTE_HOST_POINTER)
            cr_expect(after.result[i] == CUDA_ERROR_INVALID_VALUE && !after.all[i]);
    }
    OK(cuMemFree(block));
    world_end(&world);
}

Test(block_uses, memory_announced_to_a_network_card_comes_back_and_stays)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(1);
    const unsigned on = 1;
    unsigned flags;
    CUcontext other;

    cr_assert_eq(evict(block), (long)BLOCK_BYTES);
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxSetCurrent(other));
    OK(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, block));
    OK(cuCtxGetFlags(&flags));
    cr_expect(!(flags & CU_CTX_SYNC_MEMOPS),
              "the flag belongs to the block's context, not to the current one");
    OK(cuCtxSetCurrent(world.context));
    OK(cuCtxGetFlags(&flags));
    cr_expect(flags & CU_CTX_SYNC_MEMOPS);
    cr_expect(is_on_device(block));
    cr_expect_eq(evict(block), 0);
    cr_expect(is_on_device(block));
    OK(cuMemFree(block));
    OK(cuDevicePrimaryCtxRelease(1));
    world_end(&world);
}

/* Bytes of address space of the calling process. */
static size_t address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    cr_assert(file && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

Test(block_uses, a_child_is_not_given_the_pinned_memory_of_blocks)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(1);
    size_t parents, childs = 0;
    int ends[2], status;

    if (strcmp(getenv("EBBTIDE_RESIDENCY"), "strict") != 0)
        cr_skip("the driver's own memory is the driver's affair");
    cr_assert_eq(evict(block), (long)BLOCK_BYTES);
    cr_assert_eq(pipe(ends), 0);
    parents = address_space();
    pid_t child = fork();

    if (!child) {
        childs = address_space();
        _exit(write(ends[1], &childs, sizeof childs) != sizeof childs);
    }
    cr_assert_eq(read(ends[0], &childs, sizeof childs), (ssize_t)sizeof childs);
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
    cr_expect_geq(parents - childs, BLOCK_BYTES, "%zu of %zu", childs, parents);
    cr_expect(all_are(block, BLOCK_COUNT, 1));
    OK(cuMemFree(block));
    world_end(&world);
}

Test(block_uses, a_peers_kernels_still_may_after_blocks_have_moved)
{
    struct world world = world_make();
    CUdeviceptr theirs[BLOCKS], ours;
    CUcontext other;

    OK(cuMemAlloc(&ours, BLOCK_BYTES));
    OK(cuMemsetD32(ours, 0, BLOCK_COUNT));
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxEnablePeerAccess(other, 0));
    OK(cuCtxSetCurrent(other));
    fill_blocks(theirs, BLOCKS, BLOCK_BYTES); /* twice the budget: some have left before the first look */
    OK(cuCtxSynchronize());
    OK(cuCtxSetCurrent(world.context));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < BLOCKS; i++)
            OK(world_add(&world, ours, theirs[i], BLOCK_COUNT, NULL));
    cr_expect(all_are(ours, BLOCK_COUNT, 3 * (BLOCKS * (BLOCKS - 1) / 2)));
    OK(cuMemFree(ours));
    OK(cuCtxSetCurrent(other));
    free_blocks(theirs, BLOCKS);
    OK(cuDevicePrimaryCtxRelease(1));
    OK(cuCtxSetCurrent(world.context));
    world_end(&world);
}

/* A kernel without a context stands for a function of each; its parameters are laid out by the library's image. */
Test(block_uses, a_kernel_handles_parameters_are_seen)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUlibrary library;
    CUkernel add;
    uint64_t count = BLOCK_COUNT;

    OK(cuLibraryLoadFromFile(&library, getenv("KERNELS"), NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&add, library, "add"));
    fill_blocks(block, BLOCKS, BLOCK_BYTES);
    for (unsigned i = 0; i + 1 < BLOCKS; i++) {
        void *parameters[] = {&block[i + 1], &block[i], &count};

        OK(cuLaunchKernel((CUfunction)add, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    }
    cr_expect(all_are(block[BLOCKS - 1], BLOCK_COUNT, BLOCKS * (BLOCKS - 1) / 2));
    free_blocks(block, BLOCKS);
    OK(cuLibraryUnload(library));
    world_end(&world);
}

/* Adds what a texture of so many floats has to as many in memory, each thread one of every thousand. */
static const char sampling_code[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry add_texels(.param .u64 out, .param .u64 handle, .param .u32 count) {\n"
    ".reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<5>; .reg .f32 %f<6>;\n"
    "ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [handle]; ld.param.u32 %r1, [count]; mov.u32 %r0, %tid.x;\n"
    "again: setp.ge.u32 %p0, %r0, %r1; @%p0 ret;\n"
    "tex.1d.v4.f32.s32 {%f0, %f1, %f2, %f3}, [%rd1, {%r0}]; mul.wide.u32 %rd2, %r0, 4; add.u64 %rd3, %rd0, "
    "%rd2;\n"
    "ld.global.f32 %f4, [%rd3]; add.f32 %f4, %f4, %f0; st.global.f32 [%rd3], %f4;\n"
    "add.u32 %r0, %r0, 1024; bra again; }\n";

static CUresult texture_over(CUtexObject *texture, CUdeviceptr block)
{
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    CUDA_RESOURCE_DESC desc = {.resType = CU_RESOURCE_TYPE_LINEAR};

    desc.res.linear.devPtr = block;
    desc.res.linear.format = CU_AD_FORMAT_FLOAT;
    desc.res.linear.numChannels = 1;
    desc.res.linear.sizeInBytes = BLOCK_BYTES;
    return cuTexObjectCreate(texture, &desc, &sampling, NULL);
}

static void add_texels(CUfunction function, CUdeviceptr out, CUtexObject texture)
{
    uint32_t count = BLOCK_COUNT;
    void *parameters[] = {&out, &texture, &count};

    OK(cuLaunchKernel(function, 1, 1, 1, 1024, 1, 1, 0, NULL, parameters, NULL));
}

/* A texture hides the address from us: its block stays for as long as the texture is there. */
Test(block_uses, a_block_behind_a_texture_stays_and_may_leave_afterwards)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(5), others[BLOCKS];
    CUtexObject texture;

    OK(texture_over(&texture, block));
    fill_blocks(others, BLOCKS, BLOCK_BYTES); /* twice the budget */
    cr_expect_leq(evict(block), 0);
    cr_expect(is_on_device(block));
    OK(cuTexObjectDestroy(texture));
    cr_expect_eq(evict(block), (long)BLOCK_BYTES);
    cr_expect(!is_on_device(block));
    cr_expect(all_are(block, BLOCK_COUNT, 5));
    free_blocks(others, BLOCKS);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Nothing but the handle tells the kernel where the block is, which had left when the texture was made. */
Test(block_uses, a_kernel_reads_by_a_texture_a_block_that_had_left)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(5), out = make_object(1), others[BLOCKS];
    CUtexObject texture;
    CUfunction function;
    CUmodule module;

    OK(cuModuleLoadData(&module, sampling_code));
    OK(cuModuleGetFunction(&function, module, "add_texels"));
    cr_assert_eq(evict(block), (long)BLOCK_BYTES);
    OK(texture_over(&texture, block));
    fill_blocks(others, BLOCKS, BLOCK_BYTES); /* twice the budget */
    evict(block);
    add_texels(function, out, texture);
    cr_expect(all_are(out, BLOCK_COUNT, 6));
    OK(cuTexObjectDestroy(texture));
    OK(cuMemFree(block));
    OK(cuMemFree(out));
    free_blocks(others, BLOCKS);
    OK(cuModuleUnload(module));
    world_end(&world);
}

/* Twice the budget is behind textures. What has no room on the device is read where it is; where blocks are unmapped when
 * they leave there is no such place, and what does not fit is refused, and pins nothing. */
Test(block_uses, more_textures_than_fit_are_read_where_their_blocks_are)
{
    bool mapped = strcmp(getenv("EBBTIDE_RESIDENCY"), "strict") != 0;
    struct world world = world_make();
    CUdeviceptr block[BLOCKS], out = make_object(0);
    CUtexObject texture[BLOCKS];
    float sum = 0;
    unsigned made;
    CUfunction function;
    CUmodule module;

    OK(cuModuleLoadData(&module, sampling_code));
    OK(cuModuleGetFunction(&function, module, "add_texels"));
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = make_object((float)i);
    for (made = 0; made < BLOCKS && texture_over(&texture[made], block[made]) == CUDA_SUCCESS; made++)
        continue;
    cr_expect_eq(made == BLOCKS, mapped, "%u", made);
    for (unsigned i = 0; mapped && i < made; i++) {
        add_texels(function, out, texture[i]);
        sum += (float)i;
    }
    OK(cuCtxSynchronize());
    for (unsigned i = 0; i < made; i++)
        OK(cuTexObjectDestroy(texture[i]));
    cr_expect(all_are(out, BLOCK_COUNT, sum));
    for (unsigned i = 0; i < BLOCKS; i++) {
        evict(block[i]); /* the timer may have, meanwhile */
        cr_expect(!is_on_device(block[i]), "%u is held", i);
    }
    free_blocks(block, BLOCKS);
    OK(cuMemFree(out));
    OK(cuModuleUnload(module));
    world_end(&world);
}

/* 1024 floats a row. */
static CUtensorMap map_of(CUdeviceptr block)
{
    const cuuint64_t dim[] = {1024, BLOCK_COUNT / 1024}, stride[] = {4096};
    const cuuint32_t box[] = {64, 1}, step[] = {1, 1};
    CUtensorMap map;

    OK(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, (void *)(uintptr_t)block, dim, stride,
                              box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                              CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
    return map;
}

static void add_tensor(const struct world *world, CUdeviceptr out, CUtensorMap map)
{
    uint64_t count = BLOCK_COUNT;
    void *parameters[] = {&out, &map, &count};
    CUfunction function;

    OK(cuModuleGetFunction(&function, world->module, "add_tensor"));
    OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
}

/* With SIMGPU_HIDE_TENSORS nobody can tell which launches use the map, so the block stays; else it leaves, and comes back for
 * the launch that takes the map. */
Test(block_uses, a_block_behind_a_tensor_map_is_there_for_the_launch_that_takes_it)
{
    bool hidden = getenv("SIMGPU_HIDE_TENSORS") != NULL;
    struct world world = world_make();
    CUdeviceptr first = make_object(5), second = make_object(7), out = make_object(0), others[BLOCKS];
    CUtensorMap map = map_of(first), moved = map_of(first);

    OK(cuTensorMapReplaceAddress(&moved, (void *)(uintptr_t)second));
    for (float sum = 12; sum <= 24; sum += 12) {
        fill_blocks(others, BLOCKS, BLOCK_BYTES); /* twice the budget */
        evict(first);
        cr_expect_eq(is_on_device(first), hidden);
        evict(second);
        cr_expect_eq(is_on_device(second), hidden);
        add_tensor(&world, out, map);
        add_tensor(&world, out, moved);
        cr_expect(all_are(out, BLOCK_COUNT, sum));
        free_blocks(others, BLOCKS);
    }
    cr_expect(all_are(first, BLOCK_COUNT, 5));
    OK(cuMemFree(first));
    OK(cuMemFree(second));
    OK(cuMemFree(out));
    world_end(&world);
}

Test(block_uses, a_tensor_map_that_the_driver_refuses_pins_nothing)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(5);
    CUtensorMap map = map_of(block + 4096);

    cr_expect_neq(cuTensorMapReplaceAddress(&map, (void *)(uintptr_t)(block + 1)), CUDA_SUCCESS);
    if (!getenv("SIMGPU_HIDE_TENSORS"))
        cr_expect_eq(evict(block), (long)BLOCK_BYTES);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Nothing tells when a texture reference is used. */
Test(block_uses, a_block_behind_a_texture_reference_stays)
{
    struct world world = world_make();
    CUdeviceptr block = make_object(5), others[BLOCKS];
    CUtexref reference;
    size_t offset;

    OK(cuTexRefCreate(&reference));
    cr_expect_neq(cuTexRefSetAddress(&offset, reference, block, 2 * BLOCK_BYTES), CUDA_SUCCESS);
    cr_expect_eq(evict(block), (long)BLOCK_BYTES, "a refused one pins nothing");
    OK(cuTexRefSetAddress(&offset, reference, block, BLOCK_BYTES));
    fill_blocks(others, BLOCKS, BLOCK_BYTES);
    cr_expect_leq(evict(block), 0);
    cr_expect(is_on_device(block));
    cr_expect(all_are(block, BLOCK_COUNT, 5));
    free_blocks(others, BLOCKS);
    OK(cuMemFree(block));
    OK(cuTexRefDestroy(reference));
    world_end(&world);
}
