/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook_words.h - the words of the hook table: bodies that surround the real call with something of ours.
 *
 * Shape    a word in capitals makes the call where it says `call`, at most once, and yields what the program
 *          gets; one in small letters is a function of the call's result. In a row `next` is the real function,
 *          and `is_per_thread` says that stream 0 is the thread's own.
 * Threads  any.
 */
#ifndef EBB_HOOK_WORDS_H
#define EBB_HOOK_WORDS_H

#include "base/compiler.h"
#include "cuda/async.h"
#include "cuda/capture.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/graph.h"
#include "cuda/ipc_block.h"
#include "cuda/kernel_images.h"
#include "cuda/kernel_parameters.h"
#include "cuda/modules.h"
#include "cuda/pins.h"
#include "cuda/pools.h"
#include "cuda/vmm.h"
#include "cuda/vmm_handle.h"
#include "engine/core.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"

/* ---- something before or after it ----------------------------------------------------------------------------- */

/** Once the call has succeeded. */
#define THEN(call, ...)                                                                                      \
    ({                                                                                                       \
        __typeof__(call) result = call;                                                                      \
                                                                                                             \
        if (result == 0) {                                                                                   \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
        result;                                                                                              \
    })
/** After the call, whatever it answered. */
#define ALWAYS(call, ...)                                                                                    \
    ({                                                                                                       \
        CUresult result = call;                                                                              \
                                                                                                             \
        __VA_ARGS__;                                                                                         \
        result;                                                                                              \
    })
#define FIRST(call, ...)                                                                                     \
    ({                                                                                                       \
        __VA_ARGS__;                                                                                         \
        call;                                                                                                \
    })
/** A function makes the call by itself. */
#define INSTEAD(call, function) function
/** The address is none of a block's: whoever has cudaMalloc memory is refused. Then as THEN. */
#define NO_BLOCK(call, address, ...) (core_owns(address) ? CUDA_ERROR_INVALID_VALUE : THEN(call, __VA_ARGS__))

/* ---- in the gate ---------------------------------------------------------------------------------------------- */

static inline CUresult hook_used(struct use *use, CUresult result)
{
    use_end(use);
    return result;
}

/* The driver may have done without what could not be brought back; when it could not, that is why. */
static inline CUresult hook_named(struct use *use, int error, CUresult result)
{
    if (!error)
        return hook_used(use, result);
    return result == CUDA_SUCCESS ? result : hooks_result(error);
}

/** A call that writes what is noted in `use`. */
#define USING(call, ...)                                                                                     \
    ({                                                                                                       \
        struct use use;                                                                                      \
        int error;                                                                                           \
                                                                                                             \
        use_init(&use, true);                                                                                \
        __VA_ARGS__;                                                                                         \
        error = use_begin(&use);                                                                             \
        error ? hooks_result(error) : hook_used(&use, call);                                                 \
    })
/** A kernel's launch. One that a capture records touches no memory: the graph is read when it is instantiated.
 *  `passes`: the driver is to refuse it. */
#define LAUNCH(call, passes, on, function, parameters, extra)                                                \
    ((passes) || UNLIKELY(capture_records(on, is_per_thread))                                                \
         ? call                                                                                              \
         : USING(call, use.stream = on, use.kernel = true, use.launched = function,                          \
                 kernel_parameters_use(&use, function, parameters, extra)))
#define LAUNCH_GRAPH(call, on, graph)                                                                        \
    ({                                                                                                       \
        struct graph_uses *uses = graph_exec_uses(graph);                                                    \
                                                                                                             \
        capture_records(on, is_per_thread)                                                                   \
            ? call                                                                                           \
            : graph_exec_launched(USING(call, graph_exec_note(&use, uses)), uses);                           \
    })

/* ---- captures and graphs -------------------------------------------------------------------------------------- */

/** Each begin is announced, since any synchronisation of ours would invalidate what follows. */
#define CAPTURES(call, on)                                                                                   \
    ({                                                                                                       \
        const struct capture capture = capture_announce(on, is_per_thread);                                  \
                                                                                                             \
        capture_begun(call, &capture, on, is_per_thread);                                                    \
    })
/** A node is made or changed that names memory. It uses none yet, but a driver may look at where that is: it comes back
 *  if it can. */
#define NAMES(call, ...)                                                                                     \
    ({                                                                                                       \
        struct use use;                                                                                      \
        int error;                                                                                           \
                                                                                                             \
        use_init(&use, false);                                                                               \
        __VA_ARGS__;                                                                                         \
        error = use_begin(&use);                                                                             \
        hook_named(&use, error, call);                                                                       \
    })
/** Any node; then as THEN. */
#define MAKES_NODE(call, parameters, ...) NAMES(THEN(call, __VA_ARGS__), graph_use_params(&use, parameters))
/** An event is recorded in a stream. */
#define RECORDS(call, event, on)                                                                             \
    ({                                                                                                       \
        struct async_mark mark;                                                                              \
                                                                                                             \
        async_event_recording(event, on, is_per_thread, &mark);                                              \
        THEN(call, async_event_recorded(event, &mark));                                                      \
    })
/** The same with CU_EVENT_RECORD_EXTERNAL in a capture: it is the graph that records it, whenever it runs. */
#define RECORDS_WITH(call, event, on, flags)                                                                 \
    ({                                                                                                       \
        if ((flags)&CU_EVENT_RECORD_EXTERNAL)                                                                \
            async_event_opaque(event);                                                                       \
        RECORDS(call, event, on);                                                                            \
    })
/** A stream waits for an event. */
#define FOLLOWS(call, event, on)                                                                             \
    ({                                                                                                       \
        struct async_mark mark;                                                                              \
                                                                                                             \
        async_event_waiting(event, &mark);                                                                   \
        THEN(call, async_event_followed(event, on, is_per_thread, &mark));                                   \
    })
/** The host waits for an event, or NULL: for what `noted` says. */
#define HOST_WAITS(call, event, noted)                                                                       \
    ({                                                                                                       \
        struct async_mark mark;                                                                              \
                                                                                                             \
        noted;                                                                                               \
        ALWAYS(call, result == CUDA_SUCCESS ? async_host_waited(event, &mark) : (void)0,                     \
               async_synchronised());                                                                        \
    })
/** What was freed in the order of a stream can be told from the stream no more. */
#define STREAM_GOES(call, on) FIRST(THEN(call, capture_stream_gone(on)), async_stream_gone(on))
/** A graph is made executable, or replaces one, once what it uses is known, and stays where it must. */
#define READS_GRAPH(call, graph, done, executable)                                                           \
    ({                                                                                                       \
        int error;                                                                                           \
        struct graph_uses *uses = graph_read(graph, &error);                                                 \
                                                                                                             \
        uses ? done(call, executable, uses) : hooks_result(error);                                           \
    })
/** A node is changed once what its new parameters use is known, and stays where it must. */
#define CHANGES_NODE(call, parameters, add)                                                                  \
    ({                                                                                                       \
        struct graph_uses *uses = graph_exec_uses(hGraphExec);                                               \
        struct graph_node *own = uses && (parameters) ? graph_node_make(hNode) : NULL;                       \
        int error = own ? add : uses && (parameters) ? -ENOMEM : 0;                                          \
                                                                                                             \
        graph_node_changed(error ? hooks_result(error) : call, uses, own);                                   \
    })

/* ---- memory of the driver's ----------------------------------------------------------------------------------- */

#define FREES(call, kind, key)                                                                               \
    ({                                                                                                       \
        struct driver_memory record;                                                                         \
        bool known = driver_memory_remove(kind, key, &record);                                               \
                                                                                                             \
        driver_memory_freed(call, known, kind, key, &record);                                                \
    })
/** Device memory by its address: from a pool, or not. */
#define FREES_MEMORY(call, address)                                                                          \
    ({                                                                                                       \
        struct driver_memory of;                                                                             \
        enum driver_kind kind =                                                                              \
            driver_memory_find(DRIVER_ASYNC, address, &of) ? DRIVER_ASYNC : DRIVER_MEMORY;                   \
                                                                                                             \
        FREES(call, kind, address);                                                                          \
    })
/** Host memory that the driver allocates. */
#define PINS(call, address, bytes)                                                                           \
    ({                                                                                                       \
        uint64_t charged;                                                                                    \
                                                                                                             \
        hook_host_charge(address, bytes, &charged)                                                           \
            ? CUDA_ERROR_OUT_OF_MEMORY                                                                       \
            : hook_host_made(call, HOST_PINNED, address, bytes, charged);                                    \
    })

/** May memory that is allocated from there be moved? */
bool hook_is_movable(const void *call_site);
/** Is so much memory to be a block, by the options? */
bool hook_wants_block(size_t bytes);
/** Why it has become none. */
enum stay hook_why_native(unsigned ordinal, size_t bytes);

/* 0 for what the driver is to refuse itself; -ENOMEM. */
int hook_host_charge(void *const *address, size_t bytes, uint64_t *out_charged);
CUresult hook_host_made(CUresult result, enum host_class class, void *const *address, size_t bytes,
                        uint64_t charged);

/* An array that is about to be made. */
struct array {
    struct place place;
    uint64_t bytes; /* charged ahead; 0: it is mapped later, or nothing of ours */
    bool is_mipmapped;
};

#define ARRAY(call, handle, descriptor, is_mipmapped)                                                        \
    ({                                                                                                       \
        struct array array;                                                                                  \
                                                                                                             \
        hook_array_begin(handle, descriptor, is_mipmapped, &array) ? hook_array_made(call, &array, handle)   \
                                                                   : CUDA_ERROR_OUT_OF_MEMORY;               \
    })
/* Each descriptor as the most general one. NULL stays NULL. */
#define ARRAY_PLANE(from)                                                                                    \
    ((from) ? &(const CUDA_ARRAY3D_DESCRIPTOR){.Width = (from)->Width,                                       \
                                               .Height = (from)->Height,                                     \
                                               .Format = (from)->Format,                                     \
                                               .NumChannels = (from)->NumChannels}                           \
            : NULL)
#define ARRAY_VOLUME(from)                                                                                   \
    ((from) ? &(const CUDA_ARRAY3D_DESCRIPTOR){.Width = (from)->Width,                                       \
                                               .Height = (from)->Height,                                     \
                                               .Depth = (from)->Depth,                                       \
                                               .Format = (from)->Format,                                     \
                                               .NumChannels = (from)->NumChannels,                           \
                                               .Flags = (from)->Flags}                                       \
            : NULL)

/* False: refused. What the driver is to refuse itself is charged nothing. */
bool hook_array_begin(const void *handle, const CUDA_ARRAY3D_DESCRIPTOR *desc, bool is_mipmapped,
                      struct array *out);
CUresult hook_array_made(CUresult result, const struct array *array, const void *handle);

/* ---- managed memory of the program's own: hook_managed.c ------------------------------------------------------- */

CUresult hook_managed_prefetch(__typeof__(cuMemPrefetchAsync) *next, CUdeviceptr start, size_t bytes,
                               CUdevice to, CUstream stream, bool is_per_thread);
CUresult hook_managed_prefetch_v2(__typeof__(cuMemPrefetchAsync_v2) *next, CUdeviceptr start, size_t bytes,
                                  CUmemLocation to, unsigned flags, CUstream stream, bool is_per_thread);
/** The driver has told of a range: what it was told by us is the program's own again. */
CUresult hook_managed_told(CUresult result, void *const *data, const size_t *data_bytes,
                           const CUmem_range_attribute *attributes, size_t attribute_count, CUdeviceptr start,
                           size_t bytes);

/* ---- objects that remember an address ------------------------------------------------------------------------- */

/** The object hides the address: its block is pinned for good, since nothing tells when that was last used. The
 *  pin goes again when the driver refuses the object. */
#define HIDES(call, address)                                                                                 \
    ({                                                                                                       \
        CUresult result = hook_texture_pin(address);                                                         \
                                                                                                             \
        result == CUDA_SUCCESS ? hook_texture_made(call, address) : result;                                  \
    })

CUresult hook_texture_pin(uint64_t address);
CUresult hook_texture_made(CUresult result, uint64_t address);
/** A tensor map was encoded. */
CUresult hook_texture_encoded(CUresult result, const CUtensorMap *map, const void *memory);

/* ---- the rest, after the call --------------------------------------------------------------------------------- */

/** There is a context, or once more: contexts_add or contexts_retained. */
void hook_context_new(void (*add)(CUcontext, CUdevice), const CUcontext *context, CUdevice device);
void hook_green_created(const CUgreenCtx *green, CUdevice device);
void hook_context_peer(CUcontext peer, bool enabled);

/** The entry of that name was handed out: ours goes in its place. */
void hook_loader_replace(const char *symbol, void **function);

/** A list of processes, whose elements of either form begin alike, tells of ours what the driver's queries do. */
nvmlReturn_t hook_nvml_processes(nvmlReturn_t result, nvmlDevice_t device, const unsigned int *count,
                                 void *infos, size_t each_bytes);

#endif
