/* SPDX-License-Identifier: Apache-2.0 */
/* test_waiting_stream.c - work on a stream that waits for this very thread, while the thread allocates and frees:
 * nothing waits for that work longer than it is allowed to. The time a case may take is what it would take if anything
 * did. */
#include "world.h"

#include <stdatomic.h>
#include <time.h>

TestSuite(waiting_stream, .timeout = 40);

static _Atomic int go;

/* One half of what needs two: the other one comes later, from the host. */
static void wait_for_go(void *unused)
{
    (void)unused;
    while (!atomic_load(&go))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static CUcontext context[2];

static CUstream begin(unsigned busy)
{
    CUdevice device;
    CUstream stream;

    OK(cuInit(0));
    for (int i = 0; i < 2; i++) {
        OK(cuDeviceGet(&device, i));
        OK(cuDevicePrimaryCtxRetain(&context[i], device));
    }
    OK(cuCtxSetCurrent(context[busy]));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuCtxSetCurrent(context[0]));
    return stream;
}

static CUdeviceptr make(unsigned index)
{
    CUdeviceptr block;

    OK(cuMemAlloc(&block, 4 * MIB));
    OK(cuMemsetD32(block, bits_of((float)index), MIB));
    return block;
}

Test(waiting_stream, allocations_are_served_from_host_memory_after_one_wait)
{
    CUstream stream = begin(0);
    CUdeviceptr block[10];

    for (unsigned i = 0; i < 3; i++)
        block[i] = make(i);
    OK(cuLaunchHostFunc(stream, wait_for_go, NULL));
    OK(cuMemsetD32Async(block[0], bits_of(42), MIB, stream));
    for (unsigned i = 3; i < 10; i++)
        block[i] = make(i);
    atomic_store(&go, 1);
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block[0], MIB, 42));
    for (unsigned i = 1; i < 10; i++)
        cr_expect(all_are(block[i], MIB, (float)i));
    for (unsigned i = 0; i < 10; i++)
        OK(cuMemFree(block[i]));
}

Test(waiting_stream, frees_are_over_after_one_wait_and_their_memory_comes_back_later)
{
    CUstream stream = begin(0);
    CUdeviceptr block[8];

    for (unsigned i = 0; i < 8; i++)
        block[i] = make(i);
    OK(cuLaunchHostFunc(stream, wait_for_go, NULL));
    for (unsigned i = 0; i < 8; i++)
        OK(cuMemFree(block[i]));
    atomic_store(&go, 1);
    OK(cuStreamSynchronize(stream));
    for (unsigned i = 0; i < 8; i++)
        block[i] = make(i);
    for (unsigned i = 0; i < 8; i++)
        cr_expect(all_are(block[i], MIB, (float)i));
    for (unsigned i = 0; i < 8; i++)
        OK(cuMemFree(block[i]));
}

Test(waiting_stream, free_does_not_wait_for_a_device_that_does_not_reach_the_block)
{
    CUstream stream = begin(1);

    OK(cuCtxSetCurrent(context[1]));
    OK(cuLaunchHostFunc(stream, wait_for_go, NULL));
    OK(cuCtxSetCurrent(context[0]));
    for (unsigned i = 0; i < 100; i++)
        OK(cuMemFree(make(i)));
    atomic_store(&go, 1);
    OK(cuCtxSetCurrent(context[1]));
    OK(cuStreamSynchronize(stream));
}
