/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/array.h"

#include "driver/handle.h"
#include "memory/extent.h"
#include "memory/memory.h"
#include "memory/texel.h"
#include "stream/capture.h"
#include "stream/op.h"

#include <stdlib.h>

/* A CUarray or CUmipmappedArray is the address of one. Each takes whole granules of its own. */
struct array {
    struct array *next, *previous;
    struct context *context;
    CUDA_ARRAY3D_DESCRIPTOR desc;
    bool mipmapped;
    size_t bytes; /* held */
    struct memory *memory;
    struct array *whole;   /* a level: what it is a level of; else NULL */
    size_t offset;         /* of a level */
    struct array **levels; /* owned: NULL until they are asked for */
    unsigned level_count;
};

static struct array *arrays;
static size_t count;

size_t array_count(void)
{
    return count;
}

static size_t halved(size_t extent, unsigned level)
{
    return extent >> level ? extent >> level : 1;
}

/* Bytes of all levels; 0 for what is too large for a number. Layers stay as many on each level. */
static size_t total_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels)
{
    bool layered = desc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
    size_t total = 0;

    for (unsigned level = 0; level < levels; level++) {
        size_t bytes = channel_bytes(desc->Format) * desc->NumChannels;

        if (__builtin_mul_overflow(bytes, halved(desc->Width, level), &bytes) ||
            __builtin_mul_overflow(bytes, desc->Height ? halved(desc->Height, level) : 1, &bytes) ||
            __builtin_mul_overflow(bytes,
                                   !desc->Depth ? 1
                                   : layered    ? desc->Depth
                                                : halved(desc->Depth, level),
                                   &bytes) ||
            __builtin_add_overflow(total, bytes, &total))
            return 0;
    }
    return total;
}

static CUresult judge(const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
    const unsigned known = CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP |
                           CUDA_ARRAY3D_TEXTURE_GATHER | CUDA_ARRAY3D_COLOR_ATTACHMENT;

    if (!desc->Width || (desc->NumChannels != 1 && desc->NumChannels != 2 && desc->NumChannels != 4) ||
        (desc->Depth && !desc->Height && !(desc->Flags & CUDA_ARRAY3D_LAYERED)))
        return CUDA_ERROR_INVALID_VALUE;
    return !channel_bytes(desc->Format) || desc->Flags & ~known ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

/* Memory for one, with the lock held. */
static CUresult take(struct array *array, unsigned levels)
{
    struct device *device = array->context->device;
    size_t bytes = total_bytes(&array->desc, levels);
    uintptr_t start;
    uint64_t place;
    CUresult result;

    if (!bytes || bytes > SIZE_MAX - GRANULE)
        return CUDA_ERROR_INVALID_VALUE;
    array->bytes = (bytes + GRANULE - 1) & ~(size_t)(GRANULE - 1);
    result = extent_take(device, STORE_ARRAY, array->bytes, &start, &place);
    if (result != CUDA_SUCCESS)
        return result;
    array->memory = memory_add(start, bytes, MEMORY_ARRAY, device->ordinal, place);
    if (array->memory && handle_add(array, HANDLE_ARRAY))
        return CUDA_SUCCESS;
    if (array->memory)
        memory_remove(array->memory);
    extent_give(device, STORE_ARRAY, array->bytes, start, place);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* levels 0: no mipmap. */
static CUresult create(void **created, const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels)
{
    struct array *array;
    CUresult result = judge(desc);

    if (result != CUDA_SUCCESS)
        return result;
    array = calloc(1, sizeof *array);
    if (!array)
        return CUDA_ERROR_OUT_OF_MEMORY;
    sim_lock();
    array->context = context_current();
    array->desc = *desc;
    array->mipmapped = levels;
    array->level_count = levels;
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = take(array, levels ? levels : 1);
    if (result != CUDA_SUCCESS) {
        free(array);
        return sim_leave(result);
    }
    array->next = arrays;
    if (arrays)
        arrays->previous = array;
    arrays = array;
    count++;
    *created = array;
    return sim_leave(CUDA_SUCCESS);
}

static void give(struct array *array)
{
    uintptr_t start;
    uint64_t place;

    if (array->previous)
        array->previous->next = array->next;
    else
        arrays = array->next;
    if (array->next)
        array->next->previous = array->previous;
    count--;
    handle_remove(array);
    for (unsigned level = 0; array->levels && level < array->level_count; level++) {
        if (array->levels[level])
            handle_remove(array->levels[level]);
        free(array->levels[level]);
    }
    free(array->levels);
    start = array->memory->start;
    place = array->memory->place;
    memory_remove(array->memory);
    extent_give(array->context->device, STORE_ARRAY, array->bytes, start, place);
    free(array);
}

void array_clear(struct context *context)
{
    for (struct array *array = arrays, *next; array; array = next) {
        next = array->next;
        if (array->context == context)
            give(array);
    }
}

/* The lock is held. */
static bool is_array(const void *handle, bool mipmapped)
{
    return handle_is(handle, HANDLE_ARRAY) && ((const struct array *)handle)->mipmapped == mipmapped;
}

static CUresult destroy(struct array *array, bool mipmapped)
{
    struct device *device;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && (!is_array(array, mipmapped) || array->whole))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    device = array->context->device;
    op_drain(NULL, device);
    op_observe_device(device);
    if (!is_array(array, mipmapped))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE); /* another thread was first */
    give(array);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayCreate_v2(CUarray *created, const CUDA_ARRAY_DESCRIPTOR *desc)
{
    if (!created || !desc)
        return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR whole = {.Width = desc->Width,
                                           .Height = desc->Height,
                                           .Format = desc->Format,
                                           .NumChannels = desc->NumChannels};

    return create((void **)created, &whole, 0);
}

CUresult sim_cuArray3DCreate_v2(CUarray *created, const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
    return created && desc ? create((void **)created, desc, 0) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMipmappedArrayCreate(CUmipmappedArray *created, const CUDA_ARRAY3D_DESCRIPTOR *desc,
                                    unsigned levels)
{
    if (!created || !desc || !levels || levels > 32)
        return CUDA_ERROR_INVALID_VALUE;
    return create((void **)created, desc, levels);
}

CUresult sim_cuArrayDestroy(CUarray array)
{
    return destroy((struct array *)array, false);
}

CUresult sim_cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    return destroy((struct array *)array, true);
}

CUresult sim_cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *desc, CUarray handle)
{
    if (!desc)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!is_array(handle, false))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *desc = ((const struct array *)handle)->desc;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *desc, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR whole;
    CUresult result = desc ? sim_cuArray3DGetDescriptor_v2(&whole, handle) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *desc = (CUDA_ARRAY_DESCRIPTOR){.Width = whole.Width,
                                        .Height = whole.Height,
                                        .Format = whole.Format,
                                        .NumChannels = whole.NumChannels};
    return result;
}

