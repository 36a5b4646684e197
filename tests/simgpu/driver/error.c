/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/entry.h"

static const struct {
    CUresult result;
    const char *name, *text;
} errors[] = {
#define ERROR(name, text) {name, #name, text},
#include "driver/errors.def"
#undef ERROR
};

static CUresult find(CUresult result, unsigned *at)
{
    for (*at = 0; *at < sizeof errors / sizeof *errors; ++*at)
        if (errors[*at].result == result)
            return CUDA_SUCCESS;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGetErrorName(CUresult result, const char **name)
{
    unsigned at;

    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    if (find(result, &at) != CUDA_SUCCESS) {
        *name = NULL;
        return CUDA_ERROR_INVALID_VALUE;
    }
    *name = errors[at].name;
    return CUDA_SUCCESS;
}

CUresult sim_cuGetErrorString(CUresult result, const char **text)
{
    unsigned at;

    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    if (find(result, &at) != CUDA_SUCCESS) {
        *text = NULL;
        return CUDA_ERROR_INVALID_VALUE;
    }
    *text = errors[at].text;
    return CUDA_SUCCESS;
}
