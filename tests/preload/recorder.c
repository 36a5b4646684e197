/* SPDX-License-Identifier: Apache-2.0 */
/* A libcuda.so.1 that writes down what it is asked for. See record-entry-points. */
#include <cuda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CUresult no_device(void)
{
    return CUDA_ERROR_NO_DEVICE;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    FILE *list = *symbol ? fopen(getenv("RECORD"), "a") : NULL;

    if (list) {
        fprintf(list, "%s\t%d\t%d\n", symbol, version, (int)flags);
        fclose(list);
    }
    *pfn = strcmp(symbol, "cuGetProcAddress") == 0 ? (void *)cuGetProcAddress_v2 : (void *)no_device;
    if (status)
        *status = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}
