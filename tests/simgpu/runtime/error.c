/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define ERROR(code, text)                                                                                    \
    case code:                                                                                               \
        return #code;
#include "runtime/errors.def"
#undef ERROR
    default:
        return "unrecognized error code";
    }
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
#define ERROR(code, text)                                                                                    \
    case code:                                                                                               \
        return text;
#include "runtime/errors.def"
#undef ERROR
    default:
        return "unrecognized error code";
    }
}
