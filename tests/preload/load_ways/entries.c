/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Through entries of the driver that the runtime hands out, as PyTorch asks for them: by each of its functions, and by
 * the driver's own that it hands out.
 */
#include "way.h"

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* programs go on asking without a version */

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        if ((call) != 0)                                                                                     \
            return #call;                                                                                    \
    } while (0)

enum {
    VERSION = 12000
};

static cudaError_t by_version(const char *name, void **entry)
{
    return cudaGetDriverEntryPointByVersion(name, entry, VERSION, cudaEnableDefault, NULL);
}

static cudaError_t by_name(const char *name, void **entry)
{
    return cudaGetDriverEntryPoint(name, entry, cudaEnableDefault, NULL);
}

static cudaError_t by_driver(const char *name, void **entry)
{
    PFN_cuGetProcAddress_v12000 ask;
    cudaError_t error = by_version("cuGetProcAddress", (void **)&ask);

    return error != cudaSuccess ? error : (cudaError_t)ask(name, entry, VERSION, 0, NULL);
}

static const char *use_blocks(cudaError_t (*ask)(const char *, void **))
{
    CUdeviceptr block[WAY_BLOCKS];
    PFN_cuMemAlloc_v3020 allocate;
    PFN_cuMemsetD8_v3020 set;
    PFN_cuMemcpyDtoH_v3020 get;
    PFN_cuMemFree_v3020 give_back;

    TRY(ask("cuMemAlloc", (void **)&allocate));
    TRY(ask("cuMemsetD8", (void **)&set));
    TRY(ask("cuMemcpyDtoH", (void **)&get));
    TRY(ask("cuMemFree", (void **)&give_back));
    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        TRY(allocate(&block[i], WAY_BYTES));
        TRY(set(block[i], (unsigned char)(i + 1), WAY_BYTES));
    }
    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        unsigned char first = 0, last = 0;

        TRY(get(&first, block[i], 1));
        TRY(get(&last, block[i] + WAY_BYTES - 1, 1));
        if (first != i + 1 || last != i + 1)
            return "a wrong byte";
    }
    for (unsigned i = 0; i < WAY_BLOCKS; i++)
        TRY(give_back(block[i]));
    return NULL;
}

const char *way_entries(void)
{
    const char *complaint;

    TRY(cudaFree(NULL)); /* which makes the context */
    complaint = use_blocks(by_version);
    complaint = complaint ? complaint : use_blocks(by_name);
    return complaint ? complaint : use_blocks(by_driver);
}
