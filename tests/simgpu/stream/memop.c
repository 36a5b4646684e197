/* SPDX-License-Identifier: Apache-2.0 */
/* Memory operations of streams: cuStreamWaitValue, cuStreamWriteValue, cuStreamBatchMemOp. */
#include "stream/memop.h"

#include "device/context.h"
#include "stream/fault.h"

#include <stdlib.h>
#include <string.h>

enum {
    COUNT_MOST = 255,
    POLL_NS = 20 * 1000
};

static bool is_wide(const CUstreamBatchMemOpParams *operation)
{
    return operation->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
           operation->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

bool memop_writes(const CUstreamBatchMemOpParams *operation)
{
    return operation->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32 ||
           operation->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static bool waits(const CUstreamBatchMemOpParams *operation)
{
    return operation->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
           operation->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64;
}

/* Waits and writes have their address at the same place. */
size_t memop_bytes(const CUstreamBatchMemOpParams *operation)
{
    if (!waits(operation) && !memop_writes(operation))
        return 0;
    return is_wide(operation) ? sizeof(uint64_t) : sizeof(uint32_t);
}

/* The condition, on a word as wide as the operation: the difference is taken around the end. */
static bool holds(const CUstreamBatchMemOpParams *operation)
{
    bool wide = is_wide(operation);
    const void *word = (const void *)(uintptr_t)operation->waitValue.address;
    uint64_t found = wide ? __atomic_load_n((const uint64_t *)word, __ATOMIC_ACQUIRE)
                          : __atomic_load_n((const uint32_t *)word, __ATOMIC_ACQUIRE);
    uint64_t value = wide ? operation->waitValue.value64 : operation->waitValue.value;
    uint64_t bits = wide ? UINT64_MAX : UINT32_MAX;

    switch (operation->waitValue.flags & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH) {
    case CU_STREAM_WAIT_VALUE_EQ:
        return found == value;
    case CU_STREAM_WAIT_VALUE_AND:
        return (found & value) != 0;
    case CU_STREAM_WAIT_VALUE_NOR:
        return (~(found | value) & bits) != 0;
    default:
        return ((found - value) & (bits ^ bits >> 1)) == 0;
    }
}

/* A context that has failed runs nothing any more: what waits there would wait for ever. */
static void wait(const CUstreamBatchMemOpParams *operation, struct op *op)
{
    while (!holds(operation) && __atomic_load_n(&op->context->sticky, __ATOMIC_RELAXED) == CUDA_SUCCESS)
        sleep_until(now_ns() + POLL_NS);
    sim_lock();
    op_order_after_complete(op);
    sim_unlock();
}

static void write(const CUstreamBatchMemOpParams *operation)
{
    void *word = (void *)(uintptr_t)operation->writeValue.address;

    if (is_wide(operation))
        __atomic_store_n((uint64_t *)word, operation->writeValue.value64, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint32_t *)word, operation->writeValue.value, __ATOMIC_RELEASE);
}

void memop_run(const struct memop_work *memop, struct op *op)
{
    for (unsigned i = 0; i < memop->count; i++) {
        if (waits(&memop->list[i]))
            wait(&memop->list[i], op);
        else if (memop_writes(&memop->list[i]))
            write(&memop->list[i]);
    }
}

static CUresult check_flags(const CUstreamBatchMemOpParams *operation, bool v1)
{
    switch (operation->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        return operation->waitValue.flags & ~(unsigned)(CU_STREAM_WAIT_VALUE_FLUSH | CU_STREAM_WAIT_VALUE_NOR)
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_SUCCESS;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        if (operation->writeValue.flags == CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)
            return v1 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
        return operation->writeValue.flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        return operation->flushRemoteWrites.flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case CU_STREAM_MEM_OP_BARRIER:
        if (operation->memoryBarrier.flags > CU_STREAM_MEMORY_BARRIER_TYPE_GPU)
            return CUDA_ERROR_INVALID_VALUE;
        return v1 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult check(const struct context *context, const CUstreamBatchMemOpParams *operation, bool v1)
{
    size_t bytes = memop_bytes(operation);
    CUdeviceptr at = operation->waitValue.address;
    CUresult result = check_flags(operation, v1);
    const struct memory *memory;

    if (result != CUDA_SUCCESS || !bytes)
        return result;
    memory = memory_find(at);
    if (at % bytes || (memory && memory->kind == MEMORY_MANAGED))
        return CUDA_ERROR_INVALID_VALUE;
    return memory_check(context->device, at, bytes, memop_writes(operation), false);
}

CUresult memop_read(const struct context *context, const CUstreamBatchMemOpParams *list, unsigned count,
                    bool v1, struct work *work)
{
    struct memop_work memop = {.count = count};
    CUresult result = !list || !count || count > COUNT_MOST ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;

    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = check(context, &list[i], v1);
    if (result != CUDA_SUCCESS)
        return result;
    memop.list = malloc(count * sizeof *list);
    if (!memop.list)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(memop.list, list, count * sizeof *list);
    *work = (struct work){.kind = WORK_MEMOP, .memop = memop};
    return CUDA_SUCCESS;
}

static CUresult memop_submit(CUstream handle, const CUstreamBatchMemOpParams *list, unsigned count, bool v1)
{
    struct stream *stream;
    struct work work;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        result = memop_read(stream->context, list, count, v1, &work);
    if (result == CUDA_SUCCESS)
        result = submit(stream, &work, SUBMIT_ASYNC);
    return sim_leave(result);
}

static CUresult batch(CUstream stream, unsigned count, const CUstreamBatchMemOpParams *list, unsigned flags,
                      bool v1)
{
    return flags ? CUDA_ERROR_INVALID_VALUE : memop_submit(stream, list, count, v1);
}

CUresult sim_cuStreamBatchMemOp(CUstream stream, unsigned count, CUstreamBatchMemOpParams *list,
                                unsigned flags)
{
    return batch(stream, count, list, flags, true);
}

CUresult sim_cuStreamBatchMemOp_v2(CUstream stream, unsigned count, CUstreamBatchMemOpParams *list,
                                   unsigned flags)
{
    return batch(stream, count, list, flags, false);
}

/* Waits and writes have their members at the same places. */
static CUresult single(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr address, uint64_t value,
                       unsigned flags, bool v1)
{
    CUstreamBatchMemOpParams operation = {
        .waitValue = {.operation = type, .address = address, .value64 = value, .flags = flags}};

    return memop_submit(stream, &operation, 1, v1);
}

CUresult sim_cuStreamWaitValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WAIT_VALUE_32, address, value, flags, true);
}

CUresult sim_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WAIT_VALUE_32, address, value, flags, false);
}

CUresult sim_cuStreamWaitValue64(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WAIT_VALUE_64, address, value, flags, true);
}

CUresult sim_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WAIT_VALUE_64, address, value, flags, false);
}

CUresult sim_cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WRITE_VALUE_32, address, value, flags, true);
}

CUresult sim_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WRITE_VALUE_32, address, value, flags, false);
}

CUresult sim_cuStreamWriteValue64(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WRITE_VALUE_64, address, value, flags, true);
}

CUresult sim_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned flags)
{
    return single(stream, CU_STREAM_MEM_OP_WRITE_VALUE_64, address, value, flags, false);
}
