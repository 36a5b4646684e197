/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded under the shared runtime on the simulated driver, two devices with a budget of 16 MiB each. */
#include "shared_object.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)
#define OK(call)                                                                                             \
    do {                                                                                                     \
        cudaError_t ok_result = (call);                                                                      \
        cr_assert_eq(ok_result, cudaSuccess, "%s: %d", #call, ok_result);                                    \
    } while (0)

enum {
    BLOCKS = 10
};
#define BLOCK_BYTES (4 * MIB)

Test(runtime, its_allocation_functions_are_ours)
{
    void *handle = dlopen("libcudart.so.13", RTLD_NOW);
    void *entry = NULL;
    enum cudaDriverEntryPointQueryResult status;

    cr_assert(handle, "%s", dlerror());
    cr_expect(lies_in((void *)cudaMalloc, "libebbtide.so"));
    cr_expect(lies_in(dlsym(handle, "cudaMalloc"), "libebbtide.so"));
    cr_expect(lies_in(dlsym(handle, "cudaMallocAsync"), "libebbtide.so"));
    cr_expect(lies_in(dlsym(handle, "cudaMemcpy"), "libcudart.so"));
    OK(cudaGetDriverEntryPointByVersion("cuMemAlloc", &entry, 3020, cudaEnableDefault, &status));
    cr_expect_eq(status, cudaDriverEntryPointSuccess);
    cr_expect(lies_in(entry, "libebbtide.so"));
}

/* The version and the flags of a request choose between functions of one name. */
Test(runtime, an_entry_is_the_one_that_the_driver_chose)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW);
    void *legacy = NULL;
    void *per_thread = NULL;
    enum cudaDriverEntryPointQueryResult status;

    OK(cudaGetDriverEntryPointByVersion("cuMemcpyAsync", &legacy, 7000, cudaEnableLegacyStream, &status));
    OK(cudaGetDriverEntryPointByVersion("cuMemcpyAsync", &per_thread, 7000, cudaEnablePerThreadDefaultStream,
                                        &status));
    cr_expect_eq(legacy, dlsym(handle, "cuMemcpyAsync"));
    cr_expect_eq(per_thread, dlsym(handle, "cuMemcpyAsync_ptsz"));
}

Test(runtime, every_row_of_the_simulated_driver_resolves_to_us)
{
    static const char *const names[] = {
#define KEEP_driver(name) #name,
#define KEEP_runtime(name)
#define KEEP_nvml(name)
#define MARK_ROW(name, parameters, arguments)
#define ROW(library, class, result, name, body, parameters, arguments) KEEP_##library(name)
#include "hook/hook_table.def"
    };
    void *handle = dlopen("libcuda.so.1", RTLD_NOW);
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        void *function = dlsym(handle, names[i]);

        if (!function)
            continue; /* a driver need not have them all */
        count++;
        cr_expect(lies_in(function, "libebbtide.so"), "%s", names[i]);
    }
    cr_expect_gt(count, 150);
}

Test(runtime, holds_more_than_the_budget)
{
    void *block[BLOCKS];
    size_t free_bytes, total_bytes;
    unsigned char *back = malloc(BLOCK_BYTES);

    cr_assert(back);
    OK(cudaMemGetInfo(&free_bytes, &total_bytes));
    cr_expect_eq(total_bytes, 16 * MIB);
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cudaMalloc(&block[i], BLOCK_BYTES));
        OK(cudaMemset(block[i], (int)i + 1, BLOCK_BYTES));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cudaMemcpy(back, block[i], BLOCK_BYTES, cudaMemcpyDeviceToHost));
        cr_expect(back[0] == i + 1 && back[BLOCK_BYTES - 1] == i + 1, "block %u", i);
        OK(cudaFree(block[i]));
    }
    free(back);
}

Test(runtime, a_refusal_is_the_runtimes_own_error)
{
    void *block[64];
    unsigned count = 0;
    cudaError_t result = cudaSuccess;

    /* Device and host together hold 16 + 64 MiB. */
    while (count < 64 && (result = cudaMalloc(&block[count], BLOCK_BYTES)) == cudaSuccess)
        count++;
    cr_expect_eq(result, cudaErrorMemoryAllocation);
    cr_expect_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
    cr_expect_eq(cudaGetLastError(), cudaSuccess);
    cr_expect_geq(count, 10);
    while (count-- > 0)
        OK(cudaFree(block[count]));
    OK(cudaMalloc(&block[0], BLOCK_BYTES));
    OK(cudaFree(block[0]));
}

static const char *use_device(unsigned char value)
{
    unsigned char back[2] = {0};
    char *block;

    if (cudaMalloc((void **)&block, 2 * MIB) || cudaMemset(block, value, 2 * MIB) ||
        cudaMemcpy(&back[0], block, 1, cudaMemcpyDeviceToHost) ||
        cudaMemcpy(&back[1], block + 2 * MIB - 1, 1, cudaMemcpyDeviceToHost) || cudaFree(block))
        return "a call failed";
    return back[0] == value && back[1] == value ? NULL : "a wrong byte";
}

static void *first_call(void *arg)
{
    return (void *)(uintptr_t)use_device((unsigned char)(uintptr_t)arg);
}

Test(runtime, sixty_four_threads_in_first_calls_at_once)
{
    pthread_t thread[64];

    for (uintptr_t i = 0; i < 64; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, first_call, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 64; i++) {
        void *complaint;

        pthread_join(thread[i], &complaint);
        cr_expect_null(complaint, "%s", (const char *)complaint);
    }
}

Test(runtime, a_peer_reaches_blocks_that_were_moved)
{
    void *theirs[BLOCKS];
    void *ours;
    CUcontext peer;
    unsigned char *back = malloc(BLOCK_BYTES);

    cr_assert(back);
    OK(cudaSetDevice(1));
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cudaMalloc(&theirs[i], BLOCK_BYTES));
        OK(cudaMemset(theirs[i], (int)i + 1, BLOCK_BYTES));
    }
    OK(cudaDeviceSynchronize());
    cr_assert_eq(cuCtxGetCurrent(&peer), CUDA_SUCCESS);
    OK(cudaSetDevice(0));
    cr_assert_eq(cuCtxEnablePeerAccess(peer, 0), CUDA_SUCCESS);
    OK(cudaMalloc(&ours, BLOCK_BYTES));
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cudaMemcpy(ours, theirs[i], BLOCK_BYTES, cudaMemcpyDefault));
        OK(cudaMemcpy(back, ours, BLOCK_BYTES, cudaMemcpyDeviceToHost));
        cr_expect(back[0] == i + 1 && back[BLOCK_BYTES - 1] == i + 1, "block %u", i);
    }
    OK(cudaFree(ours));
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(cudaFree(theirs[i]));
    free(back);
}
