/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies that come from the table. Copies, sets and the like note the operands, enter the gate and make the call; the
 * runtime's allocation functions remember who called, and go on: the driver's hooks do the rest.
 */
#include "base/compiler.h"
#include "cuda/call_site.h"
#include "cuda/capture.h"
#include "cuda/cross_device.h"
#include "cuda/driver_memory.h"
#include "cuda/graph.h"
#include "engine/core.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"

/* ---- memory that a call names ----------------------------------------------------------------------------------- */

/* Each notes operands in `use`; sources in host memory are looked into for addresses. NULL is the driver's to refuse. */

static void source(struct use *use, CUdeviceptr from, const struct use_rows *rows, size_t bytes)
{
    use_host(use, (const void *)(uintptr_t)from, bytes);
    if (core_owns(from))
        use_range(use, from, bytes);
    else if (from && bytes && driver_memory_is_on_host(from))
        use_source_rows(use, rows);
}

static void flat(struct use *use, CUdeviceptr from, size_t bytes)
{
    source(use, from, &(const struct use_rows){(const void *)(uintptr_t)from, bytes, 1, bytes, 1, 1}, bytes);
}

static void target(struct use *use, CUdeviceptr to, size_t bytes)
{
    use_host(use, (const void *)(uintptr_t)to, bytes);
    use_range(use, to, bytes);
}

static void either(struct use *use, CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    target(use, to, bytes);
    use->writes = core_owns(to);
    flat(use, from, bytes);
}

static void batch(struct use *use, const CUdeviceptr *to, const CUdeviceptr *from, const size_t *bytes,
                  size_t count)
{
    for (size_t i = 0; to && from && bytes && i < count; i++) {
        target(use, to[i], bytes[i]);
        flat(use, from[i], bytes[i]);
    }
}

/* Elements that are set, in rows of that many. */
static void rows(struct use *use, CUdeviceptr to, size_t pitch, size_t width, size_t height, size_t element)
{
    size_t bytes = 0, last = 0;

    if (width && height &&
        (__builtin_mul_overflow(pitch, height - 1, &last) || __builtin_mul_overflow(width, element, &bytes) ||
         __builtin_add_overflow(last, bytes, &bytes)))
        bytes = SIZE_MAX;
    use_range(use, to, bytes);
}

static void devices(struct use *use, const CUdeviceptr *address, size_t count)
{
    for (size_t i = 0; address && i < count; i++)
        use_word(use, address[i]);
}

/* One side of a pitched copy. */
struct pitched {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    size_t x, y, z, pitch, height;
};

/* As the driver takes a side that does not say how it lies. */
static struct use_rows rows_of(const struct pitched *side, size_t width, size_t height, size_t depth)
{
    CUdeviceptr base = side->type == CU_MEMORYTYPE_HOST ? (CUdeviceptr)(uintptr_t)side->host : side->device;
    size_t pitch = side->pitch ? side->pitch : width, slice_height = side->height ? side->height : height;

    base += (side->z * slice_height + side->y) * pitch + side->x;
    return (struct use_rows){(const void *)(uintptr_t)base, width, height, pitch, depth, slice_height};
}

/* Bytes from the first to behind the last; SIZE_MAX: more than there can be. */
static size_t span_of(const struct use_rows *rows)
{
    size_t count, bytes;

    if (!rows->width || !rows->height || !rows->depth)
        return 0;
    if (__builtin_mul_overflow(rows->depth - 1, rows->slice_height, &count) ||
        __builtin_add_overflow(count, rows->height - 1, &count) ||
        __builtin_mul_overflow(count, rows->pitch, &bytes) ||
        __builtin_add_overflow(bytes, rows->width, &bytes))
        return SIZE_MAX;
    return bytes;
}

static void pitched(struct use *use, const struct pitched *to, const struct pitched *from, size_t width,
                    size_t height, size_t depth)
{
    const struct use_rows targets = rows_of(to, width, height, depth),
                          sources = rows_of(from, width, height, depth);
    CUdeviceptr start = (CUdeviceptr)(uintptr_t)sources.memory;
    size_t bytes = span_of(&sources);

    use->writes = to->type != CU_MEMORYTYPE_HOST;
    if (to->type != CU_MEMORYTYPE_ARRAY)
        target(use, (CUdeviceptr)(uintptr_t)targets.memory, span_of(&targets));
    if (from->type == CU_MEMORYTYPE_DEVICE)
        use_range(use, start, bytes);
    else if (from->type == CU_MEMORYTYPE_UNIFIED)
        source(use, start, &sources, bytes);
    else if (from->type == CU_MEMORYTYPE_HOST && from->host && bytes) {
        use_host(use, sources.memory, bytes);
        use_source_rows(use, &sources);
    }
}

