/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_order.h"

#include "driver.h"

#include <sched.h>

static void host_function(void *data)
{
    let_go(data);
}

/* A context waits for another one's work, and the host for the context; by then all is done, which nobody has seen. */
static void across_contexts(CUstream waiting)
{
    CUstream first, second;
    CUdeviceptr address;
    uint32_t *done = flags();
    CUcontext other;
    CUevent event;

    must(cuCtxCreate(&other, NULL, 0, 0));
    must(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
    must(cuMemAlloc(&address, 4096));
    must(cuEventCreate(&event, 0));
    must(cuMemsetD8Async(address, 1, 100, first));
    must(cuMemcpyDtoHAsync(done, address, sizeof *done, first));
    must(cuEventRecord(event, first));
    must(cuCtxPopCurrent(&other));
    must(cuStreamWaitEvent(waiting, event, 0));
    while (!__atomic_load_n(done, __ATOMIC_ACQUIRE))
        sched_yield();
    must(cuCtxSynchronize());
    must(cuCtxPushCurrent(other));
    must(cuMemsetD8Async(address, 2, 100, second));
    must(cuCtxDestroy(other));
    must(cuMemFreeHost(done));
}

void all_ordered(void)
{
    CUstream first, second;
    CUdeviceptr address;
    CUevent event;
    uint32_t called = 0;

    start();
    must(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
    must(cuMemAlloc(&address, 4096));
    must(cuEventCreate(&event, 0));
    must(cuMemsetD8Async(address, 1, 100, first));
    must(cuEventRecord(event, first));
    must(cuStreamWaitEvent(second, event, 0));
    must(cuMemsetD8Async(address, 2, 100, second));
    must(cuStreamSynchronize(second));
    must(cuMemsetD8Async(address, 3, 100, first));
    must(cuEventRecord(event, first));
    must(cuEventSynchronize(event));
    must(cuMemsetD8Async(address, 4, 100, second));
    must(cuCtxSynchronize());
    must(cuMemsetD8Async(address, 5, 100, first));
    while (cuStreamQuery(first) == CUDA_ERROR_NOT_READY)
        sched_yield();
    must(cuMemsetD8Async(address, 6, 100, second));
    must(cuLaunchHostFunc(second, host_function, &called));
    while (!__atomic_load_n(&called, __ATOMIC_ACQUIRE))
        sched_yield();
    must(cuMemsetD8Async(address, 7, 100, first));
    must(cuCtxSynchronize());
    must(cuMemFree(address));
    must(cuMemAlloc(&address, 4096));
    must(cuMemsetD8Async(address, 8, 100, second));
    must(cuCtxSynchronize());
    must(cuMemFree(address));
    across_contexts(second);
}

void value_ordered(void)
{
    CUdeviceptr data, word;
    CUstream waiting, writing;
    uint32_t *flag;

    start();
    flag = flags();
    must(cuMemAlloc(&data, 4096));
    must(cuMemAlloc(&word, 4096));
    must(cuMemsetD8(word, 0, 4096));
    must(cuCtxSynchronize());
    must(cuStreamCreate(&waiting, CU_STREAM_NON_BLOCKING));
    must(cuStreamWaitValue32(waiting, word, 1, CU_STREAM_WAIT_VALUE_EQ));
    must(cuMemsetD8Async(data, 2, 2048, waiting));
    must(cuStreamWaitValue32(waiting, (CUdeviceptr)(uintptr_t)flag, 1, CU_STREAM_WAIT_VALUE_EQ));
    must(cuMemsetD8Async(data, 4, 4096, waiting));
    must(cuStreamCreate(&writing, CU_STREAM_NON_BLOCKING));
    must(cuMemsetD8Async(data, 1, 2048, writing));
    must(cuStreamWriteValue32(writing, word, 1, 0));
    must(cuMemcpyDtoHAsync(flag + 1, word, 4, writing));
    must(cuStreamSynchronize(writing));
    must(cuMemsetD8Async(data + 2048, 3, 2048, writing));
    must(cuStreamSynchronize(writing));
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    must(cuStreamSynchronize(waiting));
    must(cuMemFree(data));
    must(cuMemFree(word));
}

void value_unordered(void)
{
    CUdeviceptr word;
    CUstream first, second;
    uint32_t *flag;

    start();
    flag = flags();
    must(cuMemAlloc(&word, 4096));
    must(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
    must(cuMemcpyDtoHAsync(flag, word, 4, first));
    must(cuStreamWriteValue32(second, word, 1, 0));
    must(cuCtxSynchronize());
    must(cuMemFree(word));
}
