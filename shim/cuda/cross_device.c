/* SPDX-License-Identifier: Apache-2.0 */
/* cross_device.c - see cross_device.h. */
#include "cuda/cross_device.h"

#include "cuda/capture.h"
#include "cuda/contexts.h"
#include "cuda/device_cuda.h"
#include "cuda/driver_memory.h"

/* The stream that the call goes to, by a name that means the same in every entry. */
static CUstream stream_of(const struct cross_device *cross)
{
    CUstream stream = cross->stream ? *cross->stream : NULL;

    if (stream)
        return stream;
    return cross->per_thread ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
}

/* Which context makes the call: its stream's. A default stream is the current context's, and so is one that captures,
 * which does not tell. */
static bool place_of(const struct cross_device *cross, struct place *out)
{
    if (!contexts_here(out))
        return false;
    contexts_of_stream(stream_of(cross), out);
    return true;
}

/* The first block that is out of reach. Every one is noted. */
static bool find_far(const struct use *use, unsigned ordinal, struct block_info *out)
{
    bool found = false;

    for (uint32_t i = 0; i < use->count; i++) {
        uint64_t address = core_arena.base + use->granule[i] * (uint64_t)GRANULE_BYTES;
        struct block_info block;

        if (core_find_block(address, &block) < 0 || !block.context ||
            device_cuda_reaches(ordinal, block.ordinal, address))
            continue;
        device_cuda_copies(ordinal, block.ordinal);
        if (!found)
            *out = block;
        found = true;
    }
    return found;
}

bool cross_device_is(const struct cross_device *cross, const struct use *use)
{
    struct block_info far;
    struct place place;

    return contexts_device_count() > 1 && use->count && place_of(cross, &place) &&
           find_far(use, place.ordinal, &far);
}

/* The context that memory was allocated in; `otherwise` for what was in none, such as mappings of the program's. */
static CUcontext context_of(CUdeviceptr address, CUcontext otherwise)
{
    struct block_info block;
    CUcontext context = NULL;

    if (core_owns(address) && core_find(address, &block) == 0 && block.context)
        return (CUcontext)(uintptr_t)block.context;
    if (real.cuPointerGetAttribute &&
        real.cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, address) == CUDA_SUCCESS &&
        context)
        return context;
    return otherwise;
}

static bool is_on_device(CUmemorytype type, CUdeviceptr address)
{
    return type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_ARRAY ||
           (type == CU_MEMORYTYPE_UNIFIED && (core_owns(address) || !driver_memory_is_on_host(address)));
}

/* Fields that a copy in two dimensions, and all that one in three, has in common with a copy between devices. */
#define PLANE(from)                                                                                          \
    .srcXInBytes = (from)->srcXInBytes, .srcY = (from)->srcY, .srcMemoryType = (from)->srcMemoryType,        \
    .srcDevice = (from)->srcDevice, .srcArray = (from)->srcArray, .srcPitch = (from)->srcPitch,              \
    .dstXInBytes = (from)->dstXInBytes, .dstY = (from)->dstY, .dstMemoryType = (from)->dstMemoryType,        \
    .dstDevice = (from)->dstDevice, .dstArray = (from)->dstArray, .dstPitch = (from)->dstPitch,              \
    .WidthInBytes = (from)->WidthInBytes, .Height = (from)->Height
#define VOLUME(from)                                                                                         \
    PLANE(from), .srcZ = (from)->srcZ, .srcLOD = (from)->srcLOD, .srcHeight = (from)->srcHeight,             \
                 .dstZ = (from)->dstZ, .dstLOD = (from)->dstLOD, .dstHeight = (from)->dstHeight,             \
                 .Depth = (from)->Depth

#define FLAT(cross)                                                                                          \
    .srcMemoryType = CU_MEMORYTYPE_UNIFIED, .srcDevice = (cross)->from,                                      \
    .dstMemoryType = CU_MEMORYTYPE_UNIFIED, .dstDevice = (cross)->to, .WidthInBytes = (cross)->bytes,        \
    .Height = 1, .Depth = 1

