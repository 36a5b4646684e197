/* SPDX-License-Identifier: Apache-2.0 */
/* A device scans its own memory, with the kernel of scan_kernel.ptx. */
#include "cuda/device_cuda.h"

#include <errno.h>

enum {
    BLOCK_THREADS = 256,
    BLOCKS_MAX = 1024,        /* enough to fill any device */
    BYTES_PER_THREAD = 4 * 16 /* at least so much to do for each */
};

extern const char scan_kernel_ptx[];

/* The kernel in the context that is current. The driver keeps it until the context ends. */
static int load(CUfunction *out)
{
    CUmodule module;
    CUresult result;

    if (!real.cuModuleLoadData || !real.cuModuleGetFunction || !real.cuModuleUnload || !real.cuLaunchKernel)
        return -ENOTSUP;
    result = real.cuModuleLoadData(&module, scan_kernel_ptx);
    if (result == CUDA_ERROR_OUT_OF_MEMORY)
        return -ENOMEM;
    if (result != CUDA_SUCCESS)
        return -ENOTSUP;
    if (real.cuModuleGetFunction(out, module, "ebb_scan") != CUDA_SUCCESS) {
        real.cuModuleUnload(module);
        return -ENOTSUP;
    }
    return 0;
}

int device_scan(IGNORED struct device *self, unsigned ordinal, const struct scan *scan)
{
    struct entered entered;
    uint64_t words = scan->bytes / 4, per_block = (uint64_t)BLOCK_THREADS * BYTES_PER_THREAD;
    uint64_t blocks = (scan->bytes + per_block - 1) / per_block;
    uint64_t before = scan->base - 1;
    void *parameters[] = {
        (void *)&scan->address, &words, &before, (void *)&scan->span, (void *)&scan->marks,
        (void *)&scan->hit,
    };
    int error = device_host_reach(ordinal, scan->address);

    error = error ? error : device_host_reach(ordinal, scan->marks);
    error = error ? error : context_enter(ordinal, &entered);
    if (error)
        return error == -ENOTSUP ? -EIO : error;
    if (!*entered.kernel)
        error = load(entered.kernel);
    if (!error && words)
        error = device_cuda_error(
            real.cuLaunchKernel(*entered.kernel, (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX), 1, 1,
                                BLOCK_THREADS, 1, 1, 0, entered.stream[STREAM_OUT], parameters, NULL));
    context_leave(&entered);
    return error;
}
