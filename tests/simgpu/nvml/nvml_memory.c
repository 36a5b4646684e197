/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, and the processes that use it. */
#include "machine/options.h"
#include "nvml/nvml_look.h"

#include <stdint.h>

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    struct look look;
    nvmlReturn_t result = memory ? nvml_look(device, &look) : NVML_ERROR_INVALID_ARGUMENT;

    if (result == NVML_SUCCESS)
        *memory = (nvmlMemory_t){
            .total = options.memory_bytes, .free = options.memory_bytes - look.used, .used = look.used};
    return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    nvmlReturn_t result;
    nvmlMemory_t found;

    if (!memory)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (memory->version != ((unsigned)sizeof *memory | 2u << 24))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    result = nvmlDeviceGetMemoryInfo(device, &found);
    if (result == NVML_SUCCESS)
        *memory = (nvmlMemory_v2_t){
            .version = memory->version, .total = found.total, .free = found.free, .used = found.used};
    return result;
}

/* As documented: too little room is an error, and nothing is written but how many there are. */
static nvmlReturn_t take_users(nvmlDevice_t device, unsigned *count, const void *infos, struct look *look)
{
    nvmlReturn_t result = count ? nvml_look(device, look) : NVML_ERROR_INVALID_ARGUMENT;
    unsigned room;

    if (result != NVML_SUCCESS)
        return result;
    room = *count;
    *count = look->count;
    if (look->count > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    return infos || !look->count ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned *count,
                                                  nvmlProcessInfo_v1_t *infos)
{
    struct look look;
    nvmlReturn_t result = take_users(device, count, infos, &look);

    for (unsigned i = 0; result == NVML_SUCCESS && i < look.count; i++)
        infos[i] = (nvmlProcessInfo_v1_t){look.users[i].pid, look.users[i].bytes};
    return result;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned *count,
                                                     nvmlProcessInfo_v2_t *infos)
{
    const unsigned none = UINT32_MAX; /* no instance: the device is not partitioned */
    struct look look;
    nvmlReturn_t result = take_users(device, count, infos, &look);

    for (unsigned i = 0; result == NVML_SUCCESS && i < look.count; i++)
        infos[i] = (nvmlProcessInfo_v2_t){look.users[i].pid, look.users[i].bytes, none, none};
    return result;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                     nvmlProcessInfo_v2_t *infos)
{
    return nvmlDeviceGetComputeRunningProcesses_v2(device, count, infos);
}

/* Nothing draws on a device, and no server stands between it and processes: these lists are always empty. */
static nvmlReturn_t give_nobody(nvmlDevice_t device, unsigned *count)
{
    nvmlReturn_t otherwise;

    if (nvml_index(device, &otherwise) < 0 || !count)
        return otherwise;
    *count = 0;
    return NVML_SUCCESS;
}

#define EMPTY_LIST(function, type)                                                                           \
    nvmlReturn_t function(nvmlDevice_t device, unsigned *count, type *infos)                                 \
    {                                                                                                        \
        (void)infos;                                                                                         \
        return give_nobody(device, count);                                                                   \
    }
EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t)
EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t)
EMPTY_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_v2_t)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
EMPTY_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_v2_t)
