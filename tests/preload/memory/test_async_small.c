/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded as in test_async.c: small allocations in the order of streams, which share blocks. */
#include "ordered.h"

enum {
    MANY = 4096
};

/* 20 MiB of 5000 bytes each on a device that has 16. */
Test(async, very_many_small_ones_leave_the_device)
{
    static CUdeviceptr block[MANY];
    struct world world = begin();
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    unsigned char byte;

    for (unsigned i = 0; i < MANY; i++) {
        block[i] = allocate(SMALL_BYTES, stream);
        OK(cuMemsetD8Async(block[i], (unsigned char)i, SMALL_BYTES, stream));
    }
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), MANY * 5120);
    cr_expect_geq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), MANY * 5120);
    for (unsigned i = 0; i < MANY; i++) {
        OK(cuMemcpyDtoHAsync(&byte, block[i] + SMALL_BYTES - 1, 1, stream));
        OK(cuStreamSynchronize(stream));
        cr_expect_eq(byte, (unsigned char)i);
        OK(cuMemFreeAsync(block[i], stream));
    }
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

Test(async, a_small_allocation_tells_what_it_is)
{
    struct world world = begin();
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUstream stream = make_stream();
    CUdeviceptr block, plain, base;
    CUmemoryPool pool, told;
    size_t bytes;

    OK(cuMemPoolCreate(&pool, &props));
    OK(cuMemAllocFromPoolAsync(&block, 1000, pool, stream));
    OK(cuMemAlloc(&plain, 1000));
    cr_expect_neq(block / (2 * MIB), plain / (2 * MIB), "what is of a pool shares with none that is not");
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, block + 999));
    cr_expect_eq(told, pool);
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, plain));
    cr_expect_null(told);
    OK(cuMemGetAddressRange(&base, &bytes, block + 5));
    cr_expect_eq(base, block);
    cr_expect_eq(bytes, 1000);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 1024);
    OK(cuMemPoolDestroy(pool));
    OK(cuMemsetD8Async(block, 1, 1000, stream));
    cr_expect_eq(cuMemFreeAsync(block + 1, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(plain));
    end(&world);
}

/* Each of those that are left keeps a block of its own alive. */
Test(async, small_ones_are_trimmed_to_what_is_to_be_kept)
{
    enum {
        MORE = 3 * 4096
    };
    static CUdeviceptr block[MORE];
    struct world world = begin();
    cuuint64_t threshold = UINT64_MAX;
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    CUdeviceptr granule = 0;
    unsigned kept = 0;

    for (unsigned i = 0; i < MORE; i++)
        block[i] = allocate(512, stream);
    for (unsigned i = 0; i < MORE; i++)
        if (block[i] / (2 * MIB) == granule)
            OK(cuMemFreeAsync(block[i], stream));
        else {
            granule = block[i] / (2 * MIB);
            block[kept++] = block[i];
        }
    OK(cuStreamSynchronize(stream));
    cr_assert_geq(kept, 3);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 512 * kept);
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    for (unsigned i = 0; i < kept; i++)
        OK(cuMemFreeAsync(block[i], stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemPoolTrimTo(pool, 1024));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 1024);
    OK(cuMemPoolTrimTo(pool, 0));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}
