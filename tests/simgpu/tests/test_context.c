/* SPDX-License-Identifier: Apache-2.0 */
/* Primary contexts that end, and come back. */
#include "driver.h"

#include <criterion/criterion.h>
#include <pthread.h>

static bool is_active(void)
{
    unsigned flags;
    int active;

    must(cuDevicePrimaryCtxGetState(0, &flags, &active));
    return active;
}

/* What a thread finds that has it current. */
static void must_be_dead(CUcontext context)
{
    CUcontext current;
    CUdeviceptr address;
    CUstream stream;
    CUevent event;
    unsigned version;

    cr_assert_eq(is_active(), false);
    must(cuCtxGetCurrent(&current));
    cr_assert_eq(current, context);
    cr_assert_eq(cuCtxGetApiVersion(context, &version), CUDA_ERROR_INVALID_CONTEXT);
    cr_assert_eq(cuEventCreate(&event, 0), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    cr_assert_eq(cuStreamCreate(&stream, 0), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    cr_assert_eq(cuMemAlloc(&address, MIB), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    cr_assert_eq(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    cr_assert_eq(cuStreamSynchronize(NULL), CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

Test(context, a_reset_primary_context_is_dead_until_it_is_retained_again)
{
    CUcontext context, again;
    CUdeviceptr address;
    CUstream stream;
    unsigned version;

    context = start();
    must(cuMemAlloc(&address, 8 * MIB));
    must(cuStreamCreate(&stream, 0));
    must(cuDevicePrimaryCtxReset(0));
    must_be_dead(context);
    must(cuDevicePrimaryCtxRetain(&again, 0));
    cr_assert_eq(again, context);
    cr_assert(is_active());
    must(cuCtxGetApiVersion(context, &version));
    cr_assert_eq(cuMemFree(address), CUDA_ERROR_INVALID_VALUE, "it went with the reset");
    cr_assert_eq(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
    must(cuMemAlloc(&address, 8 * MIB));
}

Test(context, a_reset_does_not_release_what_was_retained)
{
    CUcontext context;

    start();
    must(cuDevicePrimaryCtxReset(0));
    must(cuDevicePrimaryCtxReset(0));
    must(cuDevicePrimaryCtxRetain(&context, 0));
    must(cuDevicePrimaryCtxRelease(0));
    cr_assert(is_active());
    must(cuDevicePrimaryCtxRelease(0));
    must_be_dead(context);
    cr_assert_eq(cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
}

Test(context, a_dead_primary_context_can_be_released_and_made_current)
{
    CUcontext context, popped;

    context = start();
    must(cuDevicePrimaryCtxReset(0));
    must(cuCtxSetCurrent(NULL));
    must(cuCtxPushCurrent(context));
    must_be_dead(context);
    must(cuCtxPopCurrent(&popped));
    cr_assert_eq(popped, context);
    must(cuCtxSetCurrent(context));
    must(cuDevicePrimaryCtxRelease(0));
    must_be_dead(context);
}

Test(context, the_memory_of_a_pool_outlives_a_reset_and_revives_nothing)
{
    CUdeviceptr before, after;
    CUcontext context, own;
    CUmemoryPool pool;

    context = start();
    must(cuDeviceGetDefaultMemPool(&pool, 0));
    must(cuMemAllocAsync(&before, MIB, NULL));
    must(cuStreamSynchronize(NULL));
    must(cuDevicePrimaryCtxReset(0));
    must_be_dead(context);
    must(cuCtxCreate(&own, NULL, 0, 0));
    must(cuMemAllocFromPoolAsync(&after, MIB, pool, NULL));
    must(cuMemFreeAsync(before, NULL));
    must(cuCtxSynchronize());
    cr_assert_eq(is_active(), false);
}

static void *must_be_dead_here(void *context)
{
    must(cuCtxSetCurrent(context));
    must_be_dead(context);
    return NULL;
}

Test(context, it_is_dead_on_every_thread)
{
    CUcontext context;
    pthread_t thread;

    context = start();
    must(cuDevicePrimaryCtxReset(0));
    cr_assert_eq(pthread_create(&thread, NULL, must_be_dead_here, context), 0);
    pthread_join(thread, NULL);
}

Test(context, a_reset_leaves_contexts_that_the_program_created)
{
    CUdeviceptr address;
    CUcontext own;

    start();
    must(cuCtxCreate(&own, NULL, 0, 0));
    must(cuDevicePrimaryCtxReset(0));
    must(cuMemAlloc(&address, MIB));
    must(cuMemFree(address));
    must(cuCtxDestroy(own));
    cr_assert_eq(cuCtxPushCurrent(own), CUDA_ERROR_INVALID_CONTEXT);
}

static CUgreenCtx green(void)
{
    CUdevResource resource;
    CUdevResourceDesc desc;
    CUgreenCtx green;

    must(cuDeviceGetDevResource(0, &resource, CU_DEV_RESOURCE_TYPE_SM));
    must(cuDevResourceGenerateDesc(&desc, &resource, 1));
    cr_assert_eq(cuGreenCtxCreate(&green, desc, 0, 0), CUDA_ERROR_INVALID_VALUE,
                 "without the default stream");
    must(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
    return green;
}

Test(context, a_green_context_retains_the_primary_one)
{
    CUgreenCtx first, second;
    CUcontext context;
    CUstream stream;
    CUevent event;

    must(cuInit(0));
    cr_assert_not(is_active());
    first = green();
    second = green();
    cr_assert(is_active());
    must(cuCtxFromGreenCtx(&context, first));
    must(cuCtxSetCurrent(context));
    must(cuGreenCtxStreamCreate(&stream, first, CU_STREAM_NON_BLOCKING, 0));
    must(cuEventCreate(&event, 0));
    must(cuGreenCtxRecordEvent(first, event));
    must(cuEventSynchronize(event));
    must(cuGreenCtxDestroy(first));
    cr_assert(is_active());
    cr_assert_eq(cuGreenCtxDestroy(first), CUDA_ERROR_INVALID_CONTEXT);
    must(cuGreenCtxDestroy(second));
    cr_assert_not(is_active());
}
