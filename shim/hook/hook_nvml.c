/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory as NVIDIA's management library tells it: the same story as the driver's queries. Devices are numbered
 * differently there, so one is known by its place on the bus.
 *
 * Before CUDA is up there is no story yet, and the real one is told: which of its devices are ours, and under which
 * number a budget was set for them, only cuInit decides (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER); and a monitor that
 * a program starts inherits the preload, while it asks for what all processes use.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/options.h"
#include "hook/hook_words.h"

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
        if (real.cuDeviceGetPCIBusId(here, sizeof(here), contexts_device(i)) == CUDA_SUCCESS &&
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

    if (result != NVML_SUCCESS || options_of_process()->meminfo == MEMINFO_REAL)
        return false;
    ordinal = ordinal_of(device);
    if (ordinal == DEVICE_MAX)
        return false;
    pools_settle();
    if (!core_memory(ordinal, &free_bytes, &out->total))
        return false;
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
nvmlReturn_t hook_nvml_processes(nvmlReturn_t result, nvmlDevice_t device, const unsigned int *count,
                                 void *infos, size_t each_bytes)
{
    struct story story;

    if (!infos || !count || !story_of(result, device, &story))
        return result;
    for (unsigned i = 0; i < *count; i++) {
        nvmlProcessInfo_v1_t *info = (nvmlProcessInfo_v1_t *)((char *)infos + i * each_bytes);

        if (info->pid == (unsigned)getpid())
            info->usedGpuMemory = story.used;
    }
    return result;
}
