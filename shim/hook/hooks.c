/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that hook_table.def makes, and the exported functions whose bodies are written by hand or words. */
#include "hook/hooks.h"

#include <errno.h>
#include <string.h>

#include "base/cancel_guard.h"
#include "cuda/call_site.h"
#include "hook/hook_words.h"

const struct hook_row hook_rows[] = {
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    {REAL_ROW(name), HOOK_CLASS_##class, (void *)name},
#include "hook/hook_table.def"
    {NULL, HOOK_CLASS_loader, NULL},
};

const struct hook_row *hooks_row(const char *name)
{
    for (const struct hook_row *row = hook_rows; row->real; row++)
        if (strcmp(row->real->name, name) == 0)
            return row;
    return NULL;
}

const struct hook_row *hooks_row_of(const void *function)
{
    if (!function)
        return NULL;
    for (const struct hook_row *row = hook_rows; row->real; row++)
        if (row->hook == function || __atomic_load_n(row->real->function, __ATOMIC_RELAXED) == function)
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

#define IS(this, class) (HOOK_CLASS_##this == HOOK_CLASS_##class)

/* A function without a library behind it answers as a machine without a device. The guard keeps the thread from being
 * cancelled; launches and copies have theirs where they wait. */
#define DIRECT(absent, class, result, name, parameters, arguments, call)                                     \
    EXPORT result name parameters                                                                            \
    {                                                                                                        \
        const void *before = NULL;                                                                           \
        struct cancel_guard guard;                                                                           \
                                                                                                             \
        if (UNLIKELY(!real.name) && !real_find(REAL_ROW(name)))                                              \
            return absent;                                                                                   \
        if (!IS(class, loader) && UNLIKELY(!lifecycle_manages))                                              \
            return real.name arguments;                                                                      \
        __typeof__(name) *next = real.name;                                                                  \
                                                                                                             \
        if (!IS(class, use))                                                                                 \
            cancel_guard_enter(&guard);                                                                      \
        if (IS(class, allocate))                                                                             \
            before = call_site_enter(__builtin_return_address(0));                                           \
        result answer = call;                                                                                \
                                                                                                             \
        if (IS(class, allocate))                                                                             \
            call_site_leave(before);                                                                         \
        if (!IS(class, use))                                                                                 \
            cancel_guard_leave(&guard);                                                                      \
        return answer;                                                                                       \
    }
#define EXPORT_driver(...) DIRECT(CUDA_ERROR_NO_DEVICE, __VA_ARGS__)
#define EXPORT_nvml(...)   DIRECT(NVML_ERROR_LIBRARY_NOT_FOUND, __VA_ARGS__)
#define EXPORT_runtime(class, result, name, parameters, arguments, call)                                     \
    EXPORT result name parameters                                                                            \
    {                                                                                                        \
        result answer = cudaErrorNoDevice;                                                                   \
        struct real_call way;                                                                                \
        __typeof__(name) *next = real_enter(&way, REAL_ROW(name), __builtin_return_address(0));              \
                                                                                                             \
        if (next)                                                                                            \
            answer = call;                                                                                   \
        real_leave(&way);                                                                                    \
        return answer;                                                                                       \
    }
#define ROW(library, class, result, name, body, parameters, arguments)                                       \
    EXPORT_##library(class, result, name, parameters, arguments, hook_##body(next, HOOK_BARE arguments))
#define APPLY(word, ...) word(__VA_ARGS__)
#define WORD_ROW(library, class, result, name, per_thread, parameters, arguments, word, more)                \
    EXPORT_##library(class, result, name, parameters, arguments, ({                                          \
                         const bool is_per_thread __attribute__((unused)) = per_thread;                      \
                         APPLY(word, next arguments, HOOK_BARE more);                                        \
                     }))
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)
#include "hook/hook_table.def"
