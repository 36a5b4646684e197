/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of copies between pointers. Here they run one after the other, and what their attributes allow beyond that is
 * not used.
 */
#include "device/context.h"
#include "stream/copy.h"

struct batch {
    const CUdeviceptr *to, *from;
    const size_t *sizes;
    size_t count;
    const CUmemcpyAttributes *attributes;
    const size_t *first_of; /* per attribute: the first copy that it applies to */
    size_t attribute_count;
};

static bool attributes_are_good(const struct batch *batch)
{
    if (!batch->attributes || !batch->first_of || !batch->attribute_count ||
        batch->attribute_count > batch->count || batch->first_of[0])
        return false;
    for (size_t i = 0; i < batch->attribute_count; i++) {
        CUmemcpySrcAccessOrder order = batch->attributes[i].srcAccessOrder;

        if (order != CU_MEMCPY_SRC_ACCESS_ORDER_STREAM &&
            order != CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL && order != CU_MEMCPY_SRC_ACCESS_ORDER_ANY)
            return false;
        if (i && (batch->first_of[i] <= batch->first_of[i - 1] || batch->first_of[i] >= batch->count))
            return false;
    }
    return true;
}

static struct copy_work copy_at(const struct batch *batch, size_t index)
{
    return (struct copy_work){.to = {.base = batch->to[index]},
                              .from = {.base = batch->from[index]},
                              .width = batch->sizes[index],
                              .height = 1,
                              .depth = 1};
}

/* All of them before any is made. */
static CUresult check(const struct batch *batch, CUstream handle, size_t *failed)
{
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    for (size_t i = 0; result == CUDA_SUCCESS && i < batch->count; i++) {
        struct copy_work copy = copy_at(batch, i);

        copy_classify(&copy, COPY_INFER);
        result = copy_check(stream->context, &copy);
        if (result != CUDA_SUCCESS)
            *failed = i;
    }
    return sim_leave(result);
}

static CUresult submit_all(const struct batch *batch, CUstream stream, size_t *failed)
{
    bool is_legacy = stream == CU_STREAM_LEGACY || (!stream && !thread.per_thread);
    CUresult result;

    *failed = SIZE_MAX;
    if (is_legacy || !batch->to || !batch->from || !batch->sizes || !batch->count ||
        !attributes_are_good(batch))
        return CUDA_ERROR_INVALID_VALUE;
    result = check(batch, stream, failed);
    for (size_t i = 0; result == CUDA_SUCCESS && i < batch->count; i++) {
        struct copy_work copy = copy_at(batch, i);

        result = copy_submit(&copy, COPY_INFER, stream, true);
        if (result != CUDA_SUCCESS)
            *failed = i;
    }
    return result;
}

CUresult sim_cuMemcpyBatchAsync_v2(CUdeviceptr *to, CUdeviceptr *from, size_t *sizes, size_t count,
                                   CUmemcpyAttributes *attributes, size_t *first_of, size_t attribute_count,
                                   CUstream stream)
{
    const struct batch batch = {to, from, sizes, count, attributes, first_of, attribute_count};
    size_t failed;

    return submit_all(&batch, stream, &failed);
}

CUresult sim_cuMemcpyBatchAsync(CUdeviceptr *to, CUdeviceptr *from, size_t *sizes, size_t count,
                                CUmemcpyAttributes *attributes, size_t *first_of, size_t attribute_count,
                                size_t *fail_index, CUstream stream)
{
    const struct batch batch = {to, from, sizes, count, attributes, first_of, attribute_count};
    size_t failed;
    CUresult result = submit_all(&batch, stream, &failed);

    if (result != CUDA_SUCCESS && fail_index)
        *fail_index = failed;
    return result;
}
