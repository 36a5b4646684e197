/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnvidia-ml.so.1: what the management library tells of the simulated devices. The memory in use is that of this
 * process, from the simulated driver if that is loaded. NVIDIA ships no header with it; types as documented
 * (docs.nvidia.com/deploy/nvml-api, release 580).
 */
#include "options.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    INSUFFICIENT_SIZE = 7,
    VERSION_MISMATCH = 25
};

struct memory_v1 {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct process_v1 {
    unsigned pid;
    unsigned long long used;
};

struct process_v2 {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

struct pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

/* A handle is the device's number and one. */
typedef struct handle *handle_t;

static bool is_initialized;

API int nvmlInit_v2(void);
API int nvmlShutdown(void);
API int nvmlDeviceGetCount_v2(unsigned *count);
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle_t *device);
API int nvmlDeviceGetPciInfo_v3(handle_t device, struct pci *pci);
API int nvmlDeviceGetMemoryInfo(handle_t device, struct memory_v1 *memory);
API int nvmlDeviceGetMemoryInfo_v2(handle_t device, struct memory_v2 *memory);
API int nvmlDeviceGetComputeRunningProcesses(handle_t device, unsigned *count, struct process_v1 *infos);
API int nvmlDeviceGetComputeRunningProcesses_v2(handle_t device, unsigned *count, struct process_v2 *infos);
API int nvmlDeviceGetComputeRunningProcesses_v3(handle_t device, unsigned *count, struct process_v2 *infos);

static int ordinal_of(handle_t device)
{
    intptr_t ordinal = (intptr_t)device - 1;

    return is_initialized && ordinal >= 0 && ordinal < options.devices ? (int)ordinal : -1;
}

static unsigned long long used_bytes(int ordinal)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    size_t (*used)(int) = driver ? (size_t(*)(int))(uintptr_t)dlsym(driver, "simgpu_used_bytes") : NULL;
    unsigned long long bytes = used ? used(ordinal) : 0;

    if (driver)
        dlclose(driver);
    return bytes;
}

int nvmlInit_v2(void)
{
    if (!is_initialized)
        options_read();
    is_initialized = true;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    return is_initialized ? SUCCESS : UNINITIALIZED;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    if (!is_initialized)
        return UNINITIALIZED;
    *count = (unsigned)options.devices;
    return SUCCESS;
}

/* Counted from the other end than the driver does: the two orders need not agree. */
int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle_t *device)
{
    if (!is_initialized)
        return UNINITIALIZED;
    if (index >= (unsigned)options.devices)
        return INVALID_ARGUMENT;
    *device = (handle_t)(intptr_t)(options.devices - (int)index);
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(handle_t device, struct pci *pci)
{
    int ordinal = ordinal_of(device);

    if (ordinal < 0 || !pci)
        return INVALID_ARGUMENT;
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)ordinal + 1; /* as cuDeviceGetPCIBusId says */
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "0000:%02X:00.0", pci->bus & 0xff);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(handle_t device, struct memory_v1 *memory)
{
    int ordinal = ordinal_of(device);

    if (ordinal < 0 || !memory)
        return INVALID_ARGUMENT;
    *memory = (struct memory_v1){.total = options.memory_bytes, .used = used_bytes(ordinal)};
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(handle_t device, struct memory_v2 *memory)
{
    int ordinal = ordinal_of(device);
    unsigned version = (unsigned)sizeof *memory | 2u << 24;

    if (ordinal < 0 || !memory)
        return INVALID_ARGUMENT;
    if (memory->version != version)
        return VERSION_MISMATCH;
    *memory =
        (struct memory_v2){.version = version, .total = options.memory_bytes, .used = used_bytes(ordinal)};
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

/* One process uses the devices: this one. Room for how many, and how many there are. */
static int judge_room(int ordinal, unsigned *count)
{
    unsigned room = *count;

    if (ordinal < 0)
        return INVALID_ARGUMENT;
    *count = 1;
    return room ? SUCCESS : INSUFFICIENT_SIZE;
}

int nvmlDeviceGetComputeRunningProcesses(handle_t device, unsigned *count, struct process_v1 *infos)
{
    int ordinal = ordinal_of(device), result = judge_room(ordinal, count);

    if (result == SUCCESS)
        infos[0] = (struct process_v1){(unsigned)getpid(), used_bytes(ordinal)};
    return result;
}

int nvmlDeviceGetComputeRunningProcesses_v2(handle_t device, unsigned *count, struct process_v2 *infos)
{
    int ordinal = ordinal_of(device), result = judge_room(ordinal, count);

    if (result == SUCCESS)
        infos[0] = (struct process_v2){(unsigned)getpid(), used_bytes(ordinal), UINT32_MAX, UINT32_MAX};
    return result;
}

int nvmlDeviceGetComputeRunningProcesses_v3(handle_t device, unsigned *count, struct process_v2 *infos)
{
    return nvmlDeviceGetComputeRunningProcesses_v2(device, count, infos);
}
