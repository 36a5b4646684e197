/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/extent.h"

#include "managed/page.h"
#include "memory/pool.h"
#include "memory/space.h"

#include <sys/mman.h>

static CUresult bytes_take(struct device *device, enum store store, size_t bytes, uint64_t *place)
{
    CUresult result;

    if (store == STORE_MANAGED)
        return place_take(DEVICE_HOST, bytes, place);
    result = device_take(device, store, bytes, place);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && pool_trim_all(device))
        result = device_take(device, store, bytes, place);
    return result;
}

static void bytes_give(struct device *device, enum store store, size_t bytes, uint64_t place)
{
    if (store == STORE_MANAGED)
        place_give(bytes, place);
    else
        device_give(device, store, bytes, place);
}

static CUresult map(uintptr_t start, size_t bytes, uint64_t place)
{
    CUresult result = space_map(start, bytes, place);

    return result != CUDA_SUCCESS ? result : space_protect(start, bytes, PROT_READ | PROT_WRITE);
}

CUresult extent_take(struct device *device, enum store store, size_t bytes, uintptr_t *start, uint64_t *place)
{
    CUresult result = bytes_take(device, store, bytes, place);

    if (result != CUDA_SUCCESS)
        return result;
    result = space_take(bytes, 0, 0, false, start);
    if (result != CUDA_SUCCESS) {
        bytes_give(device, store, bytes, *place);
        return result;
    }
    result = map(*start, bytes, *place);
    if (result == CUDA_SUCCESS && store == STORE_MANAGED)
        result = page_add(device, *start, bytes);
    if (result != CUDA_SUCCESS) {
        space_unmap(*start, bytes);
        space_give(*start);
        bytes_give(device, store, bytes, *place);
    }
    return result;
}

void extent_give(struct device *device, enum store store, size_t bytes, uintptr_t start, uint64_t place)
{
    if (store == STORE_MANAGED)
        page_remove(start);
    space_unmap(start, bytes);
    space_give(start);
    bytes_give(device, store, bytes, place);
}
