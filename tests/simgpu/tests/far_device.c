/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled twice: with CUDA_API_PER_THREAD_DEFAULT_STREAM, NVIDIA's header names the other entries. */
#include "far_device.h"

#include <stdint.h>

enum {
    ROWS = 4,
    WIDTH = FAR_BYTES / ROWS
};

static char host[FAR_BYTES];

static CUresult copy_to(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)stream;
    return cuMemcpy(far, near, FAR_BYTES);
}

static CUresult copy_from(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    return copy_to(near, far, stream);
}

static CUresult copy_to_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    return cuMemcpyAsync(far, near, FAR_BYTES, stream);
}

static CUresult copy_from_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    return copy_to_async(near, far, stream);
}

static CUresult between_devices(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)stream;
    return cuMemcpyDtoD(far, near, FAR_BYTES);
}

static CUresult between_devices_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    return cuMemcpyDtoDAsync(near, far, FAR_BYTES, stream);
}

static CUresult from_host(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemcpyHtoD(far, host, FAR_BYTES);
}

static CUresult from_host_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemcpyHtoDAsync(far, host, FAR_BYTES, stream);
}

static CUresult to_host(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemcpyDtoH(host, far, FAR_BYTES);
}

static CUresult to_host_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemcpyDtoHAsync(host, far, FAR_BYTES, stream);
}

/* Which never goes to the legacy default stream. */
static CUresult batch(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
    CUdeviceptr to[] = {far, far + FAR_BYTES / 4}, from[] = {far + FAR_BYTES / 2, (uintptr_t)host};
    size_t sizes[] = {FAR_BYTES / 4, FAR_BYTES / 4}, first = 0;

    (void)near;
    return cuMemcpyBatchAsync(to, from, sizes, 2, &attributes, &first, 1,
                              stream ? stream : CU_STREAM_PER_THREAD);
}

static CUDA_MEMCPY2D rows(CUdeviceptr to, CUdeviceptr from)
{
    return (CUDA_MEMCPY2D){.dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = to,
                           .dstPitch = WIDTH,
                           .srcMemoryType = CU_MEMORYTYPE_DEVICE,
                           .srcDevice = from,
                           .srcPitch = WIDTH,
                           .WidthInBytes = WIDTH,
                           .Height = ROWS};
}

static CUresult rows_to(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    const CUDA_MEMCPY2D copy = rows(far, near);

    (void)stream;
    return cuMemcpy2D(&copy);
}

static CUresult rows_from_unaligned(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    const CUDA_MEMCPY2D copy = rows(near, far);

    (void)stream;
    return cuMemcpy2DUnaligned(&copy);
}

static CUresult rows_from_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    const CUDA_MEMCPY2D copy = rows(near, far);

    return cuMemcpy2DAsync(&copy, stream);
}

static CUDA_MEMCPY3D slices(CUdeviceptr to, CUdeviceptr from)
{
    return (CUDA_MEMCPY3D){.dstMemoryType = CU_MEMORYTYPE_UNIFIED,
                           .dstDevice = to,
                           .dstPitch = WIDTH,
                           .dstHeight = 1,
                           .srcMemoryType = CU_MEMORYTYPE_UNIFIED,
                           .srcDevice = from,
                           .srcPitch = WIDTH,
                           .srcHeight = 1,
                           .WidthInBytes = WIDTH,
                           .Height = 1,
                           .Depth = ROWS};
}

static CUresult slices_to(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    const CUDA_MEMCPY3D copy = slices(far, near);

    (void)stream;
    return cuMemcpy3D(&copy);
}

static CUresult slices_from_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    const CUDA_MEMCPY3D copy = slices(near, far);

    return cuMemcpy3DAsync(&copy, stream);
}

static CUresult set8(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD8(far, 1, FAR_BYTES);
}

static CUresult set16(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD16(far, 1, FAR_BYTES / 2);
}

static CUresult set32(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD32(far, 1, FAR_BYTES / 4);
}

static CUresult set8_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD8Async(far, 1, FAR_BYTES, stream);
}

static CUresult set16_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD16Async(far, 1, FAR_BYTES / 2, stream);
}

static CUresult set32_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD32Async(far, 1, FAR_BYTES / 4, stream);
}

static CUresult set_rows8(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD2D8(far, WIDTH, 1, WIDTH, ROWS);
}

static CUresult set_rows16(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD2D16(far, WIDTH, 1, WIDTH / 2, ROWS);
}

static CUresult set_rows32(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near, (void)stream;
    return cuMemsetD2D32(far, WIDTH, 1, WIDTH / 4, ROWS);
}

static CUresult set_rows8_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD2D8Async(far, WIDTH, 1, WIDTH, ROWS, stream);
}

static CUresult set_rows16_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD2D16Async(far, WIDTH, 1, WIDTH / 2, ROWS, stream);
}

static CUresult set_rows32_async(CUdeviceptr far, CUdeviceptr near, CUstream stream)
{
    (void)near;
    return cuMemsetD2D32Async(far, WIDTH, 1, WIDTH / 4, ROWS, stream);
}

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
const struct far_use far_uses_ptds[] = {
#else
const struct far_use far_uses[] = {
#endif
    {"cuMemcpy to", copy_to},
    {"cuMemcpy from", copy_from},
    {"cuMemcpyAsync to", copy_to_async},
    {"cuMemcpyAsync from", copy_from_async},
    {"cuMemcpyDtoD", between_devices},
    {"cuMemcpyDtoDAsync", between_devices_async},
    {"cuMemcpyHtoD", from_host},
    {"cuMemcpyHtoDAsync", from_host_async},
    {"cuMemcpyDtoH", to_host},
    {"cuMemcpyDtoHAsync", to_host_async},
    {"cuMemcpy2D", rows_to},
    {"cuMemcpy2DUnaligned", rows_from_unaligned},
    {"cuMemcpy2DAsync", rows_from_async},
    {"cuMemcpy3D", slices_to},
    {"cuMemcpy3DAsync", slices_from_async},
    {"cuMemcpyBatchAsync", batch},
    {"cuMemsetD8", set8},
    {"cuMemsetD16", set16},
    {"cuMemsetD32", set32},
    {"cuMemsetD8Async", set8_async},
    {"cuMemsetD16Async", set16_async},
    {"cuMemsetD32Async", set32_async},
    {"cuMemsetD2D8", set_rows8},
    {"cuMemsetD2D16", set_rows16},
    {"cuMemsetD2D32", set_rows32},
    {"cuMemsetD2D8Async", set_rows8_async},
    {"cuMemsetD2D16Async", set_rows16_async},
    {"cuMemsetD2D32Async", set_rows32_async},
    {NULL, NULL},
};
