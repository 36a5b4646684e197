/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 that has every row of the hook table and does nothing: each function answers with a code of its own,
 * so that a test sees where a call ended up. cuInit fails, so nothing is ever managed.
 */
#include "echo_driver.h"
#include "hook/hooks.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#pragma GCC diagnostic ignored "-Wunused-parameter"

enum {
#define ROW(library, class, result, name, body, parameters, arguments) INDEX_##name,
#include "hook/hook_table.def"
};

/* A driver function that is no row. */
EXPORT CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* Neither is this, and nobody gave a reason; nor is there one for a newer form of a row. */
EXPORT CUresult cuEchoUnlisted(void);
EXPORT CUresult cuEchoUnlisted(void)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemAlloc_v3(CUdeviceptr *out, size_t bytes);
EXPORT CUresult cuMemAlloc_v3(CUdeviceptr *out, size_t bytes)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* What no symbol names: a driver may hand out functions that it does not export. */
static CUresult nameless(void)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult find(const char *symbol, void **out);

/* The ways to ask for an entry work; by exact name, whatever the version. */
#define SPECIAL_cuGetProcAddress(code)         find(symbol, pfn)
#define SPECIAL_cuGetProcAddress_v2(code)      find(symbol, pfn)
#define SPECIAL_cuGetProcAddress_v2_ptsz(code) find(symbol, pfn)
#define ANSWER_allocate(body, code)            (CUresult)(code)
#define ANSWER_free(body, code)                (CUresult)(code)
#define ANSWER_use(body, code)                 (CUresult)(code)
#define ANSWER_query(body, code)               (CUresult)(code)
#define ANSWER_lifecycle(body, code)           (CUresult)(code)
#define ANSWER_loader(body, code)              SPECIAL_##body(code)
#define SPECIAL_cuInit(code)                   (CUresult)(code)
#define DEFINE_driver(class, name, body, parameters)                                                         \
    EXPORT CUresult name parameters                                                                          \
    {                                                                                                        \
        return ANSWER_##class(body, ECHO_CODE + INDEX_##name);                                               \
    }
#define DEFINE_runtime(class, name, body, parameters)
#define DEFINE_nvml(class, name, body, parameters)
#define MARK_ROW(name, parameters, arguments)
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    DEFINE_##library(class, name, body, parameters)
#include "hook/hook_table.def"

static const struct {
    const char *name;
    void *function;
} functions[] = {
#define LIST_driver(name) {#name, (void *)name},
#define LIST_runtime(name)
#define LIST_nvml(name)
#define MARK_ROW(name, parameters, arguments)
#define ROW(library, class, result, name, body, parameters, arguments) LIST_##library(name)
#include "hook/hook_table.def"
    {"cuDeviceGetName", (void *)cuDeviceGetName},
    {"cuMemFree", (void *)nameless},
    {"cuDeviceGetUuid", (void *)nameless},
};

static CUresult find(const char *symbol, void **out)
{
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, symbol) == 0) {
            *out = functions[i].function;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}
