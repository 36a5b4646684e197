/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's allocation functions: they remember who called, and go on. The driver's hooks do the rest. */
#include "hooks.h"
#include "site.h"

#define ROW(library, class, result, name, body, parameters, arguments)
#define USE_ROW(name, per_thread, parameters, arguments, writes, operands)
#define MARK_ROW(name, parameters, arguments)                                                                \
    __attribute__((visibility("default"))) cudaError_t name parameters                                       \
    {                                                                                                        \
        if (__builtin_expect(!real.name, 0) && !hooks_find(hooks_row(#name)))                                \
            return cudaErrorNoDevice;                                                                        \
        const void *before = site_enter(__builtin_return_address(0));                                        \
        cudaError_t result = real.name arguments;                                                            \
        site_leave(before);                                                                                  \
        return result;                                                                                       \
    }
#include "hook_table.def"
