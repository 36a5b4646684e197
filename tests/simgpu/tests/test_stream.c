/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

static CUstream stream_new(unsigned flags_wanted)
{
    CUstream stream;

    must(cuStreamCreate(&stream, flags_wanted));
    return stream;
}

static CUevent event_new(void)
{
    CUevent event;

    must(cuEventCreate(&event, CU_EVENT_DEFAULT));
    return event;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A kernel that keeps the stream busy until the flag is set. */
static uint32_t *hold(CUstream stream)
{
    uint32_t *flag = flags();

    must(launch("wait", stream, (void *[]){&flag}));
    return flag;
}

Test(stream, work_is_asynchronous_and_ordered_within_a_stream)
{
    CUstream stream;
    CUdeviceptr data;
    uint32_t *flag, read = 0, value = 6;
    uint64_t count = 1;

    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    must(cuMemAlloc(&data, 4096));
    flag = hold(stream);
    must(cuMemsetD32Async(data, 5, 1, stream));
    must(launch("add", stream, (void *[]){&data, &data, &count}));
    must(cuMemcpyHtoDAsync(data + 4, &value, 4, stream));
    value = 0; /* a small pageable source has been read */
    cr_assert_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    let_go(flag);
    must(cuStreamSynchronize(stream));
    must(cuStreamQuery(stream));
    must(cuMemcpyDtoH(&read, data, 4));
    cr_assert_eq(read, 10);
    must(cuMemcpyDtoH(&read, data + 4, 4));
    cr_assert_eq(read, 6);
}

Test(stream, a_pinned_source_is_read_when_the_copy_runs)
{
    CUstream stream;
    CUdeviceptr data;
    uint32_t *flag, read, *source;

    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    must(cuMemAlloc(&data, 4096));
    flag = hold(stream);
    source = flags();
    *source = 1;
    must(cuMemcpyHtoDAsync(data, source, 4, stream));
    *source = 2;
    let_go(flag);
    must(cuStreamSynchronize(stream));
    must(cuMemcpyDtoH(&read, data, 4));
    cr_assert_eq(read, 2);
}

Test(stream, events_order_streams)
{
    CUstream first, second;
    CUevent event;
    CUdeviceptr data;
    uint32_t *flag, read;

    start();
    first = stream_new(CU_STREAM_NON_BLOCKING);
    second = stream_new(CU_STREAM_NON_BLOCKING);
    event = event_new();
    must(cuMemAlloc(&data, 4096));
    must(cuEventQuery(event));
    flag = hold(first);
    must(cuMemsetD32Async(data, 1, 1, first));
    must(cuEventRecord(event, first));
    must(cuStreamWaitEvent(second, event, 0));
    must(cuMemsetD32Async(data, 2, 1, second));
    cr_assert_eq(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    cr_assert_eq(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
    let_go(flag);
    must(cuStreamSynchronize(second));
    must(cuEventQuery(event));
    must(cuMemcpyDtoH(&read, data, 4));
    cr_assert_eq(read, 2);
}

Test(stream, the_legacy_stream_waits_for_blocking_streams_and_they_for_it)
{
    CUstream blocking, free_stream;
    CUevent legacy_done, blocking_done;
    uint32_t *flag;
    CUdeviceptr data;

    start();
    blocking = stream_new(CU_STREAM_DEFAULT);
    free_stream = stream_new(CU_STREAM_NON_BLOCKING);
    legacy_done = event_new();
    blocking_done = event_new();
    must(cuMemAlloc(&data, 4096));
    flag = hold(blocking);
    must(cuMemsetD8Async(data, 0, 1, NULL));
    must(cuEventRecord(legacy_done, NULL));
    must(cuEventRecord(blocking_done, blocking));
    cr_assert_eq(cuEventQuery(legacy_done), CUDA_ERROR_NOT_READY);
    must(cuMemsetD8Async(data + 64, 0, 1, free_stream));
    must(cuStreamSynchronize(free_stream));
    cr_assert_eq(cuEventQuery(blocking_done), CUDA_ERROR_NOT_READY);
    let_go(flag);
    must(cuStreamSynchronize(NULL));
    must(cuEventSynchronize(blocking_done));
    must(cuEventQuery(legacy_done));
}

static void *per_thread(void *argument)
{
    must(cuCtxSetCurrent(argument));
    cr_assert_eq(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_SUCCESS);
    return NULL;
}

Test(stream, per_thread_default_streams_belong_to_their_thread)
{
    CUcontext context = start();
    uint32_t *flag = hold(CU_STREAM_PER_THREAD);
    pthread_t thread;

    cr_assert_eq(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
    cr_assert_eq(pthread_create(&thread, NULL, per_thread, context), 0);
    pthread_join(thread, NULL);
    let_go(flag);
    must(cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

struct host_call {
    uint32_t *flag;
    int order, seen;
};

static void host_function(void *data)
{
    struct host_call *call = data;

    call->seen = ++call->order;
}

Test(stream, host_functions_run_in_order_after_what_was_before)
{
    struct host_call call = {0};
    CUstream stream;
    uint32_t *flag;

    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    flag = hold(stream);
    must(cuLaunchHostFunc(stream, host_function, &call));
    must(cuLaunchHostFunc(stream, host_function, &call));
    cr_assert_eq(call.seen, 0);
    let_go(flag);
    must(cuStreamSynchronize(stream));
    cr_assert_eq(call.seen, 2);
}

Test(stream, a_context_event_stands_for_all_work_so_far)
{
    CUcontext context = start();
    CUstream first = stream_new(CU_STREAM_NON_BLOCKING), second = stream_new(CU_STREAM_NON_BLOCKING);
    CUevent event = event_new();
    uint32_t *first_flag = hold(first), *second_flag = hold(second), *later;

    must(cuCtxRecordEvent(context, event));
    let_go(first_flag);
    must(cuStreamSynchronize(first));
    cr_assert_eq(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    later = hold(first);
    let_go(second_flag);
    must(cuEventSynchronize(event));
    cr_assert_eq(cuStreamQuery(first), CUDA_ERROR_NOT_READY);
    let_go(later);
    must(cuCtxSynchronize());
}

Test(stream, a_free_waits_for_the_device)
{
    CUstream stream;
    CUdeviceptr data;
    uint32_t *flag;
    struct host_call call = {0};

    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    must(cuMemAlloc(&data, 4096));
    flag = hold(stream);
    must(cuLaunchHostFunc(stream, host_function, &call));
    let_go(flag);
    must(cuMemFree(data));
    cr_assert_eq(call.seen, 1);
}

Test(stream, a_destroyed_stream_finishes_its_work_and_is_no_handle)
{
    struct host_call call = {0};
    CUstream stream;
    uint32_t *flag;

    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    flag = hold(stream);
    must(cuLaunchHostFunc(stream, host_function, &call));
    must(cuStreamDestroy(stream));
    cr_assert_eq(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
    let_go(flag);
    must(cuCtxSynchronize());
    cr_assert_eq(call.seen, 1);
}

Test(stream, a_destroyed_stream_that_only_waited_goes_once)
{
    CUstream busy, waiting[8];
    uint32_t *flag;
    CUevent event;

    start();
    busy = stream_new(CU_STREAM_NON_BLOCKING);
    event = event_new();
    flag = hold(busy);
    must(cuEventRecord(event, busy));
    for (unsigned i = 0; i < 8; i++) {
        waiting[i] = stream_new(CU_STREAM_NON_BLOCKING);
        must(cuStreamWaitEvent(waiting[i], event, 0));
        must(cuStreamDestroy(waiting[i]));
    }
    let_go(flag);
    must(cuCtxSynchronize());
    for (unsigned i = 0; i < 8; i++)
        must(cuStreamSynchronize(stream_new(CU_STREAM_NON_BLOCKING)));
}

Test(stream, an_illegal_address_is_sticky)
{
    CUdeviceptr data, nothing;
    uint64_t count = 1;
    CUcontext context, second;

    context = start();
    must(cuMemAlloc(&data, 4096));
    nothing = reserve(GRANULE);
    must(launch("add", NULL, (void *[]){&nothing, &data, &count}));
    cr_assert_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(cuMemAlloc(&data, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(cuMemUnmap(nothing, GRANULE), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(cuStreamQuery(NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    must(cuCtxCreate(&second, NULL, 0, 0));
    must(cuMemAlloc(&data, 1));
    must(cuCtxSetCurrent(context));
    must(cuDevicePrimaryCtxReset(0));
    must(cuDevicePrimaryCtxRetain(&context, 0));
    must(cuMemAlloc(&data, 1));
}

Test(stream, memory_without_access_is_an_illegal_address_even_when_only_declared)
{
    CUdeviceptr address;
    uint64_t bytes = GRANULE + 1;

    start();
    address = reserve(2 * GRANULE);
    must(cuMemMap(address, GRANULE, 0, physical(), 0));
    must(grant(address, GRANULE));
    bytes = GRANULE;
    must(launch("declare", NULL, (void *[]){&address, &bytes}));
    must(cuCtxSynchronize());
    must(cuMemMap(address + GRANULE, GRANULE, 0, physical(), 0));
    bytes++;
    must(launch("declare", NULL, (void *[]){&address, &bytes}));
    cr_assert_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(stream, a_launch_is_checked_and_its_dimensions_arrive)
{
    CUdeviceptr out;
    uint32_t read[8], expected[] = {4, 3, 2, 32, 2, 1, 100, 0};
    size_t bytes = 8;
    void *extra[5];
    CUfunction function;

    start();
    function = kernel("dimensions");
    must(cuMemAlloc(&out, 4096));
    cr_assert_eq(cuLaunchKernel(function, 0, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&out}, NULL),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuLaunchKernel(function, 1, 1, 1, 1025, 1, 1, 0, NULL, (void *[]){&out}, NULL),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 49153, NULL, (void *[]){&out}, NULL),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuLaunchKernel((CUfunction)&out, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                 CUDA_ERROR_INVALID_HANDLE);
    extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
    extra[1] = &out;
    extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
    extra[3] = &bytes;
    extra[4] = CU_LAUNCH_PARAM_END;
    must(cuLaunchKernel(function, 4, 3, 2, 32, 2, 1, 100, NULL, NULL, extra));
    must(cuMemcpyDtoH(read, out, sizeof read));
    cr_assert_arr_eq(read, expected, sizeof read);
}

Test(stream, copies_in_both_directions_share_no_link)
{
    CUstream up, down;
    CUdeviceptr first, second;
    void *first_host, *second_host;
    uint64_t started, one_way, both;

    setenv("SIMGPU_LINK_GBPS", "0.4", 1); /* 4 MiB take ten milliseconds */
    start();
    up = stream_new(CU_STREAM_NON_BLOCKING);
    down = stream_new(CU_STREAM_NON_BLOCKING);
    must(cuMemAlloc(&first, 4 * MIB));
    must(cuMemAlloc(&second, 4 * MIB));
    must(cuMemHostAlloc(&first_host, 4 * MIB, 0));
    must(cuMemHostAlloc(&second_host, 4 * MIB, 0));
    started = now_ns();
    must(cuMemcpyHtoDAsync(first, first_host, 4 * MIB, up));
    must(cuMemcpyHtoDAsync(second, second_host, 4 * MIB, down));
    must(cuCtxSynchronize());
    one_way = now_ns() - started;
    started = now_ns();
    must(cuMemcpyHtoDAsync(first, first_host, 4 * MIB, up));
    must(cuMemcpyDtoHAsync(second_host, second, 4 * MIB, down));
    must(cuCtxSynchronize());
    both = now_ns() - started;
    cr_assert_geq(one_way, 20000000);
    cr_assert_geq(both, 10000000);
    cr_assert_lt(both, one_way);
}

Test(stream, a_kernel_takes_its_injected_time)
{
    uint64_t started, by = 1;
    CUevent from, to;
    float milliseconds;

    setenv("SIMGPU_KERNEL_NS", "3000000", 1);
    start();
    from = event_new();
    to = event_new();
    module();
    started = now_ns();
    must(cuEventRecord(from, NULL));
    must(launch("count_up", NULL, (void *[]){&by}));
    must(cuEventRecord(to, NULL));
    cr_assert_eq(cuEventElapsedTime(&milliseconds, from, to), CUDA_ERROR_NOT_READY);
    must(cuCtxSynchronize());
    cr_assert_geq(now_ns() - started, 3000000);
    must(cuEventElapsedTime(&milliseconds, from, to));
    cr_assert_geq(milliseconds, 3.0f);
}

Test(stream, a_stuck_device_never_gets_done_and_idle_synchronous_copies_still_do)
{
    CUstream stream;
    CUevent event;
    CUdeviceptr data;
    uint32_t word = 1;
    uint64_t by = 1;

    setenv("SIMGPU_STUCK", "1", 1);
    start();
    stream = stream_new(CU_STREAM_NON_BLOCKING);
    event = event_new();
    must(cuMemAlloc(&data, 4096));
    must(cuMemcpyHtoD(data, &word, 4));
    must(cuEventRecord(event, stream));
    must(cuEventQuery(event));
    must(launch("count_up", stream, (void *[]){&by}));
    must(cuEventRecord(event, stream));
    for (int i = 0; i < 100; i++) {
        sched_yield();
        cr_assert_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
        cr_assert_eq(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    }
}
