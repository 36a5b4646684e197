/* SPDX-License-Identifier: Apache-2.0 */
/* Start and end, versions, and what tells devices apart. */
#include "nvml/nvml.h"

#include "machine/identity.h"
#include "machine/options.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A handle is the device's index and one. */
static unsigned started; /* inits without their shutdown */

static void read_options(void)
{
    options_read();
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (flags & ~3u) /* no devices will do; do not attach to them */
        return NVML_ERROR_INVALID_ARGUMENT;
    pthread_once(&once, read_options);
    if (!options.valid)
        return NVML_ERROR_UNKNOWN;
    if (__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST) == 1)
        nvml_busy_start();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlShutdown(void)
{
    unsigned before = __atomic_load_n(&started, __ATOMIC_SEQ_CST);

    while (before && !__atomic_compare_exchange_n(&started, &before, before - 1, false, __ATOMIC_SEQ_CST,
                                                  __ATOMIC_SEQ_CST))
        continue;
    return before ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

static bool is_started(void)
{
    return __atomic_load_n(&started, __ATOMIC_SEQ_CST);
}

const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "Success";
    case NVML_ERROR_UNINITIALIZED:
        return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
        return "Not Supported";
    case NVML_ERROR_NOT_FOUND:
        return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "Insufficient Size";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
        return "Argument Version Mismatch";
    default:
        return "Unknown Error";
    }
}

int nvml_index(nvmlDevice_t device, nvmlReturn_t *otherwise)
{
    intptr_t index = (intptr_t)device - 1;

    *otherwise = is_started() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
    return is_started() && index >= 0 && index < options.devices ? (int)index : -1;
}

static nvmlReturn_t give_text(const char *text, char *to, unsigned length)
{
    if (!to)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, text);
    return NVML_SUCCESS;
}

/* The first release of the driver that came with that CUDA. */
static const char *release(void)
{
    static const struct {
        int cuda;
        const char *release;
    } releases[] = {{13000, "580.65.06"}, {12080, "570.26"},    {12060, "560.28.03"}, {12040, "550.54.14"},
                    {12020, "535.54.03"}, {12000, "525.60.13"}, {11080, "520.61.05"}};
    unsigned i = 0;

    while (i + 1 < sizeof releases / sizeof *releases && options.driver_version < releases[i].cuda)
        i++;
    return releases[i].release;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    return is_started() ? give_text(release(), version, length) : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%s", options.driver_version / 1000, release());
    return is_started() ? give_text(text, version, length) : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    if (!is_started() || !version)
        return is_started() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
    *version = options.driver_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    return nvmlSystemGetCudaDriverVersion(version);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    if (!is_started() || !count)
        return is_started() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
    *count = (unsigned)options.devices;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned *count)
{
    return nvmlDeviceGetCount_v2(count);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    if (!is_started())
        return NVML_ERROR_UNINITIALIZED;
    if (!device || index >= (unsigned)options.devices)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = (nvmlDevice_t)((intptr_t)index + 1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    if (!is_started())
        return NVML_ERROR_UNINITIALIZED;
    for (int i = 0; uuid && i < options.devices; i++) {
        char own[UUID_TEXT];

        identity_text(i, own);
        if (strcasecmp(uuid, own) == 0)
            return nvmlDeviceGetHandleByIndex_v2((unsigned)i, device);
    }
    return uuid && device ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT;
}

/* domain:bus:device.function, or without the domain. */
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *device)
{
    unsigned domain = 0, bus, slot, function;

    if (!is_started())
        return NVML_ERROR_UNINITIALIZED;
    if (!id || !device ||
        (sscanf(id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4 &&
         (domain = 0, sscanf(id, "%x:%x.%x", &bus, &slot, &function) != 3)))
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < options.devices; i++)
        if (!domain && !slot && !function && bus == identity_bus(i))
            return nvmlDeviceGetHandleByIndex_v2((unsigned)i, device);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByPciBusId_v2(id, device);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *out)
{
    nvmlReturn_t otherwise;
    int index = nvml_index(device, &otherwise);

    if (index < 0 || !out)
        return otherwise;
    *out = (unsigned)index;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *number)
{
    return nvmlDeviceGetIndex(device, number);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    nvmlReturn_t otherwise;
    int index = nvml_index(device, &otherwise);
    char text[UUID_TEXT];

    if (index < 0)
        return otherwise;
    identity_text(index, text);
    return give_text(text, uuid, length);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    nvmlReturn_t otherwise;

    return nvml_index(device, &otherwise) < 0 ? otherwise : give_text("simgpu", name, length);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    nvmlReturn_t otherwise;
    int index = nvml_index(device, &otherwise);

    if (index < 0 || !pci)
        return otherwise;
    memset(pci, 0, sizeof *pci);
    pci->bus = identity_bus(index);
    snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", pci->bus);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", pci->bus & 0xff);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_v1_t *pci)
{
    nvmlPciInfo_t whole;
    nvmlReturn_t result = nvmlDeviceGetPciInfo_v3(device, pci ? &whole : NULL);

    if (result != NVML_SUCCESS)
        return result;
    memset(pci, 0, sizeof *pci);
    memcpy(pci->busId, whole.busIdLegacy, sizeof pci->busId);
    pci->bus = whole.bus;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_v2_t *pci)
{
    if (pci)
        memset(pci, 0, sizeof *pci);
    return nvmlDeviceGetPciInfo(device, pci ? &pci->first : NULL);
}
