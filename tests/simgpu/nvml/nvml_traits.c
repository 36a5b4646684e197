/* SPDX-License-Identifier: Apache-2.0 */
/* What devices are like, and what is not simulated of them. */
#include "nvml/nvml.h"

#include "machine/options.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    nvmlReturn_t otherwise;

    if (nvml_index(device, &otherwise) < 0 || !major || !minor)
        return otherwise;
    *major = options.capability / 10;
    *minor = options.capability % 10;
    return NVML_SUCCESS;
}

/* So many of the first bits, in as many words as there are. */
static nvmlReturn_t give_set(nvmlDevice_t device, unsigned long *set, unsigned words, unsigned long bits)
{
    const unsigned long word_bits = CHAR_BIT * sizeof *set;
    nvmlReturn_t otherwise;

    if (nvml_index(device, &otherwise) < 0 || !set || !words)
        return otherwise;
    memset(set, 0, words * sizeof *set);
    for (unsigned long i = 0; i < bits && i < words * word_bits; i++)
        set[i / word_bits] |= 1ul << i % word_bits;
    return NVML_SUCCESS;
}

/* All processors are as near. */
nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned words, unsigned long *set)
{
    return give_set(device, set, words, (unsigned long)sysconf(_SC_NPROCESSORS_CONF));
}

/* Node 0, as the driver's attributes have it. */
nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned words, unsigned long *set, int scope)
{
    return scope < 0 || scope > 1 ? NVML_ERROR_INVALID_ARGUMENT : give_set(device, set, words, 1);
}

static nvmlReturn_t refuse(nvmlDevice_t device, const void *out)
{
    nvmlReturn_t otherwise;

    return nvml_index(device, &otherwise) < 0 || !out ? otherwise : NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t give_none(nvmlDevice_t device, unsigned *out)
{
    nvmlReturn_t otherwise;

    if (nvml_index(device, &otherwise) < 0 || !out)
        return otherwise;
    *out = 0;
    return NVML_SUCCESS;
}

/* Devices cannot be partitioned. */
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    return refuse(device, pending ? current : NULL);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
    return give_none(device, count);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *part)
{
    (void)index;
    return refuse(device, part);
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is)
{
    return give_none(device, is);
}

/* There is no NVLink. PyTorch insists that it can ask. */
nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned link, int *type)
{
    (void)link;
    return refuse(device, type);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned link, nvmlPciInfo_t *pci)
{
    (void)link;
    return refuse(device, pci);
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *celsius)
{
    return sensor ? NVML_ERROR_INVALID_ARGUMENT : refuse(device, celsius);
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts)
{
    return refuse(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned *megahertz)
{
    return type < 0 || type > 3 ? NVML_ERROR_INVALID_ARGUMENT : refuse(device, megahertz);
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, int threshold, unsigned *celsius)
{
    return threshold < 0 ? NVML_ERROR_INVALID_ARGUMENT : refuse(device, celsius);
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned *percent)
{
    return refuse(device, percent);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned *generation)
{
    return refuse(device, generation);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *lanes)
{
    return refuse(device, lanes);
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    return refuse(device, reasons);
}

nvmlReturn_t nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    return refuse(device, reasons);
}
