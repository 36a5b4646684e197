/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that hook_table.def makes, and the exported functions with handwritten bodies. */
#include "hook/hooks.h"

#include "base/cancel_guard.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct real real;
bool hooks_managing;

const struct hook_row hook_rows[] = {
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    {#name, HOOK_LIBRARY_##library, HOOK_CLASS_##class, (void *)name, (void **)&real.name},
#define CALL_ROW(library, name) {#name, HOOK_LIBRARY_##library, HOOK_CLASS_call, NULL, (void **)&real.name},
#include "hook/hook_table.def"
    {NULL, HOOK_LIBRARY_driver, HOOK_CLASS_call, NULL, NULL},
};

const struct hook_row *hooks_row(const char *name)
{
    for (const struct hook_row *row = hook_rows; row->name; row++)
        if (row->hook && strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

const struct hook_row *hooks_row_of(const void *function)
{
    if (!function)
        return NULL;
    for (const struct hook_row *row = hook_rows; row->name; row++)
        if (row->hook && (row->hook == function || __atomic_load_n(row->real, __ATOMIC_RELAXED) == function))
            return row;
    return NULL;
}

CUresult hooks_result(int error)
{
    switch (-error) {
    case 0:
        return CUDA_SUCCESS;
    case ENOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case EINVAL:
    case ENOENT:
    case EEXIST:
        return CUDA_ERROR_INVALID_VALUE;
    case ENOTSUP:
        return CUDA_ERROR_NOT_SUPPORTED;
    case ETIMEDOUT:
    case EBUSY:
        return CUDA_ERROR_NOT_READY;
    default:
        return CUDA_ERROR_UNKNOWN;
    }
}

#define ALWAYS_loader    true
#define ALWAYS_allocate  false
#define ALWAYS_free      false
#define ALWAYS_use       false
#define ALWAYS_query     false
#define ALWAYS_lifecycle false

/* A launch, a copy: these have theirs where they wait. */
#define HAS_DOOR_loader    true
#define HAS_DOOR_allocate  true
#define HAS_DOOR_free      true
#define HAS_DOOR_use       false
#define HAS_DOOR_query     true
#define HAS_DOOR_lifecycle true

#define PASS_loader
#define PASS_allocate __builtin_return_address(0),
#define PASS_free
#define PASS_use
#define PASS_query
#define PASS_lifecycle

/* Without a library behind it, it answers as a machine without a device. */
#define DIRECT(absent, class, result, name, body, parameters, arguments)                                     \
    EXPORT result name parameters                                                                            \
    {                                                                                                        \
        if (__builtin_expect(!real.name, 0) && !hooks_find(HOOKS_ROW(name)))                                 \
            return absent;                                                                                   \
        if (!ALWAYS_##class && __builtin_expect(!hooks_managing, 0))                                         \
            return real.name arguments;                                                                      \
        if (!HAS_DOOR_##class)                                                                               \
            return hook_##body(real.name, PASS_##class HOOK_BARE arguments);                                 \
        struct cancel_guard guard;                                                                           \
                                                                                                             \
        cancel_guard_enter(&guard);                                                                          \
        result answer = hook_##body(real.name, PASS_##class HOOK_BARE arguments);                            \
                                                                                                             \
        cancel_guard_leave(&guard);                                                                          \
        return answer;                                                                                       \
    }
#define EXPORT_driver(...) DIRECT(CUDA_ERROR_NO_DEVICE, __VA_ARGS__)
#define EXPORT_nvml(...)   DIRECT(NVML_ERROR_LIBRARY_NOT_FOUND, __VA_ARGS__)
#define EXPORT_runtime(class, result, name, body, parameters, arguments)                                     \
    EXPORT result name parameters                                                                            \
    {                                                                                                        \
        result answer = cudaErrorNoDevice;                                                                   \
        struct hook_call call;                                                                               \
        __typeof__(name) *next = hooks_enter(&call, HOOKS_ROW(name), __builtin_return_address(0));           \
                                                                                                             \
        if (next)                                                                                            \
            answer = hook_##body(next, PASS_##class HOOK_BARE arguments);                                    \
        hooks_leave(&call);                                                                                  \
        return answer;                                                                                       \
    }
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    EXPORT_##library(class, result, name, body, parameters, arguments)
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)
#include "hook/hook_table.def"
