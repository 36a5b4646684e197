/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies that come from the table. Copies, sets and the like note the operands, enter the gate and make the call; the
 * runtime's allocation functions remember who called, and go on: the driver's hooks do the rest.
 */
#include "base/compiler.h"
#include "cuda/call_site.h"
#include "cuda/capture.h"
#include "cuda/cross_device.h"
#include "engine/core.h"
#include "hook/copy_operands.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"

/* The words of the operand column. */
#define DEVICE(address)      use_word(&use, address);
#define DEVICES(list, count) copy_operands_devices(&use, list, count);
#define SOURCE(host, bytes)  use_source(&use, host, bytes);
#define EITHER(to, from, bytes)                                                                              \
    copy_operands_either(&use, to, from, bytes);                                                             \
    cross_device_flat(&cross, to, from, bytes);
#define BETWEEN(to, from, bytes)                                                                             \
    DEVICE(to)                                                                                               \
    DEVICE(from)                                                                                             \
    cross_device_flat(&cross, to, from, bytes);
#define PLANE(copy)                                                                                          \
    copy_operands_plane(&use, copy);                                                                         \
    cross.form = (copy) ? CROSS_DEVICE_PLANE : CROSS_DEVICE_NONE;                                            \
    cross.plane = copy;
#define VOLUME(copy)                                                                                         \
    copy_operands_volume(&use, copy);                                                                        \
    cross.form = (copy) ? CROSS_DEVICE_VOLUME : CROSS_DEVICE_NONE;                                           \
    cross.volume = copy;
#define VOLUME_PEER(copy)             copy_operands_volume_peer(&use, copy);
#define VOLUMES(list, count)          copy_operands_volumes(&use, list, count);
#define BATCH(to, from, bytes, count) copy_operands_batch(&use, to, from, bytes, count);
#define OPERATIONS(list, count)       copy_operands_memory_operations(&use, list, count);
#define INFLATE(list, count)          copy_operands_inflate(&use, list, count);
#define EVERYTHING()                  use.all = true;
/* A recorded copy touches nothing yet, but a driver may look at where its blocks are: they come back if they can. */
#define ON(to)                                                                                               \
    use.stream = to;                                                                                         \
    cross.stream = &to;                                                                                      \
    use.device_only = capture_records(to, is_per_thread);

#define ROW(library, class, result, name, body, parameters, arguments)
#define MARK_ROW(name, parameters, arguments)                                                                \
    EXPORT cudaError_t name parameters                                                                       \
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
#define USE_ROW(name, own, per_thread, parameters, arguments, writes, operands)                              \
    EXPORT CUresult name parameters                                                                          \
    {                                                                                                        \
        const bool is_per_thread = per_thread;                                                               \
        struct cross_device cross;                                                                           \
        struct use use;                                                                                      \
                                                                                                             \
        if (UNLIKELY(!real.name) && !real_find(REAL_ROW(name)))                                              \
            return CUDA_ERROR_NO_DEVICE;                                                                     \
        if (UNLIKELY(!lifecycle_manages))                                                                    \
            return real.name arguments;                                                                      \
        use_init(&use, writes);                                                                              \
        cross_device_init(&cross, is_per_thread);                                                            \
        operands;                                                                                            \
        int error = use_begin(&use);                                                                         \
        if (error && !use.device_only)                                                                       \
            return hooks_result(error);                                                                      \
        bool is_far = UNLIKELY(cross_device_is(&cross, &use));                                               \
        if (!is_far || !cross_device_begin(&cross, &use))                                                    \
            cross.result = cross.owner ? real.own arguments : real.name arguments;                           \
        if (is_far)                                                                                          \
            cross_device_end(&cross);                                                                        \
        CUresult result = cross.result;                                                                      \
        if (!error)                                                                                          \
            use_end(&use);                                                                                   \
        else if (result != CUDA_SUCCESS)                                                                     \
            result = hooks_result(error);                                                                    \
        return result;                                                                                       \
    }
#include "hook/hook_table.def"
