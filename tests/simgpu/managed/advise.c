/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about managed memory, and what is known of a range of it. Advice moves nothing: page_use and page_fetch heed
 * it. */
#include "managed/managed.h"
#include "managed/page.h"

static unsigned bit_of(const CUmemLocation *location)
{
    return 1u << (page_processor(location) + 1);
}

/* Which advice takes a location, and which ones. */
static CUresult judge(CUmem_advise advice, CUmemLocation *location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        return CUDA_SUCCESS;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        return managed_location(location);
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        if (location->type != CU_MEM_LOCATION_TYPE_DEVICE && location->type != CU_MEM_LOCATION_TYPE_HOST)
            return CUDA_ERROR_INVALID_VALUE;
        return managed_location(location);
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static void apply(struct page *page, CUmem_advise advice, const CUmemLocation *location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
        page->read_mostly = true;
        break;
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        page->read_mostly = false;
        page_collapse(page);
        break;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        page->preferred = *location;
        break;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        page->preferred = (CUmemLocation){CU_MEM_LOCATION_TYPE_INVALID, 0};
        break;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
        page->accessed_by |= bit_of(location);
        break;
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        page->accessed_by &= ~bit_of(location);
        break;
    }
}

CUresult sim_cuMemAdvise_v2(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUmemLocation location)
{
    CUresult result = judge(advice, &location);
    struct page_run run;

    if (result != CUDA_SUCCESS)
        return result;
    sim_lock();
    run = managed_find(start, bytes);
    for (size_t i = 0; i < run.count; i++)
        apply(&run.first[i], advice, &location);
    return sim_leave(run.count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuMemAdvise(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUdevice device)
{
    return sim_cuMemAdvise_v2(start, bytes, advice, managed_location_of(device));
}

static bool is_same(const CUmemLocation *a, const CUmemLocation *b)
{
    return a->type == b->type && a->id == b->id;
}

/* What all pages of the run are to be at, or were last asked to be at; type INVALID if they differ. */
static CUmemLocation common_location(struct page_run run, bool preferred)
{
    CUmemLocation common = preferred ? run.first->preferred : run.first->prefetched;

    for (size_t i = 1; i < run.count; i++)
        if (!is_same(&common, preferred ? &run.first[i].preferred : &run.first[i].prefetched))
            return (CUmemLocation){CU_MEM_LOCATION_TYPE_INVALID, 0};
    return common;
}

static int all_read_mostly(struct page_run run)
{
    for (size_t i = 0; i < run.count; i++)
        if (!run.first[i].read_mostly)
            return 0;
    return 1;
}

/* Processors that are to have a mapping of all pages; what is left of the list is CU_DEVICE_INVALID. */
static void list_accessors(struct page_run run, int *list, size_t room)
{
    unsigned common = ~0u;
    size_t count = 0;

    for (size_t i = 0; i < run.count; i++)
        common &= run.first[i].accessed_by;
    for (int processor = DEVICE_HOST; processor < device_count && count < room; processor++)
        if (common >> (processor + 1) & 1)
            list[count++] = processor;
    while (count < room)
        list[count++] = CU_DEVICE_INVALID;
}

static bool is_readable(const void *data, size_t bytes, CUmem_range_attribute attribute)
{
    if (attribute < CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY ||
        attribute > CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID || !data)
        return false;
    return attribute == CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY ? bytes && bytes % sizeof(int) == 0
                                                           : bytes == sizeof(int);
}

static void read_attribute(struct page_run run, CUmem_range_attribute attribute, int *data, size_t bytes)
{
    CUmemLocation preferred = common_location(run, true), prefetched = common_location(run, false);

    switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
        *data = all_read_mostly(run);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
        *data = page_processor(&preferred);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
        list_accessors(run, data, bytes / sizeof *data);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
        *data = page_processor(&prefetched);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
        *data = (int)preferred.type;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
        *data = preferred.id;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
        *data = (int)prefetched.type;
        break;
    default: /* CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID */
        *data = prefetched.id;
        break;
    }
}

CUresult sim_cuMemRangeGetAttributes(void **data, size_t *bytes, CUmem_range_attribute *attributes,
                                     size_t count, CUdeviceptr start, size_t size)
{
    struct page_run run;

    if (!data || !bytes || !attributes || !count)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++)
        if (!is_readable(data[i], bytes[i], attributes[i]))
            return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    run = managed_find(start, size);
    for (size_t i = 0; run.count && i < count; i++)
        read_attribute(run, attributes[i], data[i], bytes[i]);
    return sim_leave(run.count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuMemRangeGetAttribute(void *data, size_t bytes, CUmem_range_attribute attribute,
                                    CUdeviceptr start, size_t size)
{
    return sim_cuMemRangeGetAttributes(&data, &bytes, &attribute, 1, start, size);
}
