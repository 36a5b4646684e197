/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVIDIA's management library tells of memory: the same story as the driver's queries. Devices are numbered
 * differently there, so one is known by its place on the bus. Before CUDA is up there is no story yet: the real one.
 */
#include "contexts.h"
#include "core.h"
#include "hooks.h"
#include "life.h"
#include "options.h"
#include "pools.h"

#include <stdio.h>
#include <unistd.h>

/* Our number of a device; DEVICE_MAX when the process does not use it. */
static unsigned ordinal_of(nvmlDevice_t device)
{
    unsigned domain, bus, slot;
    nvmlPciInfo_t there;
    char here[32];

    if (!real.nvmlDeviceGetPciInfo_v3 || !real.cuDeviceGetPCIBusId ||
        real.nvmlDeviceGetPciInfo_v3(device, &there) != NVML_SUCCESS)
        return DEVICE_MAX;
    for (unsigned i = 0; i < contexts_device_count(); i++)
        if (real.cuDeviceGetPCIBusId(here, sizeof here, contexts_device(i)) == CUDA_SUCCESS &&
            sscanf(here, "%x:%x:%x", &domain, &bus, &slot) == 3 && domain == there.domain &&
            bus == there.bus && slot == there.device)
            return i;
    return DEVICE_MAX;
}

struct story {
    uint64_t total, used;
};

/* False: the real one. */
static bool story_of(nvmlReturn_t result, nvmlDevice_t device, struct story *out)
{
    unsigned ordinal;
    uint64_t free_bytes;

    if (result != NVML_SUCCESS || life_options()->meminfo == MEMINFO_REAL)
        return false;
    ordinal = ordinal_of(device);
    if (ordinal == DEVICE_MAX)
        return false;
    pools_settle();
    core_memory(ordinal, &free_bytes, &out->total);
    out->used = out->total - free_bytes;
    return true;
}

nvmlReturn_t hook_nvmlDeviceGetMemoryInfo(__typeof__(nvmlDeviceGetMemoryInfo) *next, nvmlDevice_t device,
                                          nvmlMemory_t *memory)
{
    struct story story;
    nvmlReturn_t result = next(device, memory);

    if (memory && story_of(result, device, &story))
        *memory = (nvmlMemory_t){.total = story.total, .free = story.total - story.used, .used = story.used};
    return result;
}

nvmlReturn_t hook_nvmlDeviceGetMemoryInfo_v2(__typeof__(nvmlDeviceGetMemoryInfo_v2) *next,
                                             nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    struct story story;
    nvmlReturn_t result = next(device, memory);

    if (memory && story_of(result, device, &story))
        *memory = (nvmlMemory_v2_t){.version = memory->version,
                                    .total = story.total,
                                    .free = story.total - story.used,
                                    .used = story.used};
    return result;
}

/* In another namespace of process numbers than the library's we are not found, and the real figure stands. */
nvmlReturn_t hook_nvmlDeviceGetComputeRunningProcesses(__typeof__(nvmlDeviceGetComputeRunningProcesses) *next,
                                                       nvmlDevice_t device, unsigned int *infoCount,
                                                       nvmlProcessInfo_v1_t *infos)
{
    struct story story;
    nvmlReturn_t result = next(device, infoCount, infos);

    if (infos && infoCount && story_of(result, device, &story))
        for (unsigned i = 0; i < *infoCount; i++)
            if (infos[i].pid == (unsigned)getpid())
                infos[i].usedGpuMemory = story.used;
    return result;
}

nvmlReturn_t hook_nvmlDeviceGetComputeRunningProcesses_v2(
    __typeof__(nvmlDeviceGetComputeRunningProcesses_v2) *next, nvmlDevice_t device, unsigned int *infoCount,
    nvmlProcessInfo_v2_t *infos)
{
    struct story story;
    nvmlReturn_t result = next(device, infoCount, infos);

    if (infos && infoCount && story_of(result, device, &story))
        for (unsigned i = 0; i < *infoCount; i++)
            if (infos[i].pid == (unsigned)getpid())
                infos[i].usedGpuMemory = story.used;
    return result;
}