/* A side, dst or src, of a copy that structures of the driver's name alike. */
#define SIDE(copy, way, z, height)                                                                           \
    (&(const struct pitched){(copy)->way##MemoryType, (copy)->way##Host, (copy)->way##Device,                \
                             (copy)->way##XInBytes, (copy)->way##Y, z, (copy)->way##Pitch, height})
#define IN_SPACE(use, copy)                                                                                  \
    pitched(use, SIDE(copy, dst, (copy)->dstZ, (copy)->dstHeight),                                           \
            SIDE(copy, src, (copy)->srcZ, (copy)->srcHeight), (copy)->WidthInBytes, (copy)->Height,          \
            (copy)->Depth)

static void plane(struct use *use, const CUDA_MEMCPY2D *copy)
{
    if (copy)
        pitched(use, SIDE(copy, dst, 0, 0), SIDE(copy, src, 0, 0), copy->WidthInBytes, copy->Height, 1);
}

static void volume(struct use *use, const CUDA_MEMCPY3D *copy)
{
    if (copy)
        IN_SPACE(use, copy);
}

static void volume_peer(struct use *use, const CUDA_MEMCPY3D_PEER *copy)
{
    if (copy)
        IN_SPACE(use, copy);
}

static void volumes(struct use *use, const CUDA_MEMCPY3D_BATCH_OP *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++) {
        const CUDA_MEMCPY3D_BATCH_OP *copy = &list[i];

        if (copy->dst.type == CU_MEMCPY_OPERAND_TYPE_POINTER)
            use_word(use, copy->dst.op.ptr.ptr);
        /* Row lengths count elements, whose size is nowhere told: a source is taken for one plain run. */
        if (copy->src.type == CU_MEMCPY_OPERAND_TYPE_POINTER)
            flat(use, copy->src.op.ptr.ptr, copy->extent.width);
    }
}

static void inflate(struct use *use, const CUmemDecompressParams *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++) {
        use_word(use, (uint64_t)(uintptr_t)list[i].src);
        use_word(use, (uint64_t)(uintptr_t)list[i].dst);
        use_word(use, (uint64_t)(uintptr_t)list[i].dstActBytes);
    }
}

/* As the driver would, for whom the allocation ends where the program's does. */
static CUresult refuse(struct use *use)
{
    host_hold_drop_all(&use->host);
    return CUDA_ERROR_INVALID_VALUE;
}

/* ---- the words of the operand column ------------------------------------------------------------------------------ */

#define DEVICE(address)                              use_word(&use, address);
#define DEVICES(list, count)                         devices(&use, list, count);
#define RANGE(address, bytes)                        use_range(&use, address, bytes);
#define ROWS(address, pitch, width, height, element) rows(&use, address, pitch, width, height, element);
#define LINE(address, count, element)                ROWS(address, 0, count, 1, element)
#define SOURCE(host, bytes)                          use_source(&use, host, bytes);
#define EITHER(to, from, bytes)                                                                              \
    either(&use, to, from, bytes);                                                                           \
    cross_device_flat(&cross, to, from, bytes);
#define BETWEEN(to, from, bytes)                                                                             \
    RANGE(to, bytes)                                                                                         \
    RANGE(from, bytes)                                                                                       \
    cross_device_flat(&cross, to, from, bytes);
#define PLANE(copy)                                                                                          \
    plane(&use, copy);                                                                                       \
    cross.form = (copy) ? CROSS_DEVICE_PLANE : CROSS_DEVICE_NONE;                                            \
    cross.plane = copy;
#define VOLUME(copy)                                                                                         \
    volume(&use, copy);                                                                                      \
    cross.form = (copy) ? CROSS_DEVICE_VOLUME : CROSS_DEVICE_NONE;                                           \
    cross.volume = copy;
#define VOLUME_PEER(copy) volume_peer(&use, copy);
/* Of several copies the driver says which one it refuses. */
#define VOLUMES(list, count)                                                                                 \
    volumes(&use, list, count);                                                                              \
    use.beyond = false;
#define BATCH(to, from, bytes, count)                                                                        \
    batch(&use, to, from, bytes, count);                                                                     \
    use.beyond = false;
#define OPERATIONS(list, count) graph_use_operations(&use, list, count);
#define INFLATE(list, count)    inflate(&use, list, count);
#define EVERYTHING()            use.all |= USE_UNSEEN;
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
        if (UNLIKELY(use.beyond))                                                                            \
            return refuse(&use);                                                                             \
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
