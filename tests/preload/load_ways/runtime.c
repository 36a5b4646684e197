/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Through the runtime, shared or static, or with WAY_DLSYM wherever the program as a whole has it; the default stream
 * is the one of its build.
 */
#include "way.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#ifdef WAY_DLSYM
/* The name is exact here: as an operand of # it is not replaced by the header's macros. */
#define FUNCTION(name) ((__typeof__(name) *)dlsym(RTLD_DEFAULT, #name))
#else
#define FUNCTION(name) name
#endif
#define TRY(name, arguments)                                                                                 \
    do {                                                                                                     \
        if (FUNCTION(name) arguments != cudaSuccess)                                                         \
            return #name;                                                                                    \
    } while (0)

static const char *use_blocks(void)
{
    void *block[WAY_BLOCKS];

    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        TRY(cudaMalloc, (&block[i], WAY_BYTES));
        TRY(cudaMemsetAsync, (block[i], (int)i + 1, WAY_BYTES, 0));
    }
    TRY(cudaStreamSynchronize, (0));
    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        unsigned char first = 0, last = 0;

        TRY(cudaMemcpy, (&first, block[i], 1, cudaMemcpyDeviceToHost));
        TRY(cudaMemcpy, (&last, (char *)block[i] + WAY_BYTES - 1, 1, cudaMemcpyDeviceToHost));
        if (first != i + 1 || last != i + 1)
            return "a wrong byte";
    }
    for (unsigned i = 0; i < WAY_BLOCKS; i++)
        TRY(cudaFree, (block[i]));
    return NULL;
}

const char *way_runtime(void)
{
    return use_blocks();
}
