/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that copy one row, of which at least one side is an array. Offsets and sizes count bytes. */
#include "driver/sim.h"

static void from_array(CUDA_MEMCPY3D *row, CUarray array, size_t offset)
{
    row->srcMemoryType = CU_MEMORYTYPE_ARRAY;
    row->srcArray = array;
    row->srcXInBytes = offset;
}

static void to_array(CUDA_MEMCPY3D *row, CUarray array, size_t offset)
{
    row->dstMemoryType = CU_MEMORYTYPE_ARRAY;
    row->dstArray = array;
    row->dstXInBytes = offset;
}

static CUDA_MEMCPY3D row_of(size_t bytes)
{
    return (CUDA_MEMCPY3D){.WidthInBytes = bytes, .Height = 1, .Depth = 1};
}

static CUDA_MEMCPY3D row_to_host(void *to, CUarray from, size_t offset, size_t bytes)
{
    CUDA_MEMCPY3D row = row_of(bytes);

    from_array(&row, from, offset);
    row.dstMemoryType = CU_MEMORYTYPE_HOST;
    row.dstHost = to;
    return row;
}

static CUDA_MEMCPY3D row_from_host(CUarray to, size_t offset, const void *from, size_t bytes)
{
    CUDA_MEMCPY3D row = row_of(bytes);

    row.srcMemoryType = CU_MEMORYTYPE_HOST;
    row.srcHost = from;
    to_array(&row, to, offset);
    return row;
}

CUresult sim_cuMemcpyDtoA_v2(CUarray to, size_t offset, CUdeviceptr from, size_t bytes)
{
    CUDA_MEMCPY3D row = row_of(bytes);

    row.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    row.srcDevice = from;
    to_array(&row, to, offset);
    return sim_cuMemcpy3D_v2(&row);
}

CUresult sim_cuMemcpyAtoD_v2(CUdeviceptr to, CUarray from, size_t offset, size_t bytes)
{
    CUDA_MEMCPY3D row = row_of(bytes);

    from_array(&row, from, offset);
    row.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    row.dstDevice = to;
    return sim_cuMemcpy3D_v2(&row);
}

CUresult sim_cuMemcpyAtoA_v2(CUarray to, size_t to_offset, CUarray from, size_t from_offset, size_t bytes)
{
    CUDA_MEMCPY3D row = row_of(bytes);

    from_array(&row, from, from_offset);
    to_array(&row, to, to_offset);
    return sim_cuMemcpy3D_v2(&row);
}

CUresult sim_cuMemcpyHtoA_v2(CUarray to, size_t offset, const void *from, size_t bytes)
{
    const CUDA_MEMCPY3D row = row_from_host(to, offset, from, bytes);

    return sim_cuMemcpy3D_v2(&row);
}

CUresult sim_cuMemcpyHtoAAsync_v2(CUarray to, size_t offset, const void *from, size_t bytes, CUstream stream)
{
    const CUDA_MEMCPY3D row = row_from_host(to, offset, from, bytes);

    return sim_cuMemcpy3DAsync_v2(&row, stream);
}

CUresult sim_cuMemcpyAtoH_v2(void *to, CUarray from, size_t offset, size_t bytes)
{
    const CUDA_MEMCPY3D row = row_to_host(to, from, offset, bytes);

    return sim_cuMemcpy3D_v2(&row);
}

CUresult sim_cuMemcpyAtoHAsync_v2(void *to, CUarray from, size_t offset, size_t bytes, CUstream stream)
{
    const CUDA_MEMCPY3D row = row_to_host(to, from, offset, bytes);

    return sim_cuMemcpy3DAsync_v2(&row, stream);
}