static CUresult requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs, const struct array *array, bool mipmapped,
                             CUdevice ordinal)
{
    if (!needs || !device_at(ordinal))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!is_array(array, mipmapped))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *needs = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = array->bytes, .alignment = GRANULE};
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs, CUarray array,
                                          CUdevice device)
{
    return requirements(needs, (const struct array *)array, false, device);
}

CUresult sim_cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs,
                                                   CUmipmappedArray array, CUdevice device)
{
    return requirements(needs, (const struct array *)array, true, device);
}

/* What a level is, in the words of an array. */
static CUDA_ARRAY3D_DESCRIPTOR level_desc(const struct array *whole, unsigned level)
{
    CUDA_ARRAY3D_DESCRIPTOR desc = whole->desc;

    desc.Width = halved(desc.Width, level);
    desc.Height = desc.Height ? halved(desc.Height, level) : 0;
    if (desc.Depth && !(desc.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)))
        desc.Depth = halved(desc.Depth, level);
    return desc;
}

/* The array of a level, made when it is first asked for. NULL when memory is out. */
static struct array *level_of(struct array *whole, unsigned level)
{
    struct array *array;

    if (!whole->levels)
        whole->levels = calloc(whole->level_count, sizeof *whole->levels);
    if (!whole->levels || whole->levels[level])
        return whole->levels ? whole->levels[level] : NULL;
    array = calloc(1, sizeof *array);
    if (!array || !handle_add(array, HANDLE_ARRAY)) {
        free(array);
        return NULL;
    }
    array->context = whole->context;
    array->desc = level_desc(whole, level);
    array->whole = whole;
    array->memory = whole->memory;
    array->offset = level ? total_bytes(&whole->desc, level) : 0;
    whole->levels[level] = array;
    return array;
}

CUresult sim_cuMipmappedArrayGetLevel(CUarray *level_out, CUmipmappedArray handle, unsigned level)
{
    struct array *whole = (struct array *)handle, *array;

    if (!level_out)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!is_array(whole, true))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    if (level >= whole->level_count)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    array = level_of(whole, level);
    if (array)
        *level_out = (CUarray)array;
    return sim_leave(array ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

static struct array_shape shape_at(const CUDA_ARRAY3D_DESCRIPTOR *desc, uintptr_t start)
{
    return (struct array_shape){.start = start,
                                .row_bytes = channel_bytes(desc->Format) * desc->NumChannels * desc->Width,
                                .rows = desc->Height ? desc->Height : 1,
                                .slices = desc->Depth ? desc->Depth : 1};
}

static struct array_shape shape_of(const struct array *array)
{
    return shape_at(&array->desc, array->memory->start + array->offset);
}

bool array_shape(CUarray handle, struct array_shape *shape)
{
    if (!is_array(handle, false))
        return false;
    *shape = shape_of((const struct array *)handle);
    return true;
}

bool array_level(const void *handle, bool mipmapped, unsigned level, CUDA_ARRAY3D_DESCRIPTOR *desc,
                 struct array_shape *shape)
{
    const struct array *array = handle;

    if (!is_array(handle, mipmapped) || level >= (mipmapped ? array->level_count : 1))
        return false;
    *desc = level_desc(array, level);
    *shape =
        shape_at(desc, array->memory->start + array->offset + (level ? total_bytes(&array->desc, level) : 0));
    return true;
}

static bool is_within(const struct array *array, uintptr_t address)
{
    struct array_shape shape = shape_of(array);

    return address - shape.start < shape.row_bytes * shape.rows * shape.slices;
}

CUarray array_at(uintptr_t address)
{
    for (struct array *array = arrays; array; array = array->next) {
        if (!array->mipmapped && is_within(array, address))
            return (CUarray)array;
        for (unsigned level = 0; array->levels && level < array->level_count; level++)
            if (array->levels[level] && is_within(array->levels[level], address))
                return (CUarray)array->levels[level];
    }
    return NULL;
}
