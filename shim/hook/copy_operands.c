/* SPDX-License-Identifier: Apache-2.0 */
/* copy_operands.c - see copy_operands.h. */
#include "hook/copy_operands.h"

#include "cuda/driver_memory.h"

static void source(struct use *use, CUdeviceptr from, size_t bytes)
{
    use_host(use, (const void *)(uintptr_t)from, bytes);
    if (core_owns(from))
        use_word(use, from);
    else if (from && bytes && driver_memory_is_on_host(from))
        use_source(use, (const void *)(uintptr_t)from, bytes);
}

static void target(struct use *use, CUdeviceptr to, size_t bytes)
{
    use_host(use, (const void *)(uintptr_t)to, bytes);
    use_word(use, to);
}

void copy_operands_either(struct use *use, CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    target(use, to, bytes);
    use->writes = core_owns(to);
    source(use, from, bytes);
}

void copy_operands_batch(struct use *use, const CUdeviceptr *to, const CUdeviceptr *from, const size_t *bytes,
                         size_t count)
{
    for (size_t i = 0; to && from && bytes && i < count; i++) {
        target(use, to[i], bytes[i]);
        source(use, from[i], bytes[i]);
    }
}

void copy_operands_devices(struct use *use, const CUdeviceptr *address, size_t count)
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

static CUdeviceptr start_of(const struct pitched *side)
{
    CUdeviceptr base = side->type == CU_MEMORYTYPE_HOST ? (CUdeviceptr)(uintptr_t)side->host : side->device;

    return base + (side->z * side->height + side->y) * side->pitch + side->x;
}

/* Bytes from the first to behind the last. */
static size_t span_of(const struct pitched *side, size_t width, size_t height, size_t depth)
{
    size_t rows =
        (depth ? depth - 1 : 0) * (side->height ? side->height : height) + (height ? height - 1 : 0);

    return rows * side->pitch + width;
}

static void pitched(struct use *use, const struct pitched *to, const struct pitched *from, size_t width,
                    size_t height, size_t depth)
{
    size_t bytes = span_of(from, width, height, depth);

    use->writes = to->type != CU_MEMORYTYPE_HOST;
    if (to->type != CU_MEMORYTYPE_ARRAY)
        target(use, start_of(to), span_of(to, width, height, depth));
    if (from->type == CU_MEMORYTYPE_DEVICE)
        use_word(use, start_of(from));
    else if (from->type == CU_MEMORYTYPE_UNIFIED)
        source(use, start_of(from), bytes);
    else if (from->type == CU_MEMORYTYPE_HOST && from->host && bytes) {
        use_host(use, (const void *)(uintptr_t)start_of(from), bytes);
        use_source(use, (const void *)(uintptr_t)start_of(from), bytes);
    }
}

/* Both sides of a pitched copy in three dimensions, which two structures of the driver's name alike. */
#define VOLUME(use, copy)                                                                                    \
    pitched(use,                                                                                             \
            &(const struct pitched){(copy)->dstMemoryType, (copy)->dstHost, (copy)->dstDevice,               \
                                    (copy)->dstXInBytes, (copy)->dstY, (copy)->dstZ, (copy)->dstPitch,       \
                                    (copy)->dstHeight},                                                      \
            &(const struct pitched){(copy)->srcMemoryType, (copy)->srcHost, (copy)->srcDevice,               \
                                    (copy)->srcXInBytes, (copy)->srcY, (copy)->srcZ, (copy)->srcPitch,       \
                                    (copy)->srcHeight},                                                      \
            (copy)->WidthInBytes, (copy)->Height, (copy)->Depth)

void copy_operands_plane(struct use *use, const CUDA_MEMCPY2D *copy)
{
    if (!copy)
        return;
    const struct pitched to = {copy->dstMemoryType, copy->dstHost,
                               copy->dstDevice,     copy->dstXInBytes,
                               copy->dstY,          0,
                               copy->dstPitch,      0};
    const struct pitched from = {copy->srcMemoryType, copy->srcHost,
                                 copy->srcDevice,     copy->srcXInBytes,
                                 copy->srcY,          0,
                                 copy->srcPitch,      0};

    pitched(use, &to, &from, copy->WidthInBytes, copy->Height, 1);
}

void copy_operands_volume(struct use *use, const CUDA_MEMCPY3D *copy)
{
    if (copy)
        VOLUME(use, copy);
}

void copy_operands_volume_peer(struct use *use, const CUDA_MEMCPY3D_PEER *copy)
{
    if (copy)
        VOLUME(use, copy);
}

void copy_operands_volumes(struct use *use, const CUDA_MEMCPY3D_BATCH_OP *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++) {
        const CUDA_MEMCPY3D_BATCH_OP *copy = &list[i];

        if (copy->dst.type == CU_MEMCPY_OPERAND_TYPE_POINTER)
            use_word(use, copy->dst.op.ptr.ptr);
        /* Row lengths count elements, whose size is nowhere told: a source is taken for one plain run. */
        if (copy->src.type == CU_MEMCPY_OPERAND_TYPE_POINTER)
            source(use, copy->src.op.ptr.ptr, copy->extent.width);
    }
}

void copy_operands_memory_operations(struct use *use, const CUstreamBatchMemOpParams *list, unsigned count)
{
    for (unsigned i = 0; list && i < count; i++)
        switch (list[i].operation) {
        case CU_STREAM_MEM_OP_WAIT_VALUE_32:
        case CU_STREAM_MEM_OP_WAIT_VALUE_64:
            use_word(use, list[i].waitValue.address);
            break;
        case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        case CU_STREAM_MEM_OP_WRITE_VALUE_64:
            use_word(use, list[i].writeValue.address);
            break;
        default: /* flushes and barriers name nothing */
            break;
        }
}

void copy_operands_inflate(struct use *use, const CUmemDecompressParams *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++) {
        use_word(use, (uint64_t)(uintptr_t)list[i].src);
        use_word(use, (uint64_t)(uintptr_t)list[i].dst);
        use_word(use, (uint64_t)(uintptr_t)list[i].dstActBytes);
    }
}
