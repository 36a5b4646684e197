/* SPDX-License-Identifier: Apache-2.0 */
/* cuInit, and what a fork leaves of it. */
#include "device/device.h"
#include "driver/sim.h"
#include "memory/space.h"
#include "stream/fault.h"

static void forked(void)
{
    sim.forked = true;
}

CUresult sim_cuInit(unsigned flags)
{
    CUresult result;

    if (flags || !options.valid)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (sim.initialized)
        return sim_leave(CUDA_SUCCESS);
    result = device_start();
    if (result == CUDA_SUCCESS)
        result = space_start();
    if (result == CUDA_SUCCESS)
        result = thread_start();
    if (result == CUDA_SUCCESS && pthread_atfork(NULL, NULL, forked) != 0)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS) {
        fault_start();
        __atomic_store_n(&sim.initialized, true, __ATOMIC_RELEASE);
    }
    return sim_leave(result);
}

CUresult sim_cuDriverGetVersion(int *version)
{
    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    *version = options.driver_version;
    return CUDA_SUCCESS;
}

/* Its tables are private to NVIDIA's own libraries. */
CUresult sim_cuGetExportTable(const void **table, const CUuuid *id)
{
    if (!table || !id)
        return CUDA_ERROR_INVALID_VALUE;
    *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}
