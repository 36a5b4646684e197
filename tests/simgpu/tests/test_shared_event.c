/* SPDX-License-Identifier: Apache-2.0 */
/* Events that two processes record and wait for. */
#include "driver.h"
#include "peer.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the test and its processes all see. */
static struct {
    CUipcEventHandle handle;
    atomic_int order; /* counted up by what happens */
} * board;

static void begin(void)
{
    share_begin("64M");
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
}

TestSuite(shared_event, .init = begin, .fini = share_end, .timeout = 60);

/* Of one of the processes. */
static CUevent event;
static CUstream stream;
static uint32_t *flag;

static struct peer started(void)
{
    struct peer peer = peer_start();

    cr_assert_eq(peer_do(&peer, act_start, 0), 0);
    return peer;
}

/* ---- acts ---- */

static long make(long unused)
{
    (void)unused;
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
    return cuIpcGetEventHandle(&board->handle, event);
}

static long open_it(long unused)
{
    (void)unused;
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return cuIpcOpenEventHandle(&event, board->handle);
}

/* A kernel that waits for the host, and then the event. */
static long record_late(long unused)
{
    (void)unused;
    flag = flags();
    must(launch("wait", stream, (void *[]){&flag}));
    return cuEventRecord(event, stream);
}

static long record_now(long unused)
{
    (void)unused;
    return cuEventRecord(event, stream);
}

static long let_it_go(long unused)
{
    (void)unused;
    board->order++;
    let_go(flag);
    return 0;
}

static long query(long unused)
{
    (void)unused;
    return cuEventQuery(event);
}

static long query_stream(long unused)
{
    (void)unused;
    return cuStreamQuery(stream);
}

/* How far it was when the event had come. */
static long synchronize(long unused)
{
    (void)unused;
    must(cuEventSynchronize(event));
    return board->order;
}

static long wait_in_stream(long unused)
{
    (void)unused;
    return cuStreamWaitEvent(stream, event, 0);
}

static long synchronize_stream(long unused)
{
    (void)unused;
    must(cuStreamSynchronize(stream));
    return board->order;
}

static long break_context(long unused)
{
    CUdeviceptr nowhere = 16;
    uint64_t count = 1;

    (void)unused;
    must(launch("add", stream, (void *[]){&nowhere, &nowhere, &count}));
    return cuEventRecord(event, stream);
}

/* ---- cases ---- */

Test(shared_event, never_recorded_is_complete)
{
    struct peer maker = started(), other = started();

    cr_assert_eq(peer_do(&maker, make, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, query, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, wait_in_stream, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, synchronize_stream, 0), 0);
}

Test(shared_event, is_waited_for_by_another_process)
{
    struct peer maker = started(), other = started();

    peer_do(&maker, make, 0);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&maker, record_late, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&maker, query, 0), CUDA_ERROR_NOT_READY);
    cr_assert_eq(peer_do(&other, query, 0), CUDA_ERROR_NOT_READY);
    cr_assert_eq(peer_do(&other, wait_in_stream, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, query_stream, 0), CUDA_ERROR_NOT_READY);
    peer_begin(&other, synchronize, 0);
    peer_do(&maker, let_it_go, 0);
    cr_assert_eq(peer_wait(&other), 1, "it came before the kernel was let go");
    cr_assert_eq(peer_do(&other, synchronize_stream, 0), 1);
    cr_assert_eq(peer_do(&other, query, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&maker, synchronize, 0), 1);
}

Test(shared_event, is_recorded_by_either_process)
{
    struct peer maker = started(), other = started();

    peer_do(&maker, make, 0);
    peer_do(&other, open_it, 0);
    cr_assert_eq(peer_do(&maker, record_now, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, synchronize, 0), 0);
    cr_assert_eq(peer_do(&other, record_late, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&maker, query, 0), CUDA_ERROR_NOT_READY, "the other's record is the latest");
    peer_begin(&maker, synchronize, 0);
    peer_do(&other, let_it_go, 0);
    cr_assert_eq(peer_wait(&maker), 1);
    cr_assert_eq(peer_do(&maker, record_late, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, query, 0), CUDA_ERROR_NOT_READY);
    peer_do(&maker, let_it_go, 0);
    cr_assert_eq(peer_do(&other, synchronize, 0), 2);
}

Test(shared_event, of_a_process_that_is_gone_is_complete)
{
    struct peer maker = started(), other = started();

    peer_do(&maker, make, 0);
    peer_do(&other, open_it, 0);
    peer_do(&maker, record_late, 0);
    cr_assert_eq(peer_do(&other, wait_in_stream, 0), CUDA_SUCCESS);
    cr_assert_eq(peer_do(&other, query, 0), CUDA_ERROR_NOT_READY);
    peer_kill(&maker);
    cr_assert_eq(peer_do(&other, synchronize, 0), 0);
    cr_assert_eq(peer_do(&other, synchronize_stream, 0), 0);
}

Test(shared_event, of_a_context_that_broke_comes_all_the_same)
{
    struct peer maker = started(), other = started();

    peer_do(&maker, make, 0);
    peer_do(&other, open_it, 0);
    peer_do(&maker, break_context, 0);
    cr_assert_eq(peer_do(&other, synchronize, 0), 0);
}

Test(shared_event, is_of_a_kind_of_its_own)
{
    CUipcEventHandle handle;
    CUevent plain;

    start();
    cr_assert_eq(cuEventCreate(&plain, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
    must(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
    cr_assert_eq(cuIpcGetEventHandle(&handle, plain), CUDA_ERROR_INVALID_HANDLE);
    memset(&handle, 7, sizeof handle);
    cr_assert_eq(cuIpcOpenEventHandle(&plain, handle), CUDA_ERROR_INVALID_HANDLE);
}

Test(shared_event, that_is_gone_cannot_be_opened)
{
    struct peer maker = started(), other = started();

    peer_do(&maker, make, 0);
    peer_kill(&maker);
    cr_assert_eq(peer_do(&other, open_it, 0), CUDA_ERROR_INVALID_HANDLE);
}
