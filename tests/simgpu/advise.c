/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about managed memory, and what is known of a range of it. Advice moves nothing: page_use and page_fetch heed it. */
#include "managed.h"
#include "page.h"

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
