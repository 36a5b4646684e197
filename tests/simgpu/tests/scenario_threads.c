/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads do everything at once, each with its own stream and memory, checking the bytes they get back. */
#include "scenario_threads.h"

#include "driver.h"

#include <pthread.h>

enum {
    THREADS = 8,
    ROUNDS = 300,
    WORDS = 1024
};

static CUcontext context;
static CUfunction fill, add;

/* Moves what is mapped at the address into a fresh handle there, as a mover does: copy aside, swap, copy back. */
static CUmemGenericAllocationHandle swap(CUdeviceptr address, CUmemGenericAllocationHandle handle,
                                         CUdeviceptr aside, CUstream stream)
{
    CUmemGenericAllocationHandle fresh = physical();

    must(cuMemMap(aside, GRANULE, 0, fresh, 0));
    must(grant(aside, GRANULE));
    must(cuMemcpyDtoDAsync(aside, address, WORDS * 4, stream));
    must(cuStreamSynchronize(stream));
    must(cuMemUnmap(aside, GRANULE));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, fresh, 0));
    must(grant(address, GRANULE));
    must(cuMemRelease(handle));
    return fresh;
}

static void *work(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address, aside, native;
    uint32_t read[WORDS], value = 0;
    uint64_t count = WORDS;
    CUstream stream;
    CUevent event;

    must(cuCtxSetCurrent(context));
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    address = mapped(&handle);
    aside = reserve(GRANULE);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t one = (uint32_t)rand_r(&seed) % 1000;

        value = one;
        must(cuMemAlloc(&native, WORDS * 4));
        must(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&address, &one, &count}, NULL));
        must(cuMemcpyDtoDAsync(native, address, WORDS * 4, stream));
        must(cuEventRecord(event, stream));
        if (rand_r(&seed) % 2) {
            must(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&address, &native, &count},
                                NULL));
            value += one;
        }
        if (rand_r(&seed) % 4 == 0) {
            must(cuStreamSynchronize(stream));
            handle = swap(address, handle, aside, stream);
        }
        must(cuMemcpyDtoHAsync(read, address, sizeof read, stream));
        must(cuEventSynchronize(event));
        for (int i = 0; i < WORDS; i++)
            if (read[i] != value)
                return argument;
        must(cuMemFree(native));
    }
    must(cuStreamDestroy(stream));
    must(cuEventDestroy(event));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemRelease(handle));
    must(cuMemAddressFree(address, GRANULE));
    must(cuMemAddressFree(aside, GRANULE));
    return NULL;
}

void storm(void)
{
    pthread_t threads[THREADS];

    context = start();
    fill = kernel("fill");
    add = kernel("add");
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0)
            exit(2);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        if (failed)
            exit(2);
    }
}
