/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/rect.h"

#include "memory/array.h"

#include <string.h>

struct side {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    CUarray array;
    size_t x, y, z, pitch, height;
};

static bool fits(size_t first, size_t count, size_t limit)
{
    return first <= limit && count <= limit - first;
}

static CUresult array_side(const struct side *side, const CUDA_MEMCPY3D *rect, struct plane *plane)
{
    struct array_shape shape;

    if (!array_shape(side->array, &shape))
        return CUDA_ERROR_INVALID_HANDLE;
    if (!fits(side->x, rect->WidthInBytes, shape.row_bytes) || !fits(side->y, rect->Height, shape.rows) ||
        !fits(side->z, rect->Depth, shape.slices))
        return CUDA_ERROR_INVALID_VALUE;
    plane->host = false;
    plane->pitch = shape.row_bytes;
    plane->slice = shape.row_bytes * shape.rows;
    plane->base = shape.start + side->x + side->y * plane->pitch + side->z * plane->slice;
    return CUDA_SUCCESS;
}

static CUresult side_read(const struct side *side, const CUDA_MEMCPY3D *rect, struct plane *plane)
{
    size_t pitch = side->pitch ? side->pitch : rect->WidthInBytes;
    size_t height = side->height ? side->height : rect->Height;

    switch (side->type) {
    case CU_MEMORYTYPE_HOST:
        plane->base = (uintptr_t)side->host;
        plane->host = true;
        break;
    case CU_MEMORYTYPE_DEVICE:
        plane->base = side->device;
        plane->host = false;
        break;
    case CU_MEMORYTYPE_UNIFIED:
        plane->base = side->device;
        plane->host = !memory_is_device(side->device);
        break;
    case CU_MEMORYTYPE_ARRAY:
        return array_side(side, rect, plane);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (pitch < side->x + rect->WidthInBytes || (rect->Depth > 1 && height < side->y + rect->Height))
        return CUDA_ERROR_INVALID_VALUE;
    plane->pitch = pitch;
    plane->slice = pitch * height;
    plane->base += side->x + side->y * plane->pitch + side->z * plane->slice;
    return CUDA_SUCCESS;
}

CUresult rect_read(const CUDA_MEMCPY3D *rect, struct copy_work *copy)
{
    struct side to = {rect->dstMemoryType, rect->dstHost, rect->dstDevice, rect->dstArray, rect->dstXInBytes,
                      rect->dstY,          rect->dstZ,    rect->dstPitch,  rect->dstHeight};
    struct side from = {rect->srcMemoryType, rect->srcHost,     rect->srcDevice,
                        rect->srcArray,      rect->srcXInBytes, rect->srcY,
                        rect->srcZ,          rect->srcPitch,    rect->srcHeight};
    CUresult result;

    memset(copy, 0, sizeof *copy);
    copy->width = rect->WidthInBytes;
    copy->height = rect->Height;
    copy->depth = rect->Depth;
    result = side_read(&from, rect, &copy->from);
    return result != CUDA_SUCCESS ? result : side_read(&to, rect, &copy->to);
}

/* An array's side by its positions, any other by the address of its first byte. */
static struct side side_write(const struct plane *plane)
{
    CUarray array = plane->host ? NULL : array_at(plane->base);
    struct array_shape shape;
    size_t offset;

    if (plane->host)
        return (struct side){.type = CU_MEMORYTYPE_HOST,
                             .host = (const void *)plane->base,
                             .pitch = plane->pitch,
                             .height = plane->pitch ? plane->slice / plane->pitch : 0};
    if (!array_shape(array, &shape))
        return (struct side){.type = CU_MEMORYTYPE_DEVICE,
                             .device = plane->base,
                             .pitch = plane->pitch,
                             .height = plane->pitch ? plane->slice / plane->pitch : 0};
    offset = plane->base - shape.start;
    return (struct side){.type = CU_MEMORYTYPE_ARRAY,
                         .array = array,
                         .x = offset % shape.row_bytes,
                         .y = offset / shape.row_bytes % shape.rows,
                         .z = offset / shape.row_bytes / shape.rows};
}

void rect_write(const struct copy_work *copy, CUDA_MEMCPY3D *rect)
{
    struct side from = side_write(&copy->from), to = side_write(&copy->to);

    *rect = (CUDA_MEMCPY3D){.srcMemoryType = from.type,
                            .srcHost = from.host,
                            .srcDevice = from.device,
                            .srcArray = from.array,
                            .srcXInBytes = from.x,
                            .srcY = from.y,
                            .srcZ = from.z,
                            .srcPitch = from.pitch,
                            .srcHeight = from.height,
                            .dstMemoryType = to.type,
                            .dstHost = (void *)to.host,
                            .dstDevice = to.device,
                            .dstArray = to.array,
                            .dstXInBytes = to.x,
                            .dstY = to.y,
                            .dstZ = to.z,
                            .dstPitch = to.pitch,
                            .dstHeight = to.height,
                            .WidthInBytes = copy->width,
                            .Height = copy->height,
                            .Depth = copy->depth};
}

CUresult rect_submit(struct copy_work *copy, CUstream stream, bool asynchronous)
{
    enum copy_kind kind;

    if (copy->from.host && copy->to.host)
        kind = COPY_INFER;
    else
        kind = copy->from.host ? COPY_H2D : copy->to.host ? COPY_D2H : COPY_D2D;
    return copy_submit(copy, kind, stream, asynchronous);
}

static CUresult read_unlocked(const CUDA_MEMCPY3D *rect, struct copy_work *copy)
{
    sim_lock();
    return sim_leave(rect_read(rect, copy));
}

static CUresult copy_rect(const CUDA_MEMCPY3D *rect, CUstream stream, bool asynchronous)
{
    struct copy_work copy;
    CUresult result = read_unlocked(rect, &copy);

    return result != CUDA_SUCCESS ? result : rect_submit(&copy, stream, asynchronous);
}

static CUresult copy_flat(const CUDA_MEMCPY2D *flat, CUstream stream, bool asynchronous)
{
    CUDA_MEMCPY3D rect = {.Depth = 1};

    if (!flat)
        return CUDA_ERROR_INVALID_VALUE;
    rect.srcXInBytes = flat->srcXInBytes;
    rect.srcY = flat->srcY;
    rect.srcMemoryType = flat->srcMemoryType;
    rect.srcHost = flat->srcHost;
    rect.srcDevice = flat->srcDevice;
    rect.srcArray = flat->srcArray;
    rect.srcPitch = flat->srcPitch;
    rect.dstXInBytes = flat->dstXInBytes;
    rect.dstY = flat->dstY;
    rect.dstMemoryType = flat->dstMemoryType;
    rect.dstHost = flat->dstHost;
    rect.dstDevice = flat->dstDevice;
    rect.dstArray = flat->dstArray;
    rect.dstPitch = flat->dstPitch;
    rect.WidthInBytes = flat->WidthInBytes;
    rect.Height = flat->Height;
    return copy_rect(&rect, stream, asynchronous);
}

CUresult sim_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
    return copy_flat(copy, NULL, false);
}

