/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on two simulated devices with budgets of 16 MiB each: which device may use what is out of a pool, or next to that. The
 * memory is that of device 1, and device 0 uses it by a kernel. One that may not ends with an error that stays, so that each such
 * case is one of its own.
 */
#include "../world.h"

enum {
    KEPT = 8,
    FLOATS = 1000
};

static const size_t sizes[] = {4 * MIB, 4 * FLOATS};

struct near_and_far {
    struct world world; /* device 0, current */
    CUcontext far;
    CUstream stream; /* of device 0 */
    CUdeviceptr near;
};

static struct near_and_far begin(void)
{
    struct near_and_far here = {.world = world_make()};
    CUdevice far;

    OK(cuDeviceGet(&far, 1));
    OK(cuDevicePrimaryCtxRetain(&here.far, far));
    OK(cuStreamCreate(&here.stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&here.near, 4 * FLOATS));
    OK(cuMemsetD32(here.near, bits_of(1.0f), FLOATS));
    OK(cuCtxSynchronize());
    return here;
}

static void end(struct near_and_far *here)
{
    OK(cuCtxSynchronize());
    OK(cuMemFree(here->near));
    OK(cuDevicePrimaryCtxRelease(1));
    world_end(&here->world);
}

static CUmemoryPool make_pool(void)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1}};
    CUmemoryPool pool;

    OK(cuMemPoolCreate(&pool, &properties));
    return pool;
}

static void let_in(CUmemoryPool pool, CUmemAccess_flags flags)
{
    const CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                                    .flags = flags};

    OK(cuMemPoolSetAccess(pool, &access, 1));
}

static CUdeviceptr out_of(CUmemoryPool pool, const struct near_and_far *here, size_t bytes)
{
    CUdeviceptr address;

    OK(cuMemAllocFromPoolAsync(&address, bytes, pool, here->stream));
    return address;
}

static CUdeviceptr out_of_none(const struct near_and_far *here, size_t bytes)
{
    CUdeviceptr address;

    OK(cuCtxSetCurrent(here->far));
    OK(cuMemAlloc(&address, bytes));
    OK(cuCtxSetCurrent(here->world.context));
    return address;
}

static CUmemAccess_flags told(CUdeviceptr address)
{
    CUmemAccess_flags flags = 99;

    OK(cuPointerGetAttribute(&flags, CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, address));
    return flags;
}

/* A kernel of device 0 writes it. */
static CUresult written(const struct near_and_far *here, CUdeviceptr address)
{
    CUresult result = world_add(&here->world, address, here->near, FLOATS, here->stream);

    return result == CUDA_SUCCESS ? cuStreamSynchronize(here->stream) : result;
}

static CUresult read_alone(const struct near_and_far *here, CUdeviceptr address)
{
    CUresult result = world_add(&here->world, here->near, address, FLOATS, here->stream);

    return result == CUDA_SUCCESS ? cuStreamSynchronize(here->stream) : result;
}

#define EACH_SIZE(bytes)                                                                                     \
    for (size_t i = 0, bytes; i < sizeof(sizes) / sizeof(*sizes) && (bytes = sizes[i], true); i++)

