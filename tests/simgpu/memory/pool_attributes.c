/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool can be asked and told: attributes, and which devices may touch its memory. */
#include "driver/handle.h"
#include "memory/pool.h"

/* Where the attribute lives: one of these, or neither if it does not exist. */
static void attribute_find(struct pool *pool, CUmemPool_attribute attribute, int **number, cuuint64_t **bytes)
{
    *number = NULL;
    *bytes = NULL;
    switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        *number = &pool->reuse[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
        break;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        *bytes = &pool->threshold;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        *bytes = &pool->reserved;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        *bytes = &pool->reserved_high;
        break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        *bytes = &pool->used;
        break;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        *bytes = &pool->used_high;
        break;
    default:
        break;
    }
}

CUresult sim_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    cuuint64_t *bytes;
    int *number;

    sim_lock();
    if (!value || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    attribute_find((struct pool *)handle, attribute, &number, &bytes);
    if (number)
        *(int *)value = *number;
    else if (bytes)
        *(cuuint64_t *)value = *bytes;
    return sim_leave(number || bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    struct pool *pool = (struct pool *)handle;
    cuuint64_t *bytes;
    int *number;

    sim_lock();
    if (!value || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    attribute_find(pool, attribute, &number, &bytes);
    if (number) {
        *number = *(int *)value;
        return sim_leave(CUDA_SUCCESS);
    }
    if (bytes == &pool->threshold) {
        pool->threshold = *(cuuint64_t *)value;
        return sim_leave(CUDA_SUCCESS);
    }
    /* The high marks can only be reset. */
    if ((bytes != &pool->reserved_high && bytes != &pool->used_high) || *(cuuint64_t *)value != 0)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *bytes = bytes == &pool->used_high ? pool->used : pool->reserved;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *grants, size_t count)
{
    struct pool *pool = (struct pool *)handle;

    sim_lock();
    if (!grants || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < count; i++)
        if (grants[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_at(grants[i].location.id) ||
            (grants[i].location.id == pool->device->ordinal &&
             grants[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE))
            return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < count; i++)
        pool->access[grants[i].location.id] = (unsigned char)grants[i].flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle, CUmemLocation *location)
{
    sim_lock();
    if (!flags || !location || !handle_is(handle, HANDLE_POOL) ||
        location->type != CU_MEM_LOCATION_TYPE_DEVICE || !device_at(location->id))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = (CUmemAccess_flags)((struct pool *)handle)->access[location->id];
    return sim_leave(CUDA_SUCCESS);
}