CUresult sim_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy)
{
    return copy_flat(copy, NULL, false);
}

CUresult sim_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
    return copy_flat(copy, stream, true);
}

CUresult sim_cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy)
{
    return copy ? copy_rect(copy, NULL, false) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
    return copy ? copy_rect(copy, stream, true) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_peer(const CUDA_MEMCPY3D_PEER *peer, CUstream stream, bool asynchronous)
{
    CUDA_MEMCPY3D rect = {0};
    struct copy_work copy;
    CUresult result;

    if (!peer)
        return CUDA_ERROR_INVALID_VALUE;
    rect.srcXInBytes = peer->srcXInBytes;
    rect.srcY = peer->srcY;
    rect.srcZ = peer->srcZ;
    rect.srcMemoryType = peer->srcMemoryType;
    rect.srcHost = peer->srcHost;
    rect.srcDevice = peer->srcDevice;
    rect.srcArray = peer->srcArray;
    rect.srcPitch = peer->srcPitch;
    rect.srcHeight = peer->srcHeight;
    rect.dstXInBytes = peer->dstXInBytes;
    rect.dstY = peer->dstY;
    rect.dstZ = peer->dstZ;
    rect.dstMemoryType = peer->dstMemoryType;
    rect.dstHost = peer->dstHost;
    rect.dstDevice = peer->dstDevice;
    rect.dstArray = peer->dstArray;
    rect.dstPitch = peer->dstPitch;
    rect.dstHeight = peer->dstHeight;
    rect.WidthInBytes = peer->WidthInBytes;
    rect.Height = peer->Height;
    rect.Depth = peer->Depth;
    result = read_unlocked(&rect, &copy);
    if (result == CUDA_SUCCESS)
        result = copy_between(&copy, peer->dstContext, peer->srcContext);
    return result != CUDA_SUCCESS ? result : rect_submit(&copy, stream, asynchronous);
}

CUresult sim_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *copy)
{
    return copy_peer(copy, NULL, false);
}

CUresult sim_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
    return copy_peer(copy, stream, true);
}
