/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, sets and the like: note the operands, enter the gate, make the call. The bodies come from the
 * table. */
#include "capture.h"
#include "core.h"
#include "hooks.h"
#include "operands.h"

/* The words of the operand column. */
#define DEVICE(address)         use_word(&use, address);
#define DEVICES(list, count)    operands_devices(&use, list, count);
#define SOURCE(host, bytes)     use_source(&use, host, bytes);
#define EITHER(to, from, bytes) operands_either(&use, to, from, bytes);
#define PLANE(copy)             operands_plane(&use, copy);
#define VOLUME(copy)                                                                                         \
    _Generic((copy), const CUDA_MEMCPY3D * : operands_volume, default : operands_volume_peer)(&use, copy);
#define VOLUMES(list, count)          operands_volumes(&use, list, count);
#define BATCH(to, from, bytes, count) operands_batch(&use, to, from, bytes, count);
#define OPERATIONS(list, count)       operands_memory_operations(&use, list, count);
#define INFLATE(list, count)          operands_inflate(&use, list, count);
#define EVERYTHING()                  use.all = true;
/* A recorded copy touches nothing yet, but a driver may look at where its blocks are: they come back if they can. */
#define ON(to)                                                                                               \
    use.stream = to;                                                                                         \
    use.device_only = capture_records(to, is_per_thread);

#define ROW(library, class, result, name, body, parameters, arguments)
#define MARK_ROW(name, parameters, arguments)
#define USE_ROW(name, per_thread, parameters, arguments, writes, operands)                                   \
    __attribute__((visibility("default"))) CUresult name parameters                                          \
    {                                                                                                        \
        const bool is_per_thread = per_thread;                                                               \
        struct use use;                                                                                      \
                                                                                                             \
        (void)is_per_thread;                                                                                 \
        if (__builtin_expect(!real.name, 0) && !hooks_find(hooks_row(#name)))                                \
            return CUDA_ERROR_NO_DEVICE;                                                                     \
        if (__builtin_expect(!hooks_managing, 0))                                                            \
            return real.name arguments;                                                                      \
        use_init(&use, writes);                                                                              \
        operands;                                                                                            \
        int error = use_begin(&use);                                                                         \
        if (error && !use.device_only)                                                                       \
            return hooks_result(error);                                                                      \
        CUresult result = real.name arguments;                                                               \
        if (!error)                                                                                          \
            use_end(&use);                                                                                   \
        else if (result != CUDA_SUCCESS)                                                                     \
            result = hooks_result(error);                                                                    \
        return result;                                                                                       \
    }
#include "hook_table.def"