/* A copy between two places on devices, which the caller does not wait for in any of its forms. */
static bool copy_between(struct cross_device *cross, const struct place *place)
{
    CUDA_MEMCPY3D_PEER copy;

    if (cross->form == CROSS_DEVICE_NONE)
        return false;
    copy = cross->form == CROSS_DEVICE_PLANE    ? (CUDA_MEMCPY3D_PEER){PLANE(cross->plane), .Depth = 1}
           : cross->form == CROSS_DEVICE_VOLUME ? (CUDA_MEMCPY3D_PEER){VOLUME(cross->volume)}
                                                : (CUDA_MEMCPY3D_PEER){FLAT(cross)};
    if (!is_on_device(copy.dstMemoryType, copy.dstDevice) ||
        !is_on_device(copy.srcMemoryType, copy.srcDevice))
        return false;
    copy.dstContext = context_of(copy.dstDevice, place->context);
    copy.srcContext = context_of(copy.srcDevice, place->context);
    if (cross->form != CROSS_DEVICE_FLAT && real.cuMemcpy3DPeerAsync)
        cross->result = real.cuMemcpy3DPeerAsync(&copy, stream_of(cross));
    else if (cross->form == CROSS_DEVICE_FLAT && real.cuMemcpyPeerAsync)
        cross->result = real.cuMemcpyPeerAsync(copy.dstDevice, copy.dstContext, copy.srcDevice,
                                               copy.srcContext, cross->bytes, stream_of(cross));
    else
        return false;
    return true;
}

/* An event behind what the stream has, in the context that is current. */
static CUresult mark(CUstream stream, CUevent *out)
{
    CUresult result = real.cuEventCreate(out, CU_EVENT_DISABLE_TIMING);

    if (result != CUDA_SUCCESS)
        return result;
    result = real.cuEventRecord(*out, stream);
    if (result != CUDA_SUCCESS)
        real.cuEventDestroy_v2(*out);
    return result;
}

static CUresult mark_in(CUcontext context, CUstream stream, CUevent *out)
{
    CUresult result = real.cuCtxPushCurrent_v2(context);
    CUcontext popped;

    if (result != CUDA_SUCCESS)
        return result;
    result = mark(stream, out);
    real.cuCtxPopCurrent_v2(&popped);
    return result;
}

/* The stream for the call in the block's context, which is current. */
static bool detour_stream(struct cross_device *cross)
{
    cross->detour = CU_STREAM_PER_THREAD;
    if (cross->stream && real.cuStreamCreate(&cross->detour, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
        return false;
    if (real.cuStreamWaitEvent(cross->detour, cross->before, 0) == CUDA_SUCCESS)
        return true;
    if (cross->stream)
        real.cuStreamDestroy_v2(cross->detour);
    return false;
}

/* Into the block's context, behind what the program's stream has. False: as if it had not been tried. */
static bool detour_begin(struct cross_device *cross, const struct place *place, CUcontext owner)
{
    CUcontext popped;
    bool is_ready;

    if (!real.cuEventRecord || !real.cuStreamWaitEvent ||
        mark_in(place->context, stream_of(cross), &cross->before) != CUDA_SUCCESS)
        return false;
    is_ready = real.cuCtxPushCurrent_v2(owner) == CUDA_SUCCESS;
    if (is_ready && !detour_stream(cross)) {
        real.cuCtxPopCurrent_v2(&popped);
        is_ready = false;
    }
    if (!is_ready) {
        real.cuEventDestroy_v2(cross->before);
        return false;
    }
    cross->owner = owner;
    cross->home = place->context;
    if (cross->stream) {
        cross->instead_of = *cross->stream;
        *cross->stream = cross->detour;
    }
    return true;
}

bool cross_device_begin(struct cross_device *cross, const struct use *use)
{
    struct block_info far;
    struct place place;
    CUstreamCaptureMode mode;

    if (!place_of(cross, &place) || !find_far(use, place.ordinal, &far))
        return false;
    if (copy_between(cross, &place))
        return true;
    if (capture_records(cross->stream ? *cross->stream : NULL, cross->per_thread))
        return false;
    mode = quiet_begin();
    detour_begin(cross, &place, (CUcontext)(uintptr_t)far.context);
    quiet_end(mode);
    return false;
}

/* The program's stream waits for the call. The block's context is current. */
static bool join(const struct cross_device *cross)
{
    CUcontext popped;
    CUevent after;
    bool is_joined;

    if (mark(cross->detour, &after) != CUDA_SUCCESS)
        return false;
    is_joined = real.cuCtxPushCurrent_v2(cross->home) == CUDA_SUCCESS;
    if (is_joined) {
        is_joined = real.cuStreamWaitEvent(stream_of(cross), after, 0) == CUDA_SUCCESS;
        real.cuCtxPopCurrent_v2(&popped);
    }
    real.cuEventDestroy_v2(after);
    return is_joined;
}

void cross_device_end(struct cross_device *cross)
{
    CUstreamCaptureMode mode;
    CUcontext popped;

    if (!cross->owner)
        return;
    mode = quiet_begin();
    if (cross->stream)
        *cross->stream = cross->instead_of;
    if (!join(cross)) /* a stream that cannot wait is waited for here */
        real.cuStreamSynchronize(cross->detour);
    if (cross->stream)
        real.cuStreamDestroy_v2(cross->detour);
    real.cuCtxPopCurrent_v2(&popped);
    real.cuEventDestroy_v2(cross->before);
    quiet_end(mode);
}
