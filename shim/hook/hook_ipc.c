/* SPDX-License-Identifier: Apache-2.0 */
/* Legacy IPC: blocks are handed over by us, other memory by the driver. */
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/ipc_block.h"
#include "engine/core.h"
#include "hook/hooks.h"

CUresult hook_cuIpcGetMemHandle(__typeof__(cuIpcGetMemHandle) *next, CUipcMemHandle *pHandle,
                                CUdeviceptr dptr)
{
    struct block_info block;

    if (!pHandle || core_find(dptr, &block) || block.is_handle || !contexts_any_here())
        return next(pHandle, dptr);
    return ipc_block_export(&block, pHandle);
}

/* Memory of another process costs us nothing, but kernels can read pointers from it. */
static CUresult imported(CUresult result, const CUdeviceptr *address)
{
    struct place place;
    CUdeviceptr base;
    size_t bytes = 0;

    if (result != CUDA_SUCCESS || !address)
        return result;
    if (contexts_here(&place) && real.cuMemGetAddressRange_v2 &&
        real.cuMemGetAddressRange_v2(&base, &bytes, *address) == CUDA_SUCCESS) {
        const struct driver_memory record = {.bytes = bytes,
                                             .class = CLASS_NATIVE,
                                             .why = STAY_IMPORTED,
                                             .ordinal = place.ordinal,
                                             .context = place.context};

        driver_memory_add(DRIVER_MEMORY, *address, &record);
    } else {
        core_roots_unknown("memory of another process was opened");
    }
    return result;
}

CUresult hook_cuIpcOpenMemHandle(__typeof__(cuIpcOpenMemHandle) *next, CUdeviceptr *pdptr,
                                 CUipcMemHandle handle, unsigned int Flags)
{
    struct ipc_name name;

    if (pdptr && ipc_is_name(&handle, &name))
        return ipc_block_open(&name, pdptr);
    return imported(next(pdptr, handle, Flags), pdptr);
}

CUresult hook_cuIpcCloseMemHandle(__typeof__(cuIpcCloseMemHandle) *next, CUdeviceptr dptr)
{
    return ipc_block_close(next, dptr);
}