Test(pool_access, what_is_made_before_and_after_is_let_in_to)
{
    EACH_SIZE(bytes)
    {
        struct near_and_far here = begin();
        CUmemoryPool pool = make_pool();
        CUdeviceptr before = out_of(pool, &here, bytes), after;

        cr_expect_eq(told(before), CU_MEM_ACCESS_FLAGS_PROT_NONE);
        let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
        after = out_of(pool, &here, bytes);
        cr_expect_eq(told(before), CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
        cr_expect_eq(told(after), CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
        OK(written(&here, before));
        OK(written(&here, after));
        OK(cuMemPoolDestroy(pool));
        OK(written(&here, after)); /* what is out of it lives on as it was */
        OK(cuMemFreeAsync(before, here.stream));
        OK(cuMemFreeAsync(after, here.stream));
        end(&here);
    }
}

Test(pool_access, what_leaves_and_comes_back_is_let_in_to_all_the_time)
{
    EACH_SIZE(bytes)
    {
        struct near_and_far here = begin();
        CUmemoryPool pool = make_pool();
        CUdeviceptr block = out_of(pool, &here, bytes), kept[KEPT];

        let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
        OK(cuMemsetD32Async(block, bits_of(2.0f), FLOATS, here.stream));
        OK(cuStreamSynchronize(here.stream));
        for (unsigned round = 0; round < 3; round++) {
            for (unsigned j = 0; j < KEPT; j++) { /* twice what there is room for */
                kept[j] = out_of_none(&here, 4 * MIB);
                OK(cuMemsetD32(kept[j], 0, FLOATS));
            }
            OK(written(&here, block));
            for (unsigned j = 0; j < KEPT; j++)
                OK(cuMemFree(kept[j]));
            OK(written(&here, block));
        }
        cr_expect(all_are(block, FLOATS, 8.0f));
        OK(cuMemFreeAsync(block, here.stream));
        OK(cuMemPoolDestroy(pool));
        end(&here);
    }
}

Test(pool_access, a_device_may_be_let_in_to_read)
{
    EACH_SIZE(bytes)
    {
        struct near_and_far here = begin();
        CUmemoryPool pool = make_pool();
        CUdeviceptr block;

        let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READ);
        block = out_of(pool, &here, bytes);
        cr_expect_eq(told(block), CU_MEM_ACCESS_FLAGS_PROT_READ);
        OK(read_alone(&here, block));
        let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
        OK(written(&here, block));
        OK(cuMemFreeAsync(block, here.stream));
        OK(cuMemPoolDestroy(pool));
        end(&here);
    }
}

/* ---- who may not; one case for each size ------------------------------------------------------------------------- */

static void refused(const struct near_and_far *here, CUdeviceptr address)
{
    cr_expect_eq(told(address), CU_MEM_ACCESS_FLAGS_PROT_NONE);
    cr_expect_eq(written(here, address), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void in_to_another_pool(size_t bytes)
{
    struct near_and_far here = begin();
    CUmemoryPool pool = make_pool(), other = make_pool();
    CUdeviceptr block = out_of(pool, &here, bytes), others = out_of(other, &here, bytes);

    let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    OK(written(&here, block));
    refused(&here, others);
}

Test(pool_access, one_pool_lets_nobody_in_to_another)
{
    in_to_another_pool(sizes[0]);
}

Test(pool_access, one_pool_lets_nobody_in_to_small_memory_of_another)
{
    in_to_another_pool(sizes[1]);
}

static void in_to_plain(size_t bytes)
{
    struct near_and_far here = begin();
    CUmemoryPool pool = make_pool();
    CUdeviceptr plain = out_of_none(&here, bytes), block = out_of(pool, &here, bytes);

    let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    OK(written(&here, block));
    refused(&here, plain);
}

Test(pool_access, a_pool_lets_nobody_in_to_what_is_out_of_none)
{
    in_to_plain(sizes[0]);
}

Test(pool_access, a_pool_lets_nobody_in_to_small_memory_out_of_none)
{
    in_to_plain(sizes[1]);
}

static void in_no_more(size_t bytes)
{
    struct near_and_far here = begin();
    CUmemoryPool pool = make_pool();
    CUdeviceptr block = out_of(pool, &here, bytes);

    let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    OK(written(&here, block));
    let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    refused(&here, block);
}

Test(pool_access, who_is_let_in_no_more_is_refused)
{
    in_no_more(sizes[0]);
}

Test(pool_access, who_is_let_in_to_small_memory_no_more_is_refused)
{
    in_no_more(sizes[1]);
}

/* The memory of a pool that has gone is whoever's has it next. */
static void in_to_the_next(size_t bytes)
{
    struct near_and_far here = begin();
    CUmemoryPool pool = make_pool();
    CUdeviceptr block = out_of(pool, &here, bytes), next;

    let_in(pool, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    OK(written(&here, block));
    OK(cuMemFreeAsync(block, here.stream));
    OK(cuStreamSynchronize(here.stream));
    OK(cuMemPoolDestroy(pool));
    next = out_of_none(&here, bytes);
    cr_assert_eq(next / (2 * MIB), block / (2 * MIB), "the same memory again");
    refused(&here, next);
}

Test(pool_access, who_has_the_memory_next_is_alone_with_it)
{
    in_to_the_next(sizes[0]);
}

Test(pool_access, who_has_the_small_memory_next_is_alone_with_it)
{
    in_to_the_next(sizes[1]);
}

/* Pools do not follow cuCtxEnablePeerAccess. */
static void by_context(size_t bytes)
{
    struct near_and_far here = begin();
    CUmemoryPool pool = make_pool();
    CUdeviceptr before = out_of(pool, &here, bytes), plain = out_of_none(&here, bytes), after;

    OK(cuCtxEnablePeerAccess(here.far, 0));
    after = out_of(pool, &here, bytes);
    OK(written(&here, plain));
    OK(written(&here, out_of_none(&here, bytes)));
    cr_expect_eq(told(before), CU_MEM_ACCESS_FLAGS_PROT_NONE);
    refused(&here, after);
}

Test(pool_access, peers_of_a_context_are_not_let_in_by_pools)
{
    by_context(sizes[0]);
}

Test(pool_access, peers_of_a_context_are_not_let_in_to_small_memory_of_pools)
{
    by_context(sizes[1]);
}
