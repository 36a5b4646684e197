/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that one process allocates and another opens. */
#include "driver.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    WORDS = 1000
};

/* What the test and its processes all see. */
static struct {
    CUipcMemHandle handle;
} * board;

static void begin(void)
{
    share_begin("64M");
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
}

TestSuite(shared_memory, .init = begin, .fini = share_end, .timeout = 60);

/* Of one of the processes. */
static CUdeviceptr memory;
static size_t memory_bytes;

static struct peer started(void)
{
    struct peer peer = peer_start();

    cr_assert_eq(peer_do(&peer, act_start, 0), 0);
    return peer;
}

/* ---- acts ---- */

static long make(long bytes)
{
    CUdeviceptr neighbour;

    must(cuMemAlloc(&neighbour, 512)); /* small ones do not begin where a granule does */
    must(cuMemAlloc(&memory, (size_t)bytes));
    must(cuMemsetD32(memory, 0, (size_t)bytes / 4));
    must(cuCtxSynchronize());
    memory_bytes = (size_t)bytes;
    return cuIpcGetMemHandle(&board->handle, memory);
}

static long open_it(long unused)
{
    size_t bytes;
    CUdeviceptr base;
    CUresult result;

    (void)unused;
    result = cuIpcOpenMemHandle(&memory, board->handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    if (result != CUDA_SUCCESS)
        return result;
    must(cuMemGetAddressRange(&base, &bytes, memory));
    memory_bytes = bytes;
    return base == memory ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static long size(long unused)
{
    (void)unused;
    return (long)memory_bytes;
}

static long write_words(long value)
{
    must(cuMemsetD32(memory, (unsigned)value, memory_bytes / 4));
    return cuCtxSynchronize();
}

/* The first word and the last. */
static long read_words(long unused)
{
    uint32_t first, last;

    (void)unused;
    must(cuMemcpyDtoH(&first, memory, 4));
    must(cuMemcpyDtoH(&last, memory + memory_bytes - 4, 4));
    return first == last ? (long)first : -1;
}

static long close_it(long unused)
{
    (void)unused;
    return cuIpcCloseMemHandle(memory);
}

static long free_it(long unused)
{
    (void)unused;
    return cuMemFree(memory);
}

static long reset(long unused)
{
    (void)unused;
    return cuDevicePrimaryCtxReset(0);
}

/* ---- cases ---- */

static void shared_both_ways(long bytes)
{
    struct peer maker = started(), other = started();

    cr_assert_eq(peer_do(&maker, make, bytes), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, size, 0), bytes);
    cr_assert_eq(peer_do(&other, read_words, 0), 0);
    cr_assert_eq(peer_do(&other, write_words, 7), 0);
    cr_assert_eq(peer_do(&maker, read_words, 0), 7);
    cr_assert_eq(peer_do(&maker, write_words, 9), 0);
    cr_assert_eq(peer_do(&other, read_words, 0), 9);
    cr_assert_eq(peer_do(&other, act_used, 0), 0, "it is charged to who made it");
    cr_assert_eq(peer_do(&other, free_it, 0), CUDA_ERROR_INVALID_VALUE, "not by who opened it");
    cr_assert_eq(peer_do(&other, close_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, close_it, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(peer_do(&maker, read_words, 0), 9);
    peer_end(&other);
    peer_end(&maker);
}

Test(shared_memory, is_written_by_one_and_read_by_the_other)
{
    shared_both_ways(5 * MIB);
}

Test(shared_memory, may_be_small)
{
    shared_both_ways(4 * WORDS);
}

/* It stays until it is closed as often, or its context ends. */
Test(shared_memory, that_is_opened_again_is_at_the_same_address)
{
    struct peer maker = started(), other = started();

    cr_assert_eq(peer_do(&maker, make, 4 * WORDS), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, write_words, 3), 0);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, close_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, read_words, 0), 3);
    cr_assert_eq(peer_do(&other, reset, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, act_start, 0), 0);
    cr_assert_eq(peer_do(&other, close_it, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(peer_do(&maker, read_words, 0), 3);
    peer_end(&other);
    peer_end(&maker);
}

Test(shared_memory, of_a_process_that_is_gone_cannot_be_opened)
{
    struct peer maker = started(), other = started();

    cr_assert_eq(peer_do(&maker, make, 4 * WORDS), CUDA_SUCCESS);
    peer_kill(&maker);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_ERROR_INVALID_VALUE);
    peer_end(&other);
}

Test(shared_memory, is_opened_elsewhere_and_as_plain_memory_only)
{
    CUdeviceptr plain, managed, opened;
    CUmemGenericAllocationHandle handle_of_mapping;
    CUipcMemHandle handle;

    start();
    must(cuMemAlloc(&plain, 4096));
    must(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    cr_assert_eq(cuIpcGetMemHandle(&handle, managed), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuIpcGetMemHandle(&handle, mapped(&handle_of_mapping)), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuIpcGetMemHandle(&handle, 0), CUDA_ERROR_INVALID_VALUE);
    must(cuIpcGetMemHandle(&handle, plain));
    cr_assert_eq(cuIpcOpenMemHandle(&opened, handle, 0), CUDA_ERROR_INVALID_VALUE, "its only flag is there");
    cr_assert_eq(cuIpcOpenMemHandle(&opened, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
                 CUDA_ERROR_INVALID_CONTEXT);
    memset(&handle, 7, sizeof handle);
    cr_assert_eq(cuIpcOpenMemHandle(&opened, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuIpcCloseMemHandle(plain), CUDA_ERROR_INVALID_VALUE);
}
