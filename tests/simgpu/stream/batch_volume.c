/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of copies of volumes, which count elements. Here they run one after the other. */
#include "memory/array.h"
#include "memory/texel.h"
#include "stream/rect.h"

/* Bytes of the elements that a copy counts: those of its arrays, which have to agree. */
static CUresult element_bytes(const CUDA_MEMCPY3D_BATCH_OP *op, size_t *bytes)
{
    const CUmemcpy3DOperand *const sides[] = {&op->src, &op->dst};
    CUDA_ARRAY3D_DESCRIPTOR desc;
    struct array_shape shape;

    *bytes = 0;
    for (unsigned i = 0; i < 2; i++) {
        size_t own;

        if (sides[i]->type == CU_MEMCPY_OPERAND_TYPE_POINTER)
            continue;
        if (sides[i]->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
            return CUDA_ERROR_INVALID_VALUE;
        if (!array_level(sides[i]->op.array.array, false, 0, &desc, &shape))
            return CUDA_ERROR_INVALID_HANDLE;
        own = channel_bytes(desc.Format) * desc.NumChannels;
        if (*bytes && *bytes != own)
            return CUDA_ERROR_INVALID_VALUE;
        *bytes = own;
    }
    *bytes = *bytes ? *bytes : 1;
    return CUDA_SUCCESS;
}

static void set_source(CUDA_MEMCPY3D *rect, const CUmemcpy3DOperand *side, size_t element)
{
    if (side->type == CU_MEMCPY_OPERAND_TYPE_POINTER) {
        rect->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
        rect->srcDevice = side->op.ptr.ptr;
        rect->srcPitch = side->op.ptr.rowLength * element;
        rect->srcHeight = side->op.ptr.layerHeight;
        return;
    }
    rect->srcMemoryType = CU_MEMORYTYPE_ARRAY;
    rect->srcArray = side->op.array.array;
    rect->srcXInBytes = side->op.array.offset.x * element;
    rect->srcY = side->op.array.offset.y;
    rect->srcZ = side->op.array.offset.z;
}

static void set_target(CUDA_MEMCPY3D *rect, const CUmemcpy3DOperand *side, size_t element)
{
    if (side->type == CU_MEMCPY_OPERAND_TYPE_POINTER) {
        rect->dstMemoryType = CU_MEMORYTYPE_UNIFIED;
        rect->dstDevice = side->op.ptr.ptr;
        rect->dstPitch = side->op.ptr.rowLength * element;
        rect->dstHeight = side->op.ptr.layerHeight;
        return;
    }
    rect->dstMemoryType = CU_MEMORYTYPE_ARRAY;
    rect->dstArray = side->op.array.array;
    rect->dstXInBytes = side->op.array.offset.x * element;
    rect->dstY = side->op.array.offset.y;
    rect->dstZ = side->op.array.offset.z;
}

/* A row, and a layer, is 0 or as long as what is copied of it. */
static bool has_room(const CUmemcpy3DOperand *side, const CUextent3D *extent)
{
    return side->type != CU_MEMCPY_OPERAND_TYPE_POINTER ||
           ((!side->op.ptr.rowLength || side->op.ptr.rowLength >= extent->width) &&
            (!side->op.ptr.layerHeight || side->op.ptr.layerHeight >= extent->height));
}

/* With the lock. */
static CUresult read_op(const CUDA_MEMCPY3D_BATCH_OP *op, struct copy_work *copy)
{
    CUDA_MEMCPY3D rect = {.Height = op->extent.height, .Depth = op->extent.depth};
    CUresult result;
    size_t element;

    if (!op->extent.width || !op->extent.height || !op->extent.depth || !has_room(&op->src, &op->extent) ||
        !has_room(&op->dst, &op->extent) ||
        (op->srcAccessOrder != CU_MEMCPY_SRC_ACCESS_ORDER_STREAM &&
         op->srcAccessOrder != CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
         op->srcAccessOrder != CU_MEMCPY_SRC_ACCESS_ORDER_ANY))
        return CUDA_ERROR_INVALID_VALUE;
    result = element_bytes(op, &element);
    if (result != CUDA_SUCCESS)
        return result;
    if (__builtin_mul_overflow(op->extent.width, element, &rect.WidthInBytes))
        return CUDA_ERROR_INVALID_VALUE;
    set_source(&rect, &op->src, element);
    set_target(&rect, &op->dst, element);
    return rect_read(&rect, copy);
}

/* All of them before any is made. */
static CUresult check(const CUDA_MEMCPY3D_BATCH_OP *ops, size_t count, CUstream handle, size_t *failed)
{
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        struct copy_work copy;

        result = read_op(&ops[i], &copy);
        if (result == CUDA_SUCCESS)
            result = copy_check(stream->context, &copy);
        if (result != CUDA_SUCCESS)
            *failed = i;
    }
    return sim_leave(result);
}

static CUresult submit_op(const CUDA_MEMCPY3D_BATCH_OP *op, CUstream stream)
{
    struct copy_work copy;
    CUresult result;

    sim_lock();
    result = sim_leave(read_op(op, &copy));
    return result == CUDA_SUCCESS ? rect_submit(&copy, stream, true) : result;
}

static CUresult submit_all(const CUDA_MEMCPY3D_BATCH_OP *ops, size_t count, uint64_t flags, CUstream stream,
                           size_t *failed)
{
    bool is_legacy = stream == CU_STREAM_LEGACY || (!stream && !thread.per_thread);
    CUresult result;

    *failed = SIZE_MAX;
    if (is_legacy || !ops || !count || flags)
        return CUDA_ERROR_INVALID_VALUE;
    result = check(ops, count, stream, failed);
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        result = submit_op(&ops[i], stream);
        if (result != CUDA_SUCCESS)
            *failed = i;
    }
    return result;
}

CUresult sim_cuMemcpy3DBatchAsync_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, unsigned long long flags,
                                     CUstream stream)
{
    size_t failed;

    return submit_all(ops, count, flags, stream, &failed);
}

CUresult sim_cuMemcpy3DBatchAsync(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, size_t *fail_index,
                                  unsigned long long flags, CUstream stream)
{
    size_t failed;
    CUresult result = submit_all(ops, count, flags, stream, &failed);

    if (result != CUDA_SUCCESS && fail_index)
        *fail_index = failed;
    return result;
}
