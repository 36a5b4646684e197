/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's allocation functions: they remember who called, and go on. The driver's hooks do the rest. */
#include "cuda/call_site.h"
#include "hook/hooks.h"

#define ROW(library, class, result, name, body, parameters, arguments)
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)                                                                \
    __attribute__((visibility("default"))) cudaError_t name parameters                                       \
    {                                                                                                        \
        const void *call_site = __builtin_return_address(0);                                                 \
        cudaError_t result = cudaErrorNoDevice;                                                              \
        struct real_call call;                                                                               \
        __typeof__(name) *next = real_enter(&call, REAL_ROW(name), call_site);                               \
        const void *before = call_site_enter(call_site);                                                     \
                                                                                                             \
        if (next)                                                                                            \
            result = next arguments;                                                                         \
        call_site_leave(before);                                                                             \
        real_leave(&call);                                                                                   \
        return result;                                                                                       \
    }
#include "hook/hook_table.def"
