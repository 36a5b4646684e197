/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvml.h - what we stand in front of in NVIDIA's management library, libnvidia-ml.so.1.
 *
 * Its header comes with no package that a build can count on, so the few types that cross the boundary are declared
 * here, as NVIDIA documents them (docs.nvidia.com/deploy/nvml-api, release 580).
 *
 * Units    bytes.
 */
#ifndef EBB_NVML_H
#define EBB_NVML_H

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
};

typedef struct nvmlMemory_st {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_t;

/** total is the sum of the three others. */
typedef struct nvmlMemory_v2_st {
    unsigned int version;
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_v2_t;

typedef struct nvmlProcessInfo_v1_st {
    unsigned int pid;
    unsigned long long usedGpuMemory;
} nvmlProcessInfo_v1_t;

/** Of the second and third versions of the functions. */
typedef struct nvmlProcessInfo_v2_st {
    unsigned int pid;
    unsigned long long usedGpuMemory;
    unsigned int gpuInstanceId;
    unsigned int computeInstanceId;
} nvmlProcessInfo_v2_t;

typedef struct nvmlPciInfo_st {
    char busIdLegacy[16];
    unsigned int domain;
    unsigned int bus;
    unsigned int device;
    unsigned int pciDeviceId;
    unsigned int pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci);
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory);
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory);

/** Of the first version of the functions, and of both others. */
typedef nvmlReturn_t nvml_processes(nvmlDevice_t device, unsigned int *infoCount,
                                    nvmlProcessInfo_v1_t *infos);
typedef nvmlReturn_t nvml_processes_v2(nvmlDevice_t device, unsigned int *infoCount,
                                       nvmlProcessInfo_v2_t *infos);

nvml_processes nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses,
    nvmlDeviceGetMPSComputeRunningProcesses;
nvml_processes_v2 nvmlDeviceGetComputeRunningProcesses_v2, nvmlDeviceGetComputeRunningProcesses_v3,
    nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlDeviceGetGraphicsRunningProcesses_v3,
    nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlDeviceGetMPSComputeRunningProcesses_v3;

#endif
